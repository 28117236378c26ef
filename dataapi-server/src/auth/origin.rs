//! Origins: which web pages may send requests.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Uri};

use crate::net::web_origin::{self, Scheme, WebOrigin};
use crate::problem::Problem;

/// What is known of the origin under which browsers see this server, beyond the head of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnOrigin<'o> {
    /// The origin of the public URL, if one is configured.
    pub(crate) public: Option<&'o WebOrigin>,
    /// The scheme, unless it depends on a proxy that does not say it.
    pub(crate) scheme: Option<Scheme>,
    /// The host that a trusted proxy was asked for, if it says so.
    pub(crate) host: Option<&'o str>,
}

/// Accepts a request from this server's own pages, from pages of these `origins`, or from no page. Without this check
/// and without keys, any web page in a browser on this machine could record decisions and erase dialogs.
pub(crate) fn check(
    target: &Uri,
    headers: &HeaderMap,
    own: OwnOrigin<'_>,
    origins: &[HeaderValue],
) -> Result<(), Problem> {
    let is_accepted = |origin: &HeaderValue| {
        is_own(origin, target, headers, own) || web_origin::is_among(origins, origin)
    };
    if headers.get_all(ORIGIN).iter().all(is_accepted) {
        Ok(())
    } else {
        Err(Problem::origin_refused())
    }
}

fn is_own(origin: &HeaderValue, target: &Uri, headers: &HeaderMap, own: OwnOrigin<'_>) -> bool {
    let Some(origin) = origin.to_str().ok().and_then(WebOrigin::parse) else { return false };
    if own.public == Some(&origin) {
        return true;
    }
    let host = own.host.or_else(|| match target.authority() {
        // Over HTTP/2 the host is part of the target.
        Some(authority) => Some(authority.as_str()),
        None => headers.get(HOST).and_then(|host| host.to_str().ok()),
    });
    // A proxy that nobody told us about can speak TLS in front of this server, so the scheme can be either.
    let scheme = own.scheme.unwrap_or(origin.scheme());
    host.and_then(|host| WebOrigin::new(scheme, host)) == Some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(origin: &'static str, host: &'static str, own: OwnOrigin<'_>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
        headers.insert(HOST, HeaderValue::from_static(host));
        check(&Uri::from_static("/data/"), &headers, own, &[]).is_ok()
    }

    #[test]
    fn a_port_that_is_the_default_makes_no_difference() {
        for (origin, host) in [
            ("https://h.example", "h.example:443"),
            ("https://h.example:443", "h.example"),
            ("http://h.example", "h.example:80"),
            ("http://h.example:80", "H.example"),
            ("http://h.example:8080", "h.example:8080"),
        ] {
            assert!(is_accepted(origin, host, OwnOrigin::default()), "{origin} {host}");
        }
        for (origin, host) in [
            ("https://h.example", "h.example:80"),
            ("http://h.example", "h.example:443"),
            ("http://h.example", "h.example:8080"),
            ("http://h.example:8080", "h.example"),
            ("https://evil.example", "h.example"),
            ("null", "h.example"),
        ] {
            assert!(!is_accepted(origin, host, OwnOrigin::default()), "{origin} {host}");
        }
    }

    #[test]
    fn a_known_scheme_must_be_that_of_the_page() {
        let own = OwnOrigin { scheme: Some(Scheme::Https), ..OwnOrigin::default() };
        assert!(is_accepted("https://h.example", "h.example", own));
        assert!(!is_accepted("http://h.example", "h.example", own));
        assert!(!is_accepted("http://h.example:443", "h.example:443", own));
    }

    #[test]
    fn the_public_url_and_what_a_proxy_was_asked_for_are_own_origins() {
        let public = WebOrigin::parse("https://h.example").expect("an origin");
        let own = OwnOrigin { public: Some(&public), ..OwnOrigin::default() };
        for origin in ["https://h.example", "https://h.example:443", "http://127.0.0.1:8080"] {
            assert!(is_accepted(origin, "127.0.0.1:8080", own), "{origin}");
        }
        assert!(!is_accepted("http://h.example", "127.0.0.1:8080", own));

        let host = Some("h.example");
        let own = OwnOrigin { scheme: Some(Scheme::Https), host, ..OwnOrigin::default() };
        assert!(is_accepted("https://h.example:443", "127.0.0.1:8080", own));
        assert!(!is_accepted("https://127.0.0.1:8080", "127.0.0.1:8080", own));
    }

    #[test]
    fn one_foreign_origin_among_several_is_enough_to_refuse() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("h.example"));
        for origin in ["https://h.example", "https://evil.example"] {
            headers.append(ORIGIN, HeaderValue::from_static(origin));
        }
        let target = Uri::from_static("/data/");
        assert!(check(&target, &headers, OwnOrigin::default(), &[]).is_err());
    }
}
