//! A server with a folder of its own: started, asked, broken, and started again.

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

/// For tests with replicas and many connections.
const COMMON: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("max_connections", "300"),
    ("shared_buffers", "64MB"),
    ("wal_level", "replica"),
    ("max_wal_senders", "10"),
    ("hot_standby", "on"),
    // A replica that was away finds what it missed, without a slot that fills the disk if it stays away.
    ("wal_keep_size", "256MB"),
    // Else in /dev/shm, where a killed server would leave it.
    ("dynamic_shared_memory_type", "mmap"),
];

/// With hundreds of databases, autovacuum would go round them all the time.
const VOLATILE: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("autovacuum", "off"),
];

/// How a cluster is set up. By default it is quick and does not keep what it acknowledges.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Whether it keeps what it acknowledges through a crash, as PostgreSQL does unless told otherwise.
    /// If not, it waits for no disk, and vacuums only when it is told to.
    pub durable: bool,
    /// More settings of `postgresql.conf`, which go before those that a cluster has by itself.
    pub extra: Vec<(String, String)>,
}

impl Settings {
    /// Those of a cluster that keeps what it acknowledges through a crash.
    pub fn durable() -> Self {
        Self { durable: true, ..Self::default() }
    }

    /// With more settings of `postgresql.conf`.
    #[must_use]
    pub fn with(mut self, extra: &[(&str, &str)]) -> Self {
        let owned = extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.extra.extend(owned);
        self
    }

    /// The lines of `postgresql.conf`, of which the last one of a name holds.
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

/// A running server on 127.0.0.1, whose superuser `postgres` needs no password.
///
/// Dropped, it is stopped at once and its folder removed. What breaks it takes `&mut self`, so nobody
/// breaks the [`shared`](crate::shared()) one.
#[derive(Debug)]
pub struct Cluster {
    binaries: Binaries,
    account: Account,
    port: u16,
    /// While it runs.
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

    /// A replica of this one, which follows it by streaming and can be read from.
    ///
    /// It has the same settings. It is a cluster in its own right, and lives on when this one ends.
    pub fn replica(&self) -> Result<Self, Error> {
        let port = self.port.to_string();
        let make = ["-D", "data", "-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-R"];
        let make = [&make[..], &["-X", "stream", "--checkpoint=fast", "--no-sync"]].concat();
        Self::make(self.binaries.clone(), "pg_basebackup", &make)?.started()
    }

    /// One that does not run yet.
    fn make(binaries: Binaries, program: &'static str, arguments: &[&str]) -> Result<Self, Error> {
        let account = Account::unprivileged()?;
        let path = binaries.program(program);
        let mut make: Vec<&OsStr> = vec![path.as_ref()];
        make.extend(arguments.iter().map(OsStr::new));
        let guardian = Guardian::new(account, &binaries.program("postgres"), program, &make)?;
        let console = Mutex::new(None);
        Ok(Self { binaries, account, port: 0, postmaster: None, console, guardian })
    }

    /// Starts it on a port that is free.
    fn started(mut self) -> Result<Self, Error> {
        let mut tries = 20;
        loop {
            self.port = free_port().map_err(Error::system("find a free port"))?;
            match self.start_again() {
                // Somebody else was quicker.
                Err(Error::Failed { log, .. })
                    if tries > 0 && log.contains("Address already in use") =>
                {
                    tries -= 1;
                }
                result => return result.map(|()| self),
            }
        }
    }

    /// Starts it on the same port and folder, after [`Cluster::kill`] or [`Cluster::stop_fast`], and waits
    /// until it takes connections. If it runs, nothing is done.
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

    /// Not asked through the port, which might be another server's.
    fn is_ready(&self, postmaster: Pid) -> bool {
        let file = std::fs::read_to_string(self.guardian.data().join("postmaster.pid"));
        file.is_ok_and(|file| {
            let mut lines = file.lines();
            // One that was killed left its file.
            let of = lines.next().is_some_and(|pid| pid == postmaster.to_string());
            of && lines.nth(6).is_some_and(|status| status.trim_end() == "ready")
        })
    }

    /// Where it takes connections.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The url of a database, whether there is one of that name or not.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.address())
    }

    /// The process that is the parent of the server's others, while the server runs.
    pub fn postmaster(&self) -> Option<u32> {
        self.postmaster.map(|pid| pid.as_raw_pid().unsigned_abs())
    }

    /// The folder of its data; beside it is its log.
    pub fn folder(&self) -> &Path {
        self.guardian.folder()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.guardian.log_from(0)
    }

    /// Its programs.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The url of a new, empty database, which lives as long as the cluster.
    pub fn new_database(&self) -> Result<String, Error> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        self.postmaster.ok_or(Error::Stopped)?;
        // Of this process, since a promoted replica has those of its primary as well.
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

    /// Runs statements in a database, given by its name or url, by a `psql` of their own: for what a test
    /// does on the side. Returns rows as lines and columns separated by `|`.
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

    /// Kills all its processes, at once and whatever they do: as if the machine had lost its power, but
    /// that the operating system still writes what it was given.
    pub fn kill(&mut self) -> Result<(), Error> {
        let postmaster = self.end()?;
        self.expect(processes::kill(postmaster), "kill the server")
    }

    /// Has it cut its clients, finish what it has to write, and end.
    pub fn stop_fast(&mut self) -> Result<(), Error> {
        let postmaster = self.end()?;
        processes::thaw(postmaster);
        processes::signal(postmaster, Signal::INT);
        let ended = processes::becomes(|| processes::has_ended(postmaster));
        self.expect(ended, "stop the server")
    }

    /// Halts all its processes: it keeps its connections, and answers nothing.
    pub fn freeze(&mut self) -> Result<(), Error> {
        let postmaster = self.postmaster.ok_or(Error::Stopped)?;
        self.expect(processes::freeze(postmaster), "halt the server")
    }

    /// Lets it go on after [`Cluster::freeze`].
    pub fn thaw(&mut self) -> Result<(), Error> {
        processes::thaw(self.postmaster.ok_or(Error::Stopped)?);
        Ok(())
    }

    /// Makes a replica a primary, and waits until it takes writes.
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

    /// The postmaster, which counts as ended from now on.
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
        // The guardian does the rest, but halted processes would keep it waiting for seconds.
        if let Ok(postmaster) = self.end() {
            processes::thaw(postmaster);
        }
    }
}

/// A port that nobody listens on, and below those that the kernel gives out by itself, so that it is
/// still free when a server that was stopped starts again.
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
