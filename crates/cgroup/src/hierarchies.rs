//! Which cgroup hierarchies are mounted where: one read of `/proc/self/mountinfo`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::file;

/// The flavour of cgroups a host offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One hierarchy per controller; in the hybrid layout also a cgroup2 mount without the
    /// controllers that v1 holds.
    V1,
    /// The unified hierarchy alone.
    V2,
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its controllers; [`Controller::Unified`] alone for cgroup2.
    pub controllers: Vec<Controller>,
    /// Where it is mounted.
    pub point: PathBuf,
    /// Which of its groups is the root of this mount: `/` unless a container sees its own part.
    pub root: PathBuf,
}

/// The mounted hierarchies of the calling process's mount namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchies {
    mode: Mode,
    mounts: Vec<Mount>,
}

/// Where a host mounts v2 alone, or the tmpfs with the v1 hierarchies (and hybrid's cgroup2).
const STANDARD: &str = "/sys/fs/cgroup";
/// Where hybrid hosts have cgroup2; elsewhere next to v1 it is somebody's private matter.
const HYBRID: &str = "/sys/fs/cgroup/unified";

impl Hierarchies {
    /// Reads `/proc/self/mountinfo`: call it once and keep the value.
    pub fn detect() -> Result<Self> {
        let path = Path::new("/proc/self/mountinfo");
        Self::from_mountinfo(&file::read_bytes(path)?)
    }

    /// The hierarchies of explicit mounts, for tests and for hosts with an unusual layout.
    pub fn from_mounts(mode: Mode, mounts: Vec<Mount>) -> Self {
        Self { mode, mounts }
    }

    /// The hierarchies in the text of a mountinfo file (proc_pid_mountinfo(5)). Mounts hidden
    /// below others do not count. Malformed lines are not cgroup mounts.
    pub fn from_mountinfo(mountinfo: &[u8]) -> Result<Self> {
        let entries: Vec<Entry<'_>> =
            mountinfo.split(|byte| *byte == b'\n').filter_map(Entry::parse).collect();
        let visible = |entry: &&Entry<'_>| entry.is_visible(&entries);
        let unified = || entries.iter().filter(|entry| entry.fstype == b"cgroup2").filter(visible);
        let alone = unified().find(|entry| entry.point == STANDARD.as_bytes());
        if let Some(entry) = alone {
            return Ok(Self {
                mode: Mode::V2,
                mounts: vec![entry.mount(vec![Controller::Unified])],
            });
        }
        let mut mounts: Vec<Mount> = Vec::new();
        let mut v1: Vec<&Entry<'_>> =
            entries.iter().filter(|entry| entry.fstype == b"cgroup").filter(visible).collect();
        // Some root file system made for a container may have cgroups mounted as well.
        v1.sort_by_key(|entry| !leads_to(STANDARD.as_bytes(), entry.point));
        for entry in v1 {
            let controllers: Vec<Controller> = entry
                .controllers()
                .filter(|found| !mounts.iter().any(|mount| mount.controllers.contains(found)))
                .collect();
            if !controllers.is_empty() {
                mounts.push(entry.mount(controllers));
            }
        }
        let is_hybrid = |entry: &&Entry<'_>| mounts.is_empty() || entry.point == HYBRID.as_bytes();
        let hybrid = unified().find(is_hybrid).map(|entry| entry.mount(vec![Controller::Unified]));
        let mode = match (mounts.is_empty(), &hybrid) {
            (true, None) => return Err(Error::NotMounted),
            (true, Some(_)) => Mode::V2,
            (false, _) => Mode::V1,
        };
        mounts.extend(hybrid);
        Ok(Self { mode, mounts })
    }

    /// v1 (or hybrid) or v2.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The mounted hierarchies.
    pub fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// The groups that the caller is in: each hierarchy's mount point, and the directory below it.
    ///
    /// # Errors
    ///
    /// [`Error::Path`] when `/proc/self/cgroup` cannot be read.
    pub fn own_groups(&self) -> Result<Vec<(PathBuf, PathBuf)>> {
        let own = Membership::read("self")?;
        let group = |mount: &Mount| {
            let path = own.path(*mount.controllers.first()?)?;
            // As in a relative `linux.cgroupsPath`: only what is below the mount's root can be seen.
            let inner = path.strip_prefix(&mount.root).unwrap_or(path);
            Some((mount.point.clone(), mount.point.join(crate::location::clean(inner))))
        };
        Ok(self.mounts.iter().filter_map(group).collect())
    }

