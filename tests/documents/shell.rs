//! A bash that runs a session. When it ends, the programs that it has started end too.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::programs::Programs;

/// How long a command may run, and how long programs may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the programs that were started when the shell ends, also when the test is interrupted.
const PREAMBLE: &str = "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n";

/// The shell of one session. Its current folder and `HOME` are an empty temporary folder. Its environment has
/// no `DATAAPI_` variables.
pub(crate) struct Shell {
    bash: Child,
    input: Option<ChildStdin>,
    output: Receiver<Vec<u8>>,
    /// Printed after each command; it cannot be guessed.
    mark: String,
    folder: TempDir,
    started: usize,
}

/// The result of a command.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) output: String,
}

impl Shell {
    /// Starts a shell with the programs on its `PATH`. A server that is not told where to listen takes `port`.
    pub(crate) fn start(programs: &Programs, port: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for inner in ["programs", "home", "output"] {
            fs::create_dir(folder.path().join(inner)).expect("a folder");
        }
        provide(programs, port, &folder.path().join("programs"));
        let home = folder.path().join("home");
        let errors =
            fs::File::options().create(true).append(true).open(folder.path().join("errors"));
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("bash");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DATAAPI_") {
                command.env_remove(name);
            }
        }
        let mut bash = command
            .args(["--noprofile", "--norc"])
            .env("PATH", format!("{}:{path}", folder.path().join("programs").display()))
            .env("HOME", &home)
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("no_proxy", "127.0.0.1,localhost")
            .env_remove("BASH_ENV")
            .env_remove("COLUMNS")
            .current_dir(&home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.expect("a file"))
            .process_group(0)
            .spawn()
            .expect("bash starts");
        let mut stdout = bash.stdout.take().expect("a pipe");
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let mark = format!("{:016x}", RandomState::new().hash_one("mark"));
        let mut input = bash.stdin.take();
        let preamble = input.as_mut().map(|input| input.write_all(PREAMBLE.as_bytes()));
        preamble.expect("a pipe").expect("bash reads");
        Self { bash, input, output, mark, folder, started: 0 }
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// If the command does not end, or the shell ends. Holds what was printed until then.
    pub(crate) fn run(&mut self, command: &str) -> Result<Ran, String> {
        self.evaluate(command, "")
    }

    /// Starts a command that ends in `&`. Returns the path of the file that its output goes to.
    ///
    /// # Errors
    /// As [`Shell::run`].
    pub(crate) fn start_program(&mut self, command: &str) -> Result<String, String> {
        self.started += 1;
        let file = format!("{}/output/{}", self.folder.path().display(), self.started);
        self.evaluate(command, &format!(">{}", quoted(&file)))?;
        Ok(file)
    }

    fn evaluate(&mut self, command: &str, redirection: &str) -> Result<Ran, String> {
        let errors = quoted(&self.folder.path().join("errors").display().to_string());
        // Forgets what earlier commands wrote to standard error.
        let script = format!(
            ": >{errors}\neval {} </dev/null {redirection}\nprintf '\\n%s %s\\n' {} \"$?\"\n",
            quoted(command),
            self.mark
        );
        let written = self.input.as_mut().map(|input| input.write_all(script.as_bytes()));
        if !matches!(written, Some(Ok(()))) {
            return Err("the shell has ended".to_owned());
        }
        let deadline = Instant::now() + PATIENCE;
        let mark = format!("\n{} ", self.mark);
        let mut output = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&output);
            if let Some((output, code)) = text.split_once(&mark)
                && let Some((code, _)) = code.split_once('\n')
            {
                let code = code.parse().map_err(|_| format!("no exit code: {code}"))?;
                return Ok(Ran { code, output: output.to_owned() });
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(more) => output.extend(more),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("the shell has ended after:\n{text}"));
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("no end after {PATIENCE:?}; until then:\n{text}"));
                }
            }
        }
    }

    /// The standard error of all programs since the last command began.
    pub(crate) fn errors(&self) -> String {
        let errors = fs::read(self.folder.path().join("errors")).unwrap_or_default();
        String::from_utf8_lossy(&errors).into_owned()
    }

    /// Ends the shell, and the programs that it has started, by SIGTERM.
    pub(crate) fn end(mut self) {
        self.input = None;
        let asked = Instant::now();
        while self.bash.try_wait().expect("it can be waited for").is_none() {
            assert!(asked.elapsed() < PATIENCE, "a program of the session does not end at SIGTERM");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.bash.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.bash.wait();
    }
}

/// Puts the programs into a folder.
fn provide(programs: &Programs, port: u16, folder: &Path) {
    symlink(&programs.command, folder.join("dataapi")).expect("a link");
    let server = format!(
        "#!/usr/bin/env bash\nDATAAPI_LISTEN=${{DATAAPI_LISTEN-127.0.0.1:{port}}} exec {} \"$@\"\n",
        quoted(&programs.server.display().to_string())
    );
    let path = folder.join("dataapi-server");
    fs::write(&path, server).expect("is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("can be run");
}

/// Quotes text as one word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
