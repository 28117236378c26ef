//! The access log as an embedder gets it: which lines there are, and what a lost one means.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dataapi_core::{Dialogs, Keys, Ledger, MemoryStore, NewDialog, RefKey, SystemClock};
use dataapi_server::{AccessSink, Config};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::failing::Failing;
use crate::keys::{key, secret, with};
use crate::patience::PATIENCE;
use crate::server::{DIALOG, Server, ask, memory};

/// Keeps lines in memory, and loses some.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    kept: Mutex<Vec<Value>>,
    /// The number of lines that are kept before all further ones are lost.
    room: AtomicU64,
}

impl Lines {
    fn with_room_for(lines: u64) -> Arc<Self> {
        Arc::new(Self { room: lines.into(), ..Self::default() })
    }

    pub(crate) fn unlimited() -> Arc<Self> {
        Self::with_room_for(u64::MAX)
    }

    fn all(&self) -> Vec<Value> {
        self.kept.lock().expect("lines").clone()
    }

    /// Waits for a line with this member.
    async fn with_member(&self, member: &str) -> Value {
        let started = Instant::now();
        loop {
            if let Some(line) = self.all().into_iter().find(|line| line.get(member).is_some()) {
                return line;
            }
            assert!(started.elapsed() < PATIENCE, "no line has '{member}'");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl AccessSink for Lines {
    fn append(&self, line: &[u8]) -> io::Result<()> {
        let end = line.iter().position(|byte| *byte == b'\n');
        assert_eq!(end, Some(line.len() - 1), "one whole line at a time");
        let mut kept = self.kept.lock().expect("lines");
        if kept.len() as u64 >= self.room.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        kept.push(serde_json::from_slice(line).expect("JSON"));
        Ok(())
    }
}

fn logging(lines: &Arc<Lines>) -> Config {
    Config { access_log: Some(lines.clone()), ..Config::default() }
}

fn requiring(lines: &Arc<Lines>) -> Config {
    Config { require_access_log: true, ..logging(lines) }
}

async fn metric(server: &Server, name: &str) -> u64 {
    let metrics = server.get("/metrics").await;
    assert_eq!(metrics.status, 200, "the metrics show why requests are refused");
    let value =
        metrics.text().lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in\n{}", metrics.text()))
}

/// The status that each line has for this method, in order.
fn statuses(lines: &Lines, method: &str) -> Vec<Option<u64>> {
    let of_method = lines.all().into_iter().filter(|line| line["method"] == method);
    of_method.map(|line| line["status"].as_u64()).collect()
}

/// The operations of the description that read or change data, each with a body that is valid for it.
async fn operations(server: &Server) -> Vec<(String, String, &'static str)> {
    let description = server.get("/openapi.json").await.json();
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let role = &operation["security"][0]["key"][0];
            if ["ingest", "consent", "read", "subject"].iter().any(|name| role == name) {
                let path = path.replace("{customerId}", "anna").replace("{dialogId}", "d");
                let body = match (&**method, role.as_str()) {
                    ("post", Some("ingest")) => DIALOG,
                    ("post", _) => "true",
                    _ => "",
                };
                operations.push((method.to_uppercase(), path, body));
            }
        }
    }
    operations
}

#[tokio::test]
async fn a_request_whose_required_line_is_lost_is_refused_and_changes_nothing() {
    let lines = Lines::with_room_for(0);
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock), RefKey::from_bytes([7; 32])));
    let dialog = NewDialog::parse("anna", "d", "en", "MARKER").expect("valid");
    store.insert(dialog).await.expect("stored");
    let before = (store.stats().await.expect("counts"), store.ledger_head().await.expect("a head"));
    let server = Server::start(store.clone(), requiring(&lines)).await;
    let operations = operations(&server).await;
    let writes = operations.iter().filter(|(method, ..)| method != "GET").count();
    assert!(writes >= 4 && operations.len() >= 10, "{operations:?}");
    for (method, path, body) in &operations {
        // An id that is free, so that only the lost line can refuse the dialog.
        let path = if *body == DIALOG { "/data/anna/new" } else { path };
        let answer = server.ask(method, path, body).await;
        assert_eq!((answer.status, &*answer.problem()), (503, "not-logged"), "{method} {path}");
        assert!(answer.header("retry-after").is_some() && !answer.text().contains("MARKER"));
        assert!(answer.text().contains("nothing was changed"), "{}", answer.text());
        assert!(!answer.text().contains("whole or not at all"), "{}", answer.text());
    }
    let after = (store.stats().await.expect("counts"), store.ledger_head().await.expect("a head"));
    assert_eq!(before, after);
    let lost = u64::try_from(operations.len()).expect("a number") + 1;
    assert!(metric(&server, "dataapi_access_log_lost_lines_total").await >= lost);
    assert_eq!(metric(&server, "dataapi_access_log_failing").await, 1);
    assert_eq!(server.get("/health/live").await.status, 200);

    lines.room.store(u64::MAX, Ordering::Relaxed);
    for (method, path, body) in &operations {
        let answer = server.ask(method, path, body).await;
        assert_ne!(answer.status, 503, "{method} {path}");
    }
}

