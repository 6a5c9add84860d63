//! One runtime runs one case, and all that is seen of it becomes a list of lines.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rrun_tests::tty::Foreground;
use rrun_tests::{Bundle, Ran, eventually, sys};

use crate::case::{Case, Way};
use crate::exec::Exec;
use crate::machine::{HOOKS, Machine, ROOT, Runtime};
use crate::normalise::{Names, error_lines};
use crate::outside;

/// The witness's last line.
const END: &str = "end of report";
/// How long a witness may take.
const LIMIT: Duration = Duration::from_secs(20);

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) lines: Vec<String>,
    /// The container's own process said all that it had to say.
    pub(crate) ran: bool,
    /// What the runtime said when it refused.
    pub(crate) refusal: Option<String>,
}

/// A run in progress.
struct Drive<'a> {
    machine: &'a Machine,
    runtime: &'a Runtime,
    case: &'a Case,
    bundle: Bundle,
    names: Names,
    report: Report,
}

/// Runs `case` under `runtime` from a fresh bundle, and leaves the machine as it was.
pub(crate) fn observe(machine: &Machine, runtime: &Runtime, case: &Case) -> Report {
    let bundle = machine.bundle(case);
    let names = Names::new(machine, runtime);
    let mut drive = Drive { machine, runtime, case, bundle, names, report: Report::default() };
    let at = drive.bundle.path().display().to_string();
    if case.shared {
        machine.lab.sh(&format!("mount --bind {at} {at}; mount --make-shared {at}")).ok();
    }
    match case.way {
        Way::Run => drive.run(),
        Way::Life => drive.live(),
    }
    drive.hooks();
    drive.clean_up();
    if case.shared {
        machine.lab.sh(&format!("umount -l {at}")).ok();
    }
    drive.report
}

