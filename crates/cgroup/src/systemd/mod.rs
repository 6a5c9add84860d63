//! The systemd driver: a container's groups are a transient unit, made and removed by systemd over
//! D-Bus.
//!
//! systemd owns the unit's own group, the container what is below it (`Delegate=`; systemd's
//! CGROUP_DELEGATION document). A scope cannot be without a process, so it is started with the
//! container's first one, which waits meanwhile. Limits are told to systemd as properties and then
//! written into the files as by the cgroupfs driver, since systemd does not know all of them.

mod annotation;
mod bus;
mod devices;
mod name;
mod resources;
mod value;
mod wire;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use crate::cgroup::{Cgroup, Driver, Group, Options};
use crate::controller::Controller;
use crate::devices::DeviceRule;
use crate::error::{Error, Result};
use crate::hierarchies::{Hierarchies, Mode};
use crate::{location, owner};
use bus::Bus;
use name::Place;
pub(crate) use resources::has_weight;
use value::{Property, Value};

/// The start of a unit that exists already.
const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";

/// A unit that is a container's group, as the container's state remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// It is the user's manager's, not the system's.
    #[serde(default)]
    pub user: bool,
}

/// What `linux.cgroupsPath`, the annotations and the caller say about a container's unit.
#[derive(Clone, Copy, Debug)]
pub struct UnitRequest<'a> {
    /// `linux.cgroupsPath`: `SLICE:PREFIX:NAME`.
    pub cgroups_path: Option<&'a Path>,
    /// The container's id, its name where there is no path.
    pub id: &'a str,
    /// The container's annotations, of which `org.systemd.property.*` are the unit's.
    pub annotations: Option<&'a HashMap<String, String>>,
    /// Who shall own the group: the uid of a container that may make groups of its own.
    pub owner: Option<u32>,
}

/// A unit, and the connection to its manager.
#[derive(Clone, Debug)]
pub(crate) struct Systemd {
    unit: Unit,
    /// What the unit is to be started with, in the process that makes the container.
    birth: Option<Birth>,
    /// Made when first needed.
    bus: Rc<RefCell<Option<Bus>>>,
}

#[derive(Clone, Debug)]
struct Birth {
    place: Place,
    properties: Vec<Property>,
    owner: Option<u32>,
}

/// Whether the host was booted with systemd (sd_booted(3)).
fn is_running() -> bool {
    std::fs::symlink_metadata("/run/systemd/system").is_ok_and(|metadata| metadata.is_dir())
}

/// Whether the caller's systemd is a user's manager: not for root, unless root of a user namespace that
/// the bus of the session knows under another uid.
pub fn is_users() -> bool {
    if !nix::unistd::geteuid().is_root() {
        return true;
    }
    crate::devices::in_user_ns()
        && Bus::connect(true).and_then(|mut bus| bus.own_uid()).is_ok_and(|uid| uid != 0)
}

impl Systemd {
    pub(crate) fn of(unit: Unit) -> Self {
        Self { unit, birth: None, bus: Rc::default() }
    }

    /// The unit.
    pub(crate) fn unit(&self) -> &Unit {
        &self.unit
    }

    fn with_bus<T>(&self, action: impl FnOnce(&mut Bus) -> Result<T>) -> Result<T> {
        let mut bus = self.bus.borrow_mut();
        match bus.as_mut() {
            Some(bus) => action(bus),
            None => action(bus.insert(Bus::connect(self.unit.user)?)),
        }
    }

    /// Starts the unit with the process and waits until it is there.
    fn start(&self, pid: i32, resources: &LinuxResources) -> Result<()> {
        let Some(birth) = &self.birth else { return Ok(()) };
        let unit = &self.unit.name;
        self.with_bus(|bus| {
            let mut properties = birth.properties.clone();
            properties.push(Property::new("PIDs", Value::pid(pid)));
            properties.extend(resources::oom_policy(resources, bus.version()));
            let arguments = [
                Value::text(unit),
                Value::text("replace"),
                Property::list(&properties),
                // Auxiliary units.
                Value::Array("(sa(sv))".to_owned(), Vec::new()),
            ];
            let mut start = || bus.job("StartTransientUnit", &arguments);
            let started = match start() {
                Err(Error::BusReply { name, .. }) if name == UNIT_EXISTS => {
                    // Perhaps the remains of one that failed: without them the name is free.
                    reset_failed(bus, unit);
                    bus.job("StartTransientUnit", &arguments)
                }
                started => started,
            };
            match started? {
                Some(result) if result == "done" => Ok(()),
                result => {
                    reset_failed(bus, unit);
                    Err(Error::UnitJob { unit: unit.clone(), result })
                }
            }
        })
        .map_err(|cause| Error::StartUnit { unit: unit.clone(), cause: Box::new(cause) })
    }

