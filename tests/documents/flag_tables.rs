//! The tables of flags in the documents, generated from the programs' clap definitions.
//!
//! The table of a command is between `<!-- flags: dataapi import -->` and `<!-- end of flags -->`. The tests of
//! both programs include this file, because the definitions are private to each program.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command};

const PROGRAMS: [&str; 2] = ["dataapi", "dataapi-server"];
const BEGIN: &str = "<!-- flags: ";
const BEGIN_ENDS: &str = " -->\n";
const END: &str = "<!-- end of flags -->";

/// The command that writes the tables.
const ADVICE: &str = "DATAAPI_WRITE_DOCUMENTS=1 cargo test --workspace --bins flag";

/// Compares each table of a program with its definition, or writes the tables if `DATAAPI_WRITE_DOCUMENTS` is 1.
/// Each command must have a table in the document `home`.
///
/// # Panics
///
/// If a table is not as generated, or is missing.
pub(crate) fn check(mut program: Command, home: &str) {
    program.build();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let must_write = std::env::var_os("DATAAPI_WRITE_DOCUMENTS").is_some_and(|value| value == "1");
    let mut missing = commands(&program, program.get_name());
    let mut stale = Vec::new();
    for path in documents(&root) {
        let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        let text = fs::read_to_string(&path).expect("a document");
        let mut current = String::new();
        let mut rest = &*text;
        while let Some((before, after)) = rest.split_once(BEGIN) {
            let (command, after) = after.split_once(BEGIN_ENDS).expect("the marker ends");
            let (table, after) = after.split_once(END).unwrap_or_else(|| {
                panic!("{name}: the table of '{command}' has no '{END}'");
            });
            let renewed = renewed(&program, command, &name);
            if renewed.as_ref().is_some_and(|renewed| renewed != table) {
                stale.push(format!("{name}: '{command}'"));
            }
            let table = renewed.as_deref().unwrap_or(table);
            let _ = write!(current, "{before}{BEGIN}{command}{BEGIN_ENDS}{table}{END}");
            if name == home {
                missing.retain(|missing| missing != command);
            }
            rest = after;
        }
        current.push_str(rest);
        if must_write && current != text {
            fs::write(&path, current).expect("the document can be written");
        }
    }
    assert!(must_write || stale.is_empty(), "not as defined: {}; run: {ADVICE}", stale.join(", "));
    assert!(missing.is_empty(), "{home} has no table of: {}", missing.join(", "));
}

/// The README and the guides.
fn documents(root: &Path) -> Vec<PathBuf> {
    let guides = fs::read_dir(root.join("docs")).expect("the folder of guides");
    let guides = guides.map(|entry| entry.expect("an entry").path());
    let guides = guides.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    [root.join("README.md")].into_iter().chain(guides).collect()
}

/// The names of a program and of its commands, without those that only group others.
fn commands(command: &Command, name: &str) -> Vec<String> {
    let inner = command.get_subcommands().filter(|inner| !inner.is_hide_set());
    let inner = inner.filter(|inner| inner.get_name() != "help").collect::<Vec<_>>();
    let mut names = Vec::new();
    if inner.is_empty() || !name.contains(' ') {
        names.push(name.to_owned());
    }
    for inner in inner {
        names.extend(commands(inner, &format!("{name} {}", inner.get_name())));
    }
    names
}

/// The table of a command, or nothing if it is of the other program.
fn renewed(program: &Command, name: &str, document: &str) -> Option<String> {
    let mut words = name.split(' ');
    let first = words.next().unwrap_or_default();
    assert!(PROGRAMS.contains(&first), "{document}: there is no program '{first}'");
    if first != program.get_name() {
        return None;
    }
    let command = words.try_fold(program, |command, word| command.find_subcommand(word));
    let command = command.unwrap_or_else(|| panic!("{document}: there is no command '{name}'"));
    let is_program = std::ptr::eq(command, program);
    let arguments = command.get_arguments().filter(|argument| {
        let is_built_in = ["help", "version"].contains(&argument.get_id().as_str());
        !argument.is_hide_set() && !is_built_in && (is_program || !argument.is_global_set())
    });
    let rows: Vec<_> = arguments.map(row).collect();
    if rows.is_empty() {
        return Some("No flags or arguments.\n".to_owned());
    }
    let header = "| flag | environment | default | what it does |\n|---|---|---|---|\n";
    Some(format!("{header}{}", rows.concat()))
}

fn row(argument: &Arg) -> String {
    let environment = argument.get_env().map(|name| format!("`{}`", name.display()));
    let help = argument.get_help().map(StyledStr::to_string).unwrap_or_default();
    // Where clap does not know the default, the help says it in clap's way.
    let (help, said) = match help.strip_suffix(']').and_then(|help| help.split_once("[default: ")) {
        Some((help, default)) => (help.trim_end(), Some(default)),
        None => (&*help, None),
    };
    let takes_value = argument.get_action().takes_values();
    let default = if argument.is_required_set() {
        "required".to_owned()
    } else if let Some(said) = said {
        escaped(said)
    } else {
        let values = argument.get_default_values().iter().filter(|_| takes_value);
        values.map(|value| format!("`{}`", value.display())).collect::<Vec<_>>().join(" ")
    };
    let values = argument.get_possible_values().into_iter().filter(|_| takes_value);
    let values = values.filter(|value| !value.is_hide_set());
    let values: Vec<_> = values.map(|value| format!("`{}`", value.get_name())).collect();
    let mut help = escaped(help);
    if !values.is_empty() {
        let colon = if help.is_empty() { "" } else { ": " };
        help = format!("{help}{colon}{}", values.join(", "));
    }
    format!("| {} | {} | {default} | {help} |\n", flag(argument), environment.unwrap_or_default())
}

/// How an argument is typed.
fn flag(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let value = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let several = if matches!(argument.get_action(), ArgAction::Append) { "…" } else { "" };
    if argument.is_positional() {
        let value = format!("{value}{several}");
        return if argument.is_required_set() {
            format!("`{value}`")
        } else {
            format!("`[{value}]`")
        };
    }
    let value =
        if argument.get_action().takes_values() { format!(" {value}") } else { String::new() };
    let short = argument.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    // A bar ends a cell, even within code.
    let value = value.replace('|', r"\|");
    format!("{short}`--{}{value}`", argument.get_long().unwrap_or_default())
}

/// Escapes text for a cell of a table.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    let mut is_code = false;
    for c in text.chars() {
        is_code ^= c == '`';
        if c == '|' || (!is_code && "*<[".contains(c)) {
            escaped.push('\\');
        }
        escaped.push(if c == '\n' { ' ' } else { c });
    }
    escaped
}
