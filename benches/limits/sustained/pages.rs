//! Pages from anywhere in a large store, while inserts go on and without them.

use std::fmt::Write;
use std::path::PathBuf;

use crate::data;
use crate::load::{Requests, Spec};
use crate::outcome::Outcome;
use crate::report::Goal;
use crate::sustained::results::Results;
use crate::sustained::stage::{FRESH, HALF, LONGER, RATE_SHARE, SHARE, Stage};

const ROWS: [(&str, &str, u32); 2] = [
    ("pages of 20 beside inserts", "pages of 20, the same without inserts", 20),
    ("pages of 100 beside inserts", "pages of 100, the same without inserts", 100),
];

const MOST_CURSORS: usize = 500_000;

pub(crate) struct Pages {
    large: PathBuf,
    cursors: PathBuf,
}

impl Pages {
    pub(crate) fn prepare(stage: &Stage<'_>, results: &Results) -> Outcome<Self> {
        let [large, cursors] =
            ["large.db", "cursors"].map(|name| stage.bench.folder.path().join(name));
        if results.wants(&ROWS.map(|(row, ..)| row)) {
            let dialogs = stage.bench.args.dialogs;
            eprintln!("building a store of {dialogs} dialogs");
            stage.bench.runtime.block_on(data::build(&large, dialogs, 0))?;
            let mut lines = String::new();
            for number in data::shuffled(dialogs).take(MOST_CURSORS) {
                writeln!(lines, "{}", data::cursor_after(number))?;
            }
            std::fs::write(&cursors, lines)?;
        }
        Ok(Self { large, cursors })
    }

    pub(crate) fn measure(&self, stage: &mut Stage<'_>, results: &mut Results) -> Outcome<()> {
        for (row, alone, length) in ROWS {
            if results.wants(&[row]) {
                self.pages(stage, results, (row, alone, length))?;
            }
        }
        data::remove(&stage.store)
    }

    fn pages(
        &self,
        stage: &mut Stage<'_>,
        results: &mut Results,
        (row, alone, length): (&'static str, &str, u32),
    ) -> Outcome<()> {
        let inserts_rate = stage.insert_rate()? * HALF;
        let server = stage.serve_copy(&self.large)?;
        let prefix = format!("/data/?limit={length}&cursor=");
        let requests = Requests::Targets { prefix, file: self.cursors.clone(), from: 0 };
        let pages = stage.load(server.address, requests);
        let closed = Spec { seconds: pages.seconds * RATE_SHARE, ..pages.clone() }.run()?;
        results.load(&format!("pages of {length}, closed loop"), None, &closed);
        // Each load by itself uses the whole machine. Inserts at half of their rate leave the other half to pages.
        let rate = Some(closed.per_second * (1.0 - HALF) * SHARE);
        let pages = Spec { rate, ..pages };
        let rest = pages.run()?;
        let inserts = Spec {
            seconds: pages.seconds + LONGER,
            rate: Some(inserts_rate),
            ..stage.inserts(server.address, FRESH)
        };
        let inserts = inserts.start()?;
        let busy = pages.run()?;
        let inserts = inserts.finish()?;
        results.load(row, rate, &busy);
        let beside = format!("the inserts beside pages of {length}");
        results.load(&beside, Some(inserts_rate), &inserts);
        results.load(alone, rate, &rest);
        let tail = busy.p99_ms / rest.p50_ms;
        results.figure(row, ("p99, of p50 without inserts", ""), tail, Some(Goal::AtMost(3.0)));
        Ok(())
    }
}
