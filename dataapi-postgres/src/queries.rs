//! What reads ask of the database: each page straight off the index made for its filter.

use std::collections::BTreeMap;

use dataapi_core::{
    ConsentRecord, ConsentStatus, CustomerId, Date, Dialog, DialogId, Filter, HeldDialog, Language,
    Page, PageRequest, Position, Purge, Reach, RefKey, Stats, StoreError, StoredDialog,
    SubjectRequest, Upper,
};

use crate::failure::Failure;
use crate::readers::{Query, Readers, Value};
use crate::rows::{self, DIALOG_COLUMNS, EVENT_COLUMNS, get, state};
use crate::shards::Shards;
use crate::tally::folded;

/// One dialog by its id, whatever its state.
fn by_id(columns: &str, key: &RefKey, shards: &Shards, dialog_id: &DialogId) -> Query {
    let reference = key.reference(dialog_id);
    let mut query = Query::new(format!("SELECT {columns} FROM dataapi.dialog d"));
    let shard = shards.key(shards.of(&reference));
    let place = [Value::Bytes(reference.as_bytes().to_vec()), Value::Integer(shard)];
    query.append(" WHERE d.ref = ? AND d.shard = ?", place);
    query
}

async fn held(
    readers: &Readers,
    key: &RefKey,
    shards: &Shards,
    dialog_id: &DialogId,
) -> Result<Option<StoredDialog>, Failure> {
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
) -> Result<Dialog, Failure> {
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
) -> Result<bool, Failure> {
    let held = held(readers, key, shards, dialog_id).await?;
    Ok(held.is_some_and(|stored| reach.covers(stored.customer_id(), stored.language())))
}

pub(crate) async fn consent(
    readers: &Readers,
    key: &RefKey,
    shards: &Shards,
    dialog_id: &DialogId,
) -> Result<ConsentStatus, Failure> {
    let columns = format!("d.state, d.date, {EVENT_COLUMNS}");
    let mut query = by_id(&columns, key, shards, dialog_id);
    let join = "dataapi.dialog d LEFT JOIN dataapi.event e
                ON e.shard = d.shard AND e.chain = d.chain AND e.position = d.position";
    query.sql = query.sql.replace("dataapi.dialog d", join);
    let row = readers.row(&query).await?.ok_or(StoreError::NotFound)?;
    let record = match get::<i16>(&row, 0)? {
        state::AWAITED => return Err(StoreError::NotFound.into()),
        state::PENDING => ConsentRecord::Pending { received: rows::date(&row, 1)? },
        _ => {
            let event = rows::event(&row, 2)?;
            if event.reference != key.reference(dialog_id) {
                return Err(rows::damaged("event"));
            }
            ConsentRecord::Decided(event)
        }
    };
    Ok(record.status(dialog_id.clone()))
}

pub(crate) async fn page(
    readers: &Readers,
    request: &PageRequest,
) -> Result<Page<Dialog>, Failure> {
    if request.filter().is_out_of_reach() {
        return Ok(request.page(Vec::new(), request.window().total.then_some(0)));
    }
    let answers = readers.together(&page_queries(request)).await?;
    page_of(request, &answers)
}

/// The statements of a page: its dialogs, and their total if it is asked for.
pub(crate) fn page_queries(request: &PageRequest) -> Vec<Query> {
    let items = page_items(request);
    if request.window().total { vec![items, page_total(request.filter())] } else { vec![items] }
}

/// The page that the statements of it yielded.
pub(crate) fn page_of(
    request: &PageRequest,
    answers: &[Vec<tokio_postgres::Row>],
) -> Result<Page<Dialog>, Failure> {
    let [items, totals @ ..] = answers else { return Err(Failure::Lost) };
    let readable = |row| Ok::<_, Failure>(rows::stored_dialog(row, 0)?.readable()?);
    let found = items.iter().map(readable).collect::<Result<_, _>>()?;
    let total = totals.first().map(|rows| number(rows)).transpose()?;
    Ok(request.page(found, total))
}

