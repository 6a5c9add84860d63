//! `rrun state`, and the report that `list` shares.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use container::{Container, StateRoot, Status};
use serde::Serialize;

use crate::global::Global;
use crate::net::NetworkState;
use crate::verb::{Id, SUCCESS};
use crate::{output, owner, version};

/// output the state of a container
///
/// The state command outputs current state information for the instance of a container.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    container: Id,
}

/// What is said of a container: the runtime-spec's state with runc's additions, in runc's order.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The version of the specification that this report follows.
    #[serde(rename = "ociVersion")]
    pub(crate) oci_version: &'static str,
    /// The id.
    pub(crate) id: String,
    /// Init's pid on the host, 0 when stopped.
    pub(crate) pid: i32,
    /// Where it is in its life.
    pub(crate) status: Status,
    /// The bundle directory.
    pub(crate) bundle: PathBuf,
    /// The root filesystem.
    pub(crate) rootfs: PathBuf,
    /// When it was created, RFC 3339 in UTC.
    pub(crate) created: String,
    /// The annotations of its config.json.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    /// The name of who created it.
    pub(crate) owner: String,
    /// The network, where rrun made it; runc has no such key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) network: Option<NetworkState>,
}

impl Report {
    /// What is true of the container now.
    pub(crate) fn of(root: &StateRoot, container: &Container) -> anyhow::Result<Self> {
        let status = container.status().context("status")?;
        let state = container.state();
        Ok(Self {
            oci_version: version::SPEC,
            id: state.id.clone(),
            pid: if status == Status::Stopped { 0 } else { state.pid },
            status,
            bundle: state.bundle.clone(),
            rootfs: state.rootfs.clone(),
            created: state.created.clone(),
            annotations: container.annotations().context("annotations")?.into_iter().collect(),
            owner: owner::name(state.owner),
            network: network(&root.path().join(&state.id)),
        })
    }
}

/// The network that rrun made, if it did. A record that cannot be read is no reason to say nothing of
/// the container.
fn network(state_dir: &Path) -> Option<NetworkState> {
    NetworkState::load(state_dir).unwrap_or_else(|error| {
        tracing::warn!("network record: {:#}", anyhow::Error::from(error));
        None
    })
}

/// `rrun state`.
pub(crate) fn state(global: &Global, args: &Args) -> anyhow::Result<u8> {
    let root = global.state_root()?;
    let container = root.load(&args.container.id)?;
    let report = Report::of(&root, &container)?;
    output::print(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    Ok(SUCCESS)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn report(id: &str, pid: i32, status: Status) -> Report {
        Report {
            oci_version: version::SPEC,
            id: id.to_owned(),
            pid,
            status,
            bundle: "/srv/bundle".into(),
            rootfs: "/srv/bundle/rootfs".into(),
            created: "2026-01-02T03:04:05.678901234Z".to_owned(),
            annotations: BTreeMap::new(),
            owner: "root".to_owned(),
            network: None,
        }
    }

    #[test]
    fn the_keys_and_their_order_are_those_of_runc() {
        let mut report = report("c1", 42, Status::Running);
        report.annotations.insert("k".into(), "v".into());
        assert_eq!(
            serde_json::to_string_pretty(&report).unwrap(),
            r#"{
  "ociVersion": "1.3.0",
  "id": "c1",
  "pid": 42,
  "status": "running",
  "bundle": "/srv/bundle",
  "rootfs": "/srv/bundle/rootfs",
  "created": "2026-01-02T03:04:05.678901234Z",
  "annotations": {
    "k": "v"
  },
  "owner": "root"
}"#
        );
    }
}
