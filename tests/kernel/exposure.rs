//! Ways out of containers that other runtimes had, each by its CVE.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rrun_tests::{Lab, LabOptions, copy_program, runtime};
use serde_json::json;

fn hash(path: &Path) -> String {
    let out = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8_lossy(&out.stdout).split(' ').next().unwrap().to_owned()
}

/// Every entry below `folder` with kind, mode and contents' length: a change of any is seen.
fn contents(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let meta = fs::symlink_metadata(entry.path()).unwrap();
            found.push(format!(
                "{} {:o} {}",
                entry.path().display(),
                meta.permissions().mode(),
                meta.len()
            ));
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_binary_cannot_be_written_from_inside() {
    // CVE-2019-5736. A copy is attacked: a runtime that falls must not take the others along.
    let lab = Lab::new();
    let copy = lab.folder().join(runtime().file_name().unwrap());
    copy_program(&runtime(), &copy);
    let before = hash(&copy);
    // The script keeps trying to open what /proc/PID/exe of each process names for writing.
    let attack = "#!/bin/sh\ni=0; while [ $i -lt 400 ]; do i=$((i+1)); for e in /proc/[0-9]*/exe; do \
        case $(readlink $e) in */busybox) ;; *) { echo spoiled > $e; } 2>/dev/null && echo WROTE $e;; \
        esac; done; done; echo attacked\n";
    let bundle = lab.bundle("b").args(["sleep", "1000"]);
    fs::write(bundle.rootfs("bin/attack"), attack).unwrap();
    fs::write(bundle.rootfs("bin/self"), "#!/proc/self/exe\n").unwrap();
    for name in ["attack", "self"] {
        fs::set_permissions(
            bundle.rootfs(&format!("bin/{name}")),
            PermissionsExt::from_mode(0o755),
        )
        .unwrap();
    }
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(&copy);
        lab.run(command.args(args).current_dir(lab.folder()))
    };
    run(&["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    let mut command = std::process::Command::new(&copy);
    command
        .args(["exec", "c", "attack"])
        .stdout(fs::File::create(lab.folder().join("log")).unwrap());
    let mut attacker = lab.spawn(&mut command).unwrap();
    while attacker.try_wait().unwrap().is_none() {
        // Their ends do not matter; that they enter the container does.
        run(&["exec", "c", "/proc/self/exe"]);
        run(&["exec", "c", "self"]);
        run(&["exec", "c", "true"]);
    }
    let log = fs::read_to_string(lab.folder().join("log")).unwrap();
    assert!(log.contains("attacked"), "the attack ran to its end: {log}");
    assert_eq!(hash(&copy), before, "the binary changed: {log}");
    run(&["delete", "-f", "c"]).ok();
    for entry in ["/proc/self/exe", "self"] {
        let bundle = lab.bundle(&entry.replace('/', "_")).args([entry]);
        fs::write(bundle.rootfs("bin/self"), "#!/proc/self/exe\n").unwrap();
        fs::set_permissions(bundle.rootfs("bin/self"), PermissionsExt::from_mode(0o755)).unwrap();
        run(&["run", "--bundle", bundle.arg(), "c"]);
        run(&["delete", "-f", "c"]);
    }
    assert_eq!(hash(&copy), before, "the binary changed");
}

#[test]
fn a_working_folder_by_descriptor_is_no_way_out() {
    // CVE-2024-21626.
    let lab = Lab::new();
    let before = lab.snapshot();
    for n in 3..=12 {
        let bundle =
            lab.bundle(&format!("b{n}")).script("ls -a . ../../../.. 2>&1; pwd").edit(|spec| {
                spec["process"]["cwd"] = json!(format!("/proc/self/fd/{n}"));
            });
        let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]);
        assert_ne!(ran.code(), 0, "cwd /proc/self/fd/{n} was taken: {ran}");
    }
    crate::leftovers(&lab, &before);
    let bundle = lab.bundle("b").args(["sleep", "1000"]);
    lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    for n in 3..=12 {
        let ran = lab.rrun(["exec", "--cwd", &format!("/proc/self/fd/{n}"), "c", "pwd"]);
        assert_ne!(ran.code(), 0, "exec --cwd /proc/self/fd/{n} was taken: {ran}");
    }
    lab.rrun(["delete", "-f", "c"]).ok();
}

