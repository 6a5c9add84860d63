//! What the kernel makes of it, in network namespaces of the tests' own, seen by the `nft` program.

#![allow(clippy::unwrap_used, clippy::expect_used)] // also in what the tests share

use std::process::Command;

use nft::{
    Batch, Chain, Comment, CtState, DataType, Element, Errno, Family, Hook, IfName, Nft, Rule,
    Select, Set, Table, Value, Verdict, priority,
};
use nix::sched::{CloneFlags, unshare};

const T: Table<'_> = Table::inet("t");
const PORTS: Set<'_> = Set::map(
    T,
    "ports",
    &[DataType::InetProto, DataType::InetService],
    &[DataType::Ipv4Addr, DataType::InetService],
);
const NETS: Set<'_> = Set::new(T, "nets", &[DataType::Ipv4Addr]).interval();
const PAIRS: Set<'_> = Set::new(T, "pairs", &[DataType::Ipv4Addr, DataType::Ipv4Addr]).interval();
const LINKS: Set<'_> = Set::verdict_map(T, "links", &[DataType::IfName, DataType::IfName]);

/// Runs on a thread in a network namespace that ends with it.
fn in_netns(test: impl FnOnce(&mut Nft) + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
            test(&mut Nft::open().unwrap());
        });
    });
}

/// What `nft` says. A child of this thread is in its namespace.
fn nft(args: &[&str]) -> String {
    let output = Command::new("nft").args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn with_sets(nft: &mut Nft) {
    let mut batch = Batch::new();
    batch.add_table(T, Some(&Comment::new("version 7").unwrap()));
    for set in [PORTS, NETS, PAIRS, LINKS] {
        batch.add_set(set);
    }
    nft.commit(&batch).unwrap();
}

fn port(port: u16) -> Element {
    let to = [Value::Ipv4([172, 30, 0, 2].into()), Value::Port(port)];
    Element::new([Value::TCP, Value::Port(port)]).to(to).comment(Comment::new("web-1").unwrap())
}

#[test]
fn every_expression_reads_as_it_was_written() {
    in_netns(|socket| {
        with_sets(socket);
        let chain = Chain::filter(T, "c", Hook::Prerouting, priority::RAW);
        let target = Chain::regular(T, "target");
        let nat = Chain::nat(T, "n", Hook::Prerouting, priority::DSTNAT);
        let post = Chain::nat(T, "p", Hook::Postrouting, priority::SRCNAT);
        let loopback = Value::Ipv4Prefix([127, 0, 0, 0].into(), 8);
        let mut batch = Batch::new();
        for chain in [chain, target, nat, post] {
            batch.add_chain(chain);
        }
        let rules = [
            (
                "iif != \"lo\" ip daddr 127.0.0.0/8 counter packets 0 bytes 0 drop",
                chain,
                Rule::new()
                    .is_not(Select::Iif, Value::IfIndex(1))
                    .is(Select::IpDaddr, loopback)
                    .counter()
                    .drop(),
            ),
            (
                "iifname \"eth0\" accept",
                chain,
                Rule::new()
                    .is(Select::IifName, Value::IfName(IfName::new("eth0").unwrap()))
                    .accept(),
            ),
            ("ip saddr @nets return", chain, Rule::new().within([Select::IpSaddr], NETS).return_()),
            (
                "ip saddr . ip daddr != @pairs goto target",
                chain,
                Rule::new().not_within([Select::IpSaddr, Select::IpDaddr], PAIRS).goto("target"),
            ),
            (
                "iifname . oifname vmap @links",
                target,
                Rule::new().verdict_map([Select::IifName, Select::OifName], LINKS),
            ),
            (
                "ct state established,related accept",
                target,
                Rule::new().ct_state(CtState::ESTABLISHED | CtState::RELATED).accept(),
            ),
            (
                "meta l4proto tcp th sport 22 jump target",
                chain,
                Rule::new()
                    .is(Select::L4Proto, Value::TCP)
                    .is(Select::ThSport, Value::Port(22))
                    .jump("target"),
            ),
            (
                "fib daddr type local dnat ip to meta l4proto . th dport map @ports",
                nat,
                Rule::new().daddr_is_local().dnat(
                    Family::Ip,
                    [Select::L4Proto, Select::ThDport],
                    PORTS,
                ),
            ),
            (
                "ct status dnat masquerade comment \"hairpin\"",
                post,
                Rule::new().ct_dnat().masquerade().comment(Comment::new("hairpin").unwrap()),
            ),
        ];
        let mut expected = Vec::new();
        for (text, chain, rule) in rules {
            expected.push(text);
            batch.add_rule(chain, rule);
        }
        socket.commit(&batch).unwrap();
        let listed = nft(&["list", "table", "inet", "t"]);
        for text in expected {
            let alike = |line: &str| line.replace("meta l4proto tcp th", "tcp");
            assert!(
                listed.lines().any(|line| alike(line.trim()) == alike(text)),
                "{text}\nis not in\n{listed}"
            );
        }
        let mut batch = Batch::new();
        batch.flush_chain(chain);
        batch.delete_table(T);
        socket.commit(&batch).unwrap();
        assert_eq!(nft(&["list", "ruleset"]), "");
    });
}

#[test]
fn elements_are_listed_with_types_and_comments_and_read_back() {
    in_netns(|socket| {
        with_sets(socket);
        let net = |a, prefix| Value::Ipv4Prefix([10, a, 0, 0].into(), prefix);
        let link = IfName::new("rrun0").unwrap();
        let elements = [
            (PORTS, port(8088), "tcp . 8088 comment \"web-1\" : 172.30.0.2 . 8088"),
            (NETS, Element::new([net(1, 16)]), "10.1.0.0/16"),
            (NETS, Element::new([net(2, 16)]), "10.2.0.0/16"),
            (PAIRS, Element::new([net(1, 16), net(2, 16)]), "10.1.0.0/16 . 10.2.0.0/16"),
            (
                LINKS,
                Element::new([link.into(), link.into()]).verdict(Verdict::Drop),
                "\"rrun0\" . \"rrun0\" : drop",
            ),
        ];
        let mut batch = Batch::new();
        for (set, element, _) in &elements {
            batch.create_element(*set, element);
        }
        socket.commit(&batch).unwrap();
        let listed = nft(&["list", "table", "inet", "t"]);
        for (set, element, text) in &elements {
            assert!(listed.contains(text), "{text} is not in\n{listed}");
            let mut all = socket.elements(*set).unwrap();
            all.sort_by_key(ToString::to_string);
            assert!(all.contains(element), "{element:?} is not in {all:?}");
            assert_eq!(socket.element(*set, &element.key).unwrap().as_ref(), Some(element));
        }
        assert_eq!(socket.elements(NETS).unwrap().len(), 2);

        // What is there already may be added again, and deleted once.
        let mut again = Batch::new();
        let mut delete = Batch::new();
        for (set, element, _) in &elements {
            again.add_element(*set, element);
            delete.delete_element(*set, element);
        }
        socket.commit(&again).unwrap();
        socket.commit(&delete).unwrap();
        for (set, element, _) in &elements {
            assert_eq!(socket.elements(*set).unwrap(), []);
            assert_eq!(socket.element(*set, &element.key).unwrap(), None);
        }
        assert_eq!(socket.commit(&delete).unwrap_err().errno(), Some(Errno::ENOENT));
        socket.commit_deletions(&mut delete).unwrap();
        assert!(delete.is_empty());
    });
}

#[test]
fn a_second_owner_is_refused_by_name_and_the_batch_undone() {
    in_netns(|socket| {
        with_sets(socket);
        let mut first = Batch::new();
        first.create_element(PORTS, &port(8088));
        socket.commit(&first).unwrap();

        let mut second = Batch::new();
        for number in [8087, 8088, 8089] {
            second.create_element(PORTS, &port(number));
        }
        let error = socket.commit(&second).unwrap_err();
        assert_eq!(
            error.to_string(),
            "create element inet t ports tcp . 8088: EEXIST: File exists"
        );
        let places: Vec<_> = error.failures().map(|failure| failure.index).collect();
        assert_eq!((places, error.errno()), (vec![1], Some(Errno::EEXIST)));
        assert_eq!(socket.elements(PORTS).unwrap(), [port(8088)]);

        // In one batch with the deletion of the old one, the new one may.
        let mut taken_over = Batch::new();
        taken_over.delete_element(PORTS, &port(8088));
        taken_over.append(second);
        socket.commit(&taken_over).unwrap();
        assert_eq!(socket.elements(PORTS).unwrap().len(), 3);
    });
}

#[test]
fn deletions_pass_over_what_is_gone_but_nothing_else_does() {
    in_netns(|socket| {
        with_sets(socket);
        let mut batch = Batch::new();
        batch.create_element(PORTS, &port(1));
        socket.commit(&batch).unwrap();

        let mut both = Batch::new();
        both.delete_element(PORTS, &port(2));
        both.delete_element(PORTS, &port(1));
        both.create_element(PORTS, &port(3));
        socket.commit_deletions(&mut both).unwrap();
        assert_eq!(both.len(), 2);
        assert_eq!(socket.elements(PORTS).unwrap(), [port(3)]);

        let mut elsewhere = Batch::new();
        elsewhere.create_element(Set::new(T, "absent", &[DataType::InetProto]), &port(1));
        let error = socket.commit_deletions(&mut elsewhere).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ENOENT));
    });
}

