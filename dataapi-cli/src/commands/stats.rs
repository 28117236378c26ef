//! `dataapi stats`: how many dialogs there are.

use std::collections::BTreeMap;
use std::io::Write;

use comfy_table::{CellAlignment, Table, presets};
use dataapi::Stats;
use serde::Serialize;

use crate::args;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

pub(super) async fn run(args: &args::Stats, context: &Context) -> Result<Exit, CommandError> {
    let stats = context.open_existing().await?.stats().await?;
    let mut output = Output::stdout();
    if args.json {
        output.json(&Counts::from(&stats))?;
    } else {
        writeln!(output, "{}", table(&stats))?;
    }
    output.finish()?;
    Ok(Exit::Done)
}

fn table(stats: &Stats) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["state", "language", "dialogs"]);
    let mut row = |state: &str, language: &str, count: u64| {
        table.add_row([state, language, &count.to_string()]);
    };
    row("pending", "", stats.pending);
    row("consented", "", stats.consented);
    for (language, count) in &stats.consented_by_language {
        row("", &language.canonical(), *count);
    }
    row("withdrawn", "", stats.withdrawn);
    row("erased", "", stats.erased);
    if let Some(counts) = table.column_mut(2) {
        counts.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[derive(Serialize)]
struct Counts {
    pending: u64,
    consented: u64,
    withdrawn: u64,
    erased: u64,
    consented_by_language: BTreeMap<String, u64>,
}

impl From<&Stats> for Counts {
    fn from(stats: &Stats) -> Self {
        let by_language = &stats.consented_by_language;
        Self {
            pending: stats.pending,
            consented: stats.consented,
            withdrawn: stats.withdrawn,
            erased: stats.erased,
            consented_by_language: by_language
                .iter()
                .map(|(language, count)| (language.canonical(), *count))
                .collect(),
        }
    }
}
