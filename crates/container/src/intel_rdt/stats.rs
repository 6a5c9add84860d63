//! The part of `events --stats` about a group, in runc's schema (runc, types/events.go). What is
//! empty or zero is left out where Go leaves it out.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::Group;
use crate::error::{CallContext, Error, Result};

/// A file of the kernel's, trimmed.
pub(super) fn text(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).call(|| format!("read {}", path.display()))?;
    Ok(text.trim().to_owned())
}

/// A file with one number.
pub(super) fn number(path: &Path) -> Result<u64> {
    let text = text(path)?;
    text.parse().map_err(|_| Error::corrupt(path, format!("{text:?} is no number")))
}

/// What this machine counts: the names in `info/L3_MON/mon_features` and the key of each in the
/// statistics.
const BANDWIDTH: [&str; 2] = ["mbm_total_bytes", "mbm_local_bytes"];
const OCCUPANCY: [&str; 1] = ["llc_occupancy"];

impl Group {
    /// The group's shares and counters, bytes.
    pub(crate) fn stats(&self) -> Result<Map<String, Value>> {
        let mut stats = Map::new();
        let all = text(&self.root.join("schemata"))?;
        let own = text(&self.dir.join("schemata"))?;
        self.allocation(&mut stats, ["L3", "l3_cache"], [&all, &own])?;
        self.allocation(&mut stats, ["MB", "mem_bw"], [&all, &own])?;
        stats.insert("schemata".to_owned(), own.split('\n').collect());
        let counted = text(&self.root.join("info/L3_MON/mon_features")).unwrap_or_default();
        let counted: Vec<&str> = counted.lines().collect();
        for (key, names) in [("mbm_stats", &BANDWIDTH[..]), ("cmt_stats", &OCCUPANCY)] {
            if names.iter().any(|name| counted.contains(name)) {
                stats.insert(key.to_owned(), self.counters(names, &counted)?);
            }
        }
        Ok(stats)
    }

    /// What can be had of one resource at all, and what this group has.
    fn allocation(
        &self,
        stats: &mut Map<String, Value>,
        [resource, key]: [&str; 2],
        [all, own]: [&str; 2],
    ) -> Result<()> {
        let info = self.root.join("info").join(resource);
        if !info.is_dir() {
            return Ok(());
        }
        let mut facts = Map::new();
        if resource == "L3" {
            facts.insert("cbm_mask".to_owned(), text(&info.join("cbm_mask"))?.into());
        }
        let numbers: &[&str] = match resource {
            "L3" => &["min_cbm_bits", "num_closids"],
            _ => &["bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids"],
        };
        for name in numbers {
            match number(&info.join(name))? {
                0 => {}
                number => drop(facts.insert((*name).to_owned(), number.into())),
            }
        }
        stats.insert(format!("{key}_info"), facts.into());
        for (suffix, schemata) in [("_schema_root", all), ("_schema", own)] {
            // L3CODE and L3DATA are of L3, SMBA is not of MB.
            let mut lines = schemata.lines().map(str::trim);
            if let Some(line) = lines.rfind(|line| line.starts_with(resource)) {
                stats.insert(format!("{key}{suffix}"), line.into());
            }
        }
        Ok(())
    }

    /// By domain. A counter that this machine lacks is zero.
    fn counters(&self, names: &[&str], counted: &[&str]) -> Result<Value> {
        let dir = self.monitor.as_ref().unwrap_or(&self.dir).join("mon_data");
        let entries = std::fs::read_dir(&dir).call(|| format!("read {}", dir.display()))?;
        let mut domains: Vec<_> =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        domains.sort_unstable();
        let mut list = Vec::with_capacity(domains.len());
        for domain in domains {
            let mut counters = json!({});
            for name in names {
                counters[*name] = match counted.contains(name) {
                    true => number(&domain.join(name))?.into(),
                    false => 0.into(),
                };
            }
            list.push(counters);
        }
        Ok(list.into())
    }
}
