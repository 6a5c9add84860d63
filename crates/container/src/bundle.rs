//! Bundles: a directory with a config.json (runtime-spec, bundle.md).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::{CallContext, Error, OsError, Result};
use crate::files;
use crate::lenient::Lenient;
use crate::process::capabilities;
use crate::spec::{LinuxResources, Process, Spec};

/// The largest config.json that is read, in bytes.
const MAX_CONFIG: u64 = 16 << 20;

/// A bundle with its parsed config.json.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The absolute path of the bundle.
    pub path: PathBuf,
    /// Its config.json. Callers may edit it before [`crate::create`]; the file stays as it is.
    pub spec: Spec,
}

impl Bundle {
    /// Reads `DIR/config.json`.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = std::path::absolute(dir).call(|| format!("bundle {}", dir.display()))?;
        let config = path.join("config.json");
        let bytes = files::read_bounded(&config, MAX_CONFIG).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                Error::config(
                    "bundle",
                    format!("JSON specification file config.json not found in {}", dir.display()),
                )
            } else if error.raw_os_error().is_some() {
                Error::Syscall {
                    call: format!("open {}", config.display()),
                    errno: OsError::from(&error),
                }
            } else {
                Error::config("config.json", error.to_string())
            }
        })?;
        Ok(Self { spec: parse("config.json", &bytes)?, path })
    }
}

/// Parses the `process.json` of `exec --process`. It may be a pipe, as the `<(...)` of shells is.
pub fn parse_process(path: &Path) -> Result<Process> {
    let file = std::fs::File::open(path).call(|| format!("open {}", path.display()))?;
    let bytes = files::read_to_limit(file, 0, MAX_CONFIG)
        .map_err(|error| Error::config(path.display().to_string(), error.to_string()))?;
    parse("process.json", &bytes)
}

/// Parses the resources that `update` is given, a file or a pipe.
pub fn parse_resources(file: std::fs::File) -> Result<LinuxResources> {
    let bytes = files::read_to_limit(file, 0, MAX_CONFIG)
        .map_err(|error| Error::config("resources", error.to_string()))?;
    let mut resources: LinuxResources = parse("resources", &bytes)?;
    if resources.pids().is_some_and(|pids| pids.limit() == 0) {
        // A whole object comes from an engine, whose zeros mean "leave alone"; older types of the
        // specification cannot be written without it.
        resources.set_pids(None);
    }
    Ok(resources)
}

/// A document that comes from outside.
trait Document: DeserializeOwned {
    /// Whether it may mean something that its type cannot hold.
    fn is_ambiguous(&self) -> bool {
        false
    }
}

impl Document for Spec {
    /// `"pids": {}` is no limit, `"pids": {"limit": 0}` is one.
    fn is_ambiguous(&self) -> bool {
        let resources = self.linux().as_ref().and_then(|linux| linux.resources().as_ref());
        resources.and_then(|resources| *resources.pids()).is_some_and(|pids| pids.limit() == 0)
    }
}

impl Document for Process {}
impl Document for LinuxResources {}

