//! The connection to the kernel.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce, SndBuf, SndBufForce};
use nix::sys::socket::{MsgFlags, setsockopt};

use crate::attr::find;
use crate::element::Read;
use crate::error::{Error, Failure, Result};
use crate::message::{Content, Message, messages};
use crate::uapi::*;
use crate::{Batch, Comment, Element, Set, Table, TableInfo, Value};

/// A connection to nf_tables of the network namespace in which it was opened.
///
/// Opening needs no privilege; whatever is asked or changed needs CAP_NET_ADMIN in the user namespace that
/// owns the network namespace.
#[derive(Debug)]
pub struct Nft {
    socket: Socket,
    sequence: u32,
    /// What a send may hold and a receive queue may hold, in bytes, as asked for so far.
    send_size: usize,
    receive_size: usize,
    buffer: Vec<u8>,
}

/// The kernel sends nf_tables objects in datagrams of up to this size (`NLMSG_GOODSIZE`, or a page above
/// it), and what is larger is flagged as truncated.
const DATAGRAM: usize = 64 * 1024;
/// What an answer takes of the receive queue: an skb with its data, rounded up.
const ANSWER_COST: usize = 1024;
/// Answers to more refused messages than this get lost, which loses no more than detail.
const ANSWERS: usize = 4096;
/// `net.core.wmem_default` and `rmem_default` where nobody changed them; less than is there costs no more
/// than one needless setsockopt.
const DEFAULT_SIZE: usize = 128 * 1024;

