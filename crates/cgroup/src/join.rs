//! How a process about to be cloned enters the groups.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode as FileMode;
use nix::unistd::write;

use crate::cgroup::Cgroup;
use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::file;
use crate::hierarchies::{Hierarchies, Membership, Mode};

/// Open files through which a new process enters a container's groups. All close on exec.
///
/// The parent clones with `CLONE_INTO_CGROUP` and [`Join::clone_into`] when there is one (v2,
/// hybrid); the child calls [`Join::enter`] before anything else, while it has one thread.
///
/// Writing `0` into a v1 `tasks` file moves the writing thread alone, for which the kernel needs
/// no lock on the thread groups of the whole system (kernel/cgroup/cgroup.c,
/// `cgroup_procs_write_start`). A pid written to `cgroup.procs` takes that lock, and with it waits
/// for an RCU grace period: milliseconds in each of ten hierarchies.
#[derive(Debug)]
pub struct Join {
    tasks: Vec<OwnedFd>,
    unified: Option<Unified>,
}

/// The group of the unified hierarchy, open.
#[derive(Debug)]
struct Unified {
    fd: OwnedFd,
    dir: PathBuf,
}

impl Unified {
    fn open(dir: PathBuf) -> Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match open(&dir, flags, FileMode::empty()) {
            Ok(fd) => Ok(Self { fd, dir }),
            Err(errno) => Err(Error::path("open", dir, errno)),
        }
    }
}

impl Join {
    /// No group: the process stays where its parent is.
    pub fn none() -> Self {
        Self { tasks: Vec::new(), unified: None }
    }

    /// The directory for `CLONE_INTO_CGROUP` (Linux 5.7, clone(2)).
    pub fn clone_into(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(|unified| unified.fd.as_fd())
    }

    /// Why a clone with [`Self::clone_into`] was refused: `EBUSY` where the group has controllers
    /// enabled for groups below it and so takes no processes (cgroup-v2.rst, "No Internal Process
    /// Constraint").
    pub fn refused(&self, errno: Errno) -> Error {
        let cause = match &self.unified {
            Some(unified) => Error::path("clone3 into", &unified.dir, errno),
            None => Error::call("clone3", errno),
        };
        Error::AddProcess { pid: 0, cause: Box::new(cause) }
    }

    /// Every open file here, for a child that closes all the others.
    pub fn fds(&self) -> impl Iterator<Item = RawFd> + '_ {
        let unified = self.unified.iter().map(|unified| &unified.fd);
        self.tasks.iter().chain(unified).map(AsRawFd::as_raw_fd)
    }

    /// Moves the calling thread in. Neither allocates nor locks: right for a fresh clone.
    /// `cloned_into` says that `CLONE_INTO_CGROUP` did the unified hierarchy already; without it
    /// (kernels before 5.7) that group is entered through its `cgroup.procs`.
    pub fn enter(&self, cloned_into: bool) -> std::result::Result<(), Errno> {
        for tasks in &self.tasks {
            write_zero(tasks)?;
        }
        match &self.unified {
            Some(Unified { fd, .. }) if !cloned_into => {
                let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
                write_zero(&openat(fd, c"cgroup.procs", flags, FileMode::empty())?)
            }
            _ => Ok(()),
        }
    }
}

