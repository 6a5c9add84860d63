//! What the network flags change in a config.json, in memory only.

use std::path::{Path, PathBuf};

use container::spec::{Linux, LinuxNamespace, LinuxNamespaceType, Mount, Spec};
use network::NamesFile;

/// Which network namespace the container is to be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Namespace {
    /// A new one.
    New,
    /// The host's.
    Host,
    /// The one at this path.
    Join(PathBuf),
}

/// Which network namespace the spec says.
pub(super) fn namespace(spec: &Spec) -> Namespace {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref());
    let mut all = namespaces.unwrap_or_default().iter();
    match all.find(|entry| entry.typ() == LinuxNamespaceType::Network) {
        None => Namespace::Host,
        Some(entry) => match entry.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
            None => Namespace::New,
            Some(path) => Namespace::Join(path.clone()),
        },
    }
}

/// Sets the network namespace, whatever the spec said.
pub(super) fn set_namespace(spec: &mut Spec, namespace: &Namespace) {
    let linux = spec.linux_mut().get_or_insert_with(Linux::default);
    let namespaces = linux.namespaces_mut().get_or_insert_default();
    let at = namespaces.iter().position(|entry| entry.typ() == LinuxNamespaceType::Network);
    namespaces.retain(|entry| entry.typ() != LinuxNamespaceType::Network);
    let path = match namespace {
        Namespace::Host => return,
        Namespace::New => None,
        Namespace::Join(path) => Some(path.clone()),
    };
    let mut entry = LinuxNamespace::default();
    entry.set_typ(LinuxNamespaceType::Network).set_path(path);
    // It keeps its place: the order of the list is seen in errors and by hooks.
    namespaces.insert(at.unwrap_or(namespaces.len()), entry);
}

/// Sets the host name: the one asked for; else `fallback`, where the spec has none and the container has a
/// UTS namespace to have one in. Returns the name it has in the end.
pub(super) fn set_hostname(spec: &mut Spec, wanted: Option<&str>, fallback: &str) -> String {
    let has_uts = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref()).is_some_and(
        |namespaces| namespaces.iter().any(|entry| entry.typ() == LinuxNamespaceType::Uts),
    );
    if let Some(name) = wanted {
        spec.set_hostname(Some(name.to_owned()));
    } else if spec.hostname().is_none() && has_uts {
        spec.set_hostname(Some(fallback.to_owned()));
    }
    spec.hostname().clone().unwrap_or_else(|| fallback.to_owned())
}

/// Mounts the files about names from a state folder, but for those that the spec mounts itself.
pub(super) fn mount_names(spec: &mut Spec, state_dir: &Path) {
    let mounts = spec.mounts_mut().get_or_insert_default();
    for file in NamesFile::ALL {
        let destination = Path::new(file.destination());
        if mounts.iter().any(|mount| mount.destination() == destination) {
            continue;
        }
        let mut mount = Mount::default();
        mount
            .set_destination(destination.to_owned())
            .set_typ(Some("bind".to_owned()))
            .set_source(Some(file.source(state_dir)))
            .set_options(Some(["bind", "rprivate"].map(str::to_owned).to_vec()));
        mounts.push(mount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(spec: &Spec) -> Vec<(LinuxNamespaceType, Option<PathBuf>)> {
        let namespaces = spec.linux().as_ref().unwrap().namespaces().clone().unwrap();
        namespaces.iter().map(|entry| (entry.typ(), entry.path().clone())).collect()
    }

    #[test]
    fn the_namespace_is_replaced_in_place_added_or_removed() {
        let mut spec = Spec::default();
        let before = networks(&spec);
        let at = before.iter().position(|(kind, _)| *kind == LinuxNamespaceType::Network).unwrap();
        let path = PathBuf::from("/proc/1/ns/net");
        set_namespace(&mut spec, &Namespace::Join(path.clone()));
        assert_eq!(networks(&spec)[at], (LinuxNamespaceType::Network, Some(path.clone())));
        assert_eq!(namespace(&spec), Namespace::Join(path));
        set_namespace(&mut spec, &Namespace::New);
        assert_eq!(networks(&spec), before);
        assert_eq!(namespace(&spec), Namespace::New);
        set_namespace(&mut spec, &Namespace::Host);
        assert_eq!(networks(&spec).len(), before.len() - 1);
        assert_eq!(namespace(&spec), Namespace::Host);
        set_namespace(&mut spec, &Namespace::New);
        assert_eq!(networks(&spec).last(), Some(&(LinuxNamespaceType::Network, None)));

        let mut bare: Spec = serde_json::from_str(r#"{"ociVersion": "1.0.0"}"#).unwrap();
        set_namespace(&mut bare, &Namespace::New);
        assert!(networks(&bare).contains(&(LinuxNamespaceType::Network, None)));
    }

    #[test]
    fn what_the_spec_mounts_itself_stays() {
        let mut spec: Spec = serde_json::from_str(
            r#"{"ociVersion": "1.0.0", "mounts": [{"destination": "/etc/hosts", "source": "/mine"}]}"#,
        )
        .unwrap();
        mount_names(&mut spec, Path::new("/run/rrun/web"));
        let mounts = spec.mounts().clone().unwrap();
        let list: Vec<_> = mounts
            .iter()
            .map(|mount| {
                let source = mount.source().clone().unwrap();
                (mount.destination().to_str().unwrap().to_owned(), source)
            })
            .collect();
        assert_eq!(
            list,
            [
                ("/etc/hosts".to_owned(), "/mine".into()),
                ("/etc/resolv.conf".to_owned(), PathBuf::from("/run/rrun/web/resolv.conf")),
                ("/etc/hostname".to_owned(), "/run/rrun/web/hostname".into()),
            ]
        );
    }

    #[test]
    fn the_hostname_is_asked_for_or_configured_or_the_id() {
        let mut spec = Spec::default();
        spec.set_hostname(None);
        assert_eq!(set_hostname(&mut spec, None, "web"), "web");
        assert_eq!(set_hostname(&mut spec, None, "other"), "web");
        assert_eq!(set_hostname(&mut spec, Some("asked"), "other"), "asked");
        let mut bare: Spec = serde_json::from_str(r#"{"ociVersion": "1.0.0"}"#).unwrap();
        assert_eq!(set_hostname(&mut bare, None, "web"), "web");
        assert_eq!(bare.hostname(), &None, "the host's own name must not be changed");
    }
}
