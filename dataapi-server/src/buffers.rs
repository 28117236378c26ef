//! Buffers: how much of bodies and answers is in memory at once, whoever is slow to send or to take it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// Room for so many bytes.
#[derive(Clone, Debug)]
pub(crate) struct Buffers(Arc<Semaphore>);

/// Room that is taken; given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Room(Option<OwnedSemaphorePermit>);

/// An answer, and the room that it takes until its last byte is sent.
struct Held {
    bytes: Bytes,
    _room: Room,
}

impl Buffers {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes more room.
    pub(crate) fn take(&self, room: &mut Room, bytes: usize) -> Result<(), Problem> {
        let bytes = u32::try_from(bytes).map_err(|_| Problem::no_room())?;
        let more = Arc::clone(&self.0).try_acquire_many_owned(bytes);
        let more = more.map_err(|_| Problem::no_room())?;
        match &mut room.0 {
            Some(taken) => taken.merge(more),
            None => room.0 = Some(more),
        }
        Ok(())
    }

    /// Keeps an answer's room for as long as any part of it waits to be sent, wherever that is.
    pub(crate) fn hold(&self, bytes: Bytes) -> Result<Bytes, Problem> {
        let mut room = Room::default();
        self.take(&mut room, bytes.len())?;
        Ok(Bytes::from_owner(Held { bytes, _room: room }))
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

    #[test]
    fn room_is_given_back_when_the_last_part_of_an_answer_is_gone() {
        let buffers = Buffers::new(10);
        let answer = buffers.hold(Bytes::from(vec![1; 8])).expect("there is room");
        let part = answer.slice(2..4);
        assert!(buffers.hold(Bytes::from(vec![1; 3])).is_err());
        drop(answer);
        assert!(buffers.hold(Bytes::from(vec![1; 3])).is_err(), "a part is yet to be sent");
        assert_eq!(&*part, [1, 1]);
        drop(part);
        let mut room = Room::default();
        for _ in 0..2 {
            buffers.take(&mut room, 5).expect("there is room");
        }
        assert!(buffers.take(&mut room, 1).is_err());
        drop(room);
        assert!(buffers.hold(Bytes::from(vec![1; 10])).is_ok());
    }
}
