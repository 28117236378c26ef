//! `dataapi verify-erasure`: searches the raw bytes of a store's files for data that must be gone.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use aho_corasick::AhoCorasick;
use dataapi::Invalid;

use crate::args::VerifyErasureArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::terminal::counted;

/// How many markers to search for in one pass: a long list takes more passes, not more memory.
const AT_ONCE: usize = 10_000;

/// How many places to print for each file; further ones are only counted.
const MOST_PLACES: u64 = 10;

pub(super) fn run(args: VerifyErasureArgs, context: &Context) -> Result<Exit, CommandError> {
    let mut markers: Vec<Vec<u8>> = args.marker.into_iter().map(String::into_bytes).collect();
    if let Some(list) = &args.list {
        read_list(list, &mut markers).map_err(CommandError::Input)?;
    }
    if markers.is_empty() {
        return Err(Invalid::new("the list", "must name at least one marker").into());
    }
    if markers.iter().any(Vec::is_empty) {
        return Err(Invalid::new("a marker", "must not be empty").into());
    }
    let files = dataapi::files(&context.store_url)?;
    let mut output = Output::stdout();
    let mut found = 0;
    for file in &files {
        found += look_through(file, &markers, &mut output)?;
    }
    let files = counted(files.len() as u64, "file");
    let markers = counted(markers.len() as u64, "marker");
    writeln!(output, "{found} found of {markers} in {files}")?;
    output.finish()?;
    Ok(if found == 0 { Exit::Done } else { Exit::NotDone })
}

/// Reads one marker per line; skips blank lines.
fn read_list(list: &Path, markers: &mut Vec<Vec<u8>>) -> io::Result<()> {
    let input: Box<dyn Read> =
        if list == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(list)?) };
    for line in BufReader::new(input).split(b'\n') {
        let line = line?;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if !line.is_empty() {
            markers.push(line.to_vec());
        }
    }
    Ok(())
}

/// Searches a file, prints what was found, and returns how often.
fn look_through(
    path: &Path,
    markers: &[Vec<u8>],
    output: &mut Output,
) -> Result<u64, CommandError> {
    let name = path.file_name().unwrap_or_default().display();
    let mut found = 0;
    for (group, some) in markers.chunks(AT_ONCE).enumerate() {
        // The library's error would show a pattern.
        let searcher = AhoCorasick::new(some).map_err(|_| {
            Invalid::new("the list", "has markers that are too long; give shorter ones")
        })?;
        // The database engine removes some of its files from time to time.
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            file => file.map_err(CommandError::Input)?,
        };
        for place in searcher.stream_find_iter(file) {
            let place = place.map_err(CommandError::Input)?;
            found += 1;
            if found <= MOST_PLACES {
                let number = group * AT_ONCE + place.pattern().as_usize() + 1;
                writeln!(output, "{name}: marker {number} at byte {}", place.start())?;
            }
        }
    }
    let bytes = path.metadata().map_or(0, |file| file.len());
    writeln!(output, "{name}: {} read, {found} found", counted(bytes, "byte"))?;
    Ok(found)
}
