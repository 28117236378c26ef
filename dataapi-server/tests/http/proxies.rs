//! Behind a reverse proxy: URLs begin with the path that it strips, its origin is the server's own, and its headers are
//! believed from trusted addresses only.

use dataapi_server::Config;
use serde_json::Value;

use crate::keys::{key, secret};
use crate::server::{Answer, DIALOG, Server, ask, memory, raw};

const PUBLIC: &str = "https://dialogs.example/dataapi";

/// A server behind a proxy on loopback, which is where the tests ask from.
async fn behind_loopback() -> Server {
    behind("127.0.0.0/8").await
}

async fn behind(proxy: &str) -> Server {
    let trusted_proxies = vec![proxy.parse().expect("a network")];
    Server::start(memory(), Config { trusted_proxies, ..Config::default() }).await
}

async fn with_public_url(trusted: &[&str]) -> Server {
    let trusted_proxies = trusted.iter().map(|proxy| proxy.parse().expect("a network")).collect();
    let public_url = Some(PUBLIC.parse().expect("a URL"));
    Server::start(memory(), Config { public_url, trusted_proxies, ..Config::default() }).await
}

async fn get(server: &Server, target: &str, headers: &str) -> Answer {
    ask(server.address, "GET", target, headers, b"").await
}

/// Stores dialogs, so that there are two pages for `limit=1`.
async fn with_two_pages(server: &Server) {
    server.consented("anna", "d-1", "en", "words").await;
    server.consented("anna", "d-2", "en", "words").await;
}

/// Checks that every URL in an answer begins with `prefix`, for requests with these headers.
async fn urls_begin_with(server: &Server, headers: &str, prefix: &str, servers: [&str; 2]) {
    for own in ["", "/v1"] {
        let id = format!("b%2F{}", server.store.stats().await.expect("counts").pending);
        let target = format!("{own}/data/anna/{id}");
        let stored = ask(server.address, "POST", &target, headers, DIALOG.as_bytes()).await;
        assert_eq!(stored.status, 201, "{stored:?}");
        assert_eq!(stored.header("location"), Some(&*format!("{prefix}{target}")));

        for target in ["/data/?limit=1", "/customers/anna/data?limit=1"] {
            // Twice, as the first page is kept ready.
            for _ in 0..2 {
                let page = get(server, &format!("{own}{target}"), headers).await;
                let next = page.json()["next"].as_str().expect("a next page").to_owned();
                let (path, _) = target.split_once('?').expect("a query");
                assert!(next.starts_with(&format!("{prefix}{own}{path}?")), "{next}");
                assert_eq!(page.header("link"), Some(&*format!("<{next}>; rel=\"next\"")));
                let following = get(server, &next[prefix.len()..], headers).await;
                assert_eq!(following.status, 200, "{following:?}");
            }
        }

        let entrance = get(server, &format!("{own}/docs"), headers).await;
        assert_eq!(entrance.status, 308);
        assert_eq!(entrance.header("location"), Some(&*format!("{prefix}{own}/docs/")));

        let description = get(server, &format!("{own}/openapi.json"), headers).await.json();
        let listed = description["servers"].as_array().expect("servers").iter();
        let listed: Vec<_> = listed.filter_map(|server| server["url"].as_str()).collect();
        assert_eq!(listed, servers);
        assert!(description["paths"]["/data/"].is_object(), "it is whole");
    }
}

#[tokio::test]
async fn every_url_begins_with_the_path_of_the_public_url() {
    let server = with_public_url(&[]).await;
    with_two_pages(&server).await;
    let servers = ["https://dialogs.example/dataapi/v1", "https://dialogs.example/dataapi"];
    urls_begin_with(&server, "", "/dataapi", servers).await;
    // It holds for all requests, whatever a proxy says.
    let server = with_public_url(&["127.0.0.1"]).await;
    with_two_pages(&server).await;
    urls_begin_with(&server, "x-forwarded-prefix: /other\r\n", "/dataapi", servers).await;
}

