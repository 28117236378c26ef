//! Verifies an exported ledger without DataAPI: `dataapi audit export | verify_ledger [HASH@N]`.
//!
//! The form of the export, and of the bytes that are hashed, stands in the documentation of
//! `dataapi_core::ledger`. Whatever hashes SHA-256 and reads JSON can do this.

use std::error::Error;
use std::io::{BufRead, stdin};

use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Event {
    position: u64,
    #[serde(rename = "ref")]
    reference: String,
    kind: String,
    date: String,
    notice: Option<String>,
    method: Option<String>,
    locale: Option<String>,
    hash: String,
}

impl Event {
    /// The hash that the event has after one with the hash `before`.
    fn hash_after(&self, before: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
        let kind = ["granted", "withdrawn", "erased", "expired"]
            .iter()
            .position(|kind| *kind == self.kind)
            .ok_or("a kind that is not known")?;
        let mut hasher = Sha256::new();
        hasher.update(before);
        hasher.update(self.position.to_be_bytes());
        hasher.update(from_hex(&self.reference)?);
        hasher.update([u8::try_from(kind + 1)?]);
        hasher.update(self.date.parse::<Timestamp>()?.as_microsecond().to_be_bytes());
        for piece in [&self.notice, &self.method, &self.locale] {
            match piece {
                Some(piece) => {
                    hasher.update(u16::try_from(piece.len())?.to_be_bytes());
                    hasher.update(piece);
                }
                None => hasher.update(u16::MAX.to_be_bytes()),
            }
        }
        Ok(hasher.finalize().to_vec())
    }
}

fn from_hex(digits: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let pairs = digits.as_bytes().chunks(2).map(std::str::from_utf8);
    pairs.map(|pair| Ok(u8::from_str_radix(pair?, 16)?)).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let noted = std::env::args().nth(1);
    let (mut position, mut hash) = (0, vec![0; 32]);
    let mut has_noted = noted.is_none();
    for line in stdin().lock().lines() {
        let event: Event = serde_json::from_str(&line?)?;
        position += 1;
        hash = event.hash_after(&hash)?;
        if event.position != position || from_hex(&event.hash)? != hash {
            return Err(format!("the chain is broken at position {position}").into());
        }
        has_noted |= noted.as_deref() == Some(&*format!("{}@{position}", event.hash));
    }
    if !has_noted {
        return Err("the noted head is not in it: it was cut off or written anew".into());
    }
    println!("{position} events, the chain is whole");
    Ok(())
}
