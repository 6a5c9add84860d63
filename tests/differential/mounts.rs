//! `mounts`, `linux.devices`, propagation, masked and read-only paths.

use serde_json::{Value, json};

use crate::case::Case;
use crate::dice::Dice;
use crate::machine::{Host, TREE};

/// Flags that say nothing against each other alone; of two that do the later one holds.
const FLAGS: &[&str] = &[
    "ro",
    "rw",
    "nosuid",
    "suid",
    "nodev",
    "dev",
    "noexec",
    "exec",
    "noatime",
    "relatime",
    "strictatime",
    "nodiratime",
    "atime",
    "norelatime",
    "nostrictatime",
    "diratime",
    "async",
    "silent",
    "loud",
];
const FLAGS_OF_1_2: &[&str] = &["nosymfollow", "symfollow"];
const SUPERBLOCK: &[&str] = &["sync", "dirsync", "lazytime", "nolazytime"];
const RECURSIVE: &[&str] = &[
    "rro",
    "rrw",
    "rnosuid",
    "rsuid",
    "rnodev",
    "rdev",
    "rnoexec",
    "rexec",
    "rnodiratime",
    "rdiratime",
    "rnoatime",
    "ratime",
    "rrelatime",
    "rstrictatime",
    "rnosymfollow",
    "rsymfollow",
];
const PROPAGATION: &[&str] =
    &["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"];

/// Fills in what concerns files.
pub(crate) fn fill(dice: &mut Dice, host: &Host, case: &mut Case) {
    let mut mounts = usual(dice, case);
    for number in 0..dice.below(6) {
        mounts.push(extra(dice, host, case, number));
    }
    case.spec["mounts"] = Value::from(mounts);
    let propagation = dice.one(&[
        "private",
        "rprivate",
        "slave",
        "rslave",
        "shared",
        "rshared",
        "unbindable",
        "runbindable",
    ]);
    dice.maybe(35, &mut case.spec["linux"], "rootfsPropagation", json!(propagation));
    devices(dice, case);
    let masked = dice.some(
        &[
            "/proc/kcore",
            "/proc/keys",
            "/proc/timer_list",
            "/sys/firmware",
            "/proc/acpi",
            "/proc/scsi",
            "/etc/group",
            "/www",
            "/no/such/path",
        ],
        40,
    );
    dice.maybe(75, &mut case.spec["linux"], "maskedPaths", json!(masked));
    let readonly = dice.some(
        &[
            "/proc/bus",
            "/proc/fs",
            "/proc/irq",
            "/proc/sys",
            "/proc/sysrq-trigger",
            "/etc",
            "/var",
            "/etc/passwd",
            "/no/such/path",
        ],
        40,
    );
    dice.maybe(75, &mut case.spec["linux"], "readonlyPaths", json!(readonly));
    // Nothing that may not be bound can be made read-only.
    if case.spec.to_string().contains("unbindable") {
        case.spec["linux"]["readonlyPaths"] = json!([]);
    }
}

