//! The store of DataAPI on PostgreSQL. Several servers can share one database. If Citus is installed in that database,
//! the tables are distributed over its nodes.
//!
//! Writes go through a few lanes ([`write`]). A lane is a task with its own connection that commits all waiting
//! requests as one transaction. Reads go through a pool of connections ([`Readers`]). Processes keep nothing in memory
//! that other processes need to know.
//!
//! **Shards.** A store has a fixed number of shards. The reference of a dialog decides its shard. The dialog, its
//! tombstone and its events are all in that shard, and each shard has its own chain in the ledger. With Citus each
//! shard is on one node. Without it all shards are in the same tables.
//!
//! With Citus a commit over several shards, such as an import or the erasure of a customer, is not
//! [seen whole](dataapi_core::DialogStore) while it runs: others see it shard by shard. The call returns when all nodes
//! have committed.
//!
//! **Durability.** A call that returned `Ok` was committed with `synchronous_commit` set to `on`, or to a setting of
//! the operator that also waits for standbys. A server with `fsync` or `full_page_writes` off is refused. If the
//! connection is lost during a commit, the store asks the server for the outcome. If the server cannot say, the call
//! returns [`StoreError::Unavailable`], never a wrong answer.
//!
//! **Dates** are as accurate as the clocks of the servers. They never go backwards within one process, for one dialog,
//! or along one chain.
//!
//! **Erasure.** The commit that erases a dialog also removes its text, id and customer from the row. A vacuum then
//! removes the old version of the row, and what indexes and TOAST hold of it, within [`Options::erase_within`] or on
//! [`scrub`](Upkeep::scrub). This is less than the trait promises for files. PostgreSQL does not overwrite the space
//! that it frees, so bytes can be left in unused space of pages, in inner pages of indexes, in the write-ahead log
//! (WAL) and on standbys. `VACUUM FULL dataapi.dialog` rewrites the table and its indexes without them. The operator
//! has to take care of the rest: see `docs/postgres.md`.

#![deny(missing_docs)]
#![allow(rustdoc::private_intra_doc_links)]

mod connect;
mod copy;
mod dates;
mod erase;
mod error;
mod keys;
mod passwords;
mod pipeline;
mod pool;
mod read;
mod rows;
mod schema;
mod shards;
mod upkeep;
mod write;

use std::fmt;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use async_trait::async_trait;
use dataapi_core::{
    Activity, Change, Clock, ConsentStatus, CustomerId, Date, Decision, Dialog, DialogId,
    DialogRef, Dialogs, EarlyDecision, Event, Evidence, HeldDialog, ImportedDialog, Key, KeyName,
    Keys, Ledger, LedgerHead, Limit, NewDialog, NewKey, Page, PageRequest, Positions, Purge, Reach,
    Receipt, Received, Revision, Stats, StoreError, StoreInfo, SubjectRequest, SystemClock, Upkeep,
};

use crate::connect::Address;
use crate::dates::Dates;
use crate::erase::{Erasures, due, held_on, oldest_first};
use crate::error::PostgresError;
use crate::pipeline::patiently;
use crate::pool::Lent;
use crate::read::{Readers, Replicas, SqlQuery, counts, dialogs, last_date, ledger, pages};
use crate::schema::{Identity, NewStore};
use crate::upkeep::UpkeepTask;
use crate::write::{Customers, Rows, StoreContext, Unit, Writer};

pub use crate::copy::{CopySource, CopyTarget};
pub use crate::error::OpenError;

/// How many dialogs a purge takes in one transaction. A larger number would make other writers wait too long.
const PURGED_AT_ONCE: u32 = 1_000;

/// Options for opening a store.
#[derive(Clone)]
pub struct Options {
    /// The clock that dates come from.
    pub clock: Arc<dyn Clock>,
    /// Whether to create the store if there is none.
    pub create: bool,
    /// How many shards, and so how many chains in its ledger, a new store has: 1 to 1024. The number cannot be changed
    /// later. Decisions on dialogs of different shards do not wait for each other. With Citus this is also the largest
    /// number of nodes that can share the dialogs.
    pub shards: u16,
    /// The largest number of connections for reading. 0 counts as 1.
    pub readers: usize,
    /// How many lanes, each with its own connection, write. 0 counts as 1. With fewer lanes, more requests share a
    /// transaction: on 2 cores, 2 lanes insert 1.35 times as much as 4. If Citus distributes the tables, this is
    /// ignored and there is one lane for each shard.
    pub lanes: usize,
    /// How many writes can wait before more are refused as overloaded. The lanes share these places equally. Imports,
    /// erasures of a customer and purges do not need one.
    pub queue: usize,
    /// URLs of standbys that can serve pages. A page comes from a standby only if that standby shows exactly the
    /// decisions and erasures that the primary shows, just before or just after. With Citus there can be none.
    pub read_replicas: Vec<String>,
    /// How soon after an erasure a vacuum removes the row. If the vacuum fails, it is tried again.
    pub erase_within: Duration,
}

