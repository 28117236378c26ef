//! The product as its users run it: builds and starts the real server and the real command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::outcome::Outcome;
use crate::process::{Process, fetch, free_address, wait_until_ready};

/// The product's programs, built.
#[derive(Debug)]
pub(crate) struct Programs {
    server: PathBuf,
    command: PathBuf,
}

impl Programs {
    /// Builds the programs with this profile of Cargo. Cargo's environment variables apply.
    pub(crate) fn build(profile: &str) -> Outcome<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--locked", "--profile", profile])
            .args(["-p", "dataapi-server", "-p", "dataapi-cli"])
            .arg("--message-format=json-render-diagnostics")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err("the product cannot be built".into());
        }
        let messages = String::from_utf8(output.stdout)?;
        let built = |name: &str| {
            messages
                .lines()
                .filter_map(|line| serde_json::from_str::<Built>(line).ok())
                .find_map(|built| built.executable.filter(|path| path.ends_with(name)))
                .ok_or_else(|| format!("Cargo did not say where it put {name}"))
        };
        Ok(Self { server: built("dataapi-server")?, command: built("dataapi")? })
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

    /// Runs the command line on a store. Returns how long it took, and its peak memory in bytes.
    pub(crate) fn command(&self, store: &Path, arguments: &[&str]) -> Outcome<(Duration, u64)> {
        let mut command = Command::new(&self.command);
        command.args(["--quiet", "--store", &url(store)]).args(arguments);
        let started = Instant::now();
        let mut process = Process::start(&mut command)?;
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

/// A message of Cargo that says where it put a program.
#[derive(Deserialize)]
struct Built {
    executable: Option<PathBuf>,
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

    pub(crate) fn resident_bytes(&self) -> u64 {
        self.process.memory("VmRSS").unwrap_or(0)
    }
}
