use std::fs;

use super::*;
use crate::cgroup::{Group, Options};

/// A group whose files are plain files in a temporary directory.
struct Fake {
    dir: PathBuf,
    cgroup: Cgroup,
}

impl Fake {
    fn new(name: &str, mode: Mode, controllers: &[Controller], files: &[(&str, &str)]) -> Self {
        let dir = std::env::temp_dir().join(format!("rrun-cgroup-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        for (file, content) in files {
            fs::write(dir.join(file), content).unwrap();
        }
        let group =
            Group { controllers: controllers.to_vec(), dir: dir.clone(), mount: dir.clone() };
        let cgroup = Cgroup {
            driver: crate::cgroup::Driver::Cgroupfs,
            mode,
            groups: vec![group],
            options: Options::default(),
            explicit: true,
            denied: Vec::new(),
            created: Vec::new(),
        };
        Self { dir, cgroup }
    }

    fn set(&self, json: &str) -> Result<()> {
        self.cgroup.set_limits(&serde_json::from_str(json).unwrap())
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.dir.join(file)).unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn v1_writes_only_what_is_set() {
    let files = [("pids.max", "-"), ("cpu.shares", "-"), ("cpu.cfs_quota_us", "-")];
    let fake = Fake::new("only", Mode::V1, &[Controller::Pids, Controller::Cpu], &files);
    fake.set(r#"{"pids":{"limit":0},"cpu":{"shares":0,"quota":-1}}"#).unwrap();
    assert_eq!(fake.read("pids.max"), "1");
    assert_eq!(fake.read("cpu.shares"), "-");
    // Plain files are not truncated: what is longer than the value stays.
    assert_eq!(fake.read("cpu.cfs_quota_us"), "-1");
}

#[test]
fn v1_refuses_unified_and_missing_controllers() {
    let fake = Fake::new("refuse", Mode::V1, &[Controller::Cpu], &[]);
    let error = fake.set(r#"{"unified":{"memory.min":"1"}}"#).unwrap_err();
    assert_eq!(error.to_string(), "invalid configuration: cannot use unified on cgroup v1");
    fake.set(r#"{"unified":{}}"#).unwrap();
    let error = fake.set(r#"{"pids":{"limit":5}}"#).unwrap_err().to_string();
    assert_eq!(error, "cannot set pids limit: container could not join or create cgroup");
    let error = fake.set(r#"{"cpu":{"shares":1}}"#).unwrap_err().to_string();
    assert!(error.contains("the minimum allowed cpu-shares is 2"), "{error}");
    let error = fake.set(r#"{"cpu":{"idle":1}}"#).unwrap_err().to_string();
    assert!(error.contains("cpu.idle: no such file or directory (ENOENT)"), "{error}");
}

#[test]
fn v1_memory_without_swap_accounting() {
    let files = [("memory.limit_in_bytes", "0"), ("memory.swappiness", "--")];
    let fake = Fake::new("memory", Mode::V1, &[Controller::Memory], &files);
    fake.set(r#"{"memory":{"limit":-1,"swappiness":18446744073709551615}}"#).unwrap();
    assert_eq!(fake.read("memory.limit_in_bytes"), "-1");
    assert_eq!(fake.read("memory.swappiness"), "--");
    fake.set(r#"{"memory":{"swappiness":60}}"#).unwrap();
    assert_eq!(fake.read("memory.swappiness"), "60");
    let error = fake.set(r#"{"memory":{"swappiness":101}}"#).unwrap_err().to_string();
    assert!(error.contains("101 (valid range is 0-100)"), "{error}");
}

#[test]
fn rdma_limits_are_a_line_a_device() {
    for mode in [Mode::V1, Mode::V2] {
        let controller = if mode == Mode::V1 { Controller::Rdma } else { Controller::Unified };
        let fake = Fake::new(&format!("rdma-{mode:?}"), mode, &[controller], &[("rdma.max", "")]);
        fake.set(r#"{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000}}}"#).unwrap();
        assert_eq!(fake.read("rdma.max"), "mlx5_1 hca_handle=3 hca_object=10000");
    }
    let fake = Fake::new("rdma-part", Mode::V1, &[Controller::Rdma], &[("rdma.max", "")]);
    fake.set(r#"{"rdma":{"a":{"hcaObjects":7}}}"#).unwrap();
    assert_eq!(fake.read("rdma.max"), "a hca_object=7");
}

#[test]
fn v1_leaf_weights() {
    let files = [("blkio.leaf_weight", ""), ("blkio.leaf_weight_device", "")];
    let fake = Fake::new("leaf", Mode::V1, &[Controller::Blkio], &files);
    fake.set(
        r#"{"blockIO":{"leafWeight":20,"weightDevice":[{"major":8,"minor":1,"leafWeight":30}]}}"#,
    )
    .unwrap();
    assert_eq!(fake.read("blkio.leaf_weight"), "20");
    assert_eq!(fake.read("blkio.leaf_weight_device"), "8:1 30");
}

#[test]
fn v2_files() {
    let files = [
        ("cpu.max", ""),
        ("cpu.weight", ""),
        ("memory.max", ""),
        ("memory.swap.max", ""),
        ("memory.current", "4096\n"),
        ("io.weight", ""),
        ("pids.max", ""),
        ("hugetlb.2MB.max", ""),
        ("cgroup.controllers", "cpu memory\n"),
    ];
    let fake = Fake::new("v2", Mode::V2, &[Controller::Unified], &files);
    fake.set(
        r#"{"cpu":{"shares":1024,"quota":5000},"memory":{"limit":1000,"swap":3000},
            "blockIO":{"weight":750},"pids":{"limit":-1},
            "hugepageLimits":[{"pageSize":"2MB","limit":7}]}"#,
    )
    .unwrap();
    assert_eq!(fake.read("cpu.max"), "5000 100000");
    assert_eq!(fake.read("cpu.weight"), "100");
    assert_eq!(fake.read("memory.max"), "1000");
    assert_eq!(fake.read("memory.swap.max"), "2000");
    assert_eq!(fake.read("io.weight"), "7475");
    assert_eq!(fake.read("pids.max"), "max");
    assert_eq!(fake.read("hugetlb.2MB.max"), "7");
    let error =
        fake.set(r#"{"memory":{"limit":1024,"checkBeforeUpdate":true}}"#).unwrap_err().to_string();
    assert_eq!(error, "rejecting memory limit 1024 <= usage 4096");
    let error = fake.set(r#"{"unified":{"io.max":"8:0 rbps=1\n8:16 rbps=2\n"}}"#).unwrap_err();
    assert!(error.to_string().contains(r#"controller "io" not available"#), "{error}");
    for bad in ["../cpu.max", "nodot", ".hidden"] {
        let error = fake.set(&format!(r#"{{"unified":{{"{bad}":"1"}}}}"#)).unwrap_err();
        assert!(matches!(error, Error::UnifiedKey(_)), "{error}");
    }
    let error = fake.set(r#"{"hugepageLimits":[{"pageSize":"../2MB","limit":7}]}"#).unwrap_err();
    assert!(error.to_string().starts_with("linux.resources.hugepageLimits"), "{error}");
}
