//! A cache of rendered first pages. It is valid as long as nothing readable has changed in the store.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dataapi_core::{DialogStore, PageRequest, Revision, Start};
use http::HeaderValue;

use crate::path::Prefix;

/// A rendered page.
#[derive(Clone, Debug)]
pub(crate) struct ReadyPage {
    pub(crate) body: Bytes,
    /// The value of `Link`.
    pub(crate) link: Option<HeaderValue>,
}

/// The rendered pages of one revision of the store.
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

/// A request for a page, and the store's revision before the page was read.
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
    /// Creates a cache of at most `capacity` bytes; with 0 it keeps nothing.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, kept: Mutex::default() }
    }

    /// Notes a request and the store's current revision.
    pub(crate) fn ask(
        &self,
        store: &dyn DialogStore,
        prefix: Prefix,
        request: PageRequest,
    ) -> Asked {
        // Later pages are rarely requested twice and would crowd out the first ones.
        let newest = request.window().start == Start::Offset(0);
        let revision = if newest && self.capacity > 0 { store.revision() } else { None };
        Asked { key: (prefix, request), revision }
    }

    /// Notes a request whose page is neither taken from the cache nor put into it.
    pub(crate) fn ask_apart(prefix: Prefix, request: PageRequest) -> Asked {
        Asked { key: (prefix, request), revision: None }
    }

    /// Returns the page if it is in the cache.
    pub(crate) fn find(&self, asked: &Asked) -> Option<ReadyPage> {
        self.at(asked.revision?).pages.get(&asked.key).cloned()
    }

    /// Caches a page that was read after [`ask`](Self::ask), unless the store's revision has changed since.
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

    /// Returns the pages of `revision` and drops those of any other: they are outdated, and their texts might have been
    /// withdrawn.
    fn at(&self, revision: Revision) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.revision != Some(revision) {
            *kept = Kept { revision: Some(revision), ..Kept::default() };
        }
        kept
    }
}
