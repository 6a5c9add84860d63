//! What a container holds of the host besides its processes and its network: its cgroup, its share of cache
//! and memory bandwidth, and the state file that says so. `create` and `restore` take it alike.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cgroup::{Cgroup, DeviceRule, Join, SubCgroups};

use crate::error::{CallContext, Error, Result};
use crate::files;
use crate::intel_rdt::{Group, Resctrl};
use crate::spec::{LinuxIntelRdt, LinuxResources, Spec};
use crate::state::{CONFIG_FILE, State};
use crate::store::Claim;
use crate::{ContainerId, Network, StateRoot};

/// What is to be taken, and then what was.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) cgroup: Cgroup,
    resources: LinuxResources,
    devices: Vec<DeviceRule>,
    /// The container has to mount a device first, which the rules may forbid.
    devices_late: bool,
    pub(crate) state: State,
}

impl Held {
    /// Decides; takes nothing yet.
    pub(crate) fn new(
        cgroup: Cgroup,
        spec: &Spec,
        devices_late: bool,
        mut state: State,
    ) -> Result<Self> {
        let linux = spec.linux().as_ref();
        let resources = linux.and_then(|linux| linux.resources().clone()).unwrap_or_default();
        let devices = cgroup::device_rules(
            Some(&resources),
            linux.and_then(|linux| linux.devices().as_deref()).unwrap_or_default(),
        )?;
        state.cgroup_paths = paths_before(&cgroup);
        state.intel_rdt = intel_rdt(spec)
            .map(|rdt| Group::plan(Resctrl::detect(), rdt, &state.id))
            .transpose()?;
        Ok(Self { cgroup, resources, devices, devices_late, state })
    }

    /// Takes what must be the container's alone: its cgroup, which must not be another's. The state file
    /// comes after that, since who finds one may kill all that is in the cgroup it names.
    pub(crate) fn take(&mut self, spec: &Spec, dir: &Path) -> Result<()> {
        write_config(dir, spec)?;
        self.cgroup.create(&self.resources).map_err(Error::ApplyCgroup)?;
        // Without privilege some groups are not to be had.
        self.state.cgroup_paths = paths_before(&self.cgroup);
        self.state.write(dir)
    }

    /// After [`Held::take`] failed: nothing but the claim and the groups can be there. The first error is the one to
    /// tell; what cannot be cleaned up is said beside it.
    pub(crate) fn give_up(&mut self, claim: Claim) {
        self.cgroup.undo_create();
        say_left(claim.remove());
    }

    /// After a later failure.
    pub(crate) fn undo(
        &mut self,
        root: &StateRoot,
        id: &ContainerId,
        claim: Claim,
        network: &mut dyn Network,
    ) {
        let cleaned = root.clean_up(id, claim, network);
        // With the levels above the container's own.
        self.cgroup.undo_create();
        say_left(cleaned);
    }

    /// Whether systemd makes the cgroup, when there is a process for it.
    pub(crate) fn is_unit(&self) -> bool {
        self.cgroup.unit().is_some()
    }

    /// What the first process is to be born into; a unit it is put into later.
    pub(crate) fn join(&self) -> Result<Join> {
        match self.is_unit() {
            true => Ok(Join::none()),
            false => self.cgroup.join_handles(&SubCgroups::none()).map_err(Error::ApplyCgroup),
        }
    }

    /// Before there is a process: the device rules, which keep devices from it from the start, and the group of
    /// the resctrl file system with its shares.
    pub(crate) fn prepare(&mut self, spec: &Spec, dir: &Path) -> Result<()> {
        if !self.is_unit() {
            self.forbid_devices_early()?;
        }
        let (Some(group), Some(rdt)) = (&mut self.state.intel_rdt, intel_rdt(spec)) else {
            return Ok(());
        };
        let planned = group.clone();
        let made = group.make()?;
        let group = group.clone();
        if group != planned {
            // Somebody else made it meanwhile: it is theirs, whatever becomes of this process.
            self.state.write(dir)?;
        }
        group.configure(rdt, made)
    }

    /// The first process is there: into its resctrl group with it.
    pub(crate) fn add(&self, pid: i32) -> Result<()> {
        self.state.intel_rdt.iter().try_for_each(|group| group.add(pid))
    }

    /// Puts the waiting first process into its unit. Once that is there, unit and cgroup are the container's: who
    /// finds them in the state may kill what is in them. Nothing without a unit.
    pub(crate) fn start_unit(&mut self, pid: i32, dir: &Path) -> Result<()> {
        if !self.is_unit() {
            return Ok(());
        }
        self.cgroup.start_unit(pid, &self.resources).map_err(Error::ApplyCgroup)?;
        self.state.cgroup_paths = self.cgroup.paths();
        self.state.systemd_unit = self.cgroup.unit().cloned();
        self.state.write(dir)?;
        self.cgroup.complete_unit(pid, &self.resources).map_err(Error::ApplyCgroup)?;
        self.forbid_devices_early()
    }

    /// `linux.resources`, but for the devices.
    pub(crate) fn set_limits(&self) -> Result<()> {
        Ok(self.cgroup.set_limits(&self.resources)?)
    }

    fn forbid_devices_early(&self) -> Result<()> {
        if self.devices_late { Ok(()) } else { Ok(self.cgroup.set_devices(&self.devices)?) }
    }

    /// After the mounts: the device rules, where they had to wait. Nothing else may see devices allowed.
    pub(crate) fn forbid_devices_late(&self) -> Result<()> {
        if self.devices_late { Ok(self.cgroup.set_devices(&self.devices)?) } else { Ok(()) }
    }

    /// Whether [`Held::forbid_devices_late`] has something to do.
    pub(crate) fn waits_for_mounts(&self) -> bool {
        self.devices_late
    }
}

fn say_left(cleaned: Result<()>) {
    if let Err(left) = cleaned {
        tracing::warn!("cleaning up after a failure: {left}");
    }
}

/// The groups that the state names before there is a process: of a unit there is nothing yet.
fn paths_before(cgroup: &Cgroup) -> BTreeMap<String, PathBuf> {
    if cgroup.unit().is_some() { BTreeMap::new() } else { cgroup.paths() }
}

fn intel_rdt(spec: &Spec) -> Option<&LinuxIntelRdt> {
    spec.linux().as_ref()?.intel_rdt().as_ref()
}

/// The config as it is in effect: `exec` and hooks read it, whatever becomes of the bundle.
pub(crate) fn write_config(dir: &Path, spec: &Spec) -> Result<()> {
    let path = dir.join(CONFIG_FILE);
    let bytes = serde_json::to_vec(spec).map_err(|error| Error::corrupt(&path, error))?;
    files::replace(&path, &bytes, 0o600).call(|| format!("write {}", path.display()))
}
