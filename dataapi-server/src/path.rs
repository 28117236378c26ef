//! Paths: the prefix and the segments, as they are on the request line.

use dataapi_core::{CustomerId, DialogId, Invalid};
use dataapi_wire::percent_decode;

/// The maximum number of segments after the prefix.
pub(crate) const MOST_SEGMENTS: usize = 4;

/// The prefix of a path. Links in an answer have the prefix of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Prefix {
    Bare,
    V1,
}

impl Prefix {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bare => "",
            Self::V1 => "/v1",
        }
    }
}

/// One segment of a path, percent-encoded as it was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Segment<'p>(&'p str);

impl<'p> Segment<'p> {
    pub(crate) fn customer_id(self) -> Result<CustomerId, Invalid> {
        self.decode("customer_id")?.try_into()
    }

    pub(crate) fn dialog_id(self) -> Result<DialogId, Invalid> {
        self.decode("dialog_id")?.try_into()
    }

    pub(crate) fn as_sent(self) -> &'p str {
        self.0
    }

    fn decode(self, field: &'static str) -> Result<String, Invalid> {
        percent_decode(self.0).map_err(|reason| Invalid::new(field, reason))
    }
}

/// A path that could be that of a route.
#[derive(Debug)]
pub(crate) struct Path<'p> {
    pub(crate) prefix: Prefix,
    segments: [&'p str; MOST_SEGMENTS],
    count: usize,
}

impl<'p> Path<'p> {
    /// Splits a raw path; `None` if it has more segments than any route.
    pub(crate) fn parse(path: &'p str) -> Option<Self> {
        let bare = path.strip_prefix('/')?;
        let (prefix, rest) = match bare.strip_prefix("v1/") {
            Some(rest) => (Prefix::V1, rest),
            None => (Prefix::Bare, bare),
        };
        let mut segments = [""; MOST_SEGMENTS];
        let mut count = 0;
        for segment in rest.split('/') {
            *segments.get_mut(count)? = segment;
            count += 1;
        }
        Some(Self { prefix, segments, count })
    }

    fn segments(&self) -> &[&'p str] {
        &self.segments[..self.count]
    }
}

/// The template of a path, such as `/data/{customerId}/{dialogId}`. Logs, metrics and the API's description use it in
/// place of paths, which contain ids.
///
/// A template that ends in a slash also matches a path without it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Template {
    text: &'static str,
    segments: [&'static str; MOST_SEGMENTS],
    count: usize,
}

/// The segments of a path that are in braces in the template: at most two.
pub(crate) type Parameters<'p> = [Segment<'p>; 2];

impl Template {
    /// Splits a template, at compile time.
    pub(crate) const fn new(text: &'static str) -> Self {
        let mut segments = [""; MOST_SEGMENTS];
        let mut count = 0;
        let (_, mut rest) = text.split_at(1);
        loop {
            let mut end = 0;
            while end < rest.len() && rest.as_bytes()[end] != b'/' {
                end += 1;
            }
            let (segment, after) = rest.split_at(end);
            segments[count] = segment;
            count += 1;
            if after.is_empty() {
                return Self { text, segments, count };
            }
            rest = after.split_at(1).1;
        }
    }

    pub(crate) const fn as_str(&self) -> &'static str {
        self.text
    }

    /// Returns the parameters of `path` if it matches this template.
    pub(crate) fn matches<'p>(&self, path: &Path<'p>) -> Option<Parameters<'p>> {
        let template = match &self.segments[..self.count] {
            [without_slash @ .., ""] if path.count < self.count => without_slash,
            all => all,
        };
        if template.len() != path.count {
            return None;
        }
        let mut parameters = Parameters::default();
        let mut count = 0;
        for (wanted, segment) in template.iter().zip(path.segments()) {
            if wanted.starts_with('{') {
                parameters[count] = Segment(segment);
                count += 1;
            } else if wanted != segment {
                return None;
            }
        }
        Some(parameters)
    }
}
