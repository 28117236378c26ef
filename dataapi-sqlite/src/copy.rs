//! A store file in the making: rows are added one after the other, and it is a store only once it is
//! finished.

use std::fs::File;
use std::path::{Path, PathBuf};

use dataapi_core::transfer::EarlyGrant;
use dataapi_core::{Date, DialogRef, Event, EventKind, Key, LedgerHead, NewDialog, RefKey};
use rusqlite::{Connection, Row, Transaction};
use tempfile::TempPath;

use crate::backup::BackupError;
use crate::chains::{Chain, Chains, Place};
use crate::rows::DIALOG_COLUMNS;
use crate::{checksum, keys, ledger, rows, schema, scrub, tombstones};

/// How much of the copy is kept in memory while its indexes grow at random places.
pub(crate) const CACHE_BYTES: usize = 64 << 20;

/// How many rows, and about how many bytes of text, are read in one go: some hundredths of a second,
/// which keeps no erasure waiting.
pub(crate) const AT_ONCE: usize = 4_000;
const BYTES_AT_ONCE: usize = 8 << 20;

/// A row of a dialog as it stands in one store, on its way to another. What it says cannot be shown.
pub(crate) struct DialogRow {
    pub(crate) seq: i64,
    pub(crate) dialog: NewDialog,
    pub(crate) date: Date,
    /// The place of the event of its consent.
    pub(crate) granted: Option<Place>,
}

/// What of the one row of a store goes to another.
pub(crate) struct StoreRow {
    pub(crate) last_date: Date,
    /// Up to where the tombstones of each chain are forgotten.
    pub(crate) forgotten: Vec<(Chain, Place)>,
}

impl DialogRow {
    /// The dialogs after that row, in the order of rows, some thousand at most; and whether they are the
    /// last.
    pub(crate) fn after(connection: &Connection, seq: i64) -> rusqlite::Result<(Vec<Self>, bool)> {
        let mut select = connection.prepare_cached(&format!(
            "SELECT {DIALOG_COLUMNS}, seq FROM dialog WHERE seq > ?1 ORDER BY seq"
        ))?;
        let mut found = Vec::new();
        let mut taken = 0;
        let mut rows = select.query([seq])?;
        while found.len() < AT_ONCE && taken < BYTES_AT_ONCE {
            let Some(row) = rows.next()? else { return Ok((found, true)) };
            let row = Self::read(row)?;
            taken += row.dialog.text.as_str().len();
            found.push(row);
        }
        Ok((found, false))
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (dialog, date, granted) = rows::whole_dialog(row)?;
        Ok(Self { seq: row.get("seq")?, dialog, date, granted })
    }
}

/// Each *yes* that is held, by reference.
pub(crate) fn early_grants(connection: &Connection) -> rusqlite::Result<Vec<EarlyGrant>> {
    connection
        .prepare_cached(
            "SELECT ref, date, until, notice, method, locale FROM early_grant ORDER BY ref",
        )?
        .query_map((), |row| {
            Ok(EarlyGrant {
                reference: DialogRef::from_bytes(row.get(0)?),
                date: rows::date(row, 1)?,
                until: rows::date(row, 2)?,
                evidence: rows::evidence(row, 3)?,
            })
        })?
        .collect()
}

/// Adds a *yes* that is held.
pub(crate) fn add_early_grant(connection: &Connection, early: &EarlyGrant) -> rusqlite::Result<()> {
    let EarlyGrant { reference, date, until, evidence } = early;
    let [notice, method, locale] = evidence.pieces();
    connection.prepare_cached("INSERT INTO early_grant VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(
        (reference.as_bytes(), date.as_micros(), until.as_micros(), notice, method, locale),
    )?;
    Ok(())
}

impl StoreRow {
    pub(crate) fn read(connection: &Connection, chains: &Chains) -> rusqlite::Result<Self> {
        let last_date = connection
            .prepare_cached("SELECT last_date FROM store")?
            .query_row((), |row| rows::date(row, 0))?;
        Ok(Self { last_date, forgotten: tombstones::forgotten(connection, chains)? })
    }
}

/// The file. Dropped before it is finished, it is removed.
pub(crate) struct Copy {
    connection: Connection,
    file: TempPath,
    place: PathBuf,
    chains: Chains,
}

/// Whether there is a file at a place, or a log beside it, which would be taken for that of a new one.
pub(crate) fn is_taken(place: &Path) -> bool {
    ["", "-wal", "-shm", "-journal"].iter().any(|end| {
        let mut name = place.as_os_str().to_owned();
        name.push(end);
        Path::new(&name).symlink_metadata().is_ok()
    })
}