impl Drive<'_> {
    fn say(&mut self, line: impl Into<String>) {
        self.report.lines.push(line.into());
    }

    fn command(&self, verb: &[&str]) -> Command {
        let mut command = Command::new(&self.runtime.path);
        command.args(["--root", ROOT]).args(verb).current_dir(self.machine.lab.folder());
        // A hook without an environment of its own may be given the runtime's.
        command.env_clear().envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("HOST", "yes")]);
        command
    }

    /// `create` or `run` with what the case wants of them.
    fn making(&self, verb: &str) -> Command {
        let mut command = self.command(&[verb, "--bundle", self.bundle.arg()]);
        command.args(&self.case.flags);
        if self.case.preserved > 0 {
            command.args(["--preserve-fds", &self.case.preserved.to_string()]);
        }
        if self.case.listening > 0 {
            command.env("LISTEN_FDS", self.case.listening.to_string());
        }
        for number in 0..self.case.preserved + self.case.listening {
            let file = self.machine.lab.folder().join("passed");
            let mut file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .read(true)
                .open(file)
                .expect("file to pass");
            file.write_all(b"0123456789")
                .and_then(|()| file.seek(std::io::SeekFrom::Start(number.into())))
                .expect("fill the file");
            sys::pass_fd(&mut command, OwnedFd::from(file), 3 + number.cast_signed());
        }
        command.arg("c");
        command
    }

    fn ended(&mut self, phase: &str, ran: &Ran) -> bool {
        self.say(format!("{phase}: code {}", ran.code()));
        let lines = error_lines(&self.names.paths(&ran.stderr()));
        for line in &lines {
            self.say(format!("{phase}: error: {line}"));
        }
        if ran.code() != 0 && self.report.refusal.is_none() {
            self.report.refusal = Some(lines.join("\n"));
        }
        ran.code() == 0
    }

    fn witness(&mut self, phase: &str, text: &str) {
        let lines = self.names.report(text);
        let end = lines.iter().any(|line| line == END);
        if phase == "init" {
            self.report.ran = end;
        }
        for line in lines {
            self.say(format!("{phase}: {line}"));
        }
    }

    fn run(&mut self) {
        let ran = self.machine.lab.run(&mut self.making("run"));
        self.witness("init", &ran.stdout());
        self.ended("run", &ran);
        if self.report.ran {
            self.report.refusal = None;
        }
    }

    fn live(&mut self) {
        let created = self.machine.lab.run(&mut self.making("create"));
        if !self.ended("create", &created) {
            return;
        }
        let pid = self.state("created");
        self.cgroups("created");
        let started = self.machine.lab.run(&mut self.command(&["start", "c"]));
        let outer = pid.and_then(|pid| self.machine.lab.outer_pid(pid));
        let alive = || outer.is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists());
        if self.ended("start", &started) {
            let done = eventually(LIMIT, || created.stdout().contains(END) || !alive());
            assert!(done, "the witness hangs (seed {}): {created}", self.case.seed);
            self.witness("init", &created.stdout());
            self.cgroups("running");
        }
        if self.report.ran {
            self.state("running");
            for number in 0..self.case.execs.len() {
                self.exec(number);
            }
            let killed = self.machine.lab.run(&mut self.command(&["kill", "c", "KILL"]));
            self.ended("kill", &killed);
        }
        eventually(LIMIT, || !alive());
        self.state("ended");
        let deleted = self.machine.lab.run(&mut self.command(&["delete", "c"]));
        self.ended("delete", &deleted);
    }

    fn state(&mut self, phase: &str) -> Option<i64> {
        let ran = self.machine.lab.run(&mut self.command(&["state", "c"]));
        let lines = self.names.state(&ran.stdout());
        for line in lines {
            self.say(format!("state {phase}: {line}"));
        }
        let state: serde_json::Value = serde_json::from_str(&ran.stdout()).ok()?;
        state["pid"].as_i64()
    }

    fn cgroups(&mut self, phase: &str) {
        for line in outside::cgroups(&self.machine.lab) {
            self.say(format!("cgroup {phase}: {line}"));
        }
    }

    fn exec(&mut self, number: usize) {
        let Exec { flags, command, process, terminal, fails } = &self.case.execs[number];
        let phase = format!("exec {number}");
        let mut exec = self.command(&["exec"]);
        if let Some(process) = process {
            let file = self.machine.lab.folder().join("process.json");
            fs::write(&file, process.to_string()).expect("process.json");
            exec.arg("--process").arg(file);
        }
        exec.args(flags).arg("c").args(command);
        if *terminal {
            let mut foreground = Foreground::start(&self.machine.lab, &mut exec, 80, 25);
            let code = foreground.wait();
            // What was written last may come after the end of the writer.
            eventually(Duration::from_secs(2), || {
                foreground.screen.text().contains(END) || code != 42
            });
            let text = foreground.screen.text().replace("\r\n", "\n");
            self.witness(&phase, &text);
            self.say(format!("{phase}: code {code}"));
            return;
        }
        let ran = self.machine.lab.run(&mut exec);
        self.witness(&phase, &ran.stdout());
        let refused = self.report.refusal.take();
        self.ended(&phase, &ran);
        let said = std::mem::replace(&mut self.report.refusal, refused);
        if let Some(names) = fails {
            let named =
                said.is_some_and(|said| said.to_lowercase().contains(&names.to_lowercase()));
            self.say(format!("{phase}: names {names:?}: {named}"));
        }
    }

    fn hooks(&mut self) {
        let files = [
            ("hooks", self.machine.lab.outside(HOOKS)),
            ("inner hooks", self.bundle.path().join("outbox/hooks")),
        ];
        for (phase, path) in files {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let lines = self.names.hooks(&text);
            for line in lines {
                self.say(format!("{phase}: {line}"));
            }
            // Most cases have none.
            let _ = fs::remove_file(path);
        }
    }

    /// Whatever is left is told, and removed.
    fn clean_up(&mut self) {
        self.machine.lab.run(&mut self.command(&["delete", "--force", "c"]));
        for line in outside::files(self.bundle.path()) {
            let line = self.names.paths(&line);
            self.say(format!("bundle: {line}"));
        }
        for line in outside::left_behind(self.machine) {
            let line = self.names.paths(&line);
            self.say(format!("left behind: {line}"));
        }
        outside::sweep(self.machine);
    }
}
