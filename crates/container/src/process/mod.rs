//! One process of a container, init or a further one: what it is, decided in the parent, and how the
//! caller becomes it, done in the child.

pub(crate) mod capabilities;
mod enosys;
mod home;
mod labels;
mod memory_policy;
mod program;
mod rlimit;
mod schedule;
mod seccomp;

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

use self::capabilities::CapabilitySets;
use self::labels::Labels;
use self::memory_policy::MemoryPolicy;
use self::schedule::Scheduling;
use crate::channel::{Channel, Message};
use crate::error::{CallContext, Error, Result};
use crate::spawn::{close_others, outlive_parent};
use crate::spec::{LinuxMemoryPolicy, LinuxPersonality, LinuxSeccomp, Process, Spec};
use crate::sys;

pub(crate) use self::labels::selinux_is_enabled;
pub(crate) use self::memory_policy::check_memory_policy_names;
pub(crate) use self::program::Program;
pub(crate) use self::rlimit::Rlimit;
pub(crate) use self::schedule::cpu_mask;
use self::seccomp::Filter;

/// The file mode creation mask where config.json has none (runc's choice).
const DEFAULT_UMASK: u32 = 0o022;

/// Everything a process needs, parsed and compiled.
#[derive(Debug)]
pub(crate) struct ProcessPlan {
    args: Vec<CString>,
    env: Vec<CString>,
    cwd: CString,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    umask: nix::sys::stat::Mode,
    capabilities: CapabilitySets,
    no_new_privileges: bool,
    seccomp: Option<Filter>,
    scheduling: Scheduling,
    pub(crate) labels: Labels,
    pub(crate) rlimits: Vec<Rlimit>,
    /// Set by the parent, which may lower it.
    pub(crate) oom_score_adj: Option<i32>,
    /// A pty of this size (rows, columns; 0 for the default) becomes its stdio.
    pub(crate) terminal: Option<(u16, u16)>,
    /// How many descriptors after stdio it keeps.
    pub(crate) extra_fds: u32,
}

/// What a process takes from its container rather than from its own part of config.json.
#[derive(Debug, Default)]
pub(crate) struct Surroundings<'a> {
    /// `linux.seccomp`.
    pub(crate) seccomp: Option<&'a LinuxSeccomp>,
    /// `linux.personality`.
    pub(crate) personality: Option<&'a LinuxPersonality>,
    /// `linux.memoryPolicy`.
    pub(crate) memory_policy: Option<&'a LinuxMemoryPolicy>,
    /// `linux.resources.cpu.cpus` is set.
    pub(crate) cpus_limited: bool,
    /// `--preserve-fds`.
    pub(crate) preserve_fds: u32,
}

impl<'a> Surroundings<'a> {
    /// Those in a container of this config.
    pub(crate) fn of(spec: &'a Spec, preserve_fds: u32) -> Self {
        let linux = spec.linux().as_ref();
        let cpu = linux
            .and_then(|linux| linux.resources().as_ref())
            .and_then(|resources| resources.cpu().as_ref());
        Self {
            seccomp: linux.and_then(|linux| linux.seccomp().as_ref()),
            personality: linux.and_then(|linux| linux.personality().as_ref()),
            memory_policy: linux.and_then(|linux| linux.memory_policy().as_ref()),
            cpus_limited: cpu
                .and_then(|cpu| cpu.cpus().as_deref())
                .is_some_and(|cpus| !cpus.is_empty()),
            preserve_fds,
        }
    }
}

