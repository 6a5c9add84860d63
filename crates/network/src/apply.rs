//! Doing what a plan says.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use netplan::{Bridge, Ensure, Lease, Name, Own, Veth};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::lease::{LeaseRecord, Leases, private_folder};
use crate::observe::Host;
use crate::{Error, Init, Result, inside, link, sysctl};

/// Whose plan it is.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The container.
    pub id: &'a str,
    /// Its state folder.
    pub state_dir: &'a Path,
    /// Its init.
    pub init: Init<'a>,
    /// Its cable carries nothing before [`Host::release`]: of a container that is restored, the kernel would answer
    /// what arrives before its sockets are back, and end connections (RST).
    pub quiet: bool,
}

impl Host {
    /// Does the shared steps, one rrun at a time. Returns `false` where another rrun made the bridge
    /// meanwhile, with another subnet than planned.
    ///
    /// # Errors
    ///
    /// A step is refused.
    pub fn ensure(&mut self, network: &str, steps: &[Ensure]) -> Result<bool> {
        if steps.is_empty() {
            return Ok(true);
        }
        let _lock = self.lock(network)?;
        for step in steps {
            match step {
                Ensure::Bridge(bridge) => {
                    if !self.ensure_bridge(bridge)? {
                        return Ok(false);
                    }
                }
                Ensure::Forwarding => sysctl::set("ipv4/ip_forward", "1")?,
                Ensure::Rules(rules) => self.rules()?.ensure(rules)?,
            }
        }
        Ok(true)
    }

    /// The lock of a network, held while something that containers share is made.
    fn lock(&self, network: &str) -> Result<Flock<File>> {
        let folder = self.home.network(network);
        private_folder(&folder)?;
        let path = folder.join("lock");
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .map_err(Error::file(&path, "open"))?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| Error::file(&path, "flock")(errno))
    }

    fn ensure_bridge(&mut self, bridge: &Bridge) -> Result<bool> {
        let now = self.bridge(&bridge.name)?;
        let address = now.and_then(|now| now.address);
        if address.is_some_and(|address| address != bridge.address) {
            return Ok(false);
        }
        if now.is_none() {
            self.netlink()?.tell(&[link::create_bridge(bridge)])?;
        }
        let (name, index) = (&bridge.name, link::existing(self.netlink()?, &bridge.name)?.index);
        // An IPv4 network: without this a container could advertise itself to the host as a router.
        sysctl::set_if_there(&format!("ipv6/conf/{name}/disable_ipv6"), "1")?;
        // Ports published on 127.0.0.1 reach the container; the rules keep everybody else off it.
        sysctl::set(&format!("ipv4/conf/{name}/route_localnet"), "1")?;
        let mut requests = Vec::new();
        if address.is_none() {
            requests.push(link::add_address(name, index, bridge.address));
        }
        requests.push(link::up(name));
        self.netlink()?.tell(&requests)?;
        Ok(true)
    }

    /// Does one of the container's `own` steps.
    ///
    /// # Errors
    ///
    /// The step is refused. Some of it may have been done.
    pub fn apply(&mut self, owner: Owner<'_>, own: &[Own], step: &Own) -> Result<()> {
        match step {
            Own::Lease(lease) => self.claim(owner, own, lease),
            Own::Name(name) => self.name(owner, name),
            Own::Veth(veth) => self.plug(owner, veth),
            Own::Publish(publish) => {
                let lease = own.iter().find_map(|own| match own {
                    Own::Lease(lease) => Some(lease.network.as_str()),
                    _ => None,
                });
                self.publish(lease.unwrap_or_default(), publish)
            }
        }
    }

    fn claim(&mut self, owner: Owner<'_>, own: &[Own], lease: &Lease) -> Result<()> {
        let leases = Leases::of(&self.home, &lease.network);
        let record = LeaseRecord::new(owner.id, owner.state_dir, &owner.init, own)?;
        let address = lease.address;
        if leases.claim(address, &record)? {
            return Ok(());
        }
        self.reclaim(&leases, address)?;
        if leases.claim(address, &record)? { Ok(()) } else { Err(Error::LeaseTaken { address }) }
    }

    fn name(&self, owner: Owner<'_>, name: &Name) -> Result<()> {
        let (path, target) = name_link(&self.home.netns, name, owner.init.pid);
        fs::create_dir_all(&self.home.netns).map_err(Error::file(&self.home.netns, "mkdir"))?;
        let link = || std::os::unix::fs::symlink(&target, &path);
        match link() {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // A name that leads nowhere was left by a container that is gone.
                if fs::read_link(&path).is_ok() && !path.exists() {
                    fs::remove_file(&path).map_err(Error::file(&path, "unlink"))?;
                    return link().map_err(Error::file(&path, "symlink"));
                }
                let path = path.display();
                tracing::warn!(%path, "the name is taken; the network namespace stays without it");
                Ok(())
            }
            Err(error) => Err(Error::file(&path, "symlink")(error)),
        }
    }

    fn plug(&mut self, owner: Owner<'_>, veth: &Veth) -> Result<()> {
        let bridge = link::existing(self.netlink()?, &veth.bridge)?.index;
        let mut requests = vec![link::create_veth(veth, bridge, owner.init.netns)];
        requests.extend(link::mark_veth(veth));
        if !owner.quiet {
            requests.push(link::up(&veth.host));
        }
        self.netlink()?.tell(&requests)?;
        inside::configure(owner.init.netns, veth)
    }
}

/// Where a network namespace's name is, and where it leads. A symbolic link keeps nothing alive, unlike
/// the bind mount that `ip netns add` makes.
pub(crate) fn name_link(folder: &Path, name: &Name, pid: i32) -> (PathBuf, PathBuf) {
    (folder.join(&name.name), PathBuf::from(format!("/proc/{pid}/ns/net")))
}

/// Whether a refused step can be had by planning again.
pub(crate) fn lost_a_race(error: &Error) -> bool {
    match error {
        Error::LeaseTaken { .. } | Error::PortTaken { .. } => true,
        // The bridge was deleted by hand between the look and the step.
        Error::NoLink { .. } => true,
        other => other.errno() == Some(Errno::ENODEV),
    }
}
