//! nginx with the configuration from the guide, in front of the server: only its addresses and paths of files are
//! replaced.
//!
//! `DATAAPI_PROXY_WAIT_SECONDS` sets how long a request for changes waits. Without nginx the tests are skipped, or fail
//! if `DATAAPI_REQUIRE_NGINX` is 1.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dataapi_core::{DialogStore, KeySecret};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::certificates::{Authority, Files, client};
use crate::load::from_env;
use crate::patience::PATIENCE;
use crate::program::{Program, not_tested, store_in};
use crate::proxied::with_key;
use crate::server::Answer;

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operating.md");

/// Where the guide's clients reach the server.
const PUBLIC: &str = "https://dialogs.example/dataapi";

/// The address that the tests ask from. It is not that of the proxy.
const CLIENT: &str = "127.0.0.2";

/// Finds nginx, which Debian installs outside the `PATH` of most users.
fn nginx() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let others = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path)
        .chain(others)
        .map(|folder| folder.join("nginx"))
        .find(|program| program.is_file());
    if found.is_none() {
        let required = std::env::var_os("DATAAPI_REQUIRE_NGINX").is_some_and(|value| value == "1");
        assert!(!required, "DATAAPI_REQUIRE_NGINX is 1, but nginx is not installed");
        not_tested("nginx in front of the server: it is not installed");
    }
    found
}

/// The only nginx configuration in the guide.
fn guide() -> String {
    let guide = fs::read_to_string(GUIDE).expect("the guide");
    let mut blocks = guide.split("```nginx\n").skip(1);
    let block = blocks.next().and_then(|rest| rest.split_once("\n```")).expect("a configuration");
    assert!(blocks.next().is_none(), "there is one configuration");
    block.0.to_owned()
}

/// nginx in front of a server, and what is between them.
struct Proxied {
    nginx: Child,
    address: SocketAddr,
    authority: Authority,
    /// The number of connections from nginx to the server.
    connections: Arc<AtomicUsize>,
    program: Program,
    store: Arc<dyn DialogStore>,
    secret: KeySecret,
    folder: TempDir,
    _certificate: Files,
}

impl Proxied {
    async fn start(nginx: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = store_in(folder.path());
        let (store, secret) = with_key(&url).await;
        let access = folder.path().join("access.jsonl");
        let access = access.to_str().expect("UTF-8");
        let flags =
            ["--public-url", PUBLIC, "--trusted-proxy", "127.0.0.1", "--access-log", access];
        let program = Program::start(&url, &flags);
        let (relay, connections) = relay_to(program.address).await;
        let authority = Authority::new();
        let certificate = Files::new(&authority, None);
        for _ in 0..10 {
            let address = free_address();
            let settings = settings(folder.path(), address, relay, &certificate);
            if let Some(nginx) = run(nginx, &settings, address) {
                // Whatever nginx now writes to a temporary file fails.
                fs::remove_dir_all(folder.path().join("temporary")).expect("a folder");
                return Self {
                    nginx,
                    address,
                    authority,
                    connections,
                    program,
                    store,
                    secret,
                    folder,
                    _certificate: certificate,
                };
            }
        }
        let log = fs::read_to_string(folder.path().join("start.log")).unwrap_or_default();
        panic!("nginx does not start: {log}");
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(64 * 1024).expect("a size");
        socket.bind(format!("{CLIENT}:0").parse().expect("an address")).expect("an address");
        let stream = socket.connect(self.address).await.expect("a connection");
        let name = "localhost".try_into().expect("a name");
        client(&self.authority, b"http/1.1", None).connect(name, stream).await.expect("TLS")
    }

