//! Exports brought up to date with 'sync'.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener as Listener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use dataapi::DialogStore;
use dataapi_server::{Config, serve};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::sandbox::Sandbox;
use crate::scenes::{dialog_line, json_lines, numbered};

/// A store of six consented dialogs and two exports; later one dialog was withdrawn and two were added.
fn exported() -> Sandbox {
    let sandbox = numbered(6);
    sandbox.ok(&["export", "-o", "copy.jsonl"]);
    sandbox.ok(&["export", "--language", "de", "-o", "german.jsonl"]);
    sandbox.ok(&["consent", "withdraw", "d-3"]);
    let german = dialog_line("d-7", "Wörter").replace(r#""language":"en""#, r#""language":"DE""#);
    sandbox.write("more.jsonl", [dialog_line("d-6", "words 6"), german].concat());
    sandbox.ok(&["import", "more.jsonl"]);
    sandbox
}

#[test]
fn an_export_says_what_it_is_a_copy_of() {
    let sandbox = exported();
    let copy = String::from_utf8(sandbox.read("copy.jsonl")).expect("UTF-8");
    let lines = json_lines(&copy);
    assert_eq!(lines.len(), 7);
    for line in &lines[..6] {
        assert_eq!(line["ref"].as_str().map(str::len), Some(64), "{line}");
    }
    let manifest = &lines[6]["manifest"];
    assert_eq!(manifest["count"], 6);
    assert!(manifest["ledger"].as_str().expect("a head").ends_with("@6"), "{manifest}");
    assert_eq!(manifest["filter"], serde_json::json!({}));
    let german = String::from_utf8(sandbox.read("german.jsonl")).expect("UTF-8");
    assert!(german.contains(r#"{"manifest":{"filter":{"language":"de"}"#), "{german}");
    assert!(!sandbox.ok(&["export", "--plain"]).contains("ref"));
    assert!(
        sandbox
            .ok(&["export", "--format", "csv"])
            .starts_with("dialog_id,customer_id,text,language,consent_received,date,ref\n")
    );
}

#[test]
fn a_synced_copy_is_a_fresh_export() {
    let sandbox = exported();
    let said = sandbox.run(&["sync", "copy.jsonl"]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (Some(0), "2 added, 1 removed; up to date with event 9\n")
    );
    assert_eq!(sandbox.read("copy.jsonl"), sandbox.ok(&["export"]).into_bytes());
    assert!(!String::from_utf8_lossy(&sandbox.read("copy.jsonl")).contains("words 3"));
    sandbox.ok(&["sync", "german.jsonl", "--from", "sqlite:dialogs.db"]);
    assert_eq!(
        sandbox.read("german.jsonl"),
        sandbox.ok(&["export", "--language", "de"]).into_bytes()
    );
    let again = sandbox.run(&["sync", "copy.jsonl"]);
    assert_eq!(again.err, "0 added, 0 removed; up to date with event 9\n");
    let taken = sandbox.run(&["--store", "sqlite:other.db", "import", "copy.jsonl"]);
    assert_eq!(taken.err, "7 stored, 0 already there, 0 refused\n", "a manifest is no dialog");
}

#[test]
fn a_copy_is_synced_from_a_server() {
    let sandbox = exported();
    let runtime = Runtime::new().expect("a runtime");
    let url = format!("sqlite:{}", sandbox.path().join("dialogs.db").display());
    let address = runtime.block_on(async {
        let store: Arc<dyn DialogStore> = dataapi::open(&url).await.expect("a store");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(serve(store, Config::default(), listener, std::future::pending()));
        address
    });
    let from = format!("http://{address}/");
    let said = sandbox.run(&["--store", "sqlite:none.db", "sync", "copy.jsonl", "--from", &from]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (Some(0), "2 added, 1 removed; up to date with event 9\n")
    );
    assert_eq!(sandbox.read("copy.jsonl"), sandbox.ok(&["export"]).into_bytes());

    sandbox.ok(&["consent", "withdraw", "d-6"]);
    let key = sandbox.ok(&["key", "create", "--name", "copies", "--role", "read"]);
    let synced = |file: &str, key: &str| {
        let mut sync = sandbox.program(&["sync", file, "--from", &from]);
        sync.env("DATAAPI_KEY", key).output().expect("it runs").status.code()
    };
    // The server notices its first key within a second.
    while sandbox.run(&["sync", "german.jsonl", "--from", &from]).code == Some(0) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(synced("copy.jsonl", &key.replace('0', "1").replace('a', "b")), Some(1));
    assert_eq!(synced("copy.jsonl", key.trim_end()), Some(0));
    assert_eq!(sandbox.read("copy.jsonl"), sandbox.ok(&["export"]).into_bytes());

    // A bound key gets the events of other dialogs without their evidence, and can follow them all the same.
    let german =
        dialog_line("d-8", "mehr Wörter").replace(r#""language":"en""#, r#""language":"de""#);
    sandbox.write("most.jsonl", [dialog_line("d-9", "words 9"), german].concat());
    sandbox.ok(&["import", "most.jsonl"]);
    let bound = ["key", "create", "--name", "german", "--role", "read", "--only-language", "de"];
    let bound = sandbox.ok(&bound);
    let code = loop {
        match synced("german.jsonl", bound.trim_end()) {
            // The server notices a new key within a second.
            Some(1) => std::thread::sleep(std::time::Duration::from_millis(50)),
            code => break code,
        }
    };
    assert_eq!(code, Some(0));
    let fresh = sandbox.ok(&["export", "--language", "de"]);
    assert!(fresh.contains("mehr"), "{fresh}");
    assert_eq!(sandbox.read("german.jsonl"), fresh.into_bytes());

    let before = sandbox.read("german.jsonl");
    let elsewhere = format!("http://{address}/data/anna");
    for (from, reason) in [
        (elsewhere.as_str(), "the request to the server failed"),
        ("http://127.0.0.1:1", "the request to the server failed"),
        ("sqlite:none.db", "there is no store"),
    ] {
        let ran = sandbox.run(&["sync", "german.jsonl", "--from", from]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains(reason), "{ran:?}");
    }
    assert_eq!(sandbox.read("german.jsonl"), before);
    drop(runtime);
}

#[test]
fn what_is_no_copy_of_this_store_is_refused_and_left_alone() {
    let sandbox = exported();
    let copy = String::from_utf8(sandbox.read("copy.jsonl")).expect("UTF-8");
    sandbox.write("edited.jsonl", copy.replace("words 1", "words 9"));
    sandbox.write("cut.jsonl", copy.split_once('\n').expect("lines").1);
    sandbox.write("plain.jsonl", sandbox.ok(&["export", "--plain"]));
    sandbox.write("empty.jsonl", "");
    sandbox.ok(&["--store", "sqlite:other.db", "import", "in.jsonl"]);
    sandbox.ok(&["--store", "sqlite:other.db", "export", "-o", "other.jsonl"]);
    for (file, reason) in [
        ("edited.jsonl", "was changed"),
        ("cut.jsonl", "was changed"),
        ("plain.jsonl", "not an export"),
        ("empty.jsonl", "not an export"),
        ("other.jsonl", "of another store"),
    ] {
        let before = sandbox.read(file);
        let ran = sandbox.run(&["sync", file]);
        assert_eq!(ran.code, Some(4), "{file}: {ran:?}");
        assert!(ran.err.contains(reason), "{file}: {ran:?}");
        assert_eq!(sandbox.read(file), before);
    }
    assert_eq!(sandbox.run(&["sync", "none.jsonl"]).code, Some(1));
}

/// Starts a server that answers each request by `answer`. Ends with the program that asks it.
fn answering(answer: impl Fn(&str, TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = Listener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let asked = std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|read| read > 0)
            {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            if head == "stop" {
                return;
            }
            answer(&head, client);
        }
    });
    (address, asked)
}

fn stop(address: SocketAddr, asked: JoinHandle<()>) {
    TcpStream::connect(address).expect("a server").write_all(b"stop").expect("is sent");
    asked.join().expect("an end");
}

/// Syncs from this address with a key.
fn synced_from(sandbox: &Sandbox, from: &str, more: &[&str]) -> crate::sandbox::RunResult {
    let mut program = sandbox.program(&["sync", "copy.jsonl", "--from", from]);
    program
        .args(more)
        .env("DATAAPI_KEY", "dataapi_PW")
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy");
    program.output().expect("runs").into()
}

#[test]
fn a_body_without_an_end_is_left_off_before_it_fills_the_memory() {
    use std::sync::atomic::{AtomicU64, Ordering};

    let sandbox = exported();
    let before = sandbox.read("copy.jsonl");
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let (address, asked) = answering(move |_, mut client| {
        let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"events\":[";
        let spaces = vec![b' '; 1 << 20];
        let mut written = client.write_all(head);
        while written.is_ok() && counted.load(Ordering::Relaxed) < 2 << 30 {
            written = client.write_all(&spaces);
            counted.fetch_add(spaces.len() as u64, Ordering::Relaxed);
        }
    });
    let ran = synced_from(&sandbox, &format!("http://{address}"), &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("longer than any that a DataAPI server gives"), "{ran:?}");
    // Fewer and fewer changes are asked for; one change can be 96 MiB long.
    assert!(sent.load(Ordering::Relaxed) < 256 << 20, "{sent:?}");
    assert_eq!(sandbox.read("copy.jsonl"), before);
    stop(address, asked);
}

#[test]
fn an_answer_that_does_not_end_in_time_is_given_up() {
    let sandbox = exported();
    let before = sandbox.read("copy.jsonl");
    let (address, asked) = answering(|_, mut client| {
        let mut written = client.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        while written.is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(50));
            written = client.write_all(b" ");
        }
    });
    let begun = std::time::Instant::now();
    let ran = synced_from(&sandbox, &format!("http://{address}"), &["--timeout", "1s"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("has not answered in full within 1s"), "{ran:?}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(sandbox.read("copy.jsonl"), before);
    stop(address, asked);
}

#[test]
fn a_busy_server_is_asked_again_and_one_with_little_room_for_less() {
    let sandbox = exported();
    let before = sandbox.read("copy.jsonl");
    let heads = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&heads);
    let (address, asked) = answering(move |head, mut client| {
        let mut heads = noted.lock().expect("no panic");
        heads.push(head.to_owned());
        let answer = match heads.len() {
            1 => "503 Service Unavailable\r\nretry-after: 0",
            2 => "429 Too Many Requests\r\nretry-after: 0",
            3 => "400 Bad Request",
            _ => "403 Forbidden",
        };
        let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        client.write_all(answer.as_bytes()).expect("an answer");
    });
    let ran = synced_from(&sandbox, &format!("http://{address}"), &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("check its address") && ran.err.contains("403"), "{ran:?}");
    let limits = heads.lock().expect("no panic");
    let limits = limits.iter().map(|head| {
        let (_, after) = head.split_once("limit=").expect("a limit");
        after.split('&').next().map(str::to_owned)
    });
    let wanted = ["100", "100", "100", "12"].map(|limit| Some(limit.to_owned()));
    assert_eq!(limits.collect::<Vec<_>>(), wanted);
    assert_eq!(sandbox.read("copy.jsonl"), before);
    stop(address, asked);
}

#[test]
fn a_redirect_is_not_followed_and_its_target_does_not_get_the_key() {
    let sandbox = exported();
    let (target, asked_target) = answering(|_, _| panic!("the target was asked"));
    let (address, asked) = answering(move |head, mut client| {
        assert!(head.contains("dataapi_PW"), "the server itself gets the key");
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n"
        );
        client.write_all(answer.as_bytes()).expect("an answer");
    });
    let ran = synced_from(&sandbox, &format!("http://{address}"), &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("redirects the request to another address"), "{ran:?}");
    stop(target, asked_target);
    stop(address, asked);
}

