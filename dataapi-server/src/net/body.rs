//! The bodies of requests: how much of one is read, and for how long.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use tokio::time::{Instant, timeout_at};

use crate::net::buffers::{Buffers, Room};
use crate::problem::Problem;

/// Bounds of a body on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    bytes: usize,
    time: Duration,
}

impl BodyLimits {
    /// A byte of text takes at most six in JSON (`\u0001`); the rest is room for all else.
    pub(crate) fn new(max_text_bytes: usize, time: Duration) -> Self {
        Self { bytes: max_text_bytes.saturating_mul(6).saturating_add(16 * 1024), time }
    }
}

/// A body on its way in.
pub(crate) trait RequestBody: Send {
    /// Its next part, once that is there.
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokeOff>>>;

    /// Reads on for a moment, so that a client which first sends all and then looks gets to see the
    /// answer: a connection closed with bytes unread is reset, and the answer with it.
    fn discard(&mut self, at_most: usize);
}

/// The connection ended before the body did.
#[derive(Debug)]
pub(crate) struct BrokeOff;

/// A body as a stream; none once it is discarded.
pub(crate) struct Chunks<S>(Option<S>);

impl<S> Chunks<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(Some(stream))
    }
}

impl<S> RequestBody for Chunks<S>
where
    S: Stream<Item = Result<Bytes, BrokeOff>> + Send + Unpin + 'static,
{
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokeOff>>> {
        match &mut self.0 {
            Some(stream) => stream.poll_next_unpin(context),
            None => Poll::Ready(None),
        }
    }

    fn discard(&mut self, at_most: usize) {
        let Some(mut stream) = self.0.take() else { return };
        tokio::spawn(async move {
            let deadline = Instant::now() + Duration::from_secs(1);
            let mut discarded = 0;
            while let Ok(Some(Ok(chunk))) = timeout_at(deadline, stream.next()).await {
                discarded += chunk.len();
                if discarded > at_most {
                    break;
                }
            }
        });
    }
}

/// Reads a whole body; it has its room until that is dropped.
pub(crate) async fn read(
    body: &mut dyn RequestBody,
    headers: &HeaderMap,
    limits: BodyLimits,
    buffers: &Buffers,
) -> Result<(Vec<u8>, Room), Problem> {
    let deadline = Instant::now() + limits.time;
    let announced = announced_length(headers);
    if announced.is_some_and(|length| length > limits.bytes as u64) {
        // A client that waits to be told to go on has sent nothing, and learns enough from this.
        if !headers.contains_key(EXPECT) {
            body.discard(limits.bytes);
        }
        return Err(Problem::body_too_large(limits.bytes));
    }
    let announced = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    // What a client announces is not yet what it sends.
    let mut whole = Vec::with_capacity(announced.min(64 * 1024));
    let mut room = buffers.body();
    loop {
        let next = poll_fn(|context| body.poll_chunk(context));
        let chunk = match timeout_at(deadline, next).await {
            Err(_) => return Err(Problem::body_timeout()),
            Ok(None) => return Ok((whole, room)),
            Ok(Some(Err(BrokeOff))) => return Err(Problem::body_broke_off()),
            Ok(Some(Ok(chunk))) => chunk,
        };
        if chunk.len() > limits.bytes - whole.len() {
            body.discard(limits.bytes);
            return Err(Problem::body_too_large(limits.bytes));
        }
        if let Err(full) = room.grow(chunk.len()) {
            body.discard(limits.bytes);
            return Err(full);
        }
        whole.extend_from_slice(&chunk);
    }
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
