//! Shares of cache and memory bandwidth, by groups of the resctrl file system (runtime-spec,
//! config-linux.md, "IntelRdt"; kernel, filesystems/resctrl.rst).
//!
//! Who mounts the file system, and where, is the administrator's business: rrun never does.

mod schemata;
mod stats;

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use procfs::process::Process;
use serde::{Deserialize, Serialize};

use crate::error::{Error, OsError, Result};
use crate::spec::LinuxIntelRdt;
pub(crate) use schemata::validate;

/// The mounted resctrl file system of this host.
#[derive(Debug)]
pub(crate) struct Resctrl {
    root: PathBuf,
}

impl Resctrl {
    /// Where it is mounted; `None` where it is not, be it that the processor has nothing of the kind.
    pub(crate) fn detect() -> Option<Self> {
        let mounts = Process::myself().and_then(|process| process.mountinfo()).ok()?;
        let mount = mounts.into_iter().find(|mount| mount.fs_type == "resctrl")?;
        Some(Self { root: mount.mount_point })
    }

    /// Cache allocation (CAT).
    pub(crate) fn allocates_cache(&self) -> bool {
        self.root.join("info/L3").is_dir()
    }

    /// Memory bandwidth allocation (MBA).
    pub(crate) fn allocates_bandwidth(&self) -> bool {
        self.root.join("info/MB").is_dir()
    }
}

/// A container's group, as its state records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    /// Where the file system is mounted.
    root: PathBuf,
    /// The group's directory: `root` itself for the default group.
    dir: PathBuf,
    /// The monitoring group inside it, which is this container's alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    monitor: Option<PathBuf>,
    /// `dir` is made for this container, and goes with it.
    own: bool,
}

impl Group {
    /// The group that a container with this id is to be in. Nothing is touched yet.
    pub(crate) fn plan(resctrl: Option<Resctrl>, rdt: &LinuxIntelRdt, id: &str) -> Result<Self> {
        let refuse = |problem: &str| Err(Error::config("linux.intelRdt", problem));
        let Some(resctrl) = resctrl else {
            return refuse("intelRdt is specified in config, but Intel RDT is not enabled");
        };
        if filled(rdt.l3_cache_schema()).is_some() && !resctrl.allocates_cache() {
            return refuse(
                "intelRdt.l3CacheSchema is specified in config, but Intel RDT/CAT is not enabled",
            );
        }
        if filled(rdt.mem_bw_schema()).is_some() && !resctrl.allocates_bandwidth() {
            return refuse(
                "intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is not enabled",
            );
        }
        validate(rdt)?;
        let root = resctrl.root;
        let clos = filled(rdt.clos_id());
        let dir = match clos {
            Some("/") => root.clone(),
            Some(name) if !is_name(name) => {
                return refuse(&format!("invalid intelRdt.ClosID {name:?}"));
            }
            Some(name) => root.join(name),
            None => root.join(id),
        };
        let there = dir.is_dir();
        if clos.is_some() && !there && schemata::of(rdt).is_empty() {
            return refuse(&format!(
                "clos dir not accessible (must be pre-created when schemata, l3CacheSchema and \
                 memBwSchema are empty): {}",
                dir.display()
            ));
        }
        let monitor = rdt.enable_monitoring().unwrap_or(false);
        Ok(Self {
            monitor: monitor.then(|| dir.join("mon_groups").join(id)),
            own: clos.is_none() && !there,
            root,
            dir,
        })
    }

    /// Makes the directory. `false` where there is one: then it is another's, and stays.
    pub(crate) fn make(&mut self) -> Result<bool> {
        let made = make_dir(&self.dir).map_err(|error| self.error("mkdir", &self.dir, &error))?;
        self.own &= made;
        Ok(made)
    }

    /// Gives a group that was just made its shares, and makes the monitoring group. In one that was
    /// there others may live: its shares must be the asked ones already.
    pub(crate) fn configure(&self, rdt: &LinuxIntelRdt, made: bool) -> Result<()> {
        if made || filled(rdt.clos_id()).is_none() {
            self.write(rdt)?;
        } else {
            self.compare(rdt)?;
        }
        let Some(monitor) = &self.monitor else { return Ok(()) };
        make_dir(monitor).map(drop).map_err(|error| self.error("mkdir", monitor, &error))
    }

    /// Writes the shares.
    pub(crate) fn write(&self, rdt: &LinuxIntelRdt) -> Result<()> {
        let lines = schemata::of(rdt);
        if lines.is_empty() {
            return Ok(());
        }
        // In one write: the kernel takes all lines of it or says which one it does not.
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        let path = self.dir.join("schemata");
        write(&path, &text)
            .map_err(|error| self.error(&format!("write {text:?} to"), &path, &error))
    }

    fn compare(&self, rdt: &LinuxIntelRdt) -> Result<()> {
        let there = stats::text(&self.dir.join("schemata"))?;
        let step = stats::number(&self.root.join("info/MB/bandwidth_gran")).unwrap_or(1);
        match schemata::of(rdt).into_iter().find(|line| !schemata::agrees(line, &there, step)) {
            None => Ok(()),
            Some(line) => Err(Error::config(
                "linux.intelRdt",
                format!("{} exists, and its schemata are not {line:?}", self.dir.display()),
            )),
        }
    }

    /// Puts a process into the group. The order matters: a monitoring group takes only what is in the
    /// group it belongs to.
    pub(crate) fn add(&self, pid: i32) -> Result<()> {
        for dir in [Some(&self.dir), self.monitor.as_ref()].into_iter().flatten() {
            let tasks = dir.join("tasks");
            write(&tasks, &pid.to_string())
                .map_err(|error| self.error(&format!("add pid {pid} to"), &tasks, &error))?;
        }
        Ok(())
    }

    /// Whether it is still there: the file system may be unmounted at any time.
    pub(crate) fn exists(&self) -> bool {
        self.dir.is_dir()
    }

    /// Removes what was made for the container alone.
    pub(crate) fn remove(&self) -> Result<()> {
        for dir in [self.monitor.as_ref(), self.own.then_some(&self.dir)].into_iter().flatten() {
            match std::fs::remove_dir(dir) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(self.error("rmdir", dir, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// With what the kernel says of it, which is more than an error number.
    fn error(&self, call: &str, path: &Path, error: &io::Error) -> Error {
        let status = stats::text(&self.root.join("info/last_cmd_status"));
        Error::IntelRdt {
            call: format!("{call} {}", path.display()),
            errno: OsError::from(error),
            status: status.map(|text| format!(", last_cmd_status: {text}")).unwrap_or_default(),
        }
    }
}

/// A text that says something: an empty one is none, as in runc.
fn filled(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// Whether this is the name of a directory, not a path.
fn is_name(name: &str) -> bool {
    !matches!(name, "." | "..") && !name.contains(['/', '\0', '\n'])
}

/// `false`: it was there.
fn make_dir(dir: &Path) -> io::Result<bool> {
    match std::fs::DirBuilder::new().mode(0o755).create(dir) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes to a file of the kernel's, which is there or is not to be.
fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests;
