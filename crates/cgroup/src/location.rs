//! From `linux.cgroupsPath` to one directory per hierarchy.

use std::path::{Component, Path, PathBuf};

use crate::cgroup::Group;
use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::hierarchies::{Hierarchies, Membership, Mode, Mount};

/// The groups of a container, one per mounted hierarchy, as runc's cgroupfs driver places them:
///
/// - an absolute `linux.cgroupsPath` is below the hierarchy's mount;
/// - a relative one, or the container's id when there is none, is below the caller's own group
///   (v1), or beside it (v2: the caller's own group has processes and so cannot have
///   controllers enabled for groups below it).
pub(crate) fn locate(
    hierarchies: &Hierarchies,
    cgroups_path: Option<&Path>,
    id: &str,
) -> Result<Vec<Group>> {
    let inner = Inner::new(cgroups_path, id)?;
    // Only a relative path needs to know the caller's own groups.
    let own = match inner {
        Inner::FromOwn(_) => Some(Membership::read("self")?),
        Inner::FromMount(_) => None,
    };
    let mut groups: Vec<Group> = hierarchies
        .mounts()
        .iter()
        .map(|mount| Group {
            controllers: mount.controllers.clone(),
            dir: directory(hierarchies.mode(), mount, &inner, own.as_ref()),
            mount: mount.point.clone(),
        })
        .collect();
    let rank = |group: &Group| {
        Controller::ALL.iter().position(|controller| group.controllers.contains(controller))
    };
    groups.sort_by_key(rank);
    if hierarchies.mode() == Mode::V1 && hierarchies.mount(Controller::Devices).is_none() {
        // Without it a container could reach every device of the host.
        return Err(Error::NoMountpoint(Controller::Devices));
    }
    Ok(groups)
}

fn directory(mode: Mode, mount: &Mount, inner: &Inner, own: Option<&Membership>) -> PathBuf {
    match inner {
        Inner::FromMount(path) => mount.point.join(path),
        Inner::FromOwn(path) => {
            let controller = mount.controllers.first().copied().unwrap_or(Controller::Unified);
            let own = own.and_then(|own| own.path(controller)).unwrap_or(Path::new("/"));
            let base = match mode {
                Mode::V1 => own,
                Mode::V2 => own.parent().unwrap_or(Path::new("/")),
            };
            // In a container without a cgroup namespace the caller's group is named from the
            // host's root, and only its part below the mount's root can be seen here. A group
            // outside of that cannot: the mount's root is the nearest place.
            let base = base.strip_prefix(&mount.root).unwrap_or(Path::new(""));
            mount.point.join(clean(base)).join(path)
        }
    }
}

/// A cleaned path below either base; never empty.
enum Inner {
    FromMount(PathBuf),
    FromOwn(PathBuf),
}

impl Inner {
    fn new(cgroups_path: Option<&Path>, id: &str) -> Result<Self> {
        let given = cgroups_path.filter(|path| !path.as_os_str().is_empty());
        let path = given.unwrap_or(Path::new(id));
        let inner = clean(path);
        if inner.as_os_str().is_empty() {
            return Err(Error::CgroupsPath(path.to_owned()));
        }
        match path.is_absolute() {
            true => Ok(Self::FromMount(inner)),
            false => Ok(Self::FromOwn(inner)),
        }
    }
}

/// Resolves `.` and `..` by the text alone; `..` stops at the base, so the result, a relative
/// path, never leaves what it is joined to.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => cleaned.push(name),
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchies(mode: Mode, controller: Controller) -> Hierarchies {
        let mount = Mount {
            controllers: vec![controller],
            point: "/cg".into(),
            root: "/docker/abc".into(),
        };
        Hierarchies::from_mounts(mode, vec![mount])
    }

    #[test]
    fn absolute_paths_are_below_the_mount() {
        let v1 = hierarchies(Mode::V1, Controller::Devices);
        for (given, expected) in [
            ("/pod/ctr", "/cg/pod/ctr"),
            ("/pod/../../../ctr", "/cg/ctr"),
            ("//pod/./ctr/", "/cg/pod/ctr"),
        ] {
            let groups = locate(&v1, Some(Path::new(given)), "id").unwrap();
            assert_eq!(groups[0].dir, Path::new(expected));
        }
    }

    #[test]
    fn a_path_must_name_a_group() {
        let v1 = hierarchies(Mode::V1, Controller::Devices);
        for given in ["/", "../..", "/..", ".", "a/.."] {
            let result = locate(&v1, Some(Path::new(given)), "id");
            assert!(matches!(result, Err(Error::CgroupsPath(_))), "{given}");
        }
    }

    #[test]
    fn v1_needs_devices() {
        let v1 = hierarchies(Mode::V1, Controller::Memory);
        let result = locate(&v1, Some(Path::new("/a")), "id");
        assert!(matches!(result, Err(Error::NoMountpoint(Controller::Devices))));
    }

    #[test]
    fn relative_paths_are_below_or_beside_the_own_group() {
        let own = Membership::parse(b"5:devices:/docker/abc/own\n0::/docker/abc/own\n");
        let inner = Inner::new(None, "id").unwrap();
        let v1 = hierarchies(Mode::V1, Controller::Devices);
        let dir = directory(Mode::V1, &v1.mounts()[0], &inner, Some(&own));
        assert_eq!(dir, Path::new("/cg/own/id"));
        let v2 = hierarchies(Mode::V2, Controller::Unified);
        let dir = directory(Mode::V2, &v2.mounts()[0], &inner, Some(&own));
        assert_eq!(dir, Path::new("/cg/id"));
        let outside = Membership::parse(b"5:devices:/../other\n");
        let dir = directory(Mode::V1, &v1.mounts()[0], &inner, Some(&outside));
        assert_eq!(dir, Path::new("/cg/id"));
    }
}
