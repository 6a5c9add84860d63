//! Running from a copy of the program that nobody can write to.
//!
//! A process of the runtime that has entered a container can be found there by /proc/PID/exe, and
//! whoever may open that for writing once it no longer runs owns the host (CVE-2019-5736). So before the
//! verbs that enter containers, the program executes itself again from a detached, read-only clone of
//! the mount it lies on: opening it for writing is then EROFS for everybody, whatever their
//! capabilities, since the mount is in no namespace where it could be remounted. Where this is not
//! allowed, which is without CAP_SYS_ADMIN, a sealed copy in memory does the same (memfd_create(2),
//! F_SEAL_WRITE).

use std::ffi::CString;
use std::fs::File;
use std::io::Seek;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::fcntl::AtFlags;
use rustix::fs::{CWD, MemfdFlags, SealFlags, StatVfsMountFlags};
use rustix::mount::{MountAttrFlags, OpenTreeFlags};

use crate::error::{CallContext, Result};
use crate::sys::{self, MountAttr, mount_setattr};

/// The kernel's link to the running program.
const EXE: &str = "/proc/self/exe";

/// Returns when the program runs from where nobody can write it; to get there it executes itself
/// again, with the same arguments. Must be called before any thread or state exists. What it runs from
/// is for the debug log.
pub fn ensure() -> Result<&'static str> {
    if let Some(place) = sealed_place() {
        // execveat(2) names a process after the number of the descriptor.
        rustix::thread::set_name(c"rrun").call(|| "prctl PR_SET_NAME".to_owned())?;
        return Ok(place);
    }
    let program = match read_only_clone() {
        Ok(program) => program,
        Err(_) => sealed_copy()?,
    };
    let args = c_strings(std::env::args_os());
    let env = c_strings(std::env::vars_os().map(|(name, value)| {
        let mut entry = name;
        entry.push("=");
        entry.push(value);
        entry
    }));
    match nix::unistd::execveat(program, c"", &args, &env, AtFlags::AT_EMPTY_PATH) {
        Ok(never) => match never {},
        Err(errno) => Err(errno).call(|| format!("execute {EXE} again")),
    }
}

/// What nobody can write, if the program runs from such.
fn sealed_place() -> Option<&'static str> {
    let read_only = rustix::fs::statvfs(EXE)
        .is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY));
    if read_only {
        // The name under which a descriptor is executed (execveat(2)).
        let by_us = sys::executed_name().to_bytes().starts_with(b"/dev/fd/");
        return Some(match by_us {
            true => "/proc/self/exe clone on a detached read-only mount",
            false => "/proc/self/exe as it is, on a read-only mount",
        });
    }
    let seals = rustix::fs::fcntl_get_seals(File::open(EXE).ok()?).ok()?;
    seals.contains(SEALS).then_some("/proc/self/exe clone in sealed memory")
}

fn read_only_clone() -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(CWD, EXE, flags).call(|| format!("open_tree {EXE}"))?;
    let read_only = MountAttr::raise(MountAttrFlags::MOUNT_ATTR_RDONLY);
    mount_setattr(tree.as_fd(), &read_only, false).call(|| format!("mount_setattr {EXE}"))?;
    Ok(tree)
}

/// Nothing of it can change any more, not even the seals.
const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

fn sealed_copy() -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = rustix::fs::memfd_create("rrun", flags).call(|| "memfd_create".to_owned())?;
    let mut copy = File::from(fd);
    File::open(EXE)
        .and_then(|mut exe| std::io::copy(&mut exe, &mut copy))
        .and_then(|_| copy.rewind())
        .call(|| format!("copy {EXE}"))?;
    rustix::fs::fcntl_add_seals(&copy, SEALS).call(|| "seal the copy of the program".to_owned())?;
    Ok(copy.into())
}

/// Arguments and environment come from C strings: none can hold a NUL.
fn c_strings(texts: impl Iterator<Item = std::ffi::OsString>) -> Vec<CString> {
    texts.filter_map(|text| CString::new(text.into_vec()).ok()).collect()
}
