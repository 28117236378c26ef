//! The files that a loss of power left.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;

/// The files that a loss of power left.
#[derive(Clone, Debug, Default)]
pub struct Image {
    files: BTreeMap<OsString, Vec<u8>>,
}

impl Image {
    pub(crate) fn new(files: BTreeMap<OsString, Vec<u8>>) -> Self {
        Self { files }
    }

    /// The content of the file with this name.
    pub fn file(&self, name: impl AsRef<OsStr>) -> Option<&[u8]> {
        self.files.get(name.as_ref()).map(Vec::as_slice)
    }

    pub(crate) fn files(&self) -> &BTreeMap<OsString, Vec<u8>> {
        &self.files
    }

    /// The names of the files.
    pub fn names(&self) -> impl Iterator<Item = &OsStr> {
        self.files.keys().map(OsString::as_os_str)
    }

    /// Writes the files to a folder.
    ///
    /// # Errors
    /// Those of the folder.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        self.files.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
    }
}
