//! Expressions: the instructions that a rule is made of.

use crate::attr::{Attrs, find, number, text};
use crate::uapi::*;

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It passes this hook's chain. Other tables may still drop it.
    Accept,
    /// It is dropped.
    Drop,
    /// On to the calling chain, or to the end of a base chain.
    Return,
    /// On to a chain and back.
    Jump(String),
    /// On to a chain, not back.
    Goto(String),
}

impl Verdict {
    pub(crate) fn encode(&self, data: &mut Attrs) {
        let (code, chain) = match self {
            Self::Accept => (NF_ACCEPT, None),
            Self::Drop => (NF_DROP, None),
            Self::Return => (NFT_RETURN, None),
            Self::Jump(chain) => (NFT_JUMP, Some(chain)),
            Self::Goto(chain) => (NFT_GOTO, Some(chain)),
        };
        data.nested(NFTA_DATA_VERDICT, |verdict| {
            verdict.bytes(NFTA_VERDICT_CODE, &code.to_be_bytes());
            if let Some(chain) = chain {
                verdict.text(NFTA_VERDICT_CHAIN, chain);
            }
        });
    }

    pub(crate) fn decode(data: &[u8]) -> Option<Self> {
        let verdict = find(data, NFTA_DATA_VERDICT)?;
        let chain = || find(verdict, NFTA_VERDICT_CHAIN).and_then(text);
        Some(match find(verdict, NFTA_VERDICT_CODE).and_then(number)?.cast_signed() {
            NF_ACCEPT => Self::Accept,
            NF_DROP => Self::Drop,
            NFT_RETURN => Self::Return,
            NFT_JUMP => Self::Jump(chain()?),
            NFT_GOTO => Self::Goto(chain()?),
            _ => return None,
        })
    }
}

/// States of a connection, to be joined with `|`: `enum ip_conntrack_info` as nft(8) names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CtState(pub(crate) u32);

impl CtState {
    /// Belongs to no connection as it should.
    pub const INVALID: Self = Self(1);
    /// Seen in both directions.
    pub const ESTABLISHED: Self = Self(1 << 1);
    /// Belongs to another connection, like an ICMP error.
    pub const RELATED: Self = Self(1 << 2);
    /// The first of its connection.
    pub const NEW: Self = Self(1 << 3);
    /// Not tracked.
    pub const UNTRACKED: Self = Self(1 << 6);
}

