//! The schema and its versions, the settings of a connection, and how a store file is opened.

use std::path::Path;
use std::time::{Duration, Instant};

use dataapi_core::RefKey;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use rusqlite_migration::{
    Error as MigrationError, HookError, M, MigrationDefinitionError, Migrations,
};

use crate::chains::Chains;
use crate::failure::is_disk_full;
use crate::{checksum, rows};

/// Marks a file as a store of ours in its header: "DlgS".
const APPLICATION_ID: i32 = 0x446c_6753;

/// How long a connection waits for a lock that another process holds.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The cache of a connection that reads. What is read again soon the operating system has as well, and a
/// larger cache crowds the processor's own: with 4 MiB a page from anywhere in a million dialogs takes
/// 1.07 times as long, a deep `OFFSET` 1.3 times.
const READ_CACHE_BYTES: usize = 256 << 10;

/// Filters, starts and bounds make some 30 statements; all stay prepared.
const STATEMENT_CACHE: usize = 64;

/// Each entry is one version, in order; a published one is never edited.
///
/// A migration must fail when it is run twice, as `CREATE` and `ALTER` do: of two processes that
/// open an old store at once, the slower then notices that it came second.
const VERSION_1: &str = "
    -- One row: the store's secret key, and what every transaction keeps up to date.
    CREATE TABLE store (
        only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
        ref_key   BLOB    NOT NULL CHECK (length(ref_key) = 32),
        ref_check INTEGER NOT NULL, -- of the key: with a damaged one tombstones would not be found
        last_date INTEGER NOT NULL,
        pending   INTEGER NOT NULL,
        withdrawn INTEGER NOT NULL,
        erased    INTEGER NOT NULL,
        revision  INTEGER NOT NULL, -- how often what can be read has changed
        -- Until every page was looked at, something may be left on it.
        scrubbing INTEGER NOT NULL CHECK (scrubbing IN (0, 1)),
        -- Whether bytes of what was erased may be in the write-ahead log.
        unscrubbed INTEGER NOT NULL CHECK (unscrubbed IN (0, 1)),
        early     INTEGER NOT NULL, -- how many rows early_grant has
        forgotten INTEGER NOT NULL  -- up to which event tombstones are gone
    ) STRICT;

    -- Dates are microseconds since 1970; `granted` is the position of the event of consent, NULL while
    -- it is pending.
    CREATE TABLE dialog (
        seq         INTEGER PRIMARY KEY,
        dialog_id   TEXT    NOT NULL,
        customer_id TEXT    NOT NULL,
        language    TEXT    NOT NULL COLLATE NOCASE,
        date        INTEGER NOT NULL,
        granted     INTEGER,
        checksum    INTEGER NOT NULL, -- of all that stands in the row
        text        TEXT    NOT NULL
    ) STRICT;

    CREATE UNIQUE INDEX dialog_by_id ON dialog (dialog_id);

    -- One for each combination of filters, so that a page is read straight off its index.
    CREATE INDEX consented ON dialog
        (date DESC, dialog_id DESC) WHERE granted IS NOT NULL;
    CREATE INDEX consented_by_language ON dialog
        (language, date DESC, dialog_id DESC) WHERE granted IS NOT NULL;
    CREATE INDEX consented_by_customer ON dialog
        (customer_id, date DESC, dialog_id DESC) WHERE granted IS NOT NULL;
    CREATE INDEX consented_by_customer_language ON dialog
        (customer_id, language, date DESC, dialog_id DESC) WHERE granted IS NOT NULL;

    CREATE INDEX pending_by_customer ON dialog
        (customer_id, date DESC, dialog_id DESC) WHERE granted IS NULL;
    CREATE INDEX pending_by_date ON dialog (date, dialog_id) WHERE granted IS NULL;

    -- How many consented dialogs match; '' stands for any customer or any language.
    CREATE TABLE consented_count (
        customer_id TEXT    NOT NULL,
        language    TEXT    NOT NULL COLLATE NOCASE,
        n           INTEGER NOT NULL,
        PRIMARY KEY (customer_id, language)
    ) STRICT, WITHOUT ROWID;

    -- The ledger, chained by `hash`; only ever added to.
    CREATE TABLE event (
        position INTEGER PRIMARY KEY,
        ref      BLOB    NOT NULL CHECK (length(ref) = 32),
        kind     INTEGER NOT NULL, -- 1 granted, 2 withdrawn, 3 erased, 4 expired
        date     INTEGER NOT NULL,
        notice   TEXT,
        method   TEXT,
        locale   TEXT,
        hash     BLOB    NOT NULL CHECK (length(hash) = 32),
        seq      INTEGER -- which row the dialog had; NULL if it never came
    ) STRICT;

    -- Each yes that came before its dialog.
    CREATE TABLE early_grant (
        ref    BLOB    PRIMARY KEY CHECK (length(ref) = 32),
        date   INTEGER NOT NULL,
        until  INTEGER NOT NULL,
        notice TEXT,
        method TEXT,
        locale TEXT
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX early_grant_by_end ON early_grant (until);

    -- Who may do what over a network; of a key itself its hash alone.
    CREATE TABLE api_key (
        name      TEXT    PRIMARY KEY,
        roles     INTEGER NOT NULL,
        languages TEXT, -- with commas between
        customers TEXT, -- how their ids begin
        hash      BLOB    NOT NULL CHECK (length(hash) = 32),
        created   INTEGER NOT NULL,
        expires   INTEGER,
        revoked   INTEGER,
        last_used INTEGER,
        checksum  INTEGER NOT NULL -- of all that stands in the row
    ) STRICT, WITHOUT ROWID;

    -- Of each dialog that is gone: the event that says so.
    CREATE TABLE tombstone (
        ref      BLOB    PRIMARY KEY,
        position INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

const VERSION_2: &str = "
    -- The chains of a store that this one was copied from; nothing is added to them any more. Their events lie
    -- one after the other in `event`, and those of the store's own chain behind them: what is called a
    -- position is counted over all chains, but for the one that an event's hash is of.
    CREATE TABLE past_chain (
        number    INTEGER PRIMARY KEY,
        last      INTEGER NOT NULL, -- the position of its last event
        forgotten INTEGER NOT NULL  -- up to which event tombstones are gone
    ) STRICT;

    -- How far a copy of another store came. With a row the file is no store yet.
    CREATE TABLE transfer (
        only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
        fingerprint BLOB, -- of that store; NULL before it is known
        positions   TEXT    NOT NULL,
        copied      INTEGER NOT NULL, -- how many rows
        digest      BLOB    NOT NULL,
        bookmark    BLOB    NOT NULL
    ) STRICT;
";

/// How many pages a store may have: 128 GiB. With more, the first byte of a page would no longer
/// tell what it is; see [`slack`](crate::slack).
pub(crate) const MAX_PAGES: u32 = 0x01ff_ffff;

fn migrations() -> Migrations<'static> {
    Migrations::new(vec![M::up_with_hook(VERSION_1, make), M::up(VERSION_2)])
}

/// Makes the one row of a new store.
fn make(transaction: &rusqlite::Transaction<'_>) -> Result<(), HookError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|_| HookError::Hook("the operating system gave no random bytes".into()))?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.execute(
        "INSERT INTO store VALUES (1, ?1, ?2, ?3, 0, 0, 0, 0, 1, 0, 0, 0)",
        (key, checksum::ref_key(&key), dataapi_core::Date::MIN.as_micros()),
    )?;
    Ok(())
}

