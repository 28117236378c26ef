//! What a write does to the database, inside the transaction that it shares with others.

use std::time::Duration;

use dataapi_core::{
    ChainHead, Clock, ConsentRecord, CustomerId, Date, Decision, DialogId, DialogRef,
    EarlyDecision, Event, EventKind, Evidence, HeldDecision, ImportedDialog, Invalid, KeyName,
    Language, NewDialog, NewKey, Purge, Receipt, Received, RefKey, StoreError, StoredDialog,
    Transition,
};
use rusqlite::{Connection, OptionalExtension};

use crate::error::SqliteError;
use crate::rows::chains::Chains;
use crate::rows::dialogs::{self, DialogRow};
use crate::rows::event_number::EventNumber;
use crate::rows::identity::Identity;
use crate::rows::{checksum, keys, ledger, tombstones, values};
use crate::write::counts::CountChanges;

/// An open transaction; dropped without [`Transaction::commit`] it is rolled back.
pub(crate) struct Transaction<'c> {
    sql: rusqlite::Transaction<'c>,
    key: &'c RefKey,
    chains: &'c Chains,
    clock: &'c dyn Clock,
    last_date: Date,
    /// How many decisions are held for dialogs that are yet to come.
    early: i64,
    /// The end of the chain that grows, once it was looked up.
    head: Option<ChainHead>,
    changes: CountChanges,
}

/// A dialog that is there, as far as a write has to know it.
struct FoundDialog {
    seq: i64,
    customer_id: CustomerId,
    dialog_id: DialogId,
    language: Language,
    received: Date,
    /// The number of the event of its consent.
    granted: Option<EventNumber>,
}

/// What came of a dialog of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PutBack {
    Done,
    IsThere,
    Gone,
}

const ROW_COLUMNS: &str = "seq, customer_id, dialog_id, language, date, granted";

impl<'c> Transaction<'c> {
    /// Takes the write lock, waiting for other processes for a bounded time.
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

    /// Whether it erases anything.
    pub(crate) fn erases(&self) -> bool {
        self.changes.erases
    }

    /// Makes all of it durable.
    pub(crate) fn commit(self) -> rusqlite::Result<()> {
        if self.changes.any {
            self.changes.write(&self.sql, self.last_date, self.early)?;
        }
        self.sql.commit()
    }

    pub(crate) fn insert(&mut self, dialog: &NewDialog) -> Result<Received, SqliteError> {
        let date = self.now();
        let is_consented = self.store(dialog, date, None)?;
        self.last_date = date;
        Ok(Received { date, is_consented })
    }

    pub(crate) fn import(&mut self, imported: &ImportedDialog) -> Result<(), SqliteError> {
        let ImportedDialog { dialog, date, consented } = imported;
        let now = self.now();
        // An id that is taken or gone is the more useful thing to know.
        if date.is_some_and(|date| date > now) {
            self.check_free(dialog)?;
            return Err(Invalid::new("date", "must not lie in the future").into());
        }
        self.store(dialog, date.unwrap_or(now), consented.then(Evidence::of_import))?;
        if date.is_none() {
            self.last_date = now;
        }
        Ok(())
    }

    pub(crate) fn decide(
        &mut self,
        dialog_id: &DialogId,
        decision: Decision,
        evidence: &Evidence,
    ) -> Result<Receipt, SqliteError> {
        match self.decide_known(dialog_id, decision, evidence)? {
            Some(receipt) => Ok(receipt),
            None => self.end_early(dialog_id, decision, evidence),
        }
    }

