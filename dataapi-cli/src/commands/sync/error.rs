//! Why an export cannot be updated.

use crate::error::CommandError;

#[derive(Debug, thiserror::Error)]
pub(super) enum SyncError {
    #[error(
        "the file is not an export in JSON Lines with a manifest; create one with 'dataapi export -o \
         FILE.jsonl'"
    )]
    NoManifest,

    #[error("the file was changed after the export; export it again")]
    Changed,

    #[error(
        "the file is of another store, or its store has lost its ledger since; export it again, and \
         delete the old file"
    )]
    OtherLedger,
}

impl From<SyncError> for CommandError {
    fn from(error: SyncError) -> Self {
        Self::NotDone(Box::new(error))
    }
}
