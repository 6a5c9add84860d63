//! Sets and maps.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::attr::Attrs;
use crate::uapi::*;
use crate::userdata::{SET_DATA_BYTEORDER, SET_KEY_BYTEORDER, field};
use crate::{IfName, Table, Value};

/// The type of a value in keys and data, under nft(8)'s names. The numbers are an agreement among
/// programs, `enum datatypes` of nftables' `datatype.h`; the kernel only keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum DataType {
    /// `ipv4_addr`.
    Ipv4Addr = 7,
    /// `ipv6_addr`.
    Ipv6Addr = 8,
    /// `inet_proto`, a transport protocol.
    InetProto = 12,
    /// `inet_service`, a port.
    InetService = 13,
    /// `ifname`.
    IfName = 41,
}

impl DataType {
    /// In bytes.
    const fn size(self) -> usize {
        match self {
            Self::Ipv4Addr => 4,
            Self::Ipv6Addr | Self::IfName => 16,
            Self::InetProto => 1,
            Self::InetService => 2,
        }
    }

    fn decode(self, bytes: &[u8]) -> Option<Value> {
        Some(match self {
            Self::Ipv4Addr => Value::Ipv4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
            Self::Ipv6Addr => Value::Ipv6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
            Self::InetProto => Value::Protocol(*bytes.first()?),
            Self::InetService => Value::Port(u16::from_be_bytes(bytes.try_into().ok()?)),
            Self::IfName => Value::IfName(IfName::from_bytes(bytes.try_into().ok()?)),
        })
    }
}

/// What an element of a set leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SetData<'a> {
    /// Nothing: a set.
    None,
    /// Values: a map.
    Values(&'a [DataType]),
    /// A verdict: a verdict map.
    Verdict,
}

/// A named set or map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Set<'a> {
    pub(crate) table: Table<'a>,
    pub(crate) name: &'a str,
    pub(crate) key: &'a [DataType],
    pub(crate) data: SetData<'a>,
    pub(crate) interval: bool,
}

impl<'a> Set<'a> {
    /// A set whose key is these values, joined.
    #[must_use]
    pub const fn new(table: Table<'a>, name: &'a str, key: &'a [DataType]) -> Self {
        Self { table, name, key, data: SetData::None, interval: false }
    }

    /// A map from these values, joined, to those, joined.
    #[must_use]
    pub const fn map(
        table: Table<'a>,
        name: &'a str,
        key: &'a [DataType],
        data: &'a [DataType],
    ) -> Self {
        Self { data: SetData::Values(data), ..Self::new(table, name, key) }
    }

    /// A map from these values, joined, to verdicts.
    #[must_use]
    pub const fn verdict_map(table: Table<'a>, name: &'a str, key: &'a [DataType]) -> Self {
        Self { data: SetData::Verdict, ..Self::new(table, name, key) }
    }

    /// The same set, whose elements may be ranges and prefixes.
    #[must_use]
    pub const fn interval(self) -> Self {
        Self { interval: true, ..self }
    }

    pub(crate) fn is_concatenation(&self) -> bool {
        self.key.len() > 1
    }

    /// `id` tells the sets of one batch apart.
    pub(crate) fn encode(&self, attrs: &mut Attrs, id: u32) {
        let concatenation = self.is_concatenation();
        let ranges = self.interval && concatenation;
        let flags = [
            (self.interval, NFT_SET_INTERVAL),
            (self.data != SetData::None, NFT_SET_MAP),
            (ranges, NFT_SET_CONCAT),
        ];
        let flags = flags.into_iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag);
        attrs.text(NFTA_SET_TABLE, self.table.name).text(NFTA_SET_NAME, self.name);
        attrs.number(NFTA_SET_FLAGS, flags);
        attrs.number(NFTA_SET_KEY_TYPE, joined_type(self.key));
        attrs.number(NFTA_SET_KEY_LEN, joined_size(self.key));
        match self.data {
            SetData::None => {}
            SetData::Values(types) => {
                attrs.number(NFTA_SET_DATA_TYPE, joined_type(types));
                attrs.number(NFTA_SET_DATA_LEN, joined_size(types));
            }
            SetData::Verdict => {
                attrs.number(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT).number(NFTA_SET_DATA_LEN, 0);
            }
        }
        attrs.number(NFTA_SET_ID, id);
        if ranges {
            attrs.nested(NFTA_SET_DESC, |desc| {
                desc.nested(NFTA_SET_DESC_CONCAT, |fields| {
                    for part in self.key {
                        fields.nested(NFTA_LIST_ELEM, |field| {
                            // In bytes, whatever the header's comment says.
                            field.number(NFTA_SET_FIELD_LEN, part.size() as u32);
                        });
                    }
                });
            });
        }
        let mut userdata = field(SET_KEY_BYTEORDER, &byte_order(self.key).to_ne_bytes());
        if let SetData::Values(types) = self.data {
            userdata.extend(field(SET_DATA_BYTEORDER, &byte_order(types).to_ne_bytes()));
        }
        attrs.bytes(NFTA_SET_USERDATA, &userdata);
    }
}

