//! Why an export cannot be brought up to date.

use crate::error::CommandError;

#[derive(Debug, thiserror::Error)]
pub(super) enum SyncError {
    #[error(
        "the file is no export in JSON Lines with its manifest; make one with 'dataapi export -o \
         FILE.jsonl'"
    )]
    NoManifest,

    #[error("the file was changed after it was written; export it anew")]
    Changed,

    #[error(
        "the file is of another store, or of one that has lost its ledger since; export it anew, and \
         delete the old file"
    )]
    OtherLedger,
}

impl From<SyncError> for CommandError {
    fn from(error: SyncError) -> Self {
        Self::NotDone(Box::new(error))
    }
}
