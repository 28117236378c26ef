//! Readers of pages: too many, too large, too slow, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::Method;
use hyper::client::conn::http2::SendRequest;
use hyper::header::RETRY_AFTER;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::plan::Plan;
use crate::client::{Stream, next_chunk, request};
use crate::outcome::Outcome;
use crate::probe::unused_date;

/// How many streams a connection has. The server allows no more.
pub(super) const STREAMS: usize = 128;

/// What is not read stays with the server: the kernel takes little of it.
const RECEIVE_BUFFER: u32 = 16 * 1024;

const PATIENCE: Duration = Duration::from_secs(10);

/// How long an attacker waits before it asks again after a refusal, whatever the server says.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a client that reads nothing waits before it tries another connection: the server has closed the one it has
/// by then, which a client that reads nothing does not notice.
const LET_GO: Duration = Duration::from_secs(40);

/// The largest pages that the default page cache takes.
const CACHED: u16 = 120;

const LARGEST: u16 = 1_000;

/// Readers of different pages that a cache takes, who take 2 KB a second.
pub(super) async fn read_slowly(mut plan: Plan, readers: usize) {
    plan.client.receive_buffer = Some(RECEIVE_BUFFER);
    repeat(&plan, readers, async |plan| {
        let mut stream = ask(plan, &large(CACHED)?, "").await?;
        let mut buffer = [0; 2_048];
        if head(plan, &mut *stream, &mut buffer).await? == 200 {
            loop {
                sleep(Duration::from_secs(1)).await;
                match stream.read(&mut buffer).await? {
                    0 => break,
                    bytes => plan.tally.read(bytes),
                }
            }
            plan.tally.ended();
        }
        Ok(Next::Later)
    })
    .await;
}

/// Clients who read the head of the largest pages and nothing else.
pub(super) async fn read_nothing(mut plan: Plan, clients: usize) {
    plan.client.receive_buffer = Some(RECEIVE_BUFFER);
    repeat(&plan, clients, async |plan| {
        let mut stream = ask(plan, &large(LARGEST)?, "").await?;
        if head(plan, &mut *stream, &mut [0; 2_048]).await? == 200 {
            sleep(LET_GO).await;
        }
        Ok(Next::Later)
    })
    .await;
}

/// Callers who read the largest pages, one after the other.
pub(super) async fn read(plan: Plan, callers: usize, compressed: bool) {
    let more = if compressed { "accept-encoding: gzip, zstd\r\n" } else { "" };
    repeat(&plan, callers, async |plan| {
        let mut stream = ask(plan, &large(LARGEST)?, more).await?;
        let mut buffer = vec![0; 256 * 1024];
        if head(plan, &mut *stream, &mut buffer).await? != 200 {
            return Ok(Next::Later);
        }
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok(Next::AtOnce),
                bytes => plan.tally.read(bytes),
            }
        }
    })
    .await;
}

/// Asks for the largest pages, and hangs up before they come.
pub(super) async fn abandon(plan: Plan, a_second: u32) {
    steadily(&plan, a_second, async |plan| {
        let stream = ask(plan, &large(LARGEST)?, "").await?;
        sleep(Duration::from_millis(5)).await;
        drop(stream);
        Ok(())
    })
    .await;
}

/// Asks for this many pages without a dialog, each with a name of its own.
pub(super) async fn ask_for_empty_ones(mut plan: Plan, pages: u64) {
    const CLIENTS: usize = 8;
    const MOST: Duration = Duration::from_secs(120);
    let asked = Arc::new(AtomicU64::new(0));
    plan.end = Instant::now() + MOST;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (plan, asked) = (plan.clone(), Arc::clone(&asked));
        clients.spawn(async move {
            while Instant::now() < plan.end && asked.load(Ordering::Relaxed) < pages {
                if ask_for_empty_ones_on_one_connection(&plan, &asked, pages).await.is_err() {
                    plan.tally.ended();
                    sleep(PAUSE).await;
                }
            }
        });
    }
    while clients.join_next().await.is_some() {}
    let asked = asked.load(Ordering::Relaxed).min(pages);
    plan.tally.note(format!("{asked} pages"));
    if asked < pages {
        plan.tally.broken(format!("only {asked} of {pages} pages in {} s", MOST.as_secs()));
    }
}

