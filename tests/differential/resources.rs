//! `linux.cgroupsPath` and `linux.resources`.

use serde_json::{Value, json};

use crate::case::Case;
use crate::dice::Dice;
use crate::machine::Host;

/// Fills in cgroup path and limits.
pub(crate) fn fill(dice: &mut Dice, host: &Host, case: &mut Case) {
    match dice.below(4) {
        0 => case.spec["linux"]["cgroupsPath"] = json!(dice.one(&["/diff/inner/c", "/diff-c"])),
        1 => case.spec["linux"]["cgroupsPath"] = json!(dice.one(&["diff/relative", "relative-c"])),
        2 => case.spec["linux"]["cgroupsPath"] = json!(""),
        _ => {}
    }
    let mut resources = json!({"devices": device_rules(dice)});
    if dice.chance(45) {
        resources["memory"] = memory(dice);
    }
    if dice.chance(45) {
        resources["cpu"] = cpu(dice, host);
    }
    if dice.chance(35) {
        resources["pids"] = json!({"limit": dice.number(&[500, 1000, -1])});
    }
    if dice.chance(25) {
        resources["blockIO"] = block_io(dice, host);
    }
    if dice.chance(12) && host.net_cls {
        resources["network"] =
            json!({"classID": 1_048_577, "priorities": [{"name": "lo", "priority": 5}]});
    }
    if dice.chance(10) && host.hugetlb {
        resources["hugepageLimits"] = json!([{"pageSize": "2MB", "limit": 4 << 21}]);
    }
    if dice.chance(90) {
        case.spec["linux"]["resources"] = resources;
    }
}

/// Enough for a runtime's own init, which is in the group as well.
fn memory(dice: &mut Dice) -> Value {
    const M: i64 = 1 << 20;
    let mut memory = json!({});
    let limit = dice.number(&[100 * M, 256 * M, -1]);
    dice.maybe(80, &mut memory, "limit", json!(limit));
    dice.maybe(40, &mut memory, "reservation", json!(64 * M));
    if memory["limit"].as_i64().is_some_and(|limit| limit > 0) {
        dice.maybe(30, &mut memory, "swap", json!(limit + 100 * M));
    }
    let swappiness = dice.number(&[0, 60, 100]);
    dice.maybe(30, &mut memory, "swappiness", json!(swappiness));
    dice.maybe(15, &mut memory, "disableOOMKiller", json!(true));
    dice.maybe(10, &mut memory, "kernelTCP", json!(50 * M));
    dice.maybe(10, &mut memory, "useHierarchy", json!(true));
    dice.maybe(10, &mut memory, "checkBeforeUpdate", json!(true));
    memory
}

fn cpu(dice: &mut Dice, host: &Host) -> Value {
    let mut cpu = json!({});
    let shares = dice.number(&[2, 512, 1024, 262_144]);
    dice.maybe(60, &mut cpu, "shares", json!(shares));
    let quota = dice.number(&[50_000, 150_000, -1]);
    dice.maybe(50, &mut cpu, "quota", json!(quota));
    let period = dice.number(&[50_000, 100_000]);
    dice.maybe(40, &mut cpu, "period", json!(period));
    let cpus = dice.one(&["0", "0-0"]);
    dice.maybe(40, &mut cpu, "cpus", json!(cpus));
    dice.maybe(40, &mut cpu, "mems", json!("0"));
    if host.knows(1, 2) {
        dice.maybe(10, &mut cpu, "idle", json!(1));
        if cpu["quota"].as_i64().is_some_and(|quota| quota > 0) {
            dice.maybe(30, &mut cpu, "burst", json!(10_000));
        }
    }
    cpu
}

fn block_io(dice: &mut Dice, host: &Host) -> Value {
    let mut io = json!({});
    if let Some((major, minor)) = host.block_device {
        for key in [
            "throttleReadBpsDevice",
            "throttleWriteBpsDevice",
            "throttleReadIOPSDevice",
            "throttleWriteIOPSDevice",
        ] {
            let rate = dice.number(&[1_000_000, 5_000_000_000]);
            dice.maybe(40, &mut io, key, json!([{"major": major, "minor": minor, "rate": rate}]));
        }
    }
    io
}

fn device_rules(dice: &mut Dice) -> Value {
    let all = [
        json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"}),
        json!({"allow": true, "type": "b", "major": 7, "access": "r"}),
        json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": "w"}),
        json!({"allow": false, "type": "c", "major": 1, "minor": 9, "access": "w"}),
        json!({"allow": true, "type": "c", "major": 4, "access": "rm"}),
        json!({"allow": false, "type": "c", "major": 10, "minor": 229, "access": "w"}),
    ];
    let mut rules = Vec::new();
    if dice.chance(85) {
        rules.push(json!({"allow": dice.chance(15), "access": "rwm"}));
    }
    rules.extend(all.into_iter().filter(|_| dice.chance(25)));
    Value::from(rules)
}
