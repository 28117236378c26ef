//! Pages: which part of the matching dialogs is asked for, and what came of it.

use super::cursor::Cursor;
use super::filter::Filter;
use super::position::{Position, Positioned};
use super::scope::Scope;
use crate::dialog::{Dialog, HeldDialog};
use crate::error::Invalid;
use crate::values::{CustomerId, Date};

/// How many dialogs a page has at most: 1 to 1000, 100 unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit(u16);

impl Limit {
    /// The largest limit.
    pub const MAX: Self = Self(1000);

    /// Takes `limit` as a page's limit.
    ///
    /// # Errors
    /// When it is not 1 to 1000.
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
    /// After so many of the newest dialogs, as they stand now. Costs time with its size, and
    /// shifts when others come and go: to read everything, follow the cursors.
    Offset(u64),
    /// After a place that an earlier page ended at.
    After(Cursor),
}

impl Default for Start {
    fn default() -> Self {
        Self::Offset(0)
    }
}

/// Which part of the matching dialogs is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// How many at most.
    pub limit: Limit,
    /// From where on.
    pub start: Start,
    /// Whether to count all that match.
    pub total: bool,
}

impl Default for Window {
    /// The newest [`Limit::default`] dialogs, with their total.
    fn default() -> Self {
        Self { limit: Limit::default(), start: Start::default(), total: true }
    }
}

impl Window {
    /// How many matching dialogs lie before the page, not counting any before the cursor.
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

/// The newest end of what a page may hold; it never takes more than one bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upper<'a> {
    /// No bound.
    None,
    /// Received before this date.
    Before(Date),
    /// After this place in the order of pages.
    After(&'a Position),
}

/// A page of consented dialogs, asked for; any cursor in it belongs to its filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PageRequest {
    filter: Filter,
    window: Window,
}

impl PageRequest {
    /// Asks for that window of what matches `filter`.
    ///
    /// # Errors
    /// When the window's cursor belongs to another filter.
    pub fn new(filter: Filter, window: Window) -> Result<Self, Invalid> {
        window.cursor().map_or(Ok(()), |cursor| cursor.check(filter.scope()))?;
        Ok(Self { filter, window })
    }

    /// Which dialogs.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Which part of them.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The tighter of the filter's `to` and the cursor, so that an index is entered at one place.
    pub fn upper(&self) -> Upper<'_> {
        match (self.filter.to(), self.window.cursor().map(Cursor::position)) {
            (Some(to), Some(position)) if to <= position.date => Upper::Before(to),
            (_, Some(position)) => Upper::After(position),
            (Some(to), None) => Upper::Before(to),
            (None, None) => Upper::None,
        }
    }

    /// Makes the page out of what was found: the matching dialogs from the window's start on, in
    /// order, up to one more than the limit. That one tells that there is a next page.
    pub fn page(&self, found: Vec<Dialog>, total: Option<u64>) -> Page<Dialog> {
        Page::cut(found, total, &self.window, |position| Cursor::in_filter(&self.filter, position))
    }
}

/// A page of everything held on one customer, asked for; any cursor in it belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectRequest {
    customer_id: CustomerId,
    window: Window,
}

impl SubjectRequest {
    /// Asks for that window of what is held on `customer_id`.
    ///
    /// # Errors
    /// When the window's cursor belongs to another query.
    pub fn new(customer_id: CustomerId, window: Window) -> Result<Self, Invalid> {
        window.cursor().map_or(Ok(()), |cursor| cursor.check(Scope::subject(&customer_id)))?;
        Ok(Self { customer_id, window })
    }

    /// Whose data.
    pub fn customer_id(&self) -> &CustomerId {
        &self.customer_id
    }

    /// Which part of it.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Where the page goes on, if not at the newest.
    pub fn after(&self) -> Option<&Position> {
        self.window.cursor().map(Cursor::position)
    }

    /// Makes the page out of what was found, as [`PageRequest::page`] does.
    pub fn page(&self, found: Vec<HeldDialog>, total: Option<u64>) -> Page<HeldDialog> {
        Page::cut(found, total, &self.window, |position| {
            Cursor::in_subject(&self.customer_id, position)
        })
    }
}

/// A page of dialogs, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The dialogs, at most as many as the limit.
    pub items: Vec<T>,
    /// How many match in all, at the moment of this page; `None` if it was not asked for.
    pub total: Option<u64>,
    /// Where the following page starts; `None` if this is the last.
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
