//! Elements of sets and maps.

use std::fmt;

use crate::attr::{Attrs, attrs, find, number};
use crate::set::decode;
use crate::uapi::*;
use crate::value::{Joined, concatenate};
use crate::{Comment, Set, SetData, Value, Verdict};

/// What an element of a map leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Data {
    /// Values, joined.
    Values(Vec<Value>),
    /// A verdict.
    Verdict(Verdict),
}

/// An element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Element {
    /// The key: a value, or several joined.
    pub key: Vec<Value>,
    /// What it leads to; none in a set.
    pub data: Option<Data>,
    /// Whose it is, or what for.
    pub comment: Option<Comment>,
}

impl Element {
    /// An element of a set.
    pub fn new(key: impl Into<Vec<Value>>) -> Self {
        Self { key: key.into(), data: None, comment: None }
    }

    /// The same with values to lead to.
    #[must_use]
    pub fn to(self, data: impl Into<Vec<Value>>) -> Self {
        Self { data: Some(Data::Values(data.into())), ..self }
    }

    /// The same with a verdict to lead to.
    #[must_use]
    pub fn verdict(self, verdict: Verdict) -> Self {
        Self { data: Some(Data::Verdict(verdict)), ..self }
    }

    /// The same with a comment.
    #[must_use]
    pub fn comment(self, comment: Comment) -> Self {
        Self { comment: Some(comment), ..self }
    }

    /// Writes the list of elements that this one takes in `set`.
    ///
    /// An interval over joined values is one element with two keys. An interval over one value is two
    /// elements: its first value, and, marked as an end, the first value behind it; the end is left out
    /// where nothing is behind.
    pub(crate) fn encode(&self, attrs: &mut Attrs, set: &Set<'_>, whole: bool) {
        attrs.text(NFTA_SET_ELEM_LIST_TABLE, set.table.name);
        attrs.text(NFTA_SET_ELEM_LIST_SET, set.name);
        attrs.nested(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
            list.nested(NFTA_LIST_ELEM, |element| self.encode_one(element, set, whole));
            if set.interval
                && !set.is_concatenation()
                && let Some(end) = successor(self.last())
            {
                list.nested(NFTA_LIST_ELEM, |element| {
                    element.number(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
                    value(element, NFTA_SET_ELEM_KEY, &end);
                });
            }
        });
    }

    fn encode_one(&self, element: &mut Attrs, set: &Set<'_>, whole: bool) {
        value(element, NFTA_SET_ELEM_KEY, &self.first());
        if set.interval && set.is_concatenation() {
            value(element, NFTA_SET_ELEM_KEY_END, &self.last());
        }
        if !whole {
            return;
        }
        match &self.data {
            None => {}
            Some(Data::Values(values)) => {
                let joined = concatenate(values.iter().map(Value::first));
                value(element, NFTA_SET_ELEM_DATA, &joined);
            }
            Some(Data::Verdict(verdict)) => {
                element.nested(NFTA_SET_ELEM_DATA, |data| verdict.encode(data));
            }
        }
        if let Some(comment) = &self.comment {
            element.bytes(NFTA_SET_ELEM_USERDATA, &comment.encode());
        }
    }

    /// Whether both stand for the same values, however written.
    pub(crate) fn has_key_of(&self, other: &Self) -> bool {
        self.first() == other.first() && self.last() == other.last()
    }

    fn first(&self) -> Vec<u8> {
        concatenate(self.key.iter().map(Value::first))
    }

    fn last(&self) -> Vec<u8> {
        concatenate(self.key.iter().map(Value::last))
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Joined(&self.key).fmt(f)
    }
}

fn value(attrs: &mut Attrs, kind: u16, bytes: &[u8]) {
    attrs.nested(kind, |data| {
        data.bytes(NFTA_DATA_VALUE, bytes);
    });
}

/// The next value; none behind the highest.
fn successor(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    for byte in bytes.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(bytes);
        }
    }
    None
}

/// An element as the kernel tells it, before the two halves of an interval are joined.
pub(crate) struct Read {
    pub(crate) first: Vec<u8>,
    pub(crate) last: Option<Vec<u8>>,
    pub(crate) is_end: bool,
    pub(crate) data: Option<Data>,
    pub(crate) comment: Option<Comment>,
}

impl Read {
    /// Reads the elements of one message; `None` where the kernel's answer makes no sense.
    pub(crate) fn list(set: &Set<'_>, message: &[u8]) -> Option<Vec<Self>> {
        let Some(list) = find(message, NFTA_SET_ELEM_LIST_ELEMENTS) else {
            return Some(Vec::new());
        };
        attrs(list).map(|(_, element)| Self::one(set, element)).collect()
    }

    fn one(set: &Set<'_>, element: &[u8]) -> Option<Self> {
        let bytes = |kind| {
            find(element, kind).and_then(|data| find(data, NFTA_DATA_VALUE)).map(<[u8]>::to_vec)
        };
        let flags = find(element, NFTA_SET_ELEM_FLAGS).and_then(number).unwrap_or(0);
        let data = match set.data {
            SetData::Values(types) => match bytes(NFTA_SET_ELEM_DATA) {
                Some(data) => Some(Data::Values(decode(types, &data)?)),
                None => None,
            },
            SetData::Verdict => match find(element, NFTA_SET_ELEM_DATA) {
                Some(data) => Some(Data::Verdict(Verdict::decode(data)?)),
                None => None,
            },
            SetData::None => None,
        };
        Some(Self {
            first: bytes(NFTA_SET_ELEM_KEY)?,
            last: bytes(NFTA_SET_ELEM_KEY_END),
            is_end: flags & NFT_SET_ELEM_INTERVAL_END != 0,
            data,
            comment: find(element, NFTA_SET_ELEM_USERDATA).and_then(Comment::decode),
        })
    }

