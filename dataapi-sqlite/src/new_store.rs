//! The file of a store in the making: where it is made, and how it gets its name once it is whole.

use std::fs::File;
use std::path::Path;

use tempfile::TempPath;

/// How much of the file is kept in memory while its indexes grow at random.
pub(crate) const CACHE_BYTES: usize = 64 << 20;

/// Whether there is a file at that path, or a log beside it, which would be taken for that of a new one.
pub(crate) fn is_taken(path: &Path) -> bool {
    ["", "-wal", "-shm", "-journal"].iter().any(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        Path::new(&name).symlink_metadata().is_ok()
    })
}

/// Makes an empty file beside that path, which is removed unless it gets its name.
pub(crate) fn beside(path: &Path) -> std::io::Result<TempPath> {
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".");
    let builder = &mut tempfile::Builder::new();
    let file = builder.prefix(&prefix).suffix(".partial").tempfile_in(folder(path))?;
    Ok(file.into_temp_path())
}

/// Gives a file the name at which there must be nothing.
pub(crate) fn name(file: TempPath, path: &Path) -> std::io::Result<()> {
    file.persist_noclobber(path).map_err(|refused| refused.error)?;
    // Else a loss of power could take the name away again.
    File::open(folder(path))?.sync_all()
}

fn folder(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}
