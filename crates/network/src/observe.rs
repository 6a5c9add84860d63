//! Looking at the host, without changing it.

use std::net::Ipv4Addr;

use netplan::{
    BridgeState, Desired, NetPlan, Observed, PortOwner, PortState, Protocol, candidates, check,
    plan, resolve_ports,
};
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute};

use crate::lease::{LeaseRecord, Leases};
use crate::netlink::{Netlink, Request};
use crate::probe::socket_in_the_way;
use crate::rules::Rules;
use crate::{Error, Home, Result, link, sysctl};

/// The host: its files and open conversations with its kernel.
///
/// One value should live as long as there is something to do for a container: closing a conversation with
/// nf_tables can wait for what others deleted a moment ago, which [`Host::detach`] leaves to a child.
#[derive(Debug)]
pub struct Host {
    pub(crate) home: Home,
    pub(crate) netlink: Option<Netlink>,
    pub(crate) rules: Option<Rules>,
}

impl Host {
    /// The host of the network namespace of the thread that uses it first. Nothing is opened before.
    #[must_use]
    pub fn new(home: &Home) -> Self {
        Self { home: home.clone(), netlink: None, rules: None }
    }

    pub(crate) fn netlink(&mut self) -> Result<&mut Netlink> {
        match &mut self.netlink {
            Some(netlink) => Ok(netlink),
            none => Ok(none.insert(Netlink::open()?)),
        }
    }

    pub(crate) fn rules(&mut self) -> Result<&mut Rules> {
        match &mut self.rules {
            Some(rules) => Ok(rules),
            none => Ok(none.insert(Rules::open()?)),
        }
    }

    /// Looks at what a plan for `desired` depends on. What it costs does not grow with the number of
    /// containers: no list of links, leases or rules is read.
    ///
    /// # Errors
    ///
    /// The kernel or a file of rrun's cannot be asked.
    pub fn observe(&mut self, desired: &Desired) -> Result<Observed> {
        let network = &desired.network;
        let bridge = self.bridge(&network.bridge)?;
        let mut observed = Observed {
            bridge,
            forwarding: sysctl::is("ipv4/ip_forward", "1"),
            ..Observed::default()
        };
        match bridge.and_then(|bridge| bridge.address) {
            Some(address) => {
                let bridge = network.bridge.clone();
                observed.rules =
                    self.rules()?.knows(&netplan::Rules { bridge, subnet: address })?;
            }
            None => {
                observed.used = self.used()?;
                observed.uplink_mtu = self.uplink_mtu()?;
            }
        }
        self.taken(desired, &mut observed)?;
        observed.busy = self.busy(desired)?;
        Ok(observed)
    }

    /// Looks, decides, and looks at the decision again.
    ///
    /// # Errors
    ///
    /// The host cannot be asked, or does not have what is desired.
    pub fn plan(&mut self, desired: &Desired) -> Result<NetPlan> {
        let observed = self.observe(desired)?;
        let plan = plan(desired, &observed)?;
        check(&plan, &observed)?;
        Ok(plan)
    }

    pub(crate) fn bridge(&mut self, name: &str) -> Result<Option<BridgeState>> {
        let Some(link) = link::by_name(self.netlink()?, name)? else { return Ok(None) };
        if !link.bridge {
            return Err(Error::NotABridge { name: name.to_owned() });
        }
        let address = link::addresses(self.netlink()?, link.index)?.first().copied();
        Ok(Some(BridgeState { address, mtu: link.mtu, up: link.up }))
    }

    /// What the host reaches already. Read once in the life of a network: when its bridge is made.
    fn used(&mut self) -> Result<Vec<ipnetwork::Ipv4Network>> {
        let mut used = link::addresses(self.netlink()?, 0)?;
        for (destination, _) in self.routes()? {
            used.push(destination);
        }
        Ok(used)
    }

    fn uplink_mtu(&mut self) -> Result<Option<u32>> {
        let uplink = self.routes()?.into_iter().find(|(to, _)| to.prefix() == 0);
        let Some((_, Some(index))) = uplink else { return Ok(None) };
        Ok(link::by_index(self.netlink()?, index)?.map(|link| link.mtu))
    }

