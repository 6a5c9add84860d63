//! What attaching and detaching do to a real kernel.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lab;

use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use lab::{bridged, names, on_a_host, sh};
use netplan::{Desired, NetworkMode, PlanError, PortOwner};
use network::{Error, Former, Leases, Owner, Record, Request};

/// The network is there, and one container in it.
fn settle(host: &lab::Host) -> lab::Container {
    let first = host.container("first");
    first.attach(&host.home, &bridged(&["7000:7000"])).unwrap();
    first
}

#[test]
fn a_container_gets_a_cable_an_address_and_a_way_out() {
    on_a_host(|host| {
        let web = host.container("web");
        let record = web.attach(&host.home, &bridged(&["8088:80"])).unwrap();
        let veth = record.plan.veth().unwrap();
        let inside = web.sh("ip -o -4 address show eth0");
        assert!(inside.contains(&format!("inet {}", veth.address)), "{inside}");
        let way_out = web.sh("ip route");
        assert!(way_out.contains(&format!("default via {} dev eth0", veth.gateway)), "{way_out}");
        let link = web.sh("ip link show eth0");
        assert!(link.contains(&veth.mac.to_string()) && link.contains("state UP"), "{link}");
        assert!(web.sh("ip link show lo").contains("LOOPBACK,UP"));
        assert_eq!(web.sh("ip -6 address show eth0"), "", "no IPv6 in an IPv4 network");
        let outside = sh(&format!("ip -d link show {}", veth.host));
        for part in [
            "master rrun0",
            "hairpin on",
            "alias rrun:web:",
            "altname rrun-web",
            "addrgenmode none",
        ] {
            assert!(outside.contains(part), "{part}: {outside}");
        }
        assert_eq!(sh(&format!("ip -6 address show {}", veth.host)), "");
        assert_eq!(sh("cat /proc/thread-self/net/if_inet6 | grep -c rrun0 || true"), "0\n");
        sh(&format!("ping -c1 -W2 {}", veth.address.ip()));
        assert_eq!(names(&host.home.netns), ["web"]);
        sh("ip -o link show rrun0 | grep -q UP");
        assert_eq!(Record::load(&web.state_dir).unwrap(), Some(record));
    });
}

#[test]
fn detaching_leaves_the_start_and_may_be_repeated() {
    on_a_host(|host| {
        let _first = settle(host);
        let mut web = host.container("web");
        let start = host.snapshot();
        web.attach(&host.home, &bridged(&["8088:80", "127.0.0.1:9000-9009:9000-9009/udp"]))
            .unwrap();
        assert_ne!(host.snapshot(), start);
        drop(web.kill());
        for _ in 0..3 {
            web.detach(&host.home).unwrap();
            assert_eq!(host.snapshot(), start);
        }
    });
}

#[test]
fn a_namespace_that_others_keep_loses_its_cable_too() {
    on_a_host(|host| {
        let _first = settle(host);
        let mut web = host.container("web");
        let start = host.snapshot();
        web.attach(&host.home, &bridged(&["8088:80"])).unwrap();
        let kept = web.kill();
        web.detach(&host.home).unwrap();
        assert_eq!(host.snapshot(), start);
        drop(kept);
    });
}

#[test]
fn any_number_of_steps_is_undone_to_the_start() {
    on_a_host(|host| {
        let _first = settle(host);
        let mut kernel = host.kernel();
        for steps in 0..=4 {
            let web = host.container("web");
            let start = host.snapshot();
            let desired = Desired {
                id: "web".to_owned(),
                seed: 7,
                network: netplan::Network::default_bridge(),
                address: None,
                mac: None,
                publish: vec!["8088:80".parse().unwrap(), "127.0.0.1:53:53/udp".parse().unwrap()],
            };
            let plan = kernel.plan(&desired).unwrap();
            assert_eq!((plan.ensure.len(), plan.own.len()), (0, 4));
            let owner =
                Owner { id: "web", state_dir: &web.state_dir, init: web.init(), quiet: false };
            for step in plan.own.iter().take(steps) {
                kernel.apply(owner, &plan.own, step).unwrap();
            }
            let former = Former { id: "web", state_dir: &web.state_dir, pid: web.pid() };
            kernel.undo(former, &plan).unwrap();
            assert_eq!(host.snapshot(), start, "after {steps} steps");
            kernel.undo(former, &plan).unwrap();
        }
    });
}

