//! System calls that neither nix nor rustix wraps. The only unsafe code of this crate.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use rustix::mount::MountAttrFlags;

/// linux/sched.h; the constant of the libc crate is too narrow.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of a [`fork`] this is.
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The caller, with the child's pid in the caller's pid namespace and a pidfd of it.
    Parent { pid: i32, pidfd: OwnedFd },
}

/// What [`fork`] makes besides a copy of the process.
#[derive(Default)]
pub(crate) struct ForkFlags<'a> {
    /// `CLONE_NEW*` flags.
    pub(crate) namespaces: u64,
    /// A cgroup v2 directory for the child to start in (`CLONE_INTO_CGROUP`).
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// The child becomes a sibling (`CLONE_PARENT`).
    pub(crate) sibling: bool,
}

/// clone3(2) with the semantics of fork(2).
///
/// The caller must be single-threaded: then the child's copy of every lock, the allocator's among
/// them, is free, and the child may run ordinary Rust.
pub(crate) fn fork(flags: &ForkFlags<'_>) -> Result<Fork, Errno> {
    let mut pidfd: i32 = -1;
    // SAFETY: all-zero is a valid clone_args: every field is an integer.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags.namespaces | libc::CLONE_PIDFD as u64;
    args.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    if let Some(cgroup) = flags.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    if flags.sibling {
        // The exit signal is then the one of the parent (clone(2), CLONE_PARENT).
        args.flags |= libc::CLONE_PARENT as u64;
    } else {
        args.exit_signal = libc::SIGCHLD as u64;
    }
    // SAFETY: args is a clone_args of the given size, pidfd outlives the call, and without CLONE_VM the
    // child has its own copy of the stack and of all memory.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match Errno::result(pid)? {
        0 => Ok(Fork::Child),
        // SAFETY: CLONE_PIDFD stored a new descriptor that nobody else owns.
        pid => Ok(Fork::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// The name that this program was executed by (getauxval(3), `AT_EXECFN`).
pub(crate) fn executed_name() -> &'static CStr {
    // SAFETY: getauxval has no preconditions.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
    if name.is_null() {
        return c"";
    }
    // SAFETY: the kernel puts a C string there when the program starts, and nobody takes it away.
    unsafe { CStr::from_ptr(name) }
}

/// Ends the process at once, without destructors or exit handlers: those belong to the parent.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor from `first` on, except `keep`, which close on exec (close_range(2)). For a
/// process that ends without dropping what owned them.
pub(crate) fn close_from(first: u32, keep: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let close = |from: u32, to: u32, flags: u32| {
        // SAFETY: the caller of this function owns the process: nothing uses these descriptors later.
        Errno::result(unsafe { libc::syscall(libc::SYS_close_range, from, to, flags) }).map(drop)
    };
    let mut keep: Vec<u32> =
        keep.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).filter(|fd| *fd >= first).collect();
    keep.sort_unstable();
    let mut from = first;
    for fd in keep {
        if fd > from {
            close(from, fd - 1, 0)?;
        }
        close(fd, fd, libc::CLOSE_RANGE_CLOEXEC)?;
        from = fd + 1;
    }
    close(from, u32::MAX, 0)
}

/// faccessat2(2) with `AT_EACCESS`: whether the caller, with the capabilities it has, may execute this.
/// (The C library's functions ask for the real user, without capabilities.)
pub(crate) fn may_execute(path: &CStr) -> Result<(), Errno> {
    // SAFETY: path is a C string that outlives the call.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_faccessat2,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::X_OK,
            libc::AT_EACCESS,
        )
    };
    Errno::result(rc).map(drop)
}

/// setdomainname(2).
pub(crate) fn set_domain_name(name: &str) -> Result<(), Errno> {
    // SAFETY: the pointer is valid for the given length.
    Errno::result(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// getrlimit(2): the soft and the hard limit of the caller.
pub(crate) fn rlimit(resource: u32) -> Result<(u64, u64), Errno> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: limit is valid for writing.
    Errno::result(unsafe { libc::getrlimit64(resource, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// setrlimit(2) on the caller.
pub(crate) fn set_rlimit(resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: limit is valid for reading.
    Errno::result(unsafe { libc::setrlimit64(resource, &raw const limit) }).map(drop)
}

/// Joins (making it if need be) the session keyring of this name (keyctl(2)), returns its serial.
pub(crate) fn join_session_keyring(name: &CString) -> Result<i32, Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
    // SAFETY: name is a C string that outlives the call.
    let serial =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    Errno::result(serial).map(|serial| serial as i32)
}

/// The permissions of a key, as in keyctl_setperm(3).
pub(crate) fn key_permissions(serial: i32) -> Result<u32, Errno> {
    const KEYCTL_DESCRIBE: i32 = 6;
    let mut text = [0u8; 1024];
    // SAFETY: the buffer is valid for its length.
    let len = unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_DESCRIBE, serial, text.as_mut_ptr(), text.len())
    };
    let len = usize::try_from(Errno::result(len)?).unwrap_or(0).min(text.len());
    // "type;uid;gid;perm;description"
    let text = String::from_utf8_lossy(text.get(..len).unwrap_or_default());
    text.split(';').nth(3).and_then(|perm| u32::from_str_radix(perm, 16).ok()).ok_or(Errno::EINVAL)
}

/// keyctl_setperm(3).
pub(crate) fn set_key_permissions(serial: i32, permissions: u32) -> Result<(), Errno> {
    const KEYCTL_SETPERM: i32 = 5;
    // SAFETY: only integers are passed.
    Errno::result(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_SETPERM, serial, permissions) })
        .map(drop)
}

