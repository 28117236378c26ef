//! Files of SQLite's that are used beside it, and so must not be closed: that would end the locks
//! that SQLite holds on them in this process (POSIX.1, `fcntl`).

use std::collections::HashMap;
use std::fs::{File, metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// By device and inode. Each is kept until it has no name any more.
type Files = HashMap<(u64, u64), Arc<File>>;

static FILES: Mutex<Option<Files>> = Mutex::new(None);

/// The file at this path, opened once in this process.
pub(crate) fn get(path: &Path) -> io::Result<Arc<File>> {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    let files = files.get_or_insert_default();
    files.retain(|_, file| file.metadata().is_ok_and(|file| file.nlink() > 0));
    // Looked for before it is opened, as a second one could not be closed.
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
