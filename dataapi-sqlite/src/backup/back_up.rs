//! Makes a backup of a store that is in use.

use std::path::Path;

use dataapi_core::{Event, LedgerHead};

use crate::SqliteStore;
use crate::backup::error::BackupError;
use crate::backup::steps::{OnStep, go_on};
use crate::backup::store_file::{NewStoreFile, StoreRow};
use crate::open::open_for_reading;
use crate::rows::dialogs::{AT_ONCE, DialogRow};
use crate::rows::ledger::events_after;
use crate::rows::{early_grants, keys};

/// How many events are applied while a read is open. That takes a hundredth of a second.
const FEW_EVENTS: usize = 200;

/// The content of a new backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// How many dialogs it has, pending ones included.
    pub dialogs: u64,
    /// The head of the ledger at the moment of the backup.
    pub head: LedgerHead,
}

impl SqliteStore {
    /// Writes a backup of the store as it is at one moment to a new file. The store stays in use, here and by other
    /// processes, and no erasure waits for the backup.
    ///
    /// The backup is a store itself, with the same secret key. Only its owner can read the file, which appears once it
    /// is complete and on disk. All API keys in it are revoked: otherwise a key that is revoked later would still work
    /// there.
    ///
    /// A backup has pending dialogs too, and no later erasure reaches it: keep it as safe as the store, and no longer
    /// than you must. This call blocks until the backup is done. It ends only if rows are copied faster than new ones
    /// are added.
    ///
    /// # Errors
    /// [`BackupError::IsThere`], [`BackupError::Write`], [`BackupError::Open`], [`BackupError::Sqlite`],
    /// [`BackupError::Stopped`].
    pub fn back_up(&self, path: &Path, on_step: OnStep<'_>) -> Result<Backup, BackupError> {
        let source = open_for_reading(&self.path)?;
        let copy = NewStoreFile::begin(path, &self.identity.key, &self.identity.chains)?;
        loop {
            let mut moment = source.unchecked_transaction()?;
            let adding = copy.add()?;
            let mut events = events_after(&moment, &self.identity.chains, copy.end()?, AT_ONCE)?;
            while events.len() > FEW_EVENTS {
                drop(moment);
                follow(&copy, &events)?;
                moment = source.unchecked_transaction()?;
                events = events_after(&moment, &self.identity.chains, copy.end()?, AT_ONCE)?;
            }
            follow(&copy, &events)?;
            let (rows, is_last) = DialogRow::after(&moment, copy.last_seq()?)?;
            let end = if is_last {
                let store = StoreRow::read(&moment, &self.identity.chains)?;
                Some((store, early_grants::all(&moment)?, keys::all(&moment)?))
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
            go_on(on_step, rows.len())?;
            if let Some((store, ..)) = end {
                let head = copy.head()?;
                let dialogs = copy.finish(&store)?;
                return Ok(Backup { dialogs, head });
            }
        }
    }
}

fn follow(copy: &NewStoreFile, events: &[(Event, Option<i64>)]) -> rusqlite::Result<()> {
    events.iter().try_for_each(|(event, seq)| copy.follow(event, *seq))
}
