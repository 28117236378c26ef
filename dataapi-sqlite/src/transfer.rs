//! A store as one end of a move to another backend: read whole while nobody writes to it, or made of what is
//! read elsewhere.
//!
//! A store in the making has a row in the table `transfer`, by which it is known that it is none yet. The row
//! comes with the file, and goes in one step once all of it was compared. The calls block the thread that
//! polls them, some hundredths of a second at a time while rows are moved.

use std::fs::File;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use dataapi_core::transfer::{
    Digest, Fingerprint, HeldRow, LastEvent, Manifest, Permit, Progress, Rest, Row, Rows,
    SealedRow, Source, Target, TransferError,
};
use dataapi_core::{DialogRef, Event, EventKind, Limit, Positions, StoreError};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::chains::{Chains, Place};
use crate::copy::{self, DialogRow};
use crate::failure::Failure;
use crate::log::{Held, Log};
use crate::schema::{self, BUSY_TIMEOUT, DialogIndexes, Identity, OpenError};
use crate::scrub::{Erasures, Scrubber};
use crate::{keys, ledger, queries, rows, tombstones};

/// How many pages the log of a store in the making may have before it is folded in: 64 MiB.
const LOG_PAGES: u32 = 16_384;

/// The cache of a connection that reads rows in their order, each once.
const SOURCE_CACHE_BYTES: usize = 4 << 20;

/// A store that is moved to another place. While it is there, whoever writes to the store, in whatever process,
/// is told that it is unavailable; reads go on. What was erased before is scrubbed from its files once it is
/// gone.
#[derive(Debug)]
pub struct TransferSource {
    connection: Connection,
    identity: Identity,
    path: PathBuf,
}

impl TransferSource {
    /// Opens the store at `path`, which must be there, brings its schema up to date, and keeps all others from
    /// writing to it. Blocks for up to 5 seconds while another one does.
    ///
    /// # Errors
    /// [`OpenError::Busy`] when another process writes for longer; [`OpenError::Unfinished`] for a copy that has
    /// not ended; see [`OpenError`] for the others.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = schema::open_for_writing(path, false, SOURCE_CACHE_BYTES)?;
        let path = path.canonicalize().map_err(OpenError::Files)?;
        let identity = Identity::load(&connection)?;
        let source = Self { connection, identity, path };
        // It ends as the connection is closed; all is read within.
        source.connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(source)
    }
}

impl Drop for TransferSource {
    fn drop(&mut self) {
        // Whatever cannot be removed now is left to the next one that opens the store.
        let _ = schema::leave_no_empty_log(&self.connection, &self.path);
    }
}

#[async_trait]
impl Source for TransferSource {
    async fn manifest(&mut self) -> Result<Manifest, StoreError> {
        Ok(manifest(&self.connection, &self.identity)?)
    }

    async fn events(&mut self, after: &Positions, limit: Limit) -> Result<Vec<Event>, StoreError> {
        Ok(events(&self.connection, &self.identity, after, limit)?)
    }

    async fn rows(&mut self, after: &[u8]) -> Result<Rows, StoreError> {
        Ok(rows(&self.connection, &self.identity, after)?)
    }

    async fn rest(&mut self) -> Result<Rest, StoreError> {
        Ok(rest(&self.connection)?)
    }
}

/// A store in the making, in a file that only its owner can read. Until
/// [`release`](dataapi_core::transfer::Target::release) it can be opened as nothing else.
// The order of the fields is the order of closing: the log is given back last.
#[derive(Debug)]
pub struct TransferTarget {
    connection: Connection,
    identity: Identity,
    indexes: DialogIndexes,
    path: PathBuf,
    /// Nobody else goes on with it meanwhile.
    held: Option<Held>,
}

