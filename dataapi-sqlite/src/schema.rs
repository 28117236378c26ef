//! The schema and its versions.

use std::collections::BTreeSet;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::OpenError;
use crate::rows::checksum;

/// Marks a file as a DataAPI store, in the header of the file: "DlgS".
const APPLICATION_ID: i32 = 0x446c_6753;

/// The statements that make each version from the one before, in order. A published one is never edited.
const VERSIONS: [&str; 5] = [VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5];

/// The newest version.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "there are few")]
const NEWEST: i32 = VERSIONS.len() as i32;

/// How many characters of a name in the schema are shown.
const NAME_WIDTH: usize = 64;

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

const VERSION_3: &str = "
    -- What is made of a whole store is a copy, and its chains are those that it was copied with.
    ALTER TABLE past_chain RENAME TO copied_chain;
    ALTER TABLE transfer RENAME TO copy;
";

const VERSION_4: &str = "
    -- When a scrub last left nothing of an erased dialog in the store's files.
    ALTER TABLE store ADD COLUMN last_scrub INTEGER;
";

const VERSION_5: &str = "
    -- Pending dialogs by customer, within each block of 512 rows: dialogs that arrive together share the pages of
    -- their block. An index by customer alone takes a page of its own for each new dialog.
    DROP INDEX IF EXISTS pending_by_customer; -- a copy that is not finished has no indexes
    CREATE INDEX pending_by_block ON dialog (seq >> 9, customer_id) WHERE granted IS NULL;
";

/// Brings the store to the newest version in one transaction: after an error or a crash, nothing was changed.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    if version(connection)? == NEWEST {
        return Ok(());
    }
    // If several processes open an old store at the same time, one migrates it, and the others find it migrated.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = version(&transaction)?;
    let done = usize::try_from(from).map_err(|_| OpenError::NotAStore)?;
    for statements in VERSIONS.get(done..).ok_or(OpenError::NewerSchema)? {
        transaction.execute_batch(statements).map_err(not_migrated)?;
    }
    if from == 0 {
        make(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", NEWEST).map_err(not_migrated)?;
    transaction.commit().map_err(not_migrated)
}

fn not_migrated(error: rusqlite::Error) -> OpenError {
    match error.into() {
        OpenError::Sqlite(error) => OpenError::Migration(error),
        known => known,
    }
}

/// Adds the one row of the table `store` to a new store.
fn make(transaction: &Transaction<'_>) -> Result<(), OpenError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(OpenError::Randomness)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.execute(
        "INSERT INTO store VALUES (1, ?1, ?2, ?3, 0, 0, 0, 0, 1, 0, 0, 0, NULL)",
        (key, checksum::ref_key(&key), dataapi_core::Date::MIN.as_micros()),
    )?;
    Ok(())
}

/// Refuses a file that is neither a DataAPI store nor empty, and a store that a newer version wrote.
pub(crate) fn check_identity(connection: &Connection) -> Result<(), OpenError> {
    // One snapshot for all reads: another process might be creating the store right now.
    let snapshot = connection.unchecked_transaction()?;
    let objects: i64 =
        snapshot.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    let is_empty = objects == 0 && version(&snapshot)? == 0;
    let id: i32 = snapshot.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if !is_empty && id != APPLICATION_ID {
        return Err(OpenError::NotAStore);
    }
    if version(&snapshot)? > NEWEST {
        return Err(OpenError::NewerSchema);
    }
    Ok(())
}

/// Refuses a store that has a trigger, before anything can fire it.
pub(crate) fn refuse_triggers(connection: &Connection) -> Result<(), OpenError> {
    let has_one =
        connection.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'trigger'")?.exists(())?;
    if has_one { Err(OpenError::Trigger) } else { Ok(()) }
}

/// Something in a schema: a table, an index, a view or a trigger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SchemaObject {
    /// `table`, `index`, `view` or `trigger`.
    pub(crate) kind: String,
    pub(crate) name: String,
    table: String,
    /// The statement that created it; none for what SQLite makes by itself.
    sql: Option<String>,
}

