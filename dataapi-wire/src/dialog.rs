//! Dialogs: as a chatbot sends them, as the API returns them, and as lines of an export.

use std::borrow::Cow;
use std::fmt;

use dataapi_core::{self as core, Date, DialogRef, Invalid, StoreError, StoredDialog, Text};
use serde::{Deserialize, Serialize};

use crate::as_text::{self, redacted};
use crate::query::encode;
#[cfg(feature = "openapi")]
use crate::schema::LanguageTag;

/// A dialog to store.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"text": "Where is my parcel?", "language": "en"})))]
#[serde(deny_unknown_fields)]
pub struct NewDialog {
    /// The text of the dialog: 1 byte to 64 KiB unless the operator has set another limit; any character except
    /// NUL.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, pattern = r"^[^\u0000]+$"))]
    pub text: String,
    #[allow(missing_docs, reason = "the type's schema says it")]
    #[cfg_attr(feature = "openapi", schema(value_type = LanguageTag))]
    pub language: String,
}

impl NewDialog {
    /// Returns the dialog with these ids, checked.
    ///
    /// # Errors
    /// Names the first member that is outside its bounds.
    ///
    /// ```
    /// let sent: dataapi_wire::NewDialog =
    ///     dataapi_wire::body::parse(br#"{"text":"Hello","language":"en"}"#).expect("a dialog");
    /// let dialog = sent.into_domain("anna".parse()?, "d-1".parse()?, 1024)?;
    /// assert_eq!(dialog.text.as_str(), "Hello");
    /// # Ok::<(), dataapi_core::Invalid>(())
    /// ```
    pub fn into_domain(
        self,
        customer_id: core::CustomerId,
        dialog_id: core::DialogId,
        max_text_bytes: usize,
    ) -> Result<core::NewDialog, Invalid> {
        let text = Text::parse(self.text, max_text_bytes)?;
        let language = self.language.try_into()?;
        Ok(core::NewDialog { customer_id, dialog_id, language, text })
    }
}

impl fmt::Debug for NewDialog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewDialog([redacted])")
    }
}

/// A dialog.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[allow(clippy::struct_field_names, reason = "the names are the contract's")]
pub struct Dialog<'a> {
    /// The id of the dialog, unique in the whole store.
    pub dialog_id: Cow<'a, str>,
    /// The id of the customer.
    pub customer_id: Cow<'a, str>,
    /// The text of the dialog.
    pub text: Cow<'a, str>,
    /// The language tag, as it was sent.
    pub language: Cow<'a, str>,
    /// Whether the customer has consented.
    pub consent_received: bool,
    /// When the dialog was received, in UTC with microseconds.
    #[serde(with = "as_text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub date: Date,
}

impl<'a> Dialog<'a> {
    /// Returns a dialog that was just stored.
    pub fn received(dialog: &'a core::NewDialog, received: core::Received) -> Self {
        Self {
            dialog_id: dialog.dialog_id.as_str().into(),
            customer_id: dialog.customer_id.as_str().into(),
            text: dialog.text.as_str().into(),
            language: dialog.language.as_str().into(),
            consent_received: received.is_consented,
            date: received.date,
        }
    }

    /// Returns the dialog, read from a source that holds only consented dialogs.
    ///
    /// # Errors
    /// If a member is outside its bounds, or the customer has not consented. The length of the text is not
    /// limited: the sender has checked it.
    pub fn into_domain(self) -> Result<core::Dialog, StoreError> {
        let dialog = core::NewDialog {
            dialog_id: self.dialog_id.into_owned().try_into()?,
            customer_id: self.customer_id.into_owned().try_into()?,
            language: self.language.into_owned().try_into()?,
            text: Text::parse(self.text.into_owned(), usize::MAX)?,
        };
        StoredDialog::new(dialog, self.date, self.consent_received).readable()
    }
}

