//! The command line and its help. Only the shape of the arguments is checked here.
//!
//! Ids and languages stay plain strings: `clap` repeats a value that it refuses, and an error must never show
//! an id.
// The doc comments are the help text, which would show backticks.
#![allow(clippy::doc_markdown)]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::filter_args::FilterArgs;
use crate::formats::FileFormat;

/// The highest limit on a text: a whole line is held in memory.
const MOST_TEXT_BYTES: u64 = 16 * 1024 * 1024;

const EXIT_CODES: &str = "\
Exit codes:
  0    success; also if the reader of the output closed it early
  1    the store, a file, a pipe or a server failed
  2    the command line is wrong
  3    finished, but some lines or dialogs were refused
  4    not done: there is no such dialog, it cannot be read, its state does not allow the request,
       or you declined the question; or a check failed: damage, or data that should be erased
  130  interrupted by Ctrl-C; what was committed until then stays";

/// A consent-gated store for chatbot dialogs.
///
/// A chatbot stores each dialog while it runs. Nobody can read the text until the customer consents; a
/// withdrawal erases it. These commands fill, read and maintain a store, also while a server or a chatbot
/// uses it.
#[derive(Debug, Parser)]
#[command(name = "dataapi", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Store to use: sqlite:PATH, postgres://USER@HOST/DATABASE, or memory: for a temporary one
    #[arg(
        long,
        global = true,
        env = "DATAAPI_STORE",
        hide_env_values = true,
        default_value = "sqlite:./dialogs.db",
        value_name = "URL"
    )]
    pub(crate) store: String,

    /// File with the URL of the store, in place of --store: for a URL with a password
    #[arg(long, global = true, env = "DATAAPI_STORE_FILE", value_name = "FILE")]
    pub(crate) store_file: Option<PathBuf>,

    /// Print only results, refused lines and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Import(ImportArgs),
    Export(ExportArgs),
    Sync(SyncArgs),
    Query(QueryArgs),
    Get(GetArgs),
    #[command(subcommand)]
    Consent(ConsentArgs),
    #[command(subcommand)]
    Erase(EraseArgs),
    #[command(subcommand)]
    Subject(SubjectArgs),
    Purge(PurgeArgs),
    Stats(StatsArgs),
    VerifyErasure(VerifyErasureArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    /// Check a store's file for damage: its pages, its schema, its counts and its ledger
    ///
    /// Reads the whole file, about ten seconds per million dialogs, and changes nothing. While it runs, erased
    /// bytes stay in the files of a store in use, so check a backup instead where you can. Warns of files that
    /// other users of the machine may use.
    Check,
    Doctor(DoctorArgs),
    #[command(subcommand)]
    Key(KeyArgs),
    #[command(subcommand)]
    Audit(AuditArgs),
    Migrate(MigrateArgs),
    Copy(CopyArgs),
    Generate(GenerateArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Create a store, or update the schema of an existing one
///
/// A server does this when it starts, if its PostgreSQL role may create tables. If it may not, run this
/// command as a role that may. In a database with the extension Citus, the tables are spread over the nodes
/// of the cluster.
#[derive(Args, Debug)]
pub(crate) struct MigrateArgs {
    /// Number of shards of a new store in PostgreSQL; it cannot be changed later
    ///
    /// No more nodes than this can share the store.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) shards: u16,
}

/// Copy a whole store into a new one, for example from a file to PostgreSQL or back
///
/// Copies dialogs in every state with their dates, tombstones, the ledger as it was written, held decisions
/// and keys; then compares the copy with the old store. The new store keeps the secret key, so a ledger head
/// that you noted earlier stays valid, and programs that follow the changes can continue. The command refuses
/// a target that already holds a store, or anything else but an unfinished copy.
///
/// Stop all servers of the old store first. Until the copy is complete, nobody can write to the old store and
/// nobody can open the new one. If the copy is interrupted, run the command again: it continues, unless the old
/// store was written to since. The old store is left unchanged. Delete it afterwards: no later erasure reaches
/// it.
#[derive(Args, Debug)]
pub(crate) struct CopyArgs {
    /// The store to copy [default: the one of --store]
    #[arg(long, value_name = "URL", env = "DATAAPI_COPY_FROM", hide_env_values = true)]
    pub(crate) from: Option<String>,

    /// File with the URL of the store to copy, in place of --from
    #[arg(long, value_name = "FILE", env = "DATAAPI_COPY_FROM_FILE")]
    pub(crate) from_file: Option<PathBuf>,

    /// The store to create; this or --to-file is needed
    #[arg(
        long,
        value_name = "URL",
        env = "DATAAPI_COPY_TO",
        hide_env_values = true,
        required_unless_present = "to_file"
    )]
    pub(crate) to: Option<String>,

    /// File with the URL of the store to create, in place of --to
    #[arg(long, value_name = "FILE", env = "DATAAPI_COPY_TO_FILE")]
    pub(crate) to_file: Option<PathBuf>,

    /// Number of shards of a new store in PostgreSQL; it cannot be changed later
    ///
    /// No more nodes than this can share the store.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) shards: u16,
}

