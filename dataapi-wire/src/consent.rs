//! Consent: a customer's decision, the consent state of a dialog, and the receipts that prove it.

use std::borrow::Cow;
use std::fmt;

use dataapi_core::{self as core, ConsentState, Date, Invalid};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::as_text::{self, redacted};
use crate::ledger::{EventKind, LedgerEntry, is_false};

/// The customer's decision: `true` for consent, `false` for a withdrawal or refusal, or an object with evidence.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!(true)))]
#[serde(untagged)]
pub enum Decision {
    #[allow(missing_docs, reason = "a description here would be one of the schema")]
    Bare(bool),
    #[allow(missing_docs, reason = "a description here would be one of the schema")]
    WithEvidence(DecisionWithEvidence),
}

/// The customer's decision, with evidence of how it was made (GDPR article 7(1)).
///
/// The evidence outlives the dialog, so it must not name the customer.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DecisionWithEvidence {
    /// `true` if the customer consents; `false` for a withdrawal or refusal.
    pub consent: bool,
    /// The notice that the customer was shown, such as its version or address.
    #[cfg_attr(feature = "openapi", schema(max_length = 255, pattern = r"^[^\u0000]*$"))]
    pub notice: Option<String>,
    /// How the customer answered, such as "button in chat".
    #[cfg_attr(feature = "openapi", schema(max_length = 255, pattern = r"^[^\u0000]*$"))]
    pub method: Option<String>,
    /// The language in which the customer was asked.
    #[cfg_attr(feature = "openapi", schema(max_length = 255, pattern = r"^[^\u0000]*$"))]
    pub locale: Option<String>,
}

impl Decision {
    /// Returns the decision and its evidence.
    ///
    /// # Errors
    /// Names the first piece of evidence that is outside its bounds.
    ///
    /// ```
    /// use dataapi_wire::Decision;
    ///
    /// let sent: Decision = dataapi_wire::body::parse(br#"{"consent":true,"method":"button"}"#).expect("a decision");
    /// let (decision, evidence) = sent.into_domain()?;
    /// assert_eq!(decision, dataapi_core::Decision::Granted);
    /// assert_eq!(evidence.pieces(), [None, Some("button"), None]);
    /// # Ok::<(), dataapi_core::Invalid>(())
    /// ```
    pub fn into_domain(self) -> Result<(core::Decision, core::Evidence), Invalid> {
        let (consent, evidence) = match self {
            Self::Bare(consent) => (consent, core::Evidence::default()),
            Self::WithEvidence(DecisionWithEvidence { consent, notice, method, locale }) => {
                (consent, core::Evidence::parse(notice, method, locale)?)
            }
        };
        let decision = if consent { core::Decision::Granted } else { core::Decision::Withdrawn };
        Ok((decision, evidence))
    }
}

impl<'de> Deserialize<'de> for Decision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BareOrObject;

        impl<'de> Visitor<'de> for BareOrObject {
            type Value = Decision;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, or an object")
            }

            fn visit_bool<E: Error>(self, consent: bool) -> Result<Decision, E> {
                Ok(Decision::Bare(consent))
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Decision, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(members))
                    .map(Decision::WithEvidence)
            }
        }

        deserializer.deserialize_any(BareOrObject)
    }
}

/// The proof of one decision.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipt<'a> {
    /// The id of the dialog.
    pub dialog_id: Cow<'a, str>,
    /// What was decided.
    pub consent: Decided,
    /// When it was recorded.
    #[serde(with = "as_text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub date: Date,
    /// The notice that the customer was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub notice: Option<Cow<'a, str>>,
    /// How the customer answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub method: Option<Cow<'a, str>>,
    /// The language in which the customer was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub locale: Option<Cow<'a, str>>,
    /// `true` if there is evidence that the key may not see, because the dialog is gone and the key is bound.
    #[serde(default, skip_serializing_if = "is_false")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub evidence_hidden: bool,
    #[allow(missing_docs, reason = "the type's schema says it")]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = LedgerEntry, required))]
    pub ledger: Option<LedgerEntry>,
}

impl Receipt<'_> {
    /// Returns the receipt without its place in the ledger: the short form, for people.
    #[must_use]
    pub fn without_ledger(self) -> Self {
        Self { ledger: None, ..self }
    }
}

