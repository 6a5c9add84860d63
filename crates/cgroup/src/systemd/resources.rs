//! `linux.resources` as unit properties: what systemd must know so that it does not write other
//! values into the files (systemd.resource-control(5)).
//!
//! What it has no property for is written to the files alone.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use oci_spec::runtime::{LinuxCpu, LinuxResources};

use super::value::{Property, Value};
use crate::error::{Error, Result};
use crate::hierarchies::Mode;
use crate::limits::{DEFAULT_PERIOD, set, swap_v2, weight};

/// The first version with `AllowedCPUs` and `AllowedMemoryNodes`.
const CPUSET_SINCE: u32 = 244;
/// The first version with `CPUQuotaPeriodUSec`.
const QUOTA_PERIOD_SINCE: u32 = 242;
/// The first version to which a `CPUWeight` of 0 means idle.
const IDLE_SINCE: u32 = 252;
/// The first version with `OOMPolicy` for scopes.
const OOM_POLICY_SINCE: u32 = 253;
/// Microseconds of CPU time in a second: 1 % of them is the smallest step of systemd's CPU quota.
const QUOTA_STEP: u64 = 10_000;
/// What no limit is to systemd.
const INFINITY: u64 = u64::MAX;

/// The properties for all limits of `resources` that are set, for systemd of this version.
///
/// # Errors
///
/// [`Error::Invalid`] for a value that is none, [`Error::UnifiedKey`].
pub(super) fn properties(
    mode: Mode,
    resources: &LinuxResources,
    version: u32,
) -> Result<Vec<Property>> {
    let mut list = match mode {
        Mode::V1 => v1(resources),
        Mode::V2 => v2(resources, version)?,
    };
    if let Some(cpu) = resources.cpu() {
        list.extend(quota(set(cpu.quota()).unwrap_or(0), set(cpu.period()), version));
    }
    if let Some(pids) = resources.pids() {
        list.push(tasks_max(u64::try_from(pids.limit()).unwrap_or(INFINITY)));
    }
    if let Some(cpu) = resources.cpu() {
        for (name, field, value) in [
            ("AllowedCPUs", "cpu.cpus", cpu.cpus()),
            ("AllowedMemoryNodes", "cpu.mems", cpu.mems()),
        ] {
            if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
                let bits = bits(value).map_err(|what| {
                    Error::invalid(field, format!("{value:?} conversion error: {what}"))
                })?;
                list.extend(cpuset(name, &bits, version));
            }
        }
    }
    if let Some(unified) = resources.unified() {
        list.extend(self::unified(unified, version)?);
    }
    Ok(list)
}

fn v1(resources: &LinuxResources) -> Vec<Property> {
    let mut list = Vec::new();
    if let Some(limit) = resources.memory().and_then(|memory| set(memory.limit())) {
        list.push(Property::number("MemoryLimit", limit.cast_unsigned()));
    }
    if let Some(shares) = resources.cpu().as_ref().and_then(|cpu| set(cpu.shares())) {
        list.push(Property::number("CPUShares", shares));
    }
    if let Some(weight) = resources.block_io().as_ref().and_then(|io| set(io.weight())) {
        list.push(Property::number("BlockIOWeight", weight.into()));
    }
    list
}

fn v2(resources: &LinuxResources, version: u32) -> Result<Vec<Property>> {
    let mut list = Vec::new();
    if let Some(memory) = resources.memory() {
        let limit = set(memory.limit());
        let swap = swap_v2(set(memory.swap()), limit)?;
        for (name, value) in [
            ("MemoryMax", limit),
            ("MemoryLow", set(memory.reservation())),
            // As in runc no swap at all, unlike no limit, goes into the file alone.
            ("MemorySwapMax", set(swap)),
        ] {
            list.extend(value.map(|value| Property::number(name, value.cast_unsigned())));
        }
    }
    if let Some(cpu) = resources.cpu() {
        list.extend(cpu_weight(cpu, version));
    }
    Ok(list)
}

