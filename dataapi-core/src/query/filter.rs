//! Filters: which consented dialogs are asked for.

use super::reach::Reach;
use super::scope::Scope;
use crate::error::Invalid;
use crate::values::{CustomerId, Date, Language};

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
    pub(super) fn scope(&self) -> Scope {
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
