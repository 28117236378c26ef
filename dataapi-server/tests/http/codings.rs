//! Content codings: bodies that come compressed, and answers that are sent so.

use std::io::{Read, Write};

use dataapi_server::Config;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::server::{Answer, DIALOG, Server, ask, memory};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    // As a stream of unknown length, whose decoder needs a window.
    zstd::stream::encode_all(bytes, 3).expect("memory")
}

/// Decodes an answer by what its header says.
fn decoded(answer: &Answer) -> Vec<u8> {
    let length = answer.header("content-length").expect("a length");
    assert_eq!(length, answer.body.len().to_string());
    match answer.header("content-encoding") {
        None => answer.body.clone(),
        Some("gzip") => {
            let mut decoded = Vec::new();
            GzDecoder::new(&*answer.body).read_to_end(&mut decoded).expect("gzip");
            decoded
        }
        Some("zstd") => zstd::stream::decode_all(&*answer.body).expect("zstd"),
        Some(other) => panic!("{other}"),
    }
}

async fn post(server: &Server, target: &str, coding: &str, body: &[u8]) -> Answer {
    ask(server.address, "POST", target, &format!("content-encoding: {coding}\r\n"), body).await
}

async fn get(server: &Server, target: &str, accepted: &str) -> Answer {
    ask(server.address, "GET", target, &format!("accept-encoding: {accepted}\r\n"), b"").await
}

