//! Paths inside the rootfs, which belongs to the container and may be changed by others at any moment.
//!
//! Nothing here hands a path of the rootfs to the kernel as a string to be followed from the host's root. A path is
//! resolved with `openat2(2)` and `RESOLVE_IN_ROOT`, so that absolute symlinks and `..` stay inside (CVE-2018-15664,
//! CVE-2021-30465), and what comes back is a file descriptor. Missing parts are made one by one, each below the
//! descriptor of its parent.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::error::{CallError, Cause};

/// As many symlinks as the kernel follows in one path.
const MAX_SYMLINKS: u32 = 40;
/// How often `openat2` is tried again when a rename elsewhere in the tree makes it give up (`EAGAIN`).
const MAX_RACES: u32 = 128;

const HANDLE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// The root directory of the container, seen from outside: a descriptor and the path it is mounted on.
#[derive(Debug)]
pub(super) struct RootDir {
    fd: OwnedFd,
    path: PathBuf,
}

/// What to make when the last part of a path is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaf {
    /// A directory, mode 0755.
    Directory,
    /// An empty file, mode 0644.
    File,
}

impl RootDir {
    /// `fd` is the root of the mount at the absolute, symlink-free `path`.
    pub(super) fn new(fd: OwnedFd, path: PathBuf) -> Self {
        Self { fd, path }
    }

    /// Where the rootfs is, as seen from the root of this process.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The root itself.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens what `path` leads to inside the root, following symlinks, as `O_PATH`.
    pub(super) fn open(&self, path: &Path) -> Result<OwnedFd, CallError> {
        self.resolve(path, HANDLE, ResolveFlags::empty())
            .map_err(|errno| CallError::new("openat2", path, errno))
    }

    /// Opens what is at `location` (of [`RootDir::location`]) now: what was mounted there since.
    pub(super) fn reopen(&self, location: &Path) -> Result<OwnedFd, CallError> {
        self.resolve(location, HANDLE, ResolveFlags::NO_SYMLINKS)
            .map_err(|errno| CallError::new("openat2", location, errno))
    }

    /// Opens what `path` leads to, and makes what is missing: directories on the way and `leaf` at its end. A dangling
    /// symlink is completed, as runc does (`/etc/resolv.conf -> ../run/resolv.conf`).
    pub(super) fn open_or_create(&self, path: &Path, leaf: Leaf) -> Result<OwnedFd, CallError> {
        match self.open(path) {
            Err(error) if error.errno() == Errno::NOENT => self.create(path, leaf),
            opened => opened,
        }
    }

    /// Opens the directory `path`, made if missing, with no symlink on the way: for `/proc` and `/sys`.
    pub(super) fn ordinary_directory(&self, path: &Path, fs_type: &str) -> Result<OwnedFd, Cause> {
        let open = || self.resolve(path, HANDLE | OFlags::DIRECTORY, ResolveFlags::NO_SYMLINKS);
        let opened = match open() {
            Err(Errno::NOENT) => {
                // The walk may follow a symlink that is put there just now; the second open then finds out.
                self.create(path, Leaf::Directory)?;
                open()
            }
            opened => opened,
        };
        match opened {
            Err(Errno::LOOP | Errno::NOTDIR) => {
                Err(Cause::NotOrdinaryDirectory(fs_type.to_owned()))
            }
            Err(errno) => Err(CallError::new("openat2", path, errno).into()),
            Ok(fd) => Ok(fd),
        }
    }

    /// Where `fd` is below the root, as an absolute path of the container.
    ///
    /// Errors: [`Cause::OutsideRootfs`] if it is not below it at all.
    pub(super) fn location(&self, fd: BorrowedFd<'_>) -> Result<PathBuf, Cause> {
        let link = proc_path(fd);
        let target = rustix::fs::readlinkat(CWD, &link, Vec::new())
            .map_err(|errno| CallError::new("readlink", &link, errno))?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        match target.strip_prefix(&self.path) {
            Ok(below) => Ok(Path::new("/").join(below)),
            Err(_) => Err(Cause::OutsideRootfs(target)),
        }
    }

