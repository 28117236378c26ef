//! The target of a copy: a new file, which becomes a store once it was compared with the source.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use dataapi_core::copy::{
    Digest, Fingerprint, HeldRow, IncompleteCopy, LastEvent, Permit, Progress, Rest, Row, Rows,
    SealedRow, Source, StoreManifest, Target,
};
use dataapi_core::{Event, EventKind, Limit, Positions, StoreError, SystemClock};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::copy::reading;
use crate::erase::erasures::Erasures;
use crate::erase::scrub::Scrubber;
use crate::erase::wal::{Wal, WalLock};
use crate::error::{OpenError, SqliteError};
use crate::open::BUSY_TIMEOUT;
use crate::rows::chains::{self, Chains};
use crate::rows::dialogs::{self, DialogRow};
use crate::rows::identity::{self, Identity};
use crate::rows::{counts, early_grants, keys, ledger, tombstones, values};
use crate::schema::{DialogIndexes, is_unfinished};
use crate::{new_store, open};

/// How many pages, 64 MiB, the log of an unfinished copy can have before SQLite checkpoints it.
const LOG_PAGES: u32 = 16_384;

/// An unfinished copy, in a file that only its owner can read. Until
/// [`release`](dataapi_core::copy::Target::release), the file cannot be opened as a store.
// Fields are dropped in this order: the lock on the log must be released last.
#[derive(Debug)]
pub struct CopyTarget {
    connection: Connection,
    identity: Identity,
    indexes: DialogIndexes,
    path: PathBuf,
    /// Keeps others from continuing the same copy.
    lock: Option<WalLock>,
}

impl CopyTarget {
    /// Creates a file at `path`, or opens the unfinished copy there to continue it.
    ///
    /// # Errors
    /// [`OpenError::IsThere`] if there is a store; [`OpenError::Busy`] if another process copies to the same file; see
    /// [`OpenError`] for the others.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if path.symlink_metadata().is_err() {
            Self::make(path)?;
        }
        let connection = open::open_unfinished(path, new_store::CACHE_BYTES)?;
        // Automatic checkpoints do not look for leftovers: the whole file is scrubbed at the end.
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        // To sort an index of any size takes little memory this way. A sort has no texts, and only what the copy has.
        connection.pragma_update(None, "temp_store", "FILE")?;
        let path = path.canonicalize().map_err(OpenError::Files)?;
        new_store::keep_names(&path).map_err(OpenError::Files)?;
        Scrubber::open(&path, Arc::new(SystemClock))?.keep_log()?;
        let wal = Wal::open(&path).map_err(OpenError::Files)?;
        let lock = wal.lock(BUSY_TIMEOUT).map_err(OpenError::Files)?.ok_or(OpenError::Busy)?;
        // The process that held the lock before might have completed the copy.
        if !is_unfinished(&connection)? {
            return Err(OpenError::IsThere);
        }
        let identity = Identity::load(&connection)?;
        let indexes = DialogIndexes::load()?;
        Ok(Self { connection, identity, indexes, path, lock: Some(lock) })
    }

    /// Creates the file under a temporary name first: at `path` it always has the mark of an unfinished copy.
    fn make(path: &Path) -> Result<(), OpenError> {
        if new_store::is_taken(path) {
            return Err(OpenError::IsThere);
        }
        let file = new_store::beside(path).map_err(OpenError::Create)?;
        let connection = open::open_new(&file, 0)?;
        connection.execute(
            "INSERT INTO copy VALUES (1, NULL, ?1, 0, ?2, x'')",
            (Positions::START.to_string(), Digest::default().as_bytes()),
        )?;
        DialogIndexes::load()?.drop_all(&connection)?;
        connection.close().map_err(|(_, error)| error)?;
        File::open(&file).and_then(|file| file.sync_all()).map_err(OpenError::Create)?;
        match new_store::name(file, path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(OpenError::Create(error))
            }
            // If it exists, another process was faster.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The fingerprint of the source and how far the copy is; `None` if the source is not known yet.
    fn begun(&self) -> Result<Option<(Fingerprint, Progress)>, SqliteError> {
        let select = "SELECT fingerprint, positions, copied, digest, bookmark FROM copy";
        let kept = self.connection.prepare_cached(select)?.query_row((), |row| {
            let positions: String = row.get(1)?;
            let progress = Progress {
                positions: positions.parse().map_err(|_| values::damaged(1))?,
                rows: values::count(row, 2)?,
                digest: Digest::from_bytes(row.get(3)?),
                bookmark: row.get(4)?,
            };
            Ok((row.get::<_, Option<[u8; 32]>>(0)?, progress))
        })?;
        let (fingerprint, progress) = kept;
        Ok(fingerprint.map(|bytes| (Fingerprint::from_bytes(bytes), progress)))
    }

    /// Makes the empty file a copy of the store with this manifest.
    fn become_copy_of(&mut self, manifest: &StoreManifest) -> Result<(), SqliteError> {
        let chains = Chains::after(&manifest.heads);
        let adding = write(&self.connection)?;
        identity::set_key(&adding, &manifest.key)?;
        chains::add(&adding, &chains)?;
        adding.execute("UPDATE copy SET fingerprint = ?1", [manifest.fingerprint().as_bytes()])?;
        adding.commit()?;
        self.identity = Identity { key: manifest.key.clone(), chains };
        Ok(())
    }

    fn take_events(&self, events: &[Event], progress: &Progress) -> Result<(), SqliteError> {
        let adding = write(&self.connection)?;
        for event in events {
            ledger::append(&adding, &self.identity.chains, event, None)?;
        }
        keep(&adding, progress)?;
        Ok(adding.commit()?)
    }

    fn take_rows(
        &self,
        rows: Vec<SealedRow>,
        progress: &Progress,
        permit: &Permit,
    ) -> Result<(), SqliteError> {
        let adding = write(&self.connection)?;
        let mut seq = dialogs::last_seq(&adding)?;
        for row in rows {
            seq += i64::from(self.take_row(&adding, row.open(permit), seq + 1)?);
        }
        keep(&adding, progress)?;
        Ok(adding.commit()?)
    }

    /// Adds a dialog in row `seq`, or a tombstone. Returns whether it was a dialog.
    fn take_row(&self, adding: &Connection, row: Row, seq: i64) -> rusqlite::Result<bool> {
        let number = |last: LastEvent| {
            let number = self.identity.chains.event_number(last.chain, last.position);
            number.ok_or_else(|| values::damaged(5))
        };
        match row {
            Row { held: Some(HeldRow { dialog, received: date, .. }), last, .. }
                if last.is_none_or(|last| last.kind == EventKind::Granted) =>
            {
                let granted = last.map(number).transpose()?;
                dialogs::add(adding, &DialogRow { seq, dialog, date, granted })?;
                Ok(true)
            }
            Row { reference, held: None, last: Some(last) } if last.kind != EventKind::Granted => {
                tombstones::add(adding, &reference, number(last)?)?;
                Ok(false)
            }
            // The row has both a dialog and a withdrawal or an erasure, or neither.
            _ => Err(values::damaged(5)),
        }
    }

    fn finish(&self, manifest: &StoreManifest, rest: &Rest) -> Result<(), SqliteError> {
        self.indexes.make_missing(&self.connection)?;
        let adding = write(&self.connection)?;
        adding.execute_batch("DELETE FROM early_grant; DELETE FROM api_key;")?;
        for early in &rest.early_grants {
            early_grants::add(&adding, early)?;
        }
        for key in &rest.keys {
            keys::add(&adding, key)?;
        }
        for (chain, upto) in tombstones::forgotten_by_rows(&adding, &self.identity.chains)? {
            tombstones::set_forgotten(&adding, &chain, upto)?;
        }
        counts::recount(&adding, manifest.last_date)?;
        Ok(adding.commit()?)
    }

    /// Overwrites leftovers in the file: rows moved while indexes grew.
    fn scrub(&self) -> Result<(), OpenError> {
        let mut scrubber = Scrubber::open(&self.path, Arc::new(SystemClock))?;
        let erasures = Erasures::default();
        // If this is blocked or fails, the mark of a scrub stays set, and the next open does it.
        let _ = scrubber.finish(&erasures);
        scrubber.close(&erasures, true);
        Ok(())
    }
}