/// Import dialogs from a file or a pipe
///
/// Reads JSON Lines, or CSV with a header. Required fields: dialog_id (also _id or dialogId), customer_id
/// (also customerId), text and language. Optional fields: consent_received (true or false; default false)
/// and date (RFC 3339; default now). A field that is null, or empty in CSV, counts as missing. Other fields
/// are ignored, and blank lines are skipped.
///
/// Each line is stored or refused on its own; refused lines are listed with their numbers and the reasons.
/// Dialogs already in the store are recognised, so you can run an interrupted import again. An import never
/// brings back a withdrawn or erased dialog, and never changes the consent of a stored one: use 'dataapi
/// consent' for that.
///
/// If there is no store, it is created.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// The file to read, or - for standard input
    pub(crate) file: PathBuf,

    /// Format of the file [default: csv for a file named *.csv, else jsonl]
    #[arg(long, value_enum)]
    pub(crate) format: Option<FileFormat>,

    /// Read CSV that 'export --excel' wrote: remove the apostrophes that it added
    #[arg(long)]
    pub(crate) excel: bool,

    /// Longest text to accept, in bytes of UTF-8
    #[arg(
        long,
        env = "DATAAPI_MAX_TEXT_BYTES",
        default_value_t = dataapi::Text::DEFAULT_MAX_BYTES as u64,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=MOST_TEXT_BYTES)
    )]
    pub(crate) max_text_bytes: u64,
}

/// Export consented dialogs, newest first
///
/// A file appears under its name only when it is complete, and only its owner can read it. CSV holds every
/// text unchanged: a spreadsheet might read a text that begins with = as a formula. With --excel it cannot.
///
/// Each dialog has a ref, its name in the ledger. JSON Lines end with a manifest: the filter, the ledger head
/// of the export, and the number and SHA-256 of the lines before it. A later withdrawal does not reach the
/// file, so update it regularly with 'dataapi sync', or delete it.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// The file to write, or - for standard output
    #[arg(long, short, default_value = "-", value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// Format of the output [default: csv for a file named *.csv, else jsonl]
    #[arg(long, value_enum)]
    pub(crate) format: Option<FileFormat>,

    /// Write CSV for spreadsheets: with a byte order mark and CRLF, and with an apostrophe before what a
    /// spreadsheet could take for a formula
    ///
    /// That is =, +, - and @ (also full-width), and an apostrophe, at the beginning of a cell, of a line in it
    /// or after a semicolon or a tab in it; and a tab or a line break at the beginning of a cell. 'import
    /// --excel' removes the apostrophes again.
    #[arg(long)]
    pub(crate) excel: bool,

    /// Leave out refs and manifest, so that two stores with the same dialogs give the same bytes
    #[arg(long)]
    pub(crate) plain: bool,

    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// Update an export to the current state of its store
