//! The state root: a directory with one directory per container.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
};
use rustix::fs::{FlockOperation, flock};

use crate::ContainerId;
use crate::container::Container;
use crate::error::{CallContext, Error, Result};
use crate::files;
use crate::state::{START_SOCKET, STATE_FILE, State};

/// The directory under which each container has its state directory (`--root`).
#[derive(Debug, Clone)]
pub struct StateRoot(PathBuf);

/// One entry of [`StateRoot::list`].
#[derive(Debug)]
pub struct Listed {
    /// The name of the state directory.
    pub id: String,
    /// The container, or why it cannot be read.
    pub container: Result<Container>,
}

impl StateRoot {
    /// The state root at this path; it is made (0700) when the first container is.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The state directory of a container.
    pub fn dir(&self, id: &ContainerId) -> PathBuf {
        self.0.join(id)
    }

    /// The container with this id; [`Error::NotFound`] where there is none.
    pub fn load(&self, id: &ContainerId) -> Result<Container> {
        let dir = self.dir(id);
        let state = State::read(&dir)?;
        if state.id != id.as_str() {
            return Err(Error::corrupt(
                &dir.join(STATE_FILE),
                format!("is the state of {:?}", state.id),
            ));
        }
        Ok(Container::new(id.clone(), dir, self.0.clone(), state))
    }

    /// All containers, by id. A broken entry is listed with its error and never breaks the rest.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let entries = match std::fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.call(|| format!("read {}", self.0.display()))?,
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                entry
                    .file_type()
                    .ok()?
                    .is_dir()
                    .then(|| entry.file_name().into_string().ok())
                    .flatten()
            })
            .collect();
        names.sort_unstable();
        let load = |name: String| {
            let container =
                name.parse::<ContainerId>().map_err(Error::from).and_then(|id| self.load(&id));
            Listed { id: name, container }
        };
        // A directory without a state file is a create that has just begun, or the cache.
        Ok(names
            .into_iter()
            .map(load)
            .filter(|listed| !matches!(listed.container, Err(Error::NotFound)))
            .collect())
    }

    /// Takes an id for a new container: its directory, made by this very call, and the lock on it.
    pub(crate) fn claim(&self, id: &ContainerId) -> Result<Claim> {
        files::make_dir(&self.0, 0o700).call(|| format!("mkdir {}", self.0.display()))?;
        let dir = self.dir(id);
        std::fs::DirBuilder::new().mode(0o700).create(&dir).map_err(|error| {
            match error.kind() {
                io::ErrorKind::AlreadyExists => Error::Exists,
                _ => Error::Syscall {
                    call: format!("mkdir {}", dir.display()),
                    errno: (&error).into(),
                },
            }
        })?;
        let claim = Claim::open(&dir)?;
        if !claim.try_lock()? {
            return Err(Error::Exists);
        }
        Ok(claim)
    }

    /// Locks the directory of an existing container; `None` where there is none. With `patience` a
    /// create that is under way is waited for, else it is an error.
    pub(crate) fn lock(&self, id: &ContainerId, patience: bool) -> Result<Option<Claim>> {
        /// How often and how long a create under way is waited for: 10 s in all.
        const TRIES: u32 = 500;
        const PAUSE: Duration = Duration::from_millis(20);
        for _ in 0..if patience { TRIES } else { 1 } {
            let claim = match Claim::open(&self.dir(id)) {
                Err(Error::NotFound) => return Ok(None),
                claim => claim?,
            };
            // The directory may have been removed, and made again, while the lock was waited for.
            if claim.try_lock()? && claim.is_current() {
                return Ok(Some(claim));
            }
            std::thread::sleep(PAUSE);
        }
        Err(Error::Busy(id.to_string()))
    }
}

/// A container's state directory, held: nobody else creates or deletes this container meanwhile. The
/// lock goes with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) dir: PathBuf,
    pub(crate) fd: OwnedFd,
}

