//! Measures how time, memory and files grow with the number of dialogs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use dataapi::{Decision, Dialogs, Evidence, Filter, Limit, PageRequest, Reach, Start, Window};
use dataapi_sqlite::SqliteStore;

use crate::bench::Bench;
use crate::chart;
use crate::curve::Curve;
use crate::data::{self, CONSENTED, PENDING, Space};
use crate::load::{Requests, Spec};
use crate::outcome::Outcome;
use crate::product::Server;
use crate::raw::Raw;
use crate::report::{self, figure};

const SIZES: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];

/// The figures that must not grow to more than [`MOST`] times that of the smallest store.
const STEADY: [&str; 8] = [PAGE, DEEP, TOTAL, BY_ID, HTTP_PAGE, HTTP_DEEP, HTTP_TOTAL, HTTP_BY_ID];
const MOST: f64 = 1.5;

/// All figures, in the order of the table.
const ALL: [&str; 14] = [
    PAGE, DEEP, RAW_DEEP, TOTAL, BY_ID, RAW_BY_ID, HTTP_PAGE, HTTP_DEEP, HTTP_TOTAL, HTTP_BY_ID,
    INSERT, DECISION, RESIDENT, FILE,
];

const PAGE: &str = "newest page of 100, µs";
const DEEP: &str = "page of 100 by cursor from anywhere, µs";
const TOTAL: &str = "page of 1 with total, µs";
const BY_ID: &str = "by id, µs";
const RAW_DEEP: &str = "the same page, SQLite alone, µs";
const RAW_BY_ID: &str = "by id, SQLite alone, µs";
const HTTP_PAGE: &str = "newest page of 100 over HTTP, µs";
const HTTP_DEEP: &str = "page of 100 by cursor over HTTP, µs";
const HTTP_TOTAL: &str = "page of 1 with total over HTTP, µs";
const HTTP_BY_ID: &str = "by id over HTTP, µs";
const INSERT: &str = "insert alone, µs";
const DECISION: &str = "grant alone, µs";
const RESIDENT: &str = "server resident after that, MB";
const FILE: &str = "file, MB";

/// How many pending dialogs each store has. Each is decided on once.
const PENDING_DIALOGS: u64 = 2_000;
const FRESH: Space = Space(3);

pub(crate) fn measure(bench: &Bench) -> Outcome<()> {
    let sizes = if bench.args.growth_10m { &SIZES[..] } else { &SIZES[..3] };
    let mut figures: BTreeMap<&str, BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
    for &dialogs in sizes {
        eprintln!("building a store of {dialogs} dialogs");
        bench.runtime.block_on(data::build(&path(bench, dialogs), dialogs, PENDING_DIALOGS))?;
    }
    for round in 0..bench.args.rounds {
        for &dialogs in sizes {
            eprintln!("round {} of {}: {dialogs} dialogs", round + 1, bench.args.rounds);
            for (name, figure) in of_size(bench, &path(bench, dialogs), dialogs, round)? {
                figures.entry(name).or_default().entry(dialogs).or_default().push(figure);
            }
        }
    }
    let at_most = |name| STEADY.contains(&name).then_some(MOST);
    let curve = |name| Curve::of(name, figures.get(name)?, at_most(name));
    let curves: Vec<_> = ALL.into_iter().filter_map(curve).collect();
    println!("{}", table(&curves, sizes));
    report::write_json(&bench.results.join("growth.json"), &curves)?;
    chart::growth(&bench.results.join("growth.svg"), &curves)?;
    println!("written: growth.json and growth.svg in {}", bench.results.display());
    Ok(())
}

fn path(bench: &Bench, dialogs: u64) -> std::path::PathBuf {
    bench.folder.path().join(format!("{dialogs}.db"))
}

fn of_size(
    bench: &Bench,
    path: &Path,
    dialogs: u64,
    round: u64,
) -> Outcome<Vec<(&'static str, f64)>> {
    let mut figures = by_library(bench, &data::open(path)?, dialogs, round)?;
    figures.extend(by_sqlite(bench, path, dialogs)?);
    let server = bench.programs.serve(path)?;
    figures.extend(over_http(bench, &server, dialogs)?);
    figures.push((RESIDENT, server.resident_bytes() as f64 / 1e6));
    figures.push((FILE, std::fs::metadata(path)?.len() as f64 / 1e6));
    Ok(figures)
}

