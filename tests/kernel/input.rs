//! Bad input: one line that names the field and the value, exit 1, nothing left.

use std::fs;

use rrun_tests::skip::{Need, can};
use rrun_tests::{Lab, spec};
use serde_json::{Value, json};

#[test]
fn bad_ids_are_refused_by_every_command() {
    let lab = Lab::new();
    let bundle = lab.bundle("b");
    let before = lab.snapshot();
    let long = "x".repeat(1100);
    for id in ["../../x", "..", ".", "", "a/b", "a b", "a\nb", "/", "ü", &long] {
        for command in [
            &["create", "--bundle", bundle.arg(), id][..],
            &["run", "--bundle", bundle.arg(), id],
            &["start", id],
            &["state", id],
            &["kill", id, "KILL"],
            &["delete", "--force", id],
            &["exec", id, "true"],
            &["pause", id],
            &["ps", id],
        ] {
            // `run a/b` names a bundle: there, it must be the missing bundle that is refused.
            let ran = lab.rrun(command);
            assert_ne!(ran.code(), 0, "{command:?} took {id:?}: {ran}");
        }
    }
    crate::leftovers(&lab, &before);
}

#[test]
fn bad_configurations_name_the_field() {
    if !can("bad_configurations_name_the_field", Need::Rrun) {
        return;
    }
    let lab = Lab::new();
    let before = lab.snapshot();
    type Change = fn(&mut Value);
    let cases: &[(&str, Change, &[&str])] = &[
        ("no process", |s| drop(s.as_object_mut().unwrap().remove("process")), &["process"]),
        ("no args", |s| s["process"]["args"] = json!([]), &["process.args"]),
        ("relative cwd", |s| s["process"]["cwd"] = json!("tmp"), &["process.cwd", "tmp"]),
        ("no root", |s| drop(s.as_object_mut().unwrap().remove("root")), &["root"]),
        ("missing root", |s| s["root"]["path"] = json!("nowhere"), &["root", "nowhere"]),
        ("NUL", |s| s["process"]["args"] = json!(["a\0b"]), &["args"]),
        (
            "bad namespace",
            |s| spec::push(&mut s["linux"]["namespaces"], json!({"type": "nope"})),
            &["nope"],
        ),
        (
            "twice",
            |s| spec::push(&mut s["linux"]["namespaces"], json!({"type": "pid"})),
            &["namespace", "pid"],
        ),
        ("cgroupsPath", |s| s["linux"]["cgroupsPath"] = json!("../.."), &["cgroupsPath", "../.."]),
        (
            "rlimit",
            |s| s["process"]["rlimits"] = json!([{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}]),
            &["RLIMIT_NOPE"],
        ),
        (
            "rlimit twice",
            |s| {
                s["process"]["rlimits"] = json!([
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}])
            },
            &["RLIMIT_CORE"],
        ),
        (
            "hook",
            |s| s["hooks"]["createRuntime"] = json!([{"path": "relative"}]),
            &["hooks", "relative"],
        ),
        ("sysctl", |s| s["linux"]["sysctl"] = json!({"kernel.panic": "1"}), &["kernel.panic"]),
        (
            "sysctl way out",
            |s| s["linux"]["sysctl"] = json!({"net/../vm/swappiness": "1"}),
            &["sysctl"],
        ),
        (
            "syscall action",
            |s| s["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_NOPE"}),
            &["SCMP_ACT_NOPE"],
        ),
        (
            "arch",
            |s| {
                s["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_NOPE"]})
            },
            &["SCMP_ARCH_NOPE"],
        ),
        (
            "killable wait without notification",
            |s| {
                s["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
            "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]})
            },
            &["linux.seccomp.flags", "SCMP_ACT_NOTIFY"],
        ),
        (
            "a filter too large",
            |s| {
                let rule = |n: u64| {
                    json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 1, "value": n, "op": "SCMP_CMP_EQ"}]})
                };
                let rules: Vec<Value> = (0..4200).map(rule).collect();
                s["linux"]["seccomp"] =
                    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules})
            },
            &["linux.seccomp", "instructions", "4096"],
        ),
        (
            "propagation",
            |s| s["linux"]["rootfsPropagation"] = json!("sideways"),
            &["rootfsPropagation", "sideways"],
        ),
        ("uid", |s| s["process"]["user"]["uid"] = json!(-1), &["-1"]),
        ("uid", |s| s["process"]["user"]["uid"] = json!(4294967296u64), &["4294967296"]),
        ("type", |s| s["process"]["args"] = json!("true"), &["args"]),
    ];
    for (i, (what, change, parts)) in cases.iter().enumerate() {
        let bundle = lab.bundle(&format!("b{i}")).edit(change);
        for command in ["create", "run"] {
            let ran = lab.rrun([command, "--bundle", bundle.arg(), "c"]);
            assert_eq!(ran.code(), 1, "{what}: {ran}");
            ran.refused(1, parts);
            crate::leftovers(&lab, &before);
        }
    }
}

