//! The load generator: a separate process with one thread, and as many keep-alive connections as asked for.
//!
//! It shares the cores with the server, so it spends as little as possible on a request. It uses no HTTP library except
//! a parser, keeps no bodies, and its connections share only a counter.
//!
//! Without a rate, a connection sends its next request as soon as the last one is answered: a closed loop, which shows
//! the most that the server can do. With a rate, each request is due at its time, and its latency counts from then: an
//! open loop, which shows what clients wait that do not wait for each other. A request that is due while all
//! connections are busy waits for one of them, and that wait counts.

use std::fmt::Write;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::data::{Space, customer, language, write_text};
use crate::outcome::Outcome;
use crate::pace::{Schedule, pace};
use crate::process::Process;
use crate::tally::{Seen, Tally};

/// How many tasks run at most before events are looked at, in an open loop.
const TASKS_BETWEEN_EVENTS: u32 = 16;
/// How often the progress is written down.
const NOTED_EVERY: Duration = Duration::from_millis(50);
/// How long after the end requests are still sent that were due before it.
const LONGEST_AFTER: Duration = Duration::from_secs(10);

/// The load to send.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    /// How long requests are sent before they are counted, in seconds.
    pub(crate) warm_up: f64,
    /// How long requests are counted, in seconds.
    pub(crate) seconds: f64,
    /// How many requests per second to send; `None` for as many as possible.
    pub(crate) rate: Option<f64>,
    pub(crate) requests: Requests,
    /// A file to keep a number in while requests are sent: all requests below it are answered.
    pub(crate) progress: Option<PathBuf>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Requests {
    /// The same GET again and again.
    Get(String),
    /// A GET of the prefix and a line, for each line of a file in turn, again and again.
    Targets { prefix: String, file: PathBuf, from: u64 },
    /// New dialogs of a space, numbered from 0.
    Insert { space: u64 },
    /// The same dialogs as records of `PocketBase`.
    Records { path: String, space: u64 },
    /// Decisions on the dialogs `from..to` of a space, each once.
    Decide { space: u64, from: u64, to: u64, answer: Answer },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Yes,
    No,
    /// Grants and withdrawals in turn.
    Both,
}

impl Spec {
    pub(crate) fn new(address: SocketAddr, seconds: f64, requests: Requests) -> Self {
        Self {
            address,
            connections: 64,
            warm_up: (seconds / 4.0).min(0.5),
            seconds,
            rate: None,
            requests,
            progress: None,
        }
    }

    /// Sends the load from a separate process, and waits for the result.
    pub(crate) fn run(&self) -> Outcome<Seen> {
        self.start()?.finish()
    }

    pub(crate) fn start(&self) -> Outcome<Running> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("load").arg(serde_json::to_string(self)?).stdout(Stdio::piped());
        Ok(Running(Process::start(&mut command)?))
    }
}

/// A load that is being sent.
pub(crate) struct Running(Process);

impl Running {
    pub(crate) fn finish(self) -> Outcome<Seen> {
        let output = self.0.output()?;
        let seen: Seen = serde_json::from_str(&output)
            .map_err(|error| format!("the load generator failed: {error}"))?;
        if !seen.errors.is_empty() {
            eprintln!("warning: answers outside the 200s, by status: {:?}", seen.errors);
        }
        Ok(seen)
    }
}

/// Runs the load generator, in the separate process.
pub(crate) fn main(spec: &str) -> Outcome<()> {
    let spec: Spec = serde_json::from_str(spec)?;
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    if spec.rate.is_some() {
        // The timer that says what is due is an event like an answer, and has to be seen in time.
        runtime.event_interval(TASKS_BETWEEN_EVENTS);
    }
    let seen = runtime.enable_all().build()?.block_on(send(spec))?;
    println!("{}", serde_json::to_string(&seen)?);
    Ok(())
}

