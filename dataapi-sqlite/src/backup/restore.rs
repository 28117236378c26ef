//! Makes a new store from a backup.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use dataapi_core::{Audit, BrokenChain, Event, LedgerHead};
use rusqlite::Connection;

use crate::backup::error::BackupError;
use crate::backup::fates::Fates;
use crate::backup::steps::{OnStep, go_on};
use crate::backup::store_file::{NewStoreFile, StoreRow};
use crate::open::OpenBackup;
use crate::rows::chains::Chains;
use crate::rows::dialogs::{AT_ONCE, DialogRow};
use crate::rows::identity::Identity;
use crate::rows::ledger::{self, events_after};
use crate::rows::{early_grants, keys};

/// The source that says which dialogs of a backup were withdrawn or erased after it.
pub enum Since {
    /// The ledger of the lost store, from its first event on, kept elsewhere.
    Ledger(Box<dyn Iterator<Item = io::Result<Event>> + Send>),
    /// There is none: the restore is refused.
    Unknown,
    /// There is none, and the caller accepts responsibility for what becomes readable again.
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

/// How many dialogs of a backup were restored, and how many were not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// How many were restored.
    pub restored: u64,
    /// How many were left out because they were withdrawn or erased after the backup.
    pub gone: u64,
    /// How many were left out because the store already has a dialog with their id, the same one or another.
    pub already_there: u64,
}

/// Makes a new store at `path` from a backup, without what was withdrawn or erased since. That is never in the new
/// file, which appears once it is complete and on disk.
///
/// A dialog comes back as it was in the backup, consented if it was granted after the backup. The new store has the
/// backup's secret key, and the ledger of `since` if there is one, else the backup's. All its API keys are revoked.
/// This call blocks until the restore is done. It keeps about 250 bytes in memory for each event since the backup.
///
/// # Errors
/// [`BackupError::NothingKnown`] for [`Since::Unknown`]; [`BackupError::Ledger`] if the ledger is broken or does not
/// continue the backup's; [`BackupError::IsThere`], [`BackupError::Open`], [`BackupError::Write`],
/// [`BackupError::Sqlite`], [`BackupError::LedgerFile`], [`BackupError::Stopped`].
pub fn restore(
    backup: &Path,
    path: &Path,
    since: Since,
    on_step: OnStep<'_>,
) -> Result<Restored, BackupError> {
    let source = OpenBackup::open(backup)?;
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

    let copy = NewStoreFile::begin(path, &key, &chains)?;
    copy_ledger(&source, &chains, &copy)?;
    let mut outcome = Restored::default();
    let mut rows_of = HashMap::new();
    let mut seq = 0;
    loop {
        let (rows, is_last) = DialogRow::after(&source, seq)?;
        seq = rows.last().map_or(seq, |row| row.seq);
        let count = rows.len();
        let known = rows.iter().map(|row| (key.reference(&row.dialog.dialog_id), row.seq));
        rows_of.extend(known.filter(|(reference, _)| fates.tell_of(reference)));
        let (staying, gone) = fates.sort(&key, rows);
        let adding = copy.add()?;
        staying.iter().try_for_each(|row| copy.dialog(row))?;
        adding.commit()?;
        outcome.restored += staying.len() as u64;
        outcome.gone += gone;
        go_on(on_step, count)?;
        if is_last {
            break;
        }
    }
    let adding = copy.add()?;
    for event in &tail {
        copy.event(event, rows_of.get(&event.reference).copied())?;
    }
    for early in early_grants::all(&source)? {
        if !fates.tell_of(&early.reference) {
            copy.early(&early)?;
        }
    }
    copy.keys(&keys::all(&source)?, store.last_date)?;
    adding.commit()?;
    copy.finish(&store)?;
    Ok(outcome)
}

fn copy_ledger(
    source: &Connection,
    chains: &Chains,
    copy: &NewStoreFile,
) -> Result<(), BackupError> {
    loop {
        let events = events_after(source, chains, copy.end()?, AT_ONCE)?;
        if events.is_empty() {
            return Ok(());
        }
        let adding = copy.add()?;
        events.iter().try_for_each(|(event, seq)| copy.event(event, *seq))?;
        adding.commit()?;
    }
}

/// Checks a ledger from its first event on. Returns the events after the head `noted`, which must be in it.
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
            // The backed up store only adds to its own chain, so its ledger cannot have new events in another.
            if chain != live {
                return Err(BrokenChain::Link { chain, position }.into());
            }
            tail.push(event);
        }
    }
    audit.finish()?;
    Ok(tail)
}
