//! How the program starts or refuses to start, and what it logs.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::program::{Program, command, output, store_in};

#[test]
fn one_line_says_what_is_served_where_and_on_which_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    let mut program = Program::start(&store, &[]);
    let line = &program.start_line;
    assert!(line.starts_with("DataAPI 0."), "{line}");
    assert!(line.contains(&store) && !program.address.to_string().ends_with(":0"), "{line}");
    assert!(program.address.ip().is_loopback());
    program.signal("TERM");
    let (status, rest, _) = program.ended();
    assert!(status.success());
    assert_eq!(rest, "", "one line");
}

#[test]
fn the_start_line_is_json_where_the_log_is() {
    let program = Program::start("memory:", &["--log-format", "json"]);
    let line: Value = serde_json::from_str(&program.start_line).expect("JSON");
    assert_eq!(line["store"], "memory:");
    assert_eq!(line["url"], program.url(""));
}

/// Returns the addresses in a start line in JSON.
fn addresses(program: &Program) -> Vec<std::net::SocketAddr> {
    let line: Value = serde_json::from_str(&program.start_line).expect("JSON");
    let one = [line["url"].clone()];
    let urls = line["urls"].as_array().map_or(&one[..], |urls| &urls[..]);
    assert_eq!(urls[0], line["url"]);
    let address = |url: &Value| url.as_str()?.strip_prefix("http://")?.parse().ok();
    urls.iter().map(|url| address(url).unwrap_or_else(|| panic!("{line}"))).collect()
}

#[test]
fn several_addresses_and_names_are_listened_on() {
    let listen = |flags: &[&str]| {
        let json = ["--store", "memory:", "--log-format", "json"];
        Program::spawn(&mut command(&[&json[..], flags].concat()))
    };
    for flags in [
        &["--listen", "127.0.0.1:0,127.0.0.2:0"][..],
        &["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"],
    ] {
        let program = listen(flags);
        let addresses = addresses(&program);
        assert_eq!(addresses.len(), 2, "{}", program.start_line);
        for address in addresses {
            TcpStream::connect(address).expect("it listens");
        }
    }
    let program = listen(&["--listen", "localhost:0"]);
    for address in addresses(&program) {
        assert!(address.ip().is_loopback(), "{address}");
        TcpStream::connect(address).expect("it listens");
    }
    let mut text = command(&["--store", "memory:", "--listen", "127.0.0.1:0,127.0.0.2:0"]);
    let program = Program::spawn(&mut text);
    let line = &program.start_line;
    assert!(line.contains("http://127.0.0.1:") && line.contains("http://127.0.0.2:"), "{line}");
}

#[test]
fn an_address_that_is_given_twice_counts_once_and_one_in_use_is_said_so() {
    // Hardly anything else listens there.
    let probe = TcpListener::bind("127.0.0.77:0").expect("a free port");
    let address = probe.local_addr().expect("an address").to_string();
    let refused = output(&["--store", "memory:", "--listen", &address]);
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("another program uses it, or another --listen"), "{error}");
    drop(probe);
    let twice = format!("{address},{address}");
    let program = Program::spawn(&mut command(&["--store", "memory:", "--listen", &twice]));
    assert_eq!(program.start_line.matches(&address).count(), 2, "once, and once for the documents");
}

#[test]
fn each_address_needs_keys_unless_it_is_loopback() {
    for listen in ["127.0.0.1:0,0.0.0.0:0", ":0", "127.0.0.1:0,[::]:0"] {
        let refused = output(&["--store", "memory:", "--listen", listen]);
        assert_eq!(refused.status.code(), Some(1), "{listen}");
        assert!(refused.stdout.is_empty());
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(error.contains("the store has no keys"), "{error}");
    }
}

#[test]
fn a_port_alone_means_all_addresses() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_with_a_key(folder.path());
    let args = ["--store", &store, "--listen", ":0", "--insecure-plaintext"];
    let program = Program::spawn(&mut command(&args));
    let port = program.address.port();
    TcpStream::connect(("127.0.0.1", port)).expect("it listens on IPv4");
    // The machine may have no IPv6.
    if TcpListener::bind("[::1]:0").is_ok() {
        TcpStream::connect(("::1", port)).expect("it listens on IPv6");
    }
}

