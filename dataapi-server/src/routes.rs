//! What a path and a method ask for: the one table of routes, from the request line to an
//! [`Operation`].

use dataapi_core::{CustomerId, DialogId, Invalid, Role};
use http::Method;
use percent_encoding::percent_decode_str;

/// Where a route stands; links in an answer stay under the prefix that was asked under.
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

/// The shape of a path, whatever its ids: what logs, metrics and the API's description name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Template {
    Dialogs,
    Dialog,
    Consent,
    ConsentReceipt,
    Changes,
    Customer,
    CustomerData,
    Stats,
    Live,
    Ready,
    Metrics,
    OpenApi,
    Docs,
    DocsFile,
}

impl Template {
    pub(crate) const ALL: [Self; 14] = [
        Self::Dialogs,
        Self::Dialog,
        Self::Consent,
        Self::ConsentReceipt,
        Self::Changes,
        Self::Customer,
        Self::CustomerData,
        Self::Stats,
        Self::Live,
        Self::Ready,
        Self::Metrics,
        Self::OpenApi,
        Self::Docs,
        Self::DocsFile,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Dialogs => "/data/",
            Self::Dialog => "/data/{customerId}/{dialogId}",
            Self::Consent => "/consents/{dialogId}",
            Self::ConsentReceipt => "/consents/{dialogId}/receipt",
            Self::Changes => "/changes",
            Self::Customer => "/customers/{customerId}",
            Self::CustomerData => "/customers/{customerId}/data",
            Self::Stats => "/stats",
            Self::Live => "/health/live",
            Self::Ready => "/health/ready",
            Self::Metrics => "/metrics",
            Self::OpenApi => "/openapi.json",
            Self::Docs => "/docs",
            Self::DocsFile => "/docs/{file}",
        }
    }
}

/// One segment of a path as it stands on the request line.
#[derive(Clone, Copy, Debug)]
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

/// Decodes once and strictly, where the library would let a stray `%` stand for itself.
pub(crate) fn percent_decode(encoded: &str) -> Result<String, &'static str> {
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

