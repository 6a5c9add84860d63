//! Where the network's files are.

use std::path::{Path, PathBuf};

/// The folders that rrun's networking writes to. Tests give it temporary ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// What a reboot may and should wipe: a folder for each network, with its leases. A tmpfs, normally
    /// `/run/rrun-net`: beside the default state root `/run/rrun`, in which every folder is a container.
    pub run: PathBuf,
    /// Names of network namespaces, as `ip netns` reads them; normally `/run/netns`.
    pub netns: PathBuf,
    /// Configuration; normally `/etc/rrun`.
    pub etc: PathBuf,
}

impl Default for Home {
    fn default() -> Self {
        Self {
            run: "/run/rrun-net".into(),
            // iproute2's NETNS_RUN_DIR.
            netns: "/run/netns".into(),
            etc: "/etc/rrun".into(),
        }
    }
}

impl Home {
    /// The same folders under another root, for tests.
    #[must_use]
    pub fn under(root: &Path) -> Self {
        Self {
            run: root.join("run/rrun-net"),
            netns: root.join("run/netns"),
            etc: root.join("etc/rrun"),
        }
    }

    /// The folder of one network.
    #[must_use]
    pub fn network(&self, name: &str) -> PathBuf {
        self.run.join(name)
    }
}
