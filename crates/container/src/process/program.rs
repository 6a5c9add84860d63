//! Finding and executing the program of a process.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::Uid;

use super::home::home_of;
use crate::error::{Error, OsError, Result};
use crate::sys;

/// What `exec` looks through where the environment has no `PATH` (docker's default).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program with its environment, found.
#[derive(Debug)]
pub(crate) struct Program {
    path: CString,
    pub(crate) env: Vec<CString>,
}

impl Program {
    /// The program of `args`, for the user `uid`, whom the caller already is. `HOME` is added where it
    /// is missing or empty.
    pub(super) fn find(args: &[CString], mut env: Vec<CString>, uid: Uid) -> Result<Self> {
        env.retain(|entry| entry.to_bytes() != b"HOME=");
        if !env.iter().any(|entry| entry.to_bytes().starts_with(b"HOME=")) {
            let home = format!("HOME={}", home_of(uid.as_raw()));
            env.push(super::c_string("HOME", home)?);
        }
        let name = args.first().map(|name| name.to_string_lossy()).unwrap_or_default();
        Ok(Self { path: look_up(&name, &env)?, env })
    }

    /// execve(2); returns only to say why not.
    pub(super) fn execute(&self, args: &[CString]) -> Error {
        let errno = match nix::unistd::execve(&self.path, args, &self.env) {
            Ok(never) => match never {},
            Err(errno) => errno,
        };
        Error::Syscall {
            call: format!("exec {}", self.path.to_string_lossy()),
            errno: OsError(errno),
        }
    }
}

/// The path of a program: itself if it has a slash, else the first match in `PATH` of `env`. To be
/// asked as the user who will execute it, inside the container.
///
/// The words of the errors are Go's (os/exec.LookPath): dockerd and podman read the exit codes 126 and
/// 127 out of them.
fn look_up(program: &str, env: &[CString]) -> Result<CString> {
    let fail = |problem: String| Error::Exec { program: program.to_owned(), problem };
    let found = if program.contains('/') {
        check(Path::new(program)).map_err(fail)?;
        program.to_owned()
    } else {
        search(program, path_of(env).as_deref().unwrap_or(DEFAULT_PATH))
            .ok_or_else(|| fail("executable file not found in $PATH".to_owned()))?
    };
    CString::new(found).map_err(|_| fail("invalid argument".to_owned()))
}

fn search(program: &str, path: &str) -> Option<String> {
    if program.is_empty() {
        return None;
    }
    path.split(':')
        .map(|dir| format!("{}/{program}", if dir.is_empty() { "." } else { dir }))
        .find(|candidate| check(Path::new(candidate)).is_ok())
}

fn path_of(env: &[CString]) -> Option<String> {
    env.iter().find_map(|entry| {
        let value = entry.to_bytes().strip_prefix(b"PATH=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    })
}

/// Whether this may be executed, by the caller.
fn check(path: &Path) -> Result<(), String> {
    let metadata = std::fs::metadata(path)
        .map_err(|error| format!("stat {}: {}", path.display(), OsError::from(&error)))?;
    if metadata.is_dir() {
        return Err("is a directory".to_owned());
    }
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| OsError(Errno::EINVAL).to_string())?;
    match sys::may_execute(&name) {
        Ok(()) => Ok(()),
        // A seccomp filter may know no faccessat2(2): then the mode bits alone are asked.
        Err(Errno::ENOSYS) if metadata.permissions().mode() & 0o111 != 0 => Ok(()),
        Err(Errno::ENOSYS) => Err(OsError(Errno::EACCES).to_string()),
        Err(errno) => Err(OsError(errno).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(path: &str) -> Vec<CString> {
        vec![CString::new(format!("PATH={path}")).unwrap()]
    }

    #[test]
    fn a_name_is_searched_in_path() {
        assert_eq!(look_up("sh", &env("/nowhere:/bin")).unwrap().to_str().unwrap(), "/bin/sh");
        assert_eq!(look_up("/bin/sh", &[]).unwrap().to_str().unwrap(), "/bin/sh");
    }

    #[test]
    fn errors_have_the_words_engines_look_for() {
        let text = |program: &str| look_up(program, &env("/bin")).unwrap_err().to_string();
        assert_eq!(text("nope"), r#"exec: "nope": executable file not found in $PATH"#);
        assert_eq!(text("/nope"), r#"exec: "/nope": stat /nope: no such file or directory"#);
        assert_eq!(text("/etc"), r#"exec: "/etc": is a directory"#);
        assert_eq!(text("/etc/passwd"), r#"exec: "/etc/passwd": permission denied"#);
        assert_eq!(text(""), r#"exec: "": executable file not found in $PATH"#);
    }
}
