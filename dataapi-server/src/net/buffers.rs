//! Limits how many bytes of bodies and answers are in memory at once, however slowly clients send or read, and how many
//! of them are one caller's.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use dataapi_core::Allowance;

use crate::net::shares::{Kind, Pool, Refused, Share, Taken};
use crate::problem::Problem;

/// The maximum size of a small answer. Small answers have room of their own, which larger ones cannot take.
const SMALL: usize = 64 * 1024;

/// How much of the whole each kind of room gets, in eighths.
const BODIES: usize = 2;
const SMALL_ANSWERS: usize = 1;
const LARGE_ANSWERS: usize = 5;

/// The room for bodies, for small answers and for large answers. None of the three can use up another's room.
#[derive(Debug)]
pub(crate) struct Buffers {
    bodies: Arc<Pool>,
    small_answers: Arc<Pool>,
    large_answers: Arc<Pool>,
}

/// The room of an answer, and of what it is made of.
#[derive(Debug)]
pub(crate) struct AnswerRoom {
    taken: Taken,
    large_answers: Arc<Pool>,
    share: Arc<Share>,
}

/// The room of a read: it grows while the read finds dialogs.
#[derive(Debug)]
pub(crate) struct ReadRoom(Mutex<Reading>);

#[derive(Debug)]
struct Reading {
    /// `None` once the read has ended.
    room: Option<AnswerRoom>,
    /// Why the last question was answered with no.
    refusal: Option<Problem>,
}

/// Bytes, with the room that they take until the last part of them is dropped.
struct Held {
    bytes: Bytes,
    _room: Taken,
}

impl Buffers {
    /// Creates room for this many bytes in all.
    pub(crate) fn new(bytes: usize) -> Self {
        let eighths = |kind, number: usize| Pool::new(kind, bytes / 8 * number);
        Self {
            bodies: eighths(Kind::Bodies, BODIES),
            small_answers: eighths(Kind::SmallAnswers, SMALL_ANSWERS),
            large_answers: eighths(Kind::LargeAnswers, LARGE_ANSWERS),
        }
    }

    /// The minimum in all with which a dialog with a text of this many bytes can be stored and read.
    pub(crate) fn least(text: usize) -> usize {
        /// Everything but the text: ids, names, dates and punctuation.
        const REST: usize = 64 * 1024;
        // In JSON, a byte takes six at most. The serializer may reserve eight for each byte of up to a mebibyte.
        let stored_or_read = text.saturating_mul(7).saturating_add(REST);
        let rendered = stored_or_read.saturating_add(8 * text.min(1 << 20));
        // One answer can have half of its room.
        let of_bodies = (stored_or_read / BODIES).saturating_mul(8);
        let of_answers = (rendered / LARGE_ANSWERS).saturating_mul(2 * 8);
        of_bodies.max(of_answers)
    }

    /// Returns the room of a body that has no bytes yet.
    pub(crate) fn body(&self, share: &Arc<Share>) -> Taken {
        self.bodies.begin(share)
    }

    /// Reserves room for an answer of this many bytes.
    pub(crate) fn answer(&self, share: &Arc<Share>, bytes: usize) -> Result<AnswerRoom, Problem> {
        let pool = if bytes <= SMALL { &self.small_answers } else { &self.large_answers };
        Ok(AnswerRoom {
            taken: pool.take(share, bytes).map_err(refused)?,
            large_answers: Arc::clone(&self.large_answers),
            share: Arc::clone(share),
        })
    }

    /// Reserves room for an answer, until no part of it is in memory any more.
    pub(crate) fn hold(&self, share: &Arc<Share>, bytes: Bytes) -> Result<Bytes, Problem> {
        let room = self.answer(share, bytes.len())?;
        Ok(held(bytes, room.taken))
    }

    /// How many bytes the largest answer can have, together with what it is made of.
    pub(crate) fn largest_answer(&self) -> usize {
        self.large_answers.at_once()
    }
}

