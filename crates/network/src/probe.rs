//! What is in the way of publishing a port on the host.

use std::net::Ipv4Addr;
use std::path::Path;

use netplan::{PortOwner, Protocol};
use nix::errno::Errno;
use nix::sys::socket::sockopt::ReuseAddr;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, bind, setsockopt, socket,
};

use crate::{Error, Result};

/// Asks the kernel whether a socket of the host is in the way, by binding one for a moment.
///
/// It is the exact question, in a few microseconds whatever the host runs; a dump of all sockets
/// (sock_diag(7)) would have to repeat the kernel's rules for wildcards, IPv6 sockets that take IPv4, and
/// SO_REUSEADDR. With that option a TCP port only conflicts with listeners and not with connections that
/// linger in TIME_WAIT, as for every server that restarts.
pub(crate) fn socket_in_the_way(
    protocol: Protocol,
    host_ip: Option<Ipv4Addr>,
    port: u16,
) -> Result<Option<PortOwner>> {
    let (kind, number) = match protocol {
        Protocol::Tcp => (SockType::Stream, None),
        Protocol::Udp => (SockType::Datagram, None),
        // The kernel would load the module for the question; without it there are no such sockets.
        Protocol::Sctp if !Path::new("/proc/net/sctp").exists() => return Ok(None),
        Protocol::Sctp => (SockType::Stream, Some(SockProtocol::Sctp)),
    };
    let fail = |call| move |errno: Errno| Error::Process { call, source: errno.into() };
    let probe = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, number)
        .map_err(fail("socket to probe a port"))?;
    if protocol == Protocol::Tcp {
        setsockopt(&probe, ReuseAddr, &true).map_err(fail("setsockopt SO_REUSEADDR"))?;
    }
    let [a, b, c, d] = host_ip.unwrap_or(Ipv4Addr::UNSPECIFIED).octets();
    use std::os::fd::AsRawFd;
    match bind(probe.as_raw_fd(), &SockaddrIn::new(a, b, c, d, port)) {
        Ok(()) => Ok(None),
        Err(Errno::EADDRINUSE) => Ok(Some(PortOwner::Socket)),
        Err(Errno::EADDRNOTAVAIL) => Ok(Some(PortOwner::NoAddress)),
        Err(errno) => Err(fail("bind to probe a port")(errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn listeners_are_in_the_way_of_their_port_and_of_the_wildcard() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ask = |ip| socket_in_the_way(Protocol::Tcp, ip, port).unwrap();
        assert_eq!(ask(Some(Ipv4Addr::LOCALHOST)), Some(PortOwner::Socket));
        assert_eq!(ask(None), Some(PortOwner::Socket));
        assert_eq!(ask(Some(Ipv4Addr::new(127, 0, 0, 2))), None);
        drop(listener);
        assert_eq!(ask(None), None);
    }

    #[test]
    fn the_protocols_are_apart_and_ipv6_wildcards_count() {
        let both = UdpSocket::bind("[::]:0").unwrap();
        let port = both.local_addr().unwrap().port();
        let ask = |protocol| socket_in_the_way(protocol, None, port).unwrap();
        assert_eq!(ask(Protocol::Udp), Some(PortOwner::Socket));
        assert_eq!(ask(Protocol::Tcp), None);
    }

    #[test]
    fn a_foreign_address_is_no_address_of_the_host() {
        let owner = socket_in_the_way(Protocol::Tcp, Some(Ipv4Addr::new(198, 51, 100, 9)), 8088);
        assert_eq!(owner.unwrap(), Some(PortOwner::NoAddress));
    }
}