fn write_zero(fd: &OwnedFd) -> std::result::Result<(), Errno> {
    loop {
        match write(fd, b"0") {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// The groups below the container's that `exec --cgroup` names, by controller; the empty key
/// stands for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubCgroups(BTreeMap<String, String>);

impl SubCgroups {
    /// No group below: the container's own.
    pub fn none() -> Self {
        Self::default()
    }

    /// Parses the values of `exec --cgroup`: one `PATH`, or any number of
    /// `CONTROLLER[,CONTROLLER]:PATH`.
    pub fn parse<S: AsRef<str>>(arguments: &[S]) -> Result<Self> {
        let mut paths = BTreeMap::new();
        for argument in arguments.iter().map(AsRef::as_ref) {
            let invalid = |why: &str| Error::SubCgroupArgument(format!("{argument} ({why})"));
            let Some((controllers, path)) = argument.split_once(':') else {
                if arguments.len() != 1 {
                    return Err(invalid("missing <controller>: prefix"));
                }
                paths.insert(String::new(), argument.to_owned());
                continue;
            };
            for controller in controllers.split(',') {
                if controller.is_empty() {
                    return Err(invalid("empty <controller> prefix"));
                }
                if paths.insert(controller.to_owned(), path.to_owned()).is_some() {
                    return Err(invalid(&format!(
                        "controller {controller} specified multiple times"
                    )));
                }
            }
        }
        Ok(Self(paths))
    }

    /// Whether no group below was asked for. `/` is one, the container's own, made explicit: then
    /// there is no falling back to the init process's group.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl Cgroup {
    /// Opens what a new process needs to enter the container's groups, or those below them that
    /// `sub` names.
    ///
    /// # Errors
    ///
    /// [`Error::SubCgroupPath`], [`Error::UnknownController`], [`Error::AddProcess`] when a group
    /// does not exist.
    pub fn join_handles(&self, sub: &SubCgroups) -> Result<Join> {
        let mut join = Join::none();
        let unified = self.dir(Controller::Unified).map(Path::to_owned);
        for (base, dir) in self.dirs().zip(self.sub_dirs(sub)?) {
            let opened = if Some(base) == unified.as_deref() {
                Unified::open(dir).map(|unified| join.unified = Some(unified))
            } else {
                file::open_write(&dir.join("tasks")).map(|fd| join.tasks.push(fd))
            };
            match opened {
                Err(error) if self.options.rootless && error.is_permission() => {}
                Err(cause) => return Err(Error::AddProcess { pid: 0, cause: Box::new(cause) }),
                Ok(()) => {}
            }
        }
        Ok(join)
    }

    /// v2: opens the group that `pid`, the container's init, is in now. For `exec` when the
    /// container's own group cannot be joined, because init has moved into a group below and
    /// enabled controllers there, or has left (runc issues 2356 and 5089), and no group was asked
    /// for explicitly.
    pub fn join_handles_of(hierarchies: &Hierarchies, pid: i32) -> Result<Join> {
        let mount = hierarchies
            .mount(Controller::Unified)
            .filter(|_| hierarchies.mode() == Mode::V2)
            .ok_or(Error::NoMountpoint(Controller::Unified))?;
        let groups = Membership::read(&pid.to_string())?;
        let path = groups.path(Controller::Unified).unwrap_or(Path::new("/"));
        let inner = path.strip_prefix(&mount.root).unwrap_or(path);
        let dir = mount.point.join(crate::location::clean(inner));
        Ok(Join { tasks: Vec::new(), unified: Some(Unified::open(dir)?) })
    }

    fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.groups.iter().map(|group| group.dir.as_path())
    }

    /// The directory of each group in turn, below it where `sub` says so.
    pub(crate) fn sub_dirs(&self, sub: &SubCgroups) -> Result<Vec<PathBuf>> {
        if let Some(unknown) = sub.0.keys().find(|name| !self.has(name)) {
            return Err(Error::UnknownController(unknown.clone()));
        }
        let mut dirs = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let names = group.controllers.iter().map(|controller| controller.as_str());
            // Controllers mounted together share a group: the last one named decides.
            let path = names.filter_map(|name| sub.0.get(name)).next_back();
            // On v1 the empty key means all, unless the unified group alone has it.
            let path = path.or_else(|| sub.0.get(""));
            dirs.push(match path {
                Some(path) => below(&group.dir, path)?,
                None => group.dir.clone(),
            });
        }
        Ok(dirs)
    }

    fn has(&self, name: &str) -> bool {
        let by_name = || Controller::from_name(name);
        name.is_empty()
            || by_name().is_some_and(|wanted| {
                self.groups.iter().any(|group| group.controllers.contains(&wanted))
            })
    }
}

/// `path` below `dir`; one that would leave it is refused rather than bent.
fn below(dir: &Path, path: &str) -> Result<PathBuf> {
    let mut depth = 0i64;
    for name in Path::new(path).components() {
        match name {
            std::path::Component::ParentDir => depth -= 1,
            std::path::Component::Normal(_) => depth += 1,
            _ => {}
        }
        if depth < 0 {
            return Err(Error::SubCgroupPath(path.to_owned()));
        }
    }
    Ok(dir.join(crate::location::clean(Path::new(path))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let sub = SubCgroups::parse(&["memory:submem", "cpu,cpuacct:subcpu"]).unwrap();
        assert_eq!(sub.0.len(), 3);
        assert_eq!(sub.0["cpuacct"], "subcpu");
        assert_eq!(SubCgroups::parse(&["/"]).unwrap().0[""], "/");
        assert!(SubCgroups::parse::<&str>(&[]).unwrap().is_none());
        for bad in [&["a", "b"][..], &[":x"], &["cpu,:x"], &["cpu:a", "cpu:b"]] {
            assert!(matches!(SubCgroups::parse(bad), Err(Error::SubCgroupArgument(_))), "{bad:?}");
        }
    }

    #[test]
    fn paths_stay_below() {
        let dir = Path::new("/cg/ctr");
        assert_eq!(below(dir, "/").unwrap(), dir);
        assert_eq!(below(dir, "a/../b").unwrap(), Path::new("/cg/ctr/b"));
        for bad in ["..", "/..", "a/../../ctr2", "../ctr"] {
            let error = below(dir, bad).unwrap_err().to_string();
            assert!(error.contains("bad sub cgroup path"), "{error}");
        }
    }
}
