//! Reads what a copy needs of a store: of the source, or of the copy itself, to compare it.

use dataapi_core::copy::{HeldRow, LastEvent, Rest, Row, Rows, SealedRow, StoreManifest};
use dataapi_core::{DialogRef, Event, EventKind, Limit, Positions, StoreError};
use rusqlite::Connection;

use crate::error::SqliteError;
use crate::read::counts::stats;
use crate::rows::dialogs::{self, DialogRow};
use crate::rows::event_number::EventNumber;
use crate::rows::identity::Identity;
use crate::rows::{early_grants, keys, ledger, tombstones, values};

pub(crate) fn manifest(
    connection: &Connection,
    identity: &Identity,
) -> Result<StoreManifest, SqliteError> {
    let Identity { key, chains } = identity;
    Ok(StoreManifest {
        key: key.clone(),
        heads: ledger::heads(connection, chains)?,
        stats: stats(connection)?,
        last_date: connection
            .query_row("SELECT last_date FROM store", (), |row| values::date(row, 0))?,
    })
}

pub(crate) fn events(
    connection: &Connection,
    identity: &Identity,
    after: &Positions,
    limit: Limit,
) -> Result<Vec<Event>, SqliteError> {
    Ok(ledger::after(connection, &identity.chains, after, limit)?)
}

pub(crate) fn rest(connection: &Connection) -> Result<Rest, SqliteError> {
    Ok(Rest { early_grants: early_grants::all(connection)?, keys: keys::all(connection)? })
}

pub(crate) fn rows(
    connection: &Connection,
    identity: &Identity,
    after: &[u8],
) -> Result<Rows, SqliteError> {
    let after = match Bookmark::read(after)? {
        Bookmark::Dialogs(seq) => {
            let (found, _) = DialogRow::after(connection, seq)?;
            if let Some(last) = found.last() {
                let bookmark = Bookmark::Dialogs(last.seq).write();
                let rows = found.into_iter().map(|row| held(connection, identity, row));
                return Ok(Rows { rows: rows.collect::<Result<_, _>>()?, bookmark });
            }
            Vec::new()
        }
        Bookmark::Tombstones(reference) => reference,
    };
    let found = tombstones::after(connection, &after, dialogs::AT_ONCE)?;
    let bookmark = match found.last() {
        Some((last, _)) => Bookmark::Tombstones(last.as_bytes().to_vec()).write(),
        None => Bookmark::Tombstones(after).write(),
    };
    let rows = found.into_iter().map(|(reference, number)| {
        let last = last_event(connection, identity, &reference, number)?;
        if last.kind == EventKind::Granted {
            return Err(values::damaged(1));
        }
        Ok(SealedRow::new(Row { reference, held: None, last: Some(last) }))
    });
    Ok(Rows { rows: rows.collect::<Result<_, _>>()?, bookmark })
}

/// Makes a row of a copy from the row of a dialog. Checks that the dialog's event, if it has one, is a grant of it.
fn held(
    connection: &Connection,
    identity: &Identity,
    row: DialogRow,
) -> rusqlite::Result<SealedRow> {
    let DialogRow { dialog, date, granted, .. } = row;
    let reference = identity.key.reference(&dialog.dialog_id);
    let last = granted.map(|number| last_event(connection, identity, &reference, number));
    let last = last.transpose()?;
    if last.is_some_and(|last| last.kind != EventKind::Granted) {
        return Err(values::damaged(5));
    }
    // The row does not say whether the date is from another store's clock.
    let held = HeldRow { dialog, received: date, is_imported: true };
    Ok(SealedRow::new(Row { reference, held: Some(held), last }))
}

/// Reads the event with this number, which must be an event of this dialog.
fn last_event(
    connection: &Connection,
    identity: &Identity,
    reference: &DialogRef,
    number: EventNumber,
) -> rusqlite::Result<LastEvent> {
    let event = ledger::of(connection, &identity.chains, reference, number)?;
    let Event { chain, position, kind, date, .. } = event;
    Ok(LastEvent { chain, position, kind, date })
}

/// The end of a batch of rows, to continue from. Dialogs come first, by row, then tombstones, by reference.
enum Bookmark {
    Dialogs(i64),
    Tombstones(Vec<u8>),
}

impl Bookmark {
    fn read(bytes: &[u8]) -> Result<Self, SqliteError> {
        match bytes {
            [] => Ok(Self::Dialogs(0)),
            [b'd', seq @ ..] if seq.len() == 8 => {
                Ok(Self::Dialogs(seq.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte))))
            }
            [b't', reference @ ..] => Ok(Self::Tombstones(reference.to_vec())),
            _ => Err(StoreError::backend("the bookmark of the copy is damaged").into()),
        }
    }

    fn write(&self) -> Vec<u8> {
        match self {
            Self::Dialogs(seq) => [&b"d"[..], &seq.to_be_bytes()].concat(),
            Self::Tombstones(reference) => [&b"t"[..], reference].concat(),
        }
    }
}
