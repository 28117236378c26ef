//! Newest pages, ready to be sent again for as long as nothing that can be read has changed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dataapi_core::{DialogStore, PageRequest, Revision, Start};
use http::HeaderValue;

use crate::path::Prefix;

/// The answer to a page's request.
#[derive(Clone, Debug)]
pub(crate) struct ReadyPage {
    pub(crate) body: Bytes,
    /// The value of `Link`.
    pub(crate) link: Option<HeaderValue>,
}

/// Pages of one revision of the store.
#[derive(Debug)]
pub(crate) struct ReadyPages {
    capacity: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    revision: Option<Revision>,
    pages: HashMap<(Prefix, PageRequest), ReadyPage>,
    bytes: usize,
}

/// A request for a page, and the revision before it was read.
#[derive(Debug)]
pub(crate) struct Asked {
    key: (Prefix, PageRequest),
    revision: Option<Revision>,
}

impl Asked {
    pub(crate) fn request(&self) -> &PageRequest {
        &self.key.1
    }
}

impl ReadyPages {
    /// Keeps pages of up to `capacity` bytes in all; none if that is 0.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, kept: Mutex::default() }
    }

    /// Takes a request in.
    pub(crate) fn ask(
        &self,
        store: &dyn DialogStore,
        prefix: Prefix,
        request: PageRequest,
    ) -> Asked {
        // Deeper pages are seldom asked for twice, and would crowd out the newest.
        let newest = request.window().start == Start::Offset(0);
        let revision = if newest && self.capacity > 0 { store.revision() } else { None };
        Asked { key: (prefix, request), revision }
    }

    /// The page, if it is ready.
    pub(crate) fn find(&self, asked: &Asked) -> Option<ReadyPage> {
        self.at(asked.revision?).pages.get(&asked.key).cloned()
    }

    /// Keeps a page that was read after it was asked for, unless what can be read has changed
    /// since.
    pub(crate) fn keep(&self, store: &dyn DialogStore, asked: Asked, page: ReadyPage) {
        let Some(revision) = asked.revision else { return };
        if page.body.len() > self.capacity || store.revision() != Some(revision) {
            return;
        }
        let mut kept = self.at(revision);
        if kept.bytes + page.body.len() > self.capacity {
            *kept = Kept { revision: Some(revision), ..Kept::default() };
        }
        kept.bytes += page.body.len();
        if let Some(replaced) = kept.pages.insert(asked.key, page) {
            kept.bytes -= replaced.body.len();
        }
    }

    /// What is kept of `revision`. Pages of another one are of no use any more, and hold texts
    /// that may have been withdrawn.
    fn at(&self, revision: Revision) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.revision != Some(revision) {
            *kept = Kept { revision: Some(revision), ..Kept::default() };
        }
        kept
    }
}
