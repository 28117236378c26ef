//! Selects the dialogs of a purge or of an erasure of a customer.

use dataapi_core::{CustomerId, Date, Purge};

use crate::read::{SqlQuery, SqlValue, pages};

/// Returns a query for `columns` of the dialogs that a purge takes.
pub(crate) fn due(columns: &str, which: Purge, before: Date) -> SqlQuery {
    let states = match which {
        Purge::Pending => "state = 1",
        Purge::Consented => "state = 2",
        Purge::Tombstones => "state > 2",
    };
    let mut query = SqlQuery::new(format!("SELECT {columns} FROM dataapi.dialog WHERE {states}"));
    query.append(" AND date < ?", [SqlValue::Number(before.as_micros())]);
    query
}

pub(crate) fn oldest_first(query: &mut SqlQuery, which: Purge, at_most: u32) {
    let order = match which {
        Purge::Pending | Purge::Consented => "date, dialog_id",
        Purge::Tombstones => "date, position",
    };
    query.append(" ORDER BY ", []);
    query.append(order, []);
    query.append(" LIMIT ?", [SqlValue::Number(at_most.into())]);
}

/// Returns a query for the references of all dialogs held on a customer.
pub(crate) fn held_on(customer_id: &CustomerId) -> SqlQuery {
    let mut query = SqlQuery::new("SELECT ref FROM dataapi.dialog WHERE state IN (1, 2)");
    pages::of_customer(&mut query, customer_id);
    query
}
