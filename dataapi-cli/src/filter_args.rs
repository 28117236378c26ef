//! Which dialogs `export` and `query` are asked for: as typed, and as a filter.

use std::str::FromStr;

use clap::Args;
use dataapi::{CustomerId, Filter, Invalid, LanguageRange};

#[derive(Args, Debug)]
pub(crate) struct FilterArgs {
    /// Only this customer's
    #[arg(long, value_name = "ID")]
    pub(crate) customer: Option<String>,

    /// Only in this language, such as en or pt-BR; en-* is en and every tag that begins with en-. Give it
    /// several times for several languages
    #[arg(long, value_name = "TAG")]
    pub(crate) language: Vec<String>,

    /// Only received then or later, such as 2026-03-01T00:00:00Z
    #[arg(long, value_name = "DATE")]
    pub(crate) from: Option<String>,

    /// Only received before then
    #[arg(long, value_name = "DATE")]
    pub(crate) to: Option<String>,
}

impl FilterArgs {
    /// What was typed, once it is known to be valid.
    pub(crate) fn resolve(self) -> Result<Filter, Invalid> {
        let languages = self.language.into_iter().map(|tag| parsed("--language", &tag));
        let languages = languages.collect::<Result<Vec<LanguageRange>, _>>()?;
        let mut filter =
            Filter::default().languages(languages).map_err(|error| error.of("--language"))?;
        if let Some(customer) = parse::<CustomerId>("--customer", self.customer)? {
            filter = filter.customer(customer);
        }
        filter.between(parse("--from", self.from)?, parse("--to", self.to)?)
    }
}

fn parse<T: FromStr<Err = Invalid>>(
    option: &'static str,
    value: Option<String>,
) -> Result<Option<T>, Invalid> {
    value.map(|value| parsed(option, &value)).transpose()
}

fn parsed<T: FromStr<Err = Invalid>>(option: &'static str, value: &str) -> Result<T, Invalid> {
    value.parse().map_err(|error: Invalid| error.of(option))
}
