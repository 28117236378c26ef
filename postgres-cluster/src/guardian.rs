//! Starts PostgreSQL and outlives its test, so that no server and no folder is left by any end of it.
//!
//! A process that is killed cleans nothing up, and neither does one that ends with a cluster in a
//! static. So the server is the child of a shell, which waits at a pipe for the next order. The kernel
//! closes the pipe with the process that holds it, and then the shell stops the server and removes the
//! folder.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use rustix::process::Pid;

use crate::account::Account;
use crate::error::Error;

/// Arguments: the folder, in which it runs; `postgres`; the command that makes the cluster. An order is a
/// port to start the server on.
///
/// The one before is waited for because a dead server counts as running until its parent takes notice. A
/// shell has what it starts in the background ignore SIGQUIT, which stops a server at once; so until the
/// server listens to signals only SIGTERM ends it, and afterwards SIGTERM alone would wait for clients.
/// A killed server leaves its piece of shared memory, whose id is in the seventh line of its file.
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
    /// Closed by taking it.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    folder: PathBuf,
}

impl Guardian {
    /// Makes a folder, and has the command make a cluster in its folder `data`.
    pub(crate) fn new(
        account: Account,
        postgres: &Path,
        doing: &'static str,
        make: &[&OsStr],
    ) -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix("postgres-cluster-").tempdir();
        let folder = folder.map_err(Error::system("make a folder"))?;
        account.take(folder.path()).map_err(Error::system("hand over a folder"))?;
        let mut shell = account
            .command("/bin/sh".as_ref(), folder.path())
            .args(["-c", SCRIPT, "guardian"])
            .arg(folder.path())
            .arg(postgres)
            .args(make)
            // Ctrl-C is for the tests, whose end it then sees.
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

    /// Starts the server, and returns its process; it may end at once, of which its log tells.
    pub(crate) fn start(&mut self, port: u16) -> Result<Pid, Error> {
        let order = |orders: &mut ChildStdin| writeln!(orders, "{port}");
        self.orders.as_mut().map_or(Ok(()), order).map_err(Error::system("tell the shell"))?;
        let answer = self.answer().map_err(Error::system("hear from the shell"))?;
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

    /// What was logged from there on.
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

    /// Says what failed by the last lines of the log from there on.
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
