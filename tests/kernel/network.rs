//! Reachability, seen by TCP and UDP packets between a host, a LAN and containers.

use std::process::Command;

use rrun_tests::skip::{Need, can};
use rrun_tests::wire::{From, HOST, HOST_SECOND, OTHER};
use rrun_tests::{Bundle, Lab, Snapshot, spec};
use serde_json::json;

/// A lab on a LAN, or nothing where the runtime has no networking.
pub(crate) fn lab(test: &str) -> Option<Lab> {
    can(test, Need::Rrun).then(|| {
        let lab = Lab::new();
        lab.add_lan();
        lab
    })
}

/// A bundle that answers `name` on TCP and UDP port 80.
pub(crate) fn server(lab: &Lab, name: &str) -> Bundle {
    lab.bundle(name).script(&format!(
        "probe serve udp 0.0.0.0:80 {name} & exec probe serve tcp 0.0.0.0:80 {name}"
    ))
}

/// Runs the server `name` detached with `flags`; its address where it has an `eth0`.
pub(crate) fn serve(lab: &Lab, name: &str, flags: &[&str]) -> String {
    let bundle = server(lab, name);
    start(lab, &bundle, name, flags)
}

/// Runs `bundle` detached as `name` with `flags`; its address.
pub(crate) fn start(lab: &Lab, bundle: &Bundle, name: &str, flags: &[&str]) -> String {
    let mut args = vec!["run", "-d"];
    args.extend(flags);
    args.extend(["--bundle", bundle.arg(), name]);
    lab.rrun(args).ok();
    address(lab, name).unwrap_or_default()
}

/// The container's address on `eth0`.
pub(crate) fn address(lab: &Lab, id: &str) -> Option<String> {
    let shown = lab.rrun(["exec", id, "ip", "-o", "-4", "addr", "show", "dev", "eth0"]);
    let text = shown.stdout();
    let address = text.split_whitespace().skip_while(|word| *word != "inet").nth(1)?;
    address.split('/').next().map(str::to_owned)
}

/// What is there with a bridge that nobody is on: bridge, table and folders are shared and stay.
pub(crate) fn warmed(lab: &Lab) -> Snapshot {
    let bundle = lab.bundle("warm-up");
    lab.rrun(["run", "--net=bridge", "-p", "1:1", "--bundle", bundle.arg(), "warm-up"]).ok();
    lab.still()
}

pub(crate) fn remove(lab: &Lab, ids: &[&str]) {
    for id in ids {
        lab.rrun(["delete", "--force", id]).ok();
    }
}

#[test]
fn the_lab_itself_carries_packets() {
    let lab = Lab::new();
    lab.add_lan();
    let at = format!("tcp {HOST}:7000");
    assert_eq!(lab.ask(From::Lan, &at).unwrap_err(), "refused", "nobody listens yet");
    let _server = lab.serve(From::Host, &at, "host");
    assert_eq!(lab.ask(From::Lan, &at).unwrap(), format!("host {OTHER}"));
    let _udp = lab.serve(From::Lan, "udp 0.0.0.0:7000", "lan");
    assert_eq!(lab.ask(From::Host, &format!("udp {OTHER}:7000")).unwrap(), format!("lan {HOST}"));
    lab.sh(&format!(
        "nft add table ip t; nft 'add chain ip t i {{ type filter hook input priority 0; }}'
        nft add rule ip t i ip saddr {OTHER} drop"
    ))
    .ok();
    assert_eq!(lab.ask_with(From::Lan, &at, &["--timeout", "300"]).unwrap_err(), "timeout");
}

