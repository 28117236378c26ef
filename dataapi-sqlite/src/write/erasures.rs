//! Erases dialogs, for an operator, by a customer's right, or by retention, and forgets tombstones.

use dataapi_core::consent::rules::{self, NewEvent, Purged, Record};
use dataapi_core::{CustomerId, Date, DialogId, Event, Purge};

use crate::error::SqliteError;
use crate::rows::dialogs::{self, PENDING_BLOCKS, PENDING_OF_CUSTOMER};
use crate::rows::event_number::EventNumber;
use crate::rows::tombstones;
use crate::write::transaction::{FOUND_COLUMNS, FoundDialog, Transaction};

impl Transaction<'_> {
    /// Erases one dialog of a customer.
    pub(crate) fn erase_dialog(
        &mut self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
    ) -> Result<(), SqliteError> {
        let now = self.now();
        let (record, seq) = match self.find(dialog_id)? {
            Some(FoundDialog { seq, held, .. }) => (Record::Held(held), Some(seq)),
            None => (Record::Absent, None),
        };
        let erasure = rules::erase_dialog(&record, customer_id)?;
        self.apply(erasure, self.key.reference(dialog_id), &record, seq, now)?;
        Ok(())
    }

    /// Erases all dialogs of a customer, and returns how many there were.
    pub(crate) fn erase_customer(&mut self, customer_id: &CustomerId) -> Result<u64, SqliteError> {
        let consented = format!(
            "SELECT {FOUND_COLUMNS} FROM dialog INDEXED BY consented_by_customer
             WHERE granted IS NOT NULL AND customer_id = ?"
        );
        let pending = format!("{PENDING_BLOCKS} SELECT {FOUND_COLUMNS} FROM {PENDING_OF_CUSTOMER}");
        let mut held = self.all(&consented, [customer_id.as_str()])?;
        held.extend(self.all(&pending, [customer_id.as_str()])?);
        Ok(self.erase_all(held, |record| rules::erase_customer(record, customer_id))?)
    }

    /// Erases dialogs, or forgets tombstones, from before this date: at most `at_most`. Returns how many.
    pub(crate) fn purge(
        &mut self,
        which: Purge,
        before: Date,
        at_most: u32,
    ) -> Result<u64, SqliteError> {
        let Some(due) = dialogs::due(which) else {
            return Ok(self.forget(before, at_most)?);
        };
        let due = self.all(
            &format!(
                "SELECT {FOUND_COLUMNS} FROM dialog {due} AND date < ?1
                 ORDER BY date, dialog_id LIMIT ?2"
            ),
            (before.as_micros(), at_most),
        )?;
        let expiry = |record: &Record<_>| match rules::purge(record, which, before) {
            Some(Purged::Erased(expiry)) => Some(expiry),
            Some(Purged::Forgotten) | None => None,
        };
        Ok(self.erase_all(due, expiry)?)
    }

    fn all(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
    ) -> rusqlite::Result<Vec<FoundDialog>> {
        self.sql.prepare_cached(sql)?.query_map(parameters, FoundDialog::read)?.collect()
    }

    /// Erases those of these dialogs for which `rule` returns an event. Returns how many.
    fn erase_all(
        &mut self,
        found: Vec<FoundDialog>,
        rule: impl Fn(&Record<EventNumber>) -> Option<NewEvent>,
    ) -> rusqlite::Result<u64> {
        let now = self.now();
        let mut erased = 0;
        for FoundDialog { seq, dialog_id, held } in found {
            let record = Record::Held(held);
            if let Some(erasure) = rule(&record) {
                self.apply(erasure, self.key.reference(&dialog_id), &record, Some(seq), now)?;
                erased += 1;
            }
        }
        Ok(erased)
    }

    /// Forgets tombstones, chain by chain and in the order of their events, and keeps how far it got in each chain.
    fn forget(&mut self, before: Date, at_most: u32) -> rusqlite::Result<u64> {
        let mut left = at_most;
        for due in tombstones::due(&self.sql, self.chains, before)? {
            let ends = tombstones::ends(&self.sql, self.chains, &due, left)?;
            let is_all = ends.len() < left as usize;
            left = left.saturating_sub(u32::try_from(ends.len()).unwrap_or(u32::MAX));
            let upto = match ends.last() {
                _ if is_all => due.last,
                Some(event) => due.chain.event_number(event.position),
                None => due.first,
            };
            for event in ends {
                self.forget_one(event, before)?;
            }
            self.changes.any = true;
            tombstones::set_forgotten(&self.sql, &due.chain, upto)?;
            if left == 0 {
                break;
            }
        }
        Ok(u64::from(at_most - left))
    }

    fn forget_one(&mut self, end: Event, before: Date) -> rusqlite::Result<()> {
        let (reference, kind) = (end.reference, end.kind);
        let record = Record::<EventNumber>::Gone(end);
        if rules::purge(&record, Purge::Tombstones, before) == Some(Purged::Forgotten) {
            tombstones::remove(&self.sql, &reference)?;
            *self.changes.gone(kind) -= 1;
        }
        Ok(())
    }
}
