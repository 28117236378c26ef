//! A document: its code blocks, and what it says outside of them.

use std::fs;
use std::path::Path;

/// The folder that the documents are in.
pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A document in Markdown.
pub(crate) struct Document {
    /// Its path in the repository.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The content of a fenced code block.
pub(crate) struct Block<'d> {
    pub(crate) language: &'d str,
    pub(crate) lines: Vec<Line<'d>>,
}

/// A line with its number, from 1 on.
pub(crate) struct Line<'d> {
    pub(crate) number: usize,
    pub(crate) text: &'d str,
}

/// The fence of the block that a line is in.
struct Fence<'d> {
    marks: &'d str,
    indent: usize,
}

impl Document {
    /// Reads a document that must be there.
    pub(crate) fn existing(name: &str) -> Self {
        let text = fs::read_to_string(Path::new(ROOT).join(name));
        let text = text.unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), text }
    }

    pub(crate) fn blocks(&self) -> Vec<Block<'_>> {
        self.split().0
    }

    /// The lines outside of code blocks.
    pub(crate) fn prose(&self) -> Vec<Line<'_>> {
        self.split().1
    }

    fn split(&self) -> (Vec<Block<'_>>, Vec<Line<'_>>) {
        let mut blocks: Vec<Block<'_>> = Vec::new();
        let mut prose = Vec::new();
        let mut open: Option<Fence<'_>> = None;
        for (number, text) in (1..).zip(self.text.lines()) {
            let bare = text.trim();
            if let Some(fence) = &open {
                let is_end = bare.starts_with(fence.marks)
                    && bare.bytes().all(|byte| byte == fence.marks.as_bytes()[0]);
                if is_end {
                    open = None;
                } else if let Some(block) = blocks.last_mut() {
                    let spaces = text.len() - text.trim_start_matches(' ').len();
                    block.lines.push(Line { number, text: &text[fence.indent.min(spaces)..] });
                }
            } else if bare.starts_with("```") || bare.starts_with("~~~") {
                let language = bare.trim_start_matches(&bare[..1]);
                let marks = &bare[..bare.len() - language.len()];
                open = Some(Fence { marks, indent: text.len() - text.trim_start().len() });
                blocks.push(Block { language: language.trim(), lines: Vec::new() });
            } else {
                prose.push(Line { number, text });
            }
        }
        assert!(open.is_none(), "{}: a code block has no end", self.name);
        (blocks, prose)
    }
}

/// The names of all guides, found by listing their folder.
pub(crate) fn guides() -> Vec<String> {
    in_folder("docs").map(|name| format!("docs/{name}")).collect()
}

/// The names of the Markdown files in a folder, in order.
pub(crate) fn in_folder(folder: &str) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(Path::new(ROOT).join(folder)).expect("the folder of documents");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().expect("UTF-8")).collect();
    names.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "md"));
    names.sort();
    names.into_iter()
}

#[test]
fn blocks_and_prose_are_told_apart() {
    let text = "a\n```console\n$ b\n```\n- c\n\n  ````sh\n  d\n  ```\n  ````\ne".to_owned();
    let document = Document { name: "test".to_owned(), text };
    let blocks = document.blocks();
    let shown = |lines: &[Line<'_>]| {
        let lines = lines.iter().map(|line| format!("{} {}", line.number, line.text));
        lines.collect::<Vec<_>>()
    };
    assert_eq!(blocks.iter().map(|block| block.language).collect::<Vec<_>>(), ["console", "sh"]);
    assert_eq!(shown(&blocks[0].lines), ["3 $ b"]);
    assert_eq!(shown(&blocks[1].lines), ["8 d", "9 ```"]);
    assert_eq!(shown(&document.prose()), ["1 a", "5 - c", "6 ", "11 e"]);
}
