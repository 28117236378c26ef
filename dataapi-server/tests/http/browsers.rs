//! Browsers: requests from pages of another site are refused, unless the page's origin is configured.

use dataapi_server::Config;

use crate::keys::{secret, with_keys};
use crate::server::{Answer, DIALOG, Server, ask, memory, raw};

const CONSOLE: &str = "https://console.example";

async fn from(server: &Server, origin: &str, method: &str, target: &str, body: &str) -> Answer {
    let headers = format!("origin: {origin}\r\ncontent-type: text/plain\r\n");
    ask(server.address, method, target, &headers, body.as_bytes()).await
}

async fn with_console() -> Server {
    let cors_origins = vec![CONSOLE.parse().expect("a header")];
    Server::start(memory(), Config { cors_origins, ..Config::default() }).await
}

#[tokio::test]
async fn a_page_of_another_site_changes_and_reads_nothing() {
    for server in [Server::memory().await, with_console().await] {
        server.consented("anna", "d", "en", "words").await;
        for origin in ["https://evil.example", "null", "http://x.evil", "https://console.example:8"]
        {
            for (method, target, body) in [
                ("POST", "/consents/d", "false"),
                ("POST", "/data/anna/new", DIALOG),
                ("DELETE", "/customers/anna", ""),
                ("GET", "/data/", ""),
            ] {
                let answer = from(&server, origin, method, target, body).await;
                assert_eq!(answer.status, 403, "{origin}: {method} {target}");
                assert_eq!(answer.problem(), "origin-refused");
                assert_eq!(answer.header("access-control-allow-origin"), None);
            }
            let preflight = from(&server, origin, "OPTIONS", "/consents/d", "").await;
            assert_eq!(preflight.header("access-control-allow-origin"), None);
        }
        assert_eq!(server.store.stats().await.expect("counts").consented, 1);
        let own = from(&server, "http://localhost", "GET", "/data/", "").await;
        assert_eq!(own.status, 200, "the server's own page is accepted");
    }
}

#[tokio::test]
async fn a_page_of_a_configured_origin_may_ask() {
    let server = with_console().await;
    server.consented("anna", "d", "en", "words").await;
    let asks = "origin: https://console.example\r\naccess-control-request-method: DELETE\r\n\
                access-control-request-headers: authorization\r\n";
    let preflight = ask(server.address, "OPTIONS", "/customers/anna", asks, b"").await;
    assert_eq!(preflight.status, 200);
    for (name, value) in [
        ("access-control-allow-origin", CONSOLE),
        ("access-control-allow-methods", "DELETE"),
        ("access-control-allow-headers", "authorization"),
    ] {
        let told = preflight.header(name).unwrap_or_default();
        assert!(told.contains(value), "{name}: {told}");
    }
    let page = from(&server, CONSOLE, "GET", "/data/?limit=1", "").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("access-control-allow-origin"), Some(CONSOLE));
    assert!(page.header("access-control-expose-headers").is_some_and(|it| it.contains("link")));
    assert_eq!(page.header("access-control-allow-credentials"), None);
    assert_eq!(from(&server, CONSOLE, "DELETE", "/customers/anna", "").await.status, 200);
}

/// Requests that read or write data, or tell something about the server.
const ANY: [(&str, &str, &str); 12] = [
    ("GET", "/data/", ""),
    ("GET", "/data/anna/d", ""),
    ("GET", "/changes?dialogs=true", ""),
    ("GET", "/stats", ""),
    ("GET", "/metrics", ""),
    ("GET", "/version", ""),
    ("GET", "/openapi.json", ""),
    ("GET", "/docs/", ""),
    ("GET", "/health/live", ""),
    ("POST", "/data/anna/new", DIALOG),
    ("POST", "/consents/d", "false"),
    ("DELETE", "/customers/anna", ""),
];

async fn at(server: &Server, host: &str, more: &str, request: (&str, &str, &str)) -> Answer {
    let ((method, target, body), length) = (request, request.2.len());
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}\
         content-length: {length}\r\n\r\n{body}"
    );
    raw(server.address, request.as_bytes()).await
}

#[tokio::test]
async fn without_keys_only_names_of_this_machine_are_answered() {
    for server in [Server::memory().await, with_console().await] {
        server.consented("anna", "d", "en", "secret").await;
        let port = server.address.port();
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "[fe80::1]", "0.0.0.0"] {
            for host in [host.to_owned(), format!("{host}:{port}")] {
                for request in ANY {
                    // A page at this name counts as the server's own.
                    for more in ["", &format!("origin: http://{host}\r\n")] {
                        let answer = at(&server, &host, more, request).await;
                        assert_eq!(answer.status, 403, "{host}: {request:?}");
                        assert_eq!(answer.problem(), "host-refused");
                        assert!(answer.text().contains("dataapi key create"), "it says what to do");
                    }
                }
            }
        }
        assert_eq!(server.store.stats().await.expect("counts").consented, 1, "nothing was done");
        for host in ["localhost", "LOCALHOST.", "db.localhost", "127.0.0.1", "127.8.8.8", "[::1]"] {
            for host in [host.to_owned(), format!("{host}:{port}")] {
                let answer = at(&server, &host, "", ("GET", "/data/", "")).await;
                assert_eq!(answer.status, 200, "{host}");
            }
        }
    }
    let (server, _) = with_keys().await;
    let reader = format!("authorization: Bearer {}\r\n", secret(2));
    let answer = at(&server, "dialogs.example", &reader, ("GET", "/data/", "")).await;
    assert_eq!(answer.status, 200, "with keys the name does not matter");
}

#[tokio::test]
async fn without_keys_what_a_browser_marks_as_from_another_site_is_refused() {
    let server = with_console().await;
    server.consented("anna", "d", "en", "secret").await;
    let foreign = "sec-fetch-site: same-site\r\norigin: http://localhost:3000\r\n";
    for more in ["sec-fetch-site: cross-site\r\n", foreign] {
        for request in ANY {
            let answer = at(&server, "localhost", more, request).await;
            assert_eq!(answer.status, 403, "{more}: {request:?}");
            assert_eq!(answer.problem(), "origin-refused", "{more}: {request:?}");
        }
    }
    assert_eq!(server.store.stats().await.expect("counts").consented, 1, "nothing was done");
    let console = format!("sec-fetch-site: cross-site\r\norigin: {CONSOLE}\r\n");
    for more in [
        "sec-fetch-site: none\r\n",
        "sec-fetch-site: same-origin\r\norigin: http://localhost\r\n",
        "sec-fetch-site: same-site\r\n",
        &console,
    ] {
        let answer = at(&server, "localhost", more, ("GET", "/data/", "")).await;
        assert_eq!(answer.status, 200, "{more}");
    }
}

#[tokio::test]
async fn every_answer_is_marked_as_data_and_names_no_software() {
    let server = Server::memory().await;
    server.consented("anna", "d", "en", "words").await;
    for target in
        ["/data/", "/data/anna/d", "/stats", "/nowhere", "/metrics", "/openapi.json", "/docs/"]
    {
        let answer = server.get(target).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{target}");
        let policy = answer.header("cross-origin-resource-policy");
        assert_eq!(policy, Some("same-origin"), "{target}");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'"), "{target}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{target}: {policy}");
        for name in ["server", "x-powered-by", "access-control-allow-origin", "set-cookie"] {
            assert_eq!(answer.header(name), None, "{target}");
        }
        let kept = answer.header("cache-control");
        let is_public = matches!(target, "/openapi.json" | "/docs/");
        assert_eq!(kept, Some(if is_public { "no-cache" } else { "no-store" }), "{target}");
    }
}
