//! The SQL of each version of the schema.

/// One entry for each version, in order. Never edit a published version.
pub(crate) const VERSIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3];

const VERSION_1: &str = r#"
    -- One row: the store's secret key.
    CREATE TABLE dataapi.store (
        only_row smallint PRIMARY KEY CHECK (only_row = 1),
        ref_key  bytea    NOT NULL CHECK (length(ref_key) = 32)
    );

    -- The end of each shard's chain. Whatever changes a dialog that is there, or was, locks the row of its
    -- shard first.
    CREATE TABLE dataapi.chain (
        shard    integer  PRIMARY KEY,
        number   smallint NOT NULL,
        position bigint   NOT NULL,
        hash     bytea    NOT NULL CHECK (length(hash) = 32),
        date     bigint   NOT NULL
    ) WITH (fillfactor = 50);

    -- The end of each chain of a store that this one was copied from: nothing is added to those.
    CREATE TABLE dataapi.past_chain (
        number   smallint PRIMARY KEY,
        position bigint   NOT NULL,
        hash     bytea    NOT NULL CHECK (length(hash) = 32)
    );

    -- PostgreSQL empties it after a crash, and on a standby that takes over.
    CREATE UNLOGGED TABLE dataapi.life (
        only_row smallint PRIMARY KEY CHECK (only_row = 1),
        id       bigint   NOT NULL
    );

    -- A row for each id that was ever used, by its keyed hash: gone ones stay as tombstones, without a
    -- word, an id or a customer. Dates are microseconds since 1970; of a tombstone it is that of its end.
    CREATE TABLE dataapi.dialog (
        ref         bytea    NOT NULL CHECK (length(ref) = 32),
        date        bigint   NOT NULL,
        position    bigint,  -- of its last event; NULL while it is pending
        shard       integer  NOT NULL,
        state       smallint NOT NULL, -- 0 awaited, 1 pending, 2 consented, 3 withdrawn, 4 erased, 5 expired
        chain       smallint, -- in which its last event is
        is_imported boolean  NOT NULL DEFAULT false, -- then the date is another store's
        dialog_id   text COLLATE "C",
        customer_id text COLLATE "C",
        language    text COLLATE "C",
        text        text COLLATE "C",
        PRIMARY KEY (ref, shard),
        CHECK ((state IN (1, 2)) = (text IS NOT NULL AND dialog_id IS NOT NULL
               AND customer_id IS NOT NULL AND language IS NOT NULL)),
        CHECK (state IN (1, 2) OR (text IS NULL AND dialog_id IS NULL
               AND customer_id IS NULL AND language IS NULL))
    );

    -- What is analysed is copied into the statistics, where no erasure looks for it.
    ALTER TABLE dataapi.dialog
        ALTER COLUMN dialog_id SET STATISTICS 0,
        ALTER COLUMN customer_id SET STATISTICS 0,
        ALTER COLUMN text SET STATISTICS 0;

    -- One for each combination of filters, so that a page is read straight off its index.
    CREATE INDEX consented ON dataapi.dialog (date DESC, dialog_id DESC) WHERE state = 2;
    CREATE INDEX consented_by_language ON dataapi.dialog
        (lower(language), date DESC, dialog_id DESC) WHERE state = 2;
    CREATE INDEX consented_by_customer_language ON dataapi.dialog
        (customer_id, lower(language), date DESC, dialog_id DESC) WHERE state = 2;
    -- What is held on a customer; few of it is pending.
    CREATE INDEX held_by_customer ON dataapi.dialog
        (customer_id, date DESC, dialog_id DESC) INCLUDE (state) WHERE state IN (1, 2);
    CREATE INDEX pending_by_date ON dataapi.dialog (date, dialog_id) WHERE state = 1;
    CREATE INDEX gone_by_date ON dataapi.dialog (date, position) WHERE state > 2;

    -- The ledger, each chain linked by `hash`; only ever added to.
    CREATE TABLE dataapi.event (
        shard    integer  NOT NULL,
        chain    smallint NOT NULL,
        position bigint   NOT NULL,
        ref      bytea    NOT NULL CHECK (length(ref) = 32),
        kind     smallint NOT NULL, -- 1 granted, 2 withdrawn, 3 erased, 4 expired
        date     bigint   NOT NULL,
        notice   text COLLATE "C",
        method   text COLLATE "C",
        locale   text COLLATE "C",
        hash     bytea    NOT NULL CHECK (length(hash) = 32),
        PRIMARY KEY (shard, chain, position)
    );

    -- Each yes that came before its dialog, which has a row of state 0 until then.
    CREATE TABLE dataapi.early_grant (
        ref    bytea   NOT NULL CHECK (length(ref) = 32),
        shard  integer NOT NULL,
        date   bigint  NOT NULL,
        until  bigint  NOT NULL,
        notice text COLLATE "C",
        method text COLLATE "C",
        locale text COLLATE "C",
        PRIMARY KEY (ref, shard)
    );
    CREATE INDEX early_grant_by_end ON dataapi.early_grant (until);

    -- How many dialogs are in each state, consented ones by language. Each transaction adds rows and
    -- changes none, so that no two wait for each other; now and then they are added up.
    CREATE TABLE dataapi.tally (
        shard    integer  NOT NULL,
        state    smallint NOT NULL,
        language text COLLATE "C" NOT NULL, -- in lower case; '' but for consented ones
        n        bigint   NOT NULL
    );

    -- Who may do what over a network; of a key itself its hash alone.
    CREATE TABLE dataapi.api_key (
        name      text COLLATE "C" PRIMARY KEY,
        roles     smallint NOT NULL,
        languages text[],
        customers text, -- how their ids begin
        hash      bytea    NOT NULL CHECK (length(hash) = 32),
        created   bigint   NOT NULL,
        expires   bigint,
        revoked   bigint,
        last_used bigint
    );
"#;

const VERSION_2: &str = "
    -- How far the store has come as a copy of another one: one row, for as long as it is none yet.
    CREATE TABLE dataapi.transfer (
        only_row    smallint PRIMARY KEY CHECK (only_row = 1),
        fingerprint bytea    NOT NULL CHECK (length(fingerprint) = 32),
        positions   text     NOT NULL,
        rows        bigint   NOT NULL,
        digest      bytea    NOT NULL CHECK (length(digest) = 32),
        bookmark    bytea    NOT NULL
    );
";

const VERSION_3: &str = "
    -- Named after what they are for: `dataapi copy`.
    ALTER TABLE dataapi.past_chain RENAME TO copied_chain;
    ALTER TABLE dataapi.transfer RENAME TO copy;
";