impl ProcessPlan {
    /// Parses `process`. Errors name the field.
    pub(crate) fn new(
        process: &Process,
        around: &Surroundings<'_>,
        state_root: &Path,
    ) -> Result<Self> {
        let args = c_strings("process.args", process.args().as_deref().unwrap_or_default())?;
        if args.is_empty() {
            return Err(Error::config("process.args", "args must not be empty"));
        }
        if !process.cwd().is_absolute() {
            let problem = format!("Cwd must be an absolute path: {}", process.cwd().display());
            return Err(Error::config("process.cwd", problem));
        }
        let listen_fds = listen_fds();
        let mut env = environment(process.env().as_deref().unwrap_or_default())?;
        if listen_fds > 0 {
            env.push(c_string("LISTEN_FDS", format!("LISTEN_FDS={listen_fds}"))?);
            env.push(c_string("LISTEN_PID", "LISTEN_PID=1".to_owned())?);
        }
        let extra_fds = listen_fds + around.preserve_fds;
        check_fds_open(listen_fds, extra_fds)?;
        let user = process.user();
        Ok(Self {
            args,
            env,
            cwd: c_string("process.cwd", process.cwd().to_string_lossy().into_owned())?,
            uid: Uid::from_raw(valid_id("process.user.uid", user.uid())?),
            gid: Gid::from_raw(valid_id("process.user.gid", user.gid())?),
            groups: user
                .additional_gids()
                .iter()
                .flatten()
                .map(|gid| valid_id("process.user.additionalGids", *gid).map(Gid::from_raw))
                .collect::<Result<_>>()?,
            umask: nix::sys::stat::Mode::from_bits_truncate(user.umask().unwrap_or(DEFAULT_UMASK)),
            capabilities: CapabilitySets::new(process.capabilities().as_ref()),
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            seccomp: around
                .seccomp
                .filter(|profile| !is_empty(profile))
                .map(|profile| Filter::new(profile, state_root))
                .transpose()?,
            scheduling: Scheduling {
                scheduler: process.scheduler().as_ref().map(schedule::scheduler).transpose()?,
                io_priority: process
                    .io_priority()
                    .as_ref()
                    .map(schedule::io_priority)
                    .transpose()?,
                personality: around.personality.map(schedule::personality),
                memory_policy: around.memory_policy.map(MemoryPolicy::new).transpose()?,
                cpus_limited: around.cpus_limited,
            },
            labels: Labels::new(process)?,
            rlimits: rlimit::parse(process.rlimits().as_deref().unwrap_or_default())?,
            oom_score_adj: process.oom_score_adj(),
            terminal: process.terminal().unwrap_or(false).then(|| {
                process.console_size().as_ref().map_or((0, 0), |size| {
                    (
                        size.height().try_into().unwrap_or(u16::MAX),
                        size.width().try_into().unwrap_or(u16::MAX),
                    )
                })
            }),
            extra_fds,
        })
    }

