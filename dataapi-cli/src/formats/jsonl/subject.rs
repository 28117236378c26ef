//! What is held on one customer as JSON; only written.

use dataapi::{Event, HeldDialog};
use serde::Serialize;

use super::event::is_first_chain;

/// What stands before the dialogs.
#[derive(Serialize)]
pub(crate) struct SubjectJson<'a> {
    pub(crate) customer_id: &'a str,
    /// When it was written.
    pub(crate) exported: String,
}

/// A dialog that is held on the customer, consented to or not.
#[derive(Serialize)]
pub(crate) struct SubjectDialogJson<'a> {
    dialog_id: &'a str,
    text: &'a str,
    language: &'a str,
    date: String,
    consent: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<GrantJson<'a>>,
}

/// The event by which the customer granted consent.
#[derive(Serialize)]
struct GrantJson<'a> {
    date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<&'a str>,
    #[serde(skip_serializing_if = "is_first_chain")]
    chain: u16,
    position: u64,
    #[serde(rename = "ref")]
    reference: String,
    hash: String,
}

impl<'a> SubjectDialogJson<'a> {
    /// `grant` is the event of a dialog that was consented to; without one it is pending.
    pub(crate) fn new(dialog: &'a HeldDialog, grant: Option<&'a Event>) -> Self {
        Self {
            dialog_id: dialog.dialog_id().as_str(),
            text: dialog.text().as_str(),
            language: dialog.language().as_str(),
            date: dialog.date().to_string(),
            consent: if grant.is_some() { "granted" } else { "pending" },
            receipt: grant.map(GrantJson::from),
        }
    }
}

impl<'a> From<&'a Event> for GrantJson<'a> {
    fn from(event: &'a Event) -> Self {
        let [notice, method, locale] = event.evidence.pieces();
        Self {
            date: event.date.to_string(),
            notice,
            method,
            locale,
            chain: event.chain,
            position: event.position,
            reference: event.reference.to_string(),
            hash: event.hash.to_string(),
        }
    }
}
