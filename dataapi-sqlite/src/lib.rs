//! The embedded store of DataAPI: one SQLite file, for one machine.
//!
//! Any number of threads can share a [`SqliteStore`], and several processes can open the same file.
//! One thread does all writes of a store and commits every waiting request in one transaction ([`mod@write`]).
//! Reads use a pool of connections ([`read`]) and never wait for a write.
//!
//! **Durability.** SQLite runs in WAL mode with `synchronous=FULL`: when a call has returned `Ok`, its data is
//! on disk. After a crash or a power loss, the next open finds every acknowledged change and no partial one.
//!
//! **Erasure.** Every byte of a withdrawn or erased dialog leaves every file of the store within
//! [`Options::erase_within`], or at once on [`scrub`](Upkeep::scrub). Only a read in another process can
//! delay this further. How it works is described in [`erase`]. After a crash, the next open does what is left
//! to do before it serves, or in the background if another process is using the store.
//!
//! **Copies.** A [`CopySource`] reads a whole store, a [`CopyTarget`] makes a new one.
//! [`copy_store`](dataapi_core::copy::copy_store) copies between them, or between one of them and a store of
//! another backend.

#![deny(missing_docs)]
#![allow(rustdoc::private_intra_doc_links)]

mod backup;
mod build_options;
mod check;
mod copy;
mod erase;
mod error;
mod exposure;
mod new_store;
mod open;
mod read;
mod rows;
mod schema;
mod write;

#[cfg(not(unix))]
compile_error!("the embedded store needs the file locks of POSIX");

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dataapi_core::{
    Activity, Allowance, Change, Clock, ConsentStatus, CustomerId, Date, Decision, Dialog,
    DialogId, DialogRef, Dialogs, EarlyDecision, Event, Evidence, HeldDialog, ImportedDialog, Key,
    KeyName, Keys, Ledger, LedgerHead, Limit, NewDialog, NewKey, Page, PageRequest, Positions,
    Purge, Reach, Receipt, Received, Revision, Stats, StoreError, StoreInfo, SubjectRequest,
    SystemClock, Upkeep,
};
use rusqlite::Connection;

pub use crate::backup::{Backup, BackupError, OnStep, Restored, Since, restore};
pub use crate::check::{Damage, check};
pub use crate::copy::{CopySource, CopyTarget};
use crate::erase::erasures::Erasures;
use crate::erase::scrub::{ScrubOutcome, Scrubber};
use crate::erase::upkeep::UpkeepThread;
pub use crate::error::OpenError;
use crate::error::SqliteError;
pub use crate::exposure::{Exposure, exposure};
use crate::read::readers::{Cost, Readers};
use crate::read::revisions::Revisions;
use crate::read::{changes, counts, dialogs, pages, subject};
use crate::rows::identity::Identity;
use crate::rows::{keys, ledger};
use crate::schema::SchemaObject;
use crate::write::commits::Commits;
use crate::write::transaction::Transaction;
use crate::write::writer::Writer;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The clock that dates are taken from.
    pub clock: Arc<dyn Clock>,
    /// Whether to create the store if it does not exist.
    pub create: bool,
    /// How many short reads, and how many long reads, can run at the same time; 0 counts as 1. Short reads run
    /// on the caller's thread, long reads on this many threads of the store.
    pub readers: usize,
    /// How many writes, and how many reads, can wait before further ones are refused as overloaded.
    pub queue: usize,
    /// About how many bytes of the file the writer's connection keeps in memory. Each connection that reads
    /// keeps 256 KiB.
    pub cache_bytes: usize,
    /// The erasure delay: how long after an erasure its bytes can remain in a file of the store. With zero, the
    /// store scrubs its files right after each erasure.
    pub erase_within: Duration,
}

impl Default for Options {
    /// The operating system's clock, create a missing store, one reader per processor, 4096 places in
    /// each queue, 16 MiB of cache, and an erasure delay of one second.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            clock: Arc::new(SystemClock),
            create: true,
            readers: processors,
            queue: 4096,
            cache_bytes: 16 << 20,
            erase_within: Duration::from_secs(1),
        }
    }
}

