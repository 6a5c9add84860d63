//! Tests that run containers on this kernel, each in a lab of its own.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attacks;
mod confinement;
mod exposure;
mod faults;
mod hooks;
mod input;
mod lifecycle;
mod network;
mod process;
mod terminal;

use std::time::Duration;

use rrun_tests::{Lab, Snapshot, eventually};

/// Nothing is left but the root folder that the first container made, and its cache of filters.
#[track_caller]
fn leftovers(lab: &Lab, before: &Snapshot) {
    let after = lab.snapshot();
    let root = ["file /run/rrun", "file /run/runc", "file /run/crun"];
    let left: Vec<&str> = after
        .since(before)
        .into_iter()
        .filter(|line| !root.contains(line) && !line.contains("/.seccomp"))
        .collect();
    assert!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
    let lost = before.since(&after);
    assert!(lost.is_empty(), "lost:\n  {}", lost.join("\n  "));
}

/// Waits until `output` holds `text`.
#[track_caller]
fn wait_output(output: impl Fn() -> String, text: &str) {
    let came = eventually(Duration::from_secs(20), || output().contains(text));
    assert!(came, "no {text:?} in {:?}", output());
}
