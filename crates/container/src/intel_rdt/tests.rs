//! On a tree of files that looks like resctrl. What the kernel would make when a directory is made,
//! [`born`] makes.

use serde_json::json;

use super::*;

struct Fake(tempfile::TempDir);

impl Fake {
    fn new() -> Self {
        let fake = Self(tempfile::tempdir().unwrap());
        for (file, text) in [
            ("schemata", "    MB:0=100;1=100\n    L3:0=7ff;1=7ff\n"),
            ("tasks", "1\n"),
            ("info/last_cmd_status", "ok\n"),
            ("info/L3/cbm_mask", "7ff\n"),
            ("info/L3/min_cbm_bits", "1\n"),
            ("info/L3/num_closids", "16\n"),
            ("info/MB/bandwidth_gran", "10\n"),
            ("info/MB/delay_linear", "0\n"),
            ("info/MB/min_bandwidth", "10\n"),
            ("info/MB/num_closids", "8\n"),
            ("info/L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\n"),
        ] {
            fake.put(file, text);
        }
        fake
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn put(&self, file: &str, text: &str) {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    /// What the kernel puts into a new group.
    fn born(&self, group: &str) {
        self.put(&format!("{group}/tasks"), "");
        self.put(&format!("{group}/schemata"), "MB:0=100;1=100\nL3:0=7ff;1=7ff\n");
        std::fs::create_dir_all(self.path(&format!("{group}/mon_groups"))).unwrap();
    }

    fn plan(&self, rdt: &serde_json::Value) -> Result<(Group, LinuxIntelRdt)> {
        let rdt: LinuxIntelRdt = serde_json::from_value(rdt.clone()).unwrap();
        let resctrl = Resctrl { root: self.0.path().to_owned() };
        Ok((Group::plan(Some(resctrl), &rdt, "c1")?, rdt))
    }

    fn refusal(&self, rdt: &serde_json::Value) -> String {
        self.plan(rdt).unwrap_err().to_string()
    }
}

#[test]
fn a_container_has_a_group_of_its_own() {
    let fake = Fake::new();
    let (mut group, rdt) = fake
        .plan(&json!({"l3CacheSchema": "L3:0=7f0;1=1f", "memBwSchema": "MB:0=20;1=70",
            "schemata": ["L2:0=f", "L3:1=f"], "enableMonitoring": true}))
        .unwrap();
    assert!(!group.exists());
    assert!(group.make().unwrap());
    fake.born("c1");
    group.configure(&rdt, true).unwrap();
    assert_eq!(fake.text("c1/schemata"), "L3:0=7f0;1=1f\nMB:0=20;1=70\nL2:0=f\nL3:1=f\n");
    fake.put("c1/mon_groups/c1/tasks", "");
    group.add(42).unwrap();
    assert_eq!(fake.text("c1/tasks"), "42");
    assert_eq!(fake.text("c1/mon_groups/c1/tasks"), "42");

    // The files go with the directory in the kernel, and keep it here.
    std::fs::remove_file(fake.path("c1/mon_groups/c1/tasks")).unwrap();
    let error = group.remove().unwrap_err().to_string();
    assert!(
        error.contains("rmdir") && error.ends_with("/c1: directory not empty, last_cmd_status: ok")
    );
    assert!(!fake.path("c1/mon_groups/c1").exists());
    std::fs::remove_dir_all(fake.path("c1")).unwrap();
    std::fs::create_dir(fake.path("c1")).unwrap();
    group.remove().unwrap();
    assert!(!fake.path("c1").exists());
    group.remove().unwrap();
}

#[test]
fn what_the_kernel_refuses_is_told_in_its_words() {
    let fake = Fake::new();
    let (mut group, _) = fake.plan(&json!({})).unwrap();
    group.make().unwrap();
    fake.put("info/last_cmd_status", "Mask out of range\n");
    // Without a file it is ENOENT here; resctrl's EINVAL comes the same way.
    let error = group.add(7).unwrap_err().to_string();
    let end = "/c1/tasks: no such file or directory, last_cmd_status: Mask out of range";
    assert!(error.starts_with("intelrdt: add pid 7 to /") && error.ends_with(end), "{error}");
}

#[test]
fn a_group_of_others_is_joined_and_stays() {
    let fake = Fake::new();
    fake.born("gold");
    let before = fake.text("gold/schemata");
    for rdt in [
        json!({"closID": "gold"}),
        json!({"closID": "gold", "l3CacheSchema": "L3:0=07ff"}),
        json!({"closID": "gold", "enableMonitoring": true, "memBwSchema": "MB:1=95;0=100"}),
    ] {
        let (mut group, rdt) = fake.plan(&rdt).unwrap();
        assert!(!group.make().unwrap());
        group.configure(&rdt, false).unwrap();
        assert_eq!(fake.text("gold/schemata"), before);
        group.remove().unwrap();
        assert!(fake.path("gold/tasks").exists());
        assert!(!fake.path("gold/mon_groups/c1").exists());
    }
    let (group, rdt) = fake.plan(&json!({"closID": "gold", "schemata": ["L3:0=f"]})).unwrap();
    let error = group.configure(&rdt, false).unwrap_err().to_string();
    assert!(error.ends_with("gold exists, and its schemata are not \"L3:0=f\""), "{error}");
    assert_eq!(fake.text("gold/schemata"), before);
}

#[test]
fn a_named_group_that_is_made_stays_too() {
    let fake = Fake::new();
    let rdt = json!({"closID": "silver", "l3CacheSchema": "L3:0=f"});
    let (mut group, rdt) = fake.plan(&rdt).unwrap();
    assert!(group.make().unwrap());
    fake.born("silver");
    // A plain file keeps what is not written over.
    fake.put("silver/schemata", "");
    group.configure(&rdt, true).unwrap();
    assert_eq!(fake.text("silver/schemata"), "L3:0=f\n");
    group.remove().unwrap();
    assert!(fake.path("silver").exists());
}

#[test]
fn one_that_appears_between_plan_and_make_is_not_removed() {
    let fake = Fake::new();
    let (mut group, _) = fake.plan(&json!({})).unwrap();
    fake.born("c1");
    assert!(!group.make().unwrap());
    group.remove().unwrap();
    assert!(fake.path("c1/tasks").exists());
}

#[test]
fn the_default_group_is_the_root() {
    let fake = Fake::new();
    let (mut group, rdt) = fake.plan(&json!({"closID": "/"})).unwrap();
    assert!(!group.make().unwrap());
    group.configure(&rdt, false).unwrap();
    group.add(42).unwrap();
    assert_eq!(fake.text("tasks"), "42");
    group.remove().unwrap();
    assert!(fake.path("tasks").exists());
}

#[test]
fn what_is_wrong_is_refused_before_anything_is_made() {
    let fake = Fake::new();
    for clos in [".", "..", "a/b", "../x", "/x", "x/", "a\nb", "a\0b"] {
        let error = fake.refusal(&json!({"closID": clos, "l3CacheSchema": "L3:0=f"}));
        assert!(error.contains("invalid intelRdt.ClosID"), "{clos:?}: {error}");
    }
    assert!(fake.refusal(&json!({"closID": "absent"})).contains("must be pre-created"));
    for schema in ["L3:0=f", "MB:0=20\nL3:0=f"] {
        assert!(fake.refusal(&json!({"memBwSchema": schema})).contains("memBwSchema"));
    }
    assert!(fake.refusal(&json!({"schemata": ["L3:0=f\nMB:0=20"]})).contains("schemata"));
    std::fs::remove_dir_all(fake.path("info/L3")).unwrap();
    std::fs::remove_dir_all(fake.path("info/MB")).unwrap();
    assert!(fake.refusal(&json!({"l3CacheSchema": "L3:0=f"})).ends_with("RDT/CAT is not enabled"));
    assert!(fake.refusal(&json!({"memBwSchema": "MB:0=20"})).ends_with("RDT/MBA is not enabled"));
    let error = Group::plan(None, &LinuxIntelRdt::default(), "c1").unwrap_err().to_string();
    assert!(error.ends_with("intelRdt is specified in config, but Intel RDT is not enabled"));
}

#[test]
fn statistics_have_the_form_of_runc() {
    let fake = Fake::new();
    fake.born("c1");
    fake.put("c1/mon_groups/c1/mon_data/mon_L3_01/llc_occupancy", "5\n");
    fake.put("c1/mon_groups/c1/mon_data/mon_L3_01/mbm_total_bytes", "6\n");
    fake.put("c1/mon_groups/c1/mon_data/mon_L3_00/llc_occupancy", "3\n");
    fake.put("c1/mon_groups/c1/mon_data/mon_L3_00/mbm_total_bytes", "4\n");
    let (group, _) = fake.plan(&json!({"enableMonitoring": true})).unwrap();
    let expected = json!({
        "l3_cache_info": {"cbm_mask": "7ff", "min_cbm_bits": 1, "num_closids": 16},
        "l3_cache_schema_root": "L3:0=7ff;1=7ff",
        "l3_cache_schema": "L3:0=7ff;1=7ff",
        "mem_bw_info": {"bandwidth_gran": 10, "min_bandwidth": 10, "num_closids": 8},
        "mem_bw_schema_root": "MB:0=100;1=100",
        "mem_bw_schema": "MB:0=100;1=100",
        "schemata": ["MB:0=100;1=100", "L3:0=7ff;1=7ff"],
        "mbm_stats": [
            {"mbm_total_bytes": 4, "mbm_local_bytes": 0}, {"mbm_total_bytes": 6, "mbm_local_bytes": 0},
        ],
        "cmt_stats": [{"llc_occupancy": 3}, {"llc_occupancy": 5}],
    });
    assert_eq!(serde_json::Value::from(group.stats().unwrap()), expected);
    fake.put("c1/mon_groups/c1/mon_data/mon_L3_00/llc_occupancy", "Unavailable\n");
    let error = group.stats().unwrap_err().to_string();
    assert!(error.ends_with("llc_occupancy: \"Unavailable\" is no number"), "{error}");
}
