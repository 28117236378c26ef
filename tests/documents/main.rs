//! Holds the documents to the programs: every console session in them is run, and their words are checked.

#[cfg(unix)]
mod comparison;
mod document;
#[cfg(unix)]
mod ports;
mod programs;
#[cfg(unix)]
mod sessions;
#[cfg(unix)]
mod shell;
mod words;

use std::fs;

use document::{ROOT, guides};

/// Makes one test for each document, so that they run side by side.
macro_rules! documents {
    ($($test:ident: $document:literal,)*) => {
        /// The documents whose sessions are run.
        const DOCUMENTS: &[&str] = &[$($document),*];

        $(
            #[cfg(unix)]
            #[test]
            fn $test() {
                sessions::run($document);
            }
        )*
    };
}

documents! {
    readme: "README.md",
    capacity: "docs/capacity.md",
    command_line: "docs/command-line.md",
    embedding: "docs/embedding.md",
    erasure: "docs/erasure.md",
    http: "docs/http.md",
    operating: "docs/operating.md",
    postgres: "docs/postgres.md",
}

#[test]
fn every_guide_has_its_sessions_and_its_rust_blocks_run() {
    let doctests = fs::read_to_string(format!("{ROOT}/src/lib.rs")).expect("the library");
    for document in ["README.md".to_owned()].into_iter().chain(guides()) {
        assert!(DOCUMENTS.contains(&&*document), "add {document} to documents! in tests/documents");
        let included = doctests.contains(&format!("include_str!(\"../{document}\")"));
        assert!(included, "add {document} to the doctests at the end of src/lib.rs");
    }
}
