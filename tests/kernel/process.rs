//! What config.json says of the process: users, capabilities, limits, files, namespaces.

use std::fs;
use std::os::fd::OwnedFd;

use rrun_tests::skip::{Need, can};
use rrun_tests::spec;
use rrun_tests::{Lab, sys};
use serde_json::json;

/// The value of a line `name:` of `/proc/self/status` text.
fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).trim()
}

#[test]
fn user_groups_and_umask_are_those_of_the_configuration() {
    let lab = Lab::new();
    let script =
        "id -u; id -g; grep Groups /proc/self/status; umask; touch /tmp/f; stat -c %a /tmp/f";
    let bundle = lab.bundle("b").script(script).edit(|spec| {
        spec["process"]["user"] =
            json!({"uid": 1000, "gid": 1000, "additionalGids": [5, 2000], "umask": 0o027});
        spec["mounts"].as_array_mut().unwrap().push(
            json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]}));
    });
    let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok();
    let out = ran.stdout();
    let lines: Vec<&str> = out.lines().map(str::trim).collect();
    assert_eq!(lines[..2], ["1000", "1000"]);
    let groups: Vec<&str> = lines[2].split_whitespace().skip(1).collect();
    assert!(groups == ["5", "2000"] || groups == ["5", "1000", "2000"], "{groups:?}");
    assert_eq!(lines[3..], ["0027", "640"]);
}

#[test]
fn supplementary_groups_of_the_caller_do_not_leak() {
    // CVE-2022-36109, CVE-2023-25173.
    let lab = Lab::new();
    let bundle = lab.bundle("b").args(["grep", "Groups", "/proc/self/status"]);
    let mut command = std::process::Command::new("setpriv");
    command.args(["--groups", "42,4242"]).arg(rrun_tests::runtime());
    command.args(["run", "--bundle", bundle.arg(), "c"]);
    let ran = lab.run(&mut command).ok();
    assert_eq!(field(&ran.stdout(), "Groups"), "", "{ran}");
}

