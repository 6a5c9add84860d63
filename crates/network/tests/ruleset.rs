//! `table inet rrun` in a real kernel, in network namespaces of the tests' own.

#![allow(clippy::unwrap_used, clippy::expect_used)] // also in what the tests share

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use netplan::{PortMapping, PortRange, Protocol, Publish, Rules};
use network::ruleset::{self, Publisher};
use nft::{Batch, Errno, Nft};
use nix::sched::{CloneFlags, unshare};

const WEB: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 3);
const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

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

fn network() -> Rules {
    Rules { bridge: "rrun0".to_owned(), subnet: "172.30.0.0/16".parse().unwrap() }
}

fn ports(host_ip: Option<Ipv4Addr>, first: u16, last: u16, from: &[&str]) -> PortMapping {
    let range = PortRange::new(first, last).unwrap();
    let from = from.iter().map(|cidr| cidr.parse().unwrap()).collect();
    PortMapping { host_ip, host: range, container: range, protocol: Protocol::Tcp, from }
}

fn of(id: &str, address: Ipv4Addr, ports: Vec<PortMapping>) -> Publish {
    Publish { id: id.to_owned(), address, bridge: "rrun0".to_owned(), ports }
}

fn publish(socket: &mut Nft, publish: &Publish) -> nft::Result<()> {
    let mut batch = Batch::new();
    ruleset::publish(&mut batch, publish);
    socket.commit(&batch)
}

fn unpublish(socket: &mut Nft, publish: &Publish) {
    let mut batch = Batch::new();
    ruleset::unpublish(socket, &mut batch, publish).unwrap();
    socket.commit_deletions(&mut batch).unwrap();
}

fn ensure(socket: &mut Nft) {
    ruleset::ensure(socket).unwrap();
    let mut batch = Batch::new();
    ruleset::add_network(&mut batch, &network()).unwrap();
    socket.commit(&batch).unwrap();
}

fn listed() -> String {
    nft(&["-s", "list", "table", "inet", "rrun"])
}

#[test]
fn the_documented_ruleset_is_the_loaded_one() {
    in_netns(|socket| {
        ruleset::ensure(socket).unwrap();
        let listed = listed();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ruleset.nft");
        if std::env::var_os("RRUN_BLESS").is_some() {
            std::fs::write(&path, &listed).unwrap();
        }
        let documented = std::fs::read_to_string(&path).unwrap();
        assert_eq!(listed, documented, "RRUN_BLESS=1 writes docs/ruleset.nft anew");
        // What nft lists, it can load, as people do who save their firewall.
        nft(&["delete", "table", "inet", "rrun"]);
        nft(&["-f", path.to_str().unwrap()]);
        assert_eq!(self::listed(), documented);
    });
}

#[test]
fn loading_twice_changes_nothing_and_a_flush_is_repaired() {
    in_netns(|socket| {
        assert!(!ruleset::knows(socket, &network()).unwrap());
        ruleset::ensure(socket).unwrap();
        let empty = listed();
        ensure(socket);
        assert!(ruleset::knows(socket, &network()).unwrap());
        let before = listed();
        assert_ne!(before, empty);
        ensure(socket);
        socket.commit(&ruleset::base()).unwrap();
        assert_eq!(listed(), before);

        nft(&["flush", "ruleset"]);
        assert!(!ruleset::knows(socket, &network()).unwrap());
        assert!(!ruleset::is_loaded(socket).unwrap());
        ensure(socket);
        assert_eq!(listed(), before);

        nft(&["delete", "element", "inet", "rrun", "br", "{ rrun0 }"]);
        assert!(!ruleset::knows(socket, &network()).unwrap());
        let mut batch = Batch::new();
        ruleset::remove_network(&mut batch, &network()).unwrap();
        socket.commit_deletions(&mut batch).unwrap();
        assert_eq!(listed(), empty);
    });
}

