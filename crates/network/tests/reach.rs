//! Who reaches what: hosts, a LAN and containers, each a network namespace of the tests' own, with the
//! real table between them. Every "does not" has a "does" beside it that differs in one thing.

#![allow(clippy::unwrap_used, clippy::expect_used)] // also in what the tests share

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use netplan::{PortMapping, PortRange, Protocol, Publish, Rules};
use network::ruleset;
use nft::{Batch, Nft};
use nix::sched::{CloneFlags, unshare};

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a network namespace that ends with it.
struct Place {
    netns: String,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Place {
    fn new() -> Self {
        let (jobs, todo) = channel::<Job>();
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
            tell.send(format!(
                "/proc/{}/task/{}/ns/net",
                std::process::id(),
                nix::unistd::gettid()
            ))
            .unwrap();
            todo.into_iter().for_each(|job| job());
        });
        let place = Self { netns: told.recv().unwrap(), jobs: Some(jobs), thread: Some(thread) };
        place.ip("link set lo up");
        place
    }

    /// Does it here and returns what came of it.
    fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = channel();
        let job: Job = Box::new(move || drop(tell.send(job())));
        self.jobs.as_ref().unwrap().send(job).unwrap();
        told.recv().expect("the job panicked")
    }

    fn ip(&self, arguments: &str) {
        let arguments = arguments.to_owned();
        self.run(move || {
            let done = Command::new("ip").args(arguments.split(' ')).output().unwrap();
            let words = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(done.status.success(), "ip {arguments}: {words}");
        });
    }

    fn sysctl(&self, name: &'static str, value: &'static str) {
        self.run(move || std::fs::write(format!("/proc/sys/net/{name}"), value).expect(name));
    }

    /// Answers every connection to the port with the client's address.
    fn serve(&self, port: u16) {
        let listener = self.run(move || TcpListener::bind(("0.0.0.0", port)).unwrap());
        // A socket stays in the namespace it was made in, whoever uses it; ended with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let Ok(peer) = stream.peer_addr() else { continue };
                let _ = stream.write_all(peer.ip().to_string().as_bytes());
            }
        });
    }

    /// The address by which the server knows a client here; none where it is not reached.
    fn reach(&self, address: [u8; 4], port: u16) -> Option<Ipv4Addr> {
        self.run(move || {
            let to = SocketAddr::from((address, port));
            // What is dropped shows only by waiting. Too short could only hide a "does".
            let mut stream = TcpStream::connect_timeout(&to, Duration::from_millis(700)).ok()?;
            let mut known_as = String::new();
            stream.read_to_string(&mut known_as).ok()?;
            known_as.parse().ok()
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // Its panic was told by the job that was waited for.
            let _ = thread.join();
        }
    }
}

const LAN: [u8; 4] = [192, 0, 2, 9];
const HOST: [u8; 4] = [192, 0, 2, 1];
const LOCALHOST: [u8; 4] = [127, 0, 0, 1];
const WEB: [u8; 4] = [172, 30, 0, 2];
const NEIGHBOUR: [u8; 4] = [172, 30, 0, 3];
const STRANGER: [u8; 4] = [172, 31, 0, 2];

/// A host with an uplink to a LAN and two networks.
struct Lab {
    host: Place,
    lan: Place,
    web: Place,
    neighbour: Place,
    stranger: Place,
}

impl Lab {
    fn new() -> Self {
        let [host, lan, web, neighbour, stranger] = [(); 5].map(|()| Place::new());
        host.sysctl("ipv4/ip_forward", "1");
        cable(&host, "lan0", &lan, LAN);
        host.ip("address add 192.0.2.1/24 dev lan0");
        // The LAN's way to containers, and to everything else.
        lan.ip("route add default via 192.0.2.1");
        for (bridge, gateway) in [("rrun0", "172.30.0.1"), ("rrun1", "172.31.0.1")] {
            host.ip(&format!("link add {bridge} type bridge"));
            host.ip(&format!("address add {gateway}/16 dev {bridge}"));
            host.ip(&format!("link set {bridge} up"));
        }
        host.sysctl("ipv4/conf/rrun0/route_localnet", "1");
        host.sysctl("ipv4/conf/rrun1/route_localnet", "1");
        for (name, place, address, bridge) in [
            ("c1", &web, WEB, "rrun0"),
            ("c2", &neighbour, NEIGHBOUR, "rrun0"),
            ("c3", &stranger, STRANGER, "rrun1"),
        ] {
            cable(&host, name, place, address);
            host.ip(&format!("link set {name} master {bridge}"));
            // Under br_netfilter a frame to oneself turns round in the bridge.
            host.ip(&format!("link set {name} type bridge_slave hairpin on"));
            place.ip(&format!("route add default via 172.{}.0.1", address[1]));
        }
        web.serve(80);
        lan.serve(9000);
        Self { host, lan, web, neighbour, stranger }
    }

