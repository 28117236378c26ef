//! The command line of this process, parsed. No error repeats what was typed, which may be an id.

use clap::Parser;
use clap::error::{ContextKind, ErrorKind};

use crate::args::Cli;
use crate::exit::Exit;
use crate::terminal::say;

/// What was typed; or how the program ends, once people have been told why.
pub(crate) fn parse() -> Result<Cli, Exit> {
    Cli::try_parse().map_err(|error| {
        // Help and version. Nobody may be left to read it.
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

/// What to say where clap would repeat what was typed.
fn misuse(error: &clap::Error) -> Option<String> {
    let named = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let reason = match error.kind() {
        ErrorKind::UnknownArgument | ErrorKind::TooManyValues => {
            "there is an argument too many, or one that is not known; quote what has spaces"
                .to_owned()
        }
        ErrorKind::InvalidSubcommand => "there is no such command".to_owned(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let rule = match named(ContextKind::ValidValue) {
                values if values.is_empty() => String::new(),
                values => format!("; it must be one of: {values}"),
            };
            format!(
                "the value of '{}' is not one that it takes{rule}",
                named(ContextKind::InvalidArg)
            )
        }
        _ => return None,
    };
    let usage = error.get(ContextKind::Usage).map(|usage| format!("\n\n{usage}"));
    let usage = usage.unwrap_or_default();
    Some(format!("error: {reason}{usage}\n\nFor more information, try '--help'."))
}
