//! `rrun list`.

use std::io::ErrorKind;

use anyhow::Context;
use container::StateRoot;

use crate::global::Global;
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

const HEAD: [&str; 6] = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];

fn table(reports: &[Report]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    rows.extend(reports.iter().map(|report| {
        vec![
            report.id.clone(),
            report.pid.to_string(),
            report.status.to_string(),
            report.bundle.display().to_string(),
            report.created.clone(),
            report.owner.clone(),
        ]
    }));
    align(&rows)
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
