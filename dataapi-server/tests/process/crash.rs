//! Killed under load, again and again: nothing acknowledged is lost, nothing withdrawn comes back, and
//! no byte of it is left once the server serves again.
//!
//! `DATAAPI_CRASH_ROUNDS` sets how many times it is killed, `DATAAPI_CRASH_SEED` fixes what the
//! clients do (not how they are interleaved).

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::program::{Program, store_in};

const CLIENTS: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    Pending,
    Granted,
    Withdrawn,
}

/// What a client knows of a dialog of its own.
#[derive(Debug)]
struct Known {
    acknowledged: State,
    /// What was asked for last, while no answer came.
    asked_for: State,
}

/// By dialog id. The text of a dialog is made of its id.
type Dialogs = BTreeMap<String, Known>;

/// One in five is too long for a page of the store's file.
fn text(id: &str) -> String {
    let length = if id.ends_with(['0', '5']) { 6_000 } else { 0 };
    let filler = "x".repeat(length);
    format!("the text of {id}, \"quoted\" 🙂\n{filler}the text of {id}, whole")
}

/// The ids of the texts that lie anywhere in the files of a store, as raw bytes.
fn left_in_files(store: &str) -> BTreeSet<String> {
    const START: &[u8] = b"the text of ";
    let mut ids = BTreeSet::new();
    for file in dataapi::files(store).expect("the store's files") {
        let bytes = std::fs::read(file).unwrap_or_default();
        let starts = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(START));
        for id in starts.map(|at| bytes[at + START.len()..].split(|byte| *byte == b',').next()) {
            ids.extend(id.map(|id| String::from_utf8_lossy(id).into_owned()));
        }
    }
    ids
}

/// `SplitMix64`: enough for choices that a seed repeats.
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn from_env<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// One client: inserts, grants and withdraws dialogs of its own until the server is gone.
async fn work(
    client: Client,
    base: String,
    name: String,
    mut choices: Choices,
    acknowledged: Arc<AtomicUsize>,
    killed: Arc<AtomicBool>,
) -> Dialogs {
    let mut dialogs = Dialogs::new();
    for number in 0.. {
        let id = format!("{name}-{number}");
        let mut plan = vec![State::Pending];
        match choices.below(4) {
            0 => {}
            1 => plan.push(State::Granted),
            2 => plan.push(State::Withdrawn),
            _ => plan.extend([State::Granted, State::Withdrawn]),
        }
        let known = Known { acknowledged: State::Absent, asked_for: State::Absent };
        let known = dialogs.entry(id.clone()).or_insert(known);
        for state in plan {
            known.asked_for = state;
            let request = match state {
                State::Pending => client
                    .post(format!("{base}/data/{name}/{id}"))
                    .body(json!({"text": text(&id), "language": "en"}).to_string()),
                _ => client
                    .post(format!("{base}/consents/{id}"))
                    .body((state == State::Granted).to_string()),
            };
            match request.send().await {
                // The head is the acknowledgement, whether or not the body still comes.
                Ok(answer) => {
                    assert!(answer.status().is_success(), "{state:?}: {}", answer.status());
                    known.acknowledged = state;
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                    let _ = answer.bytes().await;
                }
                Err(error) => {
                    assert!(killed.load(Ordering::SeqCst), "only the kill breaks it off: {error}");
                    return dialogs;
                }
            }
        }
    }
    dialogs
}

/// How a dialog stands, by what the server says of it and by whether it can be read.
async fn state(client: &Client, program: &Program, id: &str) -> State {
    let answer = client.get(program.url(&format!("/consents/{id}"))).send().await.unwrap();
    let state = if answer.status() == 404 {
        State::Absent
    } else {
        match answer.json::<Value>().await.expect("JSON")["consent"].as_str() {
            Some("pending") => State::Pending,
            Some("granted") => State::Granted,
            Some("withdrawn") => State::Withdrawn,
            other => panic!("{id} is {other:?}"),
        }
    };
    let customer = id.rsplit_once('-').expect("a name").0;
    let read = client.get(program.url(&format!("/data/{customer}/{id}"))).send().await.unwrap();
    let expected = match state {
        State::Absent | State::Withdrawn => 404,
        State::Pending => 403,
        State::Granted => 200,
    };
    assert_eq!(read.status(), expected, "{id} is {state:?}");
    state
}

