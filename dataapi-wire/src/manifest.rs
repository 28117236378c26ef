//! The last line of an export: of what it is a copy, and how far that goes.

use dataapi_core::{Filter, Invalid, LedgerHead};
use serde::{Deserialize, Serialize};

use crate::filter::FilterMembers;

/// That line.
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
    /// Its one member.
    pub manifest: Manifest,
}

/// What it says.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    filter: FilterMembers,
    /// `HASH@POSITIONS`: all that the ledger says up to there is in the copy.
    ledger: String,
    /// How many lines come before this one.
    pub count: u64,
    /// SHA-256 over their bytes, line ends included, in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// Of a copy of what matches `filter`, as it stood at `head`: so many lines with that hash.
    pub fn new(filter: &Filter, head: &LedgerHead, count: u64, sha256: String) -> Self {
        Self { filter: filter.into(), ledger: head.to_string(), count, sha256 }
    }

    /// Which dialogs the copy is of.
    ///
    /// # Errors
    /// Names the member of the filter that is outside its bounds.
    pub fn filter(&self) -> Result<Filter, Invalid> {
        (&self.filter).try_into()
    }

    /// Up to where in the ledger.
    ///
    /// # Errors
    /// When it is no head of a ledger.
    pub fn head(&self) -> Result<LedgerHead, Invalid> {
        self.ledger.parse()
    }
}
