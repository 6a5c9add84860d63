//! Statistics from the v1 controllers.

use std::path::Path;

use super::parse::{self, number_file, optional, present};
use super::{Blkio, BlkioEntry, Cpu, CpuSet, Hugetlb, Memory, MemoryEntry, Pids, Stats};
use crate::cgroup::Cgroup;
use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::{cpuset, file};

/// `cpuacct.stat` counts in USER_HZ, which is 100 on every architecture Linux has left.
const TICK_NS: u64 = 1_000_000_000 / 100;

pub(super) fn read(cgroup: &Cgroup) -> Result<Stats> {
    let mut stats = Stats::default();
    if let Some(dir) = cgroup.dir(Controller::Cpuset) {
        stats.cpuset = cpuset(dir)?;
    }
    if let Some(dir) = cgroup.dir(Controller::Memory) {
        stats.memory = memory(dir)?;
    }
    if let Some(dir) = cgroup.dir(Controller::Cpu) {
        throttling(dir, &mut stats.cpu)?;
    }
    if let Some(dir) = cgroup.dir(Controller::Cpuacct) {
        cpu_usage(dir, &mut stats.cpu)?;
    }
    if let Some(dir) = cgroup.dir(Controller::Pids) {
        stats.pids = pids(dir)?;
    }
    if let Some(dir) = cgroup.dir(Controller::Blkio) {
        stats.blkio = blkio(dir)?;
    }
    if let Some(dir) = cgroup.dir(Controller::Hugetlb) {
        for size in super::huge_page_sizes() {
            let entry = hugetlb(dir, &size)?;
            stats.hugetlb.insert(size, entry);
        }
    }
    Ok(stats)
}

fn cpuset(dir: &Path) -> Result<CpuSet> {
    let list = |name: &str| {
        let read = |path: &Path| {
            let text = file::read_value(path)?;
            parse::list(&text).ok_or_else(|| Error::malformed(path, text))
        };
        Ok(present(cpuset::with_file(dir, name, read))?.unwrap_or_default())
    };
    let number =
        |name: &str| Ok(present(cpuset::with_file(dir, name, number_file))?.unwrap_or_default());
    let signed = |name: &str| {
        let read = |path: &Path| {
            let text = file::read_value(path)?;
            text.parse::<i64>().map_err(|_| Error::malformed(path, text))
        };
        Ok(present(cpuset::with_file(dir, name, read))?.unwrap_or_default())
    };
    Ok(CpuSet {
        cpus: list("cpus")?,
        cpu_exclusive: number("cpu_exclusive")?,
        mems: list("mems")?,
        mem_hardwall: number("mem_hardwall")?,
        mem_exclusive: number("mem_exclusive")?,
        memory_migrate: number("memory_migrate")?,
        memory_spread_page: number("memory_spread_page")?,
        memory_spread_slab: number("memory_spread_slab")?,
        memory_pressure: number("memory_pressure")?,
        sched_load_balance: number("sched_load_balance")?,
        sched_relax_domain_level: signed("sched_relax_domain_level")?,
    })
}

fn memory(dir: &Path) -> Result<Memory> {
    let Some(raw) = present(parse::keyed_file(&dir.join("memory.stat")))? else {
        return Ok(Memory::default());
    };
    Ok(Memory {
        cache: raw.get("cache").copied().unwrap_or(0),
        usage: memory_entry(dir, "memory")?,
        swap: memory_entry(dir, "memory.memsw")?,
        kernel: memory_entry(dir, "memory.kmem")?,
        kernel_tcp: memory_entry(dir, "memory.kmem.tcp")?,
        raw,
        psi: None,
    })
}

/// Swap and kernel memory are optional in the kernel.
fn memory_entry(dir: &Path, prefix: &str) -> Result<MemoryEntry> {
    let number = |name: &str| optional(&dir.join(format!("{prefix}.{name}")));
    let Some(usage) = number("usage_in_bytes")? else { return Ok(MemoryEntry::default()) };
    Ok(MemoryEntry {
        usage,
        limit: number("limit_in_bytes")?.unwrap_or(0),
        max: number("max_usage_in_bytes")?.unwrap_or(0),
        failcnt: number("failcnt")?.unwrap_or(0),
    })
}

fn throttling(dir: &Path, cpu: &mut Cpu) -> Result<()> {
    let stat = present(parse::keyed_file(&dir.join("cpu.stat")))?.unwrap_or_default();
    let number = |key: &str| stat.get(key).copied().unwrap_or(0);
    cpu.throttling.periods = number("nr_periods");
    cpu.throttling.throttled_periods = number("nr_throttled");
    cpu.throttling.throttled_time = number("throttled_time");
    Ok(())
}

