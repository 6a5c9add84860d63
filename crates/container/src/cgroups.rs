//! What the core asks of cgroups besides making them.

use std::path::Path;

use cgroup::{Cgroup, Controller, Hierarchies, Mode, Options, UnitRequest};

use nix::sched::CloneFlags;

use crate::base::BaseRequest;
use crate::namespaces::Namespaces;
use crate::rootfs::{CgroupView, LegacyHierarchy};
use crate::spec::{Mount, Spec};

/// `--rootless`: permission errors may be ignored when the caller says so, or is not root. With
/// systemd as the driver it is also the user's manager that is asked.
pub(crate) fn options(rootless: Option<bool>, systemd: bool) -> Options {
    let default = || match systemd {
        true => cgroup::is_users(),
        false => !rustix::process::geteuid().is_root(),
    };
    Options { rootless: rootless.unwrap_or_else(default) }
}

/// The cgroup that `linux.cgroupsPath` and the driver say.
pub(crate) fn place(
    hierarchies: &Hierarchies,
    request: &BaseRequest<'_>,
    namespaces: &Namespaces,
) -> cgroup::Result<Cgroup> {
    let spec = &request.bundle.spec;
    let linux = spec.linux().as_ref();
    let cgroups_path = linux.and_then(|linux| linux.cgroups_path().as_deref());
    let id = request.id.as_str();
    let options = options(request.rootless, request.systemd_cgroup);
    if !request.systemd_cgroup {
        return Cgroup::new(hierarchies, cgroups_path, id, options);
    }
    let annotations = spec.annotations().as_ref();
    let owner = owner(spec, namespaces);
    let unit = UnitRequest { cgroups_path, id, annotations, owner };
    Cgroup::of_unit(hierarchies, &unit, options)
}

/// Whose the group shall be: the process's user, as the host sees it, where the container can write to
/// its own cgroups. systemd in a container makes groups there.
fn owner(spec: &Spec, namespaces: &Namespaces) -> Option<u32> {
    let writable = |mount: &Mount| {
        let mut options = mount.options().iter().flatten();
        mount.source().as_deref() == Some(Path::new("cgroup"))
            && mount.destination().components().eq(Path::new("/sys/fs/cgroup").components())
            // The last one counts.
            && options.rfind(|option| ["ro", "rw"].contains(&option.as_str())).is_none_or(|o| o == "rw")
    };
    let mounted = spec.mounts().iter().flatten().any(writable);
    if !mounted || !namespaces.new.contains(CloneFlags::CLONE_NEWCGROUP) {
        return None;
    }
    let uid = spec.process().as_ref().map_or(0, |process| process.user().uid());
    if !namespaces.has(CloneFlags::CLONE_NEWUSER) {
        return Some(uid);
    }
    let mappings = spec.linux().as_ref()?.uid_mappings().as_ref()?;
    mappings.iter().find_map(|mapping| {
        let offset = uid.checked_sub(mapping.container_id())?;
        (offset < mapping.size()).then(|| mapping.host_id().checked_add(offset))?
    })
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_owns_the_group() {
        let of = |options: &[&str], kinds: &[&str], uid: u32| {
            let namespaces: Vec<_> = kinds.iter().map(|kind| json!({"type": kind})).collect();
            let spec: Spec = serde_json::from_value(json!({
                "ociVersion": "1.0.0",
                "process": {"cwd": "/", "user": {"uid": uid, "gid": 0}},
                "mounts": [{"destination": "/sys/fs/cgroup/", "source": "cgroup",
                    "type": "cgroup", "options": options}],
                "linux": {"namespaces": namespaces,
                    "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 10}],
                    "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 10}]},
            }))
            .unwrap();
            owner(&spec, &Namespaces::new(&spec).unwrap())
        };
        let both = ["cgroup", "user"];
        assert_eq!(of(&["nosuid"], &both, 3), Some(100_003));
        assert_eq!(of(&["ro", "rw"], &both, 0), Some(100_000));
        assert_eq!(of(&["ro"], &both, 0), None);
        assert_eq!(of(&[], &["user"], 0), None);
        // Nobody of the host.
        assert_eq!(of(&[], &both, 10), None);
    }
}
