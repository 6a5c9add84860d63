//! What the core asks of cgroups besides making them.

use cgroup::{Cgroup, Controller, Hierarchies, Mode, Options};

use crate::rootfs::{CgroupView, LegacyHierarchy};

/// `--rootless`: permission errors may be ignored when the caller says so, or is not root.
pub(crate) fn options(rootless: Option<bool>) -> Options {
    Options { rootless: rootless.unwrap_or_else(|| !rustix::process::geteuid().is_root()) }
}

/// The cgroups as a mount of `type: cgroup` shows them.
pub(crate) fn view(
    hierarchies: &Hierarchies,
    cgroup: &Cgroup,
    private_namespace: bool,
) -> CgroupView {
    let paths = cgroup.paths();
    match cgroup.mode() {
        Mode::V2 => CgroupView::Unified {
            mount_point: hierarchies
                .mount(Controller::Unified)
                .map(|mount| mount.point.clone())
                .unwrap_or_default(),
            cgroup: paths.into_values().next(),
            private_namespace,
        },
        Mode::V1 => {
            let mut legacy: Vec<LegacyHierarchy> = Vec::new();
            for mount in hierarchies.mounts() {
                let dir =
                    mount.controllers.iter().find_map(|controller| paths.get(controller.as_str()));
                if let Some(dir) = dir.filter(|_| !mount.controllers.contains(&Controller::Unified))
                {
                    legacy.push(LegacyHierarchy {
                        mount_point: mount.point.clone(),
                        cgroup: dir.clone(),
                    });
                }
            }
            CgroupView::Legacy { hierarchies: legacy, private_namespace }
        }
    }
}
