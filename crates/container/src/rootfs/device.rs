//! Device nodes: which ones a container gets, and how one is made.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid, makedev};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

use super::attach::move_mount;
use super::error::{CallError, Cause, ConfigFault};
use super::safe_path::{clean, file_type, open_child, proc_path, stat};

/// A device node of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeviceNode {
    /// Absolute and clean, inside the container.
    pub(super) path: PathBuf,
    /// Character device, block device or FIFO.
    pub(super) kind: FileType,
    pub(super) major: u32,
    pub(super) minor: u32,
    /// Permission bits.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The devices that every container has: runtime-spec config-linux.md, "Default Devices".
/// (`/dev/console` is made with the terminal, `/dev/ptmx` is a link.)
pub(super) fn default_devices() -> impl Iterator<Item = DeviceNode> {
    [
        ("/dev/null", 1, 3),
        ("/dev/random", 1, 8),
        ("/dev/full", 1, 7),
        ("/dev/tty", 5, 0),
        ("/dev/zero", 1, 5),
        ("/dev/urandom", 1, 9),
    ]
    .into_iter()
    .map(|(path, major, minor)| DeviceNode {
        path: PathBuf::from(path),
        kind: FileType::CharacterDevice,
        major,
        minor,
        mode: 0o666,
        uid: 0,
        gid: 0,
    })
}

impl DeviceNode {
    /// Reads an entry of `linux.devices`; on error, the field and what is wrong with it.
    pub(super) fn from_spec(device: &LinuxDevice) -> Result<Self, (&'static str, ConfigFault)> {
        let path = device.path();
        if path.as_os_str().is_empty() {
            return Err(("path", ConfigFault::Missing));
        }
        if path.as_os_str().as_bytes().contains(&0) {
            return Err(("path", ConfigFault::NulByte));
        }
        let kind = match device.typ() {
            LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
            LinuxDeviceType::B => FileType::BlockDevice,
            LinuxDeviceType::P => FileType::Fifo,
            LinuxDeviceType::A => {
                return Err(("type", ConfigFault::DeviceType("a".to_owned())));
            }
        };
        // The kernel's dev_t has 12 bits for the major and 20 for the minor number.
        let number = |field, number: i64, bits: u32| match u32::try_from(number) {
            Ok(value) if value < 1 << bits => Ok(value),
            _ if kind == FileType::Fifo => Ok(0),
            _ => Err((field, ConfigFault::DeviceNumber(number))),
        };
        Ok(Self {
            path: clean(path),
            kind,
            major: number("major", device.major(), 12)?,
            minor: number("minor", device.minor(), 20)?,
            mode: device.file_mode().unwrap_or(0o666) & 0o7777,
            uid: device.uid().unwrap_or(0),
            gid: device.gid().unwrap_or(0),
        })
    }

    /// The name of the node in its directory.
    pub(super) fn name(&self) -> OsString {
        self.path.file_name().unwrap_or_default().to_owned()
    }

    /// Makes the node in `directory`, which is where `self.path` has its parent. One that is there already stays: it
    /// may be a mount that config.json asked for. The umask must be 0.
    ///
    /// `bind`: bind the host's device instead, because a user namespace's root may not `mknod`.
    pub(super) fn create(&self, directory: BorrowedFd<'_>, bind: bool) -> Result<(), Cause> {
        let name = self.name();
        if bind && self.kind != FileType::Fifo {
            return self.bind(directory, &name);
        }
        let made = rustix::fs::mknodat(
            directory,
            &name,
            self.kind,
            Mode::from_raw_mode(self.mode),
            self.number(),
        );
        match made {
            Ok(()) => self.settle(directory, &name),
            Err(Errno::EXIST) => Ok(()),
            Err(Errno::PERM) => self.bind(directory, &name),
            Err(errno) => Err(CallError::new("mknodat", &self.path, errno).into()),
        }
    }

    fn number(&self) -> rustix::fs::Dev {
        match self.kind {
            FileType::Fifo => 0,
            _ => makedev(self.major, self.minor),
        }
    }

    /// Checks that the new node is what was made, as the directory may be writable by others, and gives it its owner.
    fn settle(&self, directory: BorrowedFd<'_>, name: &OsStr) -> Result<(), Cause> {
        let node = open_child(directory, name)
            .map_err(|errno| CallError::new("openat", &self.path, errno))?;
        self.verify(node.as_fd())?;
        if stat(&node)?.st_mode & 0o7777 != self.mode {
            // An inherited ACL, or a directory that strips bits.
            let path = proc_path(node.as_fd());
            let mode = Mode::from_raw_mode(self.mode);
            rustix::fs::chmodat(CWD, path, mode, AtFlags::empty())
                .map_err(|errno| CallError::new("fchmodat", &self.path, errno))?;
        }
        if (self.uid, self.gid) != (0, 0) {
            let owner = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
            rustix::fs::chownat(&node, c"", Some(owner.0), Some(owner.1), AtFlags::EMPTY_PATH)
                .map_err(|errno| CallError::new("fchownat", &self.path, errno))?;
        }
        Ok(())
    }

    /// Binds the host's node of the same path onto an empty file.
    fn bind(&self, directory: BorrowedFd<'_>, name: &OsStr) -> Result<(), Cause> {
        let mode = Mode::from_raw_mode(0);
        match rustix::fs::mknodat(directory, name, FileType::RegularFile, mode, 0) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(CallError::new("mknodat", &self.path, errno).into()),
        }
        let target = open_child(directory, name)
            .map_err(|errno| CallError::new("openat", &self.path, errno))?;
        if file_type(&target)? == FileType::Symlink {
            return Err(CallError::new("openat", &self.path, Errno::LOOP).into());
        }
        let device = self.host_device()?;
        move_mount(device.as_fd(), target.as_fd(), &self.path)?;
        Ok(())
    }

    fn host_device(&self) -> Result<OwnedFd, Cause> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let device = rustix::mount::open_tree(CWD, &self.path, flags)
            .map_err(|errno| CallError::new("open_tree", &self.path, errno))?;
        self.verify(device.as_fd())?;
        Ok(device)
    }

    /// The inode behind `node` is this device.
    pub(super) fn verify(&self, node: BorrowedFd<'_>) -> Result<(), Cause> {
        verify_device(node, self.kind, self.number(), &self.path)
    }
}

/// The inode behind `node` is the null device, not a file or link of the image in its place (CVE-2025-31133).
pub(super) fn verify_null(node: BorrowedFd<'_>) -> Result<(), Cause> {
    verify_device(node, FileType::CharacterDevice, makedev(1, 3), Path::new("/dev/null"))
}

fn verify_device(
    node: BorrowedFd<'_>,
    kind: FileType,
    number: rustix::fs::Dev,
    path: &Path,
) -> Result<(), Cause> {
    let stat = stat(node)?;
    let same_number = kind == FileType::Fifo || stat.st_rdev == number;
    match FileType::from_raw_mode(stat.st_mode) == kind && same_number {
        true => Ok(()),
        false => Err(Cause::WrongDevice {
            path: path.to_owned(),
            major: rustix::fs::major(number),
            minor: rustix::fs::minor(number),
        }),
    }
}
