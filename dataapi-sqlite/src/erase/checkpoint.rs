//! Checkpoints, by which SQLite folds the write-ahead log into the database.

use rusqlite::Connection;

#[derive(Clone, Copy, Debug)]
pub(crate) enum CheckpointMode {
    /// As far as it goes without waiting for anyone.
    Passive,
    /// All of it, after which the log begins anew.
    Restart,
    /// All of it, after which the log is empty.
    Truncate,
}

/// What a checkpoint has done.
#[derive(Debug)]
pub(crate) struct Folded {
    pub(crate) busy: bool,
    /// How many frames the log has.
    pub(crate) frames: u32,
    /// How many of them are in the database.
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
