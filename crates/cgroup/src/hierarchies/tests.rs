use super::*;

const HYBRID: &str = "\
22 1 254:1 / / rw,relatime - ext4 /dev/root rw
23 22 0:20 / /sys rw - sysfs sysfs rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:4 - cgroup cgroup rw,cpu,cpuacct
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
43 31 0:39 / /sys/fs/cgroup/other rw,relatime - cgroup cgroup rw,name=elogind
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

#[test]
fn hybrid_mounts() {
    let found = Hierarchies::from_mountinfo(HYBRID.as_bytes()).unwrap();
    assert_eq!(found.mode(), Mode::V1);
    assert_eq!(found.mounts().len(), 4);
    assert_eq!(found.mount(Controller::Cpuacct), found.mount(Controller::Cpu));
    assert_eq!(
        found.mount(Controller::Systemd).unwrap().point,
        Path::new("/sys/fs/cgroup/systemd")
    );
    assert_eq!(
        found.mount(Controller::Unified).unwrap().point,
        Path::new("/sys/fs/cgroup/unified")
    );
    assert_eq!(found.mount(Controller::Memory), None);
}

#[test]
fn a_mount_on_top_hides_the_unified_hierarchy() {
    let hidden = format!("{HYBRID}50 41 0:50 / /sys/fs/cgroup/unified rw - tmpfs none rw\n");
    let found = Hierarchies::from_mountinfo(hidden.as_bytes()).unwrap();
    assert_eq!(found.mode(), Mode::V1);
    assert_eq!(found.mount(Controller::Unified), None);
    assert!(found.mount(Controller::Devices).is_some());
}

#[test]
fn a_mount_on_the_parent_hides_all_below() {
    let hidden = format!("{HYBRID}50 31 0:50 / /sys/fs/cgroup rw - cgroup2 none rw\n");
    let found = Hierarchies::from_mountinfo(hidden.as_bytes()).unwrap();
    assert_eq!(found.mode(), Mode::V2);
    assert_eq!(found.mounts().len(), 1);
    let none = format!("{HYBRID}50 23 0:50 / /sys/fs rw - tmpfs none rw\n");
    assert!(matches!(Hierarchies::from_mountinfo(none.as_bytes()), Err(Error::NotMounted)));
}

#[test]
fn v2_alone_wins_over_a_stray_v1_mount() {
    let text = "22 1 254:1 / / rw - ext4 /dev/root rw\n\
        24 22 0:21 / /sys rw - sysfs sysfs rw\n\
        25 24 0:22 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n\
        26 22 0:23 / /opt/net\\040cls rw - cgroup net_cls rw,net_cls\n";
    let found = Hierarchies::from_mountinfo(text.as_bytes()).unwrap();
    assert_eq!(found.mode(), Mode::V2);
    assert_eq!(found.mounts().len(), 1);
}

#[test]
fn mounts_elsewhere_come_last() {
    let text = "22 1 254:1 / / rw - ext4 /dev/root rw\n\
        30 22 0:30 / /root/sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
        31 22 0:38 / /root/sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
        32 22 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
    let found = Hierarchies::from_mountinfo(text.as_bytes()).unwrap();
    assert_eq!(found.mount(Controller::Cpu).unwrap().point, Path::new("/sys/fs/cgroup/cpu"));
    assert_eq!(found.mount(Controller::Unified), None);
    let alone = "22 1 254:1 / / rw - ext4 /dev/root rw\n31 22 0:38 / /cg rw - cgroup2 cgroup2 rw\n";
    assert_eq!(Hierarchies::from_mountinfo(alone.as_bytes()).unwrap().mode(), Mode::V2);
}

#[test]
fn octal_escapes() {
    assert_eq!(unescape(b"/a\\040b\\134"), Path::new("/a b\\"));
    assert_eq!(unescape(b"/a\\9\\777\\04"), Path::new("/a\\9\\777\\04"));
}

#[test]
fn nonsense_is_not_a_mount() {
    for text in ["", "\n\n", "1", "1 2 3 4 5 6", "- - - -", "1 1 0:1 / / rw - cgroup x rw,"] {
        assert!(Hierarchies::from_mountinfo(text.as_bytes()).is_err(), "{text}");
    }
    assert!(Hierarchies::from_mountinfo(&[0xff, b' ', 0, b'\n', b'-']).is_err());
    // A parent cycle must end.
    let cycle = "1 2 0:1 / /a rw - cgroup x rw,cpu\n2 1 0:1 / /b rw - tmpfs x rw\n";
    assert!(Hierarchies::from_mountinfo(cycle.as_bytes()).is_ok());
}

#[test]
fn membership() {
    let text = b"9:name=systemd:/\n4:memory:/a:b/c\n2:cpu,cpuacct:/x\n0::/u\nbroken\n1:\n";
    let groups = Membership::parse(text);
    assert_eq!(groups.path(Controller::Memory), Some(Path::new("/a:b/c")));
    assert_eq!(groups.path(Controller::Cpuacct), Some(Path::new("/x")));
    assert_eq!(groups.path(Controller::Unified), Some(Path::new("/u")));
    assert_eq!(groups.path(Controller::Systemd), Some(Path::new("/")));
    assert_eq!(groups.path(Controller::Pids), None);
}
