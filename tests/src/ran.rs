//! A command that ran in a lab, with what it said.

use std::fmt;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::Lab;

/// A command that hangs fails its test after this time.
const LIMIT: Duration = Duration::from_secs(60);

/// The end of a command. Its output stays in files, since a container that it left running may
/// write on: [`Ran::stdout`] reads anew.
#[derive(Debug)]
pub struct Ran {
    /// How the command ended.
    pub status: ExitStatus,
    line: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Ran {
    /// What was written to stdout until now.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stdout).unwrap_or_default()).into_owned()
    }

    /// What was written to stderr until now.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// The exit code, 128+n for a signal.
    pub fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        self.status.code().or_else(|| self.status.signal().map(|n| 128 + n)).unwrap_or(-1)
    }

    /// Itself when the command succeeded.
    ///
    /// # Panics
    /// With everything the command said, when it failed.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// Itself when the command failed with 1 and said `part` somewhere.
    ///
    /// # Panics
    /// With everything the command said, otherwise.
    #[track_caller]
    pub fn refused_with(self, part: &str) -> Self {
        assert_eq!(self.code(), 1, "{self}");
        assert!(self.stderr().contains(part), "no {part:?} in: {self}");
        self
    }

    /// Itself when the command failed with `code` and one line on stderr that holds every `part`.
    ///
    /// # Panics
    /// With everything the command said, otherwise.
    #[track_caller]
    pub fn refused(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code(), code, "{self}");
        let stderr = self.stderr();
        assert_eq!(stderr.trim_end().lines().count(), 1, "one line of error expected: {self}");
        for part in parts {
            assert!(stderr.contains(part), "no {part:?} in: {self}");
        }
        self
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\n{}\n--- stdout\n{}\n--- stderr\n{}",
            self.line,
            self.status,
            self.stdout(),
            self.stderr()
        )
    }
}

pub(crate) fn run_in(lab: &Lab, command: &mut Command) -> Ran {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let file = |stream| lab.folder().join(format!(".{stream}-{number}"));
    let (stdout, stderr) = (file("stdout"), file("stderr"));
    let open = |path: &PathBuf| File::create(path).expect("file for output");
    command.stdin(Stdio::null()).stdout(open(&stdout)).stderr(open(&stderr));
    let line = format!("{command:?}");
    let mut child = lab.spawn(command).unwrap_or_else(|e| panic!("{line}: {e}"));
    let end = Instant::now() + LIMIT;
    let mut nap = Duration::from_micros(200);
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait for a child") {
            break status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            let status = child.wait().expect("wait for a killed child");
            panic!("hung: {}", Ran { status, line, stdout, stderr });
        }
        std::thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(10));
    };
    Ran { status, line, stdout, stderr }
}
