//! `dataapi stats`: counts dialogs by state and language.

use std::io::Write;

use dataapi_wire::Stats;

use crate::args::StatsArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::formats::table::stats_table;
use crate::output::Output;

pub(super) async fn run(args: &StatsArgs, context: &Context) -> Result<Exit, CommandError> {
    let stats = context.open_existing().await?.stats().await?;
    let mut output = Output::stdout();
    if args.json {
        output.json(&Stats::from(&stats))?;
    } else {
        writeln!(output, "{}", stats_table(&stats))?;
    }
    output.finish()?;
    Ok(Exit::Done)
}
