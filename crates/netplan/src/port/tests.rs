use super::*;

fn spec(text: &str) -> PortSpec {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn ports(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

#[test]
fn docker_forms_are_read() {
    let http = PortSpec {
        host_ip: None,
        host: Some(ports(8088, 8088)),
        container: ports(80, 80),
        protocol: Protocol::Tcp,
        from: vec![],
    };
    assert_eq!(spec("8088:80"), http);
    assert_eq!(spec("8088:80/tcp"), http);
    assert_eq!(spec("0.0.0.0:8088:80"), http);
    assert_eq!(spec("[0.0.0.0]:8088:80"), http);
    assert_eq!(spec("80"), PortSpec { host: None, ..http.clone() });
    let local = PortSpec { host_ip: Some(Ipv4Addr::LOCALHOST), ..http.clone() };
    assert_eq!(spec("127.0.0.1:8088:80"), local);
    assert_eq!(spec("127.0.0.1::80"), PortSpec { host: None, ..local });
    assert_eq!(spec("8088:80/udp").protocol, Protocol::Udp);
    assert_eq!(spec("8088:80/sctp").protocol, Protocol::Sctp);
    let run = spec("8000-8010:9000-9010");
    assert_eq!((run.host, run.container), (Some(ports(8000, 8010)), ports(9000, 9010)));
    assert!(!run.is_open());
    assert!(spec("8000-8010:80").is_open());
    assert!(spec("80").is_open());
    assert_eq!(spec("1-65535:1-65535").container.count(), 65535);
}

#[test]
fn sources_are_read_and_normalised() {
    let spec = spec("8088:80,from=10.1.2.3/8,from=192.0.2.7");
    assert_eq!(spec.from, ["10.0.0.0/8".parse().unwrap(), "192.0.2.7/32".parse().unwrap()]);
}

#[test]
fn what_is_no_publication_is_refused() {
    for text in [
        "",
        ":",
        "::",
        "0",
        "0:80",
        "80:0",
        "65536",
        "80:65536",
        "080:80",
        "80:080",
        "+80:80",
        " 80:80",
        "80: 80",
        "80-70:80",
        "80-:80",
        "-80:80",
        "1:2:3:4",
        "8000-8001:80-82",
        "8000:80-82",
        "80:80/",
        "80:80/TCP",
        "80:80/icmp",
        "80/tcp:80",
        ":80:80",
        ":80",
        "x:80:80",
        "1.2.3:80:80",
        "[127.0.0.1:80:80",
        "[127.0.0.1]80:80",
        "224.0.0.1:80:80",
        "255.255.255.255:80:80",
        "80:80,",
        "80:80,to=1.2.3.4",
        "80:80,from=",
        "80:80,from=::/0",
        "80:80,from=10.0.0.0/33",
        "80:",
    ] {
        assert!(text.parse::<PortSpec>().is_err(), "{text:?} was taken");
    }
}

#[test]
fn ipv6_is_refused_with_its_reason() {
    assert!(matches!("[::1]:80:80".parse::<PortSpec>(), Err(InvalidPort::Loopback6(_))));
    assert!(matches!("[::]:80:80".parse::<PortSpec>(), Err(InvalidPort::Ipv6(_))));
    assert!(matches!("[2001:db8::1]:80:80".parse::<PortSpec>(), Err(InvalidPort::Ipv6(_))));
    let text = "[::1]:80:80".parse::<PortSpec>().unwrap_err().to_string();
    assert!(text.contains("route_localnet"), "{text}");
}

#[test]
fn clashes_are_seen_across_wildcard_and_specific() {
    let mapping = |text: &str| text.parse::<PortMapping>().unwrap();
    let wild = mapping("80-90:80-90");
    assert!(wild.clashes_with(&mapping("127.0.0.1:85:1")));
    assert!(!wild.clashes_with(&mapping("85:1/udp")));
    assert!(!wild.clashes_with(&mapping("91:1")));
    assert!(!mapping("127.0.0.1:85:1").clashes_with(&mapping("127.0.0.2:85:1")));
}

/// Marsaglia's xorshift, so that the property below needs no library and repeats itself.
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn range(&mut self, count: u16) -> PortRange {
        let first = 1 + u16::try_from(self.below(65_535 - u64::from(count))).unwrap();
        ports(first, first + count)
    }

    fn spec(&mut self) -> PortSpec {
        let count = if self.below(2) == 0 { 0 } else { u16::try_from(self.below(300)).unwrap() };
        let container = self.range(count);
        let host = match self.below(4) {
            0 => None,
            1 if count == 0 => Some(self.range(7)),
            _ => Some(self.range(count)),
        };
        let host_ip = match self.below(3) {
            0 => None,
            // 1.0.0.0 to 223.255.255.255: neither "all" nor a group.
            _ => {
                Some(Ipv4Addr::from(0x0100_0000 + u32::try_from(self.below(0xdeff_ffff)).unwrap()))
            }
        };
        let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp][self.below(3) as usize];
        let from = (0..self.below(3))
            .map(|_| {
                let prefix = u8::try_from(self.below(33)).unwrap();
                let network = Ipv4Network::new(Ipv4Addr::from(self.next() as u32), prefix).unwrap();
                Ipv4Network::new(network.network(), prefix).unwrap()
            })
            .collect();
        PortSpec { host_ip, host, container, protocol, from }
    }
}

#[test]
fn text_and_value_round_trip() {
    let mut generator = Generator(0x9e37_79b9_7f4a_7c15);
    for _ in 0..20_000 {
        let spec = generator.spec();
        let text = spec.to_string();
        assert_eq!(text.parse(), Ok(spec), "{text}");
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut generator = Generator(7);
    let alphabet = b"0123456789:-/,[].frmtcpudp=+ ";
    for _ in 0..50_000 {
        let text: String = (0..generator.below(24))
            .map(|_| char::from(alphabet[generator.below(alphabet.len() as u64) as usize]))
            .collect();
        if let Ok(spec) = text.parse::<PortSpec>() {
            assert_eq!(spec.to_string().parse(), Ok(spec), "{text}");
        }
    }
}