#[tokio::test]
async fn every_url_begins_with_the_prefix_that_a_trusted_proxy_has_stripped() {
    let server = behind_loopback().await;
    with_two_pages(&server).await;
    let headers = "x-forwarded-prefix: /dataapi/\r\n";
    urls_begin_with(&server, headers, "/dataapi", ["/dataapi/v1", "/dataapi"]).await;
    urls_begin_with(&server, "", "", ["/v1", "/"]).await;
    let chain = "x-forwarded-for: 192.0.2.7, 127.0.0.2\r\nx-forwarded-prefix: /a\r\n\
                 x-forwarded-prefix: /b\r\n";
    urls_begin_with(&server, chain, "/a/b", ["/a/b/v1", "/a/b"]).await;
}

#[tokio::test]
async fn headers_of_strangers_change_nothing() {
    for server in [Server::memory().await, behind("192.0.2.0/24").await] {
        with_two_pages(&server).await;
        for headers in [
            "x-forwarded-prefix: /evil\r\nx-forwarded-host: evil.example\r\n",
            "x-forwarded-for: 192.0.2.7\r\nx-forwarded-prefix: //evil.example\r\n",
            "forwarded: for=192.0.2.7;host=evil.example;proto=https\r\n",
            "forwarded: for=\"open\r\n",
        ] {
            urls_begin_with(&server, headers, "", ["/v1", "/"]).await;
            let headers = format!("origin: https://evil.example\r\n{headers}");
            assert_eq!(get(&server, "/data/", &headers).await.problem(), "origin-refused");
        }
    }
}

/// A store in memory has no pages that are kept ready.
#[tokio::test]
async fn a_page_that_is_kept_ready_has_the_prefix_of_the_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("sqlite:{}", folder.path().join("dialogs.db").display());
    let store = dataapi::open(&store).await.expect("a store");
    let trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    let config = Config { trusted_proxies, ..Config::default() };
    let server = Server::start(store, config).await;
    with_two_pages(&server).await;
    for prefix in ["", "/a", "/b", "", "/a", ""] {
        let headers = match prefix {
            "" => String::new(),
            prefix => format!("x-forwarded-prefix: {prefix}\r\n"),
        };
        let page = get(&server, "/data/?limit=1", &headers).await;
        let next = page.json()["next"].as_str().expect("a next page").to_owned();
        assert!(next.starts_with(&format!("{prefix}/data/?")), "{prefix}: {next}");
        assert_eq!(page.header("link"), Some(&*format!("<{next}>; rel=\"next\"")));
    }
}

#[tokio::test]
async fn the_same_origin_is_accepted_however_its_port_is_written() {
    let server = Server::memory().await;
    server.consented("anna", "d", "en", "words").await;
    let from = async |origin: &str, host: &str| {
        let request = format!(
            "GET /data/ HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\nconnection: close\r\n\r\n"
        );
        raw(server.address, request.as_bytes()).await.status
    };
    for (origin, host) in [
        ("http://localhost", "localhost:80"),
        ("http://localhost:80", "localhost"),
        ("http://LOCALHOST", "localhost"),
        // A proxy that speaks TLS, and passes on the host without its own word on the scheme.
        ("https://localhost", "localhost:443"),
        ("https://localhost:443", "localhost"),
        ("http://localhost:8080", "localhost:8080"),
    ] {
        assert_eq!(from(origin, host).await, 200, "{origin} {host}");
    }
    for (origin, host) in [
        ("http://localhost", "localhost:443"),
        ("https://localhost", "localhost:80"),
        ("http://localhost:8080", "localhost:8081"),
        ("http://localhost:8080", "localhost"),
        ("http://localhost.evil.example", "localhost"),
    ] {
        assert_eq!(from(origin, host).await, 403, "{origin} {host}");
    }
}

