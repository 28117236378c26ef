//! The rows of the table `dialog`.

use dataapi_core::{Date, NewDialog, Purge, StoredDialog, Text};
use rusqlite::{Connection, Row};

use crate::rows::checksum;
use crate::rows::event_number::EventNumber;
use crate::rows::values::{damaged, date, parsed};

/// The columns that [`stored_dialog`] reads, in its order.
pub(crate) const DIALOG_COLUMNS: &str =
    "dialog_id, customer_id, language, text, date, granted, checksum";

/// Reads [`DIALOG_COLUMNS`].
pub(crate) fn stored_dialog(row: &Row<'_>) -> rusqlite::Result<StoredDialog> {
    let (dialog, date, granted) = whole_dialog(row)?;
    Ok(StoredDialog::new(dialog, date, granted.is_some()))
}

/// Reads [`DIALOG_COLUMNS`] and checks that they are as they were written. Returns the dialog, the date when it was
/// received, and the number of the event that grants it.
pub(crate) fn whole_dialog(
    row: &Row<'_>,
) -> rusqlite::Result<(NewDialog, Date, Option<EventNumber>)> {
    let dialog = NewDialog {
        dialog_id: parsed(row, 0)?,
        customer_id: parsed(row, 1)?,
        language: parsed(row, 2)?,
        // The limit on a text's length applies to new dialogs. It might have been higher when this one came.
        text: Text::parse(row.get(3)?, usize::MAX).map_err(|_| damaged(3))?,
    };
    let (date, granted) = (date(row, 4)?, row.get(5)?);
    if row.get::<_, i64>(6)? == i64::from(checksum::dialog(&dialog, date, granted)) {
        Ok((dialog, date, granted))
    } else {
        Err(damaged(6))
    }
}

/// Makes a pending dialog readable, by the event with this number.
pub(crate) fn grant(
    connection: &Connection,
    seq: i64,
    number: EventNumber,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            // SQLite has no XOR: `a ^ b` is `(a | b) - (a & b)`.
            "UPDATE dialog SET granted = ?2, checksum = (checksum | ?3) - (checksum & ?3)
             WHERE seq = ?1",
        )?
        .execute((seq, number, checksum::grant(number)))?;
    Ok(())
}

/// A row of a dialog, on its way from one store to another. Nothing here lets its content be shown.
pub(crate) struct DialogRow {
    pub(crate) seq: i64,
    pub(crate) dialog: NewDialog,
    pub(crate) date: Date,
    /// The number of the event that grants it; `None` while it is pending.
    pub(crate) granted: Option<EventNumber>,
}

/// How many rows, and about how many bytes of text, are read at once. That takes some hundredths of a second, which
/// does not delay an erasure.
pub(crate) const AT_ONCE: usize = 4_000;
const BYTES_AT_ONCE: usize = 8 << 20;

impl DialogRow {
    /// Reads some thousand dialogs after this row, in the order of rows. Returns them, and whether they are the last
    /// ones.
    pub(crate) fn after(connection: &Connection, seq: i64) -> rusqlite::Result<(Vec<Self>, bool)> {
        let mut select = connection.prepare_cached(&format!(
            "SELECT {DIALOG_COLUMNS}, seq FROM dialog WHERE seq > ?1 ORDER BY seq"
        ))?;
        let mut found = Vec::new();
        let mut taken = 0;
        let mut rows = select.query([seq])?;
        while found.len() < AT_ONCE && taken < BYTES_AT_ONCE {
            let Some(row) = rows.next()? else { return Ok((found, true)) };
            let row = Self::read(row)?;
            taken += row.dialog.text.as_str().len();
            found.push(row);
        }
        Ok((found, false))
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (dialog, date, granted) = whole_dialog(row)?;
        Ok(Self { seq: row.get("seq")?, dialog, date, granted })
    }
}

/// Adds a dialog in the row that it had in the other store.
pub(crate) fn add(connection: &Connection, row: &DialogRow) -> rusqlite::Result<()> {
    let DialogRow { seq, dialog, date, granted } = row;
    connection
        .prepare_cached(
            "INSERT INTO dialog
                 (seq, dialog_id, customer_id, language, date, granted, checksum, text)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            seq,
            dialog.dialog_id.as_str(),
            dialog.customer_id.as_str(),
            dialog.language.as_str(),
            date.as_micros(),
            granted,
            checksum::dialog(dialog, *date, *granted),
            dialog.text.as_str(),
        ))?;
    Ok(())
}

/// Lists the blocks with pending dialogs, for [`PENDING_OF_CUSTOMER`]. Each takes about 4 µs.
pub(crate) const PENDING_BLOCKS: &str = "WITH RECURSIVE block (number) AS (
    SELECT min(seq >> 9) FROM dialog INDEXED BY pending_by_block WHERE granted IS NULL
    UNION ALL
    SELECT (SELECT min(seq >> 9) FROM dialog INDEXED BY pending_by_block
            WHERE granted IS NULL AND seq >> 9 > number)
    FROM block WHERE number IS NOT NULL)";

/// The pending dialogs of a customer, the parameter. A statement that uses this begins with [`PENDING_BLOCKS`].
pub(crate) const PENDING_OF_CUSTOMER: &str = "block CROSS JOIN dialog INDEXED BY pending_by_block
     WHERE granted IS NULL AND seq >> 9 = number AND customer_id = ?";

/// The number of the last row; 0 if there is none.
pub(crate) fn last_seq(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT max(seq) FROM dialog")?
        .query_row((), |row| Ok(row.get::<_, Option<i64>>(0)?.unwrap_or(0)))
}

/// The index and the condition that select the dialogs of a purge; `None` if the purge is not of dialogs.
pub(crate) fn due(which: Purge) -> Option<&'static str> {
    match which {
        Purge::Pending => Some("INDEXED BY pending_by_date WHERE granted IS NULL"),
        Purge::Consented => Some("INDEXED BY consented WHERE granted IS NOT NULL"),
        Purge::Tombstones => None,
    }
}