    /// Stops the unit and waits until it is gone. One that is gone already is fine.
    pub(crate) fn stop(&self) -> Result<()> {
        let unit = &self.unit.name;
        let stopped = self.with_bus(|bus| {
            let stopped = bus.job("StopUnit", &[Value::text(unit), Value::text("replace")]);
            // A failed unit stays until somebody has taken notice.
            reset_failed(bus, unit);
            stopped
        });
        match stopped {
            Ok(Some(result)) if result == "done" => Ok(()),
            Ok(Some(result)) => {
                tracing::warn!("error removing unit `{unit}`: got `{result}`. Continuing...");
                Ok(())
            }
            Ok(None) => Err(Error::UnitStays(unit.clone())),
            Err(Error::BusReply { text, .. }) => {
                tracing::debug!("stopping unit {unit}: {text}");
                Ok(())
            }
            Err(error) => {
                // Without systemd the groups can still be removed, as the next step does.
                tracing::warn!("stopping unit {unit}: {error}");
                Ok(())
            }
        }
    }

    /// Sets properties of the running unit, until it ends.
    fn set(&self, properties: impl FnOnce(u32) -> Result<Vec<Property>>) -> Result<()> {
        self.with_bus(|bus| {
            let properties = properties(bus.version())?;
            if properties.is_empty() {
                return Ok(());
            }
            let arguments =
                [Value::text(&self.unit.name), Value::Bool(true), Property::list(&properties)];
            let set = bus.manager("SetUnitProperties", &arguments).map(drop);
            set.map_err(|error| Error::UnitProperties(Box::new(error)))
        })
    }

    /// Tells systemd the limits. Returns those to be written into the files.
    pub(crate) fn set_limits<'a>(
        &self,
        mode: Mode,
        resources: &'a LinuxResources,
    ) -> Result<Cow<'a, LinuxResources>> {
        let mut files = Cow::Borrowed(resources);
        self.set(|version| {
            files = resources::for_files(resources, version);
            resources::properties(mode, resources, version)
        })?;
        Ok(files)
    }

    pub(crate) fn set_devices(&self, rules: &[DeviceRule]) -> Result<()> {
        self.set(|version| devices::properties(rules, version))
    }
}

fn reset_failed(bus: &mut Bus, unit: &str) {
    if let Err(error) = bus.manager("ResetFailedUnit", &[Value::text(unit)]) {
        tracing::debug!("resetting failed unit {unit}: {error}");
    }
}

impl Birth {
    fn new(request: &UnitRequest<'_>, mode: Mode, user: bool) -> Result<Self> {
        let place = Place::new(request.cgroups_path, request.id, user)?;
        let yes = |name| Property::new(name, Value::Bool(true));
        let description = format!("libcontainer container {}", place.container);
        let mut properties = vec![Property::new("Description", Value::text(description))];
        if place.unit.ends_with(".slice") {
            // A slice's parent is said by its name.
            properties.push(Property::new("Wants", Value::texts(&[&place.slice])));
        } else {
            properties.push(Property::new("Slice", Value::text(&place.slice)));
            properties.push(yes("Delegate"));
        }
        let io = match mode {
            Mode::V1 => "BlockIOAccounting",
            Mode::V2 => "IOAccounting",
        };
        properties.extend(["MemoryAccounting", "CPUAccounting", io, "TasksAccounting"].map(yes));
        properties.push(Property::new("DefaultDependencies", Value::Bool(false)));
        if let Some(annotations) = request.annotations {
            properties.extend(annotation::properties(annotations)?);
        }
        Ok(Self { place, properties, owner: request.owner })
    }
}

impl Cgroup {
    /// The groups of a container whose driver is systemd. They come into being with
    /// [`Cgroup::start_unit`]. `options.rootless` asks for the user's manager.
    ///
    /// # Errors
    ///
    /// [`Error::NoSystemd`], [`Error::SystemdPath`], [`Error::SliceName`], [`Error::UnitName`],
    /// [`Error::Annotation`], [`Error::UsersV1`], and for a user [`Error::BusConnect`].
    pub fn of_unit(
        hierarchies: &Hierarchies,
        request: &UnitRequest<'_>,
        options: Options,
    ) -> Result<Self> {
        if !is_running() {
            return Err(Error::NoSystemd);
        }
        let user = options.rootless;
        if user && hierarchies.mode() == Mode::V1 {
            return Err(Error::UsersV1);
        }
        let birth = Birth::new(request, hierarchies.mode(), user)?;
        let path = birth.place.path();
        let unit = Unit { name: birth.place.unit.clone(), user };
        let systemd = Systemd { birth: Some(birth), ..Systemd::of(unit) };
        let base = match user {
            // Where the user's manager lives.
            true => systemd.with_bus(|bus| bus.manager_property("ControlGroup"))?,
            false => String::new(),
        };
        let path = Path::new("/").join(location::clean(Path::new(&base))).join(path);
        Ok(Self {
            groups: location::locate(hierarchies, Some(&path), request.id)?,
            driver: Driver::Systemd(systemd),
            mode: hierarchies.mode(),
            options,
            explicit: true,
            denied: Vec::new(),
            created: Vec::new(),
        })
    }