#[test]
fn a_published_port_answers_everybody() {
    let Some(lab) = lab("a_published_port_answers_everybody") else { return };
    let before = warmed(&lab);
    let address = serve(&lab, "web", &["--net=bridge", "-p", "8080:80", "-p", "8080:80/udp"]);
    serve(&lab, "other", &["--net=bridge"]);
    for proto in ["tcp", "udp"] {
        let host = format!("{proto} {HOST}:8080");
        let second = format!("{proto} {HOST_SECOND}:8080");
        let localhost = format!("{proto} 127.0.0.1:8080");
        lab.wait_answer(From::Lan, &host);
        // The client's own address arrives.
        assert_eq!(lab.ask(From::Lan, &host).unwrap(), format!("web {OTHER}"), "{proto}");
        assert_eq!(lab.ask(From::Lan, &second).unwrap(), format!("web {OTHER}"), "{proto}");
        for at in [&host, &second, &localhost] {
            assert!(lab.ask(From::Host, at).unwrap().starts_with("web "), "host to {at}");
        }
        for at in [&host, &second] {
            let other = lab.ask(From::Container("other"), at);
            assert!(
                other.as_ref().is_ok_and(|a| a.starts_with("web ")),
                "other to {at}: {other:?}"
            );
            let hairpin = lab.ask(From::Container("web"), at);
            assert!(
                hairpin.as_ref().is_ok_and(|a| a.starts_with("web ")),
                "itself to {at}: {hairpin:?}"
            );
        }
        let direct = lab.ask(From::Container("other"), &format!("{proto} {address}:80"));
        assert!(direct.unwrap().starts_with("web "), "{proto} container to container");
    }
    remove(&lab, &["web", "other"]);
    assert_ne!(lab.ask(From::Host, "tcp 127.0.0.1:8080"), Ok("web".into()));
    lab.assert_back_to(&before);
}

#[test]
fn a_published_port_closes_with_the_container() {
    let Some(lab) = lab("a_published_port_closes_with_the_container") else { return };
    let at = format!("tcp {HOST}:8080");
    for round in ["one", "two"] {
        serve(&lab, round, &["--net=bridge", "-p", "8080:80"]);
        assert_eq!(lab.wait_answer(From::Lan, &at), format!("{round} {OTHER}"));
        remove(&lab, &[round]);
        let closed = lab.ask_with(From::Lan, &at, &["--timeout", "500"]);
        assert!(closed.is_err(), "{closed:?}");
    }
}

#[test]
fn a_port_bound_to_an_address_answers_there_alone() {
    let Some(lab) = lab("a_port_bound_to_an_address_answers_there_alone") else { return };
    let first = format!("{HOST}:8080:80");
    serve(&lab, "web", &["--net=bridge", "-p", &first, "-p", "127.0.0.1:8081:80"]);
    lab.wait_answer(From::Lan, &format!("tcp {HOST}:8080"));
    assert!(lab.ask(From::Host, &format!("tcp {HOST}:8080")).is_ok());
    assert!(lab.ask(From::Lan, &format!("tcp {HOST_SECOND}:8080")).is_err());
    assert!(lab.ask(From::Host, "tcp 127.0.0.1:8080").is_err());
    assert!(lab.ask(From::Host, "tcp 127.0.0.1:8081").is_ok());
    for address in [HOST, HOST_SECOND] {
        assert!(lab.ask(From::Lan, &format!("tcp {address}:8081")).is_err(), "{address}");
    }
    remove(&lab, &["web"]);
}

#[test]
fn a_range_is_published_port_by_port() {
    let Some(lab) = lab("a_range_is_published_port_by_port") else { return };
    let before = warmed(&lab);
    let bundle = lab
        .bundle("web")
        .script("for p in 80 81 82 83; do probe serve tcp 0.0.0.0:$p port$p & done; wait");
    start(&lab, &bundle, "web", &["--net=bridge", "-p", "9000-9002:80-82"]);
    for (outer, inner) in [(9000, 80), (9001, 81), (9002, 82)] {
        let answer = lab.wait_answer(From::Lan, &format!("tcp {HOST}:{outer}"));
        assert_eq!(answer, format!("port{inner} {OTHER}"));
    }
    assert!(lab.ask(From::Lan, &format!("tcp {HOST}:9003")).is_err());
    remove(&lab, &["web"]);
    lab.assert_back_to(&before);
}

