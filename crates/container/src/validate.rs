//! Checks of a config that no single part can make alone: fields that need a namespace, and fields
//! that this runtime does not support. Nothing is skipped in silence.

use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;

use crate::error::{Error, OsError, Result};
use crate::namespaces::Namespaces;
use crate::spec::{Process, Spec};
use crate::{net_devices, process};

/// Checks the spec as a whole. What belongs to one part (mounts, process, resources) is checked where it
/// is parsed.
pub(crate) fn validate(spec: &Spec, namespaces: &Namespaces) -> Result<()> {
    check_version(spec.version())?;
    process(spec)?;
    let need = |kind: CloneFlags, field: &str, set: bool, problem: &str| {
        if set && !namespaces.has(kind) { Err(Error::config(field, problem)) } else { Ok(()) }
    };
    let filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    need(
        CloneFlags::CLONE_NEWUTS,
        "hostname",
        filled(spec.hostname()),
        "unable to set hostname without a private UTS namespace",
    )?;
    need(
        CloneFlags::CLONE_NEWUTS,
        "domainname",
        filled(spec.domainname()),
        "unable to set domainname without a private UTS namespace",
    )?;
    crate::hooks::validate(spec)?;
    let Some(linux) = spec.linux() else { return Ok(()) };
    let any = |paths: &Option<Vec<String>>| paths.as_ref().is_some_and(|paths| !paths.is_empty());
    need(
        CloneFlags::CLONE_NEWNS,
        "linux.maskedPaths",
        any(linux.masked_paths()) || any(linux.readonly_paths()),
        "unable to restrict sys entries without a private MNT namespace",
    )?;
    if linux.mount_label().as_ref().is_some_and(|label| !label.is_empty())
        && !process::selinux_is_enabled()
    {
        let problem =
            "selinux mount label is specified in config, but selinux is disabled or not supported";
        return Err(Error::config("linux.mountLabel", problem));
    }
    net_devices::validate(linux, namespaces, rustix::process::geteuid().is_root())?;
    for name in linux.sysctl().iter().flatten().map(|(name, _)| name) {
        sysctl(name, namespaces).map_err(|problem| Error::config("linux.sysctl", problem))?;
    }
    Ok(())
}

/// The `process`, which `create` must have though the specification lets it be absent until `start`.
pub(crate) fn process(spec: &Spec) -> Result<&Process> {
    spec.process()
        .as_ref()
        .ok_or_else(|| Error::config("process", "process property must not be empty"))
}

/// The absolute path of the rootfs, which must be a directory and no symbolic link.
pub(crate) fn rootfs(spec: &Spec, bundle: &Path) -> Result<PathBuf> {
    let root =
        spec.root().as_ref().ok_or_else(|| Error::config("root", "root must be specified"))?;
    let path = bundle.join(root.path());
    let invalid =
        |problem: String| Error::config("root.path", format!("invalid rootfs: {problem}"));
    let real = std::fs::canonicalize(&path)
        .map_err(|error| invalid(format!("stat {}: {}", path.display(), OsError::from(&error))))?;
    let symlink = std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
    if symlink {
        return Err(invalid("not an absolute path, or a symlink".to_owned()));
    }
    if !real.is_dir() {
        return Err(invalid(format!("{} is not a directory", path.display())));
    }
    Ok(real)
}

/// Any version 1 of the specification.
fn check_version(version: &str) -> Result<()> {
    let major = version.split('.').next().unwrap_or_default();
    if major == "1" && version.split('.').count() >= 3 {
        return Ok(());
    }
    Err(Error::config("ociVersion", format!("{version:?} is not supported: versions 1.x.y are")))
}

