//! Pages: which part of the matching dialogs is requested, and the result.

use super::cursor::Cursor;
use super::filter::Filter;
use super::position::{Position, Positioned};
use super::scope::Scope;
use crate::dialog::{Dialog, HeldDialog};
use crate::error::Invalid;
use crate::values::{CustomerId, Date};

/// The maximum number of dialogs on a page: 1 to 1000, by default 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit(u16);

impl Limit {
    /// The largest limit.
    pub const MAX: Self = Self(1000);

    /// Takes `limit` as the limit of a page.
    ///
    /// # Errors
    /// If it is not 1 to 1000.
    pub fn new(limit: u64) -> Result<Self, Invalid> {
        match u16::try_from(limit) {
            Ok(limit) if (1..=Self::MAX.0).contains(&limit) => Ok(Self(limit)),
            _ => Err(Invalid::new("limit", "must be 1 to 1000")),
        }
    }

    /// The limit as a number.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

/// Where a page starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// Skips this many of the newest dialogs, as they are now. The cost grows with the offset, and the offset shifts
    /// when other dialogs come and go. To read everything, follow the cursors.
    Offset(u64),
    /// Continues after the position where an earlier page ended.
    After(Cursor),
}

impl Default for Start {
    fn default() -> Self {
        Self::Offset(0)
    }
}

/// The part of the matching dialogs that is requested.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The maximum number of dialogs.
    pub limit: Limit,
    /// Where the page starts.
    pub start: Start,
    /// Whether to count all matching dialogs.
    pub total: bool,
}

impl Default for Window {
    /// The newest [`Limit::default`] dialogs, with their total.
    fn default() -> Self {
        Self { limit: Limit::default(), start: Start::default(), total: true }
    }
}

impl Window {
    /// How many matching dialogs to skip before the page; 0 if it continues after a cursor.
    pub fn offset(&self) -> u64 {
        match self.start {
            Start::Offset(offset) => offset,
            Start::After(_) => 0,
        }
    }

    fn cursor(&self) -> Option<&Cursor> {
        match &self.start {
            Start::Offset(_) => None,
            Start::After(cursor) => Some(cursor),
        }
    }
}

/// The newest end of what a page can contain. There is at most one bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upper<'a> {
    /// No bound.
    None,
    /// Only dialogs received before this date.
    Before(Date),
    /// Only dialogs after this position in the order of pages.
    After(&'a Position),
}

/// A request for a page of consented dialogs. A cursor in it belongs to its filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PageRequest {
    filter: Filter,
    window: Window,
}

impl PageRequest {
    /// Requests that window of the dialogs that match `filter`.
    ///
    /// # Errors
    /// If the cursor of the window belongs to another query.
    pub fn new(filter: Filter, window: Window) -> Result<Self, Invalid> {
        window.cursor().map_or(Ok(()), |cursor| cursor.check(filter.scope()))?;
        Ok(Self { filter, window })
    }

    /// The filter.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The part of the matching dialogs that is requested.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The tighter of the filter's `to` and the cursor, so that a backend enters its index at one position.
    pub fn upper(&self) -> Upper<'_> {
        match (self.filter.to(), self.window.cursor().map(Cursor::position)) {
            (Some(to), Some(position)) if to <= position.date => Upper::Before(to),
            (_, Some(position)) => Upper::After(position),
            (Some(to), None) => Upper::Before(to),
            (None, None) => Upper::None,
        }
    }

    /// Makes the page out of what the backend found: the matching dialogs in order from the start of the window, up to
    /// one more than the limit. The extra one shows that there is a next page.
    pub fn page(&self, found: Vec<Dialog>, total: Option<u64>) -> Page<Dialog> {
        Page::cut(found, total, &self.window, |position| Cursor::in_filter(&self.filter, position))
    }
}

/// A request for a page of everything held on one customer. A cursor in it belongs to that customer's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectRequest {
    customer_id: CustomerId,
    window: Window,
}

impl SubjectRequest {
    /// Requests that window of what is held on `customer_id`.
    ///
    /// # Errors
    /// If the cursor of the window belongs to another query.
    pub fn new(customer_id: CustomerId, window: Window) -> Result<Self, Invalid> {
        window.cursor().map_or(Ok(()), |cursor| cursor.check(Scope::subject(&customer_id)))?;
        Ok(Self { customer_id, window })
    }

    /// The customer whose data is requested.
    pub fn customer_id(&self) -> &CustomerId {
        &self.customer_id
    }

    /// The part of the data that is requested.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The position that the page continues after; `None` if it starts at the newest.
    pub fn after(&self) -> Option<&Position> {
        self.window.cursor().map(Cursor::position)
    }

    /// Makes the page out of what the backend found, as [`PageRequest::page`] does.
    pub fn page(&self, found: Vec<HeldDialog>, total: Option<u64>) -> Page<HeldDialog> {
        Page::cut(found, total, &self.window, |position| {
            Cursor::in_subject(&self.customer_id, position)
        })
    }
}

/// A page of dialogs, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The dialogs, no more than the limit.
    pub items: Vec<T>,
    /// How many dialogs match at the moment of this page; `None` if it was not requested.
    pub total: Option<u64>,
    /// Where the next page starts; `None` if this is the last page.
    pub next: Option<Cursor>,
}

impl<T: Positioned> Page<T> {
    fn cut(
        mut found: Vec<T>,
        total: Option<u64>,
        window: &Window,
        cursor: impl FnOnce(Position) -> Cursor,
    ) -> Self {
        let limit = window.limit.get();
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|last| cursor(last.position()));
        Self { items: found, total, next }
    }
}
