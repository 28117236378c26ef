//! Which dialogs `export` and `query` are asked for: as typed, and as a filter.

use std::str::FromStr;

use clap::Args;
use dataapi::{CustomerId, Filter, Invalid, Language};

#[derive(Args, Debug)]
pub(crate) struct FilterArgs {
    /// Only this customer's
    #[arg(long, value_name = "ID")]
    pub(crate) customer: Option<String>,

    /// Only in this language, such as en or pt-BR
    #[arg(long, value_name = "TAG")]
    pub(crate) language: Option<String>,

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
        let mut filter = Filter::default();
        if let Some(customer) = parse::<CustomerId>("--customer", self.customer)? {
            filter = filter.customer(customer);
        }
        if let Some(language) = parse::<Language>("--language", self.language)? {
            filter = filter.language(language);
        }
        filter.between(parse("--from", self.from)?, parse("--to", self.to)?)
    }
}

fn parse<T: FromStr<Err = Invalid>>(
    option: &'static str,
    value: Option<String>,
) -> Result<Option<T>, Invalid> {
    value.map(|value| value.parse().map_err(|error: Invalid| error.of(option))).transpose()
}
