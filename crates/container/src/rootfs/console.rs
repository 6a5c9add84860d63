//! The terminal on `/dev/console`.

use std::path::Path;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Dev, FileType, Mode, OFlags, ResolveFlags, major};
use rustix::io::Errno;

use super::attach::{clone_tree, move_mount};
use super::error::{CallError, Cause, RootfsError};
use super::safe_path::{file_type, proc_path, stat};

/// `DEVPTS_SUPER_MAGIC` of `<linux/magic.h>`.
const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;
/// The majors of the terminal side of ptys: `UNIX98_PTY_SLAVE_MAJOR` and the seven after it.
const PTY_MAJORS: std::ops::RangeInclusive<u32> = 136..=143;

/// Binds the terminal `pty`, the slave side of a pair from the container's own devpts, on `/dev/console`. Inside the
/// container, after [`RootfsPlan::pivot`](super::RootfsPlan::pivot) and before `finalize`.
///
/// Both sides are descriptors that were looked at: neither a link at `/dev/pts/N` nor one at `/dev/console` is followed
/// (CVE-2025-52565).
pub(crate) fn mount_console(pty: BorrowedFd<'_>) -> Result<(), RootfsError> {
    bind_console(pty).map_err(RootfsError::Console)
}

fn bind_console(pty: BorrowedFd<'_>) -> Result<(), Cause> {
    let path = Path::new("/dev/console");
    let device = pty_device(pty)?;
    let target = console_target(path)?;
    let copy = clone_tree(pty, Path::new(""), false)?;
    move_mount(copy.as_fd(), target.as_fd(), path)?;
    let mounted = open_console(path).map_err(|errno| CallError::new("openat2", path, errno))?;
    match stat(&mounted)?.st_rdev == device {
        true => Ok(()),
        false => Err(Cause::WrongDevice {
            path: path.to_owned(),
            major: major(device),
            minor: rustix::fs::minor(device),
        }),
    }
}

/// The device number of `pty`, which must be a terminal on a devpts.
fn pty_device(pty: BorrowedFd<'_>) -> Result<Dev, Cause> {
    let statfs = rustix::fs::fstatfs(pty)
        .map_err(|errno| CallError::new("fstatfs", proc_path(pty), errno))?;
    let status = stat(pty)?;
    let is_pty = statfs.f_type == DEVPTS_SUPER_MAGIC
        && FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice
        && PTY_MAJORS.contains(&major(status.st_rdev));
    match is_pty {
        true => Ok(status.st_rdev),
        false => Err(Cause::NotPty),
    }
}

fn open_console(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve)
}

/// The file to mount on: what is there, never opened as a device, or a new empty file.
fn console_target(path: &Path) -> Result<OwnedFd, CallError> {
    let failed = |call| move |errno| CallError::new(call, path, errno);
    let target = match open_console(path) {
        Err(Errno::NOENT) => {
            let mode = Mode::from_raw_mode(0o666);
            match rustix::fs::mknodat(CWD, path, FileType::RegularFile, mode, 0) {
                Ok(()) | Err(Errno::EXIST) => open_console(path),
                Err(errno) => return Err(failed("mknodat")(errno)),
            }
        }
        opened => opened,
    };
    let target = target.map_err(failed("openat2"))?;
    match file_type(&target)? {
        FileType::Symlink => Err(failed("openat2")(Errno::LOOP)),
        FileType::Directory => Err(failed("openat2")(Errno::ISDIR)),
        _ => Ok(target),
    }
}
