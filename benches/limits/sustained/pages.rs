//! Pages from anywhere in a large store, while inserts go on and without them.

use std::fmt::Write;
use std::path::PathBuf;

use crate::data::{self, Space};
use crate::load::{Requests, Spec};
use crate::outcome::Outcome;
use crate::report::Goal;
use crate::sustained::results::Results;
use crate::sustained::stage::{HALF, LONGER, RATE_SHARE, SHARE, Stage, WARM_UP};

const ROWS: [(&str, &str, u32); 2] = [
    ("pages of 20 at 80 %, inserts at half", "pages of 20, the same without inserts", 20),
    ("pages of 100 at 80 %, inserts at half", "pages of 100, the same without inserts", 100),
];

/// The spaces of the inserts: two loads go to one store.
const FRESH: [Space; 2] = [Space::in_order(5), Space::in_order(6)];
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
        let half = stage.insert_rate()? * HALF;
        let server = stage.serve_copy(&self.large)?;
        let prefix = format!("/data/?limit={length}&cursor=");
        let requests = Requests::Targets { prefix, file: self.cursors.clone(), from: 0 };
        let pages = stage.load(server.address, requests);
        let beside_inserts = |space, pages: &Spec| -> Outcome<_> {
            let inserts = Spec {
                seconds: pages.warm_up + pages.seconds + LONGER - WARM_UP,
                rate: Some(half),
                ..stage.inserts(server.address, space)
            };
            let inserts = inserts.start()?;
            let seen = pages.run()?;
            Ok((seen, inserts.finish()?))
        };
        // Pages at this rate and inserts at theirs share the machine, so this is the rate of pages beside inserts.
        let closed = Spec { seconds: pages.seconds * RATE_SHARE, ..pages.clone() };
        let (closed, _) = beside_inserts(FRESH[0], &closed)?;
        let rate = Some(closed.per_second * SHARE);
        let open = Spec { rate, ..pages };
        let (busy, inserts) = beside_inserts(FRESH[1], &open)?;
        results.load(row, rate, &busy);
        results.load(&format!("the inserts beside pages of {length}"), Some(half), &inserts);
        let rest = open.run()?;
        results.load(alone, rate, &rest);
        let tail = busy.p99_ms / rest.p50_ms;
        results.figure(row, ("p99, of p50 without inserts", ""), tail, Some(Goal::AtMost(3.0)));
        Ok(())
    }
}