///
/// Reads what has happened since the export, removes dialogs that were withdrawn or erased, and adds newly
/// consented ones that match the export's filter. The result is the same as a new export. A file that was
/// edited, or that belongs to another store, is refused. The old file is replaced, not overwritten: its bytes
/// can stay on the disk until the file system reuses them.
///
/// If the server needs a key, set it in the environment variable DATAAPI_KEY, or put it into a file and name that
/// with --key-file.
#[derive(Args, Debug)]
pub(crate) struct SyncArgs {
    /// The export: JSON Lines with a manifest
    pub(crate) file: PathBuf,

    /// Server address, such as http://127.0.0.1:8080, or store, such as sqlite:PATH
    /// [default: the store of --store]
    #[arg(long, value_name = "URL")]
    pub(crate) from: Option<String>,

    /// File with the key for the server, in place of DATAAPI_KEY
    #[arg(long, value_name = "FILE", env = "DATAAPI_KEY_FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// Time limit for all requests to the server together, such as 10m
    ///
    /// What was updated until then stays, and the same command continues.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "1h", value_name = "TIME")]
    pub(crate) timeout: Duration,

    /// Ask a server on another machine without TLS. Anyone on the network path can then read the key and dialogs
    #[arg(long)]
    pub(crate) insecure_plaintext: bool,
}

/// Show consented dialogs, newest first
///
/// Prints a table for people: long texts are cut, line breaks become spaces, and characters that control a
/// terminal are escaped. With --json, prints one complete JSON object per line for programs.
#[derive(Args, Debug)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    /// Print JSON Lines
    #[arg(long)]
    pub(crate) json: bool,

    /// Largest number of dialogs to show, 1 to 1000
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) limit: u64,

    /// Show all pages
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,

    /// Continue where an earlier page ended, with the cursor that it printed
    #[arg(long, allow_hyphen_values = true, conflicts_with = "offset")]
    pub(crate) cursor: Option<String>,

    /// Skip this many of the newest dialogs
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) offset: u64,
}

/// Print one consented dialog as JSON
#[derive(Args, Debug)]
pub(crate) struct GetArgs {
    /// Id of the customer
    pub(crate) customer: String,
    /// Id of the dialog
    pub(crate) dialog: String,
}

/// Record or show a customer's decision, as JSON
#[derive(Debug, Subcommand)]
pub(crate) enum ConsentArgs {
    /// Record consent: the dialog can be read from now on
    Grant(DecideArgs),
    /// Record a withdrawal or refusal of consent: the dialog is erased and cannot come back
    Withdraw(DecideArgs),
    /// Show a dialog's consent state, and since when
    Show {
        /// Id of the dialog
        dialog: String,
    },
}

#[derive(Args, Debug)]
pub(crate) struct DecideArgs {
    /// Id of the dialog
    pub(crate) dialog: String,
    /// Notice that the customer was shown, such as its version
    #[arg(long)]
    pub(crate) notice: Option<String>,
    /// How the customer answered, such as "button in chat"
    #[arg(long)]
    pub(crate) method: Option<String>,
    /// Language in which the customer was asked
    #[arg(long)]
    pub(crate) locale: Option<String>,
}

/// Erase one dialog, or all data of a customer, consented or not
///
/// Erased data cannot come back. In a terminal, asks before it erases.
#[derive(Debug, Subcommand)]
pub(crate) enum EraseArgs {
    /// Erase one dialog
    Dialog {
        /// Id of the customer
        customer: String,
        /// Id of the dialog
        dialog: String,
        /// Erase without asking
        #[arg(long, short)]
        yes: bool,
    },
    /// Erase everything stored about one customer
    Customer(EraseCustomerArgs),
}