async fn ask_for_empty_ones_on_one_connection(
    plan: &Plan,
    asked: &AtomicU64,
    pages: u64,
) -> Outcome<()> {
    let mut session = timeout(PATIENCE, plan.client.session()).await??;
    let _open = plan.tally.opened();
    while Instant::now() < plan.end {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        if number >= pages {
            break;
        }
        let path = format!("/data/?customerId={:a>120}{number:07}", "");
        let answer = timeout(PATIENCE, session.get(&path, Some(&plan.key))).await??;
        plan.tally.answer(&answer);
        if answer.status != 200 {
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Holds this many streams of HTTP/2, each with a page that nobody reads.
pub(super) async fn hold_streams(plan: Plan, streams: usize, limit: u16) {
    let connections = streams.div_ceil(STREAMS);
    repeat(&plan, connections, async |plan| {
        let connection = plan.client.streams().await?;
        let mut held = JoinSet::new();
        for _ in 0..streams.div_ceil(connections) {
            held.spawn(hold_stream(plan.clone(), connection.clone(), limit));
        }
        while held.join_next().await.is_some() {}
        plan.tally.ended();
        Ok(Next::Later)
    })
    .await;
}

/// Returns when the connection has ended.
async fn hold_stream(plan: Plan, mut connection: SendRequest<String>, limit: u16) {
    let holding = async {
        loop {
            connection.ready().await?;
            let path = format!("https://localhost{}", large(limit)?);
            let request = request(Method::GET, &path, Some(&plan.key), String::new())?;
            let answer = connection.send_request(request).await?;
            let (status, headers) = (answer.status().as_u16(), answer.headers());
            plan.tally.answered(status, headers.contains_key(RETRY_AFTER));
            let mut body = answer.into_body();
            if status == 200 {
                // The body is not read, so its stream stays open.
                while !connection.is_closed() {
                    sleep(PAUSE).await;
                }
            } else {
                while let Some(chunk) = next_chunk(&mut body).await? {
                    plan.tally.read(chunk.len());
                }
                sleep(PAUSE).await;
            }
        }
    };
    let _: Result<Outcome<()>, _> = timeout_at(plan.end, holding).await;
}

/// When an attacker begins again.
enum Next {
    AtOnce,
    Later,
}

/// Has this many attackers do the same again and again until the end.
async fn repeat(plan: &Plan, attackers: usize, attack: impl AsyncFn(&Plan) -> Outcome<Next>) {
    let one = async || {
        while Instant::now() < plan.end {
            let open = plan.tally.opened();
            match timeout_at(plan.end, attack(plan)).await {
                Err(_) => return,
                Ok(Ok(Next::AtOnce)) => continue,
                Ok(Ok(Next::Later)) => {}
                Ok(Err(_)) => plan.tally.ended(),
            }
            drop(open);
            sleep(PAUSE).await;
        }
    };
    futures_util::future::join_all((0..attackers).map(|_| one())).await;
}

/// Does the same again and again at a steady rate until the end, without waiting for the one before.
pub(super) async fn steadily(
    plan: &Plan,
    a_second: u32,
    attack: impl AsyncFn(&Plan) -> Outcome<()>,
) {
    let mut running = futures_util::stream::FuturesUnordered::new();
    let mut due = tokio::time::interval(Duration::from_secs(1) / a_second);
    loop {
        tokio::select! {
            _ = due.tick() => running.push(async {
                let open = plan.tally.opened();
                if !matches!(timeout(PATIENCE, attack(plan)).await, Ok(Ok(()))) {
                    plan.tally.ended();
                }
                drop(open);
            }),
            Some(()) = futures_util::StreamExt::next(&mut running) => {}
            () = sleep_until(plan.end) => return,
        }
    }
}

/// Sends the request for a page on a new connection, which the server closes after the answer.
pub(super) async fn ask(plan: &Plan, path: &str, more: &str) -> Outcome<Box<dyn Stream>> {
    let mut stream = timeout(PATIENCE, plan.client.connect()).await??;
    let key = &plan.key;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n{more}connection: close\r\n\r\n"
    );
    timeout(PATIENCE, async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await
    })
    .await??;
    Ok(stream)
}

/// Reads the beginning of the answer and returns its status.
async fn head(plan: &Plan, stream: &mut dyn Stream, buffer: &mut [u8]) -> Outcome<u16> {
    let read = stream.read(buffer).await?;
    plan.tally.read(read);
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    answer.parse(&buffer[..read])?;
    let status = answer.code.ok_or("the server closed the connection")?;
    let mut names = answer.headers.iter().map(|header| header.name);
    plan.tally.answered(status, names.any(|name| name.eq_ignore_ascii_case("retry-after")));
    Ok(status)
}

/// A page of large texts that no other request asks for.
fn large(limit: u16) -> Outcome<String> {
    Ok(format!("/data/?language=de&limit={limit}&from={}", unused_date()?))
}
