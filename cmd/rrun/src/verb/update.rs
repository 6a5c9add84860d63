//! `rrun update`.

mod size;

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use container::spec::{
    LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources,
};
use container::{RdtSchemas, parse_resources};

use crate::global::Global;
use crate::verb::{Id, SUCCESS};

/// update container resource constraints
///
/// What is not given is left alone. A file has the form of linux.resources in config.json.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// path to the file containing the resources to update or '-' to read from the standard input;
    /// options for cgroups are ignored then
    #[arg(long, short, value_name = "FILE")]
    resources: Option<PathBuf>,
    #[command(flatten)]
    limits: Limits,
    /// the string of Intel RDT/CAT L3 cache schema
    #[arg(long, value_name = "SCHEMA")]
    l3_cache_schema: Option<String>,
    /// the string of Intel RDT/MBA memory bandwidth schema
    #[arg(long, value_name = "SCHEMA")]
    mem_bw_schema: Option<String>,
    #[command(flatten)]
    container: Id,
}

/// A limit for each flag. An absent one and, but for the number of processes, zero mean "leave alone".
#[derive(Debug, Default, clap::Args)]
struct Limits {
    /// specifies per cgroup weight, range is from 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
    /// CPU CFS period to be used for hardcapping (in usecs)
    #[arg(long, value_name = "USECS")]
    cpu_period: Option<u64>,
    /// CPU CFS hardcap limit (in usecs): allowed cpu time in a given period; -1 for none
    #[arg(long, value_name = "USECS", allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// CPU CFS hardcap burst limit (in usecs): allowed accumulated cpu time additionally for burst a
    /// given period
    #[arg(long, value_name = "USECS")]
    cpu_burst: Option<u64>,
    /// CPU shares (relative weight vs. other containers)
    #[arg(long, value_name = "SHARES")]
    cpu_share: Option<u64>,
    /// CPU realtime period to be used for hardcapping (in usecs)
    #[arg(long, value_name = "USECS")]
    cpu_rt_period: Option<u64>,
    /// CPU realtime hardcap limit (in usecs): allowed cpu time in a given period
    #[arg(long, value_name = "USECS", allow_hyphen_values = true)]
    cpu_rt_runtime: Option<i64>,
    /// set cgroup SCHED_IDLE or not, 0: default behavior, 1: SCHED_IDLE
    #[arg(long, value_name = "IDLE", allow_hyphen_values = true)]
    cpu_idle: Option<i64>,
    /// CPU(s) to use
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// memory node(s) to use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    // Obsolete in runc: a warning, nothing else.
    #[arg(long, hide = true, value_parser = size::parse, allow_hyphen_values = true)]
    kernel_memory: Option<i64>,
    #[arg(long, hide = true, value_parser = size::parse, allow_hyphen_values = true)]
    kernel_memory_tcp: Option<i64>,
    /// memory limit (in bytes, or with a unit as in 50M); -1 for none
    #[arg(long, value_name = "BYTES", value_parser = size::parse, allow_hyphen_values = true)]
    memory: Option<i64>,
    /// memory reservation or soft limit
    #[arg(long, value_name = "BYTES", value_parser = size::parse, allow_hyphen_values = true)]
    memory_reservation: Option<i64>,
    /// total memory usage (memory + swap); -1 for unlimited swap
    #[arg(long, value_name = "BYTES", value_parser = size::parse, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// maximum number of pids allowed in the container; -1 for no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
}

/// `rrun update`.
pub(crate) fn update(global: &Global, args: &Args) -> anyhow::Result<u8> {
    let container = global.state_root()?.load(&args.container.id)?;
    let resources = args.resources.as_deref().filter(|path| !path.as_os_str().is_empty());
    let changes = match resources {
        Some(path) => parse_resources(open(path)?)?,
        None => args.limits.resources()?,
    };
    let schemas =
        RdtSchemas { l3_cache: args.l3_cache_schema.clone(), mem_bw: args.mem_bw_schema.clone() };
    container.update(&changes, &schemas)?;
    Ok(SUCCESS)
}

fn open(path: &Path) -> anyhow::Result<File> {
    if path == Path::new("-") {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned().context("standard input")?;
        return Ok(stdin.into());
    }
    File::open(path).with_context(|| format!("open {}", path.display()))
}

impl Limits {
    /// The flags as `linux.resources` has them.
    fn resources(&self) -> anyhow::Result<LinuxResources> {
        let mut resources = LinuxResources::default();
        resources.set_memory(Some(self.memory()?));
        resources.set_cpu(Some(self.cpu()));
        let mut block_io = LinuxBlockIo::default();
        block_io.set_weight(self.blkio_weight);
        resources.set_block_io(Some(block_io));
        let pids = self.pids_limit.map(|limit| LinuxPidsBuilder::default().limit(limit).build());
        resources.set_pids(pids.transpose()?);
        Ok(resources)
    }

    fn memory(&self) -> anyhow::Result<LinuxMemory> {
        if self.kernel_memory.or(self.kernel_memory_tcp).is_some() {
            tracing::warn!("Kernel memory settings are ignored and will be removed");
        }
        let mut memory = LinuxMemoryBuilder::default().build()?;
        memory.set_limit(self.memory);
        memory.set_reservation(self.memory_reservation);
        memory.set_swap(self.memory_swap);
        Ok(memory)
    }

    fn cpu(&self) -> LinuxCpu {
        let mut cpu = LinuxCpu::default();
        cpu.set_shares(self.cpu_share);
        cpu.set_quota(self.cpu_quota);
        cpu.set_period(self.cpu_period);
        cpu.set_burst(self.cpu_burst);
        cpu.set_realtime_runtime(self.cpu_rt_runtime);
        cpu.set_realtime_period(self.cpu_rt_period);
        cpu.set_idle(self.cpu_idle);
        cpu.set_cpus(self.cpuset_cpus.clone());
        cpu.set_mems(self.cpuset_mems.clone());
        cpu
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_flag_has_its_field() {
        let limits = Limits {
            blkio_weight: Some(1),
            cpu_period: Some(2),
            cpu_quota: Some(3),
            cpu_burst: Some(4),
            cpu_share: Some(5),
            cpu_rt_period: Some(6),
            cpu_rt_runtime: Some(7),
            cpu_idle: Some(8),
            cpuset_cpus: Some("9".into()),
            cpuset_mems: Some("10".into()),
            kernel_memory: Some(11),
            kernel_memory_tcp: Some(12),
            memory: Some(13),
            memory_reservation: Some(14),
            memory_swap: Some(15),
            pids_limit: Some(0),
        };
        let expected = json!({
            "memory": {"limit": 13, "reservation": 14, "swap": 15},
            "cpu": {"shares": 5, "quota": 3, "idle": 8, "burst": 4, "period": 2,
                    "realtimeRuntime": 7, "realtimePeriod": 6, "cpus": "9", "mems": "10"},
            "pids": {"limit": 0},
            "blockIO": {"weight": 1},
        });
        assert_eq!(serde_json::to_value(limits.resources().unwrap()).unwrap(), expected);
    }
}
