//! Checkpoint and restore through CRIU, with the network that rrun made.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rrun_tests::skip::{Need, can};
use rrun_tests::wire::{From, HOST, OTHER};
use rrun_tests::{Bundle, Lab, Process, Snapshot, eventually, spec};
use serde_json::{Value, json};

use crate::network::{address, remove};

/// A lab on a LAN, or nothing where there is no CRIU that could do it.
fn lab(test: &str) -> Option<Lab> {
    if !can(test, Need::Criu) {
        return None;
    }
    crate::network::lab(test)
}

/// What is there with a bridge that nobody is on, and with what CRIU has found out about the kernel, which it
/// keeps below `/run`.
fn warmed(lab: &Lab) -> Snapshot {
    lab.sh("criu check >criu.log 2>&1 || true").ok();
    crate::network::warmed(lab)
}

/// Runs the runtime to its end without streams of the host's: CRIU takes no files of outside along.
#[track_caller]
fn quietly(lab: &Lab, args: &[&str]) {
    let log = lab.folder().join("quiet.log");
    let _ = std::fs::remove_file(&log);
    let mut command = lab.rrun_command(["--log", log.to_str().unwrap()]);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = lab.spawn(&mut command).unwrap().wait().unwrap();
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    assert!(status.success(), "{args:?}: {status}\n{said}");
}

/// A container that answers `name` on port 80, keeps a connection on port 81 and counts in its memory.
fn bundle(lab: &Lab, name: &str) -> Bundle {
    lab.bundle(name).edit(|spec| spec["root"]["readonly"] = json!(false)).script(&format!(
        "probe serve tcp 0.0.0.0:80 {name} & busybox nc -ll -p 81 -e cat &
         n=0; while :; do n=$((n+1)); echo $n > /count; sleep 0.05; done"
    ))
}

