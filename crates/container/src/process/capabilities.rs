//! The capability sets of a process (capabilities(7)).

use std::collections::BTreeSet;

use crate::error::CallContext;
use crate::spec::{Capabilities, Capability, LinuxCapabilities};
use crate::{Result, sys};

/// CAP_SYS_ADMIN, which loads a seccomp filter into a process without no_new_privs (seccomp(2)).
pub(super) const SYS_ADMIN: u64 = 1 << 21;

/// A capability by its name, which is spelled as in capabilities(7).
pub(crate) fn by_name(name: &str) -> Option<Capability> {
    name.strip_prefix("CAP_")?.parse().ok()
}

/// Says which capabilities the container does not get: a profile may be newer than the runtime.
pub(crate) fn warn_unknown(names: &BTreeSet<String>) {
    if !names.is_empty() {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        tracing::warn!("ignoring unknown or unavailable capabilities: [{}]", names.join(" "));
    }
}

/// The capabilities of these names, without those that are unknown.
pub fn capabilities(names: &[String]) -> Capabilities {
    let mut unknown = BTreeSet::new();
    let known = names.iter().filter_map(|name| {
        let capability = by_name(name);
        if capability.is_none() {
            unknown.insert(name.clone());
        }
        capability
    });
    let known = known.collect();
    warn_unknown(&unknown);
    known
}

/// The five sets as bit masks by capability number. Absent in config.json means empty;
/// runc leaves a process without `capabilities` all that it has itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CapabilitySets {
    bounding: u64,
    effective: u64,
    inheritable: u64,
    permitted: u64,
    ambient: u64,
}

impl CapabilitySets {
    /// The sets of `process.capabilities`.
    pub(crate) fn new(capabilities: Option<&LinuxCapabilities>) -> Self {
        let Some(capabilities) = capabilities else { return Self::default() };
        let mut sets = Self {
            bounding: mask(capabilities.bounding()),
            effective: mask(capabilities.effective()),
            inheritable: mask(capabilities.inheritable()),
            permitted: mask(capabilities.permitted()),
            ambient: mask(capabilities.ambient()),
        };
        sets.drop_impossible_ambient();
        sets
    }

    /// A capability that is not both permitted and inheritable cannot be ambient (capabilities(7)): the
    /// others stay usable, so this is a warning, as in runc.
    fn drop_impossible_ambient(&mut self) {
        let possible = self.permitted & self.inheritable;
        for number in (0..64).filter(|number| self.ambient & !possible & bit(*number) != 0) {
            let why = crate::error::OsError(nix::errno::Errno::EPERM);
            tracing::warn!("can't raise ambient capability {}: {why}", name(number));
        }
        self.ambient &= possible;
    }

    /// Drops from the bounding set all that is not wanted. Before the user changes.
    pub(crate) fn drop_bounding(&self) -> Result<()> {
        for number in 0..64 {
            if self.bounding & bit(number) != 0 {
                continue;
            }
            match sys::prctl(libc::PR_CAPBSET_DROP, number) {
                Ok(_) => {}
                // The first number that this kernel does not know ends the list.
                Err(nix::errno::Errno::EINVAL) => break,
                Err(errno) => {
                    return Err(errno).call(|| {
                        format!("unable to apply bounding set: drop capability {number}")
                    });
                }
            }
        }
        Ok(())
    }

    /// Sets all others. After the user changed, with capabilities kept (`PR_SET_KEEPCAPS`). Those of
    /// `spare` stay permitted, as far as they are, without being effective.
    pub(crate) fn apply(&self, spare: u64) -> Result<()> {
        let spare = if spare == 0 { 0 } else { spare & permitted()? };
        self.set(0, spare)?;
        sys::prctl_ambient(libc::PR_CAP_AMBIENT_CLEAR_ALL, 0)
            .call(|| "unable to apply caps: clear the ambient set".to_owned())?;
        for number in (0..64).filter(|number| self.ambient & bit(*number) != 0) {
            sys::prctl_ambient(libc::PR_CAP_AMBIENT_RAISE, number)
                .call(|| format!("unable to apply caps: raise ambient {}", name(number)))?;
        }
        Ok(())
    }

    /// Makes effective what [`CapabilitySets::apply`] spared.
    pub(crate) fn use_spare(&self, spare: u64) -> Result<()> {
        let spare = spare & permitted()?;
        self.set(spare, spare)
    }

    /// Gives up what was spared: one capset(2), for it happens under the seccomp filter.
    pub(crate) fn drop_spare(&self) -> Result<()> {
        self.set(0, 0)
    }

    fn set(&self, also_effective: u64, also_permitted: u64) -> Result<()> {
        let effective = self.effective | also_effective;
        sys::set_capabilities(effective, self.permitted | also_permitted, self.inheritable)
            .call(|| "unable to apply caps: capset".to_owned())
    }
}

/// What the caller may use.
fn permitted() -> Result<u64> {
    let sets = rustix::thread::capabilities(None).call(|| "capget".to_owned())?;
    Ok(sets.permitted.bits())
}

/// Makes all that is permitted effective again: changing from root to another user has cleared it
/// (capabilities(7)).
pub(super) fn use_permitted() -> Result<()> {
    let sets = rustix::thread::capabilities(None).call(|| "capget".to_owned())?;
    let permitted = sets.permitted.bits();
    sys::set_capabilities(permitted, permitted, sets.inheritable.bits())
        .call(|| "capset".to_owned())
}

fn bit(number: u64) -> u64 {
    1 << number
}

fn mask(set: &Option<Capabilities>) -> u64 {
    set.iter().flatten().filter_map(number).fold(0, |mask, number| mask | bit(number))
}

/// The kernel's number of a capability.
fn number(capability: &Capability) -> Option<u64> {
    let name = format!("CAP_{capability}");
    name.parse::<caps::Capability>().ok().map(|capability| u64::from(capability.index()))
}

fn name(number: u64) -> String {
    caps::all()
        .into_iter()
        .find(|capability| u64::from(capability.index()) == number)
        .map_or_else(|| number.to_string(), |capability| capability.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_become_bits() {
        let set: HashSet<_> =
            [Capability::Chown, Capability::CheckpointRestore, Capability::Kill].into();
        let capabilities =
            crate::spec::LinuxCapabilitiesBuilder::default().bounding(set).build().unwrap();
        let sets = CapabilitySets::new(Some(&capabilities));
        assert_eq!(sets.bounding & 1, 1);
        assert_eq!(sets.bounding & (1 << 5), 1 << 5);
        assert_eq!(sets.bounding & (1 << 40), 1 << 40);
    }

    #[test]
    fn every_capability_of_the_spec_has_a_number() {
        for capability in caps::all() {
            let text = capability.to_string();
            let name = text.strip_prefix("CAP_").unwrap();
            let parsed: Capability = name.parse().unwrap();
            assert_eq!(number(&parsed), Some(u64::from(capability.index())), "{name}");
        }
    }

    #[test]
    fn absent_is_empty() {
        assert_eq!(CapabilitySets::new(None), CapabilitySets::default());
    }
}
