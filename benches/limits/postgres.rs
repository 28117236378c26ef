//! Measures the product on PostgreSQL, and `pgbench` with equivalent statements on the same cluster.

use dataapi::{DialogStore, ImportedDialog, OpenOptions};
use postgres_cluster::{Cluster, Settings};

use crate::bench::Bench;
use crate::data::{self, CONSENTED, Space};
use crate::load::{Answer, Requests, Spec};
use crate::outcome::Outcome;
use crate::pgbench::{INSERT, Rival, name_of};
use crate::product::Server;
use crate::report::{
    PG_PAGE_GROWTH, PG_PAGE_LARGE, PG_PAGE_SMALL, PG_POST_1, PG_POST_64, PG_POST_TWO, PG_YES,
    Report,
};
use crate::{chart, report};

/// How many clients pgbench and the load generator have.
const CLIENTS: usize = 64;

const SMALL: u64 = 10_000;

/// More decisions a second than the measurement makes.
const DECISIONS_A_SECOND: f64 = 20_000.0;

/// The space of new dialogs, and that of dialogs to decide on.
const FRESH: Space = Space(3);
const UNDECIDED: Space = Space(4);

/// The product's page, as two statements in one snapshot.
const PAGE: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT dialog_id, customer_id, language, text, date, state FROM dataapi.dialog
 WHERE state = 2 ORDER BY date DESC, dialog_id DESC LIMIT 101;
SELECT coalesce(sum(n), 0)::bigint FROM dataapi.tally WHERE state = 2;
COMMIT;
";

/// Measures all rows in each round, so that a disturbance of the machine affects one round of all rows, and not all
/// rounds of one row.
pub(crate) fn measure(bench: &Bench) -> Outcome<()> {
    let cluster = start_cluster()?;
    let fill = |consented| -> Outcome<String> {
        let url = cluster.new_database()?;
        eprintln!("building a store of {consented} dialogs");
        bench.runtime.block_on(build(&url, consented))?;
        cluster.sql(name_of(&url), "VACUUM ANALYZE")?;
        Ok(url)
    };
    let (small, large) = (fill(SMALL)?, fill(bench.args.dialogs)?);
    let rival = Rival::new(&cluster, bench.folder.path())?;
    let mut report = Report::new(bench.args.only.clone());
    for round in 1..=bench.args.rounds {
        eprintln!("round {round} of {}", bench.args.rounds);
        writes(bench, &cluster, &rival, &mut report)?;
        pages(bench, &rival, [&small, &large], &mut report)?;
    }
    let rows = report.rows();
    println!("{}", report::table(&rows));
    report::write_json(&bench.results.join("postgres.json"), &rows)?;
    chart::rows(&bench.results.join("postgres.svg"), &rows)?;
    println!("written: postgres.json and postgres.svg in {}", bench.results.display());
    Ok(())
}

/// Starts a cluster that commits with an fsync, and whose checkpoints do not fall into short measurements.
pub(crate) fn start_cluster() -> Outcome<Cluster> {
    let settings = Settings {
        durable: true,
        extra: [
            ("shared_buffers", "1GB"),
            ("max_wal_size", "4GB"),
            ("checkpoint_timeout", "30min"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
    };
    Ok(Cluster::start(&settings)?)
}

fn writes(bench: &Bench, cluster: &Cluster, rival: &Rival<'_>, report: &mut Report) -> Outcome<()> {
    let seconds = bench.args.seconds;
    // Each measurement has its own empty database.
    let empty = || -> Outcome<String> {
        let url = cluster.new_database()?;
        bench.runtime.block_on(build(&url, 0))?;
        Ok(url)
    };
    let posts = |server: &Server, space: Space, connections| {
        let spec = Spec::new(server.address, seconds, Requests::Insert { space: space.0 });
        Spec { connections, ..spec }
    };
    if report.wants(&[PG_POST_64, PG_POST_TWO]) {
        let limit = rival.run(&empty()?, INSERT, CLIENTS, seconds)?;
        let url = empty()?;
        let server = bench.programs.serve_url(&url)?;
        let seen = posts(&server, FRESH, CLIENTS).run()?;
        report.add(PG_POST_64, limit, seen.per_second);
        drop(server);
        let url = empty()?;
        let servers = [bench.programs.serve_url(&url)?, bench.programs.serve_url(&url)?];
        let running = [
            posts(&servers[0], FRESH, CLIENTS / 2).start()?,
            posts(&servers[1], UNDECIDED, CLIENTS / 2).start()?,
        ];
        let mut both = 0.0;
        for load in running {
            both += load.finish()?.per_second;
        }
        report.add(PG_POST_TWO, limit, both);
    }
    if report.wants(&[PG_POST_1]) {
        let limit = rival.run(&empty()?, INSERT, 1, seconds)?;
        let server = bench.programs.serve_url(&empty()?)?;
        report.add(PG_POST_1, limit, posts(&server, FRESH, 1).run()?.per_second);
    }
    if report.wants(&[PG_YES]) {
        let limit = rival.run(&empty()?, INSERT, CLIENTS, seconds)?;
        let url = empty()?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few thousand"
        )]
        let count = (DECISIONS_A_SECOND * (seconds + 1.0)) as u64;
        bench.runtime.block_on(fill(&url, count, |number| ImportedDialog {
            dialog: UNDECIDED.dialog(number),
            date: None,
            consented: false,
        }))?;
        let server = bench.programs.serve_url(&url)?;
        let answer = Answer::Yes;
        let requests = Requests::Decide { space: UNDECIDED.0, from: 0, to: count, answer };
        report.add(PG_YES, limit, Spec::new(server.address, seconds, requests).run()?.per_second);
    }
    Ok(())
}

fn pages(bench: &Bench, rival: &Rival<'_>, stores: [&str; 2], report: &mut Report) -> Outcome<()> {
    if !report.wants(&[PG_PAGE_SMALL, PG_PAGE_LARGE, PG_PAGE_GROWTH]) {
        return Ok(());
    }
    let mut taken = Vec::new();
    for (name, url) in [PG_PAGE_SMALL, PG_PAGE_LARGE].into_iter().zip(stores) {
        let limit = rival.run(url, PAGE, CLIENTS, bench.args.seconds)?;
        let server = bench.programs.serve_url(url)?;
        let requests = Requests::Get("/data/?limit=100".into());
        let seen = Spec::new(server.address, bench.args.seconds, requests).run()?;
        report.add(name, limit, seen.per_second);
        taken.push(1_000.0 / seen.per_second);
    }
    if let [small, large] = taken[..] {
        report.add(PG_PAGE_GROWTH, small, large);
    }
    Ok(())
}

pub(crate) async fn build(url: &str, consented: u64) -> Outcome<()> {
    fill(url, consented, |number| ImportedDialog {
        dialog: CONSENTED.dialog(number),
        date: Some(data::date(number)),
        consented: true,
    })
    .await
}

async fn fill(url: &str, count: u64, dialog: impl Fn(u64) -> ImportedDialog) -> Outcome<()> {
    let store = OpenOptions::default().open(url).await?;
    data::import(&*store as &dyn DialogStore, count, dialog).await
}
