//! Readiness, told to the service manager of whoever calls (sd_notify(3)).
//!
//! The manager's socket would tell a container too much, and its messages would come from processes that
//! the manager does not know. So the container gets a socket of its own, and the runtime passes on the one
//! thing that matters: that it is ready. Names, places and order are runc's, which units are written for.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{CallContext, Result};
use crate::spec::{Mount, Process, Spec};
use crate::{channel, kill};

/// The folder in a container's state directory, and the socket in it.
const DIR: &str = "notify";
const SOCKET: &str = "notify.sock";
/// Where the folder is mounted.
const DIR_IN_CONTAINER: &str = "/run/notify";

/// That a service manager waits to hear of a container's readiness.
#[derive(Debug, Clone)]
pub struct Notify {
    /// The manager's socket: `$NOTIFY_SOCKET`.
    pub manager: OsString,
    /// The caller will also start the container: the socket is there from the beginning.
    pub listen: bool,
}

impl Notify {
    /// Mounts the folder of the container's own socket.
    pub(crate) fn mount(spec: &mut Spec, state_dir: &Path) {
        let mut mount = Mount::default();
        mount
            .set_destination(PathBuf::from(DIR_IN_CONTAINER))
            .set_source(Some(state_dir.join(DIR)))
            .set_options(Some(
                ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).into(),
            ));
        spec.mounts_mut().get_or_insert_default().push(mount);
    }

    /// The process, told where its socket is. Only init is: who comes later has nobody to tell.
    pub(crate) fn tell<'a>(notify: Option<&Self>, process: &'a Process) -> Cow<'a, Process> {
        if notify.is_none() {
            return Cow::Borrowed(process);
        }
        let mut process = process.clone();
        let entry = format!("NOTIFY_SOCKET={DIR_IN_CONTAINER}/{SOCKET}");
        process.env_mut().get_or_insert_default().push(entry);
        Cow::Owned(process)
    }

    /// Makes the folder, before the container's mounts are made.
    pub(crate) fn prepare(&self, state_dir: &Path) -> Result<Option<Readiness>> {
        let dir = state_dir.join(DIR);
        // Whoever the container runs as must get in; around it is the state directory, where nobody does.
        let made = DirBuilder::new().mode(0o755).create(&dir);
        made.and_then(|()| std::fs::set_permissions(&dir, Permissions::from_mode(0o755)))
            .call(|| format!("mkdir {}", dir.display()))?;
        if self.listen { Readiness::listen(state_dir, self.manager.clone()) } else { Ok(None) }
    }
}

/// The socket on which a container may say that it is ready.
#[derive(Debug)]
pub struct Readiness {
    socket: UnixDatagram,
    manager: OsString,
}

impl Readiness {
    /// Listens; `None` for a container that was created without such a socket.
    pub(crate) fn listen(state_dir: &Path, manager: OsString) -> Result<Option<Self>> {
        let path = state_dir.join(DIR);
        let dir = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            dir => dir.call(|| format!("open {}", path.display()))?,
        };
        // A socket address has 108 bytes (unix(7)): too few for a state root that lies deep.
        let short = format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd());
        // Of a start that did not come to its end; another one is waited for by nobody either.
        let _ = std::fs::remove_file(&short);
        let socket = UnixDatagram::bind(&short)
            .and_then(|socket| {
                std::fs::set_permissions(&short, Permissions::from_mode(0o777)).map(|()| socket)
            })
            .call(|| format!("listen at {}/{SOCKET}", path.display()))?;
        Ok(Some(Self { socket, manager }))
    }

    /// Waits until the container is ready, and tells the manager, with `main` as the pid it shall watch;
    /// or until the container has ended. That the manager cannot be told is no fault of the container's.
    pub(crate) fn relay(&self, init: &OwnedFd, main: i32) {
        let told = self.wait(init).and_then(|ready| match ready {
            Some(ready) => self.tell(&ready, main),
            None => Ok(()),
        });
        if let Err(error) = told {
            tracing::warn!("notify {}: {error}", self.manager.display());
        }
    }

    /// The container's `READY=` line; `None` once it has ended without one.
    fn wait(&self, init: &OwnedFd) -> io::Result<Option<Vec<u8>>> {
        let mut message = [0; 4096];
        loop {
            let mut fds = [
                PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(init.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) => continue,
                result => result?,
            };
            let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or_default();
            // What it said before it ended counts.
            if !fds.first().is_some_and(is_ready) {
                return Ok(None);
            }
            let length = self.socket.recv(&mut message)?;
            let text = message.get(..length).unwrap_or_default();
            let mut lines = text.split(|byte| *byte == b'\n');
            if let Some(ready) = lines.find(|line| line.starts_with(b"READY=")) {
                return Ok(Some(ready.to_owned()));
            }
        }
    }

    fn tell(&self, ready: &[u8], main: i32) -> io::Result<()> {
        let manager = UnixDatagram::unbound()?;
        manager.connect_addr(&address(&self.manager)?)?;
        manager.send(&[ready, b"\n"].concat())?;
        manager.send(format!("MAINPID={main}\n").as_bytes())?;
        barrier(&manager)
    }
}

