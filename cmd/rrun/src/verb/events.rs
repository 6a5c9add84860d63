//! `rrun events`.

mod interfaces;

use std::io::{self, ErrorKind, Write};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use container::{Container, Event, Stats, Status};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::global::Global;
use crate::verb::{Id, SUCCESS};
use interfaces::Interface;

/// display container events such as OOM notifications, cpu, memory, and IO usage statistics
///
/// The events command displays information about the container. By default the information is
/// displayed once every 5 seconds.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// set the stats collection interval
    #[arg(long, value_name = "DURATION", default_value = "5s", allow_hyphen_values = true)]
    interval: Interval,
    /// display the container's stats then exit
    #[arg(long)]
    stats: bool,
    #[command(flatten)]
    container: Id,
}

/// A time that is not zero, as in `1s`, `100ms` or `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Interval(Duration);

impl FromStr for Interval {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match humantime::parse_duration(s) {
            _ if s.starts_with('-') => {}
            Ok(Duration::ZERO) => {}
            Ok(duration) => return Ok(Self(duration)),
            Err(error) => return Err(error.to_string()),
        }
        Err("duration interval must be greater than 0".to_owned())
    }
}

/// One line of output, in runc's schema (runc, types/events.go).
#[derive(Debug, Serialize)]
struct Line<'a> {
    r#type: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

#[derive(Debug, Serialize)]
struct Data {
    #[serde(flatten)]
    stats: Box<Stats>,
    /// Empty where it has no group.
    intel_rdt: Map<String, Value>,
    /// `null` where there are none, as runc prints it.
    network_interfaces: Option<Vec<Interface>>,
}

/// `rrun events`.
pub(crate) fn events(global: &Global, args: &Args) -> anyhow::Result<u8> {
    let container = global.state_root()?.load(&args.container.id)?;
    if container.status()? == Status::Stopped {
        bail!("container with id {} is not running", container.id());
    }
    if args.stats {
        let stats = Box::new(container.stats()?);
        print(&container, Event::Stats(stats))?;
        return Ok(SUCCESS);
    }
    for event in container.events(args.interval.0)? {
        if !print(&container, event?)? {
            break;
        }
    }
    Ok(SUCCESS)
}

/// Prints an event at once. `false`: nobody reads any more.
fn print(container: &Container, event: Event) -> anyhow::Result<bool> {
    let line = serde_json::to_string(&line(container, event)?)? + "\n";
    let mut stdout = io::stdout().lock();
    match stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("write to stdout"),
    }
}

fn line(container: &Container, event: Event) -> anyhow::Result<Line<'_>> {
    let id = container.id().as_str();
    Ok(match event {
        Event::Oom => Line { r#type: "oom", id, data: None },
        Event::Stats(stats) => {
            let network_interfaces = interfaces::of(container.dir())?;
            let intel_rdt = container.intel_rdt_stats()?;
            let data = Data { stats, intel_rdt, network_interfaces };
            Line { r#type: "stats", id, data: Some(data) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_form_of_runc() {
        let oom = Line { r#type: "oom", id: "c1", data: None };
        assert_eq!(serde_json::to_string(&oom).unwrap(), r#"{"type":"oom","id":"c1"}"#);
        let data = Data { stats: Box::default(), intel_rdt: Map::new(), network_interfaces: None };
        let line = Line { r#type: "stats", id: "c1", data: Some(data) };
        let text = serde_json::to_string(&line).unwrap();
        assert!(
            text.starts_with(r#"{"type":"stats","id":"c1","data":{"cpu":{"#)
                && text.ends_with(r#""hugetlb":{},"intel_rdt":{},"network_interfaces":null}}"#),
            "{text}"
        );
    }

    #[test]
    fn intervals() {
        for (text, millis) in [("100ms", 100), ("1s", 1000), ("1m30s", 90_000), ("1.5s", 1500)] {
            assert_eq!(text.parse(), Ok(Interval(Duration::from_millis(millis))), "{text}");
        }
        for text in ["0s", "-1s", "0"] {
            let error = text.parse::<Interval>().unwrap_err();
            assert_eq!(error, "duration interval must be greater than 0", "{text}");
        }
        for text in ["", "5", "s", "5x"] {
            text.parse::<Interval>().unwrap_err();
        }
    }
}
