//! Divides among callers what they all need, so that however much one of them takes, some is left for the others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tokio::sync::Semaphore;

use crate::net::standing::Network;

/// Which pool of the server something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bodies,
    SmallAnswers,
    LargeAnswers,
    /// Places for requests that are answered at once.
    Places,
    /// Pages that are kept ready. They belong to no caller.
    ReadyPages,
}

const KINDS: usize = 5;

/// A number of bytes or of places that all callers share.
#[derive(Debug)]
pub(crate) struct Pool {
    kind: Kind,
    free: AtomicUsize,
    /// How many times as much as what is free a caller can take who has some already.
    times_the_free: usize,
    /// The maximum that can be taken in one piece.
    at_once: usize,
}

/// What one caller has taken of each pool, and its turns at long work.
#[derive(Debug, Default)]
pub(crate) struct Share {
    taken: [AtomicUsize; KINDS],
    turns: OnceLock<Arc<Semaphore>>,
}

impl Share {
    /// The caller's turns at long work. The first call says how many there are.
    pub(crate) fn turns(&self, at_once: usize) -> &Arc<Semaphore> {
        self.turns.get_or_init(|| Arc::new(Semaphore::new(at_once)))
    }
}

/// What was taken of a pool. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Taken {
    pool: Arc<Pool>,
    share: Arc<Share>,
    amount: usize,
}

/// One piece of a pool, for as long as the request that has taken it borrows the pool.
#[derive(Debug)]
pub(crate) struct Seat<'p> {
    pool: &'p Pool,
    share: &'p Share,
}

/// Why something cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too much is taken at the moment, by this caller or by all.
    Now,
    /// Nobody can take as much in one piece.
    Always,
}

impl Pool {
    pub(crate) fn new(kind: Kind, amount: usize) -> Arc<Self> {
        let (times_the_free, at_once) = match kind {
            // With as much as is free, one caller gets half at most, two get a third each, and so on.
            Kind::LargeAnswers => (1, amount / 2),
            Kind::SmallAnswers => (3, amount / 4 * 3),
            Kind::Bodies | Kind::Places => (3, amount),
            Kind::ReadyPages => (usize::MAX, amount),
        };
        Arc::new(Self { kind, free: AtomicUsize::new(amount), times_the_free, at_once })
    }

    /// The maximum that can be taken in one piece.
    pub(crate) fn at_once(&self) -> usize {
        self.at_once
    }

    /// Takes nothing yet.
    pub(crate) fn begin(self: &Arc<Self>, share: &Arc<Share>) -> Taken {
        Taken { pool: Arc::clone(self), share: Arc::clone(share), amount: 0 }
    }

    /// Takes this much for the caller.
    pub(crate) fn take(
        self: &Arc<Self>,
        share: &Arc<Share>,
        amount: usize,
    ) -> Result<Taken, Refused> {
        let mut taken = self.begin(share);
        taken.grow(amount)?;
        Ok(taken)
    }

    /// Takes one for the caller. It owns neither the pool nor the share: their counts of owners are shared by all
    /// threads, too.
    pub(crate) fn seat<'p>(&'p self, share: &'p Share) -> Result<Seat<'p>, Refused> {
        self.give(share, 0, 1)?;
        Ok(Seat { pool: self, share })
    }

    /// Gives this much more to a caller for a piece that has this much already.
    fn give(&self, share: &Share, already: usize, more: usize) -> Result<(), Refused> {
        let Self { kind, free, times_the_free, at_once } = self;
        if already.saturating_add(more) > *at_once {
            return Err(Refused::Always);
        }
        let share = &share.taken[*kind as usize];
        // It counts before it is free for the taking, so that a caller's requests at one moment see each other.
        let before = share.fetch_add(more, Ordering::Relaxed);
        let has_others = before > already;
        let taken = free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
            let is_fair = !has_others || before + more <= free.saturating_mul(*times_the_free);
            if is_fair { free.checked_sub(more) } else { None }
        });
        if taken.is_err() {
            share.fetch_sub(more, Ordering::Relaxed);
            return Err(Refused::Now);
        }
        Ok(())
    }

    fn take_back(&self, share: &Share, less: usize) {
        share.taken[self.kind as usize].fetch_sub(less, Ordering::Relaxed);
        self.free.fetch_add(less, Ordering::Relaxed);
    }
}

impl Taken {
    pub(crate) fn kind(&self) -> Kind {
        self.pool.kind
    }

    pub(crate) fn amount(&self) -> usize {
        self.amount
    }

