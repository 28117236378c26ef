//! Reads one dialog, or the state of its consent.

use dataapi_core::consent::rules::{HeldRecord, Record};
use dataapi_core::{ConsentStatus, CustomerId, Dialog, DialogId, NewDialog, Reach, StoreError};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::error::SqliteError;
use crate::read::select::Select;
use crate::rows::dialogs::{self, DIALOG_COLUMNS};
use crate::rows::identity::Identity;
use crate::rows::{ledger, tombstones};

pub(crate) fn dialog(
    connection: &Connection,
    customer_id: &CustomerId,
    dialog_id: &DialogId,
    reach: &Reach,
) -> Result<Dialog, SqliteError> {
    let mut query = by_id(DIALOG_COLUMNS, dialog_id);
    query.and("customer_id = ?", [customer_id.as_str().to_owned().into()]);
    query.within(reach);
    let stored = connection
        .prepare_cached(&query.sql)?
        .query_row(params_from_iter(&query.parameters), dialogs::stored_dialog)
        .optional()?
        .ok_or(StoreError::NotFound)?;
    Ok(stored.readable()?)
}

pub(crate) fn is_within(
    connection: &Connection,
    reach: &Reach,
    dialog_id: &DialogId,
) -> Result<bool, SqliteError> {
    let mut query = by_id("count(*)", dialog_id);
    query.within(reach);
    Ok(query.number(connection)? > 0)
}

pub(crate) fn consent(
    connection: &Connection,
    identity: &Identity,
    dialog_id: &DialogId,
) -> Result<ConsentStatus, SqliteError> {
    let Identity { key, chains } = identity;
    let query = by_id(DIALOG_COLUMNS, dialog_id);
    let found = connection
        .prepare_cached(&query.sql)?
        .query_row(params_from_iter(&query.parameters), dialogs::whole_dialog)
        .optional()?;
    let record = if let Some((dialog, received, granted)) = found {
        let NewDialog { customer_id, language, .. } = dialog;
        let event = |number| ledger::of(connection, chains, &key.reference(dialog_id), number);
        let granted = granted.map(event).transpose()?;
        // The row does not say whether the date is another store's. The status does not depend on it.
        let is_imported = true;
        Record::Held(HeldRecord { customer_id, language, received, is_imported, granted })
    } else {
        let gone = tombstones::find(connection, chains, &key.reference(dialog_id))?;
        gone.map_or(Record::Absent, Record::Gone)
    };
    Ok(record.status(dialog_id.clone())?)
}

pub(crate) fn by_id(columns: &str, dialog_id: &DialogId) -> Select {
    Select {
        sql: format!("SELECT {columns} FROM dialog WHERE dialog_id = ?"),
        parameters: vec![dialog_id.as_str().to_owned().into()],
    }
}