    /// What the host's owner, or another program of his, does.
    fn nft(&self, line: &'static str) {
        let done = self.host.run(move || Command::new("nft").arg(line).status().unwrap());
        assert!(done.success(), "{line}");
    }

    /// Loads the table with both networks, and publishes the web's port 80.
    fn load(&self) {
        self.host.run(|| {
            let mut nft = Nft::open().unwrap();
            ruleset::ensure(&mut nft).unwrap();
            let mut batch = Batch::new();
            for (bridge, subnet) in [("rrun0", "172.30.0.0/16"), ("rrun1", "172.31.0.0/16")] {
                let network = Rules { bridge: bridge.to_owned(), subnet: subnet.parse().unwrap() };
                ruleset::add_network(&mut batch, &network).unwrap();
            }
            let ports = vec![
                ports(None, 8080, Protocol::Tcp, &[]),
                ports(None, 8080, Protocol::Udp, &[]),
                ports(Some(LOCALHOST), 8081, Protocol::Tcp, &[]),
                ports(Some(HOST), 8082, Protocol::Tcp, &[]),
                ports(None, 8083, Protocol::Tcp, &["192.0.2.9/32", "203.0.113.0/24"]),
                ports(None, 8084, Protocol::Tcp, &["203.0.113.0/24"]),
                ports(Some(HOST), 8085, Protocol::Tcp, &["203.0.113.0/24", "172.30.0.3/32"]),
            ];
            let (id, bridge) = ("web".to_owned(), "rrun0".to_owned());
            let publish = Publish { id, address: WEB.into(), bridge, ports };
            ruleset::publish(&mut batch, &publish);
            nft.commit(&batch).unwrap();
        });
    }
}

/// A veth pair from `host` to `eth0` of another place.
fn cable(host: &Place, name: &str, place: &Place, address: [u8; 4]) {
    host.ip(&format!("link add {name} type veth peer name eth0 netns {}", place.netns));
    host.ip(&format!("link set {name} up"));
    let prefix = if address == LAN { 24 } else { 16 };
    place.ip(&format!("address add {}/{prefix} dev eth0", Ipv4Addr::from(address)));
    place.ip("link set eth0 up");
}

fn ports(host_ip: Option<[u8; 4]>, port: u16, protocol: Protocol, from: &[&str]) -> PortMapping {
    PortMapping {
        host_ip: host_ip.map(Ipv4Addr::from),
        host: PortRange::single(port).unwrap(),
        container: PortRange::single(80).unwrap(),
        protocol,
        from: from.iter().map(|cidr| cidr.parse().unwrap()).collect(),
    }
}

fn known(address: [u8; 4]) -> Option<Ipv4Addr> {
    Some(address.into())
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    let lab = Lab::new();
    assert_eq!(lab.lan.reach(HOST, 8080), None, "before it is published");
    lab.load();
    assert_eq!(lab.lan.reach(HOST, 8080), known(LAN), "the client's address is kept");
    for address in [LOCALHOST, [127, 0, 0, 53], HOST, [172, 30, 0, 1], [172, 31, 0, 1]] {
        assert!(lab.host.reach(address, 8080).is_some(), "the host itself, by {address:?}");
    }
    assert_eq!(lab.host.reach(LOCALHOST, 8080), known([172, 30, 0, 1]));
    assert!(lab.stranger.reach(HOST, 8080).is_some(), "another network, by the host's address");
    let server = lab.web.run(|| UdpSocket::bind("0.0.0.0:80").unwrap());
    let client = lab.lan.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    client.send_to(b"?", (Ipv4Addr::from(HOST), 8080)).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (_, from) = server.recv_from(&mut [0; 8]).expect("UDP");
    assert_eq!(from.ip(), IpAddr::from(LAN));
    server.send_to(b"!", from).unwrap();
    let (_, answered) = client.recv_from(&mut [0; 8]).expect("UDP back");
    assert_eq!(answered, SocketAddr::from((HOST, 8080)));
}

#[test]
fn a_container_reaches_its_own_and_its_neighbours_published_port() {
    let lab = Lab::new();
    lab.load();
    let hairpin = || {
        let gateway = known([172, 30, 0, 1]);
        assert_eq!(lab.web.reach(HOST, 8080), gateway, "itself");
        assert_eq!(lab.neighbour.reach(HOST, 8080), gateway, "a neighbour");
    };
    hairpin();
    // Where br_netfilter is loaded it is on from the start, and bridged frames take another way.
    if std::path::Path::new("/proc/sys/net/bridge").exists() {
        lab.host.sysctl("bridge/bridge-nf-call-iptables", "0");
        hairpin();
        lab.host.sysctl("bridge/bridge-nf-call-iptables", "1");
        hairpin();
    }
}

