//! Lines of an input, read and parsed on a thread of their own while the store commits the last ones.

use std::io;
use std::mem;
use std::thread;

use tokio::sync::mpsc::{self, Receiver, Sender, error::SendError};

use super::batch_importer::BATCH_DIALOGS;
use crate::formats::{ImportLine, ImportLines};

/// How many bytes of text a batch may reach: a thousand long texts at once are too much memory.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// What the reading thread sends.
pub(super) enum ReadBatch {
    Lines(Vec<ImportLine>),
    /// All of the input was read: without it, the thread has died.
    End,
}

/// Reads batches on a thread of its own: a pipe that gives nothing must not keep Ctrl-C waiting,
/// and the next batch is parsed while the store commits the last.
pub(super) fn read_ahead(
    open: impl FnOnce() -> io::Result<ImportLines> + Send + 'static,
) -> io::Result<Receiver<io::Result<ReadBatch>>> {
    let (sender, receiver) = mpsc::channel(1);
    // After Ctrl-C nobody receives any more: then it ends as well, or with the process.
    thread::Builder::new().spawn(move || send_batches(open(), &sender).unwrap_or_default())?;
    Ok(receiver)
}

fn send_batches(
    lines: io::Result<ImportLines>,
    sender: &Sender<io::Result<ReadBatch>>,
) -> Result<(), SendError<io::Result<ReadBatch>>> {
    let lines = match lines {
        Ok(lines) => lines,
        Err(error) => return sender.blocking_send(Err(error)),
    };
    let mut batch = Vec::new();
    let mut bytes = 0;
    for line in lines {
        match line {
            Ok(line) => {
                bytes +=
                    line.dialog.as_ref().map_or(0, |imported| imported.dialog.text.as_str().len());
                batch.push(line);
            }
            Err(error) => {
                sender.blocking_send(Ok(ReadBatch::Lines(batch)))?;
                return sender.blocking_send(Err(error));
            }
        }
        if batch.len() == BATCH_DIALOGS || bytes >= BATCH_BYTES {
            bytes = 0;
            sender.blocking_send(Ok(ReadBatch::Lines(mem::take(&mut batch))))?;
        }
    }
    sender.blocking_send(Ok(ReadBatch::Lines(batch)))?;
    sender.blocking_send(Ok(ReadBatch::End))
}
