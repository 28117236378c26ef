//! Opens SQLite's own files beside SQLite, each once, and keeps them open.
//!
//! When a process closes a file, it loses all `fcntl` locks that it holds on that file, also those taken through
//! another descriptor (POSIX.1). So to close a file here would release the locks that SQLite holds on it.

use std::collections::HashMap;
use std::fs::{File, metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The open files, by device and inode. Each stays open until the file is removed from its folder.
type Files = HashMap<(u64, u64), Arc<File>>;

static FILES: Mutex<Option<Files>> = Mutex::new(None);

/// Returns the file at `path`, opened once in this process.
pub(crate) fn get(path: &Path) -> io::Result<Arc<File>> {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    let files = files.get_or_insert_default();
    files.retain(|_, file| file.metadata().is_ok_and(|file| file.nlink() > 0));
    // The lookup comes before the open: a second descriptor could not be closed again.
    let there = metadata(path)?;
    let key = (there.dev(), there.ino());
    if let Some(file) = files.get(&key) {
        return Ok(Arc::clone(file));
    }
    let file = Arc::new(File::options().read(true).write(true).open(path)?);
    files.insert(key, Arc::clone(&file));
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_opened_once_and_let_go_when_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory");
        std::fs::write(&path, "first").unwrap();
        let first = get(&path).unwrap();
        assert!(Arc::ptr_eq(&first, &get(&path).unwrap()));
        assert_eq!(Arc::strong_count(&first), 2);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "second").unwrap();
        assert!(!Arc::ptr_eq(&first, &get(&path).unwrap()));
        assert_eq!(Arc::strong_count(&first), 1);
    }
}
