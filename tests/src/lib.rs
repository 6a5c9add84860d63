//! The harness of the tests that need a kernel and root.
//!
//! A [`Lab`] is a small machine made of namespaces: own processes, mounts, network, cgroups, an own
//! `/run`, `/etc` and `/var/lib`. The runtime under test runs inside as it would on a host, with its
//! default folders, and whatever it leaves behind is seen by [`Snapshot`] and dies with the lab.
//!
//! The binary under test is taken from the environment variable `RRUN`, else from the target folder
//! the tests were built in. Any binary with runc's command line can stand in for it.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod bundle;
mod cgroups;
mod lab;
mod ran;
pub mod skip;
mod snapshot;
pub mod spec;
pub mod sys;
pub mod tty;
pub mod wire;

pub use bundle::{Bundle, copy_program};
pub use lab::{Lab, LabOptions, Process};
pub use ran::Ran;
pub use snapshot::Snapshot;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The runtime under test.
///
/// # Panics
/// When neither `RRUN` nor the target folder names a binary: a test run without one is no test.
pub fn runtime() -> PathBuf {
    if let Some(path) = std::env::var_os("RRUN") {
        let path = PathBuf::from(path);
        return path.canonicalize().unwrap_or_else(|e| panic!("RRUN={}: {e}", path.display()));
    }
    let built = target_folder().join("rrun");
    assert!(built.exists(), "{} is missing: cargo build -p rrun, or set RRUN", built.display());
    built
}

/// True where the runtime under test is rrun itself and not a stand-in.
pub fn is_rrun() -> bool {
    runtime().file_name().is_some_and(|name| name.to_string_lossy().starts_with("rrun"))
}

/// A binary of this package that is no test: `probe`, `lab-init`.
pub fn tool(name: &str) -> PathBuf {
    let path = target_folder().join(name);
    assert!(path.exists(), "{} is missing: cargo build -p rrun-tests", path.display());
    path
}

/// `target/<triple>/<profile>`, where cargo put the tests.
fn target_folder() -> PathBuf {
    let exe = std::env::current_exe().expect("own path");
    let folder = exe.parent().expect("own folder");
    if folder.ends_with("deps") { folder.parent().expect("profile folder") } else { folder }
        .to_owned()
}

/// Looks again and again until `seen` is true; false when `limit` has passed without it.
pub fn eventually(limit: Duration, mut seen: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if seen() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
