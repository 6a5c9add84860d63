//! Rules, written in the order and nearly in the words of nft(8).

use crate::attr::Attrs;
use crate::expr::{cmp, expr, mask};
use crate::uapi::*;
use crate::{Comment, CtState, Family, Select, Set, Value, Verdict};

/// A rule: conditions, then what is done where all of them hold.
///
/// ```no_run
/// # use nft::*;
/// # const T: Table<'_> = Table::inet("t");
/// # const BLOCKED: Set<'_> = Set::new(T, "blocked", &[DataType::Ipv4Addr]);
/// // iif != "lo" ip saddr @blocked counter drop
/// Rule::new()
///     .is_not(Select::Iif, Value::IfIndex(1))
///     .within([Select::IpSaddr], BLOCKED)
///     .counter()
///     .drop();
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct Rule {
    exprs: Attrs,
    /// The family that an earlier condition of this rule has made sure of.
    family: Option<u8>,
    comment: Option<Comment>,
}

impl Rule {
    /// A rule that holds for every packet and does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The field has the value, or lies within the prefix. An address of another family's packet does not.
    pub fn is(self, field: Select, value: Value) -> Self {
        self.compare(field, NFT_CMP_EQ, value)
    }

    /// The field has another value. An address of another family's packet has none.
    pub fn is_not(self, field: Select, value: Value) -> Self {
        self.compare(field, NFT_CMP_NEQ, value)
    }

    /// The packet is of this family, [`Family::Ip`] or [`Family::Ip6`].
    pub fn family(mut self, family: Family) -> Self {
        self.need_family(Some(family.number()));
        self
    }

    /// The fields, joined, are in the set.
    pub fn within<const N: usize>(self, fields: [Select; N], set: Set<'_>) -> Self {
        self.lookup(fields, set, 0, None)
    }

    /// The fields, joined, are not in the set.
    pub fn not_within<const N: usize>(self, fields: [Select; N], set: Set<'_>) -> Self {
        self.lookup(fields, set, NFT_LOOKUP_F_INV, None)
    }

    /// `vmap`: does what the verdict map says of the fields, joined; goes on where it says nothing.
    pub fn verdict_map<const N: usize>(self, fields: [Select; N], map: Set<'_>) -> Self {
        self.lookup(fields, map, 0, Some(NFT_REG_VERDICT))
    }

    /// `ct state`: one of these.
    pub fn ct_state(self, state: CtState) -> Self {
        self.any_bit(Select::CtState, state.0)
    }

    /// `ct status dnat`: the connection's destination was changed.
    pub fn ct_dnat(self) -> Self {
        self.any_bit(Select::CtStatus, IPS_DST_NAT)
    }

    /// `fib daddr type local`: the destination is an address of this host.
    pub fn daddr_is_local(mut self) -> Self {
        Select::FibDaddrType.load(&mut self.exprs, NFT_REG32_00);
        cmp(&mut self.exprs, NFT_CMP_EQ, &RTN_LOCAL.to_ne_bytes());
        self
    }

    /// Counts packets and bytes that came so far.
    pub fn counter(mut self) -> Self {
        expr(&mut self.exprs, "counter", |_| {});
        self
    }

    /// `masquerade`: the source becomes the address of the interface that the packet leaves by.
    pub fn masquerade(mut self) -> Self {
        expr(&mut self.exprs, "masq", |_| {});
        self
    }

    /// `dnat … to … map`: the destination becomes the address and port that the map has for the fields,
    /// joined. `family` is [`Family::Ip`] or [`Family::Ip6`] and says how long the address is.
    pub fn dnat<const N: usize>(self, family: Family, fields: [Select; N], map: Set<'_>) -> Self {
        let address_registers = if family == Family::Ip6 { 4 } else { 1 };
        let mut rule = self.lookup(fields, map, 0, Some(NFT_REG32_00));
        expr(&mut rule.exprs, "nat", |nat| {
            nat.number(NFTA_NAT_TYPE, NFT_NAT_DNAT);
            nat.number(NFTA_NAT_FAMILY, family.number().into());
            nat.number(NFTA_NAT_REG_ADDR_MIN, NFT_REG32_00);
            nat.number(NFTA_NAT_REG_PROTO_MIN, NFT_REG32_00 + address_registers);
        });
        rule
    }

    /// Ends the packet's way through this hook's chain.
    pub fn accept(self) -> Self {
        self.verdict(&Verdict::Accept)
    }

    /// Drops the packet.
    pub fn drop(self) -> Self {
        self.verdict(&Verdict::Drop)
    }

    /// Goes back to the calling chain, or to the end of a base chain.
    pub fn return_(self) -> Self {
        self.verdict(&Verdict::Return)
    }

