//! The programs of this workspace.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;

use crate::document::ROOT;

/// Where the programs are.
pub(crate) struct Programs {
    pub(crate) command: PathBuf,
    pub(crate) server: PathBuf,
}

impl Programs {
    /// Has Cargo build them, once: Cargo tells the path of a program only to tests of the same package. It
    /// builds tests of the whole workspace that use them, so after `cargo test --workspace` nothing is built
    /// again.
    pub(crate) fn get() -> &'static Self {
        static PROGRAMS: OnceLock<Programs> = OnceLock::new();
        PROGRAMS.get_or_init(Self::build)
    }

    fn build() -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["test", "--locked", "--workspace", "--no-run"])
            .args(["--test", "cli", "--test", "process"])
            .arg("--message-format=json-render-diagnostics")
            .current_dir(ROOT)
            .stderr(Stdio::piped())
            .output()
            .expect("cargo can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let messages = String::from_utf8(output.stdout).expect("UTF-8");
        let built = |name: &str| {
            let built = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
            let mut paths = built.filter_map(|Built { executable }| executable);
            paths.find(|path| path.ends_with(name)).unwrap_or_else(|| panic!("no {name} was built"))
        };
        Self { command: built("dataapi"), server: built("dataapi-server") }
    }
}

/// The one kind of Cargo's messages that is of interest.
#[derive(Deserialize)]
struct Built {
    executable: Option<PathBuf>,
}