#[test]
fn flags_come_before_the_environment() {
    let mut both = command(&["--store", "memory:"]);
    let environment = [
        ("DATAAPI_LISTEN", "127.0.0.1:0"),
        ("DATAAPI_STORE", "nonsense:"),
        ("DATAAPI_LOG_FORMAT", "json"),
        ("DATAAPI_PURGE_PENDING_AFTER", "never"),
        ("DATAAPI_MAX_TEXT_BYTES", "1024"),
    ];
    let program = Program::spawn(both.envs(environment));
    let line: Value = serde_json::from_str(&program.start_line).expect("JSON");
    assert_eq!(line["store"], "memory:");
}

#[test]
fn without_keys_nothing_but_loopback_is_listened_on() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        let refused = output(&["--store", "memory:", "--listen", address]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(refused.stdout.is_empty());
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(error.contains("--listen 127.0.0.1:"), "the error says what to do: {error}");
    }
}

/// Creates a store with a key, and returns its URL.
fn store_with_a_key(folder: &Path) -> String {
    let url = store_in(folder);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = dataapi::open(&url).await.expect("a store");
        let key = dataapi_core::NewKey {
            name: "key".parse().expect("a name"),
            grant: "admin".parse::<dataapi_core::Roles>().expect("roles").into(),
            hash: dataapi_core::KeySecret::from_bytes([7; 32]).hash(),
            expires: None,
        };
        store.create_key(key).await.expect("a key");
    });
    url
}

#[test]
fn with_keys_other_addresses_take_a_word_on_plain_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_with_a_key(folder.path());
    let refused = output(&["--store", &store, "--listen", "192.0.2.1:8080"]);
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("without TLS") && error.contains("--insecure-plaintext"), "{error}");
    // No machine has this address, so listening fails, but only after the check has passed.
    let tried = ["--store", &store, "--listen", "192.0.2.1:8080", "--insecure-plaintext"];
    let error = String::from_utf8_lossy(&output(&tried).stderr).into_owned();
    assert!(error.contains("cannot listen on"), "{error}");
}

#[test]
fn what_cannot_be_served_is_said_and_exits_with_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let no_folder = store_in(&folder.path().join("no such folder"));
    let not_a_store = folder.path().join("dialogs.db");
    std::fs::write(&not_a_store, "these bytes are not a database and must stay unchanged")
        .expect("a file");
    let not_a_store = format!("sqlite:{}", not_a_store.display());
    for store in ["mysql:x", "sqlite:", "dialogs.db", &no_folder, &not_a_store] {
        let refused = output(&["--listen", "127.0.0.1:0", "--store", store]);
        assert_eq!(refused.status.code(), Some(1), "{store}");
        assert!(refused.stdout.is_empty(), "{store}");
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(error.starts_with("dataapi-server: cannot open the store"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }

    let taken = Program::start("memory:", &[]);
    let refused = output(&["--store", "memory:", "--listen", &taken.address.to_string()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cannot listen on"));

    for args in [["--listen", "here"], ["--max-text-bytes", "0"], ["--log-level", "x"]] {
        assert_eq!(output(&args).status.code(), Some(2), "{args:?}");
    }
}

#[tokio::test]
async fn the_access_log_says_who_asked_for_what_without_ids_texts_or_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, place) = (store_in(folder.path()), folder.path().join("access.jsonl"));
    let secret = dataapi_core::KeySecret::from_bytes([7; 32]);
    let opened = dataapi::open(&store).await.expect("a store");
    let key = dataapi_core::NewKey {
        name: "auditor".parse().expect("a name"),
        grant: "read,subject".parse::<dataapi_core::Roles>().expect("roles").into(),
        hash: secret.hash(),
        expires: None,
    };
    opened.create_key(key).await.expect("a key");
    let reference = opened.reference(&"MARKER-d".parse().expect("an id")).to_string();
    drop(opened);
    let file = place.to_str().expect("UTF-8");
    let mut program = Program::start(&store, &["--access-log", file, "--log", "trace"]);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    for (method, path, with_key, status) in [
        ("GET", "/data/?language=EN&customerId=MARKER", true, 200),
        ("GET", "/data/MARKER/MARKER-d", true, 404),
        ("DELETE", "/customers/MARKER", true, 200),
        ("POST", "/consents/MARKER-d", true, 403),
        ("GET", "/data/", false, 401),
        ("GET", "/health/live", false, 200),
        // The route is open to anyone, but a request with a key is in the access log.
        ("GET", "/version", false, 200),
        ("GET", "/version", true, 200),
    ] {
        let mut request =
            client.request(method.parse().expect("a method"), program.url(path)).body("true");
        if with_key {
            request = request.header("authorization", format!("Bearer {secret}"));
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
    }
    program.signal("TERM");
    let (_, _, log) = program.ended();
    let access = std::fs::read_to_string(&place).expect("the access log");
    let digits = &secret.to_string()[20..40];
    for text in [&log, &access] {
        assert!(!text.contains("MARKER") && !text.contains(digits), "{text}");
    }
    assert!(
        !log.contains("\"access\"") && !log.contains("auditor"),
        "the access log has a file of its own: {log}"
    );
    let lines: Vec<Value> =
        access.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 6, "one line for each request that is for data or has a key: {access}");
    let keys: Vec<_> = lines.iter().map(|line| line["key"].as_str()).collect();
    let auditor = Some("auditor");
    assert_eq!(keys, [auditor, auditor, auditor, auditor, None, auditor]);
    assert_eq!(lines[0]["filter"], "language=EN");
    assert_eq!(lines[0]["customer_ref"], lines[2]["customer_ref"]);
    assert_eq!(lines[1]["dialog_ref"], reference.as_str());
    assert_eq!(lines[4]["status"], 401);
}

#[test]
fn standard_output_may_be_closed() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let mut server = command(&["--store", "memory:", "--listen", &address.to_string()]);
    let mut server = server.stdout(Stdio::piped()).spawn().expect("the program starts");
    drop(server.stdout.take());
    while TcpStream::connect(address).is_err() {
        assert_eq!(server.try_wait().expect("a child"), None, "the server runs all the same");
        std::thread::yield_now();
    }
    assert_eq!(server.try_wait().expect("a child"), None, "the server runs all the same");
    server.kill().expect("it can be killed");
    server.wait().expect("it ended");
}

