//! A server that is killed under load, repeatedly: nothing acknowledged is lost, no withdrawn dialog comes back, and
//! none of its bytes is left once the server runs again.
//!
//! `DATAAPI_CRASH_ROUNDS` sets how many times it is killed, `DATAAPI_CRASH_SEED` fixes what the clients do, but not how
//! their requests are interleaved.

use crate::load::{Choices, Dialogs, Load, check, client, from_env, left_in_files, withdrawn_in};
use crate::program::{Program, store_in};

const CLIENTS: usize = 12;

#[tokio::test]
async fn killed_under_load_it_loses_nothing_acknowledged_and_brings_nothing_back() {
    let rounds = from_env("DATAAPI_CRASH_ROUNDS").unwrap_or(8);
    let mut choices = Choices::seeded("DATAAPI_CRASH_SEED");
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    let (mut dialogs, mut acknowledged) = (Dialogs::new(), 0);
    let mut program = Program::start(&store, &[]);
    for round in 0..rounds {
        let name = format!("r{round}");
        let mut load = Load::start(CLIENTS, &name, &mut choices, &program, None);
        let enough = usize::try_from(20 + choices.below(300)).expect("a small number");
        load.acknowledged(enough).await;
        assert_eq!(load.refusals(), 0);
        acknowledged += load.acknowledgements();
        dialogs.append(&mut load.kill(&mut program).await);

        program = Program::start(&store, &[]);
        let left = left_in_files(&store);
        check(&client(), &program, &mut dialogs, &format!("{name}c")).await;
        let none: [&String; 0] = [];
        assert_eq!(withdrawn_in(&left, &dialogs), none, "bytes of withdrawn dialogs are left");
    }
    check(&client(), &program, &mut dialogs, "").await;
    println!("{rounds} kills, {acknowledged} requests acknowledged, {} dialogs", dialogs.len());
}
