//! One container's groups.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::hierarchies::{Hierarchies, Mode};
use crate::location;
use crate::systemd::{Systemd, Unit};

/// Who makes and removes a container's groups.
///
/// The two differ in where the groups lie, who makes and removes them, and whom limits and devices
/// are told besides; those, joining, freezing, killing and statistics are the same files.
#[derive(Clone, Debug, Default)]
pub(crate) enum Driver {
    /// Directories in cgroupfs.
    #[default]
    Cgroupfs,
    /// A transient unit of systemd.
    Systemd(Systemd),
}

/// How to treat a container's groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Go on without a group that may not be made or joined, provided that `linux.cgroupsPath` is
    /// absent and no limit asks for it.
    pub rootless: bool,
}

/// A directory in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) controllers: Vec<Controller>,
    pub(crate) dir: PathBuf,
    pub(crate) mount: PathBuf,
}

/// One container's groups: one directory per v1 hierarchy, or the one of the unified hierarchy.
///
/// A value is only a set of paths; nothing happens to them before [`Cgroup::create`] and dropping
/// the value removes nothing.
#[derive(Clone, Debug)]
pub struct Cgroup {
    pub(crate) driver: Driver,
    pub(crate) mode: Mode,
    pub(crate) groups: Vec<Group>,
    pub(crate) options: Options,
    /// `linux.cgroupsPath` is set: lack of permission is then always an error.
    pub(crate) explicit: bool,
    pub(crate) denied: Vec<Controller>,
    /// Directories made by [`Cgroup::create`], parents first.
    pub(crate) created: Vec<PathBuf>,
}

impl Cgroup {
    /// The groups of the container `id`, with runc's rules for `linux.cgroupsPath`: an absolute
    /// path starts at the hierarchy's root mount, a relative one at the caller's own group, and
    /// without one the group is the id below (v1) or beside (v2) the caller's own. `..` never
    /// leaves the base.
    ///
    /// # Errors
    ///
    /// [`Error::CgroupsPath`] when the path names no group of its own, [`Error::NoMountpoint`]
    /// when v1 lacks the devices controller.
    pub fn new(
        hierarchies: &Hierarchies,
        cgroups_path: Option<&Path>,
        id: &str,
        options: Options,
    ) -> Result<Self> {
        let explicit = cgroups_path.is_some_and(|path| !path.as_os_str().is_empty());
        Ok(Self {
            driver: Driver::Cgroupfs,
            mode: hierarchies.mode(),
            groups: location::locate(hierarchies, cgroups_path, id)?,
            options,
            explicit,
            denied: Vec::new(),
            created: Vec::new(),
        })
    }

    /// The groups recorded in a container's state, see [`Cgroup::paths`] and [`Cgroup::unit`].
    ///
    /// # Errors
    ///
    /// [`Error::OutsideMount`] for a path that is not below the mount of its controller: a state
    /// file must not direct writes elsewhere. Paths of hierarchies no longer mounted are left out.
    pub fn from_paths(
        hierarchies: &Hierarchies,
        paths: &BTreeMap<String, PathBuf>,
        unit: Option<&Unit>,
        options: Options,
    ) -> Result<Self> {
        let mut groups: Vec<Group> = Vec::new();
        for controller in Controller::ALL {
            let Some(dir) = paths.get(controller.as_str()) else { continue };
            let outside =
                || Error::OutsideMount { controller: controller.to_string(), path: dir.clone() };
            let Some(mount) = hierarchies.mount(controller) else {
                // Unmounted since: there is nothing to reach, and `delete` must still work.
                tracing::debug!("the hierarchy of {} is not mounted", dir.display());
                continue;
            };
            let inner = dir.strip_prefix(&mount.point).map_err(|_| outside())?;
            if location::clean(inner) != inner || inner.as_os_str().is_empty() {
                return Err(outside());
            }
            match groups.iter_mut().find(|group| group.dir == *dir) {
                Some(group) => group.controllers.push(controller),
                None => groups.push(Group {
                    controllers: vec![controller],
                    dir: dir.clone(),
                    mount: mount.point.clone(),
                }),
            }
        }
        let systemd = unit.cloned().map(|unit| Driver::Systemd(Systemd::of(unit)));
        Ok(Self {
            driver: systemd.unwrap_or_default(),
            mode: hierarchies.mode(),
            groups,
            options,
            explicit: true,
            denied: Vec::new(),
            created: Vec::new(),
        })
    }

