//! Hashes what a cursor belongs to.

use super::position::Position;
use crate::values::CustomerId;

pub(super) type Fingerprint = [u8; 8];

/// What a cursor belongs to: a filter, or the data of one customer.
pub(super) struct Scope(blake3::Hasher);

impl Scope {
    pub(super) fn new(kind: &[u8]) -> Self {
        let mut scope = Self(blake3::Hasher::new());
        scope.part(Some(kind));
        scope
    }

    pub(super) fn subject(customer_id: &CustomerId) -> Self {
        let mut scope = Self::new(b"subject");
        scope.part(Some(customer_id.as_str().as_bytes()));
        scope
    }

    pub(super) fn part(&mut self, part: Option<&[u8]>) {
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        self.0.update(&length.to_be_bytes());
        self.0.update(part.unwrap_or_default());
    }

    pub(super) fn fingerprint(mut self, position: &Position) -> Fingerprint {
        self.part(Some(&position.date.as_micros().to_be_bytes()));
        self.part(Some(position.dialog_id.as_str().as_bytes()));
        let mut fingerprint = Fingerprint::default();
        self.0.finalize_xof().fill(&mut fingerprint);
        fingerprint
    }
}
