//! A `psql` that stays open, so that making a database starts no process and no connection.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Marks the end of each answer. The state and the message follow it.
const END: &str = "-- end of the answer --";

#[derive(Debug)]
pub(crate) struct Console {
    psql: Child,
    /// Taking this closes it, which ends `psql`.
    statements: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Console {
    /// Starts a command that runs `psql`.
    pub(crate) fn open(psql: &mut Command) -> std::io::Result<Self> {
        let mut psql =
            psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let statements = psql.stdin.take();
        let answers = BufReader::new(psql.stdout.take().expect("a pipe"));
        Ok(Self { psql, statements, answers })
    }

    /// Runs a statement on one line. The error is the server's message, or `None` if the connection is lost.
    pub(crate) fn run(&mut self, statement: &str) -> Result<(), Option<String>> {
        let input = format!("{statement};\n\\echo {END} :SQLSTATE :LAST_ERROR_MESSAGE\n");
        let statements = self.statements.as_mut().ok_or(None)?;
        statements.write_all(input.as_bytes()).map_err(|_| None)?;
        for line in (&mut self.answers).lines() {
            let line = line.map_err(|_| None)?;
            let Some(end) = line.strip_prefix(END) else { continue };
            let (state, message) = end.trim_start().split_once(' ').unwrap_or((end, ""));
            return if state == "00000" { Ok(()) } else { Err(Some(message.to_owned())) };
        }
        Err(None)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.statements.take();
        // `psql` might be waiting for a server that does not answer.
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}
