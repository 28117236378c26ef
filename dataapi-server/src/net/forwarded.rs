//! What reverse proxies say of a request: `Forwarded` (RFC 7239) and `X-Forwarded-For`, `-Proto`, `-Host` and
//! `-Prefix`.
//!
//! Each proxy adds what it saw at the end of these headers. So they are read from their end, only as far as trusted
//! proxies wrote them: anything before that is what a client sent, and can be anything.

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::net::public_url::PathPrefix;
use crate::net::web_origin::{Scheme, WebOrigin};

const X_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// What is known of a request beyond its own head: from the connection, and from the headers of trusted proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forwarded {
    /// The address of the client; of the last proxy that is known, if that one does not say whose request it is.
    pub(crate) client: IpAddr,
    /// The scheme that the client used.
    pub(crate) scheme: Option<Scheme>,
    /// The host that the client asked for, with or without a port, in lower case.
    pub(crate) host: Option<String>,
    /// The path prefix that proxies have stripped; never an empty one.
    pub(crate) prefix: Option<PathPrefix>,
}

/// Headers of a trusted proxy that have no certain meaning. Holds no value of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unclear {
    #[error("the header '{0}' of the proxy is malformed")]
    Malformed(&'static str),
    #[error("the headers 'Forwarded' and 'X-Forwarded-*' of the proxy contradict each other")]
    Contradiction,
}

impl Forwarded {
    /// Returns what is known of a request without a proxy.
    pub(crate) const fn direct(peer: IpAddr) -> Self {
        Self { client: peer, scheme: None, host: None, prefix: None }
    }

    /// Reads the headers of a request that came from the trusted proxy `peer`.
    ///
    /// Some proxies write both kinds of headers. Others write one kind and let a client's headers of the other kind
    /// pass, which would let it choose its address. So whatever both kinds say must be the same.
    pub(crate) fn read(
        peer: IpAddr,
        headers: &HeaderMap,
        is_trusted: impl Fn(IpAddr) -> bool,
        takes_prefix: bool,
    ) -> Result<Self, Unclear> {
        let standard = of_standard_header(peer, headers, &is_trusted)?;
        let other = of_other_headers(peer, headers, &is_trusted)?;
        let hops = if takes_prefix { standard.hops.max(other.hops) } else { 0 };
        Ok(Self {
            client: agreed(standard.client, other.client)?.unwrap_or(peer),
            scheme: agreed(standard.scheme, other.scheme)?,
            host: agreed(standard.host, other.host)?,
            prefix: prefix(headers, hops)?.filter(|prefix| !prefix.is_empty()),
        })
    }
}

/// What headers of one kind say.
#[derive(Default)]
struct Told {
    client: Option<IpAddr>,
    scheme: Option<Scheme>,
    host: Option<String>,
    /// The number of trusted proxies on the way.
    hops: usize,
}

fn agreed<T: PartialEq>(standard: Option<T>, other: Option<T>) -> Result<Option<T>, Unclear> {
    match (standard, other) {
        (Some(standard), Some(other)) if standard != other => Err(Unclear::Contradiction),
        (standard, other) => Ok(standard.or(other)),
    }
}