    /// Decides on a dialog that is there or was; `None` if it is neither.
    fn decide_known(
        &mut self,
        dialog_id: &DialogId,
        decision: Decision,
        evidence: &Evidence,
    ) -> Result<Option<Receipt>, SqliteError> {
        let row = self.find(dialog_id)?;
        let record = match &row {
            Some(FoundDialog { received, granted: None, .. }) => {
                ConsentRecord::Pending { received: *received }
            }
            Some(FoundDialog { granted: Some(number), .. }) => {
                let reference = self.key.reference(dialog_id);
                ConsentRecord::Decided(ledger::of(&self.sql, self.chains, &reference, *number)?)
            }
            None => match self.gone(dialog_id)? {
                Some(gone) => ConsentRecord::Decided(gone),
                None => return Ok(None),
            },
        };
        let event = match (record.decide(decision)?, row) {
            (Transition::None(event), _) => event,
            (Transition::Grant, Some(row)) => self.grant(&row, evidence)?,
            (Transition::Withdraw, Some(row)) => {
                self.erase(&row, EventKind::Withdrawn, evidence)?
            }
            (Transition::Grant | Transition::Withdraw, None) => {
                return Err(StoreError::NotFound.into());
            }
        };
        Ok(Some(Receipt { dialog_id: dialog_id.clone(), decision, event }))
    }

    pub(crate) fn decide_early(
        &mut self,
        dialog_id: &DialogId,
        decision: Decision,
        evidence: &Evidence,
        hold_for: Duration,
    ) -> Result<EarlyDecision, SqliteError> {
        if let Some(receipt) = self.decide_known(dialog_id, decision, evidence)? {
            return Ok(EarlyDecision::Recorded(receipt));
        }
        let reference = self.key.reference(dialog_id);
        let (date, until) = match decision {
            Decision::Withdrawn => {
                self.early_grant(&reference)?;
                (self.bury(reference, EventKind::Withdrawn, evidence, None)?.date, None)
            }
            Decision::Granted => {
                let (date, until) = self.hold(&reference, evidence, hold_for)?;
                (date, Some(until))
            }
        };
        let dialog_id = dialog_id.clone();
        Ok(EarlyDecision::Held(HeldDecision { dialog_id, decision, date, until }))
    }

    /// A *no* to what is yet to come ends the *yes* that is held for it.
    fn end_early(
        &mut self,
        dialog_id: &DialogId,
        decision: Decision,
        evidence: &Evidence,
    ) -> Result<Receipt, SqliteError> {
        let reference = self.key.reference(dialog_id);
        if decision == Decision::Granted || self.early_grant(&reference)?.is_none() {
            return Err(StoreError::NotFound.into());
        }
        let event = self.bury(reference, EventKind::Withdrawn, evidence, None)?;
        Ok(Receipt { dialog_id: dialog_id.clone(), decision, event })
    }

