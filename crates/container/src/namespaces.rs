//! `linux.namespaces`: which to make, which to join.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;

use crate::error::{CallContext, Error, Result};
use crate::spec::{LinuxIdMapping, LinuxNamespaceType, Spec};

/// A namespace to join.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) kind: CloneFlags,
    path: PathBuf,
    fd: OwnedFd,
}

/// All that config.json says of namespaces.
#[derive(Debug)]
pub(crate) struct Namespaces {
    /// To make: `CLONE_NEW*`.
    pub(crate) new: CloneFlags,
    /// To join by path, opened while paths mean the host's.
    pub(crate) join: Vec<Join>,
    /// Clock offsets for a new time namespace, as /proc/PID/timens_offsets takes them.
    time_offsets: String,
    /// Mappings for a new user namespace.
    uid_map: Vec<LinuxIdMapping>,
    gid_map: Vec<LinuxIdMapping>,
}

impl Namespaces {
    /// Reads and checks `linux.namespaces` with what belongs to it.
    pub(crate) fn new(spec: &Spec) -> Result<Self> {
        let linux = spec.linux().as_ref();
        let mut namespaces = Self {
            new: CloneFlags::empty(),
            join: Vec::new(),
            time_offsets: String::new(),
            uid_map: linux.and_then(|l| l.uid_mappings().clone()).unwrap_or_default(),
            gid_map: linux.and_then(|l| l.gid_mappings().clone()).unwrap_or_default(),
        };
        for (index, namespace) in
            linux.and_then(|l| l.namespaces().as_ref()).into_iter().flatten().enumerate()
        {
            let field = format!("linux.namespaces[{index}]");
            let kind = clone_flag(namespace.typ());
            if namespaces.has(kind) {
                return Err(Error::config(
                    field,
                    format!("malformed spec file: duplicated ns {:?}", namespace.typ().to_string()),
                ));
            }
            match namespace.path().as_deref().filter(|path| !path.as_os_str().is_empty()) {
                None => namespaces.new |= kind,
                Some(path) => namespaces.join.push(Join::open(kind, path, &field)?),
            }
        }
        namespaces.check_user()?;
        namespaces.time_offsets = namespaces.time_offsets_of(spec)?;
        Ok(namespaces)
    }

    /// Whether the container has a namespace of this kind of its own, new or joined.
    pub(crate) fn has(&self, kind: CloneFlags) -> bool {
        self.new.contains(kind) || self.joins(kind)
    }

    fn joins(&self, kind: CloneFlags) -> bool {
        self.join.iter().any(|join| join.kind == kind)
    }

