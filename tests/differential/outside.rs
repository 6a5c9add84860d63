//! What the host sees of a container: its cgroups, the bundle afterwards, what is left behind.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rrun_tests::{Lab, eventually};

use crate::machine::{Machine, ROOT};

/// Parts of the names of files that count, and so differ between two runs.
const COUNTERS: &[&str] = &[
    "usage",
    "stat",
    "failcnt",
    "events",
    "current",
    "peak",
    "pressure",
    "event_control",
    "slabinfo",
    "cpuacct",
    "reclaim",
    "force_empty",
    "io_",
    "sectors",
    "tasks",
    "io.max.",
    "rstat",
    "kill",
];

/// Every group below the lab's own, with its owner and all of its settings.
pub(crate) fn cgroups(lab: &Lab) -> Vec<String> {
    let mut lines = Vec::new();
    for (hierarchy, root) in hierarchies(lab) {
        for group in groups(&root) {
            let name = group.strip_prefix(&root).expect("below the root").display().to_string();
            let owner =
                fs::metadata(&group).map(|m| format!("{:o} {}:{}", m.mode(), m.uid(), m.gid()));
            lines.push(format!("{hierarchy} /{name}: {owner:?}"));
            lines.extend(
                settings(&group).into_iter().map(|line| format!("{hierarchy} /{name}: {line}")),
            );
        }
    }
    lines
}

fn hierarchies(lab: &Lab) -> Vec<(String, PathBuf)> {
    let root = lab.outside("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return vec![("unified".to_owned(), root)];
    }
    let mut found: Vec<(String, PathBuf)> = fs::read_dir(root)
        .expect("cgroups of the lab")
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    found.sort();
    found
}

fn groups(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            // On cgroup v2 the lab's own processes are in `lab`.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && entry.file_name() != "lab" {
                folders.push(entry.path());
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

fn settings(group: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.path().is_file() || COUNTERS.iter().any(|part| name.contains(part)) {
            continue;
        }
        let text = match (name.as_str(), fs::read_to_string(entry.path())) {
            (_, Err(_)) => continue,
            ("cgroup.procs", Ok(text)) => format!("{} processes", text.lines().count()),
            ("cgroup.threads", Ok(_)) => continue,
            (_, Ok(text)) => text.trim_end().replace('\n', " | "),
        };
        lines.push(format!("{name} {text}"));
    }
    lines.sort();
    lines
}

/// The bundle's files with mode, owner and kind: what a runtime makes for mount points stays there.
pub(crate) fn files(bundle: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut folders = vec![bundle.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            let kind = meta.file_type();
            let size = if meta.is_file() { meta.len() } else { 0 };
            let device =
                if kind.is_char_device() || kind.is_block_device() { meta.rdev() } else { 0 };
            lines.push(format!(
                "{}: {:o} {}:{} size {size} device {device:x}",
                path.display(),
                meta.mode(),
                meta.uid(),
                meta.gid()
            ));
            if kind.is_dir() && entry.file_name() != "bin" {
                folders.push(path);
            }
        }
    }
    lines.sort();
    lines
}

/// What there is in the lab that was not there before the case.
pub(crate) fn left_behind(machine: &Machine) -> Vec<String> {
    let left = || -> Vec<String> {
        let now = machine.lab.snapshot();
        let more = now.since(&machine.before).into_iter().map(|line| format!("more: {line}"));
        let less = machine.before.since(&now).into_iter().map(|line| format!("less: {line}"));
        // A bundle on a shared mount, and the root folder's own files.
        more.chain(less)
            .filter(|line| {
                let own_mount = line.contains("mount ") && line.contains("/b /");
                !(line.contains(ROOT) || own_mount)
            })
            .collect()
    };
    let mut seen = left();
    // The kernel takes a killed process's group and namespaces back a moment later.
    eventually(Duration::from_secs(1), || {
        seen = left();
        seen.is_empty()
    });
    seen
}

/// Removes groups and state, so that the next run starts from nothing.
pub(crate) fn sweep(machine: &Machine) {
    for (_, root) in hierarchies(&machine.lab) {
        for group in groups(&root).iter().rev() {
            // One with a process in it stays and is seen as left behind again.
            let _ = fs::remove_dir(group);
        }
    }
    let root = machine.lab.outside(ROOT);
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).expect("root folder");
}
