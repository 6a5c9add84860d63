//! `table inet rrun`: everything that rrun asks of nf_tables for its bridges.
//!
//! What the kernel makes of it is in `docs/ruleset.nft`, which a test keeps true. Nobody else's rules are
//! read, changed or flushed, and an accept of ours cannot override a drop in another table.
//!
//! The rules are loaded once and never change; networks and published ports are elements of sets and maps,
//! so that a lookup and a change cost the same with one port and with ten thousand. Whose a port is, the
//! kernel decides: publishing creates the element (`NLM_F_EXCL`), and a second owner's batch is refused as
//! a whole. The owner's container id is the element's comment.
//!
//! # The way of a packet
//!
//! - `raw_pre`, before connection tracking, keeps the network off what is not published: containers'
//!   addresses, and the host's 127.0.0.0/8, which `route_localnet` on the bridges would open
//!   (CVE-2020-8558; moby issue 41872). Nobody but the host itself reaches a port published on 127.0.0.1.
//! - `nat_pre` and `nat_out` send what is for an address of this host through `publish`. It is made for the
//!   first packet of a connection only, so restrictions by source are checked there, too: a source that is
//!   not listed never gets a translated connection. That costs other ports one hash lookup.
//! - `input` is the second guard of 127.0.0.0/8, for what other tables translated in between.
//! - `forward` lets answers, the bridge's own traffic and published connections pass, and drops what else
//!   is for a container. Rules of the host's owner go into `user_forward`, which is never flushed.
//! - `nat_post` masquerades: containers on their way out, the host's 127.0.0.1 on its way to a container,
//!   and hairpins, where a container reaches its own or a neighbour's published port by the host's
//!   address. Those are told by the subnets and not by the interfaces, which under br_netfilter are the
//!   ports of the bridge.

mod element;

use nft::{
    Batch, Chain, Comment, CtState, DataType, Family, Hook, InvalidComment, Nft, Rule, Select, Set,
    Table, Value, priority,
};

pub use element::{Publisher, add_network, knows, publish, publishers, remove_network, unpublish};

/// The only table of rrun's.
pub const TABLE: Table<'static> = Table::inet("rrun");

/// Counts up whenever rules or sets change. A set whose type changes must get another name.
const VERSION: u32 = 1;

const ADDRESS_PORT: &[DataType] = &[DataType::Ipv4Addr, DataType::InetProto, DataType::InetService];
const PORT: &[DataType] = &[DataType::InetProto, DataType::InetService];
const TARGET: &[DataType] = &[DataType::Ipv4Addr, DataType::InetService];
const ADDRESS_PAIR: &[DataType] = &[DataType::Ipv4Addr, DataType::Ipv4Addr];
const LINK: &[DataType] = &[DataType::IfName];
const LINK_PAIR: &[DataType] = &[DataType::IfName, DataType::IfName];

/// Ports published on one address of the host.
const PUB4: Set<'_> = Set::map(TABLE, "pub4", ADDRESS_PORT, TARGET);
/// Ports published on all addresses of the host.
const PUB4ANY: Set<'_> = Set::map(TABLE, "pub4any", PORT, TARGET);
/// Those of [`PUB4`] that only some sources may reach.
const LIMITED4: Set<'_> = Set::new(TABLE, "limited4", ADDRESS_PORT);
/// Those of [`PUB4ANY`] that only some sources may reach.
const LIMITED4ANY: Set<'_> = Set::new(TABLE, "limited4any", PORT);
/// Which sources: protocol, port, the host's address (0.0.0.0/0 for all of them), the source.
const FROM4: Set<'_> = Set::new(
    TABLE,
    "from4",
    &[DataType::InetProto, DataType::InetService, DataType::Ipv4Addr, DataType::Ipv4Addr],
)
.interval();

