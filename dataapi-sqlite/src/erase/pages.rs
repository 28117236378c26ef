//! Overwrites leftovers in the database file itself, past SQLite.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::erase::{kept_open, slack};

/// Overwrites all leftovers in a new database file that nobody else has open yet.
pub(crate) fn clean(path: &Path) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut bytes = [0; 2];
    // The size of a page is in the file's header: <https://www.sqlite.org/fileformat2.html>, section 1.3.2.
    file.read_exact_at(&mut bytes, 16)?;
    let page_bytes = match u16::from_be_bytes(bytes) {
        1 => 1 << 16,
        bytes => u32::from(bytes),
    };
    Database::new(Arc::new(file), page_bytes).clean_all()
}

/// The database file. It is written to only while no checkpoint can run.
#[derive(Debug)]
pub(crate) struct Database {
    file: Arc<File>,
    page_bytes: u32,
    /// The pages that were written to since the last sync that succeeded. After a sync that failed, the next one writes
    /// only what is written again.
    unsynced: BTreeSet<u32>,
}

impl Database {
    /// Opens the database of the store at `path`; the writer must have opened it before.
    pub(crate) fn open(path: &Path, page_bytes: u32) -> io::Result<Self> {
        Ok(Self::new(kept_open::get(path)?, page_bytes))
    }

    fn new(file: Arc<File>, page_bytes: u32) -> Self {
        Self { file, page_bytes, unsynced: BTreeSet::new() }
    }

    /// The size of a page, in bytes.
    pub(crate) fn page_bytes(&self) -> u32 {
        self.page_bytes
    }

    /// Overwrites the leftovers of every page, and the whole content of free pages, and waits until that is on the disk.
    pub(crate) fn clean_all(&mut self) -> io::Result<()> {
        self.write_again()?;
        for number in 1..=self.count()? {
            self.clean(number)?;
        }
        self.clean_free()?;
        self.sync()
    }

    /// Overwrites the leftovers of these pages, and waits until that is on the disk.
    pub(crate) fn clean_these(&mut self, mut pages: impl Iterator<Item = u32>) -> io::Result<()> {
        let Some(first) = pages.next() else { return Ok(()) };
        self.write_again()?;
        self.clean(first)?;
        for number in pages {
            self.clean(number)?;
        }
        self.sync()
    }

    /// Writes a page from the log.
    pub(crate) fn put(&mut self, number: u32, page: &[u8]) -> io::Result<()> {
        self.unsynced.insert(number);
        self.file.write_all_at(page, self.offset(number))
    }

    /// Writes those pages again that a sync has failed to bring to the disk.
    pub(crate) fn write_again(&self) -> io::Result<()> {
        self.unsynced.iter().try_for_each(|number| {
            let page = self.read(*number)?;
            self.file.write_all_at(&page, self.offset(*number))
        })
    }

    /// Waits until all that was written is on the disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.unsynced.clear();
        Ok(())
    }

    /// How many pages the file has.
    fn count(&self) -> io::Result<u32> {
        let count = self.file.metadata()?.len() / u64::from(self.page_bytes);
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Overwrites the leftovers of one page.
    fn clean(&mut self, number: u32) -> io::Result<()> {
        let page = self.read(number)?;
        slack::dirty(number, &page).into_iter().try_for_each(|left| self.overwrite(number, left))
    }

    /// Overwrites the content of free pages (<https://www.sqlite.org/fileformat2.html>, section 1.5). DataAPI itself
    /// leaves none there, but another program that wrote to the file might have.
    fn clean_free(&mut self) -> io::Result<()> {
        let count = self.count()?;
        let whole = self.page_bytes as usize;
        let mut trunk = word(&self.read(1)?, 32);
        // The bound ends the loop if the list is damaged and circular.
        for _ in 0..count {
            if !(2..=count).contains(&trunk) {
                break;
            }
            let page = self.read(trunk)?;
            let leaves = (word(&page, 4) as usize).min(whole / 4 - 2);
            let end = 8 + 4 * leaves;
            for leaf in (8..end).step_by(4).map(|at| word(&page, at)) {
                if (2..=count).contains(&leaf) {
                    self.overwrite(leaf, 0..whole)?;
                }
            }
            self.overwrite(trunk, end..whole)?;
            trunk = word(&page, 0);
        }
        Ok(())
    }

    fn read(&self, number: u32) -> io::Result<Vec<u8>> {
        let mut page = vec![0; self.page_bytes as usize];
        self.file.read_exact_at(&mut page, self.offset(number))?;
        Ok(page)
    }

    fn overwrite(&mut self, number: u32, left: Range<usize>) -> io::Result<()> {
        self.unsynced.insert(number);
        self.file.write_all_at(&vec![0; left.len()], self.offset(number) + left.start as u64)
    }

    fn offset(&self, number: u32) -> u64 {
        u64::from(number - 1) * u64::from(self.page_bytes)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
