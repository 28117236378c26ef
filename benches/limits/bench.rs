//! Settings, programs and folders that all measurements share.

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::args::Args;
use crate::outcome::Outcome;
use crate::product::Product;
use crate::programs::target_folder;

pub(crate) struct Bench {
    pub(crate) args: Args,
    pub(crate) programs: Product,
    /// The runtime for calls of the library.
    pub(crate) runtime: Runtime,
    /// The folder of the stores. It is on a disk, so that an fsync is real.
    pub(crate) folder: TempDir,
    /// The folder for results.
    pub(crate) results: PathBuf,
}

impl Bench {
    /// Builds the product, unless it is there already, and creates the folders.
    pub(crate) fn prepare(args: Args) -> Outcome<Self> {
        let results = target_folder()?.join("limits");
        std::fs::create_dir_all(&results)?;
        let programs = match &args.server {
            Some(server) => Product::built(server, args.cli.as_deref()),
            None => Product::build(&args.profile)?,
        };
        Ok(Self {
            programs,
            args,
            runtime: Runtime::new()?,
            folder: tempfile::Builder::new().prefix("stores-").tempdir_in(&results)?,
            results,
        })
    }
}
