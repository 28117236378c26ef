//! Query strings and percent-encoding. Queries are parsed strictly: a mistyped filter must not return everybody's
//! dialogs.

use std::fmt::Write;
use std::str::FromStr;

use dataapi_core::Invalid;
use percent_encoding::{
    AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode,
};

/// All characters except those that RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A parameter of a route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    name: &'static str,
    /// How often it can be given.
    at_most: usize,
}

/// A parameter that can be given once.
pub(crate) const fn once(name: &'static str) -> Parameter {
    Parameter { name, at_most: 1 }
}

/// A parameter that can be given up to `at_most` times.
pub(crate) const fn up_to(at_most: usize, name: &'static str) -> Parameter {
    Parameter { name, at_most }
}

/// The parameters of one request: only known names, none given too often.
pub(crate) struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    /// Parses `query`, which can have only the parameters in the lists `known`.
    pub(crate) fn parse(query: &str, known: &[&[Parameter]]) -> Result<Self, Invalid> {
        let mut parameters: Vec<(&'static str, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).map_err(|reason| Invalid::new("query", reason))?;
            let mut all = known.iter().copied().flatten();
            // The error does not quote the name: it might be a misplaced value, such as an id.
            let Some(Parameter { name, at_most }) = all.find(|known| known.name == name) else {
                return Err(Invalid::new("query", only(known)));
            };
            if parameters.iter().filter(|(given, _)| given == name).count() >= *at_most {
                let reason = match at_most {
                    1 => "must be given only once".to_owned(),
                    _ => format!("must be given at most {at_most} times"),
                };
                return Err(Invalid::new(name, reason));
            }
            let value = decode(value).map_err(|reason| Invalid::new(name, reason))?;
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// Returns all values of a parameter that can be given several times.
    pub(crate) fn all_parsed<T: FromStr<Err = Invalid>>(
        &self,
        name: &'static str,
    ) -> Result<Vec<T>, Invalid> {
        let given = self.0.iter().filter(|(given, _)| *given == name);
        given.map(|(_, value)| value.parse().map_err(|e: Invalid| e.of(name))).collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn parsed<T: FromStr<Err = Invalid>>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, Invalid> {
        self.get(name).map(|value| value.parse().map_err(|e: Invalid| e.of(name))).transpose()
    }

    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u64>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        // The standard parser also takes a leading '+'.
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        match value.parse() {
            Ok(number) if digits => Ok(Some(number)),
            _ => Err(Invalid::new(name, "must be a whole number in digits, less than 2^64")),
        }
    }

    pub(crate) fn flag(&self, name: &'static str, default: bool) -> Result<bool, Invalid> {
        match self.get(name) {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(Invalid::new(name, "must be true or false")),
        }
    }
}

fn only(known: &[&[Parameter]]) -> String {
    let names: Vec<_> = known.iter().copied().flatten().map(|known| known.name).collect();
    match &names[..] {
        [] => "must be empty: this route has no parameters".to_owned(),
        names => format!("must have no other parameters than {}", names.join(", ")),
    }
}

/// Refuses all parameters, for a route that has none.
///
/// # Errors
/// If the query has a parameter.
pub fn no_parameters(query: &str) -> Result<(), Invalid> {
    Parameters::parse(query, &[])?;
    Ok(())
}

/// Decodes a form value, in which `+` is a space.
fn decode(encoded: &str) -> Result<String, &'static str> {
    percent_decode(&encoded.replace('+', " "))
}

/// Percent-decodes a value once and strictly: a `%` without two hexadecimal digits is an error.
///
/// # Errors
/// If the value is not valid percent-encoding, or not UTF-8 once decoded. The error says what the value must be, and
/// follows the name of the value.
///
/// ```
/// use dataapi_wire::percent_decode;
///
/// assert_eq!(percent_decode("a%2Fb%252F").as_deref(), Ok("a/b%2F"));
/// assert!(percent_decode("100%").is_err());
/// ```
pub fn percent_decode(encoded: &str) -> Result<String, &'static str> {
    let well_formed = |escape: &str| {
        matches!(escape.as_bytes(), [high, low, ..]
            if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    };
    if !encoded.split('%').skip(1).all(well_formed) {
        return Err("must be percent-encoded, with two hexadecimal digits after each '%'");
    }
    let decoded = percent_decode_str(encoded).decode_utf8();
    decoded.map(String::from).map_err(|_| "must be UTF-8 once percent-decoded")
}

/// Appends a parameter to a URL that ends in `?` or in another parameter.
pub(crate) fn append(url: &mut String, name: &str, value: &str) {
    if !url.ends_with('?') {
        url.push('&');
    }
    // Writing to a string does not fail.
    let _ = write!(url, "{name}={}", encode(value));
}

/// Percent-encodes a value for a URL.
pub(crate) fn encode(value: &str) -> PercentEncode<'_> {
    utf8_percent_encode(value, RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_decoded_once_and_strictly() {
        assert_eq!(percent_decode("a%2Fb%252F").as_deref(), Ok("a/b%2F"));
        for broken in ["%", "%z", "%zz", "a%2", "%%", "%2%46", "%FF", "%é"] {
            assert!(percent_decode(broken).is_err(), "{broken}");
        }
    }
}
