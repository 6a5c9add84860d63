//! The counters of the cable that rrun gave a container.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::net::NetworkState;

/// runc's `NetworkInterface`, from the container's point of view.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Interface {
    name: String,
    rx_bytes: u64,
    rx_packets: u64,
    rx_errors: u64,
    rx_dropped: u64,
    tx_bytes: u64,
    tx_packets: u64,
    tx_errors: u64,
    tx_dropped: u64,
}

/// The interfaces of the container with this state folder; `None` where rrun made none.
pub(super) fn of(state_dir: &Path) -> anyhow::Result<Option<Vec<Interface>>> {
    let veth = NetworkState::load(state_dir)?.and_then(|network| network.veth);
    let Some(veth) = veth else { return Ok(None) };
    let counters = Path::new("/sys/class/net").join(&veth).join("statistics");
    // With the container's network namespace the host's end is gone as well.
    Ok(counters.exists().then(|| Interface::read(veth, &counters)).transpose()?.map(|i| vec![i]))
}

impl Interface {
    /// What the host's end sends the container receives.
    fn read(name: String, counters: &Path) -> anyhow::Result<Self> {
        let count = |file: &str| -> anyhow::Result<u64> {
            let path = counters.join(file);
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("read {}", path.display()))?;
            text.trim().parse().with_context(|| format!("{}: {text:?}", path.display()))
        };
        Ok(Self {
            name,
            rx_bytes: count("tx_bytes")?,
            rx_packets: count("tx_packets")?,
            rx_errors: count("tx_errors")?,
            rx_dropped: count("tx_dropped")?,
            tx_bytes: count("rx_bytes")?,
            tx_packets: count("rx_packets")?,
            tx_errors: count("rx_errors")?,
            tx_dropped: count("rx_dropped")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_those_of_the_container() {
        let folder = tempfile::tempdir().unwrap();
        for (n, kind) in ["bytes", "packets", "errors", "dropped"].iter().enumerate() {
            std::fs::write(folder.path().join(format!("rx_{kind}")), format!("{n}\n")).unwrap();
            std::fs::write(folder.path().join(format!("tx_{kind}")), format!("1{n}\n")).unwrap();
        }
        let interface = Interface::read("veth1".into(), folder.path()).unwrap();
        assert_eq!(
            serde_json::to_string(&interface).unwrap(),
            r#"{"Name":"veth1","RxBytes":10,"RxPackets":11,"RxErrors":12,"RxDropped":13,"TxBytes":0,"TxPackets":1,"TxErrors":2,"TxDropped":3}"#
        );
    }

    #[test]
    fn without_a_network_of_rruns_there_are_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(of(folder.path()).unwrap(), None);
    }
}
