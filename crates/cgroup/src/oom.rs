//! Being told when the kernel kills for lack of memory.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::stat::Mode as FileMode;

use crate::cgroup::Cgroup;
use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::file;
use crate::hierarchies::Mode;
use crate::stats::parse;

/// A source of OOM notices of one container: wait for [`OomEvents::as_fd`] to be readable, then
/// ask [`OomEvents::read`] what happened.
#[derive(Debug)]
pub struct OomEvents(Source);

/// What [`OomEvents::read`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OomEvent {
    /// The container ran out of memory.
    Oom,
    /// Something else changed in the group.
    Nothing,
    /// The container's processes or its group are gone; nothing more will come.
    End,
}

#[derive(Debug)]
enum Source {
    /// An eventfd, registered in `cgroup.event_control` for `memory.oom_control`, which must stay
    /// open (Documentation/admin-guide/cgroup-v1/memory.rst, section 9).
    V1 { events: EventFd, control: PathBuf, _oom_control: OwnedFd },
    /// An inotify watch on `memory.events` and `cgroup.events`.
    V2 { inotify: Inotify, memory: WatchDescriptor, dir: PathBuf, seen: u64 },
}

impl Cgroup {
    /// Starts listening.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] without a memory group, [`Error::Path`], [`Error::Call`].
    pub fn oom_events(&self) -> Result<OomEvents> {
        let dir = self.dir(Controller::Memory).ok_or(Error::Unavailable(Controller::Memory))?;
        let source = match self.mode {
            Mode::V1 => {
                let path = dir.join("memory.oom_control");
                let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
                let oom_control = open(&path, flags, FileMode::empty())
                    .map_err(|errno| Error::path("open", &path, errno))?;
                let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
                let events = EventFd::from_value_and_flags(0, flags)
                    .map_err(|errno| Error::call("eventfd", errno))?;
                let control = dir.join("cgroup.event_control");
                let pair = format!("{} {}", events.as_fd().as_raw_fd(), oom_control.as_raw_fd());
                file::write(&control, &pair)?;
                Source::V1 { events, control, _oom_control: oom_control }
            }
            Mode::V2 => {
                let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
                    .map_err(|errno| Error::call("inotify_init1", errno))?;
                let watch = |name: &str| {
                    let path = dir.join(name);
                    inotify
                        .add_watch(&path, AddWatchFlags::IN_MODIFY)
                        .map_err(|errno| Error::path("inotify_add_watch", path, errno))
                };
                let memory = watch("memory.events")?;
                watch("cgroup.events")?;
                let seen = self.oom_kill_count()?;
                Source::V2 { inotify, memory, dir: dir.to_owned(), seen }
            }
        };
        Ok(OomEvents(source))
    }
}

impl OomEvents {
    /// Takes the pending notices; does not block.
    pub fn read(&mut self) -> Result<OomEvent> {
        match &mut self.0 {
            Source::V1 { events, control, .. } => match events.read() {
                Err(Errno::EAGAIN | Errno::EINTR) => Ok(OomEvent::Nothing),
                Err(errno) => Err(Error::call("read eventfd", errno)),
                // Removing the group raises the event as well.
                Ok(_) if !control.exists() => Ok(OomEvent::End),
                Ok(_) => Ok(OomEvent::Oom),
            },
            Source::V2 { inotify, memory, dir, seen } => {
                let notices = match inotify.read_events() {
                    Err(Errno::EAGAIN | Errno::EINTR) => return Ok(OomEvent::Nothing),
                    result => result.map_err(|errno| Error::call("read inotify", errno))?,
                };
                if notices.iter().any(|notice| notice.wd == *memory) {
                    let Some(events) =
                        parse::present(parse::keyed_file(&dir.join("memory.events")))?
                    else {
                        return Ok(OomEvent::End);
                    };
                    let count = events.get("oom_kill").copied().unwrap_or(0);
                    if count > *seen {
                        *seen = count;
                        return Ok(OomEvent::Oom);
                    }
                }
                let events = parse::present(parse::keyed_file(&dir.join("cgroup.events")))?;
                match events.and_then(|events| events.get("populated").copied()) {
                    Some(1..) => Ok(OomEvent::Nothing),
                    _ => Ok(OomEvent::End),
                }
            }
        }
    }
}

impl AsFd for OomEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Source::V1 { events, .. } => events.as_fd(),
            Source::V2 { inotify, .. } => inotify.as_fd(),
        }
    }
}
