//! Chains.

use std::fmt;

use crate::Table;
use crate::attr::Attrs;
use crate::uapi::*;

/// Where on a packet's way a base chain is called, `enum nf_inet_hooks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Hook {
    /// Came in, before routing.
    Prerouting = 0,
    /// For a process of this host.
    Input = 1,
    /// From one interface to another.
    Forward = 2,
    /// From a process of this host.
    Output = 3,
    /// About to leave, after routing.
    Postrouting = 4,
}

/// Priorities: among the chains of one hook, the lowest is called first. See nft(8), "CHAINS".
pub mod priority {
    /// Before connection tracking.
    pub const RAW: i32 = -300;
    /// Destination NAT; also NAT in output, where nft(8) has no name for it.
    pub const DSTNAT: i32 = -100;
    /// Where packets are filtered.
    pub const FILTER: i32 = 0;
    /// Source NAT.
    pub const SRCNAT: i32 = 100;
}

/// What becomes of a packet at the end of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// It goes on.
    Accept,
    /// It is dropped.
    Drop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Base {
    kind: &'static str,
    hook: Hook,
    priority: i32,
    policy: Policy,
}

/// A list of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain<'a> {
    pub(crate) table: Table<'a>,
    pub(crate) name: &'a str,
    base: Option<Base>,
}

impl<'a> Chain<'a> {
    /// A chain to jump to.
    #[must_use]
    pub const fn regular(table: Table<'a>, name: &'a str) -> Self {
        Self { table, name, base: None }
    }

    /// A base chain that filters and accepts at its end.
    #[must_use]
    pub const fn filter(table: Table<'a>, name: &'a str, hook: Hook, priority: i32) -> Self {
        let base = Some(Base { kind: "filter", hook, priority, policy: Policy::Accept });
        Self { table, name, base }
    }

    /// A base chain for address translation. It sees the first packet of each connection only.
    #[must_use]
    pub const fn nat(table: Table<'a>, name: &'a str, hook: Hook, priority: i32) -> Self {
        let base = Some(Base { kind: "nat", hook, priority, policy: Policy::Accept });
        Self { table, name, base }
    }

    /// The same base chain with another policy. Of no effect on a regular chain, which has none.
    #[must_use]
    pub const fn policy(self, policy: Policy) -> Self {
        let base = match self.base {
            Some(base) => Some(Base { policy, ..base }),
            None => None,
        };
        Self { base, ..self }
    }

    pub(crate) fn encode(&self, attrs: &mut Attrs) {
        attrs.text(NFTA_CHAIN_TABLE, self.table.name).text(NFTA_CHAIN_NAME, self.name);
        let Some(base) = self.base else { return };
        attrs.text(NFTA_CHAIN_TYPE, base.kind);
        let policy = if base.policy == Policy::Accept { NF_ACCEPT } else { NF_DROP };
        attrs.bytes(NFTA_CHAIN_POLICY, &policy.to_be_bytes());
        attrs.nested(NFTA_CHAIN_HOOK, |hook| {
            hook.number(NFTA_HOOK_HOOKNUM, base.hook as u32);
            hook.bytes(NFTA_HOOK_PRIORITY, &base.priority.to_be_bytes());
        });
    }
}

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table, self.name)
    }
}
