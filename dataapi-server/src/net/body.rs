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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::stream;
    use http::HeaderValue;
    use http::header::CONTENT_ENCODING;
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;
    use crate::net::codings::Effort;
    use crate::net::shares::{Kind, Pool, Share};

    /// The longest body if a text can have ten bytes.
    const LONGEST: usize = 60 + 16 * 1024;

    type Parts = Vec<Result<Bytes, BrokeOff>>;

    fn sizes(sizes: &[usize]) -> Parts {
        sizes.iter().map(|size| Ok(vec![b'x'; *size].into())).collect()
    }

    /// A body that arrives part by part.
    fn arriving(parts: Parts) -> impl RequestBody {
        Chunks::new(Box::pin(stream::iter(parts).then(async |part| {
            yield_now().await;
            part
        })))
    }

    /// A body of which nothing more arrives.
    fn stalling(parts: Parts) -> impl RequestBody {
        Chunks::new(Box::pin(stream::iter(parts).chain(stream::pending())))
    }

    fn announcing(length: usize) -> HeaderMap {
        [(CONTENT_LENGTH, HeaderValue::from(length))].into_iter().collect()
    }

    fn coded(coding: Coding) -> HeaderMap {
        [(CONTENT_ENCODING, coding.value())].into_iter().collect()
    }

    /// Reads a body for a caller who can have this many bytes. Returns what was read, or the status of the refusal. All
    /// room is given back in the end.
    async fn read_with(
        mut body: impl RequestBody,
        headers: &HeaderMap,
        limits: BodyLimits,
        bytes: usize,
    ) -> Result<Vec<u8>, u16> {
        let (pool, share) = (Pool::new(Kind::Bodies, bytes), Arc::<Share>::default());
        let reading = read(&mut body, headers, limits, pool.begin(&share));
        let read = timeout(Duration::from_secs(60), reading).await.expect("it ends");
        let read = read.map(|(body, room)| {
            assert_eq!(room.amount(), body.len(), "it counts as what it is");
            body
        });
        assert!(pool.take(&share, bytes).is_ok(), "everything was given back");
        read.map_err(|problem| problem.into_response().status().as_u16())
    }

    fn patient(max_text_bytes: usize) -> BodyLimits {
        BodyLimits::new(max_text_bytes, Duration::from_secs(60))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_however_it_arrives() {
        for parts in [&[][..], &[0], &[1], &[LONGEST], &[1, LONGEST - 1], &[9_000, 0, 7_000, 444]] {
            let length = parts.iter().sum();
            for headers in [HeaderMap::new(), announcing(length)] {
                let read = read_with(arriving(sizes(parts)), &headers, patient(10), LONGEST).await;
                assert_eq!(read.map(|body| body.len()), Ok(length), "{parts:?}");
            }
        }
        for parts in [&[LONGEST + 1][..], &[1, LONGEST], &[LONGEST, 1], &[9_000, 9_000]] {
            let body = arriving(sizes(parts));
            let read = read_with(body, &HeaderMap::new(), patient(10), usize::MAX).await;
            assert_eq!(read, Err(413), "{parts:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_is_announced_as_too_long_is_not_waited_for() {
        let limits = BodyLimits::new(10, Duration::from_secs(2));
        let read = read_with(stalling(Vec::new()), &announcing(LONGEST + 1), limits, 1).await;
        assert_eq!(read, Err(413));
    }

    #[tokio::test]
    async fn a_body_that_stalls_breaks_off_or_finds_no_room_is_refused() {
        let hasty = BodyLimits::new(10, Duration::from_millis(20));
        for parts in [&[][..], &[5]] {
            let none = HeaderMap::new();
            assert_eq!(read_with(stalling(sizes(parts)), &none, hasty, 100).await, Err(408));
            let mut broken = sizes(parts);
            broken.push(Err(BrokeOff));
            assert_eq!(read_with(arriving(broken), &none, patient(10), 100).await, Err(400));
            let mut long = sizes(parts);
            long.extend(sizes(&[96]));
            let fits = 96 + parts.iter().sum::<usize>();
            let read = read_with(arriving(long), &none, patient(10), 100).await;
            assert_eq!(read.map(|body| body.len()), if fits <= 100 { Ok(fits) } else { Err(503) });
        }
    }

    #[tokio::test]
    async fn a_coded_body_is_decoded_within_the_limit_and_the_room() {
        let text = vec![b'x'; LONGEST];
        // Long bodies are decoded on another thread.
        for limits in [patient(10), patient(1 << 20)] {
            for coding in [Coding::Gzip, Coding::Zstd] {
                let encoded =
                    |text: &[u8]| coding.encode(text, Effort::Once, |_| true).expect("shorter");
                let body = |body: Vec<u8>| arriving(vec![Ok(body.into())]);
                let (headers, room) = (coded(coding), 16 << 20);
                let read = read_with(body(encoded(&text)), &headers, limits, room).await;
                assert!(read.is_ok_and(|read| read == text), "{coding:?}");
                let long = encoded(&vec![b'x'; limits.bytes + 1]);
                assert_eq!(read_with(body(long), &headers, limits, room).await, Err(413));
                let mut cut = encoded(&text);
                cut.truncate(cut.len() / 2);
                assert_eq!(read_with(body(cut), &headers, limits, room).await, Err(400));
                let read = read_with(body(encoded(&text)), &headers, limits, 1_000).await;
                assert_eq!(read, Err(503), "{coding:?}");
            }
        }
        let unknown = [(CONTENT_ENCODING, HeaderValue::from_static("br"))].into_iter().collect();
        assert_eq!(read_with(stalling(Vec::new()), &unknown, patient(10), 1).await, Err(415));
    }

    /// Whether the connection can be used again after a body that nobody wants.
    #[tokio::test]
    async fn what_has_arrived_of_an_unwanted_body_is_skipped_up_to_64_kib() {
        for (parts, whole) in [
            (&[][..], true),
            (&[1], true),
            (&[65_536], true),
            (&[65_535, 1], true),
            (&[65_537], false),
            (&[65_535, 2], false),
            (&[40_000, 40_000], false),
        ] {
            let mut body = Chunks::new(stream::iter(sizes(parts)));
            assert_eq!(is_whole(&mut body).await, whole, "{parts:?}");
            let after = poll_fn(|context| body.poll_chunk(context)).await;
            assert!(after.is_none(), "the body was let go of");
        }
        let mut broken = sizes(&[5]);
        broken.push(Err(BrokeOff));
        assert!(!is_whole(&mut arriving(broken)).await);
        assert!(!is_whole(&mut Chunks::new(stream::iter(vec![Err(BrokeOff)]))).await);
        assert!(!is_whole(&mut stalling(sizes(&[5]))).await, "more is to come");
    }
}
