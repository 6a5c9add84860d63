//! Making a container's groups.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use oci_spec::runtime::LinuxResources;

use crate::cgroup::{Cgroup, Driver, Group};
use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::hierarchies::Mode;
use crate::limits;
use crate::{cpuset, file};

impl Cgroup {
    /// Makes the groups, with the levels above them that are missing. `resources` only decides
    /// what must be right at birth: the cpuset on v1, threaded mode and rootless leave on v2;
    /// limits are written by [`Cgroup::set_limits`]. On failure what was made is removed again.
    ///
    /// With systemd as the driver it only sees that the groups are not another's: they are made by
    /// [`Cgroup::start_unit`].
    ///
    /// # Errors
    ///
    /// [`Error::NotEmpty`] and [`Error::Frozen`] when the group exists and is in use,
    /// [`Error::Path`] when a directory cannot be made (see [`Error::is_permission`]),
    /// [`Error::RootlessLimits`], [`Error::Threaded`].
    pub fn create(&mut self, resources: &LinuxResources) -> Result<()> {
        if let Driver::Systemd(_) = self.driver {
            return self.groups.iter().try_for_each(|group| refuse_used(group, self.mode));
        }
        let made = match self.mode {
            Mode::V1 => self.create_v1(resources),
            Mode::V2 => self.create_v2(resources),
        };
        if made.is_err() {
            self.undo_create();
        }
        made
    }

    /// Removes the directories that [`Cgroup::create`] of this value made, the levels above the
    /// container's own included, as far as nothing else uses them. For the failure path of the
    /// same process; `delete` uses [`Cgroup::remove`].
    pub fn undo_create(&mut self) {
        for dir in self.created.drain(..).rev() {
            // A level above that meanwhile has other groups stays: they own it now as well.
            let _ = std::fs::remove_dir(&dir);
        }
    }

    fn create_v1(&mut self, resources: &LinuxResources) -> Result<()> {
        let mut usable = Vec::with_capacity(self.groups.len());
        for group in self.groups.clone() {
            match self.create_group(&group, resources) {
                Ok(()) => usable.push(group),
                Err(error) if self.may_ignore(&error) || self.may_lack(&group, &error) => {
                    self.denied.extend(&group.controllers);
                }
                Err(error) => return Err(error),
            }
        }
        self.groups = usable;
        Ok(())
    }

    fn create_group(&mut self, group: &Group, resources: &LinuxResources) -> Result<()> {
        if !self.make_group(group, resources)? {
            refuse_used(group, Mode::V1)?;
        }
        Ok(())
    }

    /// Makes a v1 group. `false`: it was there.
    pub(crate) fn make_group(&mut self, group: &Group, resources: &LinuxResources) -> Result<bool> {
        let is_new = make(&group.dir, &group.mount, &mut self.created)?;
        if group.controllers.contains(&Controller::Cpuset) {
            let cpu = resources.cpu().as_ref();
            let given = |value: Option<&Option<String>>| {
                value
                    .and_then(|value| value.as_deref())
                    .filter(|value| !value.is_empty())
                    .map(str::to_owned)
            };
            let cpus = given(cpu.map(|cpu| cpu.cpus()));
            let mems = given(cpu.map(|cpu| cpu.mems()));
            let given = [cpus.as_deref(), mems.as_deref()];
            cpuset::inherit(&group.dir, &group.mount, is_new, given)?;
        }
        Ok(is_new)
    }

    /// Lack of permission is no error for a rootless container that did not ask for a certain
    /// place. Should a limit need the group, writing it fails with [`Error::Unavailable`].
    fn may_ignore(&self, error: &Error) -> bool {
        self.options.rootless && !self.explicit && error.is_permission()
    }

    /// Next to v1 the unified hierarchy limits nothing: who may use all the others need not have it,
    /// even for an explicit place.
    fn may_lack(&self, group: &Group, error: &Error) -> bool {
        self.options.rootless && group.controllers == [Controller::Unified] && error.is_permission()
    }

    fn create_v2(&mut self, resources: &LinuxResources) -> Result<()> {
        let Some(group) = self.groups.first().cloned() else { return Err(Error::NotMounted) };
        match self.create_unified(&group, resources) {
            Err(error) if self.may_ignore(&error) => {
                if limits::any(resources) {
                    return Err(Error::RootlessLimits(Box::new(error)));
                }
                self.denied.append(&mut self.groups.remove(0).controllers);
                self.undo_create();
                Ok(())
            }
            result => result,
        }
    }

    /// v2: the rest of the work on a group that systemd has made.
    pub(crate) fn complete_unified(&mut self, resources: &LinuxResources) -> Result<()> {
        let Some(group) = self.groups.first().cloned() else { return Err(Error::NotMounted) };
        make(&group.dir, &group.mount, &mut self.created)?;
        enable_controllers(&group.dir, &group.mount)?;
        check_type(&group.dir, &group.mount, resources)
    }

