//! Who has which address: one small file per address on a tmpfs.
//!
//! A lease is written to an unnamed file (`O_TMPFILE`) and then linked under its address, so it is whole
//! or absent, and `EEXIST` of linkat(2) means that somebody has the address: no lock, no index, and
//! nothing half-done after a SIGKILL. The lock of a lease's own file (flock(2)) is only taken to take the
//! lease away, so that a delete and a reclaim of the same lease do not both clear up behind it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use netplan::Own;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, Flock, FlockArg};
use nix::unistd::linkat;
use serde::{Deserialize, Serialize};

use crate::{Error, Home, Init, Result, start_time};

/// What a lease says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// The container.
    pub id: String,
    /// Its state folder: two rrun roots may have containers of the same id.
    pub state_dir: PathBuf,
    /// Its init process.
    pub pid: i32,
    /// When that process started, in clock ticks after boot.
    pub start_time: u64,
    /// The inode of its network namespace.
    pub netns: u64,
    /// The boot it belongs to.
    pub boot: String,
    /// Everything that was or may have been done for it, for whoever has to undo it.
    pub own: Vec<Own>,
}

impl LeaseRecord {
    /// The lease of a container whose init exists.
    ///
    /// # Errors
    ///
    /// The namespace or the boot id cannot be read.
    pub fn new(id: &str, state_dir: &Path, init: &Init<'_>, own: &[Own]) -> Result<Self> {
        Ok(Self {
            id: id.to_owned(),
            state_dir: state_dir.to_owned(),
            pid: init.pid,
            start_time: init.start_time,
            netns: init.netns_inode()?,
            boot: boot_id()?,
            own: own.to_vec(),
        })
    }

    /// Whether the container's init process still lives.
    #[must_use]
    pub fn init_lives(&self) -> bool {
        start_time(self.pid) == Some(self.start_time) && boot_id().is_ok_and(|id| id == self.boot)
    }

    /// Whether this is the lease of that container.
    #[must_use]
    pub fn is_of(&self, id: &str, state_dir: &Path) -> bool {
        self.id == id && self.state_dir == state_dir
    }
}

/// Identifies the running kernel (random(4)).
fn boot_id() -> Result<String> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = fs::read_to_string(path).map_err(Error::file(path, "read"))?;
    Ok(text.trim_end().to_owned())
}

/// The leases of one network.
#[derive(Debug, Clone)]
pub struct Leases {
    folder: PathBuf,
}

/// A lease that nobody else can take away while this is held.
#[derive(Debug)]
pub struct HeldLease {
    /// What it says.
    pub record: LeaseRecord,
    path: PathBuf,
    _lock: Flock<File>,
}

impl HeldLease {
    /// Gives the address back.
    ///
    /// # Errors
    ///
    /// The file cannot be removed.
    pub fn release(self) -> Result<()> {
        absent_is_fine(fs::remove_file(&self.path)).map_err(Error::file(&self.path, "unlink"))
    }
}

impl Leases {
    /// The leases of a network.
    #[must_use]
    pub fn of(home: &Home, network: &str) -> Self {
        Self { folder: home.network(network).join("leases") }
    }

    fn path(&self, address: Ipv4Addr) -> PathBuf {
        self.folder.join(address.to_string())
    }

    /// Whether somebody has, or had and did not give back, this address.
    #[must_use]
    pub fn exists(&self, address: Ipv4Addr) -> bool {
        self.path(address).symlink_metadata().is_ok()
    }

    /// Claims an address. `false` where somebody has it.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn claim(&self, address: Ipv4Addr, record: &LeaseRecord) -> Result<bool> {
        let path = self.path(address);
        let file = match self.unnamed() {
            // The first lease of the network.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                private_folder(&self.folder)?;
                self.unnamed()
            }
            other => other,
        };
        let mut file = file.map_err(Error::file(&self.folder, "open O_TMPFILE"))?;
        let text = serde_json::to_vec(record)
            .map_err(|source| Error::Content { path: path.clone(), source })?;
        file.write_all(&text).map_err(Error::file(&path, "write"))?;
        let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = AtFlags::AT_SYMLINK_FOLLOW;
        match linkat(AT_FDCWD, unnamed.as_str(), AT_FDCWD, &path, flags) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(errno) => Err(Error::file(&path, "linkat")(errno)),
        }
    }

    fn unnamed(&self) -> io::Result<File> {
        fs::OpenOptions::new()
            .write(true)
            .mode(0o600)
            .custom_flags(libc::O_TMPFILE)
            .open(&self.folder)
    }

    /// What the lease of an address says; `None` where there is none, or none that can be read.
    ///
    /// # Errors
    ///
    /// The file exists and cannot be read.
    pub fn read(&self, address: Ipv4Addr) -> Result<Option<LeaseRecord>> {
        let path = self.path(address);
        match read_small(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file(&path, "read")(error)),
        }
    }

    /// Takes hold of a lease, to give it back. `None` where there is none (any more). A file that is no
    /// lease is removed: leases are only ever whole, so it is none of ours.
    ///
    /// # Errors
    ///
    /// The file exists and cannot be opened or locked.
    pub fn hold(&self, address: Ipv4Addr) -> Result<Option<HeldLease>> {
        let path = self.path(address);
        let open = fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path);
        let file = match open {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file(&path, "open")(error)),
        };
        let lock = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| Error::file(&path, "flock")(errno))?;
        // Whoever held the lock before may have given the lease back, and somebody else may have the
        // address by now: then this file has no name any more.
        let named = lock.metadata().map_err(Error::file(&path, "fstat"))?.nlink() > 0;
        if !named {
            return Ok(None);
        }
        let text = read_small(&path).map_err(Error::file(&path, "read"))?;
        match serde_json::from_slice(&text) {
            Ok(record) => Ok(Some(HeldLease { record, path, _lock: lock })),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "removing a file that is no lease");
                absent_is_fine(fs::remove_file(&path)).map_err(Error::file(&path, "unlink"))?;
                Ok(None)
            }
        }
    }

    /// All leases, in no order. Files that are no leases are left out.
    ///
    /// # Errors
    ///
    /// The folder exists and cannot be read.
    pub fn all(&self) -> Result<Vec<(Ipv4Addr, LeaseRecord)>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::file(&self.folder, "opendir")(error)),
        };
        let address = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<Ipv4Addr>().ok();
        let addresses = entries.filter_map(|entry| entry.ok().and_then(address));
        Ok(addresses.filter_map(|address| Some((address, self.read(address).ok()??))).collect())
    }
}

/// Every network that has a folder, by name.
pub(crate) fn networks(home: &Home) -> Result<Vec<String>> {
    let folder = &home.run;
    match fs::read_dir(folder) {
        Ok(entries) => {
            Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        // Who may not look here cannot have a lease here.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Vec::new()),
        Err(error) => Err(Error::file(folder, "opendir")(error)),
    }
}

/// Makes a folder that only root reads, with its parents.
pub(crate) fn private_folder(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::file(path, "mkdir"))
}

/// Reads a file of ours: a regular one, and not longer than any of them gets.
pub(crate) fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;
    // 65535 ports published one by one are less than this.
    const LIMIT: u64 = 16 * 1024 * 1024;
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    let mut text = Vec::new();
    file.take(LIMIT).read_to_end(&mut text)?;
    Ok(text)
}

/// Removing what is not there is success.
pub(crate) fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
