//! The devices controller of v1.

use std::os::fd::OwnedFd;
use std::path::Path;

use super::emulator::Emulator;
use crate::error::{Error, Result};
use crate::file;

/// Writes the difference between what is in force and `target`, and checks the result.
pub(super) fn set(dir: &Path, target: &Emulator) -> Result<()> {
    let rules = load(dir)?.transition(target);
    if rules.is_empty() {
        return Ok(());
    }
    let (allow, deny) = (dir.join("devices.allow"), dir.join("devices.deny"));
    // The kernel takes one rule with each write; the files are opened once, when needed.
    let mut open: [Option<OwnedFd>; 2] = [None, None];
    for rule in &rules {
        let [deny_fd, allow_fd] = &mut open;
        let (fd, path) = if rule.allow { (allow_fd, &allow) } else { (deny_fd, &deny) };
        let fd = match fd {
            Some(fd) => fd,
            None => fd.insert(file::open_write(path)?),
        };
        file::write_fd(fd, path, &rule.to_string())?;
    }
    // Security rests on it, and the kernel ignores rules it cannot express without an error. A
    // group that allows by default does not list its exceptions.
    let result = load(dir)?;
    let is_same = match target.allows_by_default() {
        true => result.allows_by_default(),
        false => result == *target,
    };
    is_same.then_some(()).ok_or_else(|| Error::DeviceMismatch(dir.to_owned()))
}

fn load(dir: &Path) -> Result<Emulator> {
    let path = dir.join("devices.list");
    let list = file::read_text(&path)?;
    Emulator::from_list(&list).map_err(|line| Error::malformed(path, line))
}
