//! containerd's shim over the runtime, driven by `ctr run --runc-binary`.

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use rrun_tests::{Lab, Process, Ran, eventually, runtime};

struct Containerd {
    // Ended before its lab.
    _daemon: Process,
    lab: Lab,
}

const SOCKET: &str = "/run/ctrd/containerd.sock";
const IMAGE: &str = "localhost/test:busybox";

impl Containerd {
    fn new() -> Self {
        let lab = Lab::new();
        let folder = lab.folder().join("containerd");
        let config = lab.folder().join("config.toml");
        std::fs::write(
            &config,
            "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n",
        )
        .unwrap();
        let mut daemon = Command::new("containerd");
        daemon.arg("--config").arg(&config).arg("--root").arg(folder);
        daemon.args(["--state", "/run/ctrd", "--address", SOCKET]);
        let log = File::create(lab.folder().join("containerd.log")).unwrap();
        daemon.stdout(log.try_clone().unwrap()).stderr(log);
        let daemon = lab.spawn(&mut daemon).unwrap();
        let containerd = Self { _daemon: daemon, lab };
        let up = eventually(Duration::from_secs(30), || containerd.ctr(&["version"]).code() == 0);
        assert!(up, "containerd does not answer: {}", containerd.log());
        let archive = crate::image(&containerd.lab);
        let archive = archive.to_str().unwrap();
        containerd.ctr(&["images", "import", "--base-name", "localhost/test", archive]).ok();
        containerd
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.lab.folder().join("containerd.log")).unwrap_or_default()
    }

    fn ctr(&self, args: &[&str]) -> Ran {
        let mut command = Command::new("ctr");
        self.lab.run(command.args(["--address", SOCKET]).args(args).current_dir(self.lab.folder()))
    }

    fn start(&self, flags: &[&str], rest: &[&str]) -> Ran {
        let runtime = runtime();
        let mut args = vec!["run", "--runc-binary", runtime.to_str().unwrap()];
        args.extend(flags);
        args.push(IMAGE);
        args.extend(rest);
        self.ctr(&args)
    }
}

#[test]
fn run_exec_kill_and_remove() {
    let containerd = Containerd::new();
    let before = containerd.lab.snapshot();
    let said = containerd.start(&["--rm"], &["once", "echo", "hello"]).ok();
    assert_eq!(said.stdout(), "hello\n");
    assert_eq!(containerd.start(&["--rm"], &["code", "sh", "-c", "exit 3"]).code(), 3);

    containerd.start(&["--detach"], &["box", "sleep", "1000"]).ok();
    let exec = |script: &str| {
        containerd.ctr(&["tasks", "exec", "--exec-id", "e1", "box", "sh", "-c", script])
    };
    assert_eq!(exec("echo in; id -u").ok().stdout(), "in\n0\n");
    assert_eq!(exec("exit 5").code(), 5);
    let listed = containerd.ctr(&["tasks", "list"]).ok().stdout();
    assert!(listed.contains("RUNNING"), "{listed}");
    containerd.ctr(&["tasks", "pause", "box"]).ok();
    containerd.ctr(&["tasks", "resume", "box"]).ok();
    let processes = containerd.ctr(&["tasks", "ps", "box"]).ok().stdout();
    assert_eq!(processes.lines().count(), 2, "a header and one process: {processes}");
    containerd.ctr(&["tasks", "metrics", "box"]).ok();
    containerd.ctr(&["tasks", "kill", "--signal", "KILL", "box"]).ok();
    let stopped = eventually(Duration::from_secs(10), || {
        containerd.ctr(&["tasks", "list"]).stdout().contains("STOPPED")
    });
    assert!(stopped, "{}", containerd.log());
    containerd.ctr(&["tasks", "delete", "box"]);
    containerd.ctr(&["containers", "delete", "box"]).ok();
    // The shim goes a moment after its last container.
    let seen = || containerd.lab.snapshot();
    eventually(Duration::from_secs(10), || {
        !seen().mentions("containerd-shim").iter().any(|l| l.starts_with("process"))
    });
    crate::nothing_of_containers_left(&before, &seen());
    assert!(
        !seen().mentions("containerd-shim").iter().any(|l| l.starts_with("process")),
        "{}",
        seen()
    );
}

#[test]
fn a_missing_program_is_an_error() {
    let containerd = Containerd::new();
    let before = containerd.lab.snapshot();
    let ran = containerd.start(&["--rm"], &["bad", "there-is-none"]);
    assert_ne!(ran.code(), 0);
    assert!(ran.stderr().contains("executable file not found in $PATH"), "{ran}");
    eventually(Duration::from_secs(10), || {
        !containerd
            .lab
            .snapshot()
            .mentions("containerd-shim")
            .iter()
            .any(|l| l.starts_with("process"))
    });
    crate::nothing_of_containers_left(&before, &containerd.lab.snapshot());
}
