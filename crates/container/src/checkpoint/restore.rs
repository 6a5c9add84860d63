//! `restore`: a container from its bundle and images.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use rust_criu::rust_criu_protobuf::rpc::{Criu_notify, Criu_opts, Criu_req_type};

use super::folders::Folders;
use super::options::mount_map;
use super::outside::kernel_name;
use super::swrk::{self, Launch, Swrk};
use super::{CriuError, CriuOptions, outside};
use crate::base::{Base, BaseRequest};
use crate::create::write_pid_file;
use crate::error::{CallContext, Error, Result};
use crate::foreground::Signals;
use crate::held::Held;
use crate::hook_state::HookState;
use crate::hooks::{self, HookKind, HookPlace};
use crate::namespaces::{Namespaces, clone_flag};
use crate::rootfs::RootfsPlan;
use crate::spec::LinuxNamespaceType;
use crate::state::ProcessStat;
use crate::store::Claim;
use crate::terminal::ConsoleEnd;
use crate::{
    Bundle, Container, ContainerId, Created, InitNamespaces, Network, Notify, StateRoot, Status,
    Stdio, rtnetlink, validate,
};

/// The first CRIU that can change a security label.
const CHANGES_LABELS: u32 = 3_16_00;

/// CRIU's notification with the master of a pty that was open outside of the container.
const ORPHAN_PTY: &str = "orphan-pts-master";

/// What a container is restored from.
#[derive(Debug)]
pub struct RestoreRequest {
    /// Its id, which may be another than before.
    pub id: ContainerId,
    /// The bundle that it was created from, or one like it.
    pub bundle: Bundle,
    /// Where the images are, and what else CRIU is told.
    pub criu: CriuOptions,
    /// Use systemd's cgroup driver.
    pub systemd_cgroup: bool,
    /// `Some(true)`: ignore cgroup permission errors, `None`: when the caller is not root.
    pub rootless: Option<bool>,
    /// The standard streams.
    pub stdio: Stdio,
    /// The caller does not stay.
    pub detach: bool,
    /// Where to write init's pid.
    pub pid_file: Option<PathBuf>,
    /// As in [`crate::CreateRequest`].
    pub no_pivot: bool,
    /// As it was when the container was created: a folder is mounted then.
    pub notify: Option<Notify>,
}

/// Restores a container, which runs then. On error nothing of it is left.
pub fn restore(
    root: &StateRoot,
    mut request: RestoreRequest,
    network: &mut dyn Network,
) -> Result<Created> {
    if request.notify.is_some() {
        Notify::mount(&mut request.bundle.spec, &root.dir(&request.id));
    }
    let signals = if request.detach { None } else { Some(Signals::take()?) };
    let mut plan = Plan::new(&request)?;
    plan.check_version(&request.criu)?;
    let claim = root.claim(&request.id)?;
    if let Err(error) =
        claim.begin().and_then(|()| plan.held.take(&request.bundle.spec, &claim.dir))
    {
        plan.held.give_up(claim);
        return Err(error);
    }
    let dir = claim.dir.clone();
    match make(&mut plan, &claim, &request, network) {
        Ok((pidfd, console)) => {
            let container =
                Container::new(request.id, dir, root.path().to_owned(), plan.held.state);
            Ok(Created::restored(container, pidfd, console, signals))
        }
        Err(error) => {
            plan.held.undo(root, &request.id, claim, network);
            Err(error)
        }
    }
}

/// All decisions, before anything is made.
struct Plan {
    namespaces: Namespaces,
    rootfs: RootfsPlan,
    held: Held,
    console: Option<ConsoleEnd>,
    hook_state: HookState,
}

impl Plan {
    fn new(request: &RestoreRequest) -> Result<Self> {
        let Bundle { path: bundle, spec } = &request.bundle;
        let Base { namespaces, rootfs_plan, mut held, .. } = Base::new(&BaseRequest {
            id: &request.id,
            bundle: &request.bundle,
            systemd_cgroup: request.systemd_cgroup,
            rootless: request.rootless,
            no_pivot: request.no_pivot,
        })?;
        let terminal = validate::process(spec)?.terminal().unwrap_or(false);
        held.state.descriptors = outside::stream_targets(!terminal);
        Ok(Self {
            console: ConsoleEnd::of(terminal, request.detach, &request.stdio)?,
            hook_state: HookState::new(&request.id, bundle.clone(), spec),
            namespaces,
            rootfs: rootfs_plan,
            held,
        })
    }

    fn check_version(&self, options: &CriuOptions) -> Result<()> {
        let version = swrk::version()?;
        let changes = [
            (options.lsm_profile.is_some(), "--lsm-profile"),
            (options.lsm_mount_context.is_some(), "--lsm-mount-context"),
        ];
        let refused = changes.iter().find(|(asked, _)| *asked && version < CHANGES_LABELS);
        match refused {
            Some((_, flag)) => Err(CriuError::FlagNeeds { flag, needed: "3.16" }.into()),
            None => Ok(()),
        }
    }

