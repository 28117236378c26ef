//! The loads that were measured, and the figures that have goals.

use std::fmt::Write;

use serde::Serialize;
use serde_json::json;

use crate::report::{Goal, figure, median};
use crate::tally::{Second, Seen};

/// What was measured, of all rounds.
pub(crate) struct Results {
    only: Option<String>,
    loads: Vec<Load>,
    figures: Vec<Figure>,
}

/// One load in one round.
#[derive(Serialize)]
pub(crate) struct Load {
    pub(crate) name: String,
    /// Requests per second that were due; `None` in a closed loop.
    pub(crate) rate: Option<f64>,
    pub(crate) seen: Seen,
}

/// One figure in one round.
#[derive(Serialize)]
struct Figure {
    row: &'static str,
    what: &'static str,
    unit: &'static str,
    goal: Option<Goal>,
    value: f64,
}

impl Results {
    pub(crate) fn new(only: Option<String>) -> Self {
        Self { only, loads: Vec::new(), figures: Vec::new() }
    }

    /// Whether any of these rows should be measured.
    pub(crate) fn wants(&self, rows: &[&str]) -> bool {
        let Some(only) = &self.only else { return true };
        rows.iter().any(|row| row.to_lowercase().contains(&only.to_lowercase()))
    }

    pub(crate) fn load(&mut self, name: &str, rate: Option<f64>, seen: &Seen) {
        eprintln!(
            "  {name}: {}/s; p50 {:.2}, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2} ms",
            figure(seen.per_second),
            seen.p50_ms,
            seen.p90_ms,
            seen.p99_ms,
            seen.p999_ms,
            seen.max_ms,
        );
        self.loads.push(Load { name: name.into(), rate, seen: seen.clone() });
    }

    pub(crate) fn figure(
        &mut self,
        row: &'static str,
        (what, unit): (&'static str, &'static str),
        value: f64,
        goal: Option<Goal>,
    ) {
        eprintln!("  {row}: {what}: {} {unit}", figure(value));
        self.figures.push(Figure { row, what, unit, goal, value });
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        json!({ "loads": self.loads, "figures": self.figures })
    }

    /// The seconds of all rounds of each load, by its name.
    pub(crate) fn series(&self) -> Vec<(&str, Vec<&[Second]>)> {
        grouped(&self.loads, |load| load.name.as_str())
            .into_iter()
            .map(|loads| {
                let rounds = loads.iter().map(|load| load.seen.by_second.as_slice()).collect();
                (loads[0].name.as_str(), rounds)
            })
            .collect()
    }

    /// The medians of all rounds.
    pub(crate) fn loads_table(&self) -> String {
        let mut table = String::from(
            "| load | due/s | answers/s | slowest second | p50 | p90 | p99 | p99.9 | max ms | late p99 |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        );
        for loads in grouped(&self.loads, |load| load.name.as_str()) {
            let of = |field: fn(&Seen) -> f64| {
                figure(median(loads.iter().map(|load| field(&load.seen))).unwrap_or(0.0))
            };
            let rate = median(loads.iter().filter_map(|load| load.rate)).map(figure);
            writeln!(
                table,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                loads[0].name,
                rate.unwrap_or_default(),
                of(|seen| seen.per_second),
                of(slowest_second),
                of(|seen| seen.p50_ms),
                of(|seen| seen.p90_ms),
                of(|seen| seen.p99_ms),
                of(|seen| seen.p999_ms),
                of(|seen| seen.max_ms),
                of(|seen| seen.late_p99_ms),
            )
            .expect("writing to a string cannot fail");
        }
        table
    }

    pub(crate) fn figures_table(&self) -> String {
        let mut table = String::from(
            "| row | figure | median (min..max) | goal | reached |\n|---|---|---:|---:|---|\n",
        );
        for figures in grouped(&self.figures, |figure| (figure.row, figure.what)) {
            let values = || figures.iter().map(|figure| figure.value);
            let middle = median(values()).unwrap_or(0.0);
            let least = values().fold(f64::INFINITY, f64::min);
            let most = values().fold(f64::NEG_INFINITY, f64::max);
            let (goal, reached) = match figures[0].goal {
                Some(Goal::AtLeast(goal)) => (format!(">= {goal}"), middle >= goal),
                Some(Goal::AtMost(goal)) => (format!("<= {goal}"), middle <= goal),
                None => (String::new(), true),
            };
            let reached = match (figures[0].goal, reached) {
                (None, _) => "",
                (_, true) => "yes",
                (_, false) => "NO",
            };
            let Figure { row, what, unit, .. } = figures[0];
            let [middle, least, most] = [middle, least, most].map(figure);
            writeln!(
                table,
                "| {row} | {what} | {middle} {unit} ({least}..{most}) | {goal} | {reached} |"
            )
            .expect("writing to a string cannot fail");
        }
        table
    }
}

/// The fewest answers of a whole second.
fn slowest_second(seen: &Seen) -> f64 {
    let whole = seen.by_second.len().saturating_sub(1);
    seen.by_second[..whole].iter().map(|second| second.count).min().unwrap_or(0) as f64
}

/// Groups what has the same key, in the order in which each key came first.
fn grouped<'a, T, K: PartialEq>(all: &'a [T], key: impl Fn(&'a T) -> K) -> Vec<Vec<&'a T>> {
    let mut groups: Vec<(K, Vec<&T>)> = Vec::new();
    for one in all {
        let its = key(one);
        match groups.iter_mut().find(|(key, _)| *key == its) {
            Some((_, group)) => group.push(one),
            None => groups.push((its, vec![one])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}
