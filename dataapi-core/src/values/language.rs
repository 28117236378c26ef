//! Languages: BCP 47 tags, and ranges of them.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use oxilangtag::LanguageTag;

use crate::error::Invalid;

/// The language of a dialog: a well-formed BCP 47 tag (RFC 5646 section 2.2.9) of up to 255 bytes.
///
/// Equality, order and hash ignore case; [`Language::as_str`] keeps the tag as it was sent.
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
    /// The maximum length in bytes.
    pub const MAX_BYTES: usize = 255;

    /// The tag as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag in the case that RFC 5646 section 2.1.1 recommends, for example `zh-Hant-TW`.
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

/// Whether the tag looks like nearly all tags do, `en` or `pt-BR`. Such tags need no parser, which makes reading a page
/// faster.
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

/// Which languages are asked for: one tag, or a tag and all tags that extend it.
///
/// Its text form is a tag, such as `en`, or an extended language range of RFC 4647 section 2.2 that ends in `-*`:
/// `en-*` means `en` and every tag that begins with `en-`. Case does not matter.
///
/// ```
/// use dataapi_core::LanguageRange;
///
/// let range: LanguageRange = "en-*".parse()?;
/// assert!(range.matches(&"EN".parse()?) && range.matches(&"en-GB".parse()?));
/// assert!(!range.matches(&"enm".parse()?));
/// assert_eq!(range.to_string(), "en-*");
/// assert!("*-GB".parse::<LanguageRange>().is_err());
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LanguageRange {
    /// Only this tag.
    Tag(Language),
    /// This tag, and all tags that begin with it followed by a hyphen.
    Prefix(Language),
}

impl LanguageRange {
    /// Whether the range matches that language.
    pub fn matches(&self, language: &Language) -> bool {
        match self {
            Self::Tag(tag) => tag == language,
            Self::Prefix(prefix) => {
                let (prefix, tag) = (prefix.0.as_bytes(), language.0.as_bytes());
                tag.split_at_checked(prefix.len()).is_some_and(|(head, rest)| {
                    head.eq_ignore_ascii_case(prefix) && matches!(rest, [] | [b'-', ..])
                })
            }
        }
    }
}

impl From<Language> for LanguageRange {
    fn from(tag: Language) -> Self {
        Self::Tag(tag)
    }
}

impl FromStr for LanguageRange {
    type Err = Invalid;

    fn from_str(value: &str) -> Result<Self, Invalid> {
        let parsed = match value.strip_suffix("-*") {
            Some(prefix) => prefix.parse().map(Self::Prefix),
            None => value.parse().map(Self::Tag),
        };
        parsed.map_err(|_: Invalid| {
            Invalid::new(
                "language",
                "must be a BCP 47 tag such as 'en' or 'pt-BR', or a range that ends in '-*' such as 'en-*'",
            )
        })
    }
}

impl fmt::Display for LanguageRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag.as_str()),
            Self::Prefix(prefix) => write!(f, "{}-*", prefix.as_str()),
        }
    }
}
