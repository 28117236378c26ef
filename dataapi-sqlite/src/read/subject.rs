//! Pages of all dialogs of one customer, pending ones included.

use dataapi_core::{CustomerId, Filter, HeldDialog, Page, SubjectRequest};
use rusqlite::Connection;

use crate::error::SqliteError;
use crate::read::budget::Budget;
use crate::read::pages::page_total;
use crate::read::select::{Select, merged};
use crate::rows::dialogs::DIALOG_COLUMNS;

pub(crate) fn subject_page(
    connection: &Connection,
    request: &SubjectRequest,
    budget: &Budget,
) -> Result<Page<HeldDialog>, SqliteError> {
    let limit = request.window().limit.get();
    let stored = subject_items(request).dialogs(connection, limit, budget)?;
    let subject = request.customer_id();
    let found = stored.into_iter().filter_map(|stored| stored.for_subject(subject)).collect();
    let total = if request.window().total {
        let consented = page_total(&Filter::default().customer(subject.clone()));
        Some(consented.number(connection)? + subject_pending(subject).number(connection)?)
    } else {
        None
    };
    Ok(request.page(found, total))
}

pub(crate) fn subject_items(request: &SubjectRequest) -> Select {
    let part = |(granted, index)| {
        let mut query = Select::new(format!(
            "SELECT {DIALOG_COLUMNS} FROM dialog INDEXED BY {index} WHERE {granted}"
        ));
        query.and("customer_id = ?", [request.customer_id().as_str().to_owned().into()]);
        if let Some(position) = request.after() {
            query.after(position);
        }
        query
    };
    let states = [
        ("granted IS NOT NULL", "consented_by_customer"),
        ("granted IS NULL", "pending_by_customer"),
    ];
    let mut query = merged(states.into_iter().map(part));
    let window = request.window();
    query.limited(window.limit.get(), window.offset());
    query
}

pub(crate) fn subject_pending(customer_id: &CustomerId) -> Select {
    let mut query = Select::new(
        "SELECT count(*) FROM dialog INDEXED BY pending_by_customer WHERE granted IS NULL".into(),
    );
    query.and("customer_id = ?", [customer_id.as_str().to_owned().into()]);
    query
}