#[test]
fn without_a_record_the_lease_knows_what_to_undo() {
    on_a_host(|host| {
        let _first = settle(host);
        let mut web = host.container("web");
        let start = host.snapshot();
        web.attach(&host.home, &bridged(&["8088:80"])).unwrap();
        std::fs::write(web.state_dir.join("network.json"), "{\"version\":").unwrap();
        web.kill();
        web.detach(&host.home).unwrap();
        assert_eq!(host.snapshot(), start);

        let mut web = host.container("web");
        web.attach(&host.home, &bridged(&["8088:80"])).unwrap();
        std::fs::remove_dir_all(&web.state_dir).unwrap();
        web.kill();
        web.detach(&host.home).unwrap();
        std::fs::create_dir_all(&web.state_dir).unwrap();
        assert_eq!(host.snapshot(), start);
    });
}

#[test]
fn a_taken_port_is_refused_before_anything_is_done() {
    on_a_host(|host| {
        let _first = settle(host);
        let listener = TcpListener::bind("127.0.0.1:9000").unwrap();
        let start = host.snapshot();
        let refused = |port| match host.kernel().preflight("web", &bridged(&[port])) {
            Err(Error::Plan(PlanError::PortTaken { owner, .. })) => owner,
            other => panic!("{port}: {other:?}"),
        };
        assert_eq!(refused("7000:80"), PortOwner::Container("first".into()));
        assert_eq!(refused("127.0.0.1:7000:80"), PortOwner::Container("first".into()));
        assert_eq!(refused("9000:80"), PortOwner::Socket);
        assert_eq!(refused("203.0.113.5:80:80"), PortOwner::NoAddress);
        host.kernel().preflight("web", &bridged(&["7000:80/udp"])).unwrap();
        drop(listener);
        host.kernel().preflight("web", &bridged(&["9000:80"])).unwrap();
        assert_eq!(host.snapshot(), start);

        let web = host.container("web");
        let before = host.snapshot();
        let error = web.attach(&host.home, &bridged(&["7000:80"])).unwrap_err().to_string();
        assert_eq!(error, "port 7000/tcp on 0.0.0.0 is already published by container first");
        assert_eq!(host.snapshot(), before);
    });
}

#[test]
fn a_wildcard_is_refused_where_one_address_is_published() {
    on_a_host(|host| {
        let first = host.container("first");
        first.attach(&host.home, &bridged(&["127.0.0.1:7000:80"])).unwrap();
        let refused = host.kernel().preflight("web", &bridged(&["7000:80"]));
        assert!(matches!(&refused, Err(Error::Plan(PlanError::PortTaken { .. }))), "{refused:?}");
    });
}

#[test]
fn a_container_that_is_gone_blocks_neither_its_address_nor_its_ports() {
    on_a_host(|host| {
        let _first = settle(host);
        let mut web = host.container("web");
        let start = host.snapshot();
        let request = bridged(&["8088:80"]);
        let lease = web.attach(&host.home, &request).unwrap().plan.lease().unwrap().clone();
        // As after SIGKILL of everything: nobody detaches.
        drop(web.kill());
        let wait = |what: &str| {
            sh(&format!("for i in $(seq 100); do {what} && exit; sleep .05; done; false"))
        };
        wait("! ip link | grep -q rrun:web");

        let mut other = host.container("other");
        let mut same = bridged(&["8088:80"]);
        same.address = Some(lease.address);
        other.attach(&host.home, &same).unwrap();
        // What comes too late takes nothing away from the new owner.
        web.detach(&host.home).unwrap();
        let record = Leases::of(&host.home, "bridge").read(lease.address).unwrap().unwrap();
        assert_eq!(record.id, "other");
        sh("nft list ruleset | grep -q 8088");
        drop(other.kill());
        other.detach(&host.home).unwrap();
        drop((web, other));
        assert_eq!(
            host.snapshot(),
            start
                .lines()
                .filter(|line| !line.ends_with("root/web"))
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        );
    });
}

#[test]
fn many_at_once_get_different_addresses_and_ports() {
    on_a_host(|host| {
        const COUNT: usize = 24;
        let containers: Vec<_> =
            (0..COUNT).map(|number| host.container(&format!("c{number}"))).collect();
        let records: Vec<Record> = thread::scope(|scope| {
            let attach = |container: &'_ lab::Container| {
                container.attach(&host.home, &bridged(&["80", "81/udp"])).unwrap()
            };
            let threads: Vec<_> =
                containers.iter().map(|container| scope.spawn(move || attach(container))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut addresses: Vec<_> =
            records.iter().map(|record| record.plan.lease().unwrap().address).collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), COUNT);
        let mut ports: Vec<_> = records
            .iter()
            .flat_map(|record| record.plan.ports())
            .map(|port| (port.protocol, port.host.first()))
            .collect();
        ports.sort();
        ports.dedup();
        assert_eq!(ports.len(), 2 * COUNT);
        assert_eq!(sh("ip -o link show master rrun0 | wc -l").trim(), COUNT.to_string());
        thread::scope(|scope| {
            for container in &containers {
                scope.spawn(|| container.detach(&host.home).unwrap());
            }
        });
        assert_eq!(sh("ip -o link show master rrun0 | wc -l").trim(), "0");
        assert!(names(&host.home.network("bridge").join("leases")).is_empty());
    });
}

