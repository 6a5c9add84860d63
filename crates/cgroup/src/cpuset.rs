//! v1 cpuset: a new group has no CPUs and no memory nodes, and no process can enter it like that.

use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::error::{Error, Result};
use crate::file;

/// Runs `access` on `cpuset.NAME`, or on `NAME` where the hierarchy is mounted with `noprefix`.
pub(crate) fn with_file<T>(
    dir: &Path,
    name: &str,
    access: impl Fn(&Path) -> Result<T>,
) -> Result<T> {
    match access(&dir.join(format!("cpuset.{name}"))) {
        Err(error) if error.errno() == Some(Errno::ENOENT) => {
            access(&dir.join(name)).map_err(|second| match second.errno() {
                Some(Errno::ENOENT) => error,
                _ => second,
            })
        }
        result => result,
    }
}

/// Fills `cpus` and `mems` of `dir` and of the groups above it that lack them. `given` is the
/// configuration's value, which goes in directly: the parent's could overlap with a sibling that
/// is `cpu_exclusive`.
pub(crate) fn inherit(
    dir: &Path,
    mount: &Path,
    is_new: bool,
    given: [Option<&str>; 2],
) -> Result<()> {
    for (name, given) in ["cpus", "mems"].into_iter().zip(given) {
        if !is_new && !with_file(dir, name, file::read_value)?.is_empty() {
            continue;
        }
        let value = match given {
            Some(value) => {
                fill(parent(dir)?, mount, name)?;
                value.to_owned()
            }
            None => fill(parent(dir)?, mount, name)?,
        };
        with_file(dir, name, |path| file::write(path, &value))?;
    }
    Ok(())
}

/// The value of the nearest group upwards that has one, written to all below it down to `dir`.
fn fill(dir: &Path, mount: &Path, name: &str) -> Result<String> {
    let mut lacking: Vec<PathBuf> = Vec::new();
    let mut current = dir;
    let value = loop {
        let value = with_file(current, name, file::read_value)?;
        if !value.is_empty() || current == mount {
            break value;
        }
        lacking.push(current.to_owned());
        current = parent(current)?;
    };
    for dir in lacking.iter().rev() {
        with_file(dir, name, |path| file::write(path, &value))?;
    }
    Ok(value)
}

fn parent(dir: &Path) -> Result<&Path> {
    dir.parent().ok_or_else(|| Error::path("open", dir, Errno::ENOENT))
}
