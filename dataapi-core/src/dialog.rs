//! Ids, language and text: parsed once, at the edge, and valid ever after; and the gate between
//! what is stored and what can be read.
//!
//! None of these types prints what it holds: `Debug` says `[redacted]`, and `Display` is not
//! implemented. Where a value has to be seen, `as_str` says so in the code.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use oxilangtag::LanguageTag;

use crate::clock::Date;
use crate::error::{Invalid, StoreError};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        ///
        /// 1 to 255 bytes of UTF-8, no control characters, not `.` or `..`. Compared and ordered
        /// byte for byte, never normalised.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The most bytes an id has.
            pub const MAX_BYTES: usize = 255;

            /// The id as it was sent.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(value: String) -> Result<Self, Invalid> {
                check_id($field, &value)?;
                Ok(Self(value.into_boxed_str()))
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(value: &str) -> Result<Self, Invalid> {
                check_id($field, value)?;
                Ok(Self(value.into()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

id! {
    /// Names one user of the chatbot, as the chatbot chose.
    ///
    /// ```
    /// use dataapi_core::CustomerId;
    ///
    /// let id: CustomerId = "zoë/42".parse()?;
    /// assert_eq!(id.as_str(), "zoë/42");
    /// assert_eq!(format!("{id:?}"), "CustomerId([redacted])");
    /// assert!("..".parse::<CustomerId>().is_err());
    /// # Ok::<(), dataapi_core::Invalid>(())
    /// ```
    CustomerId, "customer_id"
}

id! {
    /// Names one dialog, uniquely in the whole store and not only for its customer.
    DialogId, "dialog_id"
}

fn check_id(field: &'static str, value: &str) -> Result<(), Invalid> {
    // Most ids are printable ASCII, which is told without decoding characters.
    let has_control = || {
        !value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
            && value.chars().any(char::is_control)
    };
    if value.is_empty() || value.len() > CustomerId::MAX_BYTES {
        Err(Invalid::new(field, "must be 1 to 255 bytes of UTF-8"))
    } else if has_control() {
        Err(Invalid::new(field, "must have no control characters"))
    } else if matches!(value, "." | "..") {
        Err(Invalid::new(field, "must not be '.' or '..'"))
    } else {
        Ok(())
    }
}

/// The language of a dialog: a well-formed BCP 47 tag (RFC 5646 section 2.2.9) of up to 255 bytes.
///
/// Equality, order and hash disregard case; [`Language::as_str`] keeps the tag as it was sent.
///
/// ```
/// use dataapi_core::Language;
///
/// let sent: Language = "PT-br".parse()?;
/// assert_eq!(sent, "pt-BR".parse()?);
/// assert_eq!(sent.as_str(), "PT-br");
/// assert_eq!(sent.canonical(), "pt-BR");
/// assert!("not a language".parse::<Language>().is_err());
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
#[derive(Clone)]
pub struct Language(Box<str>);

impl Language {
    /// The most bytes a tag has.
    pub const MAX_BYTES: usize = 255;

    /// The tag as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag in the case that RFC 5646 section 2.1.1 recommends, such as `zh-Hant-TW`.
    pub fn canonical(&self) -> String {
        LanguageTag::parse_and_normalize(&self.0)
            .map_or_else(|_| self.0.to_ascii_lowercase(), LanguageTag::into_inner)
    }

    fn folded(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl FromStr for Language {
    type Err = Invalid;

    fn from_str(value: &str) -> Result<Self, Invalid> {
        Self::try_from(value.to_owned())
    }
}

impl TryFrom<String> for Language {
    type Error = Invalid;

    fn try_from(value: String) -> Result<Self, Invalid> {
        let is_well_formed = || is_plain(&value) || LanguageTag::parse(value.as_str()).is_ok();
        if value.len() > Self::MAX_BYTES || !is_well_formed() {
            return Err(Invalid::new(
                "language",
                "must be a well-formed BCP 47 tag of at most 255 bytes, such as 'en' or 'pt-BR'",
            ));
        }
        Ok(Self(value.into_boxed_str()))
    }
}

/// Whether it is a tag of the shape that nearly all have, `en` or `pt-BR`: a page is read in less
/// time when these are not parsed again.
fn is_plain(tag: &str) -> bool {
    let (language, region) = tag.split_once('-').unwrap_or((tag, "XX"));
    language.len() == 2
        && region.len() == 2
        && language.bytes().chain(region.bytes()).all(|byte| byte.is_ascii_alphabetic())
}

impl PartialEq for Language {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Language {}

impl PartialOrd for Language {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Language {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl Hash for Language {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().for_each(|byte| state.write_u8(byte));
        state.write_u8(0xff);
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Language({})", self.0)
    }
}

/// The words of a dialog: 1 byte or more of UTF-8, any character but NUL.
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
    /// The most bytes a text has unless the operator sets another limit: 64 KiB.
    pub const DEFAULT_MAX_BYTES: usize = 64 * 1024;

    /// Takes `value` as a text of at most `max_bytes`.
    ///
    /// # Errors
    /// When it is empty, longer than `max_bytes`, or has a NUL.
    pub fn parse(value: String, max_bytes: usize) -> Result<Self, Invalid> {
        if value.is_empty() || value.len() > max_bytes {
            Err(Invalid::new("text", format!("must be 1 to {max_bytes} bytes of UTF-8")))
        } else if value.as_bytes().contains(&0) {
            Err(Invalid::new("text", "must have no NUL"))
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

/// A dialog as a chatbot sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDialog {
    /// Whose dialog it is.
    pub customer_id: CustomerId,
    /// Its id, unique in the whole store.
    pub dialog_id: DialogId,
    /// The language of its text.
    pub language: Language,
    /// Its words.
    pub text: Text,
}

impl NewDialog {
    /// Parses all four values, the text of at most [`Text::DEFAULT_MAX_BYTES`].
    ///
    /// # Errors
    /// Names the first field that is outside its bounds.
    pub fn parse(
        customer_id: &str,
        dialog_id: &str,
        language: &str,
        text: &str,
    ) -> Result<Self, Invalid> {
        Ok(Self {
            customer_id: customer_id.parse()?,
            dialog_id: dialog_id.parse()?,
            language: language.parse()?,
            text: Text::parse(text.to_owned(), Text::DEFAULT_MAX_BYTES)?,
        })
    }
}

/// What came of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// When the store received the dialog.
    pub date: Date,
    /// Whether it is readable already, because its customer's *yes* came first.
    pub is_consented: bool,
}

/// A dialog that another store received, to be taken in with its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedDialog {
    /// The dialog itself.
    pub dialog: NewDialog,
    /// When the other store received it; left out, it counts as received now.
    pub date: Option<Date>,
    /// Whether its customer has consented.
    pub consented: bool,
}

/// A dialog as a store holds it: its words cannot be had from here.
///
/// The two ways out are [`StoredDialog::readable`], which goes through consent, and
/// [`StoredDialog::for_subject`], which goes to the customer whom the data is about. A text that
/// nobody consented to is therefore out of reach by type:
///
/// ```compile_fail,E0599
/// # use dataapi_core::StoredDialog;
/// fn peek(stored: StoredDialog) -> String {
///     stored.text().as_str().to_owned() // no such method
/// }
/// ```
///
/// ```compile_fail,E0616
/// # use dataapi_core::StoredDialog;
/// fn peek(stored: StoredDialog) -> String {
///     stored.dialog.text.as_str().to_owned() // private
/// }
/// ```
///
/// Nor can a [`Dialog`] be made by hand:
///
/// ```compile_fail,E0451
/// # use dataapi_core::{Date, Dialog, NewDialog};
/// fn forge(dialog: NewDialog, date: Date) -> Dialog {
///     Dialog { dialog, date } // private fields
/// }
/// ```
#[derive(Clone, Debug)]
pub struct StoredDialog {
    dialog: NewDialog,
    date: Date,
    is_consented: bool,
}

impl StoredDialog {
    /// What a backend read from its storage: the dialog, when it was received, and whether its last
    /// event is that consent was granted.
    pub fn new(dialog: NewDialog, date: Date, is_consented: bool) -> Self {
        Self { dialog, date, is_consented }
    }

    /// The consent gate (GDPR article 6(1)(a)): hands out the dialog if its customer said yes.
    ///
    /// # Errors
    /// [`StoreError::ConsentRequired`] while it is pending; the words are dropped.
    pub fn readable(self) -> Result<Dialog, StoreError> {
        if self.is_consented {
            Ok(Dialog { dialog: self.dialog, date: self.date })
        } else {
            Err(StoreError::ConsentRequired)
        }
    }

    /// The data subject's own copy (GDPR articles 15 and 20): consent or not, but only what is
    /// held on that very customer.
    pub fn for_subject(self, subject: &CustomerId) -> Option<HeldDialog> {
        (self.dialog.customer_id == *subject).then_some(HeldDialog {
            dialog: self.dialog,
            date: self.date,
            consent_received: self.is_consented,
        })
    }

    /// Whether `other` is the same dialog sent once more: same customer, text and language.
    pub fn same_content(&self, other: &NewDialog) -> bool {
        self.dialog == *other
    }

    /// When the dialog was received.
    pub fn date(&self) -> Date {
        self.date
    }

    /// The id of the dialog.
    pub fn dialog_id(&self) -> &DialogId {
        &self.dialog.dialog_id
    }

    /// Whose dialog it is.
    pub fn customer_id(&self) -> &CustomerId {
        &self.dialog.customer_id
    }

    /// The language of its text.
    pub fn language(&self) -> &Language {
        &self.dialog.language
    }

    /// Whether its customer said yes; it is pending otherwise.
    pub fn is_consented(&self) -> bool {
        self.is_consented
    }

    /// Notes that consent was granted.
    pub fn grant(&mut self) {
        self.is_consented = true;
    }
}

macro_rules! read_access {
    () => {
        /// The id of the dialog.
        pub fn dialog_id(&self) -> &DialogId {
            &self.dialog.dialog_id
        }

        /// Whose dialog it is.
        pub fn customer_id(&self) -> &CustomerId {
            &self.dialog.customer_id
        }

        /// The language of its text.
        pub fn language(&self) -> &Language {
            &self.dialog.language
        }

        /// Its words.
        pub fn text(&self) -> &Text {
            &self.dialog.text
        }

        /// When it was received.
        pub fn date(&self) -> Date {
            self.date
        }
    };
}

/// A consented dialog: the only thing that an analyst can read.
///
/// It comes out of [`StoredDialog::readable`] and from nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    dialog: NewDialog,
    date: Date,
}

impl Dialog {
    read_access!();
}

/// A dialog in the hands of the customer whom it is about, consented or not.
///
/// It comes out of [`StoredDialog::for_subject`] and from nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldDialog {
    dialog: NewDialog,
    date: Date,
    consent_received: bool,
}

impl HeldDialog {
    read_access!();

    /// Whether its customer has consented.
    pub fn consent_received(&self) -> bool {
        self.consent_received
    }
}
