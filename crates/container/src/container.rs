//! Containers that exist.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cgroup::{Cgroup, Hierarchies, Options};

use crate::channel::{Channel, ChannelError, Message};
use crate::error::{CallContext, Error, Result, StatusError};
use crate::hook_state::HookState;
use crate::hooks::{self, HookKind, HookPlace};
use crate::spec::{Process, Spec};
use crate::state::{CONFIG_FILE, START_SOCKET};
use crate::store::{self, Claim, UNPUBLISHED};
use crate::{
    ContainerId, Network, Readiness, Signal, State, StateRoot, Status, files, kill, validate,
};

/// A container that exists.
#[derive(Debug)]
pub struct Container {
    id: ContainerId,
    dir: PathBuf,
    pub(crate) root: PathBuf,
    state: State,
}

/// The largest config that is read back, in bytes.
const MAX_CONFIG: u64 = 32 << 20;

impl Container {
    pub(crate) fn new(id: ContainerId, dir: PathBuf, root: PathBuf, state: State) -> Self {
        Self { id, dir, root, state }
    }

    /// Its id.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// Its state directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What its state file says.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Where it is in its life, now.
    pub fn status(&self) -> Result<Status> {
        if !self.state.is_alive() {
            return Ok(Status::Stopped);
        }
        if self.dir.join(UNPUBLISHED).exists() {
            return Ok(Status::Creating);
        }
        let cgroup = self.cgroup()?;
        if cgroup.exists() && cgroup.is_frozen()? {
            return Ok(Status::Paused);
        }
        Ok(if self.dir.join(START_SOCKET).exists() { Status::Created } else { Status::Running })
    }

    /// The config it was created with.
    pub fn config(&self) -> Result<Spec> {
        read_config(&self.dir)
    }

    /// Its annotations, from the config it was created with.
    pub fn annotations(&self) -> Result<HashMap<String, String>> {
        Ok(self.config()?.annotations().clone().unwrap_or_default())
    }

    /// The `process` of the config it was created with.
    pub fn process(&self) -> Result<Process> {
        validate::process(&self.config()?).cloned()
    }

    /// Its cgroup, as recorded.
    pub(crate) fn cgroup(&self) -> Result<Cgroup> {
        cgroup_of(&self.state)
    }

    /// Lets the waiting init execute the container's process, and runs the hooks that belong there.
    pub fn start(&self) -> Result<()> {
        let running = || match self.status() {
            Ok(Status::Stopped) => Error::Status(StatusError::StartStopped),
            Ok(_) => Error::Status(StatusError::StartRunning),
            Err(error) => error,
        };
        if !self.state.is_alive() {
            return Err(running());
        }
        let gate =
            store::connect_start(&self.dir)?.map(Channel::from_socket).ok_or_else(running)?;
        let started = gate.send(&Message::Start).and_then(|()| gate.receive());
        // From here on it is no longer "created", whatever became of it.
        remove_start_socket(&self.dir);
        match started {
            // Executing the program closed init's end.
            Err(ChannelError::Closed) => self.after_start(),
            Err(ChannelError::Failed(text)) => Err(Error::Execute(text)),
            Err(error) => Err(error.into()),
            Ok(other) => Err(other.out_of_turn().into()),
        }
    }

    /// Starts it, and waits until it is ready, or has ended: for a service manager who wants to know.
    ///
    /// # Errors
    ///
    /// As [`Self::start`]; [`Error::Syscall`] where there can be no socket.
    pub fn start_and_notify(&self, manager: OsString) -> Result<()> {
        let readiness = match self.status()? {
            Status::Created => Readiness::listen(&self.dir, manager)?,
            _ => None,
        };
        let init = kill::open_init(&self.state);
        self.start()?;
        if let (Some(readiness), Some(init)) = (readiness, init) {
            readiness.relay(&init, self.state.pid);
        }
        Ok(())
    }

    /// poststart; a hook that fails takes the container with it.
    fn after_start(&self) -> Result<()> {
        let spec = self.config()?;
        let hooks = hooks::of(&spec, HookKind::Poststart);
        if hooks.is_empty() {
            return Ok(());
        }
        let state = self.hook_state(&spec).json(Status::Running, self.state.pid)?;
        hooks::run(HookKind::Poststart, hooks, &state, &HookPlace::default()).inspect_err(|_| {
            if let Err(error) = self.kill_everything() {
                tracing::warn!("killing container {}: {error}", self.id);
            }
        })
    }

    fn hook_state(&self, spec: &Spec) -> HookState {
        HookState::new(&self.id, self.state.bundle.clone(), spec)
    }