    /// The options but for what is known only when CRIU runs.
    fn options(
        &self,
        request: &RestoreRequest,
        folders: &Folders,
        root: &Path,
    ) -> Result<Criu_opts> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut criu = request.criu.restore(folders, &request.bundle.spec, text(root));
        let outside = self.rootfs.external_mounts()?;
        criu.ext_mnt = outside
            .iter()
            .map(|mount| mount_map(text(&mount.inside), text(&mount.outside)))
            .collect();
        if self.rootfs.masks() {
            criu.ext_mnt.push(mount_map("/dev/null", "/dev/null"));
        }
        criu.inherit_fd = outside::saved_pipes(&request.criu.images)?;
        Ok(criu)
    }
}

/// The story of `restore`, from the claimed id to a container that runs.
fn make(
    plan: &mut Plan,
    claim: &Claim,
    request: &RestoreRequest,
    network: &mut dyn Network,
) -> Result<(OwnedFd, Option<OwnedFd>)> {
    network.prepare(&request.id, &claim.dir).map_err(Error::Network)?;
    request.notify.as_ref().map(|notify| notify.prepare(&claim.dir)).transpose()?;
    let folders = Folders::for_restore(&request.criu)?;
    let root = CriuRoot::make(&claim.dir)?;
    let mut criu = plan.options(request, &folders, &root.0)?;
    let (files, join) = outside::namespaces(&request.bundle.spec)?;
    criu.join_ns = join;
    let keyed = files.iter().map(|(key, file)| outside::inherit(*key, file.as_raw_fd()));
    criu.inherit_fd.extend(keyed);
    plan.held.prepare(&request.bundle.spec, &claim.dir)?;
    // What CRIU forks is born into its cgroups, and these are the container's.
    let cgroup = plan.held.join()?;
    let launch = Launch {
        streams: plan.console.is_none(),
        inherit: files.iter().map(|(_, file)| file.as_fd()).collect(),
        folders: Some(&folders),
        // A mount that the host does not see is not left behind on it, nor deleted through.
        own_mounts: true,
        cgroup: Some(&cgroup),
    };
    let swrk = Swrk::start(&launch, &|| Ok(plan.rootfs.mount_for_restore(&root.0)?))?;
    drop(cgroup);
    plan.held.add(swrk.pid())?;
    plan.held.start_unit(swrk.pid(), &claim.dir)?;
    plan.held.set_limits()?;
    criu.cg_root = outside::cgroup_roots(swrk.pid())?;

    let mut restoring =
        Restoring { plan, claim, request, network, criu: swrk.pid(), pidfd: None, console: None };
    let asked = swrk.request(&swrk::request(Criu_req_type::RESTORE, criu), &mut |notify, fd| {
        restoring.notified(notify, fd)
    });
    let Restoring { pidfd, console, .. } = restoring;
    asked.map_err(|error| explain(&folders, error))?;
    swrk.end(false).map_err(|error| folders.explain(error))?;
    let pidfd = pidfd.ok_or_else(|| CriuError::Response("no post-restore".to_owned()))?;

    write_pid_file(request.pid_file.as_deref(), plan.held.state.pid)?;
    claim.finish()?;
    Ok((pidfd, console.flatten()))
}

/// CRIU's log explains what failed in CRIU, and nothing that was refused here.
fn explain(folders: &Folders, error: Error) -> Error {
    match &error {
        Error::Criu(of_criu) if of_criu.is_in_log() => folders.explain(error),
        _ => error,
    }
}

/// Where CRIU finds the rootfs: it wants a mount whose parent nothing is mounted over. Gone when dropped.
struct CriuRoot(PathBuf);

impl CriuRoot {
    fn make(state_dir: &Path) -> Result<Self> {
        let path = state_dir.join("criu-root");
        std::fs::DirBuilder::new()
            .mode(0o755)
            .create(&path)
            .call(|| format!("mkdir {}", path.display()))?;
        let real = path.canonicalize().call(|| format!("realpath {}", path.display()))?;
        Ok(Self(real))
    }
}

impl Drop for CriuRoot {
    fn drop(&mut self) {
        // Empty here, whatever is mounted there in another namespace.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// What rrun does while CRIU restores.
struct Restoring<'a> {
    plan: &'a mut Plan,
    claim: &'a Claim,
    request: &'a RestoreRequest,
    network: &'a mut dyn Network,
    /// CRIU's pid.
    criu: i32,
    pidfd: Option<OwnedFd>,
    /// The container's terminal is restored; in the foreground its master is here.
    console: Option<Option<OwnedFd>>,
}

impl Restoring<'_> {
    fn notified(&mut self, notify: &Criu_notify, fd: Option<OwnedFd>) -> Result<()> {
        match notify.script() {
            "setup-namespaces" => {
                self.found(notify.pid())?;
                self.attach_network()?;
                self.run_hooks()
            }
            ORPHAN_PTY => self.pass_console(fd),
            // The sockets are there. CRIU says so of a network namespace that it made; only in one is a cable.
            "network-unlock" => self.network.release(&self.claim.dir).map_err(Error::Network),
            "post-restore" => {
                self.found(notify.pid())?;
                self.check_isolated()?;
                if self.plan.console.is_some() && self.console.is_none() {
                    return Err(CriuError::NoTerminal.into());
                }
                self.plan.held.forbid_devices_late()
            }
            _ => Ok(()),
        }
    }

