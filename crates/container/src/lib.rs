//! The OCI container core: spec, lifecycle, init, rootfs, seccomp, terminal, exec, state.
//!
//! The life of a container is [`create`] → [`Container::start`] → [`Container::delete`]; `exec` adds
//! processes to it. Networking is a seam, [`Network`]: this crate does not know what a bridge is.

mod bundle;
mod container;
mod create;
mod error;
mod id;
mod mount_sys;
mod network;
// Init is to call it; the attribute goes with the first call.
#[allow(dead_code, unused_imports)]
pub(crate) mod rootfs;
mod signal;
mod state;

pub use bundle::Bundle;
pub use container::{Container, ExecRequest, Listed, StateRoot};
pub use create::{CreateRequest, Created, Stdio, create};
pub use error::{BoxError, Error, Result};
pub use id::{ContainerId, InvalidId};
pub use network::{InitNamespaces, Network, NoNetwork};
pub use oci_spec::runtime as spec;
pub use signal::{Signal, UnknownSignal};
pub use state::{State, Status};
