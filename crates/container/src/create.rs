//! `create`: from a bundle to an init that waits for `start`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use cgroup::Hierarchies;
use nix::sched::CloneFlags;

use crate::base::{Base, BaseRequest};
use crate::channel::{self, Message};
use crate::error::{CallContext, Error, Result};
use crate::foreground::{self, Signals};
use crate::held::Held;
use crate::hook_state::HookState;
use crate::hooks::{self, HookKind, HookPlace};
use crate::init::{self, InitFds, InitPlan};
use crate::process::{ProcessPlan, Rlimit, Surroundings};
use crate::spawn::{self, Spawned};
use crate::spec::Spec;
use crate::state::{ProcessStat, State};
use crate::store::Claim;
use crate::terminal::ConsoleEnd;
use crate::{
    Bundle, Container, ContainerId, InitNamespaces, Network, Notify, Readiness, StateRoot, Status,
    checkpoint, files, keyring, net_devices, seccomp_listener, validate,
};

/// Where the container's standard streams come from.
#[derive(Debug, Default)]
pub enum Stdio {
    /// The caller's own; with `process.terminal` in the foreground a pty that is relayed.
    #[default]
    Inherit,
    /// A pty whose master is sent over this `AF_UNIX` socket (needs `process.terminal`).
    ConsoleSocket(PathBuf),
}

/// What a container is made of.
#[derive(Debug)]
pub struct CreateRequest {
    /// Its id.
    pub id: ContainerId,
    /// The bundle, with the spec as it shall be.
    pub bundle: Bundle,
    /// Use systemd's cgroup driver.
    pub systemd_cgroup: bool,
    /// `Some(true)`: ignore cgroup permission errors, `None`: when the caller is not root.
    pub rootless: Option<bool>,
    /// The standard streams.
    pub stdio: Stdio,
    /// The caller does not stay (`create`, `run --detach`): no pty relay is possible.
    pub detach: bool,
    /// Where to write init's pid.
    pub pid_file: Option<PathBuf>,
    /// Socket that receives a pidfd of init.
    pub pidfd_socket: Option<PathBuf>,
    /// `MS_MOVE` and `chroot` instead of `pivot_root` (rootfs on a ramdisk).
    pub no_pivot: bool,
    /// Keep the caller's session keyring.
    pub no_new_keyring: bool,
    /// How many descriptors after stdio (and after `$LISTEN_FDS`) go to the container.
    pub preserve_fds: u32,
    /// The service manager that wants to hear when it is ready.
    pub notify: Option<Notify>,
}

/// A created container whose init is a child of this process and waits for `start`; or a restored one, whose
/// init runs.
#[derive(Debug)]
pub struct Created {
    container: Container,
    pidfd: OwnedFd,
    console: Option<OwnedFd>,
    signals: Option<Signals>,
    readiness: Option<Readiness>,
}

/// Creates a container. On error nothing of it is left.
pub fn create(
    root: &StateRoot,
    mut request: CreateRequest,
    network: &mut dyn Network,
) -> Result<Created> {
    if request.notify.is_some() {
        Notify::mount(&mut request.bundle.spec, &root.dir(&request.id));
    }
    let signals = if request.detach { None } else { Some(Signals::take()?) };
    let mut plan = Plan::new(root, &request)?;
    let claim = root.claim(&request.id)?;
    if let Err(error) = stake(&mut plan, &claim, &request.bundle.spec) {
        plan.held.give_up(claim);
        return Err(error);
    }
    let dir = claim.dir.clone();
    match make(&mut plan, &claim, &request, network) {
        Ok(made) => Ok(Created {
            container: Container::new(request.id, dir, root.path().to_owned(), made.state),
            pidfd: made.pidfd,
            console: made.console,
            signals,
            readiness: made.readiness,
        }),
        Err(error) => {
            let oom_killed = plan.held.cgroup.oom_kill_count().is_ok_and(|count| count > 0);
            plan.held.undo(root, &request.id, claim, network);
            if oom_killed {
                tracing::debug!("{error}");
                return Err(Error::InitOomKilled);
            }
            Err(error)
        }
    }
}

