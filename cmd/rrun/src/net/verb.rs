//! `rrun net`: what is connected to what.

use netplan::Network;
use network::{Connected, Overview, connected, overview};
use serde::Serialize;

use super::home;
use crate::output;
use crate::verb::SUCCESS;
use crate::verb::list::{Format, align, json};

/// show networks and what is connected to them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: NetVerb,
}

/// The verbs of `net`.
#[derive(Debug, clap::Subcommand)]
enum NetVerb {
    /// list the networks
    Ls(Output),
    /// show a network and its containers, as JSON
    Inspect {
        /// the network
        #[arg(value_name = "NETWORK", default_value = "bridge")]
        name: String,
    },
    /// show every container's cable, end to end
    Map(Output),
}

#[derive(Debug, clap::Args)]
struct Output {
    /// select one of: table or json
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    format: Format,
}

/// `rrun net`.
pub(crate) fn net(args: &Args) -> anyhow::Result<u8> {
    let home = home();
    let network = Network::default_bridge();
    let text = match &args.verb {
        NetVerb::Ls(output) => {
            let networks = [overview(&home, &network)?];
            match output.format {
                Format::Table => table(&LIST_HEAD, networks.iter().map(list_row)),
                Format::Json => json(&networks)?,
            }
        }
        NetVerb::Map(output) => {
            let all = connected(&home, &network)?;
            match output.format {
                Format::Table => table(&MAP_HEAD, all.iter().map(map_row)),
                Format::Json => json(&all)?,
            }
        }
        NetVerb::Inspect { name } if *name == network.name => {
            let (network, containers) = (overview(&home, &network)?, connected(&home, &network)?);
            serde_json::to_string_pretty(&Inspected { network, containers })? + "\n"
        }
        NetVerb::Inspect { name } => anyhow::bail!("network {name} does not exist"),
    };
    output::print(&text)?;
    Ok(SUCCESS)
}

/// What `inspect` prints.
#[derive(Debug, Serialize)]
struct Inspected {
    #[serde(flatten)]
    network: Overview,
    containers: Vec<Connected>,
}

const LIST_HEAD: [&str; 6] = ["NETWORK", "MODE", "BRIDGE", "SUBNET", "GATEWAY", "CONTAINERS"];
const MAP_HEAD: [&str; 8] =
    ["CONTAINER", "PID", "ADDRESS", "MAC", "ETH0", "HOST VETH", "BRIDGE", "PORTS"];

fn table<const N: usize>(head: &[&str; N], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut all = vec![head.map(str::to_owned).to_vec()];
    all.extend(rows);
    align(&all)
}

/// `-` for what is not there.
fn cell<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn list_row(network: &Overview) -> Vec<String> {
    vec![
        network.name.clone(),
        "bridge".to_owned(),
        network.bridge.clone(),
        cell(network.subnet),
        cell(network.gateway),
        network.leases.to_string(),
    ]
}

fn map_row(connected: &Connected) -> Vec<String> {
    let ports: Vec<String> = connected.ports.iter().map(ToString::to_string).collect();
    // As `ip link` writes a cable's end: its own index, and that of the other end.
    let end = |own: Option<u32>, other: Option<u32>| {
        own.zip(other).map(|(own, other)| format!("{own}@if{other}"))
    };
    let host = end(connected.iflink, connected.ifindex);
    vec![
        connected.id.clone(),
        if connected.running { connected.pid.to_string() } else { "-".to_owned() },
        connected.address.to_string(),
        connected.mac.clone(),
        cell(end(connected.ifindex, connected.iflink)),
        cell(host.map(|host| format!("{} {host}", connected.veth))),
        connected.bridge.clone(),
        cell(Some(ports.join(" ")).filter(|ports| !ports.is_empty())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_is_one_line_a_container() {
        let mut web = Connected {
            id: "web".to_owned(),
            state_dir: "/run/rrun/web".into(),
            running: true,
            pid: 42,
            address: [172, 30, 0, 2].into(),
            mac: "02:42:ac:1e:00:02".to_owned(),
            ifindex: Some(2),
            iflink: Some(7),
            veth: "veth0123456789a".to_owned(),
            bridge: "rrun0".to_owned(),
            ports: vec!["8088:80".parse().unwrap(), "53:53/udp".parse().unwrap()],
        };
        let row = map_row(&web);
        assert_eq!(row[4..], ["2@if7", "veth0123456789a 7@if2", "rrun0", "8088:80/tcp 53:53/udp"]);
        web.running = false;
        web.iflink = None;
        web.ports.clear();
        let row = map_row(&web);
        assert_eq!(
            (row[1].as_str(), &row[4..6], row[7].as_str()),
            ("-", &["-".to_owned(), "-".to_owned()][..], "-")
        );
    }
}
