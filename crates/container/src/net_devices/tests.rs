//! The checks, and the kernel: devices of a network namespace that stands for the host move to another. Both
//! end with the test. The tests need root and ip(8), and fail without.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

use nix::sched::{CloneFlags, setns, unshare};
use serde_json::{Value, json};

use super::*;

fn spec(devices: Value) -> Spec {
    let namespaces = json!([{ "type": "network" }]);
    let linux = json!({ "namespaces": namespaces, "netDevices": devices });
    serde_json::from_value(json!({ "ociVersion": "1.3.0", "linux": linux })).unwrap()
}

fn check(spec: &Spec, is_root: bool) -> Result<()> {
    validate(spec.linux().as_ref().unwrap(), &Namespaces::new(spec).unwrap(), is_root)
}

fn refusal(devices: Value) -> String {
    check(&spec(devices), true).expect_err("was not refused").to_string()
}

#[test]
fn names_are_checked() {
    let long = "a".repeat(16);
    for bad in ["", ".", "..", "a/b", "a:b", "a b", "a\tb", "eth%d", &long] {
        // No template on the host.
        let text = refusal(json!({ bad: {} }));
        assert!(text.contains(&format!("invalid network device name {bad:?}")), "{text}");
    }
    for bad in [".", "a/b", "a%db", "%d", "eth%s", "e%d%d", &long] {
        let text = refusal(json!({ "eth0": { "name": bad } }));
        assert!(text.contains("invalid network device name"), "{text}");
    }
    for good in ["", "eth1", "eth%d", &long[1..]] {
        check(&spec(json!({ "eth0": { "name": good } })), true).unwrap();
    }
    let text = refusal(json!({ "a": { "name": "b" }, "b": {} }));
    assert!(text.contains("two network devices with the new name \"b\""), "{text}");
    check(&spec(json!({ "a": { "name": "e%d" }, "b": { "name": "e%d" } })), true).unwrap();
}

#[test]
fn a_network_namespace_and_root_are_needed() {
    let mut host = spec(json!({ "eth0": {} }));
    let text = check(&host, false).unwrap_err().to_string();
    assert!(text.contains("network devices are not supported for rootless containers"), "{text}");
    let mut linux = host.linux().clone().unwrap();
    linux.set_namespaces(None);
    host.set_linux(Some(linux));
    let text = check(&host, true).unwrap_err().to_string();
    assert!(text.contains("unable to move network devices without a NET namespace"), "{text}");
    assert!(check(&spec(json!({})), false).is_ok());
}

#[test]
fn templates_take_the_lowest_free_number() {
    let taken = ["lo", "eth0", "eth2"].map(str::to_owned).into();
    assert_eq!(free_name("eth%d", &taken), "eth1");
    assert_eq!(free_name("net%d", &taken), "net0");
    assert_eq!(free_name("eth0", &taken), "eth0");
}

/// Runs `body` in a new network namespace made ready by `host`, with another one made ready by `container`:
/// lists of arguments for ip(8).
fn lab(host: &[&str], container: &[&str], body: fn(&Lab)) {
    assert!(rustix::process::geteuid().is_root(), "kernel tests need root");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let lab = Lab { container: new_namespace(), host: new_namespace() };
            container.iter().for_each(|arguments| drop(lab.inside(arguments)));
            host.iter().for_each(|arguments| drop(lab.ip(arguments)));
            body(&lab);
        });
    });
}

/// Moves the calling thread to a new network namespace.
fn new_namespace() -> File {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    File::open("/proc/thread-self/ns/net").unwrap()
}

struct Lab {
    host: File,
    container: File,
}

impl Lab {
    /// ip(8) in the namespace of the host, which is the calling thread's.
    fn ip(&self, arguments: &str) -> String {
        let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {arguments}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// ip(8) in the namespace of the container.
    fn inside(&self, arguments: &str) -> String {
        setns(self.container.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
        let output = self.ip(arguments);
        setns(self.host.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
        output
    }

    fn move_all(&self, devices: Value) -> Result<()> {
        move_all(&spec(devices), self.container.as_fd())
    }
}

const VETH: &[&str] = &[
    "link add host0 mtu 1789 address 02:11:22:33:44:55 type veth peer name peer0",
    "addr add 192.0.2.1/24 brd + dev host0 label host0:x",
    "addr add 192.0.2.9 peer 192.0.2.10/32 dev host0",
    "addr add 127.0.0.33/32 scope host dev host0",
    "addr add 2001:db8::1/64 dev host0 nodad",
    "link set host0 up",
    "link set peer0 up",
];

#[test]
fn a_device_moves_with_all_it_has() {
    lab(VETH, &[], |lab| {
        lab.move_all(json!({ "host0": { "name": "inside0" } })).unwrap();
        let shown = lab.inside("addr show dev inside0");
        for expected in [
            "mtu 1789",
            "02:11:22:33:44:55",
            "inet 192.0.2.1/24 brd 192.0.2.255 scope global inside0",
            "inet 192.0.2.9 peer 192.0.2.10/32 scope global inside0",
            "inet6 2001:db8::1/64 scope global",
            ",UP",
        ] {
            assert!(shown.contains(expected), "no {expected:?} in {shown}");
        }
        assert!(!shown.contains("127.0.0.33"), "an address of the host itself: {shown}");
        assert!(!lab.ip("link show").contains("host0"));
        assert!(lab.ip("link show").contains("peer0"), "what is not listed stays");
    });
}

#[test]
fn names_and_indices_in_use_are_avoided() {
    // The container's devices have the indices that those of the host have.
    let taken =
        &["link add eth0 type veth peer name eth1", "link add eth3 type veth peer name host0"];
    lab(VETH, taken, |lab| {
        let template = json!({ "name": "eth%d" });
        lab.move_all(json!({ "host0": template, "peer0": template })).unwrap();
        assert!(lab.inside("addr show dev eth2").contains("192.0.2.1/24"));
        assert!(lab.inside("link show dev eth4").contains(",UP"));
    });
}

#[test]
fn a_new_name_that_is_taken_is_refused_before_anything_moves() {
    lab(VETH, &["link add eth0 type veth peer name x"], |lab| {
        // Not the carrier, which comes in its own time.
        let before = lab.ip("-o -4 addr show");
        let devices = json!({ "host0": {}, "peer0": { "name": "eth0" } });
        let text = lab.move_all(devices).unwrap_err().to_string();
        assert!(text.contains("network device \"eth0\" already exists"), "{text}");
        assert_eq!(lab.ip("-o -4 addr show"), before);
    });
}

#[test]
fn what_cannot_move_says_so() {
    lab(&[], &[], |lab| {
        let text = lab.move_all(json!({ "lo": { "name": "l" } })).unwrap_err().to_string();
        assert_eq!(text, "move network device lo into the container as l: invalid argument");
    });
}

#[test]
fn without_one_of_them_none_is_moved() {
    lab(VETH, &[], |lab| {
        let text = lab.move_all(json!({ "host0": {}, "zzz": {} })).unwrap_err().to_string();
        assert_eq!(text, "find network device zzz: no such device");
        assert!(lab.ip("link show dev host0").contains(",UP"));
    });
}
