//! Request smuggling: a request that could be read in two ways is refused and its connection closed, or it is read in
//! one way. No request hidden in another is ever answered, and no spelling of a path avoids its role.

use std::fmt::Write;

use dataapi_server::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::keys::{with, with_keys};
use crate::patience::PATIENCE;
use crate::server::{Answer, DIALOG, Server, memory};

/// The request that is hidden in others. It would make a dialog readable.
const HIDDEN: &str =
    "POST /consents/victim HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\ntrue";

/// Starts a server that closes no slow connection, with a pending dialog.
async fn server() -> Server {
    let config = Config { head_timeout: PATIENCE * 10, ..Config::default() };
    let server = Server::start(memory(), config).await;
    let dialog = r#"{"text":"MARKER","language":"en"}"#;
    assert_eq!(server.post("/data/anna/victim", dialog).await.status, 201);
    server
}

async fn is_still_pending(server: &Server) -> bool {
    server.get("/consents/victim").await.json()["consent"] == "pending"
}

/// Sends a request at once and reads the answers until the server closes the connection.
async fn refused(server: &Server, request: &[u8]) -> Vec<Answer> {
    let mut connection = server.connect().await;
    // The server can close the connection before it has read everything.
    let _ = connection.write_all(request).await;
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, connection.read_to_end(&mut bytes)).await;
    let what = String::from_utf8_lossy(&request[..request.len().min(300)]).into_owned();
    let _ = read.unwrap_or_else(|_| panic!("the connection is not closed: {what}"));
    answers(&bytes)
}

/// Sends requests at once, closes the sending half of the connection, and reads the answers.
async fn answered(server: &Server, request: &[u8]) -> Vec<Answer> {
    let mut connection = server.connect().await;
    connection.write_all(request).await.expect("a request sent");
    connection.shutdown().await.expect("the half is closed");
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, connection.read_to_end(&mut bytes)).await;
    read.expect("it ends").expect("answers");
    answers(&bytes)
}

