//! Puts the dialogs that a store has lost back into it from a backup.

use std::path::Path;

use dataapi_core::{BrokenChain, ChainHead, LedgerHead, Limit, Positions};

use crate::SqliteStore;
use crate::backup::error::BackupError;
use crate::backup::fates::Fates;
use crate::backup::restore::Restored;
use crate::backup::steps::{OnStep, go_on};
use crate::open::{OpenBackup, open_for_reading};
use crate::rows::dialogs::DialogRow;
use crate::rows::identity::Identity;
use crate::rows::ledger;
use crate::write::arrivals::PutBack;
use crate::write::transaction::Transaction;

/// How many dialogs one transaction puts back. Other writers wait for it, some hundredths of a second.
const PUT_BACK_AT_ONCE: usize = 1_000;

impl SqliteStore {
    /// Puts the dialogs that this store has lost back from a backup of it, while the store is in use. It leaves out
    /// dialogs whose id is in use, and those that the store's ledger says were withdrawn or erased since.
    ///
    /// A dialog comes back as it was in the backup, consented if it was granted after the backup. Each thousand dialogs
    /// are one transaction, so this can be stopped and run again. It keeps about 100 bytes in memory for each event
    /// since the backup. Polling it blocks the thread for some hundredths of a second at a time, while it reads the
    /// backup.
    ///
    /// # Errors
    /// [`BackupError::OtherStore`]; [`BackupError::Ledger`] if the store's ledger does not continue the backup's;
    /// [`BackupError::Open`], [`BackupError::Sqlite`], [`BackupError::Store`], [`BackupError::Stopped`].
    pub async fn put_back(
        &self,
        backup: &Path,
        on_step: OnStep<'_>,
    ) -> Result<Restored, BackupError> {
        let source = OpenBackup::open(backup)?;
        let Identity { key, chains } = Identity::load(&source)?;
        if key.as_bytes() != self.identity.key.as_bytes() {
            return Err(BackupError::OtherStore);
        }
        // If this store is a copy of the one that was backed up, their common events still have the same numbers.
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
                let put_back = move |transaction: &mut Transaction<'_>| {
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
                go_on(on_step, count)?;
            }
            if is_last {
                return Ok(outcome);
            }
        }
    }

    /// What happened after these heads, according to the store's ledger. The heads must be in that ledger.
    fn fates_after(&self, noted: &[ChainHead]) -> Result<Fates, BackupError> {
        let source = open_for_reading(&self.path)?;
        let mut fates = Fates::default();
        let mut after = Positions::START;
        for head in noted {
            after.set(head.chain, head.position);
            let number = self.identity.chains.event_number(head.chain, head.position);
            let there =
                number.map(|number| ledger::unchecked_at(&source, &self.identity.chains, number));
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