fn of_standard_header(
    peer: IpAddr,
    headers: &HeaderMap,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Result<Told, Unclear> {
    const MALFORMED: Unclear = Unclear::Malformed("Forwarded");

    let mut told = Told::default();
    // A proxy adds an element to the last line, or a line.
    for line in headers.get_all(FORWARDED).iter().rev() {
        if !is_trusted(told.client.unwrap_or(peer)) {
            break;
        }
        let line = line.to_str().ok().and_then(elements).ok_or(MALFORMED)?;
        for element in line.into_iter().rev() {
            if !is_trusted(told.client.unwrap_or(peer)) {
                return Ok(told);
            }
            told.hops += 1;
            if let Some(proto) = element.proto {
                told.scheme = Some(Scheme::parse(&proto).ok_or(MALFORMED)?);
            }
            if let Some(host) = element.host {
                told.host = Some(host_name(&host).ok_or(MALFORMED)?);
            }
            match element.node.as_deref().map(|node| Node::parse(node).ok_or(MALFORMED)) {
                Some(Ok(Node::Address(client))) => told.client = Some(client),
                Some(Ok(Node::Hidden)) | None => return Ok(told),
                Some(Err(malformed)) => return Err(malformed),
            }
        }
    }
    Ok(told)
}

fn of_other_headers(
    peer: IpAddr,
    headers: &HeaderMap,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Result<Told, Unclear> {
    let mut told = Told::default();
    for node in from_the_end(headers, &X_FOR) {
        if !is_trusted(told.client.unwrap_or(peer)) {
            break;
        }
        told.hops += 1;
        let node = node.and_then(Node::parse).ok_or(Unclear::Malformed("X-Forwarded-For"))?;
        let Node::Address(client) = node else { break };
        told.client = Some(client);
    }
    // Most proxies replace these two and some add to them: the value of the outermost trusted proxy counts.
    told.hops = told.hops.max(1);
    if let Some(proto) = from_the_end(headers, &X_PROTO).take(told.hops).last() {
        let scheme = proto.and_then(Scheme::parse);
        told.scheme = Some(scheme.ok_or(Unclear::Malformed("X-Forwarded-Proto"))?);
    }
    if let Some(host) = from_the_end(headers, &X_HOST).take(told.hops).last() {
        let host = host.and_then(host_name);
        told.host = Some(host.ok_or(Unclear::Malformed("X-Forwarded-Host"))?);
    }
    Ok(told)
}

/// Returns the prefix that this many proxies have stripped, one after the other; `None` without the header.
fn prefix(headers: &HeaderMap, hops: usize) -> Result<Option<PathPrefix>, Unclear> {
    const MALFORMED: Unclear = Unclear::Malformed("X-Forwarded-Prefix");

    let mut whole: Option<PathPrefix> = None;
    for inner in from_the_end(headers, &X_PREFIX).take(hops) {
        let outer = inner.and_then(PathPrefix::parse).ok_or(MALFORMED)?;
        whole = Some(match whole {
            Some(inner) => outer.followed_by(&inner).ok_or(MALFORMED)?,
            None => outer,
        });
    }
    Ok(whole)
}

/// The entries of a list in headers of this name, from the last one on. An entry that is not text is `None`, and an
/// empty one is left out (RFC 9110, section 5.6.1).
fn from_the_end<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Option<&'h str>> {
    let lines = headers.get_all(name).iter().rev().map(HeaderValue::as_bytes);
    let entries = lines.flat_map(|line| line.rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii));
    entries.filter(|entry| !entry.is_empty()).map(|entry| str::from_utf8(entry).ok())
}

/// Returns a host with or without a port, in lower case.
fn host_name(host: &str) -> Option<String> {
    WebOrigin::new(Scheme::Https, host).map(|_| host.to_ascii_lowercase())
}

/// Who sent a request to a proxy.
#[derive(Debug, PartialEq, Eq)]
enum Node {
    Address(IpAddr),
    /// The proxy does not know it or does not say it.
    Hidden,
}

impl Node {
    /// Parses an address, with or without a port, an IPv6 address with or without brackets, or a name that hides one
    /// (RFC 7239, section 6).
    fn parse(node: &str) -> Option<Self> {
        let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
        let with_port = || node.parse().map(|address: SocketAddr| address.ip());
        if let Ok(address) = bare.parse::<IpAddr>().or_else(|_| with_port()) {
            return Some(Self::Address(address.to_canonical()));
        }
        let name = node.split_once(':').map_or(node, |(name, _)| name);
        let is_hidden = name.eq_ignore_ascii_case("unknown") || name.starts_with('_');
        is_hidden.then_some(Self::Hidden)
    }
}

/// One element of `Forwarded`: what one proxy says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Element {
    /// The parameter `for`.
    node: Option<String>,
    proto: Option<String>,
    host: Option<String>,
}

/// Parses a line of `Forwarded`; `None` if it is malformed, or has a parameter twice.
fn elements(line: &str) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    // An empty element of a list does not count (RFC 9110, section 5.6.1), but one that says nothing of interest does.
    let mut current: Option<Element> = None;
    let mut rest = line.trim_ascii();
    loop {
        if !rest.is_empty() && !rest.starts_with([';', ',']) {
            let (name, after) = rest.split_at(rest.find(|c| !is_of_token(c))?);
            let (value, after) = value(after.strip_prefix('=')?)?;
            rest = after.trim_ascii_start();
            let element = current.get_or_insert_default();
            let known = match name.to_ascii_lowercase().as_str() {
                "for" => Some(&mut element.node),
                "proto" => Some(&mut element.proto),
                "host" => Some(&mut element.host),
                "" => return None,
                _ => None,
            };
            if let Some(known) = known
                && known.replace(value).is_some()
            {
                return None;
            }
        }
        match rest.bytes().next() {
            None => break,
            Some(b';') => {}
            Some(b',') => elements.extend(current.take()),
            Some(_) => return None,
        }
        rest = rest[1..].trim_ascii_start();
    }
    elements.extend(current);
    Some(elements)
}

