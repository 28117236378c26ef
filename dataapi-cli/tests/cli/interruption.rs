//! Ctrl-C leaves whole batches, and the message says how many lines are done.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command};

use crate::sandbox::{RunResult, Sandbox};
use crate::scenes::dialog_line;

fn interrupt(child: &Child) {
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.expect("kill runs").success());
}

#[test]
fn an_import_keeps_what_was_committed_and_can_go_on() {
    let sandbox = Sandbox::new();
    let lines: Vec<_> = (0..1500).map(|n| dialog_line(&format!("{n:04}"), "t")).collect();
    let mut child = sandbox.start(&["import", "-"]);
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(lines.concat().as_bytes()).expect("is read");
    // The pipe stays open, so the second batch never fills.
    while !sandbox.run(&["stats", "--json"]).out.contains("\"consented\":1000,") {
        assert!(child.try_wait().expect("is asked").is_none());
    }

    interrupt(&child);
    let ran = RunResult::from(child.wait_with_output().expect("ends"));
    drop(stdin);
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert_eq!(
        ran.err,
        "stopping after the current batch; press Ctrl-C again to end at once\n\
         1000 stored, 0 already there, 0 refused\n\
         lines 1 to 1000 are done; to continue, run the same import again\n"
    );
    assert_eq!(sandbox.ok(&["export", "--plain"]).lines().count(), 1000);

    let again = sandbox.feed(lines.concat().as_bytes(), &["import", "-"]);
    assert_eq!(again.err, "500 stored, 1000 already there, 0 refused\n");
}

#[test]
fn a_second_time_it_ends_at_once() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["generate", "-d", "2000", "-c", "2000"]);
    let mut child = sandbox.start(&["export", "--plain"]);
    let mut stdout = child.stdout.take().expect("a pipe");
    // Nobody reads from here on, so it waits with its first page half written.
    stdout.read_exact(&mut [0]).expect("is read");

    interrupt(&child);
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut said = String::new();
    stderr.read_line(&mut said).expect("is read");
    assert!(said.starts_with("stopping after the current batch"), "{said}");
    interrupt(&child);
    assert_eq!(child.wait().expect("ends").code(), Some(130));
}

#[test]
fn an_export_to_a_pipe_ends_with_the_running_page() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["generate", "-d", "2000", "-c", "2000"]);
    let mut child = sandbox.start(&["export", "--plain"]);
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    // A page is more than a pipe holds, so it waits with its first one half written.
    let mut first = String::new();
    stdout.read_line(&mut first).expect("is read");

    interrupt(&child);
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut said = String::new();
    stderr.read_line(&mut said).expect("is read");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("is read");
    stderr.read_to_string(&mut said).expect("is read");
    assert_eq!(child.wait().expect("ends").code(), Some(130));
    let told =
        "interrupted after 1000 of 2000 dialogs; the export is incomplete, so run it again\n";
    assert!(said.ends_with(told), "{said}");
    assert_eq!(1 + rest.lines().count(), 1000);
}
