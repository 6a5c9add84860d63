//! What is measured, and how.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::{Contender, Job};

/// One line of the result: a kind of work done by one program.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Series {
    /// The work.
    pub(crate) work: &'static str,
    /// Who did it.
    pub(crate) by: String,
    /// Each round's value, in the work's unit.
    pub(crate) values: Vec<f64>,
    /// `ms`, `KiB` or `calls`.
    pub(crate) unit: &'static str,
}

/// Measures everything, the contenders taking turns in each round.
pub(crate) fn all(job: &Job) -> Vec<Series> {
    let mut results = Results::default();
    let rrun = job.contenders.first().expect("rrun");
    let bridged = succeeds(run_command(rrun, &job.plain, &["--net=bridge", "-p", "8080:80"]));
    if !bridged {
        eprintln!("{} has no --net: the network is not measured", rrun.path.display());
    }
    for round in 0..job.rounds + WARM_UP {
        let keep = round >= WARM_UP;
        let mut take = |work, by: &str, ms| {
            if keep {
                results.add(work, by, ms, "ms");
            }
        };
        for one in &job.contenders {
            take("run /bin/true", &one.name, timed(run_command(one, &job.plain, &[])));
            if let Some(bundle) = &job.filtered {
                take("run, docker's seccomp", &one.name, timed(run_command(one, bundle, &[])));
            }
            take("create+start+delete", &one.name, three_steps(one, &job.plain));
        }
        take("run /bin/true", "floor", timed(floor(job)));
        if bridged {
            let flags = ["--net=bridge", "-p", "8080:80"];
            take("run --net=bridge -p", "rrun", timed(run_command(rrun, &job.plain, &flags)));
        }
    }
    exec(job, &mut results);
    if let (Some(image), true) = (&job.image, bridged) {
        podman(job, image, &mut results);
    }
    once(job, &mut results);
    results.by_work()
}

const WARM_UP: usize = 2;

#[derive(Debug, Default)]
struct Results(Vec<Series>);

impl Results {
    fn add(&mut self, work: &'static str, by: &str, value: f64, unit: &'static str) {
        match self.0.iter_mut().find(|s| s.work == work && s.by == by) {
            Some(series) => series.values.push(value),
            None => {
                self.0.push(Series { work, by: by.to_owned(), values: vec![value], unit });
            }
        }
    }

    /// The series of each kind of work beside one another, in the order in which each began.
    fn by_work(mut self) -> Vec<Series> {
        let order: Vec<&str> = self.0.iter().map(|s| s.work).collect();
        self.0.sort_by_key(|s| order.iter().position(|work| *work == s.work));
        self.0
    }
}

fn run_command(one: &Contender, bundle: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(&one.path);
    command.arg("run").args(flags).arg("--bundle").arg(bundle).arg("bench");
    command
}

fn floor(job: &Job) -> Command {
    let mut command = Command::new(&job.floor);
    command.arg("run").arg(job.plain.join("rootfs")).arg("bench");
    command
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null())
}

