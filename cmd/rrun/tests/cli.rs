//! The binary as engines and people meet it: streams, log files and exit codes, without containers.

// The helpers of a test may fail it.
#![allow(clippy::unwrap_used)]
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn rrun(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rrun"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    rrun(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("rrun-cli-{name}-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn an_error_is_one_log_line_on_stderr() {
    let output = run(&["--root", "/nonexistent/rrun", "list"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.starts_with("time=\"") && text.contains("\" level=error msg=\""), "{text}");
    assert_eq!(text.lines().count(), 1);
    assert!(stdout(&output).is_empty());
}

#[test]
fn with_a_log_file_stderr_has_the_plain_message_and_the_file_the_record() {
    let dir = Dir::new("log");
    let log = dir.path("log");
    for _ in 0..2 {
        let output = run(&["--log", &log, "--log-format", "json", "state", "../x"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("invalid container ID format"));
        assert!(!stderr(&output).contains("level"));
    }
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().count(), 2, "appended: {text}");
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["level"], "error");
        assert!(record["msg"].as_str().unwrap().contains("invalid container ID format"));
        assert!(record["time"].is_string());
    }
}

#[test]
fn a_log_file_that_cannot_be_opened_is_an_error() {
    let output = run(&["--log", "/nonexistent/dir/log", "list"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nonexistent/dir/log"), "{}", stderr(&output));
}

#[test]
fn exit_codes_are_those_of_runc() {
    for (args, code) in [
        (&["--version"][..], 0),
        (&["--help"], 0),
        (&[], 0),
        (&["features"], 0),
        (&["completions", "bash"], 0),
        (&["nope"], 1),
        (&["exec"], 1),
        // An error of exec's own is 255, to be told from statuses of the process.
        (&["exec", "", "true"], 255),
        (&["exec", "../x", "true"], 255),
        (&["update", "--help"], 0),
        (&["update", "--memory", "1", "c1"], 1),
        (&["checkpoint", "c1"], 1),
        (&["restore", "c1"], 1),
        (&["events", "c1"], 1),
    ] {
        assert_eq!(run(args).status.code(), Some(code), "{args:?}");
    }
}

#[test]
fn spec_writes_a_bundle_once() {
    let dir = Dir::new("spec");
    let bundle = dir.path("");
    assert!(run(&["spec", "--bundle", &bundle]).status.success());
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path("config.json")).unwrap()).unwrap();
    assert_eq!(config["process"]["args"][0], "sh");
    let again = run(&["spec", "--bundle", &bundle]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("exists. Remove it first"));
}

#[test]
fn a_reader_that_leaves_is_no_error_and_a_full_device_is() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = rrun(&["features"]).stdout(writer).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));

    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = rrun(&["features"]).stdout(full.try_clone().unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("write to stdout"));

    let output = rrun(&["--root", "/nonexistent", "list"]).stderr(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "no panic when stderr is full");
}
