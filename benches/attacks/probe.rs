//! The other callers: requests at a steady rate, and how long their answers take.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dataapi::Date;
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use crate::client::{Client, Session};
use crate::outcome::Outcome;

/// The longest time that is told from longer ones.
const MOST_MICROS: u64 = 60_000_000;

/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one caller asks for, again and again.
#[derive(Clone)]
pub(crate) struct Probe {
    /// The time from one request to the next.
    pub(crate) period: Duration,
    pub(crate) client: Client,
    /// The path; one that ends with `=` gets a date that no other request has.
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    /// Whether it keeps its connection open. Otherwise it opens one for each request.
    pub(crate) keeps_connection: bool,
}

/// How long the answers took, in milliseconds, and how many did not come.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
    pub(crate) asked: u64,
    pub(crate) failed: u64,
    /// Why requests failed, and how many times.
    pub(crate) failures: BTreeMap<String, u64>,
    /// How many times the server closed the kept connection between two requests. The request was sent again.
    pub(crate) reopened: u64,
}

/// Callers that ask until they are stopped.
pub(crate) struct Callers {
    stop: watch::Sender<bool>,
    running: Vec<tokio::task::JoinHandle<Figures>>,
}

impl Callers {
    pub(crate) fn start(probes: impl IntoIterator<Item = Probe>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let running = probes.into_iter().map(|probe| tokio::spawn(probe.run(stopped.clone())));
        Self { running: running.collect(), stop }
    }

    /// Waits for the last answers and returns the figures, in the order of the probes.
    pub(crate) async fn stop(self) -> Outcome<Vec<Figures>> {
        let _ = self.stop.send(true);
        let mut figures = Vec::new();
        for running in self.running {
            figures.push(running.await?);
        }
        Ok(figures)
    }
}

impl Probe {
    async fn run(self, stopped: watch::Receiver<bool>) -> Figures {
        let seen = Arc::new(Measured::new(self.keeps_connection.then_some(self.period)));
        if self.keeps_connection {
            self.ask_on_one_connection(&seen, stopped).await;
        } else {
            self.ask_on_new_connections(&seen, stopped).await;
        }
        seen.figures()
    }

    /// Sends each request when it is due, however long those before it take.
    async fn ask_on_new_connections(
        self,
        seen: &Arc<Measured>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let mut asking = JoinSet::new();
        let mut due = tokio::time::interval(self.period);
        loop {
            tokio::select! {
                _ = due.tick() => {
                    let (probe, seen) = (self.clone(), Arc::clone(seen));
                    asking.spawn(async move {
                        seen.measure(async {
                            let mut session = probe.client.session().await?;
                            probe.ask(&mut session).await
                        })
                        .await;
                    });
                }
                _ = stopped.changed() => break,
                Some(_) = asking.join_next() => {}
            }
        }
        while asking.join_next().await.is_some() {}
    }

    async fn ask_on_one_connection(self, seen: &Arc<Measured>, mut stopped: watch::Receiver<bool>) {
        let mut kept: Option<Session> = None;
        let mut due = tokio::time::interval(self.period);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = due.tick() => {}
                _ = stopped.changed() => return,
            }
            let asking = async {
                if let Some(session) = &mut kept {
                    match self.ask(session).await {
                        Err(error) if error.is::<Refused>() => return Err(error),
                        Err(_) => _ = seen.reopened.fetch_add(1, Ordering::Relaxed),
                        answered => return answered,
                    }
                }
                let opened = self.client.session().await?;
                self.ask(kept.insert(opened)).await
            };
            if !seen.measure(asking).await {
                kept = None;
            }
        }
    }

    async fn ask(&self, session: &mut Session) -> Outcome<()> {
        let path = if self.path.ends_with('=') {
            format!("{}{}", self.path, unused_date()?)
        } else {
            self.path.clone()
        };
        match session.get(&path, self.key.as_deref()).await?.status {
            200 => Ok(()),
            status => Err(Refused(status).into()),
        }
    }
}

/// A date before all dialogs that is different each time.
pub(crate) fn unused_date() -> Outcome<Date> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Each process begins elsewhere, so that the attackers' dates are not those of others.
    let process = i64::from(std::process::id()) * 1_000_000_000;
    let number = i64::try_from(NEXT.fetch_add(1, Ordering::Relaxed))?;
    Ok(Date::from_micros(process + number)?)
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(u16);

struct Measured {
    micros: Mutex<Histogram<u32>>,
    /// The time from one request to the next, if each waits for the answer to the one before. A slow answer then also
    /// counts for the requests that could not be sent meanwhile.
    period: Option<Duration>,
    asked: AtomicU64,
    failures: Mutex<BTreeMap<String, u64>>,
    reopened: AtomicU64,
}

impl Measured {
    fn new(period: Option<Duration>) -> Self {
        let micros = Histogram::new_with_bounds(1, MOST_MICROS, 3).expect("the bounds are valid");
        Self {
            micros: micros.into(),
            period,
            asked: AtomicU64::new(0),
            failures: Mutex::default(),
            reopened: AtomicU64::new(0),
        }
    }

    /// Returns whether the answer came. The time of one that failed counts as well.
    async fn measure(&self, asking: impl Future<Output = Outcome<()>>) -> bool {
        let asked = Instant::now();
        let failure = match timeout(PATIENCE, asking).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(root(&*error)),
            Err(_) => Some(format!("no answer in {} s", PATIENCE.as_secs())),
        };
        self.asked.fetch_add(1, Ordering::Relaxed);
        let whole = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let micros = whole(asked.elapsed()).min(MOST_MICROS);
        let mut times = self.micros.lock().unwrap_or_else(PoisonError::into_inner);
        // It cannot fail: no time is above the histogram's bound.
        let _ = match self.period {
            Some(period) => times.record_correct(micros, whole(period)),
            None => times.record(micros),
        };
        drop(times);
        let answered = failure.is_none();
        if let Some(failure) = failure {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            *failures.entry(failure).or_default() += 1;
        }
        answered
    }

    fn figures(&self) -> Figures {
        let micros = self.micros.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let millis = |micros: u64| micros as f64 / 1_000.0;
        Figures {
            p50: millis(micros.value_at_quantile(0.5)),
            p99: millis(micros.value_at_quantile(0.99)),
            max: millis(micros.max()),
            asked: self.asked.load(Ordering::Relaxed),
            failed: failures.values().sum(),
            failures,
            reopened: self.reopened.load(Ordering::Relaxed),
        }
    }
}

/// The innermost cause, which is the same for all requests that fail alike.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