fn cpu_usage(dir: &Path, cpu: &mut Cpu) -> Result<()> {
    let Some(stat) = present(parse::keyed_file(&dir.join("cpuacct.stat")))? else { return Ok(()) };
    let time = |key: &str| stat.get(key).copied().unwrap_or(0).saturating_mul(TICK_NS);
    cpu.usage.user = time("user");
    cpu.usage.kernel = time("system");
    cpu.usage.total = number_file(&dir.join("cpuacct.usage"))?;
    let list = |name: &str| -> Result<Vec<u64>> {
        let path = dir.join(name);
        let text = present(file::read_text(&path))?.unwrap_or_default();
        text.split_ascii_whitespace()
            .map(|field| field.parse().map_err(|_| Error::malformed(&path, field)))
            .collect()
    };
    cpu.usage.percpu = list("cpuacct.usage_percpu")?;
    cpu.usage.percpu_kernel = list("cpuacct.usage_percpu_sys")?;
    cpu.usage.percpu_user = list("cpuacct.usage_percpu_user")?;
    Ok(())
}

fn pids(dir: &Path) -> Result<Pids> {
    let Some(current) = optional(&dir.join("pids.current"))? else { return Ok(Pids::default()) };
    let limit = optional(&dir.join("pids.max"))?.filter(|limit| *limit != u64::MAX);
    Ok(Pids { current, limit: limit.unwrap_or(0) })
}

/// A file below `blkio.` and where it goes.
type Source = (&'static str, fn(&mut Blkio) -> &mut Vec<BlkioEntry>);

/// The sets of files that I/O schedulers offer, the richest first; the first file of a set
/// tells whether it is there.
const SOURCES: [&[Source]; 5] = [
    // BFQ with debugging.
    &[
        ("bfq.sectors_recursive", |b| &mut b.sectors_recursive),
        ("bfq.io_service_time_recursive", |b| &mut b.io_service_time_recursive),
        ("bfq.io_wait_time_recursive", |b| &mut b.io_wait_time_recursive),
        ("bfq.io_merged_recursive", |b| &mut b.io_merged_recursive),
        ("bfq.io_queued_recursive", |b| &mut b.io_queued_recursive),
        ("bfq.time_recursive", |b| &mut b.io_time_recursive),
        ("bfq.io_serviced_recursive", |b| &mut b.io_serviced_recursive),
        ("bfq.io_service_bytes_recursive", |b| &mut b.io_service_bytes_recursive),
    ],
    // BFQ.
    &[
        ("bfq.io_serviced_recursive", |b| &mut b.io_serviced_recursive),
        ("bfq.io_service_bytes_recursive", |b| &mut b.io_service_bytes_recursive),
    ],
    // CFQ, before Linux 5.0.
    &[
        ("sectors_recursive", |b| &mut b.sectors_recursive),
        ("io_service_time_recursive", |b| &mut b.io_service_time_recursive),
        ("io_wait_time_recursive", |b| &mut b.io_wait_time_recursive),
        ("io_merged_recursive", |b| &mut b.io_merged_recursive),
        ("io_queued_recursive", |b| &mut b.io_queued_recursive),
        ("time_recursive", |b| &mut b.io_time_recursive),
        ("io_serviced_recursive", |b| &mut b.io_serviced_recursive),
        ("io_service_bytes_recursive", |b| &mut b.io_service_bytes_recursive),
    ],
    // No scheduler with statistics: the throttling layer counts.
    &[
        ("throttle.io_serviced_recursive", |b| &mut b.io_serviced_recursive),
        ("throttle.io_service_bytes_recursive", |b| &mut b.io_service_bytes_recursive),
    ],
    &[
        ("throttle.io_serviced", |b| &mut b.io_serviced_recursive),
        ("throttle.io_service_bytes", |b| &mut b.io_service_bytes_recursive),
    ],
];

fn blkio(dir: &Path) -> Result<Blkio> {
    let entries = |name: &str| -> Result<Option<Vec<BlkioEntry>>> {
        let path = dir.join(format!("blkio.{name}"));
        let Some(text) = present(file::read_text(&path))? else { return Ok(None) };
        parse::blkio(&text).map(Some).map_err(|line| Error::malformed(path, line))
    };
    let mut stats = Blkio::default();
    for set in SOURCES {
        let mut is_first = true;
        let mut found_all = true;
        for (name, place) in set {
            match entries(name)? {
                // Nothing counted here: the next set may know more, as runc goes on as well.
                None => found_all = false,
                Some(found) if found.is_empty() && is_first => found_all = false,
                Some(found) => *place(&mut stats) = found,
            }
            if is_first && !found_all {
                break;
            }
            is_first = false;
        }
        if found_all {
            break;
        }
    }
    Ok(stats)
}

/// Reservations where the kernel counts them (Linux 5.7), else faults.
fn hugetlb(dir: &Path, size: &str) -> Result<Hugetlb> {
    for prefix in [format!("hugetlb.{size}.rsvd"), format!("hugetlb.{size}")] {
        let number = |name: &str| optional(&dir.join(format!("{prefix}.{name}")));
        if let Some(usage) = number("usage_in_bytes")? {
            let max = number("max_usage_in_bytes")?.unwrap_or(0);
            return Ok(Hugetlb { usage, max, failcnt: number("failcnt")?.unwrap_or(0) });
        }
    }
    Ok(Hugetlb::default())
}
