//! The contract's status codes, for valid and for invalid input.

use serde_json::json;

use crate::server::{Server, raw};

/// A marker in every id, text and value that is sent. No problem may contain it.
const MARKER: &str = "MARKER";

/// Starts a server with one dialog in each state, all of the customer `anna-MARKER`.
async fn populated() -> Server {
    let server = Server::memory().await;
    for state in ["pending", "granted", "withdrawn", "erased"] {
        let target = format!("/data/anna-{MARKER}/{state}");
        let body = json!({"text": format!("{MARKER} {state}"), "language": "en"}).to_string();
        assert_eq!(server.post(&target, &body).await.status, 201);
    }
    assert_eq!(server.post("/consents/granted", "true").await.status, 200);
    assert_eq!(server.post("/consents/withdrawn", "false").await.status, 200);
    let erased = server.ask("DELETE", &format!("/data/anna-{MARKER}/erased"), "").await;
    assert_eq!(erased.json(), json!({"erased": 1}));
    server
}

const GOOD: &str = r#"{"text":"MARKER text","language":"en"}"#;

/// Method, target, body, status, type of the problem, field.
type Case<'a> = (&'a str, &'a str, &'a str, u16, &'a str, Option<&'a str>);

async fn check(server: &Server, cases: &[Case<'_>]) {
    for (method, target, body, status, kind, field) in cases {
        for prefix in ["", "/v1"] {
            let answer = server.ask(method, &format!("{prefix}{target}"), body).await;
            let what = format!("{method} {prefix}{target} {body}: {answer:?}");
            assert_eq!(answer.status, *status, "{what}");
            assert_eq!(answer.problem(), *kind, "{what}");
            assert_eq!(answer.json()["field"], json!(field), "{what}");
            assert!(!answer.text().contains(MARKER), "{what}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
            assert!(answer.header("server").is_none(), "{what}");
        }
    }
}

#[tokio::test]
async fn the_state_of_a_dialog_decides() {
    let server = populated().await;
    check(
        &server,
        &[
            ("GET", "/data/anna-MARKER/pending", "", 403, "consent-required", None),
            ("GET", "/data/anna-MARKER/withdrawn", "", 404, "not-found", None),
            ("GET", "/data/anna-MARKER/erased", "", 404, "not-found", None),
            ("GET", "/data/anna-MARKER/never", "", 404, "not-found", None),
            ("GET", "/data/bert-MARKER/granted", "", 404, "not-found", None),
            ("GET", "/data/bert-MARKER/pending", "", 404, "not-found", None),
            ("POST", "/data/anna-MARKER/pending", GOOD, 409, "exists", None),
            ("POST", "/data/bert-MARKER/granted", GOOD, 409, "exists", None),
            ("POST", "/data/anna-MARKER/withdrawn", GOOD, 410, "gone", None),
            ("POST", "/data/anna-MARKER/erased", GOOD, 410, "gone", None),
            ("POST", "/consents/never-MARKER", "true", 404, "not-found", None),
            ("POST", "/consents/never-MARKER", "false", 404, "not-found", None),
            ("POST", "/consents/withdrawn", "true", 409, "conflict", None),
            ("POST", "/consents/erased", "true", 409, "conflict", None),
            ("GET", "/consents/never-MARKER", "", 404, "not-found", None),
            ("DELETE", "/data/anna-MARKER/withdrawn", "", 404, "not-found", None),
            ("DELETE", "/data/anna-MARKER/never", "", 404, "not-found", None),
            ("DELETE", "/data/bert-MARKER/granted", "", 404, "not-found", None),
        ],
    )
    .await;
    assert_eq!(server.get("/data/anna-MARKER/granted").await.status, 200);
}

#[tokio::test]
async fn what_leads_nowhere_is_404_and_what_is_not_done_there_405() {
    let server = populated().await;
    let nowhere = [
        "/",
        "/v1",
        "/data/x",
        "/v2/data/",
        "/data/a/b/c",
        "/stats/",
        "/consents",
        "/customers/a/",
        "/consents/d/",
        "/customers/a/b",
        "/health",
        "/DATA/",
        "/d%61ta/",
        "/openapi.yaml",
        "/customers",
        "/data/a/b/",
        "//data/",
        "/docs/MARKER",
        "/docs/../stats",
        "/metrics/",
    ];
    for target in nowhere {
        check(&server, &[("GET", target, "", 404, "no-such-route", None)]).await;
    }
    for (target, allow) in [
        ("/data/", "GET, HEAD"),
        ("/data", "GET, HEAD"),
        ("/data/anna/d-1", "GET, HEAD, POST, DELETE"),
        ("/data/%zz/%FF", "GET, HEAD, POST, DELETE"),
        ("/consents/d-1", "GET, HEAD, POST"),
        ("/customers/anna", "DELETE"),
        ("/customers/anna/data", "GET, HEAD"),
        ("/stats", "GET, HEAD"),
        ("/health/live", "GET, HEAD"),
        ("/health/ready", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
        ("/docs", "GET, HEAD"),
        ("/docs/", "GET, HEAD"),
    ] {
        for method in ["PUT", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            check(&server, &[(method, target, "x", 405, "method-not-allowed", None)]).await;
            let answer = server.ask(method, target, "").await;
            assert_eq!(answer.header("allow"), Some(allow), "{method} {target}");
        }
    }
}

#[tokio::test]
async fn ids_outside_their_bounds_are_422_by_name() {
    let server = populated().await;
    let over_long = "x".repeat(256);
    let over_long_in_bytes = "%C3%A9".repeat(128);
    for bad in [
        "",
        ".",
        "..",
        "%2e",
        "%2E%2e",
        "%",
        "%z",
        "%zz",
        "a%2",
        "%FF",
        "%C3",
        "%00",
        "a%00b",
        "%0A",
        "%1f",
        "%7F",
        "%C2%85",
        &over_long,
        &over_long_in_bytes,
    ] {
        let invalid = |field| (422, "invalid", Some(field));
        for (method, target, body, field) in [
            ("GET", format!("/data/{bad}/d"), "", "customer_id"),
            ("GET", format!("/data/c/{bad}"), "", "dialog_id"),
            ("DELETE", format!("/data/{bad}/d"), "", "customer_id"),
            ("DELETE", format!("/data/c/{bad}"), "", "dialog_id"),
            ("POST", format!("/data/{bad}/d"), GOOD, "customer_id"),
            ("POST", format!("/data/c/{bad}"), "not JSON", "dialog_id"),
            ("POST", format!("/consents/{bad}"), "true", "dialog_id"),
            ("GET", format!("/consents/{bad}"), "", "dialog_id"),
            ("DELETE", format!("/customers/{bad}"), "", "customer_id"),
            ("GET", format!("/customers/{bad}/data"), "", "customer_id"),
        ] {
            let (status, kind, field) = invalid(field);
            check(&server, &[(method, &target, body, status, kind, field)]).await;
        }
    }
}

#[tokio::test]
async fn ids_are_decoded_once_and_come_back_in_the_location() {
    let server = Server::memory().await;
    let longest = "x".repeat(255);
    for (number, (encoded, decoded, location)) in [
        ("a%2Fb", "a/b", "a%2Fb"),
        ("a%252Fb", "a%2Fb", "a%252Fb"),
        ("%2E%2E%2E", "...", "..."),
        ("z%C3%B6e", "zöe", "z%C3%B6e"),
        ("zöe", "zöe", "z%C3%B6e"),
        ("a+b", "a+b", "a%2Bb"),
        ("a%20b;c=d,e:f@g", "a b;c=d,e:f@g", "a%20b%3Bc%3Dd%2Ce%3Af%40g"),
        ("%F0%9F%99%82", "🙂", "%F0%9F%99%82"),
        ("-._~", "-._~", "-._~"),
        (&longest, &longest, &longest),
    ]
    .into_iter()
    .enumerate()
    {
        for prefix in ["", "/v1"] {
            let dialog = format!("{}{number}", prefix.len());
            let answer = server.post(&format!("{prefix}/data/{encoded}/{dialog}"), GOOD).await;
            assert_eq!(answer.status, 201, "{encoded}: {answer:?}");
            assert_eq!(answer.json()["customer_id"], decoded);
            let expected = format!("{prefix}/data/{location}/{dialog}");
            assert_eq!(answer.header("location"), Some(&*expected));
            assert_eq!(server.get(&expected).await.status, 403, "the location leads there");
        }
    }
}

#[tokio::test]
async fn queries_that_are_not_understood_are_400_by_name() {
    let server = populated().await;
    server.consented("anna", "a", "en", "a").await;
    server.consented("anna", "b", "en", "b").await;
    let english = server.get("/data/?limit=1&language=en").await.json();
    let (_, cursor) = english["next"].as_str().expect("a next page").split_once("cursor=").unwrap();

    let foreign_cursor = format!("language=de&cursor={cursor}");
    let both = format!("language=en&offset=0&cursor={cursor}");
    for (query, field) in [
        ("langauge=MARKER", "query"),
        ("LANGUAGE=en", "query"),
        ("=MARKER", "query"),
        ("MARKER", "query"),
        ("%ff=MARKER", "query"),
        ("language=en-*-MARKER", "language"),
        ("to=2026-01-01T00:00:00Z&to=MARKER", "to"),
        ("language=MARKERMARKER", "language"),
        ("language=%zz", "language"),
        ("language=en%00", "language"),
        ("customerId=%FF", "customerId"),
        ("customerId=a%00MARKER", "customerId"),
        ("customerId=MARKER&customer_id=other", "customerId"),
        ("customer_id=", "customer_id"),
        ("from=MARKER", "from"),
        ("from=2026-13-01T00:00:00Z", "from"),
        ("from=2026-01-01T00:00:00+00:00", "from"),
        ("to=2026-01-01", "to"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=%2B1", "limit"),
        ("limit=MARKER", "limit"),
        ("limit=340282366920938463463374607431768211456", "limit"),
        ("offset=-1", "offset"),
        ("offset=", "offset"),
        ("offset=1.0", "offset"),
        ("offset=18446744073709551616", "offset"),
        ("total=yes", "total"),
        ("total", "total"),
        ("cursor=MARKER", "cursor"),
        ("cursor=", "cursor"),
        (&foreign_cursor, "cursor"),
        (&both, "cursor"),
    ] {
        for target in [format!("/data/?{query}"), format!("/data?{query}")] {
            check(&server, &[("GET", &target, "", 400, "bad-query", Some(field))]).await;
        }
    }
    for (query, field) in [
        ("language=en", "query"),
        ("customerId=MARKER", "query"),
        ("limit=-1", "limit"),
        ("total=MARKER", "total"),
        ("cursor=MARKER", "cursor"),
    ] {
        let target = format!("/customers/anna/data?{query}");
        check(&server, &[("GET", &target, "", 400, "bad-query", Some(field))]).await;
    }
    for (method, target, body) in [
        ("GET", "/stats?MARKER", ""),
        ("GET", "/data/a/b?x=MARKER", ""),
        ("POST", "/data/a/b?x=MARKER", GOOD),
        ("DELETE", "/data/a/b?limit=1", ""),
        ("POST", "/consents/pending?consent=true", "true"),
        ("GET", "/consents/pending?%zz", ""),
        ("DELETE", "/customers/anna-MARKER?really=no", ""),
    ] {
        check(&server, &[(method, target, body, 400, "bad-query", Some("query"))]).await;
    }
    for target in ["/health/live?x", "/health/ready?x", "/metrics?x=1", "/openapi.json?v=2"] {
        assert_eq!(server.get(target).await.status, 200, "{target}");
    }
    for query in ["", "?", "?&", "?offset=18446744073709551615", "?limit=1000&total=false"] {
        assert_eq!(server.get(&format!("/data/{query}")).await.status, 200, "{query}");
    }
}

#[tokio::test]
async fn answers_have_the_shape_of_the_contract() {
    let server = Server::memory().await;
    let stored = server.post("/data/anna/d-1", r#"{"language":"PT-br","text":"Olá \"x\"\n🙂"}"#);
    let stored = stored.await;
    assert_eq!(stored.status, 201);
    assert_eq!(stored.header("content-type"), Some("application/json"));
    let date = stored.json()["date"].clone();
    let dialog = |consent: bool| {
        json!({
            "dialog_id": "d-1", "customer_id": "anna", "text": "Olá \"x\"\n🙂",
            "language": "PT-br", "consent_received": consent, "date": date,
        })
    };
    assert_eq!(stored.json(), dialog(false));
    let date_text = date.as_str().expect("a date");
    assert!(date_text.len() == 27 && date_text.ends_with('Z'), "{date_text}");

    let retry = server.post("/data/anna/d-1", r#"{"text":"Olá \"x\"\n🙂","language":"PT-br"}"#);
    assert_eq!(retry.await.json()["same_content"], true);
    for (customer, text) in [("anna", "other"), ("bert", "Olá \"x\"\n🙂")] {
        let body = json!({"text": text, "language": "PT-br"}).to_string();
        let taken = server.post(&format!("/data/{customer}/d-1"), &body).await;
        assert_eq!((taken.status, &taken.json()["same_content"]), (409, &json!(false)));
    }

    let status = server.get("/consents/d-1").await.json();
    assert_eq!(status, json!({"dialog_id": "d-1", "consent": "pending", "date": date}));
    let held = server.get("/customers/anna/data").await.json();
    let page = |item: &serde_json::Value| json!({"items": [item], "total": 1, "limit": 100, "offset": 0, "next": null});
    assert_eq!(held, page(&dialog(false)));
    let empty = json!({"items": [], "total": 0, "limit": 100, "offset": 0, "next": null});
    assert_eq!(server.get("/data/").await.json(), empty);

    let evidence = r#"{"consent":true,"notice":"v3","method":"button","locale":null}"#;
    let receipt = server.post("/consents/d-1", evidence).await;
    assert_eq!(receipt.status, 200);
    let (granted, ledger) = (receipt.json()["date"].clone(), receipt.json()["ledger"].clone());
    let expected = json!({
        "dialog_id": "d-1", "consent": "granted", "date": granted,
        "notice": "v3", "method": "button", "ledger": ledger,
    });
    assert_eq!(receipt.json(), expected);
    assert_eq!(
        server.post("/consents/d-1", "true").await.json(),
        expected,
        "the first receipt again"
    );
    let status = server.get("/v1/consents/d-1").await.json();
    assert_eq!(status, json!({"dialog_id": "d-1", "consent": "granted", "date": granted}));
    let record = format!("{}@1", ledger["hash"].as_str().expect("a hash"));
    let proof = json!({
        "schema_version": "dataapi-receipt-1", "record_id": record, "dialog_id": "d-1",
        "privacy_notice": "v3", "collection_method": "button", "event_type": "granted",
        "event_state": "granted", "event_time": granted, "ledger": ledger,
    });
    assert_eq!(server.get("/consents/d-1/receipt").await.json(), proof);
    let event = json!({
        "position": 1, "ref": ledger["ref"], "kind": "granted", "hash": ledger["hash"],
        "date": granted, "notice": "v3", "method": "button",
    });
    let changes = json!({
        "events": [event], "next": "1", "head": {"positions": "1", "hash": ledger["hash"]},
    });
    assert_eq!(server.get("/v1/changes").await.json(), changes);

    assert_eq!(server.get("/data/anna/d-1").await.json(), dialog(true));
    assert_eq!(server.get("/data?language=pt-BR").await.json(), page(&dialog(true)));
    let counts = json!({
        "pending": 0, "consented": 1, "withdrawn": 0, "erased": 0,
        "consented_by_language": {"pt-BR": 1},
    });
    assert_eq!(server.get("/stats").await.json(), counts);

    let withdrawn = server.post("/consents/d-1", r#"{"consent":false}"#).await;
    assert_eq!(withdrawn.json()["consent"], "withdrawn");
    assert_eq!(server.get("/consents/d-1").await.json()["consent"], "withdrawn");
    assert_eq!(server.get("/data/").await.json(), empty);
    assert_eq!(server.ask("DELETE", "/customers/anna", "").await.json(), json!({"erased": 0}));
    assert_eq!(server.get("/health/live").await.json(), json!({"status": "ok"}));
    assert_eq!(server.get("/health/ready").await.json(), json!({"status": "ok"}));
}

#[tokio::test]
async fn a_customer_is_erased_with_all_dialogs() {
    let server = populated().await;
    let erased = server.ask("DELETE", "/v1/customers/anna-MARKER", "").await;
    assert_eq!((erased.status, erased.json()), (200, json!({"erased": 2})));
    assert_eq!(server.get("/consents/pending").await.json()["consent"], "erased");
    assert_eq!(server.get("/customers/anna-MARKER/data").await.json()["total"], 0);
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let server = populated().await;
    for target in [
        "/data/",
        "/data/anna-MARKER/granted",
        "/data/anna-MARKER/pending",
        "/consents/granted",
        "/customers/anna-MARKER/data",
        "/stats",
        "/health/live",
        "/openapi.json",
        "/docs/",
        "/data/?limit=0",
        "/nowhere",
    ] {
        let get = server.get(target).await;
        let head = server.ask("HEAD", target, "").await;
        assert_eq!(head.status, get.status, "{target}");
        assert!(head.body.is_empty(), "{target}");
        for name in ["content-length", "content-type", "cache-control", "link"] {
            assert_eq!(head.header(name), get.header(name), "{target} {name}");
        }
    }
}

#[tokio::test]
async fn any_form_of_target_is_answered() {
    let server = populated().await;
    for (line, status) in [
        ("GET http://localhost/stats", 200),
        ("GET http://localhost", 404),
        ("GET http://elsewhere/stats", 403),
        ("OPTIONS *", 404),
        ("CONNECT localhost:443", 404),
        ("GET /stats#fragment", 200),
    ] {
        let request = format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = raw(server.address, request.as_bytes()).await;
        assert_eq!(answer.status, status, "{line}");
        assert!(answer.header("x-request-id").is_some(), "{line}");
    }
    // The HTTP library itself answers what it cannot parse.
    let too_long = format!("GET /{}", "x".repeat(70_000));
    for (line, status) in [("GET /a b", 400), (&*too_long, 431)] {
        let request = format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        assert_eq!(raw(server.address, request.as_bytes()).await.status, status);
    }
}
