//! `container`'s network seam, joined to `network`.

use std::path::Path;

use anyhow::{Context, bail};
use container::spec::Spec;
use container::{
    BoxError, ContainerId, CreateRequest, InitNamespaces, Network, RestoreRequest, StateRoot,
    Status,
};
use netplan::{NetPlan, NetworkMode};
use network::{Host, Init, Kept, Names, NamesFile, Owner, Record, Request};

use super::args::{NetworkArgs, Wanted};
use super::spec::{Namespace, mount_names, namespace, set_hostname, set_namespace};
use super::{config, home};

/// The network of one container: what is asked for it, if rrun is asked, and how it is taken away again.
#[derive(Debug)]
pub(crate) struct Joint {
    host: Host,
    request: Option<Request>,
    dry_run: Option<NetPlan>,
}

impl Joint {
    /// The network of a container that exists: there is only something to take away.
    pub(crate) fn of_existing() -> Self {
        Self { host: Host::new(&home()), request: None, dry_run: None }
    }

    /// The network of a container that `create` is to make. Says at once what cannot be had, and edits
    /// the container's spec so that it fits.
    pub(crate) fn for_create(
        args: &NetworkArgs,
        root: &StateRoot,
        request: &mut CreateRequest,
    ) -> anyhow::Result<Self> {
        Self::new(args, None, root, request)
    }

    /// The same for `run`, for which people configure a default.
    pub(crate) fn for_run(
        args: &NetworkArgs,
        root: &StateRoot,
        request: &mut CreateRequest,
    ) -> anyhow::Result<Self> {
        let default = config::default_mode(&home())?;
        Self::new(args, default, root, request)
    }

    fn new(
        args: &NetworkArgs,
        default: Option<NetworkMode>,
        root: &StateRoot,
        create: &mut CreateRequest,
    ) -> anyhow::Result<Self> {
        let mut host = Host::new(&home());
        let Some(wanted) = args.wanted(default)? else {
            if let Some(name) = args.hostname() {
                set_hostname(&mut create.bundle.spec, Some(name), name);
            }
            let dry_run = args.net_dry_run.then(NetPlan::default);
            return Ok(Self { host, request: None, dry_run });
        };
        let request = fit(wanted, root, &create.id, &mut create.bundle.spec)?;
        let plan = host.preflight(create.id.as_str(), &request)?;
        let dry_run = args.net_dry_run.then_some(plan);
        Ok(Self { host, request: Some(request), dry_run })
    }

    /// The network of a container that is to be restored: the one that the checkpoint kept, if there is one,
    /// with the same address and ports or not at all, and only where config.json grants it.
    pub(crate) fn for_restore(
        root: &StateRoot,
        restore: &mut RestoreRequest,
    ) -> anyhow::Result<Self> {
        let mut host = Host::new(&home());
        let Some(kept) = Kept::load(&restore.criu.images)? else {
            return Ok(Self { host, request: None, dry_run: None });
        };
        let kept = kept.request();
        let names = kept.names.unwrap_or_default();
        let wanted = Wanted {
            mode: kept.mode,
            publish: kept.publish,
            ip: kept.address,
            mac: kept.mac,
            hostname: Some(names.hostname).filter(|name| !name.is_empty()),
            dns: names.dns,
            hosts: names.hosts,
        };
        let context = "the network of the checkpoint cannot be had";
        let spec = &mut restore.bundle.spec;
        granted(&wanted.mode, namespace(spec)).context(context)?;
        let request = fit(wanted, root, &restore.id, spec).context(context)?;
        host.preflight(restore.id.as_str(), &request).context(context)?;
        Ok(Self { host, request: Some(request), dry_run: None })
    }

    /// With `--net-dry-run`: what would be done. Nothing else is to happen then.
    pub(crate) fn dry_run(&self) -> Option<String> {
        self.dry_run.as_ref().map(ToString::to_string)
    }
}

