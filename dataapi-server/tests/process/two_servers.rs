//! Two servers on one store, both under load: each sees at once what the other acknowledged, and killing one repeatedly
//! does not harm the other.
//!
//! `DATAAPI_CRASH_ROUNDS` sets how many times one is killed, `DATAAPI_CRASH_SEED` fixes what the clients do.

use postgres_cluster::{Cluster, Settings};
use tokio::task::JoinSet;

use crate::load::{
    Choices, Dialogs, Load, body, check, client, from_env, left_in_files,
    nothing_withdrawn_is_left, withdrawn_in,
};
use crate::program::{Program, store_in};

const CLIENTS: usize = 4;

#[tokio::test]
async fn of_two_servers_one_may_die_again_and_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    one_dies_again_and_again(&store, true).await;
    assert_eq!(dataapi::check(&store).await.expect("a store"), []);
}

#[tokio::test]
async fn of_two_servers_on_one_postgresql_one_may_die_again_and_again() {
    postgres_cluster::skip_without_postgres!();
    let settings = Settings { durable: true, ..Settings::default() };
    let cluster = Cluster::start(&settings).expect("a cluster");
    let store = cluster.new_database().expect("a database");
    one_dies_again_and_again(&store, false).await;
}

/// Kills one of two servers in each round, then checks that both have everything that was acknowledged. With
/// `has_clean_files`, it also checks that the files of the store have no bytes of withdrawn dialogs.
async fn one_dies_again_and_again(store: &str, has_clean_files: bool) {
    let rounds = from_env("DATAAPI_CRASH_ROUNDS").unwrap_or(6);
    let mut choices = Choices::seeded("DATAAPI_CRASH_SEED");
    let mut servers = [Program::start(store, &[]), Program::start(store, &[])];
    let mut dialogs = Dialogs::new();
    for round in 0..rounds {
        let [one, other] = &mut servers;
        // The servers take turns, so that each of them survives in half of the rounds.
        let (stays, dies) = if round % 2 == 0 { (one, other) } else { (other, one) };
        let name = format!("r{round}");
        let mut staying =
            Load::start(CLIENTS, &format!("{name}s"), &mut choices, stays, Some(&*dies));
        let mut dying =
            Load::start(CLIENTS, &format!("{name}d"), &mut choices, dies, Some(&*stays));
        let enough = usize::try_from(10 + choices.below(60)).expect("a small number");
        dying.acknowledged(enough).await;
        let before = staying.acknowledgements();
        dialogs.append(&mut dying.kill(dies).await);
        staying.acknowledged(before + 20).await;
        *dies = Program::start(store, &[]);
        let before = staying.acknowledgements();
        staying.acknowledged(before + 20).await;
        dialogs.append(&mut staying.end().await);

        for server in [&*stays, &*dies] {
            check(&client(), server, &mut dialogs, &name).await;
        }
        if has_clean_files {
            nothing_withdrawn_is_left(store, &dialogs).await;
        }
    }
    for server in &mut servers {
        check(&client(), server, &mut dialogs, "").await;
        server.signal("TERM");
        assert!(server.ended().0.success());
    }
    println!("{rounds} kills of one of two servers, {} dialogs", dialogs.len());
}

#[tokio::test]
async fn both_killed_at_once_lose_nothing_acknowledged() {
    let rounds = from_env("DATAAPI_CRASH_ROUNDS").unwrap_or(4);
    let mut choices = Choices::seeded("DATAAPI_CRASH_SEED");
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    let mut dialogs = Dialogs::new();
    for round in 0..rounds {
        let (mut one, mut other) = (Program::start(&store, &[]), Program::start(&store, &[]));
        let name = format!("r{round}");
        let mut first = Load::start(CLIENTS, &format!("{name}a"), &mut choices, &one, None);
        let second = Load::start(CLIENTS, &format!("{name}b"), &mut choices, &other, None);
        let enough = usize::try_from(10 + choices.below(100)).expect("a small number");
        first.acknowledged(enough).await;
        dialogs.append(&mut first.kill(&mut one).await);
        dialogs.append(&mut second.kill(&mut other).await);

        let program = Program::start(&store, &[]);
        let left = left_in_files(&store);
        check(&client(), &program, &mut dialogs, &name).await;
        let none: [&String; 0] = [];
        assert_eq!(withdrawn_in(&left, &dialogs), none, "bytes of withdrawn dialogs are left");
    }
}

#[tokio::test]
async fn of_two_who_take_one_id_at_once_exactly_one_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    let servers = [Program::start(&store, &[]), Program::start(&store, &[])];
    let client = client();
    for number in 0..100 {
        let id = format!("d-{number}");
        let mut posts = JoinSet::new();
        for (customer, server) in ["anna", "ben"].into_iter().zip(&servers) {
            let url = server.url(&format!("/data/{customer}/{id}"));
            posts.spawn(client.post(url).body(body(&id)).send());
        }
        let answers = posts.join_all().await.into_iter();
        let mut statuses: Vec<_> =
            answers.map(|answer| answer.expect("an answer").status().as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "{id}");
    }
}
