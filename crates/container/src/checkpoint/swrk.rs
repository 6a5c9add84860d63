//! Talking to CRIU: `criu swrk N`, a server for one request on the socket N (criu's `cr-service.c`).
//!
//! Requests and answers are protobuf messages, a packet each. Between the two CRIU notifies of its progress
//! and waits for leave to go on.

use std::convert::Infallible;
use std::ffi::CString;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use cgroup::Join;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, Shutdown, SockFlag, SockType,
    recvmsg, sendmsg, shutdown, socketpair,
};
use protobuf::Message as _;
use rust_criu::rust_criu_protobuf::rpc::{
    Criu_features, Criu_notify, Criu_req, Criu_req_type, Criu_resp, Criu_version,
};

use super::folders::Folders;
use super::{CriuError, OLDEST};
use crate::channel::{self, Channel, ChannelError, Message};
use crate::error::{CallContext, Error, OsError, Result};
use crate::spawn::{self, tell};
use crate::sys::{self, Fork, ForkFlags};

/// The largest answer, in bytes; CRIU's own limit is one page.
const ANSWER: usize = 64 * 1024;

/// How CRIU is started.
#[derive(Default)]
pub(super) struct Launch<'a> {
    /// It gets this process's standard streams, not `/dev/null`.
    pub(super) streams: bool,
    /// It gets these descriptors, under the same numbers.
    pub(super) inherit: Vec<BorrowedFd<'a>>,
    /// It gets these folders, under the same numbers.
    pub(super) folders: Option<&'a Folders>,
    /// It gets a mount namespace of its own, in which `prepare` may mount.
    pub(super) own_mounts: bool,
    /// It runs in these cgroups.
    pub(super) cgroup: Option<&'a Join>,
}

/// A CRIU that waits for its request.
#[derive(Debug)]
pub(super) struct Swrk {
    pid: i32,
    pidfd: OwnedFd,
    socket: Option<OwnedFd>,
}

/// Called at each notification, with a descriptor if one came along.
pub(super) type Notified<'a> = dyn FnMut(&Criu_notify, Option<OwnedFd>) -> Result<()> + 'a;

impl Swrk {
    /// Starts CRIU; `prepare` runs before, in the new process.
    pub(super) fn start(launch: &Launch<'_>, prepare: &dyn Fn() -> Result<()>) -> Result<Self> {
        let (ours, theirs) = Channel::pair()?;
        let flags = ForkFlags {
            namespaces: if launch.own_mounts { libc::CLONE_NEWNS as u64 } else { 0 },
            cgroup: launch.cgroup.and_then(Join::clone_into),
            sibling: false,
        };
        let (pid, pidfd) = match sys::fork(&flags).call(|| "clone3".to_owned())? {
            Fork::Child => {
                drop(ours);
                let Err(error) = become_criu(launch, &theirs, prepare);
                tell(&theirs, &Message::Failed(error.to_string()));
                sys::exit_now(1)
            }
            Fork::Parent { pid, pidfd } => (pid, pidfd),
        };
        drop(theirs);
        let mut swrk = Self { pid, pidfd, socket: None };
        let socket = channel::receive_fd(ours.as_fd()).call(|| "receive criu's socket".to_owned());
        match ours.receive() {
            // Executing the program closed the other end.
            Err(ChannelError::Closed) => {
                let none = || CriuError::Start("criu: no socket to talk to it".to_owned());
                swrk.socket = Some(socket?.ok_or_else(none)?);
                Ok(swrk)
            }
            Err(ChannelError::Failed(text)) => Err(CriuError::Start(text).into()),
            Err(error) => Err(error.into()),
            Ok(other) => Err(other.out_of_turn().into()),
        }
    }

