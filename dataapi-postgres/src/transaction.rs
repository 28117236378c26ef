//! One transaction: locks the chains, reads the rows, and writes what has become of them, in two round
//! trips whatever the number of requests.
//!
//! Where Citus spreads the tables, each statement names its shard, so that it goes to one node.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dataapi_core::{ChainHead, DialogRef, Event, NewDialog, StoredDialog};
use deadpool_postgres::Client;
use tokio_postgres::{Row, Statement};

use crate::failure::Failure;
use crate::pipeline::{Parameter, Pipeline, parameters};
use crate::rows::{self, EVENT_COLUMNS, get, signed, state, state_after};
use crate::shards::{Shard, Shards};
use crate::unit::{Chain, EarlyGrant, Entry, Held, State, Unit};

/// A dialog with a new id, most likely: it is put in without a look.
#[derive(Debug)]
pub(crate) struct Fresh<'r> {
    pub(crate) reference: DialogRef,
    pub(crate) dialog: &'r NewDialog,
}

/// Why one was not put in.
#[derive(Debug)]
pub(crate) enum Taken {
    By(StoredDialog),
    Gone,
    /// By a yes that came before it, or by what is gone meanwhile: it takes another look.
    Unclear,
}

/// What was found when the transaction had begun.
pub(crate) struct Begun {
    /// The transaction's own id, by which its outcome can be asked for.
    pub(crate) id: String,
    pub(crate) chains: BTreeMap<Shard, Chain>,
    pub(crate) entries: HashMap<DialogRef, Entry>,
    /// Of the fresh ones, those that are in.
    pub(crate) fresh: BTreeSet<DialogRef>,
}

/// Most rows of one statement; the others are the smaller powers of two, so that few are prepared.
const ROWS_AT_ONCE: usize = 64;

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

const ID: &str = "SELECT pg_current_xact_id()::text";

const LOCK: &str =
    "SELECT number, position, hash, date FROM dataapi.chain WHERE shard = $1 FOR UPDATE";

const TEXT: &str = "SELECT ref, text FROM dataapi.dialog WHERE ref = ANY($1) AND shard = ANY($2)";

/// Begins, locks the chains of the shards of those references, and reads their rows; puts the fresh
/// dialogs in, as received at that date.
pub(crate) async fn begin(
    client: &Client,
    shards: &Shards,
    is_spread: bool,
    references: &[DialogRef],
    with_texts: &[DialogRef],
    fresh: &[Fresh<'_>],
    received: i64,
) -> Result<Begun, Failure> {
    let locked: BTreeSet<Shard> = references.iter().map(|reference| shards.of(reference)).collect();
    let id = client.prepare_cached(ID).await?;
    let lock = client.prepare_cached(LOCK).await?;
    let read = client.prepare_cached(&read_rows()).await?;
    let text = client.prepare_cached(TEXT).await?;
    let inserts = chunks(fresh.len());
    let mut put_in = Vec::new();
    for rows in &inserts {
        put_in.push(client.prepare_cached(&insert_pending(*rows)).await?);
    }

    let mut pipeline = Pipeline::new(client);
    pipeline.command(BEGIN);
    pipeline.ask(id, Vec::new());
    for shard in &locked {
        pipeline.ask(lock.clone(), parameters![shards.key(*shard)]);
    }
    let groups = groups(references, shards, is_spread);
    for (keys, references) in &groups {
        pipeline.ask(read.clone(), parameters![bytes(references), keys.clone()]);
    }
    let text_groups = self::groups(with_texts, shards, is_spread);
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
                received,
                shards.key(shards.of(&one.reference)),
                dialog_id.as_str().to_owned(),
                customer_id.as_str().to_owned(),
                language.as_str().to_owned(),
                text.as_str().to_owned(),
            ]
        });
        pipeline.ask(statement, values.collect());
    }

    let mut answers = pipeline.answers().await?.into_iter().skip(1);
    let mut next = || answers.next().unwrap_or_default();
    let id = get::<String>(next().first().ok_or(Failure::Lost)?, 0)?;
    let mut chains = BTreeMap::new();
    for shard in locked {
        let found = next();
        let row = found.first().ok_or_else(|| rows::damaged("chain"))?;
        chains.insert(shard, chain(row)?);
    }
    let mut entries = HashMap::new();
    for _ in &groups {
        for row in next() {
            let (reference, state) = entry(&row)?;
            entries.insert(reference, Entry::read(state));
        }
    }
    for reference in references {
        entries.entry(*reference).or_insert_with(|| Entry::read(State::Absent));
    }
    for _ in &text_groups {
        for row in next() {
            if let Some(entry) = entries.get_mut(&rows::reference(&row, 0)?) {
                entry.text = get(&row, 1)?;
            }
        }
    }
    let mut put_in = BTreeSet::new();
    for _ in &inserts {
        for row in next() {
            put_in.insert(rows::reference(&row, 0)?);
        }
    }
    Ok(Begun { id, chains, entries, fresh: put_in })
}

