//! v2 has no devices controller: a program of type `BPF_PROG_TYPE_CGROUP_DEVICE` decides.

use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::emulator::Emulator;
use super::program;
use crate::error::{Error, Result};
use crate::sys;

/// Attaches the program for `target` to the group, in the place of programs attached before.
/// There is no moment without a program: the new one is attached before old ones go.
pub(super) fn set(dir: &Path, target: &Emulator) -> Result<()> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let group = open(dir, flags, Mode::empty()).map_err(|e| Error::path("open", dir, e))?;
    let failed = |call| move |errno| Error::path(call, dir, errno);

    let ids = sys::device_programs(group.as_fd()).map_err(failed("bpf BPF_PROG_QUERY"))?;
    let mut old = Vec::with_capacity(ids.len());
    for id in ids {
        match sys::program_by_id(id) {
            Ok(program) => old.push(program),
            // Protected by a security module, or gone: another program can only add restrictions.
            Err(Errno::EPERM | Errno::EACCES | Errno::ENOENT) => {}
            Err(errno) => return Err(failed("bpf BPF_PROG_GET_FD_BY_ID")(errno)),
        }
    }

    let instructions = program::assemble(target)?;
    let new = match sys::load_device_program(&instructions) {
        Err(Errno::EPERM | Errno::ENOMEM) if sys::lift_memlock_limit().is_ok() => {
            sys::load_device_program(&instructions)
        }
        result => result,
    }
    .map_err(failed("bpf BPF_PROG_LOAD"))?;

    if let [only] = old.as_slice() {
        match sys::attach_device_program(group.as_fd(), new.as_fd(), Some(only.as_fd())) {
            // Before Linux 5.6 nothing can be replaced in one step.
            Err(Errno::EINVAL) => {}
            result => return result.map_err(failed("bpf BPF_PROG_ATTACH")),
        }
    }
    sys::attach_device_program(group.as_fd(), new.as_fd(), None)
        .map_err(failed("bpf BPF_PROG_ATTACH"))?;
    for program in &old {
        sys::detach_device_program(group.as_fd(), program.as_fd())
            .map_err(failed("bpf BPF_PROG_DETACH"))?;
    }
    Ok(())
}