impl TransferTarget {
    /// Makes a file at `path`, where there must be nothing, or opens one into which a copy was begun.
    ///
    /// # Errors
    /// [`OpenError::IsThere`] when there is a store; [`OpenError::Busy`] when another process copies to the same
    /// file; see [`OpenError`] for the others.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if path.symlink_metadata().is_err() {
            Self::make(path)?;
        }
        let connection = schema::open_unfinished(path, copy::CACHE_BYTES)?;
        // What is left beside rows by that is scrubbed at the end, from all of the file.
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        // Of any size, indexes are sorted in little memory. What is sorted is no text, and is held.
        connection.pragma_update(None, "temp_store", "FILE")?;
        let path = path.canonicalize().map_err(OpenError::Files)?;
        let log = Log::open(&path).map_err(OpenError::Files)?;
        let held = log.hold(BUSY_TIMEOUT).map_err(OpenError::Files)?.ok_or(OpenError::Busy)?;
        // Whoever held it before may have ended it.
        if !schema::is_unfinished(&connection)? {
            return Err(OpenError::IsThere);
        }
        let identity = Identity::load(&connection)?;
        let indexes = DialogIndexes::load()?;
        Ok(Self { connection, identity, indexes, path, held: Some(held) })
    }

    /// Makes the file aside, so that it never is there without the mark that it is no store.
    fn make(path: &Path) -> Result<(), OpenError> {
        if copy::is_taken(path) {
            return Err(OpenError::IsThere);
        }
        let file = copy::beside(path).map_err(OpenError::Create)?;
        let connection = schema::open_copy(&file, 0)?;
        connection.execute(
            "INSERT INTO transfer VALUES (1, NULL, ?1, 0, ?2, x'')",
            (Positions::START.to_string(), Digest::default().as_bytes()),
        )?;
        DialogIndexes::load()?.drop_all(&connection)?;
        connection.close().map_err(|(_, error)| error)?;
        File::open(&file).and_then(|file| file.sync_all()).map_err(OpenError::Create)?;
        match copy::name(file, path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(OpenError::Create(error))
            }
            // Another process may have come first.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// What it is a copy of, and how far it came; `None` before that is known.
    fn begun(&self) -> Result<Option<(Fingerprint, Progress)>, Failure> {
        let select = "SELECT fingerprint, positions, copied, digest, bookmark FROM transfer";
        let kept = self.connection.prepare_cached(select)?.query_row((), |row| {
            let positions: String = row.get(1)?;
            let progress = Progress {
                positions: positions.parse().map_err(|_| rows::damaged(1))?,
                rows: rows::count(row, 2)?,
                digest: Digest::from_bytes(row.get(3)?),
                bookmark: row.get(4)?,
            };
            Ok((row.get::<_, Option<[u8; 32]>>(0)?, progress))
        })?;
        let (fingerprint, progress) = kept;
        Ok(fingerprint.map(|bytes| (Fingerprint::from_bytes(bytes), progress)))
    }

    /// Makes it a copy of that store, with nothing in it yet.
    fn become_copy_of(&mut self, manifest: &Manifest) -> Result<(), Failure> {
        let chains = Chains::after(&manifest.heads);
        let adding = write(&self.connection)?;
        copy::set_key(&adding, &manifest.key)?;
        copy::add_chains(&adding, &chains)?;
        adding
            .execute("UPDATE transfer SET fingerprint = ?1", [manifest.fingerprint().as_bytes()])?;
        adding.commit()?;
        self.identity = Identity { key: manifest.key.clone(), chains };
        Ok(())
    }

    fn take_events(&self, events: &[Event], progress: &Progress) -> Result<(), Failure> {
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
    ) -> Result<(), Failure> {
        let adding = write(&self.connection)?;
        let mut seq = copy::last_seq(&adding)?;
        for row in rows {
            seq += i64::from(self.take_row(&adding, row.open(permit), seq + 1)?);
        }
        keep(&adding, progress)?;
        Ok(adding.commit()?)
    }

    /// Adds a row, as that one if it is of a dialog that is held; tells whether it is.
    fn take_row(&self, adding: &Connection, row: Row, seq: i64) -> rusqlite::Result<bool> {
        let place = |last: LastEvent| {
            let place = self.identity.chains.place(last.chain, last.position);
            place.ok_or_else(|| rows::damaged(5))
        };
        match row {
            Row { held: Some(HeldRow { dialog, received: date, .. }), last, .. }
                if last.is_none_or(|last| last.kind == EventKind::Granted) =>
            {
                let granted = last.map(place).transpose()?;
                copy::add_dialog(adding, &DialogRow { seq, dialog, date, granted })?;
                Ok(true)
            }
            Row { reference, held: None, last: Some(last) } if last.kind != EventKind::Granted => {
                tombstones::add(adding, &reference, place(last)?)?;
                Ok(false)
            }
            // A dialog that is held and gone, or neither.
            _ => Err(rows::damaged(5)),
        }
    }

    fn finish(&self, manifest: &Manifest, rest: &Rest) -> Result<(), Failure> {
        self.indexes.make_missing(&self.connection)?;
        let adding = write(&self.connection)?;
        adding.execute_batch("DELETE FROM early_grant; DELETE FROM api_key;")?;
        for early in &rest.early_grants {
            copy::add_early_grant(&adding, early)?;
        }
        for key in &rest.keys {
            keys::add(&adding, key)?;
        }
        for (chain, upto) in tombstones::forgotten_by_rows(&adding, &self.identity.chains)? {
            tombstones::set_forgotten(&adding, &chain, upto)?;
        }
        copy::count(&adding, manifest.last_date)?;
        Ok(adding.commit()?)
    }

    /// Overwrites what lies beside the rows, of which some moved while indexes grew.
    fn scrub(&self) -> Result<(), OpenError> {
        let mut scrubber = Scrubber::open(&self.path)?;
        let erasures = Erasures::default();
        // What is in the way, or fails, leaves its mark, and is done by the next one that opens the store.
        let _ = scrubber.finish(&erasures);
        scrubber.close(&erasures, true);
        Ok(())
    }
}

