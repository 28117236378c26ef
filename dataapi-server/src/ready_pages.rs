//! A cache of rendered first pages. It is valid as long as nothing readable has changed in the store.
//!
//! It counts the pages, the requests under which it keeps them, and pages that have left it and are still being sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use dataapi_core::{DialogStore, PageRequest, Revision, Start};
use http::HeaderValue;

use crate::net::buffers::{AnswerRoom, held};
use crate::net::codings::{Coding, Effort};
use crate::net::shares::{Kind, Pool, Share, Taken};
use crate::path::Prefix;

/// A rendered page.
#[derive(Clone, Debug)]
pub(crate) struct ReadyPage {
    pub(crate) body: Bytes,
    /// The value of `Link`.
    pub(crate) link: Option<HeaderValue>,
    /// The page in the codings that clients asked for; `None` if the page is not kept, or no form is wanted.
    pub(crate) encoded: Option<Arc<Encoded>>,
}

/// The encoded forms of an answer that is sent more than once.
#[derive(Debug)]
pub(crate) struct Encoded {
    forms: [OnceLock<Bytes>; 2],
    /// Held while one of them is made, so that no two requests make the same.
    making: Mutex<()>,
    /// Where their bytes count. Those of the program's own files do not: there are as many as there are files.
    room: Option<(Arc<Pool>, Arc<Share>)>,
}

/// The rendered pages of one revision of the store.
#[derive(Debug)]
pub(crate) struct ReadyPages {
    room: Arc<Pool>,
    share: Arc<Share>,
    capacity: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    revision: Option<Revision>,
    pages: HashMap<(Prefix, PageRequest), ReadyPage>,
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
        let room = Pool::new(Kind::ReadyPages, capacity);
        Self { room, share: Arc::default(), capacity, kept: Mutex::default() }
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

    /// Returns the page if it is in the cache, with its encoded forms if they are of use.
    pub(crate) fn find(&self, asked: &Asked, is_encoded: bool) -> Option<ReadyPage> {
        let kept = self.at(asked.revision?);
        let ReadyPage { body, link, encoded } = kept.pages.get(&asked.key)?;
        let encoded = encoded.as_ref().filter(|_| is_encoded).map(Arc::clone);
        Some(ReadyPage { body: body.clone(), link: link.clone(), encoded })
    }

    /// Makes an answer of a page that was read after [`ask`](Self::ask), and caches it, unless the store's revision has
    /// changed since. Its bytes then count here, no longer in `room`.
    pub(crate) fn keep(
        &self,
        store: &dyn DialogStore,
        asked: Asked,
        json: Vec<u8>,
        link: Option<HeaderValue>,
        room: AnswerRoom,
    ) -> ReadyPage {
        let kept = asked.revision.filter(|revision| store.revision() == Some(*revision));
        let kept = kept.and_then(|revision| {
            Some((revision, self.room_for(json.capacity() + bytes_of_entry(&asked.key))?))
        });
        let Some((revision, taken)) = kept else {
            return ReadyPage { body: room.hold(json), link, encoded: None };
        };
        let encoded = Some(Arc::new(Encoded::of_a_page(&self.room, &self.share)));
        let page = ReadyPage { body: held(json.into(), taken), link, encoded };
        self.at(revision).pages.insert(asked.key, page.clone());
        page
    }

    /// Takes room for another page, if need be from those that are kept. Pages that are being sent keep their room.
    fn room_for(&self, bytes: usize) -> Option<Taken> {
        if bytes > self.capacity {
            return None;
        }
        self.room.take(&self.share, bytes).ok().or_else(|| {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).pages = HashMap::new();
            self.room.take(&self.share, bytes).ok()
        })
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

impl Encoded {
    /// The forms of a file of the program. They are made once and not counted.
    pub(crate) fn of_the_program() -> Self {
        Self { forms: Default::default(), making: Mutex::default(), room: None }
    }

    fn of_a_page(room: &Arc<Pool>, share: &Arc<Share>) -> Self {
        let room = Some((Arc::clone(room), Arc::clone(share)));
        Self { room, ..Self::of_the_program() }
    }

