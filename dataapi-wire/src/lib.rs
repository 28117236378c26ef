//! The text formats of `DataAPI`, each defined once: the JSON of its HTTP API, of exported files and of receipts, and
//! the query strings of its URLs. The server, the command line and clients use them. This crate depends on no HTTP
//! library, and it opens no files and no store.
//!
//! | module | content |
//! |---|---|
//! | [`dialog`] | dialogs as they are sent, read and exported, and their URLs |
//! | [`consent`] | decisions, receipts, and consent states |
//! | [`ledger`] | events of the ledger, and the query of `GET /changes` |
//! | [`filter`] | all text forms of a filter |
//! | [`page`] | pages, their query, and the URL of the next page |
//! | [`subject`] | everything stored about one customer, as they receive it |
//! | [`import`] | dialogs as other programs write them |
//! | [`manifest`] | the last line of an export |
//! | [`stats`] | counts of dialogs |
//! | [`version`], [`health`] | a server's version and health |
//! | [`problem`] | why a request was refused or failed |
//! | [`body`] | parses the body of a request, with errors that do not quote it |
//! | [`query`] | query strings and percent-encoding |
//! | `schema` | OpenAPI schemas of ids and languages, with the feature `openapi` |
//!
//! Values to be written borrow from the domain, so that a text is copied only once, into the answer. Values that were
//! read are owned, and are checked when they are converted to the domain.
//!
//! ```
//! use dataapi_core::{Cursor, Position, Reach};
//!
//! let request = dataapi_wire::page_request("language=en&limit=10", Reach::default())?;
//! let place = Position { date: "2026-03-01T10:00:00Z".parse()?, dialog_id: "d-1".parse()? };
//! let next = Cursor::in_filter(request.filter(), place);
//! let url = dataapi_wire::next_page_url("/v1", &request, &next);
//! assert!(url.starts_with("/v1/data/?language=en&limit=10&cursor="));
//! # Ok::<(), dataapi_core::Invalid>(())
//! ```

#![deny(missing_docs)]

mod as_text;
pub mod body;
pub mod consent;
pub mod dialog;
pub mod filter;
#[cfg(test)]
mod fuzz;
pub mod health;
pub mod import;
pub mod ledger;
pub mod manifest;
pub mod page;
pub mod problem;
pub mod query;
#[cfg(feature = "openapi")]
pub mod schema;
pub mod stats;
pub mod subject;
pub mod version;

pub use body::BodyError;
pub use consent::{ConsentReceipt, ConsentStatus, Decision, HeldDecision, Receipt};
pub use dialog::{Dialog, Erasure, ExportedDialog, ExportedLine, NewDialog, dialog_url};
pub use filter::FilterMembers;
#[cfg(feature = "openapi")]
pub use filter::FilterParameters;
pub use health::Health;
pub use import::{FieldValue, ImportFields};
pub use ledger::{Changes, ChangesRequest, Event, EventLine, changes_request};
pub use manifest::{Manifest, ManifestLine};
#[cfg(feature = "openapi")]
pub use page::WindowParameters;
pub use page::{Page, next_page_url, page_request};
pub use problem::{ProblemDocument, ProblemKind};
pub use query::{no_parameters, percent_decode};
#[cfg(feature = "openapi")]
pub use schema::{Id, LanguageTag, LanguageTagOrRange};
pub use stats::Stats;
pub use subject::{
    SubjectDialog, SubjectHeading, SubjectReceipt, next_subject_url, subject_request,
};
pub use version::Version;
