//! Reads pages, each straight from the index that was made for its filter.

use dataapi_core::{
    CustomerId, Dialog, Filter, HeldDialog, Language, Page, PageRequest, Position, SubjectRequest,
    Upper, Window,
};
use tokio_postgres::Row;

use crate::error::PostgresError;
use crate::read::counts::number;
use crate::read::query::{SqlQuery, SqlValue};
use crate::read::readers::Readers;
use crate::rows::{self, DIALOG_COLUMNS, folded};

pub(crate) async fn page(
    readers: &Readers,
    request: &PageRequest,
) -> Result<Page<Dialog>, PostgresError> {
    if request.filter().is_out_of_reach() {
        return Ok(request.page(Vec::new(), request.window().total.then_some(0)));
    }
    let (page, _) = page_with(readers, request, &[]).await?;
    Ok(page)
}

/// Returns a page, and the rows of other statements from the same snapshot.
///
/// A language range is resolved to tags before the snapshot and again in it. If the two results differ, the page is
/// read again.
pub(crate) async fn page_with(
    readers: &Readers,
    request: &PageRequest,
    beside: &[SqlQuery],
) -> Result<(Page<Dialog>, Vec<Vec<Row>>), PostgresError> {
    let filter = request.filter();
    let languages = filter.has_language_range().then(consented_languages);
    let mut stored = match &languages {
        Some(query) => tags(&readers.rows(query).await?)?,
        None => Vec::new(),
    };
    for _ in 0..TRIES {
        let wanted = filter.wanted_languages(&stored)?;
        let mut queries = beside.to_vec();
        queries.extend(languages.clone());
        let reads_items = is_possible(request.window());
        if reads_items {
            queries.push(page_items(request, wanted.as_deref()));
        }
        if request.window().total {
            queries.push(page_total(filter, wanted.as_deref()));
        }
        let mut answers = readers.together(&queries).await?;
        let mut page = answers.split_off(beside.len());
        if languages.is_some() {
            let now = tags(&page.remove(0))?;
            if now != stored {
                stored = now;
                continue;
            }
        }
        if !reads_items {
            page.insert(0, Vec::new());
        }
        return Ok((page_of(request, &page)?, answers));
    }
    Err(PostgresError::InTheWay)
}

/// How often to read a page again because its languages changed.
const TRIES: usize = 8;

/// The languages of all consented dialogs.
fn consented_languages() -> SqlQuery {
    SqlQuery::new(
        "SELECT language FROM dataapi.tally WHERE state = 2 GROUP BY language HAVING sum(n) > 0
         ORDER BY language",
    )
}

fn tags(rows: &[Row]) -> Result<Vec<Language>, PostgresError> {
    rows.iter().map(|row| rows::parsed(row, 0)).collect()
}

/// Builds the page from the rows of its statements.
fn page_of(request: &PageRequest, answers: &[Vec<Row>]) -> Result<Page<Dialog>, PostgresError> {
    let [items, totals @ ..] = answers else { return Err(PostgresError::Lost) };
    let readable = |row| Ok::<_, PostgresError>(rows::stored_dialog(row, 0)?.readable()?);
    let found = items.iter().map(readable).collect::<Result<_, _>>()?;
    let total = totals.first().map(|rows| number(rows)).transpose()?;
    Ok(request.page(found, total))
}

pub(crate) async fn subject_page(
    readers: &Readers,
    request: &SubjectRequest,
) -> Result<Page<HeldDialog>, PostgresError> {
    let subject = request.customer_id();
    let mut items =
        SqlQuery::new(format!("SELECT {DIALOG_COLUMNS} FROM dataapi.dialog WHERE state IN (1, 2)"));
    of_customer(&mut items, subject);
    if let Some(position) = request.after() {
        after(&mut items, position);
    }
    limited(&mut items, request.window().limit.get(), request.window().offset());
    let reads_items = is_possible(request.window());
    let mut queries = if reads_items { vec![items] } else { Vec::new() };
    if request.window().total {
        let mut total = SqlQuery::new("SELECT count(*) FROM dataapi.dialog WHERE state IN (1, 2)");
        of_customer(&mut total, subject);
        queries.push(total);
    }
    let mut answers = readers.together(&queries).await?;
    if !reads_items {
        answers.insert(0, Vec::new());
    }
    let [items, totals @ ..] = &answers[..] else { return Err(PostgresError::Lost) };
    let stored =
        items.iter().map(|row| rows::stored_dialog(row, 0)).collect::<Result<Vec<_>, _>>()?;
    let found = stored.into_iter().filter_map(|stored| stored.for_subject(subject)).collect();
    let total = totals.first().map(|rows| number(rows)).transpose()?;
    Ok(request.page(found, total))
}

