//! `rrun spec`: a config.json to start from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nix::unistd::{getegid, geteuid};
use serde::Serialize;
use serde_json::{Value, json};

use crate::target::CONFIG;
use crate::verb::SUCCESS;

/// create a new specification file
///
/// The spec command creates the new specification file named "config.json" for the bundle. It is
/// just a starter file: its args parameter, for example, calls "sh".
///
/// A rootless container, which has the ability to run without root privileges, needs an adjusted
/// specification file: --rootless makes one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// path to the root of the bundle directory
    #[arg(long, short, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// generate a configuration for a rootless container
    #[arg(long)]
    rootless: bool,
}

/// runc's default configuration, which people and test suites edit: all of its fields are there.
/// Only the hostname differs.
const DEFAULT: &str = include_str!("spec/config.json");

/// `rrun spec`.
pub(crate) fn spec(args: &Args) -> anyhow::Result<u8> {
    let mut config = default_config(cgroup_is_unified())?;
    if args.rootless {
        make_rootless(&mut config, geteuid().as_raw(), getegid().as_raw());
    }
    let path = args.bundle.as_deref().unwrap_or(Path::new("")).join(CONFIG);
    write_new(&path, &tab_indented(&config)?)?;
    Ok(SUCCESS)
}

/// The default configuration. On cgroup v2 a container has a cgroup namespace.
fn default_config(unified: bool) -> serde_json::Result<Value> {
    let mut config: Value = serde_json::from_str(DEFAULT)?;
    if unified && let Some(Value::Array(namespaces)) = config.pointer_mut("/linux/namespaces") {
        namespaces.push(json!({"type": "cgroup"}));
    }
    Ok(config)
}

/// Whether the host has the unified hierarchy only: then `/sys/fs/cgroup` is it (cgroups(7)).
fn cgroup_is_unified() -> bool {
    nix::sys::statfs::statfs("/sys/fs/cgroup")
        .is_ok_and(|fs| fs.filesystem_type() == nix::sys::statfs::CGROUP2_SUPER_MAGIC)
}

/// Takes away what needs privileges and adds a user namespace with the caller as root.
fn make_rootless(config: &mut Value, uid: u32, gid: u32) {
    if let Some(Value::Array(mounts)) = config.get_mut("mounts") {
        mounts.iter_mut().for_each(make_mount_rootless);
    }
    let Some(linux) = config.get_mut("linux").and_then(Value::as_object_mut) else { return };
    linux.shift_remove("resources");
    if let Some(Value::Array(namespaces)) = linux.get_mut("namespaces") {
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({"type": "user"}));
    }
    let map = |host: u32| json!([{"containerID": 0, "hostID": host, "size": 1}]);
    linux.shift_insert(0, "uidMappings".into(), map(uid));
    linux.shift_insert(1, "gidMappings".into(), map(gid));
}

/// sysfs can be mounted only by who owns the network namespace; and one mapped id leaves no other
/// ids for mount options.
fn make_mount_rootless(mount: &mut Value) {
    if mount["destination"] == "/sys" {
        *mount = json!({
            "destination": "/sys",
            "type": "none",
            "source": "/sys",
            "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
        });
        return;
    }
    if let Some(Value::Array(options)) = mount.get_mut("options") {
        options.retain(|option| {
            let option = option.as_str().unwrap_or_default();
            !option.starts_with("uid=") && !option.starts_with("gid=")
        });
    }
}

/// JSON as runc indents it.
fn tab_indented(value: &Value) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))?;
    text.push(b'\n');
    Ok(text)
}

/// Writes a file that must not be there yet.
fn write_new(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("File {} exists. Remove it first", path.display())
        }
        Err(error) => return Err(error).with_context(|| format!("create {}", path.display())),
    };
    file.write_all(content).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_a_valid_spec_in_the_form_it_is_kept() {
        let config = default_config(false).unwrap();
        assert_eq!(String::from_utf8(tab_indented(&config).unwrap()).unwrap(), DEFAULT);
        let spec: container::spec::Spec = serde_json::from_value(config).unwrap();
        assert_eq!(spec.version(), crate::version::SPEC);
    }

    #[test]
    fn cgroup_v2_adds_a_namespace() {
        let config = default_config(true).unwrap();
        let namespaces = config["linux"]["namespaces"].as_array().unwrap();
        assert_eq!(namespaces.last().unwrap(), &json!({"type": "cgroup"}));
        assert_eq!(namespaces.len(), 6);
    }

    /// The whole difference that `--rootless` makes, as runc makes it.
    #[test]
    fn rootless_changes_what_needs_privileges() {
        let mut config = default_config(false).unwrap();
        let before = config.clone();
        make_rootless(&mut config, 1000, 100);

        let id = |host: u32| json!([{"containerID": 0, "hostID": host, "size": 1}]);
        assert_eq!(config["linux"]["uidMappings"], id(1000));
        assert_eq!(config["linux"]["gidMappings"], id(100));
        assert_eq!(config["linux"].get("resources"), None);
        let types: Vec<_> = config["linux"]["namespaces"].as_array().unwrap().iter().collect();
        let types: Vec<_> = types.iter().map(|namespace| namespace["type"].clone()).collect();
        assert_eq!(types, ["pid", "ipc", "uts", "mount", "user"]);

        let (was, is) =
            (before["mounts"].as_array().unwrap(), config["mounts"].as_array().unwrap());
        for (was, is) in was.iter().zip(is) {
            match was["destination"].as_str().unwrap() {
                "/sys" => assert_eq!(is["options"][0], "rbind"),
                "/dev/pts" => assert!(!is["options"].as_array().unwrap().contains(&json!("gid=5"))),
                _ => assert_eq!(was, is),
            }
        }
        assert_eq!(before["process"], config["process"]);
        serde_json::from_value::<container::spec::Spec>(config).unwrap();
    }

    #[test]
    fn an_existing_file_stays() {
        let dir = std::env::temp_dir().join(format!("rrun-spec-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join(CONFIG);
        write_new(&path, b"1").unwrap();
        let error = write_new(&path, b"2").unwrap_err().to_string();
        assert!(error.contains("exists. Remove it first"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"1");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