/// Every bridge of rrun's.
const BR: Set<'_> = Set::new(TABLE, "br", LINK);
/// Every bridge of rrun's beside itself: traffic within a network.
const SAME: Set<'_> = Set::new(TABLE, "same", LINK_PAIR);
/// Every subnet of rrun's beside itself: where a translated connection is a hairpin.
const HAIR4: Set<'_> = Set::new(TABLE, "hair4", ADDRESS_PAIR).interval();
/// Every subnet of rrun's.
const NET4: Set<'_> = Set::new(TABLE, "net4", &[DataType::Ipv4Addr]).interval();

/// Bridges of networks without a way in or out.
const INTERNAL: Set<'_> = Set::new(TABLE, "internal", LINK);
/// Links behind which everybody may reach containers by their own addresses; the host's owner fills it.
const TRUSTED: Set<'_> = Set::new(TABLE, "trusted", LINK);
/// What passes from one network to another; the host's owner fills it.
const ALLOW: Set<'_> = Set::verdict_map(TABLE, "allow", LINK_PAIR);

const SETS: [Set<'_>; 12] =
    [PUB4, PUB4ANY, LIMITED4, LIMITED4ANY, FROM4, BR, SAME, HAIR4, NET4, INTERNAL, TRUSTED, ALLOW];

const RAW_PRE: Chain<'_> = Chain::filter(TABLE, "raw_pre", Hook::Prerouting, priority::RAW);
const PUBLISH: Chain<'_> = Chain::regular(TABLE, "publish");
const NAT_PRE: Chain<'_> = Chain::nat(TABLE, "nat_pre", Hook::Prerouting, priority::DSTNAT);
const NAT_OUT: Chain<'_> = Chain::nat(TABLE, "nat_out", Hook::Output, priority::DSTNAT);
const NAT_POST: Chain<'_> = Chain::nat(TABLE, "nat_post", Hook::Postrouting, priority::SRCNAT);
const INPUT: Chain<'_> = Chain::filter(TABLE, "input", Hook::Input, priority::FILTER);
const USER_FORWARD: Chain<'_> = Chain::regular(TABLE, "user_forward");
const FORWARD: Chain<'_> = Chain::filter(TABLE, "forward", Hook::Forward, priority::FILTER);

/// Every chain whose rules are ours.
const CHAINS: [Chain<'_>; 7] = [RAW_PRE, PUBLISH, NAT_PRE, NAT_OUT, NAT_POST, INPUT, FORWARD];

/// The index of `lo` in every network namespace, linux/include/net/net_namespace.h `LOOPBACK_IFINDEX`.
const LO: Value = Value::IfIndex(1);
const LOOPBACK: Value = Value::Ipv4Prefix(std::net::Ipv4Addr::new(127, 0, 0, 0), 8);

/// Loads the table unless it is there. One short question where it is.
///
/// An older version's rules are replaced in one transaction; elements and `user_forward` stay. The
/// comment, which cannot be changed, then keeps the older version, and the rules are loaded again the next
/// time; so they are on kernels before 5.10, which keep no comment.
///
/// # Errors
///
/// The kernel refuses the question or the rules.
pub fn ensure(nft: &mut Nft) -> nft::Result<()> {
    if is_loaded(nft)? { Ok(()) } else { nft.commit(&base()) }
}

/// Whether the table is there in this version or a newer one, which knows what this one's elements mean.
///
/// # Errors
///
/// The kernel refuses the question.
pub fn is_loaded(nft: &mut Nft) -> nft::Result<bool> {
    let comment = nft.table(TABLE)?.and_then(|table| table.comment);
    Ok(comment.and_then(|comment| version(comment.as_str())).is_some_and(|found| found >= VERSION))
}

fn version(comment: &str) -> Option<u32> {
    comment.strip_prefix("rrun v")?.split_once(' ')?.0.parse().ok()
}

fn comment() -> Result<Comment, InvalidComment> {
    Comment::new(format!("rrun v{VERSION} - managed, do not edit; user hooks: chain user_forward"))
}

/// The table with its sets, chains and rules. May be loaded over itself.
#[must_use]
pub fn base() -> Batch {
    let mut batch = Batch::new();
    // A constant, and valid: a test says so.
    batch.add_table(TABLE, comment().ok().as_ref());
    for set in SETS {
        batch.add_set(set);
    }
    batch.add_chain(USER_FORWARD);
    for chain in CHAINS {
        batch.add_chain(chain);
        batch.flush_chain(chain);
    }
    raw_pre(&mut batch);
    nat(&mut batch);
    filter(&mut batch);
    batch
}

fn raw_pre(batch: &mut Batch) {
    use Select::{Iif, IifName, IpDaddr, IpSaddr};
    let mut add = |rule| batch.add_rule(RAW_PRE, rule);
    add(Rule::new().is_not(Iif, LO).is(IpDaddr, LOOPBACK).counter().drop());
    add(Rule::new().is_not(Iif, LO).is(IpSaddr, LOOPBACK).counter().drop());
    add(Rule::new().within([IifName], BR).accept());
    add(Rule::new().is(Iif, LO).accept());
    add(Rule::new().within([IifName], TRUSTED).accept());
    add(Rule::new().within([IpDaddr], NET4).counter().drop());
}

fn nat(batch: &mut Batch) {
    use Select::{IifName, IpDaddr, IpSaddr, L4Proto, OifName, ThDport};
    const FROM: [Select; 4] = [L4Proto, ThDport, IpDaddr, IpSaddr];
    const AT: [Select; 3] = [IpDaddr, L4Proto, ThDport];
    const ANY: [Select; 2] = [L4Proto, ThDport];

    let mut add = |rule| batch.add_rule(PUBLISH, rule);
    add(Rule::new().within(AT, LIMITED4).not_within(FROM, FROM4).counter().drop());
    add(Rule::new().dnat(Family::Ip, AT, PUB4));
    add(Rule::new().within(ANY, LIMITED4ANY).not_within(FROM, FROM4).counter().drop());
    add(Rule::new().dnat(Family::Ip, ANY, PUB4ANY));

    for chain in [NAT_PRE, NAT_OUT] {
        batch.add_rule(chain, Rule::new().family(Family::Ip).daddr_is_local().jump("publish"));
    }

    let mut add = |rule| batch.add_rule(NAT_POST, rule);
    add(Rule::new().ct_dnat().within([IpSaddr, IpDaddr], HAIR4).masquerade());
    add(Rule::new().is(IpSaddr, LOOPBACK).within([OifName], BR).masquerade());
    add(Rule::new().within([IifName], BR).not_within([OifName], BR).masquerade());
}

fn filter(batch: &mut Batch) {
    use Select::{IifName, IpDaddr, OifName};
    // Answers to the host's own connections come with 127.0.0.1 as their destination, once translated.
    let strangers = CtState::INVALID | CtState::NEW | CtState::UNTRACKED;
    let guard = Rule::new().within([IifName], BR).is(IpDaddr, LOOPBACK).ct_state(strangers);
    batch.add_rule(INPUT, guard.counter().drop());

    let mut add = |rule| batch.add_rule(FORWARD, rule);
    add(Rule::new().not_within([IifName], BR).not_within([OifName], BR).return_());
    add(Rule::new().ct_state(CtState::ESTABLISHED | CtState::RELATED).accept());
    add(Rule::new().ct_state(CtState::INVALID).drop());
    add(Rule::new().jump("user_forward"));
    add(Rule::new().within([IifName, OifName], SAME).accept());
    add(Rule::new().verdict_map([IifName, OifName], ALLOW));
    add(Rule::new().within([IifName], INTERNAL).counter().drop());
    add(Rule::new().within([OifName], INTERNAL).counter().drop());
    add(Rule::new().within([IifName], TRUSTED).accept());
    add(Rule::new().ct_dnat().accept());
    add(Rule::new().within([OifName], BR).counter().drop());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_says_the_version() {
        assert_eq!(version(comment().unwrap().as_str()), Some(VERSION));
        for text in ["", "rrun", "rrun v", "rrun v1", "rrun vx - ", "somebody's"] {
            assert_eq!(version(text), None, "{text:?}");
        }
    }
}
