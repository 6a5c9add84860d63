//! Pausing and resuming: the v1 freezer controller and v2's `cgroup.freeze`.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode as FileMode;
use nix::sys::uio::pread;

use crate::cgroup::Cgroup;
use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::file;
use crate::hierarchies::Mode;

/// How long v2's freezer may take: a process in uninterruptible sleep delays it.
const FREEZE_TIMEOUT: Duration = Duration::from_secs(10);
/// Tries of the v1 freezer, see [`freeze_v1`].
const V1_TRIES: u32 = 1000;

impl Cgroup {
    /// Stops all processes of the container and waits until they have stopped. When that fails
    /// the group is thawed again.
    pub fn freeze(&self) -> Result<()> {
        let dir = self.dir(Controller::Freezer).ok_or(Error::NoFreezer)?;
        let frozen = match self.mode {
            Mode::V1 => freeze_v1(dir),
            Mode::V2 => freeze_v2(dir),
        };
        if frozen.is_err() {
            // Half frozen is the worst state; the first error is the one to report.
            let _ = self.thaw();
        }
        frozen
    }

    /// Lets all processes of the container run.
    pub fn thaw(&self) -> Result<()> {
        let dir = self.dir(Controller::Freezer).ok_or(Error::NoFreezer)?;
        match self.mode {
            Mode::V1 => file::write(&dir.join("freezer.state"), "THAWED"),
            Mode::V2 => match file::write(&dir.join("cgroup.freeze"), "0") {
                // Without a freezer (before Linux 5.2) nothing is ever frozen.
                Err(error) if error.is_gone() => Ok(()),
                result => result,
            },
        }
    }

    /// Whether the container itself is paused; being below a frozen group does not count. `false`
    /// where there is no freezer or no group.
    pub fn is_frozen(&self) -> Result<bool> {
        match (self.dir(Controller::Freezer), self.mode) {
            (None, _) => Ok(false),
            (Some(dir), Mode::V1) => is_frozen_v1(dir),
            (Some(dir), Mode::V2) => is_frozen_v2(dir),
        }
    }
}

/// v1 may report `FREEZING` for ever when processes are forked or moved into the group meanwhile
/// (the v1 freezer has no lock against it). Writing `FROZEN` again catches those; letting the
/// group run for a moment now and then gives a fork under way the chance to end.
fn freeze_v1(dir: &Path) -> Result<()> {
    let path = dir.join("freezer.state");
    for attempt in 1..=V1_TRIES {
        file::write(&path, "FROZEN")?;
        match file::read_value(&path)?.as_str() {
            "FROZEN" => return Ok(()),
            "FREEZING" => {}
            state => return Err(Error::malformed(&path, state)),
        }
        if attempt % 50 == 0 {
            file::write(&path, "THAWED")?;
            std::thread::sleep(Duration::from_millis(10));
        } else if attempt % 8 == 0 {
            std::thread::sleep(Duration::from_micros(20));
        }
    }
    Err(Error::FreezeTimeout(dir.to_owned()))
}

pub(crate) fn is_frozen_v1(dir: &Path) -> Result<bool> {
    let path = dir.join("freezer.state");
    let deadline = Instant::now() + FREEZE_TIMEOUT;
    loop {
        let state = match file::read_value(&path) {
            Err(error) if error.is_gone() => return Ok(false),
            result => result?,
        };
        match state.as_str() {
            "THAWED" => return Ok(false),
            "FROZEN" => break,
            // Somebody is about to freeze it: see how that ends.
            "FREEZING" if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            state => return Err(Error::malformed(&path, state)),
        }
    }
    // Frozen by itself or by a group above it?
    match file::read_value(&dir.join("freezer.self_freezing")) {
        Ok(own) => Ok(own != "0"),
        Err(error) if error.is_gone() => Ok(true),
        Err(error) => Err(error),
    }
}

fn freeze_v2(dir: &Path) -> Result<()> {
    file::write(&dir.join("cgroup.freeze"), "1")?;
    wait_for(dir, "frozen 1", FREEZE_TIMEOUT)?
        .then_some(())
        .ok_or_else(|| Error::FreezeTimeout(dir.to_owned()))
}

pub(crate) fn is_frozen_v2(dir: &Path) -> Result<bool> {
    match file::read_value(&dir.join("cgroup.freeze")) {
        Ok(state) if state == "1" => wait_for(dir, "frozen 1", FREEZE_TIMEOUT),
        Ok(_) => Ok(false),
        Err(error) if error.is_gone() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits until `cgroup.events` has the line `wanted`; `false` when the time is over. The kernel
/// wakes a poll for `POLLPRI` on each change since the last read (kernfs_notify).
fn wait_for(dir: &Path, wanted: &str, timeout: Duration) -> Result<bool> {
    let path = dir.join("cgroup.events");
    let failed = |call| {
        let path = path.clone();
        move |errno| Error::path(call, path, errno)
    };
    let events = open(&path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, FileMode::empty())
        .map_err(failed("open"))?;
    let deadline = Instant::now() + timeout;
    loop {
        let mut buffer = [0; 256];
        let length = match pread(&events, &mut buffer, 0) {
            Err(Errno::EINTR) => continue,
            result => result.map_err(failed("read"))?,
        };
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        if text.lines().any(|line| line == wanted) {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
        match poll(&mut fds, left) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed("poll")(errno)),
        }
    }
}
