//! A store file in the making: rows are added one after the other, and it is a store only once it is
//! finished.

use std::fs::File;
use std::path::{Path, PathBuf};

use dataapi_core::{Date, DialogRef, Event, EventKind, Head, Key, NewDialog, RefKey};
use rusqlite::{Connection, Row, Transaction};
use tempfile::TempPath;

use crate::backup::BackupError;
use crate::rows::DIALOG_COLUMNS;
use crate::{checksum, keys, ledger, rows, schema, scrub};

/// How much of the copy is kept in memory while its indexes grow at random places.
const CACHE_BYTES: usize = 64 << 20;

/// How many rows, and about how many bytes of text, are read in one go: some hundredths of a second,
/// which keeps no erasure waiting.
const AT_ONCE: usize = 4_000;
const BYTES_AT_ONCE: usize = 8 << 20;

/// A row of a dialog as it stands in one store, on its way to another. What it says cannot be shown.
pub(crate) struct DialogRow {
    pub(crate) seq: i64,
    pub(crate) dialog: NewDialog,
    pub(crate) date: Date,
    /// The position of the event of its consent.
    pub(crate) granted: Option<u64>,
}

/// A *yes* that is held, on its way to another store.
pub(crate) struct EarlyRow {
    pub(crate) reference: DialogRef,
    date: i64,
    until: i64,
    evidence: [Option<String>; 3],
}

/// What of the one row of a store goes to another.
pub(crate) struct StoreRow {
    pub(crate) last_date: Date,
    pub(crate) forgotten: u64,
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

impl EarlyRow {
    pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<Self>> {
        connection
            .prepare_cached("SELECT ref, date, until, notice, method, locale FROM early_grant")?
            .query_map((), |row| {
                Ok(Self {
                    reference: DialogRef::from_bytes(row.get(0)?),
                    date: row.get(1)?,
                    until: row.get(2)?,
                    evidence: [row.get(3)?, row.get(4)?, row.get(5)?],
                })
            })?
            .collect()
    }
}

impl StoreRow {
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        connection.prepare_cached("SELECT last_date, forgotten FROM store")?.query_row((), |row| {
            Ok(Self { last_date: rows::date(row, 0)?, forgotten: rows::position(row, 1)? })
        })
    }
}

/// The file. Dropped before it is finished, it is removed.
pub(crate) struct Copy {
    connection: Connection,
    file: TempPath,
    place: PathBuf,
}

