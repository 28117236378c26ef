//! Checks the words of the documents and of the programs' help.

use std::path::Path;
use std::process::Command;

use crate::document::{Document, guides, in_folder};
use crate::programs::Programs;

/// Phrases that a native speaker would not write.
const PHRASES: [&str; 6] = ["anew", "whoever", "be had", "stands in", "a yes", "a no"];

/// How many words a document may have, counted as by `wc -w`.
const SIZES: [(&str, usize); 2] = [("README.md", 700), ("ARCHITECTURE.md", 2_300)];

/// A word or a mark, and the number of its line.
#[derive(Clone, Debug, PartialEq)]
struct Token {
    line: usize,
    text: String,
}

#[test]
fn the_documents_that_all_read_are_short() {
    for (name, most) in SIZES {
        let count = Document::existing(name).text.split_whitespace().count();
        assert!(count <= most, "{name} has {count} words, and may have {most}");
    }
}

#[test]
fn no_document_has_a_phrase_that_nobody_would_say() {
    let mut found = Vec::new();
    for name in in_folder(".").chain(guides()) {
        let document = Document::existing(&name);
        let prose = document.prose().into_iter().map(|line| (line.number, line.text));
        found.extend(phrases(&tokens(prose)).into_iter().map(|phrase| format!("{name}:{phrase}")));
    }
    assert!(found.is_empty(), "write it in other words:\n{}", found.join("\n"));
}

#[test]
fn no_help_has_a_phrase_that_nobody_would_say() {
    let programs = Programs::get();
    let mut found = Vec::new();
    let mut pages = vec![(&programs.server, Vec::new()), (&programs.command, Vec::new())];
    while let Some((program, command)) = pages.pop() {
        let help = help(program, &command);
        let page = command.join(" ");
        let lines = (1..).zip(help.lines());
        let name = program.file_name().unwrap_or_default().display();
        let phrases = phrases(&tokens(lines)).into_iter();
        found.extend(phrases.map(|phrase| format!("{name} {page} --help, line {phrase}")));
        for inner in commands_in(&help) {
            pages.push((program, [&command[..], &[inner]].concat()));
        }
    }
    assert!(found.is_empty(), "write it in other words:\n{}", found.join("\n"));
}

/// The help for a command of a program.
fn help(program: &Path, command: &[String]) -> String {
    let output = Command::new(program).args(command).arg("--help").output();
    let output = output.expect("the program runs");
    assert!(output.status.success(), "{command:?} --help");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The commands that a page of help lists.
fn commands_in(help: &str) -> Vec<String> {
    let listed = help.split_once("\nCommands:\n").map_or("", |(_, listed)| listed);
    let listed = listed.lines().take_while(|line| !line.is_empty());
    let named = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    // A line that continues a description is indented further.
    named.filter(|name| !["", "help"].contains(name)).map(str::to_owned).collect()
}

/// Splits lines into words, with their hyphens and apostrophes, and single marks. Omits emphasis and code.
fn tokens<'t>(lines: impl Iterator<Item = (usize, &'t str)>) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut is_code = false;
    for (line, text) in lines {
        if text.trim().is_empty() {
            // A code span ends with its paragraph at the latest.
            is_code = false;
            tokens.push(Token { line, text: String::new() });
        }
        let mut word = String::new();
        for c in text.to_lowercase().chars().chain([' ']) {
            let is_mark = c == '`';
            if !is_code && (c.is_alphanumeric() || "-'’".contains(c)) {
                word.push(c);
                continue;
            }
            let whole = std::mem::take(&mut word);
            let whole = whole.trim_matches(['\'', '’']);
            if !whole.is_empty() {
                tokens.push(Token { line, text: whole.to_owned() });
            }
            is_code ^= is_mark;
            if is_mark || (!is_code && !c.is_whitespace() && !"*_".contains(c)) {
                tokens.push(Token { line, text: c.to_string() });
            }
        }
    }
    tokens
}

/// The banned phrases that are there, each with the number of its line.
fn phrases(tokens: &[Token]) -> Vec<String> {
    let found = PHRASES.iter().flat_map(|phrase| {
        let words: Vec<_> = phrase.split(' ').collect();
        let is_it =
            move |window: &&[Token]| window.iter().map(|token| &*token.text).eq(words.clone());
        let count = phrase.split(' ').count();
        let windows = tokens.windows(count).filter(is_it);
        windows.map(move |window| format!("{}: '{phrase}'", window[0].line)).collect::<Vec<_>>()
    });
    found.collect()
}

#[test]
fn phrases_are_found_whole_and_outside_of_code() {
    let found = |text: &str| phrases(&tokens((1..).zip(text.lines())));
    assert_eq!(
        found("Read\nAnew, and to be\nhad: a *yes* or 'a **No**'."),
        ["2: 'anew'", "2: 'be had'", "3: 'a yes'", "3: 'a no'"]
    );
    for text in
        ["renewed", "a no-store answer", "a `no`", "`anew`", "To A. No.", "a\n\nno", "a noun"]
    {
        assert_eq!(found(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn commands_are_found_in_a_page_of_help() {
    let help = "Text\n\nCommands:\n  import   Takes in\n             more\n  key      Makes\n  help     Prints\n\n\
                Options:\n  -q\n";
    assert_eq!(commands_in(help), ["import", "key"]);
}