fn cpu_weight(cpu: &LinuxCpu, version: u32) -> Option<Property> {
    if is_idle(cpu.idle(), version) {
        if set(cpu.shares()).is_some() {
            tracing::warn!(
                "unable to apply both CPUWeight and CpuIdle to systemd, ignoring CPUWeight"
            );
        }
        return Some(Property::number("CPUWeight", 0));
    }
    set(cpu.shares()).map(|shares| Property::number("CPUWeight", weight(shares)))
}

/// `None`: no period is given; a quota of 0 or below is no limit.
fn quota(quota: i64, period: Option<u64>, version: u32) -> Vec<Property> {
    let mut list = Vec::new();
    if let Some(period) = period.filter(|_| version >= QUOTA_PERIOD_SINCE) {
        list.push(Property::number("CPUQuotaPeriodUSec", period));
    }
    if quota != 0 || period.is_some() {
        let per_second = per_second(quota, period).and_then(whole_step);
        list.push(Property::number("CPUQuotaPerSecUSec", per_second.unwrap_or(INFINITY)));
    }
    list
}

/// Microseconds of CPU time per second.
fn per_second(quota: i64, period: Option<u64>) -> Option<u64> {
    let quota = u64::try_from(quota).ok().filter(|quota| *quota > 0)?;
    quota.saturating_mul(1_000_000).checked_div(period.unwrap_or(DEFAULT_PERIOD))
}

/// Up to a whole step of systemd's; `None` for what is as good as no limit.
fn whole_step(micros: u64) -> Option<u64> {
    micros.checked_next_multiple_of(QUOTA_STEP)
}

/// The limits to be written into the files: other values than systemd's properties say would not
/// last, since systemd writes its own again whenever it sees fit.
///
/// A CPU quota becomes a whole number of percents, rounded up as in runc, and an idle group has no
/// weight.
pub(super) fn for_files(resources: &LinuxResources, version: u32) -> Cow<'_, LinuxResources> {
    let mut resources = Cow::Borrowed(resources);
    if let Some(cpu) = resources.cpu() {
        let period = set(cpu.period());
        let micros = per_second(cpu.quota().unwrap_or(0), period);
        let odd = micros.filter(|micros| !micros.is_multiple_of(QUOTA_STEP)).and_then(whole_step);
        let weightless = is_idle(cpu.idle(), version) && cpu.shares().is_some();
        if odd.is_some() || weightless {
            let mut cpu = cpu.clone();
            if let Some(micros) = odd {
                let quota = micros.saturating_mul(period.unwrap_or(DEFAULT_PERIOD)) / 1_000_000;
                cpu.set_quota(i64::try_from(quota).ok());
            }
            if weightless {
                cpu.set_shares(None);
            }
            resources.to_mut().set_cpu(Some(cpu));
        }
    }
    if let Some(unified) = resources.unified()
        && unified_is_idle(unified, version)
        && unified.contains_key("cpu.weight")
    {
        let mut unified = unified.clone();
        unified.remove("cpu.weight");
        resources.to_mut().set_unified(Some(unified));
    }
    resources
}

/// Whether a weight is given that ends a group's being idle.
pub(crate) fn has_weight(resources: &LinuxResources) -> bool {
    let shares = resources.cpu().as_ref().and_then(|cpu| set(cpu.shares()));
    let unified = resources.unified().as_ref();
    shares.is_some() || unified.is_some_and(|unified| unified.contains_key("cpu.weight"))
}

fn is_idle(idle: Option<i64>, version: u32) -> bool {
    idle == Some(1) && version >= IDLE_SINCE
}

fn unified_is_idle(values: &HashMap<String, String>, version: u32) -> bool {
    let idle = values.get("cpu.idle").filter(|value| value.trim() == "1");
    is_idle(idle.map(|_| 1), version)
}

/// systemd takes no 0.
fn tasks_max(limit: u64) -> Property {
    Property::number("TasksMax", limit.max(1))
}

fn cpuset(name: &'static str, bits: &[u8], version: u32) -> Option<Property> {
    (version >= CPUSET_SINCE).then(|| Property::new(name, Value::bytes(bits)))
}

