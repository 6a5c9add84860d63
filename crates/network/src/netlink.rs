//! Route netlink (rtnetlink(7)): many requests in one system call, answers by blocking.
//!
//! The messages are built with the `rtnetlink` crate. Its async connection is not used: it costs a
//! runtime, an epoll instance and a thread switch of control for what is one `send` and one `recv` here,
//! and it cannot put several requests into one datagram.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use rtnetlink::packet_core::{
    DecodeError, ErrorMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NlasIterator, Parseable,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::AddressMessage;
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::{Error, Refusal, Result};

/// More than the kernel puts into one datagram of a dump (`NLMSG_GOODSIZE` grows to 32 KiB).
const BUFFER: usize = 32 * 1024;
/// `struct nlmsghdr`, repeated in an error message before its attributes.
const HEADER: usize = 16;
/// `NLMSGERR_ATTR_MSG` of linux/netlink.h.
const ATTR_MSG: u16 = 1;

/// A conversation with the route netlink of the network namespace it was opened in.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

/// One request, with the words for its failure.
pub(crate) struct Request {
    object: String,
    action: &'static str,
    message: RouteNetlinkMessage,
    flags: u16,
    forgiven: &'static [Errno],
}

impl Request {
    pub(crate) fn new(
        object: impl Into<String>,
        action: &'static str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Self {
        Self { object: object.into(), action, message, flags, forgiven: &[] }
    }

    /// These refusals count as success.
    pub(crate) fn forgive(self, forgiven: &'static [Errno]) -> Self {
        Self { forgiven, ..self }
    }

    fn refused(&self, message: &ErrorMessage) -> Option<Error> {
        let code = message.code?;
        let errno = Errno::from_raw(code.get().saturating_neg());
        if self.forgiven.contains(&errno) {
            return None;
        }
        let source = Refusal { errno, hint: hint(message) };
        Some(Error::Kernel { object: self.object.clone(), action: self.action, source })
    }
}

/// The kernel's words about a refusal.
fn hint(message: &ErrorMessage) -> Option<String> {
    let attributes = message.header.get(HEADER..)?;
    let attribute =
        NlasIterator::new(attributes).filter_map(|nla| nla.ok()).find(|nla| nla.kind() == ATTR_MSG);
    let text = attribute?.value().to_vec();
    Some(String::from_utf8_lossy(&text).trim_end_matches('\0').to_owned())
}

