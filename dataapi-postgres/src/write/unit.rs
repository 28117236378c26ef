//! A unit of work: what requests do to the dialogs they are about, in memory, between the rows being
//! locked and read and the changes being written.
//!
//! While the chain of a shard is locked nobody else changes a dialog of it that is there or was. Only new
//! ones may come; where one does in the place of one of ours, the whole unit is done again.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use dataapi_core::{
    ChainHead, ConsentRecord, CustomerId, Date, Decision, DialogId, DialogRef, EarlyDecision,
    Event, EventKind, Evidence, HeldDecision, ImportedDialog, Invalid, Language, NewDialog, Purge,
    Receipt, Received, RefKey, StoreError, Transition,
};

use crate::error::PostgresError;
use crate::rows::{damaged, state_after};
use crate::shards::{Shard, Shards};
use crate::write::tally::Tally;

/// What is known of a dialog.
#[derive(Clone, Debug)]
pub(crate) enum DialogState {
    Absent,
    /// A yes came before it.
    Awaited(EarlyGrant),
    Present(PresentDialog),
    /// Gone, by that event.
    Gone(Event),
}

impl DialogState {
    /// Whether that very yes is held.
    pub(crate) fn awaits(&self, grant: &EarlyGrant) -> bool {
        matches!(self, Self::Awaited(held) if held == grant)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EarlyGrant {
    pub(crate) evidence: Evidence,
    pub(crate) date: Date,
    pub(crate) until: Date,
}

/// A dialog that is there, as far as a write has to know it.
#[derive(Clone, Debug)]
pub(crate) struct PresentDialog {
    pub(crate) customer_id: CustomerId,
    pub(crate) language: Language,
    pub(crate) received: Date,
    /// Whether that is another store's date, which says nothing of this one's.
    pub(crate) is_imported: bool,
    /// The event of its consent.
    pub(crate) granted: Option<Event>,
}

impl PresentDialog {
    /// Before when nothing can have happened to it: its date may be by the clock of another server.
    fn since(&self) -> Date {
        if self.is_imported { Date::MIN } else { self.received }
    }
}

/// The row of a dialog, as it was read and as it is to be.
#[derive(Debug)]
pub(crate) struct WorkingRow {
    pub(crate) before: DialogState,
    pub(crate) now: DialogState,
    /// The words, where a request has to compare them.
    pub(crate) text: Option<String>,
    /// The dialog that is put in.
    pub(crate) inserted: Option<NewDialog>,
}

impl WorkingRow {
    pub(crate) fn read(state: DialogState) -> Self {
        Self { before: state.clone(), now: state, text: None, inserted: None }
    }
}

/// The end of a chain.
#[derive(Clone, Debug)]
pub(crate) struct ShardChain {
    pub(crate) head: ChainHead,
    pub(crate) date: Date,
    pub(crate) is_longer: bool,
}

/// What is done between reading and writing.
pub(crate) struct Unit<'s> {
    key: &'s RefKey,
    shards: &'s Shards,
    now: Date,
    /// The latest date that somebody will be told.
    pub(crate) handed_out: Date,
    pub(crate) entries: HashMap<DialogRef, WorkingRow>,
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
        entries: HashMap<DialogRef, WorkingRow>,
    ) -> Self {
        Self {
            key,
            shards,
            now,
            handed_out: Date::MIN,
            entries,
            chains,
            events: Vec::new(),
            tally: Tally::default(),
            erases: false,
        }
    }

    pub(crate) fn insert(&mut self, dialog: &NewDialog) -> Result<Received, PostgresError> {
        let reference = self.free(dialog)?;
        let date = self.received(&reference);
        let is_consented = self.store(reference, dialog, (date, false), None)?;
        self.handed_out = self.handed_out.max(date);
        Ok(Received { date, is_consented })
    }

    pub(crate) fn import(&mut self, imported: &ImportedDialog) -> Result<(), PostgresError> {
        let ImportedDialog { dialog, date, consented } = imported;
        let reference = self.free(dialog)?;
        if date.is_some_and(|date| date > self.now) {
            return Err(Invalid::new("date", "must not lie in the future").into());
        }
        let now = self.received(&reference);
        if date.is_none() {
            self.handed_out = self.handed_out.max(now);
        }
        let evidence = consented.then(Evidence::of_import);
        let received = (date.unwrap_or(now), date.is_some());
        self.store(reference, dialog, received, evidence)?;
        Ok(())
    }

