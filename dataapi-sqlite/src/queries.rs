//! What a read asks of the database. Each statement is answered from an index that it names, and
//! none sorts.

use std::collections::BTreeMap;

use dataapi_core::{
    ConsentRecord, ConsentStatus, CustomerId, Date, Dialog, DialogId, Filter, HeldDialog, Language,
    Page, PageRequest, Position, Purge, Reach, Stats, StoreError, StoredDialog, SubjectRequest,
    Upper,
};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::chains::Chains;
use crate::failure::Failure;
use crate::readers::Cost;
use crate::rows::{self, DIALOG_COLUMNS};
use crate::schema::Identity;
use crate::{ledger, tombstones};

/// A statement with its parameters.
pub(crate) struct Query {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<Value>,
}

impl Query {
    fn new(sql: String) -> Self {
        Self { sql, parameters: Vec::new() }
    }

    /// Adds `condition`, in which each `?` stands for one of `values`.
    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.parameters.extend(values);
    }

    /// The dialog of a grant that stands, its place the first parameter, where it is within `reach`.
    pub(crate) fn of_grant(reach: &Reach) -> Self {
        let mut query = Self::new(format!(
            "SELECT {DIALOG_COLUMNS} FROM dialog
             WHERE seq = (SELECT seq FROM event WHERE position = ?1) AND granted = ?1"
        ));
        query.within(reach);
        query
    }

    fn within(&mut self, reach: &Reach) {
        if !reach.languages().is_empty() {
            self.in_any_of(reach.languages());
        }
        self.of_customers(reach);
    }

    fn in_any_of(&mut self, languages: &[Language]) {
        let places = vec!["?"; languages.len()].join(", ");
        let tags = languages.iter().map(|tag| tag.as_str().to_owned().into());
        self.and(&format!("language IN ({places})"), tags);
    }

    fn of_customers(&mut self, reach: &Reach) {
        if let Some(prefix) = reach.customers() {
            self.and("customer_id >= ?", [prefix.as_str().to_owned().into()]);
            if let Some(end) = prefix.end() {
                self.and("customer_id < ?", [end.into()]);
            }
        }
    }

    fn after(&mut self, position: &Position) {
        self.and(
            "(date, dialog_id) < (?, ?)",
            [position.date.as_micros().into(), position.dialog_id.as_str().to_owned().into()],
        );
    }

    fn limited(&mut self, limit: usize, offset: u64) {
        self.sql.push_str(" ORDER BY date DESC, dialog_id DESC LIMIT ? OFFSET ?");
        // One more than the limit tells whether there is a next page.
        self.parameters.push(i64::try_from(limit + 1).unwrap_or(i64::MAX).into());
        self.parameters.push(i64::try_from(offset).unwrap_or(i64::MAX).into());
    }

    /// At most `limit` and one more.
    fn dialogs(
        &self,
        connection: &Connection,
        limit: usize,
    ) -> rusqlite::Result<Vec<StoredDialog>> {
        let mut statement = connection.prepare_cached(&self.sql)?;
        let found = statement.query_map(params_from_iter(&self.parameters), rows::stored_dialog)?;
        let mut dialogs = Vec::with_capacity(limit + 1);
        for dialog in found {
            dialogs.push(dialog?);
        }
        Ok(dialogs)
    }

    fn number(&self, connection: &Connection) -> rusqlite::Result<u64> {
        let number: Option<i64> = connection
            .prepare_cached(&self.sql)?
            .query_row(params_from_iter(&self.parameters), |row| row.get(0))?;
        // A sum of nothing is NULL.
        Ok(number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
    }
}

pub(crate) fn dialog(
    connection: &Connection,
    customer_id: &CustomerId,
    dialog_id: &DialogId,
    reach: &Reach,
) -> Result<Dialog, Failure> {
    let mut query = by_id(DIALOG_COLUMNS, dialog_id);
    query.and("customer_id = ?", [customer_id.as_str().to_owned().into()]);
    query.within(reach);
    let stored = connection
        .prepare_cached(&query.sql)?
        .query_row(params_from_iter(&query.parameters), rows::stored_dialog)
        .optional()?
        .ok_or(StoreError::NotFound)?;
    Ok(stored.readable()?)
}

pub(crate) fn is_within(
    connection: &Connection,
    reach: &Reach,
    dialog_id: &DialogId,
) -> Result<bool, Failure> {
    let mut query = by_id("count(*)", dialog_id);
    query.within(reach);
    Ok(query.number(connection)? > 0)
}

fn by_id(columns: &str, dialog_id: &DialogId) -> Query {
    Query {
        sql: format!("SELECT {columns} FROM dialog WHERE dialog_id = ?"),
        parameters: vec![dialog_id.as_str().to_owned().into()],
    }
}