#[test]
fn a_free_port_is_found_and_shown() {
    let Some(lab) = lab("a_free_port_is_found_and_shown") else { return };
    serve(&lab, "one", &["--net=bridge", "-p", "80"]);
    serve(&lab, "two", &["--net=bridge", "-p", "80"]);
    let map = lab.rrun(["net", "map"]).ok().stdout();
    let mut ports: Vec<u16> = Vec::new();
    for name in ["one", "two"] {
        let line = map.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{map}"));
        let at = line.find(":80/tcp").unwrap_or_else(|| panic!("no :80/tcp in {line:?}"));
        let digits: String = line[..at].chars().rev().take_while(char::is_ascii_digit).collect();
        let port: u16 = digits.chars().rev().collect::<String>().parse().unwrap();
        let answer = lab.wait_answer(From::Lan, &format!("tcp {HOST}:{port}"));
        assert_eq!(answer, format!("{name} {OTHER}"));
        ports.push(port);
    }
    assert_ne!(ports[0], ports[1]);
    remove(&lab, &["one", "two"]);
}

#[test]
fn a_source_filter_lets_only_its_sources_in() {
    let Some(lab) = lab("a_source_filter_lets_only_its_sources_in") else { return };
    lab.lan("ip addr add 192.0.2.77/24 dev eth0").ok();
    serve(&lab, "web", &["--net=bridge", "-p", "8080:80,from=192.0.2.64/26"]);
    let at = format!("tcp {HOST}:8080");
    lab.sh("sleep 0.1").ok();
    let inside = lab.ask_with(From::Lan, &at, &["--from", "192.0.2.77"]);
    assert_eq!(inside.unwrap(), "web 192.0.2.77");
    let outside = lab.ask_with(From::Lan, &at, &["--from", OTHER, "--timeout", "500"]);
    assert!(outside.is_err(), "{outside:?}");
    remove(&lab, &["web"]);
}

#[test]
fn the_way_out_is_masqueraded() {
    let Some(lab) = lab("the_way_out_is_masqueraded") else { return };
    let _tcp = lab.serve(From::Lan, "tcp 0.0.0.0:7000", "lan");
    let _udp = lab.serve(From::Lan, "udp 0.0.0.0:7000", "lan");
    serve(&lab, "web", &["--net=bridge"]);
    for proto in ["tcp", "udp"] {
        let answer = lab.ask(From::Container("web"), &format!("{proto} {OTHER}:7000"));
        assert_eq!(answer.unwrap(), format!("lan {HOST}"), "{proto}");
    }
    remove(&lab, &["web"]);
}

#[test]
fn a_container_may_share_anothers_network() {
    let Some(lab) = lab("a_container_may_share_anothers_network") else { return };
    let before = warmed(&lab);
    let address = serve(&lab, "web", &["--net=bridge", "-p", "8080:80"]);
    let bundle = lab.bundle("side").args(["sleep", "1000"]);
    start(&lab, &bundle, "side", &["--net=container:web"]);
    let show = |id: &str| {
        lab.rrun(["exec", id, "sh", "-c", "readlink /proc/self/ns/net; ip addr"]).ok().stdout()
    };
    assert_eq!(show("web"), show("side"), "one eth0, one lo");
    assert!(show("side").contains(&address));
    let answer = lab.ask(From::Container("side"), "tcp 127.0.0.1:80");
    assert_eq!(answer.unwrap(), "web 127.0.0.1", "the other's server on localhost");
    let apart = |id: &str| {
        lab.rrun(["exec", id, "sh", "-c", "readlink /proc/self/ns/pid; readlink /proc/self/ns/mnt"])
            .ok()
            .stdout()
    };
    assert_ne!(apart("web"), apart("side"), "everything else stays apart");
    // Whose network it is, is not the sharer's to take away.
    remove(&lab, &["side"]);
    assert_eq!(lab.wait_answer(From::Lan, &format!("tcp {HOST}:8080")), format!("web {OTHER}"));
    remove(&lab, &["web"]);
    let gone = lab.rrun(["run", "--net=container:web", "--bundle", bundle.arg(), "side"]);
    gone.refused(1, &["web"]);
    lab.assert_back_to(&before);
}

