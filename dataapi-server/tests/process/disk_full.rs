//! A full disk: writes fail while it is full and work again afterwards, and nothing acknowledged is lost.
//!
//! `DATAAPI_DISK_ROUNDS` sets how often each case is run, `DATAAPI_DISK_SEED` fixes what the clients do.

use power_loss::may_mount;
use reqwest::Client;
use serde_json::Value;

use crate::disk::Disk;
use crate::load::{
    Choices, Dialogs, Load, Remembered, State, body, check, client, from_env,
    nothing_withdrawn_is_left,
};
use crate::program::{Program, command, output, store_in};

const CLIENTS: usize = 4;
const DISK_BYTES: u64 = 8 << 20;

/// What happens to the server while its disk is full.
#[derive(Clone, Copy, Debug)]
enum Meanwhile {
    Nothing,
    Killed,
    Stopped,
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    if !may_mount("disk_full::a_full_disk_refuses_writes_and_loses_nothing") {
        return;
    }
    let rounds = from_env("DATAAPI_DISK_ROUNDS").unwrap_or(1);
    let mut choices = Choices::seeded("DATAAPI_DISK_SEED");
    for _ in 0..rounds {
        for meanwhile in [Meanwhile::Nothing, Meanwhile::Killed, Meanwhile::Stopped] {
            println!("{meanwhile:?}");
            round(&mut choices, meanwhile).await;
        }
    }
}

#[tokio::test]
async fn a_disk_without_any_space_is_told_at_the_start() {
    if !may_mount("disk_full::a_disk_without_any_space_is_told_at_the_start") {
        return;
    }
    let disk = Disk::mount(DISK_BYTES);
    let store = store_in(disk.path());
    let mut program = Program::start(&store, &[]);
    let mut dialogs = some_granted(&client(), &program).await;
    program.signal("TERM");
    assert!(program.ended().0.success());
    disk.fill();
    let refused = output(&["--listen", "127.0.0.1:0", "--store", &store]);
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("the disk is full; opening the store needs"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    disk.make_space();
    let program = Program::start(&store, &[]);
    check(&client(), &program, &mut dialogs, "").await;
}

async fn round(choices: &mut Choices, meanwhile: Meanwhile) {
    let disk = Disk::mount(DISK_BYTES);
    let store = store_in(disk.path());
    let client = client();
    let mut program = Program::start(&store, &[]);
    let mut dialogs = some_granted(&client, &program).await;

    // The clients use up the space that is left.
    disk.leave_free(choices.below(1 << 20));
    let mut load = Load::start(CLIENTS, "full", choices, &program, None);
    load.refused(50).await;
    disk.fill();
    load.refused(load.refusals() + 50).await;
    reads_go_on(&client, &program).await;
    withdraw(&client, &program, &mut dialogs, 0).await;

    match meanwhile {
        Meanwhile::Nothing => {
            let acknowledged = load.acknowledgements();
            disk.make_space();
            load.acknowledged(acknowledged + 100).await;
            dialogs.append(&mut load.end().await);
        }
        Meanwhile::Killed => {
            dialogs.append(&mut load.kill(&mut program).await);
            program = start_on_full(&store, &disk).await;
        }
        Meanwhile::Stopped => {
            dialogs.append(&mut load.end().await);
            program.signal("TERM");
            assert!(program.ended().0.success());
            program = start_on_full(&store, &disk).await;
        }
    }
    assert_eq!(withdraw(&client, &program, &mut dialogs, 1).await, 0, "there is space again");
    check(&client, &program, &mut dialogs, "").await;
    nothing_withdrawn_is_left(&store, &dialogs).await;
    program.signal("TERM");
    assert!(program.ended().0.success());
    nothing_withdrawn_is_left(&store, &dialogs).await;
    assert_eq!(dataapi::check(&store).await.expect("a store"), []);
}

/// Stores consented dialogs while there is space.
async fn some_granted(client: &Client, program: &Program) -> Dialogs {
    let mut dialogs = Dialogs::new();
    for number in 0..40 {
        let id = format!("before-{number}");
        for (path, body) in
            [(format!("/data/before/{id}"), body(&id)), (format!("/consents/{id}"), "true".into())]
        {
            let answer =
                client.post(program.url(&path)).body(body).send().await.expect("an answer");
            assert!(answer.status().is_success(), "{answer:?}");
        }
        dialogs.insert(id, Remembered::is(State::Granted));
    }
    dialogs
}

/// Withdraws every second consented dialog, from the number `odd` on. Returns how many withdrawals were refused.
async fn withdraw(client: &Client, program: &Program, dialogs: &mut Dialogs, odd: usize) -> usize {
    let mut refused = 0;
    let granted = dialogs.iter_mut().filter(|(_, known)| known.acknowledged == State::Granted);
    for (id, known) in granted.skip(odd).step_by(2) {
        let url = program.url(&format!("/consents/{id}"));
        let answer = client.post(url).body("false").send().await.expect("an answer");
        match answer.status().as_u16() {
            200 => *known = Remembered::is(State::Withdrawn),
            503 => {
                assert!(answer.headers().contains_key("retry-after"));
                refused += 1;
            }
            other => panic!("{other}"),
        }
    }
    refused
}

async fn reads_go_on(client: &Client, program: &Program) {
    for path in ["/data/?limit=10", "/data/before/before-39", "/stats", "/customers/before/data"] {
        let answer = client.get(program.url(path)).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        let _: Value = answer.json().await.expect("JSON");
    }
}

/// Starts a server on the full disk. It starts, or refuses in one line that names the reason; then there is space again
/// and it runs.
async fn start_on_full(store: &str, disk: &Disk) -> Program {
    disk.fill();
    let args = ["--listen", "127.0.0.1:0", "--store", store];
    let started = Program::try_spawn(&mut command(&args));
    match &started {
        Ok(program) => reads_go_on(&client(), program).await,
        Err(log) => {
            println!("refused: {log}");
            assert!(log.starts_with("dataapi-server: cannot open the store"), "{log}");
            assert_eq!(log.lines().count(), 1, "{log}");
        }
    }
    disk.make_space();
    started.unwrap_or_else(|_| Program::start(store, &[]))
}