impl Claim {
    fn open(dir: &Path) -> Result<Self> {
        let flags = rustix::fs::OFlags::DIRECTORY
            | rustix::fs::OFlags::CLOEXEC
            | rustix::fs::OFlags::NOFOLLOW;
        match rustix::fs::open(dir, flags, rustix::fs::Mode::empty()) {
            Ok(fd) => Ok(Self { dir: dir.to_owned(), fd }),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Err(Error::NotFound),
            Err(errno) => Err(errno).call(|| format!("open {}", dir.display())),
        }
    }

    fn try_lock(&self) -> Result<bool> {
        match flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(errno).call(|| format!("flock {}", self.dir.display())),
        }
    }

    fn is_current(&self) -> bool {
        let held = rustix::fs::fstat(&self.fd).map(|stat| (stat.st_dev, stat.st_ino));
        let there =
            std::fs::symlink_metadata(&self.dir).map(|metadata| (metadata.dev(), metadata.ino()));
        matches!((held, there), (Ok(held), Ok(there)) if held == there)
    }

    /// The socket on which init will wait for `start`. It has a name that nobody looks for until
    /// [`Self::publish_start`].
    pub(crate) fn listen_for_start(&self) -> Result<OwnedFd> {
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)
            .call(|| "socket".to_owned())?;
        let address = self.address(UNPUBLISHED)?;
        bind(fd.as_raw_fd(), &address)
            .call(|| format!("bind {}", self.dir.join(UNPUBLISHED).display()))?;
        listen(&fd, Backlog::new(1).unwrap_or(Backlog::MAXCONN)).call(|| "listen".to_owned())?;
        Ok(fd)
    }

    /// From here on the container is created.
    pub(crate) fn publish_start(&self) -> Result<()> {
        rustix::fs::renameat(&self.fd, UNPUBLISHED, &self.fd, START_SOCKET)
            .call(|| format!("rename {}", self.dir.join(UNPUBLISHED).display()))
    }

    /// For a container that never waits for `start`: from here on it is being made,
    pub(crate) fn begin(&self) -> Result<()> {
        let path = self.dir.join(UNPUBLISHED);
        files::replace(&path, b"", 0o600).call(|| format!("create {}", path.display()))
    }

    /// and from here on it runs.
    pub(crate) fn finish(&self) -> Result<()> {
        let path = self.dir.join(UNPUBLISHED);
        std::fs::remove_file(&path).call(|| format!("remove {}", path.display()))
    }

    /// A socket address of at most 108 bytes (unix(7)), however deep the state root lies.
    fn address(&self, name: &str) -> Result<UnixAddr> {
        socket_address(self.fd.as_fd(), name)
    }

    /// Removes the directory with all that is in it, and the lock.
    pub(crate) fn remove(self) -> Result<()> {
        match std::fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).call(|| format!("remove {}", self.dir.display()))
            }
            _ => Ok(()),
        }
    }
}

/// The start socket's name while the container is being made.
pub(crate) const UNPUBLISHED: &str = ".start.sock";

fn socket_address(dir: std::os::fd::BorrowedFd<'_>, name: &str) -> Result<UnixAddr> {
    let path = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
    UnixAddr::new(path.as_str()).call(|| format!("socket address {path}"))
}

/// Connects to init's start socket; `None` if it does not wait (any more).
pub(crate) fn connect_start(dir: &Path) -> Result<Option<OwnedFd>> {
    let open = File::open(dir).call(|| format!("open {}", dir.display()))?;
    let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)
        .call(|| "socket".to_owned())?;
    match connect(fd.as_raw_fd(), &socket_address(open.as_fd(), START_SOCKET)?) {
        Ok(()) => Ok(Some(fd)),
        Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ECONNREFUSED) => Ok(None),
        Err(errno) => Err(errno).call(|| format!("connect {}", dir.join(START_SOCKET).display())),
    }
}