impl Drop for TransferTarget {
    fn drop(&mut self) {
        // Whatever cannot be removed now is left to the next one that opens it.
        let _ = schema::leave_no_empty_log(&self.connection, &self.path);
    }
}

#[async_trait]
impl Source for TransferTarget {
    async fn manifest(&mut self) -> Result<Manifest, StoreError> {
        Ok(manifest(&self.connection, &self.identity)?)
    }

    async fn events(&mut self, after: &Positions, limit: Limit) -> Result<Vec<Event>, StoreError> {
        Ok(events(&self.connection, &self.identity, after, limit)?)
    }

    async fn rows(&mut self, after: &[u8]) -> Result<Rows, StoreError> {
        Ok(rows(&self.connection, &self.identity, after)?)
    }

    async fn rest(&mut self) -> Result<Rest, StoreError> {
        Ok(rest(&self.connection)?)
    }
}

#[async_trait]
impl Target for TransferTarget {
    async fn begin(&mut self, manifest: &Manifest) -> Result<Progress, TransferError> {
        let past = manifest.next_chain();
        if usize::from(past) >= Positions::MAX_CHAINS {
            return Err(TransferError::Chains { past, new: 1 });
        }
        match self.begun().map_err(StoreError::from)? {
            None => {
                self.become_copy_of(manifest).map_err(StoreError::from)?;
                Ok(Progress::default())
            }
            Some((of, progress)) if of == manifest.fingerprint() => Ok(progress),
            Some(_) => Err(TransferError::Changed),
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

    async fn complete(&mut self, manifest: &Manifest, rest: &Rest) -> Result<(), StoreError> {
        Ok(self.finish(manifest, rest)?)
    }

    /// From now on it is a store like any other. What lies beside its rows is overwritten first thing, which
    /// reads all of it.
    async fn release(&mut self) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM transfer", ()).map_err(Failure::from)?;
        // It is a store already, whatever comes of that.
        self.held = None;
        let _ = self.scrub();
        Ok(())
    }
}

/// One step of a store in the making.
fn write(connection: &Connection) -> rusqlite::Result<Transaction<'_>> {
    Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
}

/// Keeps how far it came.
fn keep(adding: &Connection, progress: &Progress) -> rusqlite::Result<()> {
    let Progress { positions, rows, digest, bookmark } = progress;
    adding
        .prepare_cached(
            "UPDATE transfer SET positions = ?1, copied = ?2, digest = ?3, bookmark = ?4",
        )?
        .execute((positions.to_string(), ledger::number(*rows), digest.as_bytes(), bookmark))
        .map(|_| ())
}

