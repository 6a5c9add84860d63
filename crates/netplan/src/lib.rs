//! The network of one container as a value: plan, check, undo.
//!
//! [`plan`] turns what is wanted ([`Desired`]) and what was seen on the host ([`Observed`]) into a
//! [`NetPlan`]. Every choice is made here: names, MAC, address, ports. Whoever applies the plan decides
//! nothing, and undoes what was recorded instead of working it out again.
//!
//! A plan has two kinds of step. [`Ensure`] is shared by all containers, idempotent, and never undone by
//! one of them. [`Own`] belongs to one container and has an exact inverse. Only `Own` can be undone, by
//! type.
//!
//! This crate is pure: no input or output, no clock, no randomness. What would be random comes in as
//! [`Desired::seed`].

mod address;
mod check;
mod choose;
mod desired;
mod error;
mod mac;
mod mode;
mod observed;
mod plan;
mod port;
mod show;

pub use address::{candidates, gateway};
pub use check::{CheckError, check};
pub use choose::resolve_ports;
pub use desired::{Desired, Network};
pub use error::PlanError;
pub use mac::{InvalidMac, Mac};
pub use mode::{InvalidMode, NetworkMode};
pub use observed::{BridgeState, Observed, PortOwner, PortState};
pub use plan::{Bridge, Ensure, Lease, Name, NetPlan, Own, Publish, Rules, Veth, link_name, plan};
pub use port::{InvalidPort, PortMapping, PortRange, PortSpec, Protocol};
pub use show::Undo;
