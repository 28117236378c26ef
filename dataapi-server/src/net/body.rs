//! Reads the bodies of requests, within limits of size and time.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use crate::net::codings::{Coding, DecodeError};
use crate::net::shares::Taken;
use crate::problem::Problem;

/// The maximum number of bytes that are skipped of a body that nobody wants.
const SKIPPED: usize = 64 * 1024;

/// The limits of a body as it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    bytes: usize,
    time: Duration,
}

impl BodyLimits {
    /// Derives the maximum length of a body: a byte of text takes at most six in JSON (`\u0001`), and 16 KiB are for
    /// everything else.
    pub(crate) fn new(max_text_bytes: usize, time: Duration) -> Self {
        Self { bytes: max_text_bytes.saturating_mul(6).saturating_add(16 * 1024), time }
    }
}

/// A body that is being received.
pub(crate) trait RequestBody: Send {
    /// Polls for the next part of the body.
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokeOff>>>;

    /// Skips what has arrived of the rest of the body, without waiting for more of it, and lets go of the body. Returns
    /// whether the whole body has arrived: if not, the connection cannot be used for another request.
    fn poll_whole(&mut self, context: &mut Context<'_>) -> bool;
}

/// The connection ended before the body did.
#[derive(Debug)]
pub(crate) struct BrokeOff;

/// A body as a stream.
pub(crate) struct Chunks<S> {
    /// `None` once the body has ended or nobody wants it.
    stream: Option<S>,
    is_whole: bool,
}

impl<S> Chunks<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream: Some(stream), is_whole: false }
    }
}

impl<S> RequestBody for Chunks<S>
where
    S: Stream<Item = Result<Bytes, BrokeOff>> + Send + Unpin + 'static,
{
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokeOff>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let chunk = ready!(stream.poll_next_unpin(context));
        if !matches!(chunk, Some(Ok(_))) {
            self.stream = None;
            self.is_whole = chunk.is_none();
        }
        Poll::Ready(chunk)
    }

    fn poll_whole(&mut self, context: &mut Context<'_>) -> bool {
        let mut skipped = 0;
        while let Poll::Ready(Some(Ok(chunk))) = self.poll_chunk(context) {
            skipped += chunk.len();
            if skipped > SKIPPED {
                break;
            }
        }
        self.stream = None;
        self.is_whole
    }
}

/// Does what [`RequestBody::poll_whole`] says.
pub(crate) async fn is_whole(body: &mut impl RequestBody) -> bool {
    poll_fn(|context| Poll::Ready(body.poll_whole(context))).await
}

/// What a body that is decoded on the thread that reads it can have at most, in bytes.
const DECODED_HERE: usize = 1 << 20;

/// Reads a whole body into `room`, and decodes it. It counts as held in memory until the room is given back.
pub(crate) async fn read(
    body: &mut dyn RequestBody,
    headers: &HeaderMap,
    limits: BodyLimits,
    room: Taken,
) -> Result<(Vec<u8>, Taken), Problem> {
    let coding = Coding::of_body(headers).map_err(|()| Problem::unknown_coding())?;
    let (sent, room) = read_as_sent(body, headers, limits, room).await?;
    match coding {
        None => Ok((sent, room)),
        Some(coding) if limits.bytes <= DECODED_HERE => decode(coding, &sent, limits, room),
        Some(coding) => spawn_blocking(move || decode(coding, &sent, limits, room))
            .await
            .map_err(Problem::internal)?,
    }
}

fn decode(
    coding: Coding,
    sent: &[u8],
    limits: BodyLimits,
    mut room: Taken,
) -> Result<(Vec<u8>, Taken), Problem> {
    let decoded = coding.decode(sent, limits.bytes, |more| room.grow(more).is_ok());
    let decoded = decoded.map_err(|wrong| match wrong {
        DecodeError::Invalid => Problem::wrong_coding(),
        DecodeError::TooLong => Problem::decoded_body_too_large(limits.bytes),
        DecodeError::NoRoom => Problem::no_room(),
    })?;
    room.shrink_to(decoded.len());
    Ok((decoded, room))
}

async fn read_as_sent(
    body: &mut dyn RequestBody,
    headers: &HeaderMap,
    limits: BodyLimits,
    mut room: Taken,
) -> Result<(Vec<u8>, Taken), Problem> {
    let deadline = Instant::now() + limits.time;
    let announced = announced_length(headers);
    if announced.is_some_and(|length| length > limits.bytes as u64) {
        return Err(Problem::body_too_large(limits.bytes));
    }
    let announced = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    // A client can announce more than it sends.
    let mut whole = Vec::with_capacity(announced.min(64 * 1024));
    loop {
        let next = poll_fn(|context| body.poll_chunk(context));
        let chunk = match timeout_at(deadline, next).await {
            Err(_) => return Err(Problem::body_timeout()),
            Ok(None) => return Ok((whole, room)),
            Ok(Some(Err(BrokeOff))) => return Err(Problem::body_broke_off()),
            Ok(Some(Ok(chunk))) => chunk,
        };
        if chunk.len() > limits.bytes - whole.len() {
            return Err(Problem::body_too_large(limits.bytes));
        }
        room.grow(chunk.len()).map_err(|_| Problem::no_room())?;
        whole.extend_from_slice(&chunk);
    }
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