/// Why a store file could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no file, and none was to be created.
    #[error("there is no store at this path; check the path, or create one by writing to it")]
    Missing,

    /// The file is something else, and was left alone.
    #[error("the file is not a DataAPI store; check the path")]
    NotAStore,

    /// A newer program has changed the schema. The store was left alone.
    #[error("the store was written by a newer version of DataAPI; use that version or a later one")]
    NewerSchema,

    /// It is not a store yet: a copy into it was begun.
    #[error(
        "a copy into this store was begun and has not ended; run it again, or remove the file and those \
         beside it"
    )]
    Unfinished,

    /// There is a file where a copy was to be made. It was left alone.
    #[error(
        "there is a file at that place already, or one beside it (-wal, -shm); a copy makes a new store: \
         choose another place"
    )]
    IsThere,

    /// Another process held the store for too long.
    #[error("another process holds the store; try again when it is done")]
    Busy,

    /// The file, its folder, or the file system cannot be written to. The store was left alone.
    #[error(
        "the store cannot be written to; check the rights of its file and its folder, and whether the \
         file system is mounted to be read only"
    )]
    ReadOnly,

    /// There is no space for the files beside the store.
    #[error("the disk is full; the store needs a little space beside it to be opened")]
    DiskFull,

    /// SQLite could not open or prepare it.
    #[error("SQLite cannot open the store")]
    Sqlite(#[source] rusqlite::Error),

    /// The schema could not be brought up to date. Nothing was changed.
    #[error("the schema of the store cannot be brought up to date")]
    Migration(#[source] MigrationError),

    /// The new file could not be made, or not be kept from other users; nothing was stored in it.
    #[error("the new store cannot be made; check that its folder is there and can be written to")]
    Create(#[source] std::io::Error),

    /// The store or the files beside it could not be opened.
    #[error(
        "the files of the store cannot be opened; check who may write to its folder, and how many files a \
         process may have open"
    )]
    Files(#[source] std::io::Error),

    /// A thread of the store could not be started.
    #[error("a thread of the store cannot be started")]
    Thread(#[source] std::io::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseLocked, NotADatabase, ReadOnly,
        };
        match error.sqlite_error_code() {
            _ if is_disk_full(&error) => Self::DiskFull,
            Some(NotADatabase) => Self::NotAStore,
            Some(ReadOnly) => Self::ReadOnly,
            Some(CannotOpen) => Self::Files(std::io::Error::other(error)),
            Some(DatabaseBusy | DatabaseLocked) => Self::Busy,
            _ => Self::Sqlite(error),
        }
    }
}