#[test]
fn capabilities_are_exactly_those_asked_for() {
    let lab = Lab::new();
    // CAP_CHOWN, CAP_KILL, CAP_NET_BIND_SERVICE
    let names = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let bits = format!("{:016x}", 1 | 1 << 5 | 1 << 10);
    let bundle = lab.bundle("b").args(["cat", "/proc/self/status"]);
    let bundle = bundle.edit(|spec| spec::capabilities(spec, &names));
    let status = lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok().stdout();
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(field(&status, set), bits, "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
    assert_eq!(field(&status, "NoNewPrivs"), "1");

    // Ambient ones survive the change of user.
    let bundle = bundle.edit(|spec| {
        spec["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        spec["process"]["capabilities"]["inheritable"] = json!(names);
        spec["process"]["capabilities"]["ambient"] = json!(names);
    });
    let status = lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok().stdout();
    for set in ["CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"] {
        assert_eq!(field(&status, set), bits, "{set}");
    }
}

#[test]
fn no_capabilities_object_leaves_none() {
    let lab = Lab::new();
    let bundle = lab.bundle("b").args(["cat", "/proc/self/status"]).edit(|spec| {
        spec["process"].as_object_mut().unwrap().remove("capabilities");
    });
    let status = lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok().stdout();
    for set in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
}

#[test]
fn no_new_privileges_is_as_configured() {
    let lab = Lab::new();
    for (wanted, seen) in [(true, "1"), (false, "0")] {
        let bundle = lab.bundle(&format!("b{seen}")).args(["cat", "/proc/self/status"]);
        let bundle = bundle.edit(|spec| spec["process"]["noNewPrivileges"] = json!(wanted));
        let status = lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok().stdout();
        assert_eq!(field(&status, "NoNewPrivs"), seen);
    }
}

#[test]
fn limits_are_lowered_and_oom_score_set() {
    let lab = Lab::new();
    let bundle = lab.bundle("b").script("ulimit -n; ulimit -c; cat /proc/self/oom_score_adj");
    let bundle = bundle.edit(|spec| {
        spec["process"]["rlimits"] = json!([
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        ]);
        spec["process"]["oomScoreAdj"] = json!(321);
    });
    let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok();
    assert_eq!(ran.stdout(), "100\n0\n321\n");
}

#[test]
fn limits_are_raised() {
    if !can("limits_are_raised", Need::SysResource) {
        return;
    }
    let lab = Lab::new();
    let bundle = lab.bundle("b").script("ulimit -Hn").edit(|spec| {
        spec["process"]["rlimits"] =
            json!([{"type": "RLIMIT_NOFILE", "soft": 1_048_000, "hard": 1_048_000}]);
    });
    let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok();
    assert_eq!(ran.stdout(), "1048000\n");
}

#[test]
fn only_asked_for_files_are_open_in_the_container() {
    // CVE-2024-21626: a runtime's own descriptor is a way out.
    let lab = Lab::new();
    let bundle = lab.bundle("b").args(["ls", "-l", "/proc/self/fd"]);
    let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok();
    let open: Vec<String> = ran
        .stdout()
        .lines()
        .filter(|l| l.contains("->") && !l.contains("/proc/"))
        .map(str::to_owned)
        .collect();
    assert_eq!(open.len(), 3, "0, 1 and 2 alone: {ran}");

    let file = lab.folder().join("passed");
    fs::write(&file, "by descriptor\n").unwrap();
    let mut command =
        lab.rrun_command(["run", "--preserve-fds", "1", "--bundle", bundle.arg(), "c"]);
    sys::pass_fd(&mut command, OwnedFd::from(fs::File::open(&file).unwrap()), 3);
    let ran = lab.run(&mut command).ok();
    assert!(ran.stdout().contains(" 3 -> "), "{ran}");
    let reader = lab.bundle("reader").script("cat <&3");
    let mut command =
        lab.rrun_command(["run", "--preserve-fds", "1", "--bundle", reader.arg(), "c"]);
    sys::pass_fd(&mut command, OwnedFd::from(fs::File::open(&file).unwrap()), 3);
    assert_eq!(lab.run(&mut command).ok().stdout(), "by descriptor\n");
}

#[test]
fn a_user_namespace_maps_as_configured() {
    if !can("a_user_namespace_maps_as_configured", Need::UserNamespace) {
        return;
    }
    let lab = Lab::new();
    let bundle = lab.bundle("b").script(
        "cat /proc/self/uid_map; id -u; touch /tmp/made; hostname other && hostname; \
         cat /proc/sys/kernel/ostype; echo $$",
    );
    let bundle = bundle.edit(|spec| {
        spec::map_users(spec, 100_000, 65_536);
        spec["process"]["capabilities"]["effective"] = json!(["CAP_SYS_ADMIN"]);
        spec["process"]["capabilities"]["permitted"] = json!(["CAP_SYS_ADMIN"]);
        spec["process"]["capabilities"]["bounding"] = json!(["CAP_SYS_ADMIN"]);
    });
    open_to_mapped_users(&lab, &bundle);
    let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok();
    let out = ran.stdout();
    let map: Vec<&str> = out.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(map, ["0", "100000", "65536"]);
    assert!(out.ends_with("0\nother\nLinux\n1\n"), "{ran}");
    let owner =
        std::os::unix::fs::MetadataExt::uid(&fs::metadata(bundle.rootfs("tmp/made")).unwrap());
    assert_eq!(owner, 100_000);
}

#[test]
fn exec_joins_the_user_namespace() {
    if !can("exec_joins_the_user_namespace", Need::UserNamespace) {
        return;
    }
    let lab = Lab::new();
    let bundle = lab.bundle("b").args(["sleep", "1000"]);
    let bundle = bundle.edit(|spec| spec::map_users(spec, 100_000, 65_536));
    open_to_mapped_users(&lab, &bundle);
    lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    let ran = lab.rrun(["exec", "c", "cat", "/proc/self/uid_map"]).ok();
    let out = ran.stdout();
    assert_eq!(out.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
    lab.rrun(["delete", "-f", "c"]).ok();
}

/// Users outside of the namespace own nothing here: folders must be open, `/tmp` be theirs.
fn open_to_mapped_users(lab: &Lab, bundle: &rrun_tests::Bundle) {
    use std::os::unix::fs::{PermissionsExt, chown};
    for folder in [lab.folder(), bundle.path(), &bundle.rootfs("")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for folder in ["", "tmp", "dev", "proc", "sys"] {
        chown(bundle.rootfs(folder), Some(100_000), Some(100_000)).unwrap();
    }
}

#[test]
fn namespaces_are_new_shared_or_joined_as_configured() {
    let lab = Lab::new();
    let kinds = ["pid", "net", "ipc", "uts", "mnt", "cgroup"];
    let show = kinds.map(|kind| format!("readlink /proc/self/ns/{kind}")).join("; ");
    let host = lab.sh(&show).ok().stdout();
    let own = lab.bundle("own").script(&show);
    let inside = lab.rrun(["run", "--bundle", own.arg(), "c"]).ok().stdout();
    for (kind, (a, b)) in kinds.iter().zip(host.lines().zip(inside.lines())) {
        assert_ne!(a, b, "{kind} is new");
    }
    let shared = lab.bundle("shared").script(&show).edit(|s| {
        for kind in ["network", "ipc", "uts"] {
            spec::share(s, kind);
        }
        s.as_object_mut().unwrap().remove("hostname");
    });
    let inside = lab.rrun(["run", "--bundle", shared.arg(), "c"]).ok().stdout();
    for (i, (a, b)) in host.lines().zip(inside.lines()).enumerate() {
        assert_eq!(a == b, (1..=3).contains(&i), "{}", kinds[i]);
    }
    lab.sh("ip netns add joined").ok();
    let joined = lab.bundle("joined").args(["readlink", "/proc/self/ns/net"]).edit(|s| {
        spec::share(s, "network");
        spec::push(
            &mut s["linux"]["namespaces"],
            json!({"type": "network", "path": "/run/netns/joined"}),
        );
    });
    let inside = lab.rrun(["run", "--bundle", joined.arg(), "c"]).ok().stdout();
    let wanted = lab.sh("ip netns exec joined readlink /proc/self/ns/net").ok().stdout();
    assert_eq!(inside, wanted);
}

#[test]
fn sysctls_are_set_inside_only() {
    let lab = Lab::new();
    let read = "cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/msgmax";
    let before = lab.sh(read).ok().stdout();
    let bundle = lab.bundle("b").script(read).edit(|spec| {
        spec["linux"]["sysctl"] = json!({"net.ipv4.ip_default_ttl": "77", "kernel.msgmax": "4242"});
    });
    assert_eq!(lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok().stdout(), "77\n4242\n");
    assert_eq!(lab.sh(read).ok().stdout(), before);
    // Not a namespaced one: it would change the host.
    let bad = lab.bundle("bad").edit(|spec| {
        spec["linux"]["sysctl"] = json!({"vm.swappiness": "1"});
    });
    assert_eq!(lab.rrun(["run", "--bundle", bad.arg(), "c"]).code(), 1);
}