#[test]
fn a_missing_working_folder_is_made_inside_only() {
    // As CVE-2024-21626, but what is made would stay even though it is refused to enter it. Of the hybrid
    // layout the runtime has a group open, by which the image gets at the host.
    let lab = Lab::with(LabOptions { hybrid: true });
    let canary = lab.folder().join("canary");
    fs::create_dir(&canary).unwrap();
    for n in 3..=40 {
        let bundle = lab.bundle(&format!("b{n}")).edit(|spec| {
            spec["process"]["cwd"] = json!("/app/owned");
        });
        let up = "../".repeat(16);
        symlink(format!("/proc/self/fd/{n}/{up}{}", canary.display()), bundle.rootfs("app"))
            .unwrap();
        let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]);
        assert_ne!(ran.code(), 0, "{ran}");
        assert_eq!(fs::read_dir(&canary).unwrap().count(), 0, "made by descriptor {n}: {ran}");
    }
}

#[test]
fn a_dev_that_is_a_symlink_leaves_the_host_alone() {
    // CVE-2026-41579, CVE-2026-47766.
    let lab = Lab::new();
    let canary = lab.folder().join("canary");
    fs::create_dir_all(canary.join("pts")).unwrap();
    for name in ["null", "ptmx", "console"] {
        fs::write(canary.join(name), "host's").unwrap();
    }
    let before = contents(&canary);
    for (i, target) in [canary.to_str().unwrap(), "../../canary"].into_iter().enumerate() {
        for without_mount in [false, true] {
            let bundle = lab.bundle(&format!("b{i}{without_mount}")).edit(|spec| {
                if without_mount {
                    let mounts = spec["mounts"].as_array_mut().unwrap();
                    mounts.retain(|m| !m["destination"].as_str().unwrap().starts_with("/dev"));
                }
            });
            fs::remove_dir(bundle.rootfs("dev")).unwrap();
            symlink(target, bundle.rootfs("dev")).unwrap();
            // Refused or contained in the rootfs: both are right.
            lab.rrun(["run", "--bundle", bundle.arg(), "c"]);
            lab.rrun(["delete", "-f", "c"]).ok();
            assert_eq!(contents(&canary), before, "/dev -> {target}");
        }
    }
}

#[test]
fn proc_and_sys_as_symlinks_are_refused() {
    // CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642.
    let lab = Lab::new();
    let before = lab.snapshot();
    for name in ["proc", "sys"] {
        let bundle = lab.bundle(name).script("echo ran");
        fs::remove_dir(bundle.rootfs(name)).unwrap();
        fs::create_dir(bundle.rootfs("tmp/elsewhere")).unwrap();
        symlink("/tmp/elsewhere", bundle.rootfs(name)).unwrap();
        let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]);
        assert_ne!(ran.code(), 0, "{ran}");
        assert!(!ran.stdout().contains("ran"), "{ran}");
    }
    crate::leftovers(&lab, &before);
}

#[test]
fn a_bind_mount_over_proc_is_refused() {
    // CVE-2019-16884: labels and sysctls would be written to a fake.
    let lab = Lab::new();
    for (i, destination) in ["/proc", "/proc/self", "/alias/self"].into_iter().enumerate() {
        let bundle = lab.bundle(&format!("b{i}")).script("echo ran").edit(|spec| {
            rrun_tests::spec::push(
                &mut spec["mounts"],
                json!({"destination": destination,
                "type": "bind", "source": "rootfs/tmp", "options": ["bind"]}),
            );
        });
        symlink("/proc", bundle.rootfs("alias")).unwrap();
        let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]);
        assert_ne!(ran.code(), 0, "bind over {destination}: {ran}");
    }
}

#[test]
fn masked_paths_are_not_fooled_by_a_fake_null() {
    // CVE-2025-31133, CVE-2025-52565: the rootfs names another file /dev/null or /dev/console.
    let lab = Lab::new();
    let canary = lab.folder().join("canary");
    fs::write(&canary, "host's").unwrap();
    for name in ["null", "console", "ptmx"] {
        let bundle =
            lab.bundle(name).script("cat /etc/secret; echo over > /etc/secret").edit(|spec| {
                spec["linux"]["maskedPaths"] = json!(["/etc/secret"]);
                // Without a tmpfs on /dev the image's own entries are met.
                let mounts = spec["mounts"].as_array_mut().unwrap();
                mounts.retain(|m| !m["destination"].as_str().unwrap().starts_with("/dev"));
            });
        fs::write(bundle.rootfs("etc/secret"), "secret").unwrap();
        fs::write(bundle.rootfs("tmp/fake"), "fake").unwrap();
        symlink("../tmp/fake", bundle.rootfs(&format!("dev/{name}"))).unwrap();
        symlink(&canary, bundle.rootfs("dev/other")).unwrap();
        let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]);
        assert!(!ran.stdout().contains("secret") && !ran.stdout().contains("fake"), "{ran}");
        lab.rrun(["delete", "-f", "c"]).ok();
        assert_eq!(fs::read_to_string(bundle.rootfs("etc/secret")).unwrap(), "secret", "{name}");
        assert_eq!(fs::read_to_string(&canary).unwrap(), "host's", "{name}");
    }
}

