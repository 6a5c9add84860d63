//! Netlink messages: a header, nfnetlink's own header, attributes.

use nix::errno::Errno;

use crate::attr::{Attrs, find, text};
use crate::uapi::*;

/// struct nlmsghdr.
const HEADER: usize = 16;
/// struct nfgenmsg.
const NFGENMSG: usize = 4;

/// A message whose length and sequence number are still open.
#[derive(Debug)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// A message of the nf_tables subsystem.
    pub(crate) fn new(kind: u16, flags: u16, family: u8, fill: impl FnOnce(&mut Attrs)) -> Self {
        Self::with_header(NFNL_SUBSYS_NFTABLES << 8 | kind, flags, family, 0, fill)
    }

    /// The opening or the closing of a batch for nf_tables.
    pub(crate) fn bracket(kind: u16) -> Self {
        Self::with_header(kind, 0, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES, |_| {})
    }

    fn with_header(
        kind: u16,
        flags: u16,
        family: u8,
        resource: u16,
        fill: impl FnOnce(&mut Attrs),
    ) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        bytes.resize(HEADER, 0);
        // NFNETLINK_V0 is 0.
        bytes.extend_from_slice(&[family, 0]);
        bytes.extend_from_slice(&resource.to_be_bytes());
        let mut attrs = Attrs(bytes);
        fill(&mut attrs);
        Self(attrs.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Writes the message with its length, more flags and its sequence number.
    pub(crate) fn write(&self, to: &mut Vec<u8>, more_flags: u16, sequence: u32) {
        let [_, _, _, _, k0, k1, f0, f1, rest @ ..] = self.0.as_slice() else { return };
        let flags = u16::from_ne_bytes([*f0, *f1]) | more_flags;
        // A message is some hundred bytes: see `Attrs::close`.
        to.extend_from_slice(&(self.0.len() as u32).to_ne_bytes());
        to.extend_from_slice(&[*k0, *k1]);
        to.extend_from_slice(&flags.to_ne_bytes());
        to.extend_from_slice(&sequence.to_ne_bytes());
        to.extend_from_slice(rest.get(4..).unwrap_or_default());
    }
}

/// A message that was received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Received<'a> {
    pub(crate) sequence: u32,
    pub(crate) flags: u16,
    pub(crate) content: Content<'a>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    /// NLMSG_ERROR with 0.
    Ack,
    /// NLMSG_ERROR.
    Refused { errno: Errno, hint: Option<String> },
    /// The end of a dump.
    Done,
    /// The attributes of an nf_tables object.
    Object(&'a [u8]),
}

/// Reads the messages of one datagram; stops where they are malformed.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let length = u32_at(bytes, 0)? as usize;
        let message = bytes.get(..length)?;
        let kind = u16_at(message, 4)?;
        let flags = u16_at(message, 6)?;
        let sequence = u32_at(message, 8)?;
        let payload = message.get(HEADER..)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        let content = match kind {
            // Both carry an error number, which NLMSG_DONE has when a dump was broken off.
            NLMSG_ERROR | NLMSG_DONE => match u32_at(payload, 0)?.cast_signed() {
                0 if kind == NLMSG_DONE => Content::Done,
                0 => Content::Ack,
                code => {
                    let errno = Errno::from_raw(code.wrapping_neg());
                    Content::Refused { errno, hint: hint(flags, payload) }
                }
            },
            _ => Content::Object(payload.get(NFGENMSG..)?),
        };
        Some(Received { sequence, flags, content })
    })
}

/// The kernel's words behind an error: NLM_F_ACK_TLVS says that there are attributes, NLM_F_CAPPED that
/// of the refused message only the header stands before them.
fn hint(flags: u16, payload: &[u8]) -> Option<String> {
    if flags & NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let refused = match flags & NLM_F_CAPPED {
        0 => (u32_at(payload, 4)? as usize).next_multiple_of(4),
        _ => HEADER,
    };
    find(payload.get(4 + refused..)?, NLMSGERR_ATTR_MSG).and_then(text)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_gets_its_length_flags_and_number() {
        let message = Message::new(NFT_MSG_NEWTABLE, NLM_F_CREATE, NFPROTO_INET, |attrs| {
            attrs.text(NFTA_TABLE_NAME, "t");
        });
        let mut written = Vec::new();
        message.write(&mut written, NLM_F_ACK, 7);
        assert_eq!(written.len(), message.len());
        assert_eq!(u32_at(&written, 0), Some(28));
        assert_eq!(u16_at(&written, 4), Some(0x0a00));
        assert_eq!(u16_at(&written, 6), Some(NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE));
        assert_eq!(u32_at(&written, 8), Some(7));
        assert_eq!(written[16..20], [1, 0, 0, 0]);
    }

    fn error(flags: u16, code: i32, rest: &[u8]) -> Vec<u8> {
        let mut bytes = (20 + rest.len() as u32).to_ne_bytes().to_vec();
        bytes.extend_from_slice(&NLMSG_ERROR.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&5_u32.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&code.to_ne_bytes());
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn acks_and_errors_are_told_apart() {
        let mut attrs = Attrs(vec![0; HEADER]);
        attrs.text(NLMSGERR_ATTR_MSG, "no such thing");
        let mut bytes = error(NLM_F_CAPPED, 0, &[0; HEADER]);
        bytes.extend(error(NLM_F_CAPPED | NLM_F_ACK_TLVS, -(Errno::ENOENT as i32), &attrs.0));
        let read: Vec<_> = messages(&bytes).map(|message| message.content).collect();
        let hint = Some("no such thing".to_owned());
        assert_eq!(read, [Content::Ack, Content::Refused { errno: Errno::ENOENT, hint }]);
    }

    #[test]
    fn truncated_messages_are_not_read() {
        let bytes = error(0, 0, &[0; HEADER]);
        for length in 0..bytes.len() {
            assert_eq!(messages(&bytes[..length]).count(), 0, "{length}");
        }
        assert_eq!(messages(&[0; 64]).count(), 0);
    }
}
