//! Query strings: parsed strictly into page requests, and written again as the URL of the next
//! page.
//!
//! Strict, because a mistyped filter must not return everybody's dialogs.

use std::fmt::Write;
use std::str::FromStr;
use std::time::Duration;

use dataapi_core::{
    Cursor, CustomerId, Filter, Invalid, Limit, PageRequest, Positions, Reach, Start,
    SubjectRequest, Window,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::problem::Problem;
use crate::routes::{Prefix, percent_decode};

/// All but what RFC 3986 leaves unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const DIALOGS: &[&str] =
    &["language", "customerId", "customer_id", "from", "to", "limit", "offset", "cursor", "total"];
const SUBJECT: &[&str] = &["limit", "offset", "cursor", "total"];
const CHANGES: &[&str] = &["after", "limit", "dialogs", "wait"];

/// The longest that a request may wait for an event, in seconds.
const LONGEST_WAIT: u64 = 60;

/// The parameters of one request: known names only, each at most once.
struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    fn parse(query: &str, known: &[&'static str]) -> Result<Self, Invalid> {
        let mut parameters: Vec<(&'static str, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).map_err(|reason| Invalid::new("query", reason))?;
            // The name that was sent may be a misplaced value, so it is not said again.
            let Some(name) = known.iter().find(|known| **known == name) else {
                let reason = match known {
                    [] => "must be empty here".to_owned(),
                    _ => format!("must have no parameters but {}", known.join(", ")),
                };
                return Err(Invalid::new("query", reason));
            };
            if parameters.iter().any(|(given, _)| given == name) {
                return Err(Invalid::new(name, "must be given only once"));
            }
            let value = decode(value).map_err(|reason| Invalid::new(name, reason))?;
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    fn parsed<T: FromStr<Err = Invalid>>(&self, name: &'static str) -> Result<Option<T>, Invalid> {
        self.get(name).map(|value| value.parse().map_err(|e: Invalid| e.of(name))).transpose()
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        // The standard parser also takes a leading '+'.
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        match value.parse() {
            Ok(number) if digits => Ok(Some(number)),
            _ => Err(Invalid::new(name, "must be a whole number, in digits, and not too large")),
        }
    }

    fn filter(&self) -> Result<Filter, Invalid> {
        let mut filter = Filter::default();
        if let Some(language) = self.parsed("language")? {
            filter = filter.language(language);
        }
        let aliases = [self.parsed("customerId")?, self.parsed("customer_id")?];
        match aliases {
            [Some(one), Some(other)] if one != other => {
                let reason = "must not differ from 'customer_id', which means the same";
                return Err(Invalid::new("customerId", reason));
            }
            [Some(customer_id), _] | [None, Some(customer_id)] => {
                filter = filter.customer(customer_id);
            }
            [None, None] => {}
        }
        filter.between(self.date("from")?, self.date("to")?)
    }

    fn date(&self, name: &'static str) -> Result<Option<dataapi_core::Date>, Invalid> {
        self.parsed(name).map_err(|Invalid { reason, .. }| {
            Invalid::new(name, format!("{reason}; in a query a '+' is written %2B"))
        })
    }

    fn window(&self) -> Result<Window, Invalid> {
        let limit = self.number("limit")?.map(Limit::new).transpose()?.unwrap_or_default();
        let start = match (self.number("offset")?, self.parsed::<Cursor>("cursor")?) {
            (Some(_), Some(_)) => {
                return Err(Invalid::new("cursor", "must not be given together with 'offset'"));
            }
            (_, Some(cursor)) => Start::After(cursor),
            (offset, None) => Start::Offset(offset.unwrap_or_default()),
        };
        Ok(Window { limit, start, total: self.flag("total", true)? })
    }

    fn flag(&self, name: &'static str, default: bool) -> Result<bool, Invalid> {
        match self.get(name) {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(Invalid::new(name, "must be true or false")),
        }
    }

    /// Whole seconds, with or without their unit.
    fn wait(&self) -> Result<Duration, Invalid> {
        let Some(value) = self.get("wait") else { return Ok(Duration::ZERO) };
        let digits = value.strip_suffix('s').unwrap_or(value);
        match digits.parse() {
            Ok(seconds) if seconds <= LONGEST_WAIT && !digits.starts_with('+') => {
                Ok(Duration::from_secs(seconds))
            }
            _ => Err(Invalid::new("wait", "must be 0s to 60s, such as '30s'")),
        }
    }
}

/// As forms are decoded: a `+` is a space.
fn decode(encoded: &str) -> Result<String, &'static str> {
    percent_decode(&encoded.replace('+', " "))
}

/// Reads the query of `GET /data/`, asked by someone with that reach.
pub(crate) fn page_request(query: &str, reach: Reach) -> Result<PageRequest, Problem> {
    let parse = |reach| {
        let parameters = Parameters::parse(query, DIALOGS)?;
        PageRequest::new(parameters.filter()?.within(reach), parameters.window()?)
    };
    parse(reach).map_err(Problem::bad_query)
}

/// Reads the query of `GET /customers/{customerId}/data`.
pub(crate) fn subject_request(
    customer_id: CustomerId,
    query: &str,
) -> Result<SubjectRequest, Problem> {
    let window = Parameters::parse(query, SUBJECT).and_then(|parameters| parameters.window());
    window.and_then(|window| SubjectRequest::new(customer_id, window)).map_err(Problem::bad_query)
}

/// Which events are asked for, and how long to wait for one.
#[derive(Clone, Debug)]
pub(crate) struct ChangesRequest {
    pub(crate) after: Positions,
    pub(crate) limit: Limit,
    pub(crate) dialogs: bool,
    pub(crate) wait: Duration,
}

/// Reads the query of `GET /changes`.
pub(crate) fn changes_request(query: &str) -> Result<ChangesRequest, Problem> {
    let parse = || {
        let parameters = Parameters::parse(query, CHANGES)?;
        let limit = parameters.number("limit")?.map(Limit::new).transpose()?.unwrap_or_default();
        let after = parameters.get("after").map(str::parse::<Positions>).transpose();
        let after = after.map_err(|refused| refused.of("after"))?.unwrap_or_default();
        let dialogs = parameters.flag("dialogs", false)?;
        Ok(ChangesRequest { after, limit, dialogs, wait: parameters.wait()? })
    };
    parse().map_err(Problem::bad_query)
}

/// Refuses any parameter, where none means anything.
pub(crate) fn none(query: &str) -> Result<(), Problem> {
    Parameters::parse(query, &[]).map_err(Problem::bad_query)?;
    Ok(())
}

/// The relative URL of a dialog.
pub(crate) fn dialog_url(prefix: Prefix, customer_id: &str, dialog_id: &str) -> String {
    let prefix = prefix.as_str();
    format!("{prefix}/data/{}/{}", encode(customer_id), encode(dialog_id))
}

/// The relative URL of the page that follows the one asked for.
pub(crate) fn next_page_url(prefix: Prefix, request: &PageRequest, next: &Cursor) -> String {
    let filter = request.filter();
    let mut url = format!("{}/data/?", prefix.as_str());
    if let Some(language) = filter.language_tag() {
        append(&mut url, "language", language.as_str());
    }
    if let Some(customer_id) = filter.customer_id() {
        append(&mut url, "customerId", customer_id.as_str());
    }
    for (name, date) in [("from", filter.from()), ("to", filter.to())] {
        if let Some(date) = date {
            append(&mut url, name, &date.to_string());
        }
    }
    append_window(url, request.window(), next)
}

/// The relative URL of the page of a customer's data that follows the one asked for.
pub(crate) fn next_subject_url(prefix: Prefix, request: &SubjectRequest, next: &Cursor) -> String {
    let customer_id = encode(request.customer_id().as_str());
    let url = format!("{}/customers/{customer_id}/data?", prefix.as_str());
    append_window(url, request.window(), next)
}

fn append_window(mut url: String, window: &Window, next: &Cursor) -> String {
    append(&mut url, "limit", &window.limit.get().to_string());
    if !window.total {
        append(&mut url, "total", "false");
    }
    append(&mut url, "cursor", &next.to_string());
    url
}

fn append(url: &mut String, name: &str, value: &str) {
    if !url.ends_with('?') {
        url.push('&');
    }
    // Writing to a string does not fail.
    let _ = write!(url, "{name}={}", encode(value));
}

fn encode(value: &str) -> percent_encoding::PercentEncode<'_> {
    utf8_percent_encode(value, RESERVED)
}

#[cfg(test)]
mod tests {
    use dataapi_core::Position;
    use proptest::prelude::*;

    use super::*;

    fn wrong_parameter(query: &str) -> serde_json::Value {
        let response = page_request(query, Reach::default()).expect_err(query).into_response();
        assert_eq!(response.status(), 400, "{query}");
        serde_json::from_slice::<serde_json::Value>(response.body()).expect("JSON")["field"].take()
    }

    #[test]
    fn whatever_is_not_understood_is_refused_by_name() {
        for (query, field) in [
            ("langauge=en", "query"),
            ("%zz=1", "query"),
            ("language=en&language=en", "language"),
            ("language=", "language"),
            ("language", "language"),
            ("language=e%6", "language"),
            ("language=%FF", "language"),
            ("customerId=", "customerId"),
            ("customerId=a%00b", "customerId"),
            ("customer_id=..", "customer_id"),
            ("customerId=a&customer_id=b", "customerId"),
            ("from=2026-01-01", "from"),
            ("from=2026-01-01T00:00:00+01:00", "from"),
            ("to=yesterday", "to"),
            ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=-1", "limit"),
            ("limit=+5", "limit"),
            ("limit=%2B5", "limit"),
            ("limit=", "limit"),
            ("limit=1e2", "limit"),
            ("limit=99999999999999999999999", "limit"),
            ("offset=-1", "offset"),
            ("offset=18446744073709551616", "offset"),
            ("offset=1.5", "offset"),
            ("cursor=", "cursor"),
            ("cursor=garbage", "cursor"),
            ("total=1", "total"),
            ("total=True", "total"),
        ] {
            assert_eq!(wrong_parameter(query), field, "{query}");
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        for query in ["", "&", "customerId=a&customer_id=a", "total=true", "offset=0"] {
            let request = page_request(query, Reach::default()).expect(query);
            assert_eq!(request.window(), &Window::default(), "{query}");
        }
    }

    proptest! {
        #[test]
        fn the_next_page_is_of_the_same_filter(
            customer in "\\PC{1,20}",
            micros in 0..4_000_000_000_000_000i64,
            limit in 1..=1000u64,
            total: bool,
        ) {
            prop_assume!(customer.parse::<CustomerId>().is_ok());
            let date = dataapi_core::Date::from_micros(micros).expect("a date");
            let filter = Filter::default()
                .customer(customer.parse().expect("an id"))
                .language("pt-BR".parse().expect("a tag"))
                .between(Some(date), Some(date))
                .expect("a range");
            let place = Position { date, dialog_id: "d".parse().expect("an id") };
            let next = Cursor::in_filter(&filter, place);
            let limit = Limit::new(limit).expect("a limit");
            let window = Window { limit, total, start: Start::Offset(7) };
            let request = PageRequest::new(filter, window).expect("a request");

            let url = next_page_url(Prefix::V1, &request, &next);
            let query = url.strip_prefix("/v1/data/?").expect("the same route");
            let following = page_request(query, Reach::default()).expect("a good query");
            prop_assert_eq!(following.filter(), request.filter());
            let window = Window { start: Start::After(next), ..request.window().clone() };
            prop_assert_eq!(following.window(), &window);
        }

        #[test]
        fn no_query_panics(query in "[ -~]{0,40}") {
            let _ = page_request(&query, Reach::default());
        }
    }
}