#[test]
fn mounts_follow_no_symlink_out_of_the_rootfs() {
    // CVE-2021-30465 without the race: absolute, relative and nested links as destinations.
    let lab = Lab::new();
    let canary = lab.folder().join("canary");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("file"), "host's").unwrap();
    let before = contents(&canary);
    let source = lab.folder().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("mounted"), "").unwrap();
    for (i, target) in [canary.to_str().unwrap(), "../../canary", "../../../../../../../../tmp"]
        .into_iter()
        .enumerate()
    {
        let bundle = lab.bundle(&format!("b{i}")).args(["ls", "/link/sub"]).edit(|spec| {
            rrun_tests::spec::push(
                &mut spec["mounts"],
                json!({"destination": "/link/sub",
                "type": "bind", "source": source, "options": ["bind"]}),
            );
        });
        symlink(target, bundle.rootfs("link")).unwrap();
        let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]);
        assert!(ran.code() != 0 || ran.stdout() == "mounted\n", "{ran}");
        assert_eq!(contents(&canary), before, "link -> {target}");
    }
}

#[test]
fn users_with_misleading_names_are_not_resolved() {
    // CVE-2016-3697, CVE-2024-40635, CVE-2026-46680: a name that looks like a number.
    let lab = Lab::new();
    let bundle = lab.bundle("b").args(["sleep", "1000"]);
    fs::write(bundle.rootfs("etc/passwd"), "1234:x:0:0::/:/bin/sh\n").unwrap();
    lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    let id = |user: &str| lab.rrun(["exec", "--user", user, "c", "id", "-u"]);
    assert_eq!(id("1234").ok().stdout(), "1234\n", "never root by a name");
    for bad in
        ["-1", "4294967295", "4294967296", "99999999999999999999", "0x0", "+0", "nobody-here"]
    {
        let ran = id(bad);
        assert_ne!(ran.code(), 0, "--user {bad} was taken: {ran}");
    }
    lab.rrun(["delete", "-f", "c"]).ok();
}

#[test]
fn an_nss_module_of_the_image_is_never_loaded() {
    // CVE-2019-14271: it would run as root on the host's side of the boundary.
    let lab = Lab::new();
    let bundle = lab.bundle("b").args(["sleep", "1000"]);
    fs::create_dir_all(bundle.rootfs("lib/x86_64-linux-gnu")).unwrap();
    fs::write(bundle.rootfs("etc/nsswitch.conf"), "passwd: evil\ngroup: evil\n").unwrap();
    fs::write(bundle.rootfs("lib/x86_64-linux-gnu/libnss_evil.so.2"), "not a library").unwrap();
    let traced = |args: &[&str]| {
        let trace = lab.folder().join("trace");
        let mut command = std::process::Command::new("strace");
        command.args(["-f", "-e", "trace=openat,openat2,open", "-o"]).arg(&trace);
        lab.run(command.arg(runtime()).args(args).current_dir(lab.folder())).ok();
        fs::read_to_string(&trace).unwrap()
    };
    lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    let named = lab.bundle("named").edit(|spec| {
        spec["process"]["user"] = json!({"uid": 1000, "gid": 1000, "username": "user"});
    });
    let mut text = traced(&["exec", "--user", "1000", "c", "true"]);
    text += &traced(&["run", "--bundle", named.arg(), "d"]);
    assert!(text.contains("etc/passwd"), "the trace sees it all");
    assert!(!text.contains("libnss_"), "an NSS module was opened");
    lab.rrun(["delete", "-f", "c"]).ok();
}

#[test]
fn state_is_for_root_alone_whatever_the_umask() {
    // CVE-2021-41091, CVE-2024-25621.
    let lab = Lab::new();
    let bundle = lab.bundle("b").args(["sleep", "1000"]);
    let run = format!(
        "umask 0; {} run -d --bundle {} c >/dev/null 2>&1 </dev/null",
        runtime().display(),
        bundle.arg()
    );
    lab.sh(&run).ok();
    let open =
        lab.sh("find /run -path /run/netns -prune -o -path '*un/*c/*' -perm /077 -print").ok();
    for path in open.stdout().lines() {
        let meta = fs::symlink_metadata(lab.outside(path)).unwrap();
        assert!(meta.is_symlink(), "{path} is open to others: {:o}", meta.permissions().mode());
    }
    lab.rrun(["delete", "-f", "c"]).ok();
}

