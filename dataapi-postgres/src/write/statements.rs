//! The second round trip of a transaction: the statements that write the result of a unit of work.
//!
//! If Citus distributes the tables, each statement names its shard, so that it goes to one node.

use std::collections::BTreeMap;

use dataapi_core::consent::rules::{EarlyGrant, HeldRecord, Record};
use dataapi_core::{DialogRef, Event, NewDialog};
use deadpool_postgres::Client;
use tokio_postgres::Statement;

use crate::error::PostgresError;
use crate::pipeline::{Parameter, Pipeline, parameters};
use crate::rows::{self, signed, state, state_after};
use crate::shards::{Shard, Shards};
use crate::write::references::bytes;
use crate::write::unit::Unit;
use crate::write::values::{chunks, values};

/// The statements that a running transaction still has to send.
pub(crate) struct PendingStatements {
    prepared: Vec<(Statement, Vec<Parameter>)>,
    /// How many rows of dialogs the statements insert or replace.
    inserted: usize,
}

/// Prepares the statements that write the result of a unit.
pub(crate) async fn of_unit(
    client: &Client,
    shards: &Shards,
    unit: Unit<'_>,
) -> Result<PendingStatements, PostgresError> {
    let mut pending = PendingStatements { prepared: Vec::new(), inserted: 0 };
    let mut granted: BTreeMap<Shard, Vec<(DialogRef, Event)>> = BTreeMap::new();
    let mut buried: BTreeMap<(Shard, i16), Vec<(DialogRef, Event)>> = BTreeMap::new();
    // The same order everywhere, so that transactions do not deadlock.
    let mut working_rows: Vec<_> = unit.rows.into_iter().collect();
    working_rows.sort_by_key(|(reference, _)| *reference);
    let mut new = Vec::new();
    for (reference, row) in working_rows {
        let shard = shards.of(&reference);
        match (row.before, row.now) {
            (Record::Held(before), Record::Held(now)) => {
                if let (None, Some(event)) = (before.granted, now.granted) {
                    granted.entry(shard).or_default().push((reference, event));
                }
            }
            (Record::Held(_), Record::Gone(event)) => {
                let state = state_after(event.kind);
                buried.entry((shard, state)).or_default().push((reference, event));
            }
            (before, Record::Held(now)) => {
                let dialog = row.inserted.ok_or_else(|| rows::damaged("row"))?;
                let new_row = NewRow::held(reference, shards.key(shard), &now, dialog);
                match before {
                    Record::Absent => new.push(new_row),
                    _ => pending.replace(client, new_row).await?,
                }
                pending.end_early(client, reference, shards.key(shard), &before).await?;
            }
            (before @ (Record::Absent | Record::Awaited(_)), Record::Gone(event)) => {
                let new_row = NewRow::gone(reference, shards.key(shard), &event);
                match before {
                    Record::Absent => new.push(new_row),
                    _ => pending.replace(client, new_row).await?,
                }
                pending.end_early(client, reference, shards.key(shard), &before).await?;
            }
            (before, Record::Awaited(grant)) if !awaits(&before, &grant) => {
                let key = shards.key(shard);
                if matches!(before, Record::Absent) {
                    new.push(NewRow::awaited(reference, key, &grant));
                }
                pending.hold(client, reference, key, &grant).await?;
            }
            (Record::Gone(_), Record::Absent) => {
                let forget = "DELETE FROM dataapi.dialog WHERE ref = $1 AND shard = $2";
                let bytes = reference.as_bytes().to_vec();
                pending.add(client, forget, parameters![bytes, shards.key(shard)]).await?;
            }
            _ => {}
        }
    }
    pending.put(client, new).await?;
    for (shard, dialogs) in granted {
        pending.update(client, shards.key(shard), state::CONSENTED, dialogs).await?;
    }
    for ((shard, state), dialogs) in buried {
        pending.update(client, shards.key(shard), state, dialogs).await?;
    }
    pending.append(client, shards, &unit.events).await?;
    for (shard, chain) in unit.chains.into_iter().filter(|(_, chain)| chain.is_longer) {
        let longer =
            "UPDATE dataapi.chain SET position = $2, hash = $3, date = $4 WHERE shard = $1";
        let values = parameters![
            shards.key(shard),
            signed(chain.head.position),
            chain.head.hash.as_bytes().to_vec(),
            chain.date.as_micros(),
        ];
        pending.add(client, longer, values).await?;
    }
    Ok(pending)
}

impl PendingStatements {
    /// Whether no other transaction can have come first, so that the commit can be sent together with the statements.
    pub(crate) fn are_certain(&self) -> bool {
        self.inserted == 0
    }