/// Shows only the number of standbys, because their URLs contain passwords.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("create", &self.create)
            .field("shards", &self.shards)
            .field("readers", &self.readers)
            .field("lanes", &self.lanes)
            .field("queue", &self.queue)
            .field("read_replicas", &self.read_replicas.len())
            .field("erase_within", &self.erase_within)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    /// The clock of the operating system; a missing store is created, with 32 shards; up to 8 connections for reading;
    /// as many lanes as this machine has cores, but at least 2 and at most 8; 4096 places in the queue; a vacuum within
    /// a second of an erasure.
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            create: true,
            shards: 32,
            readers: 8,
            lanes: available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8)),
            queue: 4096,
            read_replicas: Vec::new(),
            erase_within: Duration::from_secs(1),
        }
    }
}

/// A [`DialogStore`](dataapi_core::DialogStore) in PostgreSQL.
///
/// Its tasks run on the tokio runtime on which it was opened. After it is dropped, they still commit the requests that
/// they have accepted.
///
/// ```no_run
/// use dataapi_core::{Dialogs, NewDialog};
/// use dataapi_postgres::{Options, PostgresStore};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let store = PostgresStore::open("postgres://dataapi@localhost/dialogs", Options::default()).await?;
/// store.insert(NewDialog::parse("anna", "d-1", "en", "Where is my parcel?")?).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PostgresStore {
    readers: Readers,
    replicas: Replicas,
    writer: Writer,
    upkeep: UpkeepTask,
    shared: Arc<StoreContext>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("shards", &self.shared.shards).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens the store that `url` names and updates its schema. Creates the store if there is none and the options
    /// allow it. Servers that start at the same time do this one after the other.
    ///
    /// The URL is `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE`. If it names several hosts, the one that
    /// accepts writes is used. The store is in the schema `dataapi` of that database, whose encoding must be UTF-8. A
    /// host on another machine must prove its identity by TLS. Its certificate is checked against the operating
    /// system's root certificates, or against those in the file that `?sslrootcert=` names. `?sslmode=disable` turns
    /// TLS off, for networks that are protected in another way.
    ///
    /// A password that is not in the URL comes from the variable `PGPASSWORD`, or from the password file that
    /// `?passfile=`, or else the variable `PGPASSFILE`, names, or else from `~/.pgpass`. As with libpq, a password file
    /// is ignored if others than its owner may use it.
    ///
    /// # Errors
    /// See [`OpenError`]. No error shows the URL, because it contains a password.
    ///
    /// # Panics
    /// If it is called outside a tokio runtime.
    pub async fn open(url: &str, options: Options) -> Result<Self, OpenError> {
        let Options { clock, create, shards, readers, lanes, queue, read_replicas, erase_within } =
            options;
        if !(1..=Positions::MAX_CHAINS).contains(&usize::from(shards)) {
            return Err(OpenError::Shards);
        }
        let (lanes, readers) = (lanes.max(1), readers.max(1));
        let address = Address::parse(url)?;
        // Each lane keeps one connection. The other four are for writes of many dialogs at once and for upkeep.
        let writing = pool::primary(&address, lanes + 4)?;
        let Identity { key, shards, is_spread } = {
            let mut connection = writing.get().await.map_err(PostgresError::from)?;
            schema::check_server(&connection).await?;
            let beginning = if create { Some(NewStore::empty(shards)?) } else { None };
            schema::prepare(&mut connection, beginning).await?
        };
        if is_spread && !read_replicas.is_empty() {
            return Err(OpenError::Standbys);
        }
        // With Citus a transaction in one shard stays on one node.
        let lanes = if is_spread { shards.keys().len() } else { lanes };
        writing.resize(lanes + 4);
        let reading = Readers::new(pool::primary(&address, readers)?);
        let replica =
            |url: &String| Ok(Readers::new(pool::replica(&Address::parse(url)?, readers)?));
        let replicas = read_replicas.iter().map(replica).collect::<Result<_, OpenError>>()?;
        let last = last_date(&reading).await?;
        let dates = Arc::new(Dates::new(clock, last));
        let erasures = Arc::new(Erasures::default());
        // A process that was killed might have left erased rows behind.
        erasures.note();
        let upkeep = UpkeepTask::start(
            writing.clone(),
            Arc::clone(&erasures),
            Arc::clone(&dates),
            erase_within,
        );
        let shared = Arc::new(StoreContext::new(writing, key, shards, is_spread, dates, erasures));
        let writer = Writer::start(Arc::clone(&shared), lanes, queue);
        let replicas = Replicas::new(replicas);
        Ok(Self { readers: reading, replicas, writer, upkeep, shared })
    }
}