/// Makes an empty file beside a place, that is removed unless it gets its name.
pub(crate) fn beside(place: &Path) -> std::io::Result<TempPath> {
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(place.file_name().unwrap_or_default());
    prefix.push(".");
    let builder = &mut tempfile::Builder::new();
    let file = builder.prefix(&prefix).suffix(".partial").tempfile_in(folder(place))?;
    Ok(file.into_temp_path())
}

/// Gives a file the name at which there must be nothing.
pub(crate) fn name(file: TempPath, place: &Path) -> std::io::Result<()> {
    file.persist_noclobber(place).map_err(|refused| refused.error)?;
    // Else a loss of power could take the name away again.
    File::open(folder(place))?.sync_all()
}

fn folder(place: &Path) -> &Path {
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Gives a store in the making its key.
pub(crate) fn set_key(connection: &Connection, key: &RefKey) -> rusqlite::Result<()> {
    connection
        .execute(
            "UPDATE store SET ref_key = ?1, ref_check = ?2",
            (key.as_bytes(), checksum::ref_key(key.as_bytes())),
        )
        .map(|_| ())
}

/// Adds a dialog in its own row.
pub(crate) fn add_dialog(connection: &Connection, row: &DialogRow) -> rusqlite::Result<()> {
    let DialogRow { seq, dialog, date, granted } = row;
    connection
        .prepare_cached(
            "INSERT INTO dialog
                 (seq, dialog_id, customer_id, language, date, granted, checksum, text)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            seq,
            dialog.dialog_id.as_str(),
            dialog.customer_id.as_str(),
            dialog.language.as_str(),
            date.as_micros(),
            granted,
            checksum::dialog(dialog, *date, *granted),
            dialog.text.as_str(),
        ))?;
    Ok(())
}

/// The last row of a dialog; 0 if there is none.
pub(crate) fn last_seq(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT max(seq) FROM dialog")?
        .query_row((), |row| Ok(row.get::<_, Option<i64>>(0)?.unwrap_or(0)))
}

impl Copy {
    /// Begins a store with that key and those chains beside its place, at which there must be nothing.
    pub(crate) fn begin(place: &Path, key: &RefKey, chains: &Chains) -> Result<Self, BackupError> {
        if is_taken(place) {
            return Err(BackupError::IsThere);
        }
        let file = beside(place).map_err(BackupError::Write)?;
        let connection = schema::open_copy(&file, CACHE_BYTES)?;
        set_key(&connection, key)?;
        add_chains(&connection, chains)?;
        Ok(Self { connection, file, place: place.to_owned(), chains: chains.clone() })
    }

    /// Begins to add to it; dropped, nothing was added.
    pub(crate) fn add(&self) -> rusqlite::Result<Transaction<'_>> {
        self.connection.unchecked_transaction()
    }

    /// The last row of a dialog; 0 if there is none.
    pub(crate) fn last_seq(&self) -> rusqlite::Result<i64> {
        last_seq(&self.connection)
    }

    /// The place of the last event.
    pub(crate) fn end(&self) -> rusqlite::Result<Place> {
        self.connection
            .prepare_cached("SELECT max(position) FROM event")?
            .query_row((), |row| Ok(row.get::<_, Option<Place>>(0)?.unwrap_or(Place::START)))
    }

    /// The last events of all chains, signed off.
    pub(crate) fn head(&self) -> rusqlite::Result<LedgerHead> {
        ledger::whole_head(&self.connection, &self.chains)
    }

    /// Adds an event.
    pub(crate) fn event(&self, event: &Event, seq: Option<i64>) -> rusqlite::Result<()> {
        ledger::append(&self.connection, &self.chains, event, seq)
    }

    /// Adds an event, and does to its dialog's row what it says.
    pub(crate) fn follow(&self, event: &Event, seq: Option<i64>) -> rusqlite::Result<()> {
        self.event(event, seq)?;
        match (event.kind, seq) {
            (_, None) => {}
            (EventKind::Granted, Some(seq)) => {
                let place = self.chains.place(event.chain, event.position);
                rows::grant(&self.connection, seq, place.ok_or_else(|| rows::damaged(0))?)?;
            }
            (_, Some(seq)) => {
                self.connection
                    .prepare_cached("DELETE FROM dialog WHERE seq = ?1")?
                    .execute([seq])?;
            }
        }
        Ok(())
    }

    /// Adds a dialog in its own row.
    pub(crate) fn dialog(&self, row: &DialogRow) -> rusqlite::Result<()> {
        add_dialog(&self.connection, row)
    }

    /// Adds the keys of another store, all of them revoked: what was revoked after a backup must not work
    /// again because of it, and a store that had keys must not come back without.
    pub(crate) fn keys(&self, keys: &[Key], revoked: Date) -> rusqlite::Result<()> {
        for key in keys {
            let revoked = Some(key.revoked.unwrap_or(revoked));
            keys::add(&self.connection, &Key { revoked, ..key.clone() })?;
        }
        Ok(())
    }

    /// Adds a *yes* that is held.
    pub(crate) fn early(&self, early: &EarlyGrant) -> rusqlite::Result<()> {
        add_early_grant(&self.connection, early)
    }

    /// Counts what was added, overwrites what lies beside its rows, and gives the file its name; tells
    /// how many dialogs it has.
    pub(crate) fn finish(self, store: &StoreRow) -> Result<u64, BackupError> {
        let Self { connection, file, place, .. } = self;
        let adding = connection.unchecked_transaction()?;
        tombstones::fill(&adding, &store.forgotten)?;
        for (chain, upto) in &store.forgotten {
            tombstones::set_forgotten(&adding, chain, *upto)?;
        }
        count(&adding, store.last_date)?;
        // Nothing is left beside the rows once the file has its name.
        adding.execute("UPDATE store SET scrubbing = 0", ())?;
        let dialogs = adding.query_row(
            "SELECT pending + ifnull((SELECT n FROM consented_count
                                      WHERE customer_id = '' AND language = ''), 0) FROM store",
            (),
            |row| rows::count(row, 0),
        )?;
        adding.commit()?;
        connection.close().map_err(|(_, error)| error)?;
        scrub::clean(&file).map_err(BackupError::Write)?;
        name(file, &place).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => BackupError::IsThere,
            _ => BackupError::Write(error),
        })?;
        Ok(dialogs)
    }
}

