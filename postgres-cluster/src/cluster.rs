//! A server with its own folder. It can be started, queried, broken and started again.

use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::hash::{BuildHasher, Hasher};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal};

use crate::account::Account;
use crate::binaries::Binaries;
use crate::console::Console;
use crate::error::Error;
use crate::guardian::Guardian;
use crate::processes;

/// Settings for tests with replicas and many connections.
const COMMON: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("max_connections", "300"),
    ("shared_buffers", "64MB"),
    ("wal_level", "replica"),
    ("max_wal_senders", "10"),
    ("hot_standby", "on"),
    // A replica that was stopped can catch up, without a slot that would fill the disk if the replica stays away.
    ("wal_keep_size", "256MB"),
    // The default is /dev/shm, where a killed server would leave its memory behind.
    ("dynamic_shared_memory_type", "mmap"),
    // DataAPI refuses a server that does not wait for the disk.
    ("dataapi.durability", "unchecked"),
];

/// Settings of a cluster that is not durable. With hundreds of databases, autovacuum would run all the time.
const VOLATILE: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("autovacuum", "off"),
];

/// The settings of a cluster. The default cluster is fast and can lose acknowledged writes in a crash.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Whether acknowledged writes survive a crash, as they do in PostgreSQL by default. If not, the cluster never
    /// waits for the disk, and it does not run autovacuum.
    pub durable: bool,
    /// More settings for `postgresql.conf`. They override the cluster's own.
    pub extra: Vec<(String, String)>,
}

impl Settings {
    /// The settings of a cluster whose acknowledged writes survive a crash.
    pub fn durable() -> Self {
        Self { durable: true, ..Self::default() }
    }

    /// Adds settings for `postgresql.conf`.
    #[must_use]
    pub fn with(mut self, extra: &[(&str, &str)]) -> Self {
        let owned = extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.extra.extend(owned);
        self
    }

    /// Returns the lines for `postgresql.conf`. The last line with a name wins.
    fn lines(&self) -> String {
        let volatile = if self.durable { &[] } else { VOLATILE };
        let own = COMMON.iter().chain(volatile).copied();
        let extra = self.extra.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        own.chain(extra).fold(String::from("\n"), |mut lines, (name, value)| {
            let value = value.replace('\'', "''");
            let _ = writeln!(lines, "{name} = '{value}'");
            lines
        })
    }
}

/// A running server on 127.0.0.1. Its superuser `postgres` needs no password.
///
/// When this is dropped, the server is stopped at once and its folder removed. Methods that break the server take `&mut
/// self`, so no test can break the [`shared`](crate::shared()) one.
#[derive(Debug)]
pub struct Cluster {
    binaries: Binaries,
    account: Account,
    port: u16,
    /// The server's main process, while it runs.
    postmaster: Option<Pid>,
    console: Mutex<Option<Console>>,
    guardian: Guardian,
}

impl Cluster {
    /// Makes a cluster in a temporary folder and starts it.
    pub fn start(settings: &Settings) -> Result<Self, Error> {
        let binaries = Binaries::find().ok_or(Error::NotInstalled)?;
        let make = ["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"];
        let make = [&make[..], &["--no-sync", "--no-instructions"]].concat();
        let cluster = Self::make(binaries, "initdb", &make)?;
        let file = cluster.guardian.data().join("postgresql.conf");
        OpenOptions::new()
            .append(true)
            .open(file)
            .and_then(|mut file| file.write_all(settings.lines().as_bytes()))
            .map_err(Error::system("write postgresql.conf"))?;
        cluster.started()
    }

    /// Makes and starts a replica of this cluster, which follows it by streaming and can be read from.
    ///
    /// It has the same settings. It is a separate cluster and keeps running when this one ends.
    pub fn replica(&self) -> Result<Self, Error> {
        let port = self.port.to_string();
        let make = ["-D", "data", "-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-R"];
        let make = [&make[..], &["-X", "stream", "--checkpoint=fast", "--no-sync"]].concat();
        Self::make(self.binaries.clone(), "pg_basebackup", &make)?.started()
    }

