//! Which files of a store other users of the machine can read or change.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::error::OpenError;
use crate::open::{SIDE_FILES, with_end};

/// A file of a store that is not for its owner alone, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Exposure {
    /// The permissions of the file let others use it.
    #[error(
        "other users of this machine may read or change '{file}', which has the mode {mode:04o}; run: chmod 600 '{file}'",
        file = .file.display()
    )]
    Mode {
        /// The file.
        file: PathBuf,
        /// The bits of its permissions.
        mode: u32,
    },

    /// Another user owns the file, and so can read it whatever its permissions are.
    #[error(
        "'{file}' belongs to the user {owner}, who can read and change it, and not to the user {user} of this \
         process; run this program as the owner, or: chown {user} '{file}' && chmod 600 '{file}'",
        file = .file.display()
    )]
    Owner {
        /// The file.
        file: PathBuf,
        /// The number of the user who owns it.
        owner: u32,
        /// The number of the user of this process.
        user: u32,
    },
}

/// Lists what is exposed of the store at `path`: its database and the files that SQLite keeps beside it. Changes
/// nothing: the permissions are the operator's.
///
/// # Errors
/// [`OpenError::Missing`] if there is no file at `path`.
pub fn exposure(path: &Path) -> Result<Vec<Exposure>, OpenError> {
    let database = path.canonicalize().map_err(|_| OpenError::Missing)?;
    let beside = SIDE_FILES.iter().map(|end| with_end(&database, end));
    let files: Vec<_> = std::iter::once(database.clone()).chain(beside).collect();
    let user = geteuid().as_raw();
    let mut found = Vec::new();
    for file in files {
        // The files beside the database come and go.
        let Ok(there) = file.metadata() else { continue };
        let mode = there.permissions().mode() & 0o7777;
        if there.uid() != user {
            found.push(Exposure::Owner { file, owner: there.uid(), user });
        } else if mode & 0o077 != 0 {
            found.push(Exposure::Mode { file, mode });
        }
    }
    Ok(found)
}