    /// The namespace of this kind that is joined.
    pub(crate) fn joined(&self, kind: CloneFlags) -> Option<BorrowedFd<'_>> {
        self.join.iter().find(|join| join.kind == kind).map(|join| join.fd.as_fd())
    }

    /// Whether a process in between must join before init can be cloned: namespaces to be made belong to
    /// the user namespace of their maker, so one that is joined must be entered first; and once a new
    /// user namespace is entered, there is no right left to join those of the host.
    pub(crate) fn need_intermediate(&self) -> bool {
        let others = self.join.iter().any(|join| join.kind != CloneFlags::CLONE_NEWPID);
        (self.new.contains(CloneFlags::CLONE_NEWUSER) && others)
            || (self.joins(CloneFlags::CLONE_NEWUSER) && !self.new.is_empty())
    }

    /// Whether init waits for [`Message::Mapped`](crate::channel::Message::Mapped): for its id mappings, or
    /// until the process in between, which talks over the same channel, has said init's pid.
    pub(crate) fn init_waits(&self) -> bool {
        self.new.contains(CloneFlags::CLONE_NEWUSER) || self.need_intermediate()
    }

    /// The flags for clone3(2). A cgroup namespace has its root where its maker is, and a time namespace
    /// takes offsets only while it is empty: init makes these two itself, and see [`Namespaces::make_ipc`].
    pub(crate) fn clone_flags(&self) -> u64 {
        let mut later =
            CloneFlags::CLONE_NEWCGROUP | CloneFlags::from_bits_retain(libc::CLONE_NEWTIME);
        if self.new.contains(CloneFlags::CLONE_NEWUSER) {
            later |= CloneFlags::CLONE_NEWIPC;
        }
        (self.new - later).bits() as u32 as u64
    }

    /// Makes the IPC namespace that is to belong to a new user namespace. After [`become_root`]: its file
    /// system of message queues belongs to whom its maker is (ipc/mqueue.c, mq_init_ns), and a user that
    /// is not mapped would own `/dev/mqueue` for ever.
    pub(crate) fn make_ipc(&self) -> Result<()> {
        if !self.new.contains(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWIPC) {
            return Ok(());
        }
        nix::sched::unshare(CloneFlags::CLONE_NEWIPC).call(|| "unshare IPC namespace".to_owned())
    }

    /// Joins the pid namespace, if one is joined, for children of the caller.
    pub(crate) fn join_pid(&self) -> Result<bool> {
        match self.join.iter().find(|join| join.kind == CloneFlags::CLONE_NEWPID) {
            Some(join) => join.enter().map(|()| true),
            None => Ok(false),
        }
    }

    /// Joins all others. First those that the caller's rights allow, then the user namespace, then what
    /// only its rights allow.
    pub(crate) fn join_rest(&self) -> Result<()> {
        let (user, others): (Vec<_>, Vec<_>) = self
            .join
            .iter()
            .filter(|join| join.kind != CloneFlags::CLONE_NEWPID)
            .partition(|join| join.kind == CloneFlags::CLONE_NEWUSER);
        let refused: Vec<_> = others.into_iter().filter(|join| join.enter().is_err()).collect();
        user.into_iter().try_for_each(Join::enter)?;
        refused.into_iter().try_for_each(Join::enter)
    }

    /// Whether a user namespace is joined.
    pub(crate) fn joins_user(&self) -> bool {
        self.joins(CloneFlags::CLONE_NEWUSER)
    }

    /// Makes the time namespace and enters it. In the user namespace that shall own it, and before
    /// [`become_root`], which would make the caller's files in /proc the host root's.
    pub(crate) fn make_time(&self) -> Result<()> {
        let time = CloneFlags::from_bits_retain(libc::CLONE_NEWTIME);
        if !self.new.contains(time) {
            return Ok(());
        }
        nix::sched::unshare(time).call(|| "unshare time namespace".to_owned())?;
        if !self.time_offsets.is_empty() {
            std::fs::write("/proc/self/timens_offsets", &self.time_offsets)
                .call(|| format!("write {:?} to /proc/self/timens_offsets", self.time_offsets))?;
        }
        // unshare(2) moves only children; joining what was made moves the caller.
        let fd = File::open("/proc/self/ns/time_for_children")
            .call(|| "open /proc/self/ns/time_for_children".to_owned())?;
        nix::sched::setns(fd.as_fd(), time).call(|| "setns time namespace".to_owned())
    }

    /// Makes the cgroup namespace. Inside the container's cgroup, which is then its root.
    pub(crate) fn make_cgroup(&self) -> Result<()> {
        if !self.new.contains(CloneFlags::CLONE_NEWCGROUP) {
            return Ok(());
        }
        nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP)
            .call(|| "unshare cgroup namespace".to_owned())
    }

    /// In the parent: gives the new user namespace of `pid` its mappings.
    pub(crate) fn map_ids(&self, pid: i32) -> Result<()> {
        if !rustix::process::geteuid().is_root() {
            return self.map_ids_rootless(pid);
        }
        write_proc(pid, "uid_map", &map_text(&self.uid_map))?;
        write_proc(pid, "gid_map", &map_text(&self.gid_map))
    }

    /// Without privilege: by the set-uid helpers of shadow where more than oneself is mapped
    /// (newuidmap(1)), else by hand, which is allowed only without setgroups (user_namespaces(7)).
    fn map_ids_rootless(&self, pid: i32) -> Result<()> {
        let own = |map: &[LinuxIdMapping], id: u32| matches!(map, [one] if one.size() == 1 && one.host_id() == id);
        if own(&self.uid_map, rustix::process::geteuid().as_raw())
            && own(&self.gid_map, rustix::process::getegid().as_raw())
        {
            write_proc(pid, "setgroups", "deny")?;
            write_proc(pid, "uid_map", &map_text(&self.uid_map))?;
            return write_proc(pid, "gid_map", &map_text(&self.gid_map));
        }
        map_by_helper("newuidmap", pid, &self.uid_map)?;
        map_by_helper("newgidmap", pid, &self.gid_map)
    }

    fn check_user(&self) -> Result<()> {
        let user = CloneFlags::CLONE_NEWUSER;
        let mapped = !self.uid_map.is_empty() || !self.gid_map.is_empty();
        let problem = match (self.new.contains(user), self.joins(user), mapped) {
            (true, _, false) => {
                "user namespaces enabled, but no namespace path to join nor mappings to apply specified"
            }
            (false, false, true) => {
                "user namespace mappings specified, but user namespace isn't enabled in the config"
            }
            (true, _, true) if self.uid_map.is_empty() || self.gid_map.is_empty() => {
                "user namespaces need both uid and gid mappings"
            }
            _ => return Ok(()),
        };
        Err(Error::config("linux.uidMappings", problem))
    }

    fn time_offsets_of(&self, spec: &Spec) -> Result<String> {
        let time = CloneFlags::from_bits_retain(libc::CLONE_NEWTIME);
        let Some(offsets) =
            spec.linux().as_ref().and_then(|l| l.time_offsets().as_ref()).filter(|o| !o.is_empty())
        else {
            return Ok(String::new());
        };
        let wrong = |problem: &str| Error::config("linux.timeOffsets", problem);
        if !self.has(time) {
            return Err(wrong(
                "time namespace offsets specified, but time namespace isn't enabled in the config",
            ));
        }
        if self.joins(time) {
            return Err(wrong(
                "time namespace enabled, but both namespace path and time offsets specified -- you may only provide one",
            ));
        }
        offsets
            .iter()
            .map(|(clock, offset)| match clock.as_str() {
                "monotonic" | "boottime" => Ok(format!(
                    "{clock} {} {}\n",
                    offset.secs().unwrap_or(0),
                    offset.nanosecs().unwrap_or(0)
                )),
                _ => Err(wrong(&format!(
                    "unknown clock {clock:?}: monotonic and boottime are possible"
                ))),
            })
            .collect()
    }
}

