//! All of [`DialogStore`] over a sorted list.
//!
//! What a backend must get right stands on the trait; the consent rules themselves come from the
//! core ([`ConsentRecord::decide`]), and so does the page ([`PageRequest::page`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dataapi::{
    Activity, ChainHead, Change, Clock, ConsentRecord, ConsentStatus, CustomerId, Date, Decision,
    Dialog, DialogId, DialogRef, Dialogs, EarlyDecision, Event, EventKind, Evidence, Filter,
    HeldDecision, HeldDialog, ImportedDialog, Invalid, Key, KeyName, Keys, Ledger, LedgerHead,
    Limit, NewDialog, NewKey, Page, PageRequest, Position, Positions, Purge, Reach, Receipt,
    Received, RefKey, Revision, Stats, StoreError, StoreInfo, StoredDialog, SubjectRequest,
    Transition, Upkeep, Upper, Window,
};

/// Dialogs in a list that is kept in the order of pages, so that reading one is walking along it.
pub(crate) struct ListStore {
    clock: Arc<dyn Clock>,
    key: RefKey,
    list: Mutex<List>,
}

struct List {
    entries: Vec<Entry>,
    tombstones: HashMap<DialogRef, Event>,
    /// Each *yes* that came before its dialog: on what, when, and until when it is held.
    early_grants: HashMap<DialogRef, (Evidence, Date, Date)>,
    keys: BTreeMap<KeyName, Key>,
    ledger: Vec<Event>,
    last_date: Date,
}

struct Entry {
    position: Position,
    stored: StoredDialog,
    /// The event of its consent, once there is one.
    consent: Option<Event>,
}

impl ListStore {
    pub(crate) fn new(clock: Arc<dyn Clock>, key: RefKey) -> Self {
        let list = List {
            entries: Vec::new(),
            tombstones: HashMap::new(),
            early_grants: HashMap::new(),
            keys: BTreeMap::new(),
            ledger: Vec::new(),
            last_date: Date::MIN,
        };
        Self { clock, key, list: Mutex::new(list) }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Dates never go backwards, whatever the clock does.
    fn now(&self, list: &List) -> Date {
        self.clock.now().max(list.last_date)
    }

    fn check_free(&self, list: &List, dialog: &NewDialog) -> Result<(), StoreError> {
        if let Some(at) = list.find(&dialog.dialog_id) {
            let same_content = list.entries[at].stored.same_content(dialog);
            return Err(StoreError::Exists { same_content });
        }
        // A tombstone wins over every late retry.
        if list.tombstones.contains_key(&self.key.reference(&dialog.dialog_id)) {
            return Err(StoreError::Gone);
        }
        Ok(())
    }

    fn record(&self, list: &List, dialog_id: &DialogId) -> Result<ConsentRecord, StoreError> {
        if let Some(at) = list.find(dialog_id) {
            let Entry { stored, consent, .. } = &list.entries[at];
            return Ok(match consent {
                None => ConsentRecord::Pending { received: stored.date() },
                Some(event) => ConsentRecord::Decided(event.clone()),
            });
        }
        let tombstone = list.tombstones.get(&self.key.reference(dialog_id));
        tombstone.cloned().map(ConsentRecord::Decided).ok_or(StoreError::NotFound)
    }

    /// Takes in a dialog whose id is free, consented on that evidence or on that of a *yes* that was
    /// held; tells whether it is.
    fn put(
        &self,
        list: &mut List,
        dialog: NewDialog,
        date: Date,
        evidence: Option<Evidence>,
    ) -> bool {
        let (now, reference) = (self.now(list), self.key.reference(&dialog.dialog_id));
        let evidence = list.early_grant(&reference, now).or(evidence);
        let consent =
            evidence.map(|evidence| list.append(reference, EventKind::Granted, now, evidence));
        let is_consented = consent.is_some();
        list.put(StoredDialog::new(dialog, date, is_consented), consent);
        is_consented
    }

    fn decided(
        &self,
        list: &mut List,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
    ) -> Result<Receipt, StoreError> {
        let event = match self.record(list, &dialog_id)?.decide(decision)? {
            Transition::None(event) => Some(event),
            Transition::Grant => {
                let now = self.now(list);
                let reference = self.key.reference(&dialog_id);
                let event = list.append(reference, EventKind::Granted, now, evidence);
                if let Some(at) = list.find(&dialog_id) {
                    let entry = &mut list.entries[at];
                    entry.stored.grant();
                    entry.consent = Some(event.clone());
                }
                Some(event)
            }
            Transition::Withdraw => {
                let which = |stored: &StoredDialog| *stored.dialog_id() == dialog_id;
                self.erase(list, EventKind::Withdrawn, &evidence, which).pop()
            }
        };
        Ok(Receipt { dialog_id, decision, event: event.ok_or(StoreError::NotFound)? })
    }

    /// Erases what is chosen; yields what the ledger says of it.
    fn erase(
        &self,
        list: &mut List,
        kind: EventKind,
        evidence: &Evidence,
        which: impl Fn(&StoredDialog) -> bool,
    ) -> Vec<Event> {
        let date = self.now(list);
        let (gone, stay) =
            std::mem::take(&mut list.entries).into_iter().partition(|entry| which(&entry.stored));
        list.entries = stay;
        let gone: Vec<Entry> = gone;
        let mut events = Vec::new();
        for entry in gone {
            let reference = self.key.reference(&entry.position.dialog_id);
            let event = list.append(reference, kind, date, evidence.clone());
            list.tombstones.insert(reference, event.clone());
            events.push(event);
        }
        events
    }
}

impl List {
    fn find(&self, dialog_id: &DialogId) -> Option<usize> {
        self.entries.iter().position(|entry| entry.position.dialog_id == *dialog_id)
    }

