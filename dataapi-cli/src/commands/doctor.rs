//! `dataapi doctor`: prints the facts for a bug report, without personal data.

use std::env;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;

use dataapi::{LedgerHead, Reaction, Stats, StoreInfo};
use serde::Serialize;

use crate::args::DoctorArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::terminal::{counted, one_line};

/// The known suffixes of a store's file names. People choose the names of all other files beside it, so these
/// can hold personal data.
const KNOWN_SUFFIXES: [&str; 4] = ["", "-journal", "-shm", "-wal"];

/// The environment variables that name a store.
const STORE_VARIABLES: [&str; 3] = ["DATAAPI_STORE", "DATAAPI_COPY_FROM", "DATAAPI_COPY_TO"];

/// The environment variables of this program and of the server whose values are a number, a time or one of a few
/// fixed words. All other values are redacted.
const PLAIN_VARIABLES: [&str; 18] = [
    "DATAAPI_ANSWER_TIMEOUT",
    "DATAAPI_BODY_TIMEOUT",
    "DATAAPI_ERASE_WITHIN",
    "DATAAPI_HEAD_TIMEOUT",
    "DATAAPI_HOLD_EARLY_DECISIONS",
    "DATAAPI_INSECURE_PLAINTEXT",
    "DATAAPI_JWT_LEEWAY",
    "DATAAPI_LOG_FORMAT",
    "DATAAPI_MAX_BUFFERED_BYTES",
    "DATAAPI_MAX_CONNECTIONS",
    "DATAAPI_MAX_IN_FLIGHT",
    "DATAAPI_MAX_RATE",
    "DATAAPI_MAX_TEXT_BYTES",
    "DATAAPI_PAGE_CACHE_BYTES",
    "DATAAPI_PURGE_PENDING_AFTER",
    "DATAAPI_RETAIN_CONSENTED",
    "DATAAPI_RETAIN_TOMBSTONES",
    "DATAAPI_STORE_CACHE_BYTES",
];

const REDACTED: &str = "[redacted]";

/// The most characters that are shown of a value.
const WIDTH: usize = 300;

pub(super) async fn run(args: &DoctorArgs, context: &Context) -> Result<Exit, CommandError> {
    let mut diagnosis = Diagnosis::default();
    // Before the store is opened, which can change its files.
    let files = diagnosis.files(&context.store_url);
    let store = diagnosis.store(context).await;
    // Opening it can have made more files.
    let warnings = warnings(&context.store_url);
    let report = Report {
        program: env!("CARGO_PKG_VERSION"),
        library: dataapi::VERSION,
        sqlite: dataapi::sqlite_version(),
        system: env::consts::OS,
        architecture: env::consts::ARCH,
        store: dataapi::shown(&context.store_url),
        backend: store.info.as_ref().map(|info| info.backend),
        schema: store.info.as_ref().and_then(|info| info.schema),
        files,
        warnings,
        dialogs: store.stats.as_ref().map(DialogCounts::from),
        ledger: store.head.map(|head| head.positions.to_string()),
        last_scrub: store.info.and_then(|info| info.last_scrub).map(|date| date.to_string()),
        settings: settings(args, context),
        errors: diagnosis.reasons,
    };
    let mut output = Output::stdout();
    if args.json {
        output.json(&report)?;
    } else {
        write!(output, "{report}")?;
    }
    output.finish()?;
    diagnosis.error.map_or(Ok(Exit::Done), Err)
}

/// The problems found.
#[derive(Default)]
struct Diagnosis {
    /// The first error, with which the command ends.
    error: Option<CommandError>,
    reasons: Vec<String>,
}

/// The answers of an open store; `None` where it failed.
#[derive(Default)]
struct StoreAnswers {
    info: Option<StoreInfo>,
    stats: Option<Stats>,
    head: Option<LedgerHead>,
}

impl Diagnosis {
    /// The store's files; empty for a kind of store that has none.
    fn files(&mut self, url: &str) -> Vec<StoreFile> {
        match dataapi::files(url) {
            Err(error) if error.reaction() == Reaction::Correct => Vec::new(),
            files => self.keep(files).map_or_else(Vec::new, |files| store_files(&files)),
        }
    }

    async fn store(&mut self, context: &Context) -> StoreAnswers {
        let Some(store) = self.keep(context.open_existing().await) else {
            return StoreAnswers::default();
        };
        StoreAnswers {
            info: self.keep(store.info().await),
            stats: self.keep(store.stats().await),
            head: self.keep(store.ledger_head().await),
        }
    }

    /// Returns what was found, or notes the error.
    fn keep<T>(&mut self, found: Result<T, impl Into<CommandError>>) -> Option<T> {
        let error: CommandError = match found {
            Ok(found) => return Some(found),
            Err(error) => error.into(),
        };
        let reason = error.reason();
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
        self.error.get_or_insert(error);
        None
    }
}

