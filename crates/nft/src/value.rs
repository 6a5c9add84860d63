//! Values: what is compared with, and what keys and data are made of.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The name of a network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IfName([u8; Self::SIZE]);

/// The text names no interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("interface name {0:?}: must have 1 to 15 bytes and no zero byte")]
pub struct InvalidIfName(pub String);

impl IfName {
    /// `IFNAMSIZ` of linux/if.h, with the closing zero.
    const SIZE: usize = 16;

    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`InvalidIfName`] if it is empty, too long or has a zero byte in it.
    pub fn new(name: &str) -> Result<Self, InvalidIfName> {
        let mut bytes = [0; Self::SIZE];
        match bytes.get_mut(..name.len()) {
            Some(place) if (1..Self::SIZE).contains(&name.len()) && !name.contains('\0') => {
                place.copy_from_slice(name.as_bytes());
                Ok(Self(bytes))
            }
            _ => Err(InvalidIfName(name.to_owned())),
        }
    }

    pub(crate) fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        f.write_str(&String::from_utf8_lossy(name))
    }
}

/// A value, a prefix or a range of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value {
    /// `ipv4_addr`.
    Ipv4(Ipv4Addr),
    /// `ipv4_addr`, all addresses with this prefix, for intervals and comparison.
    Ipv4Prefix(Ipv4Addr, u8),
    /// `ipv6_addr`.
    Ipv6(Ipv6Addr),
    /// `ipv6_addr`, all addresses with this prefix, for intervals and comparison.
    Ipv6Prefix(Ipv6Addr, u8),
    /// `inet_proto`, numbered as in /etc/protocols.
    Protocol(u8),
    /// `inet_service`: a port.
    Port(u16),
    /// `inet_service`: all ports from the first to the second, both inside, for intervals.
    Ports(u16, u16),
    /// `ifname`.
    IfName(IfName),
    /// `iface_index`, as ip(8) lists it; 1 is always `lo`.
    IfIndex(u32),
}

impl Value {
    /// TCP.
    pub const TCP: Self = Self::Protocol(6);
    /// UDP.
    pub const UDP: Self = Self::Protocol(17);
    /// SCTP.
    pub const SCTP: Self = Self::Protocol(132);

    /// The lowest value, as a register holds it.
    pub(crate) fn first(&self) -> Vec<u8> {
        match *self {
            Self::Ipv4(address) => address.octets().to_vec(),
            Self::Ipv4Prefix(address, prefix) => {
                (address.to_bits() & mask4(prefix)).to_be_bytes().to_vec()
            }
            Self::Ipv6(address) => address.octets().to_vec(),
            Self::Ipv6Prefix(address, prefix) => {
                (address.to_bits() & mask6(prefix)).to_be_bytes().to_vec()
            }
            Self::Protocol(number) => vec![number],
            Self::Port(port) | Self::Ports(port, _) => port.to_be_bytes().to_vec(),
            Self::IfName(name) => name.0.to_vec(),
            Self::IfIndex(index) => index.to_ne_bytes().to_vec(),
        }
    }

    /// The highest value, as a register holds it.
    pub(crate) fn last(&self) -> Vec<u8> {
        match *self {
            Self::Ipv4Prefix(address, prefix) => {
                (address.to_bits() | !mask4(prefix)).to_be_bytes().to_vec()
            }
            Self::Ipv6Prefix(address, prefix) => {
                (address.to_bits() | !mask6(prefix)).to_be_bytes().to_vec()
            }
            Self::Ports(_, port) => port.to_be_bytes().to_vec(),
            _ => self.first(),
        }
    }

    /// The bits that count in a comparison with a prefix.
    pub(crate) fn mask(&self) -> Option<Vec<u8>> {
        match *self {
            Self::Ipv4Prefix(_, prefix) => Some(mask4(prefix).to_be_bytes().to_vec()),
            Self::Ipv6Prefix(_, prefix) => Some(mask6(prefix).to_be_bytes().to_vec()),
            _ => None,
        }
    }
}

fn mask4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0)
}

fn mask6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0)
}

impl From<IfName> for Value {
    fn from(name: IfName) -> Self {
        Self::IfName(name)
    }
}

impl From<std::net::IpAddr> for Value {
    fn from(address: std::net::IpAddr) -> Self {
        match address {
            std::net::IpAddr::V4(address) => Self::Ipv4(address),
            std::net::IpAddr::V6(address) => Self::Ipv6(address),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(address) => address.fmt(f),
            Self::Ipv4Prefix(address, prefix) => write!(f, "{address}/{prefix}"),
            Self::Ipv6(address) => address.fmt(f),
            Self::Ipv6Prefix(address, prefix) => write!(f, "{address}/{prefix}"),
            Self::Protocol(6) => f.write_str("tcp"),
            Self::Protocol(17) => f.write_str("udp"),
            Self::Protocol(132) => f.write_str("sctp"),
            Self::Protocol(number) => number.fmt(f),
            Self::Port(port) => port.fmt(f),
            Self::Ports(first, last) => write!(f, "{first}-{last}"),
            Self::IfName(name) => name.fmt(f),
            Self::IfIndex(index) => index.fmt(f),
        }
    }
}

/// Values joined as nft(8) joins them.
pub(crate) struct Joined<'a>(pub(crate) &'a [Value]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" . ")?;
            }
            value.fmt(f)?;
        }
        Ok(())
    }
}

/// Joins parts as a register or a key holds them: each padded to 4 bytes where there is more than one.
pub(crate) fn concatenate(parts: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<u8> {
    let several = parts.len() > 1;
    let mut joined = Vec::new();
    for part in parts {
        joined.extend_from_slice(&part);
        if several {
            joined.resize(joined.len().next_multiple_of(4), 0);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_have_ends_and_masks() {
        let net = Value::Ipv4Prefix([172, 30, 7, 9].into(), 16);
        assert_eq!(net.first(), [172, 30, 0, 0]);
        assert_eq!(net.last(), [172, 30, 255, 255]);
        assert_eq!(net.mask().unwrap(), [255, 255, 0, 0]);
        let all = Value::Ipv4Prefix([0; 4].into(), 0);
        assert_eq!((all.first(), all.last()), (vec![0; 4], vec![255; 4]));
        let one = Value::Ipv6Prefix(Ipv6Addr::LOCALHOST, 128);
        assert_eq!(one.first(), one.last());
        assert_eq!(Value::Ipv6Prefix(Ipv6Addr::LOCALHOST, 0).last(), [255; 16]);
    }

    #[test]
    fn parts_are_padded_only_beside_others() {
        let key = [Value::TCP, Value::Port(8088)];
        assert_eq!(concatenate(key.iter().map(Value::first)), [6, 0, 0, 0, 0x1f, 0x98, 0, 0]);
        assert_eq!(concatenate(key[1..].iter().map(Value::first)), [0x1f, 0x98]);
        assert_eq!(Joined(&key).to_string(), "tcp . 8088");
    }

    #[test]
    fn interface_names_fit_the_kernel() {
        assert_eq!(IfName::new("rrun0").unwrap().to_string(), "rrun0");
        assert!(IfName::new(&"x".repeat(15)).is_ok());
        for name in ["", "a\0b", &"x".repeat(16)] {
            assert!(IfName::new(name).is_err(), "{name:?}");
        }
    }
}
