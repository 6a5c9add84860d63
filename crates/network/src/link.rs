//! Links: bridges, cables, and what they are asked.

use std::os::fd::{AsRawFd, BorrowedFd};

use ipnetwork::Ipv4Network;
use netplan::{Bridge, Veth};
use nix::errno::Errno;
use rtnetlink::packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressScope};
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, BridgeStpState, In6AddrGenMode, InfoBridge, InfoData, InfoKind,
    InfoVeth, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage, Prop,
};
use rtnetlink::{
    AddressMessageBuilder, LinkBridgePort, LinkMessageBuilder, LinkUnspec, RouteMessageBuilder,
};

use crate::netlink::{Netlink, Request};
use crate::{Error, Result};

/// What is known of a link.
#[derive(Debug, Clone, Default)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) up: bool,
    pub(crate) mtu: u32,
    pub(crate) alias: String,
    pub(crate) mac: Vec<u8>,
    pub(crate) bridge: bool,
    /// Index of the link at the other end, in the other end's network namespace.
    pub(crate) peer: Option<u32>,
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let mut link = Self {
            index: message.header.index,
            up: message.header.flags.contains(LinkFlags::Up),
            ..Self::default()
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::IfAlias(alias) => link.alias = alias,
                LinkAttribute::Address(mac) => link.mac = mac,
                LinkAttribute::Link(peer) => link.peer = Some(peer),
                LinkAttribute::LinkInfo(infos) => {
                    link.bridge = infos.contains(&LinkInfo::Kind(InfoKind::Bridge));
                }
                _ => {}
            }
        }
        link
    }
}

/// The words for a link in an error.
fn object(name: &str) -> String {
    format!("link {name}")
}

fn find(name: &str) -> Request {
    let message = LinkMessageBuilder::<LinkUnspec>::new()
        .name(name)
        // Statistics are half of the answer and nobody here reads them.
        .append_extra_attribute(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]))
        .build();
    Request::new(object(name), "find", RouteNetlinkMessage::GetLink(message), 0)
        .forgive(&[Errno::ENODEV])
}

/// Looks a link up by its name.
pub(crate) fn by_name(netlink: &mut Netlink, name: &str) -> Result<Option<Link>> {
    let answer = netlink.ask(&find(name))?;
    Ok(answer.and_then(|message| match message {
        RouteNetlinkMessage::NewLink(message) => Some(message.into()),
        _ => None,
    }))
}

/// Looks a link up by its index.
pub(crate) fn by_index(netlink: &mut Netlink, index: u32) -> Result<Option<Link>> {
    let message = LinkMessageBuilder::<LinkUnspec>::new()
        .index(index)
        .append_extra_attribute(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]))
        .build();
    let message = RouteNetlinkMessage::GetLink(message);
    let request = Request::new(format!("link {index}"), "find", message, 0);
    Ok(netlink.ask(&request.forgive(&[Errno::ENODEV]))?.and_then(|message| match message {
        RouteNetlinkMessage::NewLink(message) => Some(message.into()),
        _ => None,
    }))
}

/// The links plugged into a bridge.
pub(crate) fn ports(netlink: &mut Netlink, bridge: u32) -> Result<Vec<Link>> {
    let message = LinkMessageBuilder::<LinkUnspec>::new()
        .controller(bridge)
        .append_extra_attribute(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]))
        .build();
    let request = Request::new("bridge ports", "list", RouteNetlinkMessage::GetLink(message), 0);
    let plugged =
        |message: &LinkMessage| message.attributes.contains(&LinkAttribute::Controller(bridge));
    let links = netlink.dump(&request)?.into_iter().filter_map(|message| match message {
        RouteNetlinkMessage::NewLink(message) if plugged(&message) => Some(message.into()),
        _ => None,
    });
    Ok(links.collect())
}

/// The IPv4 addresses of one link, or of all of them (`index` 0).
pub(crate) fn addresses(netlink: &mut Netlink, index: u32) -> Result<Vec<Ipv4Network>> {
    let message = AddressMessageBuilder::<std::net::Ipv4Addr>::new().index(index).build();
    let request = Request::new("addresses", "list", RouteNetlinkMessage::GetAddress(message), 0);
    let mut found = Vec::new();
    for message in netlink.dump(&request)? {
        let RouteNetlinkMessage::NewAddress(message) = message else { continue };
        if index != 0 && message.header.index != index {
            continue;
        }
        for attribute in &message.attributes {
            if let AddressAttribute::Local(std::net::IpAddr::V4(address)) = attribute {
                found.extend(Ipv4Network::new(*address, message.header.prefix_len));
            }
        }
    }
    Ok(found)
}

/// Makes a bridge. STP is off and forwards at once: nothing but cables with one end is ever plugged in,
/// and its default would hold every new container's packets back for 30 s.
pub(crate) fn create_bridge(bridge: &Bridge) -> Request {
    let infos = vec![InfoBridge::StpState(BridgeStpState::Disabled), InfoBridge::ForwardDelay(0)];
    let message = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Bridge)
        .name(bridge.name.as_str())
        .mtu(bridge.mtu)
        .address(bridge.mac.octets().to_vec())
        .set_info_data(InfoData::Bridge(infos))
        .build();
    let message = RouteNetlinkMessage::NewLink(message);
    Request::new(object(&bridge.name), "create bridge", message, NLM_F_CREATE | NLM_F_EXCL)
        .forgive(&[Errno::EEXIST])
}