/// The straight way; `None` where something was refused or ignored.
fn parse_exact<T: Document>(bytes: &[u8]) -> Option<T> {
    // An array of the right values would be taken for the object.
    let object = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let mut ignored = !object || !spells_capabilities(bytes);
    let mut json = serde_json::Deserializer::from_slice(bytes);
    // One type of callback for all documents: one copy of the code that reads what they share.
    let mut note: &mut dyn FnMut(serde_ignored::Path<'_>) = &mut |_| ignored = true;
    let parsed: T = serde_ignored::deserialize(&mut json, &mut note).ok()?;
    json.end().ok()?;
    (!ignored && !parsed.is_ambiguous()).then_some(parsed)
}

/// The straight way first. What it refuses or ignores is looked at again: for a field's name in another
/// case, for a name that this program does not know but may ignore, and for the place of the error.
fn parse<T: Document>(file: &str, bytes: &[u8]) -> Result<T> {
    if let Some(parsed) = parse_exact(bytes) {
        return Ok(parsed);
    }
    let mut value: Value =
        serde_json::from_slice(bytes).map_err(|error| Error::config(file, error.to_string()))?;
    if !value.is_object() {
        return Err(Error::config(file, "is no JSON object"));
    }
    crate::process::check_memory_policy_names(&value)?;
    if let Some(process) = process_of(&mut value) {
        drop_unknown_capabilities(process);
        rename_scheduler_flags(process);
        // Absent, it is root's: what runc makes of it.
        let user =
            process.as_object_mut().map(|process| process.entry("user").or_insert(Value::Null));
        if let Some(user) = user.filter(|user| user.is_null()) {
            *user = json!({"uid": 0, "gid": 0});
        }
    }
    complete_seccomp(&mut value);
    T::deserialize(Lenient(value)).map_err(|misfit| {
        let place = misfit.place();
        let field = if place.is_empty() { file.to_owned() } else { format!("{file}: {place}") };
        Error::config(field, misfit.to_string())
    })
}

/// The process of a config.json, or a process.json itself.
fn process_of(value: &mut Value) -> Option<&mut Value> {
    if value.get("ociVersion").is_some() { value.get_mut("process") } else { Some(value) }
}

/// Two flags that the specification's types have by other names than the specification.
fn rename_scheduler_flags(process: &mut Value) {
    let flags = process.pointer_mut("/scheduler/flags").and_then(Value::as_array_mut);
    for flag in flags.into_iter().flatten() {
        match flag.as_str() {
            Some("SCHED_FLAG_RESET_ON_FORK") => *flag = json!("SCHED_RESET_ON_FORK"),
            Some("SCHED_FLAG_DL_OVERRUN") => *flag = json!("SCHED_FLAG_D_L_OVERRUN"),
            _ => {}
        }
    }
}

/// An unknown capability is one that the container does not get: a warning, as in runc.
fn drop_unknown_capabilities(process: &mut Value) {
    let sets = process.get_mut("capabilities").and_then(Value::as_object_mut);
    let mut unknown = BTreeSet::new();
    for set in sets.into_iter().flat_map(|sets| sets.values_mut()).filter_map(Value::as_array_mut) {
        set.retain(|name| {
            let Some(text) = name.as_str() else { return true };
            let known = capabilities::by_name(text).is_some();
            if !known {
                unknown.insert(text.to_owned());
            }
            known
        });
    }
    capabilities::warn_unknown(&unknown);
}

/// Whether all capabilities of a document are spelled as in capabilities(7). The specification's types take them
/// without `CAP_` as well, and then nobody can tell any more: looked at is the text of the one object of that name.
fn spells_capabilities(bytes: &[u8]) -> bool {
    const KEY: &[u8] = b"\"capabilities\"";
    const SETS: [&[u8]; 5] = [b"bounding", b"effective", b"inheritable", b"permitted", b"ambient"];
    let mut objects = memchr::memmem::find_iter(bytes, KEY);
    let Some(at) = objects.next() else { return true };
    let object = bytes.get(at + KEY.len()..).and_then(|rest| rest.split(|b| *b == b'}').next());
    let mut names = object.unwrap_or_default().split(|byte| *byte == b'"').skip(1).step_by(2);
    objects.next().is_none() && names.all(|name| name.starts_with(b"CAP_") || SETS.contains(&name))
}

/// A profile that says nothing, and rules without names: Go's zero values, which runc reads as none.
fn complete_seccomp(value: &mut Value) {
    let Some(linux) = value.get_mut("linux").and_then(Value::as_object_mut) else { return };
    let Some(seccomp) = linux.get_mut("seccomp").and_then(Value::as_object_mut) else { return };
    let is_empty = |field: Option<&Value>| match field {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    };
    if is_empty(seccomp.get("defaultAction")) && is_empty(seccomp.get("syscalls")) {
        linux.remove("seccomp");
        return;
    }
    let rules = seccomp.get_mut("syscalls").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten().filter_map(Value::as_object_mut) {
        if is_empty(rule.get("names")) {
            rule.insert("names".to_owned(), json!([]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse::<Spec>("config.json", text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_the_field() {
        let text =
            error(r#"{"ociVersion":"1.0.2","process":{"cwd":"/","user":{"uid":-1,"gid":0}}}"#);
        assert!(text.contains("process.user.uid"), "{text}");
        let text = error(r#"{"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"nope"}]}}"#);
        assert!(text.contains("linux.namespaces[0]"), "{text}");
    }

    #[test]
    fn a_process_may_come_through_a_pipe() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writer, br#"{"args":["id"],"cwd":"/"}"#).unwrap();
        drop(writer);
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        let process = parse_process(Path::new(&path)).unwrap();
        assert_eq!(process.args().as_deref(), Some(&["id".to_owned()][..]));
    }

    #[test]
    fn noise_is_refused() {
        for text in ["", "{", "[]", "null", "{\"ociVersion\":1}", "\0", "\u{feff}{}"] {
            assert!(parse::<Spec>("config.json", text.as_bytes()).is_err(), "{text:?}");
        }
        let deep = "[".repeat(200_000);
        assert!(error(&deep).contains("recursion limit"));
    }

    #[test]
    fn unknown_capabilities_are_left_out() {
        let spec: Spec = parse(
            "config.json",
            br#"{"ociVersion":"1.0.2","process":{"cwd":"/","user":{"uid":0,"gid":0},
                "capabilities":{"bounding":["CAP_KILL","CAP_UNKNOWN"]}}}"#,
        )
        .unwrap();
        let bounding = spec
            .process()
            .as_ref()
            .unwrap()
            .capabilities()
            .as_ref()
            .unwrap()
            .bounding()
            .clone()
            .unwrap();
        assert_eq!(bounding.len(), 1);
    }

    #[test]
    fn capabilities_are_spelled_as_the_kernel_has_them() {
        let bounding = |json: &str| {
            let text = format!(r#"{{"cwd":"/","capabilities":{{"bounding":{json}}}}}"#);
            let process: Process = parse("process.json", text.as_bytes()).unwrap();
            let sets = process.capabilities().clone().unwrap();
            sets.bounding().as_ref().map_or(0, |set| set.len())
        };
        assert_eq!(bounding(r#"["CAP_KILL", "CAP_CHOWN"]"#), 2);
        assert_eq!(bounding(r#"["CAP_KILL", "CHOWN"]"#), 1);
        assert_eq!(bounding(r#"["KILL"], "ambient": ["CAP_KILL"]"#), 0);
        assert_eq!(bounding(r#"["cap_kill", "\u004bILL"]"#), 0);
        let twice = br#"{"annotations":{"capabilities":"x"},"capabilities":{"bounding":["KILL"]}}"#;
        assert!(!spells_capabilities(twice));
    }

    #[test]
    fn what_is_null_or_empty_is_not_there() {
        let spec = |linux: &str| {
            let text = format!(
                r#"{{"ociVersion":"1.0.2","process":{{"cwd":"/","user":null}},"linux":{linux}}}"#
            );
            parse::<Spec>("config.json", text.as_bytes())
        };
        for seccomp in ["{}", r#"{"defaultAction":"","syscalls":[]}"#, "null"] {
            let spec = spec(&format!(r#"{{"seccomp":{seccomp}}}"#)).unwrap();
            assert_eq!(spec.process().as_ref().unwrap().user().uid(), 0);
            assert_eq!(*spec.linux().as_ref().unwrap().seccomp(), None);
        }
        let rules = r#"{"seccomp":{"defaultAction":"SCMP_ACT_LOG","syscalls":[{"action":"SCMP_ACT_LOG"}]}}"#;
        assert!(spec(rules).unwrap().linux().as_ref().unwrap().seccomp().is_some());
        spec(r#"{"seccomp":{"syscalls":[{"action":"SCMP_ACT_LOG"}]}}"#).unwrap_err();
    }

    fn resources(json: &str) -> LinuxResources {
        let text = format!(r#"{{"ociVersion":"1.0.2","linux":{{"resources":{json}}}}}"#);
        let spec: Spec = parse("config.json", text.as_bytes()).unwrap();
        spec.linux().as_ref().unwrap().resources().clone().unwrap()
    }

    #[test]
    fn names_in_another_case_are_not_ignored() {
        let read = resources(r#"{"cpu":{"shares":5},"CPU":{"Cpus":"0"},"hugepagelimits":[]}"#);
        let cpu = read.cpu().as_ref().unwrap();
        assert_eq!((cpu.shares(), cpu.cpus().as_deref()), (Some(5), Some("0")));
        assert_eq!(read.hugepage_limits().as_deref(), Some(&[][..]));
        let text = error(r#"{"ociVersion":"1.0.2","Linux":{"Seccomp":{"defaultAction":"nope"}}}"#);
        assert!(text.contains("linux.seccomp.defaultAction"), "{text}");
    }

    #[test]
    fn a_limit_of_zero_processes_is_not_the_absence_of_one() {
        assert!(resources(r#"{"pids":{}}"#).pids().is_none());
        assert_eq!(resources(r#"{"pids":{"limit":0}}"#).pids().unwrap().limit(), 0);
    }

    /// An exact document needs one look only.
    #[test]
    fn the_straight_way_is_taken() {
        let exact = serde_json::to_vec(&Spec::default()).unwrap();
        assert_eq!(parse_exact::<Spec>(&exact), Some(Spec::default()));
        assert!(parse_exact::<Process>(br#"{"args":["id"],"cwd":"/","CWD":"/x"}"#).is_none());
    }

    #[test]
    fn an_update_says_nothing_with_zero_processes() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let json = br#"{"CPU":{"Cpus":"1"},"pids":{"limit":0}}"#;
        std::io::Write::write_all(&mut writer, json).unwrap();
        drop(writer);
        let read = parse_resources(std::os::fd::OwnedFd::from(reader).into()).unwrap();
        assert_eq!(read.cpu().as_ref().unwrap().cpus().as_deref(), Some("1"));
        assert!(read.pids().is_none());
    }
}
