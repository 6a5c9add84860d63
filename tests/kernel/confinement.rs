//! What a container may not do: seccomp, masked and read-only paths, devices, cgroup limits.

use std::fs;

use rrun_tests::Lab;
use rrun_tests::spec;
use serde_json::json;

#[test]
fn seccomp_denies_in_the_process_and_in_exec() {
    let lab = Lab::new();
    let mkdir = "mkdir /tmp/d 2>/dev/null && echo made || echo denied";
    let control = lab.bundle("control").script(mkdir);
    assert_eq!(lab.rrun(["run", "--bundle", control.arg(), "c"]).ok().stdout(), "made\n");
    let bundle = lab.bundle("b").script(&format!("{mkdir}; sleep 1000")).edit(|spec| {
        spec["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
        });
    });
    let ran = lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    crate::wait_output(|| ran.stdout(), "denied");
    assert_eq!(lab.rrun(["exec", "c", "sh", "-c", mkdir]).ok().stdout(), "denied\n");
    let status = lab.rrun(["exec", "c", "cat", "/proc/1/status"]).ok().stdout();
    assert!(status.contains("Seccomp:\t2"), "{status}");
    lab.rrun(["delete", "-f", "c"]).ok();
}

#[test]
fn masked_paths_show_nothing_and_read_only_ones_take_nothing() {
    let lab = Lab::new();
    let script = "cat /etc/secret; ls /masked; touch /ro/x 2>/dev/null || echo ro; \
        echo 1 > /proc/sys/kernel/hostname 2>/dev/null || echo sysro";
    let make = |name: &str| {
        let bundle = lab.bundle(name).script(script);
        for folder in ["masked", "ro"] {
            fs::create_dir(bundle.rootfs(folder)).unwrap();
        }
        fs::write(bundle.rootfs("masked/inner"), "").unwrap();
        fs::write(bundle.rootfs("etc/secret"), "secret\n").unwrap();
        bundle
    };
    let control = make("control").edit(|spec| {
        spec["linux"]["maskedPaths"] = json!([]);
        spec["linux"]["readonlyPaths"] = json!([]);
    });
    let ran = lab.rrun(["run", "--bundle", control.arg(), "c"]).ok();
    assert_eq!(ran.stdout(), "secret\ninner\n", "the control has it all");
    let bundle = make("b").edit(|spec| {
        spec::push(&mut spec["linux"]["maskedPaths"], json!("/etc/secret"));
        spec::push(&mut spec["linux"]["maskedPaths"], json!("/masked"));
        spec::push(&mut spec["linux"]["maskedPaths"], json!("/there/is/none"));
        spec::push(&mut spec["linux"]["readonlyPaths"], json!("/ro"));
    });
    let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok();
    assert_eq!(ran.stdout(), "ro\nsysro\n", "{ran}");
}

#[test]
fn a_read_only_root_is_read_only() {
    let lab = Lab::new();
    let script = "touch /x 2>/dev/null && echo written; touch /dev/shm/x && echo shm";
    let control = lab.bundle("control").script(script);
    assert_eq!(lab.rrun(["run", "--bundle", control.arg(), "c"]).ok().stdout(), "written\nshm\n");
    let bundle = lab.bundle("b").script(script).edit(|spec| spec["root"]["readonly"] = json!(true));
    assert_eq!(lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok().stdout(), "shm\n");
    assert!(!bundle.rootfs("x").exists());
    let bundle = lab.bundle("paths").script(script).edit(|spec| {
        spec["root"]["readonly"] = json!(false);
        spec["linux"]["readonlyPaths"] = json!(["/"]);
    });
    assert_eq!(lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok().stdout(), "shm\n");
    assert!(!bundle.rootfs("x").exists());
}

#[test]
fn default_devices_are_there_and_no_other() {
    let lab = Lab::new();
    let bundle = lab.bundle("b").script(
        "for d in null zero full random urandom tty; do stat -c '%n %t:%T %a' /dev/$d; done; \
         for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done; \
         echo x > /dev/null && echo ok; head -c 2 /dev/zero | wc -c",
    );
    let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok();
    let expected = "/dev/null 1:3 666\n/dev/zero 1:5 666\n/dev/full 1:7 666\n/dev/random 1:8 666\n\
        /dev/urandom 1:9 666\n/dev/tty 5:0 666\n/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n\
        /proc/self/fd/2\npts/ptmx\nok\n2\n";
    assert_eq!(ran.stdout(), expected);
}

