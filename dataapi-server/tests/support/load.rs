//! Clients that remember what the server acknowledged, and a comparison of that with the store.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::patience::PATIENCE;
use crate::program::Program;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Absent,
    Pending,
    Granted,
    Withdrawn,
}

/// What a client knows about one of its dialogs.
#[derive(Debug)]
pub(crate) struct Remembered {
    pub(crate) acknowledged: State,
    /// The state that the last request asked for, if it got no answer yet.
    pub(crate) asked_for: State,
}

impl Remembered {
    pub(crate) fn is(state: State) -> Self {
        Self { acknowledged: state, asked_for: state }
    }
}

/// The dialogs of a client, by id. The text of a dialog depends only on its id.
pub(crate) type Dialogs = BTreeMap<String, Remembered>;

/// Returns the text of the dialog with this id. One in five is too long for one page of the store's file.
pub(crate) fn text(id: &str) -> String {
    let length = if id.ends_with(['0', '5']) { 6_000 } else { 0 };
    let filler = "x".repeat(length);
    format!("the text of {id}, \"quoted\" 🙂\n{filler}the text of {id}, whole")
}

/// Returns the body that stores the dialog with this id.
pub(crate) fn body(id: &str) -> String {
    json!({"text": text(id), "language": "en"}).to_string()
}

/// Returns the ids of the dialogs whose texts are anywhere in the files of a store, as raw bytes.
pub(crate) fn left_in_files(store: &str) -> BTreeSet<String> {
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

/// Returns the withdrawn dialogs among those whose texts are left.
pub(crate) fn withdrawn_in<'l>(
    left: &'l BTreeSet<String>,
    dialogs: &'l Dialogs,
) -> Vec<&'l String> {
    let withdrawn = dialogs.iter().filter(|(_, known)| known.acknowledged == State::Withdrawn);
    withdrawn.map(|(id, _)| id).filter(|id| left.contains(*id)).collect()
}