fn number(rows: &[tokio_postgres::Row]) -> Result<u64, Failure> {
    rows::count(rows.first().ok_or(Failure::Lost)?, 0)
}

pub(crate) async fn subject_page(
    readers: &Readers,
    request: &SubjectRequest,
) -> Result<Page<HeldDialog>, Failure> {
    let subject = request.customer_id();
    let mut items =
        Query::new(format!("SELECT {DIALOG_COLUMNS} FROM dataapi.dialog WHERE state IN (1, 2)"));
    of_customer(&mut items, subject);
    if let Some(position) = request.after() {
        after(&mut items, position);
    }
    limited(&mut items, request.window().limit.get(), request.window().offset());
    let mut queries = vec![items];
    if request.window().total {
        let mut total = Query::new("SELECT count(*) FROM dataapi.dialog WHERE state IN (1, 2)");
        of_customer(&mut total, subject);
        queries.push(total);
    }
    let answers = readers.together(&queries).await?;
    let [items, totals @ ..] = &answers[..] else { return Err(Failure::Lost) };
    let stored =
        items.iter().map(|row| rows::stored_dialog(row, 0)).collect::<Result<Vec<_>, _>>()?;
    let found = stored.into_iter().filter_map(|stored| stored.for_subject(subject)).collect();
    let total = totals.first().map(|rows| number(rows)).transpose()?;
    Ok(request.page(found, total))
}

/// Which dialogs a purge takes, the oldest first: their references, and with what else is asked for.
pub(crate) fn due(columns: &str, which: Purge, before: Date) -> Query {
    let states = match which {
        Purge::Pending => "state = 1",
        Purge::Consented => "state = 2",
        Purge::Tombstones => "state > 2",
    };
    let mut query = Query::new(format!("SELECT {columns} FROM dataapi.dialog WHERE {states}"));
    query.append(" AND date < ?", [Value::Number(before.as_micros())]);
    query
}

pub(crate) fn oldest_first(query: &mut Query, which: Purge, at_most: u32) {
    let order = match which {
        Purge::Pending | Purge::Consented => "date, dialog_id",
        Purge::Tombstones => "date, position",
    };
    query.append(" ORDER BY ", []);
    query.append(order, []);
    query.append(" LIMIT ?", [Value::Number(at_most.into())]);
}

/// The references of all that is held on a customer.
pub(crate) fn held_on(customer_id: &CustomerId) -> Query {
    let mut query = Query::new("SELECT ref FROM dataapi.dialog WHERE state IN (1, 2)");
    of_customer(&mut query, customer_id);
    query
}

pub(crate) async fn count(readers: &Readers, query: &Query) -> Result<u64, Failure> {
    number(&readers.rows(query).await?)
}

pub(crate) async fn stats(readers: &Readers) -> Result<Stats, Failure> {
    let query = Query::new(
        "SELECT state, language, sum(n)::bigint FROM dataapi.tally GROUP BY state, language",
    );
    let mut stats = Stats::default();
    let mut by_language = BTreeMap::new();
    for row in readers.rows(&query).await? {
        let n = rows::count(&row, 2)?;
        match get::<i16>(&row, 0)? {
            state::PENDING => stats.pending += n,
            state::CONSENTED if n > 0 => {
                stats.consented += n;
                by_language.insert(rows::parsed::<Language>(&row, 1)?, n);
            }
            state::CONSENTED => {}
            state::WITHDRAWN => stats.withdrawn += n,
            _ => stats.erased += n,
        }
    }
    Ok(Stats { consented_by_language: by_language, ..stats })
}

/// The version of the schema.
pub(crate) async fn schema_version(readers: &Readers) -> Result<u32, Failure> {
    let versions = Query::new("SELECT count(*) FROM dataapi.migration");
    let version = count(readers, &versions).await?;
    u32::try_from(version).map_err(|_| rows::damaged("migration"))
}

