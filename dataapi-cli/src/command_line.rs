//! Parses the command line of this process. No error repeats what was typed, which might be an id.

use clap::error::{ContextKind, ErrorKind};
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::args::{Cli, Command};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::secrets::{from_file, from_file_or_variable};
use crate::terminal::say;

/// The command line, with all secrets read.
pub(crate) struct CommandLine {
    pub(crate) cli: Cli,
    /// The key for a server.
    pub(crate) key: Option<String>,
}

/// Parses the command line. Otherwise prints the help, the version or an error, and returns how the program ends.
pub(crate) fn parse() -> Result<CommandLine, Exit> {
    let parsed = Cli::command().try_get_matches().and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches);
        cli.map(|cli| (cli, matches)).map_err(|error| error.format(&mut Cli::command()))
    });
    let (cli, matches) = parsed.map_err(|error| {
        // Help or version. A closed output is no error.
        if !error.use_stderr() {
            let _ = error.print();
            return Exit::Done;
        }
        match misuse(&error) {
            Some(message) => say(&message),
            None => drop(error.print()),
        }
        Exit::Usage
    })?;
    with_secrets(cli, &matches).map_err(|error| {
        say(&error.message());
        error.exit()
    })
}

/// Reads the secrets that are in files.
fn with_secrets(mut cli: Cli, matches: &ArgMatches) -> Result<CommandLine, CommandError> {
    let store = ("--store-file", "store_file", cli.store_file.as_deref());
    if let Some(store) = from_file(matches, "store", store)? {
        cli.store = store;
    }
    let mut key = None;
    match (&mut cli.command, matches.subcommand()) {
        (Command::Copy(args), Some((_, matches))) => {
            let file = ("--from-file", "from_file", args.from_file.as_deref());
            args.from = from_file(matches, "from", file)?.or(args.from.take());
            let file = ("--to-file", "to_file", args.to_file.as_deref());
            args.to = from_file(matches, "to", file)?.or(args.to.take());
        }
        (Command::Sync(args), Some((_, matches))) => {
            let file = ("--key-file", "key_file", args.key_file.as_deref());
            key = from_file_or_variable(matches, "DATAAPI_KEY", file)?;
        }
        _ => {}
    }
    Ok(CommandLine { cli, key })
}

/// A message of our own where clap's would repeat what was typed; `None` where clap's is safe.
fn misuse(error: &clap::Error) -> Option<String> {
    let named = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let reason = match error.kind() {
        ErrorKind::UnknownArgument | ErrorKind::TooManyValues => {
            "an argument is unknown, or there are too many; put quotes around a value with spaces"
                .to_owned()
        }
        ErrorKind::InvalidSubcommand => "the command is unknown".to_owned(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let rule = match named(ContextKind::ValidValue) {
                values if values.is_empty() => String::new(),
                values => format!("; it must be one of: {values}"),
            };
            format!("the value of '{}' is not valid{rule}", named(ContextKind::InvalidArg))
        }
        _ => return None,
    };
    let usage = error.get(ContextKind::Usage).map(|usage| format!("\n\n{usage}"));
    let usage = usage.unwrap_or_default();
    Some(format!("error: {reason}{usage}\n\nFor more information, try '--help'."))
}