    /// Returns how many rows of dialogs the statements insert or replace. Each returns one row.
    pub(crate) fn inserted(&self) -> usize {
        self.inserted
    }

    /// Returns the number of statements still to be sent.
    pub(crate) fn len(&self) -> usize {
        self.prepared.len()
    }

    /// Sends the statements.
    pub(crate) fn send(&mut self, pipeline: &mut Pipeline<'_>) {
        for (statement, parameters) in self.prepared.drain(..) {
            pipeline.ask(statement, parameters);
        }
    }

    /// Adds rows to the counts, in a shard that the transaction writes to anyway.
    pub(crate) async fn count(
        &mut self,
        client: &Client,
        shard: i32,
        rows: impl Iterator<Item = (i16, String, i64)>,
    ) -> Result<(), PostgresError> {
        let rows: Vec<_> = rows.collect();
        let mut rest = &rows[..];
        for count in chunks(rows.len()) {
            let (these, others) = rest.split_at(count);
            rest = others;
            let sql = values("INSERT INTO dataapi.tally (shard, state, language, n)", 4, count);
            let values = these.iter().flat_map(|(state, language, by)| {
                parameters![shard, *state, language.clone(), *by]
            });
            self.add(client, &sql, values.collect()).await?;
        }
        Ok(())
    }

    async fn add(
        &mut self,
        client: &Client,
        sql: &str,
        parameters: Vec<Parameter>,
    ) -> Result<(), PostgresError> {
        self.prepared.push((client.prepare_cached(sql).await?, parameters));
        Ok(())
    }

    /// Inserts rows for ids that have none.
    async fn put(&mut self, client: &Client, rows: Vec<NewRow>) -> Result<(), PostgresError> {
        let insert =
            "INSERT INTO dataapi.dialog (ref, shard, state, date, chain, position, dialog_id,
            customer_id, language, text, is_imported)";
        self.inserted += rows.len();
        let mut rest = rows.into_iter();
        for count in chunks(rest.len()) {
            let sql = values(insert, 11, count) + " ON CONFLICT DO NOTHING RETURNING 1";
            let parameters = rest.by_ref().take(count).flat_map(NewRow::parameters).collect();
            self.add(client, &sql, parameters).await?;
        }
        Ok(())
    }

    /// Replaces the row of an id.
    async fn replace(&mut self, client: &Client, row: NewRow) -> Result<(), PostgresError> {
        let sql = "UPDATE dataapi.dialog SET state = $3, date = $4, chain = $5, position = $6,
                dialog_id = $7, customer_id = $8, language = $9, text = $10, is_imported = $11
              WHERE ref = $1 AND shard = $2 RETURNING 1";
        self.inserted += 1;
        self.add(client, sql, row.parameters()).await
    }

    /// Removes the held grant of a dialog, if there was one.
    async fn end_early(
        &mut self,
        client: &Client,
        reference: DialogRef,
        shard: i32,
        before: &Record,
    ) -> Result<(), PostgresError> {
        if !matches!(before, Record::Awaited(_)) {
            return Ok(());
        }
        let end = "DELETE FROM dataapi.early_grant WHERE ref = $1 AND shard = $2";
        self.add(client, end, parameters![reference.as_bytes().to_vec(), shard]).await
    }

    /// Holds an early grant.
    async fn hold(
        &mut self,
        client: &Client,
        reference: DialogRef,
        shard: i32,
        grant: &EarlyGrant,
    ) -> Result<(), PostgresError> {
        let hold =
            "INSERT INTO dataapi.early_grant (ref, shard, date, until, notice, method, locale)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (ref, shard) DO UPDATE SET date = EXCLUDED.date, until = EXCLUDED.until,
                notice = EXCLUDED.notice, method = EXCLUDED.method, locale = EXCLUDED.locale";
        let [notice, method, locale] =
            grant.evidence.pieces().map(|piece| piece.map(str::to_owned));
        let values = parameters![
            reference.as_bytes().to_vec(),
            shard,
            grant.date.as_micros(),
            grant.until.as_micros(),
            notice,
            method,
            locale,
        ];
        self.add(client, hold, values).await
    }

    /// Sets the state of dialogs in one shard, each with its event.
    async fn update(
        &mut self,
        client: &Client,
        shard: i32,
        to: i16,
        dialogs: Vec<(DialogRef, Event)>,
    ) -> Result<(), PostgresError> {
        let (references, events): (Vec<_>, Vec<_>) = dialogs.into_iter().unzip();
        let Some(Event { chain, .. }) = events.first() else { return Ok(()) };
        let chain = i16::try_from(*chain).unwrap_or(i16::MAX);
        let positions: Vec<_> = events.iter().map(|event| signed(event.position)).collect();
        let mut values = parameters![bytes(&references), shard, to, chain, positions];
        // `0 +`, because an array element that is the whole value crashes the coordinator of Citus 13.2.
        let sql = if to == state::CONSENTED {
            "UPDATE dataapi.dialog
                SET state = $3, chain = $4, position = 0 + ($5::bigint[])[array_position($1::bytea[], ref)]
              WHERE ref = ANY($1) AND shard = $2"
        } else {
            let dates: Vec<_> = events.iter().map(|event| event.date.as_micros()).collect();
            values.extend(parameters![dates]);
            "UPDATE dataapi.dialog
                SET state = $3, chain = $4, position = 0 + ($5::bigint[])[array_position($1::bytea[], ref)],
                    date = 0 + ($6::bigint[])[array_position($1::bytea[], ref)],
                    dialog_id = NULL, customer_id = NULL, language = NULL, text = NULL
              WHERE ref = ANY($1) AND shard = $2"
        };
        self.add(client, sql, values).await
    }

    /// Appends events to their chains.
    async fn append(
        &mut self,
        client: &Client,
        shards: &Shards,
        events: &[Event],
    ) -> Result<(), PostgresError> {
        let mut rest = events;
        for count in chunks(events.len()) {
            let (these, others) = rest.split_at(count);
            rest = others;
            let sql = values(
                "INSERT INTO dataapi.event (shard, chain, position, ref, kind, date, notice, method, locale, hash)",
                10,
                count,
            );
            let values = these.iter().flat_map(|event| {
                let [notice, method, locale] =
                    event.evidence.pieces().map(|piece| piece.map(str::to_owned));
                parameters![
                    shards.key(shards.of(&event.reference)),
                    i16::try_from(event.chain).unwrap_or(i16::MAX),
                    signed(event.position),
                    event.reference.as_bytes().to_vec(),
                    i16::from(event.kind.code()),
                    event.date.as_micros(),
                    notice,
                    method,
                    locale,
                    event.hash.as_bytes().to_vec(),
                ]
            });
            self.add(client, &sql, values.collect()).await?;
        }
        Ok(())
    }
}

