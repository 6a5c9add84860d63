//! Which address a container tries first, and which next.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

/// The address of the bridge itself, and so the containers' default gateway: the first of the subnet.
/// `None` where the subnet is too small to hold a gateway, a container and a broadcast address.
#[must_use]
pub fn gateway(subnet: Ipv4Network) -> Option<Ipv4Addr> {
    (subnet.prefix() <= 29).then(|| Ipv4Addr::from(u32::from(subnet.network()) + 1))
}

/// Every address of the subnet that a container may have, each once. It starts at a place that only
/// depends on the container's id and goes on from there (next-fit), so a container that comes back gets
/// its old address while that is free, and two that start at once rarely try the same one.
pub fn candidates(subnet: Ipv4Network, id: &str) -> impl Iterator<Item = Ipv4Addr> + use<> {
    let first = u32::from(subnet.network());
    // All but the network's address, the gateway and the broadcast address.
    let count = u64::from(subnet.size()).saturating_sub(3);
    let start = if count == 0 { 0 } else { hash(id) % count };
    (0..count).filter_map(move |step| {
        let offset = u32::try_from((start + step) % count).ok()?;
        Some(Ipv4Addr::from(first + 2 + offset))
    })
}

/// FNV-1a (draft-eastlake-fnv), the same on every host and in every version of rrun.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_usable_address_comes_once() {
        let subnet = "192.168.9.0/24".parse().unwrap();
        let all: Vec<_> = candidates(subnet, "web").collect();
        let set: BTreeSet<_> = all.iter().copied().collect();
        assert_eq!((all.len(), set.len()), (253, 253));
        assert_eq!(set.first(), Some(&Ipv4Addr::new(192, 168, 9, 2)));
        assert_eq!(set.last(), Some(&Ipv4Addr::new(192, 168, 9, 254)));
        assert_eq!(gateway(subnet), Some(Ipv4Addr::new(192, 168, 9, 1)));
    }

    #[test]
    fn the_start_depends_on_the_id_alone() {
        let subnet = "172.30.0.0/16".parse().unwrap();
        let first = |id| candidates(subnet, id).next();
        assert_eq!(first("web"), first("web"));
        assert_ne!(first("web"), first("db"));
    }

    #[test]
    fn subnets_without_room_give_nothing() {
        for small in ["10.0.0.0/30", "10.0.0.0/31", "10.0.0.0/32"] {
            let small = small.parse().unwrap();
            assert_eq!(gateway(small), None);
            assert!(candidates(small, "web").count() <= 1);
        }
    }
}
