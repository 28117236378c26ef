//! Places: how many connections there may be, from one address, without authorisation and in bytes, and which one ends
//! when there is no place left.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::metrics::ConnectionMetrics;
use crate::net::standing::{Call, Network, Standing, now};

/// How often a warning about refused and closed connections is repeated, in milliseconds.
const WARN_PERIOD: u64 = 60_000;

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaceLimits {
    /// In all.
    pub(crate) all: usize,
    /// Without a request that was authorised. The rest is for the others.
    pub(crate) unauthorised: usize,
    /// From one address, or from one IPv6 network.
    pub(crate) per_address: usize,
    /// The bytes that all of them may take.
    pub(crate) bytes: usize,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerKind {
    Client,
    /// A trusted proxy, whose address stands for many clients.
    Proxy,
}

/// The table of all connections.
#[derive(Debug)]
pub(crate) struct Places {
    limits: PlaceLimits,
    free_bytes: AtomicUsize,
    table: Mutex<Table>,
    freed: Notify,
    warned: AtomicU64,
    metrics: ConnectionMetrics,
}

#[derive(Debug, Default)]
struct Table {
    last_id: u64,
    all: Line,
    by_network: HashMap<Network, Line>,
}

/// Connections, the oldest first.
#[derive(Debug, Default)]
struct Line {
    unauthorised: BTreeMap<u64, Arc<Standing>>,
    authorised: BTreeMap<u64, Arc<Standing>>,
}

/// The place of one connection. Dropping it makes room for another one.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    standing: Arc<Standing>,
}

/// Why a connection gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// All connections are busy. One of them will end, or be idle.
    Yet,
    /// The address has all the places that it may have, and all of them are busy.
    ForThisAddress,
}

impl Places {
    pub(crate) fn new(limits: PlaceLimits, metrics: ConnectionMetrics) -> Arc<Self> {
        Arc::new(Self {
            limits,
            free_bytes: AtomicUsize::new(limits.bytes),
            table: Mutex::default(),
            freed: Notify::new(),
            warned: AtomicU64::new(0),
            metrics,
        })
    }

    /// Gives a place to a new connection, and counts these bytes for it. If there is no place left, an idle connection
    /// loses its own.
    pub(crate) fn take(
        self: &Arc<Self>,
        peer: IpAddr,
        of: PeerKind,
        bytes: usize,
    ) -> Result<Place, NoPlace> {
        let network = Network::from(peer);
        let mut table = self.table();
        if of == PeerKind::Client
            && let Some(line) = table.by_network.get(&network)
            && line.len() >= self.limits.per_address
        {
            let Some(idle) = line.idle(0) else {
                self.warn(
                    "an address has all the connections that it may have: refused another one",
                );
                self.metrics.refused_address.inc();
                return Err(NoPlace::ForThisAddress);
            };
            self.end(&mut table, &idle);
        }
        loop {
            let idle = if table.all.unauthorised.len() >= self.limits.unauthorised {
                table.all.idle_unauthorised(0)
            } else if table.all.len() >= self.limits.all || !self.take_bytes(bytes) {
                table.all.idle(0)
            } else {
                break;
            };
            let Some(idle) = idle else {
                self.warn(
                    "no place is left for connections, and none of them is idle: new ones wait",
                );
                return Err(NoPlace::Yet);
            };
            self.end(&mut table, &idle);
        }
        table.last_id += 1;
        let standing = Arc::new(Standing::new(table.last_id, network));
        standing.bytes.store(bytes, Relaxed);
        table.lines(network).for_each(|line| {
            line.unauthorised.insert(standing.id, Arc::clone(&standing));
        });
        drop(table);
        self.metrics.open.inc();
        Ok(Place { places: Arc::clone(self), standing })
    }

    /// Ends an idle connection, if there is one, for want of something that every connection takes.
    pub(crate) fn end_one(&self) -> bool {
        let mut table = self.table();
        let idle = table.all.idle(0);
        idle.map(|idle| self.end(&mut table, &idle)).is_some()
    }

    /// Tells all connections that the server stops.
    pub(crate) fn stop(&self) {
        let table = self.table();
        for standing in table.all.unauthorised.values().chain(table.all.authorised.values()) {
            standing.call(Call::Stop);
        }
    }

    /// Waits until a connection has ended, or for a moment: one that is idle by then can end, too.
    pub(crate) async fn freed(&self) {
        let _ = tokio::time::timeout(Duration::from_millis(20), self.freed.notified()).await;
    }

