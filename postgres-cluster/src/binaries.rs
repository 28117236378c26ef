//! Finds PostgreSQL's programs, which distributions often install outside `PATH`.

use std::path::{Path, PathBuf};

const NEEDED: [&str; 5] = ["initdb", "postgres", "pg_ctl", "pg_basebackup", "psql"];

/// The folder in which Debian has one folder for each major version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The folder with the programs of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Finds PostgreSQL's programs: in the folder that `DATAAPI_POSTGRES_BIN` names; without that variable on `PATH`,
    /// or else in the newest version that Debian's packages have installed.
    ///
    /// Returns `None` if a program that a cluster needs is missing. If `DATAAPI_POSTGRES_BIN` names a folder that lacks
    /// one, no other folder is searched, because that could contain another version.
    pub fn find() -> Option<Self> {
        if let Some(folder) = std::env::var_os("DATAAPI_POSTGRES_BIN") {
            return Self::within(folder.into());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).chain(versions(Path::new(VERSIONS))).find_map(Self::within)
    }

    fn within(folder: PathBuf) -> Option<Self> {
        // The programs run in another folder, so the path must be absolute.
        let folder = std::path::absolute(folder).ok()?;
        NEEDED.iter().all(|name| folder.join(name).is_file()).then_some(Self { folder })
    }

    /// Returns the folder with the programs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of `pgbench`, if it is installed. Some distributions have it in a separate package.
    pub fn pgbench(&self) -> Option<PathBuf> {
        Some(self.program("pgbench")).filter(|program| program.is_file())
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Returns the folders of all versions, the newest first.
fn versions(parent: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    versions.sort_unstable_by(|left, right| right.cmp(left));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_the_highest_number() {
        let parent = tempfile::tempdir().expect("a folder");
        for name in ["9", "17", "18beta", "15"] {
            std::fs::create_dir(parent.path().join(name)).expect("a folder");
        }
        let expected = ["17", "15", "9"].map(|name| parent.path().join(name).join("bin"));
        assert_eq!(versions(parent.path()), expected);
    }

    #[test]
    fn a_folder_that_lacks_a_program_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in &NEEDED[1..] {
            std::fs::write(folder.path().join(name), "").expect("a file");
        }
        assert_eq!(Binaries::within(folder.path().into()), None);
        std::fs::write(folder.path().join(NEEDED[0]), "").expect("a file");
        let binaries = Binaries::within(folder.path().into()).expect("all of them");
        assert_eq!(binaries.folder(), folder.path());
        assert_eq!(binaries.pgbench(), None);
    }
}
