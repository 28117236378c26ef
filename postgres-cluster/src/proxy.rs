//! A network between a client and a healthy server that fails on demand.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// Forwards connections to a server, until it is told to fail.
///
/// The proxy does not parse what it forwards. It searches the stream for bytes, so these must be what the client sends
/// when the statement runs. A statement that was prepared before is run by its name and parameters, without its text.
///
/// When this is dropped, it closes its connections and accepts no more.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    network: Arc<Network>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1.
    pub fn to(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let network = Arc::new(Network {
            server,
            weather: Mutex::new(Weather {
                mode: Mode::Mended,
                trap: None,
                connections: Vec::new(),
            }),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&network);
        thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || accepting.accept(&listener))?;
        Ok(Self { address, network })
    }

    /// Returns the address where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of a database of the server, through this proxy.
    pub fn url(&self, url: &str) -> String {
        url.replacen(&self.network.server.to_string(), &self.address.to_string(), 1)
    }

    /// Closes all connections, and each new one at once, until [`Proxy::mend`].
    pub fn cut(&self) {
        self.network.turn(Mode::Cut);
    }

    /// Keeps connections open and accepts new ones, but forwards nothing until [`Proxy::mend`].
    pub fn stall(&self) {
        self.network.turn(Mode::Stalled);
    }

    /// Forwards everything again, beginning with what was held back.
    pub fn mend(&self) {
        self.network.turn(Mode::Mended);
    }

    /// Waits until a client sends these bytes, and then, once, cuts its connection without forwarding them. So nothing
    /// has happened, but the client cannot know that.
    pub fn lose_request(&self, bytes: &[u8]) {
        self.network.set(Loses::Request, bytes);
    }

    /// Waits until a client sends these bytes, and then, once, forwards them but not the answer. When the server has
    /// done everything and ended the session, the client's connection is cut. So it has happened, but the client cannot
    /// know that.
    pub fn lose_answer(&self, bytes: &[u8]) {
        self.network.set(Loses::Answer, bytes);
    }

    /// Whether the bytes that [`Proxy::lose_request`] or [`Proxy::lose_answer`] waits for have come.
    pub fn has_lost(&self) -> bool {
        self.network.weather().trap.is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.turn(Mode::Gone);
        // Wakes the thread that accepts connections.
        let _ = TcpStream::connect(self.address);
    }
}

#[derive(Debug)]
struct Network {
    server: SocketAddr,
    weather: Mutex<Weather>,
    changed: Condvar,
}

#[derive(Debug)]
struct Weather {
    mode: Mode,
    trap: Option<Trap>,
    connections: Vec<Weak<Connection>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Mended,
    Stalled,
    Cut,
    Gone,
}

#[derive(Debug)]
struct Trap {
    loses: Loses,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Loses {
    Request,
    Answer,
}

#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: TcpStream,
    answer_is_lost: AtomicBool,
}

impl Connection {
    fn cut(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

impl Network {
    fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, mode: Mode) {
        let mut weather = self.weather();
        weather.mode = mode;
        if matches!(mode, Mode::Cut | Mode::Gone) {
            for connection in weather.connections.drain(..) {
                if let Some(connection) = connection.upgrade() {
                    connection.cut();
                }
            }
        }
        self.changed.notify_all();
    }

    fn set(&self, loses: Loses, bytes: &[u8]) {
        self.weather().trap = Some(Trap { loses, bytes: bytes.to_owned() });
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            match self.weather().mode {
                Mode::Gone => return,
                Mode::Cut => continue,
                Mode::Mended | Mode::Stalled => {}
            }
            // If the server is gone, the client's connection ends.
            let _ = client.and_then(|client| self.connect(client));
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect_timeout(&self.server, Duration::from_secs(10))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let connection = Connection { client, server, answer_is_lost: AtomicBool::new(false) };
        let connection = Arc::new(connection);
        {
            let mut weather = self.weather();
            if matches!(weather.mode, Mode::Cut | Mode::Gone) {
                return Ok(());
            }
            weather.connections.retain(|connection| connection.strong_count() > 0);
            weather.connections.push(Arc::downgrade(&connection));
        }
        for pass_on in [Self::pass_requests_on, Self::pass_answers_on] {
            let (network, connection) = (Arc::clone(self), Arc::clone(&connection));
            thread::Builder::new().name("proxy".to_owned()).spawn(move || {
                if pass_on(&network, &connection).is_err() {
                    connection.cut();
                }
            })?;
        }
        Ok(())
    }

    fn pass_requests_on(&self, connection: &Connection) -> io::Result<()> {
        let (mut client, mut server) = (&connection.client, &connection.server);
        let mut buffer = vec![0; 64 * 1024];
        // The bytes to wait for can come in pieces.
        let mut seen = Vec::new();
        loop {
            let read = client.read(&mut buffer)?;
            let mut weather = self.once_not_stalled();
            if read == 0 {
                return server.shutdown(Shutdown::Write);
            }
            seen.extend_from_slice(&buffer[..read]);
            match weather.trap.take_if(|trap| contains(&seen, &trap.bytes)).map(|trap| trap.loses) {
                Some(Loses::Request) => {
                    connection.cut();
                    return Ok(());
                }
                Some(Loses::Answer) => connection.answer_is_lost.store(true, Ordering::SeqCst),
                None => {}
            }
            let kept = weather.trap.as_ref().map_or(0, |trap| trap.bytes.len().saturating_sub(1));
            drop(weather);
            seen.drain(..seen.len().saturating_sub(kept));
            server.write_all(&buffer[..read])?;
        }
    }

    fn pass_answers_on(&self, connection: &Connection) -> io::Result<()> {
        let (mut client, mut server) = (&connection.client, &connection.server);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = server.read(&mut buffer)?;
            drop(self.once_not_stalled());
            if read == 0 {
                return client.shutdown(Shutdown::Write);
            }
            if connection.answer_is_lost.load(Ordering::SeqCst) {
                // The server finishes its answers before it notices that the client has gone.
                server.shutdown(Shutdown::Write)?;
                while server.read(&mut buffer)? > 0 {}
                connection.cut();
                return Ok(());
            }
            client.write_all(&buffer[..read])?;
        }
    }

    fn once_not_stalled(&self) -> MutexGuard<'_, Weather> {
        self.changed
            .wait_while(self.weather(), |weather| weather.mode == Mode::Stalled)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn contains(text: &[u8], bytes: &[u8]) -> bool {
    bytes.is_empty() || text.windows(bytes.len()).any(|window| window == bytes)
}
