//! How the processes that make a container talk: one SOCK_SEQPACKET pair, a packet a message.
//!
//! docs/architecture.md draws the conversation. A closed socket always means that the other side is
//! gone, so nobody can wait for ever.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};

use crate::sys;

/// What is said. Parent to child: `Mapped`, `Hooked`, `Start`. Child to parent: all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// The user namespace has its id mappings, and the process is in the cgroup that systemd made.
    Mapped,
    /// The mounts of the rootfs are done; the hooks of the runtime namespace may run.
    Mounted,
    /// The network is up and the hooks of the runtime namespace have run.
    Hooked,
    /// All is set up but the privileges' last step; waits for `Start`.
    Ready,
    /// Execute the process.
    Start,
    /// The intermediate process made init, with this pid.
    Pid(i32),
    /// The source of this entry of `mounts` is wanted, opened by the parent; the answer is a
    /// descriptor.
    OpenSource(i32),
    /// A seccomp listener waits at this descriptor of the child.
    SeccompListener(i32),
    /// The listener has been taken.
    ListenerTaken,
    /// It went wrong; the text is for the user.
    Failed(String),
}

impl Message {
    /// The error of whoever expected something else.
    pub(crate) fn out_of_turn(&self) -> ChannelError {
        ChannelError::Unexpected(format!("{self:?}"))
    }
}

/// What can go wrong in the conversation.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The other side ended without a word.
    #[error("the other process ended without saying why")]
    Closed,
    /// A message out of turn.
    #[error("unexpected message {0}")]
    Unexpected(String),
    /// A packet that is no message.
    #[error("malformed message of {0} bytes")]
    Malformed(usize),
    /// The other side reports an error.
    #[error("{0}")]
    Failed(String),
    /// The socket failed.
    #[error("{0}: {1}")]
    Socket(&'static str, Errno),
}

/// The largest message; longer error texts are cut.
const MAX_PACKET: usize = 64 * 1024;