    /// Makes elements of what was read, sorted by key where the set holds intervals.
    pub(crate) fn join(set: &Set<'_>, mut reads: Vec<Self>) -> Option<Vec<Element>> {
        if set.interval && !set.is_concatenation() {
            reads.sort_by(|a, b| a.first.cmp(&b.first).then(b.is_end.cmp(&a.is_end)));
            let ends: Vec<_> =
                reads.iter().skip(1).map(|next| next.is_end.then(|| next.first.clone())).collect();
            for (read, end) in reads.iter_mut().zip(ends.into_iter().chain([None])) {
                // What has no end reaches to the highest value.
                let highest = vec![0xff; read.first.len()];
                read.last = Some(end.map_or(highest, predecessor));
            }
            reads.retain(|read| !read.is_end);
        }
        reads
            .into_iter()
            .map(|read| {
                let first = decode(set.key, &read.first)?;
                let key = match read.last {
                    Some(last) => {
                        let last = decode(set.key, &last)?;
                        first
                            .iter()
                            .zip(&last)
                            .map(|(a, b)| interval(*a, *b))
                            .collect::<Option<_>>()?
                    }
                    None => first,
                };
                Some(Element { key, data: read.data, comment: read.comment })
            })
            .collect()
    }
}

fn predecessor(mut bytes: Vec<u8>) -> Vec<u8> {
    for byte in bytes.iter_mut().rev() {
        *byte = byte.wrapping_sub(1);
        if *byte != 0xff {
            break;
        }
    }
    bytes
}

/// The value that reaches from one to the other; `None` where it would take a range of addresses that is
/// no prefix, which this crate never writes.
fn interval(first: Value, last: Value) -> Option<Value> {
    let same_bits = |bits: u128, size: u32| {
        let host = u128::BITS - bits.leading_zeros();
        (bits.count_ones() == host).then_some((size - host) as u8)
    };
    Some(match (first, last) {
        (a, b) if a == b => a,
        (Value::Ipv4(a), Value::Ipv4(b)) => {
            let prefix = same_bits(u128::from(a.to_bits() ^ b.to_bits()), 32)?;
            Value::Ipv4Prefix(a, prefix)
        }
        (Value::Ipv6(a), Value::Ipv6(b)) => {
            Value::Ipv6Prefix(a, same_bits(a.to_bits() ^ b.to_bits(), 128)?)
        }
        (Value::Port(a), Value::Port(b)) => Value::Ports(a, b),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataType, Table};

    const NET4: Set<'_> = Set::new(Table::inet("t"), "net4", &[DataType::Ipv4Addr]).interval();

    fn written(set: Set<'_>, element: &Element) -> Vec<u8> {
        let mut attrs = Attrs::default();
        element.encode(&mut attrs, &set, true);
        attrs.0
    }

    fn net(address: [u8; 4], prefix: u8) -> Element {
        Element::new([Value::Ipv4Prefix(address.into(), prefix)])
    }

    #[test]
    fn an_interval_over_one_value_is_two_elements() {
        let reads = Read::list(&NET4, &written(NET4, &net([172, 30, 0, 0], 16))).unwrap();
        let keys: Vec<_> = reads.iter().map(|read| (read.first.clone(), read.is_end)).collect();
        assert_eq!(keys, [(vec![172, 30, 0, 0], false), (vec![172, 31, 0, 0], true)]);
        let to_the_end = Read::list(&NET4, &written(NET4, &net([128, 0, 0, 0], 1))).unwrap();
        assert_eq!(to_the_end.len(), 1);
    }

    #[test]
    fn intervals_are_read_back_also_where_they_touch() {
        let nets = [net([10, 0, 0, 0], 24), net([10, 0, 1, 0], 24), net([128, 0, 0, 0], 1)];
        // The kernel lists an rbtree from the highest.
        let reads = nets
            .iter()
            .rev()
            .flat_map(|net| Read::list(&NET4, &written(NET4, net)).unwrap().into_iter().rev());
        assert_eq!(Read::join(&NET4, reads.collect()).unwrap(), nets);
    }

    #[test]
    fn joined_intervals_and_verdicts_are_read_back() {
        let key = [DataType::InetProto, DataType::InetService, DataType::Ipv4Addr];
        let set = Set::verdict_map(Table::inet("t"), "from4", &key).interval();
        let from = Value::Ipv4Prefix([10, 0, 0, 0].into(), 8);
        let element = Element::new([Value::TCP, Value::Ports(80, 81), from])
            .verdict(Verdict::Goto("web".to_owned()))
            .comment(Comment::new("c1").unwrap());
        let reads = Read::list(&set, &written(set, &element)).unwrap();
        assert_eq!(Read::join(&set, reads).unwrap(), [element]);
    }
}
