//! Where CRIU's files are.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::{CriuError, CriuOptions};
use crate::error::{CallContext, Error, Result};
use crate::sys;

/// The open folders, which CRIU is told by the numbers of their descriptors.
#[derive(Debug)]
pub(super) struct Folders {
    images: Folder,
    work: Option<Folder>,
    log: PathBuf,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    file: File,
}

impl Folder {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).call(|| format!("open {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Removes what CRIU is going to write anew: it would follow a link, and images may be from anywhere.
    fn clear(&self, name: &str) -> Result<()> {
        match rustix::fs::unlinkat(&self.file, name, rustix::fs::AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            failed => failed.call(|| format!("unlink {}", self.path.join(name).display())),
        }
    }
}

impl Folders {
    /// For a checkpoint.
    pub(super) fn for_dump(options: &CriuOptions) -> Result<Self> {
        if options.images.as_os_str().is_empty() {
            return Err(CriuError::NoImages("save").into());
        }
        Self::open(options, "dump")
    }

    /// For a restore.
    pub(super) fn for_restore(options: &CriuOptions) -> Result<Self> {
        if options.images.as_os_str().is_empty() {
            return Err(CriuError::NoImages("restore").into());
        }
        Self::open(options, "restore")
    }

    fn open(options: &CriuOptions, action: &str) -> Result<Self> {
        let images = Folder::open(&options.images)?;
        let work = match &options.work {
            Some(path) => {
                make(path)?;
                Some(Folder::open(path)?)
            }
            None => None,
        };
        let writes = work.as_ref().unwrap_or(&images);
        let log = format!("{action}.log");
        writes.clear(&log)?;
        writes.clear(&format!("stats-{action}"))?;
        let log = writes.path.join(log);
        Ok(Self { images, work, log })
    }

    pub(super) fn images(&self) -> RawFd {
        self.images.file.as_raw_fd()
    }

    pub(super) fn work(&self) -> Option<RawFd> {
        self.work.as_ref().map(|work| work.file.as_raw_fd())
    }

    fn both(&self) -> impl Iterator<Item = &Folder> {
        std::iter::once(&self.images).chain(&self.work)
    }

    /// The descriptors.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.both().map(|folder| folder.file.as_fd())
    }

    /// In a copy of the process that has another mount namespace: opens the folders of that one under the
    /// numbers that they have.
    pub(super) fn reopen(&self) -> Result<()> {
        for folder in self.both() {
            let here = Folder::open(&folder.path)?;
            sys::replace_fd(here.file.as_fd(), folder.file.as_fd())
                .call(|| format!("dup2 {}", folder.path.display()))?;
        }
        Ok(())
    }

    /// The name of CRIU's log.
    pub(super) fn log_name(&self) -> String {
        self.log.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// An error that CRIU explains in its log, with the place where; its words go to rrun's own log.
    pub(super) fn explain(&self, failure: Error) -> Error {
        super::log::quote(&self.log);
        CriuError::Logged { failure: Box::new(failure), path: self.log.clone() }.into()
    }
}

/// What CRIU writes tells of the container: nobody else may read it. There may have been a checkpoint before.
fn make(path: &Path) -> Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).call(|| format!("mkdir {}", path.display()))
        }
        _ => Ok(()),
    }
}
