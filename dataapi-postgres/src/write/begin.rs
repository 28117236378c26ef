//! The first round trip of a transaction: locks the chains, reads the rows, and inserts the new dialogs.
//!
//! If Citus distributes the tables, each statement names its shard, so that it goes to one node.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dataapi_core::consent::rules::{EarlyGrant, HeldRecord, Record};
use dataapi_core::{ChainHead, CustomerId, Date, DialogRef, NewDialog};
use deadpool_postgres::Client;
use tokio_postgres::Row;

use crate::erase::held_on;
use crate::error::PostgresError;
use crate::pipeline::{Pipeline, parameters};
use crate::read::SqlValue;
use crate::rows::{self, EVENT_COLUMNS, get, state};
use crate::shards::{Shard, Shards};
use crate::write::customers::{SHARE, TAKE};
use crate::write::references::{bytes, groups};
use crate::write::unit::{ShardChain, WorkingRow};
use crate::write::values::{chunks, values};

/// A dialog whose id is probably new. It is inserted without reading first.
#[derive(Debug)]
pub(crate) struct FreshInsert<'r> {
    pub(crate) reference: DialogRef,
    pub(crate) dialog: &'r NewDialog,
}

/// What a transaction reads and locks when it begins.
pub(crate) struct Asked<'r> {
    pub(crate) references: Vec<DialogRef>,
    pub(crate) with_texts: Vec<DialogRef>,
    pub(crate) fresh: &'r [FreshInsert<'r>],
    /// The date of the fresh dialogs.
    pub(crate) received: Date,
    /// The customers whose dialogs it may store.
    pub(crate) customers: Vec<CustomerId>,
    /// The customer of whom it erases everything.
    pub(crate) erased: Option<CustomerId>,
}

/// What the transaction found when it began.
pub(crate) struct Begun {
    /// The id of the transaction. With it the server can be asked for the outcome.
    pub(crate) id: String,
    /// The process of the server that runs the transaction.
    pub(crate) process: i32,
    pub(crate) chains: BTreeMap<Shard, ShardChain>,
    pub(crate) working_rows: HashMap<DialogRef, WorkingRow>,
    /// Those of the fresh dialogs that were inserted.
    pub(crate) fresh: BTreeSet<DialogRef>,
    /// Everything held on the customer of whom the transaction erases everything.
    pub(crate) held: Vec<DialogRef>,
    /// One of the dialogs that were read.
    pub(crate) first: Option<DialogRef>,
}

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

const ID: &str = "SELECT pg_current_xact_id()::text, pg_backend_pid()";

const LOCK: &str =
    "SELECT number, position, hash, date FROM dataapi.chain WHERE shard = $1 FOR UPDATE";

const TEXT: &str = "SELECT ref, text FROM dataapi.dialog WHERE ref = ANY($1) AND shard = ANY($2)";

/// Begins a transaction: locks the customers, and the chains of the references' shards, reads their rows, and inserts
/// the fresh dialogs.
pub(crate) async fn begin(
    client: &Client,
    shards: &Shards,
    is_spread: bool,
    asked: Asked<'_>,
) -> Result<Begun, PostgresError> {
    let Asked { mut references, with_texts, fresh, received, customers, erased } = asked;
    let (mut held, mut is_begun) = (Vec::new(), false);
    if let Some(customer) = erased {
        held = held_alone(client, &customer).await?;
        is_begun = true;
        references.extend_from_slice(&held);
    }
    let locked: BTreeSet<Shard> = references.iter().map(|reference| shards.of(reference)).collect();
    let id = client.prepare_cached(ID).await?;
    let lock = client.prepare_cached(LOCK).await?;
    let read = client.prepare_cached(&read_rows()).await?;
    let text = client.prepare_cached(TEXT).await?;
    let share = client.prepare_cached(SHARE).await?;
    let inserts = chunks(fresh.len());
    let mut put_in = Vec::new();
    for rows in &inserts {
        put_in.push(client.prepare_cached(&insert_pending(*rows)).await?);
    }

    let mut pipeline = Pipeline::new(client);
    if !is_begun {
        pipeline.command(BEGIN);
    }
    let stores = !customers.is_empty();
    if stores {
        // Before any other lock, so that nobody waits for it who holds one.
        let names: Vec<_> = customers.iter().map(|name| name.as_str().to_owned()).collect();
        pipeline.ask(share, parameters![names]);
    }
    pipeline.ask(id, Vec::new());
    for shard in &locked {
        pipeline.ask(lock.clone(), parameters![shards.key(*shard)]);
    }
    let row_groups = groups(&references, shards, is_spread);
    for (keys, references) in &row_groups {
        pipeline.ask(read.clone(), parameters![bytes(references), keys.clone()]);
    }
    let text_groups = groups(&with_texts, shards, is_spread);
    for (keys, references) in &text_groups {
        pipeline.ask(text.clone(), parameters![bytes(references), keys.clone()]);
    }
    let mut rest = fresh;
    for (statement, rows) in put_in.into_iter().zip(&inserts) {
        let (these, others) = rest.split_at(*rows);
        rest = others;
        let values = these.iter().flat_map(|one| {
            let NewDialog { customer_id, dialog_id, language, text } = one.dialog;
            parameters![
                one.reference.as_bytes().to_vec(),
                received.as_micros(),
                shards.key(shards.of(&one.reference)),
                dialog_id.as_str().to_owned(),
                customer_id.as_str().to_owned(),
                language.as_str().to_owned(),
                text.as_str().to_owned(),
            ]
        });
        pipeline.ask(statement, values.collect());
    }

    let before = usize::from(!is_begun) + usize::from(stores);
    let mut answers = pipeline.answers().await?.into_iter().skip(before);
    let mut next = || answers.next().unwrap_or_default();
    let names = next();
    let names = names.first().ok_or(PostgresError::Lost)?;
    let (id, process) = (get(names, 0)?, get(names, 1)?);
    let mut chains = BTreeMap::new();
    for shard in locked {
        let found = next();
        let row = found.first().ok_or_else(|| rows::damaged("chain"))?;
        chains.insert(shard, chain(row)?);
    }
    let mut working_rows = HashMap::new();
    for _ in &row_groups {
        for row in next() {
            let (reference, record) = record(&row)?;
            working_rows.insert(reference, WorkingRow::read(record));
        }
    }
    for reference in &references {
        working_rows.entry(*reference).or_insert_with(|| WorkingRow::read(Record::Absent));
    }
    for _ in &text_groups {
        for row in next() {
            if let Some(working) = working_rows.get_mut(&rows::reference(&row, 0)?) {
                working.text = get(&row, 1)?;
            }
        }
    }
    let mut put_in = BTreeSet::new();
    for _ in &inserts {
        for row in next() {
            put_in.insert(rows::reference(&row, 0)?);
        }
    }
    let first = references.first().copied();
    Ok(Begun { id, process, chains, working_rows, fresh: put_in, held, first })
}