    /// Makes a cluster without starting it.
    fn make(binaries: Binaries, program: &'static str, arguments: &[&str]) -> Result<Self, Error> {
        let account = Account::unprivileged()?;
        let path = binaries.program(program);
        let mut make: Vec<&OsStr> = vec![path.as_ref()];
        make.extend(arguments.iter().map(OsStr::new));
        let guardian = Guardian::new(account, &binaries.program("postgres"), program, &make)?;
        let console = Mutex::new(None);
        Ok(Self { binaries, account, port: 0, postmaster: None, console, guardian })
    }

    /// Starts it on a free port.
    fn started(mut self) -> Result<Self, Error> {
        let mut tries = 20;
        loop {
            self.port = free_port().map_err(Error::system("find a free port"))?;
            match self.start_again() {
                // Another process took the port first.
                Err(Error::Failed { log, .. })
                    if tries > 0 && log.contains("Address already in use") =>
                {
                    tries -= 1;
                }
                result => return result.map(|()| self),
            }
        }
    }

    /// Starts the server with the same port and folder after [`Cluster::kill`] or [`Cluster::stop_fast`], and waits
    /// until it accepts connections. Does nothing if it is running.
    pub fn start_again(&mut self) -> Result<(), Error> {
        if self.postmaster.is_some() {
            return Ok(());
        }
        let log = self.guardian.log_length();
        let postmaster = self.guardian.start(self.port)?;
        let mut ended = false;
        let ready = processes::becomes(|| {
            ended = processes::has_ended(postmaster);
            ended || self.is_ready(postmaster)
        });
        if ready && !ended {
            self.postmaster = Some(postmaster);
            return Ok(());
        }
        processes::kill(postmaster);
        Err(self.guardian.failed("start the server", log))
    }

    /// Reads the server's file. The port might belong to another server.
    fn is_ready(&self, postmaster: Pid) -> bool {
        let file = std::fs::read_to_string(self.guardian.data().join("postmaster.pid"));
        file.is_ok_and(|file| {
            let mut lines = file.lines();
            // A server that was killed leaves its file behind.
            let of = lines.next().is_some_and(|pid| pid == postmaster.to_string());
            of && lines.nth(6).is_some_and(|status| status.trim_end() == "ready")
        })
    }

