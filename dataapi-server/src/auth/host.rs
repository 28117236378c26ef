//! Hosts: which name a request is sent to, and which names a server without keys answers to.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::{HOST, HeaderName, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri, Version};

use crate::auth::origin::{self, OwnOrigin};
use crate::net::web_origin;
use crate::problem::Problem;

/// What a browser says about the page that sends a request (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The host that a request is sent to, without its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host<'r> {
    V6(Ipv6Addr),
    /// A name or an IPv4 address.
    Name(&'r str),
}

/// Returns the host that a request names; `None` for HTTP/1.0 without one. A request that names none, several, or an
/// invalid one is refused (RFC 9112, section 3.2, and RFC 9113, section 8.3.1): a proxy could read it in another way.
pub(crate) fn named<'r>(
    version: Version,
    target: &'r Uri,
    headers: &'r HeaderMap,
) -> Result<Option<Host<'r>>, Problem> {
    let mut given = headers.get_all(HOST).iter();
    let (host, None) = (given.next(), given.next()) else { return Err(Problem::bad_host()) };
    let host = host.map(|host| host.to_str().map_err(|_| Problem::bad_host())).transpose()?;
    // Over HTTP/2, and in a whole URL over HTTP/1.1, the host is part of the target.
    let authority = target.authority().map(Authority::as_str);
    let is_named = match version {
        Version::HTTP_2 => match (authority, host) {
            (Some(authority), Some(host)) => authority.eq_ignore_ascii_case(host),
            (authority, host) => authority.is_some() || host.is_some(),
        },
        Version::HTTP_11 => host.is_some(),
        _ => true,
    };
    let read = |text| Host::parse(text).ok_or_else(Problem::bad_host);
    let (authority, host) = (authority.map(read).transpose()?, host.map(read).transpose()?);
    if is_named { Ok(authority.or(host)) } else { Err(Problem::bad_host()) }
}

/// Checks a request to a server that needs no keys. A web page whose host name resolves to this machine (DNS rebinding)
/// sends its own name, also through a proxy on this machine, and a browser tells from which site a request comes.
pub(crate) fn check_without_keys(
    host: Option<Host<'_>>,
    target: &Uri,
    headers: &HeaderMap,
    own: OwnOrigin<'_>,
    origins: &[HeaderValue],
) -> Result<(), Problem> {
    // HTTP/1.0 without a host is not from a browser.
    let is_here = host.is_none_or(Host::is_loopback);
    let is_forwarded_here =
        own.host.is_none_or(|host| Host::parse(host).is_some_and(Host::is_loopback));
    if !is_here || !is_forwarded_here {
        return Err(Problem::host_refused());
    }
    origin::check(target, headers, own, origins)?;
    let is_cross_site = headers.get_all(SEC_FETCH_SITE).iter().any(|site| site == "cross-site");
    let is_allowed =
        headers.get(ORIGIN).is_some_and(|origin| web_origin::is_among(origins, origin));
    if is_cross_site && !is_allowed { Err(Problem::origin_refused()) } else { Ok(()) }
}

impl<'r> Host<'r> {
    /// Reads a host and maybe a port (RFC 3986, section 3.2), without user information.
    fn parse(text: &'r str) -> Option<Self> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            (Self::V6(address.parse().ok()?), port)
        } else {
            let end = text.find(':').unwrap_or(text.len());
            let (name, port) = text.split_at(end);
            let fits =
                |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte);
            if name.is_empty() || !name.bytes().all(fits) {
                return None;
            }
            (Self::Name(name), port)
        };
        let is_port = |digits: &str| {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number && (digits.is_empty() || digits.parse::<u16>().is_ok())
        };
        (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(host)
    }

    /// Whether the host is this machine whatever a name server says: a loopback address, `localhost`, or a name that
    /// ends in `.localhost` (RFC 6761, section 6.3).
    fn is_loopback(self) -> bool {
        let name = match self {
            Self::V6(address) => return address.to_canonical().is_loopback(),
            Self::Name(name) => name.strip_suffix('.').unwrap_or(name),
        };
        let is_localhost =
            |label: Option<&str>| label.is_some_and(|it| it.eq_ignore_ascii_case("localhost"));
        is_localhost(name.rsplit('.').next())
            || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_by_its_addresses_and_by_reserved_names() {
        for host in [
            "localhost",
            "LocalHost:8080",
            "localhost.",
            "api.localhost:1",
            "127.0.0.1",
            "127.255.3.4:65535",
            "[::1]",
            "[::1]:80",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]:8",
            "127.0.0.1:",
        ] {
            assert!(Host::parse(host).is_some_and(Host::is_loopback), "{host}");
        }
        for host in [
            "x",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "xlocalhost:80",
            "128.0.0.1",
            "0.0.0.0",
            "10.0.0.1:80",
            "[::]",
            "[::2]",
            "[fe80::1]",
            "[::ffff:10.0.0.1]",
            "127.0.0.1%00",
            "2130706433",
        ] {
            assert!(!Host::parse(host).is_none_or(Host::is_loopback), "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in [
            "",
            ":80",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "user@localhost",
            "localhost:x",
            "localhost:-1",
            "localhost:65536",
            "localhost:80:80",
            "[::1",
            "::1",
            "[::1]80",
            "[::1%25lo]",
            "[x]",
            "[]",
            "loc\"alhost",
            "a\\b",
            "a<b",
            "localhost:8 0",
        ] {
            assert_eq!(Host::parse(host), None, "{host}");
        }
    }
}
