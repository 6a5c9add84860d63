//! `linux.namespaces` with mappings, offsets, names and sysctls.

use serde_json::{Value, json};

use crate::case::Case;
use crate::dice::Dice;
use crate::machine::{Host, NAMESPACES};

/// The first host id of the mapped users.
pub(crate) const MAPPED: u32 = 100_000;

/// Fills in the namespaces.
pub(crate) fn fill(dice: &mut Dice, host: &Host, case: &mut Case) {
    let user = host.user_namespaces && dice.chance(22);
    let mut all = vec![json!({"type": "mount"})];
    if user {
        map_users(dice, case, &mut all);
    }
    for kind in ["pid", "network", "ipc", "uts", "cgroup"] {
        // In a user namespace proc, sysfs and mqueue can be mounted only with namespaces that it owns.
        let tied = user && ["pid", "network", "ipc"].contains(&kind);
        match dice.below(100) {
            _ if tied => all.push(json!({"type": kind})),
            0..70 => all.push(json!({"type": kind})),
            70..85 => {}
            _ if user => all.push(json!({"type": kind})),
            _ => all.push(json!({"type": kind, "path": format!("{NAMESPACES}/{kind}")})),
        }
    }
    if host.knows(1, 2) && dice.chance(25) {
        time(dice, case, &mut all);
    }
    // The order in the list means nothing.
    let turn = dice.below(all.len());
    all.rotate_left(turn);
    case.spec["linux"]["namespaces"] = Value::from(all);
    names(dice, host, case);
    sysctls(dice, host, case);
}

fn map_users(dice: &mut Dice, case: &mut Case, all: &mut Vec<Value>) {
    case.owner = MAPPED;
    let map = |host: u32, size: u32, container: u32| json!({"containerID": container, "hostID": host, "size": size});
    let (uids, gids) = match dice.below(3) {
        0 => (json!([map(MAPPED, 65_536, 0)]), json!([map(MAPPED, 65_536, 0)])),
        1 => (
            json!([map(MAPPED, 1000, 0), map(MAPPED + 1000, 64_536, 1000)]),
            json!([map(MAPPED, 65_536, 0)]),
        ),
        _ => (
            json!([map(MAPPED, 70_000, 0)]),
            json!([map(MAPPED, 10, 0), map(MAPPED + 10, 69_990, 10)]),
        ),
    };
    case.spec["linux"]["uidMappings"] = uids;
    case.spec["linux"]["gidMappings"] = gids;
    all.push(json!({"type": "user"}));
}

fn time(dice: &mut Dice, case: &mut Case, all: &mut Vec<Value>) {
    all.push(json!({"type": "time"}));
    let mut offsets = json!({});
    let secs = dice.number(&[0, 1, 86_400]);
    dice.maybe(60, &mut offsets, "monotonic", json!({"secs": secs, "nanosecs": 5}));
    dice.maybe(50, &mut offsets, "boottime", json!({"secs": 604_800}));
    // runc fails to write no offsets at all.
    if offsets != json!({}) {
        case.spec["linux"]["timeOffsets"] = offsets;
    }
}

fn is_new(case: &Case, kind: &str) -> bool {
    let all = case.spec["linux"]["namespaces"].as_array().into_iter().flatten();
    all.into_iter().any(|ns| ns["type"] == kind && ns["path"].is_null())
}

fn names(dice: &mut Dice, host: &Host, case: &mut Case) {
    if is_new(case, "uts") {
        dice.maybe(80, &mut case.spec, "hostname", json!("box.example"));
        if host.knows(1, 2) {
            dice.maybe(30, &mut case.spec, "domainname", json!("example.org"));
        }
    }
}

fn sysctls(dice: &mut Dice, host: &Host, case: &mut Case) {
    const NETWORK: &[(&str, &str)] = &[
        ("net.ipv4.ip_default_ttl", "77"),
        ("net/ipv4/ip_forward", "1"),
        ("net.core.somaxconn", "1234"),
        ("net.ipv4.ping_group_range", "0 100"),
        ("net.ipv4.conf.lo.forwarding", "1"),
        ("net.ipv4.ip_unprivileged_port_start", "0"),
        ("net.ipv4.ip_local_port_range", "20000 30000"),
    ];
    const IPC: &[(&str, &str)] = &[
        ("kernel.msgmax", "4242"),
        ("kernel.shmmni", "99"),
        ("kernel.shm_rmid_forced", "1"),
        ("kernel.sem", "32000 1024000000 500 4096"),
        ("fs.mqueue.msg_max", "12"),
    ];
    if !dice.chance(40) {
        return;
    }
    let mut chosen = json!({});
    for (kind, list) in [("network", NETWORK), ("ipc", IPC)] {
        if is_new(case, kind) {
            for (name, value) in list {
                dice.maybe(30, &mut chosen, name, json!(value));
            }
        }
    }
    if is_new(case, "uts") && case.owner == 0 && case.spec["domainname"].is_null() {
        dice.maybe(10, &mut chosen, "kernel.domainname", json!("by.sysctl"));
    }
    if case.owner != 0 && host.knows(1, 5) {
        dice.maybe(20, &mut chosen, "user.max_user_namespaces", json!("7"));
    }
    case.spec["linux"]["sysctl"] = chosen;
}