    /// On to a chain and back.
    pub fn jump(self, chain: &str) -> Self {
        self.verdict(&Verdict::Jump(chain.to_owned()))
    }

    /// On to a chain, not back.
    pub fn goto(self, chain: &str) -> Self {
        self.verdict(&Verdict::Goto(chain.to_owned()))
    }

    /// Does what the verdict says.
    pub fn verdict(mut self, verdict: &Verdict) -> Self {
        expr(&mut self.exprs, "immediate", |immediate| {
            immediate.number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
            immediate.nested(NFTA_IMMEDIATE_DATA, |data| verdict.encode(data));
        });
        self
    }

    /// Adds a comment.
    pub fn comment(self, comment: Comment) -> Self {
        Self { comment: Some(comment), ..self }
    }

    pub(crate) fn encode(&self, attrs: &mut Attrs) {
        attrs.nested(NFTA_RULE_EXPRESSIONS, |list| list.0.extend_from_slice(&self.exprs.0));
        if let Some(comment) = &self.comment {
            attrs.bytes(NFTA_RULE_USERDATA, &comment.encode());
        }
    }

    fn compare(mut self, field: Select, op: u32, value: Value) -> Self {
        self.need_family(field.family());
        field.load(&mut self.exprs, NFT_REG32_00);
        if let Some(bits) = value.mask() {
            mask(&mut self.exprs, &bits);
        }
        cmp(&mut self.exprs, op, &value.first());
        self
    }

    fn any_bit(mut self, field: Select, bits: u32) -> Self {
        field.load(&mut self.exprs, NFT_REG32_00);
        mask(&mut self.exprs, &bits.to_ne_bytes());
        cmp(&mut self.exprs, NFT_CMP_NEQ, &0_u32.to_ne_bytes());
        self
    }

    /// The result goes to the register `to`; none for a set.
    fn lookup<const N: usize>(
        mut self,
        fields: [Select; N],
        set: Set<'_>,
        flags: u32,
        to: Option<u32>,
    ) -> Self {
        self.need_family(fields.iter().find_map(|field| field.family()));
        let mut register = NFT_REG32_00;
        for field in fields {
            field.load(&mut self.exprs, register);
            register += field.size().div_ceil(4);
        }
        expr(&mut self.exprs, "lookup", |lookup| {
            lookup.text(NFTA_LOOKUP_SET, set.name).number(NFTA_LOOKUP_SREG, NFT_REG32_00);
            if let Some(register) = to {
                lookup.number(NFTA_LOOKUP_DREG, register);
            }
            if flags != 0 {
                lookup.number(NFTA_LOOKUP_FLAGS, flags);
            }
        });
        self
    }

    /// The network header is only what a field takes it for in packets of its family, so that is asked
    /// first, once in a rule; in the output of `nft list` it goes without saying.
    fn need_family(&mut self, family: Option<u8>) {
        if let Some(family) = family
            && self.family != Some(family)
        {
            Select::NfProto.load(&mut self.exprs, NFT_REG32_00);
            cmp(&mut self.exprs, NFT_CMP_EQ, &[family]);
            self.family = Some(family);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::{attrs, find, number, text};
    use crate::{DataType, Table};

    const PAIR: Set<'_> =
        Set::new(Table::inet("t"), "pair", &[DataType::Ipv6Addr, DataType::Ipv6Addr]);

    fn names(rule: &Rule) -> Vec<String> {
        attrs(&rule.exprs.0)
            .map(|(_, expr)| find(expr, NFTA_EXPR_NAME).and_then(text).unwrap())
            .collect()
    }

    #[test]
    fn the_family_is_asked_once() {
        let rule = Rule::new()
            .is(Select::IpDaddr, Value::Ipv4Prefix([127, 0, 0, 0].into(), 8))
            .is_not(Select::IpSaddr, Value::Ipv4([127, 0, 0, 1].into()))
            .drop();
        let expected = ["meta", "cmp", "payload", "bitwise", "cmp", "payload", "cmp", "immediate"];
        assert_eq!(names(&rule), expected);
    }

    #[test]
    fn joined_fields_are_loaded_one_behind_the_other() {
        let rule = Rule::new().not_within([Select::Ip6Saddr, Select::Ip6Daddr], PAIR);
        assert_eq!(names(&rule), ["meta", "cmp", "payload", "payload", "lookup"]);
        let registers: Vec<_> = attrs(&rule.exprs.0)
            .filter_map(|(_, expr)| {
                let payload = find(expr, NFTA_EXPR_NAME).and_then(text)? == "payload";
                payload.then(|| {
                    find(find(expr, NFTA_EXPR_DATA)?, NFTA_PAYLOAD_DREG).and_then(number)
                })?
            })
            .collect();
        assert_eq!(registers, [NFT_REG32_00, NFT_REG32_00 + 4]);
    }
}
