//! logrus' formats, as pure functions.

use std::fmt::Write;
use std::time::SystemTime;

use tracing::Level;

/// How a record is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    /// For people: `ERRO[0000] message`, in colour.
    Terminal {
        /// Seconds since the log was opened.
        seconds: u64,
    },
    /// `time="..." level=error msg="..."`.
    Text,
    /// One JSON object.
    Json,
}

/// What is written.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) level: Level,
    pub(super) message: &'a str,
    pub(super) fields: &'a [(&'static str, String)],
    pub(super) time: SystemTime,
}

/// One record, with its newline.
pub(super) fn render(style: Style, entry: &Entry<'_>) -> String {
    let mut line = match style {
        Style::Terminal { seconds } => terminal(entry, seconds),
        Style::Text => text(entry),
        Style::Json => json(entry),
    };
    line.push('\n');
    line
}

fn terminal(entry: &Entry<'_>, seconds: u64) -> String {
    let (name, colour) = match entry.level {
        Level::ERROR => ("ERRO", 31),
        Level::WARN => ("WARN", 33),
        Level::INFO => ("INFO", 36),
        Level::DEBUG => ("DEBU", 37),
        Level::TRACE => ("TRAC", 37),
    };
    let mut line = format!("\x1b[{colour}m{name}\x1b[0m[{seconds:04}] {:<44} ", entry.message);
    for (key, value) in entry.fields {
        let _ = write!(line, " \x1b[{colour}m{key}\x1b[0m={}", quote(value));
    }
    line
}

fn text(entry: &Entry<'_>) -> String {
    let time = rfc3339(entry.time);
    let mut line =
        format!("time=\"{time}\" level={} msg={}", name(entry.level), quote(entry.message));
    for (key, value) in entry.fields {
        let _ = write!(line, " {key}={}", quote(value));
    }
    line
}

fn json(entry: &Entry<'_>) -> String {
    let mut object: serde_json::Map<String, serde_json::Value> =
        entry.fields.iter().map(|(key, value)| ((*key).into(), value.as_str().into())).collect();
    object.insert("level".into(), name(entry.level).into());
    object.insert("msg".into(), entry.message.into());
    object.insert("time".into(), rfc3339(entry.time).into());
    serde_json::Value::Object(object).to_string()
}

fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// A value as logrus writes it: quoted as in Go unless it is a plain word.
fn quote(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if value.chars().all(plain) {
        return value.to_owned();
    }
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_ascii_control() => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A point in time in UTC, to the second (RFC 3339). Not in local time as in Go: the time zone
/// database is not part of a static binary.
fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn line(
        style: Style,
        level: Level,
        message: &str,
        fields: &[(&'static str, String)],
    ) -> String {
        render(
            style,
            &Entry {
                level,
                message,
                fields,
                time: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            },
        )
    }

    #[test]
    fn text_is_what_logrus_writes() {
        assert_eq!(
            line(Style::Text, Level::ERROR, "container does not exist", &[]),
            "time=\"2023-11-14T22:13:20Z\" level=error msg=\"container does not exist\"\n"
        );
        assert_eq!(
            line(Style::Text, Level::WARN, "word", &[("id", "a b".into()), ("n", "1".into())]),
            "time=\"2023-11-14T22:13:20Z\" level=warning msg=word id=\"a b\" n=1\n"
        );
    }

    #[test]
    fn a_message_cannot_forge_a_record() {
        assert_eq!(
            line(Style::Text, Level::INFO, "a\"b\\c\nlevel=error \x1b[0m", &[]),
            "time=\"2023-11-14T22:13:20Z\" level=info msg=\"a\\\"b\\\\c\\nlevel=error \\x1b[0m\"\n"
        );
        let json = line(Style::Json, Level::INFO, "a\"b\nc", &[]);
        assert_eq!(json.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["msg"], "a\"b\nc");
    }

    #[test]
    fn json_has_the_keys_that_engines_read() {
        assert_eq!(
            line(Style::Json, Level::DEBUG, "exec: \"x\"", &[]),
            "{\"level\":\"debug\",\"msg\":\"exec: \\\"x\\\"\",\"time\":\"2023-11-14T22:13:20Z\"}\n"
        );
    }

    #[test]
    fn a_terminal_gets_the_short_form() {
        assert_eq!(
            line(Style::Terminal { seconds: 7 }, Level::ERROR, "no", &[("id", "c1".into())]),
            format!("\x1b[31mERRO\x1b[0m[0007] {:<44}  \x1b[31mid\x1b[0m=c1\n", "no")
        );
    }
}
