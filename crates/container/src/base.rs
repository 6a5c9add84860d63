//! What `create` and `restore` decide alike about a container, before anything of it is made.

use std::path::PathBuf;

use cgroup::{Cgroup, DeviceRule, Hierarchies};
use nix::sched::CloneFlags;

use crate::error::Result;
use crate::namespaces::Namespaces;
use crate::rootfs::{PlanContext, RootfsPlan};
use crate::spec::LinuxResources;
use crate::{Bundle, ContainerId, cgroups, validate};

/// What it depends on.
pub(crate) struct BaseRequest<'a> {
    pub(crate) id: &'a ContainerId,
    pub(crate) bundle: &'a Bundle,
    pub(crate) systemd_cgroup: bool,
    pub(crate) rootless: Option<bool>,
    pub(crate) no_pivot: bool,
}

/// Namespaces, cgroup and root file system of a container.
pub(crate) struct Base {
    pub(crate) namespaces: Namespaces,
    /// The absolute path of the rootfs.
    pub(crate) rootfs: PathBuf,
    pub(crate) rootfs_plan: RootfsPlan,
    pub(crate) cgroup: Cgroup,
    pub(crate) resources: LinuxResources,
    pub(crate) devices: Vec<DeviceRule>,
}

impl Base {
    /// Checks the spec as a whole, and decides.
    pub(crate) fn new(request: &BaseRequest<'_>) -> Result<Self> {
        let Bundle { path: bundle, spec } = request.bundle;
        let namespaces = Namespaces::new(spec)?;
        validate::validate(spec, &namespaces)?;
        let rootfs = validate::rootfs(spec, bundle)?;
        let linux = spec.linux().as_ref();
        let resources = linux.and_then(|linux| linux.resources().clone()).unwrap_or_default();
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
        let devices = cgroup::device_rules(
            Some(&resources),
            linux.and_then(|linux| linux.devices().as_deref()).unwrap_or_default(),
        )?;
        Ok(Self { namespaces, rootfs, rootfs_plan, cgroup, resources, devices })
    }
}
