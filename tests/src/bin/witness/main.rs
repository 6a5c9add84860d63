//! What a process in a container sees of itself and of its surroundings, a fact a line, for the
//! comparison of two runtimes.
//!
//! - `witness report [--hold] [PATH...]` tells everything, the PATHs too; with `--hold` it stays
//!   until it is killed. Exit code 42.
//! - `witness hook FILE NAME...` appends how a hook was called to FILE.

// What cannot be looked at is a fact as well; what cannot be told ends the witness.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod calls;
mod files;
mod process;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::ExitCode;

/// An exit code that neither a runtime nor a shell makes by itself.
const SEEN: u8 = 42;

/// The facts, in order.
#[derive(Debug, Default)]
struct Report(String);

impl Report {
    /// Adds a line.
    fn say(&mut self, line: impl AsRef<str>) {
        self.0.push_str(&line.as_ref().replace('\n', "\\n"));
        self.0.push('\n');
    }
}

fn main() -> ExitCode {
    // Before anything else opens a descriptor.
    let open = files::open_descriptors();
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("report") => report(&args, &open),
        Some("hook") => hook(&args[2], &args[3..], &open),
        _ => panic!("witness report|hook"),
    }
}

fn report(args: &[String], open: &[String]) -> ExitCode {
    let hold = args.get(2).is_some_and(|arg| arg == "--hold");
    let mut report = Report::default();
    for arg in args {
        report.say(format!("arg {arg}"));
    }
    for line in open {
        report.say(line);
    }
    process::tell(&mut report);
    files::tell(&mut report);
    for path in args.iter().skip(2).filter(|arg| arg.starts_with('/')) {
        files::path(&mut report, path);
    }
    calls::tell(&mut report);
    report.say("end of report");
    std::io::stdout().write_all(report.0.as_bytes()).expect("write the report");
    if hold {
        loop {
            std::thread::sleep(std::time::Duration::from_secs(3600));
        }
    }
    ExitCode::from(SEEN)
}

fn hook(file: &str, names: &[String], open: &[String]) -> ExitCode {
    let mut report = Report::default();
    let mut stdin = String::new();
    std::io::stdin().read_to_string(&mut stdin).expect("the state on stdin");
    let name = names.join(" ");
    report.say(format!("hook {name}: state {stdin}"));
    // In no order: each runtime has another one.
    for (key, value) in std::env::vars().collect::<std::collections::BTreeMap<_, _>>() {
        report.say(format!("hook {name}: env {key}={value}"));
    }
    let cwd = std::env::current_dir().map(|cwd| cwd.display().to_string());
    report.say(format!("hook {name}: cwd {cwd:?}"));
    report.say(format!("hook {name}: root {:?}", root_entries()));
    for line in open {
        report.say(format!("hook {name}: {line}"));
    }
    for line in process::identity() {
        report.say(format!("hook {name}: {line}"));
    }
    let mut to = File::options().append(true).create(true).open(file).expect("open for the hook");
    to.write_all(report.0.as_bytes()).expect("write for the hook");
    ExitCode::SUCCESS
}

/// What tells the container's root from the host's.
fn root_entries() -> bool {
    fs::metadata("/is-the-rootfs").is_ok()
}
