//! A container's network as a checkpoint keeps it, beside the images.
//!
//! Kept is what was asked for and what came of it: address, hardware address, host ports. The cable's name, the
//! rules and the bridge are made again where the container is restored, so that it may be another host.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use netplan::{Mac, NetworkMode, PortMapping, PortSpec};
use serde::{Deserialize, Serialize};

use crate::lease::{absent_is_fine, read_small};
use crate::record::write_whole;
use crate::{Error, Names, Record, Request, Result};

/// The version this rrun writes.
const VERSION: u32 = 1;

/// A container's network, for a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The format.
    version: u32,
    /// The container's network mode.
    pub mode: NetworkMode,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// Its hardware address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Its published ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMapping>,
    /// What its files about names say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Names>,
}

impl Kept {
    /// The network that a record says was made.
    ///
    /// # Errors
    ///
    /// It is another container's network.
    pub fn of(record: Record) -> Result<Self> {
        if let NetworkMode::Container(id) = record.mode {
            return Err(Error::CannotKeep { id });
        }
        let veth = record.plan.veth();
        Ok(Self {
            version: VERSION,
            address: veth.map(|veth| veth.address.ip()),
            mac: veth.map(|veth| veth.mac),
            ports: record.plan.ports().to_vec(),
            mode: record.mode,
            names: record.names,
        })
    }

    fn path(images: &Path) -> PathBuf {
        images.join("rrun-network.json")
    }

    /// Writes it beside the images.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self, images: &Path) -> Result<()> {
        write_whole(&Self::path(images), self)
    }

    /// Removes what an earlier checkpoint left beside the images.
    ///
    /// # Errors
    ///
    /// The file cannot be removed.
    pub fn remove(images: &Path) -> Result<()> {
        let path = Self::path(images);
        absent_is_fine(fs::remove_file(&path)).map_err(Error::file(&path, "unlink"))
    }

    /// Reads it; `None` where the container had no network of rrun's.
    ///
    /// # Errors
    ///
    /// The file cannot be read or says something else.
    pub fn load(images: &Path) -> Result<Option<Self>> {
        let path = Self::path(images);
        let text = match read_small(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(Error::file(&path, "read"))?,
        };
        let kept: Self = serde_json::from_slice(&text)
            .map_err(|source| Error::Content { path: path.clone(), source })?;
        match kept.version {
            VERSION => Ok(Some(kept)),
            version => Err(Error::Version { path, version }),
        }
    }

    /// What is to be asked for: the same, and nothing else.
    #[must_use]
    pub fn request(self) -> Request {
        Request {
            address: self.address,
            mac: self.mac,
            publish: self.ports.into_iter().map(PortSpec::from).collect(),
            names: self.names,
            ..Request::new(self.mode)
        }
    }
}

#[cfg(test)]
mod tests {
    use netplan::{Desired, NetPlan, Network, Observed, plan};

    use super::*;

    fn record(mode: &str) -> Record {
        let desired = Desired {
            id: "web".to_owned(),
            seed: 1,
            network: Network::default_bridge(),
            address: None,
            mac: None,
            publish: vec!["80".parse().unwrap(), "127.0.0.1:53:53/udp".parse().unwrap()],
        };
        let mode: NetworkMode = mode.parse().unwrap();
        let plan = match mode {
            NetworkMode::Bridge(_) => plan(&desired, &Observed::default()).unwrap(),
            _ => NetPlan::default(),
        };
        Record::new(mode, None, plan)
    }

    #[test]
    fn what_was_left_open_is_settled() {
        let images = tempfile::tempdir().unwrap();
        assert_eq!(Kept::load(images.path()).unwrap(), None);
        let mut record = record("bridge");
        let names = Names { hostname: "web".into(), ..Names::default() };
        record.names = Some(names.clone());
        let kept = Kept::of(record.clone()).unwrap();
        kept.save(images.path()).unwrap();
        let request = Kept::load(images.path()).unwrap().unwrap().request();
        let veth = record.plan.veth().unwrap();
        assert_eq!(request.address, Some(veth.address.ip()));
        assert_eq!(request.mac, Some(veth.mac));
        assert_eq!(request.names, Some(names));
        assert!(request.publish.iter().all(|port| !port.is_open()), "{:?}", request.publish);
        let mut again = netplan::resolve_ports(&request.publish, "other", |_, _, _| None).unwrap();
        let mut before = record.plan.ports().to_vec();
        again.sort_by_key(|port| port.container);
        before.sort_by_key(|port| port.container);
        assert_eq!(again, before);
        Kept::remove(images.path()).unwrap();
        assert_eq!(Kept::load(images.path()).unwrap(), None);
    }

    #[test]
    fn another_container_s_network_is_not_kept() {
        let refused = Kept::of(record("container:web")).unwrap_err().to_string();
        assert!(refused.starts_with("network container:web cannot be kept by"), "{refused}");
        for mode in ["host", "none", "ns:/run/netns/x"] {
            assert_eq!(Kept::of(record(mode)).unwrap().request().mode.to_string(), mode);
        }
    }

    #[test]
    fn what_is_no_kept_network_is_refused() {
        let images = tempfile::tempdir().unwrap();
        for text in
            ["", "{}", r#"{"version":2,"mode":"host"}"#, r#"{"version":1,"mode":"host","x":1}"#]
        {
            fs::write(Kept::path(images.path()), text).unwrap();
            Kept::load(images.path()).unwrap_err();
        }
    }
}
