//! The client at the other end of a connection: its address, its share, and whether it is still there.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::net::shares::{Holder, Share, Shares};

/// How often a waiting request looks whether its client is there.
const PERIOD: Duration = Duration::from_millis(500);

/// The client of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Client(Arc<Connected>);

#[derive(Debug)]
struct Connected {
    address: IpAddr,
    share: OnceLock<Arc<Share>>,
    socket: Weak<OwnedWriteHalf>,
}

/// The stream of a connection, which its [`Client`] can look at while a request waits. hyper does not: it lets a client
/// close its half, and reads again only when it has answered.
#[derive(Debug)]
pub(crate) struct Stream {
    reading: OwnedReadHalf,
    /// `None` once this half is closed.
    writing: Option<Arc<OwnedWriteHalf>>,
}

impl Client {
    /// Takes a connection that was accepted from this address.
    pub(crate) fn connected(stream: TcpStream, address: IpAddr) -> (Self, Stream) {
        let (reading, writing) = stream.into_split();
        let writing = Arc::new(writing);
        let socket = Arc::downgrade(&writing);
        // On a socket for both, an address of IPv4 is written as one of IPv6.
        let address = address.to_canonical();
        let client = Self(Arc::new(Connected { address, share: OnceLock::new(), socket }));
        (client, Stream { reading, writing: Some(writing) })
    }

    /// The address at the other end of the connection: the client's own or that of a proxy.
    pub(crate) fn address(&self) -> IpAddr {
        self.0.address
    }

    /// The share of a client without a key.
    pub(crate) fn share(&self, shares: &Shares) -> &Arc<Share> {
        self.0.share.get_or_init(|| shares.of(Holder::Network(self.0.address.into())))
    }

    /// Whether the client has closed its half of the connection, or all of it: the two look the same.
    pub(crate) fn has_left(&self) -> bool {
        let Some(socket) = self.0.socket.upgrade() else { return true };
        let stream: &TcpStream = (*socket).as_ref();
        let ready = stream.ready(Interest::READABLE).now_or_never();
        ready.is_some_and(|ready| ready.is_ok_and(Ready::is_read_closed))
    }

    /// Waits until the client has left.
    pub(crate) async fn left(&self) {
        while !self.has_left() {
            tokio::time::sleep(PERIOD).await;
        }
    }
}

#[cfg(test)]
impl Client {
    /// A client that stays, and its end of the connection.
    pub(crate) async fn here() -> std::io::Result<(Self, (Stream, TcpStream))> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let other = TcpStream::connect(listener.local_addr()?).await?;
        let (stream, peer) = listener.accept().await?;
        let (client, stream) = Self::connected(stream, peer.ip());
        Ok((client, (stream, other)))
    }
}

impl Stream {
    fn poll_write_with<T>(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let Some(writing) = &self.writing else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let stream: &TcpStream = (**writing).as_ref();
        loop {
            ready!(stream.poll_write_ready(context))?;
            match write(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reading).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Dropping the last handle closes this half. A client that is being looked at keeps it for that moment only.
        self.writing.take();
        Poll::Ready(Ok(()))
    }
}