#[test]
fn no_abstract_socket_in_the_hosts_network() {
    // CVE-2020-15257.
    let lab = Lab::new();
    let bundle = lab.bundle("b").args(["cat", "/proc/net/unix"]);
    let bundle = bundle.edit(|spec| rrun_tests::spec::share(spec, "network"));
    let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok();
    assert!(!ran.stdout().contains('@'), "{ran}");
}

#[test]
fn a_process_of_exec_is_as_confined_as_the_first() {
    let lab = Lab::new();
    let bundle = lab.bundle("b").args(["sleep", "1000"]).edit(|spec| {
        spec["process"]["oomScoreAdj"] = json!(123);
    });
    lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    let script = "for p in 1 self; do grep -E 'Cap|NoNewPrivs|Seccomp:|Groups' /proc/$p/status; \
        cat /proc/$p/oom_score_adj; sed 's/^[0-9]*://' /proc/$p/cgroup; \
        for n in pid net ipc uts mnt cgroup user; do readlink /proc/$p/ns/$n; done; echo; done";
    let both = lab.rrun(["exec", "c", "sh", "-c", script]).ok().stdout();
    let (first, second) = both.split_once("\n\n").unwrap_or_else(|| panic!("{both}"));
    assert!(first.contains("CapEff") && first.contains("net:["), "{both}");
    assert_eq!(first, second.trim_end());
    lab.rrun(["delete", "-f", "c"]).ok();
}

#[test]
fn huge_files_of_the_image_cost_no_memory() {
    // CVE-2026-30892, CVE-2026-47262: /etc/passwd, /etc/group and annotations belong to the image.
    let lab = Lab::new();
    let peak = |args: &[&str]| {
        let mut command = std::process::Command::new(rrun_tests::tool("floor"));
        command.arg("rss").arg(runtime()).args(args).current_dir(lab.folder());
        let ran = lab.run(&mut command);
        let kib: u64 = ran
            .stdout()
            .lines()
            .last()
            .and_then(|l| l.trim().parse().ok())
            .unwrap_or_else(|| panic!("{ran}"));
        kib
    };
    let limit = 64 << 10;
    let bundle = lab.bundle("b");
    for name in ["passwd", "group"] {
        // One line of a GiB, which costs no disk: a hole.
        let file = fs::File::create(bundle.rootfs(&format!("etc/{name}"))).unwrap();
        file.set_len(1 << 30).unwrap();
    }
    let used = peak(&["run", "--bundle", bundle.arg(), "c"]);
    assert!(used < limit, "{used} KiB for a huge passwd");
    lab.rrun(["delete", "-f", "c"]);
    let annotated = lab.bundle("annotated").edit(|spec| {
        spec["annotations"] = json!({"big": "x".repeat(40 << 20)});
    });
    let used = peak(&["run", "--bundle", annotated.arg(), "c"]);
    // The text itself may be held once or twice, in what is read and in what is kept.
    assert!(used < 3 * limit, "{used} KiB for a huge annotation");
}

#[test]
fn paths_with_dots_stay_where_they_belong() {
    let lab = Lab::new();
    let before = lab.snapshot();
    let bundle = lab.bundle("b").args(["stat", "-c", "%F", "/etc/device"]).edit(|spec| {
        spec["linux"]["cgroupsPath"] = json!("../../../outside");
        spec["linux"]["devices"] = json!([{"path": "/dev/../../../etc/device", "type": "c",
            "major": 1, "minor": 3}]);
        rrun_tests::spec::push(
            &mut spec["mounts"],
            json!({"destination": "/tmp/../../../mounted",
            "type": "tmpfs", "source": "tmpfs"}),
        );
    });
    let ran = lab.rrun(["run", "--bundle", bundle.arg(), "c"]).ok();
    assert_eq!(ran.stdout(), "character special file\n");
    assert!(!lab.outside("/etc/device").exists() && !lab.outside("/mounted").exists());
    for folder in ["/sys/fs/cgroup", "/sys/fs", "/"] {
        assert!(!lab.outside(folder).join("outside").exists(), "{folder}/outside");
    }
    lab.rrun(["delete", "-f", "c"]).ok();
    crate::leftovers(&lab, &before);
}