#[tokio::test]
async fn with_a_required_log_a_write_is_noted_before_it_begins_and_after_it_ended() {
    let lines = Lines::unlimited();
    let server = Server::start(memory(), requiring(&lines)).await;
    server.consented("anna", "d", "en", "text").await;
    assert_eq!(server.get("/data/").await.status, 200);
    assert_eq!(server.ask("DELETE", "/customers/anna", "").await.status, 200);
    assert_eq!(server.ask("DELETE", "/data/anna/d", "").await.status, 404);
    assert_eq!(statuses(&lines, "POST"), [None, Some(201), None, Some(200)]);
    assert_eq!(statuses(&lines, "DELETE"), [None, Some(200), None, Some(404)]);
    assert_eq!(statuses(&lines, "GET"), [Some(200)]);
    let all = lines.all();
    let pair = [&all[0], &all[1]];
    for member in ["request_id", "route", "dialog_ref"] {
        assert_eq!(pair[0][member], pair[1][member], "{member} is the same in both lines");
        assert!(pair[0][member].is_string(), "{member}");
    }

    // What is refused before anything is done has one line.
    let before = all.len();
    for (target, body, status) in [("/data/anna/e", "{", 400), ("/data/anna/e?x=1", DIALOG, 400)] {
        assert_eq!(server.post(target, body).await.status, status);
    }
    let all = lines.all();
    assert_eq!(all[before..].iter().map(|line| &line["status"]).collect::<Vec<_>>(), [400, 400]);
}

#[tokio::test]
async fn a_write_that_happened_is_answered_although_its_second_line_is_lost() {
    let lines = Lines::with_room_for(1);
    let server = Server::start(memory(), requiring(&lines)).await;
    assert_eq!(server.post("/data/anna/d", DIALOG).await.status, 201);
    assert_eq!(statuses(&lines, "POST"), [None]);
    assert_eq!(server.post("/data/anna/e", DIALOG).await.status, 503);
    assert_eq!(server.store.stats().await.expect("counts").pending, 1);
}

#[tokio::test]
async fn without_that_requirement_each_request_has_one_line_and_none_is_refused_for_it() {
    let lines = Lines::unlimited();
    let server = Server::start(memory(), logging(&lines)).await;
    server.consented("anna", "d", "en", "text").await;
    assert_eq!(server.get("/data/").await.status, 200);
    assert_eq!(statuses(&lines, "POST"), [Some(201), Some(200)]);
    assert_eq!(statuses(&lines, "GET"), [Some(200)]);

    lines.room.store(0, Ordering::Relaxed);
    assert_eq!(server.get("/data/").await.status, 200);
    assert_eq!(server.post("/data/anna/e", DIALOG).await.status, 201);
    assert_eq!(metric(&server, "dataapi_access_log_lost_lines_total").await, 2);
    assert_eq!(metric(&server, "dataapi_access_log_failing").await, 1);

    // The lines of the four requests are lost. Once no line was lost for a while, the log tells so.
    lines.room.store(u64::MAX, Ordering::Relaxed);
    let told = tokio::time::timeout(PATIENCE, async {
        while metric(&server, "dataapi_access_log_failing").await == 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        lines.with_member("lost").await
    });
    assert_eq!(told.await.expect("the log is well again")["lost"], 4);
}

