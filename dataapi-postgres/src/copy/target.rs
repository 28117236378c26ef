//! The target of a copy. It becomes a store when the copy is complete.

use async_trait::async_trait;
use dataapi_core::copy::{
    Digest, EarlyGrantRow, Fingerprint, HeldRow, IncompleteCopy, Permit, Progress, Rest,
    Row as StoreRow, Rows, SealedRow, Source, StoreManifest, Target,
};
use dataapi_core::{Event, Limit, Positions, StoreError};
use deadpool_postgres::Transaction;
use futures_util::pin_mut;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use crate::connect::Address;
use crate::copy::store_reader::StoreReader;
use crate::error::{OpenError, PostgresError, unavailable};
use crate::keys;
use crate::pipeline::{Parameter, parameters};
use crate::pool::{Lent, primary};
use crate::rows::{self, get, signed, state, state_after};
use crate::schema::{self, NewStore};
use crate::shards::Shards;

/// The key of the advisory lock that allows only one copy into a database at a time: "`DlgC`". Two would undo each
/// other.
const ONE_AT_A_TIME: i64 = 0x446c_6743;

/// An unfinished store. [`PostgresStore::open`](crate::PostgresStore::open) refuses it until the copy is released.
pub struct CopyTarget {
    address: Address,
    connection: Lent,
    shards: u16,
    made: Option<StoreReader>,
}

impl std::fmt::Debug for CopyTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyTarget").finish_non_exhaustive()
    }
}

impl CopyTarget {
    /// Connects to the database that `url` names. It must contain no store, except an unfinished copy. A new copy will
    /// have `shards` shards; an unfinished copy keeps its number.
    ///
    /// # Errors
    /// See [`OpenError`]. [`OpenError::IsThere`] if the database contains a finished store, [`OpenError::Store`] if
    /// another process is copying to the same database.
    ///
    /// # Panics
    /// If it is called outside a tokio runtime.
    pub async fn open(url: &str, shards: u16) -> Result<Self, OpenError> {
        if !(1..=Positions::MAX_CHAINS).contains(&usize::from(shards)) {
            return Err(OpenError::Shards);
        }
        let address = Address::parse(url)?;
        let connection = Lent::from(&primary(&address, 1)?).await?;
        let client = connection.client()?;
        schema::check_server(client).await?;
        // Counting the rows of a whole store reads all of them, however long that takes.
        let settings = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
            SET enable_seqscan = on; SET enable_sort = on; SET enable_bitmapscan = on";
        client.batch_execute(settings).await?;
        let lock = "SELECT pg_try_advisory_lock($1)";
        if !client.query_one(lock, &[&ONE_AT_A_TIME]).await?.try_get::<_, bool>(0)? {
            let busy = unavailable("another process is copying to this database");
            return Err(OpenError::Store(busy));
        }
        if schema::version(client).await?.is_some() && progress(client).await?.is_none() {
            return Err(OpenError::IsThere);
        }
        Ok(Self { address, connection, shards, made: None })
    }

    fn made(&self) -> Result<&StoreReader, PostgresError> {
        self.made.as_ref().ok_or(PostgresError::Damaged("copy"))
    }

    async fn make(&mut self, manifest: &StoreManifest) -> Result<Progress, IncompleteCopy> {
        let open = |error| match error {
            OpenError::Store(error) => error,
            other => StoreError::backend(other),
        };
        let beginning = NewStore::copy_of(manifest, self.shards);
        let client = self.connection.client_mut().map_err(StoreError::from)?;
        schema::migrate(client, Some(beginning)).await.map_err(open)?;
        let kept = progress(client).await.map_err(open)?;
        let (fingerprint, progress) =
            kept.ok_or_else(|| StoreError::from(rows::damaged("copy")))?;
        if fingerprint != manifest.fingerprint() {
            return Err(IncompleteCopy::Changed);
        }
        let identity = schema::identity(client).await.map_err(open)?;
        self.made = Some(StoreReader::new(&self.address, identity).map_err(open)?);
        Ok(progress)
    }

