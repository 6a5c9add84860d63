//! The container's init process: from a clone in new namespaces to the container's program.
//!
//! Everything was decided in the parent ([`InitPlan`]); here it is done. The parent wires the network
//! meanwhile. See docs/architecture.md for the conversation between the two.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use nix::sched::CloneFlags;
use nix::sys::socket::{SockFlag, accept4};
use pathrs::flags::OpenFlags;
use pathrs::procfs::{ProcfsBase, ProcfsHandle};
use rustix::fd::AsFd;

use crate::channel::{self, Channel, Message};
use crate::error::{CallContext, Error, Result, with_causes};
use crate::hook_state::HookState;
use crate::hooks::{self, HookKind, HookPlace};
use crate::namespaces::{self, Namespaces};
use crate::process::{self, ProcessPlan, Program};
use crate::rootfs::{RootfsPlan, mount_console};
use crate::spawn::{detach_from_parent, tell};
use crate::spec::Hook;
use crate::terminal::{self, ConsoleEnd};
use crate::{Status, keyring, sys, validate};

/// Everything init does, decided.
#[derive(Debug)]
pub(crate) struct InitPlan {
    pub(crate) namespaces: Namespaces,
    /// Init waits for [`Message::Mapped`].
    pub(crate) waits: bool,
    pub(crate) process: ProcessPlan,
    pub(crate) rootfs: RootfsPlan,
    pub(crate) rootfs_dir: PathBuf,
    pub(crate) hostname: Option<String>,
    pub(crate) domainname: Option<String>,
    pub(crate) sysctl: HashMap<String, String>,
    /// createContainer and startContainer.
    pub(crate) create_container: Vec<Hook>,
    pub(crate) start_container: Vec<Hook>,
    pub(crate) hook_state: HookState,
    /// The name of a session keyring of its own.
    pub(crate) keyring: Option<CString>,
}

/// The descriptors that init takes along from its parent.
#[derive(Debug)]
pub(crate) struct InitFds<'a> {
    pub(crate) cgroup: &'a cgroup::Join,
    /// Where `start` will knock.
    pub(crate) start: &'a OwnedFd,
    pub(crate) console: Option<&'a ConsoleEnd>,
    /// The claim on the container's id: the parent's alone.
    pub(crate) claim: &'a OwnedFd,
}

/// Runs in the clone. Returns only when init cannot become the container's process, after saying why.
pub(crate) fn run(plan: &InitPlan, fds: &InitFds<'_>, channel: Channel) {
    let program = match set_up(plan, fds, &channel).and_then(|()| settle(plan, fds, &channel)) {
        Ok(program) => program,
        Err(error) => return tell(&channel, &Message::Failed(error.to_string())),
    };
    match wait_for_start(fds.start, channel) {
        Ok(gate) => tell(&gate, &Message::Failed(go(plan, &program, &gate).to_string())),
        // Nobody has asked yet who could be told.
        Err(error) => tracing::error!("init: {error}"),
    }
}

/// Namespaces, cgroup, rootfs, console: all that needs the runtime's privileges and the host.
fn set_up(plan: &InitPlan, fds: &InitFds<'_>, channel: &Channel) -> Result<()> {
    detach_from_parent(channel)?;
    // The claim is held by this descriptor as well, and must end with the parent.
    let _ = nix::unistd::close(fds.claim.as_raw_fd());
    tracing::debug!("child process in init()");
    fds.cgroup.enter(true).call(|| "join the container's cgroup".to_owned())?;
    sys::reset_cpu_affinity().call(|| "reset CPU affinity".to_owned())?;
    enter_namespaces(plan, channel)?;
    nix::unistd::setsid().call(|| "setsid".to_owned())?;
    if let Some(name) = &plan.keyring {
        plan.process.labels.label_keys()?;
        keyring::join(name, plan.namespaces.has(CloneFlags::CLONE_NEWUSER))?;
    }

    let mounted = plan.rootfs.mount(&mut |index| open_source(channel, index))?;
    channel.send(&Message::Mounted)?;
    channel.expect(&Message::Hooked)?;
    let state = || plan.hook_state.json(Status::Creating, std::process::id().cast_signed());
    if !plan.create_container.is_empty() {
        let place = HookPlace { dir: Some(&plan.rootfs_dir), env: Some(&[]) };
        hooks::run(HookKind::CreateContainer, &plan.create_container, &state()?, &place)?;
    }
    plan.rootfs.pivot(&mounted)?;

    if let (Some(console), Some(size)) = (fds.console, plan.process.terminal) {
        let slave = terminal::open_pty(console.child_end(), size)?;
        mount_console(slave.as_fd())?;
        process::adopt_terminal(slave.as_fd())?;
    }
    plan.rootfs.finalize(mounted)?;
    if let Some(name) = &plan.hostname {
        nix::unistd::sethostname(name).call(|| format!("sethostname {name:?}"))?;
    }
    if let Some(name) = &plan.domainname {
        sys::set_domain_name(name).call(|| format!("setdomainname {name:?}"))?;
    }
    plan.process.labels.apply()?;
    write_sysctls(&plan.sysctl)?;
    Ok(plan.rootfs.restrict()?)
}