/// Parses all answers of one connection.
fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let mut answer = Answer::parse(bytes);
        let head = bytes.len() - answer.body.len();
        let length = answer.header("content-length").expect("a length").parse().expect("a number");
        answer.body.truncate(length);
        bytes = &bytes[head + length..];
        answers.push(answer);
    }
    answers
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused_and_the_connection_closed() {
    let server = server().await;
    let post = |headers: &str, rest: &str| {
        format!(
            "POST /consents/other HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n\r\n{rest}{HIDDEN}"
        )
    };
    let get = |line: &str| format!("{line}\r\nhost: localhost\r\n\r\n{HIDDEN}");
    let many = (0..200).fold(String::new(), |mut headers, number| {
        let _ = write!(headers, "x-{number}: 1\r\n");
        headers
    });
    let hidden = HIDDEN.len();
    for (request, status) in [
        // The length of the body.
        (post(&format!("content-length: 0\r\ncontent-length: {hidden}"), ""), 400),
        (post("content-length: 4, 4", "true"), 400),
        (post("content-length: 4, 90", "true"), 400),
        (post("content-length: +4", "true"), 400),
        (post("content-length: -4", "true"), 400),
        (post("content-length: 0x4", "true"), 400),
        (post("content-length: 4 4", "true"), 400),
        (post("content-length: four", "true"), 400),
        (post("content-length:", ""), 400),
        (post("content-length: 99999999999999999999999", "true"), 400),
        (post("transfer-encoding: xchunked", "4\r\ntrue\r\n0\r\n\r\n"), 400),
        (post("transfer-encoding: identity", "true"), 400),
        (post("transfer-encoding: chunked, identity", "4\r\ntrue\r\n0\r\n\r\n"), 400),
        (post("transfer-encoding: chunked\r\ntransfer-encoding: x", "0\r\n\r\n"), 400),
        (post("transfer-encoding: \"chunked\"", "0\r\n\r\n"), 400),
        (post("transfer-encoding: \x0bchunked", "0\r\n\r\n"), 400),
        (post("transfer-encoding:", "0\r\n\r\n"), 400),
        (post("content-length: 4\r\ntransfer-encoding: xchunked", "true"), 400),
        (post("transfer-encoding: chunked", "0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0"), 400),
        // The beginning and the end of a header.
        (post("content-length : 4", "true"), 400),
        (post("transfer-encoding : chunked", "0\r\n\r\n"), 400),
        (post("transfer-encoding:\r\n chunked", "0\r\n\r\n"), 400),
        (post("x: y\r\n content-length: 4", "true"), 400),
        (post("x: y\r\n\tz", ""), 400),
        (post(" content-length: 4", "true"), 400),
        (post("x: a\0b", ""), 400),
        (post("x\0y: a", ""), 400),
        (post("x: a\rtransfer-encoding: chunked", "0\r\n\r\n"), 400),
        (post("content-length\r\n: 4", "true"), 400),
        (post(": 4", "true"), 400),
        (post("no header", "true"), 400),
        // The beginning and the end of the body's chunks.
        (post("transfer-encoding: chunked", "zz\r\ntrue\r\n0\r\n\r\n"), 400),
        (post("transfer-encoding: chunked", "0x4\r\ntrue\r\n0\r\n\r\n"), 400),
        (post("transfer-encoding: chunked", "-4\r\ntrue\r\n0\r\n\r\n"), 400),
        (post("transfer-encoding: chunked", "4\r\ntrueX\r\n0\r\n\r\n"), 400),
        (post("transfer-encoding: chunked", "4\ntrue\n0\n\n"), 400),
        (post("transfer-encoding: chunked", "4;a\nb\r\ntrue\r\n0\r\n\r\n"), 400),
        (post("transfer-encoding: chunked", "10000000000000004\r\ntrue\r\n0\r\n\r\n"), 400),
        (post("transfer-encoding: chunked", "\r\n4\r\ntrue\r\n0\r\n\r\n"), 400),
        // The request line.
        (get("GET /data/\0 HTTP/1.1"), 400),
        (get("GET /data/ /stats HTTP/1.1"), 400),
        (get("GET  /data/ HTTP/1.1"), 400),
        (get("GET\t/data/ HTTP/1.1"), 400),
        (get(" GET /data/ HTTP/1.1"), 400),
        (get("GET /data/ HTTP/1.2"), 400),
        (get("GET /data/ HTTP/2.0"), 400),
        (get("GET /data/ http/1.1"), 400),
        (get("GET /data/"), 400),
        (get("GET data/ HTTP/1.1"), 400),
        (get("GET ../data/ HTTP/1.1"), 400),
        (get("G(T /data/ HTTP/1.1"), 400),
        (get("PRI * HTTP/2.0"), 400),
        // Too many or too long headers, or too long a target.
        (post(&format!("{many}content-length: 4"), "true"), 431),
        (post(&format!("x: {}", "y".repeat(1 << 20)), ""), 431),
        (get(&format!("GET /data/?cursor={} HTTP/1.1", "y".repeat(70_000))), 431),
    ] {
        let answers = refused(&server, request.as_bytes()).await;
        let what = &request[..request.len().min(200)];
        assert_eq!(statuses(&answers), [status], "{what:?}");
        assert!(!answers[0].text().contains("MARKER"), "{what:?}");
        assert!(is_still_pending(&server).await, "{what:?}");
    }
    assert_eq!(statuses(&answered(&server, HIDDEN.as_bytes()).await), [200]);
    assert!(!is_still_pending(&server).await, "on its own the request works");
}

