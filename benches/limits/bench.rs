//! What all measurements share.

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::args::Args;
use crate::outcome::Outcome;
use crate::product::Programs;

pub(crate) struct Bench {
    pub(crate) args: Args,
    pub(crate) programs: Programs,
    /// For the library's calls.
    pub(crate) runtime: Runtime,
    /// Where stores are: on a disk, so that an fsync is one.
    pub(crate) folder: TempDir,
    /// Where the results go.
    pub(crate) results: PathBuf,
}

impl Bench {
    /// Builds the product, and makes the folders.
    pub(crate) fn prepare(args: Args) -> Outcome<Self> {
        let results = target_folder()?.join("limits");
        std::fs::create_dir_all(&results)?;
        Ok(Self {
            programs: Programs::build(&args.profile)?,
            args,
            runtime: Runtime::new()?,
            folder: tempfile::Builder::new().prefix("stores-").tempdir_in(&results)?,
            results,
        })
    }
}

/// Cargo puts the bench into `TARGET/release/deps`, or under another profile's name.
fn target_folder() -> Outcome<PathBuf> {
    let bench = std::env::current_exe()?;
    Ok(bench.ancestors().nth(3).ok_or("the bench does not lie in Cargo's target folder")?.into())
}
