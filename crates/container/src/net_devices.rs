//! `linux.netDevices`: devices of the host that move into the container's network namespace.
//!
//! They stay there when the container ends: what becomes of them is the business of the namespace's owner
//! (runtime-spec, config-linux.md, "Network Devices").

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use nix::sched::CloneFlags;

use crate::error::{CallContext, Error, Result};
use crate::namespaces::Namespaces;
use crate::rtnetlink::RouteSocket;
use crate::spec::{Linux, Spec};

/// `IFNAMSIZ` of linux/if.h, less the NUL.
const NAME_MAX: usize = 15;

/// At the end of a new name: a number that makes it unique.
const TEMPLATE: &str = "%d";

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Device<'a> {
    /// Its name on the host.
    name: &'a str,
    /// Its name in the container, or a template of it.
    inside: &'a str,
}

/// The entries, ordered by name.
fn devices(linux: Option<&Linux>) -> Vec<Device<'_>> {
    let entries = linux.and_then(|linux| linux.net_devices().as_ref());
    let mut devices: Vec<_> = entries
        .into_iter()
        .flatten()
        .map(|(name, device)| {
            let inside = device.name().as_deref().filter(|inside| !inside.is_empty());
            Device { name, inside: inside.unwrap_or(name) }
        })
        .collect();
    devices.sort_by_key(|device| device.name);
    devices
}

/// Checks what can be known without the host's devices, in runc's words.
pub(crate) fn validate(linux: &Linux, namespaces: &Namespaces, is_root: bool) -> Result<()> {
    let devices = devices(Some(linux));
    if devices.is_empty() {
        return Ok(());
    }
    let refuse = |problem: &str| Err(Error::config("linux.netDevices", problem));
    if !namespaces.has(CloneFlags::CLONE_NEWNET) {
        return refuse("unable to move network devices without a NET namespace");
    }
    if !is_root {
        return refuse("network devices are not supported for rootless containers");
    }
    let mut inside = BTreeSet::new();
    for device in devices {
        let without_number = device.inside.strip_suffix(TEMPLATE);
        for name in [device.name, without_number.unwrap_or(device.inside)] {
            if !is_name(name) || name.contains('%') {
                return refuse(&format!("invalid network device name {name:?}"));
            }
        }
        if without_number.is_none() && !inside.insert(device.inside) {
            return refuse(&format!("two network devices with the new name {:?}", device.inside));
        }
    }
    Ok(())
}

/// `dev_valid_name()` of the kernel's net/core/dev.c.
fn is_name(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.contains(|c: char| c == '/' || c == ':' || c == '\0' || c.is_ascii_whitespace())
}

/// A device as it was found on the host, with the name that it will have.
struct Move<'a> {
    name: &'a str,
    inside: String,
    index: u32,
    addresses: Vec<AddressMessage>,
}

/// Moves the devices of `spec` from the caller's network namespace to `netns`, with their addresses and all
/// else, and sets them up. Nothing is moved if one of them is not there or its new name is taken.
pub(crate) fn move_all(spec: &Spec, netns: BorrowedFd<'_>) -> Result<()> {
    let devices = devices(spec.linux().as_ref());
    if devices.is_empty() {
        return Ok(());
    }
    let mut host = RouteSocket::open().call(|| "open a route socket".to_owned())?;
    let mut container = RouteSocket::open_in(netns)
        .call(|| "open a route socket in the container's network namespace".to_owned())?;
    for device in plan(&devices, &mut host, &mut container)? {
        device.enter(&mut host, netns)?;
        device.wake(&mut container)?;
    }
    Ok(())
}

/// The kernel sees too late that a name is taken: the device has moved by then. So that is looked at first.
fn plan<'a>(
    devices: &[Device<'a>],
    host: &mut RouteSocket,
    container: &mut RouteSocket,
) -> Result<Vec<Move<'a>>> {
    let addresses = addresses(host).call(|| "list addresses".to_owned())?;
    let mut taken = names(container).call(|| "list network devices of the container".to_owned())?;
    let mut moves = Vec::with_capacity(devices.len());
    for Device { name, inside } in devices {
        let index = index_of(host, name).call(|| format!("find network device {name}"))?;
        let inside = free_name(inside, &taken);
        if !taken.insert(inside.clone()) {
            let problem =
                format!("network device {inside:?} already exists in the container's namespace");
            return Err(Error::config("linux.netDevices", problem));
        }
        let of_device = |address: &&AddressMessage| address.header.index == index;
        let addresses = addresses.iter().filter(of_device).map(copied).collect();
        moves.push(Move { name, inside, index, addresses });
    }
    Ok(moves)
}

