//! What config.json says, and what of it is refused. No kernel, no root.

use std::path::Path;

use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use super::{CgroupView, PlanContext, RootfsError, RootfsPlan};
use crate::rootfs::LegacyHierarchy;
use crate::rootfs::plan::MountKind;

/// Plans a container with this config.json, in a bundle with an empty rootfs; `adjust` changes the context.
fn plan_with(
    config: Value,
    adjust: impl FnOnce(&mut PlanContext<'_>),
) -> Result<RootfsPlan, RootfsError> {
    let bundle = tempfile::tempdir().unwrap();
    std::fs::create_dir(bundle.path().join("rootfs")).unwrap();
    let mut complete = json!({ "ociVersion": "1.2.0", "root": { "path": "rootfs" } });
    for (key, value) in config.as_object().unwrap() {
        complete[key] = value.clone();
    }
    let spec: Spec = serde_json::from_value(complete).unwrap();
    let mut context = PlanContext {
        spec: &spec,
        bundle: bundle.path(),
        mount_namespace: true,
        user_namespace: false,
        rootless: false,
        no_pivot: false,
        cgroup: CgroupView::Legacy { hierarchies: Vec::new(), private_namespace: false },
    };
    adjust(&mut context);
    RootfsPlan::prepare(&context)
}

fn plan(config: Value) -> Result<RootfsPlan, RootfsError> {
    plan_with(config, |_| {})
}

fn mount(mount: Value) -> Value {
    json!({ "mounts": [{ "destination": "/first", "type": "proc" }, mount] })
}

#[track_caller]
fn assert_refused(config: Value, message: &str) {
    assert_eq!(plan(config).unwrap_err().to_string(), format!("config.json: {message}"));
}

#[test]
fn errors_name_the_field() {
    assert_refused(
        mount(json!({ "destination": "", "type": "proc" })),
        "mounts[1].destination: is required",
    );
    assert_refused(
        mount(json!({ "destination": "/a\0b", "type": "proc" })),
        "mounts[1].destination: contains a null byte",
    );
    assert_refused(mount(json!({ "destination": "/a" })), "mounts[1].type: is required");
    assert_refused(
        mount(json!({ "destination": "/a", "options": ["bind"] })),
        "mounts[1].source: is required",
    );
    assert_refused(
        mount(json!({ "destination": "/a", "source": "b", "options": ["bind", "size=1k"] })),
        "mounts[1].options: bind mounts cannot have any filesystem-specific options applied: \"size\"",
    );
    assert_refused(
        mount(json!({ "destination": "/a", "type": "proc", "options": ["rro"] })),
        "mounts[1].options: a recursive mount attribute is only supported for bind mounts",
    );
    assert_refused(
        mount(json!({ "destination": "/a", "type": "proc", "options": ["tmpcopyup"] })),
        "mounts[1].options: tmpcopyup is only supported for tmpfs mounts",
    );
    assert_refused(
        json!({ "linux": { "rootfsPropagation": "sideways" } }),
        "linux.rootfsPropagation: \"sideways\" is not supported",
    );
    assert_refused(
        json!({ "linux": { "maskedPaths": ["/a", "b"] } }),
        "linux.maskedPaths[1]: \"b\" is not absolute",
    );
    assert_refused(
        json!({ "root": { "path": "nowhere" } }),
        "root.path: \"nowhere\": no such file or directory",
    );
}

#[test]
fn devices_are_checked() {
    let device = |device: Value| json!({ "linux": { "devices": [device] } });
    assert_refused(
        device(json!({ "path": "/dev/x", "type": "a" })),
        "linux.devices[0].type: \"a\" is not a valid device type",
    );
    assert_refused(
        device(json!({ "path": "/dev/x", "type": "c", "major": -1, "minor": 0 })),
        "linux.devices[0].major: device number -1 is out of range",
    );
    assert_refused(
        device(json!({ "path": "/dev/x", "type": "b", "major": 1, "minor": 1 << 20 })),
        "linux.devices[0].minor: device number 1048576 is out of range",
    );
}

#[test]
fn a_listed_device_takes_the_place_of_the_default() {
    let listed = json!([
        { "path": "/dev/../dev/tty", "type": "c", "major": 5, "minor": 0, "fileMode": 0o100_620 },
        { "path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2 },
    ]);
    let plan = plan(json!({ "linux": { "devices": listed } })).unwrap();
    let ttys: Vec<_> = plan.devices.iter().filter(|node| node.path.ends_with("tty")).collect();
    assert_eq!(ttys.len(), 1);
    assert_eq!(ttys[0].mode, 0o620);
    assert!(!plan.devices.iter().any(|node| node.path.ends_with("ptmx")));
    assert_eq!(plan.devices.len(), 6);
}

#[test]
fn id_mappings_must_be_whole() {
    let map = json!([{ "containerID": 0, "hostID": 1, "size": 1 }]);
    let bind = |extra: Value| {
        let mut entry = json!({ "destination": "/a", "source": "b", "options": ["bind"] });
        for (key, value) in extra.as_object().unwrap() {
            entry[key] = value.clone();
        }
        mount(entry)
    };
    let half =
        "mounts[1].uidMappings: id-mapped mounts must have both uid and gid mappings specified";
    assert_refused(bind(json!({ "uidMappings": map })), half);
    assert_refused(bind(json!({ "uidMappings": map, "gidMappings": [] })), half);
    assert_refused(bind(json!({ "options": ["bind", "idmap"] })), half);
    let whole = bind(json!({ "uidMappings": map, "gidMappings": map }));
    assert!(plan(whole.clone()).is_ok());
    let rootless = plan_with(whole, |context| context.rootless = true);
    assert!(rootless.unwrap_err().to_string().ends_with("not supported for rootless containers"));
    assert_refused(
        mount(json!({
            "destination": "/a", "type": "tmpfs", "uidMappings": map, "gidMappings": map,
        })),
        "mounts[1].uidMappings: an id mapping is only supported for bind mounts",
    );
}

#[test]
fn a_bind_is_one_by_option_or_type() {
    let kind = |entry: Value| plan(mount(entry)).unwrap().mounts[1].kind.clone();
    let flat = MountKind::Bind { recursive: false };
    let deep = MountKind::Bind { recursive: true };
    let entry = |fields: Value| {
        let mut entry = json!({ "destination": "/a", "source": "b" });
        for (key, value) in fields.as_object().unwrap() {
            entry[key] = value.clone();
        }
        entry
    };
    assert_eq!(kind(entry(json!({ "options": ["bind"] }))), flat);
    assert_eq!(kind(entry(json!({ "type": "tmpfs", "options": ["rbind"] }))), deep);
    assert_eq!(kind(entry(json!({ "type": "bind" }))), flat);
    assert_eq!(kind(entry(json!({ "type": "none", "options": ["rbind"] }))), deep);
    assert_eq!(kind(entry(json!({ "type": "cgroup" }))), MountKind::Cgroup);
}

#[test]
fn paths_are_cleaned() {
    let plan = plan(mount(json!({
        "destination": "a/./b/../../../c/", "type": "tmpfs",
    })))
    .unwrap();
    assert_eq!(plan.mounts[1].destination, Path::new("/c"));
}

#[test]
fn a_destination_may_name_the_rootfs_itself() {
    let mut inside = None;
    let config = mount(json!({ "destination": "/x", "type": "tmpfs" }));
    let plan = plan_with(config, |context| inside = Some(context.bundle.join("rootfs"))).unwrap();
    let rootfs = inside.unwrap();
    assert_eq!(plan.rootfs, rootfs);
    let entry = crate::rootfs::plan::inside(&rootfs, &rootfs.join("mnt"));
    assert_eq!(entry, Path::new("/mnt"));
    assert_eq!(crate::rootfs::plan::inside(&rootfs, &rootfs), rootfs);
}

#[test]
fn namespaces_decide_what_is_possible() {
    let masked = json!({ "linux": { "maskedPaths": ["/a"] } });
    let plan = plan_with(masked, |context| context.mount_namespace = false);
    let text = plan.unwrap_err().to_string();
    assert!(text.ends_with("unable to restrict paths without a private mount namespace"), "{text}");
    let private = json!({ "linux": { "rootfsPropagation": "rprivate" } });
    let plan = plan_with(private, |context| context.no_pivot = true);
    let text = plan.unwrap_err().to_string();
    assert!(text.ends_with("[r]private is not safe without pivot_root"), "{text}");
}

#[test]
fn masked_paths_are_made_unique() {
    let paths = ["/a/b", "/a/./b/", "/c/../a/b", "/d"];
    let plan = plan(json!({ "linux": { "maskedPaths": paths } })).unwrap();
    assert_eq!(plan.masked_paths, ["/a/b", "/d"].map(Path::new));
}

#[test]
fn where_the_container_has_no_group_its_callers_is_shown() {
    let hierarchy = |name: &str, group: &str| LegacyHierarchy {
        mount_point: format!("/cg/{name}").into(),
        cgroup: format!("/cg/{name}/{group}").into(),
    };
    let hierarchies = vec![hierarchy("a", "new"), hierarchy("b", "new"), hierarchy("c", "new")];
    let mut plan = plan_with(json!({}), |context| {
        context.cgroup = CgroupView::Legacy { hierarchies, private_namespace: false };
    })
    .unwrap();
    let paths = [("a".to_owned(), "/cg/a/new".into())].into();
    plan.show_cgroups(
        &paths,
        &["a", "b"].map(|name| (format!("/cg/{name}").into(), format!("/cg/{name}/own").into())),
    );
    let CgroupView::Legacy { hierarchies, .. } = plan.cgroup else { panic!("v1") };
    let shown: Vec<_> = hierarchies.iter().map(|shown| shown.cgroup.to_str().unwrap()).collect();
    assert_eq!(shown, ["/cg/a/new", "/cg/b/own"]);
}
