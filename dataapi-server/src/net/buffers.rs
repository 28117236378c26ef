//! Limits how many bytes of bodies and answers are in memory at once, however slowly clients send or read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::problem::Problem;

/// The maximum size of a small answer. Small answers have room of their own, which larger ones cannot take.
const SMALL: usize = 64 * 1024;

/// The room for bodies, for small answers and for large answers. None of the three can use up another's room.
#[derive(Debug)]
pub(crate) struct Buffers {
    bodies: Pool,
    small_answers: Pool,
    large_answers: Pool,
}

#[derive(Debug)]
struct Pool {
    free: Arc<AtomicUsize>,
    bytes: usize,
}

/// A reserved number of bytes, which dropping it releases.
#[derive(Debug)]
pub(crate) struct Room {
    free: Arc<AtomicUsize>,
    bytes: usize,
}

/// An answer, with the room that it takes until its last byte is sent.
struct BufferedAnswer {
    bytes: Bytes,
    _room: Room,
}

impl Buffers {
    /// Creates room for this many bytes in all.
    pub(crate) fn new(bytes: usize) -> Self {
        let eighths = |number: usize| Pool::new(bytes / 8 * number);
        Self { bodies: eighths(4), small_answers: eighths(1), large_answers: eighths(3) }
    }

    /// Returns the room of a body that has no bytes yet.
    pub(crate) fn body(&self) -> Room {
        Room { free: Arc::clone(&self.bodies.free), bytes: 0 }
    }

    /// Reserves room for an answer, until no part of it is in memory any more.
    pub(crate) fn hold(&self, bytes: Bytes) -> Result<Bytes, Problem> {
        let pool = if bytes.len() <= SMALL { &self.small_answers } else { &self.large_answers };
        let mut room = Room { free: Arc::clone(&pool.free), bytes: 0 };
        // An answer that is larger than all the room takes all of it.
        room.grow(bytes.len().min(pool.bytes))?;
        Ok(Bytes::from_owner(BufferedAnswer { bytes, _room: room }))
    }
}

impl Pool {
    fn new(bytes: usize) -> Self {
        Self { free: Arc::new(AtomicUsize::new(bytes)), bytes }
    }
}

impl Room {
    /// Reserves this many more bytes.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let taken = self
            .free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(bytes));
        taken.map_err(|_| Problem::no_room())?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.free.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for BufferedAnswer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: usize) -> Bytes {
        vec![1; bytes].into()
    }

    #[test]
    fn room_is_given_back_when_the_last_part_of_an_answer_is_gone() {
        let buffers = Buffers::new(8 * 100);
        let held = buffers.hold(answer(80)).expect("there is room");
        let part = held.slice(2..4);
        assert!(buffers.hold(answer(21)).is_err());
        drop(held);
        assert!(buffers.hold(answer(21)).is_err(), "a part is yet to be sent");
        assert_eq!(&*part, [1, 1]);
        drop(part);
        assert!(buffers.hold(answer(100)).is_ok());
    }

    #[test]
    fn a_body_takes_more_room_as_it_grows() {
        let buffers = Buffers::new(8 * 10);
        let mut room = buffers.body();
        for _ in 0..2 {
            room.grow(20).expect("there is room");
        }
        assert!(room.grow(1).is_err());
        drop(room);
        assert!(buffers.body().grow(40).is_ok());
    }

    #[test]
    fn large_answers_and_bodies_leave_room_for_small_answers() {
        let buffers = Buffers::new(8 * SMALL);
        let mut body = buffers.body();
        body.grow(4 * SMALL).expect("there is room");
        let whole = buffers.hold(answer(100 * SMALL)).expect("it takes all the room there is");
        assert!(buffers.hold(answer(SMALL + 1)).is_err());
        assert!(buffers.hold(answer(SMALL)).is_ok());
        drop(whole);
        assert!(buffers.hold(answer(SMALL + 1)).is_ok());
    }
}
