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

use document::{Document, ROOT, guides};

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
fn every_guide_is_there_and_its_sessions_and_rust_blocks_run() {
    let known = DOCUMENTS.iter().filter(|name| name.starts_with("docs/"));
    let advice = "one that is new is added to documents! in tests/documents/main.rs";
    assert_eq!(guides(), known.copied().collect::<Vec<_>>(), "{advice}");
    let library = fs::read_to_string(format!("{ROOT}/src/lib.rs")).expect("the library");
    for name in DOCUMENTS {
        let is_included = library.contains(&format!("include_str!(\"../{name}\")"));
        assert!(is_included, "add {name} to the doctests at the end of src/lib.rs");
    }
}

/// They run in the folder of the repository, each time on what the last run has left.
#[test]
fn rust_blocks_run_and_leave_no_store_behind() {
    for name in DOCUMENTS {
        let document = Document::existing(name);
        for block in
            document.blocks().into_iter().filter(|block| block.language.starts_with("rust"))
        {
            let line = block.lines.first().map_or(0, |line| line.number);
            let is = |word: &str| block.language.split(',').any(|part| part.trim() == word);
            assert!(!is("ignore"), "{name}:{line}: a block that nobody runs");
            let opens_file = block.lines.iter().any(|line| line.text.contains("(\"sqlite:"));
            let advice = "open 'memory:' or a file in a temporary folder";
            assert!(is("no_run") || !opens_file, "{name}:{line}: {advice}");
        }
    }
}
