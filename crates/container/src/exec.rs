//! `exec`: a further process in a container that lives.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use cgroup::{Cgroup, Hierarchies, Join, SubCgroups};
use nix::errno::Errno;
use nix::sched::CloneFlags;

use crate::channel::{Channel, ChannelError, Message};
use crate::create::{send_pidfd, set_oom_score, write_pid_file};
use crate::error::{CallContext, Error, Result, StatusError};
use crate::foreground::{self, Signals};
use crate::hook_state::HookState;
use crate::process::{self, ProcessPlan, Program, Rlimit, Surroundings, cpu_mask};
use crate::spawn::{self, Entry, Spawned, detach_from_parent, tell};
use crate::spec::{ExecCPUAffinity, Process, Spec};
use crate::terminal::{self, ConsoleEnd};
use crate::{Container, Status, Stdio, keyring, kill, namespaces, seccomp_listener, sys};

/// What `exec` runs.
#[derive(Debug)]
pub struct ExecRequest {
    /// The process: usually [`Container::process`] with changes.
    pub process: Process,
    /// The standard streams.
    pub stdio: Stdio,
    /// The caller does not wait.
    pub detach: bool,
    /// Where to write the pid.
    pub pid_file: Option<PathBuf>,
    /// Socket that receives a pidfd of the process.
    pub pidfd_socket: Option<PathBuf>,
    /// How many descriptors after stdio (and after `$LISTEN_FDS`) go to the process.
    pub preserve_fds: u32,
    /// Sub-cgroups to join, as `[CONTROLLER[,CONTROLLER]:]PATH`.
    pub cgroups: Vec<String>,
    /// Do not refuse a paused container.
    pub ignore_paused: bool,
}

/// All decisions about a further process.
struct Plan {
    spec: Spec,
    entry: Entry,
    process: ProcessPlan,
    keyring: Option<std::ffi::CString>,
    console: Option<ConsoleEnd>,
    affinity: Affinity,
}

/// CPU masks before and after the process is in the container's cgroup.
#[derive(Default)]
struct Affinity {
    initial: Option<Vec<u8>>,
    last: Option<Vec<u8>>,
}

impl Container {
    /// Runs a further process in the container. Returns its exit code in the foreground (128+n for
    /// signal n), 0 when detached.
    pub fn exec(&self, request: ExecRequest) -> Result<i32> {
        match self.status()? {
            Status::Stopped | Status::Creating => {
                return Err(Error::Status(StatusError::ExecStopped));
            }
            Status::Paused if !request.ignore_paused => {
                return Err(Error::Status(StatusError::ExecPaused));
            }
            _ => {}
        }
        let signals = if request.detach { None } else { Some(Signals::take()?) };
        let plan = Plan::new(self, &request)?;
        plan.process.rlimits.iter().try_for_each(Rlimit::raise)?;
        let (group, sub) = (self.cgroup()?, SubCgroups::parse(&request.cgroups)?);
        let oom_kills = group.oom_kill_count().ok();
        let spawned = self.spawn_into(&plan, &group, &sub)?;
        let console = self.settle(&plan, &spawned, &request).map_err(|error| {
            let perhaps_oom = group.oom_kill_count().ok() != oom_kills;
            // Half a process of ours must not stay in the container.
            let _ = kill::send(spawned.pidfd.as_fd(), crate::Signal::KILL.number());
            spawn::reap_if_child(&spawned.pidfd);
            if perhaps_oom { Error::PerhapsOomKilled(Box::new(error)) } else { error }
        })?;
        let Some(signals) = signals else { return Ok(0) };
        foreground::wait(spawned.pid, &spawned.pidfd, &signals, console)
    }

