//! The reference model: a store in memory, simple enough that its answers are plainly right.
//!
//! Every other backend must answer as it does. It does not call [`rules`](crate::consent::rules) but has its own table
//! of what a decision does, because an oracle that shared the rules would share their faults. It also serves as a test
//! double, and as a store for data that can be lost with the process. It sorts all dialogs on every query, so use a
//! real backend for many dialogs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::consent::{ConsentState, ConsentStatus, Decision, EarlyDecision, HeldDecision, Receipt};
use crate::dialog::{Dialog, HeldDialog, ImportedDialog, NewDialog, Received, StoredDialog};
use crate::error::{Invalid, StoreError};
use crate::key::{Key, KeyName, NewKey};
use crate::ledger::{ChainHead, Change, Event, EventKind, LedgerHead, Positions};
use crate::query::{Limit, Page, PageRequest, Position, Reach, SubjectRequest, Upper, Window};
use crate::store::{Activity, Dialogs, Keys, Ledger, Purge, Revision, Stats, StoreInfo, Upkeep};
use crate::values::{CustomerId, Date, DialogId, DialogRef, Evidence, Language, RefKey};

/// A [`DialogStore`](crate::DialogStore) in memory. Its data is lost when the process ends.
#[derive(Debug)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    key: RefKey,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Each dialog with the event of its grant, if there is one.
    dialogs: BTreeMap<DialogId, (StoredDialog, Option<Event>)>,
    tombstones: BTreeMap<DialogRef, Event>,
    /// Every held grant: it came before its dialog.
    early_grants: BTreeMap<DialogRef, WaitingGrant>,
    keys: BTreeMap<KeyName, Key>,
    ledger: Vec<Event>,
    last_date: Date,
    changes: u64,
}

#[derive(Debug)]
struct WaitingGrant {
    evidence: Evidence,
    date: Date,
    until: Date,
}

impl State {
    fn head(&self) -> ChainHead {
        self.ledger.last().map_or(ChainHead::EMPTY, Event::head)
    }

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
        self.changes += 1;
        event
    }

    fn consented_languages(&self) -> Vec<Language> {
        let consented = self.dialogs.values().map(|(stored, _)| stored);
        let mut languages: Vec<_> = consented
            .filter(|stored| stored.is_consented())
            .map(|stored| stored.language().clone())
            .collect();
        languages.sort();
        languages.dedup();
        languages
    }

    /// Ends the grant that is held for a dialog. Returns it if it had not expired.
    fn end_early_grant(&mut self, reference: &DialogRef, now: Date) -> Option<WaitingGrant> {
        self.early_grants.remove(reference).filter(|held| now < held.until)
    }

    /// Returns the oldest first.
    fn tombstones_before(&self, date: Date) -> Vec<Event> {
        let mut before: Vec<_> =
            self.tombstones.values().filter(|gone| gone.date < date).cloned().collect();
        before.sort_by_key(|gone| gone.position);
        before
    }
}

impl MemoryStore {
    /// Makes an empty store that takes the time from `clock` and hashes the ids in its tombstones with `key`.
    pub fn new(clock: Arc<dyn Clock>, key: RefKey) -> Self {
        let state = State {
            dialogs: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            early_grants: BTreeMap::new(),
            keys: BTreeMap::new(),
            ledger: Vec::new(),
            last_date: Date::MIN,
            changes: 0,
        };
        Self { clock, key, state: Mutex::new(state) }
    }