fn succeeds(mut command: Command) -> bool {
    quiet(&mut command).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Runs to the end; milliseconds.
fn timed(mut command: Command) -> f64 {
    let start = Instant::now();
    let status = quiet(&mut command).status().expect("run");
    let took = start.elapsed().as_secs_f64() * 1000.0;
    assert!(status.success(), "{command:?}: {status}");
    took
}

fn three_steps(one: &Contender, bundle: &Path) -> f64 {
    let verb = |args: &[&str]| {
        let mut command = Command::new(&one.path);
        command.args(args);
        timed(command)
    };
    let bundle = bundle.to_str().expect("ASCII");
    verb(&["create", "--bundle", bundle, "bench"])
        + verb(&["start", "bench"])
        + verb(&["delete", "--force", "bench"])
}

/// `exec /bin/true` into a container that sleeps, all contenders' at once.
fn exec(job: &Job, results: &mut Results) {
    let bundle = job.folder.join("sleeper");
    std::fs::create_dir(&bundle).expect("bundle");
    let text = std::fs::read_to_string(job.plain.join("config.json")).expect("config.json");
    let mut spec: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    spec["process"]["args"] = serde_json::json!(["sleep", "100000"]);
    spec["root"]["path"] = serde_json::json!(job.plain.join("rootfs"));
    std::fs::write(bundle.join("config.json"), spec.to_string()).expect("config.json");
    let verb = |one: &Contender, args: &[&str]| {
        let mut command = Command::new(&one.path);
        command.args(args);
        command
    };
    let path = bundle.to_str().expect("ASCII");
    for one in &job.contenders {
        timed(verb(one, &["run", "-d", "--bundle", path, &format!("sleeper-{}", one.name)]));
    }
    for round in 0..job.rounds + WARM_UP {
        for one in &job.contenders {
            let id = format!("sleeper-{}", one.name);
            let ms = timed(verb(one, &["exec", &id, "/bin/true"]));
            if round >= WARM_UP {
                results.add("exec /bin/true", &one.name, ms, "ms");
            }
        }
    }
    for one in &job.contenders {
        timed(verb(one, &["delete", "--force", &format!("sleeper-{}", one.name)]));
    }
}

/// The whole of `podman run -p`: what a person waits for without rrun.
fn podman(job: &Job, image: &Path, results: &mut Results) {
    let podman = |args: &[&str]| {
        let mut command = Command::new("podman");
        command.arg("--root").arg(job.folder.join("storage"));
        command.args(["--runroot", "/run/podman-root", "--tmpdir", "/run/podman-tmp"]);
        command.args(["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs"]);
        command.args(["--events-backend", "file", "--network-backend", "netavark"]).args(args);
        command.stderr(Stdio::null());
        command
    };
    let image = image.to_str().expect("ASCII");
    if !succeeds(podman(&["import", image, "bench"]))
        || !succeeds(podman(&["network", "create", "--disable-dns", "bench"]))
    {
        eprintln!("podman does not work here: not measured");
        return;
    }
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"];
    let run = |flags: &[&str]| {
        let args = [&["run", "--rm"][..], &limits, flags, &["bench", "/bin/true"]].concat();
        podman(&args)
    };
    if !succeeds(run(&["--network", "bench", "-p", "8081:80"])) {
        eprintln!("podman run does not work here: not measured");
        return;
    }
    for _ in 0..job.rounds.div_ceil(4) {
        let bridged = timed(run(&["--network", "bench", "-p", "8081:80"]));
        results.add("run --net=bridge -p", "podman", bridged, "ms");
        results.add("run, no network", "podman", timed(run(&["--network", "none"])), "ms");
    }
}

/// Memory and system calls: they do not vary with the load, so a few times are enough.
fn once(job: &Job, results: &mut Results) {
    let mut commands: Vec<(&str, Command)> = job
        .contenders
        .iter()
        .map(|one| (one.name.as_str(), run_command(one, &job.plain, &[])))
        .collect();
    commands.push(("floor", floor(job)));
    for (name, command) in commands {
        for _ in 0..3 {
            let mut rss = Command::new(&job.floor);
            rss.arg("rss").arg(command.get_program()).args(command.get_args());
            let out = rss.stdin(Stdio::null()).output().expect("floor rss");
            let text = String::from_utf8_lossy(&out.stdout);
            if let Some(kib) = text.lines().last().and_then(|line| line.trim().parse().ok()) {
                results.add("peak RSS of run", name, kib, "KiB");
            }
        }
        if let Some(calls) = system_calls(job, &command) {
            results.add("system calls of run", name, calls, "calls");
        }
    }
}

/// The total of `strace -c`, all processes together.
fn system_calls(job: &Job, command: &Command) -> Option<f64> {
    let file = job.folder.join("strace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(&file);
    strace.arg(command.get_program()).args(command.get_args());
    quiet(&mut strace).stderr(Stdio::null()).status().ok()?;
    let text = std::fs::read_to_string(file).ok()?;
    let total = text.lines().rev().find(|line| line.trim_end().ends_with("total"))?;
    // "100.00    0.020462          18      1090        92 total"
    total.split_whitespace().nth(3)?.parse().ok()
}
