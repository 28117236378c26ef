//! Why a new dialog was not put in: what its id was taken by.

use dataapi_core::{DialogRef, StoredDialog};
use tokio_postgres::Row;

use crate::error::PostgresError;
use crate::rows::{self, get, state};

/// Why one was not put in.
#[derive(Debug)]
pub(crate) enum Taken {
    By(StoredDialog),
    Gone,
    /// By a yes that came before it, or by what is gone meanwhile: it takes another look.
    Unclear,
}

/// What took the ids of dialogs that could not be put in.
pub(crate) const TAKEN: &str = "SELECT dialog_id, customer_id, language, text, date, state, ref
     FROM dataapi.dialog WHERE ref = ANY($1) AND shard = ANY($2)";

/// Reads a row of [`TAKEN`].
pub(crate) fn taken(row: &Row) -> Result<(DialogRef, Taken), PostgresError> {
    let taken = match get::<i16>(row, 5)? {
        state::PENDING | state::CONSENTED => Taken::By(rows::stored_dialog(row, 0)?),
        state::AWAITED => Taken::Unclear,
        _ => Taken::Gone,
    };
    Ok((rows::reference(row, 6)?, taken))
}