    /// Its pid.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Makes the request, gives leave at every notification that `notified` has nothing against, and waits
    /// for the answer.
    pub(super) fn request(
        &self,
        request: &Criu_req,
        notified: &mut Notified<'_>,
    ) -> Result<Criu_resp> {
        tracing::debug!("Using CRIU in {:?} mode", request.type_());
        self.send(request)?;
        loop {
            let (answer, fd) = self.receive()?;
            if !answer.success() {
                let (kind, errno) = (format!("{:?}", answer.type_()), answer.cr_errno());
                return Err(CriuError::Failed { kind, errno }.into());
            }
            if answer.type_() != Criu_req_type::NOTIFY {
                return match answer.type_() == request.type_() {
                    true => Ok(answer),
                    false => Err(CriuError::Response(format!("{:?}", answer.type_())).into()),
                };
            }
            let notify = answer.notify.as_ref();
            let notify = notify.ok_or_else(|| CriuError::Response("empty NOTIFY".to_owned()))?;
            tracing::debug!("notify: {}", notify.script());
            let done = notified(notify, fd);
            let leave = Criu_req {
                notify_success: Some(done.is_ok()),
                ..request_of(Criu_req_type::NOTIFY)
            };
            // Without leave CRIU undoes what it did; that it may be gone by now changes nothing.
            let sent = self.send(&leave);
            done?;
            sent?;
        }
    }

    /// Waits for CRIU to end, which has answered. `may_fail`: it does not matter how.
    pub(super) fn end(mut self, may_fail: bool) -> Result<()> {
        if let Some(socket) = &self.socket {
            let _ = shutdown(socket.as_raw_fd(), Shutdown::Write);
        }
        let status = spawn::wait_for(&self.pidfd);
        self.socket = None;
        match status? {
            0 => Ok(()),
            _ if may_fail => Ok(()),
            status => Err(CriuError::Ended(status).into()),
        }
    }