fn usual(dice: &mut Dice, case: &Case) -> Vec<Value> {
    let mut mounts = vec![json!({"destination": "/proc", "type": "proc", "source": "proc"})];
    // What the host's procfs has not is locked in a user namespace.
    if dice.chance(25) && case.owner == 0 {
        mounts[0]["options"] =
            json!(dice.some(&["nosuid", "noexec", "nodev", "relatime", "noatime"], 50));
    }
    if dice.chance(95) {
        let mut options =
            dice.some(&["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"], 80);
        if dice.chance(12) {
            options.push("ro");
        }
        mounts.push(
            json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": options}),
        );
    }
    let tight = ["nosuid", "noexec", "nodev"];
    if dice.chance(85) {
        let mut options = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
        if dice.chance(80) {
            options.push("gid=5");
        }
        mounts.push(json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": options}));
    }
    if dice.chance(80) {
        let size = dice.one(&["size=65536k", "size=1m", "size=10%"]);
        mounts.push(json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": [tight[0], tight[1], tight[2], "mode=1777", size]}));
    }
    let mqueue = json!({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": dice.some(&tight, 70)});
    if dice.chance(75) {
        mounts.push(mqueue);
    }
    // sysfs needs a network namespace that the user namespace owns.
    if dice.chance(85) {
        let mut options = dice.some(&tight, 85);
        if dice.chance(75) {
            options.push("ro");
        }
        mounts.push(
            json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": options}),
        );
        if dice.chance(65) {
            let mut options = dice.some(&["nosuid", "noexec", "nodev", "relatime"], 85);
            if dice.chance(70) {
                options.push("ro");
            }
            mounts.push(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options}));
        }
    }
    mounts
}

fn extra(dice: &mut Dice, host: &Host, case: &Case, number: usize) -> Value {
    let place = |dice: &mut Dice| match dice.below(6) {
        0 => "/var".to_owned(),
        1 => format!("/link/in{number}"),
        2 => "/tmp".to_owned(),
        3 => format!("/m{number}/deep/../deeper"),
        _ => format!("/m{number}"),
    };
    match dice.below(10) {
        0..3 => {
            let destination = place(dice);
            tmpfs(dice, host, destination)
        }
        3..5 => {
            let destination = place(dice);
            bind(dice, host, case, "src/dir", destination)
        }
        5 => {
            let destination =
                dice.one(&["/etc/hosts", "/etc/passwd", "/made/file", "/link/file"]).to_owned();
            bind(dice, host, case, "src/file", destination)
        }
        // Never below another, or what is mounted there would appear on the host: it is shared.
        6..8 => bind(dice, host, case, TREE, format!("/t{number}")),
        8 if host.knows(1, 2) && case.owner == 0 => {
            let destination = place(dice);
            id_mapped(dice, host, destination)
        }
        8 => tmpfs(dice, host, "/copied".to_owned()),
        _ => match dice.below(3) {
            0 => {
                json!({"destination": place(dice), "type": "mqueue", "source": "mqueue", "options": ["nosuid"]})
            }
            1 => {
                json!({"destination": place(dice), "type": "devpts", "source": "devpts", "options": ["newinstance", "mode=0600"]})
            }
            _ => {
                json!({"destination": place(dice), "type": "ramfs", "source": "ram", "options": ["nodev"]})
            }
        },
    }
}

fn flags(dice: &mut Dice, host: &Host) -> Vec<&'static str> {
    let percent = dice.number(&[0, 10, 20]) as usize;
    let mut flags = dice.some(FLAGS, percent);
    if host.knows(1, 2) {
        flags.extend(dice.some(FLAGS_OF_1_2, 5));
    }
    flags
}

fn tmpfs(dice: &mut Dice, host: &Host, destination: String) -> Value {
    let mut options = flags(dice, host);
    options.extend(dice.some(&["size=1m", "mode=0700", "mode=1777", "nr_inodes=200"], 40));
    options.extend(dice.some(SUPERBLOCK, 8));
    if dice.chance(35) || destination == "/copied" {
        options.push("tmpcopyup");
    }
    options.extend(dice.some(PROPAGATION, 6));
    // runc makes these read-only by a path of the host, which it does not find.
    if destination.contains("/link") || destination.contains("..") {
        options.retain(|option| *option != "ro");
    }
    json!({"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options})
}

/// What only the owner of the source's mount may change: locked in a user namespace
/// (mount_namespaces(7)).
const LOCKED: &[&str] = &[
    "atime",
    "noatime",
    "norelatime",
    "relatime",
    "strictatime",
    "nostrictatime",
    "diratime",
    "nodiratime",
    "rw",
    "suid",
    "dev",
    "exec",
    "symfollow",
    "ratime",
    "rnoatime",
    "rrelatime",
    "rstrictatime",
    "rdiratime",
    "rnodiratime",
    "rrw",
    "rsuid",
    "rdev",
    "rexec",
    "rsymfollow",
];

fn bind(dice: &mut Dice, host: &Host, case: &Case, source: &str, destination: String) -> Value {
    let mut mount = free_bind(dice, host, source, destination);
    if case.owner != 0 {
        let options = mount["options"].as_array_mut().expect("options");
        options.retain(|option| !LOCKED.iter().any(|locked| option == locked));
        // Parts of a tree that hide others cannot be taken alone.
        options[0] = json!("rbind");
    }
    mount
}

fn free_bind(dice: &mut Dice, host: &Host, source: &str, destination: String) -> Value {
    let mut options = vec![dice.one(&["bind", "rbind", "rbind"])];
    options.extend(flags(dice, host));
    if dice.chance(30) {
        options.push(dice.one(PROPAGATION));
    }
    if dice.chance(30) {
        let known = if host.knows(1, 2) { RECURSIVE } else { &RECURSIVE[..14] };
        options.extend(dice.some(known, 12));
    }
    let kind = dice.one(&["bind", "none", "", "bind"]);
    let mut mount = json!({"destination": destination, "source": source, "options": options});
    if !kind.is_empty() {
        mount["type"] = json!(kind);
    }
    mount
}

fn id_mapped(dice: &mut Dice, host: &Host, destination: String) -> Value {
    let mut mount = free_bind(dice, host, "src/dir", destination);
    if dice.chance(70) {
        mount["options"]
            .as_array_mut()
            .expect("options")
            .push(json!(dice.one(&["idmap", "ridmap"])));
    }
    let map = json!([{"containerID": 0, "hostID": 5000, "size": 1000}, {"containerID": 1000, "hostID": 1000, "size": 1000}]);
    mount["uidMappings"] = map.clone();
    mount["gidMappings"] = map;
    mount
}

fn devices(dice: &mut Dice, case: &mut Case) {
    let all = [
        json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666, "uid": 0, "gid": 0}),
        json!({"path": "/dev/deep/er/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 7, "gid": 8}),
        json!({"path": "/dev/loop7", "type": "b", "major": 7, "minor": 7, "fileMode": 0o660}),
        json!({"path": "/dev/pipe", "type": "p", "fileMode": 0o644, "uid": 1000, "gid": 1000}),
        json!({"path": "/dev/zero2", "type": "c", "major": 1, "minor": 5, "uid": 3}),
        json!({"path": "/var/random", "type": "c", "major": 1, "minor": 8, "fileMode": 0o4666}),
    ];
    // In a user namespace devices are bound from the host, where these paths are not.
    if case.owner == 0 && dice.chance(40) {
        let chosen: Vec<&Value> = all.iter().filter(|_| dice.chance(35)).collect();
        case.spec["linux"]["devices"] = json!(chosen);
    }
}
