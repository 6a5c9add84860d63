//! `rrun list`.

use std::io::ErrorKind;

use anyhow::Context;
use container::StateRoot;

use crate::global::Global;
use crate::net::NetworkState;
use crate::output;
use crate::verb::SUCCESS;
use crate::verb::state::Report;

/// lists containers started by rrun with the given root
///
/// The given root is specified via the global option "--root" (default: "/run/rrun").
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// select one of: table or json
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// display only container IDs
    #[arg(long, short)]
    quiet: bool,
}

/// `--format` of `list` and `ps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl std::str::FromStr for Format {
    type Err = &'static str;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            _ => Err("invalid format option"),
        }
    }
}

/// `rrun list`.
pub(crate) fn list(global: &Global, args: &Args) -> anyhow::Result<u8> {
    let reports = reports(&global.state_root()?, global.root_is_set())?;
    let text = match args.format {
        _ if args.quiet => reports.iter().map(|report| format!("{}\n", report.id)).collect(),
        Format::Table => table(&reports),
        Format::Json => json(&reports)?,
    };
    output::print(&text)?;
    Ok(SUCCESS)
}

/// The containers that can be read; what is wrong with the others is said on stderr, as runc does.
fn reports(root: &StateRoot, root_is_set: bool) -> anyhow::Result<Vec<Report>> {
    if let Err(error) = std::fs::metadata(root.path()) {
        if error.kind() == ErrorKind::NotFound && !root_is_set {
            return Ok(Vec::new());
        }
        return Err(error).with_context(|| format!("state root {}", root.path().display()));
    }
    let mut reports = Vec::new();
    for entry in root.list()? {
        match entry.container.map_err(anyhow::Error::from).and_then(|c| Report::of(root, &c)) {
            Ok(report) => reports.push(report),
            Err(error) => output::complain(&format!("load container {}: {error:#}", entry.id)),
        }
    }
    Ok(reports)
}

/// A JSON array in one line; `null` where there is nothing, as runc prints it.
pub(crate) fn json<T: serde::Serialize>(items: &[T]) -> serde_json::Result<String> {
    if items.is_empty() {
        return Ok("null\n".to_owned());
    }
    serde_json::to_string(items).map(|array| array + "\n")
}

/// runc's columns.
const HEAD: [&str; 6] = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
/// rrun's, which are there only where a container has a network of rrun's: who reads runc's table is
/// not disturbed.
const NETWORK_HEAD: [&str; 5] = ["NETWORK", "ADDRESS", "GATEWAY", "VETH", "PORTS"];

fn table(reports: &[Report]) -> String {
    let networked = reports.iter().any(|report| report.network.is_some());
    let mut head = HEAD.to_vec();
    head.extend(NETWORK_HEAD.iter().filter(|_| networked));
    let mut rows = vec![head.into_iter().map(str::to_owned).collect()];
    rows.extend(reports.iter().map(|report| {
        let mut row = vec![
            report.id.clone(),
            report.pid.to_string(),
            report.status.to_string(),
            report.bundle.display().to_string(),
            report.created.clone(),
            report.owner.clone(),
        ];
        if networked {
            row.extend(network_cells(report.network.as_ref()));
        }
        row
    }));
    align(&rows)
}

/// `-` for what a container does not have.
fn network_cells(network: Option<&NetworkState>) -> [String; 5] {
    let cells = network.map(|network| {
        [
            Some(network.mode.clone()),
            network.address.map(|address| address.to_string()),
            network.gateway.map(|gateway| gateway.to_string()),
            network.veth.clone(),
            Some(network.ports.join(",")).filter(|ports| !ports.is_empty()),
        ]
    });
    cells.unwrap_or_default().map(|cell| cell.unwrap_or_else(|| "-".to_owned()))
}

/// Columns of at least 12 characters with 3 spaces between them: the geometry of runc's table.
pub(crate) fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let longest =
            rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
        (longest.unwrap_or_default() + 3).max(12)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let last = column + 1 == row.len();
            text.push_str(&if last { cell.clone() } else { format!("{cell:<width$}") });
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use container::Status;

    use super::*;
    use crate::verb::state::tests::report;

    #[test]
    fn the_table_has_the_geometry_of_runc() {
        let reports =
            [report("c1", 42, Status::Running), report("a-longer-name", 0, Status::Stopped)];
        assert_eq!(
            table(&reports),
            "ID              PID         STATUS      BUNDLE        CREATED                          OWNER\n\
             c1              42          running     /srv/bundle   2026-01-02T03:04:05.678901234Z   root\n\
             a-longer-name   0           stopped     /srv/bundle   2026-01-02T03:04:05.678901234Z   root\n"
        );
    }

    #[test]
    fn networks_have_columns_only_where_there_are_some() {
        let mut web = report("web", 42, Status::Running);
        web.network = Some(NetworkState {
            mode: "bridge".into(),
            address: Some([172, 30, 0, 2].into()),
            gateway: Some([172, 30, 0, 1].into()),
            veth: Some("veth0123456789a".into()),
            bridge: Some("rrun0".into()),
            mac: Some("02:42:ac:1e:00:02".into()),
            ports: vec!["8088:80/tcp".into(), "53:53/udp".into()],
        });
        let table = table(&[web, report("plain", 43, Status::Running)]);
        let columns = |line: usize| -> Vec<&str> {
            table.lines().nth(line).unwrap().split_whitespace().skip(5).collect()
        };
        assert_eq!(columns(0), ["OWNER", "NETWORK", "ADDRESS", "GATEWAY", "VETH", "PORTS"]);
        assert_eq!(
            columns(1),
            [
                "root",
                "bridge",
                "172.30.0.2",
                "172.30.0.1",
                "veth0123456789a",
                "8088:80/tcp,53:53/udp"
            ]
        );
        assert_eq!(columns(2), ["root", "-", "-", "-", "-", "-"]);
    }

    #[test]
    fn no_containers_are_a_head_and_null() {
        assert_eq!(
            table(&[]),
            "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
        );
        assert_eq!(json::<Report>(&[]).unwrap(), "null\n");
    }

    #[test]
    fn json_is_one_line() {
        let json = json(&[report("c1", 42, Status::Running)]).unwrap();
        assert!(
            json.starts_with(r#"[{"ociVersion":"1.3.0","id":"c1","pid":42,"status":"running","#)
        );
        assert_eq!(json.matches('\n').count(), 1);
    }

    #[test]
    fn an_absent_root_is_an_error_only_where_it_was_asked_for() {
        let absent = StateRoot::new("/nonexistent/rrun-list-test");
        assert!(reports(&absent, true).is_err());
        assert!(reports(&absent, false).unwrap().is_empty());
    }
}
