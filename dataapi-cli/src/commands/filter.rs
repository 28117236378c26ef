//! Which dialogs `export` and `query` are asked for.

use std::str::FromStr;

use dataapi::{CustomerId, Filter, Invalid, Language};

use crate::args;

impl TryFrom<args::Filter> for Filter {
    type Error = Invalid;

    fn try_from(typed: args::Filter) -> Result<Self, Invalid> {
        let mut filter = Self::default();
        if let Some(customer) = parse::<CustomerId>("--customer", typed.customer)? {
            filter = filter.customer(customer);
        }
        if let Some(language) = parse::<Language>("--language", typed.language)? {
            filter = filter.language(language);
        }
        filter.between(parse("--from", typed.from)?, parse("--to", typed.to)?)
    }
}

fn parse<T: FromStr<Err = Invalid>>(
    option: &'static str,
    value: Option<String>,
) -> Result<Option<T>, Invalid> {
    value.map(|value| value.parse().map_err(|error: Invalid| error.of(option))).transpose()
}
