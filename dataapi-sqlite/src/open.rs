//! Opens a store file, with the settings that each kind of use needs.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::erase::slack::MAX_PAGES;
use crate::error::OpenError;
use crate::new_store::without_path;
use crate::schema::{
    check_identity, is_unfinished, migrate, read_as_newest, refuse_triggers, version,
};

/// How long a connection waits for a lock that another process holds.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The cache of a connection that reads.
///
/// The operating system caches what is soon read again, and a larger cache here displaces the processor's own:
/// with 4 MiB, a page from anywhere in a million dialogs takes 1.07 times as long, a deep `OFFSET` 1.3 times.
const READ_CACHE_BYTES: usize = 256 << 10;

/// To which length a restart cuts the log, if a read has kept it from restarting for long. Mostly it is shorter (see
/// `MAX_LOG_FRAMES`), and keeps its length: to overwrite it is faster than to extend it.
const LOG_BYTES: i64 = 72 << 20;

/// How many statements stay prepared. The combinations of filters, starts and bounds make about 30.
const STATEMENT_CACHE: usize = 64;

/// Opens the file for the writer and brings its schema up to date. Creates the file if it does not exist and
/// `create` is set.
pub(crate) fn open_for_writing(
    path: &Path,
    create: bool,
    cache_bytes: usize,
) -> Result<Connection, OpenError> {
    match std::fs::metadata(path) {
        Ok(file) if !file.is_file() => return Err(OpenError::NotAFile),
        // An empty file might be what is left of a store: it must not look like a store without dialogs.
        Ok(file) if file.len() == 0 && !create => return Err(OpenError::NotAStore),
        Ok(_) => {}
        Err(_) if create => make_private(path).map_err(OpenError::Create)?,
        Err(_) => return Err(OpenError::Missing),
    }
    open_durable(path, cache_bytes, |connection| {
        if is_unfinished(connection)? { Err(OpenError::Unfinished) } else { Ok(()) }
    })
}

/// Opens a file with an unfinished copy, to continue the copy.
pub(crate) fn open_unfinished(path: &Path, cache_bytes: usize) -> Result<Connection, OpenError> {
    open_durable(path, cache_bytes, |connection| {
        if is_unfinished(connection)? { Ok(()) } else { Err(OpenError::IsThere) }
    })
}

/// Opens the file for writing. A file that is not a store, that a newer version wrote, or that `check` refuses is
/// left unchanged.
fn open_durable(
    path: &Path,
    cache_bytes: usize,
    check: impl FnOnce(&Connection) -> Result<(), OpenError>,
) -> Result<Connection, OpenError> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, cache_bytes)?;
    let refusal = check_identity(&connection)
        .and_then(|()| refuse_triggers(&connection))
        .and_then(|()| check(&connection));
    if let Err(refusal) = refusal {
        leave_no_empty_log(&connection, path)?;
        return Err(refusal);
    }
    switch_to_wal(&connection)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    // A commit waits for its fsync: what is acknowledged is on disk.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "max_page_count", MAX_PAGES)?;
    // Damage must not spread through writes. Readers spread nothing and need no check.
    connection.pragma_update(None, "cell_size_check", "ON")?;
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens an empty file that only its owner can read, to fill it as a new store. A crash or an error before it is closed can destroy what is in
/// it.
pub(crate) fn open_new(path: &Path, cache_bytes: usize) -> Result<Connection, OpenError> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, cache_bytes)?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "max_page_count", MAX_PAGES)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// A backup that is open read-only.
pub(crate) struct OpenBackup {
    // The order of the fields is the order of closing.
    connection: Connection,
    _log: EmptyLog,
}

impl OpenBackup {
    /// Opens the backup at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        if std::fs::metadata(path).is_err() {
            return Err(OpenError::Missing);
        }
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, READ_CACHE_BYTES)?;
        let path = path.canonicalize().map_err(OpenError::Files)?;
        let backup = Self { connection, _log: EmptyLog(path) };
        check_identity(&backup)?;
        // An empty file has version 0.
        if version(&backup)? <= 0 {
            return Err(OpenError::NotAStore);
        }
        if is_unfinished(&backup)? {
            return Err(OpenError::Unfinished);
        }
        read_as_newest(&backup)?;
        backup.pragma_update(None, "query_only", "ON")?;
        Ok(backup)
    }
}

