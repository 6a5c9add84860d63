//! The system calls that the libraries leave unsafe.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid, fork};

/// Sends `message` on `socket` in a process of its own and does not wait for it.
///
/// Deleting a link takes the link out of sight at once, but the system call then waits for an RCU barrier
/// (net/core/dev.c, `netdev_run_todo`), 15 to 50 ms in which a caller has nothing to wait for. A thread
/// would not do: the kernel keeps a process until its last thread returns from that wait.
pub(crate) fn send_detached(socket: BorrowedFd<'_>, message: &[u8]) -> Result<Pid, Errno> {
    // SAFETY: the child only makes system calls with memory that was prepared before the fork, which is
    // what signal-safety(7) allows in the child of a process that may have threads.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let socket = socket.as_raw_fd();
            let (pointer, length) = (message.as_ptr().cast(), message.len());
            // The caller's pipes must not stay open for the time of the wait: whoever reads rrun's
            // output waits for their end.
            // SAFETY: plain system calls on descriptors of this process, which nothing else runs in;
            // `pointer` and `length` describe `message`, which outlives the call.
            unsafe {
                if socket > 0 {
                    libc::syscall(libc::SYS_close_range, 0, socket - 1, 0);
                }
                libc::syscall(libc::SYS_close_range, socket + 1, u32::MAX, 0);
                libc::send(socket, pointer, length, 0);
                libc::_exit(0)
            }
        }
    }
}