    fn within(&self, reach: &Reach, dialog_id: &DialogId) -> Option<&StoredDialog> {
        let stored = &self.entries[self.find(dialog_id)?].stored;
        reach.covers(stored.customer_id(), stored.language()).then_some(stored)
    }

    fn head(&self) -> ChainHead {
        self.ledger.last().map_or(ChainHead::EMPTY, Event::head)
    }

    /// The core chains the event; the ledger is just the list of them.
    fn append(
        &mut self,
        reference: DialogRef,
        kind: EventKind,
        date: Date,
        evidence: Evidence,
    ) -> Event {
        let event = self.head().next(reference, kind, date, evidence);
        self.ledger.push(event.clone());
        self.last_date = date;
        event
    }

    /// Leaves a tombstone of a dialog that is not there.
    fn bury(&mut self, reference: DialogRef, date: Date, evidence: Evidence) -> Event {
        let event = self.append(reference, EventKind::Withdrawn, date, evidence);
        self.tombstones.insert(reference, event.clone());
        event
    }

    /// Takes out the *yes* that is held for a dialog.
    fn early_grant(&mut self, reference: &DialogRef, now: Date) -> Option<Evidence> {
        let (evidence, _, until) = self.early_grants.remove(reference)?;
        (now < until).then_some(evidence)
    }

    /// The oldest first.
    fn tombstones_before(&self, date: Date) -> Vec<Event> {
        let mut before: Vec<_> =
            self.tombstones.values().filter(|gone| gone.date < date).cloned().collect();
        before.sort_by_key(|gone| gone.position);
        before
    }

    fn put(&mut self, stored: StoredDialog, consent: Option<Event>) {
        let position = Position { date: stored.date(), dialog_id: stored.dialog_id().clone() };
        let at = self.entries.partition_point(|entry| entry.position < position);
        self.entries.insert(at, Entry { position, stored, consent });
    }

    /// The dialogs of a window, and one more if there is one.
    fn window(
        &self,
        window: &Window,
        upper: Upper<'_>,
        matches: impl Fn(&StoredDialog) -> bool,
    ) -> impl Iterator<Item = StoredDialog> {
        let offset = usize::try_from(window.offset()).unwrap_or(usize::MAX);
        self.entries
            .iter()
            .filter(move |entry| match upper {
                Upper::None => true,
                Upper::Before(date) => entry.position.date < date,
                Upper::After(last) => entry.position > *last,
            })
            .map(|entry| &entry.stored)
            .filter(move |stored| matches(stored))
            .skip(offset)
            .take(window.limit.get() + 1)
            .cloned()
    }

    fn total(&self, window: &Window, matches: impl Fn(&StoredDialog) -> bool) -> Option<u64> {
        let matching = || self.entries.iter().filter(|entry| matches(&entry.stored)).count();
        window.total.then(|| matching() as u64)
    }
}

fn is_due(stored: &StoredDialog, which: Purge, before: Date) -> bool {
    which.takes(stored.is_consented()) && stored.date() < before
}

#[async_trait]
impl Dialogs for ListStore {
    async fn insert(&self, dialog: NewDialog) -> Result<Received, StoreError> {
        let mut list = self.list();
        self.check_free(&list, &dialog)?;
        let date = self.now(&list);
        list.last_date = date;
        let is_consented = self.put(&mut list, dialog, date, None);
        Ok(Received { date, is_consented })
    }

