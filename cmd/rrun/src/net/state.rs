//! The network of a container as `state` and `list` show it.

use std::net::Ipv4Addr;
use std::path::Path;

use network::Record;
use serde::Serialize;

/// The network of a container, from its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct NetworkState {
    /// As `--net` takes it.
    pub(crate) mode: String,
    /// The container's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<Ipv4Addr>,
    /// Its default gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<Ipv4Addr>,
    /// The host's end of its cable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) veth: Option<String>,
    /// The bridge that is plugged into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bridge: Option<String>,
    /// Its hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mac: Option<String>,
    /// The published ports, as `--publish` takes them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ports: Vec<String>,
}

impl NetworkState {
    /// The network of the container with this state folder; `None` where rrun was not asked for one.
    pub(crate) fn load(state_dir: &Path) -> network::Result<Option<Self>> {
        Ok(Record::load(state_dir)?.map(|record| Self::of(&record)))
    }

    fn of(record: &Record) -> Self {
        let veth = record.plan.veth();
        Self {
            mode: record.mode.to_string(),
            address: veth.map(|veth| veth.address.ip()),
            gateway: veth.map(|veth| veth.gateway),
            veth: veth.map(|veth| veth.host.clone()),
            bridge: veth.map(|veth| veth.bridge.clone()),
            mac: veth.map(|veth| veth.mac.to_string()),
            ports: record.plan.ports().iter().map(ToString::to_string).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use netplan::{Desired, NetPlan, Network, NetworkMode, Observed, plan};

    use super::*;

    #[test]
    fn a_bridged_container_shows_its_place_and_others_their_mode() {
        let desired = Desired {
            id: "web".to_owned(),
            seed: 1,
            network: Network::default_bridge(),
            address: Some(Ipv4Addr::new(172, 30, 0, 9)),
            mac: None,
            publish: vec!["8088:80".parse().unwrap()],
        };
        let plan = plan(&desired, &Observed::default()).unwrap();
        let record = Record::new(NetworkMode::Bridge(None), Some("bridge".into()), plan);
        assert_eq!(
            serde_json::to_string(&NetworkState::of(&record)).unwrap(),
            r#"{"mode":"bridge","address":"172.30.0.9","gateway":"172.30.0.1","veth":"veth00000000001","bridge":"rrun0","mac":"02:42:ac:1e:00:09","ports":["8088:80/tcp"]}"#
        );
        let host = Record::new(NetworkMode::Host, None, NetPlan::default());
        assert_eq!(serde_json::to_string(&NetworkState::of(&host)).unwrap(), r#"{"mode":"host"}"#);
    }

    #[test]
    fn a_container_without_a_record_has_no_network_of_rruns() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(NetworkState::load(folder.path()).unwrap(), None);
        std::fs::write(folder.path().join("network.json"), "{").unwrap();
        NetworkState::load(folder.path()).unwrap_err();
    }
}
