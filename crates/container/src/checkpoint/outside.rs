//! What of a container comes from outside, with the names that it has in images. The names are runc's.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rust_criu::rust_criu_protobuf::rpc::{Cgroup_root, Inherit_fd, Join_namespace};

use super::CriuError;
use crate::error::{CallContext, OsError, Result};
use crate::files;
use crate::spec::{LinuxNamespaceType, Spec};

/// The annotation that names a file of more options for CRIU; empty means none.
const CONFIG_ANNOTATION: &str = "org.criu.config";
/// The file without that annotation. CRIU passes over one that is not there.
const CONFIG_FILE: &str = "/etc/criu/runc.conf";
/// The list of what the standard streams were, beside the images.
const DESCRIPTORS: &str = "descriptors.json";
/// The largest such list that is read, in bytes.
const MAX_DESCRIPTORS: u64 = 64 * 1024;

/// The file of options that CRIU is to read. What it says wins over the message (criu(8), "CONFIGURATION FILES").
pub(super) fn config_file(spec: &Spec) -> Option<String> {
    let annotations = spec.annotations().as_ref();
    match annotations.and_then(|annotations| annotations.get(CONFIG_ANNOTATION)) {
        Some(path) => Some(path.clone()).filter(|path| !path.is_empty()),
        None => Some(CONFIG_FILE.to_owned()),
    }
}

/// The namespaces of config.json that are joined by path.
pub(super) fn joined(spec: &Spec) -> impl Iterator<Item = (LinuxNamespaceType, &Path)> {
    let linux = spec.linux().as_ref();
    let namespaces = linux.and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    namespaces.iter().filter_map(|namespace| {
        let path = namespace.path().as_deref().filter(|path| !path.as_os_str().is_empty());
        Some((namespace.typ(), path?))
    })
}

/// The kernel's name for a kind of namespace, which is CRIU's too (namespaces(7)).
pub(super) fn kernel_name(kind: LinuxNamespaceType) -> &'static str {
    match kind {
        LinuxNamespaceType::Mount => "mnt",
        LinuxNamespaceType::Network => "net",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Time => "time",
    }
}

/// The key of a namespace that CRIU takes from outside; `None` for those that it joins by name.
fn key(kind: LinuxNamespaceType) -> Option<&'static str> {
    match kind {
        LinuxNamespaceType::Network => Some("extRootNetNS"),
        LinuxNamespaceType::Pid => Some("extRootPidNS"),
        _ => None,
    }
}

/// For a checkpoint: the joined namespaces that are not to be looked into, as `net[INODE]:KEY`.
pub(super) fn external(spec: &Spec) -> Result<Vec<String>> {
    let describe = |(kind, path): (LinuxNamespaceType, &Path)| {
        let key = key(kind)?;
        let inode = fs::metadata(path)
            .call(|| format!("stat {}", path.display()))
            .map(|metadata| metadata.ino());
        Some(inode.map(|inode| format!("{}[{inode}]:{key}", kernel_name(kind))))
    };
    joined(spec).filter_map(describe).collect()
}

