//! A `psql` that stays open, so that a new database costs no process and no connection.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Ends each answer; after it stand the state and the message.
const END: &str = "-- end of the answer --";

#[derive(Debug)]
pub(crate) struct Console {
    psql: Child,
    /// Closed by taking it, which ends `psql`.
    statements: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Console {
    /// Of a command that runs `psql`.
    pub(crate) fn open(psql: &mut Command) -> std::io::Result<Self> {
        let mut psql =
            psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let statements = psql.stdin.take();
        let answers = BufReader::new(psql.stdout.take().expect("a pipe"));
        Ok(Self { psql, statements, answers })
    }

    /// Runs one statement of one line; the server's message if it refuses it, or none if there is no
    /// server any more.
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
        // It may wait for a server that does not answer.
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}
