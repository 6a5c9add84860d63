//! `update`: other limits for a container that exists.

use crate::error::{Error, Result};
use crate::held::write_config;
use crate::intel_rdt::{self, Resctrl};
use crate::spec::{
    Linux, LinuxBlockIo, LinuxCpu, LinuxIntelRdt, LinuxMemory, LinuxNetwork, LinuxResources,
};
use crate::{Container, StateRoot, Status};

/// Other shares of cache and memory bandwidth: lines for the group's `schemata` file.
#[derive(Debug, Default)]
pub struct RdtSchemas {
    /// `linux.intelRdt.l3CacheSchema`.
    pub l3_cache: Option<String>,
    /// `linux.intelRdt.memBwSchema`.
    pub mem_bw: Option<String>,
}

impl Container {
    /// Changes limits, and remembers them: a later `update` and [`Container::config`] see them.
    ///
    /// Absent values are left alone, and so are zeros, which engines send for what they have no opinion
    /// about. Exceptions are those of runc: `cpu.idle`, `cpu.burst` and `pids.limit`. What is not
    /// changed is not written either, so that limits set by others meanwhile stay. `devices` never
    /// change: a rule that, say, a GPU's hook has added must survive.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`]; [`Error::Cgroup`] when a limit cannot be set, and then the remembered
    /// limits are set again; [`Error::Config`] for shares that this host or container cannot have.
    pub fn update(&self, changes: &LinuxResources, schemas: &RdtSchemas) -> Result<()> {
        if self.status()? == Status::Stopped {
            return Err(Error::NotRunning);
        }
        let root = StateRoot::new(&self.root);
        // Held until the end: two updates do not mix, and `delete` waits.
        let Some(claim) = root.lock(self.id(), true)? else { return Err(Error::NotFound) };
        let mut spec = self.config()?;
        let mut linux = spec.linux().clone().unwrap_or_default();
        let before = linux.resources().clone().unwrap_or_default();
        let Changed { write, remember } = Changed::new(&before, changes);
        let rdt = schemas.applied(&linux)?;
        let cgroup = self.cgroup()?;
        let set = cgroup.set_limits(&write).map_err(Error::from);
        if let Err(error) = set.and_then(|()| self.set_shares(rdt.as_ref())) {
            if let Err(second) = cgroup.set_limits(&before) {
                tracing::warn!("setting back the limits of container {}: {second}", self.id());
            }
            return Err(error);
        }
        if rdt.is_some() {
            linux.set_intel_rdt(rdt);
        }
        linux.set_resources(Some(remember));
        spec.set_linux(Some(linux));
        write_config(&claim.dir, &spec)
    }

    /// The kernel takes all of it or nothing: there is nothing to set back.
    fn set_shares(&self, rdt: Option<&LinuxIntelRdt>) -> Result<()> {
        match (rdt, &self.state().intel_rdt) {
            (Some(rdt), Some(group)) => group.write(rdt),
            _ => Ok(()),
        }
    }
}

impl RdtSchemas {
    /// The config's shares with these changes; `None` where nothing changes.
    fn applied(&self, linux: &Linux) -> Result<Option<LinuxIntelRdt>> {
        let given = |schema: &Option<String>| schema.clone().filter(|schema| !schema.is_empty());
        let (l3_cache, mem_bw) = (given(&self.l3_cache), given(&self.mem_bw));
        if l3_cache.is_none() && mem_bw.is_none() {
            return Ok(None);
        }
        let resctrl = Resctrl::detect();
        let can = |kind: fn(&Resctrl) -> bool| resctrl.as_ref().is_some_and(kind);
        if l3_cache.is_some() && !can(Resctrl::allocates_cache) {
            return Err(Error::config("Intel RDT/CAT", "l3 cache schema is not enabled"));
        }
        if mem_bw.is_some() && !can(Resctrl::allocates_bandwidth) {
            return Err(Error::config("Intel RDT/MBA", "memory bandwidth schema is not enabled"));
        }
        let Some(mut rdt) = linux.intel_rdt().clone() else {
            return Err(Error::config(
                "linux.intelRdt",
                "updating a non-existent Intel RDT configuration is not supported",
            ));
        };
        rdt.set_l3_cache_schema(l3_cache.or(rdt.l3_cache_schema().clone()));
        rdt.set_mem_bw_schema(mem_bw.or(rdt.mem_bw_schema().clone()));
        intel_rdt::validate(&rdt)?;
        Ok(Some(rdt))
    }
}

/// What an update comes to.
struct Changed {
    /// The limits to set now: what was asked for, and the values that the kernel takes only together
    /// with them.
    write: LinuxResources,
    /// All limits from now on.
    remember: LinuxResources,
}

