//! Pages of consented dialogs. Each is read straight off an index that is named, and none sorts.

use dataapi_core::{CustomerId, Dialog, Filter, Language, Page, PageRequest, StoredDialog, Upper};
use rusqlite::Connection;

use crate::error::SqliteError;
use crate::read::readers::Cost;
use crate::read::select::{Select, merged, summed};
use crate::rows::dialogs::DIALOG_COLUMNS;

pub(crate) fn page(
    connection: &Connection,
    request: &PageRequest,
) -> Result<Page<Dialog>, SqliteError> {
    if request.filter().is_out_of_reach() {
        return Ok(request.page(Vec::new(), request.window().total.then_some(0)));
    }
    let stored = page_items(request).dialogs(connection, request.window().limit.get())?;
    let found = stored.into_iter().map(StoredDialog::readable).collect::<Result<_, _>>()?;
    let total = if request.window().total {
        Some(page_total(request.filter()).number(connection)?)
    } else {
        None
    };
    Ok(request.page(found, total))
}

/// Short is what walks along an index for little more than the rows of a page.
pub(crate) fn page_cost(request: &PageRequest) -> Cost {
    let (filter, window) = (request.filter(), request.window());
    let counts_rows = window.total && (filter.from().is_some() || filter.to().is_some());
    // Between the customers of a prefix lie those of all others.
    let passes_others = filter.reach().customers().is_some() && filter.customer_id().is_none();
    if counts_rows || passes_others || window.offset() > 1_000 { Cost::Long } else { Cost::Short }
}

pub(crate) fn page_items(request: &PageRequest) -> Select {
    let part = |language: Option<&Language>| {
        let mut query = consented(DIALOG_COLUMNS, request.filter(), language);
        match request.upper() {
            Upper::None => {}
            Upper::Before(date) => query.and("date < ?", [date.as_micros().into()]),
            Upper::After(position) => query.after(position),
        }
        query
    };
    let mut query = merged(languages(request.filter()).into_iter().map(part));
    let window = request.window();
    query.limited(window.limit.get(), window.offset());
    query
}

/// Kept counts, unless a range of dates has to be counted along its index.
pub(crate) fn page_total(filter: &Filter) -> Select {
    if filter.from().is_some() || filter.to().is_some() {
        let part = |language: Option<&Language>| {
            let mut query = consented("count(*)", filter, language);
            if let Some(to) = filter.to() {
                query.and("date < ?", [to.as_micros().into()]);
            }
            query
        };
        return summed(languages(filter).into_iter().map(part));
    }
    let mut query = Select::new("SELECT sum(n) FROM consented_count WHERE TRUE".into());
    match filter.customer_id() {
        None if filter.reach().customers().is_some() => query.of_customers(filter.reach()),
        customer => {
            let customer = customer.map_or("", CustomerId::as_str).to_owned();
            query.and("customer_id = ?", [customer.into()]);
        }
    }
    match (filter.language_tag(), filter.reach().languages()) {
        (None, bound @ [_, ..]) => query.in_any_of(bound),
        (language, _) => {
            let language = language.map_or("", Language::as_str).to_owned();
            query.and("language = ?", [language.into()]);
        }
    }
    query
}

/// Each language that is asked for one by one; `None` for any.
fn languages(filter: &Filter) -> Vec<Option<&Language>> {
    match (filter.language_tag(), filter.reach().languages()) {
        (None, bound @ [_, ..]) => bound.iter().map(Some).collect(),
        (language, _) => vec![language],
    }
}

/// Selects from the index made for this combination of filters, down to the filter's `from`.
fn consented(columns: &str, filter: &Filter, language: Option<&Language>) -> Select {
    let index = match (filter.customer_id(), language) {
        (None, None) => "consented",
        (None, Some(_)) => "consented_by_language",
        (Some(_), None) => "consented_by_customer",
        (Some(_), Some(_)) => "consented_by_customer_language",
    };
    let mut query = Select::new(format!(
        "SELECT {columns} FROM dialog INDEXED BY {index} WHERE granted IS NOT NULL"
    ));
    match filter.customer_id() {
        Some(customer_id) => {
            query.and("customer_id = ?", [customer_id.as_str().to_owned().into()]);
        }
        None => query.of_customers(filter.reach()),
    }
    if let Some(language) = language {
        query.and("language = ?", [language.as_str().to_owned().into()]);
    }
    if let Some(from) = filter.from() {
        query.and("date >= ?", [from.as_micros().into()]);
    }
    query
}