impl Join {
    fn open(kind: CloneFlags, path: &Path, field: &str) -> Result<Self> {
        let file = File::open(path).map_err(|error| {
            Error::config(
                format!("{field}.path"),
                format!("{}: {}", path.display(), crate::error::OsError::from(&error)),
            )
        })?;
        Ok(Self { kind, path: path.to_owned(), fd: file.into() })
    }

    fn enter(&self) -> Result<()> {
        nix::sched::setns(self.fd.as_fd(), self.kind)
            .call(|| format!("setns {}", self.path.display()))
    }
}

/// In a new or joined user namespace: becomes its root, so that files made are its root's.
pub(crate) fn become_root() -> Result<()> {
    nix::unistd::setresgid(0.into(), 0.into(), 0.into())
        .call(|| "setresgid 0 in user namespace".to_owned())?;
    nix::unistd::setresuid(0.into(), 0.into(), 0.into())
        .call(|| "setresuid 0 in user namespace".to_owned())
}

/// The clone flag of a namespace type.
pub(crate) fn clone_flag(kind: LinuxNamespaceType) -> CloneFlags {
    CloneFlags::from_bits_retain(match kind {
        LinuxNamespaceType::Mount => libc::CLONE_NEWNS,
        LinuxNamespaceType::Cgroup => libc::CLONE_NEWCGROUP,
        LinuxNamespaceType::Uts => libc::CLONE_NEWUTS,
        LinuxNamespaceType::Ipc => libc::CLONE_NEWIPC,
        LinuxNamespaceType::User => libc::CLONE_NEWUSER,
        LinuxNamespaceType::Pid => libc::CLONE_NEWPID,
        LinuxNamespaceType::Network => libc::CLONE_NEWNET,
        LinuxNamespaceType::Time => libc::CLONE_NEWTIME,
    })
}

fn map_text(map: &[LinuxIdMapping]) -> String {
    map.iter()
        .map(|range| format!("{} {} {}\n", range.container_id(), range.host_id(), range.size()))
        .collect()
}

fn write_proc(pid: i32, file: &str, text: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{file}");
    // One write(2): the kernel takes the map in one piece.
    File::options()
        .write(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .call(|| format!("write {text:?} to {path}"))
}

fn map_by_helper(helper: &str, pid: i32, map: &[LinuxIdMapping]) -> Result<()> {
    let mut command = std::process::Command::new(helper);
    command.arg(pid.to_string());
    for range in map {
        command.args([range.container_id(), range.host_id(), range.size()].map(|n| n.to_string()));
    }
    let output = command.output().call(|| format!("run {helper}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::config(
        "linux.uidMappings",
        format!("{helper} failed: {}", String::from_utf8_lossy(&output.stderr).trim()),
    ))
}
