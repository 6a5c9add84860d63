//! create, start, run, exec, kill, pause, ps, list, state, delete: the life of a container.

use rrun_tests::{Lab, eventually};
use serde_json::{Value, json};
use std::time::Duration;

use crate::{leftovers, wait_output};

/// A bundle that sleeps until it is killed.
const SLEEP: [&str; 2] = ["sleep", "1000"];

#[test]
fn run_gives_the_exit_code_of_the_process() {
    let lab = Lab::new();
    let before = lab.snapshot();
    for code in [0, 1, 3, 255] {
        let bundle = lab.bundle(&format!("b{code}")).script(&format!("exit {code}"));
        let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]);
        assert_eq!(ran.code(), code, "{ran}");
        assert_eq!(lab.status("c"), None, "run deletes at the end");
    }
    leftovers(&lab, &before);
}

#[test]
fn a_signal_gives_128_plus_its_number() {
    let lab = Lab::new();
    // With the host's PID namespace the process is not process 1 and dies of its own signal.
    let bundle = lab.bundle("b").script("kill -9 $$");
    let bundle = bundle.edit(|spec| rrun_tests::spec::share(spec, "pid"));
    assert_eq!(lab.rrun(["run", "--bundle", bundle.arg(), "c"]).code(), 137);
}

#[test]
fn output_and_arguments_arrive() {
    let lab = Lab::new();
    let bundle =
        lab.bundle("b").args(["sh", "-c", "echo out \"$@\"; echo err >&2", "x", "a b", "", "ü"]);
    let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok();
    assert_eq!(ran.stdout(), "out a b  ü\n");
    assert_eq!(ran.stderr(), "err\n");
}

#[test]
fn create_start_state_kill_delete() {
    let lab = Lab::new();
    let before = lab.snapshot();
    let bundle = lab.bundle("b").args(SLEEP);
    let pid_file = lab.folder().join("pid");
    lab.rrun(["create", "--bundle", bundle.arg(), "--pid-file", pid_file.to_str().unwrap(), "c"])
        .ok();
    let state = lab.state("c");
    assert_eq!(state["status"], "created");
    assert_eq!(state["id"], "c");
    assert_eq!(state["bundle"], bundle.arg());
    let pid = state["pid"].as_i64().unwrap();
    assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), pid.to_string());
    assert!(lab.outer_pid(pid).is_some(), "init waits");

    lab.rrun(["start", "c"]).ok();
    lab.wait_status("c", "running");
    assert_eq!(lab.state("c")["pid"].as_i64(), Some(pid));
    assert_ne!(lab.rrun(["start", "c"]).code(), 0, "started twice");
    assert_ne!(lab.rrun(["delete", "c"]).code(), 0, "deleted while it runs");

    lab.rrun(["kill", "c", "KILL"]).ok();
    lab.wait_status("c", "stopped");
    assert_ne!(lab.rrun(["kill", "c", "KILL"]).code(), 0, "a stopped container takes no signal");
    lab.rrun(["delete", "c"]).ok();
    assert_ne!(lab.rrun(["delete", "c"]).code(), 0, "deleted twice");
    assert_ne!(lab.rrun(["state", "c"]).code(), 0);
    leftovers(&lab, &before);
}

#[test]
fn delete_force_ends_a_container_in_each_state() {
    let lab = Lab::new();
    let before = lab.snapshot();
    let bundle = lab.bundle("b").args(SLEEP);
    let create = || lab.rrun(["create", "--bundle", bundle.arg(), "c"]).ok();
    create();
    lab.rrun(["delete", "--force", "c"]).ok();
    create();
    lab.rrun(["start", "c"]).ok();
    lab.rrun(["delete", "-f", "c"]).ok();
    create();
    lab.rrun(["start", "c"]).ok();
    lab.rrun(["pause", "c"]).ok();
    lab.rrun(["delete", "-f", "c"]).ok();
    create();
    lab.rrun(["start", "c"]).ok();
    lab.rrun(["kill", "c", "9"]).ok();
    lab.wait_status("c", "stopped");
    lab.rrun(["delete", "-f", "c"]).ok();
    lab.rrun(["delete", "--force", "c"]).ok();
    leftovers(&lab, &before);
}

#[test]
fn signals_by_name_and_number_reach_the_process() {
    let lab = Lab::new();
    let traps = "for s in HUP USR1 USR2 TERM; do trap \"echo got $s\" $s; done; echo ready; \
                 while :; do sleep 0.02; done";
    let bundle = lab.bundle("b").script(traps);
    let ran = lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    wait_output(|| ran.stdout(), "ready");
    let usr2 = "12";
    for (signal, name) in [("HUP", "HUP"), ("SIGUSR1", "USR1"), (usr2, "USR2"), ("term", "TERM")] {
        lab.rrun(["kill", "c", signal]).ok();
        wait_output(|| ran.stdout(), &format!("got {name}"));
    }
    assert_ne!(lab.rrun(["kill", "c", "SIGNOPE"]).code(), 0);
    lab.rrun(["delete", "-f", "c"]).ok();
}