impl std::ops::BitOr for CtState {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A field of a packet or of its surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Select {
    /// `iif`: the index of the interface it came by.
    Iif,
    /// `oif`: the index of the interface it leaves by.
    Oif,
    /// `iifname`.
    IifName,
    /// `oifname`.
    OifName,
    /// `meta nfproto`: 2 for IPv4, 10 for IPv6.
    NfProto,
    /// `meta l4proto`: the transport protocol.
    L4Proto,
    /// `ip saddr`.
    IpSaddr,
    /// `ip daddr`.
    IpDaddr,
    /// `ip6 saddr`.
    Ip6Saddr,
    /// `ip6 daddr`.
    Ip6Daddr,
    /// `th sport`.
    ThSport,
    /// `th dport`.
    ThDport,
    /// `ct state`.
    CtState,
    /// `ct status`.
    CtStatus,
    /// `fib daddr type`: 2 for an address of this host.
    FibDaddrType,
}

/// How a field gets into a register.
enum Load {
    Meta(u32),
    Payload { base: u32, offset: u32 },
    Ct(u32),
    FibDaddrType,
}

impl Select {
    /// Loads the field into the register and those behind it.
    pub(crate) fn load(self, exprs: &mut Attrs, register: u32) {
        match self.source() {
            Load::Meta(key) => expr(exprs, "meta", |meta| {
                meta.number(NFTA_META_KEY, key).number(NFTA_META_DREG, register);
            }),
            Load::Payload { base, offset } => expr(exprs, "payload", |payload| {
                payload.number(NFTA_PAYLOAD_DREG, register).number(NFTA_PAYLOAD_BASE, base);
                payload.number(NFTA_PAYLOAD_OFFSET, offset).number(NFTA_PAYLOAD_LEN, self.size());
            }),
            Load::Ct(key) => expr(exprs, "ct", |ct| {
                ct.number(NFTA_CT_KEY, key).number(NFTA_CT_DREG, register);
            }),
            Load::FibDaddrType => expr(exprs, "fib", |fib| {
                fib.number(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
                fib.number(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
                fib.number(NFTA_FIB_DREG, register);
            }),
        }
    }

    /// The family whose header the field is in.
    pub(crate) fn family(self) -> Option<u8> {
        match self {
            Self::IpSaddr | Self::IpDaddr => Some(NFPROTO_IPV4),
            Self::Ip6Saddr | Self::Ip6Daddr => Some(NFPROTO_IPV6),
            _ => None,
        }
    }

    /// In bytes.
    pub(crate) fn size(self) -> u32 {
        match self {
            Self::NfProto | Self::L4Proto => 1,
            Self::ThSport | Self::ThDport => 2,
            Self::IifName | Self::OifName | Self::Ip6Saddr | Self::Ip6Daddr => 16,
            Self::IpSaddr | Self::IpDaddr => 4,
            Self::Iif | Self::Oif | Self::CtState | Self::CtStatus | Self::FibDaddrType => 4,
        }
    }

    /// Offsets are those of struct iphdr, struct ipv6hdr and of the ports in every transport's header.
    fn source(self) -> Load {
        let network = |offset| Load::Payload { base: NFT_PAYLOAD_NETWORK_HEADER, offset };
        let transport = |offset| Load::Payload { base: NFT_PAYLOAD_TRANSPORT_HEADER, offset };
        match self {
            Self::Iif => Load::Meta(NFT_META_IIF),
            Self::Oif => Load::Meta(NFT_META_OIF),
            Self::IifName => Load::Meta(NFT_META_IIFNAME),
            Self::OifName => Load::Meta(NFT_META_OIFNAME),
            Self::NfProto => Load::Meta(NFT_META_NFPROTO),
            Self::L4Proto => Load::Meta(NFT_META_L4PROTO),
            Self::IpSaddr => network(12),
            Self::IpDaddr => network(16),
            Self::Ip6Saddr => network(8),
            Self::Ip6Daddr => network(24),
            Self::ThSport => transport(0),
            Self::ThDport => transport(2),
            Self::CtState => Load::Ct(NFT_CT_STATE),
            Self::CtStatus => Load::Ct(NFT_CT_STATUS),
            Self::FibDaddrType => Load::FibDaddrType,
        }
    }
}

/// One expression, by its name in the kernel.
pub(crate) fn expr(exprs: &mut Attrs, name: &str, fill: impl FnOnce(&mut Attrs)) {
    exprs.nested(NFTA_LIST_ELEM, |expr| {
        expr.text(NFTA_EXPR_NAME, name).nested(NFTA_EXPR_DATA, fill);
    });
}

/// Compares the first register with a value.
pub(crate) fn cmp(exprs: &mut Attrs, op: u32, value: &[u8]) {
    expr(exprs, "cmp", |cmp| {
        cmp.number(NFTA_CMP_SREG, NFT_REG32_00).number(NFTA_CMP_OP, op);
        cmp.nested(NFTA_CMP_DATA, |data| {
            data.bytes(NFTA_DATA_VALUE, value);
        });
    });
}

/// Keeps the bits of a mask in the first register.
pub(crate) fn mask(exprs: &mut Attrs, mask: &[u8]) {
    let zero = vec![0; mask.len()];
    expr(exprs, "bitwise", |bitwise| {
        bitwise.number(NFTA_BITWISE_SREG, NFT_REG32_00).number(NFTA_BITWISE_DREG, NFT_REG32_00);
        bitwise.number(NFTA_BITWISE_LEN, mask.len() as u32);
        for (kind, value) in [(NFTA_BITWISE_MASK, mask), (NFTA_BITWISE_XOR, &zero)] {
            bitwise.nested(kind, |data| {
                data.bytes(NFTA_DATA_VALUE, value);
            });
        }
    });
}
