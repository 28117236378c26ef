//! How long a test waits.

use std::time::Duration;

/// How long something may take that a loaded machine does slowly.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