/// A [`DialogStore`](dataapi_core::DialogStore) in a SQLite file.
///
/// Dropping it commits every request that was accepted, scrubs the files if needed, and closes them.
///
/// ```
/// use dataapi_core::{Dialogs, NewDialog};
/// use dataapi_sqlite::{Options, SqliteStore};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("dialogs.db");
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let store = SqliteStore::open(&path, Options::default())?;
/// store.insert(NewDialog::parse("anna", "d-1", "en", "Where is my parcel?")?).await?;
/// drop(store);
///
/// let again = SqliteStore::open(&path, Options { create: false, ..Options::default() })?;
/// assert_eq!(again.stats().await?.pending, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// Fields are dropped in this order: what scrubs the files must come after the readers and the writer.
#[derive(Debug)]
pub struct SqliteStore {
    readers: Readers,
    revisions: Revisions,
    writer: Writer,
    upkeep: UpkeepThread,
    erasures: Arc<Erasures>,
    identity: Identity,
    path: PathBuf,
}

impl SqliteStore {
    /// Opens the store at `path` and brings its schema up to date. Creates the store if it does not exist and
    /// the options say so. Blocks while it reads the disk.
    ///
    /// Only its owner can read and write a new file. A file that is there keeps its permissions; if others may use
    /// it, or if its schema has something that DataAPI did not make, the log warns.
    ///
    /// # Errors
    /// See [`OpenError`]. What is no regular file, a file that is not a store, one that a newer version wrote, and
    /// one that has triggers is left unchanged.
    pub fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        let Options { clock, create, readers, queue, cache_bytes, erase_within } = options;
        let connection = open::open_for_writing(path, create, cache_bytes)?;
        build_options::log_once(&connection);
        let identity = Identity::load(&connection)?;
        // SQLite follows links, and names the other files of the store after the file that they lead to.
        let path = &path.canonicalize().map_err(OpenError::Files)?;
        new_store::keep_names(path).map_err(OpenError::Files)?;
        warn_of_strangers(path, &connection)?;
        let erasures = Arc::new(Erasures::default());
        let mut scrubber = Scrubber::open(path, Arc::clone(&clock))?;
        scrubber.keep_log()?;
        if !matches!(scrubber.finish(&erasures), Ok(ScrubOutcome::Clean)) {
            // Another process is using the store: the upkeep thread tries again.
            erasures.note();
        }
        let wal = scrubber.wal().another(path).map_err(OpenError::Files)?;
        let at_once = readers.max(1);
        let readers = Readers::start(path, at_once, queue)?;
        let in_the_way = readers.in_the_way();
        let commits = Arc::new(Commits::default());
        let upkeep = UpkeepThread::start(
            scrubber,
            Arc::clone(&erasures),
            in_the_way,
            Arc::clone(&commits),
            erase_within,
        )?;
        let (noted, own) = (Arc::clone(&erasures), identity.clone());
        let writer = Writer::start(connection, wal, own, clock, noted, commits, queue)?;
        let revisions = Revisions::open(path, at_once)?;
        let path = path.clone();
        Ok(Self { readers, revisions, writer, upkeep, erasures, identity, path })
    }
}

/// Reads whose size nobody knows before.
impl SqliteStore {
    async fn page(
        &self,
        request: &PageRequest,
        allowance: Option<Arc<dyn Allowance>>,
    ) -> Result<Page<Dialog>, StoreError> {
        let cost = pages::page_cost(request);
        let request = request.clone();
        let read = move |connection: &_, budget: &_| pages::page(connection, &request, budget);
        self.readers.read_within(cost, allowance, read).await
    }

    async fn subject_page(
        &self,
        request: &SubjectRequest,
        allowance: Option<Arc<dyn Allowance>>,
    ) -> Result<Page<HeldDialog>, StoreError> {
        let request = request.clone();
        let read =
            move |connection: &_, budget: &_| subject::subject_page(connection, &request, budget);
        self.readers.read_within(Cost::Long, allowance, read).await
    }