    /// Writes rows together with the progress that they make.
    async fn add(
        &mut self,
        copy: &str,
        types: &[Type],
        rows: Vec<Vec<Parameter>>,
        progress: &Progress,
    ) -> Result<(), PostgresError> {
        let transaction = self.connection.client_mut()?.transaction().await?;
        let writer = BinaryCopyInWriter::new(transaction.copy_in(copy).await?, types);
        pin_mut!(writer);
        for row in rows {
            let values: Vec<_> = row.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
            writer.as_mut().write(&values).await?;
        }
        writer.finish().await?;
        note(&transaction, progress).await?;
        Ok(transaction.commit().await?)
    }
}

#[async_trait]
impl Source for CopyTarget {
    async fn manifest(&mut self) -> Result<StoreManifest, StoreError> {
        Ok(self.made()?.manifest().await?)
    }

    async fn events(&mut self, after: &Positions, limit: Limit) -> Result<Vec<Event>, StoreError> {
        Ok(self.made()?.events(after, limit).await?)
    }

    async fn rows(&mut self, after: &[u8]) -> Result<Rows, StoreError> {
        Ok(self.made()?.rows(after).await?)
    }

    async fn rest(&mut self) -> Result<Rest, StoreError> {
        Ok(self.made()?.rest().await?)
    }
}

#[async_trait]
impl Target for CopyTarget {
    async fn begin(&mut self, manifest: &StoreManifest) -> Result<Progress, IncompleteCopy> {
        let past = manifest.next_chain();
        if usize::from(past) + usize::from(self.shards) > Positions::MAX_CHAINS {
            return Err(IncompleteCopy::Chains { past, new: self.shards });
        }
        self.make(manifest).await
    }

