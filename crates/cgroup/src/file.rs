//! Reading and writing control files, each with as few system calls as the file needs.

use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{mkdir as mkdir_call, read, write as write_call};

use crate::error::{Error, Reason, Result};

/// More than any control file of one value holds.
const VALUE_MAX: usize = 4096;
/// A kernel file longer than this is refused instead of filling the memory.
const FILE_MAX: usize = 64 << 20;

/// Opens for writing, without `O_CREAT`: a control file exists or the controller lacks it.
pub(crate) fn open_write(path: &Path) -> Result<std::os::fd::OwnedFd> {
    open(path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| Error::path("open", path, errno))
}

/// Writes `value` with one `write(2)`: the kernel takes a control file's value whole.
pub(crate) fn write(path: &Path, value: &str) -> Result<()> {
    let fd = open_write(path)?;
    write_fd(&fd, path, value)
}

/// Writes `value` to an open control file.
pub(crate) fn write_fd(fd: &std::os::fd::OwnedFd, path: &Path, value: &str) -> Result<()> {
    loop {
        match write_call(fd, value.as_bytes()) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => continue,
            Err(errno) => {
                return Err(Error::Write {
                    path: path.to_owned(),
                    value: value.to_owned(),
                    errno: Reason(errno),
                });
            }
        }
    }
}

/// Reads a file of one short value with a single `read(2)`, trimmed.
pub(crate) fn read_value(path: &Path) -> Result<String> {
    let fd = open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| Error::path("open", path, errno))?;
    let mut buffer = [0; VALUE_MAX];
    let length =
        retry(|| read(&fd, &mut buffer)).map_err(|errno| Error::path("read", path, errno))?;
    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
    Ok(text.trim().to_owned())
}

/// Reads a whole file of any length. No `fstat(2)` first: kernel files have no size.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let fd = open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| Error::path("open", path, errno))?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let length =
            retry(|| read(&fd, &mut buffer)).map_err(|errno| Error::path("read", path, errno))?;
        if length == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(buffer.get(..length).unwrap_or_default());
        if bytes.len() > FILE_MAX {
            return Err(Error::path("read", path, Errno::EFBIG));
        }
    }
}

/// As [`read_bytes`], for the files whose content is ASCII by definition.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&read_bytes(path)?).into_owned())
}

/// Makes one directory, mode 0755. `Ok(false)`: it was there already.
pub(crate) fn mkdir(path: &Path) -> Result<bool> {
    match mkdir_call(path, Mode::from_bits_truncate(0o755)) {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST) => Ok(false),
        Err(errno) => Err(Error::path("mkdir", path, errno)),
    }
}

fn retry(mut call: impl FnMut() -> nix::Result<usize>) -> nix::Result<usize> {
    loop {
        match call() {
            Err(Errno::EINTR) => continue,
            result => return result,
        }
    }
}