#[tokio::test]
async fn a_write_that_is_given_up_has_a_line_without_a_status() {
    let lines = Lines::unlimited();
    let config = Config { grace: Duration::from_millis(20), ..logging(&lines) };
    let server = Server::start(Arc::new(Failing(None)), config).await;
    let mut connection = server.connect().await;
    let length = DIALOG.len();
    let request = format!(
        "POST /data/anna/d HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{DIALOG}"
    );
    connection.write_all(request.as_bytes()).await.expect("it is sent");
    // The other request in flight is the one for the metrics.
    while metric(&server, "dataapi_http_requests_in_flight").await < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(statuses(&lines, "POST"), []);
    server.ended().await;
    assert_eq!(statuses(&lines, "POST"), [None]);
}

#[tokio::test]
async fn refused_requests_are_counted_and_not_repeated() {
    let lines = Lines::unlimited();
    let store = MemoryStore::new(Arc::new(SystemClock), RefKey::from_bytes([7; 32]));
    key(&store, 0, "read", None).await;
    key(&store, 1, "read", None).await;
    assert!(store.revoke_key(&"key-1".parse().expect("a name")).await.expect("revoked"));
    let server = Server::start(Arc::new(store), logging(&lines)).await;
    let unknown = format!("authorization: Bearer {}\r\n", secret(9));
    let elsewhere = "origin: https://elsewhere.example\r\n";
    for _ in 0..40 {
        for (method, target, header, status) in [
            ("GET", "/data/", "", 401),
            ("GET", "/data/", &*unknown, 401),
            ("POST", "/consents/d", elsewhere, 403),
            // Anyone may read the version, but a wrong key with it is an attempt to guess one.
            ("GET", "/version", &*unknown, 200),
        ] {
            let answer = ask(server.address, method, target, header, b"true").await;
            assert_eq!(answer.status, status, "{method} {target}");
        }
        assert_eq!(with(&server, 0, "POST", "/consents/d", "true").await.status, 403);
        assert_eq!(with(&server, 1, "GET", "/data/", "").await.status, 401);
        assert_eq!(with(&server, 0, "GET", "/data/", "").await.status, 200);
    }
    server.ended().await;

    let count = |key: Value, method: &str, route: &str, status: u64| {
        let all = lines.all().into_iter().filter(|line| {
            line["key"] == key
                && (&line["method"], &line["route"], &line["status"])
                    == (&json!(method), &json!(route), &json!(status))
        });
        let (told, counted): (Vec<_>, Vec<_>) =
            all.partition(|line| line.get("suppressed").is_none());
        let counted = counted.iter().map(|line| line["suppressed"].as_u64().expect("a number"));
        (told.len(), counted.collect::<Vec<_>>())
    };
    let nobody = Value::Null;
    assert_eq!(count(nobody.clone(), "GET", "/data/", 401), (10, vec![70]));
    assert_eq!(count(nobody.clone(), "POST", "/consents/{dialogId}", 403), (10, vec![30]));
    assert_eq!(count(nobody, "GET", "/version", 200), (10, vec![30]));
    assert_eq!(count(json!("key-0"), "POST", "/consents/{dialogId}", 403), (10, vec![30]));
    assert_eq!(count(json!("key-1"), "GET", "/data/", 401), (10, vec![30]));
    assert_eq!(count(json!("key-0"), "GET", "/data/", 200), (40, vec![]), "each one is logged");
    assert_eq!(lines.all().len(), 5 * 11 + 40);
}

#[tokio::test]
async fn a_refusal_is_sent_although_its_line_is_lost() {
    let lines = Lines::with_room_for(0);
    let store = MemoryStore::new(Arc::new(SystemClock), RefKey::from_bytes([7; 32]));
    key(&store, 0, "read", None).await;
    let server = Server::start(Arc::new(store), requiring(&lines)).await;
    assert_eq!(server.get("/data/").await.status, 401);
    assert_eq!(with(&server, 0, "DELETE", "/data/anna/d", "").await.status, 403);
    assert_eq!(with(&server, 0, "GET", "/data/", "").await.status, 503);
}
