//! What each step of the bench answers: what it has measured, or whatever kept it from that.

use std::error::Error;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;
