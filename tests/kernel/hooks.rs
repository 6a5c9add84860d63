//! The six kinds of hooks: order, state on stdin, failure and time-out. runtime-spec config.md "Hooks".

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rrun_tests::{Bundle, Lab};
use serde_json::{Value, json};

use crate::leftovers;

/// A folder seen by the same path on the host and in the container, with the script of all hooks.
struct Hooks {
    folder: PathBuf,
}

impl Hooks {
    fn new(lab: &Lab) -> Self {
        let folder = lab.folder().join("hooks");
        fs::create_dir(&folder).unwrap();
        let script = folder.join("hook");
        let text = format!(
            "#!/bin/sh\necho $1 >> {0}/order\ncat > {0}/state.$1\n$2 $3\n",
            folder.display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn bundle(&self, lab: &Lab, name: &str) -> Bundle {
        let path = self.folder.to_str().unwrap();
        lab.bundle(name).edit(|spec| {
            let mount = json!({"destination": path, "type": "bind", "source": path,
                "options": ["rbind", "rw"]});
            rrun_tests::spec::push(&mut spec["mounts"], mount);
        })
    }

    fn hook(&self, name: &str, more: &[&str]) -> Value {
        let script = self.folder.join("hook");
        let mut args = vec!["hook", name];
        args.extend(more);
        json!({"path": script, "args": args, "env": ["PATH=/bin:/usr/bin:/sbin:/usr/sbin"]})
    }

    fn order(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("order")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn state(&self, name: &str) -> Value {
        let text = fs::read_to_string(self.folder.join(format!("state.{name}"))).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}: {text:?}"))
    }
}

const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

#[test]
fn every_hook_runs_at_its_time_and_gets_the_state() {
    let lab = Lab::new();
    let hooks = Hooks::new(&lab);
    let bundle = hooks.bundle(&lab, "b").args(["sleep", "1000"]).edit(|spec| {
        for kind in KINDS {
            spec["hooks"][kind] = json!([hooks.hook(kind, &[])]);
        }
    });
    lab.rrun(["create", "--bundle", bundle.arg(), "c"]).ok();
    assert_eq!(hooks.order(), KINDS[..3]);
    lab.rrun(["start", "c"]).ok();
    assert_eq!(hooks.order(), KINDS[..5]);
    let pid = lab.state("c")["pid"].clone();
    lab.rrun(["delete", "--force", "c"]).ok();
    assert_eq!(hooks.order(), KINDS);
    for kind in KINDS {
        let state = hooks.state(kind);
        assert_eq!(state["id"], "c", "{kind}");
        assert_eq!(state["bundle"], bundle.arg(), "{kind}");
        assert!(state["ociVersion"].is_string(), "{kind}");
        let status = match kind {
            "poststop" => "stopped",
            "poststart" => "running",
            "startContainer" => "created",
            _ => "creating",
        };
        assert_eq!(state["status"], status, "{kind}");
        // Hooks in the container's namespaces get the PID as seen from there.
        let seen = if ["createContainer", "startContainer"].contains(&kind) {
            json!(1)
        } else {
            pid.clone()
        };
        if kind != "poststop" {
            assert_eq!(state["pid"], seen, "{kind}");
        }
    }
}

#[test]
fn several_hooks_run_in_their_order() {
    let lab = Lab::new();
    let hooks = Hooks::new(&lab);
    let bundle = hooks.bundle(&lab, "b").edit(|spec| {
        spec["hooks"]["createRuntime"] =
            json!([hooks.hook("1", &[]), hooks.hook("2", &[]), hooks.hook("3", &[])]);
    });
    lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok();
    assert_eq!(hooks.order(), ["1", "2", "3"]);
}

#[test]
fn a_failing_hook_before_the_start_undoes_the_container() {
    let lab = Lab::new();
    let hooks = Hooks::new(&lab);
    let before = lab.snapshot();
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer"] {
        let bundle = hooks.bundle(&lab, kind).args(["sleep", "1000"]).edit(|spec| {
            spec["hooks"][kind] = json!([hooks.hook(kind, &["exit", "3"])]);
            spec["hooks"]["poststop"] = json!([hooks.hook("stop", &[])]);
        });
        let ran = lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]);
        if kind == "startContainer" {
            // It runs after `start` let init go; nobody is left to tell, but nothing may run.
            assert!(lab.status("c").is_none_or(|status| status == "stopped"), "{ran}");
        } else {
            assert_eq!(ran.code(), 1, "{kind}: {ran}");
            assert!(ran.stderr().contains("hook"), "{kind}: {ran}");
        }
        lab.rrun(["delete", "--force", "c"]).ok();
        leftovers(&lab, &before);
    }
}

#[test]
fn a_failing_poststop_hook_does_not_keep_the_container() {
    let lab = Lab::new();
    let hooks = Hooks::new(&lab);
    let before = lab.snapshot();
    let bundle = hooks.bundle(&lab, "b").args(["sleep", "1000"]).edit(|spec| {
        spec["hooks"]["poststop"] =
            json!([hooks.hook("first", &["exit", "3"]), hooks.hook("second", &[])]);
    });
    lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    lab.rrun(["delete", "--force", "c"]);
    assert_eq!(hooks.order(), ["first", "second"], "the others run all the same");
    lab.rrun(["delete", "--force", "c"]).ok();
    leftovers(&lab, &before);
}

#[test]
fn a_hanging_hook_is_ended_by_its_timeout() {
    let lab = Lab::new();
    let hooks = Hooks::new(&lab);
    let before = lab.snapshot();
    let bundle = hooks.bundle(&lab, "b").edit(|spec| {
        spec["hooks"]["createRuntime"] =
            json!([{"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1}]);
    });
    // The harness fails a command that takes a minute.
    let ran = lab.rrun(["create", "--bundle", bundle.arg(), "c"]);
    assert_eq!(ran.code(), 1, "{ran}");
    lab.rrun(["delete", "--force", "c"]).ok();
    leftovers(&lab, &before);
}

#[test]
fn a_hook_sees_the_new_network_namespace_before_the_process_runs() {
    let lab = Lab::new();
    let hooks = Hooks::new(&lab);
    // What a CNI caller does: it puts an interface into the namespace named by the state's PID.
    let script = hooks.folder.join("wire");
    fs::write(
        &script,
        "#!/bin/sh\nset -e\npid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/')\n\
        ip link add wired0 type veth peer name outer0\nip link set wired0 netns $pid\n",
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let bundle = hooks.bundle(&lab, "b").args(["ls", "/sys/class/net"]).edit(|spec| {
        spec["hooks"]["createRuntime"] =
            json!([{"path": script, "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}]);
    });
    let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok();
    assert!(ran.stdout().contains("wired0"), "{ran}");
}