/// Sets a link up.
pub(crate) fn up(name: &str) -> Request {
    let message = LinkMessageBuilder::<LinkUnspec>::new().name(name).up().build();
    Request::new(object(name), "set up", RouteNetlinkMessage::NewLink(message), 0)
}

/// Gives a link an address.
pub(crate) fn add_address(name: &str, index: u32, address: Ipv4Network) -> Request {
    let mut message = AddressMessageBuilder::<std::net::Ipv4Addr>::new()
        .index(index)
        .address(address.ip(), address.prefix())
        .build();
    message.header.scope = AddressScope::Universe;
    let message = RouteNetlinkMessage::NewAddress(message);
    Request::new(
        format!("link {name}: address {address}"),
        "add",
        message,
        NLM_F_CREATE | NLM_F_EXCL,
    )
}

/// Sets the default route.
pub(crate) fn add_default_route(gateway: std::net::Ipv4Addr, index: u32) -> Request {
    let message = RouteMessageBuilder::<std::net::Ipv4Addr>::new()
        .gateway(gateway)
        .output_interface(index)
        .build();
    let message = RouteNetlinkMessage::NewRoute(message);
    Request::new(format!("default route via {gateway}"), "add", message, NLM_F_CREATE | NLM_F_EXCL)
}

/// Makes a cable: the host's end is plugged in, the other end is born in the container's network
/// namespace under its final name. The peer cannot be created up (veth_newlink: ENOTCONN).
pub(crate) fn create_veth(veth: &Veth, bridge: u32, netns: BorrowedFd<'_>) -> Request {
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(veth.peer.as_str())
        .mtu(veth.mtu)
        .address(veth.mac.octets().to_vec())
        .setns_by_fd(netns.as_raw_fd())
        .build();
    let message = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Veth)
        .name(veth.host.as_str())
        .mtu(veth.mtu)
        .address(veth.host_mac.octets().to_vec())
        .controller(bridge)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
    let message = RouteNetlinkMessage::NewLink(message);
    Request::new(object(&veth.host), "create veth", message, NLM_F_CREATE | NLM_F_EXCL)
}

/// What can only be said about a link that exists: whose it is, and that it wants no IPv6 of its own.
/// Hundreds of host ends with link-local addresses would flood each other with neighbour discovery.
pub(crate) fn mark_veth(veth: &Veth) -> Vec<Request> {
    let set = |action, attribute| {
        let message = LinkMessageBuilder::<LinkUnspec>::new()
            .name(veth.host.as_str())
            .append_extra_attribute(attribute)
            .build();
        Request::new(object(&veth.host), action, RouteNetlinkMessage::NewLink(message), 0)
    };
    let no_ipv6 = vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)])];
    let mut requests = vec![
        set("set alias", LinkAttribute::IfAlias(veth.alias.clone())),
        set("set addrgenmode", LinkAttribute::AfSpecUnspec(no_ipv6))
            // A kernel without IPv6, or with it disabled.
            .forgive(&[Errno::EAFNOSUPPORT, Errno::EOPNOTSUPP]),
    ];
    // Under br_netfilter (net.bridge.bridge-nf-call-iptables, which Docker and Kubernetes need) what a
    // container sends to its own published port is translated within the bridge and leaves by the port it
    // came from.
    let hairpin = LinkBridgePort::new(0).name(&veth.host).hairpin(true);
    let message = RouteNetlinkMessage::NewLink(hairpin.build());
    requests.push(Request::new(object(&veth.host), "set hairpin mode", message, 0));
    if let Some(altname) = &veth.altname {
        let props = LinkAttribute::PropList(vec![Prop::AltIfName(altname.clone())]);
        let message = LinkMessageBuilder::<LinkUnspec>::new()
            .name(veth.host.as_str())
            .append_extra_attribute(props)
            .build();
        let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND;
        let message = RouteNetlinkMessage::NewLinkProp(message);
        requests.push(
            Request::new(object(&veth.host), "add altname", message, flags)
                // A convenience: another rrun root may have a container of this name, and Linux before
                // 5.5 has no such names.
                .forgive(&[Errno::EEXIST, Errno::EOPNOTSUPP, Errno::EINVAL]),
        );
    }
    requests
}

/// Deletes a link.
pub(crate) fn delete(link: &Link) -> Request {
    let message = LinkMessageBuilder::<LinkUnspec>::new().index(link.index).build();
    Request::new(object(&link.name), "delete", RouteNetlinkMessage::DelLink(message), 0)
        .forgive(&[Errno::ENODEV])
}

/// Looks up a link that must be there.
pub(crate) fn existing(netlink: &mut Netlink, name: &str) -> Result<Link> {
    by_name(netlink, name)?.ok_or_else(|| Error::NoLink { name: name.to_owned() })
}