#[async_trait]
impl Dialogs for PostgresStore {
    async fn insert(&self, dialog: NewDialog) -> Result<Received, StoreError> {
        self.writer.insert(dialog).await
    }

    async fn import(
        &self,
        batch: Vec<ImportedDialog>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let references: Vec<_> =
            batch.iter().map(|imported| self.reference(&imported.dialog.dialog_id)).collect();
        let customers = batch.iter().map(|imported| imported.dialog.customer_id.clone()).collect();
        let import = move |unit: &mut Unit<'_>| {
            let answer = |imported| match unit.import(imported) {
                Ok(()) => Ok(Ok(())),
                Err(PostgresError::Refused(refusal)) => Ok(Err(refusal)),
                Err(failure) => Err(failure),
            };
            batch.iter().map(answer).collect()
        };
        let rows = Rows {
            references: references.clone(),
            with_texts: references,
            customers: Customers::Stores(customers),
        };
        self.writer.write_many(rows, import).await
    }

    async fn decide(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
    ) -> Result<Receipt, StoreError> {
        let reference = self.reference(&dialog_id);
        let decide = move |unit: &mut Unit<'_>| unit.decide(&dialog_id, decision, &evidence);
        self.writer.write(reference, decide).await
    }

    async fn decide_early(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
        hold_for: Duration,
    ) -> Result<EarlyDecision, StoreError> {
        let reference = self.reference(&dialog_id);
        let decide =
            move |unit: &mut Unit<'_>| unit.decide_early(&dialog_id, decision, &evidence, hold_for);
        self.writer.write(reference, decide).await
    }

    async fn consent(&self, dialog_id: &DialogId) -> Result<ConsentStatus, StoreError> {
        let StoreContext { key, shards, .. } = &*self.shared;
        Ok(dialogs::consent(&self.readers, key, shards, dialog_id).await?)
    }

    async fn dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
        reach: &Reach,
    ) -> Result<Dialog, StoreError> {
        let StoreContext { key, shards, .. } = &*self.shared;
        let ids = (customer_id, dialog_id);
        Ok(dialogs::dialog(&self.readers, key, shards, ids, reach).await?)
    }

    async fn is_within(&self, reach: &Reach, dialog_id: &DialogId) -> Result<bool, StoreError> {
        let StoreContext { key, shards, .. } = &*self.shared;
        Ok(dialogs::is_within(&self.readers, key, shards, reach, dialog_id).await?)
    }

    async fn query(&self, request: &PageRequest) -> Result<Page<Dialog>, StoreError> {
        match self.replicas.page(&self.readers, request).await? {
            Some(page) => Ok(page),
            None => Ok(pages::page(&self.readers, request).await?),
        }
    }

    async fn subject_data(&self, request: &SubjectRequest) -> Result<Page<HeldDialog>, StoreError> {
        Ok(pages::subject_page(&self.readers, request).await?)
    }

    async fn erase_dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
    ) -> Result<(), StoreError> {
        let reference = self.reference(dialog_id);
        let (customer_id, dialog_id) = (customer_id.clone(), dialog_id.clone());
        let erase = move |unit: &mut Unit<'_>| unit.erase_dialog(&customer_id, &dialog_id);
        self.writer.write(reference, erase).await
    }

    async fn erase_customer(&self, customer_id: &CustomerId) -> Result<u64, StoreError> {
        if self.references(&held_on(customer_id)).await?.is_empty() {
            return Ok(0);
        }
        let customers = Customers::Erases(customer_id.clone());
        let customer_id = customer_id.clone();
        let erase = move |unit: &mut Unit<'_>| unit.erase_customer(&customer_id);
        self.writer.write_many(Rows { customers, ..Rows::default() }, erase).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        Ok(counts::stats(&self.readers).await?)
    }
}

