//! Device rules as unit properties (systemd.resource-control(5), "DeviceAllow").
//!
//! The container's own filter comes on top and is the exact one; systemd's must only not forbid what
//! that allows.

use std::path::Path;

use super::value::{Property, Value};
use crate::devices::{DeviceKind, DeviceRule, Emulator};
use crate::error::Result;

/// The first version that reads numbers from a device's path, and takes `char-MAJOR`.
const NUMBERS_SINCE: u32 = 240;

/// The properties for `rules`, applied in their order to a group without any access.
pub(super) fn properties(rules: &[DeviceRule], version: u32) -> Result<Vec<Property>> {
    let target = Emulator::from_rules(rules)?;
    let mut entries = target.exceptions().peekable();
    let (policy, mut allowed) = ("strict", Vec::new());
    if target.allows_by_default() {
        if entries.peek().is_none() {
            return Ok(vec![device_allow(Vec::new()), device_policy("auto")]);
        }
        // systemd knows no list of what is forbidden.
        tracing::warn!(
            "systemd doesn't support blacklist device rules -- applying temporary deny-all rule"
        );
    } else {
        allowed.extend(entries.filter_map(|rule| entry(&rule, version)));
    }
    // An empty list empties the old one. The order matters: with the policy first, systemd (since 230)
    // would ask for a daemon-reload for ever.
    Ok(vec![device_allow(Vec::new()), device_policy(policy), device_allow(allowed)])
}

fn device_policy(policy: &str) -> Property {
    Property::new("DevicePolicy", Value::text(policy))
}

fn device_allow(entries: Vec<Value>) -> Property {
    Property::new("DeviceAllow", Value::Array("(ss)".to_owned(), entries))
}

/// Path and access of what one rule allows; `None` for what systemd cannot say.
fn entry(rule: &DeviceRule, version: u32) -> Option<Value> {
    let kind = match rule.kind {
        DeviceKind::Block => "block",
        _ => "char",
    };
    let path = match (rule.major, rule.minor) {
        (None, None) => format!("{kind}-*"),
        (None, Some(_)) => {
            tracing::warn!("systemd doesn't support '*:n' device rules -- ignoring rule: {rule}");
            return None;
        }
        (Some(major), None) if version >= NUMBERS_SINCE => format!("{kind}-{major}"),
        (Some(major), None) => format!("{kind}-{}", group(kind, major)?),
        (Some(major), Some(minor)) => {
            let path = format!("/dev/{kind}/{major}:{minor}");
            // Older ones look at the node, and complain when there is none.
            if version < NUMBERS_SINCE && !Path::new(&path).exists() {
                return None;
            }
            path
        }
    };
    Some(Value::Struct(vec![Value::text(path), Value::text(rule.access.to_string())]))
}

/// The driver's name by its major number: proc_devices(5).
fn group(kind: &str, major: u32) -> Option<String> {
    let list = crate::file::read_text(Path::new("/proc/devices")).ok()?;
    let found = group_in(&list, kind, major);
    if found.is_none() {
        tracing::warn!("no device group for {kind} {major} in /proc/devices -- ignoring its rule");
    }
    found
}

fn group_in(list: &str, kind: &str, major: u32) -> Option<String> {
    let title = if kind == "block" { "Block devices:" } else { "Character devices:" };
    let lines = list.lines().skip_while(|line| line.trim() != title).skip(1);
    lines
        .take_while(|line| !line.trim().is_empty())
        .filter_map(|line| line.trim().split_once(' '))
        .find(|(number, _)| number.parse() == Ok(major))
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::Access;

    fn rule(allow: bool, kind: DeviceKind, major: Option<u32>, minor: Option<u32>) -> DeviceRule {
        DeviceRule { allow, kind, major, minor, access: Access::ALL }
    }

    fn list(entries: &[(&str, &str)]) -> Property {
        let pair = |(path, access): &(&str, &str)| {
            Value::Struct(vec![Value::text(*path), Value::text(*access)])
        };
        device_allow(entries.iter().map(pair).collect())
    }

    #[test]
    fn an_allow_list() {
        let mknod =
            DeviceRule { access: Access::MKNOD, ..rule(true, DeviceKind::Block, None, None) };
        let rules = [
            rule(false, DeviceKind::All, None, None),
            mknod,
            rule(true, DeviceKind::Char, Some(136), None),
            rule(true, DeviceKind::Char, Some(1), Some(3)),
            rule(true, DeviceKind::Char, None, Some(7)),
        ];
        let expected = [
            device_allow(Vec::new()),
            device_policy("strict"),
            list(&[("block-*", "m"), ("/dev/char/1:3", "rwm"), ("char-136", "rwm")]),
        ];
        assert_eq!(properties(&rules, 240).unwrap(), expected);
    }

    #[test]
    fn all_and_all_but() {
        let all = rule(true, DeviceKind::All, None, None);
        let free = [device_allow(Vec::new()), device_policy("auto")];
        assert_eq!(properties(&[all], 252).unwrap(), free);
        let but = rule(false, DeviceKind::Char, Some(1), Some(3));
        let none = [device_allow(Vec::new()), device_policy("strict"), list(&[])];
        assert_eq!(properties(&[all, but], 252).unwrap(), none);
    }

    #[test]
    fn groups_of_old_versions() {
        let text = "Character devices:\n  1 mem\n136 pts\n\nBlock devices:\n  1 ramdisk\n";
        assert_eq!(group_in(text, "char", 136).as_deref(), Some("pts"));
        assert_eq!(group_in(text, "char", 1).as_deref(), Some("mem"));
        assert_eq!(group_in(text, "block", 1).as_deref(), Some("ramdisk"));
        assert_eq!(group_in(text, "block", 136), None);
    }
}