/// One end of the conversation.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// The two ends.
    pub(crate) fn pair() -> Result<(Self, Self), ChannelError> {
        let (a, b) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .map_err(|errno| ChannelError::Socket("socketpair", errno))?;
        Ok((Self(a), Self(b)))
    }

    /// The conversation over a connected SOCK_SEQPACKET socket.
    pub(crate) fn from_socket(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Sends one message.
    pub(crate) fn send(&self, message: &Message) -> Result<(), ChannelError> {
        let packet = encode(message);
        let iov = [IoSlice::new(&packet)];
        retry(|| sendmsg::<()>(self.0.as_raw_fd(), &iov, &[], MsgFlags::MSG_NOSIGNAL, None))
            .map(drop)
            .map_err(|errno| match errno {
                Errno::EPIPE | Errno::ECONNRESET => ChannelError::Closed,
                errno => ChannelError::Socket("sendmsg", errno),
            })
    }

    /// Waits for the next message. `Failed` becomes an error.
    pub(crate) fn receive(&self) -> Result<Message, ChannelError> {
        let mut packet = vec![0; MAX_PACKET];
        let len = loop {
            match nix::sys::socket::recv(self.0.as_raw_fd(), &mut packet, MsgFlags::empty()) {
                // The other side closed without reading all of ours. The kernel says this once, and
                // before what is still to be read: its last words.
                Err(Errno::EINTR | Errno::ECONNRESET) => {}
                result => break result.map_err(|errno| ChannelError::Socket("recv", errno))?,
            }
        };
        match decode(packet.get(..len).unwrap_or_default())? {
            Message::Failed(text) => Err(ChannelError::Failed(text)),
            message => Ok(message),
        }
    }

    /// Waits for exactly this message.
    pub(crate) fn expect(&self, wanted: &Message) -> Result<(), ChannelError> {
        match self.receive()? {
            message if message == *wanted => Ok(()),
            message => Err(message.out_of_turn()),
        }
    }

    /// Whether the other side has already gone.
    pub(crate) fn is_closed(&self) -> bool {
        let mut fds = [nix::poll::PollFd::new(self.0.as_fd(), nix::poll::PollFlags::empty())];
        nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO).is_ok_and(|ready| {
            ready > 0 && fds[0].revents().is_some_and(|e| e.contains(nix::poll::PollFlags::POLLHUP))
        })
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

fn encode(message: &Message) -> Vec<u8> {
    let (tag, payload): (u8, Vec<u8>) = match message {
        Message::Mapped => (1, vec![]),
        Message::Mounted => (2, vec![]),
        Message::Hooked => (3, vec![]),
        Message::Ready => (4, vec![]),
        Message::Start => (5, vec![]),
        Message::Pid(pid) => (6, pid.to_ne_bytes().to_vec()),
        Message::SeccompListener(fd) => (7, fd.to_ne_bytes().to_vec()),
        Message::ListenerTaken => (8, vec![]),
        Message::OpenSource(index) => (10, index.to_ne_bytes().to_vec()),
        Message::Failed(text) => (9, text.bytes().take(MAX_PACKET - 1).collect()),
    };
    let mut packet = vec![tag];
    packet.extend(payload);
    packet
}

fn decode(packet: &[u8]) -> Result<Message, ChannelError> {
    let malformed = || ChannelError::Malformed(packet.len());
    let (tag, payload) = packet.split_first().ok_or(ChannelError::Closed)?;
    let number = || payload.try_into().map(i32::from_ne_bytes).map_err(|_| malformed());
    Ok(match tag {
        1 => Message::Mapped,
        2 => Message::Mounted,
        3 => Message::Hooked,
        4 => Message::Ready,
        5 => Message::Start,
        6 => Message::Pid(number()?),
        7 => Message::SeccompListener(number()?),
        8 => Message::ListenerTaken,
        9 => Message::Failed(String::from_utf8_lossy(payload).into_owned()),
        10 => Message::OpenSource(number()?),
        _ => return Err(malformed()),
    })
}

/// Sends descriptors with a text over a connected AF_UNIX socket (SCM_RIGHTS).
pub(crate) fn send_fds(
    socket: BorrowedFd<'_>,
    text: &[u8],
    fds: &[BorrowedFd<'_>],
) -> nix::Result<()> {
    let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let iov = [IoSlice::new(text)];
    let control = [ControlMessage::ScmRights(&raw)];
    retry(|| sendmsg::<()>(socket.as_raw_fd(), &iov, &control, MsgFlags::MSG_NOSIGNAL, None))
        .map(drop)
}

/// Receives one descriptor that was sent by [`send_fds`]; `None` when the other side has gone.
pub(crate) fn receive_fd(socket: BorrowedFd<'_>) -> nix::Result<Option<OwnedFd>> {
    let mut text = [0; 4096];
    let mut space = nix::cmsg_space!([i32; 1]);
    let mut iov = [IoSliceMut::new(&mut text)];
    let message = loop {
        match recvmsg::<()>(
            socket.as_raw_fd(),
            &mut iov,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        ) {
            Err(Errno::EINTR) => {}
            result => break result?,
        }
    };
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            return Ok(fds.first().map(|raw| sys::own_fd(*raw)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_wire() {
        let (a, b) = Channel::pair().unwrap();
        for message in [
            Message::Mapped,
            Message::Mounted,
            Message::Hooked,
            Message::Ready,
            Message::Start,
            Message::Pid(4711),
            Message::SeccompListener(7),
            Message::ListenerTaken,
            Message::OpenSource(3),
        ] {
            a.send(&message).unwrap();
            assert_eq!(b.receive().unwrap(), message);
        }
        a.send(&Message::Failed("no".into())).unwrap();
        assert!(matches!(b.receive(), Err(ChannelError::Failed(text)) if text == "no"));
    }

    #[test]
    fn a_closed_end_is_seen() {
        let (a, b) = Channel::pair().unwrap();
        assert!(!a.is_closed());
        drop(b);
        assert!(a.is_closed());
        assert!(matches!(a.receive(), Err(ChannelError::Closed)));
        assert!(matches!(a.send(&Message::Ready), Err(ChannelError::Closed)));
    }

    #[test]
    fn last_words_are_heard_by_who_was_not_listened_to() {
        let (a, b) = Channel::pair().unwrap();
        a.send(&Message::Hooked).unwrap();
        b.send(&Message::Failed("why".into())).unwrap();
        drop(b);
        assert!(matches!(a.receive(), Err(ChannelError::Failed(text)) if text == "why"));
    }

    #[test]
    fn noise_is_refused() {
        for packet in [&[0u8][..], &[99], &[6], &[6, 1, 2], &[7, 1, 2, 3, 4, 5]] {
            assert!(matches!(decode(packet), Err(ChannelError::Malformed(_))), "{packet:?}");
        }
        assert!(matches!(decode(&[]), Err(ChannelError::Closed)));
    }
}