    /// Returns the address where it accepts connections.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Returns the URL of a database with this name, whether or not it exists.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.address())
    }

    /// Returns the id of the server's main process while it runs.
    pub fn postmaster(&self) -> Option<u32> {
        self.postmaster.map(|pid| pid.as_raw_pid().unsigned_abs())
    }

    /// Returns the folder that contains its data and its log.
    pub fn folder(&self) -> &Path {
        self.guardian.folder()
    }

    /// Returns its log.
    pub fn log(&self) -> String {
        self.guardian.log_from(0)
    }

    /// Returns its programs.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Makes a new, empty database, which exists as long as the cluster. Returns its URL.
    pub fn new_database(&self) -> Result<String, Error> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        self.postmaster.ok_or(Error::Stopped)?;
        // The counter is shared by the whole process, because a promoted replica has the databases of its primary too.
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let statement = format!("CREATE DATABASE {name} TEMPLATE template0");
        let mut console = self.console.lock().unwrap_or_else(PoisonError::into_inner);
        if console.is_none() {
            let mut psql = self.psql("postgres");
            *console = Some(Console::open(&mut psql).map_err(Error::system("start psql"))?);
        }
        match console.as_mut().map_or(Err(None), |console| console.run(&statement)) {
            Ok(()) => Ok(self.url(&name)),
            Err(answer) => {
                *console = None;
                let answer = answer.unwrap_or_else(|| "the connection ended".to_owned());
                Err(Error::Refused { statement, answer })
            }
        }
    }

    /// Runs statements in a database, given by its name or URL, through a separate `psql`. Meant for what a test does
    /// on the side. Returns one line for each row, with columns separated by `|`.
    pub fn sql(&self, database: &str, statements: &str) -> Result<String, Error> {
        self.postmaster.ok_or(Error::Stopped)?;
        let output = self
            .psql(database)
            .args(["-v", "ON_ERROR_STOP=1", "-c", statements])
            .stdin(Stdio::null())
            .output()
            .map_err(Error::system("start psql"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        }
        let answer = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        Err(Error::Refused { statement: statements.to_owned(), answer })
    }

    fn psql(&self, database: &str) -> Command {
        let database = database.rsplit('/').next().unwrap_or(database);
        let mut psql = self.account.command(&self.binaries.program("psql"), self.folder());
        psql.args(["-X", "-q", "-A", "-t", "-d", &self.url(database)]);
        psql
    }

    /// Kills all its processes at once. This is like a loss of power, except that the operating system still writes
    /// what it was given.
    pub fn kill(&mut self) -> Result<(), Error> {
        let postmaster = self.end()?;
        self.expect(processes::kill(postmaster), "kill the server")
    }

    /// Stops the server: it disconnects its clients, finishes its writes and ends.
    pub fn stop_fast(&mut self) -> Result<(), Error> {
        let postmaster = self.end()?;
        processes::thaw(postmaster);
        processes::signal(postmaster, Signal::INT);
        let ended = processes::becomes(|| processes::has_ended(postmaster));
        self.expect(ended, "stop the server")
    }

    /// Halts all its processes. It keeps its connections but answers nothing.
    pub fn freeze(&mut self) -> Result<(), Error> {
        let postmaster = self.postmaster.ok_or(Error::Stopped)?;
        self.expect(processes::freeze(postmaster), "halt the server")
    }

    /// Lets it continue after [`Cluster::freeze`].
    pub fn thaw(&mut self) -> Result<(), Error> {
        processes::thaw(self.postmaster.ok_or(Error::Stopped)?);
        Ok(())
    }

    /// Makes a replica a primary, and waits until it accepts writes.
    pub fn promote(&mut self) -> Result<(), Error> {
        self.postmaster.ok_or(Error::Stopped)?;
        let output = self
            .account
            .command(&self.binaries.program("pg_ctl"), self.folder())
            .args(["promote", "-D", "data", "-w"])
            .output()
            .map_err(Error::system("start pg_ctl"))?;
        let log = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        if output.status.success() {
            Ok(())
        } else {
            Err(Error::Failed { doing: "promote the replica", log })
        }
    }

    /// Returns the main process and forgets it: from now on the server counts as stopped.
    fn end(&mut self) -> Result<Pid, Error> {
        *self.console.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        self.postmaster.take().ok_or(Error::Stopped)
    }

    fn expect(&self, done: bool, doing: &'static str) -> Result<(), Error> {
        if done { Ok(()) } else { Err(self.guardian.failed(doing, 0)) }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The guardian does the rest, but would wait seconds for halted processes.
        if let Ok(postmaster) = self.end() {
            processes::thaw(postmaster);
        }
    }
}

/// Returns a port on which nothing listens. It is below the range from which the kernel assigns ports, so it is still
/// free when a stopped server starts again.
fn free_port() -> std::io::Result<u16> {
    const FIRST: u64 = 15_000;
    const COUNT: u64 = 17_000;
    let mut tries = 100;
    loop {
        let port = FIRST + RandomState::new().build_hasher().finish() % COUNT;
        let port = u16::try_from(port).expect("a small number");
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) if tries == 0 => return Err(error),
            Err(_) => tries -= 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_goes_before_what_a_cluster_has_by_itself() {
        let extra =
            vec![("fsync".to_owned(), "on".to_owned()), ("a.b".to_owned(), "c'd".to_owned())];
        let lines = Settings { durable: false, extra }.lines();
        let (off, on) = (lines.find("fsync = 'off'"), lines.find("fsync = 'on'"));
        assert!(off.is_some() && off < on, "{lines}");
        assert!(lines.ends_with("a.b = 'c''d'\n"), "{lines}");
        assert!(!Settings { durable: true, extra: Vec::new() }.lines().contains("fsync"));
    }
}
