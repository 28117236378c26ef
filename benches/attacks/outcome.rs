//! The result of each step of the bench. It can pass from one task to another.

use std::error::Error;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;