    /// Sends a request without waiting for its answer. Some of its headers are attempts to be someone else.
    async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &str,
        body: &str,
    ) -> TlsStream<TcpStream> {
        let (secret, length) = (&self.secret, body.len());
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: dialogs.example\r\nconnection: close\r\n\
             authorization: Bearer {secret}\r\nforwarded: for=192.0.2.9;host=evil.example\r\n\
             x-forwarded-for: 192.0.2.9\r\nx-forwarded-host: evil.example\r\n\
             x-forwarded-prefix: /evil\r\n{headers}content-length: {length}\r\n\r\n"
        );
        let mut connection = self.connect().await;
        connection.write_all(head.as_bytes()).await.expect("it is sent");
        // nginx refuses a body that is too long by its head, and need not read it.
        let _ = connection.write_all(body.as_bytes()).await;
        connection
    }

    async fn ask(&self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        let connection = self.send(method, target, headers, body).await;
        timeout(2 * PATIENCE, answer(connection)).await.expect("an answer in time")
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "", "").await
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).expect("a file")
    }
}

impl Drop for Proxied {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}

/// Reads an answer until the connection ends.
async fn answer(mut connection: TlsStream<TcpStream>) -> Answer {
    let mut bytes = Vec::new();
    match connection.read_to_end(&mut bytes).await {
        Ok(_) => {}
        // nginx need not say goodbye.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&bytes)),
    }
    let answer = Answer::parse(&bytes);
    if let Some(length) = answer.header("content-length") {
        assert_eq!(length, answer.body.len().to_string(), "the answer is whole");
    }
    answer
}

/// Passes connections on to the server, and counts them.
async fn relay_to(server: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            counting.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                if let Ok(mut to) = TcpStream::connect(server).await {
                    let _ = copy_bidirectional(&mut from, &mut to).await;
                }
            });
        }
    });
    (address, count)
}

fn free_address() -> SocketAddr {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("an address")
}