fn manifest(connection: &Connection, identity: &Identity) -> Result<Manifest, Failure> {
    let Identity { key, chains } = identity;
    Ok(Manifest {
        key: key.clone(),
        heads: ledger::heads(connection, chains)?,
        stats: queries::stats(connection)?,
        last_date: connection
            .query_row("SELECT last_date FROM store", (), |row| rows::date(row, 0))?,
    })
}

fn events(
    connection: &Connection,
    identity: &Identity,
    after: &Positions,
    limit: Limit,
) -> Result<Vec<Event>, Failure> {
    Ok(ledger::after(connection, &identity.chains, after, limit)?)
}

fn rest(connection: &Connection) -> Result<Rest, Failure> {
    Ok(Rest { early_grants: copy::early_grants(connection)?, keys: keys::all(connection)? })
}

/// Where a batch of rows ends: dialogs come first, by row, then tombstones, by reference.
enum Bookmark {
    Dialogs(i64),
    Tombstones(Vec<u8>),
}

impl Bookmark {
    fn read(bytes: &[u8]) -> Result<Self, Failure> {
        match bytes {
            [] => Ok(Self::Dialogs(0)),
            [b'd', seq @ ..] if seq.len() == 8 => {
                Ok(Self::Dialogs(seq.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte))))
            }
            [b't', reference @ ..] => Ok(Self::Tombstones(reference.to_vec())),
            _ => Err(StoreError::backend("the bookmark of the copy is damaged").into()),
        }
    }

    fn write(&self) -> Vec<u8> {
        match self {
            Self::Dialogs(seq) => [&b"d"[..], &seq.to_be_bytes()].concat(),
            Self::Tombstones(reference) => [&b"t"[..], reference].concat(),
        }
    }
}

fn rows(connection: &Connection, identity: &Identity, after: &[u8]) -> Result<Rows, Failure> {
    let after = match Bookmark::read(after)? {
        Bookmark::Dialogs(seq) => {
            let (found, _) = DialogRow::after(connection, seq)?;
            if let Some(last) = found.last() {
                let bookmark = Bookmark::Dialogs(last.seq).write();
                let rows = found.into_iter().map(|row| held(connection, identity, row));
                return Ok(Rows { rows: rows.collect::<Result<_, _>>()?, bookmark });
            }
            Vec::new()
        }
        Bookmark::Tombstones(reference) => reference,
    };
    let found = tombstones::after(connection, &after, copy::AT_ONCE)?;
    let bookmark = match found.last() {
        Some((last, _)) => Bookmark::Tombstones(last.as_bytes().to_vec()).write(),
        None => Bookmark::Tombstones(after).write(),
    };
    let rows = found.into_iter().map(|(reference, place)| {
        let last = last_event(connection, identity, &reference, place)?;
        if last.kind == EventKind::Granted {
            return Err(rows::damaged(1));
        }
        Ok(SealedRow::new(Row { reference, held: None, last: Some(last) }))
    });
    Ok(Rows { rows: rows.collect::<Result<_, _>>()?, bookmark })
}

/// A dialog, after it was seen that it was consented to as it says.
fn held(
    connection: &Connection,
    identity: &Identity,
    row: DialogRow,
) -> rusqlite::Result<SealedRow> {
    let DialogRow { dialog, date, granted, .. } = row;
    let reference = identity.key.reference(&dialog.dialog_id);
    let last = granted.map(|place| last_event(connection, identity, &reference, place));
    let last = last.transpose()?;
    if last.is_some_and(|last| last.kind != EventKind::Granted) {
        return Err(rows::damaged(5));
    }
    // Which dates are those of another store's clock is not kept.
    let held = HeldRow { dialog, received: date, is_imported: true };
    Ok(SealedRow::new(Row { reference, held: Some(held), last }))
}

/// What the event at a place says of that dialog.
fn last_event(
    connection: &Connection,
    identity: &Identity,
    reference: &DialogRef,
    place: Place,
) -> rusqlite::Result<LastEvent> {
    let event = ledger::of(connection, &identity.chains, reference, place)?;
    let Event { chain, position, kind, date, .. } = event;
    Ok(LastEvent { chain, position, kind, date })
}