/// The whole report; `None` is unknown.
#[derive(Serialize)]
struct Report {
    program: &'static str,
    library: &'static str,
    sqlite: &'static str,
    system: &'static str,
    architecture: &'static str,
    store: String,
    backend: Option<&'static str>,
    schema: Option<u32>,
    files: Vec<StoreFile>,
    /// Which files other users of the machine may use.
    warnings: Vec<String>,
    dialogs: Option<DialogCounts>,
    /// The number of events of each chain.
    ledger: Option<String>,
    last_scrub: Option<String>,
    settings: Vec<Setting>,
    errors: Vec<String>,
}

#[derive(Serialize)]
struct StoreFile {
    suffix: &'static str,
    bytes: Option<u64>,
}

#[derive(Serialize)]
struct DialogCounts {
    pending: u64,
    consented: u64,
    withdrawn: u64,
    erased: u64,
}

#[derive(Serialize)]
struct Setting {
    name: String,
    value: String,
}

impl From<&Stats> for DialogCounts {
    fn from(stats: &Stats) -> Self {
        let Stats { pending, consented, withdrawn, erased, .. } = *stats;
        Self { pending, consented, withdrawn, erased }
    }
}

/// Which files others may use; empty for a kind of store that has none.
fn warnings(url: &str) -> Vec<String> {
    let exposed = dataapi::exposure(url).unwrap_or_default();
    exposed.iter().map(ToString::to_string).collect()
}

/// The suffix and size of each file. The first file is the database; the names of the others begin with its name.
fn store_files(files: &[PathBuf]) -> Vec<StoreFile> {
    let name = |file: &PathBuf| file.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
    let database = files.first().map(name).unwrap_or_default();
    let suffix = |file| {
        let name = name(file);
        let suffix = name.strip_prefix(&*database).unwrap_or(&name);
        KNOWN_SUFFIXES.into_iter().find(|known| known.as_bytes() == suffix).unwrap_or(REDACTED)
    };
    let size = |file: &PathBuf| file.metadata().ok().map(|file| file.len());
    files.iter().map(|file| StoreFile { suffix: suffix(file), bytes: size(file) }).collect()
}

/// The options of the command line, and the environment variables of this program and of the server.
fn settings(args: &DoctorArgs, context: &Context) -> Vec<Setting> {
    let setting = |name: &str, value: String| Setting { name: name.to_owned(), value };
    let mut settings = vec![setting("--store", dataapi::shown(&context.store_url))];
    for (flag, is_set) in [("--json", args.json), ("--quiet", context.quiet)] {
        settings.extend(is_set.then(|| setting(flag, "true".to_owned())));
    }
    let mut variables: Vec<_> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string())))
        .filter(|(name, _)| name.starts_with("DATAAPI_"))
        .collect();
    variables.sort();
    settings.extend(variables.into_iter().map(|(name, value)| {
        let value = value.map_or_else(|_| REDACTED.to_owned(), |value| shown(&name, value));
        setting(&name, value)
    }));
    settings
}

fn shown(name: &str, value: String) -> String {
    if STORE_VARIABLES.contains(&name) {
        dataapi::shown(&value)
    } else if PLAIN_VARIABLES.contains(&name) {
        value
    } else {
        REDACTED.to_owned()
    }
}

/// One line for each fact, for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line =
            |name: &str, value: &str| writeln!(f, "{name:<14}{}", one_line(value, WIDTH));
        let unknown = || "unknown".to_owned();
        line("program", self.program)?;
        line("library", self.library)?;
        line("SQLite", self.sqlite)?;
        line("system", &format!("{} {}", self.system, self.architecture))?;
        line("store", &self.store)?;
        line("backend", self.backend.unwrap_or("unknown"))?;
        let schema = match (self.backend, self.schema) {
            (_, Some(version)) => version.to_string(),
            (Some(_), None) => "none".to_owned(),
            (None, None) => unknown(),
        };
        line("schema", &schema)?;
        if self.files.is_empty() {
            line("files", "none")?;
        }
        for StoreFile { suffix, bytes } in &self.files {
            let name = if suffix.is_empty() { "database" } else { suffix };
            let bytes = bytes.map_or_else(unknown, |bytes| counted(bytes, "byte"));
            line("file", &format!("{name}: {bytes}"))?;
        }
        for warning in &self.warnings {
            line("warning", warning)?;
        }
        let dialogs = self.dialogs.as_ref().map_or_else(unknown, |counts| {
            let DialogCounts { pending, consented, withdrawn, erased } = counts;
            format!(
                "{pending} pending, {consented} consented, {withdrawn} withdrawn, {erased} erased"
            )
        });
        line("dialogs", &dialogs)?;
        line("ledger", self.ledger.as_deref().unwrap_or("unknown"))?;
        line("last scrub", self.last_scrub.as_deref().unwrap_or("unknown"))?;
        for Setting { name, value } in &self.settings {
            line("setting", &format!("{name} {value}"))?;
        }
        for reason in &self.errors {
            line("error", reason)?;
        }
        Ok(())
    }
}
