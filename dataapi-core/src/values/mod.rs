//! Values: parsed once, at the edge, and valid from then on.
//!
//! Values with personal data never print it: `Debug` shows `[redacted]`, and `Display` is not implemented. Code that
//! needs such a value has to call `as_str`.

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
