//! Runs pgbench with statements that are equivalent to the product's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use postgres_cluster::Cluster;

use crate::outcome::Outcome;
use crate::tally::{Seen, Tally};

/// The part of the product's insert that one statement can do, with the same row and indexes.
pub(crate) const INSERT: &str = "\\set number random(1, 1000000000000)
INSERT INTO dataapi.dialog (ref, date, shard, dialog_id, customer_id, language, text, state)
VALUES (sha256((:client_id || '-' || :number)::bytea), :number, :client_id % 32, 'd-' || :client_id || '-' || :number,
        'customer-' || (:number::bigint % 1000), 'en', repeat('where is my parcel? ', 10), 1)
ON CONFLICT DO NOTHING;
";

/// pgbench, with as many clients as the load generator has connections, and at most two threads.
pub(crate) struct Rival<'c> {
    program: PathBuf,
    folder: PathBuf,
    cluster: &'c Cluster,
}

impl<'c> Rival<'c> {
    pub(crate) fn new(cluster: &'c Cluster, folder: &Path) -> Outcome<Self> {
        let program = cluster.binaries().pgbench().ok_or("there is no pgbench")?;
        Ok(Self { program, folder: folder.to_owned(), cluster })
    }

    /// Runs a script, and returns how many transactions it did per second.
    pub(crate) fn run(
        &self,
        url: &str,
        script: &str,
        clients: usize,
        seconds: f64,
    ) -> Outcome<f64> {
        let told = self.tell(url, script, clients, seconds, &[])?;
        let line = told.lines().find(|line| line.starts_with("tps = "));
        let tps = line.and_then(|line| line.split_whitespace().nth(2));
        Ok(tps.ok_or("pgbench did not print its transactions per second")?.parse()?)
    }

    /// Runs a script at a rate. Returns the latencies after the warm-up, from the time at which each transaction was
    /// due.
    pub(crate) fn run_at(
        &self,
        url: &str,
        script: &str,
        clients: usize,
        rate: f64,
        (warm_up, seconds): (f64, f64),
    ) -> Outcome<Seen> {
        let prefix = "transactions";
        let path = self.folder.join(prefix);
        let path = path.to_str().ok_or("the path of Cargo's target folder is not UTF-8")?;
        let more = ["--rate", &rate.to_string(), "--log", "--log-prefix", path];
        self.tell(url, script, clients, warm_up + seconds, &more)?;
        let mut done = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let log = entry?;
            if log.file_name().to_string_lossy().starts_with(prefix) {
                let lines = fs::read_to_string(log.path())?;
                done.extend(lines.lines().filter_map(Transaction::parse));
                fs::remove_file(log.path())?;
            }
        }
        let first = done.iter().map(|one| one.due).min().unwrap_or_default();
        let counted_from = first + Duration::from_secs_f64(warm_up);
        let mut tally = Tally::new()?;
        for Transaction { due, took } in done {
            tally.succeeded();
            if let Some(after) = due.checked_sub(counted_from) {
                tally.record(after + took, took);
            }
        }
        Ok(tally.seen())
    }

    /// Runs a script, and returns what pgbench prints.
    fn tell(
        &self,
        url: &str,
        script: &str,
        clients: usize,
        seconds: f64,
        more: &[&str],
    ) -> Outcome<String> {
        let file: &Path = &self.folder.join("pgbench.sql");
        fs::write(file, script)?;
        let address = self.cluster.address();
        let output = Command::new(&self.program)
            .args(["--no-vacuum", "--protocol", "prepared", "--username", "postgres"])
            .args(["--host", &address.ip().to_string(), "--port", &address.port().to_string()])
            .args(["--client", &clients.to_string(), "--jobs", &clients.min(2).to_string()])
            .args(["--time", &format!("{}", seconds.ceil().max(1.0))])
            .args(more)
            .arg("--file")
            .arg(file)
            .arg(name_of(url))
            .stderr(Stdio::inherit())
            .output()?;
        Ok(String::from_utf8(output.stdout)?)
    }
}

pub(crate) fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// A line of pgbench's log.
struct Transaction {
    /// Since 1970.
    due: Duration,
    /// From then on.
    took: Duration,
}

impl Transaction {
    /// The columns are client, number, time, script, seconds and microseconds of the end, and lag.
    fn parse(line: &str) -> Option<Self> {
        let mut columns = line.split(' ').skip(2).map(str::parse::<u64>);
        let took = Duration::from_micros(columns.next()?.ok()?);
        let (seconds, micros) = (columns.nth(1)?.ok()?, columns.next()?.ok()?);
        let ended = Duration::from_secs(seconds) + Duration::from_micros(micros);
        Some(Self { due: ended.checked_sub(took)?, took })
    }
}
