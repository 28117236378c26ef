//! Starts PostgreSQL and outlives its test, so that however the test ends, no server and no folder is left.
//!
//! A process that is killed cleans nothing up, and a cluster in a static is never dropped. So the server is the child
//! of a shell that reads orders from a pipe. When the test process ends, the kernel closes the pipe. The shell then
//! stops the server and removes the folder.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use rustix::process::Pid;

use crate::account::Account;
use crate::error::Error;

/// The arguments are the folder in which the script runs, `postgres`, and the command that makes the cluster. An order
/// is a port on which to start the server.
///
/// The script waits for the previous server, because a dead process counts as running until its parent collects it. It
/// sends SIGTERM as well as SIGQUIT: a shell makes its background processes ignore SIGQUIT, so only SIGTERM ends the
/// server until it has installed its signal handlers. After that SIGTERM alone would wait for clients, and SIGQUIT
/// stops the server at once. A killed server leaves a piece of shared memory, whose id is in the seventh line of its
/// file.
const SCRIPT: &str = r#"
trap '' HUP PIPE
exec 2>>log
folder=$1 postgres=$2 pid=
shift 2
if "$@" >>log </dev/null; then echo made; else echo failed; fi
while read -r port; do
    [ -z "$pid" ] || wait "$pid"
    "$postgres" -D data -p "$port" >>log </dev/null &
    pid=$!
    echo "$pid"
done
if [ -n "$pid" ]; then
    kill -TERM "$pid"
    kill -QUIT "$pid"
    kill -CONT "$pid"
    wait "$pid"
fi
if [ -f data/postmaster.pid ]; then
    set -- $(sed -n 7p data/postmaster.pid)
    [ -z "$2" ] || ipcrm -m "$2"
fi
cd /
rm -rf "$folder"
"#;

#[derive(Debug)]
pub(crate) struct Guardian {
    shell: Child,
    /// Taking this closes it.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    folder: PathBuf,
}

impl Guardian {
    /// Makes a folder and runs the command `make` in it, which makes a cluster in the subfolder `data`.
    pub(crate) fn new(
        account: Account,
        postgres: &Path,
        doing: &'static str,
        make: &[&OsStr],
    ) -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix("postgres-cluster-").tempdir();
        let folder = folder.map_err(Error::system("make a folder"))?;
        account.take(folder.path()).map_err(Error::system("give the folder to another user"))?;
        let mut shell = account
            .command("/bin/sh".as_ref(), folder.path())
            .args(["-c", SCRIPT, "guardian"])
            .arg(folder.path())
            .arg(postgres)
            .args(make)
            // Ctrl-C ends the tests. The shell notices when they have ended.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Error::system("start a shell"))?;
        let orders = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().expect("a pipe"));
        let mut guardian = Self { shell, orders, answers, folder: folder.keep() };
        match guardian.answer() {
            Ok(answer) if answer == "made" => Ok(guardian),
            _ => Err(guardian.failed(doing, 0)),
        }
    }

    /// Starts the server and returns its process. If that ends at once, the log says why.
    pub(crate) fn start(&mut self, port: u16) -> Result<Pid, Error> {
        let order = |orders: &mut ChildStdin| writeln!(orders, "{port}");
        self.orders
            .as_mut()
            .map_or(Ok(()), order)
            .map_err(Error::system("send an order to the shell"))?;
        let answer = self.answer().map_err(Error::system("read the answer of the shell"))?;
        let pid = answer.parse().ok().and_then(Pid::from_raw);
        pid.ok_or_else(|| self.failed("start the server", 0))
    }

    fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn log_length(&self) -> u64 {
        self.folder.join("log").metadata().map_or(0, |log| log.len())
    }

    /// Returns the log from this position.
    pub(crate) fn log_from(&self, start: u64) -> String {
        let mut text = Vec::new();
        let read = std::fs::File::open(self.folder.join("log")).and_then(|mut log| {
            log.seek(SeekFrom::Start(start))?;
            log.read_to_end(&mut text)
        });
        match read {
            Ok(_) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => format!("(no log: {error})"),
        }
    }

    /// Makes an error from the last lines of the log after this position.
    pub(crate) fn failed(&self, doing: &'static str, start: u64) -> Error {
        let log = self.log_from(start);
        let lines: Vec<_> = log.lines().collect();
        let last = lines.len().saturating_sub(30);
        Error::Failed { doing, log: lines[last..].join("\n") }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.orders.take();
        let _ = self.shell.wait();
    }
}
