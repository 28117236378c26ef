//! The command line as it is typed, and the help for it; nothing is checked here but its shape.
//!
//! Ids and languages stay plain strings: `clap` repeats a value that it refuses, and an id must
//! not show up in an error.
// The comments are the help, where backticks would be seen.
#![allow(clippy::doc_markdown)]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::filter_args::FilterArgs;
use crate::formats::FileFormat;

/// A whole line is held in memory.
const MOST_TEXT_BYTES: u64 = 16 * 1024 * 1024;

const EXIT_CODES: &str = "\
Exit codes:
  0    done; also when whoever read the output closed it early
  1    the store, a file or a pipe failed
  2    the command line is wrong
  3    done, but some lines or dialogs were refused
  4    there is no such dialog, it cannot be read, what was asked for contradicts how it stands,
       a confirmation was declined, or something was found that must be gone
  130  interrupted by Ctrl-C; what was done until then is kept whole";

/// A consent-gated store for chatbot dialogs.
///
/// Dialogs are stored while they run; until a customer consents nobody can read the text, and
/// after a no it is gone. This is the store's command line: it fills, reads and tends a store,
/// also while a server or a chatbot uses it.
#[derive(Debug, Parser)]
#[command(name = "dataapi", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Which store: sqlite:PATH, postgres://USER@HOST/DATABASE, or memory: for a trial that is gone at the end
    #[arg(
        long,
        global = true,
        env = "DATAAPI_STORE",
        hide_env_values = true,
        default_value = "sqlite:./dialogs.db",
        value_name = "URL"
    )]
    pub(crate) store: String,

    /// Say nothing but results, refused lines and errors
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
    /// Look whether the store's file is whole: its pages, its counts, its ledger
    ///
    /// Reads all of it, some ten seconds for each million dialogs, and changes nothing. Erasures in a store
    /// that is in use wait for it: rather check a backup.
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

/// Make a store, or bring the schema of one up to date
///
/// A server does that by itself when it starts, if its role in PostgreSQL may create tables. Where it may
/// not, run this as a role that may. In a database that has the extension Citus it spreads the tables
/// over the nodes of its cluster.
#[derive(Args, Debug)]
pub(crate) struct MigrateArgs {
    /// How many shards a new store in PostgreSQL has, for good: no more nodes can share it
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) shards: u16,
}

/// Move a whole store into a new one, such as from a file to PostgreSQL and back
///
/// Copies dialogs in every state with their dates, tombstones, the ledger as it was written, decisions that are
/// held, and keys; then reads the copy and compares. The new store keeps the secret key: a head of the ledger
/// that was noted still fits, and what followed the changes goes on. Where there is a store already, or
/// anything but a copy that was begun, it is refused.
///
/// Stop all servers of the old store first. Until the copy is done nobody can write to the old store, and
/// nobody open the new one. Interrupted, run it again: it goes on where it was, if nothing was written to the
/// old store meanwhile. The old store stays as it is; remove it at the end, since no later erasure reaches it.
#[derive(Args, Debug)]
pub(crate) struct CopyArgs {
    /// The store to copy, if it is not that of --store
    #[arg(long, value_name = "URL", env = "DATAAPI_COPY_FROM", hide_env_values = true)]
    pub(crate) from: Option<String>,

    /// The store to make
    #[arg(long, value_name = "URL", env = "DATAAPI_COPY_TO", hide_env_values = true)]
    pub(crate) to: String,

    /// How many shards a new store in PostgreSQL has, for good: no more nodes can share it
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) shards: u16,
}

