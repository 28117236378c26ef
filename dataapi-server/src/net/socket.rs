//! The socket of a connection: counts bytes before they are held, notes whether the client takes its answer, and
//! outlives the protocol if the client may still be sending.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::net::places::Place;

/// The size up to which a head is read to its end, and of what HTTP/1 reads at once. The longest request that the API
/// allows has the positions of 1,024 chains, 21,503 bytes; the rest is for a token and other headers.
pub(crate) const HEAD_BYTES: usize = 32 * 1024;

/// The maximum size of the buffer for a head: hyper doubles a buffer that is full.
const BUFFER_BYTES: usize = 2 * HEAD_BYTES;

/// What every connection over HTTP/1 may read without counting, because its place already counts it.
const INCLUDED: usize = 8 * 1024;

/// What TLS keeps of an answer that its client does not take.
const UNSENT_BYTES: usize = 64 * 1024;

/// The socket of a connection, below TLS.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    /// `None` once it was given back.
    stream: Option<S>,
    place: Arc<Place>,
    /// The bytes that were counted for reading, beyond [`INCLUDED`].
    counted: usize,
    /// The bytes to count once the client does not take its answer.
    unsent: usize,
    is_shut: bool,
    is_at_end: bool,
    back: Option<oneshot::Sender<S>>,
}

impl<S: Unpin> Socket<S> {
    /// Returns the socket, and where its stream comes back once the server has sent all, but the client has not.
    pub(crate) fn new(
        stream: S,
        place: Arc<Place>,
        is_encrypted: bool,
    ) -> (Self, oneshot::Receiver<S>) {
        let (back, given_back) = oneshot::channel();
        let socket = Self {
            stream: Some(stream),
            place,
            counted: 0,
            unsent: if is_encrypted { UNSENT_BYTES } else { 0 },
            is_shut: false,
            is_at_end: false,
            back: Some(back),
        };
        (socket, given_back)
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Counts a buffer that holds what was received and has this much space left.
    fn count(&mut self, space: usize) -> io::Result<()> {
        if self.place.is_multiplexed() {
            return Ok(());
        }
        let held = self.place.received().saturating_add(space).min(BUFFER_BYTES);
        let beyond = held.next_power_of_two().saturating_sub(INCLUDED);
        if beyond > self.counted {
            self.charge(beyond - self.counted)?;
            self.counted = beyond;
        }
        Ok(())
    }

    fn charge(&self, bytes: usize) -> io::Result<()> {
        if self.place.charge(bytes) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::OutOfMemory, "no room is left for connections"))
    }

    fn after_write<T>(&mut self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.place.takes_bytes();
        } else if self.place.is_blocked() {
            let unsent = std::mem::take(&mut self.unsent);
            self.charge(unsent)?;
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        self.count(buffer.remaining())?;
        ready!(self.stream()?.poll_read(context, buffer))?;
        let bytes = buffer.filled().len() - before;
        if bytes == 0 {
            self.is_at_end = true;
        } else {
            self.place.receives(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write(context, bytes);
        self.after_write(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write_vectored(context, slices);
        self.after_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(S::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream()?.poll_flush(context))?;
        self.place.is_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_shut = true;
        self.stream()?.poll_shutdown(context)
    }
}

impl<S> Drop for Socket<S> {
    fn drop(&mut self) {
        if self.is_shut
            && !self.is_at_end
            && let (Some(stream), Some(back)) = (self.stream.take(), self.back.take())
        {
            // If nobody waits for it, it is closed.
            let _ = back.send(stream);
        }
    }
}
