//! The whole of [`DialogStore`](dataapi::DialogStore), over a sorted list.
//!
//! The traits document the contract. The rules in the core ([`rules`]) decide what a write does: a backend looks up a
//! record, calls the rule and applies its result. Here all three steps run under one lock. The core also cuts the pages
//! ([`PageRequest::page`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dataapi::consent::rules::{self, DecidedEarly, Purged, Slot};
use dataapi::{
    Activity, Change, Clock, ConsentStatus, CustomerId, Date, Decision, Dialog, DialogId,
    DialogRef, Dialogs, EarlyDecision, Event, EventKind, Evidence, HeldDecision, HeldDialog,
    ImportedDialog, Invalid, Key, KeyName, Keys, Ledger, LedgerHead, Limit, NewDialog, NewKey,
    Page, PageRequest, Positions, Purge, Reach, Receipt, Received, RefKey, Revision, Stats,
    StoreError, StoreInfo, StoredDialog, SubjectRequest, Upkeep, Upper,
};

use crate::list::{Held, List};

type Outcome<T> = Result<T, StoreError>;

pub(crate) struct ListStore {
    key: RefKey,
    list: Mutex<List>,
}

impl ListStore {
    pub(crate) fn new(clock: Arc<dyn Clock>, key: RefKey) -> Self {
        Self { key, list: Mutex::new(List::new(clock)) }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Dialogs for ListStore {
    async fn insert(&self, dialog: NewDialog) -> Outcome<Received> {
        self.list().receive(self.reference(&dialog.dialog_id), dialog, rules::insert)
    }

    async fn import(&self, batch: Vec<ImportedDialog>) -> Outcome<Vec<Outcome<()>>> {
        let mut list = self.list();
        let import = |imported: ImportedDialog| {
            let (reference, dialog) =
                (self.reference(&imported.dialog.dialog_id), imported.dialog.clone());
            let rule = |slot: Slot<'_>, now| rules::import(slot, &imported, now);
            list.receive(reference, dialog, rule).map(drop)
        };
        Ok(batch.into_iter().map(import).collect())
    }

    async fn decide(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
    ) -> Outcome<Receipt> {
        let (mut list, reference) = (self.list(), self.reference(&dialog_id));
        let decided = rules::decide(&list.record(reference), decision, &evidence, list.now())?;
        Ok(Receipt { dialog_id, decision, event: list.decided(reference, decided) })
    }

    async fn decide_early(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
        hold_for: Duration,
    ) -> Outcome<EarlyDecision> {
        let (mut list, reference) = (self.list(), self.reference(&dialog_id));
        let (record, now) = (list.record(reference), list.now());
        list.early.retain(|_, early| early.holds_at(now));
        let (date, until) = match rules::decide_early(&record, decision, &evidence, hold_for, now)?
        {
            DecidedEarly::Recorded(decided) => {
                let event = list.decided(reference, decided);
                return Ok(EarlyDecision::Recorded(Receipt { dialog_id, decision, event }));
            }
            DecidedEarly::Blocked(event) => (list.append(reference, event).date, None),
            DecidedEarly::Held(early) => {
                list.last_date = now;
                list.early.insert(reference, early.clone());
                (early.date, Some(early.until))
            }
        };
        Ok(EarlyDecision::Held(HeldDecision { dialog_id, decision, date, until }))
    }

    async fn consent(&self, dialog_id: &DialogId) -> Outcome<ConsentStatus> {
        self.list().record(self.reference(dialog_id)).status(dialog_id.clone())
    }

    async fn dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
        reach: &Reach,
    ) -> Outcome<Dialog> {
        match self.list().within(reach, self.reference(dialog_id)) {
            Some(stored) if stored.customer_id() == customer_id => stored.clone().readable(),
            _ => Err(StoreError::NotFound),
        }
    }

    async fn is_within(&self, reach: &Reach, dialog_id: &DialogId) -> Outcome<bool> {
        Ok(self.list().within(reach, self.reference(dialog_id)).is_some())
    }

    async fn query(&self, request: &PageRequest) -> Outcome<Page<Dialog>> {
        // This refuses a range that matches too many languages. The list needs no index, so it ignores the result.
        let stored: Vec<_> = self.stats().await?.consented_by_language.into_keys().collect();
        if !request.filter().is_out_of_reach() {
            request.filter().wanted_languages(&stored)?;
        }
        let (found, total) = self.list().window(request.window(), request.upper(), |it| {
            let matches = request.filter().matches(it.customer_id(), it.language(), it.date());
            it.is_consented() && matches
        });
        // Every dialog goes through the gate, so a page cannot contain one without consent.
        let readable = found.into_iter().map(StoredDialog::readable).collect::<Result<_, _>>()?;
        Ok(request.page(readable, total))
    }

    async fn subject_data(&self, request: &SubjectRequest) -> Outcome<Page<HeldDialog>> {
        let subject = request.customer_id();
        let upper = request.after().map_or(Upper::None, Upper::After);
        let (found, total) =
            self.list().window(request.window(), upper, |it| it.customer_id() == subject);
        let copies = found.into_iter().filter_map(|stored| stored.for_subject(subject)).collect();
        Ok(request.page(copies, total))
    }

    async fn erase_dialog(&self, customer_id: &CustomerId, dialog_id: &DialogId) -> Outcome<()> {
        let (mut list, reference) = (self.list(), self.reference(dialog_id));
        let event = rules::erase_dialog(&list.record(reference), customer_id)?;
        list.append(reference, event);
        Ok(())
    }

    async fn erase_customer(&self, customer_id: &CustomerId) -> Outcome<u64> {
        let mut list = self.list();
        let erase = |held: &Held| {
            let event = rules::erase_customer(&list.record(held.reference), customer_id)?;
            Some((held.reference, event))
        };
        let erased: Vec<_> = list.held.iter().filter_map(erase).collect();
        let count = erased.len() as u64;
        for (reference, event) in erased {
            list.append(reference, event);
        }
        Ok(count)
    }

    async fn stats(&self) -> Outcome<Stats> {
        let list = self.list();
        let mut stats = Stats::default();
        for Held { stored, .. } in &list.held {
            if stored.is_consented() {
                stats.consented += 1;
                *stats.consented_by_language.entry(stored.language().clone()).or_default() += 1;
            }
        }
        stats.pending = list.held.len() as u64 - stats.consented;
        let withdrawn = |event: &&Event| event.kind == EventKind::Withdrawn;
        stats.withdrawn = list.tombstones.iter().filter(withdrawn).count() as u64;
        stats.erased = list.tombstones.len() as u64 - stats.withdrawn;
        Ok(stats)
    }
}

#[async_trait]
impl Ledger for ListStore {
    async fn events(&self, after: &Positions, limit: Limit, reach: &Reach) -> Outcome<Vec<Event>> {
        let changes = self.changes(after, limit, reach).await?;
        Ok(changes.into_iter().map(|change| change.event).collect())
    }

