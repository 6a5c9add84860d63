//! CRIU's log, where it says why.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// How many lines are shown before one with an error.
const BEFORE: usize = 5;
/// The longest line that is read, in bytes.
const LINE: u64 = 64 * 1024;

/// Quotes the errors of a log, each with the lines before it, as warnings.
pub(super) fn quote(path: &Path) {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) => {
            return tracing::warn!(
                "open {}: {}",
                path.display(),
                crate::error::OsError::from(&error)
            );
        }
    };
    let lines = excerpt(BufReader::new(file));
    if lines.is_empty() {
        return;
    }
    tracing::warn!("--- Quoting {path:?}");
    for line in lines {
        tracing::warn!("{line}");
    }
    tracing::warn!("---");
}

/// The lines with `Error` in them and those before, numbered; `...` stands for what is left out.
fn excerpt(mut log: impl BufRead) -> Vec<String> {
    let mut shown = Vec::new();
    let mut last = 0;
    let mut recent: VecDeque<(usize, String)> = VecDeque::with_capacity(BEFORE + 1);
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let read = std::io::Read::take(&mut log, LINE).read_until(b'\n', &mut bytes);
        if !read.is_ok_and(|len| len > 0) {
            break;
        }
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        let is_error = line.contains("Error");
        recent.push_back((number, line));
        if recent.len() > BEFORE + 1 {
            recent.pop_front();
        }
        if is_error {
            if last > 0 && recent.front().is_some_and(|(first, _)| *first > last + 1) {
                shown.push("...".to_owned());
            }
            shown.extend(recent.drain(..).map(|(number, line)| format!("{number}:{line}")));
            last = number;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_with_what_was_before_them() {
        let lines: Vec<String> = (1..=30)
            .map(
                |n| if [3, 5, 20].contains(&n) { format!("Error {n}\n") } else { format!("{n}\n") },
            )
            .collect();
        let shown = excerpt(lines.concat().as_bytes());
        assert_eq!(
            shown,
            [
                "1:1",
                "2:2",
                "3:Error 3",
                "4:4",
                "5:Error 5",
                "...",
                "15:15",
                "16:16",
                "17:17",
                "18:18",
                "19:19",
                "20:Error 20"
            ]
        );
    }

    #[test]
    fn a_log_without_errors_is_not_quoted() {
        assert_eq!(excerpt(&b"all\nis\nwell"[..]), [""; 0]);
        assert_eq!(excerpt(&b""[..]), [""; 0]);
        assert_eq!(excerpt(&b"\xff\xfe Error"[..]).len(), 1);
    }
}
