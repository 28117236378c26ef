//! A table of a store's counts.

use comfy_table::{CellAlignment, Table, presets};
use dataapi::Stats;

pub(crate) fn stats_table(stats: &Stats) -> Table {
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
