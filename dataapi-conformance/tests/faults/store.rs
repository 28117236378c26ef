//! A store with one fault, chosen from those that backends are likely to have.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dataapi_conformance::ManualClock;
use dataapi_core::{
    Activity, ChainHead, Change, Clock, ConsentState, Cursor, CustomerId, Date, Decision, Dialog,
    DialogId, DialogRef, Dialogs, EarlyDecision, Event, EventKind, Evidence, Filter, HeldDecision,
    HeldDialog, ImportedDialog, Key, Keys, Ledger, Limit, MemoryStore, NewDialog, Page,
    PageRequest, Positioned, Positions, Purge, Reach, Receipt, Received, RefKey, Revision, Start,
    Stats, StoreError, StoredDialog, SubjectRequest, Text, Upkeep, Window,
};

/// The fault of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answers an insert of a gone id with success.
    ForgetsTombstones,
    /// Answers an import of a gone id with success.
    ImportsGoneIds,
    /// Answers a repeated decision with the date and evidence of the repetition.
    SecondReceipt,
    /// Accepts a late grant.
    LateGrant,
    /// Reveals that another customer's dialog is pending.
    TellsOfOthers,
    /// Always says that a taken id has the same content.
    SameContentAlways,
    /// Returns the date of the clock, even if it went back.
    FollowsTheClockBack,
    OldestFirst,
    /// Sorts equal dates ascending.
    EqualDatesAscending,
    TotalOfThePage,
    TotalBehindTheCursor,
    TotalUnasked,
    /// Treats `to` as inclusive.
    ToInclusive,
    /// Treats `from` as exclusive.
    FromExclusive,
    LanguageByCase,
    /// Returns languages in lower case.
    LanguageFolded,
    /// Returns texts without white space around them.
    TextTrimmed,
    /// Starts at the newest dialog if the offset does not fit into a signed number.
    OffsetWraps,
    /// Points `next` at the first dialog of the page instead of the last.
    NextRepeats,
    NextOfALastFullPage,
    SubjectWithoutPending,
    ErasesAnybodys,
    CountsErasedTwice,
    /// Answers an erasure of a customer while one of the dialogs is still there.
    AnswersTooEarly,
    PurgesAtTheDate,
    PurgesNewestFirst,
    /// Checks whether an id is free and then takes it, as if no other call could come between.
    RacingInserts,
    ImportsWithoutDates,
    /// Ignores the bounds of a reader.
    IgnoresReach,
    ImportsFromTheFuture,
    ImportsOneByOne,
    CountsNoLanguages,
    EvidenceWithoutEmpty,
    RevisionStandsStill,
    /// Returns the events from last to first.
    EventsOutOfOrder,
    /// Puts withdrawals into another chain than grants.
    ChangesChains,
    /// Reports a waiting erasure even after a scrub.
    NeverScrubs,
    /// Returns grants without their dialogs.
    ChangesWithoutDialogs,
    /// Does not hold early grants.
    ForgetsEarlyDecisions,
    /// Holds an early grant for ever.
    HoldsForEver,
    /// Restarts the time of a held grant when it is repeated.
    HoldsAnew,
    /// Never forgets a tombstone.
    KeepsTombstones,
    /// Reports a revoked key as not revoked.
    ForgetsRevocations,
    /// Answers some queries with the page that it read the time before.
    StalePages,
    /// Counts the total of a page, lets other calls come between, and reads the items.
    TotalOfAnotherMoment,
    /// Answers some grants without recording them.
    LosesDecisions,
    /// Stores a dialog that comes again after it was withdrawn or erased.
    BringsBack,
    /// Erases the dialogs of a customer in one commit each.
    ErasesOneByOne,
}

/// A store in memory with one fault.
pub(crate) struct Faulty {
    fault: Fault,
    clock: ManualClock,
    store: MemoryStore,
    /// Every dialog that a caller tried to store.
    inserted: Mutex<Vec<NewDialog>>,
    /// The last page of each request.
    pages: Mutex<HashMap<PageRequest, Page<Dialog>>>,
    calls: AtomicUsize,
}

