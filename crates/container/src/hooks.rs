//! Lifecycle hooks (runtime-spec, config.md, "POSIX-platform Hooks").

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout};

use crate::error::{Error, OsError, Result};
use crate::spec::{Hook, Hooks, Spec};
use crate::{files, sys};

/// The six kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookKind {
    Prestart,
    CreateRuntime,
    CreateContainer,
    StartContainer,
    Poststart,
    Poststop,
}

impl HookKind {
    /// Its name in config.json.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }

    fn list(self, hooks: &Hooks) -> &[Hook] {
        match self {
            Self::Prestart => {
                // Deprecated by the specification, run by every engine.
                #[allow(deprecated)]
                hooks.prestart()
            }
            Self::CreateRuntime => hooks.create_runtime(),
            Self::CreateContainer => hooks.create_container(),
            Self::StartContainer => hooks.start_container(),
            Self::Poststart => hooks.poststart(),
            Self::Poststop => hooks.poststop(),
        }
        .as_deref()
        .unwrap_or_default()
    }
}

/// The hooks of this kind.
pub(crate) fn of(spec: &Spec, kind: HookKind) -> &[Hook] {
    spec.hooks().as_ref().map_or(&[], |hooks| kind.list(hooks))
}

/// Checks what can be checked before anything is made.
pub(crate) fn validate(spec: &Spec) -> Result<()> {
    use HookKind::*;
    for kind in [Prestart, CreateRuntime, CreateContainer, StartContainer, Poststart, Poststop] {
        for (index, hook) in of(spec, kind).iter().enumerate() {
            let field = |name: &str| format!("hooks.{}[{index}].{name}", kind.name());
            if !hook.path().is_absolute() {
                return Err(Error::config(
                    field("path"),
                    format!("{:?} is not an absolute path", hook.path()),
                ));
            }
            if hook.timeout().is_some_and(|seconds| seconds <= 0) {
                return Err(Error::config(field("timeout"), "must be greater than zero"));
            }
        }
    }
    Ok(())
}

/// Where hooks run.
#[derive(Debug, Default)]
pub(crate) struct HookPlace<'a> {
    /// Their working directory; the caller's if there is none.
    pub(crate) dir: Option<&'a Path>,
    /// The environment of those that have none of their own; the caller's if there is none, as in runc.
    pub(crate) env: Option<&'a [CString]>,
}

/// Runs the hooks of one kind in order; the first that fails ends it. `state` goes to their stdin.
pub(crate) fn run(
    kind: HookKind,
    hooks: &[Hook],
    state: &[u8],
    place: &HookPlace<'_>,
) -> Result<()> {
    let mut numbered = hooks.iter().enumerate();
    numbered.try_for_each(|(index, hook)| run_nth(kind, index, hook, state, place))
}

/// Runs one hook, the one at `index` of its list.
pub(crate) fn run_nth(
    kind: HookKind,
    index: usize,
    hook: &Hook,
    state: &[u8],
    place: &HookPlace<'_>,
) -> Result<()> {
    tracing::debug!("running {} hook #{index}: {}", kind.name(), hook.path().display());
    run_one(hook, state, place).map_err(|problem| Error::Hook { kind: kind.name(), index, problem })
}

/// The streams are files in memory: a hook that reads nothing, writes much or leaves a daemon behind
/// blocks nobody.
fn run_one(hook: &Hook, state: &[u8], place: &HookPlace<'_>) -> Result<(), String> {
    let stdin = memory_file(state)?;
    let mut output = memory_file(&[])?;
    let share = |file: &File| {
        file.try_clone().map(Stdio::from).map_err(|error| format!("dup: {}", OsError::from(&error)))
    };
    let mut command = Command::new(hook.path());
    let args = hook.args().as_deref().unwrap_or_default();
    if let Some((name, rest)) = args.split_first() {
        command.arg0(name).args(rest);
    }
    if let Some(dir) = place.dir {
        command.current_dir(dir);
    }
    // runc takes an empty list for none.
    match (hook.env().as_deref().filter(|env| !env.is_empty()), place.env) {
        (Some(env), _) => {
            command.env_clear().envs(env.iter().filter_map(|entry| entry.split_once('=')));
        }
        (None, Some(env)) => {
            command.env_clear().envs(env.iter().filter_map(split_env));
        }
        (None, None) => {}
    }
    command.stdin(stdin).stdout(share(&output)?).stderr(share(&output)?);
    // A runtime that is killed leaves no hook behind.
    sys::run_apart(&mut command);
    let mut child = command
        .spawn()
        .map_err(|error| format!("exec {}: {}", hook.path().display(), OsError::from(&error)))?;
    let status = wait(&mut child, hook.timeout())?;
    if status.success() {
        return Ok(());
    }
    let mut said = String::new();
    let _ = output.rewind().and_then(|()| (&output).take(4096).read_to_string(&mut said));
    let said = said.trim();
    let status = describe(status);
    Err(if said.is_empty() { status } else { format!("{status}, output: {said}") })
}

