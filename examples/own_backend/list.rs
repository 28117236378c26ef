//! What the store holds, how to find it, and how to apply the results of the rules.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dataapi::consent::rules::{
    self, Arrival, Decided, EarlyGrant, HeldRecord, NewEvent, Purged, Record, Slot,
};
use dataapi::{
    ChainHead, Clock, Date, DialogRef, Event, EventKind, Key, KeyName, Limit, NewDialog, Position,
    Positions, Purge, Reach, Received, StoreError, StoredDialog, Upper, Window,
};

/// Everything that is stored.
pub(crate) struct List {
    clock: Arc<dyn Clock>,
    pub(crate) last_date: Date,
    /// In the order of pages, so that reading a page is a walk along the list.
    pub(crate) held: Vec<Held>,
    /// In the order of the ledger.
    pub(crate) tombstones: Vec<Event>,
    pub(crate) early: HashMap<DialogRef, EarlyGrant>,
    ledger: Vec<Event>,
    pub(crate) keys: BTreeMap<KeyName, Key>,
}

pub(crate) struct Held {
    pub(crate) reference: DialogRef,
    position: Position,
    pub(crate) stored: StoredDialog,
    is_imported: bool,
    pub(crate) granted: Option<Event>,
}

impl List {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            last_date: Date::MIN,
            held: Vec::new(),
            tombstones: Vec::new(),
            early: HashMap::new(),
            ledger: Vec::new(),
            keys: BTreeMap::new(),
        }
    }

    /// Dates never go backwards, whatever the clock does.
    pub(crate) fn now(&self) -> Date {
        self.clock.now().max(self.last_date)
    }

    pub(crate) fn find(&self, reference: DialogRef) -> Option<&Held> {
        self.held.iter().find(|held| held.reference == reference)
    }

    pub(crate) fn within(&self, reach: &Reach, reference: DialogRef) -> Option<&StoredDialog> {
        let stored = &self.find(reference)?.stored;
        reach.covers(stored.customer_id(), stored.language()).then_some(stored)
    }

    pub(crate) fn record(&self, reference: DialogRef) -> Record {
        if let Some(held) = self.find(reference) {
            return Record::Held(HeldRecord {
                customer_id: held.stored.customer_id().clone(),
                language: held.stored.language().clone(),
                received: held.stored.date(),
                is_imported: held.is_imported,
                granted: held.granted.clone(),
            });
        }
        if let Some(event) = self.tombstones.iter().find(|event| event.reference == reference) {
            return Record::Gone(event.clone());
        }
        self.early.get(&reference).map_or(Record::Absent, |early| Record::Awaited(early.clone()))
    }

    /// Stores a dialog if the rule agrees.
    pub(crate) fn receive(
        &mut self,
        reference: DialogRef,
        dialog: NewDialog,
        rule: impl FnOnce(Slot<'_>, Date) -> Result<Arrival, StoreError>,
    ) -> Result<Received, StoreError> {
        let is_same = |held: &Held| held.stored.same_content(&dialog);
        let Arrival { received, is_imported, grant } = rule(
            match &self.record(reference) {
                Record::Absent => Slot::Free,
                Record::Awaited(early) => Slot::Awaited(early),
                Record::Held(_) => {
                    Slot::Taken { same_content: self.find(reference).is_some_and(is_same) }
                }
                Record::Gone(_) => Slot::Gone,
            },
            self.now(),
        )?;
        if !is_imported {
            self.last_date = received;
        }
        let position = Position { date: received, dialog_id: dialog.dialog_id.clone() };
        let at = self.held.partition_point(|held| held.position < position);
        let stored = StoredDialog::new(dialog, received, false);
        self.held.insert(at, Held { reference, position, stored, is_imported, granted: None });
        self.early.remove(&reference);
        let is_consented = grant.map(|event| self.append(reference, event)).is_some();
        Ok(Received { date: received, is_consented })
    }

    /// Adds an event to the ledger. Its kind says what becomes of the dialog.
    pub(crate) fn append(&mut self, reference: DialogRef, event: NewEvent) -> Event {
        let event = event.follow(&self.head(), reference, self.now());
        self.last_date = event.date;
        self.ledger.push(event.clone());
        self.early.remove(&reference);
        if event.kind == EventKind::Granted {
            for held in self.held.iter_mut().filter(|held| held.reference == reference) {
                held.stored.grant();
                held.granted = Some(event.clone());
            }
        } else {
            self.held.retain(|held| held.reference != reference);
            self.tombstones.push(event.clone());
        }
        event
    }

    pub(crate) fn decided(&mut self, reference: DialogRef, decided: Decided) -> Event {
        match decided {
            Decided::Already(event) => event,
            Decided::New(event) => self.append(reference, event),
        }
    }

    pub(crate) fn head(&self) -> ChainHead {
        self.ledger.last().map_or(ChainHead::EMPTY, Event::head)
    }

    pub(crate) fn events(&self, after: &Positions, limit: Limit) -> impl Iterator<Item = &Event> {
        let after = usize::try_from(after.of(0)).unwrap_or(usize::MAX);
        self.ledger.iter().skip(after).take(limit.get())
    }

    /// What a purge does to each record that is due, the oldest first.
    pub(crate) fn due(
        &self,
        which: Purge,
        before: Date,
    ) -> impl Iterator<Item = (DialogRef, Purged)> {
        let held = self.held.iter().rev().map(|held| held.reference);
        let references = held.chain(self.tombstones.iter().map(|event| event.reference));
        references.filter_map(move |it| Some((it, rules::purge(&self.record(it), which, before)?)))
    }

    /// The dialogs of a window, plus one more if there is one, and how many match in all.
    pub(crate) fn window(
        &self,
        window: &Window,
        upper: Upper<'_>,
        matches: impl Fn(&StoredDialog) -> bool,
    ) -> (Vec<StoredDialog>, Option<u64>) {
        let offset = usize::try_from(window.offset()).unwrap_or(usize::MAX);
        let matching = || self.held.iter().filter(|held| matches(&held.stored));
        let below = matching().filter(|held| match upper {
            Upper::None => true,
            Upper::Before(date) => held.position.date < date,
            Upper::After(last) => held.position > *last,
        });
        let found = below.skip(offset).take(window.limit.get() + 1);
        let found = found.map(|held| held.stored.clone()).collect();
        (found, window.total.then(|| matching().count() as u64))
    }
}