impl Changed {
    fn new(before: &LinuxResources, changes: &LinuxResources) -> Self {
        let mut write = changes.clone();
        write.set_devices(None);
        let mut remember = before.clone();
        if let Some(changes) = changes.memory() {
            let memory = memory(before.memory().unwrap_or_default(), changes);
            write.set_memory(Some(with_partners_of_memory(*changes, &memory)));
            remember.set_memory(Some(memory));
        }
        if let Some(changes) = changes.cpu() {
            let cpu = cpu(before.cpu().clone().unwrap_or_default(), changes);
            write.set_cpu(Some(with_partners_of_cpu(changes.clone(), &cpu)));
            remember.set_cpu(Some(cpu));
        }
        if let Some(changes) = changes.block_io() {
            let before = before.block_io().clone().unwrap_or_default();
            remember.set_block_io(Some(block_io(before, changes)));
        }
        if let Some(changes) = changes.network() {
            let before = before.network().clone().unwrap_or_default();
            remember.set_network(Some(network(before, changes)));
        }
        remember.set_pids(changes.pids().or(*before.pids()));
        remember.set_hugepage_limits(joined(
            before.hugepage_limits(),
            changes.hugepage_limits(),
            |one, other| one.page_size() == other.page_size(),
        ));
        remember.set_rdma(extended(before.rdma(), changes.rdma()));
        remember.set_unified(extended(before.unified(), changes.unified()));
        Self { write, remember }
    }
}

/// The new value, unless it is absent or zero.
fn or<T: Default + PartialEq>(new: Option<T>, old: Option<T>) -> Option<T> {
    set(new).or(old)
}

fn set<T: Default + PartialEq>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

fn memory(mut memory: LinuxMemory, changes: &LinuxMemory) -> LinuxMemory {
    if changes.limit() == Some(-1) {
        // No limit on memory is none on memory plus swap: the old one would contradict it.
        memory.set_swap(None);
    }
    memory.set_limit(or(changes.limit(), memory.limit()));
    memory.set_swap(or(changes.swap(), memory.swap()));
    memory.set_reservation(or(changes.reservation(), memory.reservation()));
    memory.set_swappiness(changes.swappiness().or(memory.swappiness()));
    memory.set_disable_oom_killer(changes.disable_oom_killer().or(memory.disable_oom_killer()));
    // It belongs to one change, not to the container.
    memory.set_check_before_update(None);
    memory
}

/// Which of the two limits must go first depends on both; v2's swap limit is their difference.
fn with_partners_of_memory(mut write: LinuxMemory, now: &LinuxMemory) -> LinuxMemory {
    if set(write.limit()).or(set(write.swap())).is_some() {
        write.set_limit(now.limit());
        write.set_swap(now.swap());
    }
    write
}

fn cpu(mut cpu: LinuxCpu, changes: &LinuxCpu) -> LinuxCpu {
    if changes.idle().is_some() {
        // The kernel forgets the weight of a group that becomes idle, and of one that ceases to be.
        cpu.set_shares(None);
    } else if set(changes.shares()).is_some() {
        // Nor has an idle group a weight: with one it is idle no more.
        cpu.set_idle(None);
    }
    cpu.set_shares(or(changes.shares(), cpu.shares()));
    cpu.set_quota(or(changes.quota(), cpu.quota()));
    cpu.set_period(or(changes.period(), cpu.period()));
    cpu.set_realtime_runtime(or(changes.realtime_runtime(), cpu.realtime_runtime()));
    cpu.set_realtime_period(or(changes.realtime_period(), cpu.realtime_period()));
    cpu.set_idle(changes.idle().or(cpu.idle()));
    cpu.set_burst(changes.burst().or(cpu.burst()));
    cpu.set_cpus(or(changes.cpus().clone(), cpu.cpus().clone()));
    cpu.set_mems(or(changes.mems().clone(), cpu.mems().clone()));
    cpu
}

/// v2 has one file for quota and period.
fn with_partners_of_cpu(mut write: LinuxCpu, now: &LinuxCpu) -> LinuxCpu {
    if set(write.quota()).is_some() || set(write.period()).is_some() {
        write.set_quota(now.quota());
        write.set_period(now.period());
    }
    write
}

fn block_io(mut block_io: LinuxBlockIo, changes: &LinuxBlockIo) -> LinuxBlockIo {
    block_io.set_weight(or(changes.weight(), block_io.weight()));
    block_io.set_leaf_weight(or(changes.leaf_weight(), block_io.leaf_weight()));
    block_io.set_weight_device(joined(
        block_io.weight_device(),
        changes.weight_device(),
        |one, other| (one.major(), one.minor()) == (other.major(), other.minor()),
    ));
    macro_rules! throttle {
        ($get:ident, $set:ident) => {
            block_io.$set(joined(block_io.$get(), changes.$get(), |one, other| {
                (one.major(), one.minor()) == (other.major(), other.minor())
            }));
        };
    }
    throttle!(throttle_read_bps_device, set_throttle_read_bps_device);
    throttle!(throttle_write_bps_device, set_throttle_write_bps_device);
    throttle!(throttle_read_iops_device, set_throttle_read_iops_device);
    throttle!(throttle_write_iops_device, set_throttle_write_iops_device);
    block_io
}