#[test]
fn large_batches_pass_and_fail_as_small_ones_do() {
    in_netns(|socket| {
        with_sets(socket);
        let mut batch = Batch::new();
        // All the ports that there are, some 10 MB.
        (1..=u16::MAX).for_each(|number| batch.create_element(PORTS, &port(number)));
        socket.commit(&batch).unwrap();
        assert_eq!(socket.elements(PORTS).unwrap().len(), 65535);
        // More answers than the socket can queue.
        let error = socket.commit(&batch).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EEXIST));
        assert!(error.to_string().contains("tcp . 1: EEXIST"), "{error}");
        assert!(error.failures().count() > 1000);
        // What was left in the queue is not taken for an answer.
        assert_eq!(socket.table(T).unwrap().unwrap().comment.unwrap().as_str(), "version 7");

        let mut delete = Batch::new();
        (1..=2000).for_each(|number| delete.delete_element(PORTS, &port(number)));
        socket.commit(&delete).unwrap();
        assert_eq!(socket.elements(PORTS).unwrap().len(), 63535);
        let missing = &mut delete;
        (2001..=2002).for_each(|number| missing.delete_element(PORTS, &port(number)));
        socket.commit_deletions(missing).unwrap();
        assert_eq!(missing.len(), 2);
    });
}

#[test]
fn what_is_not_there_is_told_from_what_is_refused() {
    in_netns(|socket| {
        assert_eq!(socket.table(T).unwrap(), None);
        assert_eq!(socket.element(PORTS, &port(1).key).unwrap(), None);
        let error = socket.elements(PORTS).unwrap_err();
        assert_eq!(error.to_string(), "list set inet t ports: ENOENT: No such file or directory");
        with_sets(socket);
        // The key is too short for the set.
        let mut batch = Batch::new();
        batch.create_element(PORTS, &Element::new([Value::TCP]));
        let error = socket.commit(&batch).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EINVAL), "{error}");
        socket.commit(&Batch::new()).unwrap();
    });
}
