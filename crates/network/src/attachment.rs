//! Wiring a container, and taking the wires away.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;
use std::path::Path;

use netplan::{Desired, Mac, NetPlan, Network, NetworkMode, PortSpec};

use crate::apply::{Owner, lost_a_race};
use crate::lease::{self, Leases};
use crate::observe::Host;
use crate::undo::Former;
use crate::{Error, Init, Names, Record, Result, link, start_time};

/// How often to plan again when others were faster. Each try costs about a millisecond.
const TRIES: u32 = 64;

/// The network that a container is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which network.
    pub mode: NetworkMode,
    /// This address and no other.
    pub address: Option<Ipv4Addr>,
    /// This hardware address.
    pub mac: Option<Mac>,
    /// Ports to publish on the host.
    pub publish: Vec<PortSpec>,
    /// The container's files about names; none where it keeps its rootfs' own.
    pub names: Option<Names>,
    /// For a mode that joins a container: the pid of its init and when that started.
    pub joined: Option<(i32, u64)>,
}

impl Request {
    /// A container in this mode, without anything special.
    #[must_use]
    pub fn new(mode: NetworkMode) -> Self {
        Self { mode, address: None, mac: None, publish: Vec::new(), names: None, joined: None }
    }

    fn desired(&self, id: &str, seed: u64) -> Result<Desired> {
        let network = Network::default_bridge();
        if let NetworkMode::Bridge(Some(name)) = &self.mode
            && *name != network.name
        {
            return Err(Error::NoSuchNetwork { name: name.clone() });
        }
        Ok(Desired {
            id: id.to_owned(),
            seed,
            network,
            address: self.address,
            mac: self.mac,
            publish: self.publish.clone(),
        })
    }
}

impl Host {
    /// Whether the network can be had, as things are now, and how: the plan that would be applied, but
    /// for the name of the cable. Changes nothing.
    ///
    /// # Errors
    ///
    /// A port or address is taken, the network does not exist, or the kernel cannot be asked.
    pub fn preflight(&mut self, id: &str, request: &Request) -> Result<NetPlan> {
        match &request.mode {
            NetworkMode::Bridge(_) => {
                let desired = request.desired(id, seed(id, Path::new(""), 0, 0))?;
                self.plan(&desired)
            }
            NetworkMode::None => Ok(NetPlan::named(id)),
            NetworkMode::Host | NetworkMode::Container(_) | NetworkMode::Namespace(_) => {
                Ok(NetPlan::default())
            }
        }
    }

    /// Wires a container whose namespaces exist. What is done is recorded in its state folder first; on
    /// an error it has been undone.
    ///
    /// # Errors
    ///
    /// As [`Host::preflight`], or a step is refused.
    pub fn attach(&mut self, owner: Owner<'_>, request: &Request) -> Result<Record> {
        match &request.mode {
            NetworkMode::Bridge(_) => self.attach_bridge(owner, request),
            NetworkMode::None => {
                let record = recorded(owner, request, None, NetPlan::named(owner.id))?;
                let own = &record.plan.own;
                own.iter().try_for_each(|step| self.apply(owner, own, step))?;
                Ok(record)
            }
            NetworkMode::Container(other) => {
                // Its namespaces are found by pid. If it lives now, it was its pid then.
                let lives = |(pid, time)| start_time(pid) == Some(time);
                if !request.joined.is_none_or(lives) {
                    return Err(Error::JoinedGone { id: other.clone() });
                }
                recorded(owner, request, None, NetPlan::default())
            }
            NetworkMode::Host | NetworkMode::Namespace(_) => {
                recorded(owner, request, None, NetPlan::default())
            }
        }
    }

    fn attach_bridge(&mut self, owner: Owner<'_>, request: &Request) -> Result<Record> {
        let Init { pid, start_time, .. } = owner.init;
        let desired =
            request.desired(owner.id, seed(owner.id, owner.state_dir, pid, start_time))?;
        for _ in 0..TRIES {
            let plan = self.plan(&desired)?;
            if !self.ensure(&desired.network.name, &plan.ensure)? {
                continue;
            }
            let record = recorded(owner, request, Some(desired.network.name.clone()), plan)?;
            let own = &record.plan.own;
            let done = own.iter().try_for_each(|step| self.apply(owner, own, step));
            let Err(error) = done else {
                if let (Some(names), Some(lease)) = (&request.names, record.plan.lease()) {
                    names.address(owner.state_dir, lease.address)?;
                }
                return Ok(record);
            };
            let former = Former { id: owner.id, state_dir: owner.state_dir, pid };
            if let Err(undo) = self.undo(former, &record.plan) {
                // The step's own error is the one to return; what remains is undone again by `detach`.
                tracing::warn!(error = %undo, id = owner.id, "undoing a network that could not be made");
            }
            if !lost_a_race(&error) {
                return Err(error);
            }
        }
        Err(Error::Contended { name: desired.network.name, tries: TRIES })
    }

    /// Lets the cable of a container carry that was attached as [`Owner::quiet`]; nothing for one without a cable.
    ///
    /// # Errors
    ///
    /// There is no such link any more, or the kernel refuses.
    pub fn release(&mut self, state_dir: &Path) -> Result<()> {
        let record = Record::load(state_dir)?;
        match record.as_ref().and_then(|record| record.plan.veth()) {
            Some(veth) => self.netlink()?.tell(&[link::up(&veth.host)]),
            None => Ok(()),
        }
    }

    /// Takes away everything that [`Host::attach`] did for a container, from its record; or, where that cannot be
    /// read, from its lease. Nothing left to do is success.
    ///
    /// # Errors
    ///
    /// Something of the container's could not be taken away.
    pub fn detach(&mut self, id: &str, state_dir: &Path) -> Result<()> {
        match Record::load(state_dir) {
            Ok(Some(record)) => {
                if !record.plan.own.is_empty() {
                    let former = Former { id, state_dir, pid: record.pid };
                    self.undo(former, &record.plan)?;
                }
            }
            // The record is written before anything is done.
            Ok(None) if state_dir.exists() => {}
            Ok(None) => self.undo_leases(id, state_dir)?,
            Err(error) => {
                tracing::warn!(%error, id, "the record of the network cannot be read; asking the leases");
                self.undo_leases(id, state_dir)?;
            }
        }
        Names::remove(state_dir)?;
        Record::remove(state_dir)
    }

    fn undo_leases(&mut self, id: &str, state_dir: &Path) -> Result<()> {
        for network in lease::networks(&self.home)? {
            for (_, lease) in Leases::of(&self.home, &network).all()? {
                if lease.is_of(id, state_dir) {
                    let plan = NetPlan { own: lease.own, ..NetPlan::default() };
                    let former = Former { id, state_dir, pid: lease.pid };
                    self.undo(former, &plan)?;
                }
            }
        }
        Ok(())
    }
}

fn recorded(
    owner: Owner<'_>,
    request: &Request,
    network: Option<String>,
    plan: NetPlan,
) -> Result<Record> {
    let mut record = Record::new(request.mode.clone(), network, plan);
    record.pid = owner.init.pid;
    record.start_time = owner.init.start_time;
    record.netns = owner.init.netns_inode()?;
    record.names = request.names.clone();
    record.save(owner.state_dir)?;
    Ok(record)
}

/// Names a cable. Another container, or the same one another time, gets another name.
fn seed(id: &str, state_dir: &Path, pid: i32, start_time: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (id, state_dir, pid, start_time).hash(&mut hasher);
    hasher.finish()
}
