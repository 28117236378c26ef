//! Reads one dialog, or its consent, by its id.

use dataapi_core::{
    ConsentState, ConsentStatus, CustomerId, Dialog, DialogId, Reach, RefKey, StoreError,
    StoredDialog,
};

use crate::error::PostgresError;
use crate::read::query::{SqlQuery, SqlValue};
use crate::read::readers::Readers;
use crate::rows::{self, DIALOG_COLUMNS, EVENT_COLUMNS, get, state};
use crate::shards::Shards;

/// Returns a query for one dialog by its id, in any state.
fn by_id(columns: &str, key: &RefKey, shards: &Shards, dialog_id: &DialogId) -> SqlQuery {
    let reference = key.reference(dialog_id);
    let mut query = SqlQuery::new(format!("SELECT {columns} FROM dataapi.dialog d"));
    let shard = shards.key(shards.of(&reference));
    let place = [SqlValue::Bytes(reference.as_bytes().to_vec()), SqlValue::Integer(shard)];
    query.append(" WHERE d.ref = ? AND d.shard = ?", place);
    query
}

async fn held(
    readers: &Readers,
    key: &RefKey,
    shards: &Shards,
    dialog_id: &DialogId,
) -> Result<Option<StoredDialog>, PostgresError> {
    let mut query = by_id(DIALOG_COLUMNS, key, shards, dialog_id);
    query.sql.push_str(" AND d.state IN (1, 2)");
    readers.row(&query).await?.map(|row| rows::stored_dialog(&row, 0)).transpose()
}

pub(crate) async fn dialog(
    readers: &Readers,
    key: &RefKey,
    shards: &Shards,
    (customer_id, dialog_id): (&CustomerId, &DialogId),
    reach: &Reach,
) -> Result<Dialog, PostgresError> {
    let held = held(readers, key, shards, dialog_id).await?;
    let stored = held.filter(|stored| {
        stored.customer_id() == customer_id && reach.covers(customer_id, stored.language())
    });
    Ok(stored.ok_or(StoreError::NotFound)?.readable()?)
}

pub(crate) async fn is_within(
    readers: &Readers,
    key: &RefKey,
    shards: &Shards,
    reach: &Reach,
    dialog_id: &DialogId,
) -> Result<bool, PostgresError> {
    let held = held(readers, key, shards, dialog_id).await?;
    Ok(held.is_some_and(|stored| reach.covers(stored.customer_id(), stored.language())))
}

pub(crate) async fn consent(
    readers: &Readers,
    key: &RefKey,
    shards: &Shards,
    dialog_id: &DialogId,
) -> Result<ConsentStatus, PostgresError> {
    let columns = format!("d.state, d.date, {EVENT_COLUMNS}");
    let mut query = by_id(&columns, key, shards, dialog_id);
    let join = "dataapi.dialog d LEFT JOIN dataapi.event e
                ON e.shard = d.shard AND e.chain = d.chain AND e.position = d.position";
    query.sql = query.sql.replace("dataapi.dialog d", join);
    let row = readers.row(&query).await?.ok_or(StoreError::NotFound)?;
    let (state, date, event) = match get::<i16>(&row, 0)? {
        state::AWAITED => return Err(StoreError::NotFound.into()),
        state::PENDING => (ConsentState::Pending, rows::date(&row, 1)?, None),
        _ => {
            let event = rows::event(&row, 2)?;
            if event.reference != key.reference(dialog_id) {
                return Err(rows::damaged("event"));
            }
            (ConsentState::after(event.kind), event.date, Some(event))
        }
    };
    Ok(ConsentStatus { dialog_id: dialog_id.clone(), state, date, event })
}
