//! Adds dialogs: received, imported, or put back from a backup.

use dataapi_core::consent::rules::{self, Arrival, Slot};
use dataapi_core::{Date, DialogRef, ImportedDialog, NewDialog, Received, StoreError};
use rusqlite::OptionalExtension;

use crate::error::SqliteError;
use crate::rows::dialogs::{self, DIALOG_COLUMNS, DialogRow};
use crate::rows::event_number::EventNumber;
use crate::rows::{checksum, tombstones};
use crate::write::transaction::Transaction;

/// What happened to a dialog of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PutBack {
    /// It was put back.
    Done,
    /// Its id is in use: it was left out.
    IsThere,
    /// It was withdrawn or erased: it was left out.
    Gone,
}

impl Transaction<'_> {
    /// Receives a dialog.
    pub(crate) fn insert(&mut self, dialog: &NewDialog) -> Result<Received, SqliteError> {
        let now = self.now();
        self.receive(dialog, now, |slot| rules::insert(slot, now))
    }

    /// Adds an imported dialog.
    pub(crate) fn import(&mut self, imported: &ImportedDialog) -> Result<(), SqliteError> {
        let now = self.now();
        let rule = |slot: Slot<'_>| rules::import(slot, imported, now);
        if rules::is_from_the_future(imported, now) {
            // The rule refuses it in any case. What has its id is looked up, instead of found by a write.
            rule(self.slot(&imported.dialog)?)?;
        }
        self.receive(&imported.dialog, now, rule)?;
        Ok(())
    }

    /// Puts a dialog of a backup back, unless its id is in use, withdrawn or erased. The row has the state that the
    /// dialog has by this store's ledger.
    pub(crate) fn put_back(&mut self, row: &DialogRow) -> Result<PutBack, SqliteError> {
        let DialogRow { dialog, date, granted, .. } = row;
        let now = self.now();
        let reference = self.key.reference(&dialog.dialog_id);
        let arrival = match self.arrival(&reference, &|slot| rules::insert(slot, now)) {
            // It keeps the date when it was first received.
            Ok(arrival) => Arrival { received: *date, is_imported: true, ..arrival },
            Err(SqliteError::Refused(StoreError::Gone)) => return Ok(PutBack::Gone),
            Err(error) => return Err(error),
        };
        let is_back = match granted {
            Some(number) => self.store_as_granted(dialog, *date, *number)?,
            None => self.store(dialog, reference, arrival, now)?.is_some(),
        };
        Ok(if is_back { PutBack::Done } else { PutBack::IsThere })
    }

    /// Stores a dialog as `rule` says. If the write finds that its id is taken, `rule` is asked again for the refusal.
    fn receive(
        &mut self,
        dialog: &NewDialog,
        now: Date,
        rule: impl Fn(Slot<'_>) -> Result<Arrival, StoreError>,
    ) -> Result<Received, SqliteError> {
        let reference = self.key.reference(&dialog.dialog_id);
        let arrival = self.arrival(&reference, &rule)?;
        if let Some(received) = self.store(dialog, reference, arrival, now)? {
            return Ok(received);
        }
        let same_content = self.same_content(dialog)?.unwrap_or(false);
        let refusal = rule(Slot::Taken { same_content }).err();
        Err(refusal.unwrap_or(StoreError::Exists { same_content }).into())
    }

    /// Asks `rule` about a dialog with this reference. The write will find out whether its id is taken.
    fn arrival(
        &mut self,
        reference: &DialogRef,
        rule: &impl Fn(Slot<'_>) -> Result<Arrival, StoreError>,
    ) -> Result<Arrival, SqliteError> {
        if tombstones::is_there(&self.sql, reference)? {
            return Ok(rule(Slot::Gone)?);
        }
        // There is no held grant for an id that is taken.
        let held = self.take_early_grant(reference)?;
        Ok(rule(held.as_ref().map_or(Slot::Free, Slot::Awaited))?)
    }

    /// Looks up what has the id of a dialog.
    fn slot(&self, dialog: &NewDialog) -> rusqlite::Result<Slot<'static>> {
        if tombstones::is_there(&self.sql, &self.key.reference(&dialog.dialog_id))? {
            return Ok(Slot::Gone);
        }
        let taken = self.same_content(dialog)?;
        Ok(taken.map_or(Slot::Free, |same_content| Slot::Taken { same_content }))
    }

    /// Whether the stored dialog with the same id has the same content; `None` if there is none.
    fn same_content(&self, dialog: &NewDialog) -> rusqlite::Result<Option<bool>> {
        self.sql
            .prepare_cached(&format!("SELECT {DIALOG_COLUMNS} FROM dialog WHERE dialog_id = ?1"))?
            .query_row([dialog.dialog_id.as_str()], dialogs::stored_dialog)
            .optional()
            .map(|stored| stored.map(|stored| stored.same_content(dialog)))
    }

    /// Stores a dialog, consented or pending. Returns `None` if its id is taken.
    fn store(
        &mut self,
        dialog: &NewDialog,
        reference: DialogRef,
        arrival: Arrival,
        now: Date,
    ) -> rusqlite::Result<Option<Received>> {
        let Arrival { received, is_imported, grant } = arrival;
        // The event itself is added once the id is known to be free.
        let granted = if grant.is_some() { Some(self.next_event()?) } else { None };
        let Some(seq) = self.insert_row(dialog, received, granted)? else { return Ok(None) };
        match grant {
            None => self.changes.pending(1),
            Some(grant) => {
                self.append(grant, reference, Some(seq), now)?;
                self.changes.consented(&dialog.customer_id, &dialog.language, 1);
            }
        }
        if !is_imported {
            self.last_date = received;
        }
        Ok(Some(Received { date: received, is_consented: granted.is_some() }))
    }

    /// Stores a dialog that is granted by an event in the ledger. Returns false if its id is taken.
    fn store_as_granted(
        &mut self,
        dialog: &NewDialog,
        received: Date,
        granted: EventNumber,
    ) -> rusqlite::Result<bool> {
        let Some(seq) = self.insert_row(dialog, received, Some(granted))? else {
            return Ok(false);
        };
        // The event has to refer to the dialog's new row.
        self.sql
            .prepare_cached("UPDATE event SET seq = ?2 WHERE position = ?1")?
            .execute((granted, seq))?;
        self.changes.consented(&dialog.customer_id, &dialog.language, 1);
        Ok(true)
    }

    /// Adds the row of a dialog and returns its number; `None` if its id is taken.
    fn insert_row(
        &self,
        dialog: &NewDialog,
        received: Date,
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
                received.as_micros(),
                granted,
                checksum::dialog(dialog, received, granted),
            ))?;
        Ok((inserted == 1).then(|| self.sql.last_insert_rowid()))
    }
}