impl<'a> From<&'a core::Dialog> for Dialog<'a> {
    fn from(dialog: &'a core::Dialog) -> Self {
        Self {
            dialog_id: dialog.dialog_id().as_str().into(),
            customer_id: dialog.customer_id().as_str().into(),
            text: dialog.text().as_str().into(),
            language: dialog.language().as_str().into(),
            consent_received: true,
            date: dialog.date(),
        }
    }
}

impl<'a> From<&'a core::HeldDialog> for Dialog<'a> {
    fn from(dialog: &'a core::HeldDialog) -> Self {
        Self {
            dialog_id: dialog.dialog_id().as_str().into(),
            customer_id: dialog.customer_id().as_str().into(),
            text: dialog.text().as_str().into(),
            language: dialog.language().as_str().into(),
            consent_received: dialog.consent_received(),
            date: dialog.date(),
        }
    }
}

/// A dialog in an export: as the API returns it, optionally with its name in the ledger, which `sync` needs. It is
/// flat, so that it can also be a CSV record.
#[derive(Serialize)]
#[allow(clippy::struct_field_names, reason = "the names are the contract's")]
pub struct ExportedDialog<'a> {
    dialog_id: &'a str,
    customer_id: &'a str,
    text: &'a str,
    language: &'a str,
    consent_received: bool,
    #[serde(with = "as_text")]
    date: Date,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", with = "as_text::or_null")]
    reference: Option<DialogRef>,
}

impl<'a> ExportedDialog<'a> {
    /// The names of its members. The last, `ref`, is present only with a name in the ledger.
    pub const MEMBERS: [&'static str; 7] =
        ["dialog_id", "customer_id", "text", "language", "consent_received", "date", "ref"];

    /// Makes the exported form of a dialog, with or without its name in the ledger.
    ///
    /// ```
    /// use dataapi_core::{NewDialog, StoredDialog};
    /// use dataapi_wire::ExportedDialog;
    ///
    /// let dialog = NewDialog::parse("anna", "d-1", "en", "Hello")?;
    /// let dialog = StoredDialog::new(dialog, "2026-03-01T10:00:00Z".parse()?, true).readable()?;
    /// let line = serde_json::to_string(&ExportedDialog::new(&dialog, None)).expect("JSON");
    /// assert_eq!(
    ///     line,
    ///     r#"{"dialog_id":"d-1","customer_id":"anna","text":"Hello","language":"en","consent_received":true,"date":"2026-03-01T10:00:00.000000Z"}"#
    /// );
    /// # Ok::<(), dataapi_core::StoreError>(())
    /// ```
    pub fn new(dialog: &'a core::Dialog, reference: Option<DialogRef>) -> Self {
        Self {
            dialog_id: dialog.dialog_id().as_str(),
            customer_id: dialog.customer_id().as_str(),
            text: dialog.text().as_str(),
            language: dialog.language().as_str(),
            consent_received: true,
            date: dialog.date(),
            reference,
        }
    }
}

/// The members of an exported line that give its place in the order and its dialog.
#[derive(Debug, Deserialize)]
pub struct ExportedLine {
    #[serde(deserialize_with = "as_text::deserialize")]
    dialog_id: core::DialogId,
    #[serde(deserialize_with = "as_text::deserialize")]
    date: Date,
    /// The dialog's name in the ledger.
    #[serde(rename = "ref", deserialize_with = "as_text::deserialize")]
    pub reference: DialogRef,
}

impl ExportedLine {
    /// Returns its position in the order of pages.
    pub fn position(self) -> core::Position {
        core::Position { date: self.date, dialog_id: self.dialog_id }
    }
}

redacted!(Dialog, ExportedDialog);

/// The result of an erasure.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Erasure {
    /// How many dialogs were erased.
    pub erased: u64,
}

/// Returns the relative URL of a dialog under `prefix`.
///
/// ```
/// assert_eq!(dataapi_wire::dialog_url("/v1", "anna", "a/b%"), "/v1/data/anna/a%2Fb%25");
/// ```
pub fn dialog_url(prefix: &str, customer_id: &str, dialog_id: &str) -> String {
    format!("{prefix}/data/{}/{}", encode(customer_id), encode(dialog_id))
}