    async fn import(
        &self,
        batch: Vec<ImportedDialog>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut list = self.list();
        let import = |ImportedDialog { dialog, date, consented }| {
            self.check_free(&list, &dialog)?;
            let now = self.now(&list);
            if date.is_some_and(|date| date > now) {
                return Err(Invalid::new("date", "must not lie in the future").into());
            }
            if date.is_none() {
                list.last_date = now;
            }
            let evidence = consented.then(Evidence::of_import);
            self.put(&mut list, dialog, date.unwrap_or(now), evidence);
            Ok(())
        };
        Ok(batch.into_iter().map(import).collect())
    }

    async fn decide(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
    ) -> Result<Receipt, StoreError> {
        let mut list = self.list();
        let (now, reference) = (self.now(&list), self.key.reference(&dialog_id));
        let is_absent = self.record(&list, &dialog_id).is_err();
        // A no to what is yet to come ends the yes that is held for it.
        if is_absent
            && decision == Decision::Withdrawn
            && list.early_grant(&reference, now).is_some()
        {
            let event = list.bury(reference, now, evidence);
            return Ok(Receipt { dialog_id, decision, event });
        }
        self.decided(&mut list, dialog_id, decision, evidence)
    }

    async fn decide_early(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
        hold_for: Duration,
    ) -> Result<EarlyDecision, StoreError> {
        let mut list = self.list();
        if self.record(&list, &dialog_id).is_ok() {
            let receipt = self.decided(&mut list, dialog_id, decision, evidence)?;
            return Ok(EarlyDecision::Recorded(receipt));
        }
        let (now, reference) = (self.now(&list), self.key.reference(&dialog_id));
        list.early_grants.retain(|_, (_, _, until)| now < *until);
        let (date, until) = if decision == Decision::Withdrawn {
            list.early_grants.remove(&reference);
            (list.bury(reference, now, evidence).date, None)
        } else {
            list.last_date = now;
            let held = (evidence, now, now.saturating_add(hold_for));
            let (_, date, until) = list.early_grants.entry(reference).or_insert(held);
            (*date, Some(*until))
        };
        Ok(EarlyDecision::Held(HeldDecision { dialog_id, decision, date, until }))
    }

    async fn consent(&self, dialog_id: &DialogId) -> Result<ConsentStatus, StoreError> {
        let record = self.record(&self.list(), dialog_id)?;
        Ok(record.status(dialog_id.clone()))
    }

    async fn dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
        reach: &Reach,
    ) -> Result<Dialog, StoreError> {
        match self.list().within(reach, dialog_id) {
            Some(stored) if stored.customer_id() == customer_id => stored.clone().readable(),
            _ => Err(StoreError::NotFound),
        }
    }

    async fn is_within(&self, reach: &Reach, dialog_id: &DialogId) -> Result<bool, StoreError> {
        Ok(self.list().within(reach, dialog_id).is_some())
    }

    async fn query(&self, request: &PageRequest) -> Result<Page<Dialog>, StoreError> {
        let matches = |stored: &StoredDialog| {
            let filter: &Filter = request.filter();
            stored.is_consented()
                && filter.matches(stored.customer_id(), stored.language(), stored.date())
        };
        let list = self.list();
        let found = list.window(request.window(), request.upper(), matches);
        // Each goes through the gate: what is not consented cannot be put into the page.
        let found = found.map(StoredDialog::readable).collect::<Result<_, _>>()?;
        Ok(request.page(found, list.total(request.window(), matches)))
    }

    async fn subject_data(&self, request: &SubjectRequest) -> Result<Page<HeldDialog>, StoreError> {
        let subject = request.customer_id();
        let matches = |stored: &StoredDialog| stored.customer_id() == subject;
        let upper = request.after().map_or(Upper::None, Upper::After);
        let list = self.list();
        let found = list.window(request.window(), upper, matches);
        let found = found.filter_map(|stored| stored.for_subject(subject)).collect();
        Ok(request.page(found, list.total(request.window(), matches)))
    }

    async fn erase_dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
    ) -> Result<(), StoreError> {
        let erased =
            self.erase(&mut self.list(), EventKind::Erased, &Evidence::default(), |stored| {
                stored.customer_id() == customer_id && stored.dialog_id() == dialog_id
            });
        if erased.is_empty() { Err(StoreError::NotFound) } else { Ok(()) }
    }

    async fn erase_customer(&self, customer_id: &CustomerId) -> Result<u64, StoreError> {
        let of_customer = |stored: &StoredDialog| stored.customer_id() == customer_id;
        let evidence = Evidence::default();
        Ok(self.erase(&mut self.list(), EventKind::Erased, &evidence, of_customer).len() as u64)
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        let list = self.list();
        let mut counts = Stats::default();
        for Entry { stored, .. } in &list.entries {
            if !stored.is_consented() {
                counts.pending += 1;
                continue;
            }
            counts.consented += 1;
            *counts.consented_by_language.entry(stored.language().clone()).or_default() += 1;
        }
        let withdrawn = |tombstone: &&Event| tombstone.kind == EventKind::Withdrawn;
        counts.withdrawn = list.tombstones.values().filter(withdrawn).count() as u64;
        counts.erased = list.tombstones.len() as u64 - counts.withdrawn;
        Ok(counts)
    }
}

