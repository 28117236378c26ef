//! How long tests wait.

use std::time::Duration;

/// How long a test waits for something that is slow on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
