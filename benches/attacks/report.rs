//! The rows: what was measured during and after each attack, what it is judged by, and the table.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use crate::attack::{Seen, Transport};
use crate::outcome::Outcome;
use crate::probe::Figures;

/// The most that the server may take above its bounds, in megabytes.
const MEGABYTES_ABOVE: f64 = 256.0;
/// The longest median of the page, in milliseconds.
const PAGE_MILLIS: f64 = 50.0;
/// The longest median of `/health/live`, in milliseconds.
const HEALTH_MILLIS: f64 = 10.0;

/// The figures of the other callers.
#[derive(Debug, Serialize)]
pub(crate) struct Others {
    /// The page on a new connection each time.
    pub(crate) page: Figures,
    /// The page on one connection.
    pub(crate) page_kept: Figures,
    /// `/health/live` on a new connection each time, without a key.
    pub(crate) health: Figures,
    /// Large pages on a new connection each time, if the attack is about them.
    pub(crate) large: Option<Figures>,
}

/// Resident memory of the server, in megabytes.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) start: f64,
    pub(crate) peak: f64,
    pub(crate) after: f64,
    /// What the settings allow for clients, together.
    pub(crate) bound: f64,
    /// By how much it may grow, if that is less.
    pub(crate) most_growth: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) attack: &'static str,
    pub(crate) transport: Transport,
    /// How many threads wanted a processor in the minute before. Much other work makes figures of time meaningless.
    pub(crate) load: f64,
    pub(crate) seconds: f64,
    pub(crate) memory: Memory,
    /// While the attackers opened their connections, if they have many.
    pub(crate) building: Option<Others>,
    pub(crate) during: Others,
    pub(crate) after: Others,
    pub(crate) attackers: Seen,
    /// The processor time of the server during the attack.
    pub(crate) server_processor_seconds: f64,
}

impl Row {
    /// What is not as it must be.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = self.attackers.broken.clone();
        let Memory { start, bound, most_growth, .. } = self.memory;
        let most = most_growth.map_or(bound + MEGABYTES_ABOVE, |growth| start + growth);
        for (when, megabytes) in [("", self.memory.peak), (" afterwards", self.memory.after)] {
            if megabytes > most {
                failures.push(format!("memory{when} {megabytes:.0} MB > {most:.0} MB"));
            }
        }
        let building = self.building.iter().map(|others| (" at first", others));
        let others = [("", &self.during), (" afterwards", &self.after)];
        for (when, others) in building.chain(others) {
            let large = others.large.iter().map(|large| ("large page", large, f64::INFINITY));
            for (what, figures, most) in [
                ("page", &others.page, PAGE_MILLIS),
                ("page on a kept connection", &others.page_kept, PAGE_MILLIS),
                ("health", &others.health, HEALTH_MILLIS),
            ]
            .into_iter()
            .chain(large)
            {
                if figures.p50 > most {
                    let median = millis(figures.p50);
                    failures.push(format!("{what}{when}: median {median} ms > {most} ms"));
                }
                for (failure, count) in &figures.failures {
                    failures.push(format!("{what}{when}: {count} times '{failure}'"));
                }
            }
        }
        failures
    }
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "memory in MB (start/peak/bound, after), times in ms (p50/p99/max/failed)\n\n\
         | attack | over | memory | page, new connection | page, kept | health | memory after | page after | \
         health after | |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let verdict = if row.failures().is_empty() { "PASS" } else { "FAIL" };
        let Row { attack, transport, memory: Memory { start, peak, after, bound, .. }, .. } = row;
        let [page, kept, health] =
            [&row.during.page, &row.during.page_kept, &row.during.health].map(shown);
        let [page_after, health_after] = [&row.after.page, &row.after.health].map(shown);
        let _ = writeln!(
            table,
            "| {attack} | {transport} | {start:.0}/{peak:.0}/{bound:.0} | {page} | {kept} | {health} | {after:.0} | \
             {page_after} | {health_after} | {verdict} |"
        );
    }
    table.push('\n');
    for row in rows {
        let _ = writeln!(table, "{}", lines(row));
    }
    table
}

/// What the attackers did, and what is not as it must be.
pub(crate) fn lines(row: &Row) -> String {
    let Seen { opened, most_open, ended, answers, megabytes_read, notes, .. } = &row.attackers;
    let mut lines = format!(
        "{} over {}: {:.1} s, load before it {:.1}; processor of the server {:.1} s, of the attackers {:.1} s; {opened} connections opened, \
         at most {most_open} at once, {ended} ended by the server; answers {answers:?}; {megabytes_read:.0} MB read",
        row.attack,
        row.transport,
        row.seconds,
        row.load,
        row.server_processor_seconds,
        row.attackers.processor_seconds,
    );
    let reopened = row.during.page_kept.reopened;
    if reopened > 0 {
        let _ = write!(lines, "; the other caller's kept connection was closed {reopened} times");
    }
    if let Some(large) = &row.during.large {
        let _ = write!(lines, "; large pages {}", shown(large));
    }
    for note in notes {
        let _ = write!(lines, "; {note}");
    }
    for failure in row.failures() {
        let _ = write!(lines, "\n    FAIL: {failure}");
    }
    lines
}

fn shown(figures: &Figures) -> String {
    let [p50, p99, max] = [figures.p50, figures.p99, figures.max].map(millis);
    format!("{p50}/{p99}/{max}/{} of {}", figures.failed, figures.asked)
}

fn millis(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

pub(crate) fn write_json(path: &Path, rows: &[Row]) -> Outcome<()> {
    Ok(std::fs::write(path, serde_json::to_string_pretty(rows)? + "\n")?)
}
