//! `dataapi completions`: prints a completion script for a shell.

use std::io::Write;

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

pub(super) fn run(args: &CompletionsArgs) -> Result<Exit, CommandError> {
    // Through a buffer, because the generator panics when its output is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "dataapi", &mut script);
    let mut output = Output::stdout();
    output.write_all(&script)?;
    output.finish()?;
    Ok(Exit::Done)
}
