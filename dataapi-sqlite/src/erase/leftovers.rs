//! Inspects the pages in the write-ahead log, and notes those with leftovers: bytes in their unused space.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::erase::slack;
use crate::erase::wal::Wal;
use crate::erase::wal_index::{Header, Salt, WalIndex};

/// The pages in the log that have leftovers.
#[derive(Debug)]
pub(crate) struct Leftovers {
    index: WalIndex,
    wal: Wal,
    /// The salt of the log when it was last inspected: a restart changes it.
    salt: Salt,
    /// How many frames of the log are inspected.
    looked_through: u32,
    pages: BTreeSet<u32>,
}

impl Leftovers {
    /// Opens the store at `path`, which has the log `wal`. Inspects nothing yet.
    pub(crate) fn open(path: &Path, wal: Wal) -> io::Result<Self> {
        let index = WalIndex::open(path)?;
        let (salt, pages) = (Salt::default(), BTreeSet::new());
        Ok(Self { index, wal, salt, looked_through: 0, pages })
    }

    /// The header of the log's index, which every commit changes.
    pub(crate) fn header(&self) -> io::Result<Header> {
        self.index.whole_header()
    }

    /// Whether no other process has the store open.
    pub(crate) fn is_alone(&self) -> io::Result<bool> {
        self.index.is_alone()
    }

    /// Waits a few milliseconds for a commit after this state, and returns whether there was one.
    pub(crate) fn log_grows(&self, beyond: &Header) -> io::Result<bool> {
        self.index.grows(beyond)
    }

    /// The numbers of the pages with leftovers.
    pub(crate) fn pages(&self) -> impl Iterator<Item = u32> + '_ {
        self.pages.iter().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Forgets the pages, once their leftovers are overwritten.
    pub(crate) fn clear(&mut self) {
        self.pages.clear();
    }

    /// Inspects the whole log from now on.
    pub(crate) fn look_again(&mut self) {
        self.begin_anew(Salt::default());
    }

    /// Inspects all pages that were committed since the last call, up to this state. Nothing restarts the log meanwhile.
    pub(crate) fn look_through(&mut self, header: &Header) -> io::Result<()> {
        if header.salt() != self.salt {
            // The scrubber that restarted the log had inspected all of it.
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
            self.look_again();
        }
        Ok(())
    }

    fn begin_anew(&mut self, salt: Salt) {
        self.salt = salt;
        self.looked_through = 0;
        self.pages.clear();
    }
}
