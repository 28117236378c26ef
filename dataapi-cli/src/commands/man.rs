//! `dataapi man`: prints manual pages, generated from the help.

use clap::CommandFactory;

use crate::args::{Cli, ManArgs};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

pub(super) fn run(args: &ManArgs) -> Result<Exit, CommandError> {
    let mut page = Cli::command();
    page.build();
    for name in &args.command {
        page = page.find_subcommand(name).ok_or(CommandError::NoSuchCommand)?.clone();
    }
    let title = page.get_display_name().unwrap_or("dataapi").to_owned();
    let mut output = Output::stdout();
    clap_mangen::Man::new(page).title(title).manual("DataAPI").render(&mut output)?;
    output.finish()?;
    Ok(Exit::Done)
}