/// `exit status 1`, `signal: killed`: the words of Go.
fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, signal) => format!("signal: {}", signal_words(signal.unwrap_or_default())),
    }
}

fn signal_words(number: i32) -> String {
    match number {
        libc::SIGHUP => "hangup",
        libc::SIGINT => "interrupt",
        libc::SIGQUIT => "quit",
        libc::SIGILL => "illegal instruction",
        libc::SIGTRAP => "trace/breakpoint trap",
        libc::SIGABRT => "aborted",
        libc::SIGBUS => "bus error",
        libc::SIGFPE => "floating point exception",
        libc::SIGKILL => "killed",
        libc::SIGSEGV => "segmentation fault",
        libc::SIGPIPE => "broken pipe",
        libc::SIGALRM => "alarm clock",
        libc::SIGTERM => "terminated",
        libc::SIGSYS => "bad system call",
        number => return format!("signal {number}"),
    }
    .to_owned()
}

fn split_env(entry: &CString) -> Option<(std::ffi::OsString, std::ffi::OsString)> {
    let bytes = entry.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (bytes.get(..at)?, bytes.get(at + 1..)?);
    Some((OsStringExt::from_vec(name.to_vec()), OsStringExt::from_vec(value.to_vec())))
}

fn memory_file(content: &[u8]) -> Result<File, String> {
    files::in_memory("rrun-hook", content)
        .map_err(|error| format!("memfd_create: {}", OsError::from(&error)))
}

/// Waits `timeout` seconds at most, then kills.
fn wait(child: &mut Child, timeout: Option<i64>) -> Result<ExitStatus, String> {
    let reap = |child: &mut Child| {
        child.wait().map_err(|error| format!("wait: {}", OsError::from(&error)))
    };
    let Some(seconds) = timeout.and_then(|seconds| u64::try_from(seconds).ok()) else {
        return reap(child);
    };
    let pid = rustix::process::Pid::from_child(child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
        .map_err(|errno| format!("pidfd_open: {errno}"))?;
    let millis = Duration::from_secs(seconds).as_millis().try_into().unwrap_or(i32::MAX);
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
    let ended = loop {
        match nix::poll::poll(&mut fds, timeout) {
            Err(nix::errno::Errno::EINTR) => {}
            result => break result.map_err(|errno| format!("poll: {errno}"))? > 0,
        }
    };
    if ended {
        return reap(child);
    }
    // It may have ended just now: then there is nobody to kill, and the timeout stands.
    let _ = child.kill();
    reap(child)?;
    Err(format!("hook ran past specified timeout of {seconds}.0s"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::HookBuilder;

    fn shell(script: &str) -> Hook {
        HookBuilder::default()
            .path("/bin/sh")
            .args(["sh", "-c", script].map(String::from).to_vec())
            .build()
            .unwrap()
    }

    #[test]
    fn the_state_is_on_stdin() {
        run(
            HookKind::Prestart,
            &[shell("test \"$(cat)\" = state")],
            b"state",
            &HookPlace::default(),
        )
        .unwrap();
    }

    #[test]
    fn a_failure_is_told_with_its_output() {
        let error = run(
            HookKind::Poststop,
            &[shell("true"), shell("echo why; exit 3")],
            b"",
            &HookPlace::default(),
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "error running poststop hook #1: exit status 3, output: why");
    }

    #[test]
    fn a_missing_program_is_named() {
        let hook = HookBuilder::default().path("/no/such").build().unwrap();
        let error = run(HookKind::Prestart, &[hook], b"", &HookPlace::default()).unwrap_err();
        assert!(error.to_string().contains("/no/such: no such file or directory"), "{error}");
    }

    #[test]
    fn a_hook_that_hangs_is_killed() {
        let mut hook = shell("sleep 1000");
        hook.set_timeout(Some(1));
        let error = run(HookKind::Prestart, &[hook], b"", &HookPlace::default()).unwrap_err();
        assert!(error.to_string().contains("timeout"), "{error}");
    }

    #[test]
    fn a_hook_that_ignores_a_large_state_blocks_nobody() {
        run(HookKind::Prestart, &[shell("exit 0")], &vec![b'x'; 1 << 20], &HookPlace::default())
            .unwrap();
    }

    #[test]
    fn the_environment_is_the_hooks_own() {
        let mut hook = shell("test \"$A\" = 1 && test -z \"$HOME\"");
        hook.set_env(Some(vec!["A=1".to_owned()]));
        run(HookKind::Prestart, &[hook], b"", &HookPlace::default()).unwrap();
    }
}
