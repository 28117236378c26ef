//! Builds the product's programs with Cargo.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::outcome::Outcome;

/// The programs that Cargo built.
#[derive(Debug)]
pub(crate) struct Programs(Vec<PathBuf>);

impl Programs {
    /// Builds the programs of these packages with this profile of Cargo. Cargo's environment variables apply.
    pub(crate) fn build(profile: &str, packages: &[&str]) -> Outcome<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--locked", "--profile", profile])
            .args(packages.iter().flat_map(|package| ["-p", package]))
            .arg("--message-format=json-render-diagnostics")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err("the product cannot be built".into());
        }
        let messages = String::from_utf8(output.stdout)?;
        let built = messages.lines().filter_map(|line| serde_json::from_str::<Built>(line).ok());
        Ok(Self(built.filter_map(|built| built.executable).collect()))
    }

    pub(crate) fn path(&self, name: &str) -> Outcome<PathBuf> {
        let found = self.0.iter().find(|path| path.ends_with(name));
        Ok(found.ok_or_else(|| format!("Cargo did not say where it put {name}"))?.clone())
    }
}

/// A message of Cargo that says where it put a program.
#[derive(Deserialize)]
struct Built {
    executable: Option<PathBuf>,
}

/// Cargo's target folder: the bench is in `TARGET/release/deps`, or in that of another profile.
pub(crate) fn target_folder() -> Outcome<PathBuf> {
    let bench = std::env::current_exe()?;
    Ok(bench.ancestors().nth(3).ok_or("the bench is not in Cargo's target folder")?.into())
}
