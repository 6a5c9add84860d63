//! `linux.memoryPolicy`: which NUMA nodes a process takes its memory from, as set_mempolicy(2) wants it.

use libc::c_ulong;
use serde_json::Value;

use super::schedule::bit_mask;
use crate::error::{CallContext, Error, Result};
use crate::spec::{LinuxMemoryPolicy, MemoryPolicyFlagType, MemoryPolicyModeType};
use crate::sys;

/// No kernel is built for more (`NODES_SHIFT` is 10 at the most).
const MAX_NODES: usize = 1024;

/// A memory policy, checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MemoryPolicy {
    /// The mode with its flags.
    mode: i32,
    /// A bit for each node; empty for none.
    nodes: Vec<c_ulong>,
    /// For errors.
    name: String,
}

impl MemoryPolicy {
    /// Checks what does not depend on the machine. Errors name the field, in runc's words.
    pub(super) fn new(spec: &LinuxMemoryPolicy) -> Result<Self> {
        let list = spec.nodes().as_deref().unwrap_or_default();
        let mask = bit_mask(list, MAX_NODES)
            .ok_or_else(|| wrong("nodes", format!("invalid memory policy nodes {list:?}")))?;
        let count: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
        let mode = spec.mode();
        match mode {
            MemoryPolicyModeType::MpolDefault | MemoryPolicyModeType::MpolLocal if count != 0 => {
                let problem = format!("memory policy mode requires 0 nodes but got {count}");
                return Err(wrong("nodes", problem));
            }
            MemoryPolicyModeType::MpolBind
            | MemoryPolicyModeType::MpolInterleave
            | MemoryPolicyModeType::MpolPreferredMany
            | MemoryPolicyModeType::MpolWeightedInterleave
                if count == 0 =>
            {
                let problem = "memory policy mode requires at least one node but got 0";
                return Err(wrong("nodes", problem.to_owned()));
            }
            _ => {}
        }
        let flags = spec.flags().as_deref().unwrap_or_default();
        let exclusive =
            [MemoryPolicyFlagType::MpolFStaticNodes, MemoryPolicyFlagType::MpolFRelativeNodes];
        if exclusive.iter().all(|flag| flags.contains(flag)) {
            let [one, other] = exclusive;
            return Err(wrong("flags", format!("{one} and {other} exclude each other")));
        }
        Ok(Self {
            mode: flags.iter().fold(mode_number(mode), |bits, flag| bits | flag_bit(*flag)),
            nodes: if count == 0 { Vec::new() } else { words(&mask) },
            name: format!("{mode} for nodes {list:?}"),
        })
    }

    /// Child: the policy of the caller and of what it executes.
    pub(super) fn apply(&self) -> Result<()> {
        sys::set_memory_policy(self.mode, &self.nodes)
            .call(|| format!("set_mempolicy {}", self.name))
    }
}

/// Says of a config that is not one what is wrong with the names of its memory policy, in runc's words.
/// All else is left to the parser.
pub(crate) fn check_memory_policy_names(config: &Value) -> Result<()> {
    let Some(policy) = config.pointer("/linux/memoryPolicy").and_then(Value::as_object) else {
        return Ok(());
    };
    let mode = policy.get("mode").map_or(Some(""), Value::as_str);
    if let Some(mode) = mode.filter(|mode| mode.parse::<MemoryPolicyModeType>().is_err()) {
        return Err(wrong("mode", format!("invalid memory policy mode {mode:?}")));
    }
    let flags = policy.get("flags").and_then(Value::as_array).into_iter().flatten();
    match flags.filter_map(Value::as_str).find(|flag| flag.parse::<MemoryPolicyFlagType>().is_err())
    {
        Some(flag) => Err(wrong("flags", format!("invalid memory policy flag {flag:?}"))),
        None => Ok(()),
    }
}

fn wrong(field: &str, problem: String) -> Error {
    Error::config(format!("linux.memoryPolicy.{field}"), problem)
}