#[tokio::test]
async fn pages_of_the_public_url_may_ask_and_others_may_not() {
    let server = with_public_url(&[]).await;
    for (origin, status) in [
        ("https://dialogs.example", 200),
        ("https://dialogs.example:443", 200),
        ("https://Dialogs.example", 200),
        ("http://dialogs.example", 403),
        ("https://dialogs.example:8443", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ] {
        let answer = get(&server, "/data/", &format!("origin: {origin}\r\n")).await;
        assert_eq!(answer.status, status, "{origin}");
    }
}

#[tokio::test]
async fn a_page_may_ask_through_the_trusted_proxy_that_it_came_from() {
    // Without keys the server answers only to names of this machine.
    let store = memory();
    key(&*store, 0, "read", None).await;
    let trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    let server = Server::start(store, Config { trusted_proxies, ..Config::default() }).await;
    let authorization = format!("authorization: Bearer {}\r\n", secret(0));
    let proxied = [
        "x-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: https\r\n\
         x-forwarded-host: dialogs.example\r\n",
        "forwarded: for=192.0.2.7;proto=https;host=\"dialogs.example:443\"\r\n",
        "forwarded: for=192.0.2.7;proto=https;host=dialogs.example, for=127.0.0.9;host=inner\r\n",
    ];
    for headers in proxied {
        for (origin, status) in [
            ("https://dialogs.example", 200),
            ("https://dialogs.example:443", 200),
            ("http://dialogs.example", 403),
            ("https://inner", 403),
            ("https://evil.example", 403),
        ] {
            let headers = format!("origin: {origin}\r\n{headers}{authorization}");
            let answer = get(&server, "/data/", &headers).await;
            assert_eq!(answer.status, status, "{headers}");
        }
    }
}

#[tokio::test]
async fn a_configured_origin_is_known_with_its_default_port() {
    let cors_origins = vec!["https://console.example:443".parse().expect("a header")];
    let server = Server::start(memory(), Config { cors_origins, ..Config::default() }).await;
    let answer = get(&server, "/data/", "origin: https://console.example\r\n").await;
    assert_eq!(answer.status, 200);
    let allowed = answer.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://console.example"));
}

#[tokio::test]
async fn unclear_headers_of_a_trusted_proxy_are_refused_and_nothing_is_done() {
    let server = behind_loopback().await;
    for headers in [
        "forwarded: for=\"192.0.2.7\r\n",
        "forwarded: for=192.0.2.7;for=192.0.2.8\r\n",
        "x-forwarded-for: 192.0.2.7, MARKER\r\n",
        "x-forwarded-proto: MARKER\r\n",
        "x-forwarded-host: MARKER/\r\n",
        "x-forwarded-prefix: //MARKER\r\n",
        "x-forwarded-prefix: /a/../MARKER\r\n",
        // A proxy that writes one kind of header, and lets the client's own of the other kind pass.
        "x-forwarded-for: 192.0.2.7\r\nforwarded: for=192.0.2.8\r\n",
        "x-forwarded-host: dialogs.example\r\nforwarded: host=MARKER\r\n",
    ] {
        for (method, target) in [("POST", "/data/anna/d"), ("GET", "/docs"), ("GET", "/data/")] {
            let answer = ask(server.address, method, target, headers, DIALOG.as_bytes()).await;
            assert_eq!(answer.status, 400, "{method} {target} {headers}");
            assert_eq!(answer.problem(), "bad-forwarding");
            assert!(!answer.text().contains("MARKER"), "{}", answer.text());
        }
    }
    let stats: Value = server.get("/stats").await.json();
    assert_eq!(stats["pending"], 0, "{stats}");
    // What a client sent before the proxy added its part is no reason to refuse.
    let answer = get(&server, "/data/", "x-forwarded-for: MARKER, 192.0.2.7\r\n").await;
    assert_eq!(answer.status, 200);
}
