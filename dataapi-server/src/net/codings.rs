//! Content codings, gzip and zstd: which of them a request has or its client wants, decoding within a limit, encoding.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue};
use zstd::zstd_safe::{DCtx, get_error_name};

/// What is decoded or encoded at once.
const PIECE: usize = 64 * 1024;

/// A content coding that the server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Zstd,
}

/// How much work to put into encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// For an answer that is sent once.
    Once,
    /// For an answer that is sent over and over.
    Often,
}

/// Why a body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// It is not what its coding says.
    Invalid,
    /// It is longer than it may be.
    TooLong,
    /// It was not allowed to hold further bytes.
    NoRoom,
}

/// Which coding the client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// `None` to send the answer as it is.
    pub(crate) coding: Option<Coding>,
    /// Whether the client does not take the answer as it is.
    pub(crate) refuses_plain: bool,
}

impl Coding {
    /// All codings, as `Accept-Encoding` lists them.
    pub(crate) const ALL: HeaderValue = HeaderValue::from_static("gzip, zstd");

    pub(crate) fn value(self) -> HeaderValue {
        match self {
            Self::Gzip => HeaderValue::from_static("gzip"),
            Self::Zstd => HeaderValue::from_static("zstd"),
        }
    }

    fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            Some(Self::Gzip)
        } else if name.eq_ignore_ascii_case("zstd") {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    /// The coding of a request's body; `None` for none. Fails if it has one that is unknown, or several.
    pub(crate) fn of_body(headers: &HeaderMap) -> Result<Option<Self>, ()> {
        let mut found = None;
        for value in headers.get_all(CONTENT_ENCODING) {
            let names = value.to_str().map_err(drop)?.split(',').map(str::trim);
            for name in names.filter(|name| !name.is_empty()) {
                if name.eq_ignore_ascii_case("identity") {
                    continue;
                }
                let coding = Self::named(name).ok_or(())?;
                if found.replace(coding).is_some() {
                    return Err(());
                }
            }
        }
        Ok(found)
    }

    /// Decodes a whole body of at most `limit` bytes. `grow` is asked before further bytes are held.
    pub(crate) fn decode(
        self,
        body: &[u8],
        limit: usize,
        mut grow: impl FnMut(usize) -> bool,
    ) -> Result<Vec<u8>, DecodeError> {
        match self {
            Self::Gzip => {
                let mut reader = MultiGzDecoder::new(body);
                let mut decoded = Vec::new();
                let mut piece = vec![0; PIECE.min(limit + 1)];
                loop {
                    let length = reader.read(&mut piece).map_err(|_| DecodeError::Invalid)?;
                    if length == 0 {
                        return Ok(decoded);
                    }
                    if length > limit - decoded.len() {
                        return Err(DecodeError::TooLong);
                    }
                    if !grow(length) {
                        return Err(DecodeError::NoRoom);
                    }
                    decoded.extend_from_slice(&piece[..length]);
                }
            }
            Self::Zstd if body.is_empty() => Err(DecodeError::Invalid),
            Self::Zstd => {
                // Decoding in one step writes into the result, and needs no window as large as the body says.
                if !grow(limit) {
                    return Err(DecodeError::NoRoom);
                }
                let mut decoded = Vec::with_capacity(limit);
                DCtx::create().decompress(&mut decoded, body).map_err(|code| {
                    if get_error_name(code) == "Destination buffer is too small" {
                        DecodeError::TooLong
                    } else {
                        DecodeError::Invalid
                    }
                })?;
                decoded.shrink_to_fit();
                Ok(decoded)
            }
        }
    }

    /// Encodes an answer. `grow` is asked before further bytes are held; if it says no, or the result would not be
    /// shorter, there is none.
    pub(crate) fn encode(
        self,
        bytes: &[u8],
        effort: Effort,
        grow: impl FnMut(usize) -> bool,
    ) -> Option<Vec<u8>> {
        let into = Bounded { written: Vec::new(), most: bytes.len(), grow };
        let written = match self {
            Self::Gzip => {
                let level = if effort == Effort::Often { 9 } else { 3 };
                let mut encoder = GzEncoder::new(into, Compression::new(level));
                encoder.write_all(bytes).and_then(|()| encoder.finish())
            }
            Self::Zstd => {
                let level = if effort == Effort::Often { 12 } else { 1 };
                let mut encoder = zstd::stream::write::Encoder::new(into, level).ok()?;
                // Its working memory depends on the length.
                encoder.set_pledged_src_size(Some(bytes.len() as u64)).ok()?;
                encoder.write_all(bytes).and_then(|()| encoder.finish())
            }
        };
        let mut written = written.ok()?.written;
        written.shrink_to_fit();
        Some(written)
    }
}

