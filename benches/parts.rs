//! Measures the parts of a request, each by itself: cursors, parsing of input, filters to SQL, and rows to JSON.
//!
//! Run it with `cargo bench --bench parts`. The last two parts are measured from outside, in calls that do little else:
//! a filter on an empty store, and a page over HTTP compared with the same page in the library.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dataapi::{
    Cursor, CustomerId, Date, DialogStore, Filter, ImportedDialog, Language, Limit, NewDialog,
    PageRequest, Position, Start, Text, Window,
};
use dataapi_server::Config;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const ID: &str = "0b8f6a3e-5d5c-4c2b-9a41-7f3f6f0d9e21";

fn position(number: u64) -> Position {
    let micros = 1_700_000_000_000_000 + i64::try_from(number).unwrap();
    Position { date: Date::from_micros(micros).unwrap(), dialog_id: id(number).parse().unwrap() }
}

fn id(number: u64) -> String {
    format!("{number:08x}{}", &ID[8..])
}

fn text() -> String {
    "Where is my parcel? ".repeat(10)
}

fn cursors(criterion: &mut Criterion) {
    let filter = Filter::default();
    let cursor = Cursor::in_filter(&filter, position(1));
    let sent = cursor.to_string();
    let mut group = criterion.benchmark_group("cursor");
    group.bench_function("make", |bench| {
        bench.iter_with_setup(|| position(1), |place| Cursor::in_filter(&filter, place));
    });
    group.bench_function("write", |bench| bench.iter(|| black_box(&cursor).to_string()));
    group.bench_function("parse", |bench| bench.iter(|| black_box(&sent).parse::<Cursor>()));
    group.bench_function("check", |bench| {
        let request = || Window { start: Start::After(cursor.clone()), ..Window::default() };
        bench.iter_with_setup(request, |window| PageRequest::new(filter.clone(), window));
    });
    group.finish();
}

fn parsing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, id) in [("ascii", ID), ("unicode", "zoë/42 – Größe")] {
        group.bench_function(BenchmarkId::new("id", name), |bench| {
            bench.iter(|| black_box(id).parse::<CustomerId>());
        });
    }
    for tag in ["en", "pt-BR", "zh-Hant-TW"] {
        group.bench_function(BenchmarkId::new("language", tag), |bench| {
            bench.iter(|| black_box(tag).parse::<Language>());
        });
    }
    for bytes in [200, Text::DEFAULT_MAX_BYTES] {
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::new("text", bytes), |bench| {
            let text = "a".repeat(bytes);
            bench.iter_with_setup(|| text.clone(), |text| Text::parse(text, bytes));
        });
    }
    group.finish();
    criterion.bench_function("parse/date", |bench| {
        bench.iter(|| black_box("2026-03-01T10:00:00.123456Z").parse::<Date>());
    });
}

/// A store in a temporary folder, with this many consented dialogs.
fn store(runtime: &Runtime, dialogs: u64) -> (Arc<dyn DialogStore>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("dialogs.db").display());
    let store = runtime.block_on(dataapi::open(&url)).unwrap();
    let batch = (0..dialogs).map(|number| ImportedDialog {
        dialog: NewDialog::parse("c-000042", &id(number), "en", &text()).unwrap(),
        date: Some(position(number).date),
        consented: true,
    });
    let outcomes = runtime.block_on(store.import(batch.collect())).unwrap();
    assert!(outcomes.iter().all(Result::is_ok));
    (store, folder)
}

fn filters(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (store, _folder) = store(&runtime, 0);
    let mut group = criterion.benchmark_group("filter to SQL");
    let customer = || "c-000042".parse().unwrap();
    let language = || "en".parse().unwrap();
    let date = position(1).date;
    for (name, filter) in [
        ("none", Filter::default()),
        ("language", Filter::default().language(language())),
        ("customer", Filter::default().customer(customer())),
        ("both", Filter::default().customer(customer()).language(language())),
        ("from a date", Filter::default().between(Some(date), None).unwrap()),
    ] {
        let window = Window { total: false, ..Window::default() };
        let request = PageRequest::new(filter, window).unwrap();
        group.bench_function(name, |bench| {
            bench.to_async(&runtime).iter(|| store.query(black_box(&request)));
        });
    }
    group.finish();
}

fn rows(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (store, _folder) = store(&runtime, 1_000);
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    // Without a page cache, each page is read and rendered again.
    let config = Config { page_cache_bytes: 0, ..Config::default() };
    let shutdown = std::future::pending();
    let server = dataapi_server::serve(Arc::clone(&store), config, listener, shutdown);
    let server = runtime.spawn(server);
    let mut client = Client::connect(address);
    let mut group = criterion.benchmark_group("rows to JSON");
    for limit in [1, 20, 100, 1_000] {
        group.throughput(Throughput::Elements(limit));
        let window = Window { limit: Limit::new(limit).unwrap(), ..Window::default() };
        let request = PageRequest::new(Filter::default(), window).unwrap();
        group.bench_function(BenchmarkId::new("values, in the library", limit), |bench| {
            bench.to_async(&runtime).iter(|| store.query(black_box(&request)));
        });
        group.bench_function(BenchmarkId::new("JSON, over HTTP", limit), |bench| {
            let path = format!("/data/?limit={limit}");
            bench.iter(|| client.get(&path));
        });
    }
    group.finish();
    server.abort();
}

/// A keep-alive connection, with a buffer for answers.
struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, answer: vec![0; 1 << 20] }
    }

    /// Sends a GET, which must be answered with 200, and returns the length of the body.
    fn get(&mut self, path: &str) -> usize {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.stream.write_all(request.as_bytes()).unwrap();
        let mut read = 0;
        loop {
            read += self.stream.read(&mut self.answer[read..]).unwrap();
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut head = httparse::Response::new(&mut headers);
            let httparse::Status::Complete(start) = head.parse(&self.answer[..read]).unwrap()
            else {
                continue;
            };
            assert_eq!(head.code, Some(200));
            let length = head.headers.iter().find(|header| header.name == "content-length");
            let length = std::str::from_utf8(length.unwrap().value).unwrap().parse().unwrap();
            while read < start + length {
                read += self.stream.read(&mut self.answer[read..]).unwrap();
            }
            return length;
        }
    }
}

criterion_group!(benches, cursors, parsing, filters, rows);
criterion_main!(benches);