#[test]
fn another_version_is_brought_up_to_date_and_keeps_what_is_the_users() {
    in_netns(|socket| {
        nft(&["add table inet rrun { comment \"rrun v0 - old\" ; }"]);
        nft(&["add map inet rrun pub4any \
               { type inet_proto . inet_service : ipv4_addr . inet_service ; }"]);
        nft(&["add element inet rrun pub4any { tcp . 1 : 172.30.0.9 . 1 }"]);
        nft(&["add chain inet rrun user_forward"]);
        nft(&["add rule inet rrun user_forward udp dport 9 drop"]);
        nft(&["add chain inet rrun forward { type filter hook forward priority 0 ; }"]);
        nft(&["add rule inet rrun forward ip daddr 192.0.2.1 drop"]);
        ensure(socket);
        let listed = listed();
        assert!(listed.contains("udp dport 9 drop"), "{listed}");
        assert!(listed.contains("tcp . 1 : 172.30.0.9 . 1"), "{listed}");
        assert!(!listed.contains("192.0.2.1"), "{listed}");

        nft(&["delete", "table", "inet", "rrun"]);
        nft(&["add table inet rrun { comment \"rrun v2 - newer\" ; }"]);
        ruleset::ensure(socket).unwrap();
        assert!(!self::listed().contains("chain"), "a newer version was touched");
    });
}

#[test]
fn a_port_has_one_owner_and_the_refusal_names_it() {
    in_netns(|socket| {
        ensure(socket);
        let web = of("web", WEB, vec![ports(None, 8088, 8088, &[])]);
        publish(socket, &web).unwrap();
        let before = listed();
        assert!(before.contains("tcp . 8088 comment \"web\" : 172.30.0.2 . 8088"), "{before}");

        let other = of("other", OTHER, vec![ports(None, 8087, 8089, &["10.0.0.0/8"])]);
        let error = publish(socket, &other).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EEXIST));
        let words = "create element inet rrun pub4any tcp . 8088: EEXIST: File exists";
        assert_eq!(error.to_string(), words);
        assert_eq!(listed(), before);

        let publisher = Publisher { id: "web".to_owned(), address: WEB, port: 8088 };
        let ask = |socket: &mut Nft, ip, port| {
            ruleset::publishers(socket, Protocol::Tcp, ip, port).unwrap()
        };
        for address in [None, Some(LOCALHOST)] {
            assert_eq!(ask(socket, address, 8088).as_slice(), std::slice::from_ref(&publisher));
        }
        assert_eq!(ask(socket, None, 8087), []);
        let local = of("local", OTHER, vec![ports(Some(LOCALHOST), 8087, 8087, &[])]);
        publish(socket, &local).unwrap();
        let publisher = Publisher { id: "local".to_owned(), address: OTHER, port: 8087 };
        for address in [None, Some(LOCALHOST)] {
            assert_eq!(ask(socket, address, 8087).as_slice(), std::slice::from_ref(&publisher));
        }
        assert_eq!(ask(socket, Some(WEB), 8087), []);

        // The stale owner's port goes and the new owner's comes in one batch.
        let mut batch = Batch::new();
        ruleset::unpublish(socket, &mut batch, &web).unwrap();
        ruleset::publish(&mut batch, &other);
        socket.commit(&batch).unwrap();
        unpublish(socket, &local);
        let owners = ask(socket, None, 8088);
        assert_eq!(owners, [Publisher { id: "other".to_owned(), address: OTHER, port: 8088 }]);
        // What is another's by now is not taken from him.
        unpublish(socket, &web);
        assert_eq!(ask(socket, None, 8088), owners);
        unpublish(socket, &other);
        assert_eq!(ask(socket, None, 8088), []);
        nft(&["flush", "ruleset"]);
        assert_eq!(ask(socket, None, 8088), []);
        unpublish(socket, &web);
    });
}

#[test]
fn publishing_and_taking_back_leaves_nothing() {
    in_netns(|socket| {
        ensure(socket);
        let before = listed();
        let all = of(
            "web",
            WEB,
            vec![
                ports(None, 80, 80, &["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32"]),
                ports(Some(LOCALHOST), 81, 81, &[]),
                ports(Some(WEB), 82, 83, &["0.0.0.0/0"]),
                ports(None, 1000, 3000, &[]),
            ],
        );
        publish(socket, &all).unwrap();
        let full = listed();
        for text in [
            "127.0.0.1 . tcp . 81 comment \"web\" : 172.30.0.2 . 81",
            "tcp . 80 . 0.0.0.0/0 . 10.0.0.0/8 comment \"web\"",
            "tcp . 80 . 0.0.0.0/0 . 192.0.2.7 comment \"web\"",
            "tcp . 83 . 172.30.0.2 . 0.0.0.0/0 comment \"web\"",
            "172.30.0.2 . tcp . 82 comment \"web\"",
            "tcp . 2999 comment \"web\" : 172.30.0.2 . 2999",
        ] {
            assert!(full.contains(text), "{text} is not in\n{full}");
        }
        unpublish(socket, &all);
        assert_eq!(listed(), before);
        unpublish(socket, &all);
    });
}
