//! Handing a seccomp listener to the agent that will answer it (runtime-spec, config-linux.md,
//! "seccomp", listenerPath).

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use serde_json::json;

use crate::error::{CallContext, Error, Result};
use crate::hook_state::HookState;
use crate::spec::Spec;
use crate::{Status, channel, sys};

/// Takes descriptor `fd` of the process and sends it to `linux.seccomp.listenerPath` with the
/// ContainerProcessState of the specification.
pub(crate) fn take(
    spec: &Spec,
    state: &HookState,
    pidfd: &OwnedFd,
    pid: i32,
    fd: i32,
) -> Result<()> {
    let listener = sys::fd_of_process(pidfd.as_fd(), fd)
        .call(|| "pidfd_getfd of the seccomp listener".to_owned())?;
    let profile = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let path = profile
        .and_then(|profile| profile.listener_path().as_ref())
        .filter(|path| !path.as_os_str().is_empty())
        .ok_or_else(|| {
            Error::config("linux.seccomp.listenerPath", "is needed with SCMP_ACT_NOTIFY")
        })?;
    let container: serde_json::Value = serde_json::from_slice(&state.json(Status::Creating, pid)?)
        .map_err(|error| Error::config("annotations", error.to_string()))?;
    let message = json!({
        "ociVersion": spec.version(),
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": profile.and_then(|profile| profile.listener_metadata().clone()).unwrap_or_default(),
        "state": container,
    });
    let stream = UnixStream::connect(path).map_err(|error| {
        Error::config(
            "linux.seccomp.listenerPath",
            format!(
                "failed to connect with seccomp agent {}: {}",
                path.display(),
                crate::error::OsError::from(&error)
            ),
        )
    })?;
    channel::send_fds(stream.as_fd(), message.to_string().as_bytes(), &[listener.as_fd()])
        .call(|| format!("send the seccomp listener to {}", path.display()))
}
