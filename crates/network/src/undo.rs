//! Undoing what a plan says was, or may have been, done.

use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

use netplan::{NetPlan, Own, Undo, Veth};

use crate::apply::name_link;
use crate::lease::{HeldLease, Leases, absent_is_fine};
use crate::link::Link;
use crate::observe::Host;
use crate::{Error, Result, link, sys};

/// How often a link that is being deleted is looked for, and how long to wait between: 100 ms in all.
const LOOKS: u32 = 500;
const PAUSE: Duration = Duration::from_micros(200);

/// Whose steps are undone.
#[derive(Debug, Clone, Copy)]
pub struct Former<'a> {
    /// The container.
    pub id: &'a str,
    /// Its state folder.
    pub state_dir: &'a Path,
    /// The init process, which need not exist any more.
    pub pid: i32,
}

impl Host {
    /// Undoes a plan, in its order, however much of it was done. Whoever else has the address or a port
    /// by now keeps it.
    ///
    /// # Errors
    ///
    /// The first step that could not be undone. The others have been; the lease is kept.
    pub fn undo(&mut self, former: Former<'_>, plan: &NetPlan) -> Result<()> {
        let lease = match plan.lease() {
            Some(lease) => Leases::of(&self.home, &lease.network).hold(lease.address)?,
            None => None,
        };
        let foreign =
            lease.as_ref().is_some_and(|lease| !lease.record.is_of(former.id, former.state_dir));
        self.undo_under(former, plan, if foreign { None } else { lease }, foreign)
    }

    /// Clears up behind a lease that is not in use any more, if that is still so.
    pub(crate) fn reclaim(&mut self, leases: &Leases, address: Ipv4Addr) -> Result<()> {
        let Some(lease) = leases.hold(address)? else { return Ok(()) };
        if self.lives(&lease.record)? {
            return Ok(());
        }
        let record = lease.record.clone();
        tracing::info!(id = record.id, %address, "reclaiming the address of a container that is gone");
        let former = Former { id: &record.id, state_dir: &record.state_dir, pid: record.pid };
        let plan = NetPlan { own: record.own.clone(), ..NetPlan::default() };
        self.undo_under(former, &plan, Some(lease), false)
    }

    fn undo_under(
        &mut self,
        former: Former<'_>,
        plan: &NetPlan,
        lease: Option<HeldLease>,
        foreign: bool,
    ) -> Result<()> {
        let mut leaving = None;
        let mut failure = None;
        for Undo(step) in plan.undo() {
            let undone = match step {
                // Elements that lead to an address belong to whoever has the address.
                Own::Publish(_) if foreign => Ok(()),
                Own::Publish(publish) => self.rules()?.unpublish(publish),
                Own::Veth(veth) => {
                    let published = !foreign && !plan.ports().is_empty();
                    self.unplug(veth, published).map(|link| leaving = link)
                }
                Own::Name(name) => {
                    let (path, target) = name_link(&self.home.netns, name, former.pid);
                    match fs::read_link(&path) {
                        Ok(now) if now == target => absent_is_fine(fs::remove_file(&path))
                            .map_err(Error::file(&path, "unlink")),
                        _ => Ok(()),
                    }
                }
                Own::Lease(_) => Ok(()),
            };
            failure = failure.or(undone.err());
        }
        if let Some(link) = leaving {
            failure = failure.or(self.await_gone(&link).err());
        }
        // The address is free when nothing leads to it any more, and not before.
        match (failure, lease) {
            (Some(failure), _) => Err(failure),
            (None, Some(lease)) => lease.release(),
            (None, None) => Ok(()),
        }
    }

    /// Starts deleting a cable, if it is there and ours.
    ///
    /// The kernel deletes it anyway when the last process of the network namespace is gone; but that may
    /// be never (another container may have joined the namespace), and takes its time behind the clearing
    /// of other namespaces (measured: 1 to 35 ms). Deleting it is out of sight in less than 1 ms.
    fn unplug(&mut self, veth: &Veth, published: bool) -> Result<Option<Link>> {
        // Between the creation of a cable and its marking lies one system call. A cable that has our
        // random name and no mark yet is ours.
        let ours = |link: &Link| link.alias == veth.alias || link.alias.is_empty();
        let link = link::by_name(self.netlink()?, &veth.host)?.filter(ours);
        if link.is_none() && !published {
            return Ok(None);
        }
        let message = match &link {
            Some(link) => self.netlink()?.message(&link::delete(link)),
            None => Vec::new(),
        };
        // Where nothing was unpublished there is no conversation to close.
        let nft = self.rules.as_ref().map(AsFd::as_fd);
        let Some(route) = self.netlink.as_ref().map(AsFd::as_fd) else { return Ok(None) };
        if let Err(error) = sys::leave_to_child(route, &message, nft.unwrap_or(route)) {
            tracing::debug!(%error, "fork for the deletion of a link; deleting it at once");
            if let Some(link) = link {
                self.netlink()?.tell(&[link::delete(&link)])?;
            }
            return Ok(None);
        }
        Ok(link)
    }

    fn await_gone(&mut self, link: &Link) -> Result<()> {
        for _ in 0..LOOKS {
            if link::by_index(self.netlink()?, link.index)?.is_none() {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        // The other process did not manage. Doing it here says why.
        self.netlink()?.tell(&[link::delete(link)])?;
        match link::by_index(self.netlink()?, link.index)? {
            None => Ok(()),
            Some(_) => Err(Error::LinkRemains { name: link.name.clone() }),
        }
    }
}
