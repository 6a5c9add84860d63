//! Cloning the first process of a set of namespaces, and processes that join existing ones.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::CloneFlags;
use rustix::process::{Pid, PidfdFlags, Signal as RSignal, pidfd_open};

use crate::channel::{Channel, Message};
use crate::error::{CallContext, Error, Result};
use crate::namespaces::{Namespaces, become_root};
use crate::sys::{self, Fork, ForkFlags};

/// A process of the container, child of this one.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) channel: Channel,
}

/// Clones a process in all namespaces of `namespaces` and in the cgroup v2 directory `cgroup`. `child` runs in
/// it; where it returns, the process ends.
pub(crate) fn spawn(
    namespaces: &Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce(Channel),
) -> Result<Spawned> {
    let (ours, theirs) = Channel::pair()?;
    if namespaces.need_intermediate() {
        return spawn_between(cgroup, ours, theirs, || clone_sibling(namespaces), child);
    }
    let own_pid_namespace = File::open("/proc/self/ns/pid_for_children")
        .call(|| "open own pid namespace".to_owned())?;
    let moved = namespaces.join_pid()?;
    let forked =
        sys::fork(&ForkFlags { namespaces: namespaces.clone_flags(), cgroup, sibling: false });
    match forked.call(|| clone_call(namespaces))? {
        Fork::Child => {
            drop(ours);
            child_of(child, theirs)
        }
        Fork::Parent { pid, pidfd } => {
            if moved {
                // Hooks and other children belong where this process is.
                nix::sched::setns(own_pid_namespace.as_fd(), CloneFlags::CLONE_NEWPID)
                    .call(|| "setns own pid namespace".to_owned())?;
            }
            Ok(Spawned { pid, pidfd, channel: ours })
        }
    }
}

/// How a further process enters the namespaces of an existing one.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Whose they are.
    pub(crate) init: OwnedFd,
    /// Which of them to join.
    pub(crate) kinds: CloneFlags,
    /// A process in between must join before the new one can be cloned: without privilege, the right
    /// to join the pid namespace comes with the user namespace.
    pub(crate) intermediate: bool,
}

impl Entry {
    /// The way into the namespaces `kinds` of the process `init`.
    pub(crate) fn new(init: OwnedFd, kinds: CloneFlags) -> Self {
        let user = kinds.contains(CloneFlags::CLONE_NEWUSER);
        Self { init, kinds, intermediate: user && !rustix::process::geteuid().is_root() }
    }

    /// Joins the pid namespace, if it is to be joined, for children of the caller.
    fn join_pid(&self) -> Result<()> {
        if self.kinds.contains(CloneFlags::CLONE_NEWPID) {
            self.join(CloneFlags::CLONE_NEWPID)?;
        }
        Ok(())
    }

    /// Joins all others, in one step that is done whole or not at all (setns(2) with a pidfd).
    pub(crate) fn join_rest(&self) -> Result<()> {
        match self.kinds - CloneFlags::CLONE_NEWPID {
            none if none.is_empty() => Ok(()),
            kinds => self.join(kinds),
        }
    }

    fn join(&self, kinds: CloneFlags) -> Result<()> {
        nix::sched::setns(self.init.as_fd(), kinds)
            .call(|| format!("setns {kinds:?} of the container"))
    }
}

/// Clones a process for `entry`. The pid namespace is joined by the parent, since only children enter
/// it; all others the child joins itself, from within the container's cgroup.
///
/// With an intermediate process the child waits for [`Message::Mapped`], which the caller sends.
///
/// Until it executes its program, this process of the runtime can be seen in the container. It is not
/// dumpable, so that no process there can trace it or reach its descriptors (CVE-2016-9962).
pub(crate) fn spawn_in(
    entry: &Entry,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce(Channel),
) -> Result<Spawned> {
    let (ours, theirs) = Channel::pair()?;
    if entry.intermediate {
        let clone = || {
            entry.join(entry.kinds)?;
            sys::fork(&ForkFlags { sibling: true, ..ForkFlags::default() })
                .call(|| "clone3".to_owned())
        };
        return spawn_between(cgroup, ours, theirs, clone, child);
    }
    if rustix::process::geteuid().is_root() {
        sys::prctl(libc::PR_SET_DUMPABLE, 0).call(|| "prctl PR_SET_DUMPABLE".to_owned())?;
    }
    entry.join_pid()?;
    match sys::fork(&ForkFlags { namespaces: 0, cgroup, sibling: false })
        .call(|| "clone3".to_owned())?
    {
        Fork::Child => {
            drop(ours);
            child_of(child, theirs)
        }
        Fork::Parent { pid, pidfd } => Ok(Spawned { pid, pidfd, channel: ours }),
    }
}