impl Nft {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`Error::Socket`]: EPROTONOSUPPORT where the kernel is without nfnetlink.
    pub fn open() -> Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(failed("socket"))?;
        socket.bind_auto().map_err(failed("bind"))?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(failed("connect"))?;
        // Answers without a copy of the question, and with the kernel's words.
        socket.set_cap_ack(true).map_err(failed("setsockopt NETLINK_CAP_ACK"))?;
        socket.set_ext_ack(true).map_err(failed("setsockopt NETLINK_EXT_ACK"))?;
        Ok(Self {
            socket,
            sequence: 0,
            send_size: DEFAULT_SIZE,
            receive_size: DEFAULT_SIZE,
            buffer: Vec::with_capacity(DATAGRAM),
        })
    }

    /// Makes all changes of a batch, or none.
    ///
    /// An acknowledgement is asked for the last change. The kernel answers when it is done with the
    /// batch, in the order of the messages: every refusal, and that acknowledgement behind them. (One
    /// for the end of the batch would be simpler, but only kernels from 6.10 on send it.)
    ///
    /// # Errors
    ///
    /// [`Error::Batch`] with every message refused.
    pub fn commit(&mut self, batch: &Batch) -> Result<()> {
        let steps = batch.steps();
        if steps.is_empty() {
            return Ok(());
        }
        let opening = self.next_sequence(steps.len() as u32 + 2);
        let size: usize = steps.iter().map(|step| step.message.len()).sum();
        let mut bytes = Vec::with_capacity(size + 64);
        Message::bracket(NFNL_MSG_BATCH_BEGIN).write(&mut bytes, 0, opening);
        let mut sequence = opening;
        for (index, step) in steps.iter().enumerate() {
            sequence = sequence.wrapping_add(1);
            let ack = if index + 1 == steps.len() { NLM_F_ACK } else { 0 };
            step.message.write(&mut bytes, ack, sequence);
        }
        Message::bracket(NFNL_MSG_BATCH_END).write(&mut bytes, 0, sequence.wrapping_add(1));
        self.make_room(bytes.len(), steps.len())?;
        self.send(&bytes)?;
        self.outcome(batch, opening)
    }

    /// Makes all changes of a batch except deletions of what is gone already.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit), where something else is refused.
    pub fn commit_deletions(&mut self, batch: &mut Batch) -> Result<()> {
        loop {
            match self.commit(batch) {
                Err(error) if error.failures().count() > 0 => {
                    let missing = |failure: &Failure| {
                        failure.errno == Errno::ENOENT && failure.operation.starts_with("delete")
                    };
                    if !error.failures().all(missing) {
                        return Err(error);
                    }
                    batch.remove(error.failures().map(|failure| failure.index));
                }
                done => return done,
            }
        }
    }

    /// Looks a table up: one short question.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], for example with EPERM; a table that does not exist is no error.
    pub fn table(&mut self, table: Table<'_>) -> Result<Option<TableInfo>> {
        let message = Message::new(NFT_MSG_GETTABLE, 0, table.family.number(), |attrs| {
            attrs.text(NFTA_TABLE_NAME, table.name);
        });
        let mut info = None;
        let asked = ("get table", table.to_string());
        let answered = self.ask(&message, 0, &asked, |object| {
            let comment = find(object, NFTA_TABLE_USERDATA).and_then(Comment::decode);
            info = Some(TableInfo { comment });
            true
        });
        found(answered)?;
        Ok(info)
    }

    /// All elements of a set, in no order that means anything.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], with ENOENT where there is no such set. [`Error::Reply`] where the set is of
    /// another kind than `set` says, or changed while it was being listed.
    pub fn elements(&mut self, set: Set<'_>) -> Result<Vec<Element>> {
        let message = Message::new(NFT_MSG_GETSETELEM, 0, set.table.family.number(), |attrs| {
            attrs.text(NFTA_SET_ELEM_LIST_TABLE, set.table.name);
            attrs.text(NFTA_SET_ELEM_LIST_SET, set.name);
        });
        self.read_elements(set, &message, NLM_F_DUMP, ("list set", set.to_string()))
    }

    /// The element with this key; of a set of intervals, the one with exactly this interval.
    ///
    /// # Errors
    ///
    /// As [`elements`](Self::elements); an element, set or table that does not exist is no error.
    pub fn element(&mut self, set: Set<'_>, key: &[Value]) -> Result<Option<Element>> {
        let wanted = Element::new(key);
        let read = if set.interval && !set.is_concatenation() {
            // To one bound of an interval, the kernel answers with any interval that has the value.
            self.elements(set)
        } else {
            let message = Message::new(NFT_MSG_GETSETELEM, 0, set.table.family.number(), |attrs| {
                wanted.encode(attrs, &set, false);
            });
            self.read_elements(set, &message, 0, ("get element", format!("{set} {wanted}")))
        };
        let elements = found(read)?.unwrap_or_default();
        Ok(elements.into_iter().find(|element| element.has_key_of(&wanted)))
    }

    fn read_elements(
        &mut self,
        set: Set<'_>,
        message: &Message,
        flags: u16,
        asked: (&'static str, String),
    ) -> Result<Vec<Element>> {
        let mut reads = Vec::new();
        self.ask(message, flags, &asked, |object| {
            Read::list(&set, object).map(|list| reads.extend(list)).is_some()
        })?;
        let (operation, object) = asked;
        let reason = "the elements are not what such a set holds";
        Read::join(&set, reads).ok_or(Error::Reply { operation, object, reason })
    }

    /// Asks a question and passes each object of the answer on, until one is not understood.
    fn ask(
        &mut self,
        message: &Message,
        flags: u16,
        (operation, object): &(&'static str, String),
        mut each: impl FnMut(&[u8]) -> bool,
    ) -> Result<()> {
        let reply = |reason| Error::Reply { operation, object: object.clone(), reason };
        let sequence = self.next_sequence(1);
        let mut bytes = Vec::with_capacity(message.len());
        // With an acknowledgement, the end of a single answer is as plain as that of a dump.
        message.write(&mut bytes, flags | NLM_F_ACK, sequence);
        self.send(&bytes)?;
        let mut interrupted = false;
        let mut understood = true;
        loop {
            if !matches!(self.receive(MsgFlags::empty())?, Queue::Datagram) {
                return Err(reply("the answer was too long for the socket"));
            }
            let ours = messages(&self.buffer).filter(|message| message.sequence == sequence);
            for message in ours {
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.content {
                    Content::Object(object) => understood &= each(object),
                    Content::Refused { errno, hint } => {
                        let object = object.clone();
                        return Err(Error::Refused(Failure {
                            index: 0,
                            operation,
                            object,
                            errno,
                            hint,
                        }));
                    }
                    Content::Ack | Content::Done if !understood => {
                        return Err(reply("an attribute is missing or malformed"));
                    }
                    Content::Ack | Content::Done if interrupted => {
                        return Err(reply("it changed while it was being listed"));
                    }
                    Content::Ack | Content::Done => return Ok(()),
                }
            }
        }
    }

    /// Collects the answers to a batch. They are all in the queue: nfnetlink works while we send.
    fn outcome(&mut self, batch: &Batch, opening: u32) -> Result<()> {
        let steps = batch.steps();
        let whole = || ("commit", format!("a batch of {} messages", steps.len()));
        let mut failures: Vec<Failure> = Vec::new();
        let mut acknowledged = false;
        loop {
            match self.receive(MsgFlags::MSG_DONTWAIT)? {
                Queue::Datagram => {}
                // The answers that fitted are still there.
                Queue::Overrun => continue,
                Queue::Empty => break,
            }
            for message in messages(&self.buffer) {
                // 0 is the opening, to which the kernel answers where it failed as a whole.
                let place = message.sequence.wrapping_sub(opening) as usize;
                let step = place.checked_sub(1).and_then(|index| steps.get(index));
                match message.content {
                    // Left over from a question before.
                    _ if step.is_none() && place > 0 => {}
                    Content::Ack => acknowledged = place == steps.len(),
                    Content::Refused { errno, hint } => {
                        let (operation, object) =
                            step.map_or_else(whole, |step| (step.operation, step.object.clone()));
                        let index = place.saturating_sub(1);
                        failures.push(Failure { index, operation, object, errno, hint });
                    }
                    Content::Done | Content::Object(_) => {}
                }
            }
        }
        let mut failures = failures.into_iter();
        match failures.next() {
            Some(first) => Err(Error::Batch { first, others: failures.collect() }),
            None if acknowledged => Ok(()),
            None => {
                let (operation, object) = whole();
                let reason = "the kernel did not acknowledge it";
                Err(Error::Reply { operation, object, reason })
            }
        }
    }

    fn next_sequence(&mut self, count: u32) -> u32 {
        let first = self.sequence.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(count);
        first
    }

    /// A batch is one datagram, so the send buffer must hold all of it. Where the limits of
    /// `net.core.wmem_max` and `rmem_max` may not be passed (a user namespace's root), they hold.
    fn make_room(&mut self, bytes: usize, messages: usize) -> Result<()> {
        if bytes > self.send_size {
            setsockopt(&self.socket, SndBufForce, &bytes)
                .or_else(|_| setsockopt(&self.socket, SndBuf, &bytes))
                .map_err(failed("setsockopt SO_SNDBUF"))?;
            self.send_size = bytes;
        }
        let answers = messages.min(ANSWERS) * ANSWER_COST;
        if answers > self.receive_size {
            setsockopt(&self.socket, RcvBufForce, &answers)
                .or_else(|_| setsockopt(&self.socket, RcvBuf, &answers))
                .map_err(failed("setsockopt SO_RCVBUF"))?;
            self.receive_size = answers;
        }
        Ok(())
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        loop {
            match self.socket.send(bytes, 0) {
                // A datagram is sent whole or not at all.
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("send")(error)),
            }
        }
    }

    /// Receives one datagram of the kernel's into the buffer.
    fn receive(&mut self, flags: MsgFlags) -> Result<Queue> {
        loop {
            self.buffer.clear();
            let received = self.socket.recv_from(&mut self.buffer, flags.bits() | MSG_TRUNC);
            match received {
                // Anybody may write to our address; only the kernel has port 0.
                Ok((_, sender)) if sender.port_number() != 0 => {}
                Ok((length, _)) if length > self.buffer.len() => return Ok(Queue::Overrun),
                Ok(_) => return Ok(Queue::Datagram),
                Err(error) => match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
                    Errno::EINTR => {}
                    Errno::EAGAIN => return Ok(Queue::Empty),
                    Errno::ENOBUFS => return Ok(Queue::Overrun),
                    _ => return Err(failed("recvfrom")(error)),
                },
            }
        }
    }
}

/// What was found in the receive queue.
enum Queue {
    /// A datagram, which is in the buffer.
    Datagram,
    /// Something was lost for want of room.
    Overrun,
    /// Nothing.
    Empty,
}

const MSG_TRUNC: i32 = MsgFlags::MSG_TRUNC.bits();

fn failed<E: Into<io::Error>>(call: &'static str) -> impl FnOnce(E) -> Error {
    move |source| Error::Socket { call, source: source.into() }
}

/// What is not there, is no error.
fn found<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.errno() == Some(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

impl AsFd for Nft {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
