//! Evidence of consent: what was agreed to, how, and in which language.

use crate::error::Invalid;

/// One piece of evidence: up to 255 bytes of UTF-8, any character but NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceField(Box<str>);

impl EvidenceField {
    /// The maximum length in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Takes `value` as the piece of evidence named `field`.
    ///
    /// # Errors
    /// If it is longer than [`EvidenceField::MAX_BYTES`] or contains a NUL character.
    pub fn parse(field: &'static str, value: String) -> Result<Self, Invalid> {
        if value.len() > Self::MAX_BYTES {
            Err(Invalid::new(field, "must be at most 255 bytes of UTF-8"))
        } else if value.as_bytes().contains(&0) {
            Err(Invalid::new(field, "must not contain NUL characters"))
        } else {
            Ok(Self(value.into_boxed_str()))
        }
    }

    /// The piece as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What was agreed to, how, and in which language: the proof that GDPR article 7(1) asks for.
///
/// It outlives the dialog, so it must not name the customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Which notice the customer was shown, such as its version or address.
    pub notice: Option<EvidenceField>,
    /// How the customer answered, such as "button in chat".
    pub method: Option<EvidenceField>,
    /// The language in which the customer was asked.
    pub locale: Option<EvidenceField>,
}

impl Evidence {
    /// Parses the three pieces, each as [`EvidenceField::parse`] does.
    ///
    /// # Errors
    /// Names the first piece that is outside its bounds.
    pub fn parse(
        notice: Option<String>,
        method: Option<String>,
        locale: Option<String>,
    ) -> Result<Self, Invalid> {
        let parse = |field, value: Option<String>| {
            value.map(|value| EvidenceField::parse(field, value)).transpose()
        };
        Ok(Self {
            notice: parse("notice", notice)?,
            method: parse("method", method)?,
            locale: parse("locale", locale)?,
        })
    }

    /// Notice, method and locale as they were sent.
    pub fn pieces(&self) -> [Option<&str>; 3] {
        [&self.notice, &self.method, &self.locale]
            .map(|piece| piece.as_ref().map(EvidenceField::as_str))
    }

    /// The evidence in the receipt for consent that another store received.
    pub fn of_import() -> Self {
        Self { method: Some(EvidenceField("import".into())), ..Self::default() }
    }
}