/// linux/mempolicy.h
fn mode_number(mode: MemoryPolicyModeType) -> i32 {
    match mode {
        MemoryPolicyModeType::MpolDefault => 0,
        MemoryPolicyModeType::MpolPreferred => 1,
        MemoryPolicyModeType::MpolBind => 2,
        MemoryPolicyModeType::MpolInterleave => 3,
        MemoryPolicyModeType::MpolLocal => 4,
        MemoryPolicyModeType::MpolPreferredMany => 5,
        MemoryPolicyModeType::MpolWeightedInterleave => 6,
    }
}

/// linux/mempolicy.h
fn flag_bit(flag: MemoryPolicyFlagType) -> i32 {
    match flag {
        MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
        MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
        MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
    }
}

/// The kernel reads words, whose bytes are in the machine's order.
fn words(mask: &[u8]) -> Vec<c_ulong> {
    mask.chunks(size_of::<c_ulong>())
        .map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | c_ulong::from(*byte)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy(value: Value) -> Result<MemoryPolicy> {
        MemoryPolicy::new(&serde_json::from_value(value).unwrap())
    }

    fn problem(value: Value) -> String {
        policy(value).unwrap_err().to_string()
    }

    #[test]
    fn modes_flags_and_nodes() {
        let bind = policy(json!({"mode": "MPOL_BIND", "nodes": "0-1,65",
            "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_NUMA_BALANCING"]}))
        .unwrap();
        assert_eq!(bind.mode, 2 | 0xa000);
        assert_eq!(bind.nodes[..2], [0b11, 0b10]);
        let preferred = policy(json!({"mode": "MPOL_PREFERRED"})).unwrap();
        assert_eq!((preferred.mode, preferred.nodes), (1, vec![]));
        assert!(policy(json!({"mode": "MPOL_DEFAULT", "nodes": ""})).unwrap().nodes.is_empty());
        // The last bit of a word, which set_mempolicy(2) loses if told the word's size.
        assert_eq!(policy(json!({"mode": "MPOL_BIND", "nodes": "63"})).unwrap().nodes[0], 1 << 63);
    }

    #[test]
    fn nodes_fit_the_mode() {
        for mode in ["MPOL_DEFAULT", "MPOL_LOCAL"] {
            let text = problem(json!({"mode": mode, "nodes": "0-7"}));
            assert!(text.contains("mode requires 0 nodes but got 8"), "{text}");
        }
        for mode in
            ["MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_PREFERRED_MANY", "MPOL_WEIGHTED_INTERLEAVE"]
        {
            let text = problem(json!({"mode": mode}));
            assert!(text.contains("requires at least one node"), "{text}");
        }
    }

    #[test]
    fn wrong_nodes_and_flags() {
        for nodes in ["0-9876543210", "1024", "x", "3-1", "-1"] {
            let text = problem(json!({"mode": "MPOL_BIND", "nodes": nodes}));
            assert!(
                text.contains("linux.memoryPolicy.nodes: invalid memory policy node"),
                "{text}"
            );
        }
        let both = ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"];
        let text = problem(json!({"mode": "MPOL_BIND", "nodes": "0", "flags": both}));
        assert!(text.contains("exclude each other"), "{text}");
    }

    #[test]
    fn unknown_names() {
        let text = |policy: Value| {
            let config = json!({"linux": {"memoryPolicy": policy}});
            check_memory_policy_names(&config).unwrap_err().to_string()
        };
        assert!(text(json!({})).contains("invalid memory policy mode \"\""));
        assert!(text(json!({"mode": "BIND"})).contains("invalid memory policy mode \"BIND\""));
        let flags = json!({"mode": "MPOL_BIND", "flags": ["MPOL_F_STATIC_NODES", "x"]});
        assert!(text(flags).contains("invalid memory policy flag \"x\""));
        for fine in [json!({}), json!({"linux": {"memoryPolicy": {"mode": "MPOL_LOCAL"}}})] {
            check_memory_policy_names(&fine).unwrap();
        }
    }
}