async fn send(spec: Spec) -> Outcome<Seen> {
    let source = Arc::new(Source::new(&spec)?);
    let mut streams = Vec::new();
    for _ in 0..spec.connections {
        let stream = TcpStream::connect(spec.address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let started = Instant::now();
    let counted_from = started + Duration::from_secs_f64(spec.warm_up);
    let end = counted_from + Duration::from_secs_f64(spec.seconds);
    let schedule = spec.rate.map(|rate| Schedule::new(started, rate, spec.warm_up + spec.seconds));
    let plan = Plan { counted_from, end, schedule, due: Arc::new(Semaphore::new(0)) };
    let connections: Vec<_> = (streams.into_iter().enumerate())
        .map(|(place, stream)| {
            tokio::spawn(Connection::new(stream, place).run(Arc::clone(&source), plan.clone()))
        })
        .collect();
    let noting = spec.progress.clone().map(|file| {
        let source = Arc::clone(&source);
        tokio::spawn(async move {
            while source.note_progress(&file).is_ok() {
                tokio::time::sleep(NOTED_EVERY).await;
            }
        })
    });
    if let Some(schedule) = schedule {
        pace(schedule, &plan.due).await?;
        // Every connection asks once more, and is told that there is nothing left.
        plan.due.add_permits(spec.connections);
    }
    let mut all = Tally::new()?;
    for connection in connections {
        all.add(&connection.await??)?;
    }
    if let (Some(noting), Some(file)) = (noting, spec.progress) {
        noting.abort();
        source.note_progress(&file)?;
    }
    Ok(all.seen())
}

#[derive(Clone)]
struct Plan {
    counted_from: Instant,
    end: Instant,
    /// When each request is due; `None` in a closed loop.
    schedule: Option<Schedule>,
    /// The requests that are due and that no connection has taken yet.
    due: Arc<Semaphore>,
}

/// A request whose turn it is.
struct Turn {
    number: u64,
    /// When its latency begins.
    since: Instant,
    /// How late the load generator was although a connection was free; `None` if none was.
    late: Option<Duration>,
}

impl Plan {
    /// Waits until it is the turn of the next request. Returns `None` after the last one. Takes no number then, since a
    /// number that was taken is one that is sent.
    async fn next(&self, source: &Source) -> Option<Turn> {
        let Some(schedule) = &self.schedule else {
            let now = Instant::now();
            return (now < self.end).then(|| Turn {
                number: source.take(),
                since: now,
                late: None,
            });
        };
        let waited = self.due.available_permits() == 0;
        self.due.acquire().await.ok()?.forget();
        let now = Instant::now();
        if source.taken() >= schedule.total() || now >= self.end + LONGEST_AFTER {
            return None;
        }
        let number = source.take();
        let since = schedule.due(number);
        let late = waited.then(|| now.saturating_duration_since(since));
        Some(Turn { number, since, late })
    }

    /// Whether an answer counts: one that came in time, or in an open loop one to a request that was due in time.
    fn counts(&self, turn: &Turn, answered: Instant) -> bool {
        let decisive = if self.schedule.is_some() { turn.since } else { answered };
        self.counted_from <= decisive && decisive <= self.end
    }
}

struct Connection {
    stream: TcpStream,
    /// Its place among all connections.
    place: usize,
    request: Vec<u8>,
    buffer: Box<[u8]>,
}

impl Connection {
    fn new(stream: TcpStream, place: usize) -> Self {
        let buffer = vec![0; 64 * 1024].into_boxed_slice();
        Self { stream, place, request: Vec::new(), buffer }
    }

    async fn run(mut self, source: Arc<Source>, plan: Plan) -> Result<Tally, String> {
        let mut tally = Tally::new().map_err(|error| error.to_string())?;
        while let Some(turn) = plan.next(&source).await {
            if !source.write(turn.number, &mut self.request) {
                break;
            }
            source.busy[self.place].store(turn.number, Ordering::Relaxed);
            let status = self.exchange().await.map_err(|error| error.to_string())?;
            let answered = Instant::now();
            source.busy[self.place].store(NO_REQUEST, Ordering::Relaxed);
            let is_counted = plan.counts(&turn, answered);
            if !(200..300).contains(&status) {
                if is_counted {
                    tally.refused(status);
                }
                continue;
            }
            tally.succeeded();
            if is_counted {
                let after = answered.saturating_duration_since(plan.counted_from);
                tally.record(after, answered - turn.since);
                if let Some(late) = turn.late {
                    tally.record_late(late);
                }
            }
        }
        Ok(tally)
    }

    /// Sends the request, reads the whole answer, and returns its status.
    async fn exchange(&mut self) -> Outcome<u16> {
        self.stream.write_all(&self.request).await?;
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled).await?;
            if let Some(head) = Head::parse(&self.buffer[..filled])? {
                break head;
            }
        };
        match head.body {
            Body::Length(length) => {
                let mut left = (head.length + length).saturating_sub(filled);
                while left > 0 {
                    left = left.saturating_sub(self.read(0).await?);
                }
            }
            Body::Chunked => self.read_chunks(filled).await?,
        }
        Ok(head.status)
    }

    /// Reads up to the last chunk. Nothing in JSON looks like a last chunk, since a string has no raw line break.
    async fn read_chunks(&mut self, mut filled: usize) -> Outcome<()> {
        const LAST: &[u8] = b"0\r\n\r\n";
        while !self.buffer[..filled].ends_with(LAST) {
            // The end might be split between two reads.
            let kept = filled.min(LAST.len());
            self.buffer.copy_within(filled - kept..filled, 0);
            filled = kept + self.read(kept).await?;
        }
        Ok(())
    }

    async fn read(&mut self, at: usize) -> Outcome<usize> {
        match self.stream.read(&mut self.buffer[at..]).await? {
            0 => Err("the server closed the connection".into()),
            read => Ok(read),
        }
    }
}

