//! Limits of a container that runs, what is counted, and what is heard of it.

use std::fs::{self, File};

use rrun_tests::{Bundle, Lab};
use serde_json::{Value, json};

/// A running container `c` with these resources.
fn sleeping(lab: &Lab, resources: Value) -> Bundle {
    let bundle = lab.bundle("b").args(["sleep", "1000"]).edit(|spec| {
        spec["linux"]["resources"] = resources;
    });
    lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    bundle
}

/// The number of processes that the kernel allows the container and that the statistics show.
fn pids_limit(lab: &Lab) -> Value {
    let line = lab.rrun(["events", "--stats", "c"]).ok().stdout();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["type"], &line["id"]), (&json!("stats"), &json!("c")), "{line}");
    line["data"]["pids"]["limit"].clone()
}

#[test]
fn an_update_that_fails_changes_nothing() {
    let lab = Lab::new();
    let _bundle = sleeping(&lab, json!({"pids": {"limit": 20}}));
    let bad = json!({"pids": {"limit": 30}, "hugepageLimits": [{"pageSize": "1PB", "limit": 1}]});
    let file = lab.folder().join("resources.json");
    fs::write(&file, bad.to_string()).unwrap();
    lab.rrun(["update", "-r", file.to_str().unwrap(), "c"]).refused(1, &["hugetlb"]);
    assert_eq!(pids_limit(&lab), 20);
    lab.rrun(["update", "--pids-limit", "40", "c"]).ok();
    assert_eq!(pids_limit(&lab), 40);
    lab.rrun(["delete", "-f", "c"]).ok();
    lab.rrun(["update", "--pids-limit", "50", "c"]).refused(1, &["container does not exist"]);
}

#[test]
fn an_init_without_memory_is_told_as_such() {
    let lab = Lab::new();
    let before = lab.snapshot();
    let bundle = lab.bundle("b").edit(|spec| {
        spec["linux"]["resources"] = json!({"memory": {"limit": 100_000}});
    });
    // Whichever comes first: the limit that cannot be set, or the kernel's killer.
    lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).refused(1, &["memory limit"]);
    crate::leftovers(&lab, &before);
}

/// Go reads names without regard to case; ignoring one would leave a limit unset.
#[test]
fn names_in_another_case_are_limits_all_the_same() {
    let lab = Lab::new();
    let _bundle = sleeping(&lab, json!({"Pids": {"LIMIT": 20}}));
    assert_eq!(pids_limit(&lab), 20);
    lab.rrun(["delete", "-f", "c"]).ok();
    let _bundle = sleeping(&lab, json!({"pids": {}}));
    assert_eq!(pids_limit(&lab), Value::Null);
    lab.rrun(["delete", "-f", "c"]).ok();
}

#[test]
fn events_come_until_the_container_is_gone() {
    let lab = Lab::new();
    let memory = json!({"limit": 32 << 20, "swap": 32 << 20});
    let _bundle = sleeping(&lab, json!({"memory": memory}));
    let path = lab.folder().join("events");
    let mut command = lab.rrun_command(["events", "--interval", "20ms", "c"]);
    command.stdout(File::create(&path).unwrap());
    let mut events = lab.spawn(&mut command).unwrap();
    let heard = || fs::read_to_string(&path).unwrap();
    crate::wait_output(heard, r#"{"type":"stats","id":"c","data":{"cpu":"#);
    // Its shell holds more than the limit at once.
    lab.rrun(["exec", "c", "sh", "-c", "x=$(head -c 99999999 /dev/zero | tr '\\0' x)"]);
    crate::wait_output(heard, "{\"type\":\"oom\",\"id\":\"c\"}\n");
    lab.rrun(["delete", "-f", "c"]).ok();
    assert!(events.wait().unwrap().success());
    assert!(heard().ends_with('\n'));
}
