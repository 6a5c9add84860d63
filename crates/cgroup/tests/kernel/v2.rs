//! A host with cgroup v2 alone, and its controllers.

use cgroup::{Controller, OomEvent};

use super::*;

fn host() -> Hierarchies {
    let hierarchies = Hierarchies::detect().unwrap();
    assert_eq!(hierarchies.mode(), Mode::V2, "this test needs a host with cgroup v2 alone");
    hierarchies
}

#[test]
#[ignore = "needs root on a host with cgroup v2"]
fn limits_arrive() {
    let container = Container::created(host(), "limits");
    let set = |json: &str| container.cgroup.set_limits(&resources(json));
    set(r#"{"memory":{"limit":33554432,"reservation":25165824,"swap":67108864},
            "cpu":{"shares":1024,"quota":500000,"period":1000000},
            "pids":{"limit":20},"unified":{"memory.high":"20971520","pids.max":"21"}}"#)
    .unwrap();
    let dir = container.cgroup.dir(Controller::Memory);
    assert_eq!(read(dir, "memory.max"), "33554432");
    assert_eq!(read(dir, "memory.low"), "25165824");
    assert_eq!(read(dir, "memory.high"), "20971520");
    assert_eq!(read(dir, "cpu.max"), "500000 1000000");
    assert_eq!(read(dir, "cpu.weight"), "100");
    assert_eq!(read(dir, "pids.max"), "21");
    // A kernel for one CPU has no cpuset controller.
    let cpus = set(r#"{"cpu":{"cpus":"0"}}"#);
    match read(dir, "cgroup.controllers").contains("cpuset") {
        true => assert_eq!(read(dir, "cpuset.cpus"), "0"),
        false => assert!(cpus.unwrap_err().to_string().contains("cpuset.cpus: no such file")),
    }
    set(r#"{"memory":{"limit":-1},"cpu":{"quota":-1},"pids":{"limit":-1}}"#).unwrap();
    assert_eq!(read(dir, "memory.max"), "max");
    assert_eq!(read(dir, "cpu.max"), "max 100000");
    assert_eq!(read(dir, "pids.max"), "max");
    let error = set(r#"{"cpu":{"period":100}}"#).unwrap_err().to_string();
    assert!(error.contains(r#"write "max 100" to "#) && error.contains("EINVAL"), "{error}");
}

#[test]
#[ignore = "needs root on a host with cgroup v2"]
fn the_use_is_checked_on_request() {
    let mut container = Container::created(host(), "usage");
    container.start("x=$(head -c 8388608 /dev/zero | tr '\\0' x); echo; sleep 1000");
    let set = |json: &str| container.cgroup.set_limits(&resources(json)).unwrap_err().to_string();
    let error = set(r#"{"memory":{"limit":1024,"checkBeforeUpdate":true}}"#);
    assert!(error.starts_with("rejecting memory limit 1024 <= usage "), "{error}");
    let error = set(r#"{"memory":{"limit":1024,"swap":2048,"checkBeforeUpdate":true}}"#);
    assert!(error.starts_with("rejecting memory+swap limit 2048 <= usage "), "{error}");
    let stats = container.cgroup.stats().unwrap();
    assert!(stats.memory.usage.usage > 8 << 20, "{:?}", stats.memory);
    assert!(stats.cpu.usage.total > 0);
    assert_eq!(stats.memory.usage.limit, u64::MAX);
}

#[test]
#[ignore = "needs root on a host with cgroup v2"]
fn running_out_of_memory_is_noticed() {
    let mut container = Container::created(host(), "oom");
    container.cgroup.set_limits(&resources(r#"{"memory":{"limit":8388608}}"#)).unwrap();
    // Keeps the group populated, so that the notice is not the end.
    container.start("echo; exec sleep 1000");
    let mut events = container.cgroup.oom_events().unwrap();
    container.run("x=$(head -c 67108864 /dev/zero | tr '\\0' x)");
    let mut found = Vec::new();
    while !found.contains(&OomEvent::Oom) {
        wait(&events);
        found.push(events.read().unwrap());
    }
    assert!(container.cgroup.oom_kill_count().unwrap() > 0);
    container.cgroup.kill_all().unwrap();
    container.reap();
    while found.last() != Some(&OomEvent::End) {
        wait(&events);
        found.push(events.read().unwrap());
    }
}

#[test]
#[ignore = "needs root on a host with cgroup v2"]
fn init_is_followed_to_where_it_went() {
    let mut container = Container::created(host(), "moved");
    let pid = container.start("echo; exec sleep 1000");
    let dir = container.cgroup.dir(Controller::Unified).unwrap().to_owned();
    std::fs::create_dir(dir.join("inner")).unwrap();
    std::fs::write(dir.join("inner/cgroup.procs"), pid.to_string()).unwrap();
    std::fs::write(dir.join("cgroup.subtree_control"), "+memory").unwrap();
    let error = container.cgroup.add_process(pid, &SubCgroups::none()).unwrap_err().to_string();
    assert!(error.contains(" adding pid ") && error.contains("device or resource busy"), "{error}");
    let join = Cgroup::join_handles_of(&container.hierarchies, pid).unwrap();
    let second = container.start_in(join, "echo; exec sleep 1000");
    let membership = std::fs::read_to_string(format!("/proc/{second}/cgroup")).unwrap();
    assert!(membership.trim().ends_with("/moved/inner"), "{membership}");
}