/// All decisions, before anything is made.
struct Plan {
    init: InitPlan,
    held: Held,
    console: Option<ConsoleEnd>,
}

struct Made {
    state: State,
    pidfd: OwnedFd,
    console: Option<OwnedFd>,
    readiness: Option<Readiness>,
}

impl Plan {
    fn new(root: &StateRoot, request: &CreateRequest) -> Result<Self> {
        let Bundle { path: bundle, spec } = &request.bundle;
        let Base { namespaces, rootfs, rootfs_plan, mut held } = Base::new(&BaseRequest {
            id: &request.id,
            bundle: &request.bundle,
            systemd_cgroup: request.systemd_cgroup,
            rootless: request.rootless,
            no_pivot: request.no_pivot,
        })?;
        let linux = spec.linux().as_ref();
        let surroundings = Surroundings::of(spec, request.preserve_fds);
        let process = Notify::tell(request.notify.as_ref(), validate::process(spec)?);
        let process = ProcessPlan::new(&process, &surroundings, root.path())?;
        let hooks_of = |kind| hooks::of(spec, kind).to_vec();
        held.state.no_new_keyring = request.no_new_keyring;
        held.state.descriptors = checkpoint::stream_targets(process.terminal.is_none());
        Ok(Self {
            console: ConsoleEnd::of(process.terminal.is_some(), request.detach, &request.stdio)?,
            init: InitPlan {
                waits: namespaces.init_waits() || held.is_unit(),
                namespaces,
                process,
                rootfs: rootfs_plan,
                rootfs_dir: rootfs.clone(),
                hostname: spec.hostname().clone().filter(|name| !name.is_empty()),
                domainname: spec.domainname().clone().filter(|name| !name.is_empty()),
                sysctl: linux.and_then(|linux| linux.sysctl().clone()).unwrap_or_default(),
                create_container: hooks_of(HookKind::CreateContainer),
                start_container: hooks_of(HookKind::StartContainer),
                hook_state: HookState::new(&request.id, bundle.clone(), spec),
                keyring: if request.no_new_keyring { None } else { keyring::name_of(&request.id) },
            },
            held,
        })
    }
}

/// Takes what the container holds alone. Where it may not have a cgroup, it stays in the caller's.
fn stake(plan: &mut Plan, claim: &Claim, spec: &Spec) -> Result<()> {
    plan.held.take(spec, &claim.dir)?;
    if plan.held.cgroup.denied().is_empty() {
        return Ok(());
    }
    let groups = &plan.held.state.cgroup_paths;
    plan.init.rootfs.show_cgroups(groups, &Hierarchies::detect()?.own_groups()?);
    let private = plan.init.namespaces.new.contains(CloneFlags::CLONE_NEWPID);
    if groups.is_empty() && !private {
        tracing::warn!(
            "a rootless container without a cgroup and without a PID namespace of its own. Such \
             configuration is strongly discouraged: its processes cannot all be found to be ended"
        );
    }
    Ok(())
}

