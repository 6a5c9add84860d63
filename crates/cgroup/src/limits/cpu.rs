//! `linux.resources.cpu` without the cpuset.

use nix::errno::Errno;
use oci_spec::runtime::LinuxCpu;

use super::{Files, set};
use crate::error::{Error, Result};

/// The kernel's bounds for `cpu.shares`, which it applies silently (kernel/sched/sched.h).
const SHARES: std::ops::RangeInclusive<u64> = 2..=(1 << 18);
/// `cpu.max`'s period when only the quota is given, µs.
pub(crate) const DEFAULT_PERIOD: u64 = 100_000;

/// Whether a value is set that needs v2's cpu controller.
pub(super) fn any(cpu: &LinuxCpu) -> bool {
    set(cpu.shares()).is_some()
        || set(cpu.quota()).is_some()
        || set(cpu.period()).is_some()
        || cpu.idle().is_some()
        || cpu.burst().is_some()
}

/// v1: Documentation/scheduler/sched-bwc.rst, sched-design-CFS.rst, sched-rt-group.rst.
pub(super) fn set_v1(files: &Files<'_>, cpu: &LinuxCpu) -> Result<()> {
    if let Some(shares) = set(cpu.shares()) {
        if shares > *SHARES.end() {
            let what = format!("the maximum allowed cpu-shares is {}", SHARES.end());
            return Err(Error::invalid("cpu.shares", what));
        }
        if shares < *SHARES.start() {
            let what = format!("the minimum allowed cpu-shares is {}", SHARES.start());
            return Err(Error::invalid("cpu.shares", what));
        }
        files.write_number("cpu.shares", shares)?;
    }
    set_bandwidth_v1(files, cpu)?;
    if let Some(idle) = cpu.idle() {
        files.write_number("cpu.idle", idle)?;
    }
    set_realtime_v1(files, cpu)
}

/// Period, burst and quota check one another and the quota of the group above, and the value
/// before matters: a period or a burst that the kernel rejects with the old quota is written
/// again with the new one.
fn set_bandwidth_v1(files: &Files<'_>, cpu: &LinuxCpu) -> Result<()> {
    let quota = set(cpu.quota());
    let attempt = |name, value: Option<u64>| -> Result<Option<u64>> {
        let Some(number) = value else { return Ok(None) };
        match files.write_number(name, number) {
            Err(error) if error.errno() == Some(Errno::EINVAL) && quota.is_some() => Ok(value),
            result => result.map(|()| None),
        }
    };
    let period = attempt("cpu.cfs_period_us", set(cpu.period()))?;
    let burst = match attempt("cpu.cfs_burst_us", cpu.burst()) {
        // Kernels before 5.14 have no burst, and runc goes on without.
        Err(error) if error.errno() == Some(Errno::ENOENT) => None,
        result => result?,
    };
    if let Some(quota) = quota {
        files.write_number("cpu.cfs_quota_us", quota)?;
        if let Some(period) = period {
            files.write_number("cpu.cfs_period_us", period)?;
        }
        if let Some(burst) = burst {
            files.write_number("cpu.cfs_burst_us", burst)?;
        }
    }
    Ok(())
}

/// Period and runtime depend on one another in the same way.
fn set_realtime_v1(files: &Files<'_>, cpu: &LinuxCpu) -> Result<()> {
    let runtime = set(cpu.realtime_runtime());
    let mut again = None;
    if let Some(period) = set(cpu.realtime_period()) {
        match files.write_number("cpu.rt_period_us", period) {
            Err(error) if error.errno() == Some(Errno::EINVAL) && runtime.is_some() => {
                again = Some(period);
            }
            result => result?,
        }
    }
    if let Some(runtime) = runtime {
        files.write_number("cpu.rt_runtime_us", runtime)?;
    }
    again.map_or(Ok(()), |period| files.write_number("cpu.rt_period_us", period))
}

/// v2: Documentation/admin-guide/cgroup-v2.rst. There is no real-time limit, and runc ignores it.
pub(super) fn set_v2(files: &Files<'_>, cpu: &LinuxCpu) -> Result<()> {
    if let Some(idle) = cpu.idle() {
        files.write_number("cpu.idle", idle)?;
    }
    if let Some(shares) = set(cpu.shares()) {
        files.write_number("cpu.weight", weight(shares))?;
    }
    let (quota, period) = (set(cpu.quota()), set(cpu.period()));
    let mut again = None;
    if let Some(burst) = cpu.burst() {
        match files.write_number("cpu.max.burst", burst) {
            Err(error) if error.errno() == Some(Errno::EINVAL) && quota.is_some() => {
                again = Some(burst);
            }
            result => result?,
        }
    }
    if quota.is_some() || period.is_some() {
        let period = period.unwrap_or(DEFAULT_PERIOD);
        match quota.filter(|quota| *quota > 0) {
            Some(quota) => files.write("cpu.max", &format!("{quota} {period}"))?,
            None => files.write("cpu.max", &format!("max {period}"))?,
        }
    }
    again.map_or(Ok(()), |burst| files.write_number("cpu.max.burst", burst))
}

/// v2: the kernel takes no weight for an idle group (kernel/sched/fair.c, `sched_group_set_shares`).
pub(super) fn end_idle(files: &Files<'_>) -> Result<()> {
    // Without the file (before Linux 5.15) no group is idle.
    match files.read_number("cpu.idle") {
        Ok(1) => files.write("cpu.idle", "0"),
        _ => Ok(()),
    }
}

/// v1 shares (2 to 262144, default 1024) as a v2 weight (1 to 10000, default 100): runc's curve
/// through minimum, default and maximum, `10^((l² + 125 l) / 612 - 7 / 34)` with l = log2(shares).
pub(crate) fn weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_to_weight() {
        for (shares, expected) in [
            (0, 1),
            (2, 1),
            (3, 2),
            (100, 17),
            (200, 29),
            (1024, 100),
            (3333, 256),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(weight(shares), expected, "{shares}");
        }
    }
}
