//! Everything stored about one customer: the query for a page of it, and the file for the customer.

use std::borrow::Cow;

use dataapi_core::{
    self as core, Cursor, CustomerId, Date, DialogRef, EventHash, HeldDialog, Invalid,
    SubjectRequest,
};
use serde::Serialize;

use crate::as_text::{self, redacted};
use crate::consent::Consent;
use crate::ledger::is_first;
use crate::page::{WINDOW, append_window, window_from_query};
use crate::query::{Parameters, encode};

/// Reads the query of `GET /customers/{customerId}/data`.
///
/// # Errors
/// Names the invalid parameter.
pub fn subject_request(customer_id: CustomerId, query: &str) -> Result<SubjectRequest, Invalid> {
    let parameters = Parameters::parse(query, &[WINDOW])?;
    SubjectRequest::new(customer_id, window_from_query(&parameters)?)
}

/// Returns the relative URL, under `prefix`, of the page of a customer's data after the requested one.
pub fn next_subject_url(prefix: &str, request: &SubjectRequest, next: &Cursor) -> String {
    let customer_id = encode(request.customer_id().as_str());
    let url = format!("{prefix}/customers/{customer_id}/data?");
    append_window(url, request.window(), next)
}

/// The start of the file. The dialogs follow as the member `dialogs`, before the closing brace.
#[derive(Serialize)]
pub struct SubjectHeading<'a> {
    customer_id: &'a str,
    #[serde(with = "as_text")]
    exported: Date,
}

impl<'a> SubjectHeading<'a> {
    /// Makes the start of a file for `customer_id`, exported at the time `exported`.
    pub fn new(customer_id: &'a CustomerId, exported: Date) -> Self {
        Self { customer_id: customer_id.as_str(), exported }
    }
}

/// A dialog in the file.
#[derive(Serialize)]
pub struct SubjectDialog<'a> {
    dialog_id: &'a str,
    text: &'a str,
    language: &'a str,
    #[serde(with = "as_text")]
    date: Date,
    consent: Consent,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<SubjectReceipt<'a>>,
}

impl<'a> SubjectDialog<'a> {
    /// Makes the entry of a stored dialog; `granted` is the event of its grant, `None` while it is pending.
    pub fn new(held: &'a HeldDialog, granted: Option<&'a core::Event>) -> Self {
        Self {
            dialog_id: held.dialog_id().as_str(),
            text: held.text().as_str(),
            language: held.language().as_str(),
            date: held.date(),
            consent: if granted.is_some() { Consent::Granted } else { Consent::Pending },
            receipt: granted.map(SubjectReceipt::from),
        }
    }
}

/// The receipt in the file that proves consent to a dialog.
#[derive(Serialize)]
pub struct SubjectReceipt<'a> {
    #[serde(with = "as_text")]
    date: Date,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "is_first")]
    chain: u16,
    position: u64,
    #[serde(rename = "ref", with = "as_text")]
    reference: DialogRef,
    #[serde(with = "as_text")]
    hash: EventHash,
}

impl<'a> From<&'a core::Event> for SubjectReceipt<'a> {
    fn from(event: &'a core::Event) -> Self {
        let [notice, method, locale] =
            event.evidence.pieces().map(|piece| piece.map(Cow::Borrowed));
        Self {
            date: event.date,
            notice,
            method,
            locale,
            chain: event.chain,
            position: event.position,
            reference: event.reference,
            hash: event.hash,
        }
    }
}

redacted!(SubjectHeading, SubjectDialog, SubjectReceipt);
