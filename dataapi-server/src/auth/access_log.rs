//! The access log, for auditors: who sent which request, and the status of the answer. Like the ledger, it names
//! dialogs and customers only by keyed hashes.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dataapi_core::{Clock, CustomerId, Date, DialogId, DialogRef, DialogStore, Filter, KeyName};
use http::StatusCode;
use serde::{Serialize, Serializer};

use crate::auth::access_sink::{AccessSink, Lost, WatchedSink};
use crate::auth::refusals::{Refusals, Suppressed};
use crate::metrics::AccessLogMetrics;

/// How often the number of refused requests without a line of their own is written.
const PERIOD: Duration = Duration::from_secs(60);

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// A client with the key of this name.
    Key(KeyName),
    /// The subject of an identity provider's token.
    Subject(Arc<str>),
}

impl Caller {
    fn key(&self) -> Option<&str> {
        match self {
            Self::Key(name) => Some(name.as_str()),
            Self::Subject(_) => None,
        }
    }

    fn subject(&self) -> Option<&str> {
        match self {
            Self::Key(_) => None,
            Self::Subject(subject) => Some(subject),
        }
    }
}

/// The access log.
#[derive(Debug)]
pub(crate) struct AccessLog {
    sink: WatchedSink,
    /// Whether a request for data is refused if its line cannot be written.
    is_required: bool,
    clock: Arc<dyn Clock>,
    refused: Refusals<Refused>,
}

/// What refused requests are counted by.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Refused {
    caller: Option<Caller>,
    method: &'static str,
    route: &'static str,
    status: u16,
}

/// What a request asked for, by labels that do not depend on its sender, and the request's id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
}

/// What the access log says of a request and its caller; nothing if the log is off.
#[derive(Debug, Default)]
pub(crate) struct AccessEntry {
    /// Whether the request is logged: it is for data, and the log is on.
    is_noted: bool,
    /// Whether the caller may send the request. What others send is limited.
    is_admitted: bool,
    /// Whether the request is refused if its line cannot be written and the log is required.
    is_for_data: bool,
    write: WriteStage,
    caller: Option<Caller>,
    peer: Option<DialogRef>,
    dialog: Option<DialogRef>,
    customer: Option<DialogRef>,
    filter: String,
}

/// How far a write is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum WriteStage {
    #[default]
    NotBegun,
    /// It began, without a line.
    Begun,
    /// It began, and a line says so.
    Noted,
}

impl AccessEntry {
    /// Begins the entry of a request for data.
    pub(crate) fn begin(&mut self, is_noted: bool) {
        self.is_noted = is_noted;
    }

    /// Notes the caller.
    pub(crate) fn by(&mut self, caller: &Caller) {
        if self.is_noted {
            self.caller = Some(caller.clone());
        }
    }

    /// Notes the address of the client: it is personal data, so by its keyed hash, as an id is.
    pub(crate) fn peer(&mut self, store: &dyn DialogStore, client: IpAddr) {
        if self.is_noted {
            self.peer = client.to_string().parse().ok().map(|address| store.reference(&address));
        }
    }

    /// Notes that the caller may send the request, and whether the answer has data that must not leave unlogged.
    pub(crate) fn admit(&mut self, is_for_data: bool) {
        self.is_admitted = true;
        self.is_for_data = is_for_data;
    }

    /// Notes a request for changes with their dialogs, because their texts leave the store.
    pub(crate) fn with_dialogs(&mut self) {
        if self.is_noted {
            self.filter.push_str("dialogs=true");
        }
    }

    /// Notes the dialog.
    pub(crate) fn dialog(&mut self, store: &dyn DialogStore, id: &DialogId) {
        if self.is_noted {
            self.dialog = Some(store.reference(id));
        }
    }

    /// Notes the customer.
    pub(crate) fn customer(&mut self, store: &dyn DialogStore, id: &CustomerId) {
        if self.is_noted {
            // Ids of both kinds have the same bounds.
            self.customer = id.as_str().parse().ok().map(|id| store.reference(&id));
        }
    }

    /// Notes the filter of a query.
    pub(crate) fn filter(&mut self, store: &dyn DialogStore, filter: &Filter) {
        if !self.is_noted {
            return;
        }
        if let Some(customer) = filter.customer_id() {
            self.customer(store, customer);
        }
        self.filter = dataapi_wire::filter::for_log(filter);
    }
}

impl AccessLog {
    pub(crate) fn new(
        sink: Arc<dyn AccessSink>,
        metrics: AccessLogMetrics,
        is_required: bool,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let sink = WatchedSink::new(sink, metrics);
        Self { sink, is_required, clock, refused: Refusals::new() }
    }

    /// Notes that a write begins. If the log is required, this writes the first of its two lines, because a write that
    /// happened can no longer be refused for lack of its line.
    pub(crate) fn begin_write(
        &self,
        entry: &mut AccessEntry,
        asked: Asked<'_>,
    ) -> Result<(), Lost> {
        if !entry.is_noted {
            return Ok(());
        }
        entry.write = if self.is_required && entry.is_for_data {
            self.write_entry(entry, asked, None)?;
            WriteStage::Noted
        } else {
            WriteStage::Begun
        };
        Ok(())
    }

