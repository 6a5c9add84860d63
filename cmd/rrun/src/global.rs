//! The flags of all verbs, before the verb or after it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};
use container::StateRoot;

use crate::{log, spelling};

/// Where the state of containers is, without `--root`.
const DEFAULT_ROOT: &str = "/run/rrun";

/// The flags of all verbs.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// enable debug logging
    #[arg(long, global = true)]
    pub(crate) debug: bool,
    /// set the log file to write rrun logs to (default is '/dev/stderr')
    #[arg(long, global = true, value_name = "FILE")]
    log: Option<PathBuf>,
    /// set the log format ('text' (default), or 'json')
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        hide_default_value = true
    )]
    pub(crate) log_format: log::Format,
    /// root directory for storage of container state (this should be located in tmpfs)
    /// [default: /run/rrun, rootless: $XDG_RUNTIME_DIR/rrun]
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,
    /// let systemd make the cgroup, as a unit of the system's or the user's manager; expects
    /// cgroupsPath to be of form "slice:prefix:name", for e.g. "system.slice:rrun:434234"
    #[arg(long, global = true)]
    pub(crate) systemd_cgroup: bool,
    // Only before the verb: `spec` has a flag of this name.
    /// ignore cgroup permission errors ('true', 'false', or 'auto')
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    rootless: Rootless,
    // Old engines still pass it; runc ignored it for years before it was removed.
    #[arg(long, global = true, hide = true)]
    criu: Option<PathBuf>,
}

/// `--rootless`: `None` is `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rootless(Option<bool>);

impl FromStr for Rootless {
    type Err = &'static str;

    /// The words that runc takes.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if s.is_empty() || s.eq_ignore_ascii_case("auto") {
            return Ok(Self(None));
        }
        let given = spelling::boolean(s.as_ref());
        given.map(|given| Self(Some(given))).ok_or("'true', 'false' or 'auto' is expected")
    }
}

impl Global {
    /// The log file; `None` is stderr.
    pub(crate) fn log_file(&self) -> Option<&Path> {
        self.log.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// `--rootless`, for [`container::CreateRequest::rootless`].
    pub(crate) fn rootless(&self) -> Option<bool> {
        self.rootless.0
    }

    /// Whether `--root` was given.
    pub(crate) fn root_is_set(&self) -> bool {
        self.root.is_some()
    }

    /// The state root: `--root`, or the default for who is calling.
    pub(crate) fn state_root(&self) -> anyhow::Result<StateRoot> {
        if let Some(root) = &self.root {
            let cwd = std::env::current_dir().context("current directory")?;
            return Ok(StateRoot::new(absolute_root(&cwd, root)?));
        }
        let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
        let Some(runtime_dir) = runtime_dir.filter(|_| honours_xdg()) else {
            return Ok(StateRoot::new(DEFAULT_ROOT));
        };
        let root = Path::new(&runtime_dir).join("rrun");
        make_sticky(&root).with_context(|| {
            format!("{}: the path in $XDG_RUNTIME_DIR must be writable by the user", root.display())
        })?;
        Ok(StateRoot::new(root))
    }
}

/// `--root` as an absolute path without `.` and `..`, as it is written (runc does not follow links
/// here either). `/` is refused: `delete` would work in the host's root directory.
fn absolute_root(cwd: &Path, root: &Path) -> anyhow::Result<PathBuf> {
    let mut clean = PathBuf::new();
    for component in cwd.join(root).components() {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            component => clean.push(component),
        }
    }
    if root.as_os_str().is_empty() || clean.parent().is_none() {
        bail!("Option --root argument should not be set to /");
    }
    Ok(clean)
}

/// Whether the caller's state belongs under `$XDG_RUNTIME_DIR`: not for the host's real root, who
/// has `/run/rrun` whatever his session says.
fn honours_xdg() -> bool {
    if !nix::unistd::geteuid().is_root() {
        return true;
    }
    !is_initial_user_namespace() && std::env::var_os("USER").is_none_or(|user| user != "root")
}

/// Whether root is the host's, by its id mapping (user_namespaces(7)).
pub(crate) fn is_initial_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

/// Makes the default root of a rootless caller. The sticky bit keeps it from being pruned (XDG Base
/// Directory Specification, `$XDG_RUNTIME_DIR`).
fn make_sticky(root: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(root)?;
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o1700))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_becomes_absolute() {
        let cwd = Path::new("/srv/x");
        for (root, absolute) in [
            ("/run/rrun", "/run/rrun"),
            ("state", "/srv/x/state"),
            ("./a/../b/", "/srv/x/b"),
            (".", "/srv/x"),
            ("../../run", "/run"),
        ] {
            assert_eq!(absolute_root(cwd, Path::new(root)).unwrap(), Path::new(absolute), "{root}");
        }
    }

    #[test]
    fn the_root_directory_is_no_state_root() {
        for root in ["", "/", "../..", "../../../..", "/run/.."] {
            assert!(absolute_root(Path::new("/srv/x"), Path::new(root)).is_err(), "{root:?}");
        }
    }

    #[test]
    fn rootless_takes_the_words_of_runc() {
        for (word, value) in [
            ("true", Some(Some(true))),
            ("1", Some(Some(true))),
            ("False", Some(Some(false))),
            ("auto", Some(None)),
            ("AUTO", Some(None)),
            ("", Some(None)),
            ("yes", None),
        ] {
            assert_eq!(word.parse::<Rootless>().ok().map(|rootless| rootless.0), value, "{word:?}");
        }
    }
}
