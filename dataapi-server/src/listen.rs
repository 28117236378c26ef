//! `--listen`: what can be written there, which addresses it means, and the listeners on them.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::net::{TcpListener, lookup_host};

/// A host and a port to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenAt {
    /// Port of all addresses, of IPv4 and of IPv6.
    Everywhere(u16),
    Address(SocketAddr),
    /// A name with all its addresses.
    Name(String, u16),
}

impl FromStr for ListenAt {
    type Err = &'static str;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "must be a host and a port, such as '127.0.0.1:8080', '[::1]:8080' or 'localhost:8080', or \
                             ':8080' for all addresses";
        if let Ok(address) = written.parse() {
            return Ok(Self::Address(address));
        }
        let (host, port) = written.rsplit_once(':').ok_or(WRONG)?;
        let is_digit = |byte: u8| byte.is_ascii_digit();
        let port = port.bytes().all(is_digit).then(|| port.parse().ok()).flatten().ok_or(WRONG)?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        match host {
            "" => Ok(Self::Everywhere(port)),
            // A name of digits and dots is a mistyped address.
            _ if !host.bytes().all(is_name)
                || host.bytes().all(|byte| is_digit(byte) || byte == b'.') =>
            {
                Err(WRONG)
            }
            _ => Ok(Self::Name(host.to_owned(), port)),
        }
    }
}

impl fmt::Display for ListenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere(port) => write!(f, ":{port}"),
            Self::Address(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

impl ListenAt {
    /// Looks up the addresses.
    pub(crate) async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Everywhere(port) => Ok(vec![
                (Ipv6Addr::UNSPECIFIED, *port).into(),
                (Ipv4Addr::UNSPECIFIED, *port).into(),
            ]),
            Self::Address(address) => Ok(vec![*address]),
            Self::Name(name, port) => {
                let mut addresses = Vec::new();
                for address in lookup_host((name.as_str(), *port)).await? {
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
                if addresses.is_empty() {
                    return Err(io::Error::new(ErrorKind::NotFound, "the name has no address"));
                }
                Ok(addresses)
            }
        }
    }

    /// Listens on `addresses`, which are those of this host. A machine without IPv6, or without IPv4, listens on the
    /// other one.
    pub(crate) async fn bind(&self, addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
        let mut listeners: Vec<TcpListener> = Vec::new();
        let mut refused = None;
        for mut address in addresses.iter().copied() {
            // One free port serves all addresses of a host.
            if let Some(first) = listeners.first()
                && address.port() == 0
            {
                address.set_port(first.local_addr()?.port());
            }
            match TcpListener::bind(address).await {
                Ok(listener) => listeners.push(listener),
                // On most systems the listener on all addresses of IPv6 has those of IPv4 as well.
                Err(error)
                    if error.kind() == ErrorKind::AddrInUse
                        && matches!(self, Self::Everywhere(_))
                        && !listeners.is_empty() => {}
                Err(error) if addresses.len() > 1 && is_missing(&error) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        match refused {
            Some(error) if listeners.is_empty() => Err(error),
            _ => Ok(listeners),
        }
    }
}

/// Whether the machine has no such address, or not that version of IP.
fn is_missing(error: &io::Error) -> bool {
    #[cfg(target_os = "linux")]
    if rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::AFNOSUPPORT) {
        return true;
    }
    error.kind() == ErrorKind::AddrNotAvailable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_a_name_and_a_port_alone_are_places_to_listen_on() {
        for (written, meant) in [
            (":8080", ListenAt::Everywhere(8080)),
            ("127.0.0.1:0", ListenAt::Address(([127, 0, 0, 1], 0).into())),
            ("[::1]:80", ListenAt::Address((Ipv6Addr::LOCALHOST, 80).into())),
            ("localhost:8080", ListenAt::Name("localhost".to_owned(), 8080)),
            ("api.example.com:443", ListenAt::Name("api.example.com".to_owned(), 443)),
        ] {
            assert_eq!(written.parse(), Ok(meant.clone()), "{written}");
            assert_eq!(meant.to_string(), written);
        }
        for wrong in [
            "8080",
            "localhost",
            "::1:80",
            "a b:80",
            "localhost:",
            ":",
            ":65536",
            "1.2.3:80",
            "a:+1",
        ] {
            assert!(wrong.parse::<ListenAt>().is_err(), "{wrong}");
        }
    }
}