    /// Child: scheduling, limits, and no_new_privs.
    pub(crate) fn prepare(&self) -> Result<()> {
        self.rlimits.iter().try_for_each(Rlimit::set)?;
        self.scheduling.apply()?;
        if self.no_new_privileges {
            sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).call(|| "set no_new_privs".to_owned())?;
        }
        Ok(())
    }

    /// Child: becomes the user with the capabilities, in the working directory, with no descriptors but
    /// its own and `keep`.
    ///
    /// A seccomp filter comes last of all ([`ProcessPlan::finish`]), so that the fewest possible system calls
    /// are made under it: a profile need not allow what only the runtime calls. Without no_new_privs it needs
    /// CAP_SYS_ADMIN, which is spared for it. Only one that notifies is installed here: the parent, which
    /// takes the listener, is gone later.
    pub(crate) fn become_user(
        &self,
        channel: &Channel,
        keep: &[BorrowedFd<'_>],
    ) -> Result<Program> {
        // Tried as the runtime's user first, which may enter what the container's user may not; and
        // again as that user, who may enter what the runtime may not (root-squashing file systems).
        let entered = nix::unistd::chdir(self.cwd.as_c_str());
        self.capabilities.drop_bounding()?;
        sys::prctl(libc::PR_SET_KEEPCAPS, 1).call(|| "keep capabilities".to_owned())?;
        self.own_stdio()?;
        self.set_user()?;
        if let Err(errno) = entered {
            if errno != Errno::EACCES && errno != Errno::EPERM {
                return Err(errno).call(|| self.chdir_call());
            }
            nix::unistd::chdir(self.cwd.as_c_str()).call(|| self.chdir_call())?;
        }
        check_cwd()?;
        sys::prctl(libc::PR_SET_KEEPCAPS, 0).call(|| "stop keeping capabilities".to_owned())?;
        nix::sys::stat::umask(self.umask);
        outlive_parent()?;
        close_others(self.extra_fds, keep)?;
        if self.seccomp.as_ref().is_some_and(|filter| filter.notifies) {
            capabilities::use_permitted()?;
            self.install_seccomp(channel)?;
        }
        self.capabilities.apply(if self.spares_admin() { capabilities::SYS_ADMIN } else { 0 })?;
        Program::find(&self.args, self.env.clone(), self.uid)
    }

    fn seccomp_is_last(&self) -> bool {
        self.seccomp.as_ref().is_some_and(|filter| !filter.notifies)
    }

    fn spares_admin(&self) -> bool {
        self.seccomp_is_last() && !self.no_new_privileges
    }

    fn chdir_call(&self) -> String {
        format!("chdir to cwd ({:?}) set in config.json failed", self.cwd.to_string_lossy())
    }

    /// Child: the filter, where it is not yet installed.
    pub(crate) fn finish(&self, channel: &Channel) -> Result<()> {
        if !self.seccomp_is_last() {
            return Ok(());
        }
        if !self.spares_admin() {
            return self.install_seccomp(channel);
        }
        self.capabilities.use_spare(capabilities::SYS_ADMIN)?;
        self.install_seccomp(channel)?;
        self.capabilities.drop_spare()
    }

    /// Child: the end of the story. Returns only to say why not.
    pub(crate) fn execute(&self, program: &Program) -> Error {
        program.execute(&self.args)
    }

    fn install_seccomp(&self, channel: &Channel) -> Result<()> {
        let Some(filter) = &self.seccomp else { return Ok(()) };
        let Some(listener) = filter.install()? else { return Ok(()) };
        // From here until the parent has it, every call that the profile notifies of would wait for
        // ever, so as little as possible is done.
        channel.send(&Message::SeccompListener(listener.as_raw_fd()))?;
        channel.expect(&Message::ListenerTaken)?;
        Ok(())
    }

    fn set_user(&self) -> Result<()> {
        if !setgroups_denied() {
            nix::unistd::setgroups(&self.groups).call(|| format!("setgroups {:?}", self.groups))?;
        }
        nix::unistd::setresgid(self.gid, self.gid, self.gid)
            .map_err(|errno| unmapped(errno, "gid", self.gid.as_raw()))?;
        nix::unistd::setresuid(self.uid, self.uid, self.uid)
            .map_err(|errno| unmapped(errno, "uid", self.uid.as_raw()))
    }

    /// The streams were opened outside; the user must be able to open them again by /dev/stdout and
    /// friends. The group is the mount's business.
    fn own_stdio(&self) -> Result<()> {
        for number in 0..3 {
            let fd = sys::inherited_fd(number);
            let Ok(stat) = rustix::fs::fstat(fd) else { continue };
            let null = stat.st_rdev == rustix::fs::makedev(1, 3)
                && rustix::fs::FileType::from_raw_mode(stat.st_mode).is_char_device();
            if stat.st_uid == self.uid.as_raw() || null {
                continue;
            }
            match rustix::fs::fchown(fd, Some(rustix::fs::Uid::from_raw(self.uid.as_raw())), None) {
                // Not mapped in the user namespace, or on a read-only file system: left as it is.
                Ok(()) | Err(rustix::io::Errno::PERM | rustix::io::Errno::ROFS) => {}
                Err(errno) => {
                    return Err(errno).call(|| format!("fchown standard stream {number}"));
                }
            }
        }
        Ok(())
    }
}

/// `/proc/self/setgroups` says `deny` in a user namespace made without privilege
/// (user_namespaces(7)); then there are no supplementary groups to drop or set.
fn setgroups_denied() -> bool {
    std::fs::read("/proc/self/setgroups").is_ok_and(|text| text.starts_with(b"deny"))
}

fn unmapped(errno: Errno, kind: &str, id: u32) -> Error {
    let call = match errno {
        Errno::EINVAL => format!("cannot set{kind} to unmapped {kind} {id} in user namespace"),
        _ => format!("set{kind} {id}"),
    };
    Error::Syscall { call, errno: crate::error::OsError(errno) }
}

/// The working directory must lie inside the container's root (CVE-2024-21626: a descriptor of the
/// host left open as `cwd`). getcwd(2) has no path for one outside.
fn check_cwd() -> Result<()> {
    match nix::unistd::getcwd() {
        Ok(cwd) if cwd.is_absolute() => Ok(()),
        Ok(_) | Err(Errno::ENOENT) => Err(Error::config(
            "process.cwd",
            "current working directory is outside of container mount namespace root -- possible container breakout detected",
        )),
        Err(errno) => Err(errno).call(|| "getcwd".to_owned()),
    }
}

