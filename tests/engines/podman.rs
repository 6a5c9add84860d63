//! `podman --runtime`.

use rrun_tests::wire::From;
use rrun_tests::{Lab, Ran, eventually, runtime};
use std::time::Duration;

struct Podman {
    lab: Lab,
}

impl Podman {
    fn new() -> Self {
        let lab = Lab::new();
        lab.sh("mkdir -p /etc/containers /run/lock").ok();
        let podman = Self { lab };
        let archive = crate::image(&podman.lab);
        podman.run(&["load", "--input", archive.to_str().unwrap()]).ok();
        podman
    }

    fn run(&self, args: &[&str]) -> Ran {
        let storage = self.lab.folder().join("storage");
        let mut command = std::process::Command::new("podman");
        command.arg("--runtime").arg(runtime()).arg("--root").arg(storage);
        command.args(["--runroot", "/run/podman-root", "--tmpdir", "/run/podman-tmp"]);
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]);
        command.args(["--events-backend", "file", "--network-backend", "netavark"]);
        self.lab.run(command.args(args).current_dir(self.lab.folder()))
    }

    /// `podman run`: limits are named, since the default ones need CAP_SYS_RESOURCE.
    fn start(&self, flags: &[&str], command: &[&str]) -> Ran {
        let mut args = vec!["run", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"];
        args.extend(flags);
        args.push(IMAGE);
        args.extend(command);
        self.run(&args)
    }
}

const IMAGE: &str = "localhost/busybox:latest";

#[test]
fn run_exec_stop_and_remove() {
    let podman = Podman::new();
    let before = podman.lab.snapshot();
    let none = ["--network", "none"];
    let said = podman.start(&["--rm", "--network", "none"], &["echo", "hello"]).ok();
    assert_eq!(said.stdout(), "hello\n");
    for code in [0, 3] {
        let exit = format!("exit {code}");
        assert_eq!(podman.start(&["--rm", none[0], none[1]], &["sh", "-c", &exit]).code(), code);
    }
    podman.start(&["-d", "--name", "box", none[0], none[1]], &["sleep", "1000"]).ok();
    assert_eq!(
        podman.run(&["exec", "box", "sh", "-c", "echo in $(hostname | wc -c)"]).ok().stdout(),
        "in 13\n"
    );
    assert_eq!(podman.run(&["exec", "box", "sh", "-c", "exit 5"]).code(), 5);
    let user = podman.run(&["exec", "--user", "user", "box", "id", "-u"]).ok();
    assert_eq!(user.stdout(), "1000\n");
    podman.run(&["pause", "box"]).ok();
    podman.run(&["unpause", "box"]).ok();
    podman.run(&["kill", "--signal", "KILL", "box"]).ok();
    let ended = podman.run(&["wait", "box"]).ok();
    assert_eq!(ended.stdout(), "137\n");
    podman.run(&["start", "box"]).ok();
    podman.run(&["rm", "--force", "--time", "0", "box"]).ok();
    settle(&podman, &before);
}

#[test]
fn exit_codes_126_and_127_are_told_apart() {
    let podman = Podman::new();
    let none = ["--rm", "--network", "none"];
    let missing = podman.start(&none, &["there-is-none"]);
    assert_eq!(missing.code(), 127, "{missing}");
    let denied = podman.start(&none, &["/etc/passwd"]);
    assert_eq!(denied.code(), 126, "{denied}");
}

#[test]
fn a_bridge_of_its_own_and_a_published_port() {
    let podman = Podman::new();
    podman.run(&["network", "create", "--disable-dns", "net"]).ok();
    let before = podman.lab.snapshot();
    let serve = ["probe", "serve", "tcp", "0.0.0.0:80", "web"];
    podman.start(&["-d", "--name", "web", "--network", "net", "-p", "8080:80"], &serve).ok();
    let host = "tcp 127.0.0.1:8080";
    assert!(podman.lab.wait_answer(From::Host, host).starts_with("web "));
    let inside = podman.run(&["exec", "web", "probe", "ask", "tcp", "127.0.0.1:80"]).ok();
    assert!(inside.stdout().starts_with("web "));
    podman.run(&["rm", "--force", "--time", "0", "web"]).ok();
    assert!(podman.lab.ask(From::Host, host).is_err());
    settle(&podman, &before);
}

#[test]
fn a_pod_shares_one_network() {
    let podman = Podman::new();
    let before = podman.lab.snapshot();
    let serve = ["probe", "serve", "tcp", "127.0.0.1:80", "web"];
    podman.start(&["-d", "--name", "web", "--network", "none"], &serve).ok();
    let asked = podman.start(
        &["--rm", "--network", "container:web"],
        &["sh", "-c", "sleep 0.2; probe ask tcp 127.0.0.1:80"],
    );
    assert_eq!(asked.ok().stdout(), "web 127.0.0.1\n");
    podman.run(&["rm", "--force", "--time", "0", "web"]).ok();
    settle(&podman, &before);
}

#[test]
fn a_terminal_comes_through() {
    let podman = Podman::new();
    let ran = podman.start(&["--rm", "-t", "--network", "none"], &["tty"]).ok();
    assert!(ran.stdout().contains("/dev/pts/0"), "{ran}");
}

/// conmon cleans up a moment after podman has answered.
#[track_caller]
fn settle(podman: &Podman, before: &rrun_tests::Snapshot) {
    eventually(Duration::from_secs(10), || {
        podman.lab.snapshot().since(before).iter().all(|line| !line.starts_with("process "))
    });
    crate::nothing_of_containers_left(before, &podman.lab.snapshot());
}