impl Drop for CopyTarget {
    fn drop(&mut self) {
        // If this fails, the files stay until the store is opened and closed again.
        let _ = open::leave_no_empty_log(&self.connection, &self.path);
    }
}

#[async_trait]
impl Source for CopyTarget {
    async fn manifest(&mut self) -> Result<StoreManifest, StoreError> {
        Ok(reading::manifest(&self.connection, &self.identity)?)
    }

    async fn events(&mut self, after: &Positions, limit: Limit) -> Result<Vec<Event>, StoreError> {
        Ok(reading::events(&self.connection, &self.identity, after, limit)?)
    }

    async fn rows(&mut self, after: &[u8]) -> Result<Rows, StoreError> {
        Ok(reading::rows(&self.connection, &self.identity, after)?)
    }

    async fn rest(&mut self) -> Result<Rest, StoreError> {
        Ok(reading::rest(&self.connection)?)
    }
}

#[async_trait]
impl Target for CopyTarget {
    async fn begin(&mut self, manifest: &StoreManifest) -> Result<Progress, IncompleteCopy> {
        let copied = manifest.next_chain();
        if usize::from(copied) >= Positions::MAX_CHAINS {
            return Err(IncompleteCopy::Chains { past: copied, new: 1 });
        }
        match self.begun().map_err(StoreError::from)? {
            None => {
                self.become_copy_of(manifest).map_err(StoreError::from)?;
                Ok(Progress::default())
            }
            Some((of, progress)) if of == manifest.fingerprint() => Ok(progress),
            Some(_) => Err(IncompleteCopy::Changed),
        }
    }

    async fn add_events(
        &mut self,
        events: &[Event],
        progress: &Progress,
    ) -> Result<(), StoreError> {
        Ok(self.take_events(events, progress)?)
    }

    async fn add_rows(
        &mut self,
        rows: Vec<SealedRow>,
        progress: &Progress,
        permit: &Permit,
    ) -> Result<(), StoreError> {
        Ok(self.take_rows(rows, progress, permit)?)
    }

    async fn complete(&mut self, manifest: &StoreManifest, rest: &Rest) -> Result<(), StoreError> {
        Ok(self.finish(manifest, rest)?)
    }

    /// Turns the file into a store like any other. Then it overwrites leftovers, for which it reads the whole file.
    async fn release(&mut self) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM copy", ()).map_err(SqliteError::from)?;
        // It is a store already, whether or not the scrub succeeds.
        self.lock = None;
        let _ = self.scrub();
        Ok(())
    }
}

/// Begins the transaction of one step.
fn write(connection: &Connection) -> rusqlite::Result<Transaction<'_>> {
    Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
}

/// Keeps how far the copy is.
fn keep(adding: &Connection, progress: &Progress) -> rusqlite::Result<()> {
    let Progress { positions, rows, digest, bookmark } = progress;
    adding
        .prepare_cached("UPDATE copy SET positions = ?1, copied = ?2, digest = ?3, bookmark = ?4")?
        .execute((positions.to_string(), values::integer(*rows), digest.as_bytes(), bookmark))
        .map(|_| ())
}
