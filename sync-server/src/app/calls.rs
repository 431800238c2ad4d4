//! How this server calls others: no redirects followed, ten seconds at most, and no place inside that the settings do not name.
//!
//! **Invariant:** a name that somebody else said leads out of this machine and its network, or nowhere. What is judged are the
//! addresses that are connected to, so that one which means something else a moment later gains nothing.

use anyhow::Context as _;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// A client for whom the settings name by these addresses, and for where that one leads.
pub fn client(named: &[&Url]) -> anyhow::Result<reqwest::Client> {
    let named = named.iter().filter_map(|address| address.host_str());
    reqwest::Client::builder()
        .dns_resolver(Outward {
            named: named.map(str::to_owned).collect(),
        })
        .redirect(reqwest::redirect::Policy::none())
        // one that the environment names would find the addresses itself, and judge none
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .user_agent(concat!("compymac/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("building the HTTP client")
}

/// Finds the addresses of a name. Asked for names alone: an address that is written as a number is judged where it is read.
struct Outward {
    /// Whoever runs the server wrote these, and may have them inside.
    named: Arc<[String]>,
}

impl Resolve for Outward {
    fn resolve(&self, name: Name) -> Resolving {
        let is_named = self.named.iter().any(|named| named == name.as_str());
        Box::pin(async move {
            // the port is put in by whoever connects
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = if is_named { found.collect() } else { outside(found) };
            if found.is_empty() {
                return Err(format!("{} leads to a place inside", name.as_str()).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn outside(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    found.filter(|address| !is_inside(address.ip())).collect()
}

/// Whether only this machine or its own network has such an address.
pub fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_inside_v4(address),
        IpAddr::V6(address) => match within(address.octets()) {
            Some(address) => is_inside_v4(address),
            None => {
                address.is_unique_local()
                    || address.is_unicast_link_local()
                    || address.is_multicast()
                    // a translating gateway of one's own (RFC 8215), and what was for one site (RFC 3879)
                    || matches!(address.segments(), [0x64, 0xff9b, 1, ..] | [0xfec0..=0xfeff, ..])
            }
        },
    }
}

/// The address of before IPv6 that one of IPv6 stands for: as they are mapped (RFC 4291 §2.5.5), or through a gateway that
/// translates (RFC 6052 §2.1, RFC 3056).
fn within(octets: [u8; 16]) -> Option<Ipv4Addr> {
    match octets {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, rest @ ..]
        | [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, rest @ ..]
        | [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, rest @ ..] => Some(Ipv4Addr::from(rest)),
        [0x20, 0x02, a, b, c, d, ..] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    }
}

const fn is_inside_v4(ip: Ipv4Addr) -> bool {
    ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_unspecified()
        || ip.is_multicast()
        || ip.is_broadcast()
        || matches!(
            ip.octets(),
            [0 | 240..=255, ..] | [100, 64..=127, ..] | [192, 0, 0, _]
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_only_this_machine_or_its_network_has_is_inside() {
        for inside in [
            "127.0.0.1",
            "127.255.0.9",
            "10.0.0.5",
            "172.16.0.5",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.192",
            "240.0.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.5",
            "64:ff9b:1::10.0.0.5",
            "fec0::1",
            "2002:a00:5::1",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
        ] {
            assert!(is_inside(address(inside)), "{inside}");
        }
        for outside in [
            "203.0.113.7",
            "172.32.0.1",
            "100.128.0.1",
            "2001:db8::7",
            "64:ff9b::203.0.113.7",
            "2002:cb00:7107::1",
            "::ffff:203.0.113.7",
        ] {
            assert!(!is_inside(address(outside)), "{outside}");
        }
    }

    #[test]
    fn of_a_name_that_leads_inside_and_out_what_is_outside_is_left() {
        let found = ["127.0.0.1", "203.0.113.7", "::1"].map(|text| SocketAddr::new(address(text), 0));
        let left: Vec<IpAddr> = outside(found.into_iter()).iter().map(SocketAddr::ip).collect();
        assert_eq!(left, [address("203.0.113.7")]);
    }

    /// `localhost` leads here by the machine's own list of names, and nobody is asked.
    #[tokio::test]
    async fn a_name_that_leads_inside_is_called_only_where_the_settings_name_it() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = format!("http://localhost:{}/keys", door.local_addr().unwrap().port());
        let issuer = Url::parse("https://accounts.issuer.example").unwrap();
        let refused = client(&[&issuer]).unwrap().get(&here).send().await.unwrap_err();
        assert!(
            format!("{:#}", anyhow::Error::from(refused)).contains("leads to a place inside"),
            "it says why"
        );

        let named = Url::parse("http://localhost/").unwrap();
        let calling = client(&[&issuer, &named]).unwrap().get(&here).send();
        let answering = async {
            // the first that knocks is this one: the other never came
            let (mut visitor, _) = door.accept().await.unwrap();
            let mut asked = [0; 1024];
            let length = visitor.read(&mut asked).await.unwrap();
            assert!(asked[..length].starts_with(b"GET /keys "));
            let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            visitor.write_all(answer).await.unwrap();
        };
        let (answer, ()) = tokio::join!(calling, answering);
        assert_eq!(answer.unwrap().status(), 204);
    }
}
