//! The log: what `tracing` events look like to people and engines.
//!
//! The formats are those of logrus, which engines parse: conmon and podman read `--log-format json`,
//! containerd's shim reads `--log FILE --log-format json`. A subscriber of our own, because each
//! record must be these bytes, in one `write` to a file opened for appending.

mod format;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::str::FromStr;
use std::time::{Instant, SystemTime};

use anyhow::Context;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span;
use tracing::{Event, Level, Metadata};

use crate::global::Global;
use format::{Entry, Style};

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `time="..." level=error msg="..."`; on a terminal `ERRO[0000] ...`.
    Text,
    /// One object a line, with `level`, `msg` and `time`.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "" | "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("invalid log-format: {other}")),
        }
    }
}

/// Sends this process's events where the flags say.
pub(crate) fn install(global: &Global) -> anyhow::Result<()> {
    let sink = match global.log_file() {
        Some(path) => Sink::File(
            OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o644)
                .open(path)
                .with_context(|| format!("open log file {}", path.display()))?,
        ),
        None => Sink::Stderr { terminal: std::io::stderr().is_terminal() },
    };
    let level = if global.debug { Level::DEBUG } else { Level::INFO };
    let log = Log { sink, format: global.log_format, level, start: Instant::now() };
    tracing::subscriber::set_global_default(log).context("install the log")
}

/// Where records go.
#[derive(Debug)]
enum Sink {
    Stderr { terminal: bool },
    File(File),
}

/// The subscriber. It holds no lock: a record is one `write`, and a child of `clone` may log too.
#[derive(Debug)]
struct Log {
    sink: Sink,
    format: Format,
    level: Level,
    start: Instant,
}

impl Log {
    fn style(&self) -> Style {
        match (self.format, &self.sink) {
            (Format::Json, _) => Style::Json,
            (Format::Text, Sink::Stderr { terminal: true }) => {
                Style::Terminal { seconds: self.start.elapsed().as_secs() }
            }
            (Format::Text, _) => Style::Text,
        }
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.level))
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let record = format::render(
            self.style(),
            &Entry {
                level: *event.metadata().level(),
                message: &fields.message,
                fields: &fields.others,
                time: SystemTime::now(),
            },
        );
        // A log that cannot be written must not end a container's life.
        let _ = match &self.sink {
            Sink::Stderr { .. } => std::io::stderr().write_all(record.as_bytes()),
            Sink::File(file) => (&*file).write_all(record.as_bytes()),
        };
    }

    // rrun has no spans: a record says itself what it is about.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// What an event says.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.others.push((name, format!("{value:?}"))),
        }
    }
}