#[test]
fn device_rules_hold() {
    // GHSA-g54h-m393-cpwq: without rules every device is open to CAP_MKNOD.
    let lab = Lab::new();
    // 1:1 is /dev/mem, 1:11 /dev/kmsg; kmsg is readable and harmless.
    let script = "mknod /tmp/kmsg c 1 11 && head -c 0 /tmp/kmsg && echo open || echo denied";
    let with_rules = |name: &str, rules: serde_json::Value| {
        lab.bundle(name).script(script).edit(|s| {
            spec::capabilities(s, &["CAP_MKNOD", "CAP_SYSLOG"]);
            s["linux"]["resources"]["devices"] = rules;
        })
    };
    let control = with_rules("control", json!([{"allow": true, "access": "rwm"}]));
    let ran = lab.rrun(["run", "--bundle", control.arg(), "c"]).ok();
    assert_eq!(ran.stdout(), "open\n", "{ran}");
    let denied = with_rules("denied", json!([{"allow": false, "access": "rwm"}]));
    let ran = lab.rrun(["run", "--bundle", denied.arg(), "c"]).ok();
    assert_eq!(ran.stdout(), "denied\n", "{ran}");
    let one = with_rules(
        "one",
        json!([{"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rm"}]),
    );
    let ran = lab.rrun(["run", "--bundle", one.arg(), "c"]).ok();
    assert_eq!(ran.stdout(), "open\n", "{ran}");
}

#[test]
fn limits_of_memory_and_processes_bite() {
    let lab = Lab::new();
    // A shell that asks for 64 MiB: the page cache of /dev/shm is charged to the group.
    let eat = "dd if=/dev/zero of=/dev/shm/x bs=1M count=48 2>/dev/null && echo ate";
    let control = lab.bundle("control").script(eat);
    assert_eq!(lab.rrun(["run", "--bundle", control.arg(), "c"]).ok().stdout(), "ate\n");
    let bundle = lab.bundle("b").script(eat).edit(|spec| {
        spec["linux"]["resources"]["memory"] = json!({"limit": 16 << 20, "swap": 16 << 20});
    });
    let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]);
    assert_ne!(ran.stdout(), "ate\n", "{ran}");
    let fork = "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all";
    let bundle = lab.bundle("pids").script(fork).edit(|spec| {
        spec["linux"]["resources"]["pids"] = json!({"limit": 4});
    });
    let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]);
    assert_ne!(ran.stdout(), "all\n", "{ran}");
}

#[test]
fn cgroups_inside_are_read_only_and_do_not_stop_delete() {
    let lab = Lab::new();
    let before = lab.snapshot();
    let bundle = lab.bundle("b").script(
        "for procs in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do [ -e $procs ] && \
         mkdir ${procs%cgroup.procs}own 2>/dev/null && echo $procs; done; echo done; sleep 1000",
    );
    let ran = lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    crate::wait_output(|| ran.stdout(), "done");
    assert_eq!(ran.stdout(), "done\n", "a read-only hierarchy took a group");
    lab.rrun(["delete", "-f", "c"]).ok();

    let writable = bundle.edit(|spec| {
        spec::capabilities(spec, &["CAP_SYS_ADMIN"]);
        let mounts = spec["mounts"].as_array_mut().unwrap();
        let cgroup = mounts.iter_mut().find(|m| m["type"] == "cgroup").unwrap();
        cgroup["options"] = json!(["nosuid", "noexec", "nodev", "rw"]);
    });
    let ran = lab.rrun(["run", "-d", "--bundle", writable.arg(), "c"]).ok();
    crate::wait_output(|| ran.stdout(), "done");
    assert_ne!(ran.stdout(), "done\n", "the control: a writable hierarchy takes one");
    lab.rrun(["delete", "-f", "c"]).ok();
    crate::leftovers(&lab, &before);
}

#[test]
fn update_changes_what_it_names_and_leaves_zeros_alone() {
    let lab = Lab::new();
    let bundle = lab.bundle("b").args(["sleep", "1000"]).edit(|spec| {
        spec["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
        spec["linux"]["resources"]["pids"] = json!({"limit": 50});
    });
    lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    let read = |file: &str| {
        lab.rrun(["exec", "c", "sh", "-c", &format!("cat /sys/fs/cgroup/{file}")])
            .ok()
            .stdout()
            .trim()
            .to_owned()
    };
    let (memory, pids) = match lab
        .cgroup("pids")
        .is_some_and(|g| g.join("pids.max").exists() || !g.join("cgroup.controllers").exists())
    {
        true if lab.cgroup("memory").is_some_and(|g| g.join("memory.limit_in_bytes").exists()) => {
            ("memory/memory.limit_in_bytes", "pids/pids.max")
        }
        _ => ("memory.max", "pids.max"),
    };
    assert_eq!(read(memory), (64u32 << 20).to_string());
    assert_eq!(read(pids), "50");
    lab.rrun(["update", "--pids-limit", "70", "c"]).ok();
    assert_eq!(read(pids), "70");
    // What a containerd shim sends: a whole object where zero means "leave alone".
    let resources = lab.folder().join("resources.json");
    let text = json!({"memory": {"limit": 96 << 20}, "cpu": {"shares": 0, "quota": 0, "period": 0},
        "pids": {"limit": 0}, "blockIO": {"weight": 0}});
    fs::write(&resources, text.to_string()).unwrap();
    lab.rrun(["update", "--resources", resources.to_str().unwrap(), "c"]).ok();
    assert_eq!(read(memory), (96u32 << 20).to_string());
    assert_eq!(read(pids), "70");
    lab.rrun(["delete", "-f", "c"]).ok();
}
