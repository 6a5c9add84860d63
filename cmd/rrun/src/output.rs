//! Writing to the standard streams, which may be closed, full or read by `head`.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Writes to stdout. That nobody reads on is no error: the reader had what it wanted.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("write to stdout"),
    }
}

/// Writes a line to stderr, where there is one: nothing is left to say it elsewhere.
pub(crate) fn complain(line: &str) {
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}