pub(crate) fn consent(
    connection: &Connection,
    identity: &Identity,
    dialog_id: &DialogId,
) -> Result<ConsentStatus, Failure> {
    let Identity { key, chains } = identity;
    let query = by_id(DIALOG_COLUMNS, dialog_id);
    let held = connection
        .prepare_cached(&query.sql)?
        .query_row(params_from_iter(&query.parameters), rows::whole_dialog)
        .optional()?;
    let record = match held {
        Some((_, received, None)) => ConsentRecord::Pending { received },
        Some((_, _, Some(granted))) => {
            let event = ledger::of(connection, chains, &key.reference(dialog_id), granted)?;
            ConsentRecord::Decided(event)
        }
        None => {
            let gone = ledger::tombstone(connection, chains, &key.reference(dialog_id))?;
            ConsentRecord::Decided(gone.ok_or(StoreError::NotFound)?)
        }
    };
    Ok(record.status(dialog_id.clone()))
}

pub(crate) fn page(
    connection: &Connection,
    request: &PageRequest,
) -> Result<Page<Dialog>, Failure> {
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

pub(crate) fn subject_page(
    connection: &Connection,
    request: &SubjectRequest,
) -> Result<Page<HeldDialog>, Failure> {
    let stored = subject_items(request).dialogs(connection, request.window().limit.get())?;
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

/// How many a purge would take.
pub(crate) fn purgeable(
    connection: &Connection,
    chains: &Chains,
    which: Purge,
    before: Date,
) -> Result<u64, Failure> {
    if let Some(dialogs) = due(which) {
        return Ok(dialogs_before(dialogs, before).number(connection)?);
    }
    let mut count = 0;
    for due in tombstones::due(connection, chains, before)? {
        count += tombstones::count(connection, &due)?;
    }
    Ok(count)
}

fn dialogs_before(which: &str, date: Date) -> Query {
    let mut query = Query::new(format!("SELECT count(*) FROM dialog {which}"));
    query.and("date < ?", [date.as_micros().into()]);
    query
}

/// Selects the dialogs that a purge takes, if it takes any, from an index that ends in their order.
pub(crate) fn due(which: Purge) -> Option<&'static str> {
    match which {
        Purge::Pending => Some("INDEXED BY pending_by_date WHERE granted IS NULL"),
        Purge::Consented => Some("INDEXED BY consented WHERE granted IS NOT NULL"),
        Purge::Tombstones => None,
    }
}

pub(crate) fn stats(connection: &Connection) -> Result<Stats, Failure> {
    let unsigned = |row: &rusqlite::Row<'_>, column| {
        Ok::<_, rusqlite::Error>(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
    };
    let (pending, withdrawn, erased) = connection
        .prepare_cached("SELECT pending, withdrawn, erased FROM store")?
        .query_row((), |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?, unsigned(row, 2)?)))?;
    let consented_by_language = connection
        .prepare_cached(
            "SELECT language, n FROM consented_count WHERE customer_id = '' AND language > ''",
        )?
        .query_map((), |row| Ok((rows::language(row, 0)?, unsigned(row, 1)?)))?
        .collect::<rusqlite::Result<BTreeMap<_, _>>>()?;
    let consented = page_total(&Filter::default()).number(connection)?;
    Ok(Stats { pending, consented, withdrawn, erased, consented_by_language })
}

/// The version of the schema.
pub(crate) fn schema_version(connection: &Connection) -> Result<u32, Failure> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

