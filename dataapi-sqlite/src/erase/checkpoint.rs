//! Checkpoints: SQLite copies pages from the write-ahead log to the database file.

use rusqlite::Connection;

#[derive(Clone, Copy, Debug)]
pub(crate) enum CheckpointMode {
    /// Copies as many pages as it can without waiting for a reader or writer.
    Passive,
    /// Copies all pages, and lets the next commit restart the log.
    Restart,
    /// Copies all pages, and cuts the log to length zero.
    Truncate,
}

/// The result of a checkpoint.
#[derive(Debug)]
pub(crate) struct Folded {
    /// Whether another connection kept it from finishing.
    pub(crate) busy: bool,
    /// How many frames the log has.
    pub(crate) frames: u32,
    /// How many of them are in the database file now.
    pub(crate) done: u32,
}

pub(crate) fn checkpoint(
    connection: &Connection,
    mode: CheckpointMode,
) -> rusqlite::Result<Folded> {
    let sql = match mode {
        CheckpointMode::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        CheckpointMode::Restart => "PRAGMA wal_checkpoint(RESTART)",
        CheckpointMode::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    connection.prepare_cached(sql)?.query_row((), |row| {
        Ok(Folded { busy: row.get(0)?, frames: row.get(1)?, done: row.get(2)? })
    })
}