#[test]
fn the_hosts_network_is_shared_as_it_is() {
    let Some(lab) = lab("the_hosts_network_is_shared_as_it_is") else { return };
    let before = lab.snapshot();
    serve(&lab, "web", &["--net=host"]);
    let answer = lab.wait_answer(From::Lan, &format!("tcp {HOST}:80"));
    assert_eq!(answer, format!("web {OTHER}"), "the host's port is the container's");
    let links = lab.rrun(["exec", "web", "ls", "/sys/class/net"]).ok().stdout();
    assert!(links.contains("uplink"), "{links}");
    remove(&lab, &["web"]);
    crate::leftovers(&lab, &before);
}

#[test]
fn a_network_of_none_can_be_wired_by_hand() {
    let Some(lab) = lab("a_network_of_none_can_be_wired_by_hand") else { return };
    let before = lab.snapshot();
    serve(&lab, "web", &["--net=none"]);
    let links = lab.rrun(["exec", "web", "ls", "/sys/class/net"]).ok().stdout();
    assert_eq!(links.split_whitespace().collect::<Vec<_>>(), ["lo"]);
    assert!(lab.ask(From::Container("web"), "tcp 127.0.0.1:80").is_ok(), "lo is up");
    // The commands that people know from Docker.
    let pid = lab.state("web")["pid"].clone();
    lab.sh(&format!(
        "mkdir -p /run/netns
         ln -s /proc/{pid}/ns/net /run/netns/byhand
         ip link add hand0 type veth peer name hand1
         ip link set hand1 netns byhand
         ip addr add 198.51.100.1/24 dev hand0
         ip link set hand0 up
         ip netns exec byhand ip link set hand1 name eth0
         ip netns exec byhand ip addr add 198.51.100.2/24 dev eth0
         ip netns exec byhand ip link set eth0 up
         ip netns exec byhand ip route add default via 198.51.100.1"
    ))
    .ok();
    assert_eq!(lab.wait_answer(From::Host, "tcp 198.51.100.2:80"), "web 198.51.100.1");
    lab.sh("rm /run/netns/byhand").ok();
    remove(&lab, &["web"]);
    crate::leftovers(&lab, &before);
}

#[test]
fn a_named_namespace_is_joined_and_left_as_it_was() {
    let Some(lab) = lab("a_named_namespace_is_joined_and_left_as_it_was") else { return };
    lab.sh("ip netns add mine; ip -n mine link set lo up").ok();
    let before = lab.snapshot();
    serve(&lab, "web", &["--net=ns:/run/netns/mine"]);
    let inside = lab.rrun(["exec", "web", "readlink", "/proc/self/ns/net"]).ok().stdout();
    let wanted = lab.sh("ip netns exec mine readlink /proc/self/ns/net").ok().stdout();
    assert_eq!(inside, wanted);
    remove(&lab, &["web"]);
    crate::leftovers(&lab, &before);
    let bundle = lab.bundle("b");
    for path in ["/run/netns/none", "/etc/passwd"] {
        let flag = format!("--net=ns:{path}");
        lab.rrun(["run", &flag, "--bundle", bundle.arg(), "c"]).refused(1, &[path]);
    }
    crate::leftovers(&lab, &before);
}

