//! Backups: a copy of a store while others write to it, and what of it may come back.
//!
//! A copy in one read would keep every erasure in the files for as long as it takes. So the copy grows
//! in steps, each a short read of one moment, in which it takes first what the ledger says has happened
//! since the step before to what is copied already, and then the rows that follow. After each step the
//! copy is what the store was at that moment up to some row, and after the last one all of it.
//!
//! A backup is old the moment it is made, and what was withdrawn or erased since must not come back with
//! it (GDPR articles 7(3) and 17). So nothing is restored without a ledger that tells what that is:
//! the one of the store that is there, or one that was kept elsewhere.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use dataapi_core::{
    Audit, BrokenChain, ChainHead, Date, DialogRef, Event, EventKind, LedgerHead, Limit, Positions,
    RefKey, StoreError,
};
use rusqlite::Connection;

use crate::chains::{Chains, Place};
use crate::copy::{Copy, DialogRow, StoreRow, early_grants, events_after};
use crate::schema::{Identity, OpenError, open_backup, open_for_reading};
use crate::transaction::PutBack;
use crate::{SqliteStore, keys, ledger, rows};

/// What was backed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// How many dialogs, pending ones included.
    pub dialogs: u64,
    /// The last events of the ledger at the moment of the copy.
    pub head: LedgerHead,
}

/// What came of a backup's dialogs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// How many came back.
    pub restored: u64,
    /// How many were left out, since they were withdrawn or erased after the backup.
    pub gone: u64,
    /// How many were there already, or another dialog under their id, and were left as they are.
    pub already_there: u64,
}

/// What tells which dialogs of a backup were withdrawn or erased after it.
pub enum Since {
    /// The ledger of the store that was lost, from its first event on, as it was kept elsewhere.
    Ledger(Box<dyn Iterator<Item = io::Result<Event>> + Send>),
    /// Nothing: refused.
    Unknown,
    /// Nothing, and whoever restores answers for what becomes readable again.
    ResurrectionAccepted,
}

impl std::fmt::Debug for Since {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ledger(_) => "Ledger",
            Self::Unknown => "Unknown",
            Self::ResurrectionAccepted => "ResurrectionAccepted",
        })
    }
}

/// Told after each step how many more dialogs are done; a break ends the work, with nothing left of it
/// in a new file.
pub type Progress<'p> = &'p mut (dyn FnMut(u64) -> ControlFlow<()> + Send);

/// Why there is no backup, or nothing was restored from one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is a file at the place of the new one, or the log of one. It was left alone.
    #[error(
        "there is a file at that place already, or the log of one beside it (-wal, -shm); choose \
         another place, or move it away"
    )]
    IsThere,

    /// The new file could not be written; nothing is left of it.
    #[error("the new file cannot be written; check that its folder is there and has room")]
    Write(#[source] io::Error),

    /// The backup or the store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),

    /// SQLite could not read the one or write the other.
    #[error("SQLite cannot read or write the copy")]
    Sqlite(#[from] rusqlite::Error),

    /// The store that is there did not take a dialog.
    #[error(transparent)]
    Store(#[from] StoreError),

    /// The store that is there was not made from the same one as the backup.
    #[error(
        "the store that is there is not the one of the backup; restore to a place without a store"
    )]
    OtherStore,

    /// The ledger is not one that goes on from the backup's.
    #[error("the ledger does not go on from that of the backup: {0}")]
    Ledger(#[from] BrokenChain),

    /// The ledger could not be read.
    #[error("the ledger cannot be read")]
    LedgerFile(#[source] io::Error),

    /// There is no ledger to tell what must not come back.
    #[error(
        "nothing tells what was withdrawn or erased after this backup. It knows of {position} \
         events, the last of {date}; every dialog that was withdrawn or erased after that would be \
         there again, and those consented to before could be read"
    )]
    NothingKnown {
        /// How many events the backup has.
        position: u64,
        /// When the backup's store last gave out a date.
        date: Date,
    },

    /// It was asked to stop.
    #[error("it was stopped before its end")]
    Stopped,
}

