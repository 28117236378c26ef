//! Parses the command line of this process. No error repeats what was typed, which might be an id.

use clap::Parser;
use clap::error::{ContextKind, ErrorKind};

use crate::args::Cli;
use crate::exit::Exit;
use crate::terminal::say;

/// Parses the command line. Otherwise prints the help, the version or an error, and returns how the program ends.
pub(crate) fn parse() -> Result<Cli, Exit> {
    Cli::try_parse().map_err(|error| {
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
    })
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
