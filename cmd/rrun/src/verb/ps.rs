//! `rrun ps`.

use std::process::Command;

use anyhow::{Context, bail};

use crate::global::Global;
use crate::output;
use crate::verb::SUCCESS;
use crate::verb::list::{self, Format};

/// ps displays the processes running inside a container
///
/// The host's ps is run with the given options ('-ef' when there are none), and those of its lines
/// are printed that are about processes of the container.
#[derive(Debug, clap::Args)]
#[command(override_usage = "rrun ps [OPTIONS] <CONTAINER_ID> [PS_OPTIONS]...")]
pub(crate) struct Args {
    /// select one of: table or json
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// the name for the instance of the container, and options for ps
    #[arg(value_name = "CONTAINER_ID [PS_OPTIONS]", required = true, trailing_var_arg = true)]
    words: Vec<String>,
}

/// `rrun ps`.
pub(crate) fn ps(global: &Global, args: &Args) -> anyhow::Result<u8> {
    let Some((id, options)) = args.words.split_first() else {
        bail!("rrun: \"ps\" requires a minimum of 1 argument(s)");
    };
    let pids = global.state_root()?.load(&id.parse()?)?.pids()?;
    output::print(&match args.format {
        Format::Json => list::json(&pids)?,
        Format::Table => filter(&host_ps(options)?, &pids)?,
    })?;
    Ok(SUCCESS)
}

/// What the host's ps says of all processes.
fn host_ps(options: &[String]) -> anyhow::Result<String> {
    let mut ps = Command::new("ps");
    if options.is_empty() {
        ps.arg("-ef")
    } else {
        ps.args(options)
    };
    let output = ps.output().context("run ps")?;
    if !output.status.success() {
        bail!("ps: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The title and the lines about these pids.
fn filter(output: &str, pids: &[i32]) -> anyhow::Result<String> {
    let mut lines = output.lines();
    let title = lines.next().unwrap_or_default();
    let column = title
        .split_whitespace()
        .position(|name| name == "PID")
        .context("couldn't find PID field in ps output")?;
    let mut text = format!("{title}\n");
    for line in lines.filter(|line| !line.is_empty()) {
        let field = line.split_whitespace().nth(column).unwrap_or_default();
        let pid: i32 = field.parse().with_context(|| format!("unable to parse pid {field:?}"))?;
        if pids.contains(&pid) {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "UID          PID    PPID CMD\nroot           1       0 init 42\nroot          42       1 sh\n\n";

    #[test]
    fn only_the_containers_lines_stay() {
        assert_eq!(
            filter(OUTPUT, &[42]).unwrap(),
            "UID          PID    PPID CMD\nroot          42       1 sh\n"
        );
        assert_eq!(filter(OUTPUT, &[]).unwrap(), "UID          PID    PPID CMD\n");
    }

    #[test]
    fn output_without_pids_is_an_error() {
        assert!(filter("CMD\nsh\n", &[1]).is_err());
        assert!(filter("", &[1]).is_err());
        assert!(filter("PID\nsh\n", &[1]).is_err());
    }
}
