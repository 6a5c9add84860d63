//! A new instance of a file system, as a mount that is not attached anywhere yet.

use std::ffi::CStr;
use std::path::Path;

use libc::c_ulong;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use super::error::CallError;
use super::options::{FsOption, atime_attributes, attributes, superblock_options};

/// What to make: the arguments that `mount(2)` would take.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewFilesystem<'a> {
    pub(super) fs_type: &'a CStr,
    /// Shown in mountinfo; means something to file systems on a device only.
    pub(super) source: &'a Path,
    /// `MS_*` flags.
    pub(super) flags: c_ulong,
}

impl NewFilesystem<'_> {
    /// Makes the file system with `options`, the later ones overriding, and returns the detached root of its mount.
    pub(super) fn create<'o>(
        &self,
        options: impl IntoIterator<Item = &'o FsOption>,
    ) -> Result<OwnedFd, CallError> {
        let fs_name = Path::new(std::str::from_utf8(self.fs_type.to_bytes()).unwrap_or("?"));
        let context = fsopen(self.fs_type, FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(|errno| CallError::new("fsopen", fs_name, errno))?;
        let failed = |call: &'static str, errno: Errno| {
            CallError::new(call, fs_name, errno).with_detail(kernel_message(context.as_fd()))
        };
        if !self.source.as_os_str().is_empty() {
            fsconfig_set_string(&context, c"source", self.source)
                .map_err(|errno| failed("fsconfig source", errno))?;
        }
        for flag in superblock_options(self.flags) {
            fsconfig_set_flag(&context, flag).map_err(|errno| failed("fsconfig", errno))?;
        }
        for option in options {
            set_option(context.as_fd(), option).map_err(|errno| failed("fsconfig", errno))?;
        }
        fsconfig_create(&context).map_err(|errno| failed("fsconfig create", errno))?;
        let attributes: MountAttrFlags = attributes(self.flags) | atime_attributes(self.flags);
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|errno| failed("fsmount", errno))
    }
}

fn set_option(context: BorrowedFd<'_>, option: &FsOption) -> Result<(), Errno> {
    match &option.value {
        None => fsconfig_set_flag(context, &option.key),
        Some(value) => fsconfig_set_string(context, &option.key, value),
    }
}

/// The reason that the kernel left in the file system context: `e tmpfs: Unknown parameter 'foo'`.
fn kernel_message(context: BorrowedFd<'_>) -> Option<String> {
    let mut buffer = [0u8; 256];
    let length = rustix::io::read(context, &mut buffer).ok()?;
    let text = String::from_utf8_lossy(buffer.get(..length)?);
    let text = text.trim_end();
    Some(text.strip_prefix("e ").unwrap_or(text).to_owned())
}