/// Compares the store after a restart with what is known, and settles what was in doubt. All of it
/// is seen through pages and counts; one by one are asked for those whose ids begin with `closer`.
async fn check(client: &Client, program: &Program, dialogs: &mut Dialogs, closer: &str) {
    let mut readable = BTreeMap::new();
    let mut target = "/data/?limit=1000".to_owned();
    loop {
        let page: Value =
            client.get(program.url(&target)).send().await.unwrap().json().await.unwrap();
        for item in page["items"].as_array().expect("items") {
            let id = item["dialog_id"].as_str().expect("an id").to_owned();
            let text = item["text"].as_str().expect("a text").to_owned();
            assert!(readable.insert(id, text).is_none(), "each dialog once");
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut target),
            None => break,
        }
    }
    for (id, known) in dialogs.iter_mut() {
        if id.starts_with(closer) {
            let state = state(client, program, id).await;
            assert!(
                state == known.acknowledged || state == known.asked_for,
                "{id} is {state:?}, but {known:?}"
            );
            *known = Known { acknowledged: state, asked_for: state };
        }
        let state = known.acknowledged;
        let shown = readable.remove(id);
        assert_eq!(shown, (state == State::Granted).then(|| text(id)), "{id} is {state:?}");
    }
    assert!(readable.is_empty(), "nobody stored {readable:?}");

    let stats: Value =
        client.get(program.url("/stats")).send().await.unwrap().json().await.unwrap();
    for (name, state) in [
        ("pending", State::Pending),
        ("consented", State::Granted),
        ("withdrawn", State::Withdrawn),
    ] {
        let count = dialogs.values().filter(|known| known.acknowledged == state).count();
        assert_eq!(stats[name], count, "{name}");
    }
}

#[tokio::test]
async fn killed_under_load_it_loses_nothing_acknowledged_and_brings_nothing_back() {
    let rounds = from_env("DATAAPI_CRASH_ROUNDS").unwrap_or(8);
    let seed = from_env("DATAAPI_CRASH_SEED")
        .unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("DATAAPI_CRASH_SEED={seed}");
    let mut choices = Choices(seed);

    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    let mut dialogs = Dialogs::new();
    let mut program = Program::start(&store, &[]);
    for round in 0..rounds {
        let client = Client::builder().no_proxy().build().expect("a client");
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let killed = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            clients.spawn(work(
                client.clone(),
                program.url(""),
                format!("r{round}c{number}"),
                Choices(choices.below(u64::MAX)),
                Arc::clone(&acknowledged),
                Arc::clone(&killed),
            ));
        }
        let enough = usize::try_from(20 + choices.below(300)).expect("a small number");
        while acknowledged.load(Ordering::SeqCst) < enough {
            if let Some(broken) = clients.try_join_next() {
                panic!("a client ended before the kill: {broken:?}");
            }
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        killed.store(true, Ordering::SeqCst);
        program.kill();
        while let Some(known) = clients.join_next().await {
            dialogs.append(&mut known.expect("no panic"));
        }

        program = Program::start(&store, &[]);
        let left = left_in_files(&store);
        check(&client, &program, &mut dialogs, &format!("r{round}c")).await;
        for (id, known) in &dialogs {
            let is_gone = known.acknowledged == State::Withdrawn;
            assert!(!is_gone || !left.contains(id), "bytes of {id} are left");
        }
    }
    let client = Client::builder().no_proxy().build().expect("a client");
    check(&client, &program, &mut dialogs, "").await;
    println!("{rounds} kills, {} dialogs", dialogs.len());
}
