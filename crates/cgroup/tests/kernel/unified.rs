//! v2 on whatever cgroup2 mount the host has: in hybrid mode it lacks most controllers, but
//! creating, joining, freezing, killing and the device program are the same.

use cgroup::{Controller, device_rules};

use super::*;

fn unified() -> Hierarchies {
    let host = Hierarchies::detect().unwrap();
    let mount = host.mount(Controller::Unified).expect("this test needs a cgroup2 mount").clone();
    Hierarchies::from_mounts(Mode::V2, vec![mount])
}

#[test]
#[ignore = "needs root and a cgroup2 mount"]
fn from_birth_to_removal() {
    let mut container = Container::created(unified(), "life2");
    let pid = container.start("echo; exec sleep 1000");
    assert!(container.holds(pid));
    assert_eq!(container.cgroup.paths().keys().collect::<Vec<_>>(), [""]);
    assert!(!container.cgroup.is_frozen().unwrap());
    container.cgroup.freeze().unwrap();
    assert!(container.cgroup.is_frozen().unwrap());
    container.cgroup.thaw().unwrap();
    assert!(!container.cgroup.is_frozen().unwrap());
    let stats = container.cgroup.stats().unwrap();
    assert_eq!(stats.pids.current, 1);
    assert!(stats.cpu.usage.total > 0);
    container.cgroup.freeze().unwrap();
    container.cgroup.kill_all().unwrap();
    container.reap();
    container.cgroup.remove().unwrap();
    assert!(container.leftovers().is_empty());
}

#[test]
#[ignore = "needs root and a cgroup2 mount"]
fn controllers_are_handed_down() {
    let container = Container::created(unified(), "a/b/handed");
    let mount = container.hierarchies.mount(Controller::Unified).unwrap();
    let available = read(Some(&mount.point), "cgroup.controllers");
    let dir = container.cgroup.dir(Controller::Unified);
    let mut here: Vec<_> = read(dir, "cgroup.controllers").split(' ').map(str::to_owned).collect();
    let mut there: Vec<_> = available.split(' ').map(str::to_owned).collect();
    here.sort();
    there.sort();
    assert_eq!(here, there);
    container.cgroup.remove().unwrap();
    let above = dir.unwrap().parent().unwrap();
    std::fs::remove_dir(above).unwrap();
    std::fs::remove_dir(above.parent().unwrap()).unwrap();
}

#[test]
#[ignore = "needs root and a cgroup2 mount"]
fn unified_values() {
    let container = Container::created(unified(), "values");
    let set = |json: &str| container.cgroup.set_limits(&resources(json));
    set(r#"{"unified":{"cgroup.max.depth":"7"}}"#).unwrap();
    assert_eq!(read(container.cgroup.dir(Controller::Unified), "cgroup.max.depth"), "7");
    let error = set(r#"{"unified":{"nonesuch.max":"7"}}"#).unwrap_err().to_string();
    assert!(error.contains(r#"controller "nonesuch" not available"#), "{error}");
}

#[test]
#[ignore = "needs root and a cgroup2 mount"]
fn devices_are_restricted_by_a_program() {
    let container = Container::created(unified(), "devices2");
    let open = "head -c 0 /dev/zero && : > /dev/null && ! head -c 0 /dev/kmsg 2> /dev/null";
    assert!(!container.run(open), "without rules everything is open");
    let spec = resources(r#"{"devices":[{"allow":false,"access":"rwm"}]}"#);
    let rules = device_rules(Some(&spec), &[]).unwrap();
    container.cgroup.set_devices(&rules).unwrap();
    assert!(container.run(open));
    let spec = resources(
        r#"{"devices":[{"allow":true,"access":"rwm"},
            {"allow":false,"type":"c","major":1,"minor":11,"access":"w"}]}"#,
    );
    let rules = device_rules(Some(&spec), &[]).unwrap();
    container.cgroup.set_devices(&rules).unwrap();
    assert!(container.run("head -c 0 /dev/kmsg && ! (: > /dev/kmsg) 2> /dev/null"));
}

#[test]
#[ignore = "needs root and a cgroup2 mount"]
fn below_a_threaded_group() {
    let parent = Container::created(unified(), "threads");
    let dir = parent.cgroup.dir(Controller::Unified).unwrap();
    std::fs::create_dir(dir.join("first")).unwrap();
    std::fs::write(dir.join("first/cgroup.type"), "threaded").unwrap();
    let path = parent.path.join("second/third");
    let mut inner = Cgroup::new(&parent.hierarchies, Some(&path), "", Options::default()).unwrap();
    let limits = resources(r#"{"memory":{"limit":1048576}}"#);
    let error = inner.create(&limits).unwrap_err().to_string();
    assert!(error.contains("with domain controllers -- it is in domain invalid mode"), "{error}");
    assert!(!dir.join("second").exists());
    inner.create(&LinuxResources::default()).unwrap();
    assert_eq!(read(inner.dir(Controller::Unified), "cgroup.type"), "threaded");
    // Drop removes the tree below as well.
}