    fn socket(&self) -> Result<BorrowedFd<'_>, CriuError> {
        self.socket.as_ref().map(AsFd::as_fd).ok_or(CriuError::Closed)
    }

    fn send(&self, request: &Criu_req) -> Result<(), CriuError> {
        let packet =
            request.write_to_bytes().map_err(|error| CriuError::Response(error.to_string()))?;
        let (socket, iov) = (self.socket()?, [IoSlice::new(&packet)]);
        let flags = MsgFlags::MSG_NOSIGNAL;
        sendmsg::<()>(socket.as_raw_fd(), &iov, &[] as &[ControlMessage<'_>], flags, None)
            .map(drop)
            .map_err(|errno| match errno {
                Errno::EPIPE | Errno::ECONNRESET => CriuError::Closed,
                errno => CriuError::Socket("sendmsg", errno),
            })
    }

    fn receive(&self) -> Result<(Criu_resp, Option<OwnedFd>), CriuError> {
        let socket = self.socket()?.as_raw_fd();
        let mut packet = vec![0; ANSWER];
        let mut space = nix::cmsg_space!([i32; 1]);
        let (len, fd) = loop {
            let mut iov = [IoSliceMut::new(&mut packet)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<()>(socket, &mut iov, Some(&mut space), flags) {
                Err(Errno::EINTR) => {}
                Err(Errno::ECONNRESET) => return Err(CriuError::Closed),
                Err(errno) => return Err(CriuError::Socket("recvmsg", errno)),
                Ok(message) => {
                    let control =
                        message.cmsgs().map_err(|errno| CriuError::Socket("recvmsg", errno))?;
                    let rights = control.filter_map(|control| match control {
                        ControlMessageOwned::ScmRights(fds) => Some(fds),
                        _ => None,
                    });
                    let fds: Vec<OwnedFd> = rights.flatten().map(sys::own_fd).collect();
                    break (message.bytes, fds.into_iter().next());
                }
            }
        };
        match packet.get(..len) {
            None | Some([]) => Err(CriuError::Closed),
            Some(bytes) => Criu_resp::parse_from_bytes(bytes)
                .map(|answer| (answer, fd))
                .map_err(|error| CriuError::Response(error.to_string())),
        }
    }
}

impl Drop for Swrk {
    /// A CRIU that nobody talks to any more undoes what it did and ends.
    fn drop(&mut self) {
        self.socket = None;
        spawn::reap_if_child(&self.pidfd);
    }
}

/// In the new process: becomes CRIU.
fn become_criu(
    launch: &Launch<'_>,
    channel: &Channel,
    prepare: &dyn Fn() -> Result<()>,
) -> Result<Infallible> {
    // The folders are named to CRIU as descriptors of the process that made the socket (SO_PEERCRED,
    // unix(7)). That is CRIU itself, because it mounts in the working folder: it must be one of CRIU's mount
    // namespace.
    let (client, server) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .call(|| "socketpair".to_owned())?;
    channel::send_fds(channel.as_fd(), b"criu", &[client.as_fd()])
        .call(|| "send criu's socket".to_owned())?;
    drop(client);
    if let Some(cgroup) = launch.cgroup {
        cgroup.enter(true).call(|| "join the container's cgroup".to_owned())?;
    }
    spawn::own_signals()?;
    prepare()?;
    if !launch.streams {
        let null = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .call(|| "open /dev/null".to_owned())?;
        for dup in
            [rustix::stdio::dup2_stdin, rustix::stdio::dup2_stdout, rustix::stdio::dup2_stderr]
        {
            dup(&null).call(|| "dup2 /dev/null".to_owned())?;
        }
    }
    let mut keep = vec![server.as_fd()];
    keep.extend(&launch.inherit);
    if let Some(folders) = launch.folders {
        if launch.own_mounts {
            folders.reopen()?;
        }
        keep.extend(folders.fds());
    }
    let with_channel: Vec<_> = keep.iter().copied().chain([channel.as_fd()]).collect();
    spawn::close_others(0, &with_channel)?;
    for fd in keep {
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())
            .call(|| "fcntl F_SETFD".to_owned())?;
    }
    let number = CString::new(server.as_raw_fd().to_string()).unwrap_or_default();
    let args = [c"criu".to_owned(), c"swrk".to_owned(), number];
    nix::unistd::execvp(c"criu", &args).map_err(|errno| Error::Exec {
        program: "criu".to_owned(),
        problem: match errno {
            Errno::ENOENT => "executable file not found in $PATH".to_owned(),
            errno => OsError(errno).to_string(),
        },
    })
}

fn request_of(kind: Criu_req_type) -> Criu_req {
    Criu_req { type_: Some(kind.into()), ..Default::default() }
}

/// A request with options.
pub(super) fn request(
    kind: Criu_req_type,
    options: rust_criu::rust_criu_protobuf::rpc::Criu_opts,
) -> Criu_req {
    Criu_req { opts: Some(options).into(), ..request_of(kind) }
}

/// Asks a CRIU of its own, which does nothing else.
fn ask(request: &Criu_req) -> Result<Criu_resp> {
    let swrk = Swrk::start(&Launch::default(), &|| Ok(()))?;
    let answer = swrk.request(request, &mut |_, _| Ok(()))?;
    swrk.end(true)?;
    Ok(answer)
}

/// CRIU's version, which must be [`OLDEST`] at least: 31700 is 3.17. One built from a repository counts as the
/// next minor version, as with runc.
pub(super) fn version() -> Result<u32> {
    let answer = ask(&request_of(Criu_req_type::VERSION))
        .map_err(|error| CriuError::Version(Box::new(error)))?;
    let found = answer.version.as_ref().map_or(0, number);
    tracing::debug!("Using CRIU {found}");
    match found >= OLDEST {
        true => Ok(found),
        false => Err(CriuError::TooOld { found, needed: OLDEST }.into()),
    }
}

fn number(version: &Criu_version) -> u32 {
    let part = |number: i32| u32::try_from(number).unwrap_or(0);
    let minor = part(version.major_number()) * 10_000 + part(version.minor_number()) * 100;
    match version.gitid.is_some() {
        true => minor + 100,
        false => minor + part(version.sublevel()),
    }
}

/// Something that CRIU may be without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feature {
    /// Telling which pages were written to.
    MemTrack,
    /// userfaultfd(2) as a restore needs it.
    LazyPages,
}

