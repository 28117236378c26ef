//! Dialogs as other programs write them: reads their fields under any of their names, and checks the values. Only
//! read; [`ExportedDialog`](crate::ExportedDialog) is what is written.

use std::borrow::Cow;
use std::fmt;

use dataapi_core::{ImportedDialog, Invalid, NewDialog, Text};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::as_text::redacted;

/// Reads a JSON line with one dialog; `None` for the manifest of an export.
///
/// # Errors
/// Says what is wrong with the line, without quoting it.
///
/// ```
/// let line = br#"{"_id":"d-1","customerId":"anna","text":"Hello","language":"en"}"#;
/// let read = dataapi_wire::import::line(line, 1024)?.expect("a dialog");
/// assert_eq!(read.dialog.text.as_str(), "Hello");
/// assert!(!read.consented);
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
pub fn line(line: &[u8], max_text: usize) -> Result<Option<ImportedDialog>, Invalid> {
    let line = std::str::from_utf8(line).map_err(|_| Invalid::new("the line", "must be UTF-8"))?;
    // A derived struct would also accept a list of its values.
    if !line.starts_with('{') {
        return Err(Invalid::new("the line", "must be a JSON object"));
    }
    let fields = serde_json::from_str::<ImportFields<'_>>(line).map_err(|error| {
        if error.is_data() {
            Invalid::new("the line", "must not have a field twice")
        } else {
            let rule = format!("must be JSON; the error is at byte {}", error.column());
            Invalid::new("the line", rule)
        }
    })?;
    if fields.is_manifest() { Ok(None) } else { fields.into_dialog(max_text).map(Some) }
}

/// The value of a field.
#[derive(PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// A string.
    String(Cow<'a, str>),
    /// `true` or `false`.
    Bool(bool),
    /// A number, a list or an object, which is not valid in any field.
    Other,
}

/// The fields of one dialog; `None` for a field that is missing.
#[derive(Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct ImportFields<'a> {
    #[serde(borrow)]
    dialog_id: Option<FieldValue<'a>>,
    #[serde(borrow, rename = "_id")]
    underscore_id: Option<FieldValue<'a>>,
    #[serde(borrow, rename = "dialogId")]
    camel_dialog_id: Option<FieldValue<'a>>,
    #[serde(borrow)]
    customer_id: Option<FieldValue<'a>>,
    #[serde(borrow, rename = "customerId")]
    camel_customer_id: Option<FieldValue<'a>>,
    #[serde(borrow)]
    text: Option<FieldValue<'a>>,
    #[serde(borrow)]
    language: Option<FieldValue<'a>>,
    #[serde(borrow)]
    consent_received: Option<FieldValue<'a>>,
    #[serde(borrow)]
    date: Option<FieldValue<'a>>,
    /// The one field of the last line of an export, which no dialog has.
    #[serde(borrow)]
    manifest: Option<FieldValue<'a>>,
}

impl<'a> ImportFields<'a> {
    /// Returns the field called `name`, to be filled in; `None` if no field of a dialog has this name.
    pub fn named(&mut self, name: &str) -> Option<&mut Option<FieldValue<'a>>> {
        Some(match name {
            "dialog_id" => &mut self.dialog_id,
            "_id" => &mut self.underscore_id,
            "dialogId" => &mut self.camel_dialog_id,
            "customer_id" => &mut self.customer_id,
            "customerId" => &mut self.camel_customer_id,
            "text" => &mut self.text,
            "language" => &mut self.language,
            "consent_received" => &mut self.consent_received,
            "date" => &mut self.date,
            _ => return None,
        })
    }

    /// Whether this is the manifest of an export and not a dialog.
    pub fn is_manifest(&self) -> bool {
        let others =
            Self { manifest: self.manifest.as_ref().map(|_| FieldValue::Other), ..Self::default() };
        self.manifest == Some(FieldValue::Other) && *self == others
    }

    /// Returns the first required field that is missing.
    pub fn missing(&self) -> Option<&'static str> {
        let dialog_id = [&self.dialog_id, &self.underscore_id, &self.camel_dialog_id];
        let customer_id = [&self.customer_id, &self.camel_customer_id];
        [
            ("dialog_id", dialog_id.iter().all(|id| id.is_none())),
            ("customer_id", customer_id.iter().all(|id| id.is_none())),
            ("text", self.text.is_none()),
            ("language", self.language.is_none()),
        ]
        .into_iter()
        .find_map(|(field, missing)| missing.then_some(field))
    }

    /// Returns the dialog if every field is valid.
    ///
    /// # Errors
    /// Names the first invalid field.
    pub fn into_dialog(self, max_text: usize) -> Result<ImportedDialog, Invalid> {
        if let Some(field) = self.missing() {
            return Err(Invalid::new(field, "is missing"));
        }
        let dialog_ids = [self.dialog_id, self.underscore_id, self.camel_dialog_id];
        let dialog_id = string("dialog_id", same("dialog_id", dialog_ids)?)?;
        let customer_ids = [self.customer_id, self.camel_customer_id];
        let customer_id = string("customer_id", same("customer_id", customer_ids)?)?;
        let dialog = NewDialog {
            customer_id: customer_id.parse()?,
            dialog_id: dialog_id.parse()?,
            language: string("language", self.language)?.parse()?,
            text: Text::parse(string("text", self.text)?.into_owned(), max_text)?,
        };
        let date = match self.date {
            None => None,
            date => Some(string("date", date)?.parse()?),
        };
        let consented = match self.consent_received {
            None => false,
            Some(FieldValue::Bool(consented)) => consented,
            Some(_) => return Err(Invalid::new("consent_received", "must be true or false")),
        };
        Ok(ImportedDialog { dialog, date, consented })
    }
}

redacted!(FieldValue, ImportFields);

/// Returns the value of a field that has several names.
fn same<'a>(
    field: &'static str,
    values: impl IntoIterator<Item = Option<FieldValue<'a>>>,
) -> Result<Option<FieldValue<'a>>, Invalid> {
    let mut values = values.into_iter().flatten();
    let first = values.next();
    if values.all(|value| Some(&value) == first.as_ref()) {
        Ok(first)
    } else {
        Err(Invalid::new(field, "is given under several names, with different values"))
    }
}

fn string<'a>(field: &'static str, value: Option<FieldValue<'a>>) -> Result<Cow<'a, str>, Invalid> {
    match value {
        Some(FieldValue::String(value)) => Ok(value),
        _ => Err(Invalid::new(field, "must be a string")),
    }
}

/// Accepts any value. Errors are reported later by the field's name, not by the JSON library, whose messages quote
/// the value.
impl<'de: 'a, 'a> Deserialize<'de> for FieldValue<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = FieldValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(FieldValue::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(FieldValue::String(Cow::Owned(value.to_owned())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(FieldValue::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(FieldValue::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(FieldValue::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(FieldValue::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(FieldValue::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(FieldValue::Other)
    }
}