    /// Returns the form that was made before.
    pub(crate) fn known(&self, coding: Coding) -> Option<Bytes> {
        self.forms[coding as usize].get().cloned()
    }

    /// Returns the form, and makes it if it is not known. It counts in `room` if it cannot be kept. Blocks while
    /// another request makes one. `None` if there is no room for it.
    pub(crate) fn make(&self, coding: Coding, plain: &[u8], mut room: AnswerRoom) -> Option<Bytes> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.known(coding) {
            return Some(known);
        }
        let kept = match &self.room {
            None => coding.encode(plain, Effort::Often, |_| true)?.into(),
            Some((pool, share)) => {
                let grow = |bytes| room.grow_to(bytes).is_ok();
                let form = coding.encode(plain, Effort::Once, grow)?;
                match pool.take(share, form.capacity()) {
                    Ok(taken) => held(form.into(), taken),
                    Err(_) => return Some(room.hold(form)),
                }
            }
        };
        Some(self.forms[coding as usize].get_or_init(|| kept).clone())
    }
}

/// About how many bytes an entry takes beside those of the page.
fn bytes_of_entry(key: &(Prefix, PageRequest)) -> usize {
    /// A table can have twice as many places as entries, and some allocations belong to each.
    const ENTRY: usize = 2 * size_of::<((Prefix, PageRequest), ReadyPage)>() + 512;
    /// What the values themselves take: a tag has its own allocation.
    const TAG: usize = 64;
    let filter = key.1.filter();
    let customer = filter.customer_id().map_or(0, |id| id.as_str().len());
    let prefix = filter.reach().customers().map_or(0, |prefix| prefix.as_str().len());
    // A tag has at most 255 bytes, but hardly one has more than `TAG`.
    let tags = filter.language_ranges().iter().map(|range| range.to_string().len() + TAG);
    let bounds = filter.reach().languages().iter().map(|tag| tag.as_str().len() + TAG);
    ENTRY + customer + prefix + tags.sum::<usize>() + bounds.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dataapi_core::{
        CustomerId, Filter, Limit, MemoryStore, RefKey, Revision, SystemClock, Upkeep, Window,
    };

    use super::*;
    use crate::net::buffers::Buffers;

    /// A store whose revision never changes.
    fn store() -> MemoryStore {
        MemoryStore::new(Arc::new(SystemClock), RefKey::from_bytes([7; 32]))
    }

    fn asked(store: &MemoryStore, customer: &str) -> Asked {
        let customer: CustomerId = customer.parse().expect("an id");
        let window = Window { limit: Limit::default(), ..Window::default() };
        let request = PageRequest::new(Filter::default().customer(customer), window);
        let revision: Option<Revision> = store.revision();
        assert!(revision.is_some());
        Asked { key: (Prefix::Bare, request.expect("a request")), revision }
    }

    #[test]
    fn empty_pages_under_many_names_stay_within_the_bound() {
        let (store, buffers, share) = (store(), Buffers::new(1 << 30), Arc::<Share>::default());
        let ready = ReadyPages::new(1 << 20);
        for number in 0..10_000 {
            let room = buffers.answer(&share, 2).expect("there is room");
            ready.keep(
                &store,
                asked(&store, &format!("{number:0200}")),
                b"{}".to_vec(),
                None,
                room,
            );
            assert!(ready.kept.lock().expect("no panic").pages.len() <= (1 << 20) / 800);
        }
        assert!(!ready.kept.lock().expect("no panic").pages.is_empty());
    }

    #[test]
    fn a_page_that_left_the_cache_counts_until_it_is_sent() {
        let (store, buffers, share) = (store(), Buffers::new(1 << 30), Arc::<Share>::default());
        let ready = ReadyPages::new(1 << 20);
        let keep = |name: &str| {
            let room = buffers.answer(&share, 600_000).expect("there is room");
            ready.keep(&store, asked(&store, name), vec![b' '; 600_000], None, room)
        };
        let first = keep("a");
        assert!(first.encoded.is_some());
        assert!(keep("b").encoded.is_none(), "the first one is being sent");
        drop(first);
        assert!(keep("c").encoded.is_some());
    }
}