pub(crate) fn page_items(request: &PageRequest) -> Query {
    let (filter, window) = (request.filter(), request.window());
    let (limit, offset) = (window.limit.get(), window.offset());
    let part = |query: &mut Query, language: Option<&Language>| {
        query.append("SELECT ", []);
        query.append(DIALOG_COLUMNS, []);
        query.append(" FROM dataapi.dialog WHERE state = 2", []);
        matching(query, filter, language);
        match request.upper() {
            Upper::None => {}
            Upper::Before(date) => {
                query.append(" AND date < ?", [Value::Number(date.as_micros())]);
            }
            Upper::After(position) => after(query, position),
        }
    };
    let mut query = Query::new("");
    match &languages(filter)[..] {
        [language] => part(&mut query, *language),
        several => {
            // Each off its index, as many as there may be in all.
            let of_each = limit.saturating_add(usize::try_from(offset).unwrap_or(usize::MAX));
            query.append("SELECT * FROM (", []);
            for (number, language) in several.iter().enumerate() {
                query.append(if number == 0 { "(" } else { " UNION ALL (" }, []);
                part(&mut query, *language);
                limited(&mut query, of_each, 0);
                query.append(")", []);
            }
            query.append(") AS found", []);
        }
    }
    limited(&mut query, limit, offset);
    query
}

/// Kept counts, unless there is a customer or a range of dates: those are counted along an index.
pub(crate) fn page_total(filter: &Filter) -> Query {
    let is_kept = filter.customer_id().is_none()
        && filter.reach().customers().is_none()
        && filter.from().is_none()
        && filter.to().is_none();
    let bound = languages(filter);
    if is_kept {
        let mut query =
            Query::new("SELECT coalesce(sum(n), 0)::bigint FROM dataapi.tally WHERE state = 2");
        if let [Some(_), ..] = bound[..] {
            let tags = bound.into_iter().flatten().map(folded).collect();
            query.append(" AND language = ANY(?)", [Value::Texts(tags)]);
        }
        return query;
    }
    let mut query = Query::new("SELECT 0");
    for language in bound {
        query.append(" + (SELECT count(*) FROM dataapi.dialog WHERE state = 2", []);
        matching(&mut query, filter, language);
        if let Some(to) = filter.to() {
            query.append(" AND date < ?", [Value::Number(to.as_micros())]);
        }
        query.append(")", []);
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

/// What a filter says, down to its `from`.
fn matching(query: &mut Query, filter: &Filter, language: Option<&Language>) {
    match (filter.customer_id(), filter.reach().customers()) {
        (Some(customer_id), _) => of_customer(query, customer_id),
        (None, Some(prefix)) => {
            query.append(" AND customer_id >= ?", [Value::Text(prefix.as_str().to_owned())]);
            if let Some(end) = prefix.end() {
                query.append(" AND customer_id < ?", [Value::Text(end)]);
            }
        }
        (None, None) => {}
    }
    if let Some(language) = language {
        query.append(" AND lower(language) = ?", [Value::Text(folded(language))]);
    }
    if let Some(from) = filter.from() {
        query.append(" AND date >= ?", [Value::Number(from.as_micros())]);
    }
}

fn of_customer(query: &mut Query, customer_id: &CustomerId) {
    query.append(" AND customer_id = ?", [Value::Text(customer_id.as_str().to_owned())]);
}

fn after(query: &mut Query, position: &Position) {
    let dialog_id = Value::Text(position.dialog_id.as_str().to_owned());
    let place = [Value::Number(position.date.as_micros()), dialog_id];
    query.append(" AND (date, dialog_id) < (?, ?)", place);
}

/// The newest first, and one more than the limit: it tells whether there is a next page.
fn limited(query: &mut Query, limit: usize, offset: u64) {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    query.append(" ORDER BY date DESC, dialog_id DESC LIMIT ?", [Value::Number(limit)]);
    if offset > 0 {
        query.append(" OFFSET ?", [Value::Number(rows::signed(offset))]);
    }
}
