//! `linux.resources.memory`.

use nix::errno::Errno;
use oci_spec::runtime::LinuxMemory;

use super::{Files, set};
use crate::error::{Error, Result};

const LIMIT: &str = "memory.limit_in_bytes";
const SWAP: &str = "memory.memsw.limit_in_bytes";

/// v1: Documentation/admin-guide/cgroup-v1/memory.rst. `swap` is memory plus swap there as in the
/// specification.
pub(super) fn set_v1(files: &Files<'_>, memory: &LinuxMemory) -> Result<()> {
    warn_kernel_memory(memory);
    set_limits_v1(files, set(memory.limit()), set(memory.swap()))?;
    if let Some(reservation) = set(memory.reservation()) {
        files.write_number("memory.soft_limit_in_bytes", reservation)?;
    }
    if memory.disable_oom_killer() == Some(true) {
        files.write("memory.oom_control", "1")?;
    }
    match memory.swappiness() {
        // Docker writes -1, unsigned, for "not set".
        None | Some(u64::MAX) => Ok(()),
        Some(value @ 0..=100) => files.write_number("memory.swappiness", value),
        Some(value) => Err(Error::invalid(
            "memory.swappiness",
            format!("invalid memory swappiness value: {value} (valid range is 0-100)"),
        )),
    }
}

fn set_limits_v1(files: &Files<'_>, limit: Option<i64>, swap: Option<i64>) -> Result<()> {
    // No limit on memory is none on memory plus swap, if the kernel accounts for swap at all.
    let swap = match (limit, swap) {
        (Some(-1), None) if files.path(SWAP)?.exists() => Some(-1),
        (_, swap) => swap,
    };
    let set_swap = || swap.map_or(Ok(()), |swap| files.write_number(SWAP, swap));
    let set_limit = || limit.map_or(Ok(()), |limit| set_limit_v1(files, limit));
    // The kernel holds the limit at or below that of memory plus swap, at every step: going up,
    // memory plus swap must go first.
    if let (Some(_), Some(swap)) = (limit, swap) {
        let current = files.read_number(LIMIT)?;
        if u64::try_from(swap).map_or(true, |swap| current < swap) {
            set_swap()?;
            return set_limit();
        }
    }
    set_limit()?;
    set_swap()
}

fn set_limit_v1(files: &Files<'_>, limit: i64) -> Result<()> {
    match files.write_number(LIMIT, limit) {
        Err(error) if error.errno() == Some(Errno::EBUSY) => Err(Error::MemoryInUse {
            limit,
            usage: files.read_number("memory.usage_in_bytes")?,
            peak: files.read_number("memory.max_usage_in_bytes")?,
        }),
        result => result,
    }
}

/// v2: Documentation/admin-guide/cgroup-v2.rst. Swap is a limit of its own there.
pub(super) fn set_v2(files: &Files<'_>, memory: &LinuxMemory) -> Result<()> {
    warn_kernel_memory(memory);
    let (limit, total) = (set(memory.limit()), set(memory.swap()));
    if let Some(swap) = swap_v2(total, limit)? {
        match files.write("memory.swap.max", &text_v2(swap)) {
            // Without swap accounting there is neither a limit to lift nor swap to forbid.
            Err(error) if error.errno() == Some(Errno::ENOENT) && swap <= 0 => {}
            result => result?,
        }
    }
    if let Some(limit) = limit {
        files.write("memory.max", &text_v2(limit))?;
    }
    if let Some(reservation) = set(memory.reservation()) {
        files.write("memory.low", &text_v2(reservation))?;
    }
    Ok(())
}

fn text_v2(bytes: i64) -> String {
    match bytes {
        -1 => "max".to_owned(),
        bytes => bytes.to_string(),
    }
}

/// The swap limit of v2 from the limit of memory plus swap. `None`: leave it.
pub(crate) fn swap_v2(total: Option<i64>, limit: Option<i64>) -> Result<Option<i64>> {
    let invalid = |what: String| Error::invalid("memory.swap", what);
    match (total, limit) {
        // As on v1, no limit on memory is none on swap.
        (None, Some(-1)) => Ok(Some(-1)),
        (None, _) => Ok(None),
        (Some(-1), _) => Ok(Some(-1)),
        (Some(total), Some(-1)) => Ok(Some(total)),
        (Some(_), None) => Err(invalid("unable to set swap limit without memory limit".to_owned())),
        (Some(_), Some(limit)) if limit < 0 => {
            Err(invalid(format!("invalid memory value: {limit}")))
        }
        (Some(total), Some(limit)) if total < limit => {
            Err(invalid("memory+swap limit should be >= memory limit".to_owned()))
        }
        (Some(total), Some(limit)) => Ok(Some(total - limit)),
    }
}

/// `checkBeforeUpdate`: v2 takes any limit and kills what does not fit.
pub(super) fn check_v2(files: &Files<'_>, memory: &LinuxMemory) -> Result<()> {
    match memory.check_before_update() {
        Some(true) => check_usage(files, set(memory.limit()), set(memory.swap())),
        _ => Ok(()),
    }
}

fn check_usage(files: &Files<'_>, limit: Option<i64>, total: Option<i64>) -> Result<()> {
    // Only a courtesy: a group whose use cannot be read has none.
    let Ok(usage) = files.read_number("memory.current") else { return Ok(()) };
    for (what, value) in [("memory+swap", total), ("memory", limit)] {
        let Some(limit) = value.filter(|limit| *limit > 0) else { continue };
        if u64::try_from(limit).is_ok_and(|limit| limit <= usage) {
            return Err(Error::BelowUsage { what, limit, usage });
        }
    }
    Ok(())
}

/// The kernel took these limits back in 5.4, and runc only warns as well.
fn warn_kernel_memory(memory: &LinuxMemory) {
    if memory.kernel().is_some() || memory.kernel_tcp().is_some() {
        tracing::warn!("Kernel memory settings are ignored and will be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_is_total_minus_limit() {
        for (total, limit, swap) in [
            (None, None, None),
            (None, Some(100), None),
            (None, Some(-1), Some(-1)),
            (Some(-1), None, Some(-1)),
            (Some(-1), Some(100), Some(-1)),
            (Some(300), Some(-1), Some(300)),
            (Some(300), Some(100), Some(200)),
            (Some(100), Some(100), Some(0)),
        ] {
            assert_eq!(swap_v2(total, limit).unwrap(), swap, "{total:?} {limit:?}");
        }
        for (total, limit) in
            [(Some(300), None), (Some(300), Some(-2)), (Some(100), Some(300)), (Some(-2), Some(1))]
        {
            assert!(swap_v2(total, limit).is_err(), "{total:?} {limit:?}");
        }
    }
}
