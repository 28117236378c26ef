//! Measures import and export by the command line, against SQLite alone doing the same.

use std::path::{Path, PathBuf};

use crate::bench::Bench;
use crate::data;
use crate::outcome::Outcome;
use crate::raw::Raw;
use crate::report::{EXPORT, IMPORT, IMPORT_MEMORY, Report};

const IMPORT_MEGABYTES: f64 = 100.0;

pub(crate) struct Bulk<'b> {
    bench: &'b Bench,
    large: &'b Path,
    lines: PathBuf,
}

pub(crate) fn wants_large_store(report: &Report) -> bool {
    report.wants(&[EXPORT])
}

impl<'b> Bulk<'b> {
    pub(crate) fn prepare(bench: &'b Bench, large: &'b Path, report: &Report) -> Outcome<Self> {
        let lines = bench.folder.path().join("import.jsonl");
        if report.wants(&[IMPORT, IMPORT_MEMORY]) {
            data::write_lines(&lines, bench.args.dialogs)?;
        }
        Ok(Self { bench, large, lines })
    }

    pub(crate) fn measure(&self, report: &mut Report) -> Outcome<()> {
        if report.wants(&[IMPORT, IMPORT_MEMORY]) {
            self.import(report)?;
        }
        if report.wants(&[EXPORT]) {
            self.export(report)?;
        }
        Ok(())
    }

    fn import(&self, report: &mut Report) -> Outcome<()> {
        let store = self.bench.folder.path().join("imported.db");
        let limit = {
            self.bench.runtime.block_on(data::build(&store, 0, 0))?;
            Raw::open(&store)?.import(&self.lines)?
        };
        data::remove(&store)?;
        self.bench.runtime.block_on(data::build(&store, 0, 0))?;
        let arguments = ["import", text(&self.lines)?];
        let (took, peak) = self.bench.programs.command(&store, &arguments)?;
        data::remove(&store)?;
        report.add(IMPORT, limit, self.bench.args.dialogs as f64 / took.as_secs_f64());
        report.add(IMPORT_MEMORY, IMPORT_MEGABYTES, peak as f64 / 1e6);
        Ok(())
    }

    fn export(&self, report: &mut Report) -> Outcome<()> {
        let lines = self.bench.folder.path().join("export.jsonl");
        let limit = Raw::open(self.large)?.export(&lines)?;
        let by_raw = count(&lines)?;
        let arguments = ["export", "--output", text(&lines)?];
        let (took, _) = self.bench.programs.command(self.large, &arguments)?;
        // The last line is the manifest.
        let by_product = count(&lines)? - 1;
        std::fs::remove_file(&lines)?;
        if by_raw != by_product {
            return Err(format!("{by_product} dialogs exported instead of {by_raw}").into());
        }
        report.add(EXPORT, limit, by_product as f64 / took.as_secs_f64());
        Ok(())
    }
}

fn count(lines: &Path) -> Outcome<u64> {
    use std::io::BufRead;
    let mut file = std::io::BufReader::new(std::fs::File::open(lines)?);
    let mut count = 0;
    while file.skip_until(b'\n')? > 0 {
        count += 1;
    }
    Ok(count)
}

fn text(path: &Path) -> Outcome<&str> {
    Ok(path.to_str().ok_or("the path of Cargo's target folder is not UTF-8")?)
}
