//! What was done for a container, in its state folder.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use netplan::{NetPlan, NetworkMode};
use serde::{Deserialize, Serialize};

use crate::lease::{absent_is_fine, read_small};
use crate::{Error, Names, Result};

/// The version this rrun writes.
const VERSION: u32 = 1;

/// What was, or may have been, done for a container. It is written before anything is done, so whatever
/// happens in between, undoing the record undoes enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The format.
    pub version: u32,
    /// The container's network mode.
    pub mode: NetworkMode,
    /// The network, for a bridged container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The container's init process.
    pub pid: i32,
    /// When that process started, in clock ticks after boot.
    pub start_time: u64,
    /// The inode of the network namespace.
    pub netns: u64,
    /// The plan.
    pub plan: NetPlan,
    /// What the container's files about names say, where they are rrun's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Names>,
}

impl Record {
    /// A record in the format of this version.
    #[must_use]
    pub fn new(mode: NetworkMode, network: Option<String>, plan: NetPlan) -> Self {
        Self { version: VERSION, mode, network, pid: 0, start_time: 0, netns: 0, plan, names: None }
    }

    fn path(state_dir: &Path) -> PathBuf {
        state_dir.join("network.json")
    }

    /// Writes the record whole or not at all.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self, state_dir: &Path) -> Result<()> {
        write_whole(&Self::path(state_dir), self)
    }

    /// Reads the record of a container; `None` where it has none.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is no record.
    pub fn load(state_dir: &Path) -> Result<Option<Self>> {
        let path = Self::path(state_dir);
        match read_small(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|source| Error::Content { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file(&path, "read")(error)),
        }
    }

    /// Removes the record of a container, if it has one.
    ///
    /// # Errors
    ///
    /// The file cannot be removed.
    pub fn remove(state_dir: &Path) -> Result<()> {
        let path = Self::path(state_dir);
        for path in [draft_of(&path), path] {
            absent_is_fine(fs::remove_file(&path)).map_err(Error::file(&path, "unlink"))?;
        }
        Ok(())
    }
}

/// Writes a file that only root reads, whole or not at all.
pub(crate) fn write_whole(path: &Path, content: &impl Serialize) -> Result<()> {
    let draft = draft_of(path);
    let text = serde_json::to_vec(content)
        .map_err(|source| Error::Content { path: path.to_owned(), source })?;
    let write = || {
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&draft)?
            .write_all(&text)
    };
    write().map_err(Error::file(&draft, "write"))?;
    fs::rename(&draft, path).map_err(Error::file(path, "rename"))
}

/// Where a file is written before it gets its name: `.NAME` beside it.
fn draft_of(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}