impl<'a> From<&'a core::Receipt> for Receipt<'a> {
    fn from(receipt: &'a core::Receipt) -> Self {
        let core::Receipt { dialog_id, decision, event } = receipt;
        let [notice, method, locale] = event.evidence.pieces();
        Self {
            dialog_id: dialog_id.as_str().into(),
            consent: (*decision).into(),
            date: event.date,
            notice: notice.map(Cow::Borrowed),
            method: method.map(Cow::Borrowed),
            locale: locale.map(Cow::Borrowed),
            evidence_hidden: event.hides_evidence,
            ledger: Some(event.into()),
        }
    }
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "a description here would be one of the schema")]
pub enum Decided {
    Granted,
    Withdrawn,
}

impl From<core::Decision> for Decided {
    fn from(decision: core::Decision) -> Self {
        match decision {
            core::Decision::Granted => Self::Granted,
            core::Decision::Withdrawn => Self::Withdrawn,
        }
    }
}

/// An early decision: one on a dialog that was not received yet.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldDecision<'a> {
    /// The id of the dialog.
    pub dialog_id: Cow<'a, str>,
    /// What was decided.
    pub consent: Decided,
    /// When the decision was first recorded.
    #[serde(with = "as_text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub date: Date,
    /// When the decision expires if the dialog has not been received by then; `null` for a withdrawal, which never
    /// expires.
    #[serde(with = "as_text::or_null")]
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<String>, format = DateTime))]
    pub held_until: Option<Date>,
}

impl<'a> From<&'a core::HeldDecision> for HeldDecision<'a> {
    fn from(held: &'a core::HeldDecision) -> Self {
        Self {
            dialog_id: held.dialog_id.as_str().into(),
            consent: held.decision.into(),
            date: held.date,
            held_until: held.until,
        }
    }
}

/// The consent state of a dialog, and since when.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsentStatus<'a> {
    /// The id of the dialog.
    pub dialog_id: Cow<'a, str>,
    /// Its consent state.
    pub consent: Consent,
    /// When the dialog entered this state; for a pending dialog, when it was received.
    #[serde(with = "as_text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub date: Date,
}

impl<'a> From<&'a core::ConsentStatus> for ConsentStatus<'a> {
    fn from(status: &'a core::ConsentStatus) -> Self {
        Self {
            dialog_id: status.dialog_id.as_str().into(),
            consent: status.state.into(),
            date: status.date,
        }
    }
}

/// The consent state of a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "a description here would be one of the schema")]
pub enum Consent {
    Pending,
    Granted,
    Withdrawn,
    Erased,
}

impl From<ConsentState> for Consent {
    fn from(state: ConsentState) -> Self {
        match state {
            ConsentState::Pending => Self::Pending,
            ConsentState::Granted => Self::Granted,
            ConsentState::Withdrawn => Self::Withdrawn,
            ConsentState::Erased => Self::Erased,
        }
    }
}

/// The proof of the last event of a dialog, with members named after ISO/IEC TS 27560 where it applies.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsentReceipt<'a> {
    /// The version of the receipt's format.
    pub schema_version: Cow<'a, str>,
    /// The id of the record: the hash and position of its event in the ledger, and the chain if it is not the
    /// first.
    pub record_id: String,
    /// The id of the dialog.
    pub dialog_id: Cow<'a, str>,
    /// The notice that the customer was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub privacy_notice: Option<Cow<'a, str>>,
    /// The language in which the customer was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub language: Option<Cow<'a, str>>,
    /// How the customer answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub collection_method: Option<Cow<'a, str>>,
    /// `true` if there is evidence that the key may not see, because the dialog is gone and the key is bound.
    #[serde(default, skip_serializing_if = "is_false")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub evidence_hidden: bool,
    /// What happened.
    pub event_type: EventKind,
    /// The consent state after it.
    pub event_state: Consent,
    /// When it happened.
    #[serde(with = "as_text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub event_time: Date,
    #[allow(missing_docs, reason = "the type's schema says it")]
    pub ledger: LedgerEntry,
}

impl<'a> ConsentReceipt<'a> {
    /// Makes the receipt; `None` while the dialog is pending.
    pub fn new(status: &'a core::ConsentStatus) -> Option<Self> {
        let event = status.event.as_ref()?;
        let [privacy_notice, collection_method, language] =
            event.evidence.pieces().map(|piece| piece.map(Cow::Borrowed));
        Some(Self {
            schema_version: "dataapi-receipt-1".into(),
            record_id: event.head().to_string(),
            dialog_id: status.dialog_id.as_str().into(),
            privacy_notice,
            language,
            collection_method,
            evidence_hidden: event.hides_evidence,
            event_type: event.kind.into(),
            event_state: status.state.into(),
            event_time: event.date,
            ledger: event.into(),
        })
    }
}

redacted!(Receipt, HeldDecision, ConsentStatus, ConsentReceipt);
