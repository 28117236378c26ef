//! A server's key as JSON, without the key itself; only written.

use dataapi::{CustomerPrefix, Date, Key, Language, Role};
use serde::Serialize;

/// A key in the list of `key list`.
#[derive(Serialize)]
pub(crate) struct KeyJson<'a> {
    pub(crate) name: &'a str,
    pub(crate) roles: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) only_languages: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) only_customers: Option<&'a str>,
    /// `works`, `expired`, `revoked`, or `unknown role` if only a later version knows one of its roles.
    pub(crate) state: &'static str,
    pub(crate) created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_used: Option<String>,
}

impl<'a> KeyJson<'a> {
    pub(crate) fn new(key: &'a Key, now: Date) -> Self {
        let state = match key.revoked {
            Some(_) => "revoked",
            None if !key.grant.roles().are_known() => "unknown role",
            None if key.works(now) => "works",
            None => "expired",
        };
        let reach = key.grant.reach();
        let unknown = (!key.grant.roles().are_known()).then_some("unknown");
        let text = |date: Option<Date>| date.map(|date| date.to_string());
        Self {
            name: key.name.as_str(),
            roles: key.grant.roles().iter().map(Role::name).chain(unknown).collect(),
            only_languages: reach.languages().iter().map(Language::as_str).collect(),
            only_customers: reach.customers().map(CustomerPrefix::as_str),
            state,
            created: key.created.to_string(),
            expires: text(key.expires),
            revoked: text(key.revoked),
            last_used: text(key.last_used),
        }
    }
}