/// That CRIU has this feature, here.
pub(super) fn require(feature: Feature) -> Result<()> {
    let mut wanted = Criu_features::default();
    match feature {
        Feature::MemTrack => wanted.mem_track = Some(true),
        Feature::LazyPages => wanted.lazy_pages = Some(true),
    }
    let request =
        Criu_req { features: Some(wanted).into(), ..request_of(Criu_req_type::FEATURE_CHECK) };
    let answer = ask(&request).map_err(|error| CriuError::FeatureCheck(Box::new(error)))?;
    let has = answer.features.as_ref();
    // What it says nothing about it may have.
    let (name, lacking) = match feature {
        Feature::MemTrack => ("MemTrack", has.and_then(|has| has.mem_track) == Some(false)),
        Feature::LazyPages => ("LazyPages", has.and_then(|has| has.lazy_pages) == Some(false)),
    };
    match lacking {
        true => Err(CriuError::MissingFeature(name).into()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A conversation with a CRIU that says these answers.
    fn played(answers: &[Criu_resp]) -> (Swrk, OwnedFd) {
        let (socket, server) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .unwrap();
        for answer in answers {
            nix::unistd::write(&server, &answer.write_to_bytes().unwrap()).unwrap();
        }
        let own = rustix::process::pidfd_open(
            rustix::process::getpid(),
            rustix::process::PidfdFlags::empty(),
        );
        (Swrk { pid: 0, pidfd: own.unwrap(), socket: Some(socket) }, server)
    }

    /// The least that a request must say.
    fn folders() -> rust_criu::rust_criu_protobuf::rpc::Criu_opts {
        rust_criu::rust_criu_protobuf::rpc::Criu_opts {
            images_dir_fd: Some(3),
            ..Default::default()
        }
    }

    fn answer(kind: Criu_req_type, success: bool) -> Criu_resp {
        Criu_resp { type_: Some(kind.into()), success: Some(success), ..Default::default() }
    }

    fn notification(script: &str) -> Criu_resp {
        let notify = Criu_notify { script: Some(script.to_owned()), ..Default::default() };
        Criu_resp { notify: Some(notify).into(), ..answer(Criu_req_type::NOTIFY, true) }
    }

    fn heard(server: &OwnedFd) -> Criu_req {
        let mut packet = [0; 4096];
        let len = nix::unistd::read(server, &mut packet).unwrap();
        Criu_req::parse_from_bytes(&packet[..len]).unwrap()
    }

    #[test]
    fn notifications_are_answered_until_the_end() {
        let dump = Criu_req_type::DUMP;
        let (swrk, server) =
            played(&[notification("pre-dump"), notification("post-dump"), answer(dump, true)]);
        let mut scripts = Vec::new();
        let mut note = |notify: &Criu_notify, fd: Option<OwnedFd>| {
            assert!(fd.is_none());
            scripts.push(notify.script().to_owned());
            Ok(())
        };
        swrk.request(&request(dump, folders()), &mut note).unwrap();
        assert_eq!(scripts, ["pre-dump", "post-dump"]);
        assert_eq!(heard(&server).type_(), dump);
        for _ in 0..2 {
            let leave = heard(&server);
            assert_eq!((leave.type_(), leave.notify_success()), (Criu_req_type::NOTIFY, true));
        }
    }

    #[test]
    fn a_notification_may_stop_it() {
        let (swrk, server) = played(&[notification("setup-namespaces")]);
        let request = request(Criu_req_type::RESTORE, folders());
        let error = swrk.request(&request, &mut |_, _| Err(Error::NotRunning)).unwrap_err();
        assert!(matches!(error, Error::NotRunning));
        heard(&server);
        let leave = heard(&server);
        assert!(leave.has_notify_success() && !leave.notify_success());
    }

    #[test]
    fn failures_are_told_by_kind_and_number() {
        let mut failed = answer(Criu_req_type::DUMP, false);
        failed.set_cr_errno(52);
        for (played_answers, text) in [
            (vec![failed], "criu failed: type DUMP errno 52"),
            (vec![answer(Criu_req_type::VERSION, true)], "unable to parse the response: VERSION"),
        ] {
            let (swrk, _server) = played(&played_answers);
            let request = request(Criu_req_type::DUMP, folders());
            let error = swrk.request(&request, &mut |_, _| Ok(())).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
        let (swrk, server) = played(&[]);
        drop(server);
        let gone = swrk.request(&request(Criu_req_type::DUMP, folders()), &mut |_, _| Ok(()));
        assert_eq!(gone.unwrap_err().to_string(), "criu: unexpected EOF");
    }

    #[test]
    fn versions_count_as_in_runc() {
        let version = |major, minor, sublevel, git: Option<&str>| {
            number(&Criu_version {
                major_number: Some(major),
                minor_number: Some(minor),
                sublevel,
                gitid: git.map(str::to_owned),
                ..Default::default()
            })
        };
        assert_eq!(version(3, 17, Some(1), None), 31_701);
        assert_eq!(version(4, 2, None, None), 40_200);
        assert_eq!(version(4, 1, Some(1), Some("v4.1")), 40_200);
    }
}