fn network(mut network: LinuxNetwork, changes: &LinuxNetwork) -> LinuxNetwork {
    network.set_class_id(or(changes.class_id(), network.class_id()));
    network.set_priorities(joined(network.priorities(), changes.priorities(), |one, other| {
        one.name() == other.name()
    }));
    network
}

/// The old entries that no new one is about, then the new ones.
fn joined<T: Clone>(
    old: &Option<Vec<T>>,
    new: &Option<Vec<T>>,
    same: impl Fn(&T, &T) -> bool,
) -> Option<Vec<T>> {
    let Some(new) = new else { return old.clone() };
    let old = old.iter().flatten().filter(|old| !new.iter().any(|new| same(old, new)));
    Some(old.chain(new).cloned().collect())
}

/// Both maps, the new entries over the old ones.
fn extended<M: Clone + IntoIterator + Extend<M::Item>>(
    old: &Option<M>,
    new: &Option<M>,
) -> Option<M> {
    let (Some(old), Some(new)) = (old, new) else { return new.clone().or_else(|| old.clone()) };
    let mut both = old.clone();
    both.extend(new.clone());
    Some(both)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What an update writes and remembers.
    fn changed(before: Value, changes: Value) -> (Value, Value) {
        let resources = |value| serde_json::from_value::<LinuxResources>(value).unwrap();
        let Changed { write, remember } = Changed::new(&resources(before), &resources(changes));
        (serde_json::to_value(write).unwrap(), serde_json::to_value(remember).unwrap())
    }

    #[test]
    fn what_is_absent_or_zero_stays_and_is_not_written() {
        let before = json!({"memory": {"limit": 10, "swap": 20}, "cpu": {"shares": 5, "cpus": "0"},
            "pids": {"limit": 7}, "blockIO": {"weight": 100}, "unified": {"a.b": "1"}});
        let zeros = json!({"memory": {"limit": 0, "swap": 0, "reservation": 0},
            "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""},
            "blockIO": {"weight": 0}, "devices": [{"allow": true}]});
        let (write, remember) = changed(before.clone(), zeros);
        assert_eq!(remember, before);
        assert_eq!(write.get("devices"), None);
        let (write, remember) = changed(before, json!({"unified": {"c.d": "2"}}));
        assert_eq!(write, json!({"unified": {"c.d": "2"}}));
        assert_eq!(remember["unified"], json!({"a.b": "1", "c.d": "2"}));
    }

    #[test]
    fn partners_go_along() {
        let before =
            json!({"cpu": {"quota": 500, "period": 1000, "shares": 9}, "memory": {"limit": 10}});
        let (write, remember) = changed(before.clone(), json!({"cpu": {"period": 900}}));
        assert_eq!(write, json!({"cpu": {"quota": 500, "period": 900}}));
        assert_eq!(remember["cpu"], json!({"quota": 500, "period": 900, "shares": 9}));
        let (write, _) = changed(before, json!({"memory": {"swap": 20}}));
        assert_eq!(write, json!({"memory": {"limit": 10, "swap": 20}}));
    }

    #[test]
    fn unlimited_memory_has_no_old_swap_limit() {
        let before = json!({"memory": {"limit": 10, "swap": 20}});
        for changes in [json!({"limit": -1}), json!({"limit": -1, "swap": 0})] {
            let (write, remember) = changed(before.clone(), json!({"memory": changes}));
            assert_eq!(write["memory"], json!({"limit": -1}));
            assert_eq!(remember["memory"], json!({"limit": -1}));
        }
    }

    #[test]
    fn idle_and_shares_exclude_one_another() {
        let (write, remember) =
            changed(json!({"cpu": {"shares": 9, "quota": 1}}), json!({"cpu": {"idle": 0}}));
        assert_eq!(write["cpu"], json!({"idle": 0}));
        assert_eq!(remember["cpu"], json!({"idle": 0, "quota": 1}));
        let (_, remember) = changed(json!({"cpu": {"idle": 1}}), json!({"cpu": {"shares": 9}}));
        assert_eq!(remember["cpu"], json!({"shares": 9}));
    }

    #[test]
    fn lists_are_joined_by_device() {
        let device = |major, rate| json!({"major": major, "minor": 0, "rate": rate});
        let before = json!({"blockIO": {"throttleReadBpsDevice":
            [device(8, 1), device(8, 2), device(9, 3)]}});
        let changes = json!({"blockIO": {"throttleReadBpsDevice": [device(8, 4)]}});
        let (write, remember) = changed(before, changes.clone());
        assert_eq!(write, changes);
        let joined = &remember["blockIO"]["throttleReadBpsDevice"];
        assert_eq!(*joined, json!([device(9, 3), device(8, 4)]));
    }
}
