//! The transaction that all waiting writes share: looks up what they need, and applies events to rows.
//!
//! The [rules](dataapi_core::consent::rules) in core decide what a write does.

use dataapi_core::consent::rules::{EarlyGrant, HeldRecord, NewEvent, Record};
use dataapi_core::{ChainHead, Clock, Date, DialogId, DialogRef, Event, EventKind, RefKey};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::rows::chains::Chains;
use crate::rows::event_number::EventNumber;
use crate::rows::identity::Identity;
use crate::rows::{dialogs, early_grants, ledger, tombstones, values};
use crate::write::counts::CountChanges;

/// An open transaction. If it is dropped without [`Transaction::commit`], it is rolled back.
pub(crate) struct Transaction<'c> {
    pub(super) sql: rusqlite::Transaction<'c>,
    pub(super) key: &'c RefKey,
    pub(super) chains: &'c Chains,
    clock: &'c dyn Clock,
    pub(super) last_date: Date,
    /// How many grants are held for dialogs that have not come yet.
    pub(super) early: i64,
    /// The head of the store's own chain, once it is looked up.
    head: Option<ChainHead>,
    pub(super) changes: CountChanges,
}

/// A stored dialog, with what a write needs to know of it.
pub(super) struct FoundDialog {
    pub(super) seq: i64,
    pub(super) dialog_id: DialogId,
    pub(super) held: HeldRecord<EventNumber>,
}

/// The columns that [`FoundDialog::read`] reads, in its order.
pub(super) const FOUND_COLUMNS: &str = "seq, customer_id, dialog_id, language, date, granted";

impl<'c> Transaction<'c> {
    /// Begins a transaction with SQLite's write lock, for which it waits for a bounded time.
    pub(crate) fn begin(
        connection: &'c Connection,
        identity: &'c Identity,
        clock: &'c dyn Clock,
    ) -> rusqlite::Result<Self> {
        let sql = rusqlite::Transaction::new_unchecked(
            connection,
            rusqlite::TransactionBehavior::Immediate,
        )?;
        let (last_date, early) = sql
            .prepare_cached("SELECT last_date, early FROM store")?
            .query_row((), |row| Ok((values::date(row, 0)?, row.get(1)?)))?;
        let (key, chains) = (&identity.key, &identity.chains);
        let changes = CountChanges::default();
        Ok(Self { sql, key, chains, clock, last_date, early, head: None, changes })
    }

    /// Whether the transaction erases anything.
    pub(crate) fn erases(&self) -> bool {
        self.changes.erases
    }

    /// Commits the transaction. When this returns `Ok`, it is on disk.
    pub(crate) fn commit(self) -> rusqlite::Result<()> {
        if self.changes.any {
            self.changes.write(&self.sql, self.last_date, self.early)?;
        }
        self.sql.commit()
    }

    /// The current date, but not before any date that the store handed out.
    pub(super) fn now(&self) -> Date {
        self.clock.now().max(self.last_date)
    }

    /// Keeps a date that was handed out for something other than a dialog or an event.
    pub(super) fn keep_date(&mut self, now: Date) {
        self.last_date = now;
        self.changes.any = true;
    }

    /// Looks up what has an id: a dialog, with its row, or a tombstone, a held grant, or nothing.
    pub(super) fn record(
        &self,
        dialog_id: &DialogId,
        reference: &DialogRef,
    ) -> rusqlite::Result<(Record, Option<i64>)> {
        if let Some(FoundDialog { seq, held, .. }) = self.find(dialog_id)? {
            let HeldRecord { customer_id, language, received, is_imported, granted } = held;
            let event = |number| ledger::of(&self.sql, self.chains, reference, number);
            let granted = granted.map(event).transpose()?;
            let held = HeldRecord { customer_id, language, received, is_imported, granted };
            return Ok((Record::Held(held), Some(seq)));
        }
        if let Some(gone) = tombstones::find(&self.sql, self.chains, reference)? {
            return Ok((Record::Gone(gone), None));
        }
        Ok((self.early_grant(reference)?.map_or(Record::Absent, Record::Awaited), None))
    }

    /// Finds a stored dialog.
    pub(super) fn find(&self, dialog_id: &DialogId) -> rusqlite::Result<Option<FoundDialog>> {
        self.sql
            .prepare_cached(&format!("SELECT {FOUND_COLUMNS} FROM dialog WHERE dialog_id = ?1"))?
            .query_row([dialog_id.as_str()], FoundDialog::read)
            .optional()
    }