/// Splits off a token or a quoted string.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, rest) = text.split_at(text.find(|c| !is_of_token(c)).unwrap_or(text.len()));
        return (!token.is_empty()).then(|| (token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// Whether a character can be in a token (RFC 9110, section 5.6.2). Proxies also write addresses with ports, and IPv6
/// addresses, without quotes.
fn is_of_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:[]".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    /// Reads headers of 10.0.0.1. All of 10.0.0.0/8 is trusted.
    fn read(lines: &[(&'static str, &str)]) -> Result<Forwarded, Unclear> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        let is_trusted = |address: IpAddr| address.to_string().starts_with("10.");
        Forwarded::read(PEER, &headers, is_trusted, true)
    }

    fn client_of(lines: &[(&'static str, &str)]) -> String {
        read(lines).unwrap_or_else(|why| panic!("{lines:?}: {why}")).client.to_string()
    }

    #[test]
    fn the_client_is_the_last_address_that_a_trusted_proxy_wrote() {
        for (chain, client) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7, 10.0.0.2", "192.0.2.7"),
            ("192.0.2.7,10.0.0.3 ,\t10.0.0.2", "192.0.2.7"),
            // What comes before an address that is not trusted is the client's invention.
            ("10.9.9.9, 192.0.2.7", "192.0.2.7"),
            ("198.51.100.1, 192.0.2.7, 10.0.0.2", "192.0.2.7"),
            ("garbage, 192.0.2.7", "192.0.2.7"),
            ("\u{e4}, 192.0.2.7", "192.0.2.7"),
            // All of them are trusted.
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("192.0.2.7:4711", "192.0.2.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("192.0.2.7, unknown", "10.0.0.1"),
            ("192.0.2.7, unknown, 10.0.0.2", "10.0.0.2"),
            (",, 192.0.2.7 ,", "192.0.2.7"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(client_of(&[("x-forwarded-for", chain)]), client, "{chain}");
        }
        let lines = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "192.0.2.7")];
        assert_eq!(client_of(&lines), "192.0.2.7");
        assert_eq!(client_of(&[]), "10.0.0.1");
    }

    #[test]
    fn the_standard_header_is_read_in_the_same_way() {
        for (chain, client) in [
            ("for=192.0.2.7", "192.0.2.7"),
            ("For=\"192.0.2.7:4711\" ; Proto=https;by=10.0.0.1", "192.0.2.7"),
            ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=[2001:db8::1]", "2001:db8::1"),
            ("for=192.0.2.7, for=10.0.0.2;proto=http", "192.0.2.7"),
            ("for=10.9.9.9, for=192.0.2.7", "192.0.2.7"),
            ("for=garbage, for=192.0.2.7", "192.0.2.7"),
            ("for=\"a, for=10.2.2.2\", for=192.0.2.7", "192.0.2.7"),
            ("for=\"\\\"\", for=192.0.2.7", "192.0.2.7"),
            ("for=192.0.2.7, for=_hidden", "10.0.0.1"),
            ("for=192.0.2.7, for=\"_hidden:_port\", for=10.0.0.2", "10.0.0.2"),
            // An element without an address hides who is before it.
            ("for=192.0.2.7, proto=https", "10.0.0.1"),
            ("for=192.0.2.7, by=10.0.0.1", "10.0.0.1"),
            (", ;for=192.0.2.7;,", "192.0.2.7"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(client_of(&[("forwarded", chain)]), client, "{chain}");
        }
        // A line of the client's own cannot spoil the one that the proxy adds.
        let lines = [("forwarded", "for=\"open"), ("forwarded", "for=192.0.2.7")];
        assert_eq!(client_of(&lines), "192.0.2.7");
    }

    #[test]
    fn malformed_words_of_a_trusted_proxy_are_refused() {
        for (name, value, named) in [
            ("x-forwarded-for", "192.0.2.7, garbage", "X-Forwarded-For"),
            ("x-forwarded-for", "192.0.2.7, 10.0.0", "X-Forwarded-For"),
            ("x-forwarded-for", "192.0.2.7, \u{e4}", "X-Forwarded-For"),
            ("x-forwarded-for", "192.0.2.7:port", "X-Forwarded-For"),
            ("x-forwarded-proto", "gopher", "X-Forwarded-Proto"),
            ("x-forwarded-host", "a/b", "X-Forwarded-Host"),
            ("x-forwarded-host", "user@host", "X-Forwarded-Host"),
            ("x-forwarded-prefix", "dataapi", "X-Forwarded-Prefix"),
            ("x-forwarded-prefix", "//evil.example", "X-Forwarded-Prefix"),
            ("x-forwarded-prefix", "/a/../b", "X-Forwarded-Prefix"),
            ("x-forwarded-prefix", "/<b>", "X-Forwarded-Prefix"),
            ("forwarded", "for", "Forwarded"),
            ("forwarded", "for=", "Forwarded"),
            ("forwarded", "=192.0.2.7", "Forwarded"),
            ("forwarded", "for=192.0.2.7 proto=http", "Forwarded"),
            ("forwarded", "for=192.0.2.7;for=192.0.2.8", "Forwarded"),
            ("forwarded", "for=\"192.0.2.7", "Forwarded"),
            ("forwarded", "for=\"open, for=192.0.2.7", "Forwarded"),
            ("forwarded", "for=garbage", "Forwarded"),
            ("forwarded", "for=192.0.2.7;proto=gopher", "Forwarded"),
            ("forwarded", "for=192.0.2.7;host=\"a/b\"", "Forwarded"),
        ] {
            assert_eq!(read(&[(name, value)]), Err(Unclear::Malformed(named)), "{value}");
        }
    }

    #[test]
    fn scheme_and_host_are_those_of_the_outermost_trusted_proxy() {
        let told = |lines: &[_]| {
            let Forwarded { scheme, host, .. } = read(lines).expect("clear headers");
            (scheme, host)
        };
        let outer = (Some(Scheme::Https), Some("h.example:8443".to_owned()));
        let chain = ("x-forwarded-for", "192.0.2.7, 10.0.0.2");
        for (proto, host) in [
            ("https", "H.example:8443"),
            ("https, http", "h.example:8443, inner"),
            ("http, HTTPS, http", "evil.example, h.example:8443, inner"),
        ] {
            let lines = [chain, ("x-forwarded-proto", proto), ("x-forwarded-host", host)];
            assert_eq!(told(&lines), outer, "{proto} {host}");
        }
        let direct = ("x-forwarded-proto", "http, https");
        assert_eq!(told(&[direct]), (Some(Scheme::Https), None), "one proxy wrote it");
        let elements = "for=10.1.1.1;host=evil.example;proto=http, \
                        for=192.0.2.7;host=\"h.example:8443\";proto=https, \
                        for=10.0.0.2;host=inner;proto=http";
        assert_eq!(told(&[("forwarded", elements)]), outer);
    }

    #[test]
    fn a_prefix_is_what_all_trusted_proxies_have_stripped() {
        let chain = ("x-forwarded-for", "192.0.2.7, 10.0.0.2");
        for (prefixes, whole) in [
            ("/a", Some("/a")),
            ("/a/, /b", Some("/a/b")),
            ("//evil, /a, /b", Some("/a/b")),
            ("/", None),
        ] {
            let told = read(&[chain, ("x-forwarded-prefix", prefixes)]).expect("clear headers");
            assert_eq!(told.prefix.as_ref().map(PathPrefix::as_str), whole, "{prefixes}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-prefix", HeaderValue::from_static("//evil"));
        let fixed = Forwarded::read(PEER, &headers, |_| true, false);
        assert_eq!(fixed, Ok(Forwarded::direct(PEER)), "the prefix is configured");
    }

    #[test]
    fn both_kinds_of_headers_must_say_the_same() {
        let other = [
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "h.example"),
        ];
        for (standard, is_clear) in [
            ("for=192.0.2.7;proto=https;host=H.example", true),
            ("for=198.51.100.1, for=192.0.2.7", true),
            ("for=192.0.2.8", false),
            ("for=192.0.2.7;proto=http", false),
            ("for=192.0.2.7;host=evil.example", false),
        ] {
            let told = read(&[&other[..], &[("forwarded", standard)]].concat());
            if is_clear {
                let told = told.expect(standard);
                assert_eq!(told.client.to_string(), "192.0.2.7");
                assert_eq!(told.host.as_deref(), Some("h.example"));
            } else {
                assert_eq!(told, Err(Unclear::Contradiction), "{standard}");
            }
        }
    }
}
