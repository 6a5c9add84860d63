//! The controllers with a value or a line for each limit: cpuset, pids, hugetlb, net_cls,
//! net_prio, rdma.

use std::collections::HashMap;

use nix::errno::Errno;
use oci_spec::runtime::{LinuxCpu, LinuxHugepageLimit, LinuxNetwork, LinuxPids, LinuxRdma};

use super::{Files, set};
use crate::error::{Error, Result};
use crate::{cpuset, file};

/// `cpus` and `mems`, both modes.
pub(super) fn set_cpuset(files: &Files<'_>, cpu: &LinuxCpu) -> Result<()> {
    for (name, value) in [("cpus", cpu.cpus()), ("mems", cpu.mems())] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            let dir = files.path("")?;
            cpuset::with_file(&dir, name, |path| file::write(path, value))?;
        }
    }
    Ok(())
}

/// Both modes. Negative is no limit; zero is 1, which for a group that has its first process
/// already is the same, because systemd does not know zero.
pub(super) fn set_pids(files: &Files<'_>, pids: &LinuxPids) -> Result<()> {
    match pids.limit() {
        ..0 => files.write("pids.max", "max"),
        limit => files.write_number("pids.max", limit.max(1)),
    }
}

/// `suffix` is the mode's name for a limit. The limit on reservations (Linux 5.7) goes along.
pub(super) fn set_hugetlb(
    files: &Files<'_>,
    limits: &[LinuxHugepageLimit],
    suffix: &str,
) -> Result<()> {
    for limit in limits {
        let size = limit.page_size();
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Error::invalid(
                "hugepageLimits",
                format!("page size {size:?} is not of the form 2MB"),
            ));
        }
        files.write_number(&format!("hugetlb.{size}.{suffix}"), limit.limit())?;
        match files.write_number(&format!("hugetlb.{size}.rsvd.{suffix}"), limit.limit()) {
            Err(error) if error.errno() == Some(Errno::ENOENT) => {}
            result => result?,
        }
    }
    Ok(())
}

/// v1 only.
pub(super) fn set_net_cls(files: &Files<'_>, network: &LinuxNetwork) -> Result<()> {
    set(network.class_id()).map_or(Ok(()), |id| files.write_number("net_cls.classid", id))
}

/// v1 only.
pub(super) fn set_net_prio(files: &Files<'_>, network: &LinuxNetwork) -> Result<()> {
    for priority in network.priorities().as_deref().unwrap_or_default() {
        let line = format!("{} {}", priority.name(), priority.priority());
        files.write("net_prio.ifpriomap", &line)?;
    }
    Ok(())
}

/// Both modes: `DEVICE hca_handle=N hca_object=N`.
pub(super) fn set_rdma(files: &Files<'_>, devices: &HashMap<String, LinuxRdma>) -> Result<()> {
    for (device, limits) in devices {
        let mut line = device.clone();
        if let Some(handles) = limits.hca_handles() {
            line.push_str(&format!(" hca_handle={handles}"));
        }
        if let Some(objects) = limits.hca_objects() {
            line.push_str(&format!(" hca_object={objects}"));
        }
        files.write("rdma.max", &line)?;
    }
    Ok(())
}