    fn spawn_into(&self, plan: &Plan, group: &Cgroup, sub: &SubCgroups) -> Result<Spawned> {
        let spawn = |cgroup: &Join, waits| {
            let child = |channel| run(plan, cgroup, waits, channel);
            match spawn::spawn_in(&plan.entry, cgroup.clone_into(), child) {
                Err(Error::Syscall { errno, .. }) if errno.0 == Errno::EBUSY => {
                    Err(cgroup.refused(errno.0))
                }
                spawned => Ok(spawned),
            }
        };
        let mut waits = plan.entry.intermediate;
        let spawned = match group.join_handles(sub).and_then(|cgroup| spawn(&cgroup, waits)) {
            // From outside of the user's own groups only the user's manager can move it there.
            Ok(Err(Error::Syscall { errno, .. }))
                if matches!(errno.0, Errno::EACCES | Errno::EPERM)
                    && group.unit().is_some_and(|unit| unit.user) =>
            {
                waits = true;
                let spawned = spawn(&Join::none(), waits)??;
                attach(group, spawned.pid, sub);
                spawned
            }
            Ok(spawned) => spawned?,
            // On cgroup v2 init may have made its own group one of groups, in which there can be no
            // process, or may have left it, and then anybody may have removed it: the new one goes
            // where init is.
            Err(error) if sub.is_none() => {
                match Cgroup::join_handles_of(&Hierarchies::detect()?, self.state().pid) {
                    Ok(cgroup) => spawn(&cgroup, waits)??,
                    Err(_) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        };
        if waits {
            spawned.channel.send(&Message::Mapped)?;
        }
        Ok(spawned)
    }

    /// The parent's side until the process runs. Returns the console to be relayed.
    fn settle(
        &self,
        plan: &Plan,
        spawned: &Spawned,
        request: &ExecRequest,
    ) -> Result<Option<OwnedFd>> {
        set_oom_score(spawned.pid, plan.process.oom_score_adj)?;
        if let Some(group) = self.state().intel_rdt.as_ref().filter(|group| group.exists()) {
            group.add(spawned.pid)?;
        }
        loop {
            match spawned.channel.receive().map_err(Error::Join)? {
                Message::SeccompListener(fd) => {
                    let state = HookState::new(self.id(), self.state().bundle.clone(), &plan.spec);
                    seccomp_listener::take(&plan.spec, &state, &spawned.pidfd, spawned.pid, fd)?;
                    spawned.channel.send(&Message::ListenerTaken)?;
                }
                Message::Ready => break,
                other => return Err(other.out_of_turn().into()),
            }
        }
        send_pidfd(request.pidfd_socket.as_deref(), "setns", &spawned.pidfd)?;
        write_pid_file(request.pid_file.as_deref(), spawned.pid)?;
        let console = plan.console.as_ref().map(ConsoleEnd::receive).transpose()?.flatten();
        spawned.channel.send(&Message::Start)?;
        match spawned.channel.receive() {
            // Executing the program closed the other end.
            Err(ChannelError::Closed) => Ok(console),
            Err(error) => Err(Error::Join(error)),
            Ok(other) => Err(other.out_of_turn().into()),
        }
    }
}

impl Plan {
    fn new(container: &Container, request: &ExecRequest) -> Result<Self> {
        let spec = container.config()?;
        let init =
            kill::open_init(container.state()).ok_or(Error::Status(StatusError::ExecStopped))?;
        let surroundings = Surroundings::of(&spec, request.preserve_fds);
        let process = ProcessPlan::new(&request.process, &surroundings, &container.root)?;
        Ok(Self {
            entry: Entry::new(init, foreign_namespaces(container.state().pid)?),
            keyring: match container.state().no_new_keyring {
                true => None,
                false => keyring::name_of(container.id()),
            },
            affinity: affinity(request.process.exec_cpu_affinity().as_ref())?,
            console: ConsoleEnd::of(process.terminal.is_some(), request.detach, &request.stdio)?,
            process,
            spec,
        })
    }
}

/// Without privilege a process that cannot be put into the container's cgroup runs outside of it, as with
/// runc.
fn attach(group: &Cgroup, pid: i32, sub: &SubCgroups) {
    if let Err(error) = group.attach_to_unit(pid, sub) {
        tracing::warn!("{error}");
    }
}

/// Runs in the clone. Returns only when it cannot become the process, after saying why.
fn run(plan: &Plan, cgroup: &Join, waits: bool, channel: Channel) {
    let error = match enter(plan, cgroup, waits, &channel).and_then(|program| {
        channel.send(&Message::Ready)?;
        channel.expect(&Message::Start)?;
        Ok(program)
    }) {
        Ok(program) => match plan.process.finish(&channel) {
            Ok(()) => plan.process.execute(&program),
            Err(error) => error,
        },
        Err(error) => error,
    };
    tell(&channel, &Message::Failed(error.to_string()));
}

/// Becomes a process of the container.
fn enter(plan: &Plan, cgroup: &Join, waits: bool, channel: &Channel) -> Result<Program> {
    detach_from_parent(channel)?;
    tracing::debug!("nsexec container setup: {:?}", plan.entry.kinds);
    tracing::debug!("child process in init()");
    if let Some(mask) = &plan.affinity.initial {
        tracing::debug!("nsexec: affinity: {}", hex(mask));
        sys::set_cpu_affinity(0, mask).call(|| "set initial CPU affinity".to_owned())?;
    }
    cgroup.enter(true).call(|| "join the container's cgroup".to_owned())?;
    match &plan.affinity.last {
        Some(mask) => {
            sys::set_cpu_affinity(0, mask).call(|| "set final CPU affinity".to_owned())?
        }
        None => sys::reset_cpu_affinity().call(|| "reset CPU affinity".to_owned())?,
    }
    if waits {
        channel.expect(&Message::Mapped)?;
    }
    if !plan.entry.intermediate {
        plan.entry.join_rest()?;
    }
    if plan.entry.kinds.contains(CloneFlags::CLONE_NEWUSER) {
        namespaces::become_root()?;
    }
    nix::unistd::setsid().call(|| "setsid".to_owned())?;
    if let Some(name) = &plan.keyring {
        plan.process.labels.label_keys()?;
        keyring::join(name, plan.entry.kinds.contains(CloneFlags::CLONE_NEWUSER))?;
    }
    if let (Some(console), Some(size)) = (&plan.console, plan.process.terminal) {
        let slave = terminal::open_pty(console.child_end(), size)?;
        process::adopt_terminal(slave.as_fd())?;
    }
    plan.process.labels.apply()?;
    plan.process.prepare()?;
    tracing::debug!("setns_init: about to exec");
    plan.process.become_user(channel, &[channel.as_fd()])
}

/// The namespaces of the container that are not the caller's own: only these can and need be joined.
fn foreign_namespaces(pid: i32) -> Result<CloneFlags> {
    const KINDS: [(&str, i32); 8] = [
        ("user", libc::CLONE_NEWUSER),
        ("mnt", libc::CLONE_NEWNS),
        ("pid", libc::CLONE_NEWPID),
        ("net", libc::CLONE_NEWNET),
        ("ipc", libc::CLONE_NEWIPC),
        ("uts", libc::CLONE_NEWUTS),
        ("cgroup", libc::CLONE_NEWCGROUP),
        ("time", libc::CLONE_NEWTIME),
    ];
    let mut kinds = CloneFlags::empty();
    for (name, flag) in KINDS {
        let inode = |pid: &str| {
            std::fs::metadata(format!("/proc/{pid}/ns/{name}")).map(|metadata| metadata.ino())
        };
        // A kind that this kernel does not have is nobody's.
        let Ok(own) = inode("self") else { continue };
        if inode(&pid.to_string()).call(|| format!("stat /proc/{pid}/ns/{name}"))? != own {
            kinds |= CloneFlags::from_bits_retain(flag);
        }
    }
    Ok(kinds)
}

fn affinity(spec: Option<&ExecCPUAffinity>) -> Result<Affinity> {
    let Some(spec) = spec else { return Ok(Affinity::default()) };
    let mask = |field: &str, list: &Option<String>| {
        list.as_deref()
            .filter(|list| !list.is_empty())
            .map(|list| cpu_mask(field, list))
            .transpose()
    };
    Ok(Affinity {
        initial: mask("process.execCPUAffinity.initial", spec.initial())?,
        last: mask("process.execCPUAffinity.final", spec.cpu_affinity_final())?,
    })
}

/// A CPU mask as the kernel prints it: one number, CPU 0 its lowest bit.
fn hex(mask: &[u8]) -> String {
    let digits: String = mask.iter().rev().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{}", digits.trim_start_matches('0'))
}