    pub(crate) fn decide(
        &mut self,
        dialog_id: &DialogId,
        decision: Decision,
        evidence: &Evidence,
    ) -> Result<Receipt, PostgresError> {
        let reference = self.key.reference(dialog_id);
        let event = match self.decide_known(&reference, decision, evidence)? {
            Some(event) => event,
            // A no to what is yet to come ends the yes that is held for it.
            None if decision == Decision::Withdrawn && self.awaited(&reference).is_some() => {
                self.bury(&reference, EventKind::Withdrawn, evidence.clone())?
            }
            None => return Err(StoreError::NotFound.into()),
        };
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
        if let Some(event) = self.decide_known(&reference, decision, evidence)? {
            return Ok(EarlyDecision::Recorded(Receipt { dialog_id, decision, event }));
        }
        let (date, until) = match decision {
            Decision::Withdrawn => {
                (self.bury(&reference, EventKind::Withdrawn, evidence.clone())?.date, None)
            }
            Decision::Granted => {
                let (evidence, date) = (evidence.clone(), self.now);
                let until = date.saturating_add(hold_for);
                let held = self.awaited(&reference).cloned();
                let held = held.unwrap_or(EarlyGrant { evidence, date, until });
                let told = (held.date, Some(held.until));
                self.handed_out = self.handed_out.max(self.now);
                self.entry(&reference)?.now = DialogState::Awaited(held);
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
        if self.erase_of(customer_id, &reference)? {
            Ok(())
        } else {
            Err(StoreError::NotFound.into())
        }
    }

    /// Erases a dialog if it is held on that customer; tells whether it was.
    pub(crate) fn erase_of(
        &mut self,
        customer_id: &CustomerId,
        reference: &DialogRef,
    ) -> Result<bool, PostgresError> {
        match &self.entry(reference)?.now {
            DialogState::Present(held) if held.customer_id == *customer_id => {
                self.bury(reference, EventKind::Erased, Evidence::default())?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Takes what a purge takes, if it still does; tells whether it was taken.
    pub(crate) fn purge(
        &mut self,
        which: Purge,
        before: Date,
        reference: &DialogRef,
    ) -> Result<bool, PostgresError> {
        match (&self.entry(reference)?.now, which) {
            (DialogState::Present(held), Purge::Pending | Purge::Consented)
                if which.takes(held.granted.is_some()) && held.received < before =>
            {
                self.bury(reference, EventKind::Expired, Evidence::default())?;
                Ok(true)
            }
            (DialogState::Gone(event), Purge::Tombstones) if event.date < before => {
                let state = state_after(event.kind);
                self.tally.gone(state, -1);
                self.entry(reference)?.now = DialogState::Absent;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn entry(&mut self, reference: &DialogRef) -> Result<&mut WorkingRow, PostgresError> {
        self.entries.get_mut(reference).ok_or_else(|| damaged("row"))
    }

    /// The yes that is held for a dialog, if it has not ended.
    fn awaited(&self, reference: &DialogRef) -> Option<&EarlyGrant> {
        match &self.entries.get(reference)?.now {
            DialogState::Awaited(held) => Some(held).filter(|held| self.now < held.until),
            _ => None,
        }
    }

    /// When a dialog is received that comes now: not before the yes that is held for it, which may be by the
    /// clock of another server.
    fn received(&self, reference: &DialogRef) -> Date {
        self.awaited(reference).map_or(self.now, |held| self.now.max(held.date))
    }

    /// The reference of a dialog whose id is free.
    fn free(&mut self, dialog: &NewDialog) -> Result<DialogRef, PostgresError> {
        let reference = self.key.reference(&dialog.dialog_id);
        let entry = self.entry(&reference)?;
        match &entry.now {
            DialogState::Absent | DialogState::Awaited(_) => Ok(reference),
            DialogState::Gone(_) => Err(StoreError::Gone.into()),
            DialogState::Present(held) => {
                let same_content = match &entry.inserted {
                    Some(inserted) => inserted == dialog,
                    None => {
                        held.customer_id == dialog.customer_id
                            && held.language == dialog.language
                            && entry.text.as_deref() == Some(dialog.text.as_str())
                    }
                };
                Err(StoreError::Exists { same_content }.into())
            }
        }
    }

    /// Stores a dialog whose id is free, consented on that evidence or on that of a yes that was held;
    /// tells whether it is.
    fn store(
        &mut self,
        reference: DialogRef,
        dialog: &NewDialog,
        (received, is_imported): (Date, bool),
        imported: Option<Evidence>,
    ) -> Result<bool, PostgresError> {
        let since = self.received(&reference);
        let evidence = self.awaited(&reference).map(|held| held.evidence.clone()).or(imported);
        let granted = match evidence {
            Some(evidence) => Some(self.append(reference, EventKind::Granted, since, evidence)?),
            None => None,
        };
        let is_consented = granted.is_some();
        if is_consented {
            self.tally.consented(&dialog.language, 1);
        } else {
            self.tally.pending(1);
        }
        let (customer_id, language) = (dialog.customer_id.clone(), dialog.language.clone());
        let entry = self.entry(&reference)?;
        entry.now = DialogState::Present(PresentDialog {
            customer_id,
            language,
            received,
            is_imported,
            granted,
        });
        entry.inserted = Some(dialog.clone());
        Ok(is_consented)
    }

    /// Decides on a dialog that is there or was; `None` if it is neither.
    fn decide_known(
        &mut self,
        reference: &DialogRef,
        decision: Decision,
        evidence: &Evidence,
    ) -> Result<Option<Event>, PostgresError> {
        let record = match &self.entry(reference)?.now {
            DialogState::Absent | DialogState::Awaited(_) => return Ok(None),
            DialogState::Present(PresentDialog { received, granted: None, .. }) => {
                ConsentRecord::Pending { received: *received }
            }
            DialogState::Present(PresentDialog { granted: Some(event), .. })
            | DialogState::Gone(event) => ConsentRecord::Decided(event.clone()),
        };
        Ok(Some(match record.decide(decision)? {
            Transition::None(event) => event,
            Transition::Grant => self.grant(reference, evidence.clone())?,
            Transition::Withdraw => self.bury(reference, EventKind::Withdrawn, evidence.clone())?,
        }))
    }

    fn grant(&mut self, reference: &DialogRef, evidence: Evidence) -> Result<Event, PostgresError> {
        let DialogState::Present(mut held) = self.entry(reference)?.now.clone() else {
            return Err(damaged("row"));
        };
        let event = self.append(*reference, EventKind::Granted, held.since(), evidence)?;
        self.tally.pending(-1);
        self.tally.consented(&held.language, 1);
        held.granted = Some(event.clone());
        self.entry(reference)?.now = DialogState::Present(held);
        Ok(event)
    }

    /// Leaves a tombstone of a dialog, and nothing else.
    fn bury(
        &mut self,
        reference: &DialogRef,
        kind: EventKind,
        evidence: Evidence,
    ) -> Result<Event, PostgresError> {
        let since = match &self.entry(reference)?.now {
            DialogState::Present(held) => {
                let (language, since) = (held.language.clone(), held.since());
                self.erases = true;
                if matches!(
                    &self.entry(reference)?.now,
                    DialogState::Present(PresentDialog { granted: Some(_), .. })
                ) {
                    self.tally.consented(&language, -1);
                } else {
                    self.tally.pending(-1);
                }
                since
            }
            _ => Date::MIN,
        };
        let event = self.append(*reference, kind, since, evidence)?;
        self.tally.gone(state_after(kind), 1);
        let entry = self.entry(reference)?;
        entry.now = DialogState::Gone(event.clone());
        entry.inserted = None;
        Ok(event)
    }

    /// Adds an event to the chain of its shard, no earlier than the one before nor than `since`.
    fn append(
        &mut self,
        reference: DialogRef,
        kind: EventKind,
        since: Date,
        evidence: Evidence,
    ) -> Result<Event, PostgresError> {
        let shard = self.shards.of(&reference);
        let chain = self.chains.get_mut(&shard).ok_or_else(|| damaged("chain"))?;
        let date = self.now.max(chain.date).max(since);
        let event = chain.head.next(reference, kind, date, evidence);
        *chain = ShardChain { head: event.head(), date, is_longer: true };
        self.handed_out = self.handed_out.max(date);
        self.events.push(event.clone());
        Ok(event)
    }
}
