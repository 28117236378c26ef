//! A running server program, and its end.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use tempfile::NamedTempFile;

/// The program with no settings but these, whatever the environment of the test says.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dataapi-server"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DATAAPI_")) {
        command.env_remove(name);
    }
    command.args(args);
    command
}

/// Runs the program where it is expected to end by itself.
pub(crate) fn output(args: &[&str]) -> Output {
    command(args).stdin(Stdio::null()).output().expect("the program runs")
}

/// The url of a store in `folder`.
pub(crate) fn store_in(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("dialogs.db").display())
}

/// All files in `folder`.
pub(crate) fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("the folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.map(|path| (path.clone(), std::fs::read(path).expect("a file"))).collect()
}

/// Says on standard error what this machine does not let a test do.
pub(crate) fn not_tested(what: &str) {
    // Not by a macro, whose output the test harness keeps to itself.
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
    /// Starts on a free port, with more arguments.
    pub(crate) fn start(store: &str, more: &[&str]) -> Self {
        let mut command = command(&["--listen", "127.0.0.1:0", "--store", store]);
        Self::spawn(command.args(more))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::try_spawn(command).unwrap_or_else(|log| panic!("it does not start: {log}"))
    }

    /// What it has logged if it does not start.
    pub(crate) fn try_spawn(command: &mut Command) -> Result<Self, String> {
        // A file, since nobody empties a pipe while the test does other things.
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
            // A store may have a URL like that, too.
            .split_once("http")
            .and_then(|(_, rest)| rest.split_once("://"))
            .and_then(|(_, rest)| rest.split([';', '"', '/']).next()?.parse().ok());
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

    /// Waits until nobody listens any more: the shutdown has begun.
    pub(crate) fn no_longer_listens(&self) {
        while TcpStream::connect(self.address).is_ok() {
            std::thread::yield_now();
        }
    }

    /// Waits until the log says so.
    pub(crate) fn logs(&self, words: &str) {
        while !std::fs::read_to_string(self.log.path()).expect("the log").contains(words) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Ends it as the operating system would, in the midst of whatever it does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ended");
    }

    /// Waits for its end; returns its status, what was left on standard output, and the log.
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