/// Waits until the manager has read all that was sent: a sender who has ended is not known any more
/// (sd_notify_barrier(3)).
fn barrier(manager: &UnixDatagram) -> io::Result<()> {
    /// A manager that does not know the message keeps the pipe open.
    const PATIENCE_MS: u16 = 30_000;
    let (reader, writer) = io::pipe()?;
    channel::send_fds(manager.as_fd(), b"BARRIER=1", &[writer.as_fd()])?;
    drop(writer);
    if !kill::wait_end(&reader.into(), PATIENCE_MS) {
        tracing::warn!("Timeout after waiting 30s for barrier. Ignored.");
    }
    Ok(())
}

/// A path, or the name of an abstract socket after an `@`.
fn address(manager: &OsString) -> io::Result<SocketAddr> {
    match manager.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(manager),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This process, which goes on: nobody's end is to be noticed.
    fn pidfd() -> OwnedFd {
        let own = rustix::process::getpid();
        rustix::process::pidfd_open(own, rustix::process::PidfdFlags::empty()).unwrap()
    }

    fn readiness(dir: &Path, manager: OsString) -> Readiness {
        let notify = Notify { manager, listen: true };
        notify.prepare(dir).unwrap().unwrap()
    }

    #[test]
    fn readiness_is_passed_on_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manager");
        let manager = UnixDatagram::bind(&path).unwrap();
        let readiness = readiness(dir.path(), path.into());
        let container = UnixDatagram::unbound().unwrap();
        container.connect(dir.path().join(DIR).join(SOCKET)).unwrap();
        container.send(b"STATUS=READY=not yet\nWATCHDOG=1").unwrap();
        container.send(b"STATUS=up\nREADY=1\nMAINPID=1").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| readiness.relay(&pidfd(), 42));
            let mut text = [0; 100];
            let mut hear = || {
                let length = manager.recv(&mut text).unwrap();
                String::from_utf8(text[..length].to_vec()).unwrap()
            };
            assert_eq!(hear(), "READY=1\n");
            assert_eq!(hear(), "MAINPID=42\n");
            // Taken without room for the descriptor, which the kernel then closes.
            assert_eq!(hear(), "BARRIER=1");
        });
    }

    #[test]
    fn nobody_waits_for_a_container_that_ended() {
        let dir = tempfile::tempdir().unwrap();
        let readiness = readiness(dir.path(), "@rrun-nobody".into());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let ended = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        assert_eq!(readiness.wait(&ended).unwrap(), None);
        child.wait().unwrap();
        // A manager that is not there is no reason to fail or hang.
        let container = UnixDatagram::unbound().unwrap();
        container.connect(dir.path().join(DIR).join(SOCKET)).unwrap();
        container.send(b"READY=1").unwrap();
        readiness.relay(&ended, 1);
    }

    #[test]
    fn the_process_hears_of_its_own_socket() {
        let process = Process::default();
        assert_eq!(*Notify::tell(None, &process), process);
        let notify = Notify { manager: "/run/systemd/notify".into(), listen: false };
        let told = Notify::tell(Some(&notify), &process).into_owned();
        let env = told.env().clone().unwrap();
        assert_eq!(env.last().unwrap(), "NOTIFY_SOCKET=/run/notify/notify.sock");
    }

    #[test]
    fn a_container_without_a_socket_has_nothing_to_say() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Readiness::listen(dir.path(), "@x".into()).unwrap().is_none());
    }
}