    /// Takes this much more.
    pub(crate) fn grow(&mut self, more: usize) -> Result<(), Refused> {
        self.pool.give(&self.share, self.amount, more)?;
        self.amount += more;
        Ok(())
    }

    /// Gives back all but this much.
    pub(crate) fn shrink_to(&mut self, amount: usize) {
        let less = self.amount.saturating_sub(amount);
        if less > 0 {
            self.pool.take_back(&self.share, less);
            self.amount -= less;
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.pool.take_back(self.share, 1);
    }
}

/// Who has a share: the subject of a token, or the network of a client without a key. A key has its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Subject(Arc<str>),
    Network(Network),
}

/// The shares that are in use.
#[derive(Debug, Default)]
pub(crate) struct Shares(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    shares: HashMap<Holder, Weak<Share>>,
    /// The number of entries at which those that nobody uses are removed.
    full: usize,
}

impl Shares {
    /// Returns the share of this holder.
    pub(crate) fn of(&self, holder: Holder) -> Arc<Share> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = known.shares.get(&holder).and_then(Weak::upgrade) {
            return share;
        }
        if known.shares.len() >= known.full {
            known.shares.retain(|_, share| share.strong_count() > 0);
            known.full = (2 * known.shares.len()).max(64);
        }
        let share = Arc::<Share>::default();
        known.shares.insert(holder, Arc::downgrade(&share));
        share
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    fn share() -> Arc<Share> {
        Arc::default()
    }

    /// Takes pieces of this size until there are no more.
    fn take_all(pool: &Arc<Pool>, share: &Arc<Share>, piece: usize) -> Vec<Taken> {
        iter::from_fn(|| pool.take(share, piece).ok()).collect()
    }

    #[test]
    fn one_caller_leaves_as_much_as_it_takes_of_the_large_answers() {
        let pool = Pool::new(Kind::LargeAnswers, 100);
        let (greedy, other) = (share(), share());
        let first = take_all(&pool, &greedy, 10);
        assert_eq!(first.len(), 5);
        let second = take_all(&pool, &other, 10);
        assert_eq!(second.len(), 3, "it has its own, and leaves some for a third");
        let third = pool.take(&share(), 10);
        assert!(third.is_ok());
        drop(first);
        assert_eq!(take_all(&pool, &greedy, 10).len(), 3);
    }

    #[test]
    fn what_is_too_much_for_anybody_is_told_from_what_is_too_much_now() {
        let pool = Pool::new(Kind::LargeAnswers, 100);
        assert_eq!(pool.take(&share(), 51).err(), Some(Refused::Always));
        let _taken = (pool.take(&share(), 50), pool.take(&share(), 40));
        assert_eq!(pool.take(&share(), 50).err(), Some(Refused::Now));
    }

    #[test]
    fn a_piece_grows_and_shrinks_and_gives_all_back() {
        let pool = Pool::new(Kind::SmallAnswers, 100);
        let caller = share();
        let mut taken = pool.begin(&caller);
        taken.grow(40).expect("there is room");
        taken.grow(35).expect("there is room");
        assert_eq!(taken.grow(1), Err(Refused::Always));
        taken.shrink_to(10);
        assert_eq!(taken.amount(), 10);
        drop(taken);
        assert!(pool.take(&caller, 75).is_ok());
        assert_eq!(pool.free.load(Ordering::Relaxed), 100);
        assert_eq!(caller.taken[Kind::SmallAnswers as usize].load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_last_places_go_to_callers_who_have_few() {
        let (pool, greedy) = (Pool::new(Kind::Places, 8), share());
        let seats: Vec<_> = iter::from_fn(|| pool.seat(&greedy).ok()).collect();
        assert_eq!(seats.len(), 6);
        assert!(pool.seat(&share()).is_ok());
        drop(seats);
        assert_eq!(pool.free.load(Ordering::Relaxed), 8);
        for places in [1, 2] {
            let (pool, caller) = (Pool::new(Kind::Places, places), share());
            let seats: Vec<_> = iter::from_fn(|| pool.seat(&caller).ok()).collect();
            assert_eq!(seats.len(), places);
        }
    }

    #[test]
    fn shares_that_nobody_uses_are_forgotten() {
        let shares = Shares::default();
        let held = shares.of(Holder::Subject("one".into()));
        for number in 0..10_000_u32 {
            shares.of(Holder::Network(Network::V4(number.to_be_bytes())));
        }
        assert!(shares.0.lock().expect("no panic").shares.len() <= 64);
        assert!(Arc::ptr_eq(&held, &shares.of(Holder::Subject("one".into()))));
    }
}
