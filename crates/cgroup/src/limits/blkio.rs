//! `linux.resources.blockIO`.

use nix::errno::Errno;
use oci_spec::runtime::{LinuxBlockIo, LinuxThrottleDevice, LinuxWeightDevice};

use super::{Files, set};
use crate::error::Result;
use crate::file;

/// Whether a value is set that needs v2's io controller.
pub(super) fn any(block_io: &LinuxBlockIo) -> bool {
    set(block_io.weight()).is_some()
        || !weights(block_io).is_empty()
        || throttles(block_io).iter().any(|(_, _, devices)| !devices.is_empty())
}

fn weights(block_io: &LinuxBlockIo) -> &[LinuxWeightDevice] {
    block_io.weight_device().as_deref().unwrap_or_default()
}

/// v1 file, v2 key and devices of each kind of throttling.
fn throttles(block_io: &LinuxBlockIo) -> [(&str, &str, &[LinuxThrottleDevice]); 4] {
    fn list(devices: &Option<Vec<LinuxThrottleDevice>>) -> &[LinuxThrottleDevice] {
        devices.as_deref().unwrap_or_default()
    }
    [
        ("read_bps", "rbps", list(block_io.throttle_read_bps_device())),
        ("write_bps", "wbps", list(block_io.throttle_write_bps_device())),
        ("read_iops", "riops", list(block_io.throttle_read_iops_device())),
        ("write_iops", "wiops", list(block_io.throttle_write_iops_device())),
    ]
}

/// v1: Documentation/admin-guide/cgroup-v1/blkio-controller.rst.
pub(super) fn set_v1(files: &Files<'_>, block_io: &LinuxBlockIo) -> Result<()> {
    if let Some(weight) = set(block_io.weight()) {
        write_weight_v1(files, "weight", &weight.to_string())?;
    }
    if let Some(weight) = set(block_io.leaf_weight()) {
        files.write_number("blkio.leaf_weight", weight)?;
    }
    for device in weights(block_io) {
        let line = |weight| format!("{}:{} {weight}", device.major(), device.minor());
        if let Some(weight) = set(device.weight()) {
            write_weight_v1(files, "weight_device", &line(weight))?;
        }
        if let Some(weight) = set(device.leaf_weight()) {
            files.write("blkio.leaf_weight_device", &line(weight))?;
        }
    }
    for (name, _, devices) in throttles(block_io) {
        for device in devices {
            let line = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            files.write(&format!("blkio.throttle.{name}_device"), &line)?;
        }
    }
    Ok(())
}

/// CFQ's files lost their place to BFQ's in Linux 5.0.
fn write_weight_v1(files: &Files<'_>, name: &str, value: &str) -> Result<()> {
    match files.write(&format!("blkio.{name}"), value) {
        Err(error) if error.errno() == Some(Errno::ENOENT) => {
            files.write(&format!("blkio.bfq.{name}"), value)
        }
        result => result,
    }
}

/// v2: Documentation/admin-guide/cgroup-v2.rst. Leaf weights do not exist there.
pub(super) fn set_v2(files: &Files<'_>, block_io: &LinuxBlockIo) -> Result<()> {
    if let Some(weight) = set(block_io.weight()) {
        match files.write_number("io.bfq.weight", weight) {
            Err(error) if error.errno() == Some(Errno::ENOENT) => {
                files.write_number("io.weight", io_weight(weight))?;
            }
            result => result?,
        }
    }
    let weights = weights(block_io);
    if !weights.is_empty() && has_device_weights(files)? {
        for device in weights {
            let weight = device.weight().unwrap_or(0);
            let line = format!("{}:{} {weight}\n", device.major(), device.minor());
            files.write("io.bfq.weight", &line)?;
        }
    }
    for (_, key, devices) in throttles(block_io) {
        for device in devices {
            let line = format!("{}:{} {key}={}", device.major(), device.minor(), device.rate());
            files.write("io.max", &line)?;
        }
    }
    Ok(())
}

/// BFQ has weights by device since Linux 5.4; its file is then a list instead of one number.
/// Without BFQ runc leaves these weights out as well: `io.weight` only serves the iocost policy,
/// which must be set up for each device first.
fn has_device_weights(files: &Files<'_>) -> Result<bool> {
    match file::read_value(&files.path("io.bfq.weight")?) {
        Ok(text) => Ok(text.parse::<u64>().is_err()),
        Err(error) if error.errno() == Some(Errno::ENOENT) => {
            tracing::warn!("linux.resources.blockIO.weightDevice needs the BFQ scheduler");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// v1's weight (10 to 1000) on v2's scale (1 to 10000), linearly.
fn io_weight(weight: u16) -> u64 {
    1 + u64::from(weight).saturating_sub(10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_on_both_scales() {
        for (weight, expected) in [(0, 1), (10, 1), (100, 910), (750, 7475), (1000, 10_000)] {
            assert_eq!(io_weight(weight), expected, "{weight}");
        }
    }
}
