//! Events of the ledger, as `GET /changes` returns them and as an export of the ledger has them.

use std::borrow::Cow;
use std::time::Duration;

use dataapi_core::{
    self as core, Date, DialogRef, EventHash, Evidence, Invalid, Limit, Positions, StoreError,
};
use serde::{Deserialize, Serialize};

use crate::as_text::{self, redacted};
use crate::dialog::Dialog;
use crate::query::{Parameter, Parameters, once};

/// The event in the ledger that proves it.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LedgerEntry {
    /// The chain of the event. Left out for the first chain, which is the only one of a store on one machine.
    #[serde(default, skip_serializing_if = "is_first")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub chain: u16,
    /// The position of the event in its chain; the first event has position 1.
    pub position: u64,
    /// The dialog's name in the ledger: a keyed hash of its id, in 64 hexadecimal digits.
    #[serde(rename = "ref", with = "as_text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub reference: DialogRef,
    /// What happened.
    pub kind: EventKind,
    /// SHA-256 over the event, evidence included, and the hash of the event before it, in 64 hexadecimal digits.
    #[serde(with = "as_text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: EventHash,
}

impl From<&core::Event> for LedgerEntry {
    fn from(event: &core::Event) -> Self {
        Self {
            chain: event.chain,
            position: event.position,
            reference: event.reference,
            kind: event.kind.into(),
            hash: event.hash,
        }
    }
}

/// What happened to a dialog. `granted`: the customer consented. `withdrawn`: the customer withdrew or refused
/// consent. `erased`: an operator erased the dialog, or the customer used the right to erasure. `expired`: retention
/// erased the dialog, because consent did not come in time or because a consented dialog was kept long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "a description here would be one of the schema")]
pub enum EventKind {
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

impl From<EventKind> for core::EventKind {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::Granted => Self::Granted,
            EventKind::Withdrawn => Self::Withdrawn,
            EventKind::Erased => Self::Erased,
            EventKind::Expired => Self::Expired,
        }
    }
}

/// An event of the ledger.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event<'a> {
    #[allow(missing_docs, reason = "the type's schema says it")]
    #[serde(flatten)]
    pub entry: LedgerEntry,
    /// When it happened.
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
    /// `true` if there is evidence (notice, method or locale) that the key may not see, because the dialog is gone or
    /// outside the key's bounds. The hash covers it, so it cannot be computed.
    #[serde(default, skip_serializing_if = "is_false")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub evidence_hidden: bool,
    /// The dialog of a grant that still holds; only if the request has `dialogs=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub dialog: Option<Dialog<'a>>,
}

impl<'a> From<&'a core::Change> for Event<'a> {
    fn from(core::Change { event, dialog }: &'a core::Change) -> Self {
        let [notice, method, locale] =
            event.evidence.pieces().map(|piece| piece.map(Cow::Borrowed));
        Self {
            entry: event.into(),
            date: event.date,
            notice,
            method,
            locale,
            evidence_hidden: event.hides_evidence,
            dialog: dialog.as_ref().map(Dialog::from),
        }
    }
}

impl Event<'_> {
    /// Returns the event, and its dialog if there is one.
    ///
    /// # Errors
    /// If a member is outside its bounds, or the dialog's customer has not consented.
    pub fn into_domain(self) -> Result<core::Change, StoreError> {
        let LedgerEntry { chain, position, reference, kind, hash } = self.entry;
        let hides_evidence = self.evidence_hidden;
        let evidence = evidence([self.notice, self.method, self.locale], hides_evidence)?;
        let (kind, date) = (kind.into(), self.date);
        let event =
            core::Event { chain, position, reference, kind, date, evidence, hides_evidence, hash };
        let dialog = self.dialog.map(Dialog::into_domain).transpose()?;
        Ok(core::Change { event, dialog })
    }
}

/// Events of the ledger, and the current head.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Changes<'a> {
    /// The events, chain by chain; within a chain each position is one more than the one before.
    pub events: Vec<Event<'a>>,
    /// The value of `after` for the next request.
    #[serde(with = "as_text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub next: Positions,
    /// The head of the ledger.
    pub head: LedgerHead,
}

/// The head of the ledger. Note it in another place: it later shows whether any event was changed.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Head))]
pub struct LedgerHead {
    /// The number of events of each chain, separated by dots.
    #[serde(with = "as_text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub positions: Positions,
    /// The hash of the last event; with several chains, a hash over the last event of each. All zeros before the
    /// first event.
    #[serde(with = "as_text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: EventHash,
}

impl From<core::LedgerHead> for LedgerHead {
    fn from(core::LedgerHead { positions, hash }: core::LedgerHead) -> Self {
        Self { positions, hash }
    }
}

