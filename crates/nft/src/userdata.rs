//! User data: a blob that the kernel keeps with an object and never looks into.
//!
//! Its layout is an agreement among programs, written down in libnftnl's `udata.h`: one byte of type, one
//! of length, the value. Kept to, so that `nft list` shows our comments and types.

use std::fmt;

/// `NFTNL_UDATA_TABLE_COMMENT`, `NFTNL_UDATA_RULE_COMMENT` and `NFTNL_UDATA_SET_ELEM_COMMENT`.
const COMMENT: u8 = 0;
/// `NFTNL_UDATA_SET_KEYBYTEORDER`.
pub(crate) const SET_KEY_BYTEORDER: u8 = 0;
/// `NFTNL_UDATA_SET_DATABYTEORDER`.
pub(crate) const SET_DATA_BYTEORDER: u8 = 1;

/// A comment on a table, a rule or an element, as `nft list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Comment(String);

/// The text is no comment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("comment {0:?}: empty, with a zero byte, or longer than {max} bytes", max = Comment::MAX)]
pub struct InvalidComment(pub String);

impl Comment {
    /// The longest, in bytes: `NFT_USERDATA_MAXLEN` of 256, less type, length and closing zero.
    pub const MAX: usize = 253;

    /// Checks a comment.
    ///
    /// # Errors
    ///
    /// [`InvalidComment`] if it is empty, too long or has a zero byte in it.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidComment> {
        let text = text.into();
        if text.is_empty() || text.len() > Self::MAX || text.contains('\0') {
            return Err(InvalidComment(text));
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = self.0.clone().into_bytes();
        value.push(0);
        field(COMMENT, &value)
    }

    /// The comment in an object's user data, where it has one that can be read.
    pub(crate) fn decode(mut userdata: &[u8]) -> Option<Self> {
        while let [kind, length, rest @ ..] = userdata {
            let (value, next) = rest.split_at_checked(usize::from(*length))?;
            if *kind == COMMENT {
                let text = value.strip_suffix(&[0]).unwrap_or(value);
                return Self::new(std::str::from_utf8(text).ok()?).ok();
            }
            userdata = next;
        }
        None
    }
}

impl fmt::Display for Comment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One field of user data.
pub(crate) fn field(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
    [&[kind, length], value].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_written_as_nft_does_and_read_back() {
        let comment = Comment::new("web").unwrap();
        assert_eq!(comment.encode(), [0, 4, b'w', b'e', b'b', 0]);
        assert_eq!(Comment::decode(&comment.encode()), Some(comment));
        assert_eq!(Comment::decode(&[5, 1, 9, 0, 2, b'x', 0]).unwrap().as_str(), "x");
    }

    #[test]
    fn what_the_kernel_or_nft_could_not_hold_is_refused() {
        assert!(Comment::new("x".repeat(253)).unwrap().encode().len() <= 256);
        for text in ["", "a\0b", &"x".repeat(254)] {
            assert!(Comment::new(text).is_err());
        }
        for userdata in [&[][..], &[0], &[0, 9, b'x'], &[0, 1, 0xff], &[7, 0]] {
            assert_eq!(Comment::decode(userdata), None, "{userdata:?}");
        }
    }
}
