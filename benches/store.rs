//! Measures the calls on a store, in memory and in SQLite: inserts, one or many at a time, decisions, and pages by each
//! filter, newest and deep, with and without their total.
//!
//! Run it with `cargo bench --bench store`. `DATAAPI_BENCH_DIALOGS` sets how many dialogs the SQLite store has for the
//! pages (default 100,000). The store in memory, which sorts on each query, has 1,000.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dataapi::{
    Cursor, Date, Decision, DialogId, DialogStore, Evidence, Filter, ImportedDialog, Limit,
    NewDialog, PageRequest, Position, Reach, Start, Window,
};
use futures_util::future::try_join_all;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const LANGUAGES: [&str; 8] = ["en", "de", "fr", "es", "pt-BR", "ar", "ja", "ru"];
const CUSTOMERS: u64 = 1_000;

/// Each id is used only once in the whole run, whatever the number of iterations.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

fn fresh_dialog() -> NewDialog {
    let number = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    dialog(&format!("f-{number:034}"), number)
}

fn dialog(id: &str, number: u64) -> NewDialog {
    let customer = format!("c-{:06}", number % CUSTOMERS);
    let language = LANGUAGES[usize::try_from(number / CUSTOMERS % 8).unwrap()];
    NewDialog::parse(&customer, id, language, &"Where is my parcel? ".repeat(10)).unwrap()
}

struct Subject {
    name: &'static str,
    store: Arc<dyn DialogStore>,
    dialogs: u64,
    _folder: Option<TempDir>,
}

fn subjects(runtime: &Runtime) -> [Subject; 2] {
    let dialogs = std::env::var("DATAAPI_BENCH_DIALOGS")
        .map_or(100_000, |number| number.parse().expect("DATAAPI_BENCH_DIALOGS is a number"));
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("dialogs.db").display());
    let open = |url: &str| runtime.block_on(dataapi::open(url)).unwrap();
    [
        Subject { name: "memory", store: open("memory:"), dialogs: 1_000, _folder: None },
        Subject { name: "sqlite", store: open(&url), dialogs, _folder: Some(folder) },
    ]
}

fn date(number: u64) -> Date {
    Date::from_micros(1_700_000_000_000_000 + i64::try_from(number).unwrap() * 1_000).unwrap()
}

fn id(number: u64) -> String {
    format!("d-{number:034}")
}

fn fill(runtime: &Runtime, subject: &Subject) {
    let numbers: Vec<_> = (0..subject.dialogs).collect();
    for numbers in numbers.chunks(1_000) {
        let batch = numbers.iter().map(|number| ImportedDialog {
            dialog: dialog(&id(*number), *number),
            date: Some(date(*number)),
            consented: true,
        });
        let outcomes = runtime.block_on(subject.store.import(batch.collect())).unwrap();
        assert!(outcomes.iter().all(Result::is_ok));
    }
}

fn writes(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    for subject in subjects(&runtime) {
        let store = &subject.store;
        let mut group = criterion.benchmark_group(format!("{}/insert", subject.name));
        for together in [1, 64, 1_000] {
            group.throughput(Throughput::Elements(together));
            group.bench_function(BenchmarkId::from_parameter(together), |bench| {
                bench.to_async(&runtime).iter(|| async {
                    let inserts = (0..together).map(|_| store.insert(fresh_dialog()));
                    black_box(try_join_all(inserts).await.unwrap());
                });
            });
        }
        group.finish();

        let mut group = criterion.benchmark_group(format!("{}/decide", subject.name));
        for (name, decision) in [("grant", Decision::Granted), ("withdrawal", Decision::Withdrawn)]
        {
            for together in [1, 32] {
                group.throughput(Throughput::Elements(together));
                group.bench_function(BenchmarkId::new(name, together), |bench| {
                    bench.to_async(&runtime).iter_custom(|rounds| async move {
                        let mut spent = Duration::ZERO;
                        for _ in 0..rounds {
                            let dialogs: Vec<_> = (0..together).map(|_| fresh_dialog()).collect();
                            let ids = ids(&dialogs);
                            try_join_all(dialogs.into_iter().map(|new| store.insert(new)))
                                .await
                                .unwrap();
                            let start = Instant::now();
                            let decide = |id| store.decide(id, decision, Evidence::default());
                            try_join_all(ids.into_iter().map(decide)).await.unwrap();
                            spent += start.elapsed();
                        }
                        spent
                    });
                });
            }
        }
        group.finish();
    }
}

fn ids(dialogs: &[NewDialog]) -> Vec<DialogId> {
    dialogs.iter().map(|dialog| dialog.dialog_id.clone()).collect()
}

fn pages(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    for subject in subjects(&runtime) {
        fill(&runtime, &subject);
        let customer = || "c-000042".parse().unwrap();
        let language = || "de".parse().unwrap();
        let mut group = criterion.benchmark_group(format!("{}/page", subject.name));
        for (name, filter) in [
            ("all", Filter::default()),
            ("language", Filter::default().language(language())),
            ("customer", Filter::default().customer(customer())),
            ("both", Filter::default().customer(customer()).language(language())),
        ] {
            let middle = subject.dialogs / 2;
            let position = Position { date: date(middle), dialog_id: id(middle).parse().unwrap() };
            let deep = Start::After(Cursor::in_filter(&filter, position));
            for limit in [20, 100] {
                for (place, start, total) in [
                    ("newest", Start::default(), false),
                    ("newest with total", Start::default(), true),
                    ("deep cursor", deep.clone(), false),
                ] {
                    let window = Window { limit: Limit::new(limit).unwrap(), start, total };
                    let request = PageRequest::new(filter.clone(), window).unwrap();
                    let id = BenchmarkId::new(format!("{name}/{place}"), limit);
                    group.bench_function(id, |bench| {
                        bench.to_async(&runtime).iter(|| async {
                            black_box(subject.store.query(&request).await.unwrap());
                        });
                    });
                }
            }
        }
        group.bench_function("by id", |bench| {
            let (customer, id) = (dialog("x", 7).customer_id, id(7).parse().unwrap());
            bench.to_async(&runtime).iter(|| async {
                black_box(subject.store.dialog(&customer, &id, &Reach::default()).await.unwrap());
            });
        });
        group.finish();
    }
}

criterion_group!(benches, writes, pages);
criterion_main!(benches);