/// Sends a marker in every place where a client can put text.
async fn send_markers(program: &Program) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let good = r#"{"text":"MARKER","language":"en"}"#;
    for (method, path, body) in [
        ("POST", "/data/MARKER/MARKER", good),
        ("POST", "/data/MARKER/MARKER", good),
        ("POST", "/v1/data/MARKER/MARKER-2", r#"{"text":"MARKER","language":7,"MARKER":1}"#),
        ("POST", "/data/MARKER/MARKER-2", r#"{"text":"MARKER"#),
        ("POST", "/data/MARKER/%zzMARKER", good),
        ("GET", "/data/MARKER/MARKER", ""),
        ("GET", "/consents/MARKER", ""),
        ("POST", "/consents/MARKER", r#"{"consent":true,"notice":"MARKER"}"#),
        ("GET", "/data/MARKER/MARKER", ""),
        ("GET", "/data/?customerId=MARKER&limit=1", ""),
        ("GET", "/data/?MARKER=MARKER", ""),
        ("GET", "/data/?cursor=MARKER", ""),
        ("GET", "/customers/MARKER/data", ""),
        ("GET", "/MARKER", ""),
        ("PUT", "/data/MARKER/MARKER", "MARKER"),
        ("POST", "/consents/MARKER", "false"),
        ("POST", "/consents/MARKER", "true"),
        ("DELETE", "/data/MARKER/MARKER", ""),
        ("DELETE", "/customers/MARKER", ""),
        ("GET", "/metrics", ""),
    ] {
        let method = method.parse().expect("a method");
        let answer = client
            .request(method, program.url(path))
            .header("authorization", "Bearer MARKER")
            .header("cookie", "MARKER")
            .header("x-request-id", "known-id")
            .header("user-agent", "MARKER")
            .body(body)
            .send()
            .await
            .expect("an answer");
        assert!(answer.status().as_u16() < 500, "{path}");
        answer.bytes().await.expect("a body");
    }
}

#[tokio::test]
async fn the_log_holds_no_ids_texts_queries_or_keys() {
    for format in ["text", "json"] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut program =
            Program::start(&store_in(folder.path()), &["--log", "trace", "--log-format", format]);
        send_markers(&program).await;
        program.signal("TERM");
        let (status, _, log) = program.ended();
        assert!(status.success());
        let line = log.lines().find(|line| line.contains("MARKER"));
        assert_eq!(line, None, "{format}");
        let events: Vec<_> = log.lines().filter(|line| line.contains("answered")).collect();
        assert_eq!(events.len(), 20, "one line for each request:\n{log}");
        if format == "json" {
            let first: Value = serde_json::from_str(events[0]).expect("JSON");
            assert_eq!(first["request_id"], "known-id");
            assert_eq!(first["method"], "POST");
            assert_eq!(first["route"], "/data/{customerId}/{dialogId}");
            assert_eq!(first["status"], json!(201));
            assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
        }
    }
}
