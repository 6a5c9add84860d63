use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{BridgeState, CheckError, Network, PortOwner, PortState, Protocol, Undo, check};

fn desired(publish: &[&str]) -> Desired {
    Desired {
        id: "web".to_owned(),
        seed: 0xabcd_0123_4567_89ab,
        network: Network::default_bridge(),
        address: None,
        mac: None,
        publish: publish.iter().map(|spec| spec.parse().unwrap()).collect(),
    }
}

/// A host on which the network is already in place.
fn ready() -> Observed {
    let address = Some("172.30.0.1/16".parse().unwrap());
    Observed {
        bridge: Some(BridgeState { address, mtu: 1500, up: true }),
        forwarding: true,
        rules: true,
        ..Observed::default()
    }
}

fn busy(protocol: Protocol, host_ip: Option<Ipv4Addr>, port: u16, owner: PortOwner) -> PortState {
    PortState { protocol, host_ip, port, owner }
}

#[test]
fn first_use_golden() {
    let plan = plan(&desired(&["8088:80", "127.0.0.1:5353:53/udp"]), &Observed::default()).unwrap();
    assert_eq!(plan.to_string(), include_str!("first-use.golden"));
}

#[test]
fn next_use_golden() {
    let plan = plan(&desired(&["8000-8001:9000-9001,from=10.0.0.0/8"]), &ready()).unwrap();
    assert_eq!(plan.to_string(), include_str!("next-use.golden"));
}

#[test]
fn a_plan_survives_its_record() {
    let plan =
        plan(&desired(&["8088:80,from=10.0.0.0/8", "80/udp"]), &Observed::default()).unwrap();
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<NetPlan>(&text).unwrap(), plan);
}

#[test]
fn the_subnet_avoids_what_the_host_reaches() {
    let observed = Observed {
        used: ["0.0.0.0/0", "172.30.5.0/24", "172.16.0.0/12", "10.230.0.1/32"]
            .map(|used| used.parse().unwrap())
            .to_vec(),
        ..Observed::default()
    };
    let plan = plan(&desired(&[]), &observed).unwrap();
    assert_eq!(plan.veth().unwrap().gateway, Ipv4Addr::new(10, 231, 0, 1));
    let all = Observed {
        used: vec!["0.0.0.0/1".parse().unwrap(), "128.0.0.0/1".parse().unwrap()],
        ..Observed::default()
    };
    let refused = super::plan(&desired(&[]), &all);
    assert!(matches!(refused, Err(PlanError::NoSubnet { .. })), "{refused:?}");
}

#[test]
fn the_address_of_an_existing_bridge_is_the_gateway() {
    let mut observed = ready();
    observed.bridge =
        Some(BridgeState { address: Some("192.168.7.6/29".parse().unwrap()), mtu: 1400, up: true });
    let mut seen = BTreeSet::new();
    while let Ok(plan) = plan(&desired(&[]), &observed) {
        let veth = plan.veth().unwrap();
        assert_eq!((veth.gateway, veth.mtu), (Ipv4Addr::new(192, 168, 7, 6), 1400));
        check(&plan, &observed).unwrap();
        assert!(seen.insert(veth.address.ip()));
        observed.taken.insert(veth.address.ip());
    }
    // .1 is left out with the gateway's own .6: the candidates start at .2.
    assert_eq!(seen.len(), 4);
}

#[test]
fn an_address_asked_for_is_given_or_refused() {
    let with = |address: [u8; 4]| Desired { address: Some(address.into()), ..desired(&[]) };
    let plan = |address| plan(&with(address), &ready());
    assert_eq!(
        plan([172, 30, 9, 9]).unwrap().lease().unwrap().address,
        Ipv4Addr::new(172, 30, 9, 9)
    );
    for outside in [[172, 30, 0, 0], [172, 30, 0, 1], [172, 30, 255, 255], [172, 31, 0, 2]] {
        assert!(matches!(plan(outside), Err(PlanError::AddressOutside { .. })), "{outside:?}");
    }
    let mut observed = ready();
    observed.taken.insert([172, 30, 9, 9].into());
    let refused = super::plan(&with([172, 30, 9, 9]), &observed);
    assert!(matches!(refused, Err(PlanError::AddressTaken { .. })), "{refused:?}");
}

#[test]
fn taken_ports_are_named_with_their_owner() {
    let mut observed = ready();
    observed.busy = vec![
        busy(Protocol::Tcp, None, 8088, PortOwner::Container("web".to_owned())),
        busy(Protocol::Tcp, Some(Ipv4Addr::LOCALHOST), 9000, PortOwner::Socket),
    ];
    let text = |spec: &str| plan(&desired(&[spec]), &observed).unwrap_err().to_string();
    assert_eq!(text("8088:80"), "port 8088/tcp on 0.0.0.0 is already published by container web");
    assert_eq!(
        text("127.0.0.1:8080-8090:8080-8090"),
        "port 8088/tcp on 127.0.0.1 is already published by container web"
    );
    assert_eq!(text("9000:80"), "port 9000/tcp on 0.0.0.0 is in use by a socket on the host");
    plan(&desired(&["8088:80/udp", "192.0.2.1:9000:80"]), &observed).unwrap();
}