fn by_library(
    bench: &Bench,
    store: &SqliteStore,
    dialogs: u64,
    round: u64,
) -> Outcome<Vec<(&'static str, f64)>> {
    let query = |limit, start, total| {
        let window = Window { limit: Limit::new(limit)?, start, total };
        let request = PageRequest::new(Filter::default(), window)?;
        let page = bench.runtime.block_on(store.query(&request))?;
        std::hint::black_box(data::bytes_of(&page.items));
        Ok(())
    };
    let mut places = data::shuffled(dialogs).cycle();
    let mut place = || places.next().unwrap_or(0);
    let seconds = bench.args.seconds;
    let each = PENDING_DIALOGS / bench.args.rounds;
    Ok(vec![
        (PAGE, typical(seconds, |_| query(100, Start::default(), false))?),
        (DEEP, typical(seconds, |_| query(100, Start::After(data::cursor_after(place())), false))?),
        (TOTAL, typical(seconds, |_| query(1, Start::default(), true))?),
        (
            BY_ID,
            typical(seconds, |_| {
                let dialog = CONSENTED.dialog(place());
                let all = Reach::default();
                let read = store.dialog(&dialog.customer_id, &dialog.dialog_id, &all);
                bench.runtime.block_on(read)?;
                Ok(())
            })?,
        ),
        (
            INSERT,
            typical_of(each, |time| {
                bench.runtime.block_on(store.insert(FRESH.dialog(round * each + time)))?;
                Ok(())
            })?,
        ),
        (
            DECISION,
            typical_of(each, |time| {
                let id = PENDING.id(round * each + time).parse()?;
                let decision = store.decide(id, Decision::Granted, Evidence::default());
                bench.runtime.block_on(decision)?;
                Ok(())
            })?,
        ),
    ])
}

/// Measures two of the same reads with SQLite alone.
fn by_sqlite(bench: &Bench, path: &Path, dialogs: u64) -> Outcome<Vec<(&'static str, f64)>> {
    let raw = Raw::open(path)?;
    let mut places = data::shuffled(dialogs).cycle();
    let mut place = || places.next().unwrap_or(0);
    let seconds = bench.args.seconds;
    Ok(vec![
        (RAW_DEEP, typical(seconds, |_| raw.page_after(100, place()))?),
        (RAW_BY_ID, typical(seconds, |_| raw.by_id(&CONSENTED.id(place())))?),
    ])
}

/// Measures how long one client with a keep-alive connection waits.
fn over_http(bench: &Bench, server: &Server, dialogs: u64) -> Outcome<Vec<(&'static str, f64)>> {
    const MOST_TARGETS: usize = 200_000;
    let file = bench.folder.path().join("targets");
    let targets = |target: &dyn Fn(u64) -> String| {
        let lines: Vec<_> = data::shuffled(dialogs).take(MOST_TARGETS).map(target).collect();
        std::fs::write(&file, lines.join("\n") + "\n")
    };
    let median = |requests| {
        let spec = Spec::new(server.address, bench.args.seconds, requests);
        Ok::<_, Box<dyn std::error::Error>>(Spec { connections: 1, ..spec }.run()?.p50_ms * 1e3)
    };
    let each =
        |prefix: &str| Requests::Targets { prefix: prefix.to_owned(), file: file.clone(), from: 0 };
    let newest = median(Requests::Get("/data/?limit=100&total=false".into()))?;
    let total = median(Requests::Get("/data/?limit=1".into()))?;
    targets(&|number| data::cursor_after(number).to_string())?;
    let deep = median(each("/data/?limit=100&total=false&cursor="))?;
    targets(&|number| format!("{}/{}", data::customer(number), CONSENTED.id(number)))?;
    let by_id = median(each("/data/"))?;
    Ok(vec![(HTTP_PAGE, newest), (HTTP_DEEP, deep), (HTTP_TOTAL, total), (HTTP_BY_ID, by_id)])
}

/// The median time of `once` in microseconds, repeated for `seconds`.
fn typical(seconds: f64, mut once: impl FnMut(u64) -> Outcome<()>) -> Outcome<f64> {
    let started = Instant::now();
    let mut micros = Vec::new();
    while started.elapsed().as_secs_f64() < seconds {
        micros.push(timed(|| once(0))?);
    }
    Ok(report::median(micros.into_iter()).unwrap_or(0.0))
}

/// The median time of `once` in microseconds, repeated `times` times.
fn typical_of(times: u64, mut once: impl FnMut(u64) -> Outcome<()>) -> Outcome<f64> {
    let micros = (0..times).map(|time| timed(|| once(time))).collect::<Outcome<Vec<_>>>()?;
    Ok(report::median(micros.into_iter()).unwrap_or(0.0))
}

fn timed(once: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
    let started = Instant::now();
    once()?;
    Ok(started.elapsed().as_secs_f64() * 1e6)
}

fn table(curves: &[Curve], sizes: &[u64]) -> String {
    let mut table = String::from("| what |");
    for dialogs in sizes {
        let _ = write!(table, " {} |", figure(*dialogs as f64));
    }
    table.push_str(" growth | goal | reached |\n|---|");
    table.push_str(&"---:|".repeat(sizes.len() + 2));
    table.push_str("---|\n");
    for curve in curves {
        let _ = write!(table, "| {} |", curve.name);
        for value in curve.figures.values() {
            let _ = write!(table, " {} |", figure(*value));
        }
        let goal = curve.at_most.map_or(String::new(), |most| format!("<= {most}"));
        let reached = curve.reached.map_or("", |reached| if reached { "yes" } else { "NO" });
        let _ = writeln!(table, " {:.2} | {goal} | {reached} |", curve.growth);
    }
    table
}