/// Waits until no byte of a withdrawn dialog is left in the files of the store.
pub(crate) async fn nothing_withdrawn_is_left(store: &str, dialogs: &Dialogs) {
    let started = Instant::now();
    loop {
        let left = left_in_files(store);
        let withdrawn = withdrawn_in(&left, dialogs);
        if withdrawn.is_empty() {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "bytes of {withdrawn:?} are left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Pseudo-random choices that a seed repeats (`SplitMix64`).
pub(crate) struct Choices(pub(crate) u64);

impl Choices {
    /// Takes the seed from the environment or draws a new one, and prints it so that the choices can be repeated.
    pub(crate) fn seeded(variable: &str) -> Self {
        let fresh = || RandomState::new().build_hasher().finish();
        let seed = from_env(variable).unwrap_or_else(fresh);
        println!("{variable}={seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

pub(crate) fn from_env<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

pub(crate) fn client() -> Client {
    Client::builder().no_proxy().build().expect("a client")
}

/// Running clients, each with its own dialogs. They run until the load or their server ends.
pub(crate) struct Load {
    clients: JoinSet<Dialogs>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
    /// Whether the server was killed, so that a connection can break.
    is_killed: AtomicBool,
    is_over: AtomicBool,
}

impl Load {
    /// Starts clients whose dialog ids begin with `name`. The server `witness` must see at once what `server`
    /// acknowledged.
    pub(crate) fn start(
        count: usize,
        name: &str,
        choices: &mut Choices,
        server: &Program,
        witness: Option<&Program>,
    ) -> Self {
        let (shared, client) = (Arc::new(Shared::default()), client());
        let clients = (0..count).map(|number| Worker {
            name: format!("{name}c{number}"),
            client: client.clone(),
            base: server.url(""),
            witness: witness.map(|witness| witness.url("")),
            choices: Choices(choices.below(u64::MAX)),
            shared: Arc::clone(&shared),
        });
        Self { clients: clients.map(Worker::run).collect(), shared }
    }

    /// Waits until this many requests were acknowledged since the start.
    pub(crate) async fn acknowledged(&mut self, count: usize) {
        self.reaches(|shared| shared.acknowledged.load(Ordering::SeqCst) >= count).await;
    }

    /// Waits until this many requests were refused since the start.
    pub(crate) async fn refused(&mut self, count: usize) {
        self.reaches(|shared| shared.refused.load(Ordering::SeqCst) >= count).await;
    }

    async fn reaches(&mut self, condition: impl Fn(&Shared) -> bool) {
        let started = Instant::now();
        while !condition(&self.shared) {
            if let Some(broken) = self.clients.try_join_next() {
                panic!("a client ended early: {broken:?}");
            }
            assert!(started.elapsed() < PATIENCE, "too few requests were acknowledged or refused");
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    }

    /// Returns how many requests were refused so far.
    pub(crate) fn refusals(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// Returns how many requests were acknowledged so far.
    pub(crate) fn acknowledgements(&self) -> usize {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// Kills the server and returns what the clients know.
    pub(crate) async fn kill(self, server: &mut Program) -> Dialogs {
        self.kill_after(server, || ()).await
    }

    /// Cuts the server from its disk, then kills it, and returns what the clients know. What is refused meanwhile has
    /// an unknown outcome.
    pub(crate) async fn kill_after(self, server: &mut Program, cut: impl FnOnce()) -> Dialogs {
        self.shared.is_killed.store(true, Ordering::SeqCst);
        cut();
        server.kill();
        self.known().await
    }

    /// Ends each client after its current dialog and returns what they know.
    pub(crate) async fn end(self) -> Dialogs {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.known().await
    }

    async fn known(self) -> Dialogs {
        self.clients.join_all().await.into_iter().flatten().collect()
    }
}

struct Worker {
    name: String,
    client: Client,
    base: String,
    witness: Option<String>,
    choices: Choices,
    shared: Arc<Shared>,
}

impl Worker {
    /// Stores, grants and withdraws dialogs.
    async fn run(mut self) -> Dialogs {
        let mut dialogs = Dialogs::new();
        for number in 0.. {
            let id = format!("{}-{number}", self.name);
            let mut plan = vec![State::Pending];
            match self.choices.below(4) {
                0 => {}
                1 => plan.push(State::Granted),
                2 => plan.push(State::Withdrawn),
                _ => plan.extend([State::Granted, State::Withdrawn]),
            }
            let known = dialogs.entry(id.clone()).or_insert(Remembered::is(State::Absent));
            for state in plan {
                known.asked_for = state;
                match self.ask_for(&id, state).await {
                    Ok(answer) if answer.status().is_success() => {
                        // The head acknowledges the request, even if the body does not arrive.
                        known.acknowledged = state;
                        self.shared.acknowledged.fetch_add(1, Ordering::SeqCst);
                        let _ = answer.bytes().await;
                        self.look_from_elsewhere(&id, state).await;
                    }
                    Ok(_) if self.shared.is_killed.load(Ordering::SeqCst) => return dialogs,
                    Ok(refusal) => {
                        assert_eq!(refusal.status(), 503, "{state:?}");
                        assert!(refusal.headers().contains_key("retry-after"), "{refusal:?}");
                        // No commit has an unknown outcome in these tests, so nothing changed.
                        known.asked_for = known.acknowledged;
                        self.shared.refused.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(2)).await;
                        break;
                    }
                    Err(error) => {
                        let is_killed = self.shared.is_killed.load(Ordering::SeqCst);
                        assert!(is_killed, "a connection broke without a kill: {error}");
                        return dialogs;
                    }
                }
            }
            if self.shared.is_over.load(Ordering::SeqCst) {
                break;
            }
        }
        dialogs
    }

    async fn ask_for(&self, id: &str, state: State) -> reqwest::Result<Response> {
        let Self { client, base, name, .. } = self;
        let request = match state {
            State::Pending => client.post(format!("{base}/data/{name}/{id}")).body(body(id)),
            _ => client
                .post(format!("{base}/consents/{id}"))
                .body((state == State::Granted).to_string()),
        };
        request.send().await
    }

    async fn look_from_elsewhere(&self, id: &str, state: State) {
        let Some(witness) = &self.witness else { return };
        let look = self.client.get(format!("{witness}/data/{}/{id}", self.name)).send().await;
        // The witness might have been killed.
        if let Ok(seen) = look {
            assert_eq!(
                seen.status(),
                read_status(state),
                "{id} is {state:?}, but the other server disagrees"
            );
        }
    }
}

/// Returns the status of a read of a dialog in this state.
fn read_status(state: State) -> u16 {
    match state {
        State::Absent | State::Withdrawn => 404,
        State::Pending => 403,
        State::Granted => 200,
    }
}

/// Returns the state of a dialog according to the server, and checks that a read agrees.
pub(crate) async fn state(client: &Client, program: &Program, id: &str) -> State {
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
    assert_eq!(read.status(), read_status(state), "{id} is {state:?}");
    state
}

/// Compares the store with what the clients know, by pages and counts. Dialogs whose ids begin with `closer` are also
/// read one by one, which settles the outcome of unanswered requests.
pub(crate) async fn check(client: &Client, program: &Program, dialogs: &mut Dialogs, closer: &str) {
    let mut readable = BTreeMap::new();
    let mut target = "/data/?limit=1000".to_owned();
    loop {
        let page: Value =
            client.get(program.url(&target)).send().await.unwrap().json().await.unwrap();
        for item in page["items"].as_array().expect("items") {
            let id = item["dialog_id"].as_str().expect("an id").to_owned();
            let text = item["text"].as_str().expect("a text").to_owned();
            assert!(readable.insert(id, text).is_none(), "a dialog came twice");
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
            *known = Remembered::is(state);
        }
        let state = known.acknowledged;
        let shown = readable.remove(id);
        assert_eq!(shown, (state == State::Granted).then(|| text(id)), "{id} is {state:?}");
    }
    assert!(readable.is_empty(), "no client stored {readable:?}");

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
