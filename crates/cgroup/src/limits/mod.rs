//! `linux.resources` without the devices: which value goes into which file.
//!
//! As in runc a value of zero means "not set" for most fields: engines write zero for fields they
//! have no opinion about. Exceptions are noted where they are handled.

mod blkio;
mod cpu;
mod memory;
mod scalar;
mod unified;

pub(crate) use cpu::{DEFAULT_PERIOD, weight};
pub(crate) use memory::swap_v2;

use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;

use crate::cgroup::Cgroup;
use crate::controller::Controller;
use crate::devices::DeviceRule;
use crate::error::{Error, Result};
use crate::file;
use crate::hierarchies::Mode;

impl Cgroup {
    /// Writes all limits of `linux.resources`: memory, cpu, cpuset, pids, block I/O, huge pages,
    /// network class and priority, RDMA and `unified`. Only values that are set are written, so
    /// this is also what `update` calls. Devices are [`Cgroup::set_devices`].
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] for a limit whose hierarchy is not mounted or not permitted,
    /// [`Error::Write`] when the kernel refuses a value, [`Error::UnifiedOnV1`],
    /// [`Error::MemoryInUse`], [`Error::Invalid`].
    pub fn set_limits(&self, resources: &LinuxResources) -> Result<()> {
        self.check(resources)?;
        let told = self.tell_systemd(|systemd| systemd.set_limits(self.mode, resources))?;
        if let Some(told) = &told
            && self.mode == Mode::V2
            && crate::systemd::has_weight(told)
        {
            // As systemd does, perhaps a moment later.
            cpu::end_idle(&self.files(Controller::Cpu))?;
        }
        let resources = told.as_deref().unwrap_or(resources);
        match self.mode {
            Mode::V1 => self.set_limits_v1(resources),
            Mode::V2 => self.set_limits_v2(resources),
        }
    }

    /// What must be known before anything is set.
    fn check(&self, resources: &LinuxResources) -> Result<()> {
        match self.mode {
            Mode::V1 if resources.unified().as_ref().is_some_and(|unified| !unified.is_empty()) => {
                Err(Error::UnifiedOnV1)
            }
            Mode::V1 => Ok(()),
            Mode::V2 => resources.memory().map_or(Ok(()), |memory| {
                memory::check_v2(&self.files(Controller::Memory), &memory)
            }),
        }
    }

    /// [`Cgroup::set_limits`] and [`Cgroup::set_devices`] in one.
    pub fn apply(&self, resources: &LinuxResources, devices: &[DeviceRule]) -> Result<()> {
        self.set_limits(resources)?;
        self.set_devices(devices)
    }

    fn set_limits_v1(&self, resources: &LinuxResources) -> Result<()> {
        if let Some(cpu) = resources.cpu() {
            scalar::set_cpuset(&self.files(Controller::Cpuset), cpu)?;
        }
        if let Some(memory) = resources.memory() {
            memory::set_v1(&self.files(Controller::Memory), memory)?;
        }
        if let Some(cpu) = resources.cpu() {
            cpu::set_v1(&self.files(Controller::Cpu), cpu)?;
        }
        if let Some(pids) = resources.pids() {
            scalar::set_pids(&self.files(Controller::Pids), pids)?;
        }
        if let Some(block_io) = resources.block_io() {
            blkio::set_v1(&self.files(Controller::Blkio), block_io)?;
        }
        if let Some(limits) = resources.hugepage_limits() {
            let files = self.files(Controller::Hugetlb);
            scalar::set_hugetlb(&files, limits, "limit_in_bytes")?;
        }
        if let Some(network) = resources.network() {
            scalar::set_net_cls(&self.files(Controller::NetCls), network)?;
            scalar::set_net_prio(&self.files(Controller::NetPrio), network)?;
        }
        if let Some(rdma) = resources.rdma() {
            scalar::set_rdma(&self.files(Controller::Rdma), rdma)?;
        }
        Ok(())
    }

    fn set_limits_v2(&self, resources: &LinuxResources) -> Result<()> {
        // v2 has no network controllers, and runc ignores linux.resources.network there: engines
        // pass one configuration to both.
        if let Some(pids) = resources.pids() {
            scalar::set_pids(&self.files(Controller::Pids), pids)?;
        }
        if let Some(memory) = resources.memory() {
            memory::set_v2(&self.files(Controller::Memory), memory)?;
        }
        if let Some(block_io) = resources.block_io() {
            blkio::set_v2(&self.files(Controller::Blkio), block_io)?;
        }
        if let Some(cpu) = resources.cpu() {
            cpu::set_v2(&self.files(Controller::Cpu), cpu)?;
            scalar::set_cpuset(&self.files(Controller::Cpuset), cpu)?;
        }
        if let Some(limits) = resources.hugepage_limits() {
            scalar::set_hugetlb(&self.files(Controller::Hugetlb), limits, "max")?;
        }
        if let Some(rdma) = resources.rdma() {
            scalar::set_rdma(&self.files(Controller::Rdma), rdma)?;
        }
        if let Some(unified) = resources.unified() {
            unified::set(&self.files(Controller::Unified), unified)?;
        }
        Ok(())
    }

    fn files(&self, controller: Controller) -> Files<'_> {
        Files { controller, dir: self.dir(controller) }
    }
}

/// A controller's files, should the container have a group for it.
pub(crate) struct Files<'a> {
    controller: Controller,
    dir: Option<&'a Path>,
}

impl Files<'_> {
    fn path(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.ok_or(Error::Unavailable(self.controller))?;
        Ok(dir.join(name))
    }

    fn write(&self, name: &str, value: &str) -> Result<()> {
        file::write(&self.path(name)?, value)
    }

    fn write_number(&self, name: &str, value: impl std::fmt::Display) -> Result<()> {
        self.write(name, &value.to_string())
    }

    /// The number in a file; `max` and what does not fit are the highest there is.
    fn read_number(&self, name: &str) -> Result<u64> {
        let path = self.path(name)?;
        let text = file::read_value(&path)?;
        crate::stats::parse::number(&text).ok_or_else(|| Error::malformed(path, text))
    }
}

/// `-1` and absent values are both "nothing to say" in a field where zero is as well.
pub(crate) fn set<T: Default + PartialEq>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

/// Whether a limit is set that a v2 controller would have to enforce.
pub(crate) fn any(resources: &LinuxResources) -> bool {
    let cpu = resources.cpu().as_ref();
    let filled = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
    resources.pids().is_some()
        || any_domain(resources)
        || cpu.is_some_and(|cpu| filled(cpu.cpus()) || filled(cpu.mems()))
}

/// Whether a limit is set that a threaded v2 group cannot have (cgroups(7), "Thread mode").
pub(crate) fn any_domain(resources: &LinuxResources) -> bool {
    let memory = resources.memory().is_some_and(|memory| {
        let values = [memory.reservation(), memory.limit(), memory.swap()];
        values.into_iter().any(|value| set(value).is_some())
    });
    memory
        || resources.block_io().as_ref().is_some_and(blkio::any)
        || resources.cpu().as_ref().is_some_and(cpu::any)
        || resources.hugepage_limits().as_ref().is_some_and(|limits| !limits.is_empty())
}

#[cfg(test)]
mod tests;
