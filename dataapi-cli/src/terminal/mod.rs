//! What people see while a command runs, apart from its results.

mod count;
mod escapes;
mod messages;
mod progress;

pub(crate) use count::counted;
pub(crate) use escapes::{one_line, steers};
pub(crate) use messages::say;
pub(crate) use progress::WorkProgress;
