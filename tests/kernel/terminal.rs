//! Terminals: the console socket, foreground runs on a pty, exec with one, sizes.

use std::io::Write;

use rrun_tests::tty::{ConsoleSocket, Foreground, resize, screen_of};
use rrun_tests::{Bundle, Lab};
use serde_json::json;

fn bundle(lab: &Lab, script: &str) -> Bundle {
    lab.bundle("b").script(script).edit(|spec| spec["process"]["terminal"] = json!(true))
}

#[test]
fn the_console_socket_receives_the_master() {
    let lab = Lab::new();
    let bundle = bundle(&lab, "tty; read line; echo \"said <$line>\"; stty size; sleep 1000")
        .edit(|spec| spec["process"]["consoleSize"] = json!({"width": 97, "height": 31}));
    let path = lab.folder().join("console");
    let socket = ConsoleSocket::listen(&path);
    let socket_arg = path.to_str().unwrap();
    lab.rrun(["create", "--bundle", bundle.arg(), "--console-socket", socket_arg, "c"]).ok();
    let (mut master, _) = socket.receive();
    let screen = screen_of(&master);
    lab.rrun(["start", "c"]).ok();
    screen.wait_for("/dev/pts/0");
    master.write_all(b"hello\n").unwrap();
    screen.wait_for("said <hello>");
    screen.wait_for("31 97");
    let console = lab.rrun(["exec", "c", "stat", "-c", "%F", "/dev/console"]).ok();
    assert_eq!(console.stdout(), "character special file\n");
    lab.rrun(["delete", "-f", "c"]).ok();
}

#[test]
fn a_foreground_run_is_as_interactive_as_a_shell() {
    let lab = Lab::new();
    let bundle = bundle(
        &lab,
        "stty size; trap 'stty size; echo resized' WINCH; echo ready; \
         while :; do read -r line || continue; [ \"$line\" = end ] && exit 4; echo \"said <$line>\"; done",
    );
    let mut command = lab.rrun_command(["run", "--bundle", bundle.arg(), "c"]);
    let mut terminal = Foreground::start(&lab, &mut command, 81, 23);
    terminal.screen.wait_for("ready");
    terminal.screen.wait_for("23 81");
    terminal.keys.write_all(b"one\n").unwrap();
    terminal.screen.wait_for("said <one>");
    resize(&terminal.keys, 120, 40);
    terminal.keys.write_all(b"two\n").unwrap();
    terminal.screen.wait_for("40 120");
    terminal.keys.write_all(b"end\n").unwrap();
    assert_eq!(terminal.wait(), 4, "{}", terminal.screen.text());
    assert_eq!(lab.status("c"), None);
}

#[test]
fn control_c_reaches_the_container_and_the_terminal_is_restored() {
    let lab = Lab::new();
    let bundle = bundle(
        &lab,
        "trap 'echo interrupted; exit 9' INT; echo ready; \
        while :; do sleep 0.02; done",
    );
    // A shell around the runtime shows what the runtime leaves of the terminal's modes.
    let runtime = rrun_tests::runtime();
    let script = format!(
        "stty -g > before; {} run --bundle {} c; echo code $?; stty -g > after; cmp before after && echo same",
        runtime.display(),
        bundle.arg()
    );
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", &script]).current_dir(lab.folder());
    let mut terminal = Foreground::start(&lab, &mut command, 80, 24);
    terminal.screen.wait_for("ready");
    terminal.keys.write_all(b"\x03").unwrap();
    terminal.screen.wait_for("interrupted");
    terminal.wait();
    terminal.screen.wait_for("code 9");
    terminal.screen.wait_for("same");
}

#[test]
fn exec_on_a_terminal_has_one_and_without_has_none() {
    let lab = Lab::new();
    let quiet = lab.bundle("b").args(["sleep", "1000"]);
    lab.rrun(["run", "-d", "--bundle", quiet.arg(), "c"]).ok();
    let mut command = lab.rrun_command(["exec", "-t", "c", "sh", "-c", "tty; stty size; exit 6"]);
    let mut terminal = Foreground::start(&lab, &mut command, 77, 22);
    terminal.screen.wait_for("/dev/pts/");
    terminal.screen.wait_for("22 77");
    assert_eq!(terminal.wait(), 6);
    let none = lab.rrun(["exec", "c", "sh", "-c", "tty"]);
    assert!(none.stdout().contains("not a tty"), "{none}");

    let path = lab.folder().join("console");
    let socket = ConsoleSocket::listen(&path);
    let args = ["exec", "-t", "-d", "--console-socket", path.to_str().unwrap(), "c", "tty"];
    lab.rrun(args).ok();
    let (master, _) = socket.receive();
    screen_of(&master).wait_for("/dev/pts/");
    lab.rrun(["delete", "-f", "c"]).ok();
}

#[test]
fn a_terminal_and_nowhere_to_send_it_is_refused() {
    let lab = Lab::new();
    let before = lab.snapshot();
    let bundle = bundle(&lab, "true");
    assert_eq!(lab.rrun(["create", "--bundle", bundle.arg(), "c"]).code(), 1);
    assert_eq!(lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).code(), 1);
    crate::leftovers(&lab, &before);
    let quiet = lab.bundle("q");
    let path = lab.folder().join("console");
    let _socket = ConsoleSocket::listen(&path);
    let args = ["create", "--bundle", quiet.arg(), "--console-socket", path.to_str().unwrap(), "c"];
    assert_eq!(lab.rrun(args).code(), 1, "a console socket without a terminal");
    crate::leftovers(&lab, &before);
}
