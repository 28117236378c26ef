//! Runs the console sessions of a document and compares what they print with what it shows.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use regex::Regex;

use crate::comparison::is_shown;
use crate::document::Document;
use crate::ports::{Ports, ports_in};
use crate::programs::Programs;
use crate::shell::Shell;

/// The port of a server that is not told where to listen, as a document writes it.
const PORT: u16 = 8080;

/// How long to wait until a program listens and has printed what the document shows.
const PATIENCE: Duration = Duration::from_secs(30);

/// The programs that sessions use and that do not come with DataAPI.
const TOOLS: [&str; 4] = ["bash", "curl", "jq", "openssl"];

/// The URL of a database in a document: with the password, or without, as programs print it.
static DATABASE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"postgres://dataapi(?::choose-one)?@localhost/(\w+)").expect("a pattern")
});

/// The part of a command that says where to listen.
static LISTEN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?:--listen[ =]|DATAAPI_LISTEN=)\S+").expect("a pattern"));

/// A command of a document.
#[derive(Debug, PartialEq)]
struct Step {
    /// The number of its first line.
    line: usize,
    command: String,
    /// What the document shows as its output.
    shown: String,
}

/// Runs all console blocks of a document, in order, in one shell.
///
/// A line that begins with `$ ` is a command. A command that ends in `\` continues in the next line, which
/// begins with `> `. The lines that follow are what the command prints to standard output.
pub(crate) fn run(name: &str) {
    let steps = steps(&Document::existing(name));
    if steps.is_empty() || !can_run(name, &steps) {
        return;
    }
    let mut ports = Ports::default();
    let Some(steps) = replace_addresses(steps, &mut ports) else { return };
    let mut shell = Shell::start(Programs::get(), ports.of(PORT));
    if asks_a_server_of_the_reader(&steps, ports.of(PORT)) {
        let step = Step { line: 0, command: "dataapi-server &".to_owned(), shown: String::new() };
        start(&mut shell, name, &step, ports.of(PORT));
    }
    for step in &steps {
        if step.command.ends_with(" &") {
            start(&mut shell, name, step, ports.of(PORT));
            continue;
        }
        let ran = shell.run(&step.command);
        let ran = ran.unwrap_or_else(|why| fail(name, step, &why, &shell));
        if ran.code != 0 {
            fail(name, step, &format!("exit code {}, after:\n{}", ran.code, ran.output), &shell);
        }
        if !is_shown(&step.shown, &ran.output) {
            fail(name, step, &ran.output, &shell);
        }
    }
    shell.end();
}

fn fail(name: &str, step: &Step, real: &str, shell: &Shell) -> ! {
    panic!(
        "{name}:{}\n  command\n{}\n  the document shows\n{}\n  the program gives\n{real}\n  standard error\n{}",
        step.line,
        step.command,
        step.shown.trim_end(),
        shell.errors()
    )
}

fn steps(document: &Document) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in document.blocks().into_iter().filter(|block| block.language == "console") {
        let before = steps.len();
        for line in block.lines {
            let place = format!("{}:{}", document.name, line.number);
            if let Some(last) = steps[before..].last_mut()
                && last.shown.is_empty()
                && last.command.ends_with('\\')
            {
                let more = line.text.strip_prefix("> ");
                let more =
                    more.unwrap_or_else(|| panic!("{place}: '> ' must continue the command"));
                last.command = format!("{}\n{more}", last.command);
            } else if let Some(command) = line.text.strip_prefix("$ ") {
                let (line, command) = (line.number, command.trim_end().to_owned());
                steps.push(Step { line, command, shown: String::new() });
            } else {
                let last = steps[before..].last_mut();
                let last = last.unwrap_or_else(|| panic!("{place}: output without a command"));
                last.shown = format!("{}{}\n", last.shown, line.text);
            }
        }
    }
    steps
}

/// Whether this machine has the programs that the commands use. Names those that are missing on standard error.
fn can_run(name: &str, steps: &[Step]) -> bool {
    let is_used = |tool: &str| {
        let mut words =
            steps.iter().flat_map(|step| step.command.split(|c: char| !c.is_alphanumeric()));
        tool == "bash" || words.any(|word| word == tool)
    };
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |tool: &str| std::env::split_paths(&folders).any(|folder| folder.join(tool).is_file());
    let missing = TOOLS.into_iter().filter(|tool| is_used(tool) && !is_there(tool));
    let missing: Vec<_> = missing.collect();
    if !missing.is_empty() {
        // Not by a macro, whose output the test harness keeps to itself.
        let line =
            format!("\nSKIPPED: the sessions of {name}: there is no {}\n", missing.join(", "));
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    missing.is_empty()
}

/// Replaces the ports and databases of the document by free ports and new databases. Returns nothing if the
/// document needs PostgreSQL and this machine has none.
fn replace_addresses(mut steps: Vec<Step>, ports: &mut Ports) -> Option<Vec<Step>> {
    let takes_postgres = steps.iter().any(|step| DATABASE.is_match(&step.command));
    if takes_postgres && !postgres_cluster::available() {
        return None;
    }
    let mut databases = std::collections::BTreeMap::new();
    for step in &mut steps {
        for text in [&mut step.command, &mut step.shown] {
            let ported = ports.replace_in(text);
            let replaced = DATABASE.replace_all(&ported, |url: &regex::Captures<'_>| {
                let new = || postgres_cluster::new_database();
                databases.entry(url[1].to_owned()).or_insert_with(new).clone()
            });
            *text = replaced.into_owned();
        }
    }
    Some(steps)
}

/// Whether the document asks a server that the reader has started earlier.
fn asks_a_server_of_the_reader(steps: &[Step], port: u16) -> bool {
    let starts =
        |step: &Step| step.command.contains("dataapi-server") && step.command.ends_with(" &");
    let asks = |step: &Step| ports_in(&step.command).contains(&port);
    !steps.iter().any(starts) && steps.iter().any(asks)
}

/// Starts a program, and waits until it listens and has printed what the document shows, if it shows anything.
fn start(shell: &mut Shell, name: &str, step: &Step, port: u16) {
    let listen: String = LISTEN.find_iter(&step.command).map(|found| found.as_str()).collect();
    let is_server = step.command.contains("dataapi-server");
    let ports = match &*listen {
        "" if is_server => vec![port],
        "" => ports_in(&step.command),
        listen => ports_in(listen),
    };
    let listens = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
    if is_server && ports.iter().any(listens) {
        fail(name, step, "another program listens there already", shell);
    }
    let file = shell.start_program(&step.command);
    let file = file.unwrap_or_else(|why| fail(name, step, &why, shell));
    let started = Instant::now();
    let mut output = String::new();
    while started.elapsed() < PATIENCE {
        output = fs::read_to_string(&file).unwrap_or_default();
        let has_printed = step.shown.is_empty() || is_shown(&step.shown, &output);
        if has_printed && ports.iter().all(listens) {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    fail(
        name,
        step,
        &format!("after {PATIENCE:?} nothing listens, or the output is still different:\n{output}"),
        shell,
    );
}

#[test]
fn a_session_is_commands_and_what_they_print() {
    let text =
        "```console\n$ a \\\n> b\nc\n\nd\n```\ntext\n```sh\n$ e\n```\n```console\n$ f &\n```\n";
    let document = Document { name: "test".to_owned(), text: text.to_owned() };
    let step = |line, command: &str, shown: &str| Step {
        line,
        command: command.to_owned(),
        shown: shown.to_owned(),
    };
    assert_eq!(steps(&document), [step(2, "a \\\nb", "c\n\nd\n"), step(13, "f &", "")]);
}