    /// Warns, once a minute at most, that connections are refused or closed.
    pub(crate) fn warn(&self, what: &'static str) {
        let (now, warned) = (now(), self.warned.load(Relaxed));
        let is_due = warned == 0 || now.saturating_sub(warned) >= WARN_PERIOD;
        let swap = |new| self.warned.compare_exchange(warned, new, Relaxed, Relaxed);
        if is_due && swap(now.max(1)).is_ok() {
            tracing::warn!(limits = ?self.limits, "{what}; further such warnings are left out for a minute");
        }
    }

    /// Takes the place of an idle connection, whose task then closes it.
    fn end(&self, table: &mut Table, idle: &Standing) {
        self.metrics.closed_for_others.inc();
        self.warn("closing idle connections to make place for others");
        table.remove(idle);
        self.free(idle);
        idle.call(Call::Leave);
    }

    fn take_bytes(&self, bytes: usize) -> bool {
        let subtract = |free: usize| free.checked_sub(bytes);
        self.free_bytes.fetch_update(Relaxed, Relaxed, subtract).is_ok()
    }

    fn free(&self, standing: &Standing) {
        self.free_bytes.fetch_add(standing.bytes.swap(0, Relaxed), Relaxed);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn lines(&mut self, network: Network) -> impl Iterator<Item = &mut Line> {
        [&mut self.all, self.by_network.entry(network).or_default()].into_iter()
    }

    fn remove(&mut self, standing: &Standing) {
        for line in self.lines(standing.network) {
            line.unauthorised.remove(&standing.id);
            line.authorised.remove(&standing.id);
        }
        if self.by_network.get(&standing.network).is_some_and(|line| line.len() == 0) {
            self.by_network.remove(&standing.network);
        }
    }
}

impl Line {
    fn len(&self) -> usize {
        self.unauthorised.len() + self.authorised.len()
    }

    /// Returns the connection that ends first, other than `except`: the oldest idle one that is not authorised, then the
    /// oldest of these that only sends, then the authorised one that is idle for the longest.
    fn idle(&self, except: u64) -> Option<Arc<Standing>> {
        self.idle_unauthorised(except).or_else(|| {
            let idle = self.authorised.values().filter(|it| it.is_idle() && it.id != except);
            idle.min_by_key(|standing| standing.last()).cloned()
        })
    }

    fn idle_unauthorised(&self, except: u64) -> Option<Arc<Standing>> {
        let oldest_first = || self.unauthorised.values().filter(|it| it.id != except);
        let idle = oldest_first().find(|it| it.is_idle());
        idle.or_else(|| oldest_first().find(|it| it.is_dispensable())).cloned()
    }
}

impl Place {
    /// Notes that a request of this connection was authorised.
    pub(crate) fn authorise(&self) {
        if !self.standing.becomes_authorised() {
            return;
        }
        let id = self.standing.id;
        for line in self.places.table().lines(self.standing.network) {
            // A connection that has lost its place is in no line.
            if let Some(standing) = line.unauthorised.remove(&id) {
                line.authorised.insert(id, standing);
            }
        }
    }

    /// Counts these bytes for this connection, before they are held. If too few are left, idle connections lose their
    /// places. Returns whether there are enough now.
    #[must_use]
    pub(crate) fn charge(&self, bytes: usize) -> bool {
        while !self.places.take_bytes(bytes) {
            let mut table = self.places.table();
            let Some(idle) = table.all.idle(self.standing.id) else {
                self.places.metrics.without_room.inc();
                return false;
            };
            self.places.end(&mut table, &idle);
        }
        self.standing.bytes.fetch_add(bytes, Relaxed);
        self.standing.called() != Some(Call::Leave)
    }

    /// Notes that the connection is closed because a time limit is over.
    pub(crate) fn is_late(&self) {
        let ConnectionMetrics { idle, slow, .. } = &self.places.metrics;
        let reason = if self.standing.is_between_requests() { idle } else { slow };
        reason.inc();
    }

    /// Counts these bytes no longer.
    pub(crate) fn discharge(&self, bytes: usize) {
        let subtract = |counted: usize| counted.checked_sub(bytes);
        // A connection that has lost its place has nothing left to give back.
        if self.standing.bytes.fetch_update(Relaxed, Relaxed, subtract).is_ok() {
            self.places.free_bytes.fetch_add(bytes, Relaxed);
        }
    }
}

impl Deref for Place {
    type Target = Standing;