    /// Sends a signal to init; with `all`, to every process of the container. Where the container has no
    /// pid namespace of its own, SIGKILL goes to all: nobody else would end them.
    pub fn kill(&self, signal: Signal, all: bool) -> Result<()> {
        let init = kill::open_init(&self.state);
        if all {
            return self.kill_all(signal);
        }
        if signal == Signal::KILL && !self.has_pid_namespace() {
            if init.is_none() && self.pids()?.is_empty() {
                return Err(Error::NotRunning);
            }
            return end_all(&self.cgroup()?);
        }
        let Some(init) = init else { return Err(Error::NotRunning) };
        match kill::send(std::os::fd::AsFd::as_fd(&init), signal.number()) {
            Err(nix::errno::Errno::ESRCH) => return Err(Error::NotRunning),
            sent => sent.call(|| format!("signal {signal} to {}", self.state.pid))?,
        }
        if signal == Signal::KILL {
            self.thaw_for_death()?;
        }
        Ok(())
    }

    /// A frozen process of cgroup v1 does not die of SIGKILL until it is thawed.
    fn thaw_for_death(&self) -> Result<()> {
        let cgroup = self.cgroup()?;
        if cgroup.exists() && cgroup.is_frozen()? {
            cgroup.thaw()?;
        }
        Ok(())
    }

    fn kill_all(&self, signal: Signal) -> Result<()> {
        let cgroup = self.cgroup()?;
        if signal == Signal::KILL {
            return end_all(&cgroup);
        }
        for pid in all_pids(&cgroup)? {
            // One that ended meanwhile needs no signal.
            if let Some(pid) = rustix::process::Pid::from_raw(pid)
                && let Ok(pidfd) =
                    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
            {
                let _ = kill::send(std::os::fd::AsFd::as_fd(&pidfd), signal.number());
            }
        }
        Ok(())
    }

    fn has_pid_namespace(&self) -> bool {
        let private = |spec: &Spec| {
            spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref()).is_some_and(
                |namespaces| {
                    namespaces.iter().any(|ns| {
                        ns.typ() == crate::spec::LinuxNamespaceType::Pid
                            && ns.path().as_ref().is_none_or(|path| path.as_os_str().is_empty())
                    })
                },
            )
        };
        self.config().is_ok_and(|spec| private(&spec))
    }

    /// Freezes every process.
    pub fn pause(&self) -> Result<()> {
        match self.status()? {
            Status::Running | Status::Created => Ok(self.cgroup()?.freeze()?),
            _ => Err(Error::Status(StatusError::PauseNotRunning)),
        }
    }

    /// Thaws.
    pub fn resume(&self) -> Result<()> {
        match self.status()? {
            Status::Paused => Ok(self.cgroup()?.thaw()?),
            _ => Err(Error::Status(StatusError::ResumeNotPaused)),
        }
    }

    /// The pids of all its processes, sorted.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let mut pids = all_pids(&self.cgroup()?)?;
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Deletes the container: its cgroups, network and state. A created or, with `force`, a running
    /// one is killed first; otherwise running is an error.
    pub fn delete(self, force: bool, network: &mut dyn Network) -> Result<()> {
        let root = StateRoot::new(&self.root);
        if !force {
            let status = self.status()?;
            if !matches!(status, Status::Stopped | Status::Created) {
                return Err(Error::Status(StatusError::Delete(self.id.to_string(), status)));
            }
        }
        let claim = match root.lock(&self.id, false) {
            Err(Error::Busy(_)) if force => {
                // A create that is still under way fails of this, and lets go of its claim.
                self.kill_everything()?;
                root.lock(&self.id, true)?
            }
            claim => claim?,
        };
        match claim {
            Some(claim) => root.clean_up(&self.id, claim, network),
            None => Ok(()),
        }
    }

    fn kill_everything(&self) -> Result<()> {
        end_processes(&self.state, &self.cgroup()?)
    }
}

/// The copy of the config in a container's state directory.
fn read_config(dir: &Path) -> Result<Spec> {
    let path = dir.join(CONFIG_FILE);
    let bytes =
        files::read_bounded(&path, MAX_CONFIG).call(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::corrupt(&path, error))
}

/// The cgroup that a state file records.
fn cgroup_of(state: &State) -> Result<Cgroup> {
    let rootless = !rustix::process::geteuid().is_root();
    let unit = state.systemd_unit.as_ref();
    let options = Options { rootless: rootless || unit.is_some_and(|unit| unit.user) };
    Ok(Cgroup::from_paths(&Hierarchies::detect()?, &state.cgroup_paths, unit, options)?)
}