/// Writes the configuration of the guide, and the file around it that a distribution has.
fn settings(folder: &Path, own: SocketAddr, server: SocketAddr, certificate: &Files) -> PathBuf {
    let mut guide = guide();
    let shown = folder.display();
    for (in_guide, here) in [
        ("server 127.0.0.1:8080;", format!("server {server};")),
        ("listen 443 ssl;", format!("listen {own} ssl;")),
        ("/etc/ssl/dialogs.example.pem", certificate.path("server.pem").display().to_string()),
        ("/etc/ssl/dialogs.example.key", certificate.path("server.key").display().to_string()),
        ("/var/log/nginx/dataapi.log", format!("{shown}/nginx-access.log")),
        ("/var/log/nginx/dataapi-error.log", format!("{shown}/nginx-error.log")),
    ] {
        assert_eq!(guide.matches(in_guide).count(), 1, "{in_guide}");
        guide = guide.replace(in_guide, &here);
    }
    fs::write(folder.join("dataapi.conf"), guide).expect("a file");
    let temporary = folder.join("temporary");
    fs::create_dir_all(&temporary).expect("a folder");
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths = kinds.map(|kind| format!("{kind}_temp_path {}/{kind};\n", temporary.display()));
    let paths = paths.concat();
    // One process is enough, and ends for sure.
    let around = format!(
        "daemon off;\nmaster_process off;\npid {shown}/nginx.pid;\nevents {{}}\n\
         http {{\n{paths}include dataapi.conf;\n}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, around).expect("a file");
    file
}

/// Starts nginx; `None` if it ends, because another program has taken its port.
fn run(nginx: &Path, settings: &Path, address: SocketAddr) -> Option<Child> {
    let folder = settings.parent().expect("a folder");
    let log = fs::File::create(folder.join("start.log")).expect("a file");
    let mut child = Command::new(nginx)
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(settings)
        .args(["-e", "stderr"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("nginx can be run");
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if child.try_wait().expect("a child").is_some() {
            return None;
        }
        if std::net::TcpStream::connect(address).is_ok() {
            return Some(child);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

#[tokio::test]
async fn clients_follow_every_url_through_nginx_and_keep_their_ids() {
    let Some(nginx) = nginx() else { return };
    let proxied = Proxied::start(&nginx).await;
    let dialog = json!({"text": "words", "language": "en"}).to_string();
    for (number, own) in ["", "/v1"].into_iter().enumerate() {
        // nginx must not decode a slash, a percent sign or dots that belong to an id.
        let id = format!("d%2F..%2F{number}%2561%C3%B6%20%3F");
        let target = format!("/dataapi{own}/data/b%2Fanna/{id}");
        let stored = proxied.ask("POST", &target, "", &dialog).await;
        assert_eq!(stored.status, 201, "{stored:?}");
        assert_eq!(stored.json()["dialog_id"], format!("d/../{number}%61ö ?"));
        let location = stored.header("location").expect("a location").to_owned();
        assert!(location.starts_with(&format!("/dataapi{own}/data/b%2Fanna/")), "{location}");
        let target = format!("/dataapi{own}/consents/{id}");
        assert_eq!(proxied.ask("POST", &target, "", "true").await.status, 200);
        assert_eq!(proxied.get(&location).await.json()["text"], "words");
    }
    let mut target = "/dataapi/v1/data/?limit=1&language=en".to_owned();
    for page in [1, 2] {
        let answer = proxied.get(&target).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let next = answer.json()["next"].as_str().map(str::to_owned);
        assert_eq!(next.is_some(), page == 1);
        if let Some(next) = next {
            assert_eq!(answer.header("link"), Some(&*format!("<{next}>; rel=\"next\"")));
            target = next;
        }
    }
    let entrance = proxied.get("/dataapi/docs").await;
    assert_eq!(entrance.status, 308);
    let docs = proxied.get(entrance.header("location").expect("a location")).await;
    assert_eq!((docs.status, docs.header("content-type")), (200, Some("text/html")));
    let description = proxied.get("/dataapi/openapi.json").await.json();
    assert_eq!(description["servers"][0]["url"], format!("{PUBLIC}/v1"));

    // A path with another meaning for nginx than for the server reaches no route.
    for target in ["/x/../dataapi/stats", "/%64ataapi/stats"] {
        assert_eq!(proxied.get(target).await.status, 400, "{target}");
    }
    for target in ["/dataapi/x/../stats", "/dataapi//stats", "/stats", "/dataapistats"] {
        assert_eq!(proxied.get(target).await.status, 404, "{target}");
    }
}

#[tokio::test]
async fn pages_of_the_public_origin_may_ask_through_nginx() {
    let Some(nginx) = nginx() else { return };
    let proxied = Proxied::start(&nginx).await;
    for (origin, status) in [
        ("https://dialogs.example", 200),
        ("https://dialogs.example:443", 200),
        ("http://dialogs.example", 403),
        ("https://evil.example", 403),
    ] {
        let headers = format!("origin: {origin}\r\n");
        let answer = proxied.ask("GET", "/dataapi/stats", &headers, "").await;
        assert_eq!(answer.status, status, "{origin}");
    }
}

#[tokio::test]
async fn nginx_keeps_bodies_and_pages_in_memory_and_takes_what_the_server_takes() {
    const LONGEST: usize = 64 * 1024;
    // Together they are more than the operating system takes for a client that does not read.
    const DIALOGS: usize = 24;

    let Some(nginx) = nginx() else { return };
    let proxied = Proxied::start(&nginx).await;
    // Each byte of this text takes six in JSON.
    let longest = json!({"text": "\u{1}".repeat(LONGEST), "language": "en"}).to_string();
    for number in 0..DIALOGS {
        let target = format!("/dataapi/v1/data/anna/d-{number}");
        let stored = proxied.ask("POST", &target, "", &longest).await;
        assert_eq!(stored.status, 201, "{stored:?}");
        let target = format!("/dataapi/v1/consents/d-{number}");
        assert_eq!(proxied.ask("POST", &target, "", "true").await.status, 200);
    }
    let connection = proxied.send("GET", "/dataapi/v1/data/", "", "").await;
    // Meanwhile nginx has more of the answer than it has sent.
    sleep(Duration::from_millis(500)).await;
    let page = timeout(PATIENCE, answer(connection)).await.expect("an answer in time");
    assert_eq!(page.json()["total"], DIALOGS);
    assert!(page.body.len() > DIALOGS * 6 * LONGEST);

    let too_long = format!("{longest}{}", " ".repeat(50 * 1024));
    let refused = proxied.ask("POST", "/dataapi/data/anna/long", "", &too_long).await;
    assert_eq!((refused.status, &*refused.problem()), (413, "body-too-large"));
    let far_too_long = " ".repeat(600 * 1024);
    let refused = proxied.ask("POST", "/dataapi/data/anna/long", "", &far_too_long).await;
    assert_eq!(refused.status, 413);
    assert_eq!(proxied.file("nginx-error.log"), "", "nothing has failed");
}

#[tokio::test]
async fn requests_share_connections_and_waiting_ones_get_their_answer() {
    let Some(nginx) = nginx() else { return };
    let proxied = Proxied::start(&nginx).await;
    for _ in 0..20 {
        assert_eq!(proxied.get("/dataapi/stats").await.status, 200);
    }
    let connections = proxied.connections.load(Ordering::SeqCst);
    assert!(connections <= 2, "{connections} connections for 20 requests");

    let wait = from_env("DATAAPI_PROXY_WAIT_SECONDS").unwrap_or(2_u64);
    let started = Instant::now();
    let waited = proxied.get(&format!("/dataapi/changes?wait={wait}s")).await;
    assert_eq!(waited.status, 200, "{waited:?}");
    assert_eq!(waited.json()["events"], json!([]));
    assert!(started.elapsed() >= Duration::from_secs(wait));
    let guide = guide();
    let seconds =
        guide.split_once("proxy_read_timeout ").and_then(|(_, rest)| rest.split_once('s'));
    let seconds = seconds.and_then(|(seconds, _)| seconds.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 60), "{seconds:?}");
}

#[tokio::test]
async fn the_server_knows_the_client_and_no_log_has_an_id_or_an_address() {
    let Some(nginx) = nginx() else { return };
    let mut proxied = Proxied::start(&nginx).await;
    let dialog = json!({"text": "MARKER", "language": "en"}).to_string();
    for (method, target, body, status) in [
        ("POST", "/dataapi/data/MARKER/MARKER-1", &*dialog, 201),
        ("GET", "/dataapi/data/?customerId=MARKER", "", 200),
        ("GET", "/dataapi/data/?MARKER=MARKER", "", 400),
        ("GET", "/dataapi/MARKER", "", 404),
        ("GET", "/MARKER?MARKER", "", 404),
        ("GET", "/MARKER/../dataapi/MARKER", "", 400),
    ] {
        assert_eq!(proxied.ask(method, target, "", body).await.status, status, "{method} {target}");
    }
    proxied.program.signal("TERM");
    let (_, _, log) = proxied.program.ended();
    let gone = proxied.get("/dataapi/data/MARKER/MARKER-1?MARKER").await;
    assert_eq!(gone.status, 502);

    let logged = proxied.file("nginx-access.log");
    assert_eq!(logged.lines().count(), 7, "{logged}");
    assert!(logged.lines().all(|line| line.contains(" GET ") || line.contains(" POST 201 201 ")));
    let access = proxied.file("access.jsonl");
    for text in [&log, &logged, &access, &proxied.file("nginx-error.log")] {
        for secret in ["MARKER", CLIENT, "192.0.2.9"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    let client = proxied.store.reference(&CLIENT.parse().expect("an id")).to_string();
    let lines: Vec<Value> =
        access.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3, "{access}");
    assert!(lines.iter().all(|line| line["peer_ref"] == client.as_str()), "{access}");
}
