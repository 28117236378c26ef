//! Bodies: invalid, large, incomplete and endless ones.

use std::time::Duration;

use dataapi_server::Config;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::keys::{secret, with_keys};
use crate::server::{Server, ask, memory, raw, read};

#[tokio::test]
async fn wrong_bodies_are_told_apart_and_store_nothing() {
    let server = Server::memory().await;
    let too_long = json!({"text": "x".repeat(65_537), "language": "en"}).to_string();
    for (body, status, field) in [
        ("", 400, None),
        ("MARKER", 400, None),
        (r#"{"text":"MARKER","language":"en""#, 400, None),
        (r#"{"text":"MARKER","language":"en"}}"#, 400, None),
        (r#"{"text":"MARKER\q","language":"en"}"#, 400, None),
        ("null", 422, Some("body")),
        ("[]", 422, Some("body")),
        (r#"["MARKER","en"]"#, 422, Some("body")),
        (r#""MARKER""#, 422, Some("body")),
        ("17", 422, Some("body")),
        ("{}", 422, Some("text")),
        (r#"{"text":"MARKER"}"#, 422, Some("language")),
        (r#"{"language":"en"}"#, 422, Some("text")),
        (r#"{"text":7,"language":"en"}"#, 422, Some("text")),
        (r#"{"text":null,"language":"en"}"#, 422, Some("text")),
        (r#"{"text":{"MARKER":1},"language":"en"}"#, 422, Some("text")),
        (r#"{"text":"MARKER","language":["en"]}"#, 422, Some("language")),
        (r#"{"text":"MARKER","text":"MARKER","language":"en"}"#, 422, Some("text")),
        (r#"{"text":"MARKER","language":"en","MARKER":1}"#, 422, Some("body")),
        (r#"{"text":"MARKER","language":"en","customer_id":"c"}"#, 422, Some("body")),
        (r#"{"Text":"MARKER","language":"en"}"#, 422, Some("body")),
        (r#"{"text":"","language":"en"}"#, 422, Some("text")),
        (r#"{"text":"MARKER\u0000","language":"en"}"#, 422, Some("text")),
        (r#"{"text":"MARKER","language":""}"#, 422, Some("language")),
        (r#"{"text":"MARKER","language":"MARKERMARKER"}"#, 422, Some("language")),
        (r#"{"text":"MARKER","language":"en\u0000"}"#, 422, Some("language")),
        (&too_long, 422, Some("text")),
    ] {
        let answer = server.post("/data/c/d", body).await;
        let kind = if status == 400 { "not-json" } else { "invalid" };
        let what = &body[..body.len().min(80)];
        assert_eq!((answer.status, &*answer.problem()), (status, kind), "{what}");
        assert_eq!(answer.json()["field"], json!(field), "{what}");
        assert!(!answer.text().contains("MARKER"), "{what}");
    }
    let not_utf8 = b"{\"text\":\"MARKER\xff\",\"language\":\"en\"}";
    let answer = ask(server.address, "POST", "/data/c/d", "", not_utf8).await;
    assert_eq!((answer.status, &*answer.problem()), (400, "not-json"));

    let long = format!(r#"{{"consent":true,"notice":"{}"}}"#, "M".repeat(256));
    for (body, status, field) in [
        ("", 400, None),
        ("yes", 400, None),
        ("TRUE", 400, None),
        ("true true", 400, None),
        ("1", 422, Some("body")),
        (r#""true""#, 422, Some("body")),
        ("null", 422, Some("body")),
        ("[true]", 422, Some("body")),
        ("{}", 422, Some("consent")),
        (r#"{"consent":"MARKER"}"#, 422, Some("consent")),
        (r#"{"consent":1}"#, 422, Some("consent")),
        (r#"{"consent":true,"notice":1}"#, 422, Some("notice")),
        (r#"{"consent":true,"method":["MARKER"]}"#, 422, Some("method")),
        (r#"{"consent":true,"locale":"\u0000"}"#, 422, Some("locale")),
        (r#"{"consent":true,"consent":true}"#, 422, Some("consent")),
        (r#"{"consent":true,"MARKER":"MARKER"}"#, 422, Some("body")),
        (&long, 422, Some("notice")),
    ] {
        let answer = server.post("/consents/d", body).await;
        assert_eq!(answer.status, status, "{body}");
        assert_eq!(answer.json()["field"], json!(field), "{body}");
        assert!(!answer.text().contains("MARKER"), "{body}");
    }
    assert_eq!(server.get("/consents/d").await.status, 404, "nothing was stored");
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    let server = Server::memory().await;
    for (number, content_type) in
        ["", "content-type: application/x-www-form-urlencoded\r\n", "content-type: \x7f\r\n"]
            .into_iter()
            .enumerate()
    {
        let target = format!("/data/c/{number}");
        let body = br#" {"text":"x","language":"en"} "#;
        // The last one is not a valid header, so the HTTP library refuses it.
        let expected = if number == 2 { 400 } else { 201 };
        let answer = ask(server.address, "POST", &target, content_type, body).await;
        assert_eq!(answer.status, expected, "{content_type}");
    }
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    assert_eq!(ask(server.address, "POST", "/consents/0", form, b"true").await.status, 200);
}

#[tokio::test]
async fn the_longest_text_fits_however_it_is_escaped() {
    let config = Config { max_text_bytes: 1000, ..Config::default() };
    let server = Server::start(memory(), config).await;
    let escaped = format!(r#"{{"language":"en","text":"{}"}}"#, r"\u0041".repeat(1000));
    assert_eq!(server.post("/data/c/escaped", &escaped).await.status, 201);
    let multibyte = json!({"text": "é".repeat(500), "language": "en"}).to_string();
    assert_eq!(server.post("/data/c/multibyte", &multibyte).await.status, 201);
    let over = json!({"text": "é".repeat(501), "language": "en"}).to_string();
    let answer = server.post("/data/c/over", &over).await;
    assert_eq!((answer.status, &answer.json()["field"]), (422, &json!("text")));
}

#[tokio::test]
async fn a_large_body_is_413_announced_or_not() {
    let config = Config { max_text_bytes: 10, ..Config::default() };
    let server = Server::start(memory(), config).await;
    let limit = 60 + 16 * 1024;
    let padded = |length: usize| format!("{:length$}", r#"{"text":"x","language":"en"}"#);
    assert_eq!(server.post("/data/c/fits", &padded(limit)).await.status, 201);
    let answer = server.post("/data/c/over", &padded(limit + 1)).await;
    assert_eq!((answer.status, &*answer.problem()), (413, "body-too-large"));

    let chunked = |body: &str| {
        format!(
            "POST /data/c/chunked HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        )
    };
    let answer = raw(server.address, chunked(&padded(limit + 1)).as_bytes()).await;
    assert_eq!(answer.status, 413);
    let answer = raw(server.address, chunked(&padded(limit)).as_bytes()).await;
    assert_eq!(answer.status, 201);

    // The announced length alone is refused; no byte of the body is sent.
    for announcement in
        ["content-length: 99999999999\r\n", "content-length: 20000\r\nexpect: 100-continue\r\n"]
    {
        let head = format!("POST /data/c/d HTTP/1.1\r\nhost: localhost\r\n{announcement}\r\n");
        let answer = raw(server.address, head.as_bytes()).await;
        assert_eq!(answer.status, 413, "{announcement}");
        assert_eq!(answer.header("connection"), Some("close"));
    }
    assert_eq!(server.get("/consents/over").await.status, 404);
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_gets_an_early_answer() {
    let (server, _) = with_keys().await;
    let body = vec![b'x'; 12 << 20];
    for (status, method, target, number) in [
        (413, "POST", "/data/c/d", Some(0)),
        (401, "POST", "/data/c/d", None),
        (403, "POST", "/data/c/d", Some(2)),
        (404, "POST", "/nowhere", None),
        (405, "PUT", "/data/", None),
        (200, "GET", "/health/live", None),
    ] {
        let key = number.map(|number| format!("authorization: Bearer {}\r\n", secret(number)));
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: localhost\r\n{}content-length: {}\r\n\r\n",
            key.unwrap_or_default(),
            body.len()
        );
        let mut connection = server.connect().await;
        connection.write_all(head.as_bytes()).await.expect("the head");
        connection.write_all(&body).await.expect("the whole body");
        let answer = read(&mut connection).await;
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(answer.header("connection"), Some("close"), "{method} {target}");
    }
}

#[tokio::test]
async fn a_refused_request_whose_body_has_arrived_leaves_its_connection_open() {
    let (server, _) = with_keys().await;
    let refused = "POST /data/c/d HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\nabc";
    let last = "GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answers = raw(server.address, format!("{refused}{refused}{last}").as_bytes()).await;
    assert_eq!(answers.status, 401);
    let rest = String::from_utf8_lossy(&answers.body).into_owned();
    assert!(rest.contains("HTTP/1.1 401") && rest.ends_with(r#"{"status":"ok"}"#), "{rest}");
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut_at_the_limit() {
    let server = Server::memory().await;
    let mut connection = server.connect().await;
    let head = b"POST /data/c/d HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    connection.write_all(head).await.expect("the head");
    let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
    // The loop ends when the server closes the connection.
    while connection.write_all(chunk.as_bytes()).await.is_ok() {}
    let mut connection = server.connect().await;
    connection.write_all(head).await.expect("the head");
    for _ in 0..60 {
        connection.write_all(chunk.as_bytes()).await.expect("a chunk");
    }
    assert_eq!(read(&mut connection).await.status, 413);
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let config = Config { body_timeout: Duration::from_millis(50), ..Config::default() };
    let server = Server::start(memory(), config).await;
    for part in [&b""[..], b"{\"text\":"] {
        let mut connection = server.connect().await;
        let head = b"POST /data/c/d HTTP/1.1\r\nhost: localhost\r\ncontent-length: 30\r\n\r\n";
        connection.write_all(head).await.expect("the head");
        connection.write_all(part).await.expect("a part");
        let answer = read(&mut connection).await;
        assert_eq!((answer.status, &*answer.problem()), (408, "body-timeout"));
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_stores_nothing() {
    let server = Server::memory().await;
    for framing in ["content-length: 99", "transfer-encoding: chunked"] {
        let mut connection = server.connect().await;
        let whole = r#"{"text":"x","language":"en"}"#;
        let body = match framing {
            "transfer-encoding: chunked" => format!("{:x}\r\n{whole}\r\n", whole.len()),
            _ => whole.to_owned(),
        };
        let request =
            format!("POST /data/c/d HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n\r\n{body}");
        connection.write_all(request.as_bytes()).await.expect("a request");
        drop(connection);
    }
    // These requests give the server time to notice the closed connections.
    for _ in 0..20 {
        assert_eq!(server.get("/consents/d").await.status, 404);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_client_that_closes_its_half_gets_its_answer() {
    let server = Server::memory().await;
    let whole = r#"{"text":"x","language":"en"}"#;
    for (length, status, kind) in [(99, 400, Some("not-json")), (28, 201, None)] {
        let mut connection = server.connect().await;
        let head = format!(
            "POST /data/c/d HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await.expect("the head");
        connection.write_all(whole.as_bytes()).await.expect("the body");
        connection.shutdown().await.expect("a half closed");
        let answer = read(&mut connection).await;
        assert_eq!(answer.status, status);
        assert!(kind.is_none_or(|kind| answer.problem() == kind));
    }
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_refusal() {
    let server = Server::memory().await;
    let requests = "POST /data/c/d HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\n{{{\
                    GET /nowhere HTTP/1.1\r\nhost: localhost\r\n\r\n\
                    GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answers = raw(server.address, requests.as_bytes()).await;
    assert_eq!(answers.status, 400);
    let rest = String::from_utf8_lossy(&answers.body).into_owned();
    assert!(rest.contains("HTTP/1.1 404") && rest.ends_with(r#"{"status":"ok"}"#), "{rest}");
}