/// Adds the chains that a store in the making begins with.
pub(crate) fn add_chains(connection: &Connection, chains: &Chains) -> rusqlite::Result<()> {
    let mut add = connection.prepare_cached("INSERT INTO past_chain VALUES (?1, ?2, 0)")?;
    for past in chains.past() {
        add.execute((past.number, past.last))?;
    }
    Ok(())
}

/// Counts what a store in the making has, and finds which row each grant is of: that follows from its rows.
pub(crate) fn count(connection: &Connection, last_date: Date) -> rusqlite::Result<()> {
    connection.execute_batch(
        // A dialog that was put back meanwhile has another row than when it was consented to.
        "UPDATE event SET seq = dialog.seq FROM dialog
             WHERE event.position = dialog.granted AND event.seq IS NOT dialog.seq;
         DELETE FROM consented_count;
         INSERT INTO consented_count SELECT '', '', count(*) FROM dialog INDEXED BY consented
             WHERE granted IS NOT NULL HAVING count(*) > 0;
         INSERT INTO consented_count SELECT customer_id, '', count(*)
             FROM dialog INDEXED BY consented_by_customer
             WHERE granted IS NOT NULL GROUP BY customer_id;
         INSERT INTO consented_count SELECT '', lower(language), count(*)
             FROM dialog INDEXED BY consented_by_language
             WHERE granted IS NOT NULL GROUP BY language;
         INSERT INTO consented_count SELECT customer_id, lower(language), count(*)
             FROM dialog INDEXED BY consented_by_customer_language
             WHERE granted IS NOT NULL GROUP BY customer_id, language;",
    )?;
    connection.execute(
        "UPDATE store SET last_date = ?1,
             pending = (SELECT count(*) FROM dialog INDEXED BY pending_by_date
                        WHERE granted IS NULL),
             (withdrawn, erased) =
                 (SELECT count(*) FILTER (WHERE kind = 2), count(*) FILTER (WHERE kind > 2)
                  FROM tombstone CROSS JOIN event USING (position)),
             early = (SELECT count(*) FROM early_grant)",
        [last_date.as_micros()],
    )?;
    Ok(())
}

/// The events after a place with the rows of their dialogs, up to [`AT_ONCE`].
pub(crate) fn events_after(
    connection: &Connection,
    chains: &Chains,
    place: Place,
) -> rusqlite::Result<Vec<(Event, Option<i64>)>> {
    let columns = rows::EVENT_COLUMNS;
    connection
        .prepare_cached(&format!(
            "SELECT {columns}, seq FROM event WHERE position > ?1 ORDER BY position LIMIT ?2"
        ))?
        .query_map((place, ledger::number(AT_ONCE as u64)), |row| {
            Ok((rows::event(row, chains)?, row.get("seq")?))
        })?
        .collect()
}
