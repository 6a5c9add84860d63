//! What a list of device rules amounts to, and how to get from one state to another.

use std::collections::BTreeMap;

use super::rule::{Access, DeviceKind, DeviceRule};
use crate::error::{Error, Result};

/// Numbers and kind: what a rule matches. The order is that in which rules are written.
type Match = (Option<u32>, Option<u32>, DeviceKind);

/// The state of a v1 devices group: a default and exceptions to it
/// (Documentation/admin-guide/cgroup-v1/devices.rst).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Emulator {
    allows_by_default: bool,
    exceptions: BTreeMap<Match, Access>,
}

impl Emulator {
    /// The state after `rules`, in their order, in a group that had no access.
    pub(crate) fn from_rules(rules: &[DeviceRule]) -> Result<Self> {
        let mut state = Self::default();
        for rule in rules {
            state.apply(rule)?;
        }
        Ok(state)
    }

    /// The state that a `devices.list` shows. In a group that allows by default the list has the
    /// one line `a *:* rwm` and keeps silent about exceptions.
    pub(super) fn from_list(list: &str) -> std::result::Result<Self, String> {
        let mut state = Self::default();
        for line in list.lines() {
            let rule = parse(line).ok_or_else(|| line.to_owned())?;
            state.apply(&rule).map_err(|_| line.to_owned())?;
        }
        Ok(state)
    }

    pub(crate) fn allows_by_default(&self) -> bool {
        self.allows_by_default
    }

    pub(crate) fn exceptions(&self) -> impl Iterator<Item = DeviceRule> + '_ {
        self.exceptions.iter().map(|(at, access)| self.rule(!self.allows_by_default, *at, *access))
    }

    fn rule(&self, allow: bool, (major, minor, kind): Match, access: Access) -> DeviceRule {
        DeviceRule { allow, kind, major, minor, access }
    }

    fn apply(&mut self, rule: &DeviceRule) -> Result<()> {
        if rule.kind == DeviceKind::All {
            *self = Self { allows_by_default: rule.allow, exceptions: BTreeMap::new() };
            return Ok(());
        }
        let at = (rule.major, rule.minor, rule.kind);
        if rule.allow == self.allows_by_default {
            return self.subtract(at, rule);
        }
        if !rule.access.is_empty() {
            let access = self.exceptions.entry(at).or_default();
            *access = access.union(rule.access);
        }
        Ok(())
    }

    /// Takes back an exception. The kernel silently ignores taking a part out of a wildcard;
    /// a user would believe the rule to be in force, so it is an error here, as in runc.
    fn subtract(&mut self, at: Match, rule: &DeviceRule) -> Result<()> {
        let (major, minor, kind) = at;
        for wider in [(None, minor, kind), (major, None, kind), (None, None, kind)] {
            let Some(access) = self.exceptions.get(&wider).filter(|_| wider != at) else {
                continue;
            };
            if !access.intersection(rule.access).is_empty() {
                let wider = self.rule(!self.allows_by_default, wider, *access);
                return Err(Error::DeviceRule(format!(
                    "rule [{rule}]: cannot punch hole in existing wildcard rule [{wider}]"
                )));
            }
        }
        if let Some(access) = self.exceptions.get_mut(&at) {
            *access = access.difference(rule.access);
            if access.is_empty() {
                self.exceptions.remove(&at);
            }
        }
        Ok(())
    }

    /// The fewest rules that lead from this state to `target`. A rule that resets the whole
    /// group, which for a moment takes away everything, is only among them when the default
    /// changes, or when this group allows by default and its exceptions are thus unknown.
    pub(super) fn transition(&self, target: &Self) -> Vec<DeviceRule> {
        let mut rules = Vec::new();
        let none = BTreeMap::new();
        let mut current = &self.exceptions;
        if self.allows_by_default || target.allows_by_default {
            let allow = target.allows_by_default;
            rules.push(self.rule(allow, (None, None, DeviceKind::All), Access::ALL));
            current = &none;
        }
        let of = |map: &BTreeMap<Match, Access>, at| map.get(at).copied().unwrap_or_default();
        for (at, access) in current {
            let dropped = access.difference(of(&target.exceptions, at));
            if !dropped.is_empty() {
                rules.push(self.rule(target.allows_by_default, *at, dropped));
            }
        }
        for (at, access) in &target.exceptions {
            let gained = access.difference(of(current, at));
            if !gained.is_empty() {
                rules.push(self.rule(!target.allows_by_default, *at, gained));
            }
        }
        rules
    }
}

