//! The text of a dialog.

use std::fmt;

use crate::error::Invalid;

/// The text of a dialog: at least 1 byte of UTF-8, any character but NUL.
///
/// ```
/// use dataapi_core::Text;
///
/// let text = Text::parse("It was \"fine\" 🙂\n".to_owned(), Text::DEFAULT_MAX_BYTES)?;
/// assert_eq!(format!("{text:?}"), "Text([redacted])");
/// assert!(Text::parse("too long".to_owned(), 7).is_err());
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Box<str>);

impl Text {
    /// The maximum length in bytes, unless the operator sets another one: 64 KiB.
    pub const DEFAULT_MAX_BYTES: usize = 64 * 1024;

    /// Takes `value` as a text of at most `max_bytes`.
    ///
    /// # Errors
    /// If it is empty, longer than `max_bytes`, or contains a NUL character.
    pub fn parse(value: String, max_bytes: usize) -> Result<Self, Invalid> {
        if value.is_empty() || value.len() > max_bytes {
            Err(Invalid::new("text", format!("must be 1 to {max_bytes} bytes of UTF-8")))
        } else if value.as_bytes().contains(&0) {
            Err(Invalid::new("text", "must not contain NUL characters"))
        } else {
            Ok(Self(value.into_boxed_str()))
        }
    }

    /// The text as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text([redacted])")
    }
}
