//! Reach: which dialogs a key may be used for, where that is not all of them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::Invalid;
use crate::values::{CustomerId, Language};

/// Which dialogs are reached: those that lie within every bound. Without bounds all of them, which is
/// the default.
///
/// ```
/// use dataapi_core::Reach;
///
/// let reach = Reach::default().only_languages(vec!["en".parse()?])?.only_customers("shop-".parse()?);
/// assert!(reach.covers(&"shop-7".parse()?, &"EN".parse()?));
/// assert!(!reach.covers(&"bank-7".parse()?, &"EN".parse()?));
/// assert!(!reach.covers(&"shop-7".parse()?, &"de".parse()?));
/// assert!(Reach::default().is_all());
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reach(Option<Arc<Bounds>>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Bounds {
    /// In order, each once; empty for any.
    languages: Vec<Language>,
    customers: Option<CustomerPrefix>,
}

impl Reach {
    /// The most languages that one may be bound to.
    pub const MAX_LANGUAGES: usize = 16;

    /// Only dialogs in these languages, whatever the case of their tags.
    ///
    /// # Errors
    /// When there are none, or more than [`MAX_LANGUAGES`](Self::MAX_LANGUAGES).
    pub fn only_languages(self, mut languages: Vec<Language>) -> Result<Self, Invalid> {
        languages.sort();
        languages.dedup();
        if (1..=Self::MAX_LANGUAGES).contains(&languages.len()) {
            Ok(Self(Some(Arc::new(Bounds { languages, ..self.into_bounds() }))))
        } else {
            Err(Invalid::new("languages", "must be 1 to 16"))
        }
    }

    /// Only dialogs of customers whose ids begin so.
    #[must_use]
    pub fn only_customers(self, prefix: CustomerPrefix) -> Self {
        Self(Some(Arc::new(Bounds { customers: Some(prefix), ..self.into_bounds() })))
    }

    /// Whether there are no bounds.
    pub const fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// The languages that it is bound to, in order; none for any.
    pub fn languages(&self) -> &[Language] {
        self.0.as_ref().map_or(&[], |bounds| &bounds.languages)
    }

    /// How the ids of the customers begin that it is bound to.
    pub fn customers(&self) -> Option<&CustomerPrefix> {
        self.0.as_ref()?.customers.as_ref()
    }

    /// Whether a dialog of that customer in that language is reached.
    pub fn covers(&self, customer_id: &CustomerId, language: &Language) -> bool {
        self.covers_language(language) && self.covers_customer(customer_id)
    }

    /// Whether dialogs in that language may be.
    pub fn covers_language(&self, language: &Language) -> bool {
        self.languages().is_empty() || self.languages().contains(language)
    }

    /// Whether dialogs of that customer may be.
    pub fn covers_customer(&self, customer_id: &CustomerId) -> bool {
        self.customers().is_none_or(|prefix| customer_id.as_str().starts_with(prefix.as_str()))
    }

    fn into_bounds(self) -> Bounds {
        self.0.map(Arc::unwrap_or_clone).unwrap_or_default()
    }
}

/// How the ids of some customers begin: 1 to 255 bytes of UTF-8, no control characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CustomerPrefix(Box<str>);

impl CustomerPrefix {
    /// The prefix as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first string, in the order of bytes, after all that begin with the prefix; `None` if there is
    /// no end to them.
    pub fn end(&self) -> Option<String> {
        let mut end: Vec<char> = self.0.chars().collect();
        while let Some(last) = end.pop() {
            // UTF-8 has the order of its code points.
            if let Some(next) = (last..=char::MAX).nth(1) {
                end.push(next);
                return Some(end.into_iter().collect());
            }
        }
        None
    }
}

impl FromStr for CustomerPrefix {
    type Err = Invalid;

    fn from_str(prefix: &str) -> Result<Self, Invalid> {
        if prefix.is_empty() || prefix.len() > CustomerId::MAX_BYTES {
            Err(Invalid::new("customers", "must begin with 1 to 255 bytes of UTF-8"))
        } else if prefix.chars().any(char::is_control) {
            Err(Invalid::new("customers", "must have no control characters"))
        } else {
            Ok(Self(prefix.into()))
        }
    }
}

impl fmt::Debug for CustomerPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerPrefix([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_prefix_or_no_list_of_languages_is_refused() {
        for prefix in ["", "a\u{0}", "a\n", &"x".repeat(256)] {
            assert!(prefix.parse::<CustomerPrefix>().is_err());
        }
        assert!(Reach::default().only_languages(Vec::new()).is_err());
        let many = (0..17u8).map(|n| format!("x-{n}").parse().expect("a tag")).collect();
        assert!(Reach::default().only_languages(many).is_err());
    }

    #[test]
    fn the_end_of_the_last_prefix_is_none() {
        let end = |prefix: &str| prefix.parse::<CustomerPrefix>().expect("a prefix").end();
        assert_eq!(end("\u{10ffff}\u{10ffff}"), None);
        assert_eq!(end("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(end("\u{d7ff}").as_deref(), Some("\u{e000}"));
    }

    proptest! {
        #[test]
        fn what_begins_with_a_prefix_lies_between_it_and_its_end(
            prefix in "[a-c\u{7f}-\u{81}\u{d7fe}-\u{e001}\u{fffe}-\u{10002}\u{10fffe}-\u{10ffff}]{1,3}",
            other in "[a-c\u{80}-\u{81}\u{d7fe}-\u{e001}\u{fffe}-\u{10002}\u{10fffe}-\u{10ffff}]{0,4}",
        ) {
            let Ok(parsed) = prefix.parse::<CustomerPrefix>() else { return Ok(()) };
            let end = parsed.end();
            for id in [other.clone(), format!("{prefix}{other}")] {
                let between = id >= prefix && end.as_ref().is_none_or(|end| id < *end);
                prop_assert_eq!(between, id.starts_with(&prefix));
            }
        }
    }
}
