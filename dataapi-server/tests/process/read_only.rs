//! A store that cannot be written to: the server refuses to start and leaves it unchanged. If the disk fails while the
//! server runs, reads go on, and writes work again once the disk does.
//!
//! `DATAAPI_DISK_ROUNDS` sets how often the disk refuses writes, `DATAAPI_DISK_SEED` fixes what the clients do.

use std::process::Command;

use power_loss::may_mount;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::disk::Disk;
use crate::load::{Choices, Dialogs, Load, check, client, from_env, nothing_withdrawn_is_left};
use crate::program::{Program, contents, output, store_in};

const CLIENTS: usize = 4;

#[tokio::test]
async fn a_read_only_file_system_is_refused_and_left_as_it_is() {
    if !may_mount("read_only::a_read_only_file_system_is_refused_and_left_as_it_is") {
        return;
    }
    let disk = Disk::mount(16 << 20);
    let store = store_in(disk.path());
    let mut choices = Choices::seeded("DATAAPI_DISK_SEED");
    let mut dialogs = Dialogs::new();
    // A killed server leaves more files than a stopped one.
    for name in ["stopped", "killed"] {
        let mut program = Program::start(&store, &[]);
        let mut load = Load::start(CLIENTS, name, &mut choices, &program, None);
        load.acknowledged(100).await;
        if name == "killed" {
            dialogs.append(&mut load.kill(&mut program).await);
        } else {
            dialogs.append(&mut load.end().await);
            program.signal("TERM");
            assert!(program.ended().0.success());
        }
        disk.forbid_writes();
        let before = contents(disk.path());
        let refused = output(&["--listen", "127.0.0.1:0", "--store", &store]);
        assert_eq!(refused.status.code(), Some(1), "{name}");
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(error.contains("the store cannot be written to; check"), "{name}: {error}");
        assert_eq!(error.lines().count(), 1, "{name}: {error}");
        assert!(contents(disk.path()) == before, "{name}: a file has changed");
        disk.allow_writes();
        let program = Program::start(&store, &[]);
        check(&client(), &program, &mut dialogs, name).await;
    }
}

/// Limits the size of each file that the process writes; `None` for no limit.
fn limit_files(program: &Program, bytes: Option<u64>) {
    let pid = Pid::from_raw(program.pid().try_into().expect("a pid"));
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("a limit");
}

/// Starts a server whose writes fail at a limit on file sizes. By default, the signal would end the process.
fn start_limitable(store: &str) -> Program {
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#])
        .arg(env!("CARGO_BIN_EXE_dataapi-server"))
        .args(["--listen", "127.0.0.1:0", "--store", store]);
    Program::spawn(&mut command)
}

#[tokio::test]
async fn while_the_disk_takes_no_writes_reads_go_on_and_nothing_is_lost() {
    let rounds = from_env("DATAAPI_DISK_ROUNDS").unwrap_or(6);
    let mut choices = Choices::seeded("DATAAPI_DISK_SEED");
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    let (client, mut dialogs) = (client(), Dialogs::new());
    let mut program = start_limitable(&store);
    for round in 0..rounds {
        let name = format!("r{round}");
        let mut load = Load::start(CLIENTS, &name, &mut choices, &program, None);
        let enough = usize::try_from(20 + choices.below(100)).expect("a small number");
        load.acknowledged(enough).await;
        // The limit is within the longest file or a little after it, so that a write can fail half-way.
        let longest = dataapi::files(&store).expect("the files").into_iter();
        let longest = longest.filter_map(|file| file.metadata().ok()).map(|file| file.len()).max();
        limit_files(&program, Some(choices.below(longest.unwrap_or(0) + (64 << 10))));
        load.refused(30).await;
        for path in ["/data/?limit=10", "/stats"] {
            let answer = client.get(program.url(path)).send().await.expect("an answer");
            assert_eq!(answer.status(), 200, "{path}");
        }
        if choices.below(2) == 0 {
            dialogs.append(&mut load.kill(&mut program).await);
            program = start_limitable(&store);
        } else {
            limit_files(&program, None);
            let acknowledged = load.acknowledgements();
            load.acknowledged(acknowledged + 20).await;
            dialogs.append(&mut load.end().await);
        }
        check(&client, &program, &mut dialogs, &format!("{name}c")).await;
        nothing_withdrawn_is_left(&store, &dialogs).await;
    }
    check(&client, &program, &mut dialogs, "").await;
    program.signal("TERM");
    assert!(program.ended().0.success());
    assert_eq!(dataapi::check(&store).await.expect("a store"), []);
}