    /// The grant that is held for a dialog. If the store holds no grants at all, this reads nothing.
    fn early_grant(&self, reference: &DialogRef) -> rusqlite::Result<Option<EarlyGrant>> {
        if self.early == 0 { Ok(None) } else { early_grants::find(&self.sql, reference) }
    }

    /// Removes the grant that is held for a dialog, and returns it.
    pub(super) fn take_early_grant(
        &mut self,
        reference: &DialogRef,
    ) -> rusqlite::Result<Option<EarlyGrant>> {
        if self.early == 0 {
            return Ok(None);
        }
        let taken = early_grants::take(&self.sql, reference)?;
        if taken.is_some() {
            self.changes.any = true;
            self.early -= 1;
        }
        Ok(taken)
    }

    /// Appends an event to the ledger, and changes the rows of its dialog to match.
    pub(super) fn apply<G>(
        &mut self,
        new: NewEvent,
        reference: DialogRef,
        record: &Record<G>,
        seq: Option<i64>,
        now: Date,
    ) -> rusqlite::Result<Event> {
        let event = self.append(new, reference, seq, now)?;
        let number = self.event_number(event.position);
        match (event.kind, record, seq) {
            (EventKind::Granted, Record::Held(held), Some(seq)) => {
                dialogs::grant(&self.sql, seq, number)?;
                self.changes.pending(-1);
                self.changes.consented(&held.customer_id, &held.language, 1);
            }
            // A dialog that arrives with its grant is stored as consented in the first place.
            (EventKind::Granted, ..) => {}
            (EventKind::Withdrawn | EventKind::Erased | EventKind::Expired, ..) => {
                tombstones::add(&self.sql, &reference, number)?;
                self.changes.any = true;
                *self.changes.gone(event.kind) += 1;
                self.remove(&reference, record, seq)?;
            }
        }
        Ok(event)
    }

    /// Removes what is stored under the id of a dialog that was withdrawn or erased.
    fn remove<G>(
        &mut self,
        reference: &DialogRef,
        record: &Record<G>,
        seq: Option<i64>,
    ) -> rusqlite::Result<()> {
        match record {
            Record::Absent | Record::Gone(_) => {}
            Record::Awaited(_) => {
                self.take_early_grant(reference)?;
            }
            Record::Held(held) => {
                self.sql.prepare_cached("DELETE FROM dialog WHERE seq = ?1")?.execute([seq])?;
                match held.granted {
                    Some(_) => self.changes.consented(&held.customer_id, &held.language, -1),
                    None => self.changes.pending(-1),
                }
                self.changes.erases = true;
            }
        }
        Ok(())
    }

    /// Appends an event to the ledger.
    pub(super) fn append(
        &mut self,
        new: NewEvent,
        reference: DialogRef,
        seq: Option<i64>,
        now: Date,
    ) -> rusqlite::Result<Event> {
        let event = new.follow(&self.head()?, reference, now.max(self.last_date));
        ledger::append(&self.sql, self.chains, &event, seq)?;
        self.head = Some(event.head());
        self.last_date = event.date;
        Ok(event)
    }

    /// The number that the next event will have.
    pub(super) fn next_event(&mut self) -> rusqlite::Result<EventNumber> {
        let position = self.head()?.position + 1;
        Ok(self.event_number(position))
    }

    fn head(&mut self) -> rusqlite::Result<ChainHead> {
        if let Some(head) = self.head {
            return Ok(head);
        }
        Ok(*self.head.insert(ledger::head(&self.sql, self.chains)?))
    }

    /// The number of the event at this position of the store's own chain.
    fn event_number(&self, position: u64) -> EventNumber {
        self.chains.live().event_number(position)
    }
}

impl FoundDialog {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let held = HeldRecord {
            customer_id: values::parsed(row, 1)?,
            language: values::language(row, 3)?,
            received: values::date(row, 4)?,
            // The row does not say whether the date is another store's. A date of this store is never in the future,
            // so `true` gives the right answer for both.
            is_imported: true,
            granted: row.get(5)?,
        };
        Ok(Self { seq: row.get(0)?, dialog_id: values::parsed(row, 2)?, held })
    }
}