impl Deref for OpenBackup {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

/// The log beside a file that was read. Dropping it removes the log if it is empty and nobody else has the file open.
/// A read-only connection creates one and cannot remove it, and it would be in the way of the next backup to that path.
struct EmptyLog(PathBuf);

impl Drop for EmptyLog {
    fn drop(&mut self) {
        // On a read-only file system there is nothing to remove.
        let _ = connect(&self.0, OpenFlags::SQLITE_OPEN_READ_WRITE, READ_CACHE_BYTES).and_then(
            |connection| {
                // SQLite looks at the log when it first reads.
                version(&connection)?;
                Ok(leave_no_empty_log(&connection, &self.0)?)
            },
        );
    }
}

/// Opens the file for a reader; the writer must have opened it before.
pub(crate) fn open_for_reading(path: &Path) -> Result<Connection, OpenError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, READ_CACHE_BYTES)?;
    connection.pragma_update(None, "query_only", "ON")?;
    Ok(connection)
}

/// Opens the file for upkeep; the writer must have opened it before.
pub(crate) fn open_for_upkeep(path: &Path) -> Result<Connection, OpenError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, 0)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    // These commits wait for the disk as well. Otherwise the next sync of the log might fail and lose them, and with
    // them, after a power loss, all commits that follow them in the log.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags, cache_bytes: usize) -> Result<Connection, OpenError> {
    refuse_all_but_files(path)?;
    // With a folder in front, no name is special to SQLite, as `file:x` and `:memory:` are.
    let path = Path::new(".").join(path);
    // Only one thread at a time uses a connection: SQLite need not lock it.
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // SQLite opens a file that it cannot write to as read-only, without an error.
    if flags.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) && connection.is_readonly("main")? {
        return Err(OpenError::ReadOnly);
    }
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // Otherwise SQLite prepares a page's statement again for each value bound to it, which takes half of the
    // time of a page.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Only the scrubber checkpoints the log, because it first inspects the pages in it.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Sorting might spill texts: they must not reach a file that outlives an erasure.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // SQLite takes a negative number as KiB.
    let kibibytes = i64::try_from(cache_bytes / 1024).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -kibibytes)?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    // The schema has none. One that somebody adds while the store is open could copy texts elsewhere.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    Ok(connection)
}

/// Refuses a path that leads to a folder, a device, a pipe or a socket, for the database or for a file that SQLite
/// keeps beside it. SQLite would open it, and reading a pipe can block for ever. Symbolic links are followed.
fn refuse_all_but_files(path: &Path) -> Result<(), OpenError> {
    let is_other = |path: &Path| std::fs::metadata(path).is_ok_and(|there| !there.is_file());
    if is_other(path) {
        return Err(OpenError::NotAFile);
    }
    // SQLite names them after the file that a link leads to.
    let Ok(database) = path.canonicalize() else { return Ok(()) };
    let is_one_other = SIDE_FILES.iter().any(|end| is_other(&with_end(&database, end)));
    if is_one_other { Err(OpenError::NotAFile) } else { Ok(()) }
}

/// What SQLite appends to the name of a database for the files that it keeps beside it.
pub(crate) const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// `path` with `end` after its name.
pub(crate) fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    PathBuf::from(path)
}

/// Creates the file before SQLite does, so that from the start only the owner of the process can read it. SQLite
/// gives its other files the same permissions as the database. A file that is there already keeps its permissions.
///
/// The file gets its name only after it is closed: closing it later would release the locks that another
/// store in this process holds on it (POSIX.1, `fcntl`).
fn make_private(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let empty = tempfile::Builder::new()
        .prefix(".dataapi-")
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(|error| without_path(&error))?
        .into_temp_path();
    match empty.persist_noclobber(path) {
        // If it exists, another process was faster.
        Err(refused) if refused.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(|refused| refused.error),
    }
}

/// Looking at a file creates an empty log: makes SQLite remove it when the last connection closes.
pub(crate) fn leave_no_empty_log(connection: &Connection, path: &Path) -> rusqlite::Result<()> {
    let log = with_end(path, "-wal");
    // A log that is not empty must not be checkpointed here.
    if std::fs::metadata(log).is_ok_and(|log| log.len() == 0) {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    }
    Ok(())
}

/// Switches to WAL mode, and tries again while another process creates the store at the same time.
///
/// SQLite itself does not wait for this lock: it gives up at once, so that two processes that upgrade their locks
/// cannot block each other.
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