/// An event as a line of the ledger's export: the members of [`Event`] without a dialog, and the hash last.
///
/// ```
/// use dataapi_wire::EventLine;
///
/// let line = r#"{"position":1,"ref":"0000000000000000000000000000000000000000000000000000000000000000","kind":"erased","date":"2026-03-01T10:00:00.000000Z","hash":"1111111111111111111111111111111111111111111111111111111111111111"}"#;
/// let event = serde_json::from_str::<EventLine>(line).expect("a line").into_domain()?;
/// assert_eq!(event.position, 1);
/// assert_eq!(serde_json::to_string(&EventLine::from(&event)).expect("JSON"), line);
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
#[derive(Serialize, Deserialize)]
pub struct EventLine<'a> {
    #[serde(default, skip_serializing_if = "is_first")]
    chain: u16,
    position: u64,
    #[serde(rename = "ref", with = "as_text")]
    reference: DialogRef,
    kind: EventKind,
    #[serde(with = "as_text")]
    date: Date,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_false")]
    evidence_hidden: bool,
    #[serde(with = "as_text")]
    hash: EventHash,
}

impl<'a> From<&'a core::Event> for EventLine<'a> {
    fn from(event: &'a core::Event) -> Self {
        let [notice, method, locale] =
            event.evidence.pieces().map(|piece| piece.map(Cow::Borrowed));
        Self {
            chain: event.chain,
            position: event.position,
            reference: event.reference,
            kind: event.kind.into(),
            date: event.date,
            notice,
            method,
            locale,
            evidence_hidden: event.hides_evidence,
            hash: event.hash,
        }
    }
}

impl EventLine<'_> {
    /// Returns the event.
    ///
    /// # Errors
    /// Names the first piece of evidence that is outside its bounds, or `evidence_hidden` if it is there all the same.
    pub fn into_domain(self) -> Result<core::Event, Invalid> {
        let Self { chain, position, reference, kind, date, hash, .. } = self;
        let hides_evidence = self.evidence_hidden;
        let evidence = evidence([self.notice, self.method, self.locale], hides_evidence)?;
        let kind = kind.into();
        Ok(core::Event { chain, position, reference, kind, date, evidence, hides_evidence, hash })
    }
}

redacted!(Event, Changes, EventLine);

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn is_first(chain: &u16) -> bool {
    *chain == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}

fn evidence(pieces: [Option<Cow<'_, str>>; 3], is_hidden: bool) -> Result<Evidence, Invalid> {
    if is_hidden && pieces.iter().any(Option::is_some) {
        return Err(Invalid::new("evidence_hidden", "must not be true beside evidence"));
    }
    let [notice, method, locale] = pieces.map(|piece| piece.map(Cow::into_owned));
    Evidence::parse(notice, method, locale)
}

const PARAMETERS: &[Parameter] = &[once("after"), once("limit"), once("dialogs"), once("wait")];

/// The longest time that a request can wait for an event, in seconds.
const LONGEST_WAIT: u64 = 60;

/// The query of `GET /changes`: which events are wanted, and how long to wait for one.
#[derive(Clone, Debug)]
pub struct ChangesRequest {
    /// Only events after these positions.
    pub after: Positions,
    /// The largest number of events to return.
    pub limit: Limit,
    /// Whether each grant that still holds comes with its dialog.
    pub dialogs: bool,
    /// How long to wait if there is no event yet.
    pub wait: Duration,
}

/// Reads the query of `GET /changes`.
///
/// # Errors
/// Names the invalid parameter.
pub fn changes_request(query: &str) -> Result<ChangesRequest, Invalid> {
    let parameters = Parameters::parse(query, &[PARAMETERS])?;
    let limit = parameters.number("limit")?.map(Limit::new).transpose()?.unwrap_or_default();
    let after = parameters.parsed::<Positions>("after")?.unwrap_or_default();
    let dialogs = parameters.flag("dialogs", false)?;
    Ok(ChangesRequest { after, limit, dialogs, wait: wait(&parameters)? })
}

/// Parses whole seconds, with or without the unit `s`.
fn wait(parameters: &Parameters) -> Result<Duration, Invalid> {
    let Some(value) = parameters.get("wait") else { return Ok(Duration::ZERO) };
    let digits = value.strip_suffix('s').unwrap_or(value);
    match digits.parse() {
        Ok(seconds) if seconds <= LONGEST_WAIT && !digits.starts_with('+') => {
            Ok(Duration::from_secs(seconds))
        }
        _ => Err(Invalid::new("wait", "must be from 0s to 60s, such as '30s'")),
    }
}