/// That the spec allows a network which images ask for: they may be from anywhere, so they must not lead a container
/// into a namespace of the host's that the spec does not name, nor out of one that it names.
fn granted(mode: &NetworkMode, spec: Namespace) -> anyhow::Result<()> {
    let way_out = match (mode, spec) {
        (NetworkMode::Bridge(_) | NetworkMode::None, Namespace::New | Namespace::Host)
        | (NetworkMode::Host, Namespace::Host) => return Ok(()),
        (NetworkMode::Namespace(path), Namespace::Join(joined)) if *path == joined => return Ok(()),
        (NetworkMode::Bridge(_) | NetworkMode::None, _) => "must not have a path".to_owned(),
        (NetworkMode::Host, _) => "must be left out".to_owned(),
        (NetworkMode::Namespace(path), _) => format!("must have the path {}", path.display()),
        (NetworkMode::Container(_), _) => bail!("--net={mode} cannot be restored"),
    };
    bail!("it is --net={mode}, for which the network namespace of config.json {way_out}")
}

/// Makes the spec and the network fit each other.
fn fit(
    wanted: Wanted,
    root: &StateRoot,
    id: &ContainerId,
    spec: &mut Spec,
) -> anyhow::Result<Request> {
    let mut request = Request::new(wanted.mode.clone());
    let namespace = match &wanted.mode {
        NetworkMode::Bridge(_) => {
            let hostname = set_hostname(spec, wanted.hostname.as_deref(), id.as_str());
            mount_names(spec, &root.dir(id));
            request.names = Some(Names { hostname, dns: wanted.dns, hosts: wanted.hosts });
            Namespace::New
        }
        NetworkMode::None => Namespace::New,
        NetworkMode::Host => Namespace::Host,
        NetworkMode::Namespace(path) => Namespace::Join(path.clone()),
        NetworkMode::Container(owner) => {
            let (pid, time) = running(root, owner)?;
            request.joined = Some((pid, time));
            // One network, one set of names: Docker's rule, and what a pod expects.
            let owner = root.dir(&owner.parse()?);
            if NamesFile::ALL.iter().all(|file| file.source(&owner).is_file()) {
                mount_names(spec, &owner);
            }
            Namespace::Join(format!("/proc/{pid}/ns/net").into())
        }
    };
    if request.names.is_none()
        && let Some(name) = &wanted.hostname
    {
        set_hostname(spec, Some(name), name);
    }
    set_namespace(spec, &namespace);
    request.address = wanted.ip;
    request.mac = wanted.mac;
    request.publish = wanted.publish;
    Ok(request)
}

/// The init process of a running container, and when it started.
fn running(root: &StateRoot, owner: &str) -> anyhow::Result<(i32, u64)> {
    let context = || format!("network container:{owner}");
    let id: ContainerId = owner.parse().with_context(context)?;
    let container = root.load(&id).with_context(context)?;
    if container.status().with_context(context)? == Status::Stopped {
        bail!("network container:{owner}: the container is not running");
    }
    let state = container.state();
    Ok((state.pid, state.start_time))
}

impl Network for Joint {
    fn prepare(&mut self, _: &ContainerId, state_dir: &Path) -> Result<(), BoxError> {
        if let Some(names) = self.request.as_ref().and_then(|request| request.names.as_ref()) {
            names.prepare(state_dir)?;
        }
        Ok(())
    }

    fn attach(&mut self, init: &InitNamespaces<'_>) -> Result<(), BoxError> {
        let Some(request) = &self.request else { return Ok(()) };
        let at = Init { pid: init.pid, start_time: init.start_time, netns: init.netns };
        let (id, state_dir) = (init.id.as_str(), init.state_dir);
        self.host.attach(Owner { id, state_dir, init: at, quiet: init.quiet }, request)?;
        Ok(())
    }

    fn release(&mut self, state_dir: &Path) -> Result<(), BoxError> {
        Ok(self.host.release(state_dir)?)
    }

    fn checkpoint(&mut self, state_dir: &Path, images: &Path) -> Result<(), BoxError> {
        match Record::load(state_dir)? {
            Some(record) => Kept::of(record)?.save(images)?,
            // The folder may hold an earlier checkpoint.
            None => Kept::remove(images)?,
        }
        Ok(())
    }

    fn detach(&mut self, id: &ContainerId, state_dir: &Path) -> Result<(), BoxError> {
        Ok(self.host.detach(id.as_str(), state_dir)?)
    }
}
