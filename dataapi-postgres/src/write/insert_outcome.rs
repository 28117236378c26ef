//! What came of putting a dialog in without a look.

use dataapi_core::consent::rules::Slot;
use dataapi_core::{DialogRef, NewDialog, StoredDialog};
use tokio_postgres::Row;

use crate::error::PostgresError;
use crate::rows::{self, get, state};

/// What came of it.
#[derive(Debug)]
pub(crate) enum InsertOutcome {
    Stored,
    /// That dialog has the id.
    Taken(StoredDialog),
    Gone,
    /// A grant came before it, or what has the id is gone meanwhile: it takes another look.
    Unclear,
}

impl InsertOutcome {
    /// What the dialog met under its id, as the rules want it; `None` where nobody knows.
    pub(crate) fn slot(&self, dialog: &NewDialog) -> Option<Slot<'static>> {
        match self {
            Self::Stored => Some(Slot::Free),
            Self::Taken(stored) => Some(Slot::Taken { same_content: stored.same_content(dialog) }),
            Self::Gone => Some(Slot::Gone),
            Self::Unclear => None,
        }
    }
}

/// What took the ids of dialogs that could not be put in.
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