    fn deref(&self) -> &Standing {
        &self.standing
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.table().remove(&self.standing);
        self.places.free(&self.standing);
        self.places.metrics.open.dec();
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    const LIMITS: PlaceLimits =
        PlaceLimits { all: 4, unauthorised: 3, per_address: 4, bytes: 1_000 };

    fn with(limits: PlaceLimits) -> Arc<Places> {
        Places::new(limits, Metrics::new([].into_iter()).connections)
    }

    fn from(places: &Arc<Places>, last: u8) -> Result<Place, NoPlace> {
        places.take([10, 0, 0, last].into(), PeerKind::Client, 0)
    }

    fn has_to_leave(place: &Place) -> bool {
        place.called() == Some(Call::Leave)
    }

    #[test]
    fn the_oldest_idle_one_without_authorisation_makes_place() {
        let places = with(LIMITS);
        let [busy, old, new] = [1, 2, 3].map(|last| from(&places, last).expect("a place"));
        busy.begins();
        let newest = from(&places, 4).expect("a place");
        assert!(has_to_leave(&old) && !has_to_leave(&busy) && !has_to_leave(&new));
        for place in [&new, &newest] {
            place.begins();
        }
        assert_eq!(from(&places, 5).expect_err("all are busy"), NoPlace::Yet);
        busy.authorise();
        assert!(from(&places, 5).is_ok(), "authorised connections have places of their own");
    }

    #[test]
    fn among_authorised_ones_the_longest_idle_makes_place_last() {
        let places = with(LIMITS);
        let known = [1, 2, 3].map(|last| from(&places, last).expect("a place"));
        for place in &known {
            place.authorise();
        }
        let stranger = from(&places, 4).expect("a place");
        let second = from(&places, 5).expect("a place");
        assert!(has_to_leave(&stranger) && known.iter().all(|place| !has_to_leave(place)));
        second.authorise();
        known[0].begins();
        let _third = from(&places, 6).expect("a place");
        assert_eq!(known.iter().filter(|place| has_to_leave(place)).count(), 1);
        assert!(!has_to_leave(&known[0]), "it is busy");
    }

    #[test]
    fn a_stranger_who_hardly_reads_makes_place_and_a_running_request_does_not() {
        let places = with(LIMITS);
        let [asking, reading, idle] = [1, 2, 3].map(|last| from(&places, last).expect("a place"));
        for place in [&asking, &reading] {
            place.begins();
        }
        reading.is_answered();
        let first = from(&places, 4).expect("a place");
        assert!(has_to_leave(&idle) && !has_to_leave(&reading), "an idle one goes first");
        first.begins();
        let _second = from(&places, 4).expect("a place");
        assert!(has_to_leave(&reading) && !has_to_leave(&asking));
        first.authorise();
        first.is_answered();
        asking.is_answered();
        assert!(asking.is_dispensable() && !first.is_dispensable(), "it may read slowly");
        let metrics = &places.metrics;
        assert_eq!((metrics.open.get(), metrics.closed_for_others.get()), (5, 2));
    }

    #[test]
    fn an_address_takes_places_from_itself_alone() {
        let places = with(PlaceLimits { per_address: 2, ..LIMITS });
        let other = from(&places, 1).expect("a place");
        let [first, second] = [2, 2].map(|last| from(&places, last).expect("a place"));
        let third = from(&places, 2).expect("a place");
        assert!(has_to_leave(&first) && !has_to_leave(&other));
        for place in [&second, &third] {
            place.begins();
        }
        assert_eq!(from(&places, 2).expect_err("both are busy"), NoPlace::ForThisAddress);
        drop((first, second));
        assert!(from(&places, 2).is_ok());
    }

    #[test]
    fn a_trusted_proxy_has_as_many_places_as_there_are() {
        let places = with(PlaceLimits { per_address: 1, unauthorised: 4, ..LIMITS });
        let proxied = || places.take([10, 0, 0, 1].into(), PeerKind::Proxy, 0);
        let taken: Vec<_> = (0..4).map(|_| proxied().expect("a place")).collect();
        assert!(!taken.iter().any(has_to_leave));
        assert_eq!(from(&places, 1).map(drop), Ok(()), "an idle one makes place for a client");
    }

    #[test]
    fn bytes_are_taken_from_idle_connections_and_given_back() {
        let places = with(LIMITS);
        let [first, second] = [1, 2].map(|last| from(&places, last).expect("a place"));
        assert!(first.charge(600) && second.charge(400));
        assert!(second.charge(100), "the idle one has to go");
        assert!(has_to_leave(&first) && !first.charge(1));
        assert!(!second.charge(600), "there is nobody else");
        second.discharge(500);
        assert!(second.charge(1_000 - 1));
        drop((first, second));
        assert!(from(&places, 3).expect("a place").charge(1_000));
    }
}
