//! Every promise in the sources is run by the macro, and every module is in the crate's documentation.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use dataapi_conformance::PROMISES;

#[test]
fn every_promise_in_the_sources_is_listed() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut written = BTreeSet::new();
    for entry in fs::read_dir(sources).expect("the sources can be listed") {
        let path = entry.expect("the sources can be listed").path();
        let subject = path.file_stem().and_then(|stem| stem.to_str()).expect("a plain name");
        let Ok(source) = fs::read_to_string(&path) else { continue };
        for line in source.lines() {
            let promise = line.strip_prefix("pub async fn ").and_then(|rest| rest.split_once('('));
            written.extend(promise.map(|(name, _)| format!("{subject}::{name}")));
        }
    }
    let listed: BTreeSet<_> = PROMISES.iter().map(ToString::to_string).collect();
    assert_eq!(listed, written, "the list contains exactly the promises in the sources");
    assert_eq!(listed.len(), PROMISES.len(), "no promise is listed twice");
}

#[test]
fn every_module_is_in_the_documentation_of_the_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let root = fs::read_to_string(root).expect("the root of the crate can be read");
    let modules = root.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let rows: Vec<_> = modules.map(|module| format!("//! | [`{module}`] |")).collect();
    assert!(!rows.is_empty(), "the crate has public modules");
    for row in rows {
        assert!(root.contains(&row), "the table of modules has no row {row:?}");
    }
}
