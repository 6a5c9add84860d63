//! Sending signals to processes that are certainly the ones meant.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::state::{ProcessStat, State};

/// Sends signal `number` through a pidfd; real-time signals too.
pub(crate) fn send(pidfd: BorrowedFd<'_>, number: i32) -> Result<(), Errno> {
    crate::sys::send_signal(pidfd.as_raw_fd(), number)
}

/// A pidfd of a container's init, if that is alive. The start time is compared after the pidfd is
/// open: from then on the pid cannot be another's.
pub(crate) fn open_init(state: &State) -> Option<OwnedFd> {
    let pidfd = pidfd_open(Pid::from_raw(state.pid)?, PidfdFlags::empty()).ok()?;
    let stat = ProcessStat::of(state.pid)?;
    (stat.start_time == state.start_time && !stat.is_dead()).then_some(pidfd)
}

/// Waits until the process has ended, `milliseconds` at most; whether it has.
pub(crate) fn wait_end(pidfd: &OwnedFd, milliseconds: u16) -> bool {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut fds, PollTimeout::from(milliseconds)) {
            Err(Errno::EINTR) => {}
            result => return result.is_ok_and(|ready| ready > 0),
        }
    }
}