/// An id that means "no change" to the kernel cannot be a user (CVE-2024-40635 and others).
fn valid_id(field: &str, id: u32) -> Result<u32> {
    if id == u32::MAX {
        return Err(Error::config(field, format!("{id} is not a valid id")));
    }
    Ok(id)
}

/// A profile that allows all and has no rules filters nothing.
fn is_empty(profile: &LinuxSeccomp) -> bool {
    profile.default_action() == crate::spec::LinuxSeccompAction::ScmpActAllow
        && profile.syscalls().as_ref().is_none_or(Vec::is_empty)
}

pub(crate) fn c_string(field: &str, text: String) -> Result<CString> {
    CString::new(text).map_err(|_| Error::config(field, "contains a NUL byte"))
}

fn c_strings(field: &str, texts: &[String]) -> Result<Vec<CString>> {
    texts.iter().map(|text| c_string(field, text.clone())).collect()
}

/// `process.env` without repetitions: the last entry of a name counts, at its place.
fn environment(entries: &[String]) -> Result<Vec<CString>> {
    let mut seen: Vec<(&str, &String)> = Vec::with_capacity(entries.len());
    for entry in entries.iter().rev() {
        let Some((name, _)) = entry.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Error::config(
                "process.env",
                format!("invalid environment variable: {entry:?}"),
            ));
        };
        if !seen.iter().any(|(other, _)| *other == name) {
            seen.push((name, entry));
        }
    }
    seen.into_iter().rev().map(|(_, entry)| c_string("process.env", entry.clone())).collect()
}

/// How many sockets systemd passed to this very process (sd_listen_fds(3)).
fn listen_fds() -> u32 {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if pid == std::process::id() => count,
        _ => 0,
    }
}

fn check_fds_open(listen: u32, extra: u32) -> Result<()> {
    for index in 0..extra {
        let number = i32::try_from(index).map_or(i32::MAX, |index| index.saturating_add(3));
        // What came over the caller's execve is not close-on-exec, and all of this program's own is.
        let given = rustix::io::fcntl_getfd(sys::inherited_fd(number)).and_then(|flags| {
            let own = flags.contains(rustix::io::FdFlags::CLOEXEC);
            if own { Err(rustix::io::Errno::BADF) } else { Ok(()) }
        });
        given.call(|| {
            format!(
                "unable to stat preserved-fd {} (of {})",
                index.saturating_sub(listen),
                extra - listen
            )
        })?;
    }
    Ok(())
}

/// Makes this terminal the caller's stdio and controlling terminal. The caller leads a session.
pub(crate) fn adopt_terminal(terminal: BorrowedFd<'_>) -> Result<()> {
    rustix::stdio::dup2_stdin(terminal).call(|| "dup2 terminal to stdin".to_owned())?;
    rustix::stdio::dup2_stdout(terminal).call(|| "dup2 terminal to stdout".to_owned())?;
    rustix::stdio::dup2_stderr(terminal).call(|| "dup2 terminal to stderr".to_owned())?;
    sys::set_controlling_terminal(terminal.as_fd()).call(|| "ioctl TIOCSCTTY".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(entries: &[&str]) -> Result<Vec<String>> {
        let owned: Vec<String> = entries.iter().map(|&e| e.to_owned()).collect();
        Ok(environment(&owned)?.into_iter().map(|e| e.into_string().unwrap()).collect())
    }

    #[test]
    fn the_last_value_of_a_variable_counts() {
        assert_eq!(texts(&["A=1", "B=2", "A=3"]).unwrap(), ["B=2", "A=3"]);
        assert_eq!(texts(&["A=x=y"]).unwrap(), ["A=x=y"]);
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for bad in ["", "A", "=1", "A=\0"] {
            assert!(texts(&[bad]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_id_that_means_no_change_is_refused() {
        assert!(valid_id("process.user.uid", u32::MAX).is_err());
        assert_eq!(valid_id("process.user.uid", u32::MAX - 1).unwrap(), u32::MAX - 1);
    }
}
