//! The JSON that goes over the wire, and nothing else: what the API's description is made from.
//!
//! Answers borrow from the domain, so that a text is copied once, into the answer.

use std::collections::BTreeMap;
use std::fmt;

use dataapi_core::{self as core, ConsentState, Date, Invalid, Text};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// The id of a customer or a dialog: 1 to 255 bytes of UTF-8, no control characters, not `.` or
/// `..`.
#[derive(ToSchema)]
#[schema(
    example = "d-1",
    min_length = 1,
    max_length = 255,
    pattern = r"^(?!\.{1,2}$)[^\u0000-\u001F\u007F-\u009F]+$"
)]
#[expect(dead_code, reason = "a schema alone: the domain has the type")]
pub(crate) struct Id(String);

/// A well-formed BCP 47 tag, such as `en` or `pt-BR`; case does not matter.
#[derive(ToSchema)]
#[schema(example = "en", format = "bcp47", min_length = 1, max_length = 255)]
#[expect(dead_code, reason = "a schema alone: the domain has the type")]
pub(crate) struct LanguageTag(String);

/// A dialog to be stored.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"text": "Where is my parcel?", "language": "en"}))]
pub(crate) struct NewDialog {
    /// What was said: 1 byte to 64 KiB unless the operator set another limit, any character but
    /// NUL.
    #[schema(min_length = 1, pattern = r"^[^\u0000]+$")]
    text: String,
    #[schema(value_type = LanguageTag)]
    language: String,
}

impl NewDialog {
    pub(crate) fn into_domain(
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

/// What the customer answered when asked for consent: `true`, `false`, or either with evidence.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(example = json!(true))]
pub(crate) enum Decision {
    Bare(bool),
    WithEvidence(DecisionWithEvidence),
}

/// What the customer answered, to what, how, and in which language (GDPR article 7(1)).
///
/// The evidence outlives the dialog, so it must not name the customer.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionWithEvidence {
    /// Whether the customer said yes.
    consent: bool,
    /// Which notice the customer was shown, such as its version or address.
    #[schema(max_length = 255, pattern = r"^[^\u0000]*$")]
    notice: Option<String>,
    /// How the customer answered, such as "button in chat".
    #[schema(max_length = 255, pattern = r"^[^\u0000]*$")]
    method: Option<String>,
    /// The language in which the customer was asked.
    #[schema(max_length = 255, pattern = r"^[^\u0000]*$")]
    locale: Option<String>,
}

impl Decision {
    pub(crate) fn into_domain(self) -> Result<(core::Decision, core::Evidence), Invalid> {
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
        struct Shape;

        impl<'de> Visitor<'de> for Shape {
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

        deserializer.deserialize_any(Shape)
    }
}

/// A dialog.
#[derive(Serialize, ToSchema)]
#[allow(clippy::struct_field_names, reason = "the names are the contract's")]
pub(crate) struct Dialog<'a> {
    /// Its id, unique in the whole store.
    dialog_id: &'a str,
    /// Whose dialog it is.
    customer_id: &'a str,
    /// What was said.
    text: &'a str,
    /// The language tag as it was sent.
    language: &'a str,
    /// Whether its customer has consented.
    consent_received: bool,
    /// When it was received: UTC, microseconds.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String, format = DateTime)]
    date: Date,
}

impl<'a> Dialog<'a> {
    /// A dialog that was stored just now.
    pub(crate) fn received(dialog: &'a core::NewDialog, received: core::Received) -> Self {
        Self {
            dialog_id: dialog.dialog_id.as_str(),
            customer_id: dialog.customer_id.as_str(),
            text: dialog.text.as_str(),
            language: dialog.language.as_str(),
            consent_received: received.is_consented,
            date: received.date,
        }
    }
}

impl<'a> From<&'a core::Dialog> for Dialog<'a> {
    fn from(dialog: &'a core::Dialog) -> Self {
        Self {
            dialog_id: dialog.dialog_id().as_str(),
            customer_id: dialog.customer_id().as_str(),
            text: dialog.text().as_str(),
            language: dialog.language().as_str(),
            consent_received: true,
            date: dialog.date(),
        }
    }
}

impl<'a> From<&'a core::HeldDialog> for Dialog<'a> {
    fn from(dialog: &'a core::HeldDialog) -> Self {
        Self {
            dialog_id: dialog.dialog_id().as_str(),
            customer_id: dialog.customer_id().as_str(),
            text: dialog.text().as_str(),
            language: dialog.language().as_str(),
            consent_received: dialog.consent_received(),
            date: dialog.date(),
        }
    }
}

/// A page of dialogs, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page<'a> {
    /// The dialogs, at most as many as the limit.
    pub(crate) items: Vec<Dialog<'a>>,
    /// How many match in all; left out with `total=false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) total: Option<u64>,
    /// How many dialogs a page has at most.
    pub(crate) limit: usize,
    /// How many matching dialogs were skipped; 0 with a cursor.
    pub(crate) offset: u64,
    /// The relative URL of the following page, `null` on the last.
    #[schema(required, format = "uri-reference")]
    pub(crate) next: Option<&'a str>,
}

