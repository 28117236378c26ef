//! What all attackers need to know.

use tokio::time::Instant;

use super::tally::Tally;
use crate::client::Client;

#[derive(Clone)]
pub(super) struct Plan {
    pub(super) client: Client,
    pub(super) tally: Tally,
    pub(super) key: String,
    pub(super) end: Instant,
}