impl SqliteStore {
    /// Writes a copy of the store as it is at one moment to a new file, while it is in use, here and by
    /// other processes; no erasure waits for it. The file is a store of its own with the same key, that
    /// only its owner can read, and appears once it is whole and on disk. Its keys are all revoked: one
    /// that is revoked later would work there.
    ///
    /// It holds pending dialogs, too: keep it as safe as the store, and no longer than you must, since
    /// no later erasure reaches it. Blocks for as long as it takes, and ends only while rows are copied
    /// faster than they are added.
    ///
    /// # Errors
    /// [`BackupError::IsThere`], [`BackupError::Write`], [`BackupError::Sqlite`],
    /// [`BackupError::Stopped`].
    pub fn back_up(&self, place: &Path, progress: Progress<'_>) -> Result<Backup, BackupError> {
        let source = open_for_reading(&self.path)?;
        let copy = Copy::begin(place, &self.identity.key, &self.identity.chains)?;
        loop {
            let mut moment = source.unchecked_transaction()?;
            let adding = copy.add()?;
            let mut events = events_after(&moment, &self.identity.chains, copy.end()?)?;
            while events.len() > FEW_EVENTS {
                drop(moment);
                follow(&copy, &events)?;
                moment = source.unchecked_transaction()?;
                events = events_after(&moment, &self.identity.chains, copy.end()?)?;
            }
            follow(&copy, &events)?;
            let (rows, is_last) = DialogRow::after(&moment, copy.last_seq()?)?;
            let end = if is_last {
                let store = StoreRow::read(&moment, &self.identity.chains)?;
                Some((store, early_grants(&moment)?, keys::all(&moment)?))
            } else {
                None
            };
            drop(moment);
            for row in &rows {
                copy.dialog(row)?;
            }
            if let Some((store, early, keys)) = &end {
                early.iter().try_for_each(|early| copy.early(early))?;
                copy.keys(keys, store.last_date)?;
            }
            adding.commit()?;
            go_on(progress, rows.len())?;
            if let Some((store, ..)) = end {
                let head = copy.head()?;
                let dialogs = copy.finish(&store)?;
                return Ok(Backup { dialogs, head });
            }
        }
    }

    /// Puts back what a backup of this store holds and the store has lost, while it is in use: dialogs
    /// whose id is neither in use nor, by the store's own ledger, withdrawn or erased since.
    ///
    /// A dialog comes back as it was, and with a *yes* that came after the backup. Each thousand are one
    /// transaction, so that it can be stopped and begun anew. Keeps about 100 bytes in memory for each
    /// event since the backup. Reads the backup where it is polled, some hundredths of a second at a time.
    ///
    /// # Errors
    /// [`BackupError::OtherStore`], [`BackupError::Ledger`] when the store's ledger does not go on from
    /// the backup's, [`BackupError::Open`], [`BackupError::Sqlite`], [`BackupError::Store`],
    /// [`BackupError::Stopped`].
    pub async fn put_back(
        &self,
        backup: &Path,
        progress: Progress<'_>,
    ) -> Result<Restored, BackupError> {
        let source = open_backup(backup)?;
        let Identity { key, chains } = Identity::load(&source)?;
        if key.as_bytes() != self.identity.key.as_bytes() {
            return Err(BackupError::OtherStore);
        }
        // Also where this store is a copy of that one, events that both have lie at the same places.
        let fates = self.fates_after(&ledger::heads(&source, &chains)?)?;
        let mut outcome = Restored::default();
        let mut seq = 0;
        loop {
            let (rows, is_last) = DialogRow::after(&source, seq)?;
            seq = rows.last().map_or(seq, |row| row.seq);
            let mut coming = rows.into_iter();
            loop {
                let batch: Vec<_> = coming.by_ref().take(PUT_BACK_AT_ONCE).collect();
                if batch.is_empty() {
                    break;
                }
                let count = batch.len();
                let (staying, gone) = fates.sort(&self.identity.key, batch);
                outcome.gone += gone;
                let put_back = move |transaction: &mut crate::transaction::Transaction<'_>| {
                    staying
                        .iter()
                        .map(|row| transaction.put_back(row))
                        .collect::<Result<Vec<_>, _>>()
                };
                for put_back in self.writer.write(put_back).await? {
                    match put_back {
                        PutBack::Done => outcome.restored += 1,
                        PutBack::IsThere => outcome.already_there += 1,
                        PutBack::Gone => outcome.gone += 1,
                    }
                }
                go_on(progress, count)?;
            }
            if is_last {
                return Ok(outcome);
            }
        }
    }

    /// What the store's ledger says has happened since those heads, which must be its own.
    fn fates_after(&self, noted: &[ChainHead]) -> Result<Fates, BackupError> {
        let source = open_for_reading(&self.path)?;
        let mut fates = Fates::default();
        let mut after = Positions::START;
        for head in noted {
            after.set(head.chain, head.position);
            let place = self.identity.chains.place(head.chain, head.position);
            let there =
                place.map(|place| ledger::unchecked_at(&source, &self.identity.chains, place));
            match there.transpose()?.flatten() {
                Some(event) if event.head() == *head => {}
                Some(_) => {
                    let positions = LedgerHead::of(noted.iter().copied()).positions;
                    return Err(BrokenChain::Rewritten { positions }.into());
                }
                None => {
                    let chain = head.chain;
                    let position =
                        ledger::whole_head(&source, &self.identity.chains)?.positions.of(chain);
                    return Err(BrokenChain::CutOff { chain, position }.into());
                }
            }
        }
        loop {
            let events = ledger::after(&source, &self.identity.chains, &after, Limit::MAX)?;
            if events.is_empty() {
                return Ok(fates);
            }
            for event in &events {
                after.pass(event);
                fates.add(event, &self.identity.chains)?;
            }
        }
    }
}