/// The head of an answer. Lengths are in bytes.
struct Head {
    status: u16,
    length: usize,
    body: Body,
}

enum Body {
    Length(usize),
    Chunked,
}

impl Head {
    fn parse(bytes: &[u8]) -> Outcome<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = response.parse(bytes)? else { return Ok(None) };
        let header = |name: &str| {
            response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))
        };
        let body = match header("content-length") {
            Some(length) => Body::Length(std::str::from_utf8(length.value)?.parse()?),
            None if header("transfer-encoding").is_some() => Body::Chunked,
            None => return Err("the answer has no length".into()),
        };
        Ok(Some(Self { status: response.code.unwrap_or(0), length, body }))
    }
}

/// The source of requests. Each request has a number, which is used once.
struct Source {
    next: AtomicU64,
    /// The request that each connection waits for.
    busy: Vec<AtomicU64>,
    kind: Kind,
}

/// What a connection waits for that waits for none.
const NO_REQUEST: u64 = u64::MAX;

enum Kind {
    Fixed(Vec<u8>),
    Targets { prefix: String, lines: Vec<Box<str>>, from: u64 },
    Insert(Space),
    Records { path: String, space: Space },
    Decide { space: Space, from: u64, to: u64, answer: Answer },
}

impl Source {
    fn new(spec: &Spec) -> Outcome<Self> {
        let kind = match spec.requests.clone() {
            Requests::Get(path) => Kind::Fixed(get(&path, "")),
            Requests::Targets { prefix, file, from } => {
                let lines = std::fs::read_to_string(file)?.lines().map(Into::into).collect();
                Kind::Targets { prefix, lines, from }
            }
            Requests::Insert { space } => Kind::Insert(Space(space)),
            Requests::Records { path, space } => Kind::Records { path, space: Space(space) },
            Requests::Decide { space, from, to, answer } => {
                Kind::Decide { space: Space(space), from, to, answer }
            }
        };
        let busy = (0..spec.connections).map(|_| AtomicU64::new(NO_REQUEST)).collect();
        Ok(Self { next: AtomicU64::new(0), busy, kind })
    }

    fn take(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// How many requests were taken.
    fn taken(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Writes down up to which number all requests are answered.
    fn note_progress(&self, file: &Path) -> Outcome<()> {
        let busy = self.busy.iter().map(|number| number.load(Ordering::Relaxed));
        let answered = busy.fold(self.taken(), u64::min);
        let file = File::options().create(true).truncate(false).write(true).open(file)?;
        Ok(file.write_all_at(format!("{answered:020}").as_bytes(), 0)?)
    }

    /// Writes the request with this number into `to`. Returns false if there are no more requests.
    fn write(&self, number: u64, to: &mut Vec<u8>) -> bool {
        match &self.kind {
            Kind::Fixed(request) if to.is_empty() => to.extend_from_slice(request),
            Kind::Fixed(_) => (),
            Kind::Targets { prefix, lines, from } => {
                let at = usize::try_from(from + number).unwrap_or(0) % lines.len();
                *to = get(prefix, &lines[at]);
            }
            Kind::Insert(space) => {
                let path = format!("/data/{}/{}", customer(number), space.id(number));
                let mut body = String::with_capacity(260);
                body.push_str(r#"{"text":""#);
                write_text(number, &mut body);
                let _ = write!(body, r#"","language":"{}"}}"#, language(number));
                *to = post(&path, &body);
            }
            Kind::Records { path, space } => {
                let mut body = String::with_capacity(340);
                let (id, customer) = (space.id(number), customer(number));
                let _ = write!(body, r#"{{"dialog_id":"{id}","customer_id":"{customer}","text":""#);
                write_text(number, &mut body);
                let _ = write!(body, r#"","language":"{}"}}"#, language(number));
                *to = post(path, &body);
            }
            Kind::Decide { space, from, to: end, answer } => {
                let number = from + number;
                if number >= *end {
                    return false;
                }
                let yes = match answer {
                    Answer::Yes => true,
                    Answer::No => false,
                    Answer::Both => number.is_multiple_of(2),
                };
                let path = format!("/consents/{}", space.id(number));
                *to = post(&path, if yes { "true" } else { "false" });
            }
        }
        true
    }
}

fn get(path: &str, rest: &str) -> Vec<u8> {
    format!("GET {path}{rest} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