#[test]
fn a_free_choice_steps_around_everything() {
    let mut observed = ready();
    observed.busy = vec![busy(Protocol::Tcp, None, 7000, PortOwner::Socket)];
    let plan = plan(&desired(&["7000-7003:80", "7001:81", "7000-7003:82"]), &observed).unwrap();
    let hosts: Vec<u16> = plan.ports().iter().map(|mapping| mapping.host.first()).collect();
    assert_eq!(hosts, [7001, 7002, 7003]);
    let refused = super::plan(&desired(&["7000-7001:80", "7001:81"]), &observed);
    assert_eq!(refused.unwrap_err().to_string(), "no free tcp port on 0.0.0.0 among 7000-7001");
    let any = super::plan(&desired(&["80", "80", "90-99"]), &observed).unwrap();
    assert_eq!(any.ports().len(), 12);
    check(&any, &observed).unwrap();
}

#[test]
fn two_publications_of_one_container_may_not_clash() {
    let refused = plan(&desired(&["8088:80", "127.0.0.1:8088:81"]), &ready());
    assert!(matches!(refused, Err(PlanError::PortTwice { .. })), "{refused:?}");
}

#[test]
fn a_plan_that_breaks_a_rule_does_not_pass() {
    let good = plan(&desired(&["8088:80"]), &ready()).unwrap();
    check(&good, &ready()).unwrap();
    let broken = |change: &dyn Fn(&mut Veth)| {
        let mut plan = good.clone();
        for own in &mut plan.own {
            if let Own::Veth(veth) = own {
                change(veth);
            }
        }
        check(&plan, &ready())
    };
    let name = |text: &str| broken(&|veth| veth.host = text.to_owned());
    for text in ["", "sixteen-bytes-xx", "a/b", "a b", ".."] {
        assert!(matches!(name(text), Err(CheckError::LinkName(_))), "{text:?}");
    }
    let gateway = broken(&|veth| veth.gateway = veth.address.ip());
    assert!(matches!(gateway, Err(CheckError::Address { .. })));
    assert!(matches!(broken(&|veth| veth.mac = Mac([1; 6])), Err(CheckError::Mac(_))));
    let other = broken(&|veth| veth.address = "172.30.1.1/16".parse().unwrap());
    assert!(matches!(other, Err(CheckError::TwoAddresses { .. })));

    let mut backwards = good.clone();
    backwards.own.reverse();
    assert_eq!(check(&backwards, &ready()), Err(CheckError::Order));
    let mut taken = ready();
    taken.taken.insert(good.lease().unwrap().address);
    assert!(matches!(check(&good, &taken), Err(CheckError::Taken(_))));
    let mut taken = ready();
    taken.busy = vec![busy(Protocol::Tcp, None, 8088, PortOwner::Socket)];
    assert!(matches!(check(&good, &taken), Err(CheckError::Port(_))));
}

/// What a host would hold, as far as the own steps go.
#[derive(Debug, Clone, Default, PartialEq)]
struct World {
    leases: BTreeSet<Ipv4Addr>,
    names: BTreeSet<String>,
    links: BTreeMap<String, Ipv4Addr>,
    elements: BTreeMap<(Protocol, Option<Ipv4Addr>, u16), (Ipv4Addr, u16)>,
}

impl World {
    fn apply(&mut self, own: &Own) {
        match own {
            Own::Lease(lease) => assert!(self.leases.insert(lease.address)),
            Own::Name(name) => assert!(self.names.insert(name.name.clone())),
            Own::Veth(veth) => {
                assert!(self.links.insert(veth.host.clone(), veth.address.ip()).is_none());
            }
            Own::Publish(publish) => {
                for ports in &publish.ports {
                    for (host, container) in ports.pairs() {
                        let key = (ports.protocol, ports.host_ip, host);
                        let old = self.elements.insert(key, (publish.address, container));
                        assert!(old.is_none());
                    }
                }
            }
        }
    }

    fn undo(&mut self, undo: Undo<'_>) {
        match undo.0 {
            Own::Lease(lease) => drop(self.leases.remove(&lease.address)),
            Own::Name(name) => drop(self.names.remove(&name.name)),
            Own::Veth(veth) => drop(self.links.remove(&veth.host)),
            Own::Publish(publish) => {
                for ports in &publish.ports {
                    for (host, _) in ports.pairs() {
                        self.elements.remove(&(ports.protocol, ports.host_ip, host));
                    }
                }
            }
        }
    }
}

#[test]
fn any_number_of_steps_is_undone_to_the_start() {
    let mut start = World::default();
    let first = plan(&desired(&["8088:80", "9000-9009:9000-9009/udp"]), &ready()).unwrap();
    first.own.iter().for_each(|own| start.apply(own));

    let mut observed = ready();
    observed.taken = start.leases.clone();
    observed.busy = start
        .elements
        .keys()
        .map(|(protocol, host_ip, port)| {
            busy(*protocol, *host_ip, *port, PortOwner::Container("web".to_owned()))
        })
        .collect();
    let next = Desired { id: "db".to_owned(), seed: 7, ..desired(&["80", "127.0.0.1:8089:80"]) };
    let second = plan(&next, &observed).unwrap();
    check(&second, &observed).unwrap();
    for steps in 0..=second.own.len() {
        let mut world = start.clone();
        second.own.iter().take(steps).for_each(|own| world.apply(own));
        assert!(steps == 0 || world != start);
        second.undo().for_each(|undo| world.undo(undo));
        assert_eq!(world, start, "after {steps} steps");
    }
}
