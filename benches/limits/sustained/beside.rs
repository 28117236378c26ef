//! Inserts beside other programs that use the store: one that holds snapshots, backups, and an import.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::data;
use crate::load::Spec;
use crate::outcome::Outcome;
use crate::process::Process;
use crate::product::Product;
use crate::report::Goal;
use crate::sustained::results::Results;
use crate::sustained::stage::{FRESH, HALF, Stage};

const SNAPSHOTS: &str = "inserts at half, snapshots held";
const BACKUPS: &str = "inserts at half, backups";
const IMPORT: &str = "inserts at half, an import";

/// How long a snapshot is held, and how long none is.
const HELD: Duration = Duration::from_secs(5);
const NOT_HELD: Duration = Duration::from_secs(1);

const LOG_LOOK: Duration = Duration::from_millis(100);
/// How long after the load the log has to be below its limit.
const AFTERWARDS: Duration = Duration::from_secs(10);

pub(crate) struct Beside {
    lines: PathBuf,
    backup: PathBuf,
}

impl Beside {
    pub(crate) fn prepare(stage: &Stage<'_>, results: &Results) -> Outcome<Self> {
        let [lines, backup] =
            ["import.jsonl", "backup.db"].map(|name| stage.bench.folder.path().join(name));
        if results.wants(&[IMPORT]) {
            data::write_lines(&lines, stage.bench.args.dialogs)?;
        }
        Ok(Self { lines, backup })
    }

    pub(crate) fn measure(&self, stage: &mut Stage<'_>, results: &mut Results) -> Outcome<()> {
        if results.wants(&[SNAPSHOTS]) {
            let mut holder = Command::new(std::env::current_exe()?);
            holder.arg("hold").arg(&stage.store);
            inserts(stage, results, SNAPSHOTS, |stop| {
                let _holder = Process::start(&mut holder)?;
                wait_for(stop);
                Ok(())
            })?;
        }
        let (programs, store) = (&stage.bench.programs, stage.store.clone());
        if results.wants(&[BACKUPS]) {
            inserts(stage, results, BACKUPS, |stop| self.backups(programs, &store, stop))?;
        }
        if results.wants(&[IMPORT]) {
            inserts(stage, results, IMPORT, |stop| self.import(programs, &store, stop))?;
        }
        data::remove(&stage.store)
    }

    fn backups(&self, programs: &Product, store: &Path, stop: &AtomicBool) -> Outcome<()> {
        let (started, mut count) = (Instant::now(), 0_u32);
        while !stop.load(Ordering::Relaxed) {
            programs.command(store, &["backup", text(&self.backup)?])?;
            data::remove(&self.backup)?;
            count += 1;
        }
        eprintln!("  {count} backups in {:.0} s", started.elapsed().as_secs_f64());
        Ok(())
    }

    fn import(&self, programs: &Product, store: &Path, stop: &AtomicBool) -> Outcome<()> {
        let started = Instant::now();
        let mut import = programs.start_command(store, &["import", text(&self.lines)?])?;
        while !stop.load(Ordering::Relaxed) {
            if let Some(status) = import.ended()? {
                let took = started.elapsed().as_secs_f64();
                if !status.success() {
                    return Err(format!("the import ended with {status}").into());
                }
                eprintln!("warning: the import took only {took:.0} s: use more --dialogs");
                break;
            }
            std::thread::sleep(LOG_LOOK);
        }
        Ok(())
    }
}

/// Measures inserts while `other` uses the store, until it is told to stop.
fn inserts(
    stage: &mut Stage<'_>,
    results: &mut Results,
    row: &'static str,
    other: impl FnOnce(&AtomicBool) -> Outcome<()> + Send,
) -> Outcome<()> {
    let rate = stage.insert_rate()? * HALF;
    let server = stage.serve_empty()?;
    let spec = Spec { rate: Some(rate), ..stage.inserts(server.address, FRESH) };
    let mut log = stage.store.clone().into_os_string();
    log.push("-wal");
    let (log, stop) = (Path::new(&log), AtomicBool::new(false));
    let (seen, largest) = std::thread::scope(|scope| -> Outcome<_> {
        let other = scope.spawn(|| other(&stop).map_err(|error| error.to_string()));
        let largest = scope.spawn(|| largest(log, &stop));
        let seen = spec.run();
        stop.store(true, Ordering::Relaxed);
        other.join().map_err(|_| "the other program's thread panicked")??;
        Ok((seen?, largest.join().map_err(|_| "the watch of the log panicked")?))
    })?;
    results.load(row, Some(rate), &seen);
    let p99 = stage.of_reference(seen.p99_ms);
    results.figure(row, ("p99, of the reference", ""), p99, Some(Goal::AtMost(5.0)));
    results.figure(row, ("largest log", "MB"), largest, None);
    let (limit, ended) = (stage.bench.args.log_limit_mb, Instant::now());
    while megabytes(log) > limit && ended.elapsed() < AFTERWARDS {
        std::thread::sleep(LOG_LOOK);
    }
    let afterwards = megabytes(log) / limit;
    results.figure(row, ("log afterwards, of its limit", ""), afterwards, Some(Goal::AtMost(1.0)));
    Ok(())
}

fn largest(log: &Path, stop: &AtomicBool) -> f64 {
    let mut largest = 0.0;
    while !stop.load(Ordering::Relaxed) {
        largest = megabytes(log).max(largest);
        std::thread::sleep(LOG_LOOK);
    }
    largest
}

fn megabytes(log: &Path) -> f64 {
    std::fs::metadata(log).map_or(0.0, |log| log.len() as f64 / 1e6)
}

fn wait_for(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOG_LOOK);
    }
}

fn text(path: &Path) -> Outcome<&str> {
    Ok(path.to_str().ok_or("the path of Cargo's target folder is not UTF-8")?)
}

/// Holds a snapshot for a while, again and again, in a separate process until that is stopped.
pub(crate) fn hold(store: &Path) -> Outcome<()> {
    let sql = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    loop {
        sql.execute_batch("BEGIN")?;
        sql.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
        std::thread::sleep(HELD);
        sql.execute_batch("COMMIT")?;
        std::thread::sleep(NOT_HELD);
    }
}