/// Reads what codings the client takes (RFC 9110, section 12.5.3).
pub(crate) fn wanted(headers: &HeaderMap) -> Wanted {
    let (mut gzip, mut zstd, mut plain, mut others) = (None, None, None, None);
    for value in headers.get_all(ACCEPT_ENCODING) {
        for part in value.to_str().unwrap_or_default().split(',') {
            let (name, weight) = part.split_once(';').unwrap_or((part, "q=1"));
            let (name, weight) = (name.trim(), thousandths(weight.trim()));
            match Coding::named(name) {
                Some(Coding::Gzip) => gzip = Some(weight),
                Some(Coding::Zstd) => zstd = Some(weight),
                None if name.eq_ignore_ascii_case("identity") => plain = Some(weight),
                None if name == "*" => others = Some(weight),
                None => {}
            }
        }
    }
    let weight = |given: Option<u16>| given.or(others).unwrap_or(0);
    let (gzip, zstd) = (weight(gzip), weight(zstd));
    let best = gzip.max(zstd);
    let is_best = best > 0 && plain.is_none_or(|plain| plain <= best);
    let coding = if zstd == best { Coding::Zstd } else { Coding::Gzip };
    Wanted { coding: is_best.then_some(coding), refuses_plain: plain.or(others) == Some(0) }
}

/// Reads a weight such as `q=0.5`; one that cannot be read counts as 0.
fn thousandths(parameter: &str) -> u16 {
    let value = parameter.strip_prefix(['q', 'Q']).map(str::trim_start);
    let value = value.and_then(|rest| rest.strip_prefix('=')).map(str::trim);
    let (whole, fraction) =
        value.map_or(("", ""), |value| value.split_once('.').unwrap_or((value, "")));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    match (whole, format!("{fraction:0<3}").parse()) {
        ("1", Ok(0)) => 1_000,
        ("0", Ok(fraction)) => fraction,
        _ => 0,
    }
}

/// Collects what an encoder writes, within bounds.
struct Bounded<G> {
    written: Vec<u8>,
    most: usize,
    grow: G,
}

impl<G: FnMut(usize) -> bool> Write for Bounded<G> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.written.len() + bytes.len();
        if length >= self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if length > self.written.capacity() {
            // As long as it grows, the old bytes and the new ones are in memory.
            let capacity = (2 * length).clamp(PIECE.min(self.most), self.most);
            if !(self.grow)(capacity) {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            self.written.reserve_exact(capacity - self.written.len());
        }
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::header::HeaderName;

    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn the_client_gets_the_coding_that_it_wants_most() {
        let (gzip, zstd) = (Some(Coding::Gzip), Some(Coding::Zstd));
        for (accepted, coding, refuses_plain) in [
            (&[][..], None, false),
            (&["gzip"], gzip, false),
            (&["x-GZIP"], gzip, false),
            (&["gzip, deflate, br, zstd"], zstd, false),
            (&["gzip;q=0.8, zstd;q=0.5"], gzip, false),
            (&["gzip", "zstd;q=0.999"], gzip, false),
            (&["gzip ; q=0"], None, false),
            (&["zstd;q=0, *"], gzip, false),
            (&["*;q=0"], None, true),
            (&["gzip, identity;q=0"], gzip, true),
            (&["identity, gzip;q=0.5"], None, false),
            (&["br"], None, false),
            (&["gzip;q=2, zstd;q=x"], None, false),
            (&[""], None, false),
        ] {
            let wanted = wanted(&headers(&ACCEPT_ENCODING, accepted));
            assert_eq!(wanted, Wanted { coding, refuses_plain }, "{accepted:?}");
        }
    }

    #[test]
    fn the_coding_of_a_body_is_known_or_refused() {
        for (given, coding) in [
            (&[][..], Ok(None)),
            (&["identity"], Ok(None)),
            (&["gzip"], Ok(Some(Coding::Gzip))),
            (&["identity, ZSTD"], Ok(Some(Coding::Zstd))),
            (&["br"], Err(())),
            (&["gzip, gzip"], Err(())),
            (&["gzip", "zstd"], Err(())),
        ] {
            assert_eq!(Coding::of_body(&headers(&CONTENT_ENCODING, given)), coding, "{given:?}");
        }
    }

    #[test]
    fn what_was_encoded_is_decoded_within_the_limit_and_not_beyond() {
        let text = b"Where is my parcel? ".repeat(10_000);
        for coding in [Coding::Gzip, Coding::Zstd] {
            for effort in [Effort::Once, Effort::Often] {
                let encoded = coding.encode(&text, effort, |_| true).expect("it is shorter");
                assert!(encoded.len() < text.len() / 20, "{coding:?}");
                let decode = |body: &[u8], limit| {
                    let mut held = 0;
                    coding.decode(body, limit, |more| {
                        held += more;
                        held <= limit
                    })
                };
                assert_eq!(decode(&encoded, text.len()).as_ref(), Ok(&text));
                assert_eq!(decode(&encoded, text.len() - 1), Err(DecodeError::TooLong));
                assert_eq!(decode(&encoded[..20], text.len()), Err(DecodeError::Invalid));
                assert_eq!(decode(b"{}", text.len()), Err(DecodeError::Invalid));
                assert_eq!(decode(b"", text.len()), Err(DecodeError::Invalid));
                let twice = [encoded.clone(), encoded].concat();
                assert_eq!(decode(&twice, 2 * text.len()).map(|it| it.len()), Ok(2 * text.len()));
            }
        }
    }

    #[test]
    fn nothing_is_encoded_without_room_or_in_vain() {
        let noise: Vec<u8> =
            (0..100_000_u32).map(|n| blake3::hash(&n.to_le_bytes()).as_bytes()[0]).collect();
        for coding in [Coding::Gzip, Coding::Zstd] {
            assert_eq!(coding.encode(&vec![7; 100_000], Effort::Once, |_| false), None);
            assert_eq!(coding.encode(&noise, Effort::Once, |_| true), None);
        }
    }
}
