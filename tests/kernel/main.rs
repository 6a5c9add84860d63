//! Tests that run containers on this kernel, each in a lab of its own.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attacks;
mod checkpoint;
mod confinement;
mod exposure;
mod faults;
mod hooks;
mod input;
mod lifecycle;
mod limits;
mod network;
mod notify;
mod process;
mod terminal;

use std::time::Duration;

use rrun_tests::{Lab, Snapshot, eventually};

/// Nothing is left but the root folder that the first container made, and its cache of filters.
#[track_caller]
fn leftovers(lab: &Lab, before: &Snapshot) {
    let root = ["file /run/rrun", "file /run/runc", "file /run/crun"];
    let left = |after: &Snapshot| -> Vec<String> {
        let more = after.since(before).into_iter();
        more.filter(|line| !root.contains(line) && !line.contains("/.seccomp"))
            .map(str::to_owned)
            .collect()
    };
    // The kernel takes a namespace's links down a moment after its last process ended.
    let mut after = lab.snapshot();
    eventually(Duration::from_secs(5), || {
        after = lab.snapshot();
        left(&after).is_empty() && before.since(&after).is_empty()
    });
    assert!(left(&after).is_empty(), "left behind:\n  {}", left(&after).join("\n  "));
    let lost = before.since(&after);
    assert!(lost.is_empty(), "lost:\n  {}", lost.join("\n  "));
}

/// Waits until `output` holds `text`.
#[track_caller]
fn wait_output(output: impl Fn() -> String, text: &str) {
    let came = eventually(Duration::from_secs(20), || output().contains(text));
    assert!(came, "no {text:?} in {:?}", output());
}