    /// No method leaves the state half changed, so the state is sound even if a method panicked.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self, state: &State) -> Date {
        self.clock.now().max(state.last_date)
    }

    fn check_free(&self, state: &State, dialog: &NewDialog) -> Result<(), StoreError> {
        if let Some((stored, _)) = state.dialogs.get(&dialog.dialog_id) {
            return Err(StoreError::Exists { same_content: stored.same_content(dialog) });
        }
        if state.tombstones.contains_key(&self.key.reference(&dialog.dialog_id)) {
            return Err(StoreError::Gone);
        }
        Ok(())
    }

    /// The state of a dialog, and the event that led to it.
    fn standing(
        &self,
        state: &State,
        dialog_id: &DialogId,
    ) -> Option<(ConsentState, Option<Event>)> {
        if let Some((_, consent)) = state.dialogs.get(dialog_id) {
            return Some(match consent {
                Some(event) => (ConsentState::Granted, Some(event.clone())),
                None => (ConsentState::Pending, None),
            });
        }
        let event = state.tombstones.get(&self.key.reference(dialog_id))?;
        Some(match event.kind {
            EventKind::Withdrawn => (ConsentState::Withdrawn, Some(event.clone())),
            _ => (ConsentState::Erased, Some(event.clone())),
        })
    }

    /// Stores a dialog whose id is free. A held grant or `evidence` makes it consented. Returns whether it is
    /// consented.
    fn store(
        &self,
        state: &mut State,
        dialog: NewDialog,
        date: Date,
        evidence: Option<Evidence>,
    ) -> bool {
        let (now, id) = (self.now(state), dialog.dialog_id.clone());
        let reference = self.key.reference(&id);
        let held = state.end_early_grant(&reference, now);
        let evidence = held.map(|held| held.evidence).or(evidence);
        let event =
            evidence.map(|evidence| state.append(reference, EventKind::Granted, now, evidence));
        let is_consented = event.is_some();
        state.dialogs.insert(id, (StoredDialog::new(dialog, date, is_consented), event));
        is_consented
    }

    fn decided(
        &self,
        state: &mut State,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
    ) -> Result<Receipt, StoreError> {
        let (now, reference) = (self.now(state), self.key.reference(&dialog_id));
        let event = match (self.standing(state, &dialog_id), decision) {
            (None, Decision::Granted) => return Err(StoreError::NotFound),
            (None, Decision::Withdrawn) => {
                // A refused call changes nothing, so a held grant that has expired stays where it is.
                let is_held = |held: &WaitingGrant| now < held.until;
                if !state.early_grants.get(&reference).is_some_and(is_held) {
                    return Err(StoreError::NotFound);
                }
                state.early_grants.remove(&reference);
                self.erase(state, &dialog_id, EventKind::Withdrawn, evidence)
            }
            (Some((ConsentState::Pending, _)), Decision::Granted) => {
                let event = state.append(reference, EventKind::Granted, now, evidence);
                if let Some((stored, consent)) = state.dialogs.get_mut(&dialog_id) {
                    stored.grant();
                    *consent = Some(event.clone());
                }
                event
            }
            (Some((ConsentState::Pending | ConsentState::Granted, _)), Decision::Withdrawn) => {
                self.erase(state, &dialog_id, EventKind::Withdrawn, evidence)
            }
            (Some((ConsentState::Granted, event)), Decision::Granted)
            | (Some((_, event)), Decision::Withdrawn) => event.ok_or(StoreError::NotFound)?,
            (Some(_), Decision::Granted) => return Err(StoreError::Conflict),
        };
        Ok(Receipt { dialog_id, decision, event })
    }

    /// Erases the dialog if it exists, and leaves a tombstone.
    fn erase(
        &self,
        state: &mut State,
        dialog_id: &DialogId,
        kind: EventKind,
        evidence: Evidence,
    ) -> Event {
        let reference = self.key.reference(dialog_id);
        let event = state.append(reference, kind, self.now(state), evidence);
        state.dialogs.remove(dialog_id);
        state.tombstones.insert(reference, event.clone());
        event
    }

    fn erase_all(&self, state: &mut State, ids: &[DialogId], kind: EventKind) -> u64 {
        for id in ids {
            self.erase(state, id, kind, Evidence::default());
        }
        ids.len() as u64
    }
}

#[async_trait]
impl Dialogs for MemoryStore {
    async fn insert(&self, dialog: NewDialog) -> Result<Received, StoreError> {
        let mut state = self.state();
        self.check_free(&state, &dialog)?;
        let date = self.now(&state);
        state.last_date = date;
        let is_consented = self.store(&mut state, dialog, date, None);
        Ok(Received { date, is_consented })
    }

    async fn import(
        &self,
        batch: Vec<ImportedDialog>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut state = self.state();
        let import = |ImportedDialog { dialog, date, consented }| {
            self.check_free(&state, &dialog)?;
            let now = self.now(&state);
            if date.is_some_and(|date| date > now) {
                return Err(Invalid::new("date", "must not be in the future").into());
            }
            if date.is_none() {
                state.last_date = now;
            }
            let evidence = consented.then(Evidence::of_import);
            self.store(&mut state, dialog, date.unwrap_or(now), evidence);
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
        self.decided(&mut self.state(), dialog_id, decision, evidence)
    }

    async fn decide_early(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
        hold_for: Duration,
    ) -> Result<EarlyDecision, StoreError> {
        let mut state = self.state();
        if self.standing(&state, &dialog_id).is_some() {
            let receipt = self.decided(&mut state, dialog_id, decision, evidence)?;
            return Ok(EarlyDecision::Recorded(receipt));
        }
        let now = self.now(&state);
        let reference = self.key.reference(&dialog_id);
        state.early_grants.retain(|_, held| now < held.until);
        let (date, until) = match decision {
            Decision::Withdrawn => {
                state.early_grants.remove(&reference);
                let event = self.erase(&mut state, &dialog_id, EventKind::Withdrawn, evidence);
                (event.date, None)
            }
            Decision::Granted => {
                state.last_date = now;
                let until = now.saturating_add(hold_for);
                let held = WaitingGrant { evidence, date: now, until };
                let held = state.early_grants.entry(reference).or_insert(held);
                (held.date, Some(held.until))
            }
        };
        Ok(EarlyDecision::Held(HeldDecision { dialog_id, decision, date, until }))
    }

    async fn consent(&self, dialog_id: &DialogId) -> Result<ConsentStatus, StoreError> {
        let state = self.state();
        let (standing, event) = self.standing(&state, dialog_id).ok_or(StoreError::NotFound)?;
        let received = state.dialogs.get(dialog_id).map(|(stored, _)| stored.date());
        let date = event.as_ref().map(|event| event.date).or(received);
        let date = date.ok_or(StoreError::NotFound)?;
        Ok(ConsentStatus { dialog_id: dialog_id.clone(), state: standing, date, event })
    }

    async fn dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
        reach: &Reach,
    ) -> Result<Dialog, StoreError> {
        let state = self.state();
        match state.dialogs.get(dialog_id) {
            Some((stored, _))
                if stored.customer_id() == customer_id
                    && reach.covers(customer_id, stored.language()) =>
            {
                stored.clone().readable()
            }
            _ => Err(StoreError::NotFound),
        }
    }