#[tokio::test]
async fn a_length_beside_chunks_is_not_looked_at_and_nothing_after_it_is_read() {
    let server = server().await;
    let body = "4\r\ntrue\r\n0\r\n\r\n";
    for length in [0, 4, body.len(), body.len() + HIDDEN.len()] {
        for headers in [
            format!("content-length: {length}\r\ntransfer-encoding: chunked"),
            format!("transfer-encoding: chunked\r\ncontent-length: {length}"),
        ] {
            let request = format!(
                "POST /consents/d HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n\r\n{body}{HIDDEN}"
            );
            let answers = refused(&server, request.as_bytes()).await;
            assert_eq!(statuses(&answers), [404], "{headers}: a decision on an unknown dialog");
            assert_eq!(answers[0].problem(), "not-found", "{headers}");
            assert!(is_still_pending(&server).await, "{headers}");
        }
    }
}

#[tokio::test]
async fn a_request_within_a_body_is_a_body() {
    let server = server().await;
    let length = HIDDEN.len();
    let next = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for (line, status) in [
        ("GET /health/live", 200),
        ("GET /data/", 200),
        ("GET /nowhere", 404),
        ("DELETE /data/anna/none", 404),
        ("PUT /data/anna/victim", 405),
        ("OPTIONS *", 404),
        ("CONNECT 127.0.0.1:80", 404),
        ("POST /consents/none", 400),
        ("POST /data/anna/%zz", 422),
        ("GET /data/?unknown=1", 400),
    ] {
        for body in [
            format!("content-length: {length}\r\n\r\n{HIDDEN}"),
            format!("content-length: {length}\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"),
            format!("transfer-encoding: chunked\r\n\r\n{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n"),
            format!(
                "transfer-encoding: chunked, chunked\r\n\r\n{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n"
            ),
            format!(
                "transfer-encoding: gzip, chunked\r\n\r\n{length:x};a=b\r\n{HIDDEN}\r\n0\r\n\r\n"
            ),
        ] {
            let request = format!("{line} HTTP/1.1\r\nhost: localhost\r\n{body}{next}");
            let answers = answered(&server, request.as_bytes()).await;
            let found = statuses(&answers);
            let is_closed = answers[0].header("connection") == Some("close");
            // A server that answers before it has read everything can close the connection instead of reading on.
            assert!(found == [status, 200] || found == [status], "{request:?}: {found:?}");
            assert!(found.len() == 2 || is_closed || status != 200, "{request:?}: {found:?}");
            assert!(is_still_pending(&server).await, "{request:?}");
        }
    }
}