    /// Controller to directory, as runc's `cgroup_paths`: the unified hierarchy has the empty key,
    /// systemd's `name=systemd`.
    pub fn paths(&self) -> BTreeMap<String, PathBuf> {
        let keys = |group: &Group| {
            let dir = group.dir.clone();
            let names = group.controllers.clone().into_iter();
            names.map(move |controller| (controller.as_str().to_owned(), dir.clone()))
        };
        self.groups.iter().flat_map(keys).collect()
    }

    /// v1 (or hybrid) or v2.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The directory that holds a controller's files; on v2 the one directory for all.
    pub fn dir(&self, controller: Controller) -> Option<&Path> {
        let wanted = match self.mode {
            Mode::V1 => controller,
            Mode::V2 => Controller::Unified,
        };
        let mut groups = self.groups.iter();
        groups.find(|group| group.controllers.contains(&wanted)).map(|group| group.dir.as_path())
    }

    /// The controllers that [`Cgroup::create`] went without for lack of permission. When not
    /// empty the caller should warn about a container without a pid namespace of its own: its
    /// processes cannot all be found.
    pub fn denied(&self) -> &[Controller] {
        &self.denied
    }

    /// Whether the container's group exists (on v1 the devices one stands for all, as in runc).
    pub fn exists(&self) -> bool {
        self.dir(Controller::Devices).is_some_and(Path::exists)
    }

    /// The directory in which the container's processes are listed.
    pub(crate) fn procs_dir(&self) -> Option<&Path> {
        self.dir(Controller::Devices).or_else(|| self.groups.first().map(|g| g.dir.as_path()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hierarchies::Mount;

    fn hierarchies() -> Hierarchies {
        let mount = |controllers: &[Controller], point: &str| Mount {
            controllers: controllers.to_vec(),
            point: point.into(),
            root: "/".into(),
        };
        let both = mount(&[Controller::Cpu, Controller::Cpuacct], "/cg/cpu,cpuacct");
        let devices = mount(&[Controller::Devices], "/cg/devices");
        Hierarchies::from_mounts(Mode::V1, vec![both, devices])
    }

    #[test]
    fn paths_survive_the_state() {
        let cgroup =
            Cgroup::new(&hierarchies(), Some(Path::new("/a/b")), "", Options::default()).unwrap();
        assert_eq!(cgroup.groups[0].controllers, [Controller::Devices]);
        let mut paths = cgroup.paths();
        assert_eq!(paths["cpuacct"], Path::new("/cg/cpu,cpuacct/a/b"));
        assert_eq!(paths["cpu"], paths["cpuacct"]);
        paths.insert("memory".into(), "/cg/memory/a/b".into());
        let again = Cgroup::from_paths(&hierarchies(), &paths, None, Options::default()).unwrap();
        assert_eq!(again.groups, cgroup.groups);
    }

    #[test]
    fn recorded_paths_must_be_groups() {
        for bad in ["/etc", "/cg/devices", "/cg/devices/../x", "/cg/devices/a/../../../etc", "a"] {
            let paths = BTreeMap::from([("devices".to_owned(), PathBuf::from(bad))]);
            let result = Cgroup::from_paths(&hierarchies(), &paths, None, Options::default());
            assert!(matches!(result, Err(Error::OutsideMount { .. })), "{bad}");
        }
    }
}
