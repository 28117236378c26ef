//! `dataapi import`: imports dialogs from another store or system, in constant memory.

mod batch_importer;
mod read_ahead;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use dataapi::StoreError;
use tokio::sync::mpsc::Receiver;

pub(super) use batch_importer::{BATCH_DIALOGS, BatchImporter};
use read_ahead::{ReadBatch, read_ahead};

use crate::args::ImportArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::formats::{FileFormat, ImportLine, read_dialogs};
use crate::interrupt::Interrupt;
use crate::terminal::WorkProgress;

pub(super) async fn run(args: ImportArgs, context: &Context) -> Result<Exit, CommandError> {
    let format = FileFormat::of(args.format, args.excel, &args.file)?;
    let (input, size) = open(&args.file).map_err(CommandError::Input)?;
    let store = context.open_or_create().await?;
    let mut interrupt = Interrupt::watch(context)?;
    let mut progress = WorkProgress::reading(context.quiet, "lines read", size);
    let input = progress.reads(input);
    let max_text_bytes = usize::try_from(args.max_text_bytes).unwrap_or(usize::MAX);
    let batches = read_ahead(move || read_dialogs(input, format, max_text_bytes))
        .map_err(CommandError::Start)?;

    let mut import =
        ImportRun { importer: BatchImporter::new(&*store, interrupt.clone()), done_to: 0 };
    let end = import.all(batches, &mut interrupt, &mut progress).await;
    progress.finish();

    let counts = import.importer.counts();
    context.note(&counts.to_string());
    if import.done_to > 0 && !matches!(end, Ok(ImportEnd::OfInput)) {
        context.note(&format!(
            "lines 1 to {} are done; to continue, run the same import again",
            import.done_to
        ));
    }
    Ok(match end? {
        ImportEnd::Interrupted => Exit::Interrupted,
        ImportEnd::OfInput if counts.refused() > 0 => Exit::SomeRefused,
        ImportEnd::OfInput => Exit::Done,
    })
}

enum ImportEnd {
    OfInput,
    Interrupted,
}

struct ImportRun<'a> {
    importer: BatchImporter<'a>,
    /// The last line whose batch was committed.
    done_to: u64,
}

impl ImportRun<'_> {
    async fn all(
        &mut self,
        mut batches: Receiver<io::Result<ReadBatch>>,
        interrupt: &mut Interrupt,
        progress: &mut WorkProgress,
    ) -> Result<ImportEnd, CommandError> {
        loop {
            let batch = tokio::select! {
                biased;
                () = interrupt.requested() => return Ok(ImportEnd::Interrupted),
                batch = batches.recv() => batch,
            };
            let lines = match batch.ok_or_else(cut_short).flatten().map_err(CommandError::Input)? {
                ReadBatch::Lines(lines) => lines,
                ReadBatch::End => return Ok(ImportEnd::OfInput),
            };
            match self.one(lines, progress).await {
                // The interrupt ended a pause between two tries.
                Err(_) if interrupt.is_requested() => return Ok(ImportEnd::Interrupted),
                outcome => outcome?,
            }
        }
    }

    async fn one(
        &mut self,
        batch: Vec<ImportLine>,
        progress: &mut WorkProgress,
    ) -> Result<(), StoreError> {
        let last = batch.last().map_or(self.done_to, |line| line.last);
        let lines = batch.len() as u64;
        let mut dialogs = Vec::with_capacity(batch.len());
        let mut numbers = Vec::with_capacity(batch.len());
        let mut refused = Vec::new();
        for ImportLine { number, last, dialog } in batch {
            match dialog {
                Ok(dialog) => {
                    dialogs.push(dialog);
                    numbers.push((number, last));
                }
                Err(invalid) => refused.push(((number, last), StoreError::from(invalid))),
            }
        }
        let bad = refused.len();
        let answers = self.importer.take(dialogs).await?;
        self.importer.count_bad(bad as u64);
        self.done_to = last;
        let answers = numbers.into_iter().zip(answers);
        refused.extend(answers.filter_map(|(number, refusal)| Some((number, refusal?))));
        refused.sort_by_key(|(number, _)| *number);
        for ((first, last), refusal) in refused {
            let reason = reason(&refusal);
            progress.say(&if first == last {
                format!("line {first}: {reason}")
            } else {
                format!("lines {first} to {last}: {reason}")
            });
        }
        progress.read(lines);
        Ok(())
    }
}

fn reason(refusal: &StoreError) -> String {
    match refusal {
        StoreError::Exists { .. } => "the dialog id is taken by another dialog".to_owned(),
        other => other.to_string(),
    }
}

fn open(path: &Path) -> io::Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let size = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(file), size))
}

fn cut_short() -> io::Error {
    io::Error::other("the reader stopped before the end; run the import again")
}
