//! A consented dialog as JSON, both ways.

use std::borrow::Cow;

use dataapi::{Date, Dialog, DialogId, DialogRef, NewDialog, Position, StoredDialog, Text};
use serde::{Deserialize, Serialize};

/// A dialog as the contract writes it.
#[derive(Deserialize, Serialize)]
pub(crate) struct DialogJson<'a> {
    dialog_id: Cow<'a, str>,
    customer_id: Cow<'a, str>,
    text: Cow<'a, str>,
    language: Cow<'a, str>,
    consent_received: bool,
    date: String,
    /// How the ledger names it.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
}

impl<'a> From<&'a Dialog> for DialogJson<'a> {
    fn from(dialog: &'a Dialog) -> Self {
        Self {
            dialog_id: dialog.dialog_id().as_str().into(),
            customer_id: dialog.customer_id().as_str().into(),
            text: dialog.text().as_str().into(),
            language: dialog.language().as_str().into(),
            consent_received: true,
            date: dialog.date().to_string(),
            reference: None,
        }
    }
}

impl DialogJson<'_> {
    pub(super) fn with_reference(self, reference: &DialogRef) -> Self {
        Self { reference: Some(reference.to_string()), ..self }
    }

    /// The dialog, if every member is as it must be.
    pub(super) fn into_dialog(self) -> Option<Dialog> {
        let dialog = NewDialog {
            dialog_id: self.dialog_id.into_owned().try_into().ok()?,
            customer_id: self.customer_id.into_owned().try_into().ok()?,
            language: self.language.into_owned().try_into().ok()?,
            // The limit on a text is the server's.
            text: Text::parse(self.text.into_owned(), usize::MAX).ok()?,
        };
        let date = self.date.parse().ok()?;
        StoredDialog::new(dialog, date, self.consent_received).readable().ok()
    }
}

/// What of an export's line says where it stands, and whose it is.
#[derive(Deserialize)]
struct ExportedPosition {
    dialog_id: String,
    date: String,
    #[serde(rename = "ref")]
    reference: String,
}

/// Where a line of an export stands, and how the ledger names its dialog.
pub(crate) fn exported_position(line: &[u8]) -> Option<(Position, DialogRef)> {
    let ExportedPosition { dialog_id, date, reference } = serde_json::from_slice(line).ok()?;
    let (dialog_id, date): (DialogId, Date) = (dialog_id.parse().ok()?, date.parse().ok()?);
    Some((Position { date, dialog_id }, reference.parse().ok()?))
}