    fn create_unified(&mut self, group: &Group, resources: &LinuxResources) -> Result<()> {
        if !make(&group.dir, &group.mount, &mut self.created)? {
            refuse_used(group, Mode::V2)?;
        }
        enable_controllers(&group.dir, &group.mount)?;
        check_type(&group.dir, &group.mount, resources)
    }
}

/// An existing group must not be another container's.
fn refuse_used(group: &Group, mode: Mode) -> Result<()> {
    let has = |controller| group.controllers.contains(&controller) || mode == Mode::V2;
    if has(Controller::Devices) {
        refuse_occupied(&group.dir)?;
    }
    let frozen = match mode {
        Mode::V1 => has(Controller::Freezer) && crate::freezer::is_frozen_v1(&group.dir)?,
        Mode::V2 => crate::freezer::is_frozen_v2(&group.dir)?,
    };
    if frozen { Err(Error::Frozen) } else { Ok(()) }
}

/// Makes `dir` and what is missing between it and `mount`, noting each new directory. `false`: it
/// was there. Tries the last level first, since all others mostly exist.
fn make(dir: &Path, mount: &Path, created: &mut Vec<PathBuf>) -> Result<bool> {
    let made = match file::mkdir(dir) {
        Err(error) if error.errno() == Some(Errno::ENOENT) && dir != mount => {
            let parent = dir.parent().ok_or(error)?;
            make(parent, mount, created)?;
            file::mkdir(dir)?
        }
        result => result?,
    };
    if made {
        created.push(dir.to_owned());
    }
    Ok(made)
}

fn refuse_occupied(dir: &Path) -> Result<()> {
    match crate::procs::all_pids(dir) {
        Ok(pids) if pids.is_empty() => Ok(()),
        Ok(pids) => Err(Error::NotEmpty(pids.len())),
        // It vanished while being read: some other container's end.
        Err(error) if error.is_gone() => Ok(()),
        Err(error) => Err(error),
    }
}

/// v2: every level above `dir` hands all the controllers that the root has to the levels below.
/// A controller that cannot be enabled shows when a limit of it is written.
fn enable_controllers(dir: &Path, mount: &Path) -> Result<()> {
    let available = file::read_value(&mount.join("cgroup.controllers"))?;
    let Some(parent) = dir.parent() else { return Ok(()) };
    if lacks(parent, &available)?.is_empty() {
        return Ok(());
    }
    let inner = parent.strip_prefix(mount).unwrap_or(Path::new(""));
    let mut level = mount.to_owned();
    let mut names = inner.iter();
    loop {
        let lacking = lacks(&level, &available)?;
        let control = level.join("cgroup.subtree_control");
        if !lacking.is_empty() && file::write(&control, &lacking.join(" ")).is_err() {
            // One refusal rejects the whole line; see which of them the kernel does take.
            for controller in &lacking {
                let _ = file::write(&control, controller);
            }
        }
        match names.next() {
            Some(name) => level.push(name),
            None => return Ok(()),
        }
    }
}

/// `+NAME` for each available controller that a level does not hand down yet.
fn lacks(level: &Path, available: &str) -> Result<Vec<String>> {
    let enabled = file::read_value(&level.join("cgroup.subtree_control"))?;
    let is_enabled = |name: &&str| enabled.split_ascii_whitespace().any(|have| have == *name);
    let lacking = available.split_ascii_whitespace().filter(|name| !is_enabled(name));
    Ok(lacking.map(|name| format!("+{name}")).collect())
}

/// v2: below a group with processes of its own only threaded groups work, and those only take
/// the controllers that know threads (cgroups(7), "Thread mode").
fn check_type(dir: &Path, mount: &Path, resources: &LinuxResources) -> Result<()> {
    let state = group_type(dir)?;
    match state.as_str() {
        "domain invalid" | "domain threaded" | "threaded" if limits::any_domain(resources) => {
            Err(Error::Threaded { path: dir.to_owned(), state })
        }
        "domain invalid" => make_threaded(dir, mount),
        _ => Ok(()),
    }
}

/// A group can become threaded only when the one above it is part of the threaded tree.
fn make_threaded(dir: &Path, mount: &Path) -> Result<()> {
    let levels: Vec<&Path> = dir.ancestors().take_while(|level| *level != mount).collect();
    for level in levels.into_iter().rev() {
        if group_type(level)? == "domain invalid" {
            file::write(&level.join("cgroup.type"), "threaded")?;
        }
    }
    Ok(())
}

/// `cgroup.type`; empty in the root group and before Linux 4.14, where it does not exist.
fn group_type(dir: &Path) -> Result<String> {
    match file::read_value(&dir.join("cgroup.type")) {
        Err(error) if error.is_gone() => Ok(String::new()),
        result => result,
    }
}