pub(crate) fn page_items(request: &PageRequest) -> Query {
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
pub(crate) fn page_total(filter: &Filter) -> Query {
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
    let mut query = Query::new("SELECT sum(n) FROM consented_count WHERE TRUE".into());
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

/// Puts together what comes in order off several indexes: SQLite merges that instead of sorting it.
fn merged(parts: impl Iterator<Item = Query>) -> Query {
    let (count, Query { sql, parameters }) = joined(parts, " UNION ALL ");
    let sql = if count == 1 { sql } else { format!("SELECT * FROM ({sql})") };
    Query { sql, parameters }
}

/// Adds up the counts of several indexes.
fn summed(parts: impl Iterator<Item = Query>) -> Query {
    let (count, Query { sql, parameters }) = joined(parts, ") + (");
    let sql = if count == 1 { sql } else { format!("SELECT ({sql})") };
    Query { sql, parameters }
}

fn joined(parts: impl Iterator<Item = Query>, separator: &str) -> (usize, Query) {
    let (sql, parameters): (Vec<_>, Vec<_>) = parts.map(|part| (part.sql, part.parameters)).unzip();
    let joined = Query { sql: sql.join(separator), parameters: parameters.concat() };
    (sql.len(), joined)
}

pub(crate) fn subject_items(request: &SubjectRequest) -> Query {
    let part = |(granted, index)| {
        let mut query = Query::new(format!(
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

pub(crate) fn subject_pending(customer_id: &CustomerId) -> Query {
    let mut query = Query::new(
        "SELECT count(*) FROM dialog INDEXED BY pending_by_customer WHERE granted IS NULL".into(),
    );
    query.and("customer_id = ?", [customer_id.as_str().to_owned().into()]);
    query
}

/// Selects from the index made for this combination of filters, down to the filter's `from`.
fn consented(columns: &str, filter: &Filter, language: Option<&Language>) -> Query {
    let index = match (filter.customer_id(), language) {
        (None, None) => "consented",
        (None, Some(_)) => "consented_by_language",
        (Some(_), None) => "consented_by_customer",
        (Some(_), Some(_)) => "consented_by_customer_language",
    };
    let mut query = Query::new(format!(
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

#[cfg(test)]
mod tests {
    use dataapi_core::{Cursor, Start, Window};

    use super::*;
    use crate::rows::EVENT_COLUMNS;

    /// Every statement that a page can need, with what it is for.
    fn statements() -> Vec<(String, Query)> {
        let date = Date::from_micros(0).unwrap();
        let position = Position { date, dialog_id: "d".parse().unwrap() };
        let customer: CustomerId = "c".parse().unwrap();
        let mut statements = Vec::new();
        let some = |tags: &[&str]| {
            let tags = tags.iter().map(|tag| tag.parse().unwrap()).collect();
            Reach::default().only_languages(tags).unwrap()
        };
        let prefix = || "c".parse().unwrap();
        let reaches = [
            Reach::default(),
            some(&["en"]),
            some(&["de", "en", "fr"]),
            Reach::default().only_customers(prefix()),
            some(&["de", "en"]).only_customers(prefix()),
        ];
        for (bits, reach) in (0..16).flat_map(|bits| reaches.iter().map(move |it| (bits, it))) {
            let set = |bit: u32| bits >> bit & 1 == 1;
            let mut filter = Filter::default().within(reach.clone());
            if set(0) {
                filter = filter.customer(customer.clone());
            }
            if set(1) {
                filter = filter.language("en".parse().unwrap());
            }
            filter = filter.between(set(2).then_some(date), set(3).then_some(date)).unwrap();
            statements.push((format!("total of {filter:?}"), page_total(&filter)));
            let cursor = Cursor::in_filter(&filter, position.clone());
            for start in [Start::Offset(10), Start::After(cursor)] {
                let window = Window { start, ..Window::default() };
                let request = PageRequest::new(filter.clone(), window).unwrap();
                statements.push((format!("page of {request:?}"), page_items(&request)));
            }
        }
        let cursor = Cursor::in_subject(&customer, position);
        for start in [Start::Offset(10), Start::After(cursor)] {
            let window = Window { start, ..Window::default() };
            let request = SubjectRequest::new(customer.clone(), window).unwrap();
            statements.push((format!("{request:?}"), subject_items(&request)));
        }
        for reach in &reaches {
            let mut query = by_id(DIALOG_COLUMNS, &"d".parse().unwrap());
            query.within(reach);
            statements.push((format!("a dialog within {reach:?}"), query));
        }
        statements.push(("pending of a customer".into(), subject_pending(&customer)));
        for columns in ["count(*)", EVENT_COLUMNS] {
            let mut query = Query::new(format!(
                "SELECT {columns} FROM event WHERE {}",
                tombstones::WITH_TOMBSTONE
            ));
            query.parameters = vec![1.into(), 7.into()];
            statements.push((format!("{columns} of tombstones"), query));
        }
        for which in [Purge::Pending, Purge::Consented].into_iter().filter_map(due) {
            statements.push((format!("count of {which:?}"), dialogs_before(which, date)));
            let mut rows = Query::new(format!("SELECT seq FROM dialog {which}"));
            rows.and("date < ?", [0.into()]);
            rows.sql.push_str(" ORDER BY date, dialog_id LIMIT 5");
            statements.push((format!("purge of {which:?}"), rows));
        }
        statements
    }

    #[test]
    fn every_query_is_answered_from_an_index_without_sorting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dialogs.db");
        let connection = crate::schema::open_for_writing(&path, true, 1 << 20).unwrap();
        for (purpose, Query { sql, parameters }) in statements() {
            let plan: Vec<String> = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .unwrap()
                .query_map(params_from_iter(&parameters), |row| row.get(3))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            let whole = plan.join("\n");
            assert!(!whole.contains("TEMP B-TREE"), "{purpose} sorts:\n{whole}");
            for step in plan.iter().filter(|step| step.starts_with("SCAN")) {
                let along_index = step == "SCAN CONSTANT ROW"
                    || step.contains("USING INDEX consented")
                    || step.contains("USING COVERING INDEX consented");
                assert!(along_index, "{purpose} scans:\n{whole}");
            }
            let searched = |bound: &str| whole.contains(bound);
            if sql.contains("(date, dialog_id) <") {
                assert!(searched("(date,dialog_id)<"), "{purpose} filters its cursor:\n{whole}");
            }
            if sql.contains("date >=") {
                assert!(searched("date>?"), "{purpose} filters its start:\n{whole}");
            }
        }
    }
}
