//! Each crate is ready to be published, and says which Rust it needs.

mod cargo;

use std::process::Command;

use serde_json::Value;

use crate::cargo::cargo;

/// The packages of the workspace, and those that it depends on.
fn packages() -> Option<Vec<Value>> {
    let metadata = cargo("metadata", &["--format-version", "1"])?;
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    metadata["packages"].as_array().cloned()
}

/// Our own crates have no source: they are in this folder.
fn is_ours(package: &Value) -> bool {
    package["source"].is_null()
}

fn rust_version(package: &Value) -> Option<(u32, u32)> {
    let (major, rest) = package["rust_version"].as_str()?.split_once('.')?;
    let minor = rest.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Clippy holds our own code to that version, by its lint `incompatible_msrv`.
#[test]
fn no_dependency_needs_a_newer_rust_than_ours() {
    let Some(packages) = packages() else { return };
    let (ours, others): (Vec<_>, Vec<_>) = packages.iter().partition(|&package| is_ours(package));
    let promised = ours.iter().map(|package| rust_version(package).expect("a version")).min();
    for package in others {
        let needed = rust_version(package);
        assert!(needed <= promised, "{} needs Rust {needed:?}", package["name"]);
    }
}

#[test]
fn each_crate_that_is_published_tells_what_it_is() {
    let Some(packages) = packages() else { return };
    let is_published = |package: &&Value| is_ours(package) && package["publish"].is_null();
    let published: Vec<_> = packages.iter().filter(is_published).collect();
    assert_eq!(published.len(), 8);
    for package in published {
        let name = package["name"].as_str().expect("a name");
        for member in ["description", "documentation", "license", "readme", "repository"] {
            assert!(package[member].is_string(), "{name} has no {member}");
        }
        for member in ["keywords", "categories"] {
            let how_many = package[member].as_array().map_or(0, Vec::len);
            assert!((1..=5).contains(&how_many), "{name} has {how_many} {member}");
        }
    }
}

/// Windows reserves some names, and has no colon and the like in any.
#[test]
fn each_file_can_be_checked_out_on_windows() {
    const RESERVED: [&str; 4] = ["con", "prn", "aux", "nul"];
    let listed =
        Command::new("git").arg("ls-files").current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let files = match listed {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).expect("UTF-8"),
        _ => {
            eprintln!("SKIPPED: this is no checkout of git, or git is not installed");
            return;
        }
    };
    for name in files.lines().flat_map(|path| path.split('/')) {
        let stem = name.split('.').next().unwrap_or_default().to_lowercase();
        let is_device = RESERVED.contains(&stem.as_str())
            || ["com", "lpt"].iter().any(|device| {
                stem.strip_prefix(device).is_some_and(|rest| rest.parse::<u8>().is_ok())
            });
        let has_odd_character = name.contains(['<', '>', ':', '"', '\\', '|', '?', '*']);
        let ends_oddly = name.ends_with(['.', ' ']);
        assert!(!is_device && !has_odd_character && !ends_oddly, "{name:?}");
    }
}
