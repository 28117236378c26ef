//! Reach: which dialogs a key can be used for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::Invalid;
use crate::values::{CustomerId, Language};

/// The dialogs that a key can be used for: those within every bound. The default has no bounds and covers all dialogs.
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
    /// Sorted, without duplicates; empty for all languages.
    languages: Vec<Language>,
    customers: Option<CustomerPrefix>,
}

impl Reach {
    /// The maximum number of languages that a reach can be bound to.
    pub const MAX_LANGUAGES: usize = 16;

    /// Only dialogs in these languages; the case of their tags does not matter.
    ///
    /// # Errors
    /// If there are none, or more than [`MAX_LANGUAGES`](Self::MAX_LANGUAGES).
    pub fn only_languages(self, mut languages: Vec<Language>) -> Result<Self, Invalid> {
        languages.sort();
        languages.dedup();
        if (1..=Self::MAX_LANGUAGES).contains(&languages.len()) {
            Ok(Self(Some(Arc::new(Bounds { languages, ..self.into_bounds() }))))
        } else {
            Err(Invalid::new("languages", "must be a list of 1 to 16 languages"))
        }
    }

    /// Only dialogs of customers whose ids begin with `prefix`.
    #[must_use]
    pub fn only_customers(self, prefix: CustomerPrefix) -> Self {
        Self(Some(Arc::new(Bounds { customers: Some(prefix), ..self.into_bounds() })))
    }

    /// Whether there are no bounds.
    pub const fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// The languages that the reach is bound to, sorted; empty for all languages.
    pub fn languages(&self) -> &[Language] {
        self.0.as_ref().map_or(&[], |bounds| &bounds.languages)
    }

    /// The prefix of the customer ids that the reach is bound to.
    pub fn customers(&self) -> Option<&CustomerPrefix> {
        self.0.as_ref()?.customers.as_ref()
    }

    /// Whether it covers a dialog of that customer in that language.
    pub fn covers(&self, customer_id: &CustomerId, language: &Language) -> bool {
        self.covers_language(language) && self.covers_customer(customer_id)
    }

    /// Whether it can cover dialogs in that language.
    pub fn covers_language(&self, language: &Language) -> bool {
        self.languages().is_empty() || self.languages().contains(language)
    }

    /// Whether it can cover dialogs of that customer.
    pub fn covers_customer(&self, customer_id: &CustomerId) -> bool {
        self.customers().is_none_or(|prefix| customer_id.as_str().starts_with(prefix.as_str()))
    }

    fn into_bounds(self) -> Bounds {
        self.0.map(Arc::unwrap_or_clone).unwrap_or_default()
    }
}

/// A prefix of customer ids: 1 to 255 bytes of UTF-8 without control characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CustomerPrefix(Box<str>);

impl CustomerPrefix {
    /// The prefix as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first string in byte order after all strings that begin with the prefix; `None` if there is no such string.
    pub fn end(&self) -> Option<String> {
        let mut end: Vec<char> = self.0.chars().collect();
        while let Some(last) = end.pop() {
            // UTF-8 sorts in the order of its code points.
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
            Err(Invalid::new("customers", "must be a prefix of 1 to 255 bytes of UTF-8"))
        } else if prefix.chars().any(char::is_control) {
            Err(Invalid::new("customers", "must not contain control characters"))
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
