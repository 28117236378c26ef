//! Withdrawals under load: beside inserts, and as half of all decisions. The files are searched for what is withdrawn.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::data::{self, Space};
use crate::load::{Answer, Requests, Spec};
use crate::markers::Markers;
use crate::outcome::Outcome;
use crate::product::Server;
use crate::report::Goal;
use crate::sustained::results::Results;
use crate::sustained::stage::{FRESH, LONGER, RATE_SHARE, SHARE, Stage, WARM_UP};
use crate::sustained::watch::{ErasureWatch, Watched};
use crate::tally::Seen;
use crate::writes::whole;

const BESIDE: &str = "inserts at 80 %, 1,000 withdrawals/s";
const DECISIONS: &str = "decisions at 80 %, half withdrawals";

const UNDECIDED: Space = Space::in_order(2);
const WITHDRAWALS_A_SECOND: f64 = 1_000.0;
/// As many decisions a second as there are pending dialogs for.
const DECISIONS_A_SECOND: f64 = 15_000.0;

pub(crate) struct Withdrawals {
    few: PathBuf,
    many: PathBuf,
    few_count: u64,
    many_count: u64,
    progress: PathBuf,
}

impl Withdrawals {
    pub(crate) fn prepare(stage: &Stage<'_>, results: &Results) -> Outcome<Self> {
        let [few, many, progress] =
            ["few.db", "many.db", "progress"].map(|name| stage.bench.folder.path().join(name));
        let seconds = stage.bench.args.seconds + WARM_UP;
        let few_count = whole(WITHDRAWALS_A_SECOND * (seconds + LONGER));
        let many_count = whole(DECISIONS_A_SECOND * seconds);
        for (row, path, count) in [(BESIDE, &few, few_count), (DECISIONS, &many, many_count)] {
            if results.wants(&[row]) {
                eprintln!("building a store of {count} pending dialogs");
                stage.bench.runtime.block_on(data::build_marked(path, UNDECIDED, count))?;
            }
        }
        Ok(Self { few, many, few_count, many_count, progress })
    }

    pub(crate) fn measure(&self, stage: &mut Stage<'_>, results: &mut Results) -> Outcome<()> {
        if results.wants(&[BESIDE]) {
            self.beside_inserts(stage, results)?;
        }
        if results.wants(&[DECISIONS]) {
            self.decisions(stage, results)?;
        }
        data::remove(&stage.store)
    }

    fn beside_inserts(&self, stage: &mut Stage<'_>, results: &mut Results) -> Outcome<()> {
        let rate = stage.insert_rate()? * SHARE;
        let server = stage.serve_copy(&self.few)?;
        let withdrawals = Spec {
            connections: 16,
            seconds: stage.bench.args.seconds + LONGER,
            rate: Some(WITHDRAWALS_A_SECOND),
            ..self.decide(stage, server.address, self.few_count, Answer::No)
        };
        let inserts = Spec { rate: Some(rate), ..stage.inserts(server.address, FRESH) };
        let (seen, beside) = self.watched(stage, results, (BESIDE, false), &server, || {
            let withdrawals = withdrawals.start()?;
            let seen = inserts.run()?;
            Ok((seen, withdrawals.finish()?))
        })?;
        results.load(BESIDE, Some(rate), &seen);
        results.load("the withdrawals beside them", Some(WITHDRAWALS_A_SECOND), &beside);
        tails(stage, results, BESIDE, &seen);
        all_taken(&beside)
    }

    fn decisions(&self, stage: &Stage<'_>, results: &mut Results) -> Outcome<()> {
        let full = match stage.bench.args.decision_rate {
            Some(rate) => rate,
            None => self.full_rate(stage, results)?,
        };
        let most = self.many_count as f64 / (stage.bench.args.seconds + WARM_UP);
        if full * SHARE > most {
            eprintln!("warning: there are too few dialogs for {:.0} decisions/s", full * SHARE);
        }
        let rate = (full * SHARE).min(most);
        let server = stage.serve_copy(&self.many)?;
        let spec = Spec {
            rate: Some(rate),
            ..self.decide(stage, server.address, self.many_count, Answer::Both)
        };
        let seen = self.watched(stage, results, (DECISIONS, true), &server, || spec.run())?;
        results.load(DECISIONS, Some(rate), &seen);
        tails(stage, results, DECISIONS, &seen);
        all_taken(&seen)
    }

    fn full_rate(&self, stage: &Stage<'_>, results: &mut Results) -> Outcome<f64> {
        let server = stage.serve_copy(&self.many)?;
        let seconds = stage.bench.args.seconds * RATE_SHARE;
        let decide = self.decide(stage, server.address, self.many_count, Answer::Both);
        let seen = Spec { seconds, ..decide }.run()?;
        results.load("decisions, half withdrawals, closed loop", None, &seen);
        Ok(seen.per_second)
    }

    fn decide(&self, stage: &Stage<'_>, address: SocketAddr, to: u64, answer: Answer) -> Spec {
        let requests = Requests::Decide { space: UNDECIDED.0, from: 0, to, answer };
        Spec { progress: Some(self.progress.clone()), ..stage.load(address, requests) }
    }

    /// Runs a load while the files are searched for what it withdrew: all its dialogs, or those with odd numbers. Fails
    /// if something was found.
    fn watched<T>(
        &self,
        stage: &Stage<'_>,
        results: &mut Results,
        (row, odd): (&'static str, bool),
        server: &Server,
        load: impl FnOnce() -> Outcome<T>,
    ) -> Outcome<T> {
        std::fs::write(&self.progress, format!("{:020}", 0))?;
        let within = stage.bench.args.erase_within;
        let watch = ErasureWatch::start(
            &stage.store,
            server.address,
            &self.progress,
            Markers::of(UNDECIDED, odd),
            Duration::from_secs_f64(within),
        );
        let done = load();
        let watched = watch.finish()?;
        let done = done?;
        let look = watched.looking.as_secs_f64() * 1_000.0 / f64::from(watched.looks.max(1));
        results.figure(row, ("processor time of a look into all files", "ms"), look, None);
        let goal = Some(Goal::AtMost(within));
        results.figure(row, ("oldest unscrubbed erasure", "s"), watched.oldest_unscrubbed, goal);
        if watched.left > 0 {
            let Watched { left, looks, .. } = watched;
            return Err(format!(
                "{row}: the files still had {left} ids of dialogs withdrawn more than {within} s before \
                 one of {looks} looks"
            )
            .into());
        }
        Ok(done)
    }
}

fn tails(stage: &Stage<'_>, results: &mut Results, row: &'static str, seen: &Seen) {
    let p99 = stage.of_reference(seen.p99_ms);
    results.figure(row, ("p99, of the reference", ""), p99, Some(Goal::AtMost(4.0)));
    results.figure(row, ("p99.9", "ms"), seen.p999_ms, Some(Goal::AtMost(15.0)));
}

/// What was refused was not withdrawn, and may be found.
fn all_taken(seen: &Seen) -> Outcome<()> {
    if seen.errors.is_empty() {
        return Ok(());
    }
    Err(format!("decisions were refused, by status: {:?}", seen.errors).into())
}