/// Whether exactly this grant is held already.
fn awaits(record: &Record, grant: &EarlyGrant) -> bool {
    matches!(record, Record::Awaited(held) if held == grant)
}

/// A complete row of the table of dialogs.
struct NewRow {
    reference: DialogRef,
    shard: i32,
    state: i16,
    date: i64,
    event: Option<(i16, i64)>,
    dialog: Option<NewDialog>,
    is_imported: bool,
}

impl NewRow {
    fn held(reference: DialogRef, shard: i32, held: &HeldRecord, dialog: NewDialog) -> Self {
        let state = if held.granted.is_some() { state::CONSENTED } else { state::PENDING };
        let (date, event) = (held.received.as_micros(), held.granted.as_ref().map(place));
        let (dialog, is_imported) = (Some(dialog), held.is_imported);
        Self { reference, shard, state, date, event, dialog, is_imported }
    }

    fn gone(reference: DialogRef, shard: i32, event: &Event) -> Self {
        let (state, date) = (state_after(event.kind), event.date.as_micros());
        let event = Some(place(event));
        Self { reference, shard, state, date, event, dialog: None, is_imported: false }
    }

    fn awaited(reference: DialogRef, shard: i32, grant: &EarlyGrant) -> Self {
        let (state, date) = (state::AWAITED, grant.date.as_micros());
        Self { reference, shard, state, date, event: None, dialog: None, is_imported: false }
    }

    fn parameters(self) -> Vec<Parameter> {
        let Self { reference, shard, state, date, event, dialog, is_imported } = self;
        let (chain, position) = event.unzip();
        let words = dialog.map(|dialog| {
            let NewDialog { dialog_id, customer_id, language, text } = dialog;
            [dialog_id.as_str(), customer_id.as_str(), language.as_str(), text.as_str()]
                .map(str::to_owned)
        });
        let [dialog_id, customer_id, language, text] =
            words.map_or_else(Default::default, |words| words.map(Some));
        parameters![
            reference.as_bytes().to_vec(),
            shard,
            state,
            date,
            chain,
            position,
            dialog_id,
            customer_id,
            language,
            text,
            is_imported,
        ]
    }
}

fn place(event: &Event) -> (i16, i64) {
    (i16::try_from(event.chain).unwrap_or(i16::MAX), signed(event.position))
}