    /// The systemd unit that the groups are, if systemd is the driver.
    pub fn unit(&self) -> Option<&Unit> {
        match &self.driver {
            Driver::Systemd(systemd) => Some(systemd.unit()),
            Driver::Cgroupfs => None,
        }
    }

    /// Starts the container's unit with `pid`, its first process, which must wait meanwhile. Nothing without a unit.
    ///
    /// # Errors
    ///
    /// [`Error::StartUnit`] with the cause.
    pub fn start_unit(&self, pid: i32, resources: &LinuxResources) -> Result<()> {
        match &self.driver {
            Driver::Systemd(systemd) => systemd.start(pid, resources),
            Driver::Cgroupfs => Ok(()),
        }
    }

    /// Makes what systemd does not of the groups of a unit that was started, and puts `pid` there.
    ///
    /// # Errors
    ///
    /// [`Error::Path`], [`Error::Threaded`], [`Error::AddProcess`].
    pub fn complete_unit(&mut self, pid: i32, resources: &LinuxResources) -> Result<()> {
        let Driver::Systemd(systemd) = self.driver.clone() else { return Ok(()) };
        match self.mode {
            Mode::V1 => self.join_others(pid, resources),
            Mode::V2 => {
                self.complete_unified(resources)?;
                let owner = systemd.birth.as_ref().and_then(|birth| birth.owner);
                match (owner, self.dir(Controller::Unified)) {
                    (Some(owner), Some(dir)) => owner::give(dir, owner),
                    _ => Ok(()),
                }
            }
        }
    }

    /// v1: systemd moves the process in the hierarchies that it uses itself.
    fn join_others(&mut self, pid: i32, resources: &LinuxResources) -> Result<()> {
        let theirs = [Controller::Systemd, Controller::Unified];
        let groups: Vec<Group> = self
            .groups
            .iter()
            .filter(|group| !group.controllers.iter().any(|own| theirs.contains(own)))
            .cloned()
            .collect();
        for group in groups {
            self.make_group(&group, resources)?;
            crate::procs::add(&group.dir, pid)
                .map_err(|cause| Error::AddProcess { pid, cause: Box::new(cause) })?;
        }
        Ok(())
    }

    /// Lets the unit's manager move a process into the unit, or the group `sub` below it: without
    /// privilege a process from outside of the manager's groups cannot be moved in by its owner
    /// (cgroups(7), "Cgroups v2 delegation").
    ///
    /// # Errors
    ///
    /// [`Error::AddProcess`].
    pub fn attach_to_unit(&self, pid: i32, sub: &crate::SubCgroups) -> Result<()> {
        let Driver::Systemd(systemd) = &self.driver else { return Ok(()) };
        let inside = |dir: PathBuf| {
            let base = self.dir(Controller::Unified)?;
            Some(Path::new("/").join(dir.strip_prefix(base).ok()?))
        };
        let sub = self.sub_dirs(sub)?.into_iter().find_map(inside).unwrap_or_default();
        let arguments =
            [Value::text(&systemd.unit.name), Value::text(sub.to_string_lossy()), Value::pid(pid)];
        let attached = systemd.with_bus(|bus| bus.manager("AttachProcessesToUnit", &arguments));
        attached.map(drop).map_err(|cause| Error::AddProcess { pid, cause: Box::new(cause) })
    }

    /// Runs `action` where systemd is the driver.
    ///
    /// On v1 systemd takes away every device for a moment whenever it sets properties, so the
    /// container stands still meanwhile. Without a freezer it has to take that.
    pub(crate) fn tell_systemd<T>(
        &self,
        action: impl FnOnce(&Systemd) -> Result<T>,
    ) -> Result<Option<T>> {
        let Driver::Systemd(systemd) = &self.driver else { return Ok(None) };
        let freezes = self.mode == Mode::V1
            && self.dir(Controller::Freezer).is_some()
            && !self.is_frozen()?;
        if freezes {
            // A bus that cannot be reached is noticed before the container stands still.
            systemd.with_bus(|bus| Ok(bus.version()))?;
            self.freeze()?;
        }
        let result = action(systemd);
        if freezes && let Err(error) = self.thaw() {
            tracing::warn!("thaw container after setting unit properties: {error}");
        }
        result.map(Some)
    }
}