    /// Holds a *yes* unless one is held already; tells since when and until when.
    fn hold(
        &mut self,
        reference: &DialogRef,
        evidence: &Evidence,
        hold_for: Duration,
    ) -> rusqlite::Result<(Date, Date)> {
        let now = self.now();
        let ended = self
            .sql
            .prepare_cached("DELETE FROM early_grant WHERE until <= ?1")?
            .execute([now.as_micros()])?;
        let [notice, method, locale] = evidence.pieces();
        let until = now.saturating_add(hold_for);
        let held = self
            .sql
            .prepare_cached(
                "INSERT INTO early_grant VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?
            .execute((
                reference.as_bytes(),
                now.as_micros(),
                until.as_micros(),
                notice,
                method,
                locale,
            ))?;
        self.changes.any = true;
        self.early += i64::try_from(held).unwrap_or(0) - i64::try_from(ended).unwrap_or(0);
        self.last_date = now;
        self.sql
            .prepare_cached("SELECT date, until FROM early_grant WHERE ref = ?1")?
            .query_row([reference.as_bytes()], |row| {
                Ok((values::date(row, 0)?, values::date(row, 1)?))
            })
    }

    /// Takes out the *yes* that is held for a dialog, if there is one.
    fn early_grant(&mut self, reference: &DialogRef) -> rusqlite::Result<Option<Evidence>> {
        if self.early == 0 {
            return Ok(None);
        }
        let held = self
            .sql
            .prepare_cached(
                "DELETE FROM early_grant WHERE ref = ?1 RETURNING until, notice, method, locale",
            )?
            .query_row([reference.as_bytes()], |row| {
                Ok((values::date(row, 0)?, values::evidence(row, 1)?))
            })
            .optional()?;
        let Some((until, evidence)) = held else { return Ok(None) };
        self.changes.any = true;
        self.early -= 1;
        Ok((self.now() < until).then_some(evidence))
    }

    /// Puts a dialog of a backup back, in the state that its row says by this ledger, unless its id is
    /// in use or gone.
    pub(crate) fn put_back(&mut self, row: &DialogRow) -> Result<PutBack, SqliteError> {
        let reference = self.key.reference(&row.dialog.dialog_id);
        if self.is_gone(&reference)? {
            return Ok(PutBack::Gone);
        }
        let DialogRow { dialog, date, granted, .. } = row;
        let Some(seq) = self.insert_row(dialog, *date, *granted)? else {
            return Ok(PutBack::IsThere);
        };
        let held = self.early_grant(&reference)?;
        if let Some(number) = *granted {
            // Where the event finds its dialog from now on.
            self.sql
                .prepare_cached("UPDATE event SET seq = ?2 WHERE position = ?1")?
                .execute((number, seq))?;
            self.changes.consented(&dialog.customer_id, &dialog.language, 1);
            return Ok(PutBack::Done);
        }
        self.changes.pending(1);
        if let Some(evidence) = held {
            let row = self.find(&dialog.dialog_id)?.ok_or(StoreError::NotFound)?;
            self.grant(&row, &evidence)?;
        }
        Ok(PutBack::Done)
    }

    pub(crate) fn erase_dialog(
        &mut self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
    ) -> Result<(), SqliteError> {
        match self.find(dialog_id)? {
            Some(row) if row.customer_id == *customer_id => {
                self.erase(&row, EventKind::Erased, &Evidence::default())?;
                Ok(())
            }
            _ => Err(StoreError::NotFound.into()),
        }
    }

    pub(crate) fn erase_customer(&mut self, customer_id: &CustomerId) -> Result<u64, SqliteError> {
        let held = self.rows(
            &format!(
                "SELECT {ROW_COLUMNS} FROM dialog INDEXED BY consented_by_customer
                 WHERE granted IS NOT NULL AND customer_id = ?1
                 UNION ALL
                 SELECT {ROW_COLUMNS} FROM dialog INDEXED BY pending_by_customer
                 WHERE granted IS NULL AND customer_id = ?1"
            ),
            [customer_id.as_str()],
        )?;
        self.erase_all(&held, EventKind::Erased)
    }

    pub(crate) fn purge(
        &mut self,
        which: Purge,
        before: Date,
        at_most: u32,
    ) -> Result<u64, SqliteError> {
        let Some(due) = dialogs::due(which) else {
            return Ok(self.forget(before, at_most)?);
        };
        let expired = self.rows(
            &format!(
                "SELECT {ROW_COLUMNS} FROM dialog {due} AND date < ?1
                 ORDER BY date, dialog_id LIMIT ?2"
            ),
            (before.as_micros(), at_most),
        )?;
        self.erase_all(&expired, EventKind::Expired)
    }

    /// Forgets tombstones, chain by chain in the order of their events: each event that ends a dialog
    /// has one until it is forgotten.
    fn forget(&mut self, before: Date, at_most: u32) -> rusqlite::Result<u64> {
        let mut left = at_most;
        for due in tombstones::due(&self.sql, self.chains, before)? {
            let ends = tombstones::ends(&self.sql, self.chains, &due, left)?;
            for event in &ends {
                self.sql
                    .prepare_cached("DELETE FROM tombstone WHERE ref = ?1")?
                    .execute([event.reference.as_bytes()])?;
                *self.changes.gone(event.kind) -= 1;
            }
            let is_all = ends.len() < left as usize;
            left = left.saturating_sub(u32::try_from(ends.len()).unwrap_or(u32::MAX));
            let upto = match ends.last() {
                _ if is_all => due.last,
                Some(event) => due.chain.event_number(event.position),
                None => due.first,
            };
            self.changes.any = true;
            tombstones::set_forgotten(&self.sql, &due.chain, upto)?;
            if left == 0 {
                break;
            }
        }
        Ok(u64::from(at_most - left))
    }

    pub(crate) fn create_key(&mut self, key: &NewKey) -> Result<Date, SqliteError> {
        let now = self.now();
        if !keys::add(&self.sql, &key.clone().kept(now))? {
            return Err(Invalid::new("name", "must not be that of another key").into());
        }
        self.date_of(now);
        Ok(now)
    }

    pub(crate) fn revoke_key(&mut self, name: &KeyName) -> Result<bool, SqliteError> {
        let now = self.now();
        let found = keys::revoke(&self.sql, name, now)?;
        if found {
            self.date_of(now);
        }
        Ok(found)
    }

    pub(crate) fn note_key_use(&mut self, used: &[(KeyName, Date)]) -> Result<(), SqliteError> {
        for (name, date) in used {
            keys::note_use(&self.sql, name, *date)?;
        }
        Ok(())
    }

    /// Keeps a date that was given out without a dialog.
    fn date_of(&mut self, now: Date) {
        self.last_date = now;
        self.changes.any = true;
    }

    fn now(&self) -> Date {
        self.clock.now().max(self.last_date)
    }

    /// Stores a dialog, consented on that evidence or on that of a *yes* that was held; tells whether
    /// it is.
    fn store(
        &mut self,
        dialog: &NewDialog,
        date: Date,
        imported: Option<Evidence>,
    ) -> Result<bool, SqliteError> {
        let reference = self.key.reference(&dialog.dialog_id);
        if self.is_gone(&reference)? {
            return Err(StoreError::Gone.into());
        }
        // None is held for an id that is taken.
        let evidence = self.early_grant(&reference)?.or(imported);
        // Its event follows once the id is known to be free.
        let event = match evidence {
            Some(_) => {
                let position = self.head()?.position + 1;
                Some(self.event_number(position))
            }
            None => None,
        };
        let Some(seq) = self.insert_row(dialog, date, event)? else {
            return Err(self.taken(dialog)?.into());
        };
        match evidence {
            None => self.changes.pending(1),
            Some(evidence) => {
                self.append(reference, EventKind::Granted, self.now(), evidence, Some(seq))?;
                self.changes.consented(&dialog.customer_id, &dialog.language, 1);
            }
        }
        Ok(event.is_some())
    }

    /// Adds the row of a dialog and tells which it is; `None` if its id is taken.
    fn insert_row(
        &self,
        dialog: &NewDialog,
        date: Date,
        granted: Option<EventNumber>,
    ) -> rusqlite::Result<Option<i64>> {
        let inserted = self
            .sql
            .prepare_cached(
                "INSERT INTO dialog
                     (dialog_id, customer_id, language, text, date, granted, checksum)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (dialog_id) DO NOTHING",
            )?
            .execute((
                dialog.dialog_id.as_str(),
                dialog.customer_id.as_str(),
                dialog.language.as_str(),
                dialog.text.as_str(),
                date.as_micros(),
                granted,
                checksum::dialog(dialog, date, granted),
            ))?;
        Ok((inserted == 1).then(|| self.sql.last_insert_rowid()))
    }

    fn check_free(&self, dialog: &NewDialog) -> Result<(), SqliteError> {
        if self.is_gone(&self.key.reference(&dialog.dialog_id))? {
            return Err(StoreError::Gone.into());
        }
        match self.find(&dialog.dialog_id)? {
            Some(_) => Err(self.taken(dialog)?.into()),
            None => Ok(()),
        }
    }

    /// How to refuse a dialog whose id is taken.
    fn taken(&self, dialog: &NewDialog) -> rusqlite::Result<StoreError> {
        let columns = dialogs::DIALOG_COLUMNS;
        let stored: StoredDialog = self
            .sql
            .prepare_cached(&format!("SELECT {columns} FROM dialog WHERE dialog_id = ?1"))?
            .query_row([dialog.dialog_id.as_str()], dialogs::stored_dialog)?;
        Ok(StoreError::Exists { same_content: stored.same_content(dialog) })
    }

    /// The event by which a dialog is gone.
    fn gone(&self, dialog_id: &DialogId) -> rusqlite::Result<Option<Event>> {
        tombstones::find(&self.sql, self.chains, &self.key.reference(dialog_id))
    }

    fn is_gone(&self, reference: &DialogRef) -> rusqlite::Result<bool> {
        self.sql
            .prepare_cached("SELECT 1 FROM tombstone WHERE ref = ?1")?
            .exists([reference.as_bytes()])
    }

    fn find(&self, dialog_id: &DialogId) -> rusqlite::Result<Option<FoundDialog>> {
        self.sql
            .prepare_cached(&format!("SELECT {ROW_COLUMNS} FROM dialog WHERE dialog_id = ?1"))?
            .query_row([dialog_id.as_str()], FoundDialog::read)
            .optional()
    }

    fn rows(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
    ) -> rusqlite::Result<Vec<FoundDialog>> {
        self.sql.prepare_cached(sql)?.query_map(parameters, FoundDialog::read)?.collect()
    }

    fn grant(&mut self, row: &FoundDialog, evidence: &Evidence) -> rusqlite::Result<Event> {
        let reference = self.key.reference(&row.dialog_id);
        let now = self.now();
        let event =
            self.append(reference, EventKind::Granted, now, evidence.clone(), Some(row.seq))?;
        dialogs::grant(&self.sql, row.seq, self.event_number(event.position))?;
        self.changes.pending(-1);
        self.changes.consented(&row.customer_id, &row.language, 1);
        Ok(event)
    }

    fn erase(
        &mut self,
        row: &FoundDialog,
        kind: EventKind,
        evidence: &Evidence,
    ) -> rusqlite::Result<Event> {
        let reference = self.key.reference(&row.dialog_id);
        let event = self.bury(reference, kind, evidence, Some(row.seq))?;
        self.sql.prepare_cached("DELETE FROM dialog WHERE seq = ?1")?.execute([row.seq])?;
        match row.granted {
            Some(_) => self.changes.consented(&row.customer_id, &row.language, -1),
            None => self.changes.pending(-1),
        }
        self.changes.erases = true;
        Ok(event)
    }

    /// Leaves a tombstone, and the event that it stands for.
    fn bury(
        &mut self,
        reference: DialogRef,
        kind: EventKind,
        evidence: &Evidence,
        seq: Option<i64>,
    ) -> rusqlite::Result<Event> {
        let event = self.append(reference, kind, self.now(), evidence.clone(), seq)?;
        tombstones::add(&self.sql, &reference, self.event_number(event.position))?;
        self.changes.any = true;
        *self.changes.gone(kind) += 1;
        Ok(event)
    }

    /// Adds what happened to the ledger, in the transaction in which it happens.
    fn append(
        &mut self,
        reference: DialogRef,
        kind: EventKind,
        date: Date,
        evidence: Evidence,
        seq: Option<i64>,
    ) -> rusqlite::Result<Event> {
        let event = self.head()?.next(reference, kind, date, evidence);
        ledger::append(&self.sql, self.chains, &event, seq)?;
        self.head = Some(event.head());
        self.last_date = date;
        Ok(event)
    }

    fn head(&mut self) -> rusqlite::Result<ChainHead> {
        if let Some(head) = self.head {
            return Ok(head);
        }
        Ok(*self.head.insert(ledger::head(&self.sql, self.chains)?))
    }

    /// The number of the event at that position of the chain that grows.
    fn event_number(&self, position: u64) -> EventNumber {
        self.chains.live().event_number(position)
    }

    fn erase_all(&mut self, rows: &[FoundDialog], kind: EventKind) -> Result<u64, SqliteError> {
        for row in rows {
            self.erase(row, kind, &Evidence::default())?;
        }
        Ok(rows.len() as u64)
    }
}

impl FoundDialog {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            customer_id: values::parsed(row, 1)?,
            dialog_id: values::parsed(row, 2)?,
            language: values::language(row, 3)?,
            received: values::date(row, 4)?,
            granted: row.get(5)?,
        })
    }
}
