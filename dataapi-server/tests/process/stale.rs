//! Every page has all decisions that were acknowledged before the request, even though servers cache pages and another
//! server writes to the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::program::{Program, store_in};

const ROUNDS: usize = 150;
const READERS: usize = 4;

async fn newest_has(client: &Client, server: &Program, id: &str) -> bool {
    let answer = client.get(server.url("/data/?limit=50")).send().await.expect("an answer");
    let page: Value = answer.json().await.expect("a page");
    let items = page["items"].as_array().expect("items");
    items.iter().any(|item| item["dialog_id"] == id)
}

async fn post(client: &Client, url: String, body: Value) {
    let answer = client.post(url).json(&body).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_server_gives_a_page_that_is_older_than_an_acknowledged_decision() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    let servers = Arc::new([Program::start(&store, &[]), Program::start(&store, &[])]);
    let client = Client::new();

    // Other clients request the same page all the time, so both servers have it in their cache.
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let (client, servers, done) = (client.clone(), Arc::clone(&servers), Arc::clone(&done));
        readers.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                newest_has(&client, &servers[reader % 2], "").await;
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        });
    }

    for round in 0..ROUNDS {
        let id = format!("d-{round}");
        let writer = &servers[round % 2];
        let dialog = json!({"text": "Where is my parcel?", "language": "en"});
        post(&client, writer.url(&format!("/data/anna/{id}")), dialog).await;
        post(&client, writer.url(&format!("/consents/{id}")), json!(true)).await;
        for server in &*servers {
            assert!(newest_has(&client, server, &id).await, "the grant is visible, round {round}");
        }
        post(&client, servers[(round + 1) % 2].url(&format!("/consents/{id}")), json!(false)).await;
        for server in &*servers {
            assert!(
                !newest_has(&client, server, &id).await,
                "the withdrawal is visible, round {round}"
            );
        }
    }
    done.store(true, Ordering::Relaxed);
    while let Some(reader) = readers.join_next().await {
        reader.expect("a reader reads on");
    }
}