/// The story of `create`, from the claimed id to an init that waits.
fn make(
    plan: &mut Plan,
    claim: &Claim,
    request: &CreateRequest,
    network: &mut dyn Network,
) -> Result<Made> {
    network.prepare(&request.id, &claim.dir).map_err(Error::Network)?;
    let notify = request.notify.as_ref().map(|notify| notify.prepare(&claim.dir)).transpose()?;
    plan.held.prepare(&request.bundle.spec, &claim.dir)?;
    let cgroup = plan.held.join()?;
    let start = claim.listen_for_start()?;
    plan.init.rootfs.open_id_maps()?;
    plan.init.process.rlimits.iter().try_for_each(Rlimit::raise)?;

    let fds = InitFds {
        cgroup: &cgroup,
        start: &start,
        console: plan.console.as_ref(),
        claim: &claim.fd,
    };
    tracing::debug!("nsexec container setup: {:?}", plan.init.namespaces.new);
    let spawned = spawn::spawn(&plan.init.namespaces, cgroup.clone_into(), |channel| {
        init::run(&plan.init, &fds, channel)
    })?;
    plan.held.state.pid = spawned.pid;
    plan.held.state.start_time = ProcessStat::of(spawned.pid).map_or(0, |stat| stat.start_time);
    plan.held.state.write(&claim.dir)?;
    drop((cgroup, start));
    plan.held.add(spawned.pid)?;

    if plan.init.namespaces.new.contains(CloneFlags::CLONE_NEWUSER) {
        plan.init.namespaces.map_ids(spawned.pid)?;
    }
    plan.held.start_unit(spawned.pid, &claim.dir)?;
    if plan.init.waits {
        spawned.channel.send(&Message::Mapped).or_else(|_| why_gone(&spawned))?;
    }
    plan.held.set_limits()?;
    attach_network(plan, &spawned, claim, request, network)?;
    set_oom_score(spawned.pid, plan.init.process.oom_score_adj)?;
    accompany(plan, &spawned, &request.bundle.spec)?;

    send_pidfd(request.pidfd_socket.as_deref(), "standard", &spawned.pidfd)?;
    write_pid_file(request.pid_file.as_deref(), spawned.pid)?;
    claim.publish_start()?;
    let console = plan.console.as_ref().map(ConsoleEnd::receive).transpose()?.flatten();
    let readiness = notify.flatten();
    Ok(Made { state: plan.held.state.clone(), pidfd: spawned.pidfd, console, readiness })
}

fn attach_network(
    plan: &Plan,
    spawned: &Spawned,
    claim: &Claim,
    request: &CreateRequest,
    network: &mut dyn Network,
) -> Result<()> {
    let own: std::fs::File;
    let netns = match plan.init.namespaces.joined(CloneFlags::CLONE_NEWNET) {
        // Init enters it in its own time: until then /proc shows another.
        Some(joined) => joined,
        None => {
            own = open_netns(spawned)?;
            own.as_fd()
        }
    };
    net_devices::move_all(&request.bundle.spec, netns)?;
    let init = InitNamespaces {
        id: &request.id,
        pid: spawned.pid,
        start_time: plan.held.state.start_time,
        netns,
        state_dir: &claim.dir,
        quiet: false,
    };
    network.attach(&init).map_err(Error::Network)
}

/// The network namespace that init was cloned into.
fn open_netns(spawned: &Spawned) -> Result<std::fs::File> {
    let path = format!("/proc/{}/ns/net", spawned.pid);
    match std::fs::File::open(&path) {
        Ok(netns) => Ok(netns),
        Err(error) => {
            why_gone(spawned)?;
            Err(error).call(|| format!("open {path}"))
        }
    }
}

/// Goes with init through its set-up: runs the hooks of the runtime namespace, hands over what it asks
/// for, until it is ready.
fn accompany(plan: &Plan, spawned: &Spawned, spec: &Spec) -> Result<()> {
    let kinds = [HookKind::Prestart, HookKind::CreateRuntime];
    // In a user namespace init may first ask for the sources of mounts.
    let waits = plan.init.namespaces.has(CloneFlags::CLONE_NEWUSER)
        || plan.held.waits_for_mounts()
        || kinds.iter().any(|kind| !hooks::of(spec, *kind).is_empty());
    if !waits {
        // Nothing to wait for: init need not stop.
        spawned.channel.send(&Message::Hooked).or_else(|_| why_gone(spawned))?;
    }
    loop {
        match spawned.channel.receive().map_err(Error::Init)? {
            Message::Mounted if waits => {
                plan.held.forbid_devices_late()?;
                let state = plan.init.hook_state.json(Status::Creating, spawned.pid)?;
                for kind in kinds {
                    hooks::run(
                        kind,
                        hooks::of(spec, kind),
                        &state,
                        &HookPlace { dir: Some(&plan.held.state.bundle), env: None },
                    )?;
                }
                spawned.channel.send(&Message::Hooked).or_else(|_| why_gone(spawned))?;
            }
            Message::Mounted => {}
            Message::OpenSource(index) => give_source(plan, spawned, index)?,
            Message::SeccompListener(fd) => {
                seccomp_listener::take(
                    spec,
                    &plan.init.hook_state,
                    &spawned.pidfd,
                    spawned.pid,
                    fd,
                )?;
                spawned.channel.send(&Message::ListenerTaken)?;
            }
            Message::Ready => return Ok(()),
            other => return Err(other.out_of_turn().into()),
        }
    }
}

