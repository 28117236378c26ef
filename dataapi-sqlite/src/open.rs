//! How a store file is opened, and with which settings.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::erase::slack::MAX_PAGES;
use crate::error::OpenError;
use crate::schema::{check_identity, is_unfinished, migrate, read_as_newest, version};

/// How long a connection waits for a lock that another process holds.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The cache of a connection that reads. What is read again soon the operating system has as well, and a
/// larger cache crowds the processor's own: with 4 MiB a page from anywhere in a million dialogs takes
/// 1.07 times as long, a deep `OFFSET` 1.3 times.
const READ_CACHE_BYTES: usize = 256 << 10;

/// Filters, starts and bounds make some 30 statements; all stay prepared.
const STATEMENT_CACHE: usize = 64;

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
pub(crate) fn open_new(path: &Path, cache_bytes: usize) -> Result<Connection, OpenError> {
    make_private(path).map_err(OpenError::Create)?;
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, cache_bytes)?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "max_page_count", MAX_PAGES)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens a backup, to be read only.
pub(crate) fn open_backup(path: &Path) -> Result<Connection, OpenError> {
    if std::fs::metadata(path).is_err() {
        return Err(OpenError::Missing);
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, READ_CACHE_BYTES)?;
    check_identity(&connection)?;
    // An empty file.
    if version(&connection)? <= 0 {
        return Err(OpenError::NotAStore);
    }
    if is_unfinished(&connection)? {
        return Err(OpenError::Unfinished);
    }
    read_as_newest(&connection)?;
    connection.pragma_update(None, "query_only", "ON")?;
    Ok(connection)
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
