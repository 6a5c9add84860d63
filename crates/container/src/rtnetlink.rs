//! A rtnetlink(7) socket: as much of it as moving a network device takes.

use std::io;
use std::os::fd::BorrowedFd;

use netlink_packet_core::{
    DecodeError, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, Parseable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::sched::{CloneFlags, setns};

/// How often a list is asked for again because it changed while it was given.
const DUMP_ATTEMPTS: usize = 16;

/// A socket of one network namespace, wherever its user is.
pub(crate) struct RouteSocket {
    socket: Socket,
    sequence: u32,
}

/// Runs `work` on a thread that enters the network namespace `netns` and ends there.
fn within<T: Send>(
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let enter = || {
        setns(netns, CloneFlags::CLONE_NEWNET)?;
        work()
    };
    std::thread::scope(|scope| scope.spawn(enter).join())
        .unwrap_or_else(|_| Err(io::Error::other("thread panicked")))
}

/// Sets `lo` up in the network namespace `netns`.
pub(crate) fn loopback_up(netns: BorrowedFd<'_>) -> io::Result<()> {
    within(netns, || Ok(crate::sys::loopback_up()?))
}

impl RouteSocket {
    /// In the caller's network namespace.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        Ok(Self { socket, sequence: 0 })
    }

    /// In network namespace `netns`. The caller stays where it is: a thread of its own enters the
    /// namespace and ends.
    pub(crate) fn open_in(netns: BorrowedFd<'_>) -> io::Result<Self> {
        within(netns, Self::open)
    }

    /// Asks for a change, and waits for the kernel to have made it.
    pub(crate) fn change(&mut self, request: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.exchange(request, NLM_F_ACK | flags).map(drop)
    }

    /// Asks for one object.
    pub(crate) fn get(&mut self, request: RouteNetlinkMessage) -> io::Result<RouteNetlinkMessage> {
        let answer = self.exchange(request, NLM_F_ACK)?;
        answer.messages.into_iter().next().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Asks for all objects of a kind.
    pub(crate) fn dump(
        &mut self,
        request: &RouteNetlinkMessage,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        for _ in 0..DUMP_ATTEMPTS {
            let answer = self.exchange(request.clone(), NLM_F_DUMP)?;
            if !answer.interrupted {
                return Ok(answer.messages);
            }
        }
        Err(io::Error::from_raw_os_error(libc::EINTR))
    }

    fn exchange(&mut self, request: RouteNetlinkMessage, flags: u16) -> io::Result<Answer> {
        self.sequence += 1;
        let mut request = NetlinkMessage::from(request);
        request.header.flags = NLM_F_REQUEST | flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answer = Answer::default();
        while !answer.complete {
            let (bytes, _) = self.socket.recv_from_full()?;
            answer.read(&bytes, self.sequence)?;
        }
        Ok(answer)
    }
}

/// The answers to the questions asked here: the library's own type would bring the readers of every
/// message of route netlink into the program.
struct Reply(RouteNetlinkMessage);

impl NetlinkDeserializable for Reply {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        match header.message_type {
            libc::RTM_NEWLINK => LinkMessage::parse(payload).map(RouteNetlinkMessage::NewLink),
            libc::RTM_NEWADDR => {
                AddressMessage::parse(payload).map(RouteNetlinkMessage::NewAddress)
            }
            other => Err(DecodeError::from(format!("unexpected message of type {other}"))),
        }
        .map(Self)
    }
}

/// What the kernel says to one request.
#[derive(Default)]
struct Answer {
    messages: Vec<RouteNetlinkMessage>,
    /// The list changed in between: something may be missing (`NLM_F_DUMP_INTR`).
    interrupted: bool,
    complete: bool,
}

impl Answer {
    /// Reads one datagram, of one or more messages (netlink(7)).
    fn read(&mut self, mut bytes: &[u8], sequence: u32) -> io::Result<()> {
        let broken = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        while !bytes.is_empty() {
            let message = NetlinkMessage::<Reply>::deserialize(bytes).map_err(broken)?;
            let length = (message.header.length as usize).next_multiple_of(4);
            bytes = bytes.get(length.max(4)..).unwrap_or_default();
            if message.header.sequence_number != sequence {
                continue;
            }
            self.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
            match message.payload {
                NetlinkPayload::InnerMessage(Reply(message)) => self.messages.push(message),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Done(done) if done.code != 0 => {
                    return Err(io::Error::from_raw_os_error(done.code.abs()));
                }
                NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => self.complete = true,
                _ => {}
            }
        }
        Ok(())
    }
}
