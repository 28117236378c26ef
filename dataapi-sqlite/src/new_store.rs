//! Creates the file of a new store under a temporary name, and gives it its name once it is complete.

use std::fs::File;
use std::io;
use std::path::Path;

use tempfile::TempPath;

/// How much of the file is kept in memory while its indexes grow in random places.
pub(crate) const CACHE_BYTES: usize = 64 << 20;

/// Whether there is a file at this path, or one beside it that SQLite would take for the new store's log.
pub(crate) fn is_taken(path: &Path) -> bool {
    ["", "-wal", "-shm", "-journal"].iter().any(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        Path::new(&name).symlink_metadata().is_ok()
    })
}

/// Creates an empty file in the folder of `path`. It is removed unless it gets its [`name`].
pub(crate) fn beside(path: &Path) -> io::Result<TempPath> {
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".");
    let builder = &mut tempfile::Builder::new();
    let file = builder.prefix(&prefix).suffix(".partial").tempfile_in(folder(path));
    Ok(file.map_err(|error| without_path(&error))?.into_temp_path())
}

/// The error without the path that the library adds. If a URL was mistyped, its password can be in the path.
pub(crate) fn without_path(error: &io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|with_path| with_path.source());
    let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.and_then(io::Error::raw_os_error) {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::from(error.kind()),
    }
}

/// Gives a file its name. Fails if a file with that name exists. After an error nothing of the file is left.
pub(crate) fn name(file: TempPath, path: &Path) -> io::Result<()> {
    file.persist_noclobber(path).map_err(|refused| refused.error)?;
    // Otherwise the name might be lost after a power loss.
    let is_kept = keep_names(path);
    if is_kept.is_err() {
        let _ = std::fs::remove_file(path);
    }
    is_kept
}

/// Waits until the names in the folder of this file are on the disk. SQLite does the same for the log that it makes, but
/// takes no notice if that fails.
pub(crate) fn keep_names(path: &Path) -> io::Result<()> {
    match File::open(folder(path)) {
        Ok(folder) => folder.sync_all(),
        // To use the files in a folder, one need not be allowed to read the folder.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

fn folder(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}
