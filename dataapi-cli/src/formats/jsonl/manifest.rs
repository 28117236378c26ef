//! The last line of an export, both ways: of what it is a copy, and how far that goes.

use std::io::{self, Write};

use dataapi::{Filter, Invalid, LedgerHead};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// That line.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ManifestLine {
    manifest: Manifest,
}

/// What it says.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    filter: FilterJson,
    /// `HASH@POSITIONS`: all that the ledger says up to there is in the copy.
    ledger: String,
    /// How many lines come before this one.
    pub(crate) count: u64,
    /// Over their bytes, line ends included.
    sha256: String,
}

#[derive(Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default, deny_unknown_fields)]
struct FilterJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

impl Manifest {
    fn new(filter: &Filter, head: &LedgerHead, lines: &LineDigest) -> Self {
        let filter = FilterJson {
            customer_id: filter.customer_id().map(|customer| customer.as_str().to_owned()),
            language: filter.language_tag().map(|language| language.as_str().to_owned()),
            from: filter.from().map(|date| date.to_string()),
            to: filter.to().map(|date| date.to_string()),
        };
        let sha256 = lines.sha256();
        Self { filter, ledger: head.to_string(), count: lines.count, sha256 }
    }

    /// The manifest, if `line` is one.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        Some(serde_json::from_slice::<ManifestLine>(line).ok()?.manifest)
    }

    /// Which dialogs the copy is of.
    pub(crate) fn filter(&self) -> Result<Filter, Invalid> {
        let FilterJson { customer_id, language, from, to } = &self.filter;
        let mut filter = Filter::default();
        if let Some(customer_id) = customer_id {
            filter = filter.customer(customer_id.parse()?);
        }
        if let Some(language) = language {
            filter = filter.language(language.parse()?);
        }
        let date = |date: &Option<String>| date.as_ref().map(|date| date.parse()).transpose();
        filter.between(date(from)?, date(to)?)
    }

    /// Up to where in the ledger.
    pub(crate) fn head(&self) -> Result<LedgerHead, Invalid> {
        self.ledger.parse()
    }
}

/// What a manifest says of the lines before it: how many they are, and the hash of their bytes.
#[derive(Debug, Default)]
pub(crate) struct LineDigest {
    count: u64,
    hash: Sha256,
}

impl LineDigest {
    pub(crate) fn add(&mut self, line: &[u8]) {
        self.count += 1;
        self.hash.update(line);
    }

    /// Whether they are the ones that the manifest was written for.
    pub(crate) fn matches(&self, manifest: &Manifest) -> bool {
        self.count == manifest.count && self.sha256() == manifest.sha256
    }

    fn sha256(&self) -> String {
        use std::fmt::Write as _;
        let mut digits = String::with_capacity(64);
        for byte in self.hash.clone().finalize() {
            // Writing to a string does not fail.
            let _ = write!(digits, "{byte:02x}");
        }
        digits
    }

    /// Writes the manifest line.
    pub(crate) fn write_manifest(
        &self,
        out: &mut impl Write,
        filter: &Filter,
        head: &LedgerHead,
    ) -> io::Result<()> {
        let manifest = Manifest::new(filter, head, self);
        serde_json::to_writer(&mut *out, &ManifestLine { manifest })?;
        out.write_all(b"\n")
    }
}