impl Move<'_> {
    /// Moves and renames the device in one step, so that its old name may be taken in the container. The
    /// kernel takes down what is up.
    fn enter(&self, host: &mut RouteSocket, netns: BorrowedFd<'_>) -> Result<()> {
        let name = LinkAttribute::IfName(self.inside.clone());
        let attributes = vec![name, LinkAttribute::NetNsFd(netns.as_raw_fd())];
        host.change(RouteNetlinkMessage::SetLink(link(self.index, attributes)), 0).call(|| {
            format!("move network device {} into the container as {}", self.name, self.inside)
        })
    }

    /// Gives the device its addresses again, which the kernel takes from a device that moves, and sets it up.
    fn wake(&self, container: &mut RouteSocket) -> Result<()> {
        let name = &self.inside;
        // A new one, if the old one is taken there.
        let index = index_of(container, name)
            .call(|| format!("find network device {name} in the container"))?;
        for address in &self.addresses {
            let mut address = address.clone();
            address.header.index = index;
            let text = format!("{:?}/{}", address.attributes, address.header.prefix_len);
            container
                .change(RouteNetlinkMessage::NewAddress(address), NLM_F_CREATE | NLM_F_EXCL)
                .call(|| format!("network device {name} in the container: add address {text}"))?;
        }
        let mut up = link(index, Vec::new());
        up.header.flags = LinkFlags::Up;
        up.header.change_mask = LinkFlags::Up;
        container
            .change(RouteNetlinkMessage::SetLink(up), 0)
            .call(|| format!("set network device {name} in the container up"))
    }
}

fn link(index: u32, attributes: Vec<LinkAttribute>) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.attributes = attributes;
    link
}

/// The name that `wanted` is, or is a template of: like the kernel's, with the lowest number that is free.
fn free_name(wanted: &str, taken: &BTreeSet<String>) -> String {
    match wanted.strip_suffix(TEMPLATE) {
        None => wanted.to_owned(),
        Some(stem) => (0u32..)
            .map(|number| format!("{stem}{number}"))
            .find(|name| !taken.contains(name))
            .unwrap_or_default(),
    }
}

fn index_of(socket: &mut RouteSocket, name: &str) -> io::Result<u32> {
    let request = link(0, vec![LinkAttribute::IfName(name.to_owned())]);
    match socket.get(RouteNetlinkMessage::GetLink(request))? {
        RouteNetlinkMessage::NewLink(link) => Ok(link.header.index),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The names of all devices.
fn names(socket: &mut RouteSocket) -> io::Result<BTreeSet<String>> {
    let links = socket.dump(&RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
    let name = |attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    };
    Ok(links
        .into_iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewLink(link) => link.attributes.into_iter().find_map(name),
            _ => None,
        })
        .collect())
}

/// The addresses that move with a device: what somebody configured for the world, not what was learned on
/// the host's network or is meant for the host.
fn addresses(socket: &mut RouteSocket) -> io::Result<Vec<AddressMessage>> {
    let addresses = socket.dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    Ok(addresses
        .into_iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewAddress(address) => Some(address),
            _ => None,
        })
        .filter(|address| {
            address.header.flags.contains(AddressHeaderFlags::Permanent)
                && address.header.scope == AddressScope::Universe
        })
        .collect())
}

/// An address to be set as it was: without its label, which has the old name in it, and what the kernel
/// counts for it.
fn copied(address: &AddressMessage) -> AddressMessage {
    let mut copy = address.clone();
    copy.header.flags = AddressHeaderFlags::empty();
    copy.attributes.retain(|attribute| {
        matches!(
            attribute,
            AddressAttribute::Address(_)
                | AddressAttribute::Local(_)
                | AddressAttribute::Broadcast(_)
        )
    });
    copy
}

#[cfg(test)]
mod tests;