impl fmt::Display for Set<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table, self.name)
    }
}

/// Joined types are numbered by their parts, 6 bits each (`concat_subtype_add` of nftables).
fn joined_type(types: &[DataType]) -> u32 {
    types.iter().fold(0, |all, part| all << 6 | *part as u32)
}

/// In bytes: parts are padded where there is more than one.
fn joined_size(types: &[DataType]) -> u32 {
    let size: usize = match types {
        [only] => only.size(),
        parts => parts.iter().map(|part| part.size().next_multiple_of(4)).sum(),
    };
    size as u32
}

/// `enum byteorder` of nftables: what `nft list` needs to print a type of its own.
fn byte_order(types: &[DataType]) -> u32 {
    const INVALID: u32 = 0;
    const HOST: u32 = 1;
    const BIG: u32 = 2;
    match types {
        [DataType::IfName] => HOST,
        [_] => BIG,
        _ => INVALID,
    }
}

/// Takes joined values apart.
pub(crate) fn decode(types: &[DataType], mut bytes: &[u8]) -> Option<Vec<Value>> {
    let several = types.len() > 1;
    let mut values = Vec::with_capacity(types.len());
    for part in types {
        let size = part.size();
        values.push(part.decode(bytes.get(..size)?)?);
        let step = if several { size.next_multiple_of(4) } else { size };
        bytes = bytes.get(step..)?;
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::{find, number};
    use crate::value::concatenate;

    const T: Table<'_> = Table::inet("t");

    fn encoded(set: Set<'_>) -> Vec<u8> {
        let mut attrs = Attrs::default();
        set.encode(&mut attrs, 1);
        attrs.0
    }

    /// The numbers that `nft --debug=mnl` sends for the same sets.
    #[test]
    fn types_and_sizes_are_those_of_nft() {
        use DataType::*;
        let key = [Ipv4Addr, InetProto, InetService];
        let map = encoded(Set::map(T, "pub4", &key, &[Ipv4Addr, InetService]));
        let field = |kind| find(&map, kind).and_then(number);
        assert_eq!(field(NFTA_SET_FLAGS), Some(0x8));
        assert_eq!(field(NFTA_SET_KEY_TYPE), Some(0x730d));
        assert_eq!(field(NFTA_SET_KEY_LEN), Some(12));
        assert_eq!(field(NFTA_SET_DATA_TYPE), Some(0x1cd));
        assert_eq!(field(NFTA_SET_DATA_LEN), Some(8));
        assert_eq!(find(&map, NFTA_SET_USERDATA).map(<[u8]>::len), Some(12));
    }

    #[test]
    fn joined_intervals_describe_their_fields() {
        use DataType::*;
        let set = encoded(Set::new(T, "hair4", &[Ipv4Addr, InetProto]).interval());
        assert_eq!(find(&set, NFTA_SET_FLAGS).and_then(number), Some(0x84));
        let fields = find(find(&set, NFTA_SET_DESC).unwrap(), NFTA_SET_DESC_CONCAT).unwrap();
        let sizes: Vec<_> = crate::attr::attrs(fields)
            .map(|(_, field)| find(field, NFTA_SET_FIELD_LEN).and_then(number))
            .collect();
        assert_eq!(sizes, [Some(4), Some(1)]);
        let single = encoded(Set::new(T, "net4", &[Ipv4Addr]).interval());
        assert_eq!(find(&single, NFTA_SET_FLAGS).and_then(number), Some(0x4));
        assert_eq!(find(&single, NFTA_SET_DESC), None);
    }

    #[test]
    fn what_was_joined_comes_apart() {
        let types = [DataType::InetProto, DataType::InetService, DataType::IfName];
        let values =
            vec![Value::UDP, Value::Port(53), Value::IfName(IfName::new("rrun0").unwrap())];
        let bytes = concatenate(values.iter().map(Value::first));
        assert_eq!(decode(&types, &bytes), Some(values));
        assert_eq!(decode(&types, &bytes[..20]), None);
    }
}