    async fn is_within(&self, reach: &Reach, dialog_id: &DialogId) -> Result<bool, StoreError> {
        let state = self.state();
        let held = state.dialogs.get(dialog_id);
        Ok(held.is_some_and(|(stored, _)| reach.covers(stored.customer_id(), stored.language())))
    }

    async fn query(&self, request: &PageRequest) -> Result<Page<Dialog>, StoreError> {
        let state = self.state();
        let filter = request.filter();
        if filter.is_out_of_reach() {
            return Ok(request.page(Vec::new(), request.window().total.then_some(0)));
        }
        filter.wanted_languages(&state.consented_languages())?;
        let matching = sorted(state.dialogs.values().map(|(stored, _)| stored).filter(|stored| {
            stored.is_consented()
                && filter.matches(stored.customer_id(), stored.language(), stored.date())
        }));
        let total = request.window().total.then_some(matching.len() as u64);
        let found = window(matching, request.window(), |position| match request.upper() {
            Upper::None => true,
            Upper::Before(date) => position.date < date,
            Upper::After(last) => position > last,
        });
        let found = found.map(StoredDialog::readable).collect::<Result<_, _>>()?;
        Ok(request.page(found, total))
    }

    async fn subject_data(&self, request: &SubjectRequest) -> Result<Page<HeldDialog>, StoreError> {
        let state = self.state();
        let subject = request.customer_id();
        let held = state.dialogs.values().map(|(stored, _)| stored);
        let matching = sorted(held.filter(|stored| stored.customer_id() == subject));
        let total = request.window().total.then_some(matching.len() as u64);
        let found = window(matching, request.window(), |position| {
            request.after().is_none_or(|last| position > last)
        });
        Ok(request.page(found.filter_map(|stored| stored.for_subject(subject)).collect(), total))
    }

    async fn erase_dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        match state.dialogs.get(dialog_id) {
            Some((stored, _)) if stored.customer_id() == customer_id => {
                self.erase(&mut state, dialog_id, EventKind::Erased, Evidence::default());
                Ok(())
            }
            _ => Err(StoreError::NotFound),
        }
    }

    async fn erase_customer(&self, customer_id: &CustomerId) -> Result<u64, StoreError> {
        let mut state = self.state();
        let held = state.dialogs.values().map(|(stored, _)| stored);
        let ids: Vec<_> = held
            .filter(|stored| stored.customer_id() == customer_id)
            .map(|stored| stored.dialog_id().clone())
            .collect();
        Ok(self.erase_all(&mut state, &ids, EventKind::Erased))
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        let state = self.state();
        let mut counts = Stats::default();
        for (stored, _) in state.dialogs.values() {
            if stored.is_consented() {
                counts.consented += 1;
                *counts.consented_by_language.entry(stored.language().clone()).or_default() += 1;
            } else {
                counts.pending += 1;
            }
        }
        for tombstone in state.tombstones.values() {
            match tombstone.kind {
                EventKind::Withdrawn => counts.withdrawn += 1,
                _ => counts.erased += 1,
            }
        }
        Ok(counts)
    }
}

