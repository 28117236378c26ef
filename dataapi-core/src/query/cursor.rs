//! Cursors: positions in the pages of one filter.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::filter::Filter;
use super::position::Position;
use super::scope::{Fingerprint, Scope};
use crate::error::Invalid;
use crate::values::{CustomerId, Date};

/// A position in the pages of one filter, from which the next page continues.
///
/// Its text form is opaque and can be put in a URL as it is. It belongs to its filter: with another filter it is
/// refused. It holds no server state, so every server on the same store accepts it.
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

impl Cursor {
    const VERSION: u8 = 1;

    /// The cursor that continues after `position` in the pages of `filter`.
    pub fn in_filter(filter: &Filter, position: Position) -> Self {
        Self::in_scope(filter.scope(), position)
    }

    /// The cursor that continues after `position` in the pages of one customer's own data.
    pub fn in_subject(customer_id: &CustomerId, position: Position) -> Self {
        Self::in_scope(Scope::subject(customer_id), position)
    }

    fn in_scope(scope: Scope, position: Position) -> Self {
        let fingerprint = scope.fingerprint(&position);
        Self { position, fingerprint }
    }

    /// The position that the next page continues after: that of the last dialog seen.
    pub fn position(&self) -> &Position {
        &self.position
    }

    pub(super) fn check(&self, scope: Scope) -> Result<(), Invalid> {
        if scope.fingerprint(&self.position) == self.fingerprint {
            Ok(())
        } else {
            Err(Invalid::new("cursor", "belongs to another query; start again without a cursor"))
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
        parse().ok_or_else(|| Invalid::new("cursor", "must be the one in the 'next' of a page"))
    }
}
