//! `process`, `hostname`, `root.readonly` and what else belongs to the program.

use serde_json::json;

use crate::case::Case;
use crate::dice::Dice;
use crate::machine::Host;

/// Capabilities that this machine may have, some with great effect and some with little.
pub(crate) const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_ADMIN",
    "CAP_MKNOD",
    "CAP_AUDIT_WRITE",
    "CAP_SETFCAP",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Fills in the process.
pub(crate) fn fill(dice: &mut Dice, host: &Host, case: &mut Case) {
    user(dice, case);
    program(dice, case);
    capabilities(dice, case);
    limits(dice, case);
    let process = &mut case.spec["process"];
    let no_new_privileges = dice.chance(60);
    dice.maybe(85, process, "noNewPrivileges", json!(no_new_privileges));
    let score = dice.number(&[0, 1, 100, 500, 999, 1000]);
    dice.maybe(40, process, "oomScoreAdj", json!(score));
    dice.maybe(15, process, "terminal", json!(false));
    if host.knows(1, 2) {
        scheduling(dice, case);
    }
    if dice.chance(25) {
        case.spec["annotations"] =
            json!({"org.example.one": "1", "org.example.two": "zwei\n\"2\""});
    }
    let readonly = dice.chance(70);
    dice.maybe(30, &mut case.spec["root"], "readonly", json!(readonly));
    case.spec["ociVersion"] = json!(dice.one(&["1.0.0", "1.0.1", "1.0.2", "1.0.2-dev"]));
    if host.knows(1, 2) && dice.chance(30) {
        case.spec["ociVersion"] = json!("1.2.0");
    }
}

fn user(dice: &mut Dice, case: &mut Case) {
    let user = &mut case.spec["process"]["user"];
    if dice.chance(45) {
        user["uid"] = json!(dice.number(&[1, 1000, 4242, 65_534]));
    }
    if dice.chance(45) {
        user["gid"] = json!(dice.number(&[1, 5, 1000, 4242, 65_534]));
    }
    if dice.chance(35) {
        let all = [0, 1, 5, 7, 1000, 2000, 65_534, 5];
        let start = dice.below(all.len());
        user["additionalGids"] = json!(all[start..(start + dice.below(5)).min(all.len())]);
    }
    if dice.chance(40) {
        user["umask"] = json!(dice.number(&[0, 0o2, 0o22, 0o27, 0o77, 0o777, 0o111]));
    }
}

fn program(dice: &mut Dice, case: &mut Case) {
    let process = &mut case.spec["process"];
    process["args"] = json!([
        dice.one(&["/bin/witness", "/bin/witness", "witness", "/link-to-witness"]),
        "report"
    ]);
    process["cwd"] = json!(dice.one(&[
        "/",
        "/",
        "/tmp",
        "/bin",
        "/var",
        "/made/by/runtime",
        "/tmp/../bin/.",
        "/link"
    ]));
    let mut env =
        vec![*dice.number_of(&["PATH=/bin", "PATH=/nowhere:/bin:/sbin", "PATH=/sbin:/bin:"])];
    let more = [
        "HOME=/somewhere",
        "HOME=",
        "TERM=xterm",
        "EMPTY=",
        "TWICE=1",
        "TWICE=2",
        "A=b=c",
        "SPACE=a b  c",
        "UTF8=žluť",
        "PATH=/bin:/later",
        "lower=case",
        "LINES=a\nb",
        "A=again",
    ];
    env.extend(dice.some(&more, 35));
    process["env"] = json!(env);
}

impl Dice {
    fn number_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

fn capabilities(dice: &mut Dice, case: &mut Case) {
    if dice.chance(8) {
        return;
    }
    let share = dice.number(&[0, 30, 60, 100]) as usize;
    let bounding = dice.some(CAPABILITIES, share);
    let permitted = dice.some(&bounding, 85);
    let effective = dice.some(&permitted, 85);
    let mut sets = json!({"bounding": bounding, "permitted": permitted, "effective": effective});
    if dice.chance(40) {
        let inheritable = dice.some(&permitted, 60);
        let ambient = dice.some(&inheritable, 70);
        sets["inheritable"] = json!(inheritable);
        dice.maybe(60, &mut sets, "ambient", json!(ambient));
    }
    if dice.chance(6) {
        sets["bounding"].as_array_mut().expect("list").push(json!("CAP_NOT_YET_INVENTED"));
    }
    case.spec["process"]["capabilities"] = sets;
}

/// Only lower ones: a machine may lack CAP_SYS_RESOURCE.
fn limits(dice: &mut Dice, case: &mut Case) {
    const LIMITS: &[(&str, u64, u64)] = &[
        ("RLIMIT_NOFILE", 512, 900),
        ("RLIMIT_NOFILE", 1000, 1000),
        ("RLIMIT_CORE", 0, 0),
        ("RLIMIT_NPROC", 20_000, 30_000),
        ("RLIMIT_FSIZE", 1 << 30, 1 << 31),
        ("RLIMIT_STACK", 1 << 23, 1 << 26),
        ("RLIMIT_MEMLOCK", 65_536, 65_536),
        ("RLIMIT_CPU", 600, 700),
        ("RLIMIT_SIGPENDING", 100, 200),
        ("RLIMIT_MSGQUEUE", 1000, 2000),
        ("RLIMIT_RTTIME", 5_000_000, 6_000_000),
        ("RLIMIT_LOCKS", 10, 20),
        ("RLIMIT_RSS", 1 << 30, 1 << 30),
        ("RLIMIT_AS", 1 << 40, 1 << 41),
        ("RLIMIT_DATA", 1 << 36, 1 << 37),
    ];
    if !dice.chance(45) {
        return;
    }
    let mut limits: Vec<serde_json::Value> = Vec::new();
    for (kind, soft, hard) in LIMITS {
        if dice.chance(25) && !limits.iter().any(|limit| limit["type"] == *kind) {
            limits.push(json!({"type": kind, "soft": soft, "hard": hard}));
        }
    }
    case.spec["process"]["rlimits"] = json!(limits);
}

fn scheduling(dice: &mut Dice, case: &mut Case) {
    if dice.chance(20) {
        let policy = dice.one(&["SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE"]);
        case.spec["process"]["scheduler"] = json!({"policy": policy});
        if policy == "SCHED_OTHER" {
            case.spec["process"]["scheduler"]["nice"] = json!(dice.number(&[0, 5, 19]));
        }
    }
    if dice.chance(20) {
        let class = dice.one(&["IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"]);
        case.spec["process"]["ioPriority"] = json!({"class": class, "priority": dice.below(8)});
    }
    if dice.chance(12) {
        let domain = dice.one(&["LINUX", "LINUX32"]);
        case.spec["linux"]["personality"] = json!({"domain": domain, "flags": ["OF_NO_KIND"]});
    }
}