/// The argument of sched_setattr(2).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SchedAttr {
    pub(crate) size: u32,
    pub(crate) policy: u32,
    pub(crate) flags: u64,
    pub(crate) nice: i32,
    pub(crate) priority: u32,
    pub(crate) runtime: u64,
    pub(crate) deadline: u64,
    pub(crate) period: u64,
    pub(crate) util_min: u32,
    pub(crate) util_max: u32,
}

/// sched_setattr(2) on the caller.
pub(crate) fn set_scheduler(attr: &SchedAttr) -> Result<(), Errno> {
    // SAFETY: attr is laid out as struct sched_attr and says its own size.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(attr), 0) })
        .map(drop)
}

/// ioprio_set(2) on the caller's process group, with the class and priority already combined.
pub(crate) fn set_io_priority(value: i32) -> Result<(), Errno> {
    const IOPRIO_WHO_PGRP: i32 = 2;
    // SAFETY: only integers are passed.
    Errno::result(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PGRP, 0, value) })
        .map(drop)
}

/// set_mempolicy(2) on the caller, with the nodes as a mask of words.
pub(crate) fn set_memory_policy(mode: i32, nodes: &[libc::c_ulong]) -> Result<(), Errno> {
    // The kernel looks at one bit less than it is told (get_nodes() in mm/mempolicy.c).
    let (mask, bits) = match nodes {
        [] => (std::ptr::null(), 0),
        nodes => (nodes.as_ptr(), std::mem::size_of_val(nodes) * 8 + 1),
    };
    // SAFETY: the mask, read only, has the words that the bits lie in: one bit less than is said.
    Errno::result(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) }).map(drop)
}

/// Lets the caller run on every CPU that its cpuset allows (sched_setaffinity(2) intersects).
pub(crate) fn reset_cpu_affinity() -> Result<(), Errno> {
    // 64 Ki CPUs: more than any kernel is built for; the kernel reads only what it needs.
    set_cpu_affinity(0, &[u8::MAX; 8192])
}

/// Installs a seccomp filter (seccomp(2)); with `SECCOMP_FILTER_FLAG_NEW_LISTENER` in `flags` the
/// listener is returned.
pub(crate) fn seccomp_filter(program: &[u8], flags: u64) -> Result<Option<OwnedFd>, Errno> {
    let len = program.len() / size_of::<libc::sock_filter>();
    let program = libc::sock_fprog {
        len: u16::try_from(len).map_err(|_| Errno::EINVAL)?,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: program points to len instructions; the kernel only reads them, from any alignment.
    let fd = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    let fd = Errno::result(fd)?;
    if flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER == 0 {
        return Ok(None);
    }
    // SAFETY: the kernel returned a new descriptor that nobody else owns.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
}

/// capset(2), all three sets at once, as bit masks by capability number.
pub(crate) fn set_capabilities(
    effective: u64,
    permitted: u64,
    inheritable: u64,
) -> Result<(), Errno> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    /// `_LINUX_CAPABILITY_VERSION_3` of linux/capability.h.
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    let half = |shift: u32| Data {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: header and data are laid out as the kernel's structures of version 3.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) })
        .map(drop)
}

/// prctl(2) with one argument.
pub(crate) fn prctl(option: i32, value: u64) -> Result<i32, Errno> {
    // SAFETY: the options used by this crate take integers only.
    Errno::result(unsafe { libc::prctl(option, value, 0, 0, 0) })
}

/// `PR_CAP_AMBIENT` with its sub-command.
pub(crate) fn prctl_ambient(command: i32, capability: u64) -> Result<i32, Errno> {
    // SAFETY: only integers are passed.
    Errno::result(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, command, capability, 0, 0) })
}

