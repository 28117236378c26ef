//! Filters: which consented dialogs a query asks for.

use super::reach::Reach;
use super::scope::Scope;
use crate::error::Invalid;
use crate::values::{CustomerId, Date, Language, LanguageRange};

/// Selects the consented dialogs that match every given condition.
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
    /// Sorted, without duplicates; empty for all languages.
    languages: Vec<LanguageRange>,
    from: Option<Date>,
    to: Option<Date>,
    reach: Reach,
}

impl Filter {
    /// Only dialogs of this customer.
    #[must_use]
    pub fn customer(self, customer_id: CustomerId) -> Self {
        Self { customer_id: Some(customer_id), ..self }
    }

    /// How many languages and ranges a filter can name, and how many stored languages they can match.
    pub const MAX_LANGUAGES: usize = 32;

    /// Only dialogs in this language; case does not matter.
    #[must_use]
    pub fn language(self, language: Language) -> Self {
        Self { languages: vec![language.into()], ..self }
    }

    /// Only dialogs in one of these languages. An empty list means all languages.
    ///
    /// # Errors
    /// If there are more than [`MAX_LANGUAGES`](Self::MAX_LANGUAGES).
    pub fn languages(self, mut languages: Vec<LanguageRange>) -> Result<Self, Invalid> {
        languages.sort();
        languages.dedup();
        if languages.len() <= Self::MAX_LANGUAGES {
            Ok(Self { languages, ..self })
        } else {
            Err(Invalid::new("language", "must be given at most 32 times"))
        }
    }

    /// Only dialogs received at `from` or later, and before `to`.
    ///
    /// # Errors
    /// If `to` is before `from`.
    pub fn between(self, from: Option<Date>, to: Option<Date>) -> Result<Self, Invalid> {
        match (from, to) {
            (Some(from), Some(to)) if to < from => {
                Err(Invalid::new("to", "must not be before 'from'"))
            }
            _ => Ok(Self { from, to, ..self }),
        }
    }

    /// Only dialogs that are also within `reach`.
    #[must_use]
    pub fn within(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// The customer whose dialogs are asked for.
    pub fn customer_id(&self) -> Option<&CustomerId> {
        self.customer_id.as_ref()
    }

    /// The languages and ranges that are asked for; empty for all languages.
    pub fn language_ranges(&self) -> &[LanguageRange] {
        &self.languages
    }

    /// Whether [`wanted_languages`](Self::wanted_languages) needs the stored languages.
    pub fn has_language_range(&self) -> bool {
        self.languages.iter().any(|range| matches!(range, LanguageRange::Prefix(_)))
    }

    /// The languages that a backend has to search, sorted: those that are asked for and within the reach. `None` means
    /// all languages, and an empty list means that no dialog matches.
    ///
    /// `stored` are the languages of the consented dialogs. They matter only if
    /// [`has_language_range`](Self::has_language_range) is true; for any other filter an empty slice will do.
    ///
    /// # Errors
    /// If ranges match more than [`MAX_LANGUAGES`](Self::MAX_LANGUAGES) stored languages. Every range is refused within
    /// a reach that is bound to customers: the languages it matches, and their number, would reveal the languages of
    /// other customers' dialogs.
    pub fn wanted_languages(&self, stored: &[Language]) -> Result<Option<Vec<Language>>, Invalid> {
        let bound = self.reach.languages();
        if self.languages.is_empty() {
            return Ok((!bound.is_empty()).then(|| bound.to_vec()));
        }
        if self.has_language_range() && self.reach.customers().is_some() {
            return Err(Invalid::new(
                "language",
                "must be a tag, not a range, with a key that is bound to customers",
            ));
        }
        let mut wanted = Vec::new();
        for range in &self.languages {
            match range {
                LanguageRange::Tag(tag) => wanted.push(tag.clone()),
                LanguageRange::Prefix(_) => {
                    wanted.extend(stored.iter().filter(|tag| range.matches(tag)).cloned());
                }
            }
        }
        wanted.retain(|tag| self.reach.covers_language(tag));
        wanted.sort();
        wanted.dedup();
        if wanted.len() <= Self::MAX_LANGUAGES {
            Ok(Some(wanted))
        } else {
            Err(Invalid::new(
                "language",
                "must match at most 32 of the stored languages; use narrower ranges",
            ))
        }
    }

    /// The earliest date of receipt.
    pub fn from(&self) -> Option<Date> {
        self.from
    }

    /// The date before which dialogs must have been received.
    pub fn to(&self) -> Option<Date> {
        self.to
    }

    /// The bounds that the filter must stay within.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Whether everything that the filter asks for is out of its reach, so that no dialog matches.
    pub fn is_out_of_reach(&self) -> bool {
        self.customer_id.as_ref().is_some_and(|id| !self.reach.covers_customer(id))
            || !self.languages.is_empty()
                && !self.languages.iter().any(|range| may_match_within(range, &self.reach))
    }

    /// Whether a dialog with these values matches.
    pub fn matches(&self, customer_id: &CustomerId, language: &Language, date: Date) -> bool {
        self.customer_id.as_ref().is_none_or(|wanted| wanted == customer_id)
            && (self.languages.is_empty()
                || self.languages.iter().any(|range| range.matches(language)))
            && self.from.is_none_or(|from| from <= date)
            && self.to.is_none_or(|to| date < to)
            && self.reach.covers(customer_id, language)
    }

    /// Feeds the filter to the fingerprint of a cursor. Each part is preceded by its length, so that no two filters
    /// feed the same bytes.
    pub(super) fn scope(&self) -> Scope {
        let mut scope = Scope::new(b"consented");
        scope.part(self.customer_id.as_ref().map(|id| id.as_str().as_bytes()));
        // No tag contains a comma.
        let languages: Vec<_> =
            self.languages.iter().map(|range| range.to_string().to_ascii_lowercase()).collect();
        scope.part(
            (!languages.is_empty()).then(|| languages.join(",")).as_deref().map(str::as_bytes),
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

/// Whether a range can match a language that is within the reach.
fn may_match_within(range: &LanguageRange, reach: &Reach) -> bool {
    match range {
        LanguageRange::Tag(tag) => reach.covers_language(tag),
        LanguageRange::Prefix(_) => {
            reach.languages().is_empty() || reach.languages().iter().any(|tag| range.matches(tag))
        }
    }
}
