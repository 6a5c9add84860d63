//! A service manager that waits to hear of readiness: sd_notify(3), through the runtime.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use rrun_tests::{Bundle, Lab};
use serde_json::json;

use crate::leftovers;

/// The manager's socket, and what comes in until it has acknowledged.
struct Manager {
    path: PathBuf,
    heard: JoinHandle<Vec<String>>,
}

impl Manager {
    fn new(lab: &Lab) -> Self {
        let path = lab.folder().join("manager.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let heard = std::thread::spawn(move || {
            let (mut heard, mut text) = (Vec::new(), [0; 1000]);
            // Read without room for a descriptor, the barrier's pipe is closed by the kernel.
            while heard.last().is_none_or(|last| last != "BARRIER=1") {
                match socket.recv(&mut text) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Ok(length) => heard.push(String::from_utf8_lossy(&text[..length]).into_owned()),
                    Err(error) => heard.push(format!("BARRIER=1 did not come: {error}")),
                }
                if heard.len() > 3 {
                    break;
                }
            }
            heard
        });
        Self { path, heard }
    }

    fn of(&self, lab: &Lab, args: &[&str]) -> Command {
        let mut command = lab.rrun_command(args);
        command.env("NOTIFY_SOCKET", &self.path);
        command
    }

    fn heard(self) -> Vec<String> {
        self.heard.join().unwrap()
    }
}

fn bundle(lab: &Lab, script: &str) -> Bundle {
    lab.bundle("b").script(script)
}

#[test]
fn start_returns_when_the_container_is_ready() {
    let lab = Lab::new();
    let before = lab.still();
    let manager = Manager::new(&lab);
    let script = "env | grep NOTIFY; stat -c %a $NOTIFY_SOCKET; echo x 2>/dev/null > /run/notify/x \
                  || echo read-only; sleep 0.3; probe notify STATUS=up WATCHDOG=1 READY=1; sleep 1000";
    let bundle = bundle(&lab, script);
    let created = lab.run(&mut manager.of(&lab, &["create", "--bundle", bundle.arg(), "c"])).ok();
    lab.run(&mut manager.of(&lab, &["start", "c"])).ok();
    assert_eq!(
        created.stdout(),
        "NOTIFY_SOCKET=/run/notify/notify.sock\n777\nread-only\n",
        "{created}"
    );
    let pid = lab.state("c")["pid"].to_string();
    assert_eq!(manager.heard(), ["READY=1\n", &format!("MAINPID={pid}\n"), "BARRIER=1"]);
    // A later process is not the one whose readiness counts.
    let env = lab.rrun(["exec", "c", "env"]).ok().stdout();
    assert!(!env.contains("NOTIFY_SOCKET"), "{env}");
    lab.rrun(["delete", "--force", "c"]).ok();
    leftovers(&lab, &before);
}

#[test]
fn in_the_foreground_the_runtime_is_what_the_manager_watches() {
    let lab = Lab::new();
    let before = lab.still();
    let manager = Manager::new(&lab);
    let bundle = bundle(&lab, "probe notify READY=1; read x < /hold; exit 7");
    assert!(Command::new("mkfifo").arg(bundle.rootfs("/hold")).status().unwrap().success());
    let mut run =
        lab.spawn(&mut manager.of(&lab, &["run", "--bundle", bundle.arg(), "c"])).unwrap();
    let outer = run.id();
    let heard = manager.heard();
    let [ready, main, barrier] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((ready.as_str(), barrier.as_str()), ("READY=1\n", "BARRIER=1"));
    let main = main.trim().strip_prefix("MAINPID=").unwrap().parse().unwrap();
    assert_eq!(lab.outer_pid(main), Some(outer));
    fs::write(bundle.rootfs("/hold"), "x\n").unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(7));
    leftovers(&lab, &before);
}

#[test]
fn a_container_that_ends_without_a_word_is_not_waited_for() {
    let lab = Lab::new();
    let before = lab.still();
    let bundle = bundle(&lab, "exit 3");
    // Nobody listens there either.
    for (args, code) in [(&["run"][..], 3), (&["run", "--detach"], 0)] {
        let mut args = args.to_vec();
        args.extend(["--bundle", bundle.arg(), "c"]);
        let mut command = lab.rrun_command(args);
        let ran = lab.run(command.env("NOTIFY_SOCKET", lab.folder().join("nobody")));
        assert_eq!(ran.code(), code, "{ran}");
    }
    lab.rrun(["delete", "c"]).ok();
    leftovers(&lab, &before);
}

#[test]
fn a_manager_that_is_not_there_does_not_keep_a_container_from_running() {
    let lab = Lab::new();
    let bundle = bundle(&lab, "probe notify READY=1; sleep 1000");
    let mut command = lab.rrun_command(["run", "--detach", "--bundle", bundle.arg(), "c"]);
    let ran = lab.run(command.env("NOTIFY_SOCKET", "/nonexistent/socket")).ok();
    assert!(ran.stderr().contains("notify /nonexistent/socket"), "{ran}");
    assert_eq!(lab.status("c").as_deref(), Some("running"));
}

#[test]
fn hooks_find_the_folder_and_of_run_the_socket() {
    let lab = Lab::new();
    let seen = lab.folder().join("seen");
    let bundle = bundle(&lab, "probe notify READY=1");
    let look = format!("ls {}/run/notify > {}", bundle.rootfs("").display(), seen.display());
    let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", look]}]);
    let bundle = bundle.edit(|spec| spec["hooks"] = json!({"createContainer": hook}));
    let manager = Manager::new(&lab);
    lab.run(&mut manager.of(&lab, &["create", "--bundle", bundle.arg(), "c"])).ok();
    assert_eq!(fs::read_to_string(&seen).unwrap(), "");
    lab.rrun(["delete", "--force", "c"]).ok();
    lab.run(&mut manager.of(&lab, &["run", "--bundle", bundle.arg(), "c"])).ok();
    assert_eq!(fs::read_to_string(&seen).unwrap(), "notify.sock\n");
    assert_eq!(manager.heard().len(), 3);
}
