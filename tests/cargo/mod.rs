//! Asks Cargo about this workspace.

use std::io::ErrorKind;
use std::process::Command;

/// What Cargo prints, without a look at the network. Nothing, after a line that says so, where it is not installed.
pub(crate) fn cargo(subcommand: &str, arguments: &[&str]) -> Option<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([subcommand, "--offline", "--locked"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let output = match output {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("SKIPPED: cargo is not installed, which knows the packages");
            return None;
        }
        output => output.expect("cargo can be run"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}
