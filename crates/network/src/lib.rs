//! The kernel and the files behind a network plan.
//!
//! `netplan` decides; this crate looks ([`Host::observe`]), does and undoes. [`Host::attach`] wires a container
//! whose namespaces exist, [`Host::detach`] takes away exactly what was recorded then, and
//! [`Host::preflight`] says beforehand, without side effects, whether it could be done.
//!
//! Everything is in the kernel (links, nf_tables elements) or in small files on a tmpfs (leases, the
//! container's record); there is no daemon and no database.

mod apply;
mod attachment;
mod error;
mod home;
mod init;
mod inside;
mod inspect;
mod kept;
mod lease;
mod link;
mod names;
mod netlink;
mod observe;
mod probe;
mod record;
mod rules;
pub mod ruleset;
mod sys;
mod sysctl;
mod undo;

pub use apply::Owner;
pub use attachment::Request;
pub use error::{Error, Refusal, Result};
pub use home::Home;
pub use init::{Init, start_time};
pub use inspect::{Connected, Overview, connected, overview};
pub use kept::Kept;
pub use lease::{LeaseRecord, Leases};
pub use names::{Names, NamesFile};
pub use observe::Host;
pub use record::Record;
pub use undo::Former;
