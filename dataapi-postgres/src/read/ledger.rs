//! The ledger in the database, read chain by chain.

use dataapi_core::{ChainHead, Change, Event, LedgerHead, Limit, Positions, Reach, StoredDialog};
use tokio_postgres::Row;

use crate::error::PostgresError;
use crate::read::query::{SqlQuery, SqlValue};
use crate::read::readers::Readers;
use crate::rows::{self, EVENT_COLUMNS, get, signed, state};
use crate::shards::Shards;

/// What follows a position in a chain, with the dialog that the event made readable. A grant is still valid exactly if
/// the row of its dialog refers to it.
const EVENT_WITH_DIALOG: &str = "FROM dataapi.event e
       LEFT JOIN dataapi.dialog d
         ON d.ref = e.ref AND d.shard = e.shard AND d.state = 2
            AND d.chain = e.chain AND d.position = e.position";

/// Returns the events after these positions, chain by chain, each with its dialog if that can be read. Outside a
/// `reach` with bounds, they hide their evidence.
pub(crate) async fn changes(
    readers: &Readers,
    shards: &Shards,
    after: &Positions,
    limit: Limit,
    reach: &Reach,
) -> Result<Vec<Change>, PostgresError> {
    let change = |row: &Row| {
        let event = rows::event(row, 0)?;
        let stored = match get::<Option<i16>>(row, 14)? {
            Some(state::CONSENTED) => Some(rows::stored_dialog(row, 9)?),
            _ => None,
        };
        let within = stored.filter(|stored| reach.covers(stored.customer_id(), stored.language()));
        let dialog = within.map(StoredDialog::readable).transpose()?;
        let is_within = reach.is_all() || dialog.is_some();
        Ok(Change { event: if is_within { event } else { event.without_evidence() }, dialog })
    };
    let columns = "d.dialog_id, d.customer_id, d.language, d.text, d.date, d.state";
    let rest = format!("{columns} {EVENT_WITH_DIALOG}");
    each_after(readers, shards, &rest, after, limit, change).await
}

/// Returns the events after these positions, chain by chain. Outside a `reach` with bounds, they hide their evidence.
pub(crate) async fn events(
    readers: &Readers,
    shards: &Shards,
    after: &Positions,
    limit: Limit,
    reach: &Reach,
) -> Result<Vec<Event>, PostgresError> {
    if reach.is_all() {
        let rest = "1 FROM dataapi.event e";
        return each_after(readers, shards, rest, after, limit, |row| rows::event(row, 0)).await;
    }
    let event = |row: &Row| {
        let event = rows::event(row, 0)?;
        let is_within = match get::<Option<String>>(row, 9)? {
            Some(_) => reach.covers(&rows::parsed(row, 9)?, &rows::parsed(row, 10)?),
            None => false,
        };
        Ok(if is_within { event } else { event.without_evidence() })
    };
    let rest = format!("d.customer_id, d.language {EVENT_WITH_DIALOG}");
    each_after(readers, shards, &rest, after, limit, event).await
}

/// Reads each chain after its position until the limit is reached.
async fn each_after<T>(
    readers: &Readers,
    shards: &Shards,
    rest: &str,
    after: &Positions,
    limit: Limit,
    read: impl Fn(&Row) -> Result<T, PostgresError>,
) -> Result<Vec<T>, PostgresError> {
    let mut found = Vec::new();
    for ChainEnd { head, shard } in ends(readers).await? {
        let seen = after.of(head.chain);
        if head.position <= seen || found.len() >= limit.get() {
            continue;
        }
        let chain = SqlValue::Small(i16::try_from(head.chain).unwrap_or(i16::MAX));
        let count = SqlValue::Number(signed((limit.get() - found.len()) as u64));
        let part = |query: &mut SqlQuery, shard: i32| {
            query.append(&format!("SELECT {EVENT_COLUMNS}, {rest}"), []);
            let place = [SqlValue::Integer(shard), chain.clone(), SqlValue::Number(signed(seen))];
            query.append(" WHERE e.shard = ? AND e.chain = ? AND e.position > ?", place);
            query.append(" ORDER BY e.position LIMIT ?", [count.clone()]);
        };
        let mut query = SqlQuery::new("");
        if let Some(shard) = shard {
            part(&mut query, shard);
        } else {
            // The events of a copied chain are in the shards of their dialogs.
            query.append("SELECT * FROM (", []);
            for (number, shard) in shards.keys().iter().enumerate() {
                query.append(if number == 0 { "(" } else { " UNION ALL (" }, []);
                part(&mut query, *shard);
                query.append(")", []);
            }
            query.append(") AS found ORDER BY position LIMIT ?", [count.clone()]);
        }
        for row in readers.rows(&query).await? {
            found.push(read(&row)?);
        }
    }
    Ok(found)
}

/// Returns the head of the ledger over all chains.
pub(crate) async fn head(readers: &Readers) -> Result<LedgerHead, PostgresError> {
    Ok(LedgerHead::of(heads(readers).await?))
}

/// Returns the last event of each chain that has events.
pub(crate) async fn heads(readers: &Readers) -> Result<Vec<ChainHead>, PostgresError> {
    Ok(ends(readers).await?.into_iter().map(|end| end.head).collect())
}

/// The end of a chain. `shard` is the shard of all its events; `None` if the chain was copied from another store.
struct ChainEnd {
    head: ChainHead,
    shard: Option<i32>,
}

async fn ends(readers: &Readers) -> Result<Vec<ChainEnd>, PostgresError> {
    let past = SqlQuery::new(
        "SELECT number, position, hash, NULL::integer FROM dataapi.copied_chain ORDER BY number",
    );
    let live = SqlQuery::new(
        "SELECT number, position, hash, shard FROM dataapi.chain WHERE position > 0 ORDER BY number",
    );
    let mut ends = Vec::new();
    for row in readers.together(&[past, live]).await?.iter().flatten() {
        let chain = u16::try_from(get::<i16>(row, 0)?).map_err(|_| rows::damaged("chain"))?;
        let head =
            ChainHead { chain, position: rows::position(row, 1)?, hash: rows::hash(row, 2)? };
        ends.push(ChainEnd { head, shard: get(row, 3)? });
    }
    Ok(ends)
}
