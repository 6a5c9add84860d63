//! The network flags of `create` and `run`.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use netplan::{Mac, NetworkMode, PortSpec};

/// The network flags of `create` and `run`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "NETWORK")]
pub(crate) struct NetworkArgs {
    /// connect the container to a network: bridge, bridge:NAME, host, container:ID, none or ns:/path
    /// (default: what config.json says; with another network flag: bridge)
    #[arg(long, alias = "network", value_name = "MODE")]
    net: Option<NetworkMode>,
    /// publish ports of the container on the host:
    /// [hostIP:][hostPort[-end]:]containerPort[-end][/tcp|udp|sctp][,from=CIDR]
    #[arg(long, short, value_name = "PORTS")]
    publish: Vec<PortSpec>,
    /// the container's IPv4 address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// the container's MAC address
    #[arg(long, value_name = "ADDRESS")]
    mac_address: Option<Mac>,
    /// the container's host name
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// use this resolver instead of the host's
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<IpAddr>,
    /// add a line to the container's /etc/hosts
    #[arg(long, value_name = "NAME:ADDRESS")]
    add_host: Vec<HostEntry>,
    /// print what would be done for the network, and do nothing
    #[arg(long)]
    pub(super) net_dry_run: bool,
}

/// What the flags ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) mode: NetworkMode,
    pub(super) publish: Vec<PortSpec>,
    pub(super) ip: Option<Ipv4Addr>,
    pub(super) mac: Option<Mac>,
    pub(super) hostname: Option<String>,
    pub(super) dns: Vec<IpAddr>,
    pub(super) hosts: Vec<(String, IpAddr)>,
}

/// Flags that contradict each other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag} needs --net=bridge, and the network is {mode}")]
pub(crate) struct NeedsBridge {
    flag: &'static str,
    mode: NetworkMode,
}

impl NetworkArgs {
    /// What is wanted; `None` leaves everything to config.json. A flag that only a bridge can honour asks
    /// for a bridge where `--net` is absent, and then wins over the configured `default`.
    pub(super) fn wanted(
        &self,
        default: Option<NetworkMode>,
    ) -> Result<Option<Wanted>, NeedsBridge> {
        let bridged = self.bridge_flag();
        let mode = match (&self.net, bridged) {
            (Some(mode), _) => mode.clone(),
            (None, Some(_)) => NetworkMode::Bridge(None),
            (None, None) => match default {
                Some(mode) => mode,
                None => return Ok(None),
            },
        };
        if let Some(flag) = bridged
            && !matches!(mode, NetworkMode::Bridge(_))
        {
            return Err(NeedsBridge { flag, mode });
        }
        Ok(Some(Wanted {
            mode,
            publish: self.publish.clone(),
            ip: self.ip,
            mac: self.mac_address,
            hostname: self.hostname.clone(),
            dns: self.dns.clone(),
            hosts: self.add_host.iter().map(|entry| (entry.name.clone(), entry.address)).collect(),
        }))
    }

    /// The host name asked for, which needs no network of rrun's.
    pub(super) fn hostname(&self) -> Option<&str> {
        self.hostname.as_deref()
    }

    /// The first flag given that means nothing without a bridge.
    fn bridge_flag(&self) -> Option<&'static str> {
        [
            (!self.publish.is_empty(), "--publish"),
            (self.ip.is_some(), "--ip"),
            (self.mac_address.is_some(), "--mac-address"),
            (!self.dns.is_empty(), "--dns"),
            (!self.add_host.is_empty(), "--add-host"),
        ]
        .into_iter()
        .find_map(|(given, flag)| given.then_some(flag))
    }
}

/// `NAME:ADDRESS`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HostEntry {
    name: String,
    address: IpAddr,
}

impl FromStr for HostEntry {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANT: &str = "NAME:ADDRESS is expected";
        // An IPv6 address holds colons; a name does not.
        let (name, address) = text.split_once(':').ok_or(WANT)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err("the name must be of letters, digits, '-', '.' and '_'");
        }
        let address = address.trim_start_matches('[').trim_end_matches(']');
        let address = address.parse().map_err(|_| WANT)?;
        Ok(Self { name: name.to_owned(), address })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        network: NetworkArgs,
    }

    fn wanted(flags: &[&str], default: Option<&str>) -> Result<Option<Wanted>, NeedsBridge> {
        let flags = ["rrun"].iter().chain(flags);
        let cli = Cli::try_parse_from(flags).unwrap();
        cli.network.wanted(default.map(|mode| mode.parse().unwrap()))
    }

    fn mode(flags: &[&str], default: Option<&str>) -> Option<String> {
        wanted(flags, default).unwrap().map(|wanted| wanted.mode.to_string())
    }

    #[test]
    fn the_flag_wins_then_what_it_implies_then_the_default() {
        assert_eq!(mode(&[], None), None);
        assert_eq!(mode(&[], Some("none")), Some("none".into()));
        assert_eq!(mode(&["-p", "80:80"], None), Some("bridge".into()));
        assert_eq!(mode(&["-p", "80:80"], Some("none")), Some("bridge".into()));
        assert_eq!(mode(&["--net=host"], Some("none")), Some("host".into()));
        assert_eq!(mode(&["--network", "container:web"], None), Some("container:web".into()));
        assert_eq!(mode(&["--hostname=web"], None), None);
    }

    #[test]
    fn publishing_needs_a_bridge() {
        let refused = wanted(&["--net=host", "-p", "80:80"], None).unwrap_err();
        assert_eq!(refused.to_string(), "--publish needs --net=bridge, and the network is host");
        assert!(wanted(&["--net=none", "--ip=172.30.0.9"], None).is_err());
    }

    #[test]
    fn bad_values_name_the_flag_and_the_reason() {
        let refused = Cli::try_parse_from(["rrun", "-p", "[::1]:80:80"]).unwrap_err().to_string();
        assert!(refused.contains("--publish") && refused.contains("route_localnet"), "{refused}");
        for flags in
            [["--add-host", "db"], ["--add-host", "d b:1.2.3.4"], ["--dns", "x"], ["--net", "x"]]
        {
            Cli::try_parse_from(["rrun"].iter().chain(&flags)).unwrap_err();
        }
    }

    #[test]
    fn repeatable_flags_repeat() {
        let wanted = wanted(
            &["-p", "80:80", "-p81:81/udp", "--add-host=db:::1", "--add-host", "x:10.0.0.1"],
            None,
        );
        let wanted = wanted.unwrap().unwrap();
        assert_eq!((wanted.publish.len(), wanted.hosts.len()), (2, 2));
    }
}
