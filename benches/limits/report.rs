//! The rows: the figures that are compared, their goals, and what was measured.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use crate::outcome::Outcome;

/// The goal of a ratio.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// One comparison of the product with a limit. `name` says what is measured of the product, `limit` what it is compared
/// with.
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) limit: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) goal: Option<Goal>,
}

const fn row(
    name: &'static str,
    limit: &'static str,
    unit: &'static str,
    goal: Option<Goal>,
) -> Definition {
    Definition { name, limit, unit, goal }
}

pub(crate) const POST_64: &str = "POST, 64 connections";
pub(crate) const POST_64_TAIL: &str = "POST, 64 connections: p99";
pub(crate) const POST_1: &str = "POST, 1 connection";
pub(crate) const YES_64: &str = "grant, 64 connections";
pub(crate) const NO_64: &str = "withdrawal, 64 connections";
pub(crate) const NO_EMPTIED: &str = "ceiling: withdrawal";
pub(crate) const NO_SCRUBBED: &str = "withdrawal, 64 connections, with scrubs";
pub(crate) const POST_BUSY: &str = "POST, 64 connections, while 1,000 withdrawals/s";
pub(crate) const NEWEST_100: &str = "newest page of 100, total";
pub(crate) const NEWEST_20: &str = "newest page of 20, total";
pub(crate) const ANY_100: &str = "any other page of 100, total";
pub(crate) const ANY_20: &str = "any other page of 20, total";
pub(crate) const NEWEST_BUSY: &str = "newest page of 100 while 2,000 decisions/s";
pub(crate) const OFFSET: &str = "page of 100 in the middle of the store, by OFFSET";
pub(crate) const IMPORT: &str = "import by the CLI";
pub(crate) const IMPORT_MEMORY: &str = "import by the CLI: peak memory";
pub(crate) const EXPORT: &str = "export by the CLI";
pub(crate) const READY: &str = "server ready on the large store";
pub(crate) const RESIDENT: &str = "server memory after the load";
pub(crate) const POCKETBASE_POST: &str = "POST, 64 connections, against PocketBase";
pub(crate) const POCKETBASE_100: &str = "newest page of 100, against PocketBase";
pub(crate) const POCKETBASE_20: &str = "newest page of 20, against PocketBase";
pub(crate) const FASTAPI_POST: &str = "POST, 64 connections, against FastAPI";
pub(crate) const FASTAPI_100: &str = "newest page of 100, against FastAPI";
pub(crate) const FASTAPI_20: &str = "newest page of 20, against FastAPI";
pub(crate) const POST_WIRE: &str = "POST, 64 connections, against HTTP alone";
pub(crate) const INSERT_LIBRARY: &str = "library: insert, 64 at once";
pub(crate) const INSERT_LIBRARY_1000: &str = "library: insert, 1000 at once";
pub(crate) const YES_LIBRARY: &str = "library: grant, 32 at once";
pub(crate) const NO_LIBRARY: &str = "library: withdrawal, 32 at once";
pub(crate) const NEWEST_LIBRARY: &str = "library: newest page of 100, total";
pub(crate) const ANY_CEILING_100: &str = "ceiling: any other page of 100";
pub(crate) const ANY_CEILING_20: &str = "ceiling: any other page of 20";
pub(crate) const ANY_LIBRARY_100: &str = "library: any other page of 100, total";
pub(crate) const ANY_LIBRARY_20: &str = "library: any other page of 20, total";

pub(crate) const PG_POST_64: &str = "PostgreSQL: POST, 64 connections";
pub(crate) const PG_POST_TWO: &str = "PostgreSQL: POST, 2 servers, 32 connections each";
pub(crate) const PG_POST_1: &str = "PostgreSQL: POST, 1 connection";
pub(crate) const PG_YES: &str = "PostgreSQL: grant, 64 connections";
pub(crate) const PG_PAGE_SMALL: &str = "PostgreSQL: newest page of 100, 10 thousand dialogs";
pub(crate) const PG_PAGE_LARGE: &str = "PostgreSQL: newest page of 100, all dialogs";
pub(crate) const PG_PAGE_GROWTH: &str = "PostgreSQL: page of 100 at all dialogs";