#[test]
fn config_files_that_are_no_configuration_are_refused() {
    let lab = Lab::new();
    let before = lab.snapshot();
    let bundle = lab.bundle("b");
    let config = bundle.path().join("config.json");
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let good = fs::read(&config).unwrap();
    let texts: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\xff\xfe{}".to_vec(),
        good[..good.len() / 2].to_vec(),
        deep.into_bytes(),
        [
            b"{\"ociVersion\": \"1.0.2\", \"annotations\": {\"x\": \"".to_vec(),
            vec![0; 10],
            b"\"}}".to_vec(),
        ]
        .concat(),
    ];
    for text in texts {
        fs::write(&config, &text).unwrap();
        let shown = String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
        let ran = lab.rrun(["create", "--bundle", bundle.arg(), "c"]);
        assert_eq!(ran.code(), 1, "{shown}: {ran}");
        assert_eq!(ran.stderr().trim_end().lines().count(), 1, "{shown}: {ran}");
        crate::leftovers(&lab, &before);
    }
    fs::remove_file(&config).unwrap();
    assert_eq!(lab.rrun(["create", "--bundle", bundle.arg(), "c"]).code(), 1);
    fs::create_dir(&config).unwrap();
    assert_eq!(lab.rrun(["create", "--bundle", bundle.arg(), "c"]).code(), 1);
    fs::remove_dir(&config).unwrap();
    assert_eq!(lab.rrun(["create", "--bundle", "/nowhere", "c"]).code(), 1);
    crate::leftovers(&lab, &before);
}

#[test]
fn bad_publications_are_refused_with_their_text() {
    if !can("bad_publications_are_refused_with_their_text", Need::Rrun) {
        return;
    }
    let lab = Lab::new();
    let bundle = lab.bundle("b");
    let before = lab.snapshot();
    for text in [
        "0",
        "65536",
        "80:0",
        "80:65536",
        "80-70:80",
        "80:90-85",
        "8080-8082:80-81",
        "a:b",
        "80:80/icmp",
        "80:80/",
        ":",
        "::",
        "1.2.3:80:80",
        "1.2.3.4.5:80:80",
        "256.0.0.1:80:80",
        "80:80:80:80",
        "-1",
        "+80:80",
        " 80:80",
        "080:80",
        "[::1]:80:80",
        "[::1:80:80",
        "80:80,from=",
        "80:80,from=1.2.3.4/33",
        "80:80,to=1.2.3.4",
    ] {
        let flag = format!("--publish={text}");
        let ran = lab.rrun(["create", "--net=bridge", &flag, "--bundle", bundle.arg(), "c"]);
        assert_eq!(ran.code(), 1, "-p {text:?} was taken: {ran}");
        ran.refused(1, &[text.trim()]);
    }
    for pair in
        [["8080:80", "8080:81"], ["8080:80", "127.0.0.1:8080:80"], ["8080-8090:80-90", "8085:80"]]
    {
        let args = ["create", "-p", pair[0], "-p", pair[1], "--bundle", bundle.arg(), "c"];
        lab.rrun(args).refused(1, &["80"]);
    }
    for mode in
        ["nope", "bridge:", "container:", "container:nobody", "ns:", "ns:relative", "host:x", ""]
    {
        let flag = format!("--net={mode}");
        let ran = lab.rrun(["create", &flag, "--bundle", bundle.arg(), "c"]);
        assert_eq!(ran.code(), 1, "{flag} was taken: {ran}");
        assert_eq!(ran.stderr().trim_end().lines().count(), 1, "{ran}");
    }
    for (mode, text) in [("host", "80:80"), ("none", "80:80")] {
        let flag = format!("--net={mode}");
        let ran = lab.rrun(["create", &flag, "-p", text, "--bundle", bundle.arg(), "c"]);
        assert_eq!(ran.code(), 1, "a port of --net={mode} can not be published: {ran}");
    }
    crate::leftovers(&lab, &before);
}

#[test]
fn a_spoilt_state_neither_stops_list_nor_delete() {
    let lab = Lab::new();
    let bundle = lab.bundle("b").args(["sleep", "1000"]);
    for id in ["good", "bad"] {
        lab.rrun(["run", "-d", "--bundle", bundle.arg(), id]).ok();
    }
    let find = lab.sh("find /run -name state.json -path '*bad*'").ok().stdout();
    let state = lab.outside(find.trim());
    let text = fs::read_to_string(&state).unwrap();
    let spoilt: Vec<String> = vec![
        String::new(),
        text[..text.len() / 2].to_owned(),
        "{}".into(),
        "null".into(),
        "not json".into(),
    ];
    for text in spoilt {
        fs::write(&state, &text).unwrap();
        let listed = lab.rrun(["list", "-q"]);
        assert!(listed.stdout().lines().any(|id| id == "good"), "{text:?}: {listed}");
        assert_eq!(lab.status("good").as_deref(), Some("running"), "{text:?}");
    }
    if can("a_spoilt_state_neither_stops_list_nor_delete", Need::Rrun) {
        lab.rrun(["delete", "--force", "bad"]).ok();
        let left = lab.snapshot();
        assert!(left.mentions("/bad").is_empty(), "{:?}", left.mentions("/bad"));
    }
    lab.rrun(["delete", "--force", "good"]).ok();
}

#[test]
fn flags_that_do_not_exist_are_refused() {
    let lab = Lab::new();
    let bundle = lab.bundle("b");
    for args in [
        &["run", "--nope"][..],
        &["nope"],
        &["create", "--bundle"],
        &["--log-format", "xml", "list"],
    ] {
        assert_ne!(lab.rrun(args).code(), 0, "{args:?}");
    }
    assert_ne!(lab.rrun(["create", "--bundle", bundle.arg()]).code(), 0, "no id");
}