#[test]
fn a_port_is_published_on_its_address_only() {
    let lab = Lab::new();
    lab.load();
    assert!(lab.host.reach(LOCALHOST, 8081).is_some());
    assert_eq!(lab.lan.reach(HOST, 8081), None);
    assert_eq!(lab.host.reach(HOST, 8081), None);
    assert_eq!(lab.neighbour.reach(HOST, 8081), None);
    assert_eq!(lab.lan.reach(HOST, 8082), known(LAN));
    assert_eq!(lab.host.reach(LOCALHOST, 8082), None);
}

#[test]
fn a_limited_port_is_reached_from_its_sources_only() {
    let lab = Lab::new();
    lab.load();
    assert_eq!(lab.lan.reach(HOST, 8083), known(LAN));
    assert_eq!(lab.host.reach(LOCALHOST, 8083), None);
    assert_eq!(lab.neighbour.reach(HOST, 8083), None);
    assert_eq!(lab.lan.reach(HOST, 8084), None);
    assert_eq!(lab.lan.reach(HOST, 8085), None);
    assert!(lab.neighbour.reach(HOST, 8085).is_some());
}

#[test]
fn nobody_gets_at_a_container_past_its_published_ports() {
    let lab = Lab::new();
    lab.host.serve(7000);
    assert!(lab.lan.reach(WEB, 80).is_some(), "without the table it is open");
    assert!(lab.lan.reach([172, 30, 0, 1], 7000).is_some());
    assert!(lab.stranger.reach(WEB, 80).is_some());
    lab.load();
    assert_eq!(lab.lan.reach(WEB, 80), None);
    assert_eq!(lab.lan.reach([172, 30, 0, 1], 7000), None, "the gateway's address");
    assert_eq!(lab.lan.reach(HOST, 7000), known(LAN), "the host's own port");
    assert_eq!(lab.stranger.reach(WEB, 80), None, "another network");
    assert_eq!(lab.neighbour.reach(WEB, 80), known(NEIGHBOUR), "the same network");
    assert_eq!(lab.host.reach(WEB, 80), known([172, 30, 0, 1]));
    assert_eq!(lab.web.reach(LAN, 9000), known(HOST), "the way out is masqueraded");
    // The host's owner may open a link, or a way from one network to another.
    lab.nft("add element inet rrun trusted { lan0 }");
    assert_eq!(lab.lan.reach(WEB, 80), known(LAN));
    lab.nft("add element inet rrun allow { rrun1 . rrun0 : accept }");
    assert!(lab.stranger.reach(WEB, 80).is_some());
    lab.nft("add element inet rrun internal { rrun0 }");
    assert_eq!(lab.web.reach(LAN, 9000), None);
    assert_eq!(lab.lan.reach(WEB, 80), None);
    assert_eq!(lab.neighbour.reach(WEB, 80), known(NEIGHBOUR));
}

/// CVE-2020-8558: what `route_localnet` would open. The attacker is root in a container and sends frames
/// for 127.0.0.1 to the bridge.
#[test]
fn a_container_does_not_reach_the_hosts_loopback() {
    let lab = Lab::new();
    lab.host.serve(7000);
    for attacker in [&lab.web, &lab.lan] {
        attacker.sysctl("ipv4/conf/eth0/route_localnet", "1");
        attacker.ip("address del 127.0.0.1/8 dev lo");
    }
    lab.web.ip("route add 127.0.0.1/32 via 172.30.0.1 src 172.30.0.2");
    lab.lan.ip("route add 127.0.0.1/32 via 192.0.2.1 src 192.0.2.9");
    lab.host.sysctl("ipv4/conf/lan0/route_localnet", "1");
    assert_eq!(lab.web.reach(LOCALHOST, 7000), known(WEB), "without the table it is open");
    assert_eq!(lab.lan.reach(LOCALHOST, 7000), known(LAN));
    lab.load();
    assert_eq!(lab.web.reach(LOCALHOST, 7000), None);
    assert_eq!(lab.lan.reach(LOCALHOST, 7000), None);
    assert_eq!(lab.web.reach(LOCALHOST, 8081), None, "published on 127.0.0.1");
    assert_eq!(lab.lan.reach(LOCALHOST, 8081), None);
    // The second guard alone: somebody else's table translates behind the first.
    lab.nft("add table ip foreign");
    lab.nft("add chain ip foreign pre { type nat hook prerouting priority -150 ; }");
    lab.nft("add rule ip foreign pre tcp dport 7777 dnat to 127.0.0.1:7000");
    assert_eq!(lab.web.reach(HOST, 7777), None);
    lab.nft("flush chain inet rrun input");
    assert_eq!(lab.web.reach(HOST, 7777), known(WEB), "without the second guard it is open");
}