#[derive(Args, Debug)]
pub(crate) struct EraseCustomerArgs {
    /// Id of the customer
    pub(crate) customer: String,
    /// Only count the dialogs that would be erased
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Erase without asking
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Answer a customer's request for access to, or erasure of, their data
#[derive(Debug, Subcommand)]
pub(crate) enum SubjectArgs {
    /// Export everything stored about one customer, consented or not, as one JSON document
    ///
    /// Give it to the customer and to nobody else (GDPR articles 15 and 20). Its members: customer_id;
    /// exported, the time of the export; dialogs, newest first. Each dialog has dialog_id, text, language,
    /// date, consent (pending or granted) and, if granted, a receipt: date, notice, method, locale, and the
    /// position, ref and hash of its event in the ledger. Erased dialogs are not included: the store no longer
    /// knows whose they were.
    Export {
        /// Id of the customer
        customer: String,
        /// The file to write, or - for standard output
        #[arg(long, short, default_value = "-", value_name = "FILE")]
        output: PathBuf,
    },
    /// Erase everything stored about one customer (GDPR article 17); the same as 'erase customer'
    Erase(EraseCustomerArgs),
}

/// Erase dialogs that are older than your retention periods
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("age").required(true).multiple(true))]
pub(crate) struct PurgeArgs {
    /// Erase pending dialogs that were received more than AGE ago, such as 30d or 12h
    #[arg(long, value_parser = humantime::parse_duration, value_name = "AGE", group = "age")]
    pub(crate) pending_after: Option<Duration>,

    /// Erase consented dialogs that were received more than AGE ago, such as 365d
    #[arg(long, value_parser = humantime::parse_duration, value_name = "AGE", group = "age")]
    pub(crate) consented_after: Option<Duration>,

    /// Forget tombstones more than AGE old, such as 3650d
    ///
    /// A later import or retry can then store such a dialog again, as pending.
    #[arg(long, value_parser = humantime::parse_duration, value_name = "AGE", group = "age")]
    pub(crate) tombstones_after: Option<Duration>,

    /// Only count what would be erased or forgotten
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Count the dialogs in each state, and the consented ones by language
#[derive(Args, Debug)]
pub(crate) struct StatsArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Back up the whole store to a new file, while it is in use
///
/// The backup is a snapshot and a store of its own, which --store can open. It also holds pending dialogs, and
/// no later erasure reaches it: protect it like the store, and delete it as soon as you can. Note the ledger
/// head, which is printed last. Keep a current copy of the ledger in another place ('dataapi audit export'):
/// a restore needs it to know what was withdrawn or erased after the backup.
#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// The file to create; it must not exist
    pub(crate) file: PathBuf,
}

/// Restore lost dialogs from a backup, without those withdrawn or erased since
///
/// If the store exists, its own ledger says what must not come back, and everything in it stays; a server can
/// use it meanwhile. If there is no store, it is created, and you give the ledger of the lost store with
/// --ledger. Without a ledger, nobody knows what was withdrawn or erased after the backup, and the restore is
/// refused unless you accept that such dialogs come back.
#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    /// The backup to read
    pub(crate) file: PathBuf,

    /// The complete ledger of the lost store, as 'audit export' wrote it
    #[arg(long, value_name = "FILE", conflicts_with = "accept_resurrection")]
    pub(crate) ledger: Option<PathBuf>,

    /// Restore without a ledger: dialogs withdrawn or erased after the backup come back
    #[arg(long)]
    pub(crate) accept_resurrection: bool,
}

/// Print the facts for a bug report, without personal data
///
/// Prints versions, the backend and its schema, the suffixes and sizes of the store's files, the number of
/// dialogs in each state, the number of events in the ledger, the time of the last scrub, and the settings, and
/// warns of files that other users of the machine may use. It prints no text, no id and no key; passwords and possible secrets are [redacted]. Read the report before you
/// send it: it names the store's path or host.
///
/// If the store cannot be opened, the report says why, and the exit code is that of the error. Like any command,
/// it updates the schema of an older store when it opens it.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Create, list and revoke the keys for a server
///
/// A store without keys is open to anyone who can reach its server, so the server then listens on loopback
/// only. Once there is a key, every request for data needs one. Roles: ingest stores dialogs; consent records
/// and reads decisions; read queries dialogs, follows changes and reads the stats; subject reads and erases a
/// customer's data and single dialogs; admin does all of that and reads the metrics.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyArgs {
    /// Create a key and print it, this once; servers accept it within a second
    Create(CreateKeyArgs),
    /// List all keys by name, without the keys themselves
    List {
        /// Print JSON Lines
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key permanently; servers refuse it within a second
    Revoke {
        /// Name of the key
        name: String,
    },
}