    /// Writes the line of a request that is to be answered with this status. It is an error if the answer must not be
    /// sent, because its line is lost.
    fn end(&self, entry: &AccessEntry, asked: Asked<'_>, status: StatusCode) -> Result<(), Lost> {
        let status = status.as_u16();
        if !entry.is_noted {
            return Ok(());
        }
        if !entry.is_admitted {
            let Asked { method, route, .. } = asked;
            let refused = Refused { caller: entry.caller.clone(), method, route, status };
            if self.refused.count(refused, self.clock.now()) {
                // Nothing was done for this caller, so the refusal can be sent without its line.
                let _ = self.write_entry(entry, asked, Some(status));
            }
            return Ok(());
        }
        let written = self.write_entry(entry, asked, Some(status));
        let can_refuse = self.is_required && entry.is_for_data;
        if can_refuse && entry.write == WriteStage::NotBegun { written } else { Ok(()) }
    }

    fn write_entry(
        &self,
        entry: &AccessEntry,
        asked: Asked<'_>,
        status: Option<u16>,
    ) -> Result<(), Lost> {
        let AccessEntry { caller, peer, dialog, customer, filter, .. } = entry;
        self.write(&EntryLine {
            timestamp: Shown(self.clock.now()),
            request_id: asked.request_id,
            key: caller.as_ref().and_then(Caller::key),
            subject: caller.as_ref().and_then(Caller::subject),
            method: asked.method,
            route: asked.route,
            status,
            peer_ref: peer.map(Shown),
            dialog_ref: dialog.map(Shown),
            customer_ref: customer.map(Shown),
            filter: Some(filter.as_str()).filter(|filter| !filter.is_empty()),
        })
    }

    /// Writes how many refused requests have no line of their own. Runs until it is dropped.
    pub(crate) async fn run(&self) {
        loop {
            tokio::time::sleep(PERIOD).await;
            self.write_suppressed();
        }
    }

    /// Writes how many refused requests have no line of their own, by caller, route and status.
    pub(crate) fn write_suppressed(&self) {
        for Suppressed { since, kind, count } in self.refused.take() {
            let caller = kind.as_ref().and_then(|refused| refused.caller.as_ref());
            // A loss is counted and told, and these numbers are refused by nobody.
            let _ = self.write(&SuppressedLine {
                timestamp: Shown(self.clock.now()),
                suppressed: count,
                since: Shown(since),
                key: caller.and_then(Caller::key),
                subject: caller.and_then(Caller::subject),
                method: kind.as_ref().map(|refused| refused.method),
                route: kind.as_ref().map(|refused| refused.route),
                status: kind.as_ref().map(|refused| refused.status),
            });
        }
    }

    fn write(&self, line: &impl Serialize) -> Result<(), Lost> {
        self.sink.append(&rendered(line))?;
        self.sink
            .tell_lost(|lost| rendered(&LostLine { timestamp: Shown(self.clock.now()), lost }));
        Ok(())
    }
}

/// The entry of a request that is being answered. If the request is given up while it writes, such as when its client
/// is gone, a line says that it began.
#[derive(Debug)]
pub(crate) struct OpenEntry<'a> {
    pub(crate) entry: AccessEntry,
    log: Option<&'a AccessLog>,
    asked: Asked<'a>,
}

impl<'a> OpenEntry<'a> {
    pub(crate) fn new(log: Option<&'a AccessLog>, asked: Asked<'a>) -> Self {
        Self { entry: AccessEntry::default(), log, asked }
    }

    /// Writes the line of the request. It is an error if the answer must not be sent, because its line is lost.
    pub(crate) fn end(mut self, status: StatusCode) -> Result<(), Lost> {
        match self.log.take() {
            Some(log) => log.end(&self.entry, self.asked, status),
            None => Ok(()),
        }
    }
}

impl Drop for OpenEntry<'_> {
    fn drop(&mut self) {
        if let Some(log) = self.log.filter(|_| self.entry.write == WriteStage::Begun) {
            let _ = log.write_entry(&self.entry, self.asked, None);
        }
    }
}

/// The line of a request.
#[derive(Serialize)]
struct EntryLine<'a> {
    timestamp: Shown<Date>,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    method: &'static str,
    route: &'static str,
    /// `None` for a write that began.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_ref: Option<Shown<DialogRef>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dialog_ref: Option<Shown<DialogRef>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_ref: Option<Shown<DialogRef>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'a str>,
}

/// The number of refused requests without a line of their own.
#[derive(Serialize)]
struct SuppressedLine<'a> {
    timestamp: Shown<Date>,
    suppressed: u64,
    since: Shown<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

/// The number of lines that were lost before this one.
#[derive(Serialize)]
struct LostLine {
    timestamp: Shown<Date>,
    lost: u64,
}

/// A value in its text form.
#[derive(Clone, Copy, Debug)]
struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

fn rendered(line: &impl Serialize) -> Vec<u8> {
    // Most lines have fewer bytes.
    let mut rendered = Vec::with_capacity(512);
    // Numbers and strings can always be written to memory.
    let _ = serde_json::to_writer(&mut rendered, line);
    rendered.push(b'\n');
    rendered
}
