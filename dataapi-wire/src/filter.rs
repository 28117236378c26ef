//! All text forms of a filter: the parameters of a query, the same parameters in the URL of the next page, the entry
//! in an access log, and the members in an export's manifest. Add a new condition to all of them here.

use std::fmt::Write;

use dataapi_core::{CustomerId, Date, Filter, Invalid, LanguageRange};
use serde::{Deserialize, Serialize};

use crate::query::{Parameter, Parameters, append, once, up_to};
#[cfg(feature = "openapi")]
use crate::schema::{Id, LanguageTagOrRange};

/// The parameters that a query can have.
pub(crate) const PARAMETERS: &[Parameter] = &[
    up_to(Filter::MAX_LANGUAGES, "language"),
    once("customerId"),
    once("customer_id"),
    once("from"),
    once("to"),
];

/// Reads the filter of a query.
pub(crate) fn from_query(parameters: &Parameters) -> Result<Filter, Invalid> {
    let mut filter = Filter::default().languages(parameters.all_parsed("language")?)?;
    let aliases =
        [parameters.parsed::<CustomerId>("customerId")?, parameters.parsed("customer_id")?];
    match aliases {
        [Some(one), Some(other)] if one != other => {
            let reason = "must have the same value as 'customer_id', which is another name for it";
            return Err(Invalid::new("customerId", reason));
        }
        [Some(customer_id), _] | [None, Some(customer_id)] => {
            filter = filter.customer(customer_id);
        }
        [None, None] => {}
    }
    filter.between(date(parameters, "from")?, date(parameters, "to")?)
}

fn date(parameters: &Parameters, name: &'static str) -> Result<Option<Date>, Invalid> {
    parameters.parsed(name).map_err(|Invalid { reason, .. }| {
        Invalid::new(name, format!("{reason}; write a '+' as %2B in a query"))
    })
}

/// Appends the parameters of `filter` to a URL, as [`from_query`] reads them.
pub(crate) fn append_to(url: &mut String, filter: &Filter) {
    for range in filter.language_ranges() {
        append(url, "language", &range.to_string());
    }
    if let Some(customer_id) = filter.customer_id() {
        append(url, "customerId", customer_id.as_str());
    }
    for (name, date) in [("from", filter.from()), ("to", filter.to())] {
        if let Some(date) = date {
            append(url, name, &date.to_string());
        }
    }
}

/// Returns a filter's entry in an access log: everything but the customer, whom the log names by a keyed hash.
///
/// ```
/// use dataapi_core::Filter;
///
/// let filter = Filter::default().customer("anna".parse()?).language("en".parse()?);
/// assert_eq!(dataapi_wire::filter::for_log(&filter), "language=en");
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
pub fn for_log(filter: &Filter) -> String {
    let languages = as_text(filter.language_ranges());
    let language = (!languages.is_empty()).then(|| languages.join(","));
    let date = |date: Option<Date>| date.map(|date| date.to_string());
    let mut log = String::new();
    for (name, value) in
        [("language", language), ("from", date(filter.from())), ("to", date(filter.to()))]
    {
        if let Some(value) = value {
            let gap = if log.is_empty() { "" } else { " " };
            // Writing to a string does not fail.
            let _ = write!(log, "{gap}{name}={value}");
        }
    }
    log
}

/// A filter in a manifest.
///
/// ```
/// use dataapi_core::Filter;
/// use dataapi_wire::FilterMembers;
///
/// let filter = Filter::default().language("en".parse()?);
/// let members = FilterMembers::from(&filter);
/// assert_eq!(serde_json::to_string(&members).expect("JSON"), r#"{"language":"en"}"#);
/// assert_eq!(Filter::try_from(&members)?, filter);
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
#[derive(Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilterMembers {
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<String>,
    #[serde(skip_serializing_if = "Languages::is_empty")]
    language: Languages,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

/// One language as a string, or several as a list.
#[derive(Deserialize, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Languages {
    One(String),
    Several(Vec<String>),
}

impl Languages {
    fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(language) => std::slice::from_ref(language),
            Self::Several(languages) => languages,
        }
    }
}

impl Default for Languages {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

fn as_text(languages: &[LanguageRange]) -> Vec<String> {
    languages.iter().map(ToString::to_string).collect()
}

impl From<&Filter> for FilterMembers {
    fn from(filter: &Filter) -> Self {
        Self {
            customer_id: filter.customer_id().map(|customer| customer.as_str().to_owned()),
            language: match filter.language_ranges() {
                [language] => Languages::One(language.to_string()),
                several => Languages::Several(as_text(several)),
            },
            from: filter.from().map(|date| date.to_string()),
            to: filter.to().map(|date| date.to_string()),
        }
    }
}

impl TryFrom<&FilterMembers> for Filter {
    type Error = Invalid;

    fn try_from(members: &FilterMembers) -> Result<Self, Invalid> {
        let FilterMembers { customer_id, language, from, to } = members;
        let languages = language.as_slice().iter().map(|language| language.parse());
        let mut filter = Self::default().languages(languages.collect::<Result<_, _>>()?)?;
        if let Some(customer_id) = customer_id {
            filter = filter.customer(customer_id.parse()?);
        }
        let date = |date: &Option<String>| date.as_ref().map(|date| date.parse()).transpose();
        filter.between(date(from)?, date(to)?)
    }
}

impl std::fmt::Debug for FilterMembers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FilterMembers([redacted])")
    }
}

/// The OpenAPI description of a filter's parameters.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description alone: the parameters are read one by one")]
pub struct FilterParameters {
    /// Only dialogs in this language, whatever the case. Give it up to 32 times for dialogs in any of several
    /// languages. The range `en-*` matches `en` and every tag that begins with `en-`. Ranges can match at most 32
    /// stored tags, and a key that is bound to customers cannot use them
    #[param(value_type = Option<Vec<LanguageTagOrRange>>, style = Form, explode, max_items = 32, example = json!(["en"]))]
    language: Vec<String>,
    /// Only dialogs of this customer
    #[param(value_type = Option<Id>, rename = "customerId")]
    customer_id: Option<String>,
    /// Another name for `customerId`
    #[param(value_type = Option<Id>, rename = "customer_id")]
    customer_id_alias: Option<String>,
    /// Only dialogs received at this time or later
    #[param(format = DateTime)]
    from: Option<String>,
    /// Only dialogs received before this time
    #[param(format = DateTime)]
    to: Option<String>,
}