impl Copy {
    /// Begins a store with that key beside its place, at which there must be nothing.
    pub(crate) fn begin(place: &Path, key: &RefKey) -> Result<Self, BackupError> {
        // A log that another store left beside its place would be taken for this one's.
        let is_taken = ["", "-wal", "-shm", "-journal"].iter().any(|end| {
            let mut name = place.as_os_str().to_owned();
            name.push(end);
            Path::new(&name).symlink_metadata().is_ok()
        });
        if is_taken {
            return Err(BackupError::IsThere);
        }
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(place.file_name().unwrap_or_default());
        prefix.push(".");
        let file = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".partial")
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            .map_err(BackupError::Write)?
            .into_temp_path();
        let connection = schema::open_copy(&file, CACHE_BYTES)?;
        connection.execute(
            "UPDATE store SET ref_key = ?1, ref_check = ?2",
            (key.as_bytes(), checksum::ref_key(key.as_bytes())),
        )?;
        Ok(Self { connection, file, place: place.to_owned() })
    }

    /// Begins to add to it; dropped, nothing was added.
    pub(crate) fn add(&self) -> rusqlite::Result<Transaction<'_>> {
        self.connection.unchecked_transaction()
    }

    /// The last row of a dialog; 0 if there is none.
    pub(crate) fn last_seq(&self) -> rusqlite::Result<i64> {
        self.connection
            .prepare_cached("SELECT max(seq) FROM dialog")?
            .query_row((), |row| Ok(row.get::<_, Option<i64>>(0)?.unwrap_or(0)))
    }

    /// The last event.
    pub(crate) fn head(&self) -> rusqlite::Result<Head> {
        ledger::head(&self.connection)
    }

    /// Adds an event.
    pub(crate) fn event(&self, event: &Event, seq: Option<i64>) -> rusqlite::Result<()> {
        ledger::append(&self.connection, event, seq)
    }

    /// Adds an event, and does to its dialog's row what it says.
    pub(crate) fn follow(&self, event: &Event, seq: Option<i64>) -> rusqlite::Result<()> {
        self.event(event, seq)?;
        match (event.kind, seq) {
            (_, None) => {}
            (EventKind::Granted, Some(seq)) => {
                rows::grant(&self.connection, seq, event.position)?;
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
        let DialogRow { seq, dialog, date, granted } = row;
        self.connection
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
                granted.map(ledger::signed),
                checksum::dialog(dialog, *date, *granted),
                dialog.text.as_str(),
            ))?;
        Ok(())
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
    pub(crate) fn early(&self, row: &EarlyRow) -> rusqlite::Result<()> {
        let [notice, method, locale] = &row.evidence;
        self.connection
            .prepare_cached("INSERT INTO early_grant VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute((row.reference.as_bytes(), row.date, row.until, notice, method, locale))?;
        Ok(())
    }

    /// Counts what was added, overwrites what lies beside its rows, and gives the file its name; tells
    /// how many dialogs it has.
    pub(crate) fn finish(self, store: &StoreRow) -> Result<u64, BackupError> {
        let Self { connection, file, place } = self;
        let dialogs = count(&connection, store)?;
        connection.close().map_err(|(_, error)| error)?;
        scrub::clean(&file).map_err(BackupError::Write)?;
        file.persist_noclobber(&place).map_err(|refused| match refused.error.kind() {
            std::io::ErrorKind::AlreadyExists => BackupError::IsThere,
            _ => BackupError::Write(refused.error),
        })?;
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
        // Else a loss of power could take the name away again.
        let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(BackupError::Write)?;
        folder.sync_all().map_err(BackupError::Write)?;
        Ok(dialogs)
    }
}

/// Each event that ends a dialog has its tombstone unless it is forgotten; the counts, and which row a
/// grant is of, follow from the rows.
fn count(connection: &Connection, store: &StoreRow) -> rusqlite::Result<u64> {
    let adding = connection.unchecked_transaction()?;
    adding.execute(
        "INSERT INTO tombstone SELECT ref, position FROM event WHERE kind > 1 AND position > ?1",
        [ledger::signed(store.forgotten)],
    )?;
    adding.execute_batch(
        // A dialog that was put back meanwhile has another row than when it was consented to.
        "UPDATE event SET seq = dialog.seq FROM dialog
             WHERE event.position = dialog.granted AND event.seq IS NOT dialog.seq;
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
    adding.execute(
        // Nothing is left beside the rows once the file has its name.
        "UPDATE store SET scrubbing = 0, last_date = ?1, forgotten = ?2,
             pending = (SELECT count(*) FROM dialog INDEXED BY pending_by_date
                        WHERE granted IS NULL),
             withdrawn = (SELECT count(*) FROM event WHERE kind = 2 AND position > ?2),
             erased = (SELECT count(*) FROM event WHERE kind > 2 AND position > ?2),
             early = (SELECT count(*) FROM early_grant)",
        (store.last_date.as_micros(), ledger::signed(store.forgotten)),
    )?;
    let dialogs = adding.query_row(
        "SELECT pending + ifnull((SELECT n FROM consented_count
                                  WHERE customer_id = '' AND language = ''), 0) FROM store",
        (),
        |row| rows::position(row, 0),
    )?;
    adding.commit()?;
    Ok(dialogs)
}

/// The events after a position with the rows of their dialogs, up to [`AT_ONCE`].
pub(crate) fn events_after(
    connection: &Connection,
    position: u64,
) -> rusqlite::Result<Vec<(Event, Option<i64>)>> {
    let columns = rows::EVENT_COLUMNS;
    connection
        .prepare_cached(&format!(
            "SELECT {columns}, seq FROM event WHERE position > ?1 ORDER BY position LIMIT ?2"
        ))?
        .query_map((ledger::signed(position), ledger::signed(AT_ONCE as u64)), |row| {
            Ok((rows::event(row)?, row.get("seq")?))
        })?
        .collect()
}
