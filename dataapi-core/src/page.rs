//! Pages: which dialogs, in which order, from where, and how many.
//!
//! The order is newest date first, equal dates by dialog id, descending bytes. A dialog's date
//! never changes, so a place in that order stays what it was while others come and go: that is
//! why a crawl by [`Cursor`] meets each dialog that stays exactly once.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Date;
use crate::dialog::{CustomerId, Dialog, DialogId, HeldDialog, Language};
use crate::error::Invalid;
use crate::reach::Reach;

/// Which consented dialogs are asked for: all that match every condition given.
///
/// ```
/// use dataapi_core::Filter;
///
/// let filter = Filter::default()
///     .language("en".parse()?)
///     .between(Some("2026-01-01T00:00:00Z".parse()?), None)?;
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    customer_id: Option<CustomerId>,
    language: Option<Language>,
    from: Option<Date>,
    to: Option<Date>,
    reach: Reach,
}

impl Filter {
    /// Only this customer's.
    #[must_use]
    pub fn customer(self, customer_id: CustomerId) -> Self {
        Self { customer_id: Some(customer_id), ..self }
    }

    /// Only this language's; case does not matter.
    #[must_use]
    pub fn language(self, language: Language) -> Self {
        Self { language: Some(language), ..self }
    }

    /// Only those received at `from` or later, and before `to`.
    ///
    /// # Errors
    /// When `to` lies before `from`.
    pub fn between(self, from: Option<Date>, to: Option<Date>) -> Result<Self, Invalid> {
        match (from, to) {
            (Some(from), Some(to)) if to < from => {
                Err(Invalid::new("to", "must not lie before 'from'"))
            }
            _ => Ok(Self { from, to, ..self }),
        }
    }

    /// Only those within `reach`, whoever else matches.
    #[must_use]
    pub fn within(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// Whose dialogs are asked for.
    pub fn customer_id(&self) -> Option<&CustomerId> {
        self.customer_id.as_ref()
    }

    /// In which language.
    pub fn language_tag(&self) -> Option<&Language> {
        self.language.as_ref()
    }

    /// Received when at the earliest.
    pub fn from(&self) -> Option<Date> {
        self.from
    }

    /// Received before when.
    pub fn to(&self) -> Option<Date> {
        self.to
    }

    /// Within which bounds.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Whether it asks for nothing but what is out of its reach, so that no dialog matches.
    pub fn is_out_of_reach(&self) -> bool {
        self.customer_id.as_ref().is_some_and(|id| !self.reach.covers_customer(id))
            || self.language.as_ref().is_some_and(|tag| !self.reach.covers_language(tag))
    }

    /// Whether a dialog with these values matches.
    pub fn matches(&self, customer_id: &CustomerId, language: &Language, date: Date) -> bool {
        self.customer_id.as_ref().is_none_or(|wanted| wanted == customer_id)
            && self.language.as_ref().is_none_or(|wanted| wanted == language)
            && self.from.is_none_or(|from| from <= date)
            && self.to.is_none_or(|to| date < to)
            && self.reach.covers(customer_id, language)
    }

    /// Feeds the filter to a cursor's fingerprint, each part with its length so that no two
    /// filters feed the same bytes.
    fn scope(&self) -> Scope {
        let mut scope = Scope::new(b"consented");
        scope.part(self.customer_id.as_ref().map(|id| id.as_str().as_bytes()));
        scope.part(
            self.language
                .as_ref()
                .map(|tag| tag.as_str().to_ascii_lowercase())
                .as_deref()
                .map(str::as_bytes),
        );
        scope.part(
            self.from.map(|date| date.as_micros().to_be_bytes()).as_ref().map(<[u8; 8]>::as_slice),
        );
        scope.part(
            self.to.map(|date| date.as_micros().to_be_bytes()).as_ref().map(<[u8; 8]>::as_slice),
        );
        if !self.reach.is_all() {
            scope.part(self.reach.customers().map(|prefix| prefix.as_str().as_bytes()));
            for language in self.reach.languages() {
                scope.part(Some(language.as_str().to_ascii_lowercase().as_bytes()));
            }
        }
        scope
    }
}

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

/// A dialog's place in the order of pages; the newest place is the smallest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// When the dialog was received.
    pub date: Date,
    /// Its id.
    pub dialog_id: DialogId,
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.date, &other.dialog_id).cmp(&(self.date, &self.dialog_id))
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What has a place in the order of pages.
pub trait Positioned {
    /// Its place.
    fn position(&self) -> Position;
}

