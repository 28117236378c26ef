//! A new store file that is filled row by row, for a backup or a restore. It appears once it is complete.

use std::path::{Path, PathBuf};

use dataapi_core::copy::EarlyGrantRow;
use dataapi_core::{Date, Event, EventKind, Key, LedgerHead, RefKey};
use rusqlite::{Connection, Transaction};
use tempfile::TempPath;

use crate::backup::error::BackupError;
use crate::erase::pages;
use crate::rows::chains::{self, Chain, Chains};
use crate::rows::dialogs::{self, DialogRow};
use crate::rows::event_number::EventNumber;
use crate::rows::{counts, early_grants, identity, keys, ledger, tombstones, values};
use crate::{new_store, open};

/// The new file. If it is dropped before it is finished, it is removed.
pub(crate) struct NewStoreFile {
    connection: Connection,
    file: TempPath,
    path: PathBuf,
    chains: Chains,
}

impl NewStoreFile {
    /// Begins a store with this key and these chains, in the folder of `path`. There must be no file at `path`.
    pub(crate) fn begin(path: &Path, key: &RefKey, chains: &Chains) -> Result<Self, BackupError> {
        if new_store::is_taken(path) {
            return Err(BackupError::IsThere);
        }
        let file = new_store::beside(path).map_err(BackupError::Write)?;
        let connection = open::open_new(&file, new_store::CACHE_BYTES)?;
        identity::set_key(&connection, key)?;
        chains::add(&connection, chains)?;
        Ok(Self { connection, file, path: path.to_owned(), chains: chains.clone() })
    }

    /// Begins a transaction to add rows. If it is dropped without a commit, nothing is added.
    pub(crate) fn add(&self) -> rusqlite::Result<Transaction<'_>> {
        self.connection.unchecked_transaction()
    }

    /// The number of the last row; 0 if there is none.
    pub(crate) fn last_seq(&self) -> rusqlite::Result<i64> {
        dialogs::last_seq(&self.connection)
    }

    /// The number of the last event.
    pub(crate) fn end(&self) -> rusqlite::Result<EventNumber> {
        self.connection.prepare_cached("SELECT max(position) FROM event")?.query_row((), |row| {
            Ok(row.get::<_, Option<EventNumber>>(0)?.unwrap_or(EventNumber::START))
        })
    }

    /// The head of the whole ledger.
    pub(crate) fn head(&self) -> rusqlite::Result<LedgerHead> {
        ledger::whole_head(&self.connection, &self.chains)
    }

    /// Adds an event.
    pub(crate) fn event(&self, event: &Event, seq: Option<i64>) -> rusqlite::Result<()> {
        ledger::append(&self.connection, &self.chains, event, seq)
    }

    /// Adds an event, and applies it to the row of its dialog.
    pub(crate) fn follow(&self, event: &Event, seq: Option<i64>) -> rusqlite::Result<()> {
        self.event(event, seq)?;
        match (event.kind, seq) {
            (_, None) => {}
            (EventKind::Granted, Some(seq)) => {
                let number = self.chains.event_number(event.chain, event.position);
                dialogs::grant(&self.connection, seq, number.ok_or_else(|| values::damaged(0))?)?;
            }
            (_, Some(seq)) => {
                self.connection
                    .prepare_cached("DELETE FROM dialog WHERE seq = ?1")?
                    .execute([seq])?;
            }
        }
        Ok(())
    }

    /// Adds a dialog in the row that it had in the other store.
    pub(crate) fn dialog(&self, row: &DialogRow) -> rusqlite::Result<()> {
        dialogs::add(&self.connection, row)
    }

    /// Adds the keys of another store, all of them revoked. A key that was revoked after the backup must not work
    /// again, and a store that had keys must not come back without keys.
    pub(crate) fn keys(&self, keys: &[Key], revoked: Date) -> rusqlite::Result<()> {
        for key in keys {
            let revoked = Some(key.revoked.unwrap_or(revoked));
            keys::add(&self.connection, &Key { revoked, ..key.clone() })?;
        }
        Ok(())
    }

    /// Adds a held grant.
    pub(crate) fn early(&self, early: &EarlyGrantRow) -> rusqlite::Result<()> {
        early_grants::add(&self.connection, early)
    }

    /// Completes the store: adds tombstones and counts, overwrites leftovers in the file, and gives the file its name.
    /// Returns how many dialogs the store has.
    pub(crate) fn finish(self, store: &StoreRow) -> Result<u64, BackupError> {
        let Self { connection, file, path, .. } = self;
        let adding = connection.unchecked_transaction()?;
        tombstones::fill(&adding, &store.forgotten)?;
        for (chain, upto) in &store.forgotten {
            tombstones::set_forgotten(&adding, chain, *upto)?;
        }
        counts::recount(&adding, store.last_date)?;
        // The file is cleaned before it gets its name, so a scrub has nothing to do.
        adding.execute("UPDATE store SET scrubbing = 0", ())?;
        let dialogs = adding.query_row(
            "SELECT pending + ifnull((SELECT n FROM consented_count
                                      WHERE customer_id = '' AND language = ''), 0) FROM store",
            (),
            |row| values::count(row, 0),
        )?;
        adding.commit()?;
        connection.close().map_err(|(_, error)| error)?;
        pages::clean(&file).map_err(BackupError::Write)?;
        new_store::name(file, &path).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => BackupError::IsThere,
            _ => BackupError::Write(error),
        })?;
        Ok(dialogs)
    }
}

/// The part of the table `store` that goes to the new file.
pub(crate) struct StoreRow {
    pub(crate) last_date: Date,
    /// For each chain, the number of the event up to which its tombstones are forgotten.
    pub(crate) forgotten: Vec<(Chain, EventNumber)>,
}

impl StoreRow {
    pub(crate) fn read(connection: &Connection, chains: &Chains) -> rusqlite::Result<Self> {
        let last_date = connection
            .prepare_cached("SELECT last_date FROM store")?
            .query_row((), |row| values::date(row, 0))?;
        Ok(Self { last_date, forgotten: tombstones::forgotten(connection, chains)? })
    }
}