/// Take in dialogs from a file or a pipe
///
/// Reads JSON Lines, or CSV with a header. Fields: dialog_id (also _id or dialogId), customer_id
/// (also customerId), text, language, and if known consent_received (true or false; false if left
/// out) and date (RFC 3339; now if left out). A field that is null, or empty in CSV, counts as left
/// out. Fields of other names are not read. Blank lines are skipped.
///
/// Each line is taken or refused for itself; refused ones are listed with their numbers and
/// reasons. Lines already in the store are recognised, so an import that was cut short can simply
/// be run again. A dialog that was withdrawn or erased is never brought back; consent of a dialog
/// that is already stored is not changed: use 'dataapi consent'.
///
/// A store that is not there is created.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// The file to read, or - for standard input
    pub(crate) file: PathBuf,

    /// How it is written [default: csv for a file named *.csv, else jsonl]
    #[arg(long, value_enum)]
    pub(crate) format: Option<FileFormat>,

    /// The most bytes of UTF-8 that a text may have
    #[arg(
        long,
        env = "DATAAPI_MAX_TEXT_BYTES",
        default_value_t = dataapi::Text::DEFAULT_MAX_BYTES as u64,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=MOST_TEXT_BYTES)
    )]
    pub(crate) max_text_bytes: u64,
}

/// Write out consented dialogs, newest first
///
/// A file appears under its name only when it is whole, and only its owner can read it. CSV keeps
/// every text as it is: a spreadsheet may take one that begins with = for a formula.
///
/// Each dialog has the ref by which the ledger names it. JSON Lines end with a manifest: the filter, up to
/// where in the ledger the copy goes, and the number and SHA-256 of the lines before. 'dataapi sync' brings
/// such a file up to date; do so, or delete it, for a withdrawal does not reach it by itself.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// The file to write, or - for standard output
    #[arg(long, short, default_value = "-", value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// How to write it [default: csv for a file named *.csv, else jsonl]
    #[arg(long, value_enum)]
    pub(crate) format: Option<FileFormat>,

    /// Leave out refs and manifest, which are the store's own: two stores with the same dialogs give the
    /// same bytes
    #[arg(long)]
    pub(crate) plain: bool,

    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// Bring an export up to date
///
/// Reads what has happened since the file was written, takes out what was withdrawn or erased, adds what
/// was consented to and matches the export's filter, and writes the file anew: as an export of now would
/// be. A file that was changed, or is of another store, is refused. The old file is replaced, not
/// overwritten: what the disk keeps of it is the file system's.
///
/// A server that asks for a key is given the one in the environment variable DATAAPI_KEY.
#[derive(Args, Debug)]
pub(crate) struct SyncArgs {
    /// An export in JSON Lines, with its manifest
    pub(crate) file: PathBuf,

    /// A server's address, such as http://127.0.0.1:8080, or a store such as sqlite:PATH
    /// [default: the store]
    #[arg(long, value_name = "URL")]
    pub(crate) from: Option<String>,
}

/// Show consented dialogs, newest first
///
/// A table for people: long texts are cut, line breaks become spaces, and characters that steer a
/// terminal are spelt out. With --json one JSON object a line, whole, for programs.
#[derive(Args, Debug)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,

    /// Print JSON Lines
    #[arg(long)]
    pub(crate) json: bool,

    /// How many dialogs at most, 1 to 1000
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) limit: u64,

    /// Every page to the last
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,

    /// Go on from where an earlier page ended
    #[arg(long, allow_hyphen_values = true, conflicts_with = "offset")]
    pub(crate) cursor: Option<String>,

    /// Leave out so many of the newest
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) offset: u64,
}

/// Print one consented dialog as JSON
#[derive(Args, Debug)]
pub(crate) struct GetArgs {
    /// Whose dialog
    pub(crate) customer: String,
    /// Its id
    pub(crate) dialog: String,
}

/// Record or show what a customer decided; prints JSON
#[derive(Debug, Subcommand)]
pub(crate) enum ConsentArgs {
    /// The customer said yes: the dialog can be read from now on
    Grant(DecideArgs),
    /// The customer said no: the dialog is erased, for good
    Withdraw(DecideArgs),
    /// How a dialog stands, and since when
    Show {
        /// The dialog's id
        dialog: String,
    },
}

#[derive(Args, Debug)]
pub(crate) struct DecideArgs {
    /// The dialog's id
    pub(crate) dialog: String,
    /// Which notice the customer was shown
    #[arg(long)]
    pub(crate) notice: Option<String>,
    /// How the customer answered
    #[arg(long)]
    pub(crate) method: Option<String>,
    /// In which language the customer was asked
    #[arg(long)]
    pub(crate) locale: Option<String>,
}