/// The processes of a cgroup. A systemd unit's is gone with the last of them.
fn all_pids(cgroup: &Cgroup) -> Result<Vec<i32>> {
    match cgroup.all_pids() {
        Err(error) if error.is_gone() => Ok(Vec::new()),
        pids => Ok(pids?),
    }
}

/// Kills all processes of a cgroup, which is gone with the last of them where systemd made it.
fn end_all(cgroup: &Cgroup) -> Result<()> {
    match cgroup.kill_all() {
        Err(error) if error.is_gone() => Ok(()),
        killed => Ok(killed?),
    }
}

/// Kills init, and whoever else is in the cgroup, and waits until init is gone.
fn end_processes(state: &State, cgroup: &Cgroup) -> Result<()> {
    /// How long a killed init may take, in milliseconds.
    const PATIENCE: u16 = 10_000;
    let init = kill::open_init(state);
    if let Some(init) = &init {
        let _ = kill::send(std::os::fd::AsFd::as_fd(init), Signal::KILL.number());
    }
    end_all(cgroup)?;
    if let Some(init) = &init {
        if !kill::wait_end(init, PATIENCE) {
            return Err(Error::StillRunning(state.id.clone()));
        }
        crate::spawn::reap_if_child(init);
    }
    Ok(())
}

fn remove_start_socket(dir: &Path) {
    match std::fs::remove_file(dir.join(START_SOCKET)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!("remove {}: {error}", dir.join(START_SOCKET).display());
        }
        _ => {}
    }
}

impl StateRoot {
    /// Removes what is left of a container from its id alone: kills its processes, detaches the
    /// network, removes cgroups and state. Works with an unreadable or absent state file; nothing
    /// there is success.
    pub fn force_delete(&self, id: &ContainerId, network: &mut dyn Network) -> Result<()> {
        if let Ok(container) = self.load(id) {
            return container.delete(true, network);
        }
        match self.lock(id, true)? {
            Some(claim) => self.clean_up(id, claim, network),
            None => network.detach(id, &self.dir(id)).map_err(Error::Network),
        }
    }

    /// The end of every container: processes, network, cgroup, poststop hooks, state directory. Each
    /// step does nothing where nothing is left, so that a second try goes on where a first one failed.
    pub(crate) fn clean_up(
        &self,
        id: &ContainerId,
        claim: Claim,
        network: &mut dyn Network,
    ) -> Result<()> {
        let state = State::read(&claim.dir).ok();
        let cgroup = match &state {
            Some(state) => Some(cgroup_of(state)?),
            None => cgroup_by_config(id, &claim.dir),
        };
        if let (Some(state), Some(cgroup)) = (&state, &cgroup) {
            end_processes(state, cgroup)?;
        }
        network.detach(id, &claim.dir).map_err(Error::Network)?;
        if let Some(group) = state.as_ref().and_then(|state| state.intel_rdt.as_ref()) {
            group.remove()?;
        }
        if let Some(cgroup) = &cgroup {
            // Without a state file it was not yet certain whose the cgroup is: processes in it are
            // another's.
            if state.is_some() || cgroup.all_pids().is_ok_and(|pids| pids.is_empty()) {
                cgroup.remove()?;
            }
        }
        if let Some(state) = state.filter(|state| state.pid > 0) {
            let container =
                Container::new(id.clone(), claim.dir.clone(), self.path().to_owned(), state);
            container.after_stop();
        }
        claim.remove()
    }
}

/// Where the state cannot be read, the copy of the config says where the cgroup is. Without it nothing
/// is touched: a guess could hit another's.
fn cgroup_by_config(id: &ContainerId, dir: &Path) -> Option<Cgroup> {
    let spec = read_config(dir).ok()?;
    let path = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref());
    Cgroup::new(&Hierarchies::detect().ok()?, path, id.as_str(), Options { rootless: true }).ok()
}

impl Container {
    /// poststop, one after the other: a failure changes nothing any more, and keeps none of the others
    /// from running (runtime-spec, runtime.md, "Lifecycle").
    fn after_stop(&self) {
        let Ok(spec) = self.config() else { return };
        let hooks = hooks::of(&spec, HookKind::Poststop);
        let Ok(state) = self.hook_state(&spec).json(Status::Stopped, 0) else { return };
        for (index, hook) in hooks.iter().enumerate() {
            let place = HookPlace::default();
            if let Err(error) = hooks::run_nth(HookKind::Poststop, index, hook, &state, &place) {
                tracing::warn!("{error}");
            }
        }
    }
}
