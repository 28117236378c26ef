//! Reads events from the lines of 'audit export'.

use std::io::{self, BufRead, Read};

use dataapi::Event;
use dataapi_wire::EventLine;

/// The longest line of an event: three pieces of evidence, with each byte escaped as six.
const LONGEST_LINE: u64 = 16 * 1024;

/// Reads an export of the ledger line by line.
pub(crate) fn read_ledger(mut input: impl BufRead) -> impl Iterator<Item = io::Result<Event>> {
    let mut line = Vec::new();
    let mut number = 0_u64;
    std::iter::from_fn(move || {
        line.clear();
        number += 1;
        match (&mut input).take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(parse_event(&line).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("line {number} is not an event of 'dataapi audit export'"),
                )
            })),
            Err(error) => Some(Err(error)),
        }
    })
}

fn parse_event(line: &[u8]) -> Option<Event> {
    serde_json::from_slice::<EventLine<'_>>(line).ok()?.into_domain().ok()
}