    /// Where `path` leads to, as an absolute path of the container without symlinks. Parts that are not there
    /// stand for themselves: a mount may be made over what would hold them.
    pub(super) fn place(&self, path: &Path) -> Result<PathBuf, CallError> {
        let mut pending = VecDeque::new();
        prepend(&mut pending, path);
        let mut place = PathBuf::from("/");
        let mut symlinks = 0;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                place.pop();
                continue;
            }
            let next = place.join(name);
            let flags = HANDLE | OFlags::NOFOLLOW;
            let found = match self.resolve(&next, flags, ResolveFlags::empty()) {
                Err(Errno::NOENT | Errno::NOTDIR) => None,
                found => Some(found.map_err(|errno| CallError::new("openat2", path, errno))?),
            };
            let Some(link) = found.filter(|fd| matches!(file_type(fd), Ok(FileType::Symlink)))
            else {
                place = next;
                continue;
            };
            symlinks += 1;
            if symlinks > MAX_SYMLINKS {
                return Err(CallError::new("openat2", path, Errno::LOOP));
            }
            let target = rustix::fs::readlinkat(&link, c"", Vec::new())
                .map_err(|errno| CallError::new("readlinkat", path, errno))?;
            let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
            if target.is_absolute() {
                place = PathBuf::from("/");
            }
            prepend(&mut pending, &target);
        }
        Ok(place)
    }

    fn resolve(&self, path: &Path, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        let resolve = resolve | ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..MAX_RACES {
            match rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    /// [`RootDir::open_or_create`] for a path that is known not to be there.
    ///
    /// Walks `path` from the root, one name at a time below the descriptor of the directory it is in: such a step
    /// cannot leave the root, whatever happens to the tree meanwhile.
    pub(super) fn create(&self, path: &Path, leaf: Leaf) -> Result<OwnedFd, CallError> {
        let failed = |call, errno| CallError::new(call, path, errno);
        let mut pending = VecDeque::new();
        prepend(&mut pending, path);
        let mut directories: Vec<OwnedFd> = Vec::new();
        let mut symlinks = 0;
        while let Some(name) = pending.pop_front() {
            let parent = directories.last().unwrap_or(&self.fd).as_fd();
            if name == ".." {
                directories.pop();
                continue;
            }
            let last = pending.is_empty();
            let wanted = if last { leaf } else { Leaf::Directory };
            let fd = match open_child(parent, &name) {
                Err(Errno::NOENT) => create_child(parent, &name, wanted)?,
                opened => opened.map_err(|errno| failed("openat", errno))?,
            };
            match file_type(&fd)? {
                FileType::Symlink => {
                    symlinks += 1;
                    if symlinks > MAX_SYMLINKS {
                        return Err(failed("openat", Errno::LOOP));
                    }
                    let target = rustix::fs::readlinkat(&fd, c"", Vec::new())
                        .map_err(|errno| failed("readlinkat", errno))?;
                    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                    if target.is_absolute() {
                        directories.clear();
                    }
                    prepend(&mut pending, &target);
                }
                FileType::Directory => directories.push(fd),
                _ if last => return Ok(fd),
                _ => return Err(failed("openat", Errno::NOTDIR)),
            }
        }
        match directories.pop() {
            Some(directory) => Ok(directory),
            None => self.open(Path::new("/")),
        }
    }
}

/// `/proc/self/fd/N`: the name of a descriptor for calls that only take a path.
pub(super) fn proc_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// `path` as an absolute path of the container without `.` and `..`, which cannot climb above its root.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// The status of the file behind `fd`.
pub(super) fn stat(fd: impl AsFd) -> Result<Stat, CallError> {
    let fd = fd.as_fd();
    rustix::fs::fstat(fd).map_err(|errno| CallError::new("fstat", proc_path(fd), errno))
}

/// The type of the file behind `fd`.
pub(super) fn file_type(fd: impl AsFd) -> Result<FileType, CallError> {
    Ok(FileType::from_raw_mode(stat(fd)?.st_mode))
}

/// Opens `name`, one component, in `parent`, a symlink itself included, as `O_PATH`.
pub(super) fn open_child(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(parent, name, HANDLE | OFlags::NOFOLLOW, Mode::empty())
}

/// Makes `name` in `parent` and opens it. What another process made there in between is taken as it is, and looked at
/// by the caller.
fn create_child(parent: BorrowedFd<'_>, name: &OsStr, leaf: Leaf) -> Result<OwnedFd, CallError> {
    let (call, made) = match leaf {
        Leaf::Directory => {
            ("mkdirat", rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)))
        }
        Leaf::File => (
            "mknodat",
            rustix::fs::mknodat(parent, name, FileType::RegularFile, Mode::from_raw_mode(0o644), 0),
        ),
    };
    match made {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(CallError::new(call, name, errno)),
    }
    open_child(parent, name).map_err(|errno| CallError::new("openat", name, errno))
}

