//! Events read from the lines of 'audit export'.

use std::io::{self, BufRead, Read};

use dataapi::Event;
use dataapi_wire::EventLine;

/// No event is longer: three pieces of evidence, each byte written in six.
const LONGEST_LINE: u64 = 16 * 1024;

/// Reads what 'audit export' wrote, a line at a time.
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
                    format!("line {number} is no event as 'dataapi audit export' writes it"),
                )
            })),
            Err(error) => Some(Err(error)),
        }
    })
}

fn parse_event(line: &[u8]) -> Option<Event> {
    serde_json::from_slice::<EventLine<'_>>(line).ok()?.into_domain().ok()
}