#[derive(Args, Debug)]
pub(crate) struct CreateKeyArgs {
    /// Name of the key, also used in logs: 1 to 64 letters, digits, '.', '_' and '-'
    #[arg(long)]
    pub(crate) name: String,

    /// Roles of the key, separated by commas: ingest, consent, read, subject, metrics, admin
    #[arg(long, value_name = "ROLES")]
    pub(crate) role: String,

    /// Bind the key to dialogs in this language; can be given several times
    #[arg(long, value_name = "LANGUAGE")]
    pub(crate) only_language: Vec<String>,

    /// Bind the key to customers whose ids begin with PREFIX
    #[arg(long, value_name = "PREFIX")]
    pub(crate) only_customers: Option<String>,

    /// Time until the key expires, such as 90d [default: never]
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) expires: Option<Duration>,
}

/// Search every file of the store for the bytes of erased data
///
/// Reads the files without the database engine: the database, the write-ahead log, the shared memory, and all
/// other files beside them whose names begin with the store's. Prints how many bytes of each file were read,
/// and where a marker was found, by its number and never by its text. Changes nothing.
///
/// A marker is a dialog id, a customer id, or a short piece of a text. SQLite stores a long text in pieces of
/// about 4,000 bytes, and a marker that crosses from one piece to the next is not found, so give several. Erased
/// bytes are gone after the erasure delay, one second by default.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct VerifyErasureArgs {
    /// Markers to search for
    #[arg(group = "what")]
    pub(crate) marker: Vec<String>,

    /// File with one marker per line, or - for standard input
    #[arg(long, value_name = "FILE", group = "what")]
    pub(crate) list: Option<PathBuf>,
}

/// Verify or export the ledger of decisions and erasures
///
/// The ledger holds one event for each grant, withdrawal, erasure and expiry. The hash of each event also covers
/// the event before it, so the events form a chain. The ledger names dialogs by a keyed hash; it holds no text
/// and no ids.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditArgs {
    /// Verify the whole ledger, and report the first event that was changed, removed or added
    Verify {
        /// Ledger head that 'audit head' printed earlier: also detects a ledger that was cut off or rewritten
        #[arg(long, value_name = "HASH@POSITIONS")]
        head: Option<String>,
    },
    /// Print the ledger head: hash and position of the last event, to note in another place
    Head,
    /// Export all events as JSON Lines
    ///
    /// The documentation of the library describes how events are hashed.
    Export {
        /// The file to write, or - for standard output
        #[arg(long, short, default_value = "-", value_name = "FILE")]
        output: PathBuf,
    },
}

/// Fill a store with generated dialogs
///
/// The same seed and number of users give the same dialogs on every machine; a larger number of dialogs adds
/// more. They are dated now. If there is no store, it is created.
#[derive(Args, Debug)]
pub(crate) struct GenerateArgs {
    /// Number of customers
    #[arg(long, short, default_value_t = 100, value_name = "N")]
    pub(crate) users: u64,

    /// Number of dialogs in total
    #[arg(long, short, default_value_t = 1000, value_name = "N")]
    pub(crate) dialogs: u64,

    /// Number of dialogs, counted from the first, that are stored as consented [default: half]
    #[arg(long, short, value_name = "N")]
    pub(crate) consented: Option<u64>,

    /// Seed of the random generator
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
}

/// Print a completion script for a shell
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// Shell that will load the script
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Print a manual page; view it with: dataapi man | man -l -
#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Command to describe, such as: import, or: consent grant [default: the whole program]
    pub(crate) command: Vec<String>,
}