/// A list such as `1,3-5` as bits, the first byte that of 0 to 7.
fn bits(list: &str) -> std::result::Result<Vec<u8>, String> {
    /// More CPUs than any kernel is built for (arch/x86/Kconfig, NR_CPUS).
    const MAX: usize = 65_536;
    let number = |text: &str| match text.parse::<usize>() {
        Ok(number) if number < MAX => Ok(number),
        Ok(_) => Err(format!("{text:?}: value out of range")),
        Err(error) => Err(format!("{text:?}: {error}")),
    };
    if list.len() > MAX {
        return Err("the list is too long".to_owned());
    }
    let mut bits: Vec<u8> = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("invalid range: {range}"));
        }
        bits.resize(bits.len().max(last / 8 + 1), 0);
        for bit in first..=last {
            if let Some(byte) = bits.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
    if bits.is_empty() { Err("empty value".to_owned()) } else { Ok(bits) }
}

/// The files of `unified` that systemd has a property for. The others it leaves alone.
fn unified(values: &HashMap<String, String>, version: u32) -> Result<Vec<Property>> {
    let idle = unified_is_idle(values, version);
    let values: BTreeMap<&str, &str> =
        values.iter().map(|(key, value)| (key.as_str(), value.trim())).collect();
    let mut list = Vec::new();
    for (&key, &value) in &values {
        if key.contains('/') || key.find('.').is_none_or(|at| at == 0) {
            return Err(Error::UnifiedKey(key.to_owned()));
        }
        let wrong = |what: String| {
            Error::invalid("unified", format!("{key:?} value conversion error: {what}"))
        };
        let number = |text: &str| text.parse().map_err(|error| wrong(format!("{text:?}: {error}")));
        let limit = || if value == "max" { Ok(INFINITY) } else { number(value) };
        match key {
            "cpu.idle" if idle => list.push(Property::number("CPUWeight", 0)),
            "cpu.weight" if idle => tracing::warn!(
                "unable to apply both cpu.weight and cpu.idle to systemd, ignoring cpu.weight"
            ),
            "cpu.weight" => list.push(Property::number("CPUWeight", number(value)?)),
            "cpu.max" => {
                let mut fields = value.split_ascii_whitespace();
                let limit = match fields.next() {
                    Some("max") => 0,
                    field => number(field.unwrap_or_default())?,
                };
                let period = fields.next().map_or(Ok(DEFAULT_PERIOD), number)?;
                if fields.next().is_some() || period == 0 {
                    return Err(wrong(format!("{value:?}")));
                }
                list.extend(quota(limit.cast_signed(), Some(period), version));
            }
            "cpuset.cpus" => {
                list.extend(cpuset("AllowedCPUs", &bits(value).map_err(wrong)?, version));
            }
            "cpuset.mems" => {
                list.extend(cpuset("AllowedMemoryNodes", &bits(value).map_err(wrong)?, version));
            }
            "memory.high" => list.push(Property::number("MemoryHigh", limit()?)),
            "memory.low" => list.push(Property::number("MemoryLow", limit()?)),
            "memory.min" => list.push(Property::number("MemoryMin", limit()?)),
            "memory.max" => list.push(Property::number("MemoryMax", limit()?)),
            "memory.swap.max" => list.push(Property::number("MemorySwapMax", limit()?)),
            "pids.max" => list.push(tasks_max(limit()?)),
            _ => tracing::debug!(
                "unified resource {key:?} is no unit property: its file alone is set"
            ),
        }
    }
    Ok(list)
}