/// The user namespace first, whose root init then is; in it the rest.
fn enter_namespaces(plan: &InitPlan, channel: &Channel) -> Result<()> {
    let namespaces = &plan.namespaces;
    let direct = !namespaces.need_intermediate();
    if direct || !namespaces.joins_user() {
        namespaces.make_time()?;
    }
    if plan.waits {
        channel.expect(&Message::Mapped)?;
    }
    if namespaces.new.contains(CloneFlags::CLONE_NEWUSER) {
        namespaces::become_root()?;
        // Left from the host; refused where setgroups is (user_namespaces(7)), and then harmless.
        let _ = nix::unistd::setgroups(&[]);
        namespaces.make_ipc()?;
    }
    if direct {
        namespaces.join_rest()?;
        if namespaces.joins_user() {
            namespaces::become_root()?;
        }
    }
    if namespaces.new.contains(CloneFlags::CLONE_NEWNET) {
        sys::loopback_up().call(|| "set link lo up".to_owned())?;
    }
    namespaces.make_cgroup()
}

/// Gives up all that the container's process shall not have. From here on init is that process in all
/// but its program.
fn settle(plan: &InitPlan, fds: &InitFds<'_>, channel: &Channel) -> Result<Program> {
    plan.process.prepare()?;
    sys::end_on_signals();
    tracing::debug!("init: closing the pipe to signal completion");
    let program = plan.process.become_user(channel, &[channel.as_fd(), fds.start.as_fd()])?;
    channel.send(&Message::Ready)?;
    Ok(program)
}

/// Waits until `start` connects. A connection that says nothing is one whose client died: the next
/// one counts.
fn wait_for_start(listener: &OwnedFd, channel: Channel) -> Result<Channel> {
    drop(channel);
    loop {
        let gate = match accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
            Ok(raw) => Channel::from_socket(sys::own_fd(raw)),
            Err(nix::errno::Errno::EINTR | nix::errno::Errno::ECONNABORTED) => continue,
            Err(errno) => return Err(errno).call(|| "accept start".to_owned()),
        };
        if gate.expect(&Message::Start).is_ok() {
            return Ok(gate);
        }
    }
}

/// The container's program. Returns only to say why not.
fn go(plan: &InitPlan, program: &Program, gate: &Channel) -> Error {
    match plan.process.finish(gate).and_then(|()| start_hooks(plan, program)) {
        Ok(()) => plan.process.execute(program),
        Err(error) => error,
    }
}

fn start_hooks(plan: &InitPlan, program: &Program) -> Result<()> {
    if plan.start_container.is_empty() {
        return Ok(());
    }
    let state = plan.hook_state.json(Status::Created, std::process::id().cast_signed())?;
    let place = HookPlace { dir: None, env: Some(&program.env) };
    hooks::run(HookKind::StartContainer, &plan.start_container, &state, &place)
}

/// The source of a bind mount, opened by the parent with the host's privileges.
fn open_source(channel: &Channel, index: usize) -> std::io::Result<OwnedFd> {
    let ask = || -> Result<OwnedFd> {
        channel.send(&Message::OpenSource(i32::try_from(index).unwrap_or(i32::MAX)))?;
        channel::receive_fd(channel.as_fd())
            .call(|| "receive the mount's source".to_owned())?
            .ok_or_else(|| channel::ChannelError::Closed.into())
    };
    ask().map_err(std::io::Error::other)
}

/// Written through a procfs that the container has never seen, so that nothing in the image can
/// redirect the writes (CVE-2025-52881).
fn write_sysctls(sysctls: &HashMap<String, String>) -> Result<()> {
    if sysctls.is_empty() {
        return Ok(());
    }
    let failed =
        |name: &str, problem: String| Error::config(format!("linux.sysctl[{name:?}]"), problem);
    let procfs = ProcfsHandle::new().map_err(|error| failed("", error.to_string()))?;
    for (name, value) in sysctls {
        let path = validate::sysctl_path(name);
        let mut file = procfs
            .open(ProcfsBase::ProcRoot, &path, OpenFlags::O_WRONLY | OpenFlags::O_CLOEXEC)
            .map_err(|error| failed(name, with_causes(&error)))?;
        std::io::Write::write_all(&mut file, value.as_bytes()).map_err(|error| {
            failed(name, format!("write {value:?}: {}", crate::error::OsError::from(&error)))
        })?;
    }
    Ok(())
}
