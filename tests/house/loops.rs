//! Finds files that import each other, directly or through other files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::imports::Imports;

/// How many names are shown for each import.
const MOST_NAMES: usize = 6;

/// The shortest loop of every file that is in one, each loop once: the files in turn, and the names by which each
/// imports the next.
pub(crate) fn loops(imports: &Imports) -> BTreeSet<String> {
    let found = imports.keys().filter_map(|file| shortest(file, imports));
    found.map(|files| told(&files, imports)).collect()
}

/// The shortest way from a file back to itself.
fn shortest<'i>(start: &'i Path, imports: &'i Imports) -> Option<Vec<&'i Path>> {
    let mut came_from: BTreeMap<&Path, &Path> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(file) = waiting.pop_front() {
        for next in imports.get(file).into_iter().flat_map(BTreeMap::keys).map(PathBuf::as_path) {
            if next == start {
                let back = std::iter::successors(Some(file), |file| came_from.get(file).copied());
                let mut files: Vec<_> = back.collect();
                files.reverse();
                return Some(files);
            }
            if !came_from.contains_key(next) {
                came_from.insert(next, file);
                waiting.push_back(next);
            }
        }
    }
    None
}

/// Begins with the first file by name, so that a loop reads the same wherever the search found it.
fn told(files: &[&Path], imports: &Imports) -> String {
    let first = (0..files.len()).min_by_key(|at| files[*at]).unwrap_or(0);
    let in_turn: Vec<_> = files.iter().cycle().skip(first).take(files.len() + 1).collect();
    let mut told = in_turn[0].display().to_string();
    for pair in in_turn.windows(2) {
        let names = &imports[*pair[0]][*pair[1]];
        let some: Vec<_> = names.iter().take(MOST_NAMES).map(String::as_str).collect();
        let _ = write!(told, " -> {} ({}", pair[1].display(), some.join(", "));
        if names.len() > MOST_NAMES {
            let _ = write!(told, ", and {} more", names.len() - MOST_NAMES);
        }
        told.push(')');
    }
    told
}