/// An open namespace with its key.
pub(super) type KeyedFile = (&'static str, fs::File);

/// For a restore: the namespaces to be taken from outside, as open files with their keys, and those to be
/// joined by path.
pub(super) fn namespaces(spec: &Spec) -> Result<(Vec<KeyedFile>, Vec<Join_namespace>)> {
    let (mut open, mut join) = (Vec::new(), Vec::new());
    for (kind, path) in joined(spec) {
        match key(kind) {
            Some(key) => {
                let file = fs::File::open(path).map_err(|error| CriuError::NoNamespace {
                    kind: match kind {
                        LinuxNamespaceType::Network => "network",
                        kind => kernel_name(kind),
                    },
                    path: path.to_owned(),
                    errno: OsError::from(&error),
                })?;
                open.push((key, file));
            }
            None if kind == LinuxNamespaceType::Cgroup => {
                return Err(CriuError::Namespace(kind.to_string()).into());
            }
            None => join.push(Join_namespace {
                ns: Some(kernel_name(kind).to_owned()),
                ns_file: Some(path.to_string_lossy().into_owned()),
                ..Default::default()
            }),
        }
    }
    Ok((open, join))
}

/// What a descriptor is to replace in the image.
pub(super) fn inherit(key: impl Into<String>, fd: i32) -> Inherit_fd {
    Inherit_fd { key: Some(key.into()), fd: Some(fd), ..Default::default() }
}

/// What this process has as standard streams, or `/dev/null` where the container does not get these: by such
/// a name CRIU finds in a restore what the new streams are to replace.
pub(crate) fn stream_targets(inherited: bool) -> Vec<String> {
    let target = |fd| match inherited {
        true => fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default(),
        false => PathBuf::from("/dev/null"),
    };
    (0..3).map(|fd| target(fd).to_string_lossy().into_owned()).collect()
}

/// Writes down what the standard streams are.
pub(super) fn save_descriptors(images: &Path, descriptors: &[String]) -> Result<()> {
    let path = images.join(DESCRIPTORS);
    let text = serde_json::to_vec(descriptors).unwrap_or_default();
    files::replace(&path, &text, 0o600).call(|| format!("write {}", path.display()))
}

/// The standard streams that were pipes, each to be replaced by the one of the same number now.
pub(super) fn saved_pipes(images: &Path) -> Result<Vec<Inherit_fd>> {
    let path = images.join(DESCRIPTORS);
    let image = |problem: String| CriuError::Image { path: path.clone(), problem };
    let text = files::read_bounded(&path, MAX_DESCRIPTORS)
        .map_err(|error| image(OsError::from(&error).to_string()))?;
    // runc writes null for none.
    let list: Option<Vec<String>> =
        serde_json::from_slice(&text).map_err(|error| image(error.to_string()))?;
    let pipe = |(fd, target): (i32, String)| target.contains("pipe:").then(|| inherit(target, fd));
    Ok((0..3).zip(list.unwrap_or_default()).filter_map(pipe).collect())
}

/// The cgroups that the restored processes' own are to be below: those of the process `pid`.
pub(super) fn cgroup_roots(pid: i32) -> Result<Vec<Cgroup_root>> {
    let path = format!("/proc/{pid}/cgroup");
    let text = fs::read_to_string(&path).call(|| format!("read {path}"))?;
    Ok(parse_cgroups(&text))
}

/// Lines of `ID:CONTROLLER[,CONTROLLER]:PATH` (cgroups(7)).
fn parse_cgroups(text: &str) -> Vec<Cgroup_root> {
    let line = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?.to_owned(), fields.next()?.to_owned());
        Some((controllers, path))
    };
    let mut roots = Vec::new();
    for (controllers, path) in text.lines().filter_map(line) {
        roots.extend(controllers.split(',').map(|controller| Cgroup_root {
            ctrl: Some(controller.to_owned()),
            path: Some(path.clone()),
            ..Default::default()
        }));
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Spec {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_annotation_names_criu_s_file_or_none() {
        let of = |annotations: &str| {
            config_file(&spec(&format!(r#"{{"ociVersion": "1.0.0"{annotations}}}"#)))
        };
        assert_eq!(of("").as_deref(), Some("/etc/criu/runc.conf"));
        assert_eq!(of(r#", "annotations": {"org.criu.config": ""}"#), None);
        let own = of(r#", "annotations": {"org.criu.config": "/a.conf"}"#);
        assert_eq!(own.as_deref(), Some("/a.conf"));
    }

    #[test]
    fn joined_namespaces_have_keys_or_names() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let inode = file.path().metadata().unwrap().ino();
        let spec = spec(&format!(
            r#"{{"ociVersion": "1.0.0", "linux": {{"namespaces": [
                {{"type": "mount"}}, {{"type": "network", "path": {path:?}}},
                {{"type": "pid", "path": ""}}, {{"type": "ipc", "path": {path:?}}}]}}}}"#
        ));
        assert_eq!(external(&spec).unwrap(), [format!("net[{inode}]:extRootNetNS")]);
        let (open, join) = namespaces(&spec).unwrap();
        assert_eq!(open.iter().map(|(key, _)| *key).collect::<Vec<_>>(), ["extRootNetNS"]);
        assert_eq!(join.len(), 1);
        assert_eq!((join[0].ns(), join[0].ns_file()), ("ipc", path));
    }

    #[test]
    fn what_cannot_be_joined_is_said() {
        let of = |kind: &str| {
            let text = format!(
                r#"{{"ociVersion": "1.0.0", "linux": {{"namespaces": [
                    {{"type": "{kind}", "path": "/nonexistent"}}]}}}}"#
            );
            namespaces(&spec(&text)).unwrap_err().to_string()
        };
        assert_eq!(of("cgroup"), "Do not know how to handle namespace cgroup");
        assert_eq!(
            of("network"),
            "Requested network namespace /nonexistent does not exist: no such file or directory"
        );
    }

    #[test]
    fn pipes_among_the_streams_are_replaced() {
        let images = tempfile::tempdir().unwrap();
        let missing = saved_pipes(images.path()).unwrap_err().to_string();
        assert!(missing.ends_with("descriptors.json: no such file or directory"), "{missing}");
        save_descriptors(images.path(), &["/dev/null".into(), "pipe:[7]".into()]).unwrap();
        let pipes = saved_pipes(images.path()).unwrap();
        assert_eq!(
            pipes.iter().map(|pipe| (pipe.key(), pipe.fd())).collect::<Vec<_>>(),
            [("pipe:[7]", 1)]
        );
        for (text, good) in [("null", true), ("[]", true), ("[1]", false), ("{", false)] {
            fs::write(images.path().join(DESCRIPTORS), text).unwrap();
            assert_eq!(saved_pipes(images.path()).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn every_controller_has_its_root() {
        let roots = parse_cgroups("5:cpu,cpuacct:/a:b\n1:name=systemd:/\n0::/x\nnoise\n");
        let roots: Vec<_> = roots.iter().map(|root| (root.ctrl(), root.path())).collect();
        assert_eq!(
            roots,
            [("cpu", "/a:b"), ("cpuacct", "/a:b"), ("name=systemd", "/"), ("", "/x")]
        );
    }
}