/// Only settings that belong to a namespace of the container may be changed (runc's list): all others
/// are the host's.
fn sysctl(name: &str, namespaces: &Namespaces) -> Result<(), String> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let name = with_dots(name);
    let has = |kind| namespaces.has(kind);
    let refuse = |allowed: bool, problem: String| if allowed { Ok(()) } else { Err(problem) };
    if name.split(['.', '/']).any(|part| part.is_empty() || part == "..") {
        return Err(format!("sysctl {name:?} is no name"));
    }
    if IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue.") {
        return refuse(
            has(CloneFlags::CLONE_NEWIPC),
            format!("sysctl {name:?} is not allowed in the hosts ipc namespace"),
        );
    }
    if name.starts_with("net.") {
        return refuse(
            has(CloneFlags::CLONE_NEWNET),
            format!("sysctl {name:?} not allowed in host network namespace"),
        );
    }
    match name.as_str() {
        "kernel.domainname" if has(CloneFlags::CLONE_NEWUTS) => return Ok(()),
        "kernel.hostname" if has(CloneFlags::CLONE_NEWUTS) => {
            return Err(format!(
                "sysctl {name:?} is not allowed as it conflicts with the OCI \"hostname\" field"
            ));
        }
        _ => {}
    }
    if name.starts_with("user.") {
        return refuse(
            has(CloneFlags::CLONE_NEWUSER),
            format!("setting ucounts without a user namespace not allowed: {name}"),
        );
    }
    Err(format!("sysctl {name:?} is not in a separate kernel namespace"))
}

/// sysctl(8) takes `net/ipv4/conf/eth0.1/x` as well as `net.ipv4.conf.eth0/1.x`: the first separator
/// decides which is which. This is the second form.
fn with_dots(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name[at..].starts_with('/') => name
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            })
            .collect(),
        _ => name.to_owned(),
    }
}

/// The file of a sysctl below /proc/sys.
pub(crate) fn sysctl_path(name: &str) -> PathBuf {
    let path: String = with_dots(name)
        .chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            c => c,
        })
        .collect();
    Path::new("sys").join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(kinds: CloneFlags) -> Namespaces {
        let mut namespaces = Namespaces::new(&Spec::default()).unwrap();
        namespaces.join.clear();
        namespaces.new = kinds;
        namespaces
    }

    #[test]
    fn sysctls_need_their_namespace() {
        let none = with(CloneFlags::empty());
        let all = with(
            CloneFlags::CLONE_NEWNET
                | CloneFlags::CLONE_NEWIPC
                | CloneFlags::CLONE_NEWUTS
                | CloneFlags::CLONE_NEWUSER,
        );
        for name in [
            "net.ipv4.ip_forward",
            "net/ipv4/ip_forward",
            "kernel.shmmax",
            "fs.mqueue.msg_max",
            "kernel.domainname",
            "user.max_user_namespaces",
        ] {
            assert!(sysctl(name, &none).is_err(), "{name}");
            assert!(sysctl(name, &all).is_ok(), "{name}");
        }
        for name in ["kernel.hostname", "vm.swappiness", "net.../x", "net.ipv4/../../x", ""] {
            assert!(sysctl(name, &all).is_err(), "{name}");
        }
    }

    #[test]
    fn sysctl_names_become_paths() {
        assert_eq!(sysctl_path("net.ipv4.ip_forward"), Path::new("sys/net/ipv4/ip_forward"));
        assert_eq!(
            sysctl_path("net/ipv4/conf/eno2.100/rp_filter"),
            Path::new("sys/net/ipv4/conf/eno2.100/rp_filter")
        );
        assert_eq!(
            sysctl_path("net.ipv4.conf.eno2/100.rp_filter"),
            Path::new("sys/net/ipv4/conf/eno2.100/rp_filter")
        );
    }

    #[test]
    fn versions() {
        for good in ["1.0.0", "1.0.2-dev", "1.3.0", "1.0.0-rc5"] {
            assert!(check_version(good).is_ok(), "{good}");
        }
        for bad in ["", "2.0.0", "1", "x.y.z"] {
            assert!(check_version(bad).is_err(), "{bad}");
        }
    }
}