#[async_trait]
impl Ledger for PostgresStore {
    async fn events(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Event>, StoreError> {
        Ok(ledger::events(&self.readers, &self.shared.shards, after, limit, reach).await?)
    }

    async fn changes(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Change>, StoreError> {
        Ok(ledger::changes(&self.readers, &self.shared.shards, after, limit, reach).await?)
    }

    async fn ledger_head(&self) -> Result<LedgerHead, StoreError> {
        Ok(ledger::head(&self.readers).await?)
    }
}

#[async_trait]
impl Keys for PostgresStore {
    async fn create_key(&self, key: NewKey) -> Result<Date, StoreError> {
        let now = self.shared.dates.now();
        let created = patiently(keys::add(self.lend().await?, key, now)).await?;
        self.shared.dates.hand_out(created);
        Ok(created)
    }

    async fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(keys::all(&self.readers).await?)
    }

    async fn revoke_key(&self, name: &KeyName) -> Result<bool, StoreError> {
        let now = self.shared.dates.now();
        let found = patiently(keys::revoke(self.lend().await?, name, now)).await?;
        if found {
            self.shared.dates.hand_out(now);
        }
        Ok(found)
    }

    async fn note_key_use(&self, used: Vec<(KeyName, Date)>) -> Result<(), StoreError> {
        Ok(patiently(keys::note_use(self.lend().await?, &used)).await?)
    }
}

#[async_trait]
impl Upkeep for PostgresStore {
    async fn purge(&self, which: Purge, before: Date, at_most: u32) -> Result<u64, StoreError> {
        let mut purged = 0;
        loop {
            let mut query = due("ref", which, before);
            let wanted = at_most.saturating_sub(u32::try_from(purged).unwrap_or(u32::MAX));
            oldest_first(&mut query, which, wanted.min(PURGED_AT_ONCE));
            let due = match self.references(&query).await {
                Ok(due) if due.is_empty() => return Ok(purged),
                Ok(due) => due,
                Err(error) if purged == 0 => return Err(error),
                Err(_) => return Ok(purged),
            };
            // Another purge might have taken some of these dialogs first. They are not counted, and there might be
            // more.
            match self.each(due, move |unit, reference| unit.purge(which, before, reference)).await
            {
                Ok(taken) => purged += taken,
                Err(error) if purged == 0 => return Err(error),
                Err(_) => return Ok(purged),
            }
        }
    }

    async fn purgeable(&self, which: Purge, before: Date) -> Result<u64, StoreError> {
        let query = due("count(*)", which, before);
        Ok(counts::count(&self.readers, &query).await?)
    }

    fn reference(&self, dialog_id: &DialogId) -> DialogRef {
        self.shared.key.reference(dialog_id)
    }

    async fn info(&self) -> Result<StoreInfo, StoreError> {
        Ok(counts::info(&self.readers).await?)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        counts::stats(&self.readers).await?;
        // Reads still work after the primary has become a standby, so this takes a lock as well.
        let lent = self.lend().await?;
        let locked = "SELECT 1 FROM dataapi.store FOR UPDATE";
        patiently(async { Ok(lent.client()?.query(locked, &[]).await?) }).await?;
        lent.give_back();
        Ok(())
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        self.upkeep.scrub().await
    }

    /// Always `None`. Finding out whether another process has written would cost as much as a page.
    fn revision(&self) -> Option<Revision> {
        None
    }

    fn activity(&self) -> Activity {
        Activity { unscrubbed: self.shared.erasures.age(), ..self.writer.activity() }
    }
}

impl PostgresStore {
    async fn lend(&self) -> Result<Lent, PostgresError> {
        Lent::from(&self.shared.pool).await
    }

    async fn references(&self, query: &SqlQuery) -> Result<Vec<DialogRef>, StoreError> {
        let rows = self.readers.rows(query).await?;
        let references = rows.iter().map(|row| rows::reference(row, 0));
        Ok(references.collect::<Result<_, _>>()?)
    }

    /// Applies `work` to each dialog in one commit and returns for how many it returned true.
    async fn each(
        &self,
        references: Vec<DialogRef>,
        mut work: impl FnMut(&mut Unit<'_>, &DialogRef) -> Result<bool, PostgresError> + Send + 'static,
    ) -> Result<u64, StoreError> {
        if references.is_empty() {
            return Ok(0);
        }
        let all = references.clone();
        let each = move |unit: &mut Unit<'_>| {
            let mut done = 0;
            for reference in &all {
                done += u64::from(work(unit, reference)?);
            }
            Ok(done)
        };
        self.writer.write_many(Rows { references, ..Rows::default() }, each).await
    }
}