/// All rows, in the order of the table.
pub(crate) const DEFINITIONS: [Definition; 42] = [
    row(POST_64, "SQLite, 64 inserts a transaction", "/s", Some(Goal::AtLeast(0.6))),
    row(POST_64_TAIL, "its own p50", "ms", Some(Goal::AtMost(3.0))),
    row(POST_1, "SQLite, 1 insert a transaction", "/s", Some(Goal::AtLeast(0.5))),
    row(YES_64, "SQLite, 32 a transaction, same rows", "/s", Some(Goal::AtLeast(0.8))),
    row(NO_64, "SQLite, 32 a transaction, same rows", "/s", Some(Goal::AtLeast(0.8))),
    row(NEWEST_100, "warp, static, same bytes", "/s", Some(Goal::AtLeast(0.85))),
    row(NEWEST_20, "warp, static, same bytes", "/s", Some(Goal::AtLeast(0.85))),
    row(ANY_100, "warp, static, same bytes", "/s", Some(Goal::AtLeast(0.3))),
    row(ANY_20, "warp, static, same bytes", "/s", Some(Goal::AtLeast(0.35))),
    row(NEWEST_BUSY, "itself at rest", "/s", Some(Goal::AtLeast(0.5))),
    row(OFFSET, "SQLite, same query", "/s", Some(Goal::AtLeast(0.9))),
    row(IMPORT, "SQLite, 1000 a transaction, same rows", "/s", Some(Goal::AtLeast(0.6))),
    row(IMPORT_MEMORY, "the memory allowed", "MB", Some(Goal::AtMost(1.0))),
    row(EXPORT, "SQLite to a file by serde_json", "/s", Some(Goal::AtLeast(0.7))),
    row(READY, "the time allowed", "ms", Some(Goal::AtMost(1.0))),
    row(RESIDENT, "the memory allowed", "MB", Some(Goal::AtMost(1.0))),
    row(POCKETBASE_POST, "PocketBase, not fsynced", "/s", Some(Goal::AtLeast(6.0))),
    row(POCKETBASE_100, "PocketBase, with its count", "/s", Some(Goal::AtLeast(200.0))),
    row(POCKETBASE_20, "PocketBase, with its count", "/s", Some(Goal::AtLeast(200.0))),
    row(FASTAPI_POST, "FastAPI, PostgreSQL, fsynced", "/s", None),
    row(FASTAPI_100, "FastAPI, PostgreSQL, with count", "/s", None),
    row(FASTAPI_20, "FastAPI, PostgreSQL, with count", "/s", None),
    // The "product" of a ceiling is the most that the row of the same name could reach if everything else were free.
    row(NO_EMPTIED, "SQLite; product: its log emptied every second", "/s", None),
    row(ANY_CEILING_100, "warp, static; product: and SQLite on all cores", "/s", None),
    row(ANY_CEILING_20, "warp, static; product: and SQLite on all cores", "/s", None),
    row(NO_SCRUBBED, "itself without scrubs", "/s", None),
    row(POST_BUSY, "itself alone", "/s", None),
    row(POST_WIRE, "warp, JSON parsed and dropped", "/s", None),
    row(INSERT_LIBRARY, "SQLite, 64 inserts a transaction", "/s", None),
    row(INSERT_LIBRARY_1000, "SQLite, 1000 inserts a transaction", "/s", None),
    row(YES_LIBRARY, "SQLite, 32 a transaction, same rows", "/s", None),
    row(NO_LIBRARY, "SQLite, 32 a transaction, same rows", "/s", None),
    row(NEWEST_LIBRARY, "SQLite, same queries, one thread", "/s", None),
    row(ANY_LIBRARY_100, "SQLite, same queries, one thread", "/s", None),
    row(ANY_LIBRARY_20, "SQLite, same queries, one thread", "/s", None),
    row(PG_POST_64, "pgbench, 1 insert a transaction", "/s", Some(Goal::AtLeast(1.5))),
    row(PG_POST_TWO, "pgbench, 1 insert a transaction", "/s", None),
    row(PG_POST_1, "pgbench, 1 insert a transaction", "/s", None),
    row(PG_YES, "pgbench, 1 insert a transaction", "/s", None),
    row(PG_PAGE_SMALL, "pgbench, same statements, no JSON", "/s", None),
    row(PG_PAGE_LARGE, "pgbench, same statements, no JSON", "/s", None),
    row(PG_PAGE_GROWTH, "at 10 thousand", "ms", Some(Goal::AtMost(1.5))),
];

