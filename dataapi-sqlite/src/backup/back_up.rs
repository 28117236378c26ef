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

/// So many are done to the copy within a read: a hundredth of a second.
const FEW_EVENTS: usize = 200;

/// What was backed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// How many dialogs, pending ones included.
    pub dialogs: u64,
    /// The last events of the ledger at the moment of the copy.
    pub head: LedgerHead,
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