#[tokio::test]
async fn a_compressed_body_is_read_as_what_it_is_decoded_to() {
    let server = Server::memory().await;
    let dialog = DIALOG.as_bytes();
    for (number, (coding, body)) in [
        ("gzip", gzip(dialog)),
        ("x-gzip", gzip(dialog)),
        ("GZIP", [gzip(&dialog[..9]), gzip(&dialog[9..])].concat()),
        ("zstd", zstd(dialog)),
        ("identity, zstd", [zstd(&dialog[..9]), zstd(&dialog[9..])].concat()),
        ("identity", dialog.to_vec()),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = post(&server, &format!("/data/c/{number}"), coding, &body).await;
        assert_eq!(answer.status, 201, "{coding}: {}", answer.text());
        assert_eq!(answer.json()["text"], "t");
    }
    assert_eq!(post(&server, "/consents/0", "gzip", &gzip(b"true")).await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_not_in_its_coding_is_refused() {
    let server = Server::memory().await;
    let whole = gzip(DIALOG.as_bytes());
    for (coding, body) in [
        ("gzip", DIALOG.as_bytes()),
        ("zstd", DIALOG.as_bytes()),
        ("gzip", &whole[..whole.len() - 3]),
        ("zstd", &whole),
        ("gzip", b""),
        ("zstd", b""),
    ] {
        let answer = post(&server, "/data/c/d", coding, body).await;
        assert_eq!((answer.status, &*answer.problem()), (400, "not-json"), "{coding}");
        assert!(answer.json()["detail"].as_str().is_some_and(|it| it.contains("Content-Encoding")));
    }
    for coding in ["br", "deflate", "gzip, gzip", "gzip, zstd", "nonsense"] {
        let answer = post(&server, "/data/c/d", coding, &whole).await;
        assert_eq!((answer.status, &*answer.problem()), (415, "unknown-coding"), "{coding}");
        assert_eq!(answer.header("accept-encoding"), Some("gzip, zstd"));
    }
    assert_eq!(server.get("/consents/d").await.status, 404, "nothing was stored");
}

#[tokio::test]
async fn a_compressed_body_that_does_not_say_so_is_told_what_to_do() {
    let server = Server::memory().await;
    for (coding, body) in [("gzip", gzip(DIALOG.as_bytes())), ("zstd", zstd(DIALOG.as_bytes()))] {
        let answer = ask(server.address, "POST", "/data/c/d", "", &body).await;
        assert_eq!((answer.status, &*answer.problem()), (400, "not-json"));
        let advice = format!("Content-Encoding: {coding}");
        assert!(answer.text().contains(&advice), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_once_it_is_decoded_is_413() {
    let config = Config { max_text_bytes: 1_000, ..Config::default() };
    let server = Server::start(memory(), config).await;
    let limit = 6 * 1_000 + 16 * 1024;
    for length in [limit, limit + 1, 10 << 20] {
        let padded = DIALOG.to_owned() + &" ".repeat(length - DIALOG.len());
        for (coding, body) in [("gzip", gzip(padded.as_bytes())), ("zstd", zstd(padded.as_bytes()))]
        {
            let id = format!("{coding}-{length}");
            let answer = post(&server, &format!("/data/c/{id}"), coding, &body).await;
            let expected = if length == limit { 201 } else { 413 };
            assert_eq!(answer.status, expected, "{id}: {}", answer.text());
        }
    }
    let nested = gzip(&gzip(&vec![b' '; 50 << 20]));
    assert_eq!(post(&server, "/data/c/nested", "gzip", &nested).await.status, 413);
}

#[tokio::test]
async fn a_byte_order_mark_before_a_body_is_skipped() {
    let server = Server::memory().await;
    assert_eq!(server.post("/data/c/d", &format!("\u{feff}{DIALOG}")).await.status, 201);
    assert_eq!(server.post("/consents/d", "\u{feff}true").await.status, 200);
    let marked = gzip(format!("\u{feff}{DIALOG}").as_bytes());
    assert_eq!(post(&server, "/data/c/e", "gzip", &marked).await.status, 201);
}

async fn with_pages() -> Server {
    let server = Server::memory().await;
    for number in 0..30 {
        let text = format!("Where is my parcel? {}", "It was sent last week. ".repeat(3 * number));
        server.consented("anna", &format!("d-{number}"), "en", &text).await;
    }
    server
}

#[tokio::test]
async fn an_answer_has_the_coding_that_its_client_asks_for() {
    let server = with_pages().await;
    for target in [
        "/data/",
        "/data/?limit=20&offset=3",
        "/customers/anna/data",
        "/changes?dialogs=true",
        "/openapi.json",
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
        "/data/anna/d-29",
    ] {
        let plain = server.get(target).await;
        assert!(plain.body.len() >= 1_024, "{target}");
        assert_eq!((plain.status, plain.header("content-encoding")), (200, None), "{target}");
        let is_for_caches = plain.header("cache-control") == Some("no-cache");
        assert_eq!(plain.header("vary").is_some(), is_for_caches, "{target}");
        for (accepted, coding) in [
            ("gzip", Some("gzip")),
            ("zstd", Some("zstd")),
            ("gzip, deflate, br, zstd", Some("zstd")),
            ("gzip;q=1.0, zstd;q=0.5", Some("gzip")),
            ("zstd;q=0, *;q=0.1", Some("gzip")),
            ("gzip;q=0", None),
            ("identity", None),
            ("br", None),
        ] {
            // The second time, the server might have kept it.
            for _ in 0..2 {
                let answer = get(&server, target, accepted).await;
                assert_eq!((answer.status, answer.header("vary")), (200, Some("accept-encoding")));
                assert_eq!(answer.header("content-encoding"), coding, "{target} {accepted}");
                assert_eq!(decoded(&answer), plain.body, "{target} {accepted}");
                if coding.is_some() {
                    assert!(answer.body.len() < plain.body.len() / 2, "{target}");
                }
            }
        }
        let accepts = "accept-encoding: gzip\r\n";
        let head = ask(server.address, "HEAD", target, accepts, b"").await;
        let whole = get(&server, target, "gzip").await;
        assert!(head.body.is_empty());
        assert_eq!(head.header("content-encoding"), Some("gzip"), "{target}");
        assert_eq!(head.header("content-length"), whole.header("content-length"), "{target}");
    }
}

#[tokio::test]
async fn short_answers_problems_and_pictures_are_sent_as_they_are() {
    let server = with_pages().await;
    for target in ["/health/live", "/stats", "/data/?limit=1&offset=29", "/data/?limit=0", "/none"]
    {
        let answer = get(&server, target, "gzip, zstd").await;
        assert_eq!(answer.header("content-encoding"), None, "{target}");
        assert_eq!(answer.body, server.get(target).await.body, "{target}");
    }
    let picture = get(&server, "/docs/favicon-32x32.png", "gzip, zstd").await;
    assert_eq!((picture.status, picture.header("content-encoding")), (200, None));
    // A client that takes nothing else gets what is short in its coding too.
    let short = get(&server, "/data/?limit=1&offset=27", "gzip, identity;q=0").await;
    assert_eq!((short.status, short.header("content-encoding")), (200, Some("gzip")));
    assert!(decoded(&short).starts_with(b"{"));
}

#[tokio::test]
async fn a_compressed_page_does_not_outlive_a_withdrawal() {
    let server = with_pages().await;
    for coding in ["gzip", "zstd"] {
        let id = if coding == "gzip" { "d-7" } else { "d-8" };
        let marker = json!(id).to_string();
        let has = |answer: &Answer| {
            assert_eq!(answer.header("content-encoding"), Some(coding));
            String::from_utf8(decoded(answer)).expect("UTF-8").contains(&marker)
        };
        for _ in 0..2 {
            assert!(has(&get(&server, "/data/", coding).await));
        }
        assert_eq!(server.post(&format!("/consents/{id}"), "false").await.status, 200);
        assert!(!has(&get(&server, "/data/", coding).await));
    }
}
