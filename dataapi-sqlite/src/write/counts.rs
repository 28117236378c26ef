//! The changes that a transaction makes to the store's counts. They are written once, at its end.

use std::collections::BTreeMap;

use dataapi_core::{CustomerId, Date, EventKind, Language};
use rusqlite::Connection;

/// The changes that a transaction makes to the store's counts. They are written once, at its end.
#[derive(Default)]
pub(crate) struct CountChanges {
    /// Whether there is anything to write.
    pub(crate) any: bool,
    /// Whether the set of readable dialogs changed.
    pub(crate) readable: bool,
    /// Whether anything was erased.
    pub(crate) erases: bool,
    pub(crate) pending: i64,
    pub(crate) withdrawn: i64,
    pub(crate) erased: i64,
    /// By customer and lower-case language, in the order of the table's key. `""` means any.
    pub(crate) consented: BTreeMap<(String, String), i64>,
}

impl CountChanges {
    /// The count that an event of this kind, which withdraws or erases, changes.
    pub(crate) fn gone(&mut self, kind: EventKind) -> &mut i64 {
        match kind {
            EventKind::Withdrawn => &mut self.withdrawn,
            _ => &mut self.erased,
        }
    }

    pub(crate) fn pending(&mut self, by: i64) {
        self.any = true;
        self.pending += by;
    }

    pub(crate) fn consented(&mut self, customer_id: &CustomerId, language: &Language, by: i64) {
        self.any = true;
        self.readable = true;
        let language = language.as_str().to_ascii_lowercase();
        for customer in ["", customer_id.as_str()] {
            for language in ["", &language] {
                *self.consented.entry((customer.into(), language.into())).or_default() += by;
            }
        }
    }

    /// Writes the changes, the last date that the store handed out, and the number of held grants.
    pub(crate) fn write(
        &self,
        connection: &Connection,
        last_date: Date,
        early: i64,
    ) -> rusqlite::Result<()> {
        let Self { readable, erases, pending, withdrawn, erased, consented, .. } = self;
        connection
            .prepare_cached(
                "UPDATE store SET last_date = ?1, pending = pending + ?2,
                     withdrawn = withdrawn + ?3, erased = erased + ?4, revision = revision + ?5,
                     unscrubbed = max(unscrubbed, ?6), early = ?7",
            )?
            .execute((
                last_date.as_micros(),
                pending,
                withdrawn,
                erased,
                readable,
                erases,
                early,
            ))?;
        let mut add = connection.prepare_cached(
            "INSERT INTO consented_count VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET n = n + excluded.n",
        )?;
        // A customer without dialogs must leave no row.
        let mut drop_empty = connection.prepare_cached(
            "DELETE FROM consented_count WHERE customer_id = ?1 AND language = ?2 AND n = 0",
        )?;
        for ((customer_id, language), by) in consented {
            if *by != 0 {
                add.execute((customer_id, language, by))?;
            }
            if *by < 0 {
                drop_empty.execute((customer_id, language))?;
            }
        }
        Ok(())
    }
}
