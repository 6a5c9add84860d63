//! The two system calls behind mounts for which `rustix` has no safe wrapper: `mount_setattr(2)` and the
//! `clone(2)` that makes a user namespace for an id-mapped mount.
#![allow(unsafe_code)]

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

/// `struct mount_attr` of `<linux/mount.h>`, as of Linux 5.12 (`MOUNT_ATTR_SIZE_VER0`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountAttr {
    /// `MOUNT_ATTR_*` bits to raise.
    pub(crate) set: u64,
    /// `MOUNT_ATTR_*` bits to lower; raised ones of `set` win.
    pub(crate) clear: u64,
    /// One of `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`, or 0 to leave the propagation alone.
    pub(crate) propagation: u64,
    /// The user namespace of an id-mapped mount; read only with `MOUNT_ATTR_IDMAP` in `set`.
    pub(crate) user_namespace: u64,
}

impl MountAttr {
    /// Raises `set` and leaves every other attribute as it is.
    pub(crate) fn raise(set: MountAttrFlags) -> Self {
        Self { set: u64::from(set.bits()), ..Self::default() }
    }
}

/// Changes the attributes of the mount that `mount` is the root of, and of the mounts below it if `recursive`.
///
/// Errors: those of `mount_setattr(2)`; `EPERM` for an attribute locked by a user namespace, `ENOSYS` before Linux 5.12.
pub(crate) fn mount_setattr(
    mount: BorrowedFd<'_>,
    attr: &MountAttr,
    recursive: bool,
) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated literal and `attr` outlives the call, with its size given beside it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// Starts a process that does nothing but keep a new user namespace alive; it dies with its parent thread.
/// The caller writes its id maps, opens `/proc/PID/ns/user`, kills and reaps it.
///
/// Errors: those of `clone(2)`, such as `ENOSPC` when `user.max_user_namespaces` is reached.
pub(crate) fn spawn_user_namespace_holder() -> Result<libc::pid_t, Errno> {
    let flags = libc::CLONE_NEWUSER | libc::SIGCHLD;
    // SAFETY: without CLONE_VM this is fork(2): the child has its own copy of the address space and goes on with the
    // same stack (a null stack pointer). It runs only async-signal-safe system calls and never returns from here.
    unsafe {
        let pid =
            libc::syscall(libc::SYS_clone, flags as libc::c_ulong, 0usize, 0usize, 0usize, 0usize);
        match pid {
            -1 => Err(last_errno()),
            0 => {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                loop {
                    libc::pause();
                }
            }
            pid => Ok(pid as libc::pid_t),
        }
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
