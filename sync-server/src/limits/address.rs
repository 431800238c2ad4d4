//! Whose request it is: the peer's address, or the one that a trusted proxy names.
//!
//! **Invariant:** a header is believed only from a peer that the settings name.

use anyhow::Context as _;
use http::HeaderMap;
use std::net::{IpAddr, Ipv6Addr};

/// The proxies whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    base: u128,
    bits: u32,
}

impl Proxies {
    /// Reads networks like `10.0.0.0/8` or single addresses.
    pub fn parse(texts: &[String]) -> anyhow::Result<Self> {
        let networks = texts
            .iter()
            .map(|text| text.trim())
            .filter(|text| !text.is_empty());
        let networks = networks.map(|text| {
            Network::parse(text)
                .with_context(|| format!("TRUSTED_PROXIES must be networks like 10.0.0.0/8, but has {text}"))
        });
        Ok(Self(networks.collect::<anyhow::Result<_>>()?))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The right-most hop that is not one of ours. Hops further left are whatever the client wrote.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let hops: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        let mut client = peer;
        for hop in hops.into_iter().rev() {
            let Some(address) = parse_hop(hop.trim()) else {
                break;
            };
            client = address;
            if !self.trusts(address) {
                break;
            }
        }
        client
    }
}

/// Some proxies add a port.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok().or_else(|| {
        text.parse::<std::net::SocketAddr>()
            .ok()
            .map(|socket| socket.ip())
    });
    address.map(|address| address.to_canonical())
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (
                address.parse::<IpAddr>().ok()?.to_canonical(),
                Some(bits.parse::<u32>().ok()?),
            ),
            None => (text.parse::<IpAddr>().ok()?.to_canonical(), None),
        };
        let (width, shift) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let bits = bits.unwrap_or(width);
        (bits <= width).then(|| Self {
            base: wide(address),
            bits: bits + shift,
        })
    }

    fn contains(self, address: IpAddr) -> bool {
        let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
        wide(address) & mask == self.base & mask
    }
}

/// One number line for both families: v4 lies at `::ffff:0:0/96`.
fn wide(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// What one customer of a provider holds: an IPv4 address, or an IPv6 /64. It is what limits count.
pub fn prefix(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("{}/64", Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}

/// The /48 that an IPv6 prefix lies in, as [`prefix`] gives one: what a site is given. `None` for IPv4.
pub fn wider(prefix: &str) -> Option<String> {
    let address: Ipv6Addr = prefix.strip_suffix("/64")?.parse().ok()?;
    Some(neighbourhood(IpAddr::V6(address)))
}

/// What the audit keeps: enough to see a neighbourhood, not a person.
pub fn neighbourhood(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => format!("{}/48", Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 80))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn client(peer: &str, forwarded: &str, trusted: &[&str]) -> String {
        let trusted: Vec<String> = trusted.iter().map(|text| (*text).to_owned()).collect();
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_str(forwarded).unwrap());
        Proxies::parse(&trusted)
            .unwrap()
            .client(peer.parse().unwrap(), &headers)
            .to_string()
    }

    #[test]
    fn a_stranger_cannot_name_another_address() {
        assert_eq!(client("203.0.113.9", "1.2.3.4", &[]), "203.0.113.9");
        assert_eq!(client("203.0.113.9", "1.2.3.4", &["10.0.0.0/8"]), "203.0.113.9");
    }

    #[test]
    fn behind_a_trusted_proxy_the_right_most_foreign_hop_counts() {
        assert_eq!(client("10.1.1.1", "1.2.3.4, 5.6.7.8", &["10.0.0.0/8"]), "5.6.7.8");
        assert_eq!(
            client("10.1.1.1", "1.2.3.4, 5.6.7.8, 10.2.2.2", &["10.0.0.0/8"]),
            "5.6.7.8"
        );
        assert_eq!(
            client("10.1.1.1", "1.2.3.4, rubbish", &["10.0.0.0/8"]),
            "10.1.1.1"
        );
        assert_eq!(client("10.1.1.1", "5.6.7.8:4711", &["10.0.0.0/8"]), "5.6.7.8");
        assert_eq!(
            client("::ffff:10.1.1.1", "::ffff:5.6.7.8", &["10.0.0.0/8"]),
            "5.6.7.8"
        );
        assert_eq!(client("fd00::1", "2001:db8::5", &["fd00::/8"]), "2001:db8::5");
    }

    #[test]
    fn a_network_that_is_none_stops_the_start() {
        for text in ["10.0.0.0/33", "ten", "10.0.0.0/", "::/129"] {
            assert!(Proxies::parse(&[text.to_owned()]).is_err(), "{text}");
        }
    }

    #[test]
    fn an_ipv6_customer_counts_as_one() {
        assert_eq!(
            prefix("2001:db8:1:2:3:4:5:6".parse().unwrap()),
            "2001:db8:1:2::/64"
        );
        assert_eq!(prefix("::ffff:1.2.3.4".parse().unwrap()), "1.2.3.4");
        assert_eq!(wider("2001:db8:1:2::/64").as_deref(), Some("2001:db8:1::/48"));
        assert_eq!(wider("1.2.3.4"), None);
        assert_eq!(neighbourhood("1.2.3.4".parse().unwrap()), "1.2.3.0/24");
        assert_eq!(
            neighbourhood("2001:db8:1:2::1".parse().unwrap()),
            "2001:db8:1::/48"
        );
    }
}
