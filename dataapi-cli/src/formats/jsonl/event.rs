//! Events of the ledger as JSON, both ways: the lines of 'audit export', and what a server tells.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use dataapi::{Event, EventKind, Evidence};
use serde::{Deserialize, Serialize};

/// No event is longer: three pieces of evidence, each byte written in six.
const LONGEST_LINE: u64 = 16 * 1024;

/// An event, with the members of `GET /changes`.
#[derive(Deserialize, Serialize)]
pub(crate) struct EventJson<'a> {
    #[serde(default, skip_serializing_if = "is_first_chain")]
    chain: u16,
    position: u64,
    #[serde(rename = "ref")]
    reference: String,
    kind: Cow<'a, str>,
    date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<Cow<'a, str>>,
    hash: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_first_chain(chain: &u16) -> bool {
    *chain == 0
}

impl<'a> From<&'a Event> for EventJson<'a> {
    fn from(event: &'a Event) -> Self {
        let [notice, method, locale] =
            event.evidence.pieces().map(|piece| piece.map(Cow::Borrowed));
        Self {
            chain: event.chain,
            position: event.position,
            reference: event.reference.to_string(),
            kind: event.kind.name().into(),
            date: event.date.to_string(),
            notice,
            method,
            locale,
            hash: event.hash.to_string(),
        }
    }
}

impl EventJson<'_> {
    /// The event, if every member is as it must be.
    pub(super) fn into_event(self) -> Option<Event> {
        let [notice, method, locale] =
            [self.notice, self.method, self.locale].map(|piece| piece.map(Cow::into_owned));
        Some(Event {
            chain: self.chain,
            position: self.position,
            reference: self.reference.parse().ok()?,
            kind: EventKind::ALL.into_iter().find(|kind| kind.name() == self.kind)?,
            date: self.date.parse().ok()?,
            evidence: Evidence::parse(notice, method, locale).ok()?,
            hash: self.hash.parse().ok()?,
        })
    }
}

/// Reads what 'audit export' wrote, a line at a time.
pub(crate) fn read_ledger(mut input: impl BufRead) -> impl Iterator<Item = io::Result<Event>> {
    let mut line = Vec::new();
    let mut number = 0_u64;
    std::iter::from_fn(move || {
        line.clear();
        number += 1;
        match (&mut input).take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(parse_event(&line).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("line {number} is no event as 'dataapi audit export' writes it"),
                )
            })),
            Err(error) => Some(Err(error)),
        }
    })
}

fn parse_event(line: &[u8]) -> Option<Event> {
    serde_json::from_slice::<EventJson<'_>>(line).ok()?.into_event()
}
