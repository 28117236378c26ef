//! The product as its users run it: builds and starts the real server and the real command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::outcome::Outcome;
use crate::process::{Process, fetch, free_address, wait_until_ready};
use crate::programs::Programs;

/// The product: its programs, built.
#[derive(Debug)]
pub(crate) struct Product {
    server: PathBuf,
    command: PathBuf,
}

impl Product {
    /// Builds the programs with this profile of Cargo. Cargo's environment variables apply.
    pub(crate) fn build(profile: &str) -> Outcome<Self> {
        let built = Programs::build(profile, &["dataapi-server", "dataapi-cli"])?;
        Ok(Self { server: built.path("dataapi-server")?, command: built.path("dataapi")? })
    }

    /// The programs that somebody has built.
    pub(crate) fn built(server: &Path, command: Option<&Path>) -> Self {
        let command = command.map_or_else(|| server.with_file_name("dataapi"), Into::into);
        Self { server: server.into(), command }
    }

    pub(crate) fn serve(&self, store: &Path) -> Outcome<Server> {
        self.serve_with(store, &[])
    }

    pub(crate) fn serve_with(&self, store: &Path, more: &[&str]) -> Outcome<Server> {
        self.start(&url(store), more)
    }

    /// Starts the server on a store of any backend.
    pub(crate) fn serve_url(&self, url: &str) -> Outcome<Server> {
        self.start(url, &[])
    }

    fn start(&self, url: &str, more: &[&str]) -> Outcome<Server> {
        let address = free_address()?;
        let mut command = Command::new(&self.server);
        command
            .args(["--listen", &address.to_string(), "--store", url])
            // The measured stores have old dialogs, which must not be purged.
            .args(["--purge-pending-after", "never"])
            .args(more)
            .env("DATAAPI_LOG", "warn")
            .stdout(Stdio::null());
        let started = Instant::now();
        let mut process = Process::start(&mut command)?;
        let ready_after = wait_until_ready(&mut process, address, "/health/ready", started)?;
        Ok(Server { address, ready_after, process })
    }

    /// Starts the command line on a store.
    pub(crate) fn start_command(&self, store: &Path, arguments: &[&str]) -> Outcome<Process> {
        let mut command = Command::new(&self.command);
        command.args(["--quiet", "--store", &url(store)]).args(arguments);
        Process::start(command.stdout(Stdio::null()))
    }

    /// Runs the command line on a store. Returns how long it took, and its peak memory in bytes.
    pub(crate) fn command(&self, store: &Path, arguments: &[&str]) -> Outcome<(Duration, u64)> {
        let started = Instant::now();
        let mut process = self.start_command(store, arguments)?;
        let mut peak = 0;
        loop {
            if let Some(status) = process.ended()? {
                return if status.success() {
                    Ok((started.elapsed(), peak))
                } else {
                    Err(format!("dataapi {arguments:?} ended with {status}").into())
                };
            }
            peak = peak.max(process.memory("VmHWM").unwrap_or(0));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn url(store: &Path) -> String {
    format!("sqlite:{}", store.display())
}

/// A running server. It is stopped by SIGTERM, as an operator would, when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// The time from its start to the first 200.
    pub(crate) ready_after: Duration,
    process: Process,
}

impl Server {
    pub(crate) fn get(&self, path: &str) -> Outcome<Vec<u8>> {
        fetch(self.address, path)
    }

    /// How many bytes it has caused to be written to disks.
    pub(crate) fn written_bytes(&self) -> Outcome<u64> {
        self.process.written_bytes()
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        self.process.memory("VmRSS").unwrap_or(0)
    }
}
