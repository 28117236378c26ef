//! A filter in all its text forms: parameters of a query, the same in the URL of the next page, what an
//! access log says, and members of an export's manifest. A new condition is added here, to each of them.

use std::fmt::Write;

use dataapi_core::{CustomerId, Date, Filter, Invalid, LanguageRange};
use serde::{Deserialize, Serialize};

use crate::query::{Parameter, Parameters, append, once, up_to};
#[cfg(feature = "openapi")]
use crate::schema::{Id, LanguageTagOrRange};

/// What a query may have.
pub(crate) const PARAMETERS: &[Parameter] = &[
    up_to(Filter::MAX_LANGUAGES, "language"),
    once("customerId"),
    once("customer_id"),
    once("from"),
    once("to"),
];

/// Reads a query.
pub(crate) fn from_query(parameters: &Parameters) -> Result<Filter, Invalid> {
    let mut filter = Filter::default().languages(parameters.all_parsed("language")?)?;
    let aliases =
        [parameters.parsed::<CustomerId>("customerId")?, parameters.parsed("customer_id")?];
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
    filter.between(date(parameters, "from")?, date(parameters, "to")?)
}

fn date(parameters: &Parameters, name: &'static str) -> Result<Option<Date>, Invalid> {
    parameters.parsed(name).map_err(|Invalid { reason, .. }| {
        Invalid::new(name, format!("{reason}; in a query a '+' is written %2B"))
    })
}

/// Adds it to a URL, as [`from_query`] reads it.
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

/// What an access log says of a filter: all of it but the customer, whom a log names by a keyed hash.
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

/// A filter as a manifest has it.
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

/// One language as a string, several as a list.
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

/// What OpenAPI says of the parameters of a query.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description alone: the parameters are read one by one")]
pub struct FilterParameters {
    /// Only this language's; case does not matter. Up to 32 times: in any of them. `en-*` is `en` and every
    /// tag that begins with `en-`; ranges may match at most 32 of the stored tags, and are not for a key that is
    /// bound to customers
    #[param(value_type = Option<Vec<LanguageTagOrRange>>, style = Form, explode, max_items = 32, example = json!(["en"]))]
    language: Vec<String>,
    /// Only this customer's
    #[param(value_type = Option<Id>, rename = "customerId")]
    customer_id: Option<String>,
    /// The same as `customerId`
    #[param(value_type = Option<Id>, rename = "customer_id")]
    customer_id_alias: Option<String>,
    /// Only those received then or later
    #[param(format = DateTime)]
    from: Option<String>,
    /// Only those received before
    #[param(format = DateTime)]
    to: Option<String>,
}