impl Faulty {
    pub(crate) fn new(fault: Fault, clock: ManualClock) -> Self {
        let store = MemoryStore::new(Arc::new(clock.clone()), RefKey::from_bytes([7; 32]));
        let (inserted, pages, calls) = Default::default();
        Self { fault, clock, store, inserted, pages, calls }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn bounds<'r>(&self, reach: &'r Reach) -> &'r Reach {
        static ALL: LazyLock<Reach> = LazyLock::new(Reach::default);
        if self.has(Fault::IgnoresReach) { &ALL } else { reach }
    }

    fn remade(&self, dialog: &Dialog, date: Date) -> Dialog {
        let mut text = dialog.text().clone();
        let mut language = dialog.language().clone();
        if self.has(Fault::TextTrimmed) && !text.as_str().trim().is_empty() {
            let trimmed = text.as_str().trim().to_owned();
            text = Text::parse(trimmed, Text::DEFAULT_MAX_BYTES).expect("not empty");
        }
        if self.has(Fault::LanguageFolded) {
            language = language.as_str().to_ascii_lowercase().parse().expect("still a tag");
        }
        let (customer_id, dialog_id) = (dialog.customer_id().clone(), dialog.dialog_id().clone());
        let dialog = NewDialog { customer_id, dialog_id, language, text };
        StoredDialog::new(dialog, date, true).readable().expect("it is consented")
    }

    /// Whether this is a call in which a fault that does not always show shows.
    fn is_time(&self) -> bool {
        self.calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(3)
    }

    fn remember(&self, dialog: &NewDialog) {
        self.inserted.lock().expect("nobody panics with it").push(dialog.clone());
    }

    fn remembered(&self) -> Vec<NewDialog> {
        self.inserted.lock().expect("nobody panics with it").clone()
    }

    /// Returns all pending dialogs of all customers.
    async fn pending(&self) -> Vec<HeldDialog> {
        let mut pending = Vec::new();
        let mut customers: Vec<_> =
            self.remembered().into_iter().map(|dialog| dialog.customer_id).collect();
        customers.sort();
        customers.dedup();
        for customer in customers {
            let window = Window { limit: Limit::MAX, ..Window::default() };
            let request = SubjectRequest::new(customer, window).expect("it has no cursor");
            let held = self.store.subject_data(&request).await.expect("memory answers").items;
            pending.extend(held.into_iter().filter(|held| !held.consent_received()));
        }
        pending
    }

    /// Returns all consented dialogs that match.
    async fn all(&self, filter: Filter) -> Vec<Dialog> {
        let mut window = Window { limit: Limit::MAX, ..Window::default() };
        let mut all = Vec::new();
        loop {
            let request = PageRequest::new(filter.clone(), window.clone()).expect("its own cursor");
            let page = self.store.query(&request).await.expect("memory answers");
            all.extend(page.items);
            match page.next {
                Some(next) => window.start = Start::After(next),
                None => return all,
            }
        }
    }
}

#[async_trait]
impl Dialogs for Faulty {
    dataapi_core::delegate!(consent to store);

    async fn insert(&self, dialog: NewDialog) -> Result<Received, StoreError> {
        let free = self.has(Fault::RacingInserts)
            && self.store.consent(&dialog.dialog_id).await.is_err()
            && pause().await;
        self.remember(&dialog);
        if self.has(Fault::BringsBack)
            && let Err(StoreError::Gone) = self.store.insert(dialog.clone()).await
        {
            self.store.purge(Purge::Tombstones, Date::MAX, u32::MAX).await?;
        }
        let seems_received = Received { date: self.clock.now(), is_consented: false };
        match self.store.insert(dialog).await {
            Err(StoreError::Exists { .. }) if free => Ok(seems_received),
            Err(StoreError::Gone) if self.has(Fault::ForgetsTombstones) => Ok(seems_received),
            Err(StoreError::Exists { .. }) if self.has(Fault::SameContentAlways) => {
                Err(StoreError::Exists { same_content: true })
            }
            Ok(received) if self.has(Fault::FollowsTheClockBack) => {
                Ok(Received { date: self.clock.now(), ..received })
            }
            answer => answer,
        }
    }

