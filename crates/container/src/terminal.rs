//! Pseudo-terminals: made inside the container, relayed or handed over outside.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::termios::{OptionalActions, Termios, Winsize};

use crate::channel;
use crate::error::{CallContext, Error, Result};
use crate::{Stdio, sys};

/// How long a console socket may be missing.
const CONSOLE_PATIENCE: Duration = Duration::from_millis(200);
/// How often it is looked for.
const CONSOLE_NAP: Duration = Duration::from_millis(2);

/// Where the child sends the master of its pty.
#[derive(Debug)]
pub(crate) enum ConsoleEnd {
    /// A socket somebody else listens on (`--console-socket`).
    Socket(OwnedFd),
    /// A pair with the parent, which relays in the foreground: the child's end and the parent's.
    Relay(OwnedFd, OwnedFd),
}

impl ConsoleEnd {
    /// Where the master of a process's pty will go, if it has one, or why there cannot be one.
    pub(crate) fn of(terminal: bool, detach: bool, stdio: &Stdio) -> Result<Option<Self>> {
        let refuse = |problem: &str| Err(Error::config("process.terminal", problem));
        match (terminal, detach, stdio) {
            (true, true, Stdio::Inherit) => {
                refuse("cannot allocate tty if rrun will detach without setting console socket")
            }
            (false, _, Stdio::ConsoleSocket(_)) | (true, false, Stdio::ConsoleSocket(_)) => {
                refuse("cannot use console socket if rrun will not detach or allocate tty")
            }
            (true, true, Stdio::ConsoleSocket(path)) => Self::connect(path).map(Some),
            (true, false, Stdio::Inherit) => Self::relay().map(Some),
            (false, _, Stdio::Inherit) => Ok(None),
        }
    }

    /// Connects to the socket at `path`. Who listens there is often started just before, in the background:
    /// a socket that is not there yet is waited for a little.
    fn connect(path: &Path) -> Result<Self> {
        let deadline = Instant::now() + CONSOLE_PATIENCE;
        loop {
            match UnixStream::connect(path) {
                Err(error) if may_come(&error) && Instant::now() < deadline => {
                    std::thread::sleep(CONSOLE_NAP);
                }
                result => {
                    return result
                        .map(|stream| Self::Socket(stream.into()))
                        .call(|| format!("connect console socket {}", path.display()));
                }
            }
        }
    }

    /// A pair with this process.
    fn relay() -> Result<Self> {
        let (ours, theirs) = UnixStream::pair().call(|| "socketpair".to_owned())?;
        Ok(Self::Relay(theirs.into(), ours.into()))
    }

    /// The child's side.
    pub(crate) fn child_end(&self) -> BorrowedFd<'_> {
        match self {
            Self::Socket(fd) | Self::Relay(fd, _) => fd.as_fd(),
        }
    }

    /// In the parent of a relay: the master that the child sent. None where it went to a socket.
    pub(crate) fn receive(&self) -> Result<Option<OwnedFd>> {
        let Self::Relay(_, ours) = self else { return Ok(None) };
        channel::receive_fd(ours.as_fd())
            .call(|| "receive the console".to_owned())?
            .map(for_relay)
            .transpose()
    }

    /// Where the parent itself has the master: it is returned for a relay, or goes to the socket as `name`.
    pub(crate) fn hand_over(&self, name: &str, master: OwnedFd) -> Result<Option<OwnedFd>> {
        match self {
            Self::Relay(..) => for_relay(master).map(Some),
            Self::Socket(socket) => {
                send_master(socket.as_fd(), name, master.as_fd()).map(|()| None)
            }
        }
    }
}

/// The master, sized and set as the caller's terminal needs it, before anything is written to it.
fn for_relay(master: OwnedFd) -> Result<OwnedFd> {
    pass_line_feeds(master.as_fd())?;
    copy_size(master.as_fd());
    Ok(master)
}

fn send_master(console: BorrowedFd<'_>, name: &str, master: BorrowedFd<'_>) -> Result<()> {
    channel::send_fds(console, name.as_bytes(), &[master])
        .call(|| "send console to its socket".to_owned())
}

/// Whether the listener may still be on its way: no socket yet, or one that nobody listens on yet.
fn may_come(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused)
}

/// In the child, inside the container: makes a pty of the container's devpts, sends its master to
/// `console` and returns the other end.
pub(crate) fn open_pty(console: BorrowedFd<'_>, (rows, columns): (u16, u16)) -> Result<OwnedFd> {
    const PTMX: &str = "/dev/pts/ptmx";
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let master = rustix::fs::open(PTMX, flags, Mode::empty()).call(|| format!("open {PTMX}"))?;
    check_ptmx(master.as_fd())?;
    let slave = sys::open_pty_peer(master.as_fd()).call(|| format!("open the peer of {PTMX}"))?;
    if rows != 0 && columns != 0 {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size)
            .call(|| format!("resize console to {rows}x{columns}"))?;
    }
    send_master(console, PTMX, master.as_fd())?;
    Ok(slave)
}

/// It must be the kernel's pty multiplexer of a devpts, not what an image has put there
/// (CVE-2025-52565).
fn check_ptmx(master: BorrowedFd<'_>) -> Result<()> {
    /// `DEVPTS_SUPER_MAGIC` of linux/magic.h.
    const DEVPTS: u64 = 0x1cd1;
    let stat = rustix::fs::fstat(master).call(|| "fstat /dev/pts/ptmx".to_owned())?;
    let system = rustix::fs::fstatfs(master).call(|| "fstatfs /dev/pts/ptmx".to_owned())?;
    if stat.st_rdev != rustix::fs::makedev(5, 2) || system.f_type as u64 != DEVPTS {
        return Err(Error::config(
            "process.terminal",
            "/dev/pts/ptmx of the container is not a pty multiplexer",
        ));
    }
    Ok(())
}

/// The caller's terminal in raw mode; it gets its old mode back when this is dropped.
#[derive(Debug)]
pub(crate) struct RawMode(Termios);

impl RawMode {
    /// Of stdin, if that is a terminal.
    pub(crate) fn of_stdin() -> Option<Self> {
        let stdin = rustix::stdio::stdin();
        let old = rustix::termios::tcgetattr(stdin).ok()?;
        let mut raw = old.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self(old))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // The terminal may have gone; then it needs nothing.
        let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Output goes through as it is: the caller's own terminal turns line feeds into new lines, a file must
/// not get carriage returns (what runc does).
fn pass_line_feeds(master: BorrowedFd<'_>) -> Result<()> {
    let mut mode = rustix::termios::tcgetattr(master).call(|| "tcgetattr console".to_owned())?;
    mode.output_modes.remove(rustix::termios::OutputModes::ONLCR);
    rustix::termios::tcsetattr(master, OptionalActions::Now, &mode)
        .call(|| "tcsetattr console".to_owned())
}

/// Gives the pty the size of the caller's terminal, if it has one.
pub(crate) fn copy_size(master: BorrowedFd<'_>) {
    if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdin()) {
        let _ = rustix::termios::tcsetwinsize(master, size);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_console_socket_may_come_late() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sock");
        let late = path.clone();
        let listener = std::thread::spawn(move || {
            std::thread::sleep(CONSOLE_PATIENCE / 10);
            UnixListener::bind(late).unwrap()
        });
        ConsoleEnd::connect(&path).unwrap();
        drop(listener.join().unwrap());
        let nobody = ConsoleEnd::connect(&folder.path().join("none")).unwrap_err().to_string();
        assert!(nobody.contains("no such file"), "{nobody}");
    }
}