    /// Every IPv4 route with the index of its link.
    fn routes(&mut self) -> Result<Vec<(ipnetwork::Ipv4Network, Option<u32>)>> {
        let mut message = RouteMessageBuilder::<Ipv4Addr>::new().build();
        // All tables, and no other condition.
        message.header = rtnetlink::packet_route::route::RouteHeader::default();
        message.header.address_family = rtnetlink::packet_route::AddressFamily::Inet;
        let request = Request::new("routes", "list", RouteNetlinkMessage::GetRoute(message), 0);
        let mut routes = Vec::new();
        for answer in self.netlink()?.dump(&request)? {
            let RouteNetlinkMessage::NewRoute(route) = answer else { continue };
            let (mut to, mut out) = (Ipv4Addr::UNSPECIFIED, None);
            for attribute in &route.attributes {
                match attribute {
                    RouteAttribute::Destination(RouteAddress::Inet(address)) => to = *address,
                    RouteAttribute::Oif(index) => out = Some(*index),
                    _ => {}
                }
            }
            let prefix = route.header.destination_prefix_length;
            routes.extend(ipnetwork::Ipv4Network::new(to, prefix).map(|to| (to, out)));
        }
        Ok(routes)
    }

    /// Asks about addresses in the planner's order, until one is free.
    fn taken(&mut self, desired: &Desired, observed: &mut Observed) -> Result<()> {
        // Without a bridge there is no subnet yet, and nobody with an address in it.
        let Some(subnet) = observed.bridge.and_then(|bridge| bridge.address) else {
            return Ok(());
        };
        let leases = Leases::of(&self.home, &desired.network.name);
        let mut wanted: Box<dyn Iterator<Item = Ipv4Addr>> = match desired.address {
            Some(address) => Box::new(std::iter::once(address)),
            None => Box::new(candidates(subnet, &desired.id)),
        };
        while let Some(address) = wanted.next()
            && leases.exists(address)
        {
            let live = match leases.read(address)? {
                Some(record) => self.lives(&record)?,
                // Not a lease, and claiming will find out whether it can be removed.
                None => false,
            };
            if !live {
                break;
            }
            observed.taken.insert(address);
        }
        Ok(())
    }

    /// Whether a lease is in use: its init lives, or somebody else keeps its network namespace, and so
    /// the cable, alive.
    pub(crate) fn lives(&mut self, record: &LeaseRecord) -> Result<bool> {
        if record.init_lives() {
            return Ok(true);
        }
        let plan = NetPlan { own: record.own.clone(), ..NetPlan::default() };
        let Some(veth) = plan.veth() else { return Ok(false) };
        let link = link::by_name(self.netlink()?, &veth.host)?;
        Ok(link.is_some_and(|link| link.alias == veth.alias))
    }

    /// Asks about host ports in the planner's order.
    fn busy(&mut self, desired: &Desired) -> Result<Vec<PortState>> {
        let (mut busy, mut failure) = (Vec::new(), None);
        let answer = resolve_ports(&desired.publish, &desired.id, |protocol, host_ip, port| {
            match self.in_the_way(desired, protocol, host_ip, port) {
                Ok(owner) => {
                    busy.extend(owner.clone().map(|owner| PortState {
                        protocol,
                        host_ip,
                        port,
                        owner,
                    }));
                    owner
                }
                Err(error) => {
                    failure.get_or_insert(error);
                    // Stops the search; the answer is not used.
                    Some(PortOwner::Socket)
                }
            }
        });
        // The planner comes to the same conclusion, from the same answers, with the right words.
        drop(answer);
        failure.map_or(Ok(busy), Err)
    }

    fn in_the_way(
        &mut self,
        desired: &Desired,
        protocol: Protocol,
        host_ip: Option<Ipv4Addr>,
        port: u16,
    ) -> Result<Option<PortOwner>> {
        for publisher in self.rules()?.publishers(protocol, host_ip, port)? {
            let lease = Leases::of(&self.home, &desired.network.name).read(publisher.address)?;
            let lives = match &lease {
                Some(record) => self.lives(record)?,
                None => false,
            };
            if publisher.id.is_empty() {
                return Ok(Some(PortOwner::Stranger));
            }
            if lives {
                return Ok(Some(PortOwner::Container(publisher.id)));
            }
        }
        socket_in_the_way(protocol, host_ip, port)
    }
}
