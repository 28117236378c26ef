//! The outcome of an insert that did not read first.

use dataapi_core::consent::rules::Slot;
use dataapi_core::{DialogRef, NewDialog, StoredDialog};
use tokio_postgres::Row;

use crate::error::PostgresError;
use crate::rows::{self, get, state};

/// The outcome of an insert.
#[derive(Debug)]
pub(crate) enum InsertOutcome {
    Stored,
    /// This dialog has the id.
    Taken(StoredDialog),
    Gone,
    /// An early grant is held for the dialog, or the row that had the id has gone since. The insert must be done again,
    /// with a read first.
    Unclear,
}

impl InsertOutcome {
    /// Returns what the dialog found under its id, in the terms of the rules; `None` if that is unclear.
    pub(crate) fn slot(&self, dialog: &NewDialog) -> Option<Slot<'static>> {
        match self {
            Self::Stored => Some(Slot::Free),
            Self::Taken(stored) => Some(Slot::Taken { same_content: stored.same_content(dialog) }),
            Self::Gone => Some(Slot::Gone),
            Self::Unclear => None,
        }
    }
}

/// Selects the rows that already had the ids of dialogs.
pub(crate) const TAKEN: &str = "SELECT dialog_id, customer_id, language, text, date, state, ref
     FROM dataapi.dialog WHERE ref = ANY($1) AND shard = ANY($2)";

/// Reads a row of [`TAKEN`].
pub(crate) fn taken(row: &Row) -> Result<(DialogRef, InsertOutcome), PostgresError> {
    let outcome = match get::<i16>(row, 5)? {
        state::PENDING | state::CONSENTED => InsertOutcome::Taken(rows::stored_dialog(row, 0)?),
        state::AWAITED => InsertOutcome::Unclear,
        _ => InsertOutcome::Gone,
    };
    Ok((rows::reference(row, 6)?, outcome))
}