    async fn import(
        &self,
        mut batch: Vec<ImportedDialog>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let now = self.clock.now();
        for item in &mut batch {
            self.remember(&item.dialog);
            match self.fault {
                Fault::ImportsWithoutDates => item.date = item.date.filter(|date| *date > now),
                Fault::ImportsFromTheFuture => item.date = item.date.filter(|date| *date <= now),
                _ => {}
            }
        }
        if self.has(Fault::ImportsOneByOne) {
            let mut answers = Vec::new();
            for item in batch {
                answers.extend(self.store.import(vec![item]).await?);
                pause().await;
            }
            return Ok(answers);
        }
        let mut answers = self.store.import(batch).await?;
        if self.has(Fault::ImportsGoneIds) {
            for answer in &mut answers {
                if matches!(answer, Err(StoreError::Gone)) {
                    *answer = Ok(());
                }
            }
        }
        Ok(answers)
    }

    async fn decide(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        mut evidence: Evidence,
    ) -> Result<Receipt, StoreError> {
        if self.has(Fault::EvidenceWithoutEmpty) {
            evidence.notice = evidence.notice.filter(|piece| !piece.as_str().is_empty());
        }
        if self.has(Fault::LosesDecisions)
            && decision == Decision::Granted
            && self.store.consent(&dialog_id).await?.state == ConsentState::Pending
            && self.is_time()
        {
            let reference = self.store.reference(&dialog_id);
            let (head, date) = (ChainHead::EMPTY, self.clock.now());
            let event = head.next(reference, EventKind::Granted, date, evidence);
            return Ok(Receipt { dialog_id, decision, event });
        }
        let answer = self.store.decide(dialog_id.clone(), decision, evidence.clone()).await;
        let date = self.clock.now();
        match answer {
            Ok(mut receipt) if self.has(Fault::ChangesChains) => {
                receipt.event.chain = u16::from(decision == Decision::Withdrawn);
                Ok(receipt)
            }
            Ok(receipt) if self.has(Fault::SecondReceipt) => {
                Ok(Receipt { event: Event { date, evidence, ..receipt.event.clone() }, ..receipt })
            }
            Err(StoreError::Conflict) if self.has(Fault::LateGrant) => {
                let reference = DialogRef::from_bytes([0; 32]);
                let event = ChainHead::EMPTY.next(reference, EventKind::Granted, date, evidence);
                Ok(Receipt { dialog_id, decision, event })
            }
            answer => answer,
        }
    }

    async fn decide_early(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
        hold_for: Duration,
    ) -> Result<EarlyDecision, StoreError> {
        let date = self.clock.now();
        let hold_for = match self.fault {
            Fault::HoldsForEver => Duration::MAX,
            Fault::ForgetsEarlyDecisions if decision == Decision::Granted => Duration::ZERO,
            _ => hold_for,
        };
        let answer = self.store.decide_early(dialog_id, decision, evidence, hold_for).await?;
        match answer {
            EarlyDecision::Held(held) if self.has(Fault::HoldsAnew) => {
                let until = held.until.map(|_| date.saturating_add(hold_for));
                Ok(EarlyDecision::Held(HeldDecision { date, until, ..held }))
            }
            answer => Ok(answer),
        }
    }