/// By a process that first joins namespaces, then clones the child as its own sibling: `clone`. The
/// child must wait for [`Message::Mapped`], since both talk over the same channel.
fn spawn_between(
    cgroup: Option<BorrowedFd<'_>>,
    ours: Channel,
    theirs: Channel,
    clone: impl FnOnce() -> Result<Fork>,
    child: impl FnOnce(Channel),
) -> Result<Spawned> {
    let between =
        sys::fork(&ForkFlags { cgroup, ..ForkFlags::default() }).call(|| "clone3".to_owned())?;
    let pidfd_between = match between {
        Fork::Child => {
            drop(ours);
            match clone() {
                Ok(Fork::Child) => child_of(child, theirs),
                Ok(Fork::Parent { pid, .. }) => tell(&theirs, &Message::Pid(pid)),
                Err(error) => tell(&theirs, &Message::Failed(error.to_string())),
            }
            sys::exit_now(0)
        }
        Fork::Parent { pidfd, .. } => pidfd,
    };
    drop(theirs);
    let answer = ours.receive();
    reap_if_child(&pidfd_between);
    let pid = match answer.map_err(Error::Init)? {
        Message::Pid(pid) => pid,
        other => return Err(other.out_of_turn().into()),
    };
    // A child of ours that nobody else reaps: the pid is its own until we do.
    let pidfd = Pid::from_raw(pid)
        .ok_or(rustix::io::Errno::SRCH)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()))
        .call(|| format!("pidfd_open {pid}"))?;
    Ok(Spawned { pid, pidfd, channel: ours })
}

fn clone_sibling(namespaces: &Namespaces) -> Result<Fork> {
    namespaces.join_rest()?;
    if namespaces.joins_user() {
        // What is made from here on is this namespace's.
        namespaces.make_time()?;
        become_root()?;
    }
    namespaces.join_pid()?;
    sys::fork(&ForkFlags { namespaces: namespaces.clone_flags(), cgroup: None, sibling: true })
        .call(|| clone_call(namespaces))
}

fn clone_call(namespaces: &Namespaces) -> String {
    format!("clone3 with namespaces {:?}", namespaces.new)
}

/// Says it if the parent still listens; if not, there is nobody to tell.
pub(crate) fn tell(channel: &Channel, message: &Message) {
    let _ = channel.send(message);
}

/// The whole life of a new process of ours: it does not go on as its parent did.
fn child_of(child: impl FnOnce(Channel), channel: Channel) -> ! {
    child(channel);
    sys::exit_now(1)
}

/// The first thing in a new process of ours: what it must not have from its parent, and that it dies
/// with it until it says otherwise.
pub(crate) fn detach_from_parent(channel: &Channel) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(RSignal::KILL))
        .call(|| "prctl PR_SET_PDEATHSIG".to_owned())?;
    if channel.is_closed() {
        // The parent died before the signal was set.
        sys::exit_now(1);
    }
    own_signals()
}

/// Rust's runtime ignores SIGPIPE, and the foreground blocks what it forwards: neither is for the new
/// process.
pub(crate) fn own_signals() -> Result<()> {
    sys::default_signal(libc::SIGPIPE);
    nix::sys::signal::SigSet::empty().thread_set_mask().call(|| "unblock signals".to_owned())
}

/// The process from here on outlives its parent.
pub(crate) fn outlive_parent() -> Result<()> {
    rustix::process::set_parent_process_death_signal(None)
        .call(|| "prctl PR_SET_PDEATHSIG".to_owned())
}

/// Closes all that a process waiting for `start`, or its program, must not have: the host's files, the
/// cgroup's, what the caller of the runtime left open (CVE-2024-21626). Nothing can be logged after
/// this.
pub(crate) fn close_others(extra: u32, keep: &[BorrowedFd<'_>]) -> Result<()> {
    std::mem::forget(tracing::dispatcher::set_default(&tracing::Dispatch::none()));
    sys::close_from(3 + extra, keep).call(|| "close_range".to_owned())
}

/// Waits for a child's end and returns its exit code, 128+n for signal n.
pub(crate) fn wait_for(pidfd: &OwnedFd) -> Result<i32> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    loop {
        match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                let code = status.exit_status();
                let signal = status.terminating_signal();
                return Ok(code.or(signal.map(|signal| 128 + signal)).unwrap_or(1));
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno).call(|| "waitid".to_owned()),
        }
    }
}

/// Reaps a child if it is one; a stranger's process is somebody else's to reap.
pub(crate) fn reap_if_child(pidfd: &OwnedFd) {
    let _ = wait_for(pidfd);
}