#[tokio::test]
async fn requests_in_one_packet_are_answered_in_their_order() {
    let server = server().await;
    let post = |target: &str, body: &str| {
        let length = body.len();
        format!(
            "POST {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let requests = [
        get("/data/anna/victim"),
        post("/data/anna/d", DIALOG),
        get("/data/anna/d"),
        post("/consents/d", "true"),
        get("/data/anna/d"),
        post("/consents/d", "false"),
        get("/data/anna/d"),
        get("/nowhere"),
        get("/health/live"),
    ];
    let answers = answered(&server, requests.concat().as_bytes()).await;
    assert_eq!(statuses(&answers), [403, 201, 403, 200, 200, 200, 404, 404, 200]);
}

#[tokio::test]
async fn what_is_odd_but_clear_is_read_in_one_way() {
    let server = server().await;
    server.consented("anna", "d", "en", "t").await;
    for (request, expected) in [
        // The host of a whole URL counts (RFC 9112, section 3.2.2).
        ("GET http://localhost/data/ HTTP/1.1\r\nhost: localhost\r\n\r\n", 200),
        ("GET http://127.0.0.1:1/v1/data/?limit=1 HTTP/1.1\r\nhost: other\r\n\r\n", 200),
        ("GET http://localhost HTTP/1.1\r\nhost: localhost\r\n\r\n", 404),
        ("GET http://other/data/ HTTP/1.1\r\nhost: localhost\r\n\r\n", 403),
        ("OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n", 404),
        ("GET * HTTP/1.1\r\nhost: localhost\r\n\r\n", 404),
        ("CONNECT /data/ HTTP/1.1\r\nhost: localhost\r\n\r\n", 405),
        ("CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n", 404),
        ("GET /data/ HTTP/1.1\r\nhost:   localhost  \r\n\r\n", 200),
        ("GET /data/ HTTP/1.0\r\n\r\n", 200),
        // A line can end with a bare line feed (RFC 9112, section 2.2).
        ("GET /data/ HTTP/1.1\nhost: localhost\n\n", 200),
        ("\r\nGET /data/ HTTP/1.1\r\nhost: localhost\r\n\r\n", 200),
        ("get /data/ HTTP/1.1\r\nhost: localhost\r\n\r\n", 405),
        ("TRACE /data/ HTTP/1.1\r\nhost: localhost\r\n\r\n", 405),
        ("GET /data/ HTTP/1.1\r\nhost: localhost\r\nx-http-method-override: DELETE\r\n\r\n", 200),
        ("GET /data/anna/d HTTP/1.1\r\nhost: localhost\r\nx-http-method: DELETE\r\n\r\n", 200),
        ("GET /data/ HTTP/1.1\r\nhost: localhost\r\nx-original-url: /nowhere\r\n\r\n", 200),
        ("GET /data/ HTTP/1.1\r\nhost: localhost\r\nx-rewrite-url: /nowhere\r\n\r\n", 200),
        (
            "GET /data/ HTTP/1.1\r\nhost: localhost\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
            200,
        ),
    ] {
        let answers = answered(&server, request.as_bytes()).await;
        assert_eq!(statuses(&answers), [expected], "{request:?}");
    }
    assert_eq!(server.get("/data/anna/d").await.status, 200, "the dialog was not erased");
    assert!(is_still_pending(&server).await);
}

#[tokio::test]
async fn a_request_names_exactly_one_valid_host_or_its_connection_is_closed() {
    let console = "https://console.example";
    let cors_origins = vec![console.parse().expect("a header")];
    let config = Config { head_timeout: PATIENCE * 10, cors_origins, ..Config::default() };
    let (keyless, (with_keys, _)) = (Server::start(memory(), config).await, with_keys().await);
    let preflight = format!("origin: {console}\r\naccess-control-request-method: POST\r\n");
    for server in [&keyless, &with_keys] {
        for hosts in [
            "",
            "host: localhost\r\nhost: localhost\r\n",
            "host: localhost\r\nhost: other\r\n",
            "host:\r\n",
            "host: \r\n",
            "host: localhost, other\r\n",
            "host: local host\r\n",
            "host: localhost/\r\n",
            "host: user@localhost\r\n",
            "host: localhost:x\r\n",
            "host: localhost:65536\r\n",
            "host: [::1\r\n",
            "host: local\u{e9}\r\n",
        ] {
            for line in
                ["GET /data/", "GET /health/live", "GET http://localhost/stats", "GET /nowhere"]
            {
                let request = format!("{line} HTTP/1.1\r\n{hosts}\r\n{HIDDEN}");
                let answers = refused(server, request.as_bytes()).await;
                assert_eq!(statuses(&answers), [400], "{request:?}");
                assert_eq!(answers[0].problem(), "bad-host", "{request:?}");
            }
            let request = format!("OPTIONS /data/ HTTP/1.1\r\n{hosts}{preflight}\r\n{HIDDEN}");
            let answers = refused(server, request.as_bytes()).await;
            assert_eq!(statuses(&answers), [400], "{request:?}");
        }
        let two = "GET /data/ HTTP/1.0\r\nhost: localhost\r\nhost: localhost\r\n\r\n";
        assert_eq!(statuses(&refused(server, two.as_bytes()).await), [400]);
        let user = "GET http://user@localhost/data/ HTTP/1.1\r\nhost: localhost\r\n\r\n";
        assert_eq!(statuses(&refused(server, user.as_bytes()).await), [400]);
    }
}

/// Spellings of paths that some servers take for another path.
const TRICKS: [&str; 44] = [
    "//data/",
    "/data//",
    "/./data/",
    "/data/.",
    "/data/..",
    "/data/../metrics",
    "/data/..;/metrics",
    "/data/%2e%2e/metrics",
    "/data/%2E%2E%2Fmetrics",
    "/data/%252e%252e%252fmetrics",
    "/docs/../metrics",
    "/docs/../data/",
    "/docs/..%2fmetrics",
    "/docs/%2e%2e%2fdata",
    "/docs/..%5cmetrics",
    "/docs/%2e%2e/metrics",
    "/docs//../metrics",
    "/docs/index.html/../../metrics",
    "/health/../metrics",
    "/health/live/../../data/",
    "/health/live/../../metrics",
    "/health/live%2f..%2f..%2fmetrics",
    "/health/..%2fmetrics",
    "/openapi.json/../metrics",
    "/openapi.json/..%2fdata",
    "/v1/v1/data/",
    "/v1/v1/metrics",
    "/v1//metrics",
    "//v1/metrics",
    "/v1/../metrics",
    "/v1/%2e%2e/metrics",
    "/%76%31/metrics",
    "/%6detrics",
    "/metrics%00",
    "/metrics/",
    "/metrics;x",
    "/Metrics",
    "/\\metrics",
    "\\metrics",
    "/data\\",
    "/%2fmetrics",
    "/%2Fdata%2F",
    "/data%2F",
    "/data%252F",
];

#[tokio::test]
async fn no_way_to_write_a_path_leads_past_its_role() {
    let (server, _) = with_keys().await;
    for trick in TRICKS {
        for target in [trick.to_owned(), format!("http://other{trick}"), format!("{trick}?limit=1")]
        {
            let open = server.ask("GET", &target, "").await;
            assert!([400, 401, 404].contains(&open.status), "{target}: {open:?}");
            // A key of each role gets at most an answer about a dialog whose id looks like that.
            for number in 0..5 {
                let answer = with(&server, number, "GET", &target, "").await;
                let statuses = [400, 403, 404, 422];
                assert!(statuses.contains(&answer.status), "{target}: {answer:?}");
            }
        }
    }
    // A fragment is not a part of a request; only what is before it counts.
    assert_eq!(server.get("/health/live#/../../metrics").await.status, 200);
    assert_eq!(server.get("/metrics#/../health/live").await.status, 401);
    assert_eq!(server.get("/metrics?/../health/live").await.status, 401);
    assert_eq!(server.get("/metrics#").await.status, 401);
    for (method, target) in [("HEAD", "/metrics"), ("HEAD", "/data/"), ("GET", "http://x/metrics")]
    {
        assert_eq!(server.ask(method, target, "").await.status, 401, "{method} {target}");
    }
}

#[tokio::test]
async fn an_id_is_decoded_once_and_stays_one_id() {
    let server = Server::memory().await;
    for (written, id, status) in [
        ("a%2Fb", "a/b", 201),
        ("a%252Fb", "a%2Fb", 201),
        ("..%2F..%2Fmetrics", "../../metrics", 201),
        ("%2e%2e%2e", "...", 201),
        ("a\\b", "a\\b", 201),
        ("a%5Cb", "a\\b", 409),
        ("a;b=c", "a;b=c", 201),
        ("a+b", "a+b", 201),
        ("%3F%23", "?#", 201),
    ] {
        let target = format!("/data/anna/{written}");
        let answer = server.post(&target, DIALOG).await;
        assert_eq!(answer.status, status, "{written}");
        let held = server.get("/customers/anna/data").await.json();
        let ids = held["items"].as_array().expect("items").iter().map(|item| &item["dialog_id"]);
        assert_eq!(ids.filter(|held| **held == id).count(), 1, "{written}");
    }
    for written in [".", "..", "%2e", "%2e%2E", "%00", "a%0d%0ab", ""] {
        let target = format!("/data/anna/{written}");
        let answer = server.post(&target, DIALOG).await;
        assert_eq!((answer.status, &*answer.problem()), (422, "invalid"), "{written}");
    }
}
