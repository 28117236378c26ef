//! A request from its head to the last part of its answer, as its connection counts it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::net::places::Place;

/// The size of the parts in which an answer is passed on over HTTP/2, which asks for a part when its client can take
/// one. So it shows whether the client goes on reading.
const PART: usize = 64 * 1024;

/// A request that runs. Dropping it ends the request.
#[derive(Debug)]
pub(crate) struct Running {
    place: Arc<Place>,
    /// The bytes that are counted for it.
    bytes: usize,
    is_answered: bool,
}

impl Running {
    /// Counts these bytes as held by the request; `None` if there is no room for them.
    pub(crate) fn begin(place: &Arc<Place>, bytes: usize) -> Option<Self> {
        if bytes > 0 && !place.charge(bytes) {
            return None;
        }
        place.begins();
        Some(Self { place: Arc::clone(place), bytes, is_answered: false })
    }

    /// Notes that the client may still be sending the body when the answer is ready.
    pub(crate) fn leaves_unread(&self) {
        self.place.leaves_unread();
    }

    fn is_answered(&mut self) {
        if !self.is_answered {
            self.is_answered = true;
            self.place.is_answered();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.is_answered();
        self.place.ends();
        if self.bytes > 0 {
            self.place.discharge(self.bytes);
        }
    }
}

/// The body of an answer. Its request runs until all of it was passed on.
#[derive(Debug)]
pub(crate) struct Sending<B> {
    body: B,
    /// What is left of the last frame.
    rest: Bytes,
    part: usize,
    running: Running,
}

impl<B> Sending<B> {
    pub(crate) fn new(body: B, mut running: Running) -> Self {
        running.is_answered();
        let part = if running.place.is_multiplexed() { PART } else { usize::MAX };
        Self { body, rest: Bytes::new(), part, running }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Sending<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
        if self.running.place.is_multiplexed() {
            self.running.place.moves();
        }
        let part = self.part.min(self.rest.len());
        let part = self.rest.split_to(part);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