/// Opens the file for the writer, creates it if it is not there and `create` says so, and brings
/// its schema up to date.
pub(crate) fn open_for_writing(
    path: &Path,
    create: bool,
    cache_bytes: usize,
) -> Result<Connection, OpenError> {
    match std::fs::metadata(path).map(|file| file.len()) {
        Ok(1..) => {}
        Ok(0) | Err(_) if create => make_private(path).map_err(OpenError::Create)?,
        // An empty file may be what is left of a store: it is not to pass for one without dialogs.
        Ok(0) => return Err(OpenError::NotAStore),
        Err(_) => return Err(OpenError::Missing),
    }
    open_durable(path, cache_bytes, |connection| {
        if is_unfinished(connection)? { Err(OpenError::Unfinished) } else { Ok(()) }
    })
}

/// Opens a file into which a copy was begun, to go on with it.
pub(crate) fn open_unfinished(path: &Path, cache_bytes: usize) -> Result<Connection, OpenError> {
    open_durable(path, cache_bytes, |connection| {
        if is_unfinished(connection)? { Ok(()) } else { Err(OpenError::IsThere) }
    })
}

/// Opens the file unless something is against it; then it is left alone.
fn open_durable(
    path: &Path,
    cache_bytes: usize,
    check: impl FnOnce(&Connection) -> Result<(), OpenError>,
) -> Result<Connection, OpenError> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, cache_bytes)?;
    if let Err(refusal) = check_identity(&connection).and_then(|()| check(&connection)) {
        leave_no_empty_log(&connection, path)?;
        return Err(refusal);
    }
    switch_to_wal(&connection)?;
    // Acknowledged means on disk: a commit waits for its fsync.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "max_page_count", MAX_PAGES)?;
    // What is damaged must not spread. Readers, which spread nothing, need not look.
    connection.pragma_update(None, "cell_size_check", "ON")?;
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens an empty file that will be a store, to be filled at once. Until it is closed, what is in it
/// outlives neither a crash nor an error.
pub(crate) fn open_copy(path: &Path, cache_bytes: usize) -> Result<Connection, OpenError> {
    make_private(path).map_err(OpenError::Create)?;
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, cache_bytes)?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "max_page_count", MAX_PAGES)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// The indexes of the dialogs' table, as in a new store.
#[derive(Debug)]
pub(crate) struct DialogIndexes(Vec<(String, String)>);