/// A line of `devices.list`: `KIND MAJOR:MINOR ACCESS`.
fn parse(line: &str) -> Option<DeviceRule> {
    let mut fields = line.split([' ', ':']);
    let kind = match fields.next()? {
        "a" => DeviceKind::All,
        "b" => DeviceKind::Block,
        "c" => DeviceKind::Char,
        _ => return None,
    };
    let number = |field: &str| match field {
        "*" => Some(None),
        digits => digits.parse().ok().map(Some),
    };
    let major = number(fields.next()?)?;
    let minor = number(fields.next()?)?;
    let letters = fields.next()?;
    let access = Access::from_letters(letters);
    let is_whole = fields.next().is_none() && access.to_string() == letters && !access.is_empty();
    is_whole.then_some(DeviceRule { allow: true, kind, major, minor, access })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(allow: bool, line: &str) -> DeviceRule {
        DeviceRule { allow, ..parse(line).unwrap() }
    }

    fn texts(rules: &[DeviceRule]) -> Vec<String> {
        let sign = |rule: &DeviceRule| if rule.allow { '+' } else { '-' };
        rules.iter().map(|rule| format!("{}{rule}", sign(rule))).collect()
    }

    #[test]
    fn from_allow_all_resets_first() {
        let current = Emulator::from_list("a *:* rwm\n").unwrap();
        let target = Emulator::from_rules(&[
            rule(false, "a *:* rwm"),
            rule(true, "c 1:3 rw"),
            rule(true, "c 1:3 m"),
            rule(true, "b *:* m"),
        ])
        .unwrap();
        assert_eq!(texts(&current.transition(&target)), ["-a", "+b *:* m", "+c 1:3 rwm"]);
    }

    #[test]
    fn only_differences_are_written() {
        let current = Emulator::from_list("c 1:3 rwm\nc 5:0 rw\nb 8:0 r\n").unwrap();
        let target = Emulator::from_list("c 1:3 rwm\nc 5:0 rm\n").unwrap();
        let rules = current.transition(&target);
        assert_eq!(texts(&rules), ["-c 5:0 w", "-b 8:0 r", "+c 5:0 m"]);
        assert!(target.transition(&target).is_empty());
    }

    #[test]
    fn deny_list() {
        let target =
            Emulator::from_rules(&[rule(true, "a *:* rwm"), rule(false, "c 1:11 rw")]).unwrap();
        assert!(target.allows_by_default());
        let rules = Emulator::default().transition(&target);
        assert_eq!(texts(&rules), ["+a", "-c 1:11 rw"]);
    }

    #[test]
    fn no_hole_in_a_wildcard() {
        let wild = rule(true, "c 1:* rw");
        let refused = Emulator::from_rules(&[wild, rule(false, "c 1:3 r")]);
        assert!(refused.unwrap_err().to_string().contains("cannot punch hole"));
        let other_access = Emulator::from_rules(&[wild, rule(false, "c 1:3 m")]).unwrap();
        assert_eq!(other_access.exceptions().count(), 1);
        let whole = Emulator::from_rules(&[wild, rule(false, "c 1:* rw")]).unwrap();
        assert_eq!(whole.exceptions().count(), 0);
    }

    #[test]
    fn malformed_lists() {
        for line in ["", "x 1:3 r", "c 1 r", "c 1:3", "c 1:3 rx", "c -1:3 r", "c 1:3 r w"] {
            assert!(Emulator::from_list(&format!("{line}\n")).is_err(), "{line}");
        }
    }
}
