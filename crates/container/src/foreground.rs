//! Staying with a container's process until it ends: signals go to it, its terminal is relayed, its
//! orphans are reaped.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::io::Errno;

use crate::error::{CallContext, Result};
use crate::spawn;
use crate::terminal::{self, RawMode};

/// The signals that are taken instead of obeyed. Made before the container is, so that none is lost and
/// none ends the runtime half-way.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
    /// What the caller had blocked before.
    before: SigSet,
}

impl Signals {
    /// Blocks them.
    pub(crate) fn take() -> Result<Self> {
        let mut set = SigSet::all();
        // Faults are the program's own, and what stops or ends it cannot be taken anyway.
        for own in [
            Signal::SIGSEGV,
            Signal::SIGBUS,
            Signal::SIGFPE,
            Signal::SIGILL,
            Signal::SIGABRT,
            Signal::SIGTRAP,
            Signal::SIGSYS,
            Signal::SIGPIPE,
        ] {
            set.remove(own);
        }
        let before = set
            .thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)
            .call(|| "block signals".to_owned())?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .call(|| "signalfd".to_owned())?;
        Ok(Self { fd, before })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // What waits is delivered now, to a process that no longer stands between.
        let _ = self.before.thread_set_mask();
    }
}

/// How much of one direction of a terminal is kept while the other side is slow, in bytes.
const BUFFER: usize = 64 * 1024;

/// The relay between the caller's standard streams and the master of the container's pty.
struct Relay {
    master: OwnedFd,
    /// None when stdin is no terminal.
    _raw: Option<RawMode>,
    to_container: VecDeque<u8>,
    stdin_open: bool,
    master_open: bool,
}

/// Waits for the process and returns its exit code, 128+n for signal n.
pub(crate) fn wait(
    pid: i32,
    pidfd: &OwnedFd,
    signals: &Signals,
    console: Option<OwnedFd>,
) -> Result<i32> {
    let mut relay = console.map(Relay::new).transpose()?;
    loop {
        let mut fds = vec![
            PollFd::new(pidfd.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.fd.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(relay) = &relay {
            relay.poll_for(&mut fds);
        }
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno).call(|| "poll".to_owned()),
        }
        let ended = is_ready(&fds, 0);
        let signalled = is_ready(&fds, 1);
        drop(fds);
        if signalled {
            forward(signals, pid, pidfd, relay.as_ref());
        }
        if let Some(relay) = &mut relay {
            relay.move_bytes();
        }
        if ended {
            if let Some(relay) = &mut relay {
                relay.drain();
            }
            return spawn::wait_for(pidfd);
        }
    }
}

fn is_ready(fds: &[PollFd<'_>], index: usize) -> bool {
    fds.get(index).and_then(PollFd::revents).is_some_and(|events| !events.is_empty())
}

/// Sends what was received on to the process; the terminal's resize and the end of orphans are ours.
fn forward(signals: &Signals, pid: i32, pidfd: &OwnedFd, relay: Option<&Relay>) {
    while let Ok(Some(info)) = signals.fd.read_signal() {
        match info.ssi_signo as i32 {
            libc::SIGCHLD => reap_others(pid),
            libc::SIGWINCH if relay.is_some() => {
                if let Some(relay) = relay {
                    terminal::copy_size(relay.master.as_fd());
                }
            }
            number => {
                // It may just have ended: then poll says so next.
                let _ = crate::kill::send(pidfd.as_fd(), number);
            }
        }
    }
}

/// Orphans of the container that became our children (PR_SET_CHILD_SUBREAPER), all but its first
/// process, whose status is still wanted.
fn reap_others(pid: i32) {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let reap = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
    // A dead one stays at the head of the list until it is reaped; ours, once seen, is left to the loop.
    while let Ok(status) = waitid(Id::All, reap | WaitPidFlag::WNOWAIT)
        && let Some(dead) = status.pid().filter(|dead| dead.as_raw() != pid)
    {
        let _ = waitid(Id::Pid(dead), reap);
    }
}

impl Relay {
    fn new(master: OwnedFd) -> Result<Self> {
        rustix::io::ioctl_fionbio(&master, true)
            .call(|| "make the console non-blocking".to_owned())?;
        Ok(Self {
            master,
            _raw: RawMode::of_stdin(),
            to_container: VecDeque::new(),
            stdin_open: true,
            master_open: true,
        })
    }

    fn poll_for<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        if self.master_open {
            let mut events = PollFlags::POLLIN;
            if !self.to_container.is_empty() {
                events |= PollFlags::POLLOUT;
            }
            fds.push(PollFd::new(self.master.as_fd(), events));
        }
        if self.wants_input() {
            fds.push(PollFd::new(rustix::stdio::stdin(), PollFlags::POLLIN));
        }
    }

    fn wants_input(&self) -> bool {
        self.stdin_open && self.master_open && self.to_container.len() < BUFFER
    }

    fn move_bytes(&mut self) {
        if self.wants_input() && readable(rustix::stdio::stdin()) {
            let mut bytes = [0; 4096];
            match rustix::io::read(rustix::stdio::stdin(), &mut bytes) {
                Ok(0) => self.stdin_open = false,
                Ok(len) => self.to_container.extend(bytes.iter().take(len)),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => self.stdin_open = false,
            }
        }
        while !self.to_container.is_empty() {
            let (head, _) = self.to_container.as_slices();
            match rustix::io::write(&self.master, head) {
                Ok(len) => drop(self.to_container.drain(..len)),
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        self.output();
    }

    /// One read of the container's output, so that input is not starved.
    fn output(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        match rustix::io::read(&self.master, &mut bytes) {
            // EIO: nobody holds the other end any more (pty(7)).
            Ok(0) | Err(Errno::IO) => {
                self.master_open = false;
                false
            }
            Ok(len) => {
                write_all(rustix::stdio::stdout(), bytes.get(..len).unwrap_or_default());
                true
            }
            Err(Errno::INTR) => true,
            Err(_) => false,
        }
    }

    /// What the container wrote before it ended.
    fn drain(&mut self) {
        while self.master_open && self.output() {}
    }
}

fn readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Output that nobody takes any more is dropped, as a terminal would.
fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
                let _ = poll(&mut fds, PollTimeout::NONE);
            }
            Err(_) => return,
        }
    }
}