impl Positioned for Dialog {
    fn position(&self) -> Position {
        Position { date: self.date(), dialog_id: self.dialog_id().clone() }
    }
}

impl Positioned for HeldDialog {
    fn position(&self) -> Position {
        Position { date: self.date(), dialog_id: self.dialog_id().clone() }
    }
}

/// A place in one filter's pages, from which the next page goes on.
///
/// Its text is opaque, safe in a URL as it is, and belongs to its filter: with another one it is
/// refused. It holds no state of a server, so any server on the same store takes it.
///
/// ```
/// use dataapi_core::{Cursor, Filter, Limit, PageRequest, Position, Start, Window};
///
/// let place = Position { date: "2026-03-01T10:00:00Z".parse()?, dialog_id: "d-1".parse()? };
/// let all = Filter::default();
/// let cursor: Cursor = Cursor::in_filter(&all, place).to_string().parse()?;
///
/// let window = Window { start: Start::After(cursor), ..Window::default() };
/// assert!(PageRequest::new(all.clone(), window.clone()).is_ok());
/// let english = all.language("en".parse()?);
/// assert!(PageRequest::new(english, window).is_err());
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    position: Position,
    fingerprint: Fingerprint,
}

type Fingerprint = [u8; 8];

impl Cursor {
    const VERSION: u8 = 1;

    /// The cursor to go on from `position` in the pages of `filter`.
    pub fn in_filter(filter: &Filter, position: Position) -> Self {
        Self::in_scope(filter.scope(), position)
    }

    /// The cursor to go on from `position` in the pages of one customer's own data.
    pub fn in_subject(customer_id: &CustomerId, position: Position) -> Self {
        Self::in_scope(Scope::subject(customer_id), position)
    }

    fn in_scope(scope: Scope, position: Position) -> Self {
        let fingerprint = scope.fingerprint(&position);
        Self { position, fingerprint }
    }

    /// The place from which the page goes on: the last one already seen.
    pub fn position(&self) -> &Position {
        &self.position
    }

    fn check(&self, scope: Scope) -> Result<(), Invalid> {
        if scope.fingerprint(&self.position) == self.fingerprint {
            Ok(())
        } else {
            Err(Invalid::new("cursor", "belongs to another query; start again without it"))
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![Self::VERSION];
        bytes.extend_from_slice(&self.fingerprint);
        bytes.extend_from_slice(&self.position.date.as_micros().to_be_bytes());
        bytes.extend_from_slice(self.position.dialog_id.as_str().as_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parse = || {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            let (version, bytes) = bytes.split_first()?;
            let (fingerprint, bytes) = bytes.split_first_chunk()?;
            let (date, dialog_id) = bytes.split_first_chunk()?;
            if *version != Self::VERSION {
                return None;
            }
            let date = Date::from_micros(i64::from_be_bytes(*date)).ok()?;
            let dialog_id = std::str::from_utf8(dialog_id).ok()?.parse().ok()?;
            Some(Self { position: Position { date, dialog_id }, fingerprint: *fingerprint })
        };
        parse().ok_or_else(|| Invalid::new("cursor", "must be one that a page's 'next' gave"))
    }
}

/// What a cursor belongs to.
struct Scope(blake3::Hasher);

impl Scope {
    fn new(kind: &[u8]) -> Self {
        let mut scope = Self(blake3::Hasher::new());
        scope.part(Some(kind));
        scope
    }

    fn subject(customer_id: &CustomerId) -> Self {
        let mut scope = Self::new(b"subject");
        scope.part(Some(customer_id.as_str().as_bytes()));
        scope
    }

    fn part(&mut self, part: Option<&[u8]>) {
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        self.0.update(&length.to_be_bytes());
        self.0.update(part.unwrap_or_default());
    }

    fn fingerprint(mut self, position: &Position) -> Fingerprint {
        self.part(Some(&position.date.as_micros().to_be_bytes()));
        self.part(Some(position.dialog_id.as_str().as_bytes()));
        let mut fingerprint = Fingerprint::default();
        self.0.finalize_xof().fill(&mut fingerprint);
        fingerprint
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
        match (self.filter.to, self.window.cursor().map(Cursor::position)) {
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
