//! The manifest, which is the last line of an export, and the digest of the lines before it.

use std::io::{self, Write};

use dataapi::{Filter, LedgerHead};
use dataapi_wire::{Manifest, ManifestLine};
use sha2::{Digest, Sha256};

/// Parses a manifest; `None` if `line` is not one.
pub(crate) fn parse_manifest(line: &[u8]) -> Option<Manifest> {
    Some(serde_json::from_slice::<ManifestLine>(line).ok()?.manifest)
}

/// The number of lines before a manifest, and the hash of their bytes.
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

    /// Whether the lines are those of `manifest`.
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
        let manifest = Manifest::new(filter, head, self.count, self.sha256());
        serde_json::to_writer(&mut *out, &ManifestLine { manifest })?;
        out.write_all(b"\n")
    }
}
