//! The system calls that the libraries leave unsafe.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid, fork};

/// Sends `message` (nothing, if it is empty) on `route` and then closes `nft`, in a process of its own
/// that nobody waits for. Both are over for everybody else at once, and then keep whoever asked for them:
///
/// - Deleting a link takes the link out of sight; the system call then waits for an RCU barrier
///   (net/core/dev.c, `netdev_run_todo`), 15 to 50 ms.
/// - Closing a socket that deleted nf_tables elements waits until their memory is free
///   (net/netfilter/nf_tables_api.c, `nft_rcv_nl_event`), 5 to 15 ms.
///
/// A thread would not do: the kernel keeps a process until its last thread has returned.
pub(crate) fn leave_to_child(
    route: BorrowedFd<'_>,
    message: &[u8],
    nft: BorrowedFd<'_>,
) -> Result<Pid, Errno> {
    let route = route.as_raw_fd();
    let (low, high) = (route.min(nft.as_raw_fd()), route.max(nft.as_raw_fd()));
    // SAFETY: the child only makes system calls with memory that was prepared before the fork, which is
    // what signal-safety(7) allows in the child of a process that may have threads.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let (pointer, length) = (message.as_ptr().cast(), message.len());
            // The caller's pipes must not stay open for the time of the wait: whoever reads rrun's
            // output waits for their end.
            // SAFETY: plain system calls on descriptors of this process, which nothing else runs in;
            // `pointer` and `length` describe `message`, which outlives the call.
            unsafe {
                if low > 0 {
                    libc::syscall(libc::SYS_close_range, 0, low - 1, 0);
                }
                if high > low + 1 {
                    libc::syscall(libc::SYS_close_range, low + 1, high - 1, 0);
                }
                libc::syscall(libc::SYS_close_range, high + 1, u32::MAX, 0);
                if length > 0 {
                    libc::send(route, pointer, length, 0);
                }
                libc::_exit(0)
            }
        }
    }
}