/// `memory.oom.group`, which a unit can only be born with.
pub(super) fn oom_policy(resources: &LinuxResources, version: u32) -> Option<Property> {
    let unified = resources.unified().as_ref()?;
    let policy =
        match unified.get("memory.oom.group").filter(|_| version >= OOM_POLICY_SINCE)?.trim() {
            "0" => "continue",
            "1" => "kill",
            _ => return None,
        };
    Some(Property::new("OOMPolicy", Value::text(policy)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn resources(value: Json) -> LinuxResources {
        serde_json::from_value(value).unwrap()
    }

    fn listed(mode: Mode, value: Json, version: u32) -> Vec<(String, Value)> {
        let list = properties(mode, &resources(value), version).unwrap();
        list.into_iter().map(|property| (property.name.into_owned(), property.value)).collect()
    }

    fn numbers(expected: &[(&str, u64)]) -> Vec<(String, Value)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), Value::U64(*value))).collect()
    }

    #[test]
    fn nothing_set_is_nothing_said() {
        for mode in [Mode::V1, Mode::V2] {
            assert_eq!(listed(mode, json!({}), 262), []);
            let zeros =
                json!({"memory": {"limit": 0}, "cpu": {"shares": 0, "quota": 0, "cpus": ""}});
            assert_eq!(listed(mode, zeros, 262), []);
        }
    }

    #[test]
    fn limits_v2() {
        let all = json!({
            "memory": {"limit": 100, "reservation": 50, "swap": 300},
            "cpu": {"shares": 1024, "quota": 5000, "period": 10000},
            "pids": {"limit": 0}
        });
        let expected = [
            ("MemoryMax", 100),
            ("MemoryLow", 50),
            ("MemorySwapMax", 200),
            ("CPUWeight", 100),
            ("CPUQuotaPeriodUSec", 10_000),
            ("CPUQuotaPerSecUSec", 500_000),
            ("TasksMax", 1),
        ];
        assert_eq!(listed(Mode::V2, all.clone(), 242), numbers(&expected));
        let mut old = expected.to_vec();
        old.remove(4);
        assert_eq!(listed(Mode::V2, all, 241), numbers(&old));
    }

    #[test]
    fn limits_v1() {
        let all = json!({
            "memory": {"limit": -1}, "cpu": {"shares": 512, "quota": -1, "period": 20000},
            "blockIO": {"weight": 300}, "pids": {"limit": -1}
        });
        assert_eq!(
            listed(Mode::V1, all, 245),
            numbers(&[
                ("MemoryLimit", u64::MAX),
                ("CPUShares", 512),
                ("BlockIOWeight", 300),
                ("CPUQuotaPeriodUSec", 20_000),
                ("CPUQuotaPerSecUSec", u64::MAX),
                ("TasksMax", u64::MAX),
            ])
        );
    }

    #[test]
    fn quotas_are_whole_percents() {
        for (quota, period, per_second, file) in [
            (5000, Some(10_000), 500_000, 5000),
            (1, None, 10_000, 1000),
            (3333, Some(100_000), 40_000, 4000),
            (12_345, Some(10_000), 1_240_000, 12_400),
        ] {
            let cpu = json!({"cpu": {"quota": quota, "period": period}});
            let list = listed(Mode::V2, cpu.clone(), 0);
            assert_eq!(list, numbers(&[("CPUQuotaPerSecUSec", per_second)]));
            let cpu = resources(cpu);
            assert_eq!(for_files(&cpu, 0).cpu().as_ref().unwrap().quota(), Some(file));
        }
        let unlimited = resources(json!({"cpu": {"quota": -1}}));
        assert_eq!(*for_files(&unlimited, 262), unlimited);
    }

    #[test]
    fn idle_is_a_weight_of_zero() {
        let idle = json!({"cpu": {"idle": 1, "shares": 1024}});
        assert_eq!(listed(Mode::V2, idle.clone(), 252), numbers(&[("CPUWeight", 0)]));
        assert_eq!(listed(Mode::V2, idle, 251), numbers(&[("CPUWeight", 100)]));
        assert_eq!(listed(Mode::V2, json!({"cpu": {"idle": 0}}), 252), []);
    }

    #[test]
    fn an_idle_group_has_no_weight() {
        let idle = resources(json!({
            "cpu": {"idle": 1, "shares": 1024, "quota": 1, "period": 1000},
            "unified": {"cpu.idle": "1\n", "cpu.weight": "8", "pids.max": "1"}
        }));
        assert_eq!(
            *for_files(&idle, 252),
            resources(json!({
                "cpu": {"idle": 1, "quota": 10, "period": 1000},
                "unified": {"cpu.idle": "1\n", "pids.max": "1"}
            }))
        );
        assert!(!has_weight(&for_files(&idle, 252)));
        assert!(has_weight(&for_files(&idle, 251)));
        assert!(has_weight(&resources(json!({"unified": {"cpu.weight": "8"}}))));
    }

    #[test]
    fn cpusets_are_bits() {
        for (list, expected) in [
            ("0", &[1][..]),
            ("1,3-5", &[0b11_1010]),
            (" 5-8 ,,", &[0b1110_0000, 1]),
            ("0-7,16", &[255, 0, 1]),
        ] {
            assert_eq!(bits(list).as_deref(), Ok(expected), "{list}");
        }
        for list in ["", " , ", "a", "3-1", "-1", "1-", "65536", "0-4294967294"] {
            assert!(bits(list).is_err(), "{list}");
        }
        let cpu = json!({"cpu": {"cpus": "0-1", "mems": "0"}});
        let expected = [
            ("AllowedCPUs".to_owned(), Value::bytes(&[3])),
            ("AllowedMemoryNodes".to_owned(), Value::bytes(&[1])),
        ];
        assert_eq!(listed(Mode::V2, cpu.clone(), 244), expected);
        assert_eq!(listed(Mode::V2, cpu, 243), []);
        let bad = resources(json!({"cpu": {"cpus": "x"}}));
        let error = properties(Mode::V2, &bad, 244).unwrap_err().to_string();
        assert!(error.contains("cpu.cpus: \"x\" conversion error"), "{error}");
    }

    #[test]
    fn unified_files() {
        let all = json!({"unified": {
            "memory.min": "131072", "memory.low": "524288", "memory.high": "5242880",
            "memory.max": "max", "memory.swap.max": " 20 ", "pids.max": "0", "cpu.weight": "42",
            "cpu.max": "10000 50000", "cpuset.cpus": "1", "io.max": "8:0 rbps=1",
            "memory.oom.group": "1"
        }});
        let list = listed(Mode::V2, all, 262);
        let has = |name: &str, value| list.contains(&(name.to_owned(), value));
        assert!(has("MemoryMin", Value::U64(131_072)));
        assert!(has("MemoryHigh", Value::U64(5_242_880)));
        assert!(has("MemoryMax", Value::U64(u64::MAX)));
        assert!(has("MemorySwapMax", Value::U64(20)));
        assert!(has("TasksMax", Value::U64(1)));
        assert!(has("CPUWeight", Value::U64(42)));
        assert!(has("CPUQuotaPerSecUSec", Value::U64(200_000)));
        assert!(has("CPUQuotaPeriodUSec", Value::U64(50_000)));
        assert!(has("AllowedCPUs", Value::bytes(&[2])));
        assert_eq!(list.len(), 10);
        let idle = json!({"unified": {"cpu.idle": "1", "cpu.weight": "8"}});
        assert_eq!(listed(Mode::V2, idle, 262), numbers(&[("CPUWeight", 0)]));
        let unlimited = json!({"unified": {"cpu.max": "max"}});
        let expected = [("CPUQuotaPeriodUSec", 100_000), ("CPUQuotaPerSecUSec", u64::MAX)];
        assert_eq!(listed(Mode::V2, unlimited, 262), numbers(&expected));
        for (key, value) in [
            ("a/b.c", "1"),
            ("nodot", "1"),
            (".x", "1"),
            ("memory.max", "lots"),
            ("pids.max", ""),
            ("cpu.max", "1 2 3"),
            ("cpu.max", ""),
            ("cpu.max", "1 0"),
            ("cpuset.mems", "x"),
        ] {
            let bad = resources(json!({"unified": {key: value}}));
            assert!(properties(Mode::V2, &bad, 262).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn oom_policy_by_version() {
        let group = |value: &str| resources(json!({"unified": {"memory.oom.group": value}}));
        let text = |value| Some(Property::new("OOMPolicy", Value::text(value)));
        assert_eq!(oom_policy(&group("1"), 253), text("kill"));
        assert_eq!(oom_policy(&group("0"), 253), text("continue"));
        assert_eq!(oom_policy(&group("1"), 252), None);
        assert_eq!(oom_policy(&group("2"), 253), None);
    }
}
