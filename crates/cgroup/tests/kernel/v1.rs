//! The host's v1 hierarchies, with the unified one next to them if it is there.

use cgroup::{Controller, OomEvent, device_rules};

use super::*;

fn host() -> Hierarchies {
    let hierarchies = Hierarchies::detect().unwrap();
    assert_eq!(hierarchies.mode(), Mode::V1, "this test needs a host with cgroup v1");
    hierarchies
}

#[test]
#[ignore = "needs root on a host with cgroup v1"]
fn from_birth_to_removal() {
    let mut container = Container::created(host(), "life");
    assert!(container.cgroup.exists());
    let pid = container.start("echo; exec sleep 1000");
    assert!(container.holds(pid));
    assert_eq!(container.cgroup.pids().unwrap(), [pid]);

    let again =
        Cgroup::from_paths(&host(), &container.cgroup.paths(), None, Options::default()).unwrap();
    assert_eq!(again.paths(), container.cgroup.paths());
    again.freeze().unwrap();
    assert!(again.is_frozen().unwrap());
    again.kill_all().unwrap();
    container.reap();
    assert!(!again.is_frozen().unwrap());
    again.remove().unwrap();
    assert!(container.leftovers().is_empty());
    assert!(matches!(again.kill_all(), Err(Error::Missing(_))));
    again.remove().unwrap();
}

#[test]
#[ignore = "needs root on a host with cgroup v1"]
fn without_the_unified_hierarchy() {
    let mounts = host().mounts().to_vec();
    let is_v1 = |mount: &cgroup::Mount| !mount.controllers.contains(&Controller::Unified);
    let hidden = Hierarchies::from_mounts(Mode::V1, mounts.into_iter().filter(is_v1).collect());
    let mut container = Container::created(hidden, "hidden");
    let pid = container.start("sleep 1000 & sleep 1000 & echo; wait");
    assert!(container.holds(pid));
    assert_eq!(container.cgroup.dir(Controller::Unified), None);
    container.cgroup.kill_all().unwrap();
    container.reap();
}

