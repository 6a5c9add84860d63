//! A new instance of a file system, as a mount that is not attached anywhere yet.

use std::ffi::{CStr, CString};
use std::path::Path;

use libc::c_ulong;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, mount,
};

use super::error::CallError;
use super::options::{FsOption, atime_attributes, attributes, superblock_options};
use super::safe_path::proc_path;

/// What to make: the arguments that `mount(2)` would take.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewFilesystem<'a> {
    pub(super) fs_type: &'a CStr,
    /// Shown in mountinfo; means something to file systems on a device only.
    pub(super) source: &'a Path,
    /// `MS_*` flags.
    pub(super) flags: c_ulong,
}

/// `fsconfig(2)` takes values shorter than this, its NUL included.
const FSCONFIG_VALUE_MAX: usize = 256;

impl NewFilesystem<'_> {
    /// Whether [`NewFilesystem::create`] can express it all. `fsconfig` has no word for `MS_I_VERSION` and cannot take
    /// the `lowerdir=` of a deep overlay; a remount is not new.
    pub(super) fn can_be_detached<'o>(
        &self,
        options: impl IntoIterator<Item = &'o FsOption>,
    ) -> bool {
        let fits = |option: &FsOption| {
            let value = option.value.as_ref();
            value.is_none_or(|value| value.count_bytes() < FSCONFIG_VALUE_MAX)
        };
        self.flags & (libc::MS_I_VERSION | libc::MS_REMOUNT) == 0 && options.into_iter().all(fits)
    }

    /// Makes the file system and mounts it on `target` in one, with `mount(2)`; or remounts what is there.
    pub(super) fn mount_on<'o>(
        &self,
        target: BorrowedFd<'_>,
        options: impl IntoIterator<Item = &'o FsOption>,
    ) -> Result<(), CallError> {
        let mut data = Vec::new();
        for option in options {
            if !data.is_empty() {
                data.push(b',');
            }
            data.extend_from_slice(option.key.to_bytes());
            if let Some(value) = &option.value {
                // The value of an SELinux context may hold commas.
                let quote: &[u8] = if option.key.as_c_str() == c"context" { b"\"" } else { b"" };
                data.extend([b"=", quote, value.to_bytes(), quote].concat());
            }
        }
        let failed = |errno| CallError::new("mount", self.source, errno);
        let data = CString::new(data).map_err(|_| failed(Errno::INVAL))?;
        let flags = u32::try_from(self.flags).map_err(|_| failed(Errno::INVAL))?;
        let flags = MountFlags::from_bits_retain(flags);
        let target = proc_path(target);
        mount(self.source, target, self.fs_type, flags, data.as_c_str()).map_err(failed)
    }

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