/// Begins the transaction, and returns everything held on a customer. Until it ends, no dialog of that customer is
/// stored.
async fn held_alone(
    client: &Client,
    customer: &CustomerId,
) -> Result<Vec<DialogRef>, PostgresError> {
    let query = held_on(customer);
    let take = client.prepare_cached(TAKE).await?;
    let read = client.prepare_cached(&query.sql).await?;
    let mut pipeline = Pipeline::new(client);
    pipeline.command(BEGIN);
    pipeline.ask(take, parameters![customer.as_str().to_owned()]);
    pipeline.ask(read, query.values.into_iter().map(SqlValue::parameter).collect());
    let answers = pipeline.answers().await?;
    answers.iter().skip(2).flatten().map(|row| rows::reference(row, 0)).collect()
}

fn read_rows() -> String {
    format!(
        "SELECT d.ref, d.state, d.date, d.customer_id, d.language, {EVENT_COLUMNS},
                g.date, g.until, g.notice, g.method, g.locale, d.is_imported
           FROM dataapi.dialog d
           LEFT JOIN dataapi.event e
             ON e.shard = d.shard AND e.chain = d.chain AND e.position = d.position
           LEFT JOIN dataapi.early_grant g ON g.ref = d.ref AND g.shard = d.shard
          WHERE d.ref = ANY($1) AND d.shard = ANY($2)"
    )
}

/// Reads a row of [`read_rows`].
fn record(row: &Row) -> Result<(DialogRef, Record), PostgresError> {
    let reference = rows::reference(row, 0)?;
    let event = || {
        let event = rows::event(row, 5)?;
        if event.reference == reference { Ok(event) } else { Err(rows::damaged("event")) }
    };
    let record = match get::<i16>(row, 1)? {
        state::AWAITED => Record::Awaited(EarlyGrant {
            date: rows::date(row, 14)?,
            until: rows::date(row, 15)?,
            evidence: rows::evidence(row, 16)?,
        }),
        now @ (state::PENDING | state::CONSENTED) => Record::Held(HeldRecord {
            customer_id: rows::parsed(row, 3)?,
            language: rows::parsed(row, 4)?,
            received: rows::date(row, 2)?,
            is_imported: get(row, 19)?,
            granted: if now == state::CONSENTED { Some(event()?) } else { None },
        }),
        _ => Record::Gone(event()?),
    };
    Ok((reference, record))
}

fn chain(row: &Row) -> Result<ShardChain, PostgresError> {
    let chain = u16::try_from(get::<i16>(row, 0)?).map_err(|_| rows::damaged("chain"))?;
    let head = ChainHead { chain, position: rows::position(row, 1)?, hash: rows::hash(row, 2)? };
    Ok(ShardChain { head, date: rows::date(row, 3)?, is_longer: false })
}

fn insert_pending(rows: usize) -> String {
    let columns = "ref, date, shard, dialog_id, customer_id, language, text";
    let values = values(&format!("INSERT INTO dataapi.dialog ({columns}, state)"), 7, rows);
    let values = values.replace(')', ", 1)").replacen(", state, 1)", ", state)", 1);
    format!("{values} ON CONFLICT DO NOTHING RETURNING ref")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_dialog_has_a_place_for_each_value() {
        assert_eq!(
            insert_pending(2),
            "INSERT INTO dataapi.dialog (ref, date, shard, dialog_id, customer_id, language, text, state) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 1), ($8, $9, $10, $11, $12, $13, $14, 1) \
             ON CONFLICT DO NOTHING RETURNING ref"
        );
    }
}
