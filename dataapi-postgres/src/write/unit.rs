//! A unit of work: what requests do to their dialogs in memory, after the rows are locked and read and before the
//! changes are written.
//!
//! The [`rules`] decide. This module applies their answers, one request after the other.
//!
//! While the chain of a shard is locked, no other transaction changes an existing dialog or tombstone of that shard.
//! Others can only insert new ones. If one of them takes an id that this unit inserts, the whole unit is done again.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use dataapi_core::consent::rules::{
    self, Arrival, Decided, DecidedEarly, EarlyGrant, HeldRecord, NewEvent, Purged, Record, Slot,
};
use dataapi_core::{
    ChainHead, CustomerId, Date, Decision, DialogId, DialogRef, EarlyDecision, Event, EventKind,
    Evidence, HeldDecision, ImportedDialog, NewDialog, Purge, Receipt, Received, RefKey,
};

use crate::error::PostgresError;
use crate::rows::{damaged, state_after};
use crate::shards::{Shard, Shards};
use crate::write::tally::Tally;

/// The row of a dialog, as it was read and as it will be written.
#[derive(Debug)]
pub(crate) struct WorkingRow {
    pub(crate) before: Record,
    pub(crate) now: Record,
    /// The text, if a request has to compare it.
    pub(crate) text: Option<String>,
    /// The dialog to insert.
    pub(crate) inserted: Option<NewDialog>,
}

impl WorkingRow {
    pub(crate) fn read(record: Record) -> Self {
        Self { before: record.clone(), now: record, text: None, inserted: None }
    }

    /// Returns what a new dialog finds under its id.
    fn slot(&self, dialog: &NewDialog) -> Slot<'_> {
        match &self.now {
            Record::Absent => Slot::Free,
            Record::Awaited(grant) => Slot::Awaited(grant),
            Record::Gone(_) => Slot::Gone,
            Record::Held(held) => {
                let same_content = match &self.inserted {
                    Some(inserted) => inserted == dialog,
                    None => {
                        held.customer_id == dialog.customer_id
                            && held.language == dialog.language
                            && self.text.as_deref() == Some(dialog.text.as_str())
                    }
                };
                Slot::Taken { same_content }
            }
        }
    }
}

/// The end of a shard's chain.
#[derive(Clone, Debug)]
pub(crate) struct ShardChain {
    pub(crate) head: ChainHead,
    pub(crate) date: Date,
    pub(crate) is_longer: bool,
}

/// The unit of work.
pub(crate) struct Unit<'s> {
    key: &'s RefKey,
    shards: &'s Shards,
    now: Date,
    /// The latest date that a caller will learn.
    pub(crate) handed_out: Date,
    pub(crate) rows: HashMap<DialogRef, WorkingRow>,
    /// Everything held on the customer whose erasure this is.
    pub(crate) held: Vec<DialogRef>,
    pub(crate) chains: BTreeMap<Shard, ShardChain>,
    pub(crate) events: Vec<Event>,
    pub(crate) tally: Tally,
    pub(crate) erases: bool,
}

impl<'s> Unit<'s> {
    pub(crate) fn new(
        key: &'s RefKey,
        shards: &'s Shards,
        now: Date,
        chains: BTreeMap<Shard, ShardChain>,
        rows: HashMap<DialogRef, WorkingRow>,
    ) -> Self {
        Self {
            key,
            shards,
            now,
            handed_out: Date::MIN,
            rows,
            held: Vec::new(),
            chains,
            events: Vec::new(),
            tally: Tally::default(),
            erases: false,
        }
    }

    pub(crate) fn insert(&mut self, dialog: &NewDialog) -> Result<Received, PostgresError> {
        let reference = self.key.reference(&dialog.dialog_id);
        let slot = self.row(&reference)?.slot(dialog);
        let arrival = rules::insert(slot, self.now)?;
        let received = Received { date: arrival.received, is_consented: arrival.grant.is_some() };
        self.put_in(reference, dialog, arrival)?;
        Ok(received)
    }

    pub(crate) fn import(&mut self, imported: &ImportedDialog) -> Result<(), PostgresError> {
        let dialog = &imported.dialog;
        let reference = self.key.reference(&dialog.dialog_id);
        let slot = self.row(&reference)?.slot(dialog);
        let arrival = rules::import(slot, imported, self.now)?;
        self.put_in(reference, dialog, arrival)
    }

    pub(crate) fn decide(
        &mut self,
        dialog_id: &DialogId,
        decision: Decision,
        evidence: &Evidence,
    ) -> Result<Receipt, PostgresError> {
        let reference = self.key.reference(dialog_id);
        let decided = rules::decide(&self.row(&reference)?.now, decision, evidence, self.now)?;
        let event = self.record(&reference, decided)?;
        Ok(Receipt { dialog_id: dialog_id.clone(), decision, event })
    }

    pub(crate) fn decide_early(
        &mut self,
        dialog_id: &DialogId,
        decision: Decision,
        evidence: &Evidence,
        hold_for: Duration,
    ) -> Result<EarlyDecision, PostgresError> {
        let (reference, dialog_id) = (self.key.reference(dialog_id), dialog_id.clone());
        let record = &self.row(&reference)?.now;
        let (date, until) =
            match rules::decide_early(record, decision, evidence, hold_for, self.now)? {
                DecidedEarly::Recorded(decided) => {
                    let event = self.record(&reference, decided)?;
                    return Ok(EarlyDecision::Recorded(Receipt { dialog_id, decision, event }));
                }
                DecidedEarly::Blocked(event) => (self.apply(&reference, event)?.date, None),
                DecidedEarly::Held(grant) => {
                    let told = (grant.date, Some(grant.until));
                    self.hold(&reference, grant)?;
                    told
                }
            };
        Ok(EarlyDecision::Held(HeldDecision { dialog_id, decision, date, until }))
    }