/// Gives the caller this terminal as its controlling one (`TIOCSCTTY`).
pub(crate) fn set_controlling_terminal(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: TIOCSCTTY takes an integer.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSCTTY, 0) }).map(drop)
}

/// Unlocks a pty (`TIOCSPTLCK`) and opens its other end without any path (`TIOCGPTPEER`).
pub(crate) fn open_pty_peer(master: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let unlocked: i32 = 0;
    // SAFETY: TIOCSPTLCK reads one int.
    Errno::result(unsafe {
        libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked)
    })?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags and returns a new descriptor.
    let fd = Errno::result(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) })?;
    // SAFETY: nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes a descriptor that the caller of this program left open (stdio, `$LISTEN_FDS`, `--preserve-fds`).
pub(crate) fn inherited_fd(number: i32) -> BorrowedFd<'static> {
    // SAFETY: descriptors passed in by the caller stay open for the life of the process.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// A CPU list as sched_setaffinity(2) wants it, for the process `pid` (0: the caller).
pub(crate) fn set_cpu_affinity(pid: i32, mask: &[u8]) -> Result<(), Errno> {
    // SAFETY: the mask is valid for its length.
    let rc = unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, mask.len(), mask.as_ptr()) };
    Errno::result(rc).map(drop)
}

/// Resets a signal to its default disposition (Rust's runtime ignores SIGPIPE).
pub(crate) fn default_signal(signal: i32) {
    // SAFETY: SIG_DFL installs no handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Makes the signals that end ordinary processes end this one too, until it executes another program:
/// the first process of a pid namespace otherwise ignores what it has no handler for
/// (pid_namespaces(7)), and a container that waits for `start` could not be terminated.
pub(crate) fn end_on_signals() {
    extern "C" fn end(signal: i32) {
        // SAFETY: _exit(2) may be called in a signal handler (signal-safety(7)).
        unsafe { libc::_exit(128 + signal) }
    }
    for signal in
        [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2]
    {
        // SAFETY: the handler is async-signal-safe; execve(2) resets it.
        unsafe { libc::signal(signal, end as *const () as libc::sighandler_t) };
    }
}

/// Lets a command be killed when this process dies (PR_SET_PDEATHSIG(2const)), and gives it nothing but
/// its streams: not the signals that this process blocks, not the descriptors that were passed to it.
pub(crate) fn run_apart(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let none = nix::sys::signal::SigSet::empty();
    // SAFETY: the closure makes three system calls, which are async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            Errno::result(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0))?;
            none.thread_set_mask()?;
            // Not closed: the one by which a failure to execute is told must stay until then. The filter of
            // a container may forbid it, but there nothing is open any more.
            let _ = libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
            Ok(())
        });
    }
}

/// Takes a raw descriptor received by SCM_RIGHTS or pidfd_getfd(2).
pub(crate) fn own_fd(raw: i32) -> OwnedFd {
    // SAFETY: the kernel made this descriptor for the caller, and nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

/// dup3(2): `open` becomes another name for what `by` is open on. It closes on exec.
pub(crate) fn replace_fd(by: BorrowedFd<'_>, open: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: both are open for the call, and `open` stays a descriptor of its owner's.
    let rc = unsafe { libc::dup3(by.as_raw_fd(), open.as_raw_fd(), libc::O_CLOEXEC) };
    Errno::result(rc).map(drop)
}

/// pidfd_getfd(2).
pub(crate) fn fd_of_process(pidfd: BorrowedFd<'_>, fd: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: only integers are passed; the result is a new descriptor.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) };
    Ok(own_fd(Errno::result(raw)? as i32))
}

/// pidfd_send_signal(2) by number: rustix and nix know no real-time signals.
pub(crate) fn send_signal(pidfd: i32, number: i32) -> Result<(), Errno> {
    // SAFETY: no siginfo is passed; the others are integers.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd,
            number,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    Errno::result(rc).map(drop)
}

/// Sets `lo` up in the caller's network namespace (netdevice(7)).
pub(crate) fn loopback_up() -> Result<(), Errno> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: only integers are passed; the result is a new descriptor.
    let raw = Errno::result(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })?;
    let socket = own_fd(raw);
    // SAFETY: all fields of the structure and of its union may be zero.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
    // SAFETY: the request is valid for the call.
    let rc = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) };
    Errno::result(rc).map(drop)
}

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
) -> Result<(), rustix::io::Errno> {
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
    Errno::result(result)
        .map(drop)
        .map_err(|errno| rustix::io::Errno::from_raw_os_error(errno as i32))
}
