//! Pages of all dialogs of one customer, pending ones included.

use dataapi_core::{CustomerId, Date, DialogId, Filter, HeldDialog, Page, SubjectRequest};
use rusqlite::Connection;

use crate::error::SqliteError;
use crate::read::budget::Budget;
use crate::read::pages::page_total;
use crate::read::select::{Select, union};
use crate::rows::dialogs::{DIALOG_COLUMNS, PENDING_BLOCKS, PENDING_OF_CUSTOMER};

pub(crate) fn subject_page(
    connection: &Connection,
    request: &SubjectRequest,
    budget: &Budget,
) -> Result<Page<HeldDialog>, SqliteError> {
    let limit = request.window().limit.get();
    let stored = subject_items(request).dialogs(connection, limit, budget)?;
    let subject = request.customer_id();
    let mut found: Vec<_> =
        stored.into_iter().filter_map(|stored| stored.for_subject(subject)).collect();
    // SQLite keeps the order of the places, but does not promise to.
    found.sort_unstable_by(|one, other| place(other).cmp(&place(one)));
    let total = if request.window().total {
        let consented = page_total(&Filter::default().customer(subject.clone()));
        Some(consented.number(connection)? + subject_pending(subject).number(connection)?)
    } else {
        None
    };
    Ok(request.page(found, total))
}

fn place(dialog: &HeldDialog) -> (Date, &DialogId) {
    (dialog.date(), dialog.dialog_id())
}

/// Selects a page of dialogs. The consented ones come in the order of their index; the places of the pending ones, and
/// not their texts, are sorted.
pub(crate) fn subject_items(request: &SubjectRequest) -> Select {
    let part = |from: &str| {
        let mut query = Select::new(format!("SELECT seq, date, dialog_id FROM {from}"));
        query.parameters.push(request.customer_id().as_str().to_owned().into());
        if let Some(position) = request.after() {
            query.after(position);
        }
        query
    };
    let consented =
        "dialog INDEXED BY consented_by_customer WHERE granted IS NOT NULL AND customer_id = ?";
    let mut query = union([consented, PENDING_OF_CUSTOMER].into_iter().map(part));
    let window = request.window();
    query.limited(window.limit.get(), window.offset());
    query.sql = format!(
        "{PENDING_BLOCKS} SELECT {DIALOG_COLUMNS} FROM (SELECT seq AS place FROM ({}))
         CROSS JOIN dialog ON seq = place",
        query.sql
    );
    query
}

pub(crate) fn subject_pending(customer_id: &CustomerId) -> Select {
    Select {
        sql: format!("{PENDING_BLOCKS} SELECT count(*) FROM {PENDING_OF_CUSTOMER}"),
        parameters: vec![customer_id.as_str().to_owned().into()],
    }
}