    /// The mount of a controller, if there is one.
    pub fn mount(&self, controller: Controller) -> Option<&Mount> {
        self.mounts.iter().find(|mount| mount.controllers.contains(&controller))
    }
}

/// One line of mountinfo, as far as it matters here. It borrows: a busy host has thousands of
/// mounts, of which a dozen are cgroups. Paths are still escaped, which leaves slashes as they are.
struct Entry<'a> {
    id: u32,
    parent: u32,
    root: &'a [u8],
    point: &'a [u8],
    fstype: &'a [u8],
    super_options: &'a [u8],
}

impl<'a> Entry<'a> {
    /// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG]... - FSTYPE SOURCE SUPER_OPTIONS`
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = number(fields.next()?)?;
        let parent = number(fields.next()?)?;
        fields.next()?;
        let root = fields.next()?;
        let point = fields.next()?;
        fields.find(|field| *field == b"-")?;
        let fstype = fields.next()?;
        fields.next()?;
        let super_options = fields.next().unwrap_or_default();
        Some(Self { id, parent, root, point, fstype, super_options })
    }

    fn controllers(&self) -> impl Iterator<Item = Controller> + '_ {
        self.super_options
            .split(|byte| *byte == b',')
            .filter_map(|option| std::str::from_utf8(option).ok())
            .filter(|option| !option.is_empty())
            .filter_map(Controller::from_name)
    }

    fn mount(&self, controllers: Vec<Controller>) -> Mount {
        Mount { controllers, point: unescape(self.point), root: unescape(self.root) }
    }

    /// Whether a path walk reaches this mount: nothing is mounted on top of it, nor over a
    /// directory that leads to it, nor over its parent mount.
    fn is_visible(&self, entries: &[Self]) -> bool {
        let mut mount = self;
        // The mount the walk came from may itself lie on top of its parent.
        let mut below = None;
        // A chain of parents is never longer than the list, unless the list is nonsense.
        for _ in 0..entries.len() {
            let covered = entries.iter().filter(|other| Some(other.id) != below).any(|other| {
                let on_top =
                    other.parent == mount.id && other.id != mount.id && other.point == mount.point;
                let in_the_way = other.parent == mount.parent
                    && other.id != mount.id
                    && leads_to(other.point, mount.point);
                on_top || in_the_way
            });
            if covered {
                return false;
            }
            below = Some(mount.id);
            match entries.iter().find(|other| other.id == mount.parent && other.id != mount.id) {
                Some(parent) => mount = parent,
                None => return true,
            }
        }
        true
    }
}

/// Whether `point` is strictly below `dir`. Nothing is hidden by what is mounted on `/`, where
/// the whole tree hangs.
fn leads_to(dir: &[u8], point: &[u8]) -> bool {
    point.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/")) && dir != b"/"
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Space, tab, newline and backslash stand in mountinfo as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| after.get(..3)).flatten().and_then(|digits| {
            digits.iter().try_fold(0u32, |value, digit| {
                (b'0'..=b'7').contains(digit).then(|| value * 8 + u32::from(digit - b'0'))
            })
        });
        match octal.and_then(|value| u8::try_from(value).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// The groups of a process: `/proc/PID/cgroup`, lines of `ID:CONTROLLER[,CONTROLLER]:PATH`
/// (cgroups(7)).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Membership(Vec<(Vec<Controller>, PathBuf)>);

impl Membership {
    /// Of the process with this number, or of the caller with `self`.
    pub(crate) fn read(process: &str) -> Result<Self> {
        let path = PathBuf::from(format!("/proc/{process}/cgroup"));
        Ok(Self::parse(&file::read_bytes(&path)?))
    }

    /// Lines that do not have the documented form name no group.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let line = |line: &[u8]| {
            let mut fields = line.splitn(3, |byte| *byte == b':');
            fields.next()?;
            let names = std::str::from_utf8(fields.next()?).ok()?;
            let path = PathBuf::from(OsStr::from_bytes(fields.next()?));
            let controllers = names.split(',').filter_map(Controller::from_name).collect();
            Some((controllers, path))
        };
        Self(text.split(|byte| *byte == b'\n').filter_map(line).collect())
    }

    /// The group in the hierarchy of `controller`.
    pub(crate) fn path(&self, controller: Controller) -> Option<&Path> {
        let mut groups = self.0.iter();
        groups.find(|group| group.0.contains(&controller)).map(|group| group.1.as_path())
    }
}

#[cfg(test)]
mod tests;
