//! Netlink attributes: a length, a type, a value, padded to 4 bytes.
//!
//! nf_tables numbers are big-endian; lengths and types are in the machine's order.

use crate::uapi::{NLA_F_NESTED, NLA_TYPE_MASK};

const HEADER: usize = 4;

/// Attributes being written, behind whatever the buffer held before.
#[derive(Debug, Default)]
pub(crate) struct Attrs(pub(crate) Vec<u8>);

impl Attrs {
    /// A value as it is.
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let start = self.open(kind);
        self.0.extend_from_slice(value);
        self.close(start)
    }

    /// A text, closed with a zero as the kernel's NLA_STRING parsers like it.
    pub(crate) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let start = self.open(kind);
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(0);
        self.close(start)
    }

    /// A big-endian number.
    pub(crate) fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Attributes inside an attribute.
    pub(crate) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.open(kind | NLA_F_NESTED);
        fill(self);
        self.close(start)
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.0.len();
        self.0.extend_from_slice(&[0, 0]);
        self.0.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    /// Nothing written by this crate comes near the 64 KiB that a length can say: an element is at most
    /// two keys, a value and 256 bytes of user data, a rule some dozen expressions. Should it ever, the
    /// kernel refuses the saturated length.
    fn close(&mut self, start: usize) -> &mut Self {
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        if let Some(place) = self.0.get_mut(start..start + 2) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

/// Reads attributes; stops where they are malformed.
pub(crate) fn attrs(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]) & NLA_TYPE_MASK;
        let value = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of a type.
pub(crate) fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attrs(bytes).find_map(|(kind, value)| (kind == wanted).then_some(value))
}

/// A big-endian number.
pub(crate) fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// A text without its closing zero.
pub(crate) fn text(value: &[u8]) -> Option<String> {
    let value = value.split(|byte| *byte == 0).next()?;
    String::from_utf8(value.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nested_ones_marked() {
        let mut written = Attrs::default();
        written.text(1, "rrun").nested(4, |hook| {
            hook.number(1, 3).bytes(2, &[7]);
        });
        let expected: &[u8] = &[
            9, 0, 1, 0, b'r', b'r', b'u', b'n', 0, 0, 0, 0, // text
            20, 0, 4, 0x80, // nested
            8, 0, 1, 0, 0, 0, 0, 3, // number, big-endian
            5, 0, 2, 0, 7, 0, 0, 0, // one byte and padding
        ];
        // The lengths and types above are those of a little-endian machine.
        if cfg!(target_endian = "little") {
            assert_eq!(written.0, expected);
        }
        let hook = find(&written.0, 4).unwrap();
        assert_eq!(find(&written.0, 1).and_then(text).as_deref(), Some("rrun"));
        assert_eq!(find(hook, 1).and_then(number), Some(3));
        assert_eq!(find(hook, 2), Some(&[7][..]));
        assert_eq!(find(hook, 3), None);
    }

    #[test]
    fn reading_stops_at_nonsense() {
        // A length shorter than the header, one beyond the end, and half a header.
        for bytes in [&[3, 0, 1, 0][..], &[9, 0, 1, 0, 1], &[8, 0, 1], &[0; 8]] {
            assert_eq!(attrs(bytes).count(), 0, "{bytes:?}");
        }
    }
}