/// A bind mount's source that init's own user may not reach.
fn give_source(plan: &Plan, spawned: &Spawned, index: i32) -> Result<()> {
    let path = format!("/proc/{}/ns/mnt", spawned.pid);
    let namespace = std::fs::File::open(&path).call(|| format!("open {path}"))?;
    let source = plan
        .init
        .rootfs
        .open_source(usize::try_from(index).unwrap_or(usize::MAX), namespace.as_fd())?;
    channel::send_fds(spawned.channel.as_fd(), b"source", &[source.as_fd()])
        .call(|| "send a mount's source".to_owned())
}

/// Init has closed its end early: its last words say why.
pub(crate) fn why_gone<T>(spawned: &Spawned) -> Result<T> {
    loop {
        match spawned.channel.receive() {
            Ok(_) => {}
            Err(error) => return Err(Error::Init(error)),
        }
    }
}

/// `process.oomScoreAdj` (proc_pid_oom_score_adj(5)); lowering it is a privilege of the host's root.
pub(crate) fn set_oom_score(pid: i32, value: Option<i32>) -> Result<()> {
    let Some(value) = value else { return Ok(()) };
    let path = format!("/proc/{pid}/oom_score_adj");
    std::fs::write(&path, value.to_string()).call(|| format!("write {value} to {path}"))
}

/// Writes the pid where the caller wants it, in one step.
pub(crate) fn write_pid_file(path: Option<&Path>, pid: i32) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    files::replace(path, pid.to_string().as_bytes(), 0o644)
        .call(|| format!("write pid file {}", path.display()))
}

/// Sends a pidfd of the process to the socket that the caller listens on, under runc's name for how it was made.
pub(crate) fn send_pidfd(socket: Option<&Path>, name: &str, pidfd: &OwnedFd) -> Result<()> {
    let Some(path) = socket else { return Ok(()) };
    let stream = std::os::unix::net::UnixStream::connect(path)
        .call(|| format!("connect pidfd socket {}", path.display()))?;
    channel::send_fds(stream.as_fd(), name.as_bytes(), &[pidfd.as_fd()])
        .call(|| "failed to send pidfd on socket".to_owned())
}

impl Created {
    /// A container that was restored: its init runs.
    pub(crate) fn restored(
        container: Container,
        pidfd: OwnedFd,
        console: Option<OwnedFd>,
        signals: Option<Signals>,
    ) -> Self {
        Self { container, pidfd, console, signals, readiness: None }
    }

    /// The container.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Lets init execute the container's process.
    pub fn start(&mut self) -> Result<()> {
        self.container.start()
    }

    /// Stays in the foreground until the container's process ends: forwards signals, relays the
    /// terminal, reaps. Returns the exit code (128+n for signal n).
    pub fn foreground(&mut self) -> Result<i32> {
        let signals = match self.signals.take() {
            Some(signals) => signals,
            None => Signals::take()?,
        };
        let (pid, pidfd, console) = (self.container.state().pid, &self.pidfd, self.console.take());
        // It is this process that a service manager has started and watches.
        let main = std::process::id().cast_signed();
        std::thread::scope(|scope| {
            if let Some(readiness) = &self.readiness {
                std::thread::Builder::new()
                    .spawn_scoped(scope, move || readiness.relay(pidfd, main))
                    .call(|| "start a thread".to_owned())?;
            }
            foreground::wait(pid, pidfd, &signals, console)
        })
    }

    /// For who does not stay: waits until the container is ready, where a service manager wants to
    /// know, or has ended.
    pub fn wait_ready(&self) {
        if let Some(readiness) = &self.readiness {
            readiness.relay(&self.pidfd, self.container.state().pid);
        }
    }

    /// The container, for good.
    pub fn into_container(self) -> Container {
        self.container
    }
}