/// Erase data, whether it was consented to or not, for good
///
/// Asks first when it runs in a terminal.
#[derive(Debug, Subcommand)]
pub(crate) enum EraseArgs {
    /// Erase one dialog
    Dialog {
        /// Whose dialog
        customer: String,
        /// Its id
        dialog: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Erase everything held on one customer
    Customer(EraseCustomerArgs),
}

#[derive(Args, Debug)]
pub(crate) struct EraseCustomerArgs {
    /// Whose data
    pub(crate) customer: String,
    /// Only tell how many dialogs that would be
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// What customers have a right to: everything held on them, or its erasure
#[derive(Debug, Subcommand)]
pub(crate) enum SubjectArgs {
    /// Write out everything held on one customer, consented to or not, as one JSON document
    ///
    /// Hand it to nobody but the customer (GDPR articles 15 and 20). Its members: customer_id; exported,
    /// the time; dialogs, newest first, each with dialog_id, text, language, date, consent (pending or
    /// granted) and, once there is a decision, its receipt: date, notice, method, locale, and the
    /// position, ref and hash of its event in the ledger. What was erased is not in it: nothing in the
    /// store tells any more whose it was.
    Export {
        /// Whose data
        customer: String,
        /// The file to write, or - for standard output
        #[arg(long, short, default_value = "-", value_name = "FILE")]
        output: PathBuf,
    },
    /// Erase everything held on one customer, for good (GDPR article 17); the same as 'erase customer'
    Erase(EraseCustomerArgs),
}

/// Erase dialogs whose consent never came, or that were kept for long enough
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("age").required(true).multiple(true))]
pub(crate) struct PurgeArgs {
    /// Those without a decision that were received so long ago at least, such as 30d or 12h
    #[arg(long, value_parser = humantime::parse_duration, value_name = "AGE", group = "age")]
    pub(crate) pending_after: Option<Duration>,

    /// Those consented to that were received so long ago at least, such as 365d
    #[arg(long, value_parser = humantime::parse_duration, value_name = "AGE", group = "age")]
    pub(crate) consented_after: Option<Duration>,

    /// Also forget the tombstones of dialogs that were gone so long ago at least, such as 3650d; an
    /// import or a retry that comes after that can bring such a dialog back, as pending
    #[arg(long, value_parser = humantime::parse_duration, value_name = "AGE", group = "age")]
    pub(crate) tombstones_after: Option<Duration>,

    /// Only tell how many that would be
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Count the dialogs in each state and language
#[derive(Args, Debug)]
pub(crate) struct StatsArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write a copy of the whole store to a new file, while it is in use
///
/// The copy is of one moment, and a store of its own that --store can name. It holds pending dialogs,
/// too, and no later erasure reaches it: keep it as safe as the store, and no longer than you must. Note
/// what it prints last, the head of the ledger. Beside each backup, keep the ledger up to date in another
/// place ('dataapi audit export'): without it, nobody can tell later what must not come back.
#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// The file to write; there must be none
    pub(crate) file: PathBuf,
}

/// Bring back from a backup what the store has lost, but nothing withdrawn or erased since
///
/// Where the store is there, its own ledger tells what must not come back, and all that it holds stays;
/// a server may be using it meanwhile. Where there is none, one is made, for which you give the ledger of
/// the lost store. Without any, nobody can tell what was withdrawn or erased after the backup, and the
/// restore is refused unless you accept that such dialogs are there again.
#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    /// The backup to read
    pub(crate) file: PathBuf,

    /// The ledger of the lost store, whole, as 'audit export' wrote it
    #[arg(long, value_name = "FILE", conflicts_with = "accept_resurrection")]
    pub(crate) ledger: Option<PathBuf>,

    /// There is no such ledger; what was withdrawn or erased after the backup may be there again
    #[arg(long)]
    pub(crate) accept_resurrection: bool,
}

