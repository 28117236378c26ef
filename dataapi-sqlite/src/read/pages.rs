//! Pages of consented dialogs. Each query names the index that it reads in order, and none sorts.

use dataapi_core::{CustomerId, Dialog, Filter, Language, Page, PageRequest, StoredDialog, Upper};
use rusqlite::Connection;

use crate::error::SqliteError;
use crate::read::budget::Budget;
use crate::read::readers::Cost;
use crate::read::select::{Select, merged, summed};
use crate::rows::dialogs::DIALOG_COLUMNS;
use crate::rows::values;

pub(crate) fn page(
    connection: &Connection,
    request: &PageRequest,
    budget: &Budget,
) -> Result<Page<Dialog>, SqliteError> {
    if request.filter().is_out_of_reach() {
        return Ok(request.page(Vec::new(), request.window().total.then_some(0)));
    }
    let stored = if request.filter().has_language_range() {
        consented_languages(connection)?
    } else {
        Vec::new()
    };
    let wanted = request.filter().wanted_languages(&stored)?;
    if wanted.as_ref().is_some_and(Vec::is_empty) {
        return Ok(request.page(Vec::new(), request.window().total.then_some(0)));
    }
    let items = page_items(request, wanted.as_deref());
    let found = items.dialogs(connection, request.window().limit.get(), budget)?;
    let found = found.into_iter().map(StoredDialog::readable).collect::<Result<_, _>>()?;
    let total = if request.window().total {
        Some(page_total_in(request.filter(), wanted.as_deref()).number(connection)?)
    } else {
        None
    };
    Ok(request.page(found, total))
}

/// The cost of a page: short if it reads little more of an index than the page's own rows.
pub(crate) fn page_cost(request: &PageRequest) -> Cost {
    let (filter, window) = (request.filter(), request.window());
    let counts_rows = window.total && (filter.from().is_some() || filter.to().is_some());
    // Without a customer, a query reads dialogs by date: those of customers with the prefix lie between all others.
    let passes_others = filter.reach().customers().is_some() && filter.customer_id().is_none();
    if counts_rows || passes_others || window.offset() > 1_000 { Cost::Long } else { Cost::Short }
}

/// The languages that consented dialogs have.
fn consented_languages(connection: &Connection) -> rusqlite::Result<Vec<Language>> {
    connection
        .prepare_cached(
            "SELECT language FROM consented_count WHERE customer_id = '' AND language > ''",
        )?
        .query_map((), |row| values::parsed(row, 0))?
        .collect()
}

pub(crate) fn page_items(request: &PageRequest, languages: Option<&[Language]>) -> Select {
    let part = |language: Option<&Language>| {
        let mut query = consented(DIALOG_COLUMNS, request.filter(), language);
        match request.upper() {
            Upper::None => {}
            Upper::Before(date) => query.and("date < ?", [date.as_micros().into()]),
            Upper::After(position) => query.after(position),
        }
        query
    };
    let mut query = merged(one_by_one(languages).map(part));
    let window = request.window();
    query.limited(window.limit.get(), window.offset());
    query
}

/// Counts the dialogs that match, in any language.
pub(crate) fn page_total(filter: &Filter) -> Select {
    page_total_in(filter, None)
}

/// Counts the dialogs that match: from stored counts, or along the index if there is a range of dates.
pub(crate) fn page_total_in(filter: &Filter, languages: Option<&[Language]>) -> Select {
    if filter.from().is_some() || filter.to().is_some() {
        let part = |language: Option<&Language>| {
            let mut query = consented("count(*)", filter, language);
            if let Some(to) = filter.to() {
                query.and("date < ?", [to.as_micros().into()]);
            }
            query
        };
        return summed(one_by_one(languages).map(part));
    }
    let mut query = Select::new("SELECT sum(n) FROM consented_count WHERE TRUE".into());
    match filter.customer_id() {
        None if filter.reach().customers().is_some() => query.of_customers(filter.reach()),
        customer => {
            let customer = customer.map_or("", CustomerId::as_str).to_owned();
            query.and("customer_id = ?", [customer.into()]);
        }
    }
    match languages {
        None => query.and("language = ?", [String::new().into()]),
        Some([language]) => {
            query.and("language = ?", [language.as_str().to_owned().into()]);
        }
        Some(several) => query.in_any_of(several),
    }
    query
}

/// The languages to query one by one; a single `None` queries all languages at once.
fn one_by_one(languages: Option<&[Language]>) -> impl Iterator<Item = Option<&Language>> {
    let all = languages.is_none().then_some(None);
    all.into_iter().chain(languages.unwrap_or_default().iter().map(Some))
}

/// Selects from the index for this combination of filters, down to the filter's `from`.
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
