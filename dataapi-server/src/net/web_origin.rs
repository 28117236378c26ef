//! Origins of web pages (RFC 6454), compared as browsers compare them.

use std::fmt;

use http::HeaderValue;
use http::uri::Authority;

/// A scheme of the web.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// Parses a scheme, in any case.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("https") {
            Some(Self::Https)
        } else if name.eq_ignore_ascii_case("http") {
            Some(Self::Http)
        } else {
            None
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A scheme, a host and a port. The host is in lower case, and a port that was left out is the default of the scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebOrigin {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl WebOrigin {
    /// Returns the origin of a scheme, and of a host with or without a port, as in the header `Host`. `None` if that is
    /// anything else.
    pub(crate) fn new(scheme: Scheme, host_and_port: &str) -> Option<Self> {
        let authority: Authority = host_and_port.parse().ok()?;
        let host = authority.host();
        // User information would be before the host.
        let port = match host_and_port.strip_prefix(host)? {
            "" | ":" => scheme.default_port(),
            port => port.strip_prefix(':')?.parse().ok()?,
        };
        (!host.is_empty()).then(|| Self { scheme, host: host.to_ascii_lowercase(), port })
    }

    /// Parses an origin as the header `Origin` has it. `None` for `null`, and for what is not of the web.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let (scheme, host_and_port) = value.split_once("://")?;
        Self::new(Scheme::parse(scheme)?, host_and_port)
    }

    pub(crate) const fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

/// Shows the origin as browsers write it.
impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host)?;
        if self.port == self.scheme.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Whether a value of `Origin` is one of these, in whatever way each of them is written.
pub(crate) fn is_among(origins: &[HeaderValue], origin: &HeaderValue) -> bool {
    let parse = |value: &HeaderValue| value.to_str().ok().and_then(WebOrigin::parse);
    origins.contains(origin)
        || parse(origin)
            .is_some_and(|origin| origins.iter().any(|one| parse(one).as_ref() == Some(&origin)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_the_scheme_and_the_case_of_names_make_no_difference() {
        for [left, right] in [
            ["https://h.example", "https://h.example:443"],
            ["http://h.example", "http://H.Example:80"],
            ["https://h.example", "HTTPS://h.example:"],
            ["http://[::1]", "http://[::1]:80"],
        ] {
            let parsed = WebOrigin::parse(left);
            assert!(parsed.is_some(), "{left}");
            assert_eq!(parsed, WebOrigin::parse(right), "{left} {right}");
        }
        let shown = |value| WebOrigin::parse(value).map(|origin| origin.to_string());
        assert_eq!(shown("HTTPS://H.example:443"), Some("https://h.example".to_owned()));
        assert_eq!(shown("https://h.example:80"), Some("https://h.example:80".to_owned()));
    }

    #[test]
    fn other_schemes_hosts_and_ports_are_other_origins() {
        let origin = WebOrigin::parse("https://h.example");
        for other in [
            "http://h.example",
            "http://h.example:443",
            "https://h.example:80",
            "https://h.example.evil",
            "https://evil.example",
        ] {
            let parsed = WebOrigin::parse(other);
            assert!(parsed.is_some() && parsed != origin, "{other}");
        }
    }

    #[test]
    fn what_is_not_an_origin_of_the_web_is_none() {
        for value in [
            "null",
            "",
            "https://",
            "https://:443",
            "ftp://h.example",
            "https://h.example/",
            "https://h.example:70000",
            "https://h.example:x",
            "https://user@h.example",
            "https://h.example https://i.example",
        ] {
            assert_eq!(WebOrigin::parse(value), None, "{value}");
        }
    }

    #[test]
    fn an_origin_is_found_in_a_list_however_it_is_written() {
        let list = ["https://console.example:443", "app://local"].map(HeaderValue::from_static);
        let is_in = |origin| is_among(&list, &HeaderValue::from_static(origin));
        assert!(is_in("https://console.example") && is_in("app://local"));
        assert!(!is_in("http://console.example") && !is_in("null") && !is_in("app://other"));
    }
}