#[test]
fn without_a_flag_the_configuration_decides() {
    let Some(lab) = lab("without_a_flag_the_configuration_decides") else { return };
    let before = lab.snapshot();
    let own = lab.bundle("own").args(["ls", "/sys/class/net"]);
    let ran = lab.rrun(["run", "--bundle", own.arg(), "c"]).ok();
    assert_eq!(ran.stdout().split_whitespace().collect::<Vec<_>>(), ["lo"]);
    let host = own.edit(|config| spec::share(config, "network"));
    let ran = lab.rrun(["run", "--bundle", host.arg(), "c"]).ok();
    assert!(ran.stdout().contains("uplink"), "{ran}");
    crate::leftovers(&lab, &before);
    // The flag wins over the configuration, which stays as written.
    let text = std::fs::read(host.path().join("config.json")).unwrap();
    let ran = lab.rrun(["run", "--net=bridge", "--bundle", host.arg(), "c"]).ok();
    assert!(ran.stdout().contains("eth0") && !ran.stdout().contains("uplink"), "{ran}");
    assert_eq!(std::fs::read(host.path().join("config.json")).unwrap(), text);
    // A published port means a bridge.
    let ran = lab.rrun(["run", "-p", "8080:80", "--bundle", host.arg(), "c"]).ok();
    assert!(ran.stdout().contains("eth0"), "{ran}");
}

#[test]
fn a_port_that_is_taken_is_refused_before_anything_starts() {
    let Some(lab) = lab("a_port_that_is_taken_is_refused_before_anything_starts") else { return };
    warmed(&lab);
    serve(&lab, "web", &["--net=bridge", "-p", "8080:80"]);
    let _tcp = lab.serve(From::Host, "tcp 0.0.0.0:8090", "host");
    let _udp = lab.serve(From::Host, "udp 127.0.0.1:8091", "host");
    let before = lab.still();
    let bundle = lab.bundle("late").script("echo ran");
    let bound = format!("{HOST}:8080:80");
    for taken in
        ["8080:80", &bound, "8085-8095:85-95", "8090:80", "8091:80/udp", "127.0.0.1:8091:80/udp"]
    {
        let ran = lab.rrun(["run", "--net=bridge", "-p", taken, "--bundle", bundle.arg(), "late"]);
        assert!(!ran.stdout().contains("ran"), "{taken}: {ran}");
        ran.refused(1, &["80"]);
        lab.assert_back_to(&before);
    }
    // The same number of the other protocol is free.
    let ran = lab.rrun(["run", "-p", "8080:80/udp", "--bundle", bundle.arg(), "late"]).ok();
    assert_eq!(ran.stdout(), "ran\n");
    assert_eq!(lab.wait_answer(From::Lan, &format!("tcp {HOST}:8080")), format!("web {OTHER}"));
    remove(&lab, &["web"]);
}

#[test]
fn names_of_containers_and_the_hosts_resolver_are_known_inside() {
    let Some(lab) = lab("names_of_containers_and_the_hosts_resolver_are_known_inside") else {
        return;
    };
    std::fs::write(lab.outside("/etc/resolv.conf"), "nameserver 192.0.2.2\n").unwrap();
    let address = serve(&lab, "web", &["--net=bridge"]);
    serve(&lab, "other", &["--net=bridge"]);
    let resolver = lab.rrun(["exec", "web", "cat", "/etc/resolv.conf"]).ok().stdout();
    assert!(resolver.contains("nameserver 192.0.2.2"), "{resolver}");
    let hosts = lab.rrun(["exec", "web", "cat", "/etc/hosts"]).ok().stdout();
    assert!(hosts.contains("127.0.0.1") && hosts.contains("localhost"), "{hosts}");
    assert!(hosts.contains(&address), "its own name: {hosts}");
    let rootfs = lab.folder().join("web/rootfs/etc");
    for name in ["resolv.conf", "hosts"] {
        // An empty file to mount on is all that may appear.
        let text = std::fs::read(rootfs.join(name)).unwrap_or_default();
        assert!(text.is_empty(), "{name} was written through the rootfs");
    }
    remove(&lab, &["web", "other"]);
}

