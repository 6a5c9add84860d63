//! The cgroups of a lab: one child group in each hierarchy of the host.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::eventually;

/// Child groups made for one lab, removed with everything below them when dropped.
#[derive(Debug)]
pub(crate) struct Cgroups {
    /// The lab's group in each hierarchy.
    groups: Vec<PathBuf>,
    /// Where the lab's processes go: on cgroup v2 a leaf, since inner groups hold no process.
    homes: Vec<PathBuf>,
}

impl Cgroups {
    pub(crate) fn create(name: &str) -> io::Result<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let mut made = Self { groups: Vec::new(), homes: Vec::new() };
        if root.join("cgroup.controllers").exists() {
            let group = root.join(name);
            let home = group.join("lab");
            fs::create_dir(&group)?;
            made.groups.push(group);
            fs::create_dir(&home)?;
            made.homes.push(home);
            // lab-init starts above its home, so that the lab's cgroup namespace begins there.
            return Ok(made);
        }
        for entry in fs::read_dir(root)? {
            let hierarchy = entry?.path();
            // The links cpu -> cpu,cpuacct would name a hierarchy twice.
            if hierarchy.is_symlink() || !hierarchy.join("cgroup.procs").exists() {
                continue;
            }
            let group = hierarchy.join(name);
            fs::create_dir(&group)?;
            made.groups.push(group.clone());
            made.homes.push(group.clone());
            // A new cpuset is empty and takes no process before it has CPUs and memory.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if group.join(file).exists() {
                    fs::write(group.join(file), fs::read(hierarchy.join(file))?)?;
                }
            }
        }
        Ok(made)
    }

    /// What lab-init joins before it makes the lab's cgroup namespace, whose root that then is.
    pub(crate) fn open_roots(&self) -> io::Result<Vec<File>> {
        let open = |group: &PathBuf| File::options().write(true).open(group.join("cgroup.procs"));
        self.groups.iter().map(open).collect()
    }

    /// Where lab-init goes after that: on cgroup v2 the root must hold no process.
    pub(crate) fn leaf(&self) -> Option<&Path> {
        self.homes.first().filter(|home| !self.groups.contains(home)).map(PathBuf::as_path)
    }

    /// The files a process writes itself into to join.
    pub(crate) fn open_procs(&self) -> io::Result<Vec<File>> {
        let open = |home: &PathBuf| File::options().write(true).open(home.join("cgroup.procs"));
        self.homes.iter().map(open).collect()
    }

    /// Every group below the lab's, by its path without the lab's own name.
    pub(crate) fn below(&self) -> Vec<String> {
        let mut found = Vec::new();
        for group in &self.groups {
            let hierarchy = group.parent().and_then(Path::file_name).unwrap_or_default();
            let mut folders = vec![group.clone()];
            while let Some(folder) = folders.pop() {
                for child in subfolders(&folder) {
                    let inner = child.strip_prefix(group).unwrap_or(&child);
                    found.push(format!("{}:{}", hierarchy.to_string_lossy(), inner.display()));
                    folders.push(child);
                }
            }
        }
        found.retain(|path| !path.ends_with(":lab"));
        found.sort();
        found
    }

    /// The lab's group in the hierarchy of `controller` (cgroup v1), or its only one (v2).
    pub(crate) fn group(&self, controller: &str) -> Option<&Path> {
        let named = |group: &&PathBuf| {
            group.parent().is_some_and(|hierarchy| {
                hierarchy.file_name().is_some_and(|name| {
                    name.to_string_lossy().split(',').any(|part| part == controller)
                })
            })
        };
        if self.groups.len() == 1 { self.groups.first() } else { self.groups.iter().find(named) }
            .map(PathBuf::as_path)
    }
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .map(|e| e.path())
        .collect()
}

fn remove_tree(group: &Path) -> bool {
    subfolders(group).iter().all(|child| remove_tree(child))
        && (fs::remove_dir(group).is_ok() || !group.exists())
}

fn thaw(group: &Path) {
    for child in subfolders(group) {
        thaw(&child);
    }
    for (file, value) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        if group.join(file).exists() {
            // A group that vanishes meanwhile needs no thawing.
            let _ = fs::write(group.join(file), value);
        }
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for group in &self.groups {
            // A killed process leaves its group a moment after it died, a frozen one never.
            thaw(group);
            if !eventually(Duration::from_secs(10), || remove_tree(group)) {
                eprintln!("cgroup {} could not be removed", group.display());
            }
        }
    }
}
