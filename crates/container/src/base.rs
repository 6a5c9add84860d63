//! What `create` and `restore` decide alike about a container, before anything of it is made.

use std::path::PathBuf;

use cgroup::Hierarchies;
use nix::sched::CloneFlags;

use crate::error::Result;
use crate::held::Held;
use crate::namespaces::Namespaces;
use crate::rootfs::{PlanContext, RootfsPlan};
use crate::state::State;
use crate::{Bundle, ContainerId, cgroups, validate};

/// What it depends on.
pub(crate) struct BaseRequest<'a> {
    pub(crate) id: &'a ContainerId,
    pub(crate) bundle: &'a Bundle,
    pub(crate) systemd_cgroup: bool,
    pub(crate) rootless: Option<bool>,
    pub(crate) no_pivot: bool,
}

/// Namespaces, root file system, and what it holds of the host.
pub(crate) struct Base {
    pub(crate) namespaces: Namespaces,
    /// The absolute path of the rootfs.
    pub(crate) rootfs: PathBuf,
    pub(crate) rootfs_plan: RootfsPlan,
    pub(crate) held: Held,
}

impl Base {
    /// Checks the spec as a whole, and decides.
    pub(crate) fn new(request: &BaseRequest<'_>) -> Result<Self> {
        let Bundle { path: bundle, spec } = request.bundle;
        let namespaces = Namespaces::new(spec)?;
        validate::validate(spec, &namespaces)?;
        let rootfs = validate::rootfs(spec, bundle)?;
        let hierarchies = Hierarchies::detect()?;
        let cgroup = cgroups::place(&hierarchies, request, &namespaces)?;
        let rootfs_plan = RootfsPlan::prepare(&PlanContext {
            spec,
            bundle,
            mount_namespace: namespaces.has(CloneFlags::CLONE_NEWNS),
            user_namespace: namespaces.has(CloneFlags::CLONE_NEWUSER),
            rootless: !rustix::process::geteuid().is_root(),
            no_pivot: request.no_pivot,
            cgroup: cgroups::view(
                &hierarchies,
                &cgroup,
                namespaces.has(CloneFlags::CLONE_NEWCGROUP),
            ),
        })?;
        let state = State::new(request.id.as_str(), bundle, &rootfs);
        let held = Held::new(cgroup, spec, rootfs_plan.mounts_block_devices(), state)?;
        Ok(Self { namespaces, rootfs, rootfs_plan, held })
    }
}
