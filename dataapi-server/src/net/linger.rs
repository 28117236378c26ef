//! The end of a connection whose client may still be sending: a connection that is closed with unread bytes is reset,
//! and a client that sends its whole request before it reads would lose the answer.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, timeout_at};

/// How long a client may be silent, and take in all.
const SILENCE: Duration = Duration::from_secs(2);
const TIME: Duration = Duration::from_secs(30);

/// How many bytes are read at most.
const BYTES: usize = 64 << 20;

/// How many bytes are read at once.
const PART: usize = 8 * 1024;

/// Reads and discards what the client sends, until it closes the connection.
pub(crate) async fn linger(mut stream: impl AsyncRead + Unpin) {
    let end = Instant::now() + TIME;
    let mut part = vec![0; PART];
    let mut read_so_far = 0;
    while read_so_far < BYTES {
        let patience = end.min(Instant::now() + SILENCE);
        match timeout_at(patience, read(&mut stream, &mut part)).await {
            Ok(Ok(bytes)) if bytes > 0 => read_so_far += bytes,
            _ => return,
        }
    }
}

/// Whether the client has sent something that nobody has read. Reads a byte of it.
pub(crate) fn has_more(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    matches!(read(stream, &mut [0]).now_or_never(), Some(Ok(1)))
}

async fn read(stream: &mut (impl AsyncRead + Unpin), part: &mut [u8]) -> io::Result<usize> {
    poll_fn(|context| {
        let mut buffer = ReadBuf::new(part);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    })
    .await
}
