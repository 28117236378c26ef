//! The URL that clients reach the server under, where a reverse proxy is in front of it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use dataapi_wire::percent_decode;

use crate::net::web_origin::WebOrigin;

/// The maximum length of a path prefix, in bytes.
const PREFIX_BYTES: usize = 255;

/// The URL under which clients reach a server behind a reverse proxy, such as `https://host/prefix`. The proxy strips
/// the path, and every URL in an answer has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    origin: WebOrigin,
    prefix: PathPrefix,
}

/// A value that is no [`PublicUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an http or https URL with a host and at most a path, such as 'https://host.example/dataapi'"
)]
#[non_exhaustive]
pub struct NotAPublicUrl;

impl PublicUrl {
    pub(crate) const fn origin(&self) -> &WebOrigin {
        &self.origin
    }

    pub(crate) const fn prefix(&self) -> &PathPrefix {
        &self.prefix
    }

    /// Whether only programs on this machine can use the URL.
    pub fn is_loopback(&self) -> bool {
        let host = self.origin.host();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.map_or_else(
            |_| host == "localhost" || host.ends_with(".localhost"),
            |address| address.to_canonical().is_loopback(),
        )
    }
}

impl FromStr for PublicUrl {
    type Err = NotAPublicUrl;

    fn from_str(url: &str) -> Result<Self, NotAPublicUrl> {
        let authority = url.find("://").ok_or(NotAPublicUrl)? + "://".len();
        let path = url[authority..].find('/').map_or(url.len(), |path| authority + path);
        let origin = WebOrigin::parse(&url[..path]).ok_or(NotAPublicUrl)?;
        let prefix = PathPrefix::parse(&url[path..]).ok_or(NotAPublicUrl)?;
        Ok(Self { origin, prefix })
    }
}

/// Shows the URL without a slash at its end.
impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.prefix.as_str())
    }
}

/// The beginning of a path that a reverse proxy strips: empty, or segments that each begin with a slash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathPrefix(String);

impl PathPrefix {
    /// Parses a prefix, with or without a slash at its end. A prefix that begins with two slashes, or has a segment
    /// of dots, would lead clients to another host or another path, so it is none.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() {
            return Some(Self::default());
        }
        let mut segments = path.strip_prefix('/')?.split('/');
        (path.len() <= PREFIX_BYTES && segments.all(is_segment)).then(|| Self(path.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the prefix of a proxy behind the one that strips `self`; `None` if it is too long.
    pub(crate) fn followed_by(&self, inner: &Self) -> Option<Self> {
        Self::parse(&format!("{}{}", self.0, inner.0))
    }
}

/// Whether this is a segment of a path (RFC 3986) with a meaning of its own.
fn is_segment(segment: &str) -> bool {
    let is_allowed = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%' | b'+' | b'@')
    };
    !segment.is_empty()
        && segment.bytes().all(is_allowed)
        && percent_decode(segment)
            .is_ok_and(|decoded| decoded != "." && decoded != ".." && !decoded.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_an_origin_and_a_path() {
        for (url, shown, prefix) in [
            ("https://h.example", "https://h.example", ""),
            ("https://h.example/", "https://h.example", ""),
            ("HTTPS://H.example:443/dataapi/", "https://h.example/dataapi", "/dataapi"),
            ("http://h.example:8080/a/b%20c", "http://h.example:8080/a/b%20c", "/a/b%20c"),
        ] {
            let parsed: PublicUrl = url.parse().expect(url);
            assert_eq!((parsed.to_string(), parsed.prefix().as_str()), (shown.to_owned(), prefix));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for url in [
            "h.example",
            "/dataapi",
            "ftp://h.example",
            "https:///dataapi",
            "https://user:PW@h.example",
            "https://h.example?a=b",
            "https://h.example/a?b=c",
            "https://h.example/a#b",
            "https://h.example//a",
            "https://h.example/a/../b",
            "https://h.example/%2e%2E",
            "https://h.example/a%2Fb",
            "https://h.example/a%2",
            "https://h.example/a b",
            "https://h.example/<a>",
            &format!("https://h.example/{}", "a".repeat(PREFIX_BYTES)),
        ] {
            assert_eq!(url.parse::<PublicUrl>(), Err(NotAPublicUrl), "{url}");
        }
    }

    #[test]
    fn prefixes_of_several_proxies_follow_each_other() {
        let prefix = |path| PathPrefix::parse(path).expect(path);
        assert_eq!(prefix("/a/").followed_by(&prefix("/b")), Some(prefix("/a/b")));
        assert_eq!(prefix("").followed_by(&prefix("/b")), Some(prefix("/b")));
        let long = prefix(&format!("/{}", "a".repeat(200)));
        assert_eq!(long.followed_by(&long), None);
    }

    #[test]
    fn only_names_and_addresses_of_this_machine_are_loopback() {
        for (url, is_loopback) in [
            ("http://localhost:8080", true),
            ("http://x.localhost/a", true),
            ("https://127.9.9.9", true),
            ("https://[::1]:8443", true),
            ("https://h.example", false),
            ("https://localhost.example", false),
            ("https://10.0.0.1", false),
            ("https://[2001:db8::1]", false),
        ] {
            assert_eq!(url.parse::<PublicUrl>().expect(url).is_loopback(), is_loopback, "{url}");
        }
    }
}
