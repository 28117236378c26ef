//! The filter options of `export` and `query`, and the filter that they make.

use std::str::FromStr;

use clap::Args;
use dataapi::{CustomerId, Filter, Invalid, LanguageRange};

#[derive(Args, Debug)]
pub(crate) struct FilterArgs {
    /// Only dialogs of this customer
    #[arg(long, value_name = "ID")]
    pub(crate) customer: Option<String>,

    /// Only dialogs in this language, such as en, pt-BR or en-*; can be given several times
    ///
    /// en-* matches en and every tag that begins with en-.
    #[arg(long, value_name = "TAG")]
    pub(crate) language: Vec<String>,

    /// Only dialogs received at this time or later, such as 2026-03-01T00:00:00Z
    #[arg(long, value_name = "DATE")]
    pub(crate) from: Option<String>,

    /// Only dialogs received before this time
    #[arg(long, value_name = "DATE")]
    pub(crate) to: Option<String>,
}

impl FilterArgs {
    /// Checks the options and returns the filter.
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
