//! Rows of dialogs and tombstones.

use dataapi_core::{Date, EventKind, Language, NewDialog, StoredDialog, Text};
use tokio_postgres::Row;

use crate::error::PostgresError;
use crate::rows::values::{damaged, date, get, parsed};

/// The values of the column `state`.
pub(crate) mod state {
    pub(crate) const AWAITED: i16 = 0;
    pub(crate) const PENDING: i16 = 1;
    pub(crate) const CONSENTED: i16 = 2;
    pub(crate) const WITHDRAWN: i16 = 3;
    pub(crate) const ERASED: i16 = 4;
    pub(crate) const EXPIRED: i16 = 5;
}

/// Returns the state of a dialog after an event of this kind.
pub(crate) fn state_after(kind: EventKind) -> i16 {
    match kind {
        EventKind::Granted => state::CONSENTED,
        EventKind::Withdrawn => state::WITHDRAWN,
        EventKind::Erased => state::ERASED,
        EventKind::Expired => state::EXPIRED,
    }
}

/// The columns that [`stored_dialog`] reads, in order.
pub(crate) const DIALOG_COLUMNS: &str = "dialog_id, customer_id, language, text, date, state";

/// Reads [`DIALOG_COLUMNS`], beginning at column `first`.
pub(crate) fn stored_dialog(row: &Row, first: usize) -> Result<StoredDialog, PostgresError> {
    let (dialog, received) = whole_dialog(row, first)?;
    let is_consented = get::<i16>(row, first + 5)? == state::CONSENTED;
    Ok(StoredDialog::new(dialog, received, is_consented))
}

/// Reads [`DIALOG_COLUMNS`], beginning at column `first`, as the dialog that was inserted and the date when it was
/// received.
pub(crate) fn whole_dialog(row: &Row, first: usize) -> Result<(NewDialog, Date), PostgresError> {
    let dialog = NewDialog {
        dialog_id: parsed(row, first)?,
        customer_id: parsed(row, first + 1)?,
        language: parsed(row, first + 2)?,
        // The limit on texts applies to input only. It might have been higher when this text came in.
        text: Text::parse(get(row, first + 3)?, usize::MAX).map_err(|_| damaged("text"))?,
    };
    Ok((dialog, date(row, first + 4)?))
}

/// Returns the form of a language tag that comparisons use: lower case.
pub(crate) fn folded(language: &Language) -> String {
    language.as_str().to_ascii_lowercase()
}
