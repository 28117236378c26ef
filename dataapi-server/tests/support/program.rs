//! Starts, stops and kills the server program.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use tempfile::NamedTempFile;

/// Returns a command with only these settings, whatever the environment of the test has.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dataapi-server"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DATAAPI_")) {
        command.env_remove(name);
    }
    command.args(args);
    command
}

/// Runs the program and waits until it ends.
pub(crate) fn output(args: &[&str]) -> Output {
    command(args).stdin(Stdio::null()).output().expect("the program runs")
}

/// Returns the URL of a store in `folder`.
pub(crate) fn store_in(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("dialogs.db").display())
}

/// Reads all files in `folder`.
pub(crate) fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("the folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.map(|path| (path.clone(), std::fs::read(path).expect("a file"))).collect()
}

/// Reports on standard error what cannot be tested on this machine.
pub(crate) fn not_tested(what: &str) {
    // The test harness would capture the output of a macro.
    let _ = writeln!(io::stderr(), "\nNOT TESTED: {what}");
}

/// A server that is killed when the value is dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) start_line: String,
    pub(crate) address: SocketAddr,
    log: NamedTempFile,
}

impl Program {
    /// Starts the program on a free port, with further arguments.
    pub(crate) fn start(store: &str, more: &[&str]) -> Self {
        let mut command = command(&["--listen", "127.0.0.1:0", "--store", store]);
        Self::spawn(command.args(more))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::try_spawn(command).unwrap_or_else(|log| panic!("the program does not start: {log}"))
    }

    /// Starts the program, or returns its log if it ends instead.
    pub(crate) fn try_spawn(command: &mut Command) -> Result<Self, String> {
        // The log goes to a file, because a pipe would fill up while the test does other things.
        let log = NamedTempFile::new().expect("a file for the log");
        let stderr = log.reopen().expect("the same file");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the program starts");
        let mut start_line = String::new();
        let stdout = child.stdout.as_mut().expect("its standard output");
        BufReader::new(stdout).read_line(&mut start_line).expect("a start line");
        let address = start_line
            // The store's URL can also contain '://'.
            .split_once("http")
            .and_then(|(_, rest)| rest.split_once("://"))
            .and_then(|(_, rest)| rest.split([';', '"', '/', ' ']).next()?.parse().ok());
        let Some(address) = address else {
            child.wait().expect("it ended");
            return Err(std::fs::read_to_string(log.path()).expect("the log"));
        };
        Ok(Self { child, start_line, address, log })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits until the port is closed, so that the shutdown has begun.
    pub(crate) fn no_longer_listens(&self) {
        while TcpStream::connect(self.address).is_ok() {
            std::thread::yield_now();
        }
    }

    /// Waits until the log contains these words.
    pub(crate) fn logs(&self, words: &str) {
        while !std::fs::read_to_string(self.log.path()).expect("the log").contains(words) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Kills the program, whatever it is doing.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ended");
    }

    /// Waits until the program ends. Returns its status, the rest of standard output, and the log.
    pub(crate) fn ended(&mut self) -> (ExitStatus, String, String) {
        let mut rest = String::new();
        let stdout = self.child.stdout.as_mut().expect("its standard output");
        stdout.read_to_string(&mut rest).expect("the rest");
        let status = self.child.wait().expect("it ended");
        (status, rest, std::fs::read_to_string(self.log.path()).expect("the log"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
