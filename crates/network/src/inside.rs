//! The container's side of the cable.

use std::os::fd::BorrowedFd;
use std::thread;

use netplan::Veth;
use nix::sched::{CloneFlags, setns};

use crate::netlink::Netlink;
use crate::{Error, Result, link, sysctl};

/// Enough for a netlink conversation; the default of 2 MiB would count against the caller's memory limit.
const STACK: usize = 256 * 1024;

/// Runs `work` on a thread that enters `netns` and ends there. It never goes back, so there is no way out
/// on which a thread of the caller is left in a foreign namespace.
pub(crate) fn within<T: Send>(
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    let enter = || {
        setns(netns, CloneFlags::CLONE_NEWNET)
            .map_err(|errno| Error::Process { call: "setns to a netns", source: errno.into() })?;
        work()
    };
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("rrun-netns".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, enter)
            .map_err(|source| Error::Process { call: "clone of a thread", source })?;
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Configures the container's end: `lo` and `eth0` up, address, default route.
pub(crate) fn configure(netns: BorrowedFd<'_>, veth: &Veth) -> Result<()> {
    within(netns, || {
        let mut netlink = Netlink::open()?;
        // The network is IPv4 only. Without this, eth0 would take an address and a router from any
        // neighbour that advertises one.
        sysctl::set_if_there(&format!("ipv6/conf/{}/disable_ipv6", veth.peer), "1")?;
        let index = link::existing(&mut netlink, &veth.peer)?.index;
        netlink.tell(&[
            link::up("lo"),
            link::up(&veth.peer),
            link::add_address(&veth.peer, index, veth.address),
            link::add_default_route(veth.gateway, index),
        ])
    })
}