fn follow(copy: &Copy, events: &[(Event, Option<i64>)]) -> rusqlite::Result<()> {
    events.iter().try_for_each(|(event, seq)| copy.follow(event, *seq))
}

/// So many are done to the copy within a read: a hundredth of a second.
const FEW_EVENTS: usize = 200;

/// As many as are put back while other writers wait for some hundredths of a second.
const PUT_BACK_AT_ONCE: usize = 1_000;

/// Makes a store at a place where there is none from a backup, but for what was withdrawn or erased
/// since: that never is in the new file, which appears once it is whole and on disk.
///
/// A dialog comes back as it was, and with a *yes* that came after the backup. The new store has the
/// backup's key, and the ledger that was given. Blocks for as long as it takes; keeps about 250 bytes in
/// memory for each event since the backup.
///
/// # Errors
/// [`BackupError::NothingKnown`] for [`Since::Unknown`]; [`BackupError::Ledger`] when the ledger is broken or
/// does not go on from the backup's; [`BackupError::IsThere`], [`BackupError::Open`], [`BackupError::Write`],
/// [`BackupError::Sqlite`], [`BackupError::LedgerFile`], [`BackupError::Stopped`].
pub fn restore(
    backup: &Path,
    place: &Path,
    since: Since,
    progress: Progress<'_>,
) -> Result<Restored, BackupError> {
    let source = open_backup(backup)?;
    let source = source.unchecked_transaction()?;
    let Identity { key, chains } = Identity::load(&source)?;
    let mut store = StoreRow::read(&source, &chains)?;
    let head = ledger::whole_head(&source, &chains)?;
    let tail = match since {
        Since::Ledger(events) => audited(events, head, &chains)?,
        Since::ResurrectionAccepted => Vec::new(),
        Since::Unknown => {
            let (position, date) = (head.positions.events(), store.last_date);
            return Err(BackupError::NothingKnown { position, date });
        }
    };
    let mut fates = Fates::default();
    for event in &tail {
        fates.add(event, &chains)?;
    }
    store.last_date = tail.last().map_or(store.last_date, |last| last.date.max(store.last_date));

    let copy = Copy::begin(place, &key, &chains)?;
    copy_ledger(&source, &chains, &copy)?;
    let mut outcome = Restored::default();
    let mut rows_of = HashMap::new();
    let mut seq = 0;
    loop {
        let (rows, is_last) = DialogRow::after(&source, seq)?;
        seq = rows.last().map_or(seq, |row| row.seq);
        let count = rows.len();
        let known = rows.iter().map(|row| (key.reference(&row.dialog.dialog_id), row.seq));
        rows_of.extend(known.filter(|(reference, _)| fates.0.contains_key(reference)));
        let (staying, gone) = fates.sort(&key, rows);
        let adding = copy.add()?;
        staying.iter().try_for_each(|row| copy.dialog(row))?;
        adding.commit()?;
        outcome.restored += staying.len() as u64;
        outcome.gone += gone;
        go_on(progress, count)?;
        if is_last {
            break;
        }
    }
    let adding = copy.add()?;
    for event in &tail {
        copy.event(event, rows_of.get(&event.reference).copied())?;
    }
    for early in early_grants(&source)? {
        if !fates.0.contains_key(&early.reference) {
            copy.early(&early)?;
        }
    }
    copy.keys(&keys::all(&source)?, store.last_date)?;
    adding.commit()?;
    copy.finish(&store)?;
    Ok(outcome)
}