    async fn changes_after(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
        allowance: Option<Arc<dyn Allowance>>,
    ) -> Result<Vec<Change>, StoreError> {
        let (chains, after, reach) = (self.identity.chains.clone(), after.clone(), reach.clone());
        let read = move |connection: &_, budget: &_| {
            changes::changes(connection, &chains, &after, limit, &reach, budget)
        };
        self.readers.read_within(Cost::Short, allowance, read).await
    }
}

/// Warns of files that other users may read, and of what somebody else has put into the schema.
fn warn_of_strangers(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    for exposed in exposure(path)? {
        tracing::warn!("{exposed}");
    }
    for SchemaObject { kind, .. } in schema::difference(connection)?.foreign {
        tracing::warn!(
            "the store's schema has a {kind} that DataAPI did not make; it could hold copies of texts that no erasure \
             reaches; 'dataapi check' names it"
        );
    }
    Ok(())
}

/// The version of the SQLite library that is built in.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// Lists the files of the store at `path` that exist: the database, and all regular files in its folder whose name
/// begins with the database's name and a hyphen.
///
/// # Errors
/// [`OpenError::Missing`] if there is no file at `path`, [`OpenError::NotAFile`] if it is no regular one, and [`OpenError::Files`] if its folder cannot be read.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let database = path.canonicalize().map_err(|_| OpenError::Missing)?;
    if !database.is_file() {
        return Err(OpenError::NotAFile);
    }
    let mut prefix = database.file_name().unwrap_or_default().to_owned();
    prefix.push("-");
    let folder = database.parent().unwrap_or(Path::new("/")).to_owned();
    let mut files = vec![database];
    for entry in folder.read_dir().map_err(OpenError::Files)? {
        let path = entry.map_err(OpenError::Files)?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if name.starts_with(prefix.as_encoded_bytes()) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[async_trait]
impl Dialogs for SqliteStore {
    async fn insert(&self, dialog: NewDialog) -> Result<Received, StoreError> {
        self.writer.write(move |transaction| transaction.insert(&dialog)).await
    }

    async fn import(
        &self,
        batch: Vec<ImportedDialog>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let import = move |transaction: &mut Transaction<'_>| {
            let answer = |imported| match transaction.import(imported) {
                Ok(()) => Ok(Ok(())),
                Err(SqliteError::Refused(refusal)) => Ok(Err(refusal)),
                Err(error) => Err(error),
            };
            batch.iter().map(answer).collect()
        };
        self.writer.write(import).await
    }

    async fn decide(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
    ) -> Result<Receipt, StoreError> {
        let decide = move |transaction: &mut Transaction<'_>| {
            transaction.decide(&dialog_id, decision, &evidence)
        };
        self.writer.write(decide).await
    }

    async fn decide_early(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        evidence: Evidence,
        hold_for: Duration,
    ) -> Result<EarlyDecision, StoreError> {
        let decide = move |transaction: &mut Transaction<'_>| {
            transaction.decide_early(&dialog_id, decision, &evidence, hold_for)
        };
        self.writer.write(decide).await
    }

    async fn consent(&self, dialog_id: &DialogId) -> Result<ConsentStatus, StoreError> {
        let (identity, dialog_id) = (self.identity.clone(), dialog_id.clone());
        let find = move |connection: &_| dialogs::consent(connection, &identity, &dialog_id);
        self.readers.read(Cost::Short, find).await
    }

    async fn dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
        reach: &Reach,
    ) -> Result<Dialog, StoreError> {
        let (customer_id, dialog_id) = (customer_id.clone(), dialog_id.clone());
        let reach = reach.clone();
        let find =
            move |connection: &_| dialogs::dialog(connection, &customer_id, &dialog_id, &reach);
        self.readers.read(Cost::Short, find).await
    }

    async fn is_within(&self, reach: &Reach, dialog_id: &DialogId) -> Result<bool, StoreError> {
        let (reach, dialog_id) = (reach.clone(), dialog_id.clone());
        let look = move |connection: &_| dialogs::is_within(connection, &reach, &dialog_id);
        self.readers.read(Cost::Short, look).await
    }

    async fn query(&self, request: &PageRequest) -> Result<Page<Dialog>, StoreError> {
        self.page(request, None).await
    }

    async fn query_within(
        &self,
        request: &PageRequest,
        allowance: Arc<dyn Allowance>,
    ) -> Result<Page<Dialog>, StoreError> {
        self.page(request, Some(allowance)).await
    }

    async fn subject_data(&self, request: &SubjectRequest) -> Result<Page<HeldDialog>, StoreError> {
        self.subject_page(request, None).await
    }

    async fn subject_data_within(
        &self,
        request: &SubjectRequest,
        allowance: Arc<dyn Allowance>,
    ) -> Result<Page<HeldDialog>, StoreError> {
        self.subject_page(request, Some(allowance)).await
    }

    async fn erase_dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
    ) -> Result<(), StoreError> {
        let (customer_id, dialog_id) = (customer_id.clone(), dialog_id.clone());
        let erase = move |transaction: &mut Transaction<'_>| {
            transaction.erase_dialog(&customer_id, &dialog_id)
        };
        self.writer.write(erase).await
    }

    async fn erase_customer(&self, customer_id: &CustomerId) -> Result<u64, StoreError> {
        let customer_id = customer_id.clone();
        self.writer.write(move |transaction| transaction.erase_customer(&customer_id)).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.readers.read(Cost::Short, counts::stats).await
    }
}

