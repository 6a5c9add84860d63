//! How a container knows its own name, its neighbours and its resolver.
//!
//! The three files are rrun's own, in the container's state folder, and are bind-mounted over whatever
//! the rootfs has there: nothing is ever written through a path of the rootfs.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::lease::{absent_is_fine, read_small};
use crate::{Error, Result};

/// Where systemd-resolved keeps the servers that its own 127.0.0.53 asks (systemd-resolved.service(8)).
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// What Docker falls back to where the host has no resolver that a container can reach.
const FALLBACK: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)), IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4))];

/// One of the three files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamesFile {
    /// `/etc/resolv.conf`
    ResolvConf,
    /// `/etc/hosts`
    Hosts,
    /// `/etc/hostname`
    Hostname,
}

impl NamesFile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ResolvConf, Self::Hosts, Self::Hostname];

    /// Where the container expects it.
    #[must_use]
    pub fn destination(self) -> &'static str {
        match self {
            Self::ResolvConf => RESOLV_CONF,
            Self::Hosts => "/etc/hosts",
            Self::Hostname => "/etc/hostname",
        }
    }

    /// Where it is on the host.
    #[must_use]
    pub fn source(self, state_dir: &Path) -> PathBuf {
        state_dir.join(match self {
            Self::ResolvConf => "resolv.conf",
            Self::Hosts => "hosts",
            Self::Hostname => "hostname",
        })
    }
}

/// What the three files shall say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Names {
    /// The container's host name.
    pub hostname: String,
    /// Resolvers instead of the host's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<IpAddr>,
    /// More lines for `/etc/hosts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<(String, IpAddr)>,
}

impl Names {
    /// Writes the files as far as they are known before the container has an address. They must exist
    /// when its mounts are made; what comes later is written in place.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub fn prepare(&self, state_dir: &Path) -> Result<()> {
        write(&NamesFile::ResolvConf.source(state_dir), &self.resolv_conf())?;
        write(&NamesFile::Hosts.source(state_dir), &self.hosts(None))?;
        write(&NamesFile::Hostname.source(state_dir), &format!("{}\n", self.hostname))
    }

    /// Adds the container's own address to its hosts file.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn address(&self, state_dir: &Path, address: Ipv4Addr) -> Result<()> {
        write(&NamesFile::Hosts.source(state_dir), &self.hosts(Some(address)))
    }

    /// Removes the files.
    ///
    /// # Errors
    ///
    /// A file cannot be removed.
    pub fn remove(state_dir: &Path) -> Result<()> {
        for file in NamesFile::ALL {
            let path = file.source(state_dir);
            absent_is_fine(fs::remove_file(&path)).map_err(Error::file(&path, "unlink"))?;
        }
        Ok(())
    }

    fn hosts(&self, address: Option<Ipv4Addr>) -> String {
        let mut text =
            String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        for (name, address) in &self.hosts {
            let _ = writeln!(text, "{address}\t{name}");
        }
        if let Some(address) = address {
            let _ = writeln!(text, "{address}\t{}", self.hostname);
        }
        text
    }

    fn resolv_conf(&self) -> String {
        let text = |path: &str| {
            read_host_file(Path::new(path)).map(|text| String::from_utf8_lossy(&text).into_owned())
        };
        let own = text(RESOLV_CONF).unwrap_or_default();
        // Where the host asks itself, what it asks in turn is what the container can use.
        let host = match reachable(&own).is_empty() {
            true => text(RESOLVED).unwrap_or(own),
            false => own,
        };
        resolv_conf(&self.dns, &host)
    }
}

/// `/etc/resolv.conf` of a host is often a symbolic link, unlike the files of rrun.
fn read_host_file(path: &Path) -> Option<Vec<u8>> {
    read_small(&fs::canonicalize(path).ok()?).ok()
}

/// The resolvers that a container can reach: not the host's loopback, which is another one inside, and no
/// IPv6 ones, as the network has no IPv6.
fn reachable(host: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse::<IpAddr>().ok())?
    };
    host.lines()
        .filter_map(server)
        .filter(|address| address.is_ipv4() && !address.is_loopback())
        .collect()
}

/// The container's resolv.conf(5): the host's, with the resolvers replaced where they have to be.
fn resolv_conf(dns: &[IpAddr], host: &str) -> String {
    let reachable = reachable(host);
    let servers = if !dns.is_empty() {
        dns
    } else if !reachable.is_empty() {
        reachable.as_slice()
    } else {
        &FALLBACK
    };
    let mut text = String::new();
    for line in host.lines() {
        let word = line.split_ascii_whitespace().next();
        if matches!(word, Some("search" | "domain" | "options" | "sortlist")) {
            let _ = writeln!(text, "{line}");
        }
    }
    for server in servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    text
}

/// Writes in place: the container has the file mounted, and a renamed one would not be seen inside.
fn write(path: &Path, text: &str) -> Result<()> {
    let write = || {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        // Everyone in the container reads these, whatever the caller's umask is.
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        file.write_all(text.as_bytes())
    };
    write().map_err(Error::file(path, "write"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOLVED_STUB: &str = "# stub\nnameserver 127.0.0.53\noptions edns0\nsearch lan\n";

    #[test]
    fn loopback_resolvers_are_replaced() {
        assert!(reachable(RESOLVED_STUB).is_empty());
        assert_eq!(
            resolv_conf(&[], RESOLVED_STUB),
            "options edns0\nsearch lan\nnameserver 8.8.8.8\nnameserver 8.8.4.4\n"
        );
        assert_eq!(
            resolv_conf(&[], "nameserver 127.0.0.1\nnameserver 10.0.0.1\nnameserver fe80::1%eth0"),
            "nameserver 10.0.0.1\n"
        );
    }

    #[test]
    fn resolvers_asked_for_win() {
        let text = resolv_conf(&["192.0.2.1".parse().unwrap()], "search lan\nnameserver 10.0.0.1");
        assert_eq!(text, "search lan\nnameserver 192.0.2.1\n");
    }

    #[test]
    fn files_are_prepared_filled_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names {
            hostname: "web".to_owned(),
            hosts: vec![("db".to_owned(), "192.0.2.9".parse().unwrap())],
            ..Names::default()
        };
        names.prepare(folder.path()).unwrap();
        names.address(folder.path(), Ipv4Addr::new(172, 30, 0, 2)).unwrap();
        let hosts = fs::read_to_string(NamesFile::Hosts.source(folder.path())).unwrap();
        assert!(hosts.ends_with("192.0.2.9\tdb\n172.30.0.2\tweb\n"), "{hosts}");
        let hostname = fs::read_to_string(NamesFile::Hostname.source(folder.path())).unwrap();
        assert_eq!(hostname, "web\n");
        Names::remove(folder.path()).unwrap();
        Names::remove(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
