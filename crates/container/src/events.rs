//! What can be heard of a container while it runs: statistics, and that it ran out of memory.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use cgroup::{OomEvent, OomEvents, Stats};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::{CallContext, Error, Result};
use crate::{Container, Status};

/// Something that happened, or the time for statistics.
#[derive(Debug)]
pub enum Event {
    /// The interval has passed.
    Stats(Box<Stats>),
    /// The container ran out of memory.
    Oom,
}

/// The events of one container; ends with its cgroup (v1) or its last process (v2).
#[derive(Debug)]
pub struct Events<'a> {
    container: &'a Container,
    oom: OomEvents,
    interval: Duration,
    /// When statistics were last due.
    last: Instant,
}

impl Container {
    /// Reads the statistics of its cgroup.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`], [`Error::Cgroup`].
    pub fn stats(&self) -> Result<Stats> {
        match self.status()? {
            Status::Stopped => Err(Error::NotRunning),
            _ => Ok(self.cgroup()?.stats()?),
        }
    }

    /// The statistics of its resctrl group, in runc's schema; nothing where it has none.
    ///
    /// # Errors
    ///
    /// [`Error::Syscall`] or [`Error::Corrupt`] when a file of the group cannot be read.
    pub fn intel_rdt_stats(&self) -> Result<serde_json::Map<String, serde_json::Value>> {
        match self.state().intel_rdt.as_ref().filter(|group| group.exists()) {
            Some(group) => group.stats(),
            None => Ok(serde_json::Map::new()),
        }
    }

    /// Listens: statistics at this interval, and out of memory whenever it happens.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`]; [`Error::Cgroup`] without a memory controller.
    pub fn events(&self, interval: Duration) -> Result<Events<'_>> {
        if self.status()? == Status::Stopped {
            return Err(Error::NotRunning);
        }
        let oom = self.cgroup()?.oom_events()?;
        Ok(Events { container: self, oom, interval, last: Instant::now() })
    }
}

impl Events<'_> {
    /// Waits for the next event; `None` when nothing more can come.
    fn wait(&mut self) -> Result<Option<Event>> {
        loop {
            // Before the clock: however short the interval, running out of memory is heard of.
            if self.is_readable(self.interval.saturating_sub(self.last.elapsed()))? {
                match self.oom.read()? {
                    OomEvent::Oom => return Ok(Some(Event::Oom)),
                    OomEvent::End => return Ok(None),
                    OomEvent::Nothing => {}
                }
            }
            if self.last.elapsed() >= self.interval {
                self.last = Instant::now();
                return match self.container.cgroup()?.stats() {
                    Ok(stats) => Ok(Some(Event::Stats(Box::new(stats)))),
                    Err(error) if error.is_gone() => Ok(None),
                    Err(error) => Err(error.into()),
                };
            }
        }
    }

    fn is_readable(&self, patience: Duration) -> Result<bool> {
        let patience = Timespec::try_from(patience).ok();
        let mut fds = [PollFd::from_borrowed_fd(self.oom.as_fd(), PollFlags::IN)];
        match poll(&mut fds, patience.as_ref()) {
            Err(rustix::io::Errno::INTR) => Ok(false),
            ready => Ok(ready.call(|| "poll OOM events".to_owned())? > 0),
        }
    }
}

impl Iterator for Events<'_> {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        self.wait().transpose()
    }
}
