//! Values: parsed once, at the edge, and valid ever after.
//!
//! None of those that hold personal data prints it: `Debug` says `[redacted]`, and `Display` is not
//! implemented. Where such a value has to be seen, `as_str` says so in the code.

mod date;
mod evidence;
mod hex32;
mod id;
mod language;
mod reference;
mod text;

pub use date::Date;
pub use evidence::{Evidence, EvidenceField};
pub(crate) use hex32::{hex32, write_hex32};
pub use id::{CustomerId, DialogId};
pub use language::{Language, LanguageRange};
pub use reference::{DialogRef, RefKey};
pub use text::Text;
