//! `tmpcopyup`: a tmpfs that starts with a copy of the directory it hides.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::error::CallError;
use super::safe_path::{proc_path, stat};

/// Copies what is in `from` (an `O_PATH` directory) into `to`, the root of a detached tmpfs: files, directories,
/// symlinks, FIFOs and device nodes with owner, mode and times; no sockets. Symlinks are copied, never followed.
///
/// `path` is the directory's name for errors. Runs with umask 0.
pub(super) fn copy_up(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    path: &Path,
) -> Result<(), CallError> {
    let from = open_directory(from, c".").map_err(|errno| failed("openat", path, errno))?;
    copy_directory(from, to, path)
}

fn failed(call: &'static str, path: &Path, errno: Errno) -> CallError {
    CallError::new(call, path, errno)
}

fn open_directory(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn copy_directory(from: OwnedFd, to: BorrowedFd<'_>, path: &Path) -> Result<(), CallError> {
    let entries = Dir::read_from(&from).map_err(|errno| failed("getdents64", path, errno))?;
    for entry in entries {
        let entry = entry.map_err(|errno| failed("getdents64", path, errno))?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let child = path.join(std::str::from_utf8(name.to_bytes()).unwrap_or("?"));
        copy_entry(from.as_fd(), to, name, &child)?;
    }
    Ok(())
}

fn copy_entry(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &CStr,
    path: &Path,
) -> Result<(), CallError> {
    let call = |call| move |errno| failed(call, path, errno);
    let status =
        rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(call("newfstatat"))?;
    let mode = Mode::from_raw_mode(status.st_mode & 0o7777);
    let kind = FileType::from_raw_mode(status.st_mode);
    match kind {
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, mode).map_err(call("mkdirat"))?;
            let source = open_directory(from, name).map_err(call("openat"))?;
            let target = open_directory(to, name).map_err(call("openat"))?;
            copy_directory(source, target.as_fd(), path)?;
        }
        FileType::RegularFile => {
            copy_file(from, to, name, mode)
                .map_err(|error| call("copy")(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        }
        FileType::Symlink => {
            let target =
                rustix::fs::readlinkat(from, name, Vec::new()).map_err(call("readlinkat"))?;
            rustix::fs::symlinkat(&target, to, name).map_err(call("symlinkat"))?;
        }
        FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice => {
            rustix::fs::mknodat(to, name, kind, mode, status.st_rdev).map_err(call("mknodat"))?;
        }
        // A socket without its listener is of no use.
        FileType::Socket | FileType::Unknown => return Ok(()),
    }
    copy_status(to, name, kind, mode, &status).map_err(call("copy attributes"))
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, mode: Mode) -> io::Result<()> {
    // What was a regular file a moment ago may be a FIFO now: O_NONBLOCK keeps the open from waiting on it.
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = rustix::fs::openat(from, name, read, Mode::empty())?;
    if !stat(&source)
        .is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::RegularFile)
    {
        return Err(Errno::STALE.into());
    }
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = rustix::fs::openat(to, name, write, mode)?;
    io::copy(&mut File::from(source), &mut File::from(target))?;
    Ok(())
}

/// The owner first: a change of owner clears the setuid bits.
fn copy_status(
    to: BorrowedFd<'_>,
    name: &CStr,
    kind: FileType,
    mode: Mode,
    status: &Stat,
) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let copy = rustix::fs::openat(to, name, flags, Mode::empty())?;
    let owner = (Uid::from_raw(status.st_uid), Gid::from_raw(status.st_gid));
    rustix::fs::chownat(&copy, c"", Some(owner.0), Some(owner.1), AtFlags::EMPTY_PATH)?;
    if kind != FileType::Symlink {
        rustix::fs::chmodat(CWD, proc_path(copy.as_fd()), mode, AtFlags::empty())?;
    }
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    let times = Timestamps {
        last_access: time(status.st_atime, status.st_atime_nsec),
        last_modification: time(status.st_mtime, status.st_mtime_nsec),
    };
    rustix::fs::utimensat(to, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}
