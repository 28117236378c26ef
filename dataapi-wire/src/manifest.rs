//! The manifest, which is the last line of an export: the filter, and the ledger head of the export.

use dataapi_core::{Filter, Invalid, LedgerHead};
use serde::{Deserialize, Serialize};

use crate::filter::FilterMembers;

/// The last line of an export.
///
/// ```
/// use dataapi_core::{Filter, LedgerHead};
/// use dataapi_wire::{Manifest, ManifestLine};
///
/// let manifest = Manifest::new(&Filter::default(), &LedgerHead::EMPTY, 0, "e3b0…".to_owned());
/// let line = serde_json::to_string(&ManifestLine { manifest }).expect("JSON");
/// assert!(line.starts_with(r#"{"manifest":{"filter":{},"ledger":"0000"#));
/// let read: ManifestLine = serde_json::from_str(&line).expect("a manifest");
/// assert_eq!(read.manifest.filter()?, Filter::default());
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestLine {
    /// The only member.
    pub manifest: Manifest,
}

/// What an export holds.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    filter: FilterMembers,
    /// `HASH@POSITIONS`: the export includes all changes in the ledger up to this head.
    ledger: String,
    /// The number of lines before this one.
    pub count: u64,
    /// SHA-256 over the bytes of those lines, including line ends, in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// Makes the manifest of an export of all dialogs that match `filter`, at the ledger head `head`, with `count`
    /// lines that have the hash `sha256`.
    pub fn new(filter: &Filter, head: &LedgerHead, count: u64, sha256: String) -> Self {
        Self { filter: filter.into(), ledger: head.to_string(), count, sha256 }
    }

    /// Returns the filter of the export.
    ///
    /// # Errors
    /// Names the member of the filter that is outside its bounds.
    pub fn filter(&self) -> Result<Filter, Invalid> {
        (&self.filter).try_into()
    }

    /// Returns the ledger head of the export.
    ///
    /// # Errors
    /// If it is not a ledger head.
    pub fn head(&self) -> Result<LedgerHead, Invalid> {
        self.ledger.parse()
    }
}
