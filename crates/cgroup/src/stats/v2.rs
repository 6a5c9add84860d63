//! Statistics from the unified hierarchy.

use std::path::Path;

use nix::errno::Errno;

use super::parse::{self, number_file, optional, present};
use super::{Blkio, BlkioEntry, Cpu, Hugetlb, Memory, MemoryEntry, Pids, Pressure, Stats};
use crate::cgroup::Cgroup;
use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::file;

pub(super) fn read(cgroup: &Cgroup) -> Result<Stats> {
    let Some(dir) = cgroup.dir(Controller::Unified) else { return Ok(Stats::default()) };
    let mut stats = Stats {
        cpu: cpu(dir)?,
        memory: memory(dir)?,
        pids: pids(cgroup, dir)?,
        blkio: blkio(dir)?,
        ..Stats::default()
    };
    for size in super::huge_page_sizes() {
        if let Some(entry) = hugetlb(dir, &size)? {
            stats.hugetlb.insert(size, entry);
        }
    }
    Ok(stats)
}

/// Present without the cpu controller as well, in microseconds.
fn cpu(dir: &Path) -> Result<Cpu> {
    let stat = present(parse::keyed_file(&dir.join("cpu.stat")))?.unwrap_or_default();
    let number = |key: &str| stat.get(key).copied().unwrap_or(0);
    let nanoseconds = |key: &str| number(key).saturating_mul(1000);
    let mut cpu = Cpu { psi: pressure(&dir.join("cpu.pressure"))?, ..Cpu::default() };
    cpu.usage.total = nanoseconds("usage_usec");
    cpu.usage.user = nanoseconds("user_usec");
    cpu.usage.kernel = nanoseconds("system_usec");
    cpu.throttling.periods = number("nr_periods");
    cpu.throttling.throttled_periods = number("nr_throttled");
    cpu.throttling.throttled_time = nanoseconds("throttled_usec");
    Ok(cpu)
}

fn memory(dir: &Path) -> Result<Memory> {
    let mut memory = Memory { psi: pressure(&dir.join("memory.pressure"))?, ..Memory::default() };
    let Some(raw) = present(parse::keyed_file(&dir.join("memory.stat")))? else {
        return Ok(memory);
    };
    memory.cache = raw.get("file").copied().unwrap_or(0);
    memory.raw = raw;
    let Some(usage) = memory_entry(dir, "memory")? else { return Ok(memory) };
    // The schema is v1's: swap means memory plus swap. A peak of the sum is not known.
    let swap = memory_entry(dir, "memory.swap")?.unwrap_or_default();
    memory.swap = MemoryEntry {
        usage: swap.usage.saturating_add(usage.usage),
        limit: match swap.limit {
            u64::MAX => u64::MAX,
            limit => limit.saturating_add(usage.limit),
        },
        ..MemoryEntry::default()
    };
    memory.usage = usage;
    Ok(memory)
}

fn memory_entry(dir: &Path, prefix: &str) -> Result<Option<MemoryEntry>> {
    let path = |name: &str| dir.join(format!("{prefix}.{name}"));
    // The root group has no such files, and swap accounting is optional.
    let Some(usage) = optional(&path("current"))? else { return Ok(None) };
    Ok(Some(MemoryEntry {
        usage,
        limit: number_file(&path("max"))?,
        // Linux 5.19, for swap 6.5.
        max: optional(&path("peak"))?.unwrap_or(0),
        failcnt: 0,
    }))
}

/// Without the pids controller the processes are counted.
fn pids(cgroup: &Cgroup, dir: &Path) -> Result<Pids> {
    match optional(&dir.join("pids.current"))? {
        Some(current) => {
            let limit = optional(&dir.join("pids.max"))?.filter(|limit| *limit != u64::MAX);
            Ok(Pids { current, limit: limit.unwrap_or(0) })
        }
        None => {
            let current = present(cgroup.pids())?.unwrap_or_default().len();
            Ok(Pids { current: current as u64, limit: 0 })
        }
    }
}

fn blkio(dir: &Path) -> Result<Blkio> {
    let mut blkio = Blkio { psi: pressure(&dir.join("io.pressure"))?, ..Blkio::default() };
    let path = dir.join("io.stat");
    let Some(text) = present(file::read_text(&path))? else { return Ok(blkio) };
    let values = parse::io_stat(&text).map_err(|line| Error::malformed(path, line))?;
    for (major, minor, key, value) in values {
        let (list, op) = match key {
            "rbytes" => (&mut blkio.io_service_bytes_recursive, "Read"),
            "wbytes" => (&mut blkio.io_service_bytes_recursive, "Write"),
            "rios" => (&mut blkio.io_serviced_recursive, "Read"),
            "wios" => (&mut blkio.io_serviced_recursive, "Write"),
            // Discards and iocost have no place in v1's schema.
            _ => continue,
        };
        list.push(BlkioEntry { major, minor, op: op.to_owned(), value });
    }
    Ok(blkio)
}

/// Reservations where the kernel counts them (Linux 5.7), else faults. `None` without the
/// controller.
fn hugetlb(dir: &Path, size: &str) -> Result<Option<Hugetlb>> {
    let reserved = optional(&dir.join(format!("hugetlb.{size}.rsvd.current")))?;
    let usage = match reserved {
        Some(usage) => Some(usage),
        None => optional(&dir.join(format!("hugetlb.{size}.current")))?,
    };
    let Some(usage) = usage else { return Ok(None) };
    let events = present(parse::keyed_file(&dir.join(format!("hugetlb.{size}.events"))))?;
    let failcnt = events.unwrap_or_default().get("max").copied().unwrap_or(0);
    Ok(Some(Hugetlb { usage, max: 0, failcnt }))
}

/// `None` where the kernel does not account for it, or not without `psi=1`.
fn pressure(path: &Path) -> Result<Option<Pressure>> {
    let text = match present(file::read_text(path)) {
        Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => return Ok(None),
        result => result?,
    };
    let parsed = text.map(|text| parse::pressure(&text)).transpose();
    parsed.map_err(|line| Error::malformed(path, line))
}