    async fn dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
        reach: &Reach,
    ) -> Result<Dialog, StoreError> {
        let answer = self.store.dialog(customer_id, dialog_id, self.bounds(reach)).await;
        if self.has(Fault::TellsOfOthers) && matches!(answer, Err(StoreError::NotFound)) {
            let status = self.store.consent(dialog_id).await?;
            if status.state == ConsentState::Pending {
                return Err(StoreError::ConsentRequired);
            }
        }
        answer.map(|dialog| self.remade(&dialog, dialog.date()))
    }

    async fn query(&self, request: &PageRequest) -> Result<Page<Dialog>, StoreError> {
        let (filter, window) = (request.filter(), request.window());
        let mut page = self.store.query(request).await?;
        page.items = page.items.iter().map(|it| self.remade(it, it.date())).collect();
        match self.fault {
            Fault::StalePages => {
                let mut pages = self.pages.lock().expect("nobody panics with it");
                let before = pages.insert(request.clone(), page.clone());
                return Ok(before.filter(|_| self.is_time()).unwrap_or(page));
            }
            Fault::TotalOfAnotherMoment => {
                pause().await;
                let later = self.store.query(request).await?;
                return Ok(Page { total: page.total, ..later });
            }
            Fault::OldestFirst => page.items.reverse(),
            Fault::EqualDatesAscending => page.items.sort_by(|one, other| {
                let dates = other.date().cmp(&one.date());
                dates.then_with(|| one.dialog_id().cmp(other.dialog_id()))
            }),
            Fault::TotalOfThePage => page.total = page.total.map(|_| page.items.len() as u64),
            Fault::TotalUnasked => page.total = page.total.or(Some(0)),
            Fault::TotalBehindTheCursor => {
                if let Start::After(cursor) = &window.start {
                    let all = self.all(filter.clone()).await;
                    let behind = all.iter().filter(|it| it.position() > *cursor.position());
                    page.total = page.total.map(|_| behind.count() as u64);
                }
            }
            Fault::ToInclusive => {
                if let (Some(to), Start::Offset(0)) = (filter.to(), &window.start) {
                    let at = Some(to.saturating_add(Duration::from_micros(1)));
                    let wider = filter.clone().between(filter.from(), at)?;
                    let wider = PageRequest::new(wider, window.clone())?;
                    return self.store.query(&wider).await;
                }
            }
            Fault::FromExclusive => {
                page.items.retain(|it| filter.from().is_none_or(|from| from < it.date()));
            }
            Fault::LanguageByCase => {
                page.items.retain(|it| is_asked_by_case(filter, it.language().as_str()));
            }
            Fault::OffsetWraps if i64::try_from(window.offset()).is_err() => {
                page.items = self.all(filter.clone()).await;
            }
            Fault::NextRepeats => {
                let first = page.items.first().map(Positioned::position);
                page.next = page.next.and(first).map(|it| Cursor::in_filter(filter, it));
            }
            Fault::NextOfALastFullPage if page.items.len() == window.limit.get() => {
                let last = page.items.last().map(Positioned::position);
                page.next = last.map(|it| Cursor::in_filter(filter, it));
            }
            Fault::IgnoresReach => {
                let wider = filter.clone().within(Reach::default());
                let start = match &window.start {
                    Start::Offset(offset) => Start::Offset(*offset),
                    Start::After(cursor) => {
                        Start::After(Cursor::in_filter(&wider, cursor.position().clone()))
                    }
                };
                let window = Window { start, ..window.clone() };
                let mut page = self.store.query(&PageRequest::new(wider, window)?).await?;
                let next = page.next.map(|next| Cursor::in_filter(filter, next.position().clone()));
                page.next = next;
                return Ok(page);
            }
            _ => {}
        }
        Ok(page)
    }

    async fn is_within(&self, reach: &Reach, dialog_id: &DialogId) -> Result<bool, StoreError> {
        self.store.is_within(self.bounds(reach), dialog_id).await
    }

    async fn subject_data(&self, request: &SubjectRequest) -> Result<Page<HeldDialog>, StoreError> {
        let mut page = self.store.subject_data(request).await?;
        if self.has(Fault::SubjectWithoutPending) {
            page.items.retain(HeldDialog::consent_received);
        }
        Ok(page)
    }

    async fn erase_dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
    ) -> Result<(), StoreError> {
        if self.has(Fault::ErasesAnybodys) {
            let remembered = self.remembered();
            for dialog in remembered.iter().filter(|dialog| dialog.dialog_id == *dialog_id) {
                if self.store.erase_dialog(&dialog.customer_id, dialog_id).await.is_ok() {
                    return Ok(());
                }
            }
        }
        self.store.erase_dialog(customer_id, dialog_id).await
    }

    async fn erase_customer(&self, customer_id: &CustomerId) -> Result<u64, StoreError> {
        if self.has(Fault::AnswersTooEarly) {
            let filter = Filter::default().customer(customer_id.clone());
            let window = Window { limit: Limit::MAX, ..Window::default() };
            let request = PageRequest::new(filter, window).expect("it has no cursor");
            let consented = self.store.query(&request).await?.items;
            for dialog in consented.iter().skip(1) {
                self.store.erase_dialog(customer_id, dialog.dialog_id()).await?;
            }
            return Ok(consented.len() as u64);
        }
        if self.has(Fault::ErasesOneByOne) {
            let window = Window { limit: Limit::MAX, ..Window::default() };
            let request = SubjectRequest::new(customer_id.clone(), window)?;
            let mut erased = 0;
            for held in self.store.subject_data(&request).await?.items {
                let answer = self.store.erase_dialog(customer_id, held.dialog_id()).await;
                erased += u64::from(answer.is_ok());
                pause().await;
            }
            return Ok(erased);
        }
        let erased = self.store.erase_customer(customer_id).await?;
        Ok(if self.has(Fault::CountsErasedTwice) { erased * 2 } else { erased })
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        let mut stats = self.store.stats().await?;
        if self.has(Fault::CountsNoLanguages) {
            stats.consented_by_language.clear();
        }
        Ok(stats)
    }
}