    /// Init exists: from now on it is the state's, for whoever has to clear up behind it.
    fn found(&mut self, pid: i32) -> Result<()> {
        if self.plan.held.state.pid == pid && self.pidfd.is_some() {
            return Ok(());
        }
        let raw = rustix::process::Pid::from_raw(pid).ok_or(rustix::io::Errno::SRCH);
        let open = |pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty());
        self.pidfd = Some(raw.and_then(open).call(|| format!("pidfd_open {pid}"))?);
        self.plan.held.state.pid = pid;
        self.plan.held.state.start_time = ProcessStat::of(pid).map_or(0, |stat| stat.start_time);
        self.plan.held.state.write(&self.claim.dir)
    }

    /// Before the sockets are restored: they need their addresses.
    fn attach_network(&mut self) -> Result<()> {
        let pid = self.plan.held.state.pid;
        let own: File;
        let netns = match self.plan.namespaces.joined(CloneFlags::CLONE_NEWNET) {
            Some(joined) => joined,
            None => {
                own = open_netns(pid)?;
                if self.plan.namespaces.new.contains(CloneFlags::CLONE_NEWNET) {
                    check_new(pid, LinuxNamespaceType::Network, self.criu)?;
                    rtnetlink::loopback_up(own.as_fd()).call(|| "set link lo up".to_owned())?;
                }
                own.as_fd()
            }
        };
        let init = InitNamespaces {
            id: &self.request.id,
            pid,
            start_time: self.plan.held.state.start_time,
            netns,
            state_dir: &self.claim.dir,
            quiet: true,
        };
        self.network.attach(&init).map_err(Error::Network)
    }

    /// That the container has what config.json promises; its network was looked at before anything was done to it.
    /// Of the namespaces of cgroups and time no isolation hangs, and with `--manage-cgroups-mode ignore` CRIU makes
    /// none of cgroups.
    fn check_isolated(&self) -> Result<()> {
        use LinuxNamespaceType::{Ipc, Mount, Pid, User, Uts};
        [Ipc, Mount, Pid, User, Uts]
            .into_iter()
            .filter(|kind| self.plan.namespaces.new.contains(clone_flag(*kind)))
            .try_for_each(|kind| check_new(self.plan.held.state.pid, kind, self.criu))
    }

    /// Those that the runtime's namespace has. createContainer and startContainer hooks belong to a process of
    /// the runtime in the container, of which there is none.
    fn run_hooks(&self) -> Result<()> {
        let spec = &self.request.bundle.spec;
        let state = self.plan.hook_state.json(Status::Creating, self.plan.held.state.pid)?;
        let place = HookPlace { dir: Some(&self.plan.held.state.bundle), env: None };
        for kind in [HookKind::Prestart, HookKind::CreateRuntime] {
            hooks::run(kind, hooks::of(spec, kind), &state, &place)?;
        }
        Ok(())
    }

    /// The master of the container's pty was open outside: it goes where `create` would have sent it.
    fn pass_console(&mut self, master: Option<OwnedFd>) -> Result<()> {
        let console = self.plan.console.as_ref().ok_or(CriuError::NoConsole)?;
        let master =
            master.ok_or_else(|| CriuError::Response(format!("{ORPHAN_PTY} without one")))?;
        self.console = Some(console.hand_over(ORPHAN_PTY, master)?);
        Ok(())
    }
}

fn open_netns(pid: i32) -> Result<File> {
    let path = format!("/proc/{pid}/ns/net");
    File::open(&path).call(|| format!("open {path}"))
}

/// That the process is in a namespace of this kind that neither the runtime nor CRIU is in: images, which may be from
/// anywhere, say what namespaces there are, and must not say less than config.json.
fn check_new(pid: i32, kind: LinuxNamespaceType, criu: i32) -> Result<()> {
    let name = kernel_name(kind);
    let inode = |pid: i32| {
        let path = format!("/proc/{pid}/ns/{name}");
        std::fs::metadata(&path).map(|namespace| namespace.ino()).call(|| format!("stat {path}"))
    };
    let own = std::process::id().cast_signed();
    let new = inode(pid)?;
    match new == inode(own)? || new == inode(criu)? {
        true => Err(CriuError::NoNewNamespace { pid, kind: name }.into()),
        false => Ok(()),
    }
}
