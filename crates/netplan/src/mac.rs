//! Hardware addresses.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An Ethernet hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address of a container's `eth0`: `02:42` and the four bytes of its IPv4 address, as Docker
    /// does it. It is locally administered (bit 1 of the first byte), unicast (bit 0), and as unique on
    /// the bridge as the IPv4 address is, so a reused IPv4 address leaves no stale neighbour entry.
    #[must_use]
    pub fn of_container(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x02, 0x42, a, b, c, d])
    }

    /// The address of the host's end of the same cable. Set at creation, or udev would change it later
    /// (systemd.link(5), `MACAddressPolicy=persistent`).
    #[must_use]
    pub fn of_host_end(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0xfe, 0x42, a, b, c, d])
    }

    /// The bytes, first on the wire first.
    #[must_use]
    pub fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Whether one station can have this address: not a group address, not all zeros.
    #[must_use]
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The text is no hardware address that a container could have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid MAC address {0:?}: want six bytes in hexadecimal, like 02:42:ac:1e:00:02, not a group address"
)]
pub struct InvalidMac(pub String);

impl FromStr for Mac {
    type Err = InvalidMac;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidMac(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(invalid)?;
            if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(invalid());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| invalid())?;
        }
        let mac = Self(bytes);
        if parts.next().is_some() || !mac.is_unicast() { Err(invalid()) } else { Ok(mac) }
    }
}

impl TryFrom<String> for Mac {
    type Error = InvalidMac;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_agree() {
        let mac = Mac::of_container(Ipv4Addr::new(172, 30, 0, 2));
        assert_eq!(mac.to_string(), "02:42:ac:1e:00:02");
        assert_eq!("02:42:ac:1e:00:02".parse(), Ok(mac));
        assert_ne!(mac, Mac::of_host_end(Ipv4Addr::new(172, 30, 0, 2)));
    }

    #[test]
    fn what_no_station_can_have_is_refused() {
        for text in [
            "",
            "02:42",
            "02:42:ac:1e:00:02:03",
            "2:42:ac:1e:0:2",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "+2:42:ac:1e:00:02",
            "zz:42:ac:1e:00:02",
        ] {
            assert_eq!(text.parse::<Mac>(), Err(InvalidMac(text.to_owned())), "{text}");
        }
    }
}
