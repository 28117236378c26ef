//! The result of each step of the bench.

use std::error::Error;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;
