//! What the network asks of nf_tables, in this crate's words.

use std::os::fd::{AsFd, BorrowedFd};

use netplan::{PortMapping, Protocol, Publish};
use nft::{Batch, Errno, Nft};

use crate::observe::Host;
use crate::ruleset::{self, Publisher};
use crate::{Error, Leases, Result};

/// A conversation with nf_tables about the table of rrun's.
#[derive(Debug)]
pub(crate) struct Rules {
    nft: Nft,
}

impl Rules {
    pub(crate) fn open() -> Result<Self> {
        Ok(Self { nft: Nft::open()? })
    }

    /// Whether the table is there and has this network.
    pub(crate) fn knows(&mut self, network: &netplan::Rules) -> Result<bool> {
        Ok(ruleset::knows(&mut self.nft, network)?)
    }

    /// Loads the table unless it is there, and adds the network unless it has it.
    pub(crate) fn ensure(&mut self, network: &netplan::Rules) -> Result<()> {
        ruleset::ensure(&mut self.nft)?;
        let mut batch = Batch::new();
        ruleset::add_network(&mut batch, network)?;
        Ok(self.nft.commit(&batch)?)
    }

    /// Who has a port that a packet to this address, or to any of them, could be meant for.
    pub(crate) fn publishers(
        &mut self,
        protocol: Protocol,
        host_ip: Option<std::net::Ipv4Addr>,
        port: u16,
    ) -> Result<Vec<Publisher>> {
        Ok(ruleset::publishers(&mut self.nft, protocol, host_ip, port)?)
    }

    /// Publishes all ports or none.
    fn publish(&mut self, publish: &Publish) -> Result<()> {
        let mut batch = Batch::new();
        ruleset::publish(&mut batch, publish);
        match self.nft.commit(&batch) {
            Err(error) if error.errno() == Some(Errno::EEXIST) => {
                Err(self.rival(publish)?.unwrap_or(Error::Nft(error)))
            }
            other => Ok(other?),
        }
    }

    /// The first of the ports that somebody else has.
    fn rival(&mut self, publish: &Publish) -> Result<Option<Error>> {
        for ports in &publish.ports {
            let (protocol, host_ip) = (ports.protocol, ports.host_ip);
            for port in ports.host.iter() {
                let all = self.publishers(protocol, host_ip, port)?;
                if all.iter().any(|it| it.address != publish.address) {
                    return Ok(Some(Error::PortTaken { port, protocol, host_ip }));
                }
            }
        }
        Ok(None)
    }

    /// Takes a container's ports back, and nobody else's.
    pub(crate) fn unpublish(&mut self, publish: &Publish) -> Result<()> {
        let mut batch = Batch::new();
        ruleset::unpublish(&mut self.nft, &mut batch, publish)?;
        Ok(self.nft.commit_deletions(&mut batch)?)
    }
}

impl AsFd for Rules {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.nft.as_fd()
    }
}

impl Host {
    /// Publishes ports. Where a container that is gone still has one, that is cleared up first.
    pub(crate) fn publish(&mut self, network: &str, publish: &Publish) -> Result<()> {
        match self.rules()?.publish(publish) {
            Err(Error::PortTaken { .. }) => {
                self.evict(network, publish)?;
                self.rules()?.publish(publish)?;
            }
            other => other?,
        }
        // The kernel refuses a second owner of the same key, but a port of one address and the same port
        // of all of them are different keys. Both owners look for each other once they have published, so
        // at least the later one sees it.
        match self.rules()?.rival(publish)? {
            Some(rival) => Err(rival),
            None => Ok(()),
        }
    }

    /// Clears up behind containers that are gone and have one of these ports.
    fn evict(&mut self, network: &str, publish: &Publish) -> Result<()> {
        let leases = Leases::of(&self.home, network);
        for ports in &publish.ports {
            for port in ports.host.iter() {
                for it in self.rules()?.publishers(ports.protocol, ports.host_ip, port)? {
                    if it.address == publish.address {
                        continue;
                    }
                    self.reclaim(&leases, it.address)?;
                    if !leases.exists(it.address) {
                        self.unpublish_orphan(ports, port, &it)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes back a port that leads to an address which nobody has.
    fn unpublish_orphan(&mut self, like: &PortMapping, port: u16, it: &Publisher) -> Result<()> {
        let single = netplan::PortRange::single;
        let (Some(host), Some(container)) = (single(port), single(it.port)) else {
            return Ok(());
        };
        let any = PortMapping { host_ip: None, host, container, from: Vec::new(), ..like.clone() };
        let one = PortMapping { host_ip: like.host_ip, ..any.clone() };
        self.rules()?.unpublish(&Publish {
            id: it.id.clone(),
            address: it.address,
            bridge: String::new(),
            ports: vec![any, one],
        })
    }
}