#[test]
#[ignore = "needs root on a host with cgroup v1"]
fn limits_arrive() {
    let container = Container::created(host(), "limits");
    let set = |json: &str| container.cgroup.set_limits(&resources(json));
    set(r#"{"memory":{"limit":33554432,"reservation":25165824,"swap":67108864,"swappiness":10},
            "cpu":{"shares":100,"quota":500000,"period":1000000,"burst":1000,"cpus":"0","mems":"0"},
            "pids":{"limit":20}}"#)
    .unwrap();
    let memory = container.cgroup.dir(Controller::Memory);
    let cpu = container.cgroup.dir(Controller::Cpu);
    assert_eq!(read(memory, "memory.limit_in_bytes"), "33554432");
    assert_eq!(read(memory, "memory.memsw.limit_in_bytes"), "67108864");
    assert_eq!(read(memory, "memory.soft_limit_in_bytes"), "25165824");
    assert_eq!(read(cpu, "cpu.shares"), "100");
    assert_eq!(read(cpu, "cpu.cfs_quota_us"), "500000");
    assert_eq!(read(cpu, "cpu.cfs_burst_us"), "1000");
    assert_eq!(read(container.cgroup.dir(Controller::Pids), "pids.max"), "20");
    assert_eq!(read(container.cgroup.dir(Controller::Cpuset), "cpuset.cpus"), "0");
    // Up and down, memory and memory plus swap must pass the kernel's check at each step.
    for (limit, swap) in [(62914560, 83886080), (31457280, 52428800), (104857600, 104857600)] {
        set(&format!(r#"{{"memory":{{"limit":{limit},"swap":{swap}}}}}"#)).unwrap();
        assert_eq!(read(memory, "memory.memsw.limit_in_bytes"), swap.to_string());
    }
    set(r#"{"memory":{"limit":-1}}"#).unwrap();
    assert!(read(memory, "memory.memsw.limit_in_bytes").starts_with("9223372036854"));
    let error = set(r#"{"cpu":{"period":100}}"#).unwrap_err().to_string();
    assert!(error.contains(r#"write "100" to "#) && error.contains("EINVAL"), "{error}");
    let error = set(r#"{"rdma":{"mlx":{"hcaHandles":1}}}"#).unwrap_err().to_string();
    assert_eq!(error, "cannot set rdma limit: container could not join or create cgroup");
    let stats = container.cgroup.stats().unwrap();
    assert_eq!(stats.pids.limit, 20);
    assert_eq!(stats.cpuset.cpus, [0]);
    assert!(!stats.memory.raw.is_empty());
}

#[test]
#[ignore = "needs root on a host with cgroup v1"]
fn a_quota_below_that_of_the_pod() {
    let pod = Container::created(host(), "pod");
    pod.cgroup.set_limits(&resources(r#"{"cpu":{"quota":50000}}"#)).unwrap();
    let path = pod.path.join("container");
    let mut inner = Cgroup::new(&pod.hierarchies, Some(&path), "", Options::default()).unwrap();
    inner.create(&LinuxResources::default()).unwrap();
    let first = resources(r#"{"cpu":{"quota":40000}}"#);
    inner.set_limits(&first).unwrap();
    // With the old quota the new period is too short for the pod's limit.
    let second = resources(r#"{"cpu":{"period":10000,"quota":3000}}"#);
    inner.set_limits(&second).unwrap();
    assert_eq!(read(inner.dir(Controller::Cpu), "cpu.cfs_quota_us"), "3000");
    assert_eq!(read(inner.dir(Controller::Cpu), "cpu.cfs_period_us"), "10000");
    inner.remove().unwrap();
}

#[test]
#[ignore = "needs root on a host with cgroup v1"]
fn a_limit_below_the_use_is_explained() {
    let mut container = Container::created(host(), "usage");
    let both =
        |bytes: u64| resources(&format!(r#"{{"memory":{{"limit":{bytes},"swap":{bytes}}}}}"#));
    container.cgroup.set_limits(&both(256 << 20)).unwrap();
    container.start("x=$(head -c 33554432 /dev/zero | tr '\\0' x); echo; sleep 1000");
    let error = container.cgroup.set_limits(&both(1 << 20)).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("unable to set memory limit to 1048576 (current usage: "), "{text}");
    assert!(text.contains(", peak usage: "), "{text}");
}

#[test]
#[ignore = "needs root on a host with cgroup v1"]
fn occupied_and_frozen_groups_are_refused() {
    let mut container = Container::created(host(), "taken");
    container.start("echo; exec sleep 1000");
    let mut second =
        Cgroup::new(&container.hierarchies, Some(&container.path), "", Options::default()).unwrap();
    let error = second.create(&LinuxResources::default()).unwrap_err().to_string();
    assert_eq!(error, "container's cgroup is not empty: 1 process(es) found");
    assert_eq!(container.leftovers().len(), container.cgroup.paths().len());

    let mut frozen = Container::new(host(), "frozen");
    let freezer = frozen.cgroup.dir(Controller::Freezer).unwrap().to_owned();
    std::fs::create_dir_all(&freezer).unwrap();
    std::fs::write(freezer.join("freezer.state"), "FROZEN").unwrap();
    let error = frozen.cgroup.create(&LinuxResources::default()).unwrap_err().to_string();
    assert_eq!(error, "container's cgroup unexpectedly frozen");
    // Only what was there before is there now.
    let devices = freezer.to_string_lossy().replace("/freezer/", "/devices/");
    assert!(!Path::new(&devices).exists());
    assert!(freezer.exists());
    std::fs::remove_dir(&freezer).unwrap();
}

#[test]
#[ignore = "needs root on a host with cgroup v1"]
fn groups_made_inside_are_removed() {
    let mut container = Container::created(host(), "nested");
    container.start("echo; exec sleep 1000");
    let sleeping = container.start("echo; exec sleep 1000");
    for controller in [Controller::Memory, Controller::Freezer, Controller::Devices] {
        let dir = container.cgroup.dir(controller).unwrap().join("foo/bar");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("tasks"), sleeping.to_string()).unwrap();
    }
    assert_eq!(container.cgroup.pids().unwrap().len(), 1);
    assert_eq!(container.cgroup.all_pids().unwrap().len(), 2);
    let sub = SubCgroups::parse(&["memory,freezer:foo/bar"]).unwrap();
    let join = container.cgroup.join_handles(&sub).unwrap();
    let third = container.start_in(join, "echo; exec sleep 1000");
    let membership = std::fs::read_to_string(format!("/proc/{third}/cgroup")).unwrap();
    assert!(membership.contains("/nested/foo/bar"), "{membership}");
    for (argument, expected) in [
        ("..", "bad sub cgroup path: .."),
        ("nonexistent", " adding pid 0 to cgroups: open "),
        ("nonexistent", "no such file or directory"),
        ("cpu:nonexistent", "no such file or directory"),
        ("whaaat:/", "unknown controller whaaat"),
    ] {
        let sub = SubCgroups::parse(&[argument]).unwrap();
        let error = container.cgroup.join_handles(&sub).unwrap_err().to_string();
        assert!(error.contains(expected), "{argument}: {error}");
    }
    container.cgroup.kill_all().unwrap();
    container.reap();
    container.cgroup.remove().unwrap();
    assert!(container.leftovers().is_empty());
}

#[test]
#[ignore = "needs root on a host with cgroup v1"]
fn a_group_in_use_is_not_removed() {
    let mut container = Container::created(host(), "busy");
    container.start("echo; exec sleep 1000");
    let error = container.cgroup.remove().unwrap_err();
    assert!(matches!(error, Error::Remove { .. }), "{error}");
    assert!(container.cgroup.exists());
    // Partly removed or not, a second try after the end succeeds: Drop does it.
}

#[test]
#[ignore = "needs root on a host with cgroup v1"]
fn a_process_is_added_by_number() {
    let mut container = Container::created(host(), "add");
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let added = container.cgroup.add_process(pid, &SubCgroups::none());
    assert!(container.holds(pid));
    child.kill().unwrap();
    child.wait().unwrap();
    added.unwrap();
    let error = container.cgroup.add_process(pid, &SubCgroups::none()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("error adding pid {pid} to cgroups: ")), "{error}");
    container.reap();
}

#[test]
#[ignore = "needs root on a host with cgroup v1"]
fn devices_are_restricted() {
    let container = Container::created(host(), "devices");
    let open = "head -c 0 /dev/zero && : > /dev/null && ! head -c 0 /dev/kmsg 2> /dev/null";
    assert!(!container.run(open), "without rules everything is open");
    let spec = resources(r#"{"devices":[{"allow":false,"access":"rwm"}]}"#);
    let rules = device_rules(Some(&spec), &[]).unwrap();
    container.cgroup.set_devices(&rules).unwrap();
    assert!(container.run(open));
    let list = read(container.cgroup.dir(Controller::Devices), "devices.list");
    assert_eq!(list.lines().count(), 11, "{list}");
    container.cgroup.set_devices(&rules).unwrap();

    let spec = resources(
        r#"{"devices":[{"allow":false,"access":"rwm"},
            {"allow":true,"type":"c","major":1,"minor":11,"access":"rw"}]}"#,
    );
    container.cgroup.set_devices(&device_rules(Some(&spec), &[]).unwrap()).unwrap();
    assert!(container.run("head -c 0 /dev/kmsg"));
}

#[test]
#[ignore = "needs root on a host with cgroup v1"]
fn running_out_of_memory_is_noticed() {
    let mut container = Container::created(host(), "oom");
    let limit = resources(r#"{"memory":{"limit":8388608,"swap":8388608}}"#);
    container.cgroup.set_limits(&limit).unwrap();
    let mut events = container.cgroup.oom_events().unwrap();
    assert_eq!(events.read().unwrap(), OomEvent::Nothing);
    assert!(!container.run("x=$(head -c 67108864 /dev/zero | tr '\\0' x)"));
    wait(&events);
    assert_eq!(events.read().unwrap(), OomEvent::Oom);
    assert!(container.cgroup.oom_kill_count().unwrap() > 0);
    container.reap();
    container.cgroup.remove().unwrap();
    wait(&events);
    assert_eq!(events.read().unwrap(), OomEvent::End);
}

#[test]
#[ignore = "needs root on a host with cgroup v1"]
fn default_place_and_failed_creation() {
    let hierarchies = host();
    let id = format!("rrun-test-default-{}", std::process::id());
    let mut cgroup = Cgroup::new(&hierarchies, None, &id, Options::default()).unwrap();
    assert!(cgroup.paths().values().all(|dir| dir.ends_with(&id)));
    cgroup.create(&LinuxResources::default()).unwrap();
    cgroup.remove().unwrap();
    assert!(!cgroup.exists());

    // The levels above go with the group when creation does not come to its end.
    let path = PathBuf::from(format!("/{id}/a/b"));
    let mut cgroup = Cgroup::new(&hierarchies, Some(&path), &id, Options::default()).unwrap();
    let wrong = resources(r#"{"cpu":{"cpus":"4096"}}"#);
    let error = cgroup.create(&wrong).unwrap_err().to_string();
    assert!(error.contains(r#"write "4096" to "#), "{error}");
    for mount in hierarchies.mounts() {
        assert!(!mount.point.join(&id).exists(), "{}", mount.point.display());
    }
}
