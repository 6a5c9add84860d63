//! Kernel settings under `/proc/sys/net`, which shows the calling thread's network namespace.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

fn path(name: &str) -> PathBuf {
    Path::new("/proc/sys/net").join(name)
}

/// Writes a setting, and only if it differs: `/proc/sys` may be read-only where all is set already.
pub(crate) fn set(name: &str, value: &str) -> Result<()> {
    let path = path(name);
    if fs::read_to_string(&path).is_ok_and(|now| now.trim_end() == value) {
        return Ok(());
    }
    fs::write(&path, value).map_err(Error::file(&path, "write"))
}

/// The same, where a kernel without the feature (IPv6) needs no setting.
pub(crate) fn set_if_there(name: &str, value: &str) -> Result<()> {
    match set(name, value) {
        Err(Error::File { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Whether a setting has this value.
pub(crate) fn is(name: &str, value: &str) -> bool {
    fs::read_to_string(path(name)).is_ok_and(|now| now.trim_end() == value)
}
