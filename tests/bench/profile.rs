//! Docker's default seccomp profile, from the engine's file on this machine.

use serde_json::{Value, json};

/// The engines' file: the profile with conditions on capabilities and architectures.
const FILE: &str = "/usr/share/containers/seccomp.json";

/// The profile as an engine would put it into config.json for a container with the default
/// capabilities on x86-64, or nothing where no engine is installed.
pub(crate) fn docker_default() -> Option<Value> {
    let text = std::fs::read(FILE).ok()?;
    let file: Value = serde_json::from_slice(&text).ok()?;
    let rules = file["syscalls"].as_array()?.iter().filter(|rule| applies(rule));
    let rules: Vec<Value> = rules
        .map(|rule| {
            let mut kept = json!({"names": rule["names"], "action": rule["action"]});
            for key in ["args", "errnoRet"] {
                if rule[key].is_array() && rule[key] != json!([]) || rule[key].is_number() {
                    kept[key] = rule[key].clone();
                }
            }
            kept
        })
        .collect();
    let mut profile = json!({
        "defaultAction": file["defaultAction"],
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules,
    });
    if file["defaultErrnoRet"].is_number() {
        profile["defaultErrnoRet"] = file["defaultErrnoRet"].clone();
    }
    Some(profile)
}

/// Whether a rule's conditions hold: none of its capabilities is among the default ones.
fn applies(rule: &Value) -> bool {
    let has = |side: &str, key: &str, value: &str| {
        rule[side][key].as_array().is_some_and(|list| list.iter().any(|v| v == value))
    };
    let wants_caps = rule["includes"]["caps"].as_array().is_some_and(|caps| !caps.is_empty());
    let wants_arch = rule["includes"]["arches"].as_array().is_some_and(|list| !list.is_empty());
    !wants_caps
        && (!wants_arch || has("includes", "arches", "amd64"))
        && !has("excludes", "arches", "amd64")
}