/// The result of one round for a row.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    limit: f64,
    product: f64,
}

/// The results so far.
pub(crate) struct Report {
    only: Option<String>,
    samples: Vec<(&'static str, Sample)>,
}

/// A row with its medians.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) limit_is: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) goal: Option<Goal>,
    pub(crate) limit: f64,
    pub(crate) product: f64,
    pub(crate) ratio: f64,
    pub(crate) ratio_min: f64,
    pub(crate) ratio_max: f64,
    pub(crate) reached: Option<bool>,
    samples: Vec<Sample>,
}

impl Report {
    pub(crate) fn new(only: Option<String>) -> Self {
        Self { only, samples: Vec::new() }
    }

    /// Whether any of these rows should be measured.
    pub(crate) fn wants(&self, names: &[&str]) -> bool {
        let Some(only) = &self.only else { return true };
        names.iter().any(|name| name.to_lowercase().contains(&only.to_lowercase()))
    }

    pub(crate) fn add(&mut self, name: &'static str, limit: f64, product: f64) {
        if !self.wants(&[name]) {
            return;
        }
        eprintln!("  {name}: {} of {}", figure(product), figure(limit));
        self.samples.push((name, Sample { limit, product }));
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        DEFINITIONS.iter().filter_map(|definition| self.row(definition)).collect()
    }

    fn row(&self, definition: &Definition) -> Option<Row> {
        let samples: Vec<_> = self
            .samples
            .iter()
            .filter(|(name, _)| *name == definition.name)
            .map(|(_, sample)| *sample)
            .collect();
        let ratios = || samples.iter().map(|sample| sample.product / sample.limit);
        let ratio = median(ratios())?;
        Some(Row {
            name: definition.name,
            limit_is: definition.limit,
            unit: definition.unit,
            goal: definition.goal,
            limit: median(samples.iter().map(|sample| sample.limit))?,
            product: median(samples.iter().map(|sample| sample.product))?,
            ratio,
            ratio_min: ratios().fold(f64::INFINITY, f64::min),
            ratio_max: ratios().fold(f64::NEG_INFINITY, f64::max),
            reached: definition.goal.map(|goal| match goal {
                Goal::AtLeast(least) => ratio >= least,
                Goal::AtMost(most) => ratio <= most,
            }),
            samples,
        })
    }
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| row | limit | figure | product | ratio (min..max) | goal | reached |\n\
         |---|---|---:|---:|---:|---:|---|\n",
    );
    for row in rows {
        let goal = match row.goal {
            Some(Goal::AtLeast(ratio)) => format!(">= {ratio}"),
            Some(Goal::AtMost(ratio)) => format!("<= {ratio}"),
            None => String::new(),
        };
        let reached = match row.reached {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        let Row { name, limit_is, unit, ratio, ratio_min, ratio_max, .. } = row;
        let (limit, product) = (figure(row.limit), figure(row.product));
        writeln!(
            table,
            "| {name} | {limit_is} | {limit} {unit} | {product} {unit} | \
             {ratio:.2} ({ratio_min:.2}..{ratio_max:.2}) | {goal} | {reached} |"
        )
        .expect("writing to a string cannot fail");
    }
    table
}

pub(crate) fn write_json(path: &Path, what: &impl Serialize) -> Outcome<()> {
    Ok(std::fs::write(path, serde_json::to_string_pretty(what)? + "\n")?)
}

pub(crate) fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let (low, high) = (figures.get(figures.len().checked_sub(1)? / 2)?, figures[figures.len() / 2]);
    Some(f64::midpoint(*low, high))
}

/// A figure with about three digits, and commas between thousands.
pub(crate) fn figure(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