#[test]
fn flags_choose_addresses_and_names() {
    let Some(lab) = lab("flags_choose_addresses_and_names") else { return };
    serve(&lab, "first", &["--net=bridge"]);
    let gateway = lab.state("first")["network"]["gateway"].as_str().unwrap().to_owned();
    let (subnet, _) = gateway.rsplit_once('.').unwrap();
    let chosen = format!("{subnet}.77");
    let bundle = lab.bundle("chosen").script(
        "hostname; cat /etc/hostname /etc/resolv.conf /etc/hosts; ip -o addr show eth0; ip -o link show eth0",
    );
    let mut args =
        vec!["run", "--net=bridge", "--ip", &chosen, "--mac-address", "02:aa:bb:cc:dd:ee"];
    args.extend(["--hostname", "somebody", "--dns", "192.0.2.9", "--add-host", "db:192.0.2.10"]);
    args.extend(["--bundle", bundle.arg(), "chosen"]);
    let said = lab.rrun(args).ok().stdout();
    assert!(said.starts_with("somebody\nsomebody\n"), "{said}");
    let address = format!("inet {chosen}/");
    for part in ["nameserver 192.0.2.9", "192.0.2.10\tdb", &address, "02:aa:bb:cc:dd:ee"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let taken = self::address(&lab, "first").unwrap();
    let again = ["run", "--net=bridge", "--ip", &taken, "--bundle", bundle.arg(), "again"];
    lab.rrun(again).refused(1, &[&taken, "already in use"]);
    remove(&lab, &["first"]);
}

#[test]
fn a_dry_run_changes_nothing() {
    let Some(lab) = lab("a_dry_run_changes_nothing") else { return };
    let before = lab.snapshot();
    let bundle = lab.bundle("b").script("echo ran");
    let args =
        ["run", "--net-dry-run", "--net=bridge", "-p", "8080:80", "--bundle", bundle.arg(), "c"];
    let ran = lab.rrun(args).ok();
    for part in ["rrun0", "8080", "ip ", "nft "] {
        assert!(ran.stdout().contains(part), "no {part:?}: {ran}");
    }
    assert!(!ran.stdout().contains("ran\n"));
    crate::leftovers(&lab, &before);
}

#[test]
fn a_bridged_container_keeps_its_network_through_restarts_of_others() {
    let Some(lab) = lab("a_bridged_container_keeps_its_network_through_restarts_of_others") else {
        return;
    };
    serve(&lab, "witness", &["--net=bridge", "-p", "8080:80"]);
    let mut command = Command::new("ip");
    command.args(["netns", "exec", "lan"]).arg(rrun_tests::tool("probe"));
    lab.wait_answer(From::Lan, &format!("tcp {HOST}:8080"));
    command.args(["hold", &format!("{HOST}:8080")]).stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::null());
    let mut stream = lab.spawn(&mut command).unwrap();
    for i in 0..5 {
        let id = format!("c{i}");
        serve(&lab, &id, &["--net=bridge", "-p", "8081:80"]);
        remove(&lab, &[&id]);
    }
    assert!(stream.try_wait().unwrap().is_none(), "the stream broke");
    drop(stream.stdin.take());
    assert!(stream.wait().unwrap().success(), "the stream flowed to the end");
    remove(&lab, &["witness"]);
}

#[test]
fn config_json_of_a_bridged_container_may_mount_its_own_resolver() {
    let Some(lab) = lab("config_json_of_a_bridged_container_may_mount_its_own_resolver") else {
        return;
    };
    let own = lab.folder().join("resolv");
    std::fs::write(&own, "nameserver 203.0.113.9\n").unwrap();
    let bundle = lab.bundle("b").args(["cat", "/etc/resolv.conf"]).edit(|config| {
        spec::push(
            &mut config["mounts"],
            json!({"destination": "/etc/resolv.conf", "type": "bind",
            "source": own, "options": ["bind", "ro"]}),
        );
    });
    let ran = lab.rrun(["run", "--net=bridge", "--bundle", bundle.arg(), "c"]).ok();
    assert_eq!(ran.stdout(), "nameserver 203.0.113.9\n");
}