    async fn changes(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Outcome<Vec<Change>> {
        let list = self.list();
        let change = |event: &Event| {
            let is_granted = list.find(event.reference)?.granted.as_ref() == Some(event);
            list.within(reach, event.reference).filter(|_| is_granted)?.clone().readable().ok()
        };
        let change = |event: &Event| {
            let (event, dialog) = (event.clone(), change(event));
            let is_within = reach.is_all() || dialog.is_some();
            Change { event: if is_within { event } else { event.without_evidence() }, dialog }
        };
        Ok(list.events(after, limit).map(change).collect())
    }

    async fn ledger_head(&self) -> Outcome<LedgerHead> {
        Ok(self.list().head().into())
    }
}

#[async_trait]
impl Keys for ListStore {
    async fn create_key(&self, key: NewKey) -> Outcome<Date> {
        let mut list = self.list();
        if list.keys.contains_key(&key.name) {
            return Err(Invalid::new("name", "must not be the name of another key").into());
        }
        list.last_date = list.now();
        let created = list.last_date;
        list.keys.insert(key.name.clone(), key.kept(created));
        Ok(created)
    }

    async fn keys(&self) -> Outcome<Vec<Key>> {
        Ok(self.list().keys.values().cloned().collect())
    }

    async fn revoke_key(&self, name: &KeyName) -> Outcome<bool> {
        let mut list = self.list();
        let now = list.now();
        let Some(key) = list.keys.get_mut(name) else { return Ok(false) };
        key.revoked.get_or_insert(now);
        list.last_date = now;
        Ok(true)
    }

    async fn note_key_use(&self, used: Vec<(KeyName, Date)>) -> Outcome<()> {
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
    async fn purge(&self, which: Purge, before: Date, at_most: u32) -> Outcome<u64> {
        let mut list = self.list();
        let due: Vec<_> = list.due(which, before).take(at_most as usize).collect();
        let count = due.len() as u64;
        for (reference, purged) in due {
            match purged {
                Purged::Erased(event) => drop(list.append(reference, event)),
                Purged::Forgotten => list.tombstones.retain(|event| event.reference != reference),
            }
        }
        Ok(count)
    }

    async fn purgeable(&self, which: Purge, before: Date) -> Outcome<u64> {
        Ok(self.list().due(which, before).count() as u64)
    }

    fn reference(&self, dialog_id: &DialogId) -> DialogRef {
        self.key.reference(dialog_id)
    }

    async fn info(&self) -> Outcome<StoreInfo> {
        Ok(StoreInfo { backend: "list", schema: None, last_scrub: None })
    }

    async fn ready(&self) -> Outcome<()> {
        Ok(())
    }

    /// There are no files to scrub.
    async fn scrub(&self) -> Outcome<()> {
        Ok(())
    }

    /// Reusing answers would save a list nothing.
    fn revision(&self) -> Option<Revision> {
        None
    }

    fn activity(&self) -> Activity {
        Activity::default()
    }
}