impl DialogIndexes {
    /// Asks a store without a file for their names, and for the statements that make them.
    pub(crate) fn load() -> Result<Self, OpenError> {
        let mut model = Connection::open_in_memory()?;
        migrate(&mut model)?;
        let mut select = model.prepare(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'dialog'",
        )?;
        let indexes = select.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Self(indexes.collect::<rusqlite::Result<_>>()?))
    }

    /// Takes them away, to be made anew once the table is filled: each row would change a page at a random
    /// place of each.
    pub(crate) fn drop_all(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut drop =
            self.0.iter().map(|(name, _)| connection.execute_batch(&format!("DROP INDEX {name}")));
        drop.try_for_each(|dropped| dropped)
    }

    /// Makes those that are missing, each in a transaction of its own.
    pub(crate) fn make_missing(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut find = connection.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?1")?;
        for (name, sql) in &self.0 {
            if !find.exists([name])? {
                connection.execute_batch(sql)?;
            }
        }
        Ok(())
    }
}

/// Opens a backup, to be read only.
pub(crate) fn open_backup(path: &Path) -> Result<Connection, OpenError> {
    if std::fs::metadata(path).is_err() {
        return Err(OpenError::Missing);
    }
    let connection = open_for_reading(path)?;
    check_identity(&connection)?;
    match version(&connection)? {
        // An empty file.
        ..=0 => Err(OpenError::NotAStore),
        _ if is_unfinished(&connection)? => Err(OpenError::Unfinished),
        // What an older version made has no chains but its own, and all else that reading it needs.
        _ => Ok(connection),
    }
}

/// Whether a copy into it was begun and has not ended.
pub(crate) fn is_unfinished(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(version(connection)? >= 2 && connection.prepare("SELECT 1 FROM transfer")?.exists(())?)
}

fn version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Opens the file for a reader; the writer must have opened it before.
pub(crate) fn open_for_reading(path: &Path) -> Result<Connection, OpenError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, READ_CACHE_BYTES)?;
    connection.pragma_update(None, "query_only", "ON")?;
    Ok(connection)
}

/// Opens the file to keep it clean; the writer must have opened it before. What is committed here
/// need not outlive a loss of power.
pub(crate) fn open_for_upkeep(path: &Path) -> Result<Connection, OpenError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, 0)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    Ok(connection)
}

/// What a store is, for as long as it is there.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) key: RefKey,
    pub(crate) chains: Chains,
}

impl Identity {
    pub(crate) fn load(connection: &Connection) -> Result<Self, OpenError> {
        Ok(Self { key: ref_key(connection)?, chains: Chains::load(connection)? })
    }
}

/// The secret key of the store, made with it.
pub(crate) fn ref_key(connection: &Connection) -> Result<RefKey, OpenError> {
    let (key, check) = connection.query_row("SELECT ref_key, ref_check FROM store", (), |row| {
        Ok((row.get(0)?, row.get::<_, u32>(1)?))
    })?;
    if checksum::ref_key(&key) == check {
        Ok(RefKey::from_bytes(key))
    } else {
        Err(rows::damaged(0).into())
    }
}

