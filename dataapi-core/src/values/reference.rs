//! References: how the ledger and tombstones name a dialog without revealing its id.

use std::fmt;
use std::str::FromStr;

use super::DialogId;
use super::hex32::{hex32, write_hex32};
use crate::error::Invalid;

/// A store's secret key, which turns dialog ids into [`DialogRef`]s.
///
/// It is made with the store and kept in it. Anyone who has the whole store can test a guessed id against its
/// tombstones; anyone who has only the references cannot.
#[derive(Clone)]
pub struct RefKey([u8; 32]);

impl RefKey {
    /// Takes 32 bytes, which for a new store must come from a cryptographic random source.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a backend to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The reference of a dialog: BLAKE3 in keyed mode over the bytes of its id.
    pub fn reference(&self, dialog_id: &DialogId) -> DialogRef {
        DialogRef(*blake3::keyed_hash(&self.0, dialog_id.as_str().as_bytes()).as_bytes())
    }
}

impl fmt::Debug for RefKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefKey([redacted])")
    }
}

/// A keyed hash of a dialog id. It is always the same for the same dialog and store, and reveals nothing about the id
/// without the store's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialogRef([u8; 32]);

impl DialogRef {
    /// Takes the bytes that a backend has stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a backend to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Writes 64 hexadecimal digits.
impl fmt::Display for DialogRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex32(&self.0, f)
    }
}

impl FromStr for DialogRef {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        hex32(text).map(Self).ok_or_else(|| Invalid::new("ref", "must be 64 hexadecimal digits"))
    }
}