#[test]
fn a_second_container_of_the_same_id_is_refused() {
    let lab = Lab::new();
    let bundle = lab.bundle("b").args(SLEEP);
    lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    let before = lab.snapshot();
    assert_ne!(lab.rrun(["create", "--bundle", bundle.arg(), "c"]).code(), 0);
    assert_ne!(lab.rrun(["run", "--bundle", bundle.arg(), "c"]).code(), 0);
    assert_eq!(lab.status("c").as_deref(), Some("running"), "the first is untouched");
    lab.assert_back_to(&before);
    lab.rrun(["delete", "-f", "c"]).ok();
}

#[test]
fn pause_stops_the_clock_and_resume_starts_it() {
    let lab = Lab::new();
    let bundle = lab.bundle("b").script("i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done");
    let ran = lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    wait_output(|| ran.stdout(), "3\n");
    lab.rrun(["pause", "c"]).ok();
    assert_eq!(lab.status("c").as_deref(), Some("paused"));
    let held = ran.stdout();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(ran.stdout(), held, "a paused container wrote");
    assert_ne!(lab.rrun(["exec", "c", "true"]).code(), 0, "exec into a paused container");
    lab.rrun(["resume", "c"]).ok();
    assert!(eventually(Duration::from_secs(10), || ran.stdout().len() > held.len()));
    assert_eq!(lab.status("c").as_deref(), Some("running"));
    lab.rrun(["delete", "-f", "c"]).ok();
}

#[test]
fn exec_runs_in_the_container_and_gives_its_code() {
    let lab = Lab::new();
    let bundle = lab.bundle("b").args(SLEEP);
    lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    let host = lab.rrun(["exec", "c", "hostname"]).ok();
    assert_eq!(host.stdout(), "box\n");
    assert_eq!(lab.rrun(["exec", "c", "sh", "-c", "exit 5"]).code(), 5);
    assert_eq!(lab.rrun(["exec", "c", "sh", "-c", "kill -9 $$"]).code(), 137);
    let env =
        lab.rrun(["exec", "--env", "A=b c", "--cwd", "/tmp", "c", "sh", "-c", "echo $A $PWD"]);
    assert_eq!(env.ok().stdout(), "b c /tmp\n");
    // Go's spellings, and its end of flags, which one may write after the id.
    let spelled = ["exec", "-env=A=b", "-cwd", "/tmp", "--tty=false", "c", "--"];
    let env = lab.rrun(spelled.iter().chain(&["sh", "-c", "echo $A $PWD"])).ok();
    assert_eq!(env.stdout(), "b /tmp\n");
    let user = lab.rrun(["exec", "--user", "1000:1000", "c", "id", "-u"]).ok();
    assert_eq!(user.stdout(), "1000\n");
    let same = lab.rrun([
        "exec",
        "c",
        "sh",
        "-c",
        "for n in pid net ipc uts mnt cgroup; do \
        [ $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) ] || echo $n differs; done",
    ]);
    assert_eq!(same.ok().stdout(), "");
    lab.rrun(["delete", "-f", "c"]).ok();
}

#[test]
fn exec_of_a_process_file_and_detached_with_a_pid_file() {
    let lab = Lab::new();
    let bundle = lab.bundle("b").args(SLEEP);
    lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    let process = lab.folder().join("process.json");
    let text = json!({"terminal": false, "user": {"uid": 1000, "gid": 1000}, "cwd": "/tmp",
        "args": ["sh", "-c", "id -u; pwd; exec sleep 1000"], "env": ["PATH=/bin"]});
    std::fs::write(&process, text.to_string()).unwrap();
    let pid_file = lab.folder().join("exec.pid");
    let ran = lab
        .rrun([
            "exec",
            "--process",
            process.to_str().unwrap(),
            "--detach",
            "--pid-file",
            pid_file.to_str().unwrap(),
            "c",
        ])
        .ok();
    wait_output(|| ran.stdout(), "1000\n/tmp\n");
    let pid: i64 = std::fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    assert!(lab.outer_pid(pid).is_some(), "the detached process lives");
    let listed = lab.rrun(["ps", "-f", "json", "c"]).ok().stdout();
    let listed: Vec<i64> = serde_json::from_str(&listed).unwrap();
    assert!(listed.contains(&pid) && listed.len() == 2, "{listed:?} and {pid}");
    lab.rrun(["delete", "-f", "c"]).ok();
}