pub(crate) fn page_items(request: &PageRequest, languages: Option<&[Language]>) -> SqlQuery {
    let (filter, window) = (request.filter(), request.window());
    let (limit, offset) = (window.limit.get(), window.offset());
    let part = |query: &mut SqlQuery, language: Option<&str>| {
        query.append("SELECT ", []);
        query.append(DIALOG_COLUMNS, []);
        query.append(" FROM dataapi.dialog WHERE state = 2", []);
        matching(query, filter, language);
        match request.upper() {
            Upper::None => {}
            Upper::Before(date) => {
                query.append(" AND date < ?", [SqlValue::Number(date.as_micros())]);
            }
            Upper::After(position) => after(query, position),
        }
    };
    let mut query = SqlQuery::new("");
    match languages {
        None => part(&mut query, None),
        Some([language]) => part(&mut query, Some(&folded(language))),
        // No language matches, so no dialog does.
        Some([]) => {
            part(&mut query, None);
            query.append(" AND FALSE", []);
        }
        Some(several) => {
            // Each part reads from its index as many rows as the whole page can need.
            let of_each = limit.saturating_add(usize::try_from(offset).unwrap_or(usize::MAX));
            query.append("SELECT * FROM (", []);
            for (number, language) in padded(several).iter().enumerate() {
                query.append(if number == 0 { "(" } else { " UNION ALL (" }, []);
                part(&mut query, Some(language));
                limited(&mut query, of_each, 0);
                query.append(")", []);
            }
            query.append(") AS found", []);
        }
    }
    limited(&mut query, limit, offset);
    query
}

/// Returns a query for the total. It uses the kept counts, except for a customer or a range of dates: those are counted
/// along an index.
pub(crate) fn page_total(filter: &Filter, languages: Option<&[Language]>) -> SqlQuery {
    let is_kept = filter.customer_id().is_none()
        && filter.reach().customers().is_none()
        && filter.from().is_none()
        && filter.to().is_none();
    if is_kept {
        let mut query =
            SqlQuery::new("SELECT coalesce(sum(n), 0)::bigint FROM dataapi.tally WHERE state = 2");
        if let Some(languages) = languages {
            let tags = languages.iter().map(folded).collect();
            query.append(" AND language = ANY(?)", [SqlValue::Texts(tags)]);
        }
        return query;
    }
    let mut query = SqlQuery::new("SELECT 0::bigint");
    let all = languages.is_none().then_some(None);
    let one_by_one = padded(languages.unwrap_or_default());
    for language in all.into_iter().chain(one_by_one.iter().map(|tag| Some(tag.as_str()))) {
        query.append(" + (SELECT count(*) FROM dataapi.dialog WHERE state = 2", []);
        matching(&mut query, filter, language);
        if let Some(to) = filter.to() {
            query.append(" AND date < ?", [SqlValue::Number(to.as_micros())]);
        }
        query.append(")", []);
    }
    query
}

/// Returns the languages in lower case, padded with empty ones to the next power of two, so that few different
/// statements are prepared. No dialog has an empty language.
fn padded(languages: &[Language]) -> Vec<String> {
    let mut folded: Vec<_> = languages.iter().map(folded).collect();
    if !folded.is_empty() {
        folded.resize(folded.len().next_power_of_two(), String::new());
    }
    folded
}

/// Adds the conditions of a filter, except its upper end.
fn matching(query: &mut SqlQuery, filter: &Filter, language: Option<&str>) {
    match (filter.customer_id(), filter.reach().customers()) {
        (Some(customer_id), _) => of_customer(query, customer_id),
        (None, Some(prefix)) => {
            query.append(" AND customer_id >= ?", [SqlValue::Text(prefix.as_str().to_owned())]);
            if let Some(end) = prefix.end() {
                query.append(" AND customer_id < ?", [SqlValue::Text(end)]);
            }
        }
        (None, None) => {}
    }
    if let Some(language) = language {
        query.append(" AND lower(language) = ?", [SqlValue::Text(language.to_owned())]);
    }
    if let Some(from) = filter.from() {
        query.append(" AND date >= ?", [SqlValue::Number(from.as_micros())]);
    }
}

pub(crate) fn of_customer(query: &mut SqlQuery, customer_id: &CustomerId) {
    query.append(" AND customer_id = ?", [SqlValue::Text(customer_id.as_str().to_owned())]);
}

fn after(query: &mut SqlQuery, position: &Position) {
    let dialog_id = SqlValue::Text(position.dialog_id.as_str().to_owned());
    let place = [SqlValue::Number(position.date.as_micros()), dialog_id];
    query.append(" AND (date, dialog_id) < (?, ?)", place);
}

/// More rows than a table can have: PostgreSQL stores at most 2^41 in one, and there are at most 2^10 shards.
const TOO_MANY: u64 = 1 << 51;

/// Whether a page can contain anything. An offset that exceeds every table is not sent: Citus adds the limit to it,
/// which can overflow.
fn is_possible(window: &Window) -> bool {
    window.offset() < TOO_MANY
}

/// Adds the order, newest first, and the limit plus one. The additional row shows whether there is a next page.
fn limited(query: &mut SqlQuery, limit: usize, offset: u64) {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    query.append(" ORDER BY date DESC, dialog_id DESC LIMIT ?", [SqlValue::Number(limit)]);
    if offset > 0 {
        query.append(" OFFSET ?", [SqlValue::Number(rows::signed(offset))]);
    }
}

#[cfg(test)]
mod tests {
    use dataapi_core::Start;

    use super::*;

    #[test]
    fn an_offset_beyond_every_table_is_not_sent() {
        let at = |offset| Window { start: Start::Offset(offset), ..Window::default() };
        assert!(is_possible(&Window::default()));
        assert!(is_possible(&at(TOO_MANY - 1)));
        for offset in [TOO_MANY, i64::MAX.unsigned_abs() - 1, u64::MAX] {
            assert!(!is_possible(&at(offset)), "{offset}");
        }
    }
}