#[async_trait]
impl Ledger for Faulty {
    dataapi_core::delegate!(ledger_head to store);

    async fn events(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Event>, StoreError> {
        if self.has(Fault::EventsOutOfOrder) {
            let mut events = self.store.events(after, limit, self.bounds(reach)).await?;
            events.reverse();
            return Ok(events);
        }
        self.store.events(after, limit, self.bounds(reach)).await
    }

    async fn changes(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Change>, StoreError> {
        let mut changes = self.store.changes(after, limit, self.bounds(reach)).await?;
        if self.has(Fault::ChangesWithoutDialogs) {
            for change in &mut changes {
                change.dialog = None;
            }
        }
        Ok(changes)
    }
}

#[async_trait]
impl Keys for Faulty {
    dataapi_core::delegate!(create_key, revoke_key, note_key_use to store);

    async fn keys(&self) -> Result<Vec<Key>, StoreError> {
        let mut keys = self.store.keys().await?;
        if self.has(Fault::ForgetsRevocations) {
            for key in &mut keys {
                key.revoked = None;
            }
        }
        Ok(keys)
    }
}

#[async_trait]
impl Upkeep for Faulty {
    dataapi_core::delegate!(purgeable, reference, info, ready, scrub to store);

    async fn purge(&self, which: Purge, before: Date, at_most: u32) -> Result<u64, StoreError> {
        match self.fault {
            Fault::KeepsTombstones if which == Purge::Tombstones => Ok(0),
            Fault::PurgesAtTheDate => {
                let after = before.saturating_add(Duration::from_micros(1));
                self.store.purge(which, after, at_most).await
            }
            Fault::PurgesNewestFirst if which == Purge::Pending => {
                let mut pending = self.pending().await;
                pending.retain(|held| held.date() < before);
                pending.sort_by_key(Positioned::position);
                pending.truncate(at_most as usize);
                for held in &pending {
                    self.store.erase_dialog(held.customer_id(), held.dialog_id()).await?;
                }
                Ok(pending.len() as u64)
            }
            _ => self.store.purge(which, before, at_most).await,
        }
    }

    fn revision(&self) -> Option<Revision> {
        if self.has(Fault::RevisionStandsStill) {
            return Some(Revision::new(0));
        }
        self.store.revision()
    }

    fn activity(&self) -> Activity {
        let unscrubbed = self.has(Fault::NeverScrubs).then_some(Duration::ZERO);
        Activity { unscrubbed, ..self.store.activity() }
    }
}

/// Lets other calls come between. Always returns true.
async fn pause() -> bool {
    tokio::task::yield_now().await;
    true
}

fn is_asked_by_case(filter: &Filter, tag: &str) -> bool {
    let asked = filter.language_ranges();
    asked.is_empty() || asked.iter().any(|range| range.to_string() == tag)
}