    pub(crate) fn erase_dialog(
        &mut self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
    ) -> Result<(), PostgresError> {
        let reference = self.key.reference(dialog_id);
        let erasure = rules::erase_dialog(&self.row(&reference)?.now, customer_id)?;
        self.apply(&reference, erasure)?;
        Ok(())
    }

    /// Erases everything that is held on this customer. Returns how many dialogs that were.
    pub(crate) fn erase_customer(
        &mut self,
        customer_id: &CustomerId,
    ) -> Result<u64, PostgresError> {
        let mut erased = 0;
        for reference in self.held.clone() {
            // Somebody else can have erased it before its chain was locked.
            let erasure = rules::erase_customer(&self.row(&reference)?.now, customer_id);
            if let Some(erasure) = erasure {
                self.apply(&reference, erasure)?;
                erased += 1;
            }
        }
        Ok(erased)
    }

    /// Purges a dialog if it is still due. Returns whether it was.
    pub(crate) fn purge(
        &mut self,
        which: Purge,
        before: Date,
        reference: &DialogRef,
    ) -> Result<bool, PostgresError> {
        match rules::purge(&self.row(reference)?.now, which, before) {
            None => return Ok(false),
            Some(Purged::Erased(expiry)) => {
                self.apply(reference, expiry)?;
            }
            Some(Purged::Forgotten) => self.forget(reference)?,
        }
        Ok(true)
    }

    fn row(&self, reference: &DialogRef) -> Result<&WorkingRow, PostgresError> {
        self.rows.get(reference).ok_or_else(|| damaged("row"))
    }

    fn row_mut(&mut self, reference: &DialogRef) -> Result<&mut WorkingRow, PostgresError> {
        self.rows.get_mut(reference).ok_or_else(|| damaged("row"))
    }

    /// Inserts a dialog whose id is free.
    fn put_in(
        &mut self,
        reference: DialogRef,
        dialog: &NewDialog,
        arrival: Arrival,
    ) -> Result<(), PostgresError> {
        let Arrival { received, is_imported, grant } = arrival;
        if !is_imported {
            self.handed_out = self.handed_out.max(received);
        }
        let granted = grant.map(|grant| self.append(reference, grant)).transpose()?;
        if granted.is_some() {
            self.tally.consented(&dialog.language, 1);
        } else {
            self.tally.pending(1);
        }
        let (customer_id, language) = (dialog.customer_id.clone(), dialog.language.clone());
        let row = self.row_mut(&reference)?;
        row.now =
            Record::Held(HeldRecord { customer_id, language, received, is_imported, granted });
        row.inserted = Some(dialog.clone());
        Ok(())
    }

    /// Returns the event of a decision. Applies it if it is new.
    fn record(&mut self, reference: &DialogRef, decided: Decided) -> Result<Event, PostgresError> {
        match decided {
            Decided::Already(event) => Ok(event),
            Decided::New(event) => self.apply(reference, event),
        }
    }

    /// Appends an event and changes its dialog accordingly: to consented, or to a tombstone.
    fn apply(&mut self, reference: &DialogRef, event: NewEvent) -> Result<Event, PostgresError> {
        let event = self.append(*reference, event)?;
        let row = self.rows.get_mut(reference).ok_or_else(|| damaged("row"))?;
        if let Record::Held(held) = &mut row.now {
            if held.granted.is_some() {
                self.tally.consented(&held.language, -1);
            } else {
                self.tally.pending(-1);
            }
            if event.kind == EventKind::Granted {
                self.tally.consented(&held.language, 1);
                held.granted = Some(event.clone());
                return Ok(event);
            }
            self.erases = true;
        }
        self.tally.gone(state_after(event.kind), 1);
        row.now = Record::Gone(event.clone());
        row.inserted = None;
        Ok(event)
    }

    /// Holds a grant for a dialog that has not arrived yet.
    fn hold(&mut self, reference: &DialogRef, grant: EarlyGrant) -> Result<(), PostgresError> {
        self.handed_out = self.handed_out.max(self.now);
        self.row_mut(reference)?.now = Record::Awaited(grant);
        Ok(())
    }

    /// Forgets a tombstone.
    fn forget(&mut self, reference: &DialogRef) -> Result<(), PostgresError> {
        let row = self.rows.get_mut(reference).ok_or_else(|| damaged("row"))?;
        if let Record::Gone(event) = &row.now {
            self.tally.gone(state_after(event.kind), -1);
        }
        row.now = Record::Absent;
        Ok(())
    }

    /// Appends an event to the chain of its shard.
    fn append(&mut self, reference: DialogRef, event: NewEvent) -> Result<Event, PostgresError> {
        let shard = self.shards.of(&reference);
        let chain = self.chains.get_mut(&shard).ok_or_else(|| damaged("chain"))?;
        let event = event.follow(&chain.head, reference, self.now.max(chain.date));
        *chain = ShardChain { head: event.head(), date: event.date, is_longer: true };
        self.handed_out = self.handed_out.max(event.date);
        self.events.push(event.clone());
        Ok(event)
    }
}
