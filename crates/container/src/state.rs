//! What is known of a container on disk, and whether it is still true.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{CallContext, Error, Result};
use crate::files;
use crate::intel_rdt::Group;

/// Where a container is in its life (runtime-spec, runtime.md, "State").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Being made: `create` has not finished.
    Creating,
    /// Made, and waiting for `start`.
    Created,
    /// Its process runs.
    Running,
    /// Frozen.
    Paused,
    /// Its process is gone.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// The format of the state file. Another number is refused, not guessed at.
const VERSION: u32 = 1;

/// The largest state file that is read, in bytes.
const MAX_STATE: u64 = 1 << 20;

/// The state file of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The format of this file.
    version: u32,
    /// The container's id.
    pub id: String,
    /// The pid of init in the pid namespace of the runtime; 0 while there is none.
    pub pid: i32,
    /// When init started, in clock ticks after boot (`/proc/PID/stat`, field 22).
    pub start_time: u64,
    /// When the container was created, RFC 3339 in UTC.
    pub created: String,
    /// The absolute path of the bundle.
    pub bundle: PathBuf,
    /// The absolute path of the root filesystem.
    pub rootfs: PathBuf,
    /// The effective user id of who created it.
    pub owner: u32,
    /// `create` has not finished.
    pub(crate) creating: bool,
    /// The cgroup's directory by controller.
    pub(crate) cgroup_paths: BTreeMap<String, PathBuf>,
    /// Its share of cache and memory bandwidth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) intel_rdt: Option<Group>,
    /// The systemd unit that made the cgroup; absent where the runtime made it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) systemd_unit: Option<cgroup::Unit>,
    /// What init got as standard streams, as `/proc/PID/fd` names it: a checkpoint writes it down.
    #[serde(default)]
    pub(crate) descriptors: Vec<String>,
    /// Its processes keep the session keyring of their callers.
    #[serde(default)]
    pub(crate) no_new_keyring: bool,
}

impl State {
    /// The state of a container that is about to be made.
    pub(crate) fn new(id: &str, bundle: &Path, rootfs: &Path) -> Self {
        Self {
            version: VERSION,
            id: id.to_owned(),
            pid: 0,
            start_time: 0,
            created: now(),
            bundle: bundle.to_owned(),
            rootfs: rootfs.to_owned(),
            owner: rustix::process::geteuid().as_raw(),
            creating: true,
            no_new_keyring: false,
            cgroup_paths: BTreeMap::new(),
            intel_rdt: None,
            systemd_unit: None,
            descriptors: Vec::new(),
        }
    }

    /// Reads the state file in a container's state directory.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(STATE_FILE);
        let bytes = files::read_bounded(&path, MAX_STATE).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Error::NotFound,
            _ => Error::corrupt(&path, error),
        })?;
        let state: Self =
            serde_json::from_slice(&bytes).map_err(|error| Error::corrupt(&path, error))?;
        if state.version != VERSION {
            return Err(Error::corrupt(
                &path,
                format!("version {} is not {VERSION}", state.version),
            ));
        }
        Ok(state)
    }

    /// Replaces the state file.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(STATE_FILE);
        let bytes = serde_json::to_vec(self).map_err(|error| Error::corrupt(&path, error))?;
        files::replace(&path, &bytes, 0o600).call(|| format!("write {}", path.display()))
    }

    /// Whether init is alive: a process of this pid that started when init did and is no zombie.
    pub(crate) fn is_alive(&self) -> bool {
        self.pid > 0
            && ProcessStat::of(self.pid)
                .is_some_and(|stat| stat.start_time == self.start_time && !stat.is_dead())
    }
}

/// The state file's name.
pub(crate) const STATE_FILE: &str = "state.json";
/// The name of the effective config's copy.
pub(crate) const CONFIG_FILE: &str = "config.json";
/// The name of the socket on which a created container's init waits for `start`.
pub(crate) const START_SOCKET: &str = "start.sock";

/// What /proc/PID/stat says of a process (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessStat {
    state: u8,
    /// Clock ticks after boot.
    pub(crate) start_time: u64,
}

impl ProcessStat {
    /// That of this process, if it exists.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Self::parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The command's name, in parentheses, may hold anything: the fields begin after its end.
    fn parse(stat: &[u8]) -> Option<Self> {
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
        let mut fields = rest.split(' ');
        let state = *fields.next()?.as_bytes().first()?;
        Some(Self { state, start_time: fields.nth(18)?.trim_end().parse().ok()? })
    }

    /// Zombie or dead.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// The time in UTC, RFC 3339 with nanoseconds.
fn now() -> String {
    humantime::format_rfc3339_nanos(std::time::SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_may_hold_anything() {
        let fields = (4..22).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let stat = format!("7 (a) b) (c) R 1 {fields} 777 0\n");
        // state, ppid, then 17 more, then the start time as field 22
        let parsed = ProcessStat::parse(stat.as_bytes());
        assert_eq!(parsed.map(|p| p.state), Some(b'R'));
        assert_eq!(ProcessStat::parse(b"7 (x"), None);
        assert_eq!(ProcessStat::parse(b""), None);
    }

    #[test]
    fn states_with_and_without_a_unit() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::new("a", Path::new("/b"), Path::new("/b/r"));
        state.write(dir.path()).unwrap();
        // As it was written before there were units.
        let text = std::fs::read_to_string(dir.path().join(STATE_FILE)).unwrap();
        assert!(!text.contains("unit"), "{text}");
        assert_eq!(State::read(dir.path()).unwrap().systemd_unit, None);
        state.systemd_unit = Some(cgroup::Unit { name: "rrun-a.scope".to_owned(), user: true });
        state.write(dir.path()).unwrap();
        assert_eq!(State::read(dir.path()).unwrap().systemd_unit, state.systemd_unit);
    }

    #[test]
    fn this_process_is_alive() {
        let stat = ProcessStat::of(std::process::id().cast_signed()).unwrap();
        assert!(!stat.is_dead());
        assert!(stat.start_time > 0);
    }
}