impl Page<'_> {
    /// About how much room it takes to write it as JSON. A buffer that grows meanwhile would cost 3 % of a
    /// page from anywhere.
    pub(crate) fn bytes_to_render(&self) -> usize {
        const NAMES_AND_IDS: usize = 256;
        // Each text is written where there would be room for it with every byte escaped.
        const WIDEST_ESCAPE: usize = 8;
        let texts = self.items.iter().map(|dialog| dialog.text.len());
        let longest = texts.clone().max().unwrap_or(0);
        texts.sum::<usize>() + (self.items.len() + 1) * NAMES_AND_IDS + longest * WIDEST_ESCAPE
    }
}

/// The proof of one decision.
#[derive(Serialize, ToSchema)]
pub(crate) struct Receipt<'a> {
    /// Which dialog was decided on.
    dialog_id: &'a str,
    /// What was decided.
    consent: Decided,
    /// When it was recorded.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String, format = DateTime)]
    date: Date,
    /// Which notice the customer was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    notice: Option<&'a str>,
    /// How the customer answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    method: Option<&'a str>,
    /// The language in which the customer was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    locale: Option<&'a str>,
    ledger: LedgerEntry,
}

/// What was decided.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Decided {
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

impl<'a> From<&'a core::Receipt> for Receipt<'a> {
    fn from(receipt: &'a core::Receipt) -> Self {
        let core::Receipt { dialog_id, decision, event } = receipt;
        let [notice, method, locale] = event.evidence.pieces();
        Self {
            dialog_id: dialog_id.as_str(),
            consent: (*decision).into(),
            date: event.date,
            notice,
            method,
            locale,
            ledger: event.into(),
        }
    }
}

/// A decision on a dialog that is yet to come.
#[derive(Serialize, ToSchema)]
pub(crate) struct HeldDecision<'a> {
    /// Which dialog was decided on.
    dialog_id: &'a str,
    /// What was decided.
    consent: Decided,
    /// When it was first said.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String, format = DateTime)]
    date: Date,
    /// When it ends unless the dialog has come; `null` for a *no*, which is for ever.
    #[serde(serialize_with = "as_text_or_null")]
    #[schema(required, value_type = Option<String>, format = DateTime)]
    held_until: Option<Date>,
}

impl<'a> From<&'a core::HeldDecision> for HeldDecision<'a> {
    fn from(held: &'a core::HeldDecision) -> Self {
        Self {
            dialog_id: held.dialog_id.as_str(),
            consent: held.decision.into(),
            date: held.date,
            held_until: held.until,
        }
    }
}

/// Where the proof of it stands in the ledger.
#[derive(Serialize, ToSchema)]
pub(crate) struct LedgerEntry {
    /// Which chain it is in; left out for the first, which is the only one of a store on one machine.
    #[serde(skip_serializing_if = "is_first")]
    #[schema(required = false)]
    chain: u16,
    /// Its place there: 1 for the first event.
    position: u64,
    /// The dialog as the ledger names it: a keyed hash of its id, 64 hexadecimal digits.
    #[serde(rename = "ref")]
    reference: String,
    /// What happened.
    kind: EventKind,
    /// SHA-256 over the event and the one before it, 64 hexadecimal digits.
    hash: String,
}

impl From<&core::Event> for LedgerEntry {
    fn from(event: &core::Event) -> Self {
        Self {
            chain: event.chain,
            position: event.position,
            reference: event.reference.to_string(),
            kind: event.kind.into(),
            hash: event.hash.to_string(),
        }
    }
}

/// What happened to a dialog.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventKind {
    Granted,
    Withdrawn,
    Erased,
    Expired,
}

impl From<core::EventKind> for EventKind {
    fn from(kind: core::EventKind) -> Self {
        match kind {
            core::EventKind::Granted => Self::Granted,
            core::EventKind::Withdrawn => Self::Withdrawn,
            core::EventKind::Erased => Self::Erased,
            core::EventKind::Expired => Self::Expired,
        }
    }
}

/// One event of the ledger.
#[derive(Serialize, ToSchema)]
pub(crate) struct Event<'a> {
    #[serde(flatten)]
    entry: LedgerEntry,
    /// When it happened.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String, format = DateTime)]
    date: Date,
    /// Which notice the customer was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    notice: Option<&'a str>,
    /// How the customer answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    method: Option<&'a str>,
    /// The language in which the customer was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    locale: Option<&'a str>,
    /// The dialog that can be read by it; there only when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    dialog: Option<Dialog<'a>>,
}

impl<'a> From<&'a core::Change> for Event<'a> {
    fn from(core::Change { event, dialog }: &'a core::Change) -> Self {
        let [notice, method, locale] = event.evidence.pieces();
        let dialog = dialog.as_ref().map(Dialog::from);
        Self { entry: event.into(), date: event.date, notice, method, locale, dialog }
    }
}

