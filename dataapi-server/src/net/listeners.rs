//! The listeners of a server, each on its own address.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use tokio::net::{TcpListener, TcpStream};

/// One listener or several, each on its own address.
#[derive(Debug)]
pub struct Listeners {
    listeners: Vec<TcpListener>,
    /// The one that is asked first: each in turn, so that a busy one does not hold up the others.
    first: usize,
}

impl From<TcpListener> for Listeners {
    fn from(listener: TcpListener) -> Self {
        vec![listener].into()
    }
}

impl From<Vec<TcpListener>> for Listeners {
    fn from(listeners: Vec<TcpListener>) -> Self {
        Self { listeners, first: 0 }
    }
}

impl Listeners {
    /// Waits for the next connection on any of the addresses.
    pub(crate) async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|context| {
            for number in 0..self.listeners.len() {
                let number = (self.first + number) % self.listeners.len();
                if let Poll::Ready(accepted) = self.listeners[number].poll_accept(context) {
                    self.first = number + 1;
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}
