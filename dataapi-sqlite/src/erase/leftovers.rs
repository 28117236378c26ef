//! Which pages in the write-ahead log hold more than their rows.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::erase::slack;
use crate::erase::wal::Wal;
use crate::erase::wal_index::{Header, Salt, WalIndex};

/// Which pages in the log hold more than their rows.
#[derive(Debug)]
pub(crate) struct Leftovers {
    index: WalIndex,
    wal: Wal,
    salt: Salt,
    looked_through: u32,
    pages: BTreeSet<u32>,
}

impl Leftovers {
    /// Of the store at this path, which has that log; nothing is looked at yet.
    pub(crate) fn open(path: &Path, wal: Wal) -> io::Result<Self> {
        let index = WalIndex::open(path)?;
        let (salt, pages) = (Salt::default(), BTreeSet::new());
        Ok(Self { index, wal, salt, looked_through: 0, pages })
    }

    /// What tells whether anyone has committed since.
    pub(crate) fn header(&self) -> io::Result<Header> {
        self.index.whole_header()
    }

    /// Whether something is committed from now on.
    pub(crate) fn log_grows(&self) -> io::Result<bool> {
        self.index.grows()
    }

    /// Their numbers.
    pub(crate) fn pages(&self) -> impl Iterator<Item = u32> + '_ {
        self.pages.iter().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Called once they are overwritten.
    pub(crate) fn clear(&mut self) {
        self.pages.clear();
    }

    /// Looks at all that was committed since the last time.
    pub(crate) fn look_through(&mut self) -> io::Result<()> {
        let header = self.index.whole_header()?;
        if header.salt() != self.salt {
            // Whoever let the log begin anew had looked at all that was in it.
            self.begin_anew(header.salt());
        }
        let pages = &mut self.pages;
        let look = |number, page: &[u8]| {
            if !slack::dirty(number, page).is_empty() {
                pages.insert(number);
            }
        };
        let frames = header.frames();
        if frames == self.looked_through
            || self.wal.pages(self.salt, self.looked_through, frames, look)?
        {
            self.looked_through = frames;
        } else {
            self.begin_anew(Salt::default());
        }
        Ok(())
    }

    fn begin_anew(&mut self, salt: Salt) {
        self.salt = salt;
        self.looked_through = 0;
        self.pages.clear();
    }
}
