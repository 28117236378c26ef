//! Dates: moments in UTC, to the microsecond.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use crate::error::Invalid;

/// A moment in UTC, to the microsecond.
///
/// From `0001-01-01T00:00:00Z` to `9999-12-30T22:00:00.999999Z`. Its text form is RFC 3339 with six digits and `Z`, so
/// that texts sort in the order of their dates. Parsing cuts off anything finer than a microsecond.
///
/// ```
/// use dataapi_core::Date;
///
/// let date: Date = "2026-03-01T10:00:00.5+02:00".parse()?;
/// assert_eq!(date.to_string(), "2026-03-01T08:00:00.500000Z");
/// assert!("2026-03-01".parse::<Date>().is_err());
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i64);

impl Date {
    /// The earliest date.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// The latest date.
    pub const MAX: Self = Self(253_402_207_200_999_999);

    /// The date this many microseconds after 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// If it is before [`Date::MIN`] or after [`Date::MAX`].
    pub fn from_micros(micros: i64) -> Result<Self, Invalid> {
        if (Self::MIN.0..=Self::MAX.0).contains(&micros) {
            Ok(Self(micros))
        } else {
            Err(Invalid::new("date", "must be between 0001-01-01 and 9999-12-30"))
        }
    }

    /// The date this many microseconds after 1970-01-01T00:00:00Z, or the nearest possible date.
    pub(crate) fn clamped(micros: i64) -> Self {
        Self(micros.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Microseconds since 1970-01-01T00:00:00Z; negative before that.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This date moved back by `by`, but not before [`Date::MIN`].
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(by).max(Self::MIN.0))
    }

    /// This date moved forward by `by`, but not after [`Date::MAX`].
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(by).min(Self::MAX.0))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In nanoseconds, because given microseconds the date library refuses all but the start of its last second,
        // which contains `Date::MAX`.
        let nanos = i128::from(self.0) * 1_000;
        let timestamp = Timestamp::from_nanosecond(nanos).map_err(|_| fmt::Error)?;
        write!(f, "{timestamp:.6}")
    }
}

impl FromStr for Date {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid =
            || Invalid::new("date", "must be an RFC 3339 date-time such as 2026-03-01T10:00:00Z");
        if !has_rfc3339_shape(text.as_bytes()) {
            return Err(invalid());
        }
        let timestamp: Timestamp = text.parse().map_err(|_| invalid())?;
        // Rounds towards the past, so that dates before 1970 are cut off like all others.
        let micros = timestamp.as_nanosecond().div_euclid(1_000);
        Self::from_micros(i64::try_from(micros).map_err(|_| invalid())?)
    }
}

/// The date library accepts more than RFC 3339 section 5.6 allows (short times, time zone names, six-digit years,
/// offsets of a day and more), and what it accepts differs by version. This check fixes the shape.
fn has_rfc3339_shape(text: &[u8]) -> bool {
    const HEAD: &[u8] = b"0000-00-00T00:00:00";
    let fits = |shape: &[u8], text: &[u8]| {
        shape.len() == text.len()
            && shape.iter().zip(text).all(|(shape, byte)| match shape {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't' | b' '),
                b'+' => matches!(byte, b'+' | b'-'),
                other => byte == other,
            })
    };
    let Some((head, mut rest)) = text.split_at_checked(HEAD.len()) else {
        return false;
    };
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return false;
        }
        rest = &fraction[digits..];
    }
    let is_offset = || fits(b"+00:00", rest) && &rest[1..3] <= b"23".as_slice();
    fits(HEAD, head) && (matches!(rest, b"Z" | b"z") || is_offset())
}