impl AnswerRoom {
    /// Reserves room for this many bytes in all, if there is not as much already.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Problem> {
        if bytes > SMALL && self.taken.kind() == Kind::SmallAnswers {
            self.taken = self.large_answers.take(&self.share, bytes).map_err(refused)?;
            return Ok(());
        }
        let more = bytes.saturating_sub(self.taken.amount());
        self.taken.grow(more).map_err(refused)
    }

    /// Keeps room for the bytes of the answer alone, until no part of them is in memory any more.
    pub(crate) fn hold(mut self, bytes: Vec<u8>) -> Bytes {
        self.taken.shrink_to(bytes.capacity());
        held(bytes.into(), self.taken)
    }
}

impl ReadRoom {
    pub(crate) fn new(room: AnswerRoom) -> Self {
        Self(Mutex::new(Reading { room: Some(room), refusal: None }))
    }

    /// Ends the read and returns its room, or why there was not enough.
    pub(crate) fn end(&self) -> Result<AnswerRoom, Problem> {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = reading.room.take();
        match reading.refusal.take() {
            Some(refusal) => Err(refusal),
            None => room.ok_or_else(|| Problem::internal("the read has ended already")),
        }
    }
}

impl Allowance for ReadRoom {
    fn allows(&self, bytes: usize) -> bool {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(room) = &mut reading.room else { return false };
        let refusal = room.grow_to(bytes).err();
        let allows = refusal.is_none();
        reading.refusal = refusal;
        allows
    }
}

/// Keeps the room until no part of the bytes is in memory any more.
pub(crate) fn held(bytes: Bytes, room: Taken) -> Bytes {
    Bytes::from_owner(Held { bytes, _room: room })
}

fn refused(refused: Refused) -> Problem {
    match refused {
        Refused::Now => Problem::no_room(),
        Refused::Always => Problem::too_large_an_answer(),
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share() -> Arc<Share> {
        Arc::default()
    }

    fn answer(bytes: usize) -> Bytes {
        vec![1; bytes].into()
    }

    #[test]
    fn room_is_given_back_when_the_last_part_of_an_answer_is_gone() {
        let (buffers, caller) = (Buffers::new(8 * 100), share());
        let held = buffers.hold(&caller, answer(75)).expect("there is room");
        let part = held.slice(2..4);
        assert!(buffers.hold(&caller, answer(30)).is_err());
        drop(held);
        assert!(buffers.hold(&caller, answer(30)).is_err(), "a part is yet to be sent");
        assert_eq!(&*part, [1, 1]);
        drop(part);
        assert!(buffers.hold(&caller, answer(75)).is_ok());
    }

    #[test]
    fn large_answers_and_bodies_leave_room_for_small_answers() {
        let (buffers, caller) = (Buffers::new(8 * SMALL), share());
        let mut body = buffers.body(&caller);
        body.grow(SMALL).expect("there is room");
        let large = buffers.hold(&caller, answer(2 * SMALL)).expect("there is room");
        assert!(buffers.hold(&caller, answer(3 * SMALL)).is_err());
        assert!(buffers.hold(&caller, answer(SMALL / 4 * 3)).is_ok());
        drop(large);
        assert!(buffers.hold(&caller, answer(2 * SMALL)).is_ok());
    }

    #[test]
    fn a_read_that_grows_leaves_the_room_of_small_answers() {
        let (buffers, caller) = (Buffers::new(8 * SMALL), share());
        let reading = ReadRoom::new(buffers.answer(&caller, 100).expect("there is room"));
        assert!(reading.allows(SMALL + 1));
        assert!(buffers.hold(&caller, answer(SMALL / 4 * 3)).is_ok(), "the small room is free");
        assert!(!reading.allows(5 * SMALL));
        assert!(reading.allows(2 * SMALL));
        assert!(reading.end().is_ok(), "the last question counts");
        assert!(!reading.allows(1), "nothing is allowed after the end");
    }
}
