//! Flags for reverse proxies: whose address the access log has, and what the server refuses to start with.
//!
//! Linux has all of 127.0.0.0/8, so a test can come from several addresses.

use std::net::IpAddr;

use dataapi_core::{DialogStore, KeySecret, NewKey};
use serde_json::Value;

use crate::program::{Program, output, store_in};

/// Creates a key for everything in a new store, and returns the store and the key.
pub(crate) async fn with_key(url: &str) -> (std::sync::Arc<dyn DialogStore>, KeySecret) {
    let store = dataapi::open(url).await.expect("a store");
    let secret = KeySecret::from_bytes([7; 32]);
    let grant = "admin".parse::<dataapi_core::Roles>().expect("roles").into();
    let name = "operator".parse().expect("a name");
    let key = NewKey { name, grant, hash: secret.hash(), expires: None };
    store.create_key(key).await.expect("a key");
    (store, secret)
}

#[tokio::test]
async fn the_access_log_has_the_hash_of_the_address_that_a_trusted_proxy_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let (url, place) = (store_in(folder.path()), folder.path().join("access.jsonl"));
    let (store, secret) = with_key(&url).await;
    let reference = |address: &str| store.reference(&address.parse().expect("an id")).to_string();
    let file = place.to_str().expect("UTF-8");
    let flags =
        ["--access-log", file, "--log", "trace", "--trusted-proxy", "127.0.0.1,127.0.0.3/32"];
    let mut program = Program::start(&url, &flags);
    let requests = [
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", Some(("x-forwarded-for", "192.0.2.7")), "192.0.2.7"),
        ("127.0.0.1", Some(("x-forwarded-for", "192.0.2.8, 192.0.2.7, 127.0.0.3")), "192.0.2.7"),
        ("127.0.0.3", Some(("forwarded", "for=\"[2001:db8::7]:80\"")), "2001:db8::7"),
        ("127.0.0.2", Some(("x-forwarded-for", "192.0.2.7")), "127.0.0.2"),
        ("127.0.0.2", Some(("forwarded", "for=192.0.2.7")), "127.0.0.2"),
    ];
    for (peer, header, _) in requests {
        let client = reqwest::Client::builder().no_proxy();
        let client = client.local_address(peer.parse::<IpAddr>().expect("an address"));
        let request = client.build().expect("a client").get(program.url("/data/"));
        let request = request.header("authorization", format!("Bearer {secret}"));
        let request = match header {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        assert_eq!(request.send().await.expect("an answer").status(), 200, "{peer} {header:?}");
    }
    program.signal("TERM");
    let (_, _, log) = program.ended();
    let access = std::fs::read_to_string(&place).expect("the access log");
    let lines = access.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let lines: Vec<Value> = lines.collect();
    assert_eq!(lines.len(), requests.len(), "{access}");
    for (line, (peer, header, client)) in lines.iter().zip(requests) {
        assert_eq!(line["peer_ref"], reference(client).as_str(), "{peer} {header:?}");
    }
    for text in [&log, &access] {
        for address in ["192.0.2.", "2001:db8", "127.0.0.2", "127.0.0.3"] {
            assert!(!text.contains(address), "{address}: {text}");
        }
    }
}

#[test]
fn a_store_without_keys_is_not_served_under_a_public_url() {
    let public = ["--public-url", "https://dialogs.example/dataapi"];
    let refused =
        output(&[&["--store", "memory:", "--listen", "127.0.0.1:0"], &public[..]].concat());
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("refusing to serve https://dialogs.example/dataapi"), "{error}");
    assert!(error.contains("dataapi key create"), "{error}");
    Program::start("memory:", &["--public-url", "http://localhost:8080/dataapi"]);
}