fn connect(path: &Path, flags: OpenFlags, cache_bytes: usize) -> Result<Connection, OpenError> {
    // Each connection stays on one thread: SQLite need not lock it. With a folder before it no name
    // is one of those that mean something else to SQLite, as `file:x` and `:memory:` do.
    let path = Path::new(".").join(path);
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // SQLite makes do with reading where it cannot write.
    if flags.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) && connection.is_readonly("main")? {
        return Err(OpenError::ReadOnly);
    }
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // Else SQLite prepares a page's statement anew for each value that is bound to it: half of the
    // time of a page.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // The log is folded in by the scrubber alone, which looks at what is left in it.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Sorting may spill texts: never into a file that outlives an erasure.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // SQLite counts in KiB where the number is negative.
    let kibibytes = i64::try_from(cache_bytes / 1024).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -kibibytes)?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    Ok(connection)
}

/// Makes the file before SQLite does: personal data is for the owner of the process alone, from the
/// first moment on. SQLite gives its other files the same rights as the database.
///
/// It is closed before it has its name: closing it later would end the locks that another store of
/// this process holds on it (POSIX.1, `fcntl`).
fn make_private(path: &Path) -> std::io::Result<()> {
    if !path.exists() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let empty = tempfile::Builder::new()
            .prefix(".dataapi-")
            .tempfile_in(folder.unwrap_or(Path::new(".")))?
            .into_temp_path();
        match empty.persist_noclobber(path) {
            Err(refused) if refused.error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(refused.error);
            }
            // Another process may have come first.
            Ok(()) | Err(_) => {}
        }
    }
    // It may have been there, empty, with the rights of whoever made it.
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(())
}

/// A file is ours if it says so, or if there is nothing in it yet; what a newer program made of it is not
/// for this one to touch.
fn check_identity(connection: &Connection) -> Result<(), OpenError> {
    // One snapshot: another process may be making the store between two reads.
    let snapshot = connection.unchecked_transaction()?;
    let objects: i64 =
        snapshot.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    let is_empty = objects == 0 && version(&snapshot)? == 0;
    let id: i32 = snapshot.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if !is_empty && id != APPLICATION_ID {
        return Err(OpenError::NotAStore);
    }
    match migrations().pending_migrations(&snapshot).map_err(OpenError::Migration)? {
        ..0 => Err(OpenError::NewerSchema),
        _ => Ok(()),
    }
}

/// Has the empty log, that is made by looking at a file, taken away as the last connection closes.
pub(crate) fn leave_no_empty_log(connection: &Connection, path: &Path) -> rusqlite::Result<()> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    // One that is not empty is not to be folded in.
    if std::fs::metadata(log).is_ok_and(|log| log.len() == 0) {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    }
    Ok(())
}

/// SQLite does not wait for the lock that this takes when another process makes the store at the
/// same moment: it gives up at once, so that two that upgrade their locks cannot block each other.
fn switch_to_wal(connection: &Connection) -> Result<(), OpenError> {
    let started = Instant::now();
    loop {
        let switched = connection.pragma_update(None, "journal_mode", "WAL");
        match switched.map_err(OpenError::from) {
            Err(OpenError::Busy) if started.elapsed() < BUSY_TIMEOUT => {
                std::thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome,
        }
    }
}

fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    use MigrationDefinitionError::DatabaseTooFarAhead;
    let migrations = migrations();
    match migrations.to_latest(connection) {
        Ok(()) => Ok(()),
        Err(MigrationError::MigrationDefinition(DatabaseTooFarAhead)) => {
            Err(OpenError::NewerSchema)
        }
        // Another process that opened the store at the same time may have come first.
        Err(error) => match migrations.pending_migrations(connection) {
            Ok(0) => Ok(()),
            Ok(..0) => Err(OpenError::NewerSchema),
            _ => Err(OpenError::Migration(error)),
        },
    }
}