#[async_trait]
impl Ledger for MemoryStore {
    async fn events(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Event>, StoreError> {
        let changes = self.changes(after, limit, reach).await?;
        Ok(changes.into_iter().map(|change| change.event).collect())
    }

    async fn changes(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Change>, StoreError> {
        let state = self.state();
        let after = usize::try_from(after.of(0)).unwrap_or(usize::MAX);
        let change = |event: &Event| {
            let made = |(_, consent): &&(StoredDialog, _)| *consent == Some(event.clone());
            let stored = state.dialogs.values().find(made).map(|(stored, _)| stored.clone());
            let stored =
                stored.filter(|stored| reach.covers(stored.customer_id(), stored.language()));
            let dialog = stored.map(StoredDialog::readable).transpose()?;
            let mut event = event.clone();
            if dialog.is_none() && !reach.is_all() && event.evidence != Evidence::default() {
                event.evidence = Evidence::default();
                event.hides_evidence = true;
            }
            Ok(Change { event, dialog })
        };
        state.ledger.iter().skip(after).take(limit.get()).map(change).collect()
    }

    async fn ledger_head(&self) -> Result<LedgerHead, StoreError> {
        Ok(self.state().head().into())
    }
}

#[async_trait]
impl Keys for MemoryStore {
    async fn create_key(&self, key: NewKey) -> Result<Date, StoreError> {
        let mut state = self.state();
        let created = self.now(&state);
        if state.keys.contains_key(&key.name) {
            return Err(Invalid::new("name", "must not be the name of another key").into());
        }
        state.keys.insert(key.name.clone(), key.kept(created));
        state.last_date = created;
        Ok(created)
    }

    async fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(self.state().keys.values().cloned().collect())
    }

    async fn revoke_key(&self, name: &KeyName) -> Result<bool, StoreError> {
        let mut state = self.state();
        let now = self.now(&state);
        let Some(key) = state.keys.get_mut(name) else { return Ok(false) };
        key.revoked.get_or_insert(now);
        state.last_date = now;
        Ok(true)
    }

    async fn note_key_use(&self, used: Vec<(KeyName, Date)>) -> Result<(), StoreError> {
        let mut state = self.state();
        for (name, date) in used {
            if let Some(key) = state.keys.get_mut(&name) {
                key.last_used = key.last_used.max(Some(date));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Upkeep for MemoryStore {
    async fn purge(&self, which: Purge, before: Date, at_most: u32) -> Result<u64, StoreError> {
        let mut state = self.state();
        if which == Purge::Tombstones {
            let mut forgotten = state.tombstones_before(before);
            forgotten.truncate(at_most as usize);
            for event in &forgotten {
                state.tombstones.remove(&event.reference);
            }
            return Ok(forgotten.len() as u64);
        }
        let held = state.dialogs.values().map(|(stored, _)| stored);
        let mut expired = sorted(held.filter(|stored| is_due(stored, which, before)));
        expired.reverse();
        expired.truncate(at_most as usize);
        let ids: Vec<_> = expired.iter().map(|stored| stored.dialog_id().clone()).collect();
        Ok(self.erase_all(&mut state, &ids, EventKind::Expired))
    }

    async fn purgeable(&self, which: Purge, before: Date) -> Result<u64, StoreError> {
        let state = self.state();
        if which == Purge::Tombstones {
            return Ok(state.tombstones_before(before).len() as u64);
        }
        let held = state.dialogs.values().map(|(stored, _)| stored);
        Ok(held.filter(|stored| is_due(stored, which, before)).count() as u64)
    }

    fn reference(&self, dialog_id: &DialogId) -> DialogRef {
        self.key.reference(dialog_id)
    }

    async fn info(&self) -> Result<StoreInfo, StoreError> {
        Ok(StoreInfo { backend: "memory", schema: None, last_scrub: None })
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// There are no files to scrub.
    async fn scrub(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn revision(&self) -> Option<Revision> {
        Some(Revision::new(self.state().changes))
    }

    fn activity(&self) -> Activity {
        Activity::default()
    }
}

fn is_due(stored: &StoredDialog, which: Purge, before: Date) -> bool {
    which.takes(stored.is_consented()) && stored.date() < before
}

fn position(stored: &StoredDialog) -> Position {
    Position { date: stored.date(), dialog_id: stored.dialog_id().clone() }
}

fn sorted<'a>(dialogs: impl Iterator<Item = &'a StoredDialog>) -> Vec<&'a StoredDialog> {
    let mut dialogs: Vec<_> = dialogs.collect();
    dialogs.sort_by_cached_key(|stored| position(stored));
    dialogs
}

/// The dialogs from the start of the window on, up to one more than its limit.
fn window(
    sorted: Vec<&StoredDialog>,
    window: &Window,
    after_start: impl Fn(&Position) -> bool,
) -> impl Iterator<Item = StoredDialog> {
    let offset = usize::try_from(window.offset()).unwrap_or(usize::MAX);
    sorted
        .into_iter()
        .filter(move |stored| after_start(&position(stored)))
        .skip(offset)
        .take(window.limit.get() + 1)
        .cloned()
}