#[test]
fn missing_programs_are_told_as_engines_expect() {
    let lab = Lab::new();
    let before = lab.snapshot();
    let cases = [
        ("nope", "executable file not found in $PATH"),
        ("/nope", "no such file or directory"),
        ("/etc/passwd", "permission denied"),
        // Newer Go, and so runc, says it this way where older said "permission denied".
        ("/etc", "is a directory"),
    ];
    for (i, (program, text)) in cases.into_iter().enumerate() {
        let bundle = lab.bundle(&format!("b{i}")).args([program]);
        let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]);
        assert_ne!(ran.code(), 0, "{ran}");
        assert!(ran.stderr().contains(text), "{text:?} expected: {ran}");
    }
    leftovers(&lab, &before);
    let bundle = lab.bundle("b").args(SLEEP);
    lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    for (program, text) in cases {
        let ran = lab.rrun(["exec", "c", program]);
        assert_ne!(ran.code(), 0, "{ran}");
        assert!(ran.stderr().contains(text), "{text:?} expected: {ran}");
    }
    lab.rrun(["delete", "-f", "c"]).ok();
}

#[test]
fn list_shows_every_container() {
    let lab = Lab::new();
    assert_eq!(lab.rrun(["list", "-q"]).ok().stdout(), "");
    let bundle = lab.bundle("b").args(SLEEP);
    for id in ["one", "two"] {
        lab.rrun(["create", "--bundle", bundle.arg(), id]).ok();
    }
    lab.rrun(["start", "two"]).ok();
    let quiet = lab.rrun(["list", "-q"]).ok().stdout();
    let mut ids: Vec<&str> = quiet.lines().collect();
    ids.sort_unstable();
    assert_eq!(ids, ["one", "two"]);
    let listed: Value =
        serde_json::from_str(&lab.rrun(["list", "-f", "json"]).ok().stdout()).unwrap();
    let mut seen: Vec<(String, String)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["id"].as_str().unwrap().into(), c["status"].as_str().unwrap().into()))
        .collect();
    seen.sort();
    assert_eq!(seen, [("one".into(), "created".into()), ("two".into(), "running".to_owned())]);
    let table = lab.rrun(["list"]).ok().stdout();
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    for id in ["one", "two"] {
        lab.rrun(["delete", "-f", id]).ok();
    }
}

#[test]
fn foreground_run_passes_signals_on() {
    let lab = Lab::new();
    let bundle = lab.bundle("b").script(
        "trap 'echo got TERM; exit 7' TERM; echo ready; \
        while :; do sleep 0.02; done",
    );
    let out = lab.folder().join("out");
    let mut command = lab.rrun_command(["run", "--bundle", bundle.arg(), "c"]);
    command.stdout(std::fs::File::create(&out).unwrap());
    let mut child = lab.spawn(&mut command).unwrap();
    wait_output(|| std::fs::read_to_string(&out).unwrap(), "ready");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7));
    assert!(std::fs::read_to_string(&out).unwrap().contains("got TERM"));
    assert_eq!(lab.status("c"), None);
}

#[test]
fn many_short_runs_never_hang() {
    let lab = Lab::new();
    let before = lab.snapshot();
    let bundle = lab.bundle("b").args(["true"]);
    for i in 0..100 {
        assert_eq!(lab.rrun(["run", "--bundle", bundle.arg(), &format!("c{i}")]).code(), 0);
    }
    leftovers(&lab, &before);
}

#[test]
fn a_bundle_may_be_named_by_its_folder() {
    if !rrun_tests::skip::can("a_bundle_may_be_named_by_its_folder", rrun_tests::skip::Need::Rrun) {
        return;
    }
    let lab = Lab::new();
    let bundle = lab.bundle("web").args(SLEEP);
    // From the folder above, by path, and with an id of its own.
    for (arg, id) in [
        (&["web"][..], "web"),
        (&["./web"], "web"),
        (&[bundle.arg()], "web"),
        (&["./web", "other"], "other"),
    ] {
        let mut args = vec!["run", "-d"];
        args.extend(arg);
        lab.rrun(&args).ok();
        assert_eq!(lab.status(id).as_deref(), Some("running"), "{arg:?}");
        lab.rrun(["delete", "-f", id]).ok();
    }
    // Where the current folder is a bundle, ARG is an id, as with runc.
    let mut command = lab.rrun_command(["run", "-d", "web"]);
    command.current_dir(bundle.path());
    lab.run(&mut command).ok();
    assert_eq!(lab.state("web")["bundle"], bundle.arg());
    lab.rrun(["delete", "-f", "web"]).ok();
}
