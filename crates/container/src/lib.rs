//! The OCI container core: spec, lifecycle, init, rootfs, seccomp, terminal, exec, state.
//!
//! The life of a container is [`create`] → [`Container::start`] → [`Container::delete`]; `exec` adds
//! processes to it. Networking is a seam, [`Network`]: this crate does not know what a bridge is.

mod base;
mod bundle;
mod cgroups;
mod channel;
mod checkpoint;
mod container;
mod create;
mod error;
mod events;
mod exec;
mod files;
mod foreground;
mod held;
mod hook_state;
mod hooks;
mod id;
mod init;
mod intel_rdt;
mod keyring;
mod kill;
mod lenient;
mod namespaces;
mod net_devices;
mod network;
mod notify;
mod process;
mod rootfs;
mod rtnetlink;
pub mod sealed;
mod seccomp_listener;
mod signal;
mod spawn;
mod state;
mod store;
mod sys;
mod terminal;
mod update;
mod validate;

/// The version of the runtime specification that is followed.
pub const SPEC_VERSION: &str = "1.3.0";

pub use bundle::{Bundle, parse_process, parse_resources};
pub use cgroup::Stats;
pub use channel::ChannelError;
pub use checkpoint::{CgroupsMode, CriuError, CriuOptions, PageServer, RestoreRequest, restore};
pub use container::Container;
pub use create::{CreateRequest, Created, Stdio, create};
pub use error::{BoxError, Error, Result, StatusError};
pub use events::{Event, Events};
pub use exec::ExecRequest;
pub use id::{ContainerId, InvalidId};
pub use network::{InitNamespaces, Network, NoNetwork};
pub use notify::{Notify, Readiness};
pub use oci_spec::runtime as spec;
pub use process::capabilities::capabilities;
pub use rootfs::known_mount_options;
pub use signal::{Signal, UnknownSignal};
pub use state::{State, Status};
pub use store::{Listed, StateRoot};
pub use update::RdtSchemas;
