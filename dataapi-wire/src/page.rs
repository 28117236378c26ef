//! Pages of dialogs: their JSON, the query that asks for one, and the URL of the next.

use std::borrow::Cow;

use dataapi_core::{self as core, Cursor, Invalid, Limit, PageRequest, Reach, Start, Window};
use serde::{Deserialize, Serialize};

use crate::as_text::redacted;
use crate::dialog::Dialog;
use crate::filter;
use crate::query::{Parameter, Parameters, append, once};

/// A page of dialogs, newest first.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<'a> {
    /// The dialogs of this page, at most `limit`.
    pub items: Vec<Dialog<'a>>,
    /// The number of all dialogs that match; left out with `total=false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub total: Option<u64>,
    /// The largest number of dialogs on a page.
    pub limit: usize,
    /// The number of matching dialogs that were skipped; 0 with a cursor.
    pub offset: u64,
    /// The relative URL of the next page; `null` on the last page.
    #[cfg_attr(feature = "openapi", schema(required, format = "uri-reference"))]
    pub next: Option<Cow<'a, str>>,
}

redacted!(Page);

impl<'a> Page<'a> {
    /// Makes a page of the dialogs `found` in `window`; `next` is the URL of the next page.
    pub fn new<T>(found: &'a core::Page<T>, window: &Window, next: Option<&'a str>) -> Self
    where
        Dialog<'a>: From<&'a T>,
    {
        Self {
            items: found.items.iter().map(Dialog::from).collect(),
            total: found.total,
            limit: window.limit.get(),
            offset: window.offset(),
            next: next.map(Cow::Borrowed),
        }
    }

    /// Estimates the size of the JSON in bytes. A buffer that had to grow would add 3 % to the time of a page from
    /// the middle of a store.
    pub fn bytes_to_render(&self) -> usize {
        const NAMES_AND_IDS: usize = 256;
        // The serializer reserves room for each text as if every byte of it were escaped.
        const WIDEST_ESCAPE: usize = 8;
        let texts = self.items.iter().map(|dialog| dialog.text.len());
        let longest = texts.clone().max().unwrap_or(0);
        texts.sum::<usize>() + (self.items.len() + 1) * NAMES_AND_IDS + longest * WIDEST_ESCAPE
    }
}

/// The parameters of a query that select a part of the matching dialogs.
pub(crate) const WINDOW: &[Parameter] =
    &[once("limit"), once("offset"), once("cursor"), once("total")];

/// Reads the query of `GET /data/` for a caller with this reach.
///
/// # Errors
/// Names the invalid parameter.
///
/// ```
/// use dataapi_core::Reach;
/// use dataapi_wire::page_request;
///
/// assert_eq!(page_request("limit=10", Reach::default())?.window().limit.get(), 10);
/// assert_eq!(page_request("langauge=en", Reach::default()).unwrap_err().field, "query");
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
pub fn page_request(query: &str, reach: Reach) -> Result<PageRequest, Invalid> {
    let parameters = Parameters::parse(query, &[filter::PARAMETERS, WINDOW])?;
    let filter = filter::from_query(&parameters)?.within(reach);
    PageRequest::new(filter, window_from_query(&parameters)?)
}

pub(crate) fn window_from_query(parameters: &Parameters) -> Result<Window, Invalid> {
    let limit = parameters.number("limit")?.map(Limit::new).transpose()?.unwrap_or_default();
    let start = match (parameters.number("offset")?, parameters.parsed::<Cursor>("cursor")?) {
        (Some(_), Some(_)) => {
            return Err(Invalid::new("cursor", "must not be given together with 'offset'"));
        }
        (_, Some(cursor)) => Start::After(cursor),
        (offset, None) => Start::Offset(offset.unwrap_or_default()),
    };
    Ok(Window { limit, start, total: parameters.flag("total", true)? })
}

/// Returns the relative URL, under `prefix`, of the page after the requested one.
pub fn next_page_url(prefix: &str, request: &PageRequest, next: &Cursor) -> String {
    let mut url = format!("{prefix}/data/?");
    filter::append_to(&mut url, request.filter());
    append_window(url, request.window(), next)
}

pub(crate) fn append_window(mut url: String, window: &Window, next: &Cursor) -> String {
    append(&mut url, "limit", &window.limit.get().to_string());
    if !window.total {
        append(&mut url, "total", "false");
    }
    append(&mut url, "cursor", &next.to_string());
    url
}

/// The OpenAPI description of the parameters that select a part of the matching dialogs.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description alone: the parameters are read one by one")]
pub struct WindowParameters {
    /// The largest number of dialogs to return; 100 by default
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
    /// The number of dialogs to skip; not together with `cursor`. To read everything, follow `next` instead
    #[param(format = "uint64", maximum = 18_446_744_073_709_551_615_usize)]
    offset: Option<u64>,
    /// Where to continue, taken from `next`; valid only with the same filter
    cursor: Option<String>,
    /// Whether to count all matching dialogs; true by default
    total: Option<bool>,
}

#[cfg(test)]
mod tests {
    use dataapi_core::{CustomerId, Date, Filter, Position};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_invalid_parameter_is_refused_by_name() {
        for (query, field) in [
            ("langauge=en", "query"),
            ("%zz=1", "query"),
            ("language=en-*-GB", "language"),
            ("language=*", "language"),
            ("to=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
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
            let refused = page_request(query, Reach::default()).expect_err(query);
            assert_eq!(refused.field, field, "{query}");
        }
    }

    #[test]
    fn languages_may_be_given_up_to_32_times() {
        let asked = page_request("language=en-*&language=pt-BR&language=EN-*", Reach::default());
        let ranges = asked.expect("two ranges").filter().language_ranges().to_vec();
        let ranges: Vec<_> = ranges.iter().map(ToString::to_string).collect();
        assert_eq!(ranges, ["pt-BR", "en-*"]);
        let many =
            |n: usize| (0..n).map(|n| format!("language=x-{n}")).collect::<Vec<_>>().join("&");
        assert!(page_request(&many(32), Reach::default()).is_ok());
        let refused = page_request(&many(33), Reach::default()).expect_err("33 languages");
        assert_eq!(refused.field, "language");
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
            let date = Date::from_micros(micros).expect("a date");
            let filter = Filter::default()
                .customer(customer.parse().expect("an id"))
                .languages(vec!["pt-BR".parse().expect("a tag"), "en-*".parse().expect("a range")])
                .expect("two languages")
                .between(Some(date), Some(date))
                .expect("a range");
            let place = Position { date, dialog_id: "d".parse().expect("an id") };
            let next = Cursor::in_filter(&filter, place);
            let limit = Limit::new(limit).expect("a limit");
            let window = Window { limit, total, start: Start::Offset(7) };
            let request = PageRequest::new(filter, window).expect("a request");

            let url = next_page_url("/v1", &request, &next);
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