fn count(bundle: &Bundle) -> u64 {
    let text = std::fs::read_to_string(bundle.rootfs("/count")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

fn run(lab: &Lab, bundle: &Bundle, id: &str, flags: &[&str]) {
    let mut args = vec!["run", "-d"];
    args.extend(flags);
    args.extend(["--bundle", bundle.arg(), id]);
    quietly(lab, &args);
}

fn images(lab: &Lab) -> String {
    lab.folder().join("images").to_str().unwrap().to_owned()
}

fn network_of(lab: &Lab, id: &str) -> Value {
    let mut network = lab.state(id)["network"].clone();
    // Another cable.
    network.as_object_mut().unwrap().remove("veth");
    network
}

/// A connection from the other host, line by line.
struct Connection {
    process: Process,
    lines: Receiver<String>,
}

impl Connection {
    fn open(lab: &Lab, port: u16) -> Self {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", "lan", "/bin/busybox", "nc", HOST, &port.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = lab.spawn(&mut command).unwrap();
        let stdout = process.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines();
            while lines.next().and_then(Result::ok).is_some_and(|line| sender.send(line).is_ok()) {}
        });
        Self { process, lines }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    #[track_caller]
    fn hear(&self, line: &str) {
        let heard = self.lines.recv_timeout(Duration::from_secs(20));
        assert_eq!(heard.as_deref(), Ok(line));
    }
}

#[test]
fn a_restored_container_has_its_address_ports_and_connections() {
    let Some(lab) = lab("a_restored_container_has_its_address_ports_and_connections") else {
        return;
    };
    let before = warmed(&lab);
    let bundle = bundle(&lab, "web");
    let flags =
        ["--net=bridge", "-p", "8080:80", "-p", "8081:81", "-p", "80", "--add-host=db:1.2.3.4"];
    run(&lab, &bundle, "web", &flags);
    let at = format!("tcp {HOST}:8080");
    assert_eq!(lab.wait_answer(From::Lan, &at), format!("web {OTHER}"));
    let network = network_of(&lab, "web");
    let mut connection = Connection::open(&lab, 8081);
    connection.say("before");
    connection.hear("before");

    let images = images(&lab);
    lab.rrun(["checkpoint", "--image-path", &images, "web"]).refused_with("--tcp-established");
    assert_eq!(lab.status("web").as_deref(), Some("running"));
    lab.rrun(["checkpoint", "--image-path", &images, "--tcp-established", "web"]).ok();
    assert_eq!(lab.status("web"), None, "a container is gone after its checkpoint");
    let connected = lab.rrun(["net", "map", "--format", "json"]).ok().stdout();
    assert!(!connected.contains("web"), "its address is free: {connected}");
    assert!(lab.ask_with(From::Lan, &at, &["--timeout", "300"]).is_err(), "its ports are closed");
    let counted = count(&bundle);
    assert!(counted > 0);
    // What is sent now comes again and again, also while the restored container has its address but no sockets yet.
    connection.say("during");
    let hook = json!({"path": "/bin/sleep", "args": ["sleep", "2"]});
    let bundle = bundle.edit(|spec| spec["hooks"] = json!({"createRuntime": [hook]}));

    let mut restore = vec!["restore", "-d", "--image-path", &images, "--tcp-established"];
    restore.extend(["--bundle", bundle.arg(), "web"]);
    quietly(&lab, &restore);
    assert_eq!(lab.status("web").as_deref(), Some("running"));
    assert_eq!(network_of(&lab, "web"), network);
    connection.hear("during");
    connection.say("after");
    connection.hear("after");
    assert_eq!(lab.wait_answer(From::Lan, &at), format!("web {OTHER}"));
    assert!(eventually(Duration::from_secs(5), || count(&bundle) > counted), "it goes on");
    let hosts = lab.rrun(["exec", "web", "cat", "/etc/hosts"]).ok().stdout();
    assert!(hosts.contains("1.2.3.4\tdb"), "{hosts}");
    drop(connection);
    remove(&lab, &["web"]);
    lab.assert_back_to(&before);
}

#[test]
fn connections_may_come_back_closed() {
    let Some(lab) = lab("connections_may_come_back_closed") else { return };
    let before = warmed(&lab);
    let bundle = bundle(&lab, "web");
    run(&lab, &bundle, "web", &["--net=bridge", "-p", "8081:81"]);
    let mut connection = Connection::open(&lab, 8081);
    connection.say("before");
    connection.hear("before");
    let images = images(&lab);
    lab.rrun(["checkpoint", "--image-path", &images, "--tcp-established", "web"]).ok();
    let restore =
        ["restore", "-d", "--image-path", &images, "--tcp-close", "--bundle", bundle.arg(), "web"];
    quietly(&lab, &restore);
    // It may have heard of the end already, and be gone.
    let _ = writeln!(connection.process.stdin.as_mut().unwrap(), "after");
    let heard = connection.lines.recv_timeout(Duration::from_secs(20));
    assert!(matches!(heard, Err(std::sync::mpsc::RecvTimeoutError::Disconnected)), "{heard:?}");
    let mut another = Connection::open(&lab, 8081);
    another.say("new");
    another.hear("new");
    drop((connection, another));
    remove(&lab, &["web"]);
    lab.assert_back_to(&before);
}

#[test]
fn an_address_or_a_port_that_is_taken_meanwhile_is_an_error_by_name() {
    let Some(lab) = lab("an_address_or_a_port_that_is_taken_meanwhile_is_an_error_by_name") else {
        return;
    };
    let before = warmed(&lab);
    // It goes on after the checkpoint, so it must not change files that it has open there.
    let bundle = crate::network::server(&lab, "web");
    run(&lab, &bundle, "web", &["--net=bridge", "-p", "8080:80"]);
    let taken = address(&lab, "web").unwrap();
    let images = images(&lab);
    lab.rrun(["checkpoint", "--image-path", &images, "--leave-running", "web"]).ok();
    assert_eq!(lab.status("web").as_deref(), Some("running"));
    let restore = ["restore", "-d", "--image-path", &images, "--bundle", bundle.arg(), "again"];
    lab.rrun(restore).refused(1, &[&taken, "already in use"]);
    assert_eq!(lab.wait_answer(From::Lan, &format!("tcp {HOST}:8080")), format!("web {OTHER}"));
    remove(&lab, &["web"]);

    let other = crate::network::server(&lab, "other");
    run(&lab, &other, "other", &["--net=bridge", "-p", "8080:80"]);
    if address(&lab, "other") != Some(taken) {
        lab.rrun(restore).refused(1, &["port 8080/tcp", "container other"]);
    }
    remove(&lab, &["other"]);
    quietly(&lab, &restore);
    assert_eq!(lab.wait_answer(From::Lan, &format!("tcp {HOST}:8080")), format!("web {OTHER}"));
    remove(&lab, &["again"]);
    lab.assert_back_to(&before);
}

#[test]
fn another_containers_network_is_not_kept() {
    let Some(lab) = lab("another_containers_network_is_not_kept") else { return };
    let before = warmed(&lab);
    let (web, side) = (bundle(&lab, "web"), lab.bundle("side").args(["sleep", "1000"]));
    run(&lab, &web, "web", &["--net=bridge"]);
    run(&lab, &side, "side", &["--net=container:web"]);
    let images = images(&lab);
    lab.rrun(["checkpoint", "--image-path", &images, "side"]).refused(1, &["container:web"]);
    assert_eq!(lab.status("side").as_deref(), Some("running"));
    remove(&lab, &["side", "web"]);
    lab.assert_back_to(&before);
}

/// Where the images of the container `web` are, which ran from this bundle with these flags.
fn checkpointed(lab: &Lab, bundle: &Bundle, flags: &[&str]) -> String {
    run(lab, bundle, "web", flags);
    let images = images(lab);
    lab.rrun(["checkpoint", "--image-path", &images, "web"]).ok();
    images
}

/// A checkpoint of `web` with a network, with `hook` as its createRuntime hook from now on.
fn checkpointed_with_hook(lab: &Lab, hook: Value) -> (Bundle, String) {
    let bundle = bundle(lab, "web");
    let images = checkpointed(lab, &bundle, &["--net=bridge", "-p", "8080:80"]);
    (bundle.edit(|spec| spec["hooks"] = json!({"createRuntime": [hook]})), images)
}

#[test]
fn a_restore_that_fails_leaves_nothing() {
    let Some(lab) = lab("a_restore_that_fails_leaves_nothing") else { return };
    let before = warmed(&lab);
    let (bundle, images) = checkpointed_with_hook(&lab, json!({"path": "/bin/false"}));
    let at = bundle.arg().to_owned();
    let restore = ["restore", "-d", "--image-path", &images, "--bundle", &at, "web"];
    lab.rrun(restore).refused(1, &["createRuntime hook #0", "exit status 1"]);
    lab.assert_back_to(&before);
    let bundle = bundle.edit(|spec| spec["hooks"] = Value::Null);
    // The heart of one of the processes is missing.
    std::fs::remove_file(Path::new(&images).join("core-1.img")).unwrap();
    let ran = lab.rrun(restore);
    assert_eq!(ran.code(), 1, "{ran}");
    assert!(ran.stderr().contains("restore.log"), "{ran}");
    assert!(bundle.rootfs("/bin/busybox").exists());
    lab.assert_back_to(&before);
}

#[test]
fn a_restore_killed_half_way_is_deleted_and_the_rootfs_is_not() {
    let Some(lab) = lab("a_restore_killed_half_way_is_deleted_and_the_rootfs_is_not") else {
        return;
    };
    let before = warmed(&lab);
    let hook = json!({"path": "/bin/sleep", "args": ["sleep", "1000"]});
    let (bundle, images) = checkpointed_with_hook(&lab, hook);
    let mut command = lab.rrun_command(["restore", "-d", "--image-path", &images]);
    command.args(["--bundle", bundle.arg(), "web"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut restore = lab.spawn(&mut command).unwrap();
    lab.wait_status("web", "creating");
    let mut hooked = || lab.sh("pgrep -x sleep || true").stdout().lines().count() > 0;
    assert!(eventually(Duration::from_secs(10), &mut hooked), "the hook does not run");
    restore.kill().unwrap();
    restore.wait().unwrap();
    lab.rrun(["delete", "--force", "web"]).ok();
    assert!(bundle.rootfs("/bin/busybox").exists());
    lab.assert_back_to(&before);
}

fn sleeping(lab: &Lab, name: &str) -> Bundle {
    lab.bundle(name).args(["sleep", "1000"])
}

#[test]
fn images_lead_into_no_namespace_that_the_config_does_not_name() {
    let Some(lab) = lab("images_lead_into_no_namespace_that_the_config_does_not_name") else {
        return;
    };
    let before = warmed(&lab);
    for kind in ["uts", "ipc"] {
        let bundle = sleeping(&lab, kind).edit(|spec| {
            spec::share(spec, kind);
            spec["hostname"] = Value::Null;
        });
        let images = checkpointed(&lab, &bundle, &[]);
        let bundle = bundle.edit(|spec| {
            spec::push(&mut spec["linux"]["namespaces"], json!({"type": kind}));
        });
        let restore = ["restore", "-d", "--image-path", &images, "--bundle", bundle.arg(), "web"];
        lab.rrun(restore).refused(1, &[&format!("no {kind} namespace of its own")]);
        lab.assert_back_to(&before);
    }
    let bundle = sleeping(&lab, "web");
    let images = checkpointed(&lab, &bundle, &[]);
    let restore = ["restore", "-d", "--image-path", &images, "--bundle", bundle.arg(), "web"];
    for (mode, way_out) in [
        ("host", "the network namespace of config.json must be left out"),
        ("ns:/proc/1/ns/net", "must have the path /proc/1/ns/net"),
        ("container:db", "--net=container:db cannot be restored"),
    ] {
        let kept = json!({"version": 1, "mode": mode}).to_string();
        std::fs::write(Path::new(&images).join("rrun-network.json"), kept).unwrap();
        lab.rrun(restore).refused(1, &["the network of the checkpoint cannot be had", way_out]);
    }
    lab.assert_back_to(&before);
}

#[test]
fn a_terminal_that_the_images_lack_is_an_error() {
    let Some(lab) = lab("a_terminal_that_the_images_lack_is_an_error") else { return };
    let before = warmed(&lab);
    let bundle = sleeping(&lab, "web");
    let images = checkpointed(&lab, &bundle, &[]);
    let bundle = bundle.edit(|spec| spec["process"]["terminal"] = json!(true));
    let restore = ["restore", "--image-path", &images, "--bundle", bundle.arg(), "web"];
    lab.rrun(restore).refused(1, &["process.terminal", "the checkpoint has no terminal"]);
    lab.assert_back_to(&before);
}

#[test]
fn criu_s_log_is_not_written_through_a_link() {
    let Some(lab) = lab("criu_s_log_is_not_written_through_a_link") else { return };
    let before = warmed(&lab);
    let bundle = sleeping(&lab, "web");
    let images = checkpointed(&lab, &bundle, &[]);
    let canary = lab.folder().join("canary");
    std::fs::write(&canary, "host's").unwrap();
    for name in ["restore.log", "stats-restore"] {
        let _ = std::fs::remove_file(Path::new(&images).join(name));
        std::os::unix::fs::symlink(&canary, Path::new(&images).join(name)).unwrap();
    }
    quietly(&lab, &["restore", "-d", "--image-path", &images, "--bundle", bundle.arg(), "web"]);
    assert_eq!(std::fs::read_to_string(&canary).unwrap(), "host's");
    remove(&lab, &["web"]);
    lab.assert_back_to(&before);
}
