//! Device rules, from the configuration and by default.

use std::fmt;
use std::path::Path;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};

use crate::error::{Error, Result};

/// Which devices a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKind {
    /// All devices, whatever the numbers.
    All,
    /// Block devices.
    Block,
    /// Character devices.
    Char,
}

/// A set of read, write and mknod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// Opening for reading.
    pub const READ: Self = Self(1);
    /// Opening for writing.
    pub const WRITE: Self = Self(2);
    /// Making a node.
    pub const MKNOD: Self = Self(4);
    /// All three.
    pub const ALL: Self = Self(7);

    /// The letters `r`, `w` and `m`. Other letters are without meaning and ignored, as runc does;
    /// its tests use one.
    pub fn from_letters(letters: &str) -> Self {
        letters.chars().fold(Self::default(), |access, letter| match letter {
            'r' => access.union(Self::READ),
            'w' => access.union(Self::WRITE),
            'm' => access.union(Self::MKNOD),
            _ => access,
        })
    }

    /// Both together.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is only in `self`.
    pub fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// No access at all.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (access, letter) in [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MKNOD, "m")] {
            if self.contains(access) {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// Allows or denies access to devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// Allow, or deny.
    pub allow: bool,
    /// Which devices.
    pub kind: DeviceKind,
    /// Their major number; `None` for any.
    pub major: Option<u32>,
    /// Their minor number; `None` for any.
    pub minor: Option<u32>,
    /// Which accesses.
    pub access: Access,
}

impl DeviceRule {
    const fn allow(kind: DeviceKind, major: Option<u32>, minor: Option<u32>, a: Access) -> Self {
        Self { allow: true, kind, major, minor, access: a }
    }

    /// The rule at `index` of `linux.resources.devices`.
    fn from_spec(index: usize, device: &LinuxDeviceCgroup) -> Result<Self> {
        let field = |name: &str, value: Option<i64>| match value {
            None | Some(-1) => Ok(None),
            Some(number) => u32::try_from(number).map(Some).map_err(|_| {
                Error::DeviceRule(format!("{name} at {index}: {number} is no device number"))
            }),
        };
        let letters = device.access().as_deref().unwrap_or_default();
        if letters.is_empty() {
            let what = format!("device access at {index} field cannot be empty");
            return Err(Error::DeviceRule(what));
        }
        let kind = match device.typ().unwrap_or_default() {
            LinuxDeviceType::A => DeviceKind::All,
            LinuxDeviceType::B => DeviceKind::Block,
            LinuxDeviceType::C => DeviceKind::Char,
            other => {
                let what = format!("invalid cgroup device type {:?} at {index}", other.as_str());
                return Err(Error::DeviceRule(what));
            }
        };
        Ok(Self {
            allow: device.allow(),
            kind,
            major: field("major", device.major())?,
            minor: field("minor", device.minor())?,
            access: Access::from_letters(letters),
        })
    }
}

impl fmt::Display for DeviceRule {
    /// As the kernel's `devices.allow` and `devices.deny` take it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::All => return f.write_str("a"),
            DeviceKind::Block => 'b',
            DeviceKind::Char => 'c',
        };
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |n| n.to_string());
        write!(f, "{kind} {}:{} {}", number(self.major), number(self.minor), self.access)
    }
}

/// What every container may use, whatever its configuration denies: runc's list, which users rely
/// on. Those with a path are left to the configuration where it has a device of that path.
const DEFAULTS: [(Option<&str>, DeviceRule); 11] = {
    use DeviceKind::{Block, Char};
    const fn node(path: &str, major: u32, minor: u32) -> (Option<&str>, DeviceRule) {
        (Some(path), DeviceRule::allow(Char, Some(major), Some(minor), Access::ALL))
    }
    const fn char(major: u32, minor: Option<u32>) -> (Option<&'static str>, DeviceRule) {
        (None, DeviceRule::allow(Char, Some(major), minor, Access::ALL))
    }
    [
        // A node is of no use without the right to open it.
        (None, DeviceRule::allow(Char, None, None, Access::MKNOD)),
        (None, DeviceRule::allow(Block, None, None, Access::MKNOD)),
        node("/dev/null", 1, 3),
        node("/dev/random", 1, 8),
        node("/dev/full", 1, 7),
        node("/dev/tty", 5, 0),
        node("/dev/zero", 1, 5),
        node("/dev/urandom", 1, 9),
        // Pseudo terminals and their multiplexer.
        char(136, None),
        char(5, Some(2)),
        // /dev/net/tun.
        char(10, Some(200)),
    ]
};

/// The rules of a container: those of `linux.resources.devices`, then the default devices, less
/// those that `linux.devices` replaces.
///
/// # Errors
///
/// [`Error::DeviceRule`] naming the offending entry.
pub fn device_rules(
    resources: Option<&LinuxResources>,
    devices: &[LinuxDevice],
) -> Result<Vec<DeviceRule>> {
    let given = resources.and_then(|resources| resources.devices().as_deref());
    let given = given.unwrap_or_default().iter().enumerate();
    let mut rules = given
        .map(|(index, device)| DeviceRule::from_spec(index, device))
        .collect::<Result<Vec<_>>>()?;
    let is_replaced = |path: &str| devices.iter().any(|device| device.path() == Path::new(path));
    let defaults = DEFAULTS.iter().filter(|(path, _)| !path.is_some_and(is_replaced));
    rules.extend(defaults.map(|(_, rule)| *rule));
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{LinuxDeviceBuilder, LinuxDeviceCgroupBuilder, LinuxResourcesBuilder};

    use super::*;

    fn resources(json: &str) -> LinuxResources {
        let device: LinuxDeviceCgroup = serde_json::from_str(json).unwrap();
        LinuxResourcesBuilder::default().devices(vec![device]).build().unwrap()
    }

    #[test]
    fn defaults_follow_the_configuration() {
        let deny = LinuxDeviceCgroupBuilder::default().allow(false).access("rwm").build().unwrap();
        let resources = LinuxResourcesBuilder::default().devices(vec![deny]).build().unwrap();
        let rules = device_rules(Some(&resources), &[]).unwrap();
        assert_eq!(rules.len(), 12);
        assert_eq!(rules[0].kind, DeviceKind::All);
        assert!(!rules[0].allow);
        let texts: Vec<String> = rules.iter().map(ToString::to_string).collect();
        assert_eq!(texts[1..4], ["c *:* m", "b *:* m", "c 1:3 rwm"]);
        let null = LinuxDeviceBuilder::default().path("/dev/null").build().unwrap();
        let rules = device_rules(None, &[null]).unwrap();
        assert!(!rules.iter().any(|rule| rule.to_string() == "c 1:3 rwm"));
        assert_eq!(rules.len(), 10);
    }

    #[test]
    fn bad_entries_are_named() {
        for (json, expected) in [
            (r#"{"allow":true}"#, "device access at 0 field cannot be empty"),
            (r#"{"allow":true,"access":"r","type":"p"}"#, "invalid cgroup device type"),
            (r#"{"allow":true,"access":"r","major":-2}"#, "major at 0"),
            (r#"{"allow":true,"access":"r","minor":4294967296}"#, "minor at 0"),
        ] {
            let error = device_rules(Some(&resources(json)), &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.starts_with("linux.resources.devices: "), "{error}");
        }
        let fine = resources(r#"{"allow":false,"access":"rwa","major":-1}"#);
        assert_eq!(device_rules(Some(&fine), &[]).unwrap()[0].access.to_string(), "rw");
    }
}
