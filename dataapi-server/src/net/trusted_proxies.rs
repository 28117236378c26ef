//! The reverse proxies whose headers are believed.

use std::net::IpAddr;
use std::str::FromStr;

use http::HeaderMap;
use ipnet::{IpNet, Ipv4Net};

use crate::net::forwarded::{Forwarded, Unclear};

/// The addresses of reverse proxies: one, such as `10.0.0.1`, or a network, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedProxy(IpNet);

/// A value that is no [`TrustedProxy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an IP address or a network, such as '10.0.0.1', '10.0.0.0/8' or 'fd00::/8'")]
#[non_exhaustive]
pub struct NotANetwork;

impl FromStr for TrustedProxy {
    type Err = NotANetwork;

    fn from_str(value: &str) -> Result<Self, NotANetwork> {
        let address = || value.parse::<IpAddr>().map(IpNet::from);
        let network = value.parse::<IpNet>().or_else(|_| address()).map_err(|_| NotANetwork)?;
        Ok(Self(canonical(network)))
    }
}

/// Returns the network of IPv4 addresses for one of IPv4 addresses in IPv6 (`::ffff:0:0/96`). Peers are compared in
/// the same form.
fn canonical(network: IpNet) -> IpNet {
    if let IpNet::V6(mapped) = network
        && let Some(address) = mapped.addr().to_ipv4_mapped()
        && let Some(bits) = mapped.prefix_len().checked_sub(96)
        && let Ok(network) = Ipv4Net::new(address, bits)
    {
        return network.into();
    }
    network
}

/// All reverse proxies whose headers are believed.
#[derive(Clone, Debug)]
pub(crate) struct TrustedProxies {
    networks: Vec<TrustedProxy>,
    /// Whether a proxy names the path prefix that it strips. Otherwise it is configured.
    takes_prefix: bool,
}

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<TrustedProxy>, takes_prefix: bool) -> Self {
        Self { networks, takes_prefix }
    }

    /// Whether a peer is a trusted proxy, so that its connections carry the requests of many clients.
    pub(crate) fn contain(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.networks.iter().any(|TrustedProxy(network)| network.contains(&peer))
    }

    /// Returns what is known of a request from this peer. The headers of any other peer than a trusted proxy say
    /// nothing.
    pub(crate) fn read(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Forwarded, Unclear> {
        let peer = peer.to_canonical();
        if self.contain(peer) {
            Forwarded::read(peer, headers, |address| self.contain(address), self.takes_prefix)
        } else {
            Ok(Forwarded::direct(peer))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        for (network, within, without) in [
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.1"),
            ("0.0.0.0/0", "192.0.2.7", "2001:db8::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1", "::1", "127.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.0.0.1", "11.0.0.1"),
            ("127.0.0.0/8", "::ffff:127.0.0.1", "::1"),
        ] {
            let proxies = TrustedProxies::new(vec![network.parse().expect(network)], false);
            assert!(proxies.contain(within.parse().expect(within)), "{network} {within}");
            assert!(!proxies.contain(without.parse().expect(without)), "{network} {without}");
        }
        for value in ["", "proxy.example", "10.0.0.1:80", "10.0.0.0/33", "10.0.0", "[::1]", "*"] {
            assert_eq!(value.parse::<TrustedProxy>(), Err(NotANetwork), "{value}");
        }
    }

    #[test]
    fn headers_of_other_peers_say_nothing() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("forwarded", "for=\"open"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-prefix", "/evil"),
        ] {
            headers.insert(name, value.parse().expect("a value"));
        }
        let stranger = "198.51.100.1".parse().expect("an address");
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("a network")], true);
        assert_eq!(proxies.read(stranger, &headers), Ok(Forwarded::direct(stranger)));
    }
}
