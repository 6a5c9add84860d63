//! The same generated configurations under runc and under rrun: what a process sees must be the same.
//!
//! `RUNC=path` names the reference runtime (else `runc` of `PATH`, if it is 1.2 or later), `RRUN` the runtime under test. The seeds are
//! always the same; `RRUN_DIFF_SEED=n` runs a single one, `RRUN_DIFF_COUNT=n` another number of them. `RRUN_DIFF_KEEP=folder`
//! keeps every configuration with both reports there.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod case;
mod compare;
mod dice;
mod drive;
mod exec;
mod explained;
mod hooks;
mod machine;
mod mounts;
mod namespaces;
mod normalise;
mod outside;
mod process;
mod resources;
mod seccomp;
mod verdict;
mod wrong;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use case::Case;
use machine::{Host, Machine, Runtime};
use rrun_tests::skip::skip;
use verdict::{Tally, Verdict};

/// How many seeds a full run has.
const COUNT: u64 = 340;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

fn named_reference() -> Option<PathBuf> {
    std::env::var_os("RUNC").map(PathBuf::from)
}

fn reference() -> PathBuf {
    let folders = std::env::var("PATH").unwrap_or_default();
    let found =
        || folders.split(':').map(|dir| PathBuf::from(dir).join("runc")).find(|p| p.exists());
    let path = named_reference().or_else(found).expect("runc is needed: install it, or set RUNC");
    path.canonicalize().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn a_process_sees_the_same_under_runc_and_rrun() {
    let runtimes = [reference(), rrun_tests::runtime()].map(Runtime::new);
    let host = Host::new(&runtimes[0]);
    if named_reference().is_none() && !host.knows(1, 2) {
        return skip("a_process_sees_the_same_under_runc_and_rrun", "no-runc-1.2");
    }
    let (first, count) = match number("RRUN_DIFF_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("RRUN_DIFF_COUNT").unwrap_or(COUNT)),
    };
    let next = AtomicU64::new(first);
    let tally = Mutex::new(Tally::default());
    let work = || {
        let machine = Machine::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                break;
            }
            let case = Case::new(seed, &host);
            let [reference, rrun] = [0, 1].map(|i| drive::observe(&machine, &runtimes[i], &case));
            let verdict = Verdict::new(&host, &case, &reference, &rrun);
            tally.lock().expect("tally").add(&case, verdict, [&reference, &rrun]);
        }
    };
    std::thread::scope(|scope| {
        let threads =
            std::thread::available_parallelism().map_or(2, |n| n.get().min(4)).min(count as usize);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let tally = tally.into_inner().expect("tally");
    tally.finish(&host, &runtimes, count > 1);
}
