//! Verifies an exported ledger without DataAPI: `dataapi audit export | verify_ledger [HASH@POSITIONS]`.
//!
//! The documentation of `dataapi_core::ledger` describes the bytes that are hashed. Any program that can read JSON and
//! compute SHA-256 can do the same.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, stdin};

use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Event {
    /// Missing in events of the first chain.
    #[serde(default)]
    chain: u16,
    position: u64,
    #[serde(rename = "ref")]
    reference: String,
    kind: String,
    date: String,
    notice: Option<String>,
    method: Option<String>,
    locale: Option<String>,
    /// Whether there is evidence that the exporter's key could not see.
    #[serde(default)]
    evidence_hidden: bool,
    hash: String,
}

impl Event {
    /// The hash of the event if the previous event has the hash `before`.
    fn hash_after(&self, before: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
        let kind = ["granted", "withdrawn", "erased", "expired"]
            .iter()
            .position(|kind| *kind == self.kind)
            .ok_or("unknown kind of event")?;
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

/// The hash over the heads of all chains, from their positions and hashes.
fn signed_off(lasts: &[(u64, Vec<u8>)]) -> Vec<u8> {
    match lasts {
        [] => vec![0; 32],
        [(_, only)] => only.clone(),
        several => {
            let mut hasher = Sha256::new();
            for (position, hash) in several {
                hasher.update(position.to_be_bytes());
                hasher.update(hash);
            }
            hasher.finalize().to_vec()
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let noted = std::env::args().nth(1);
    let (hash, positions) =
        noted.as_deref().unwrap_or("@").split_once('@').ok_or("the head must be HASH@POSITIONS")?;
    let positions: Vec<u64> = positions
        .split('.')
        .filter(|digits| !digits.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let mut passed = vec![(0, vec![0; 32]); positions.len()];
    let mut ends: BTreeMap<u16, (u64, Vec<u8>)> = BTreeMap::new();
    let (mut events, mut hidden) = (0, 0);
    for line in stdin().lock().lines() {
        let event: Event = serde_json::from_str(&line?)?;
        let end = ends.entry(event.chain).or_insert((0, vec![0; 32]));
        // Without its evidence, the hash of an event cannot be computed. It only leads on to the next event.
        let hash = if event.evidence_hidden {
            hidden += 1;
            from_hex(&event.hash)?
        } else {
            event.hash_after(&end.1)?
        };
        *end = (end.0 + 1, hash);
        if event.position != end.0 || from_hex(&event.hash)? != end.1 {
            return Err(format!("chain {} is broken at position {}", event.chain, end.0).into());
        }
        let chain = usize::from(event.chain);
        if positions.get(chain) == Some(&event.position) {
            passed[chain] = end.clone();
        }
        events += 1;
    }
    let is_there = passed.iter().map(|(position, _)| position).eq(&positions);
    if noted.is_some() && !(is_there && signed_off(&passed) == from_hex(hash)?) {
        return Err(
            "the ledger does not contain the noted head: it was cut off or rewritten".into()
        );
    }
    if hidden == 0 {
        println!("{events} events, the ledger is intact");
    } else {
        println!(
            "{events} events; {hidden} of them hide their evidence, so their hashes were taken as given; the others \
             are intact"
        );
    }
    Ok(())
}