fn copy_ledger(source: &Connection, chains: &Chains, copy: &Copy) -> Result<(), BackupError> {
    loop {
        let events = events_after(source, chains, copy.end()?)?;
        if events.is_empty() {
            return Ok(());
        }
        let adding = copy.add()?;
        events.iter().try_for_each(|(event, seq)| copy.event(event, *seq))?;
        adding.commit()?;
    }
}

/// Checks a ledger from its first event on; yields the events after that head, which must be in it.
fn audited(
    events: impl Iterator<Item = io::Result<Event>>,
    noted: LedgerHead,
    chains: &Chains,
) -> Result<Vec<Event>, BackupError> {
    let seen = noted.positions.clone();
    let live = chains.live().number;
    let mut audit = Audit::new(Some(noted));
    let mut tail = Vec::new();
    for event in events {
        let event = event.map_err(BackupError::LedgerFile)?;
        audit.check(&event)?;
        let Event { chain, position, .. } = event;
        if position > seen.of(chain) {
            // The store of this backup adds to one chain, and so has its ledger.
            if chain != live {
                return Err(BrokenChain::Link { chain, position }.into());
            }
            tail.push(event);
        }
    }
    audit.finish()?;
    Ok(tail)
}

fn go_on(progress: Progress<'_>, done: usize) -> Result<(), BackupError> {
    match progress(done as u64) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(BackupError::Stopped),
    }
}

/// What has happened to the dialogs of a backup since it was made.
#[derive(Default)]
struct Fates(HashMap<DialogRef, Fate>);

/// What has happened to one of them.
#[derive(Clone, Copy)]
enum Fate {
    /// It was consented to by the event at that place.
    Granted(Place),
    /// It was withdrawn or erased; a dialog that took its id later is another one.
    Gone,
}

impl Fates {
    fn add(&mut self, event: &Event, chains: &Chains) -> rusqlite::Result<()> {
        let fate = match event.kind {
            EventKind::Granted => {
                let place = chains.place(event.chain, event.position);
                Fate::Granted(place.ok_or_else(|| rows::damaged(0))?)
            }
            EventKind::Withdrawn | EventKind::Erased | EventKind::Expired => Fate::Gone,
        };
        self.0
            .entry(event.reference)
            .and_modify(|before| {
                if matches!(fate, Fate::Gone) {
                    *before = fate;
                }
            })
            .or_insert(fate);
        Ok(())
    }

    /// Those that may come back, as they are to stand, and how many may not.
    fn sort(&self, key: &RefKey, rows: Vec<DialogRow>) -> (Vec<DialogRow>, u64) {
        if self.0.is_empty() {
            return (rows, 0);
        }
        let all = rows.len();
        let staying: Vec<_> = rows
            .into_iter()
            .filter_map(|mut row| match self.0.get(&key.reference(&row.dialog.dialog_id)) {
                None => Some(row),
                Some(Fate::Granted(place)) => {
                    row.granted = Some(*place);
                    Some(row)
                }
                Some(Fate::Gone) => None,
            })
            .collect();
        let gone = all - staying.len();
        (staying, gone as u64)
    }
}
