//! A folder for stores, in which the program runs.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// A separate folder for each test.
pub(crate) struct Sandbox(TempDir);

/// The result of a run.
#[derive(Debug)]
pub(crate) struct RunResult {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    /// The progress lines of standard error; slow machines print more of them.
    pub(crate) progress: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.0.path()
    }

    /// A command that runs the program in the folder.
    pub(crate) fn program(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dataapi"));
        command.current_dir(self.0.path()).args(args);
        // The environment of the tests must not configure the program.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DATAAPI_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> RunResult {
        self.program(args).stdin(Stdio::null()).output().expect("runs").into()
    }

    /// Starts the program, with pipes to and from it.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        let mut command = self.program(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("starts")
    }

    /// Runs the program to its end, with `input` as its standard input.
    pub(crate) fn feed(&self, input: &[u8], args: &[&str]) -> RunResult {
        let mut child = self.start(args);
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input).expect("is read");
        drop(stdin);
        child.wait_with_output().expect("ends").into()
    }

    /// Runs the program, which must succeed, and returns what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        ran.out
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.0.path().join(name), content).expect("is written");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).expect("is there")
    }

    /// The names of all files in the folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.0.path()).expect("is there");
        let mut names: Vec<_> = names
            .map(|entry| entry.expect("is read").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl From<Output> for RunResult {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let is_progress = |line: &&str| {
            let counted =
                ["lines read", "dialogs made", "dialogs written", "dialogs copied", "dialogs read"];
            counted.iter().any(|end| line.trim_end().ends_with(end))
        };
        let said = text(output.stderr);
        let (progress, err) = said.split_inclusive('\n').partition(is_progress);
        Self { code: output.status.code(), out: text(output.stdout), err, progress }
    }
}