#[test]
fn no_key_goes_to_another_machine_without_tls_or_a_word_on_plain_text() {
    let sandbox = exported();
    for from in ["http://192.0.2.1:9", "HTTP://192.0.2.1:9", "http://localhost.example:9/v1"] {
        let ran = synced_from(&sandbox, from, &["--timeout", "100ms"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(
            ran.err.contains("must be an https: address") && !ran.err.contains("PW"),
            "{ran:?}"
        );
        assert!(ran.err.contains("--insecure-plaintext"), "{ran:?}");
    }
    // It tries now, and fails: no machine has this address.
    let allowed = ["--timeout", "200ms", "--insecure-plaintext"];
    assert_eq!(synced_from(&sandbox, "http://192.0.2.1:9", &allowed).code, Some(1));
    let with_user = synced_from(&sandbox, "https://u:PW@192.0.2.1:9", &[]);
    assert_eq!(with_user.code, Some(2), "{with_user:?}");
    assert!(with_user.err.contains("--key-file") && !with_user.err.contains("PW"), "{with_user:?}");
}

#[test]
fn the_key_for_a_server_can_be_in_a_file() {
    let sandbox = exported();
    sandbox.write("key", "dataapi_PW\n");
    let (address, asked) = answering(|head, mut client| {
        let is_there = head.to_lowercase().contains("authorization: bearer dataapi_pw\r\n");
        let status = if is_there { "418 Teapot" } else { "401 Unauthorized" };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        client.write_all(answer.as_bytes()).expect("an answer");
    });
    let from = format!("http://{address}");
    let by_flag = sandbox.run(&["sync", "copy.jsonl", "--from", &from, "--key-file", "key"]);
    assert!(by_flag.err.contains("418"), "{by_flag:?}");
    let mut by_variable = sandbox.program(&["sync", "copy.jsonl", "--from", &from]);
    let by_variable = by_variable.env("DATAAPI_KEY_FILE", "key").output().expect("runs");
    assert!(String::from_utf8_lossy(&by_variable.stderr).contains("418"), "{by_variable:?}");
    let mut both = sandbox.program(&["sync", "copy.jsonl", "--from", &from]);
    both.env("DATAAPI_KEY_FILE", "key").env("DATAAPI_KEY", "dataapi_PW");
    assert_eq!(both.output().expect("runs").status.code(), Some(2));
    stop(address, asked);
}