    async fn add_events(
        &mut self,
        events: &[Event],
        progress: &Progress,
    ) -> Result<(), StoreError> {
        const EVENTS: &str = "COPY dataapi.event
            (shard, chain, position, ref, kind, date, notice, method, locale, hash)
            FROM STDIN BINARY";
        let types = [
            Type::INT4,
            Type::INT2,
            Type::INT8,
            Type::BYTEA,
            Type::INT2,
            Type::INT8,
            Type::TEXT,
            Type::TEXT,
            Type::TEXT,
            Type::BYTEA,
        ];
        let shards = self.made()?.shards.clone();
        let rows = events.iter().map(|event| {
            let [notice, method, locale] =
                event.evidence.pieces().map(|piece| piece.map(str::to_owned));
            parameters![
                shards.key(shards.of(&event.reference)),
                chain(event.chain),
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
        Ok(self.add(EVENTS, &types, rows.collect(), progress).await?)
    }

    async fn add_rows(
        &mut self,
        rows: Vec<SealedRow>,
        progress: &Progress,
        permit: &Permit,
    ) -> Result<(), StoreError> {
        const DIALOGS: &str = "COPY dataapi.dialog
            (ref, shard, state, date, chain, position, is_imported, dialog_id, customer_id, language,
             text)
            FROM STDIN BINARY";
        let types = [
            Type::BYTEA,
            Type::INT4,
            Type::INT2,
            Type::INT8,
            Type::INT2,
            Type::INT8,
            Type::BOOL,
            Type::TEXT,
            Type::TEXT,
            Type::TEXT,
            Type::TEXT,
        ];
        let shards = self.made()?.shards.clone();
        let rows = rows.into_iter().map(|row| {
            let StoreRow { reference, held, last } = row.open(permit);
            let place = last.map(|last| (chain(last.chain), signed(last.position))).unzip();
            let state = last.map_or(state::PENDING, |last| state_after(last.kind));
            let since = held.as_ref().map(|held| held.received).or(last.map(|last| last.date));
            let is_imported = held.as_ref().is_some_and(|held| held.is_imported);
            let words = held.map(|HeldRow { dialog, .. }| {
                [
                    dialog.dialog_id.as_str().to_owned(),
                    dialog.customer_id.as_str().to_owned(),
                    dialog.language.as_str().to_owned(),
                    dialog.text.as_str().to_owned(),
                ]
            });
            let [dialog_id, customer_id, language, text] =
                words.map_or_else(Default::default, |words| words.map(Some));
            parameters![
                reference.as_bytes().to_vec(),
                shards.key(shards.of(&reference)),
                state,
                since.map(dataapi_core::Date::as_micros),
                place.0,
                place.1,
                is_imported,
                dialog_id,
                customer_id,
                language,
                text,
            ]
        });
        Ok(self.add(DIALOGS, &types, rows.collect(), progress).await?)
    }

    async fn complete(&mut self, _: &StoreManifest, rest: &Rest) -> Result<(), StoreError> {
        let shards = self.made()?.shards.clone();
        let client = self.connection.client_mut()?;
        Ok(complete(client.transaction().await.map_err(PostgresError::from)?, &shards, rest)
            .await?)
    }

    async fn release(&mut self) -> Result<(), StoreError> {
        let client = self.connection.client()?;
        for statement in [
            // Without this, pages would read from the table what an index contains, until autovacuum runs.
            "VACUUM (ANALYZE) dataapi.dialog",
            "VACUUM (ANALYZE) dataapi.event",
            "DELETE FROM dataapi.copy",
        ] {
            client.batch_execute(statement).await.map_err(PostgresError::from)?;
        }
        Ok(())
    }
}

/// Returns the fingerprint of the source and the progress of the copy; `None` if there is no unfinished copy.
async fn progress(
    client: &tokio_postgres::Client,
) -> Result<Option<(Fingerprint, Progress)>, OpenError> {
    // Before version 3 of the schema the table was called `transfer`.
    let table = "SELECT tablename FROM pg_catalog.pg_tables
                  WHERE schemaname = 'dataapi' AND tablename IN ('copy', 'transfer')";
    let Some(table) = client.query_opt(table, &[]).await? else { return Ok(None) };
    let table: &str = table.try_get(0)?;
    let select =
        format!("SELECT fingerprint, positions, rows, digest, bookmark FROM dataapi.{table}");
    let Some(row) = client.query_opt(&select, &[]).await? else { return Ok(None) };
    let positions = get::<&str>(&row, 1)?.parse().map_err(|_| rows::damaged("copy"))?;
    let progress = Progress {
        positions,
        rows: rows::count(&row, 2)?,
        digest: Digest::from_bytes(rows::bytes32(&row, 3)?),
        bookmark: get(&row, 4)?,
    };
    Ok(Some((Fingerprint::from_bytes(rows::bytes32(&row, 0)?), progress)))
}

async fn note(transaction: &Transaction<'_>, progress: &Progress) -> Result<(), PostgresError> {
    let Progress { positions, rows, digest, bookmark } = progress;
    let note = "UPDATE dataapi.copy SET positions = $1, rows = $2, digest = $3, bookmark = $4";
    let values: [&(dyn ToSql + Sync); 4] =
        [&positions.to_string(), &signed(*rows), &digest.as_bytes().as_slice(), bookmark];
    transaction.execute(note, &values).await?;
    Ok(())
}

/// Replaces everything that follows the rows, and counts the rows.
async fn complete(
    transaction: Transaction<'_>,
    shards: &Shards,
    rest: &Rest,
) -> Result<(), PostgresError> {
    transaction
        .batch_execute(
            "DELETE FROM dataapi.early_grant;
             DELETE FROM dataapi.dialog WHERE state = 0;
             DELETE FROM dataapi.api_key;
             DELETE FROM dataapi.tally;
             INSERT INTO dataapi.tally
                 SELECT shard, state, CASE WHEN state = 2 THEN lower(language) ELSE '' END, count(*)
                   FROM dataapi.dialog GROUP BY 1, 2, 3;",
        )
        .await?;
    for EarlyGrantRow { reference, date, until, evidence } in &rest.early_grants {
        let (reference, shard) =
            (reference.as_bytes().as_slice(), shards.key(shards.of(reference)));
        let [notice, method, locale] = evidence.pieces();
        transaction
            .execute(
                "INSERT INTO dataapi.dialog (ref, shard, state, date) VALUES ($1, $2, 0, $3)",
                &[&reference, &shard, &date.as_micros()],
            )
            .await?;
        transaction
            .execute(
                "INSERT INTO dataapi.early_grant (ref, shard, date, until, notice, method, locale)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
                &[
                    &reference,
                    &shard,
                    &date.as_micros(),
                    &until.as_micros(),
                    &notice,
                    &method,
                    &locale,
                ],
            )
            .await?;
    }
    for key in &rest.keys {
        keys::insert(&transaction, key).await?;
    }
    Ok(transaction.commit().await?)
}

/// There are fewer chains than an `i16` can count.
fn chain(number: u16) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}