/// What a request asks for; its ids are parsed when whoever asks may ask.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation<'p> {
    QueryDialogs,
    InsertDialog { customer: Segment<'p>, dialog: Segment<'p> },
    ReadDialog { customer: Segment<'p>, dialog: Segment<'p> },
    EraseDialog { customer: Segment<'p>, dialog: Segment<'p> },
    Decide { dialog: Segment<'p> },
    ReadConsent { dialog: Segment<'p> },
    ReadReceipt { dialog: Segment<'p> },
    ReadChanges,
    EraseCustomer { customer: Segment<'p> },
    ReadCustomerData { customer: Segment<'p> },
    ReadStats,
    Live,
    Ready,
    Metrics,
    OpenApi,
    DocsEntrance,
    DocsFile { file: Segment<'p> },
}

impl Operation<'_> {
    /// What a key must allow for it; `None` where no key is needed.
    pub(crate) fn role(&self) -> Option<Role> {
        match self {
            Self::InsertDialog { .. } => Some(Role::Ingest),
            Self::Decide { .. } | Self::ReadConsent { .. } | Self::ReadReceipt { .. } => {
                Some(Role::Consent)
            }
            Self::QueryDialogs | Self::ReadDialog { .. } | Self::ReadChanges | Self::ReadStats => {
                Some(Role::Read)
            }
            Self::EraseDialog { .. }
            | Self::EraseCustomer { .. }
            | Self::ReadCustomerData { .. } => Some(Role::Subject),
            Self::Metrics => Some(Role::Admin),
            Self::Live
            | Self::Ready
            | Self::OpenApi
            | Self::DocsEntrance
            | Self::DocsFile { .. } => None,
        }
    }

    /// Whether it changes anything.
    pub(crate) fn writes(&self) -> bool {
        matches!(
            self,
            Self::InsertDialog { .. }
                | Self::Decide { .. }
                | Self::EraseDialog { .. }
                | Self::EraseCustomer { .. }
        )
    }

    /// Whether a query string means something, or at least does no harm: tools append one to
    /// addresses that people do not see. Elsewhere a parameter is a mistake.
    pub(crate) fn takes_query(&self) -> bool {
        match self {
            Self::QueryDialogs
            | Self::ReadChanges
            | Self::ReadCustomerData { .. }
            | Self::Live
            | Self::Ready
            | Self::Metrics
            | Self::OpenApi
            | Self::DocsEntrance
            | Self::DocsFile { .. } => true,
            Self::InsertDialog { .. }
            | Self::ReadDialog { .. }
            | Self::EraseDialog { .. }
            | Self::Decide { .. }
            | Self::ReadConsent { .. }
            | Self::ReadReceipt { .. }
            | Self::EraseCustomer { .. }
            | Self::ReadStats => false,
        }
    }
}

/// A path that has a shape, with what varies in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<'p> {
    pub(crate) prefix: Prefix,
    pub(crate) template: Template,
    first: Segment<'p>,
    second: Segment<'p>,
}

impl<'p> Path<'p> {
    /// The route at a raw path; `None` where there is none.
    pub(crate) fn find(path: &'p str) -> Option<Self> {
        let bare = path.strip_prefix('/')?;
        let (prefix, rest) = match bare.strip_prefix("v1/") {
            Some(rest) => (Prefix::V1, rest),
            None => (Prefix::Bare, bare),
        };
        let mut segments = [""; 4];
        let mut count = 0;
        for segment in rest.split('/') {
            *segments.get_mut(count)? = segment;
            count += 1;
        }
        let (template, first, second) = match segments[..count] {
            ["data"] | ["data", ""] => (Template::Dialogs, "", ""),
            ["data", customer, dialog] => (Template::Dialog, customer, dialog),
            ["consents", dialog] => (Template::Consent, dialog, ""),
            ["consents", dialog, "receipt"] => (Template::ConsentReceipt, dialog, ""),
            ["changes"] => (Template::Changes, "", ""),
            ["customers", customer] => (Template::Customer, customer, ""),
            ["customers", customer, "data"] => (Template::CustomerData, customer, ""),
            ["stats"] => (Template::Stats, "", ""),
            ["health", "live"] => (Template::Live, "", ""),
            ["health", "ready"] => (Template::Ready, "", ""),
            ["metrics"] => (Template::Metrics, "", ""),
            ["openapi.json"] => (Template::OpenApi, "", ""),
            ["docs"] => (Template::Docs, "", ""),
            ["docs", file] => (Template::DocsFile, file, ""),
            _ => return None,
        };
        Some(Self { prefix, template, first: Segment(first), second: Segment(second) })
    }

    /// What `method` does here; `None` where it is not allowed.
    pub(crate) fn operation(&self, method: &Method) -> Option<Operation<'p>> {
        let (first, second) = (self.first, self.second);
        // HEAD is GET whose body stays behind.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let operation = match (self.template, method.as_str()) {
            (Template::Dialogs, "GET") => Operation::QueryDialogs,
            (Template::Dialog, "GET") => Operation::ReadDialog { customer: first, dialog: second },
            (Template::Dialog, "POST") => {
                Operation::InsertDialog { customer: first, dialog: second }
            }
            (Template::Dialog, "DELETE") => {
                Operation::EraseDialog { customer: first, dialog: second }
            }
            (Template::Consent, "GET") => Operation::ReadConsent { dialog: first },
            (Template::Consent, "POST") => Operation::Decide { dialog: first },
            (Template::ConsentReceipt, "GET") => Operation::ReadReceipt { dialog: first },
            (Template::Changes, "GET") => Operation::ReadChanges,
            (Template::Customer, "DELETE") => Operation::EraseCustomer { customer: first },
            (Template::CustomerData, "GET") => Operation::ReadCustomerData { customer: first },
            (Template::Stats, "GET") => Operation::ReadStats,
            (Template::Live, "GET") => Operation::Live,
            (Template::Ready, "GET") => Operation::Ready,
            (Template::Metrics, "GET") => Operation::Metrics,
            (Template::OpenApi, "GET") => Operation::OpenApi,
            (Template::Docs, "GET") => Operation::DocsEntrance,
            (Template::DocsFile, "GET") => Operation::DocsFile { file: first },
            _ => return None,
        };
        Some(operation)
    }

    /// The value of `Allow` for this path.
    pub(crate) fn allowed(&self) -> String {
        let methods = [Method::GET, Method::HEAD, Method::POST, Method::DELETE];
        let allowed = methods.iter().filter(|method| self.operation(method).is_some());
        allowed.map(Method::as_str).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_found_at_its_own_path_under_both_prefixes() {
        for template in Template::ALL {
            for prefix in [Prefix::Bare, Prefix::V1] {
                let path = format!("{}{}", prefix.as_str(), template.as_str());
                let found = Path::find(&path).expect("a path");
                assert_eq!((found.template, found.prefix), (template, prefix));
                assert!(!found.allowed().is_empty());
            }
        }
    }

    #[test]
    fn templates_are_listed_in_the_order_of_their_index() {
        for (index, template) in Template::ALL.into_iter().enumerate() {
            assert_eq!(template as usize, index);
        }
    }

    #[test]
    fn only_the_list_of_dialogs_has_a_trailing_slash() {
        assert!(Path::find("/data/").is_some());
        for path in ["/stats/", "/consents/d/", "/customers/c/", "/data/c/d/", "/metrics/", "/v1"] {
            assert!(Path::find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_segment_is_decoded_once_and_strictly() {
        assert_eq!(percent_decode("a%2Fb%252F").as_deref(), Ok("a/b%2F"));
        for broken in ["%", "%z", "%zz", "a%2", "%%", "%2%46", "%FF", "%é"] {
            assert!(percent_decode(broken).is_err(), "{broken}");
        }
    }
}