#[async_trait]
impl Ledger for ListStore {
    async fn events(&self, after: &Positions, limit: Limit) -> Result<Vec<Event>, StoreError> {
        let after = usize::try_from(after.of(0)).unwrap_or(usize::MAX);
        Ok(self.list().ledger.iter().skip(after).take(limit.get()).cloned().collect())
    }

    async fn changes(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Change>, StoreError> {
        let list = self.list();
        let after = usize::try_from(after.of(0)).unwrap_or(usize::MAX);
        let change = |event: &Event| {
            let made = |entry: &&Entry| entry.consent.as_ref() == Some(event);
            let stored = list.entries.iter().find(made).map(|entry| &entry.stored);
            let within = stored.filter(|it| reach.covers(it.customer_id(), it.language()));
            let dialog = within.cloned().map(StoredDialog::readable).transpose()?;
            Ok(Change { event: event.clone(), dialog })
        };
        list.ledger.iter().skip(after).take(limit.get()).map(change).collect()
    }

    async fn ledger_head(&self) -> Result<LedgerHead, StoreError> {
        Ok(self.list().head().into())
    }
}

#[async_trait]
impl Keys for ListStore {
    async fn create_key(&self, key: NewKey) -> Result<Date, StoreError> {
        let mut list = self.list();
        let created = self.now(&list);
        if list.keys.contains_key(&key.name) {
            return Err(Invalid::new("name", "must not be that of another key").into());
        }
        list.keys.insert(key.name.clone(), key.kept(created));
        list.last_date = created;
        Ok(created)
    }

    async fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(self.list().keys.values().cloned().collect())
    }

    async fn revoke_key(&self, name: &KeyName) -> Result<bool, StoreError> {
        let mut list = self.list();
        let now = self.now(&list);
        let Some(key) = list.keys.get_mut(name) else { return Ok(false) };
        key.revoked.get_or_insert(now);
        list.last_date = now;
        Ok(true)
    }

    async fn note_key_use(&self, used: Vec<(KeyName, Date)>) -> Result<(), StoreError> {
        let mut list = self.list();
        for (name, date) in used {
            if let Some(key) = list.keys.get_mut(&name) {
                key.last_used = key.last_used.max(Some(date));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Upkeep for ListStore {
    async fn purge(&self, which: Purge, before: Date, at_most: u32) -> Result<u64, StoreError> {
        let mut list = self.list();
        if which == Purge::Tombstones {
            let mut forgotten = list.tombstones_before(before);
            forgotten.truncate(at_most as usize);
            for event in &forgotten {
                list.tombstones.remove(&event.reference);
            }
            return Ok(forgotten.len() as u64);
        }
        let oldest_first = list.entries.iter().rev().map(|entry| &entry.stored);
        let expired: Vec<_> = oldest_first
            .filter(|stored| is_due(stored, which, before))
            .take(at_most as usize)
            .map(|stored| stored.dialog_id().clone())
            .collect();
        let is_expired = |stored: &StoredDialog| expired.contains(stored.dialog_id());
        let erased = self.erase(&mut list, EventKind::Expired, &Evidence::default(), is_expired);
        Ok(erased.len() as u64)
    }

    async fn purgeable(&self, which: Purge, before: Date) -> Result<u64, StoreError> {
        let list = self.list();
        if which == Purge::Tombstones {
            return Ok(list.tombstones_before(before).len() as u64);
        }
        let due = list.entries.iter().filter(|entry| is_due(&entry.stored, which, before));
        Ok(due.count() as u64)
    }

    fn reference(&self, dialog_id: &DialogId) -> DialogRef {
        self.key.reference(dialog_id)
    }

    async fn info(&self) -> Result<StoreInfo, StoreError> {
        Ok(StoreInfo { backend: "list", schema: None, last_scrub: None })
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// There are no files.
    async fn scrub(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Each answer is asked for anew; a list has nothing to gain from keeping them.
    fn revision(&self) -> Option<Revision> {
        None
    }

    fn activity(&self) -> Activity {
        Activity::default()
    }
}
