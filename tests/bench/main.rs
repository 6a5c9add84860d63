//! `bench [--format table|json]`: rrun beside crun, runc and the bare system calls.
//!
//! Everything runs in one lab whose `/sys/fs/cgroup` carries the v1 hierarchies alone where the host
//! has them, since crun refuses the hybrid layout. The runtimes take turns in every round, so that
//! what else happens on the machine meets all alike. `N` rounds (default 40); `RRUN`, `CRUN` and
//! `RUNC` name the binaries.

// A measurement that cannot go on ends with a message.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod measure;
mod profile;
mod report;

use std::path::{Path, PathBuf};
use std::process::Command;

use rrun_tests::{Lab, runtime, tool};

/// A program under measurement.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Contender {
    /// `rrun`, `crun`, `runc` or `floor`.
    pub(crate) name: String,
    /// Its binary.
    pub(crate) path: PathBuf,
}

/// What the outer process tells the inner one.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Job {
    pub(crate) contenders: Vec<Contender>,
    pub(crate) floor: PathBuf,
    pub(crate) plain: PathBuf,
    pub(crate) filtered: Option<PathBuf>,
    pub(crate) image: Option<PathBuf>,
    pub(crate) folder: PathBuf,
    pub(crate) rounds: usize,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["--format", "table"] => outer("table"),
        ["--format", "json"] => outer("json"),
        ["inner", job, format] => inner(Path::new(job), format),
        _ => panic!("bench [--format table|json]"),
    }
}

/// Prepares a lab and goes on in it.
fn outer(format: &str) {
    let lab = Lab::new();
    let plain = lab.bundle("plain");
    let filtered = profile::docker_default().map(|seccomp| {
        lab.bundle("filtered").edit(|spec| spec["linux"]["seccomp"] = seccomp).path().to_owned()
    });
    let image = Path::new("/usr/bin/podman").exists().then(|| {
        let archive = lab.folder().join("image.tar");
        let rootfs = plain.rootfs("");
        lab.sh(&format!("tar -C {} -cf {} .", rootfs.display(), archive.display())).ok();
        archive
    });
    let job = Job {
        contenders: contenders(),
        floor: tool("floor"),
        plain: plain.path().to_owned(),
        filtered,
        image,
        folder: lab.folder().to_owned(),
        rounds: std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(40),
    };
    let file = lab.folder().join("job.json");
    std::fs::write(&file, serde_json::to_vec(&job).unwrap()).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("inner").arg(&file).arg(format).current_dir(lab.folder());
    let status = lab.spawn(&mut command).unwrap().wait().unwrap();
    assert!(status.success(), "the measurement failed: {status}");
}

fn contenders() -> Vec<Contender> {
    let installed = |name: &str, variable: &str| {
        let named = std::env::var_os(variable).map(PathBuf::from);
        let usual = ["/usr/bin", "/usr/sbin"].map(|folder| Path::new(folder).join(name));
        named
            .or_else(|| usual.into_iter().find(|path| path.exists()))
            .map(|path| Contender { name: name.to_owned(), path })
    };
    let mut all = vec![Contender { name: "rrun".into(), path: runtime() }];
    all.extend(installed("crun", "CRUN"));
    all.extend(installed("runc", "RUNC"));
    all
}

/// In the lab: measures and reports.
fn inner(job: &Path, format: &str) {
    let job: Job = serde_json::from_slice(&std::fs::read(job).unwrap()).unwrap();
    let load_before = report::load();
    let results = measure::all(&job);
    let report = report::Report::new(&job, load_before, results);
    match format {
        "json" => println!("{}", serde_json::to_string_pretty(&report).unwrap()),
        _ => print!("{report}"),
    }
}