/// What is still to be done in a transaction that began.
pub(crate) struct Changes {
    statements: Vec<(Statement, Vec<Parameter>)>,
    /// The dialogs that were put in where there was none, and how many.
    inserted: usize,
}

/// Prepares what writes down what has become of a unit.
pub(crate) async fn changes(
    client: &Client,
    shards: &Shards,
    unit: Unit<'_>,
) -> Result<Changes, Failure> {
    let mut changes = Changes { statements: Vec::new(), inserted: 0 };
    let mut granted: BTreeMap<Shard, Vec<(DialogRef, Event)>> = BTreeMap::new();
    let mut buried: BTreeMap<(Shard, i16), Vec<(DialogRef, Event)>> = BTreeMap::new();
    // In one order everywhere, so that no two wait for each other.
    let mut entries: Vec<_> = unit.entries.into_iter().collect();
    entries.sort_by_key(|(reference, _)| *reference);
    let mut new = Vec::new();
    for (reference, entry) in entries {
        let shard = shards.of(&reference);
        match (entry.before, entry.now) {
            (State::Held(before), State::Held(now)) => {
                if let (None, Some(event)) = (before.granted, now.granted) {
                    granted.entry(shard).or_default().push((reference, event));
                }
            }
            (State::Held(_), State::Gone(event)) => {
                let state = state_after(event.kind);
                buried.entry((shard, state)).or_default().push((reference, event));
            }
            (before, State::Held(now)) => {
                let dialog = entry.inserted.ok_or_else(|| rows::damaged("row"))?;
                let row = Whole::held(reference, shards.key(shard), &now, dialog);
                match before {
                    State::Absent => new.push(row),
                    _ => changes.replace(client, row).await?,
                }
                changes.end_early(client, reference, shards.key(shard), &before).await?;
            }
            (before @ (State::Absent | State::Awaited(_)), State::Gone(event)) => {
                let row = Whole::gone(reference, shards.key(shard), &event);
                match before {
                    State::Absent => new.push(row),
                    _ => changes.replace(client, row).await?,
                }
                changes.end_early(client, reference, shards.key(shard), &before).await?;
            }
            (before, State::Awaited(grant)) if !before.awaits(&grant) => {
                let key = shards.key(shard);
                if matches!(before, State::Absent) {
                    new.push(Whole::awaited(reference, key, &grant));
                }
                changes.hold(client, reference, key, &grant).await?;
            }
            (State::Gone(_), State::Absent) => {
                let forget = "DELETE FROM dataapi.dialog WHERE ref = $1 AND shard = $2";
                let bytes = reference.as_bytes().to_vec();
                changes.add(client, forget, parameters![bytes, shards.key(shard)]).await?;
            }
            _ => {}
        }
    }
    changes.put(client, new).await?;
    for (shard, dialogs) in granted {
        changes.update(client, shards.key(shard), state::CONSENTED, dialogs).await?;
    }
    for ((shard, state), dialogs) in buried {
        changes.update(client, shards.key(shard), state, dialogs).await?;
    }
    changes.append(client, shards, &unit.events).await?;
    for (shard, chain) in unit.chains.into_iter().filter(|(_, chain)| chain.is_longer) {
        let longer =
            "UPDATE dataapi.chain SET position = $2, hash = $3, date = $4 WHERE shard = $1";
        let values = parameters![
            shards.key(shard),
            signed(chain.head.position),
            chain.head.hash.as_bytes().to_vec(),
            chain.date.as_micros(),
        ];
        changes.add(client, longer, values).await?;
    }
    Ok(changes)
}

impl Changes {
    /// Whether nobody can have come first, so that the commit may follow without a look.
    pub(crate) fn are_certain(&self) -> bool {
        self.inserted == 0
    }

    /// How many dialogs are put in, each of which yields a row.
    pub(crate) fn inserted(&self) -> usize {
        self.inserted
    }

    /// How many statements are to be sent.
    pub(crate) fn len(&self) -> usize {
        self.statements.len()
    }

    /// Sends them.
    pub(crate) fn send(&mut self, pipeline: &mut Pipeline<'_>) {
        for (statement, parameters) in self.statements.drain(..) {
            pipeline.ask(statement, parameters);
        }
    }

