//! What a user without any rights to cgroupfs gets.

use std::os::unix::process::CommandExt;

use cgroup::{Controller, Mount};

use super::*;

const NOBODY: u32 = 65534;

/// As root: runs this same test as nobody. As anyone else: is the test.
#[test]
#[ignore = "needs root, to become nobody"]
fn without_permission() {
    if nix::unistd::geteuid().is_root() {
        // A copy, since nobody may not be allowed to reach the original; made by another process,
        // since a file open for writing here and in children forked meanwhile cannot be executed.
        let copy = std::env::temp_dir().join(format!("rrun-test-{}", std::process::id()));
        let original = std::env::current_exe().unwrap();
        assert!(Command::new("cp").args([&original, &copy]).status().unwrap().success());
        let arguments = ["--ignored", "--exact", "rootless::without_permission"];
        let output = Command::new(&copy).args(arguments).uid(NOBODY).gid(NOBODY).output();
        std::fs::remove_file(&copy).unwrap();
        let output = output.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let host = Hierarchies::detect().unwrap();
    let mut mounts = host.mounts().to_vec();
    mounts.retain(|mount| mount.controllers == [Controller::Unified]);
    let v2 = Hierarchies::from_mounts(Mode::V2, mounts);
    own_groups(&host);
    if let Some(unified) = host.mount(Controller::Unified) {
        beside_v1(unified);
    }
    for hierarchies in [host, v2] {
        check(&hierarchies);
    }
}

fn own_groups(host: &Hierarchies) {
    let groups = host.own_groups().unwrap();
    assert_eq!(groups.len(), host.mounts().len());
    let own = std::process::id().to_string();
    for (point, group) in groups {
        assert!(group.starts_with(&point));
        let procs = std::fs::read_to_string(group.join("cgroup.procs")).unwrap();
        assert!(procs.lines().any(|pid| pid == own), "{own} is not in {}", group.display());
    }
}

/// All v1 hierarchies may be used, here one that is a plain directory, and the unified one may not.
fn beside_v1(unified: &Mount) {
    let point = std::env::temp_dir().join(format!("rrun-test-v1-{}", std::process::id()));
    std::fs::create_dir(&point).unwrap();
    let (root, controllers) = (PathBuf::from("/"), vec![Controller::Devices]);
    let devices = Mount { controllers, point: point.clone(), root };
    let hybrid = Hierarchies::from_mounts(Mode::V1, vec![devices, unified.clone()]);
    let place = Some(Path::new("/rrun-test-x"));
    let rootless = Options { rootless: true };
    let mut cgroup = Cgroup::new(&hybrid, place, "x", rootless).unwrap();
    cgroup.create(&LinuxResources::default()).unwrap();
    assert_eq!(cgroup.denied(), [Controller::Unified]);
    assert_eq!(cgroup.paths().into_keys().collect::<Vec<_>>(), ["devices"]);
    cgroup.undo_create();
    std::fs::remove_dir(&point).unwrap();
}

fn check(hierarchies: &Hierarchies) {
    let none = LinuxResources::default();
    let limits = resources(r#"{"pids":{"limit":5}}"#);
    let rootless = Options { rootless: true };
    let new = |path: Option<&Path>, options| {
        Cgroup::new(hierarchies, path, "rrun-test-rootless", options).unwrap()
    };

    let mut cgroup = new(None, rootless);
    cgroup.create(&none).unwrap();
    assert!(!cgroup.denied().is_empty());
    assert!(cgroup.paths().is_empty());
    cgroup.set_limits(&none).unwrap();
    cgroup.set_devices(&[]).unwrap();
    cgroup.join_handles(&SubCgroups::none()).unwrap();
    assert!(!cgroup.is_frozen().unwrap());
    cgroup.remove().unwrap();

    let mut cgroup = new(None, rootless);
    let failed = cgroup.create(&limits).and_then(|()| cgroup.set_limits(&limits)).unwrap_err();
    let expected = match hierarchies.mode() {
        Mode::V1 => "cannot set pids limit: container could not join or create cgroup",
        Mode::V2 => "rootless needs no limits + no cgrouppath when no permission is granted",
    };
    assert!(failed.to_string().starts_with(expected), "{failed}");

    for (path, options) in [(Some(Path::new("/rrun-test-x")), rootless), (None, Options::default())]
    {
        let error = new(path, options).create(&none).unwrap_err();
        assert!(error.is_permission(), "{error}");
        assert!(error.to_string().contains("permission denied"), "{error}");
    }
}