/// Puts the names of `path` before those still to be walked.
fn prepend(pending: &mut VecDeque<OsString>, path: &Path) {
    let names = path
        .as_os_str()
        .as_bytes()
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".");
    for name in names.rev() {
        pending.push_front(OsString::from_vec(name.to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A root with `outside` beside it.
    fn root() -> (tempfile::TempDir, RootDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("root");
        fs::create_dir_all(path.join("dir")).unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(path.join("file"), "").unwrap();
        let fd = rustix::fs::openat(CWD, &path, HANDLE, Mode::empty()).unwrap();
        (folder, RootDir::new(fd, path))
    }

    fn made(root: &RootDir, path: &str, leaf: Leaf) -> Result<PathBuf, Errno> {
        let fd = root.open_or_create(Path::new(path), leaf).map_err(|error| error.errno())?;
        Ok(root.location(fd.as_fd()).unwrap())
    }

    #[test]
    fn missing_parts_are_made() {
        let (_folder, root) = root();
        assert_eq!(made(&root, "/a/b", Leaf::Directory).unwrap(), Path::new("/a/b"));
        assert_eq!(made(&root, "/a/c/file", Leaf::File).unwrap(), Path::new("/a/c/file"));
        assert!(root.path().join("a/c/file").is_file());
        assert_eq!(made(&root, "/", Leaf::Directory).unwrap(), Path::new("/"));
    }

    #[test]
    fn links_and_dots_stay_inside() {
        let (folder, root) = root();
        symlink("../../outside", root.path().join("up")).unwrap();
        symlink(folder.path().join("outside"), root.path().join("absolute")).unwrap();
        symlink("/dir/../../../dir", root.path().join("climb")).unwrap();
        assert_eq!(made(&root, "/up/x", Leaf::Directory).unwrap(), Path::new("/outside/x"));
        assert_eq!(made(&root, "/climb/y", Leaf::File).unwrap(), Path::new("/dir/y"));
        let absolute = made(&root, "/absolute/z", Leaf::Directory).unwrap();
        assert_eq!(absolute, folder.path().join("outside/z"));
        assert_eq!(made(&root, "/up/../../dir", Leaf::Directory).unwrap(), Path::new("/dir"));
        assert_eq!(fs::read_dir(folder.path().join("outside")).unwrap().count(), 0);
    }

    #[test]
    fn dangling_links_are_completed() {
        let (_folder, root) = root();
        symlink("run/resolv.conf", root.path().join("resolv.conf")).unwrap();
        symlink("/jump2/x", root.path().join("jump")).unwrap();
        symlink("deep/er", root.path().join("jump2")).unwrap();
        let made = |path, leaf| made(&root, path, leaf).unwrap();
        assert_eq!(made("/resolv.conf", Leaf::File), Path::new("/run/resolv.conf"));
        assert_eq!(made("/jump/y", Leaf::Directory), Path::new("/deep/er/x/y"));
    }

    #[test]
    fn a_place_needs_not_be_there() {
        let (_folder, root) = root();
        symlink("../run/resolv.conf", root.path().join("dir/link")).unwrap();
        symlink("/dir", root.path().join("absolute")).unwrap();
        symlink("loop", root.path().join("loop")).unwrap();
        for (path, place) in [
            ("/dir/link", "/run/resolv.conf"),
            ("/absolute/link", "/run/resolv.conf"),
            ("/absolute/a/../../../b", "/b"),
            ("/not/there", "/not/there"),
            ("/file/below", "/file/below"),
            ("/", "/"),
        ] {
            assert_eq!(root.place(Path::new(path)).unwrap(), Path::new(place), "{path}");
        }
        assert_eq!(root.place(Path::new("/loop/x")).unwrap_err().errno(), Errno::LOOP);
        assert!(!root.path().join("not").exists());
    }

    #[test]
    fn loops_and_files_in_the_way_end_it() {
        let (_folder, root) = root();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a/x", root.path().join("b")).unwrap();
        assert_eq!(made(&root, "/a/new", Leaf::Directory), Err(Errno::LOOP));
        assert_eq!(root.create(Path::new("/a"), Leaf::File).unwrap_err().errno(), Errno::LOOP);
        assert_eq!(made(&root, "/file/new", Leaf::Directory), Err(Errno::NOTDIR));
    }

    #[test]
    fn what_is_elsewhere_is_noticed() {
        let (folder, root) = root();
        let outside = folder.path().join("outside");
        let fd = rustix::fs::openat(CWD, &outside, HANDLE, Mode::empty()).unwrap();
        assert!(matches!(root.location(fd.as_fd()), Err(Cause::OutsideRootfs(_))));
        let sibling = folder.path().join("root-sibling");
        fs::create_dir(&sibling).unwrap();
        let fd = rustix::fs::openat(CWD, &sibling, HANDLE, Mode::empty()).unwrap();
        assert!(matches!(root.location(fd.as_fd()), Err(Cause::OutsideRootfs(_))));
    }

    #[test]
    fn ordinary_directories_are_not_links() {
        let (_folder, root) = root();
        symlink("dir", root.path().join("link")).unwrap();
        let refused = |path: &str| {
            let result = root.ordinary_directory(Path::new(path), "proc");
            matches!(result, Err(Cause::NotOrdinaryDirectory(_)))
        };
        assert!(refused("/link"));
        assert!(refused("/link/new"));
        assert!(refused("/file"));
        assert!(root.ordinary_directory(Path::new("/new/proc"), "proc").is_ok());
    }

    #[test]
    fn cleaning_is_lexical() {
        for (path, cleaned) in
            [("a/../b", "/b"), ("/../../x/./y//", "/x/y"), ("", "/"), ("/a/b/..", "/a")]
        {
            assert_eq!(clean(Path::new(path)), Path::new(cleaned), "{path}");
        }
    }
}