/// Print what a bug report needs, without any personal data
///
/// Versions, the kind of store and its schema, its files by what their names end in and their sizes, how many
/// dialogs there are, how far the ledger goes, when the store was last scrubbed, and the settings. No text, no
/// id and no key is in it; passwords and whatever may be a secret are [redacted]. Read it before you send it all
/// the same: it has the store's path or host.
///
/// Of a store that cannot be opened it says why, and all the rest; it ends with the code of that error. It opens
/// the store as any command does, which brings the schema of an older version up to date.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make, list and revoke the keys that a server asks for
///
/// A store without keys is open to whoever reaches its server, which then listens on loopback only. From
/// the first key on, each request needs one. Roles: ingest stores dialogs, consent records and reads
/// decisions, read queries and sees the stats, subject reads and erases a customer's data and single
/// dialogs, admin all of that and the metrics.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyArgs {
    /// Make a key and print it, this once; servers take it within a second
    Create(CreateKeyArgs),
    /// List all keys, without what they are
    List {
        /// Print JSON Lines
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key for good; servers refuse it within a second
    Revoke {
        /// Its name
        name: String,
    },
}

#[derive(Args, Debug)]
pub(crate) struct CreateKeyArgs {
    /// What to call it, in logs too: 1 to 64 letters, digits, '.', '_' and '-'
    #[arg(long)]
    pub(crate) name: String,

    /// What it may be used for: one or more roles, with commas between
    #[arg(long, value_name = "ROLES")]
    pub(crate) role: String,

    /// Bind it to dialogs in this language; may be given several times
    #[arg(long, value_name = "LANGUAGE")]
    pub(crate) only_language: Vec<String>,

    /// Bind it to dialogs of customers whose ids begin so
    #[arg(long, value_name = "PREFIX")]
    pub(crate) only_customers: Option<String>,

    /// After what time it works no more, such as 90d [default: never]
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) expires: Option<Duration>,
}

/// Look for what must be gone, as raw bytes, in every file of the store
///
/// Reads the files outside the database engine: the database, the write-ahead log, the shared
/// memory, and whatever else beside them bears the store's name. Tells how much was read of each,
/// and where a marker was found, by its number and never in words. It changes nothing.
///
/// A marker is a dialog's id, a customer's id, or a short piece of a text. The bytes of a long text
/// lie in pieces of some 4,000: a piece that goes over the end of one is not found there, so give
/// several. What was erased is gone after the erasure delay, by default a second.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct VerifyErasureArgs {
    /// What to look for
    #[arg(group = "what")]
    pub(crate) marker: Vec<String>,

    /// A file with one marker a line, or - for standard input
    #[arg(long, value_name = "FILE", group = "what")]
    pub(crate) list: Option<PathBuf>,
}

/// Check or write out the ledger of what was decided and erased
///
/// The ledger holds one event for each grant, withdrawal, erasure and expiry; each is chained by hash
/// to the one before. It names dialogs by a keyed hash, and holds no text, no customer and no id.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditArgs {
    /// Check the whole chain; tells the first event that was changed, removed or added
    Verify {
        /// A head noted earlier, as 'audit head' told it: shows also what was cut off or written anew
        #[arg(long, value_name = "HASH@POSITIONS")]
        head: Option<String>,
    },
    /// Print the last event's hash and position, to be kept somewhere else
    Head,
    /// Write out all events as JSON Lines; the manual of the library says how they are hashed
    Export {
        /// The file to write, or - for standard output
        #[arg(long, short, default_value = "-", value_name = "FILE")]
        output: PathBuf,
    },
}

/// Fill a store with made-up dialogs
///
/// The same seed gives the same dialogs, on every machine; more of them with a larger number.
/// They are stored as received now. A store that is not there is created.
#[derive(Args, Debug)]
pub(crate) struct GenerateArgs {
    /// How many customers
    #[arg(long, short, default_value_t = 100, value_name = "N")]
    pub(crate) users: u64,

    /// How many dialogs in all
    #[arg(long, short, default_value_t = 1000, value_name = "N")]
    pub(crate) dialogs: u64,

    /// How many of them, the first ones, are consented to when they are stored [default: half]
    #[arg(long, short, value_name = "N")]
    pub(crate) consented: Option<u64>,

    /// What the dialogs grow from
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
}

/// Print the completions for a shell
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Print a page of the manual, to be piped to 'man -l -'
#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Of which command, such as: import, or: consent grant [default: the whole program]
    pub(crate) command: Vec<String>,
}
