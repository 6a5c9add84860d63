//! Attacks on the wire, numbered as in docs/security.md, each with the control that shows it works.

use rrun_tests::wire::{From, HOST, HOST_SECOND, OTHER};
use rrun_tests::{Bundle, Lab, spec};

use crate::network::{lab, remove, serve, server, start, warmed};

const SOON: [&str; 2] = ["--timeout", "400"];

/// A container that may do to its own network what it likes.
fn armed(lab: &Lab, name: &str) -> Bundle {
    server(lab, name).edit(|config| {
        spec::capabilities(config, &["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_NET_BIND_SERVICE"])
    })
}

#[test]
fn n1_n2_the_lan_cannot_reach_what_is_published_on_localhost() {
    let Some(lab) = lab("n1_n2_the_lan_cannot_reach_what_is_published_on_localhost") else {
        return;
    };
    serve(&lab, "web", &["--net=bridge", "-p", "127.0.0.1:8080:80", "-p", "8081:80"]);
    let _private = lab.serve(From::Host, "tcp 127.0.0.1:9000", "private");
    lab.wait_answer(From::Lan, &format!("tcp {HOST}:8081"));
    for address in [HOST, HOST_SECOND] {
        assert!(lab.ask_with(From::Lan, &format!("tcp {address}:8080"), &SOON).is_err());
    }
    // CVE-2020-8558: frames to 127.0.0.1 by the host's hardware address.
    lab.lan(&format!(
        "sysctl -qw net.ipv4.conf.all.route_localnet=1
         ip addr del 127.0.0.1/8 dev lo
         ip route add 127.0.0.1/32 via {HOST} src {OTHER}"
    ))
    .ok();
    lab.sh("sysctl -qw net.ipv4.conf.uplink.route_localnet=1").ok();
    for port in [8080, 9000] {
        let answer = lab.ask_with(From::Lan, &format!("tcp 127.0.0.1:{port}"), &SOON);
        assert!(answer.is_err(), "127.0.0.1:{port} from the LAN: {answer:?}");
    }
    lab.sh("nft flush ruleset").ok();
    let control = lab.ask_with(From::Lan, "tcp 127.0.0.1:9000", &SOON);
    assert!(control.is_ok(), "the control: without rules the attack works: {control:?}");
    remove(&lab, &["web"]);
}