impl Netlink {
    /// Opens a socket in the calling thread's network namespace. It stays there, whoever uses it.
    pub(crate) fn open() -> Result<Self> {
        let fail = |call| move |source| Error::Socket { call, source };
        let socket = Socket::new(NETLINK_ROUTE).map_err(fail("socket"))?;
        // Only the errors' headers come back, with the kernel's words; both are only for better errors
        // and less copying, so an old kernel may refuse them.
        let _ = socket.set_cap_ack(true);
        let _ = socket.set_ext_ack(true);
        // Dumps are filtered by the kernel (Linux 4.20); without it they are only longer, and every
        // reader here filters again.
        let _ = socket.set_netlink_get_strict_chk(true);
        socket.connect(&SocketAddr::new(0, 0)).map_err(fail("connect"))?;
        Ok(Self { socket, sequence: 0, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Sends all requests at once; the kernel works through them in order. The first refusal that is not
    /// forgiven is returned, though the requests after it have been tried as well.
    pub(crate) fn tell(&mut self, requests: &[Request]) -> Result<()> {
        let Some(last) = requests.len().checked_sub(1) else { return Ok(()) };
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::with_capacity(1024);
        for (at, request) in requests.iter().enumerate() {
            // A refusal always comes back; success needs to be confirmed only once.
            let ack = if at == last { NLM_F_ACK } else { 0 };
            self.append(&mut bytes, request, request.flags | ack);
        }
        self.send(&bytes)?;
        let mut failure = None;
        loop {
            for reply in self.receive(&requests[last])? {
                let NetlinkPayload::Error(error) = &reply.payload else { continue };
                let at = reply.header.sequence_number.wrapping_sub(first) as usize;
                let Some(request) = requests.get(at) else { continue };
                failure = failure.or_else(|| request.refused(error));
                if at == last {
                    return failure.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// Asks one question that has one answer; `None` where the kernel's refusal is forgiven.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Option<RouteNetlinkMessage>> {
        let mut bytes = Vec::with_capacity(128);
        self.append(&mut bytes, request, request.flags);
        self.send(&bytes)?;
        loop {
            for reply in self.receive(request)? {
                if reply.header.sequence_number != self.sequence {
                    continue;
                }
                match reply.payload {
                    NetlinkPayload::InnerMessage(Reply(message)) => return Ok(Some(message)),
                    NetlinkPayload::Error(error) => {
                        return request.refused(&error).map_or(Ok(None), Err);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Asks for a list.
    pub(crate) fn dump(&mut self, request: &Request) -> Result<Vec<RouteNetlinkMessage>> {
        let mut bytes = Vec::with_capacity(128);
        self.append(&mut bytes, request, request.flags | NLM_F_DUMP);
        self.send(&bytes)?;
        let mut answers = Vec::new();
        loop {
            for reply in self.receive(request)? {
                if reply.header.sequence_number != self.sequence {
                    continue;
                }
                match reply.payload {
                    NetlinkPayload::InnerMessage(Reply(message)) => answers.push(message),
                    NetlinkPayload::Done(_) => return Ok(answers),
                    NetlinkPayload::Error(error) => {
                        return request.refused(&error).map_or(Ok(answers), Err);
                    }
                    _ => {}
                }
            }
        }
    }

    /// The request's bytes and the socket, for someone else to send.
    pub(crate) fn message(&mut self, request: &Request) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        self.append(&mut bytes, request, request.flags);
        bytes
    }

    fn append(&mut self, bytes: &mut Vec<u8>, request: &Request, flags: u16) {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let payload = NetlinkPayload::InnerMessage(request.message.clone());
        let mut message = NetlinkMessage::new(header, payload);
        message.finalize();
        let start = bytes.len();
        // NLMSG_ALIGN: messages of one datagram start at multiples of four.
        bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
        message.serialize(&mut bytes[start..]);
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        match self.socket.send(bytes, 0) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.send(bytes),
            Err(source) => Err(Error::Socket { call: "send", source }),
        }
    }

    fn receive(&mut self, request: &Request) -> Result<Vec<NetlinkMessage<Reply>>> {
        self.buffer.clear();
        while let Err(source) = self.socket.recv(&mut self.buffer, 0) {
            if source.kind() != io::ErrorKind::Interrupted {
                return Err(Error::Socket { call: "recv", source });
            }
        }
        let unreadable = |reason: String| Error::Reply {
            object: request.object.clone(),
            action: request.action,
            reason,
        };
        let mut messages = Vec::new();
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<Reply>::deserialize(rest)
                .map_err(|error| unreadable(error.to_string()))?;
            let length = (message.header.length as usize).next_multiple_of(4);
            if length < HEADER {
                return Err(unreadable(format!("a message of {length} bytes")));
            }
            rest = rest.get(length..).unwrap_or_default();
            messages.push(message);
        }
        Ok(messages)
    }
}

/// What the kernel answers to the questions asked here. The library's own type knows every message of
/// route netlink, of which a program that never sees them need not hold the readers.
#[derive(Debug)]
struct Reply(RouteNetlinkMessage);

impl NetlinkDeserializable for Reply {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        match header.message_type {
            libc::RTM_NEWLINK => LinkMessage::parse(payload).map(RouteNetlinkMessage::NewLink),
            libc::RTM_NEWADDR => {
                AddressMessage::parse(payload).map(RouteNetlinkMessage::NewAddress)
            }
            libc::RTM_NEWROUTE => RouteMessage::parse(payload).map(RouteNetlinkMessage::NewRoute),
            other => Err(DecodeError::from(format!("unexpected message of type {other}"))),
        }
        .map(Self)
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