impl SchemaObject {
    /// The name, which anyone can have chosen: short, and without what controls a terminal.
    pub(crate) fn shown_name(&self) -> String {
        self.name.chars().take(NAME_WIDTH).flat_map(char::escape_debug).collect()
    }
}

/// How the schema of a store differs from that of its version.
#[derive(Debug, Default)]
pub(crate) struct SchemaDifference {
    /// What DataAPI did not make, or made otherwise.
    pub(crate) foreign: Vec<SchemaObject>,
    /// What DataAPI made and is not there, or not as it was made.
    pub(crate) missing: Vec<SchemaObject>,
}

/// Compares the schema of a store with that of a new store of the same version.
pub(crate) fn difference(connection: &Connection) -> rusqlite::Result<SchemaDifference> {
    let done = usize::try_from(version(connection)?).unwrap_or(0);
    let model = Connection::open_in_memory()?;
    for statements in VERSIONS.iter().take(done) {
        model.execute_batch(statements)?;
    }
    let (expected, found) = (objects(&model)?, objects(connection)?);
    Ok(SchemaDifference {
        foreign: found.difference(&expected).cloned().collect(),
        missing: expected.difference(&found).cloned().collect(),
    })
}

fn objects(connection: &Connection) -> rusqlite::Result<BTreeSet<SchemaObject>> {
    let mut select =
        connection.prepare("SELECT type, name, tbl_name, sql FROM main.sqlite_schema")?;
    let objects = select.query_map((), |row| {
        let (kind, name, table, sql) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(SchemaObject { kind, name, table, sql })
    })?;
    objects.collect()
}

/// Whether a copy into this file was begun and is not complete.
pub(crate) fn is_unfinished(connection: &Connection) -> rusqlite::Result<bool> {
    // One snapshot, so that the version fits the tables even while another process migrates the store.
    let snapshot = connection.unchecked_transaction()?;
    let how_far = match version(&snapshot)? {
        // Version 1 had no copies.
        ..=1 => return Ok(false),
        2 => "SELECT 1 FROM transfer",
        3.. => "SELECT 1 FROM copy",
    };
    snapshot.prepare(how_far)?.exists(())
}

/// Makes a file of an older version readable as if it had the newest schema, without changing it. For this it creates
/// temporary views, which last as long as the connection.
pub(crate) fn read_as_newest(connection: &Connection) -> rusqlite::Result<()> {
    match version(connection)? {
        // In version 1, a store had only its own chain.
        ..=1 => connection.execute_batch(
            "CREATE TEMP VIEW copied_chain AS
                 SELECT 0 AS number, 0 AS last, 0 AS forgotten WHERE FALSE",
        ),
        2 => connection.execute_batch("CREATE TEMP VIEW copied_chain AS SELECT * FROM past_chain"),
        3.. => Ok(()),
    }
}

pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// The indexes of the table `dialog`, as a new store has them.
#[derive(Debug)]
pub(crate) struct DialogIndexes(Vec<(String, String)>);

impl DialogIndexes {
    /// Reads their names, and the statements that create them, from a new store in memory.
    pub(crate) fn load() -> Result<Self, OpenError> {
        let mut model = Connection::open_in_memory()?;
        migrate(&mut model)?;
        let mut select = model.prepare(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'dialog'",
        )?;
        let indexes = select.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Self(indexes.collect::<rusqlite::Result<_>>()?))
    }

    /// Drops all of them, to create them again once the table is filled. Otherwise each new row would change a page in
    /// a random place of each index.
    pub(crate) fn drop_all(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut drop =
            self.0.iter().map(|(name, _)| connection.execute_batch(&format!("DROP INDEX {name}")));
        drop.try_for_each(|dropped| dropped)
    }

    /// Creates those that are missing, each in its own transaction.
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