#[test]
fn n2_a_container_cannot_reach_the_hosts_localhost() {
    let Some(lab) = lab("n2_a_container_cannot_reach_the_hosts_localhost") else { return };
    let _private = lab.serve(From::Host, "tcp 127.0.0.1:9000", "private");
    let bundle = armed(&lab, "evil");
    start(&lab, &bundle, "evil", &["--net=bridge"]);
    // The sysctl is read-only inside, so the container's namespace is opened from outside for it.
    let pid = lab.state("evil")["pid"].clone();
    lab.sh(&format!(
        "nsenter -t {pid} -n sysctl -qw net.ipv4.conf.all.route_localnet=1
         gw=$(nsenter -t {pid} -n ip -4 route show default | sed 's/.*via \\([0-9.]*\\).*/\\1/')
         src=$(nsenter -t {pid} -n ip -4 -o addr show eth0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/')
         nsenter -t {pid} -n ip addr del 127.0.0.1/8 dev lo
         nsenter -t {pid} -n ip route add 127.0.0.1/32 via $gw src $src"
    ))
    .ok();
    let answer = lab.ask_with(From::Container("evil"), "tcp 127.0.0.1:9000", &SOON);
    assert!(answer.is_err(), "{answer:?}");
    lab.sh("nft flush ruleset; for b in /proc/sys/net/ipv4/conf/*/route_localnet; do echo 1 > $b; done").ok();
    let control = lab.ask_with(From::Container("evil"), "tcp 127.0.0.1:9000", &SOON);
    assert!(control.is_ok(), "the control: {control:?}");
    remove(&lab, &["evil"]);
}

#[test]
fn n3_the_lan_cannot_reach_a_containers_address() {
    let Some(lab) = lab("n3_the_lan_cannot_reach_a_containers_address") else { return };
    let address = serve(&lab, "web", &["--net=bridge", "-p", "8080:80"]);
    lab.wait_answer(From::Lan, &format!("tcp {HOST}:8080"));
    lab.lan(&format!("ip route add {address}/32 via {HOST}")).ok();
    for proto in ["tcp", "udp"] {
        let answer = lab.ask_with(From::Lan, &format!("{proto} {address}:80"), &SOON);
        assert!(answer.is_err(), "{proto} {address}:80 from the LAN: {answer:?}");
    }
    let gateway = lab.sh("ip -4 -o addr show rrun0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'").ok();
    let gateway = gateway.stdout().trim().to_owned();
    lab.lan(&format!("ip route add {gateway}/32 via {HOST}")).ok();
    let through = lab.ask_with(From::Lan, &format!("tcp {gateway}:8080"), &SOON);
    assert!(through.is_err(), "the gateway's address from the LAN: {through:?}");
    lab.sh("nft flush ruleset").ok();
    let control = lab.ask_with(From::Lan, &format!("tcp {address}:80"), &SOON);
    assert!(control.is_ok(), "the control: {control:?}");
    remove(&lab, &["web"]);
}

#[test]
fn n6_a_remote_hosts_port_is_not_hijacked() {
    let Some(lab) = lab("n6_a_remote_hosts_port_is_not_hijacked") else { return };
    let _remote = lab.serve(From::Lan, "tcp 0.0.0.0:8080", "remote");
    serve(&lab, "web", &["--net=bridge", "-p", "8080:80"]);
    serve(&lab, "other", &["--net=bridge"]);
    lab.wait_answer(From::Host, &format!("tcp {HOST}:8080"));
    let at = format!("tcp {OTHER}:8080");
    assert_eq!(lab.ask(From::Host, &at).unwrap(), format!("remote {HOST}"));
    assert_eq!(lab.ask(From::Container("other"), &at).unwrap(), format!("remote {HOST}"));
    // The control: a rule that matches the port alone takes it.
    let address = crate::network::address(&lab, "web").unwrap();
    lab.sh(&format!(
        "nft add table ip naive
         nft 'add chain ip naive out {{ type nat hook output priority -101; }}'
         nft add rule ip naive out tcp dport 8080 dnat to {address}:80"
    ))
    .ok();
    assert!(lab.ask(From::Host, &at).unwrap().starts_with("web "), "the control");
    remove(&lab, &["web", "other"]);
}

#[test]
fn n13_a_flush_closes_and_the_next_container_opens_its_own() {
    let Some(lab) = lab("n13_a_flush_closes_and_the_next_container_opens_its_own") else { return };
    let before = warmed(&lab);
    let at = format!("tcp {HOST}:8080");
    serve(&lab, "web", &["--net=bridge", "-p", "8080:80"]);
    assert_eq!(lab.wait_answer(From::Lan, &at), format!("web {OTHER}"));
    lab.sh("nft flush ruleset").ok();
    assert!(lab.ask_with(From::Lan, &at, &SOON).is_err(), "fails closed");
    remove(&lab, &["web"]);
    serve(&lab, "next", &["--net=bridge", "-p", "8080:80"]);
    assert_eq!(lab.wait_answer(From::Lan, &at), format!("next {OTHER}"));
    remove(&lab, &["next"]);
    lab.assert_back_to(&before);
}

/// Tables of other programs, as an administrator or another engine has them.
const THEIRS: &str = "
table inet mine {
    set s {
        type ipv4_addr
        elements = { 1.2.3.4, 5.6.7.8 }
    }
    chain input {
        type filter hook input priority 10; policy accept;
        ip saddr @s counter drop
    }
}
table ip nat {
    chain PREROUTING {
        type nat hook prerouting priority -100;
        tcp dport 1 dnat to 1.2.3.4
    }
}
table bridge other {
    chain forward {
        type filter hook forward priority 0;
    }
}
";

#[test]
fn n14_other_peoples_tables_are_untouched() {
    let Some(lab) = lab("n14_other_peoples_tables_are_untouched") else { return };
    let theirs = lab.folder().join("theirs.nft");
    std::fs::write(&theirs, THEIRS).unwrap();
    lab.sh(&format!("nft -f {}", theirs.display())).ok();
    let foreign = || {
        let tables =
            ["inet mine", "ip nat", "bridge other"].map(|t| format!("nft -a list table {t}"));
        lab.sh(&tables.join("; ")).ok().stdout()
    };
    let before = foreign();
    serve(&lab, "web", &["--net=bridge", "-p", "8080:80"]);
    assert_eq!(foreign(), before);
    lab.wait_answer(From::Lan, &format!("tcp {HOST}:8080"));
    remove(&lab, &["web"]);
    assert_eq!(foreign(), before);
}

#[test]
fn n15_it_works_with_and_without_bridge_netfilter() {
    use rrun_tests::skip::{Need, can};
    let test = "n15_it_works_with_and_without_bridge_netfilter";
    let Some(lab) = lab(test) else { return };
    if !can(test, Need::BridgeNetfilter) {
        return;
    }
    serve(&lab, "web", &["--net=bridge", "-p", "8080:80"]);
    serve(&lab, "other", &["--net=bridge"]);
    let at = format!("tcp {HOST}:8080");
    lab.wait_answer(From::Lan, &at);
    for value in [0, 1] {
        lab.sh(&format!("sysctl -qw net.bridge.bridge-nf-call-iptables={value}")).ok();
        assert_eq!(lab.ask(From::Lan, &at).unwrap(), format!("web {OTHER}"), "{value}");
        for from in [From::Container("web"), From::Container("other"), From::Host] {
            let answer = lab.ask(from, &at);
            assert!(answer.is_ok(), "bridge-nf-call-iptables={value}, {from:?}: {answer:?}");
        }
    }
    remove(&lab, &["web", "other"]);
}
