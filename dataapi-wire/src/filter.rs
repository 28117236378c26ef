//! A filter in all its text forms: parameters of a query, the same in the URL of the next page, what an
//! access log says, and members of an export's manifest. A new condition is added here, to each of them.

use std::fmt::Write;

use dataapi_core::{CustomerId, Date, Filter, Invalid, Language};
use serde::{Deserialize, Serialize};

use crate::query::{Parameter, Parameters, append, once};
#[cfg(feature = "openapi")]
use crate::schema::{Id, LanguageTag};

/// What a query may have.
pub(crate) const PARAMETERS: &[Parameter] =
    &[once("language"), once("customerId"), once("customer_id"), once("from"), once("to")];

/// Reads a query.
pub(crate) fn from_query(parameters: &Parameters) -> Result<Filter, Invalid> {
    let mut filter = Filter::default();
    if let Some(language) = parameters.parsed::<Language>("language")? {
        filter = filter.language(language);
    }
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
    if let Some(language) = filter.language_tag() {
        append(url, "language", language.as_str());
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
    let language = filter.language_tag().map(|language| language.as_str().to_owned());
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
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

impl From<&Filter> for FilterMembers {
    fn from(filter: &Filter) -> Self {
        Self {
            customer_id: filter.customer_id().map(|customer| customer.as_str().to_owned()),
            language: filter.language_tag().map(|language| language.as_str().to_owned()),
            from: filter.from().map(|date| date.to_string()),
            to: filter.to().map(|date| date.to_string()),
        }
    }
}

impl TryFrom<&FilterMembers> for Filter {
    type Error = Invalid;

    fn try_from(members: &FilterMembers) -> Result<Self, Invalid> {
        let FilterMembers { customer_id, language, from, to } = members;
        let mut filter = Self::default();
        if let Some(customer_id) = customer_id {
            filter = filter.customer(customer_id.parse()?);
        }
        if let Some(language) = language {
            filter = filter.language(language.parse()?);
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
    /// Only this language's; case does not matter
    #[param(value_type = Option<LanguageTag>, example = "en")]
    language: Option<String>,
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