#[async_trait]
impl Ledger for SqliteStore {
    async fn events(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Event>, StoreError> {
        let (chains, after, reach) = (self.identity.chains.clone(), after.clone(), reach.clone());
        let read =
            move |connection: &_| changes::events(connection, &chains, &after, limit, &reach);
        self.readers.read(Cost::Short, read).await
    }

    async fn changes(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Change>, StoreError> {
        self.changes_after(after, limit, reach, None).await
    }

    async fn changes_within(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
        allowance: Arc<dyn Allowance>,
    ) -> Result<Vec<Change>, StoreError> {
        self.changes_after(after, limit, reach, Some(allowance)).await
    }

    async fn ledger_head(&self) -> Result<LedgerHead, StoreError> {
        let chains = self.identity.chains.clone();
        let read = move |connection: &_| Ok(ledger::whole_head(connection, &chains)?);
        self.readers.read(Cost::Short, read).await
    }
}

#[async_trait]
impl Keys for SqliteStore {
    async fn create_key(&self, key: NewKey) -> Result<Date, StoreError> {
        self.writer.write(move |transaction| transaction.create_key(&key)).await
    }

    async fn keys(&self) -> Result<Vec<Key>, StoreError> {
        self.readers.read(Cost::Short, |connection| Ok(keys::all(connection)?)).await
    }

    async fn revoke_key(&self, name: &KeyName) -> Result<bool, StoreError> {
        let name = name.clone();
        self.writer.write(move |transaction| transaction.revoke_key(&name)).await
    }

    async fn note_key_use(&self, used: Vec<(KeyName, Date)>) -> Result<(), StoreError> {
        self.writer.write(move |transaction| transaction.note_key_use(&used)).await
    }
}

#[async_trait]
impl Upkeep for SqliteStore {
    async fn purge(&self, which: Purge, before: Date, at_most: u32) -> Result<u64, StoreError> {
        self.writer.write(move |transaction| transaction.purge(which, before, at_most)).await
    }

    async fn purgeable(&self, which: Purge, before: Date) -> Result<u64, StoreError> {
        let chains = self.identity.chains.clone();
        let count = move |connection: &_| counts::purgeable(connection, &chains, which, before);
        self.readers.read(Cost::Long, count).await
    }

    fn reference(&self, dialog_id: &DialogId) -> DialogRef {
        self.identity.key.reference(dialog_id)
    }

    async fn info(&self) -> Result<StoreInfo, StoreError> {
        self.readers.read(Cost::Short, counts::info).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.readers.read(Cost::Long, counts::stats).await?;
        self.writer.write(|_| Ok(())).await
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        self.upkeep.scrub().await
    }

    fn revision(&self) -> Option<Revision> {
        self.revisions.current()
    }

    fn activity(&self) -> Activity {
        Activity { unscrubbed: self.erasures.age(), ..self.writer.activity() }
    }
}
