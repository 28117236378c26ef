//! Reads and parses the next lines of an input on another thread while the store commits the previous ones.

use std::io;
use std::mem;
use std::thread;

use tokio::sync::mpsc::{self, Receiver, Sender, error::SendError};

use super::batch_importer::BATCH_DIALOGS;
use crate::formats::{ImportLine, ImportLines};

/// How many bytes of text fill a batch: a thousand long texts at once would take too much memory.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// A message of the reading thread.
pub(super) enum ReadBatch {
    Lines(Vec<ImportLine>),
    /// The whole input was read. If the channel closes without this, the thread has died.
    End,
}

/// Reads batches on another thread, so that a silent pipe does not delay Ctrl-C, and the next batch is parsed
/// while the store commits the previous one.
pub(super) fn read_ahead(
    open: impl FnOnce() -> io::Result<ImportLines> + Send + 'static,
) -> io::Result<Receiver<io::Result<ReadBatch>>> {
    let (sender, receiver) = mpsc::channel(1);
    // After Ctrl-C nobody receives any more, and the thread ends at its next message or with the process.
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
