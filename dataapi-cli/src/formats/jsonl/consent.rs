//! A decision's receipt, and how a dialog stands, as JSON; only written.

use dataapi::{ConsentState, ConsentStatus, Decision, Receipt};
use serde::Serialize;

/// A receipt or a status, as the contract writes them.
#[derive(Serialize)]
pub(crate) struct ConsentJson<'a> {
    dialog_id: &'a str,
    consent: &'static str,
    date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<&'a str>,
}

impl<'a> From<&'a Receipt> for ConsentJson<'a> {
    fn from(receipt: &'a Receipt) -> Self {
        let [notice, method, locale] = receipt.event.evidence.pieces();
        Self {
            dialog_id: receipt.dialog_id.as_str(),
            consent: match receipt.decision {
                Decision::Granted => "granted",
                Decision::Withdrawn => "withdrawn",
            },
            date: receipt.event.date.to_string(),
            notice,
            method,
            locale,
        }
    }
}

impl<'a> From<&'a ConsentStatus> for ConsentJson<'a> {
    fn from(status: &'a ConsentStatus) -> Self {
        Self {
            dialog_id: status.dialog_id.as_str(),
            consent: match status.state {
                ConsentState::Pending => "pending",
                ConsentState::Granted => "granted",
                ConsentState::Withdrawn => "withdrawn",
                ConsentState::Erased => "erased",
            },
            date: status.date.to_string(),
            notice: None,
            method: None,
            locale: None,
        }
    }
}