/// Events of the ledger, and how far it goes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Changes<'a> {
    /// Chain by chain, each position one more than that before.
    pub(crate) events: Vec<Event<'a>>,
    /// What to give as `after` the next time.
    pub(crate) next: String,
    /// The ledger's last events.
    pub(crate) head: Head,
}

/// The last events of the ledger: noted elsewhere, they show later whether anything was changed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Head {
    /// How many events each chain has, with dots between.
    positions: String,
    /// The hash of the last one, or over the last ones of several chains; all zeros before the first.
    hash: String,
}

impl From<core::LedgerHead> for Head {
    fn from(head: core::LedgerHead) -> Self {
        Self { positions: head.positions.to_string(), hash: head.hash.to_string() }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_first(chain: &u16) -> bool {
    *chain == 0
}

/// The proof of the last decision on a dialog, named after ISO/IEC TS 27560 as far as it applies.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsentReceipt<'a> {
    /// The form of this receipt.
    schema_version: &'static str,
    /// What names the record of the decision: its hash and position in the ledger, and its chain if that
    /// is not the first.
    record_id: String,
    /// Which dialog was decided on.
    dialog_id: &'a str,
    /// Which notice the customer was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    privacy_notice: Option<&'a str>,
    /// The language in which the customer was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    language: Option<&'a str>,
    /// How the customer answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    collection_method: Option<&'a str>,
    /// What happened.
    event_type: EventKind,
    /// How consent stands after it.
    event_state: Consent,
    /// When it happened.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String, format = DateTime)]
    event_time: Date,
    ledger: LedgerEntry,
}

impl<'a> ConsentReceipt<'a> {
    /// None while nothing is decided.
    pub(crate) fn new(status: &'a core::ConsentStatus) -> Option<Self> {
        let event = status.event.as_ref()?;
        let [privacy_notice, collection_method, language] = event.evidence.pieces();
        Some(Self {
            schema_version: "dataapi-receipt-1",
            record_id: event.head().to_string(),
            dialog_id: status.dialog_id.as_str(),
            privacy_notice,
            language,
            collection_method,
            event_type: event.kind.into(),
            event_state: status.state.into(),
            event_time: event.date,
            ledger: event.into(),
        })
    }
}

/// How a dialog stands, and since when.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsentStatus<'a> {
    /// The dialog in question.
    dialog_id: &'a str,
    /// How it stands.
    consent: Consent,
    /// When it was received while pending; else when that state was entered.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String, format = DateTime)]
    date: Date,
}

/// How a dialog stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Consent {
    Pending,
    Granted,
    Withdrawn,
    Erased,
}

impl<'a> From<&'a core::ConsentStatus> for ConsentStatus<'a> {
    fn from(status: &'a core::ConsentStatus) -> Self {
        Self {
            dialog_id: status.dialog_id.as_str(),
            consent: status.state.into(),
            date: status.date,
        }
    }
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

/// What an erasure did.
#[derive(Serialize, ToSchema)]
pub(crate) struct Erasure {
    /// How many dialogs were erased.
    pub(crate) erased: u64,
}

/// How many dialogs there are in each state.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stats {
    /// Stored, no decision yet.
    pending: u64,
    /// Readable.
    consented: u64,
    /// Erased because the customer said no.
    withdrawn: u64,
    /// Erased for other reasons.
    erased: u64,
    /// Readable, by language tag in its recommended case.
    consented_by_language: BTreeMap<String, u64>,
}

impl From<core::Stats> for Stats {
    fn from(stats: core::Stats) -> Self {
        let by_language = stats.consented_by_language.iter();
        Self {
            pending: stats.pending,
            consented: stats.consented,
            withdrawn: stats.withdrawn,
            erased: stats.erased,
            consented_by_language: by_language
                .map(|(language, count)| (language.canonical(), *count))
                .collect(),
        }
    }
}

/// That the server is well.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`; else there is a problem document.
    pub(crate) status: &'static str,
}

/// Why a request was refused or failed (RFC 9457).
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem<'a> {
    /// Names the kind of problem for programs.
    #[serde(rename = "type")]
    #[schema(format = "uri", example = "urn:dataapi:problem:consent-required")]
    pub(crate) kind: &'a str,
    /// Names it for people.
    pub(crate) title: &'a str,
    /// The status code of this answer.
    pub(crate) status: u16,
    /// What was wrong with this request.
    pub(crate) detail: &'a str,
    /// The parameter or member that has to be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) field: Option<&'a str>,
    /// When an id is taken: whether customer, text and language are those already stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) same_content: Option<bool>,
}

/// Writes a date straight into the answer.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn as_text<S: Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

#[allow(clippy::ref_option, reason = "what serde calls")]
fn as_text_or_null<S: Serializer>(date: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
    match date {
        Some(date) => as_text(date, serializer),
        None => serializer.serialize_none(),
    }
}