    /// Adds rows to the counts, in a shard that the transaction writes to anyway.
    pub(crate) async fn count(
        &mut self,
        client: &Client,
        shard: i32,
        rows: impl Iterator<Item = (i16, String, i64)>,
    ) -> Result<(), Failure> {
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
    ) -> Result<(), Failure> {
        self.statements.push((client.prepare_cached(sql).await?, parameters));
        Ok(())
    }

    /// Puts rows in where there are none.
    async fn put(&mut self, client: &Client, rows: Vec<Whole>) -> Result<(), Failure> {
        let insert =
            "INSERT INTO dataapi.dialog (ref, shard, state, date, chain, position, dialog_id,
            customer_id, language, text, is_imported)";
        self.inserted += rows.len();
        let mut rest = rows.into_iter();
        for count in chunks(rest.len()) {
            let sql = values(insert, 11, count) + " ON CONFLICT DO NOTHING RETURNING 1";
            let parameters = rest.by_ref().take(count).flat_map(Whole::parameters).collect();
            self.add(client, &sql, parameters).await?;
        }
        Ok(())
    }

    /// Puts a row in the place of the one that is there.
    async fn replace(&mut self, client: &Client, row: Whole) -> Result<(), Failure> {
        let sql = "UPDATE dataapi.dialog SET state = $3, date = $4, chain = $5, position = $6,
                dialog_id = $7, customer_id = $8, language = $9, text = $10, is_imported = $11
              WHERE ref = $1 AND shard = $2 RETURNING 1";
        self.inserted += 1;
        self.add(client, sql, row.parameters()).await
    }

    /// Removes the yes that came before a dialog, if there was one.
    async fn end_early(
        &mut self,
        client: &Client,
        reference: DialogRef,
        shard: i32,
        before: &State,
    ) -> Result<(), Failure> {
        if !matches!(before, State::Awaited(_)) {
            return Ok(());
        }
        let end = "DELETE FROM dataapi.early_grant WHERE ref = $1 AND shard = $2";
        self.add(client, end, parameters![reference.as_bytes().to_vec(), shard]).await
    }

    /// Holds a yes.
    async fn hold(
        &mut self,
        client: &Client,
        reference: DialogRef,
        shard: i32,
        grant: &EarlyGrant,
    ) -> Result<(), Failure> {
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

    /// Has dialogs of one shard come to a state, each by its event.
    async fn update(
        &mut self,
        client: &Client,
        shard: i32,
        to: i16,
        dialogs: Vec<(DialogRef, Event)>,
    ) -> Result<(), Failure> {
        let (references, events): (Vec<_>, Vec<_>) = dialogs.into_iter().unzip();
        let Some(Event { chain, .. }) = events.first() else { return Ok(()) };
        let chain = i16::try_from(*chain).unwrap_or(i16::MAX);
        let positions: Vec<_> = events.iter().map(|event| signed(event.position)).collect();
        let mut values = parameters![bytes(&references), shard, to, chain, positions];
        let sql = if to == state::CONSENTED {
            "UPDATE dataapi.dialog
                SET state = $3, chain = $4, position = ($5::bigint[])[array_position($1::bytea[], ref)]
              WHERE ref = ANY($1) AND shard = $2"
        } else {
            let dates: Vec<_> = events.iter().map(|event| event.date.as_micros()).collect();
            values.extend(parameters![dates]);
            "UPDATE dataapi.dialog
                SET state = $3, chain = $4, position = ($5::bigint[])[array_position($1::bytea[], ref)],
                    date = ($6::bigint[])[array_position($1::bytea[], ref)],
                    dialog_id = NULL, customer_id = NULL, language = NULL, text = NULL
              WHERE ref = ANY($1) AND shard = $2"
        };
        self.add(client, sql, values).await
    }

    /// Adds events to their chains.
    async fn append(
        &mut self,
        client: &Client,
        shards: &Shards,
        events: &[Event],
    ) -> Result<(), Failure> {
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

/// A row of a dialog, with all that stands in it.
struct Whole {
    reference: DialogRef,
    shard: i32,
    state: i16,
    date: i64,
    event: Option<(i16, i64)>,
    dialog: Option<NewDialog>,
    is_imported: bool,
}

impl Whole {
    fn held(reference: DialogRef, shard: i32, held: &Held, dialog: NewDialog) -> Self {
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

/// What took the ids of dialogs that could not be put in.
pub(crate) const TAKEN: &str = "SELECT dialog_id, customer_id, language, text, date, state, ref
     FROM dataapi.dialog WHERE ref = ANY($1) AND shard = ANY($2)";

/// Reads a row of [`TAKEN`].
pub(crate) fn taken(row: &Row) -> Result<(DialogRef, Taken), Failure> {
    let taken = match get::<i16>(row, 5)? {
        state::PENDING | state::CONSENTED => Taken::By(rows::stored_dialog(row, 0)?),
        state::AWAITED => Taken::Unclear,
        _ => Taken::Gone,
    };
    Ok((rows::reference(row, 6)?, taken))
}

/// Those of one statement, with the keys of their shards: all of them, or by shard where each has a node.
pub(crate) fn groups(
    references: &[DialogRef],
    shards: &Shards,
    is_spread: bool,
) -> Vec<(Vec<i32>, Vec<DialogRef>)> {
    let mut groups: BTreeMap<Option<Shard>, Vec<DialogRef>> = BTreeMap::new();
    for reference in references {
        let group = is_spread.then(|| shards.of(reference));
        groups.entry(group).or_default().push(*reference);
    }
    let keyed = |references: Vec<DialogRef>| {
        let keys: BTreeSet<_> =
            references.iter().map(|reference| shards.key(shards.of(reference))).collect();
        (keys.into_iter().collect(), references)
    };
    groups.into_values().map(keyed).collect()
}

pub(crate) fn bytes(references: &[DialogRef]) -> Vec<Vec<u8>> {
    references.iter().map(|reference| reference.as_bytes().to_vec()).collect()
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
fn entry(row: &Row) -> Result<(DialogRef, State), Failure> {
    let reference = rows::reference(row, 0)?;
    let event = || {
        let event = rows::event(row, 5)?;
        if event.reference == reference { Ok(event) } else { Err(rows::damaged("event")) }
    };
    let state = match get::<i16>(row, 1)? {
        state::AWAITED => State::Awaited(EarlyGrant {
            date: rows::date(row, 14)?,
            until: rows::date(row, 15)?,
            evidence: rows::evidence(row, 16)?,
        }),
        now @ (state::PENDING | state::CONSENTED) => State::Held(Held {
            customer_id: rows::parsed(row, 3)?,
            language: rows::parsed(row, 4)?,
            received: rows::date(row, 2)?,
            is_imported: get(row, 19)?,
            granted: if now == state::CONSENTED { Some(event()?) } else { None },
        }),
        _ => State::Gone(event()?),
    };
    Ok((reference, state))
}

fn chain(row: &Row) -> Result<Chain, Failure> {
    let chain = u16::try_from(get::<i16>(row, 0)?).map_err(|_| rows::damaged("chain"))?;
    let head = ChainHead { chain, position: rows::position(row, 1)?, hash: rows::hash(row, 2)? };
    Ok(Chain { head, date: rows::date(row, 3)?, is_longer: false })
}

fn insert_pending(rows: usize) -> String {
    let columns = "ref, date, shard, dialog_id, customer_id, language, text";
    let values = values(&format!("INSERT INTO dataapi.dialog ({columns}, state)"), 7, rows);
    let values = values.replace(')', ", 1)").replacen(", state, 1)", ", state)", 1);
    format!("{values} ON CONFLICT DO NOTHING RETURNING ref")
}

/// `VALUES ($1, …), (…)` for so many rows.
fn values(insert: &str, columns: usize, rows: usize) -> String {
    let row = |number: usize| {
        let places: Vec<_> =
            (1..=columns).map(|column| format!("${}", number * columns + column)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    format!("{insert} VALUES {}", rows.join(", "))
}

/// So many rows as powers of two.
fn chunks(mut rows: usize) -> Vec<usize> {
    let mut chunks = Vec::new();
    let mut size = ROWS_AT_ONCE;
    while rows > 0 {
        while size > rows {
            size /= 2;
        }
        chunks.push(size);
        rows -= size;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_in_powers_of_two() {
        assert_eq!(chunks(0), []);
        assert_eq!(chunks(1), [1]);
        assert_eq!(chunks(200), [64, 64, 64, 8]);
        assert_eq!(chunks(77), [64, 8, 4, 1]);
    }

    #[test]
    fn a_statement_has_a_place_for_each_value() {
        assert_eq!(
            values("INSERT INTO t (a, b)", 2, 2),
            "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4)"
        );
        assert_eq!(
            insert_pending(2),
            "INSERT INTO dataapi.dialog (ref, date, shard, dialog_id, customer_id, language, text, state) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 1), ($8, $9, $10, $11, $12, $13, $14, 1) \
             ON CONFLICT DO NOTHING RETURNING ref"
        );
    }
}