#[test]
fn one_port_wanted_by_many_goes_to_one() {
    on_a_host(|host| {
        let _first = settle(host);
        let containers: Vec<_> =
            (0..8).map(|number| host.container(&format!("c{number}"))).collect();
        let specs = ["8088:80", "127.0.0.1:8088:80"];
        let winners: usize = thread::scope(|scope| {
            let threads: Vec<_> = containers
                .iter()
                .enumerate()
                .map(|(at, container)| {
                    scope.spawn(move || {
                        let spec = specs[at % specs.len()];
                        container.attach(&host.home, &bridged(&[spec])).is_ok()
                    })
                })
                .collect();
            threads.into_iter().filter(|_| true).map(|t| usize::from(t.join().unwrap())).sum()
        });
        assert_eq!(winners, 1);
        assert_eq!(names(&host.home.network("bridge").join("leases")).len(), 2);
    });
}

#[test]
fn the_first_subnet_avoids_the_hosts_routes() {
    on_a_host(|host| {
        sh("ip link add d0 type ifb && ip address add 172.30.7.1/24 dev d0 && ip link set d0 up");
        sh("ip route add 172.29.0.0/16 dev d0 table 77");
        let web = host.container("web");
        let record = web.attach(&host.home, &bridged(&[])).unwrap();
        assert_eq!(record.plan.veth().unwrap().gateway, Ipv4Addr::new(172, 28, 0, 1));
    });
}

#[test]
fn a_name_that_is_taken_is_left_alone() {
    on_a_host(|host| {
        std::fs::create_dir_all(&host.home.netns).unwrap();
        let path = host.home.netns.join("web");
        std::fs::write(&path, "mine").unwrap();
        let mut web = host.container("web");
        web.attach(&host.home, &Request::new(NetworkMode::None)).unwrap();
        assert_eq!(web.sh("ip -o link | wc -l").trim(), "1");
        drop(web.kill());
        web.detach(&host.home).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");

        // A name that leads nowhere is a dead container's.
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/proc/0/ns/net", &path).unwrap();
        let mut web = host.container("web");
        web.attach(&host.home, &Request::new(NetworkMode::None)).unwrap();
        std::fs::metadata(&path).unwrap();
        drop(web.kill());
        web.detach(&host.home).unwrap();
        assert!(names(&host.home.netns).is_empty());
    });
}

#[test]
fn a_network_that_nobody_made_is_refused() {
    on_a_host(|host| {
        let request = Request::new("bridge:blue".parse().unwrap());
        let error = host.kernel().preflight("web", &request).unwrap_err().to_string();
        assert_eq!(error, "network blue does not exist");
        let link = sh("ip link add rrun0 type ifb");
        assert_eq!(link, "");
        let error = host.kernel().preflight("web", &bridged(&[])).unwrap_err().to_string();
        assert_eq!(error, "link rrun0: exists and is not a bridge");
    });
}

#[test]
fn published_ports_reach_the_container_from_the_host() {
    on_a_host(|host| {
        let web = host.container("web");
        let record = web.attach(&host.home, &bridged(&["8088:80"])).unwrap();
        let _server = web.spawn("socat TCP-LISTEN:80,fork,reuseaddr SYSTEM:'echo hello'");
        web.sh(
            "sh -c 'for i in $(seq 100); do ss -ltn | grep -q :80 && exit; sleep .05; done; false'",
        );
        let gateway = IpAddr::V4(record.plan.veth().unwrap().gateway);
        for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), gateway] {
            let mut text = String::new();
            let mut stream = TcpStream::connect((address, 8088)).unwrap();
            std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
            assert_eq!(text, "hello\n", "{address}");
        }
        for br_netfilter in [0, 1] {
            sh(&format!("sysctl -qw net.bridge.bridge-nf-call-iptables={br_netfilter}"));
            let hairpin = web.sh(&format!("socat -T2 - TCP:{gateway}:8088,connect-timeout=2"));
            assert_eq!(hairpin, "hello\n", "bridge-nf-call-iptables={br_netfilter}");
        }
    });
}
