//! `dataapi import`: dialogs of another store or system, in constant memory.

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::path::Path;
use std::thread;

use dataapi::StoreError;
use tokio::sync::mpsc::{self, Receiver, Sender, error::SendError};

use crate::args;
use crate::context::Context;
use crate::error::CommandError;
use crate::exchange::{self, Format, Line, Lines};
use crate::exit::Exit;
use crate::intake::{BATCH, Intake};
use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// How many bytes of text a batch may reach: a thousand long texts at once are too much memory.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

pub(super) async fn run(args: args::Import, context: &Context) -> Result<Exit, CommandError> {
    let format = Format::of(args.format, &args.file);
    let (input, size) = open(&args.file).map_err(CommandError::Input)?;
    let store = context.open_or_create().await?;
    let mut interrupt = Interrupt::watch(context)?;
    let mut progress = Progress::reading(context, "lines read", size);
    let input = progress.reads(input);
    let max_text_bytes = usize::try_from(args.max_text_bytes).unwrap_or(usize::MAX);
    let batches = read_ahead(move || exchange::read(input, format, max_text_bytes))
        .map_err(CommandError::Start)?;

    let mut import = Import { intake: Intake::new(&*store, interrupt.clone()), done_to: 0 };
    let end = import.all(batches, &mut interrupt, &mut progress).await;
    progress.finish();

    let tally = import.intake.tally();
    context.note(&tally.to_string());
    if import.done_to > 0 && !matches!(end, Ok(End::OfInput)) {
        context.note(&format!(
            "lines 1 to {} are done and stay so; to go on, run the same import again",
            import.done_to
        ));
    }
    Ok(match end? {
        End::Interrupted => Exit::Interrupted,
        End::OfInput if tally.refused() > 0 => Exit::SomeRefused,
        End::OfInput => Exit::Done,
    })
}

enum End {
    OfInput,
    Interrupted,
}

struct Import<'a> {
    intake: Intake<'a>,
    /// The last line whose batch was committed.
    done_to: u64,
}

impl Import<'_> {
    async fn all(
        &mut self,
        mut batches: Receiver<io::Result<Batch>>,
        interrupt: &mut Interrupt,
        progress: &mut Progress,
    ) -> Result<End, CommandError> {
        loop {
            let batch = tokio::select! {
                biased;
                () = interrupt.requested() => return Ok(End::Interrupted),
                batch = batches.recv() => batch,
            };
            let lines = match batch.ok_or_else(cut_short).flatten().map_err(CommandError::Input)? {
                Batch::Lines(lines) => lines,
                Batch::End => return Ok(End::OfInput),
            };
            match self.one(lines, progress).await {
                // It was given up while it waited for the store, as was asked.
                Err(_) if interrupt.is_requested() => return Ok(End::Interrupted),
                outcome => outcome?,
            }
        }
    }

    async fn one(&mut self, batch: Vec<Line>, progress: &mut Progress) -> Result<(), StoreError> {
        let last = batch.last().map_or(self.done_to, |line| line.last);
        let lines = batch.len() as u64;
        let mut dialogs = Vec::with_capacity(batch.len());
        let mut numbers = Vec::with_capacity(batch.len());
        let mut refused = Vec::new();
        for Line { number, last, content } in batch {
            match content {
                Ok(dialog) => {
                    dialogs.push(dialog);
                    numbers.push((number, last));
                }
                Err(invalid) => refused.push(((number, last), StoreError::from(invalid))),
            }
        }
        let bad = refused.len();
        let answers = self.intake.take(dialogs).await?;
        self.intake.count_bad(bad as u64);
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

/// What the reading thread sends.
enum Batch {
    Lines(Vec<Line>),
    /// All of the input was read: without it, the thread has died.
    End,
}

fn cut_short() -> io::Error {
    io::Error::other("the reading ended before the input did")
}

/// Reads batches on a thread of its own: a pipe that gives nothing must not keep Ctrl-C waiting,
/// and the next batch is parsed while the store commits the last.
fn read_ahead(
    open: impl FnOnce() -> io::Result<Lines> + Send + 'static,
) -> io::Result<Receiver<io::Result<Batch>>> {
    let (sender, receiver) = mpsc::channel(1);
    // After Ctrl-C nobody receives any more: then it ends as well, or with the process.
    thread::Builder::new().spawn(move || send_batches(open(), &sender).unwrap_or_default())?;
    Ok(receiver)
}

fn send_batches(
    lines: io::Result<Lines>,
    sender: &Sender<io::Result<Batch>>,
) -> Result<(), SendError<io::Result<Batch>>> {
    let lines = match lines {
        Ok(lines) => lines,
        Err(error) => return sender.blocking_send(Err(error)),
    };
    let mut batch = Vec::new();
    let mut bytes = 0;
    for line in lines {
        match line {
            Ok(line) => {
                bytes += line.content.as_ref().map_or(0, |line| line.dialog.text.as_str().len());
                batch.push(line);
            }
            Err(error) => {
                sender.blocking_send(Ok(Batch::Lines(batch)))?;
                return sender.blocking_send(Err(error));
            }
        }
        if batch.len() == BATCH || bytes >= BATCH_BYTES {
            bytes = 0;
            sender.blocking_send(Ok(Batch::Lines(mem::take(&mut batch))))?;
        }
    }
    sender.blocking_send(Ok(Batch::Lines(batch)))?;
    sender.blocking_send(Ok(Batch::End))
}
