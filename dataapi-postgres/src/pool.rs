//! Pools of connections, the settings of each, and how one is lent.

use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime,
};
use tokio::time::timeout;
use tokio_postgres::config::TargetSessionAttrs;

use crate::connect::{Address, CONNECT_WITHIN};
use crate::error::{OpenError, PostgresError};

/// How long a request waits for a connection of the pool before it is refused as overloaded.
const WAIT_AT_MOST: Duration = Duration::from_secs(2);

/// The settings of each session, whatever the database or the role says.
const SESSION: &str = "
    SET application_name = 'dataapi';
    SET client_min_messages = 'error';
    SET lock_timeout = '10s';
    SET statement_timeout = '30s';
    SET idle_in_transaction_session_timeout = '30s';
    -- Each statement was written for its index. A plan of its own for each call takes longer than most calls.
    SET plan_cache_mode = 'force_generic_plan';
    SET enable_seqscan = off;
    SET enable_sort = off;
    SET enable_bitmapscan = off;
    -- What is off counts as dear, and what is dear would be compiled: for 40 ms.
    SET jit = off;
    -- Acknowledged means on disk; what waits for replicas as well is left as it is.
    SELECT set_config('synchronous_commit', 'on', false)
     WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// A pool of connections to whichever host takes writes.
pub(crate) fn primary(address: &Address, connections: usize) -> Result<Pool, OpenError> {
    pool(address, TargetSessionAttrs::ReadWrite, connections)
}

/// A pool of connections that only read, to whichever host answers.
pub(crate) fn replica(address: &Address, connections: usize) -> Result<Pool, OpenError> {
    pool(address, TargetSessionAttrs::Any, connections)
}

fn pool(
    address: &Address,
    target: TargetSessionAttrs,
    connections: usize,
) -> Result<Pool, OpenError> {
    let hosts = address.hosts(target)?;
    let give_up_after = CONNECT_WITHIN * u32::try_from(hosts.count() + 1).unwrap_or(u32::MAX);
    let first = hosts.first().cloned().ok_or(OpenError::Url)?;
    let recycling_method = RecyclingMethod::Fast;
    let manager = Manager::from_connect(first, hosts, ManagerConfig { recycling_method });
    let settings = Hook::async_fn(|client, _| {
        Box::pin(async move {
            match timeout(CONNECT_WITHIN, client.batch_execute(SESSION)).await {
                Ok(set) => set.map_err(HookError::Backend),
                Err(_) => Err(HookError::message("the server hangs")),
            }
        })
    });
    Pool::builder(manager)
        .max_size(connections)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT_AT_MOST))
        .create_timeout(Some(give_up_after))
        .post_create(settings)
        .build()
        .map_err(|_| OpenError::Url)
}

/// A connection of a pool, which goes back there only if its work came to its end: one that was left in
/// the middle of a transaction is closed.
pub(crate) struct Lent(Option<Object>);

impl Lent {
    pub(crate) async fn from(pool: &Pool) -> Result<Self, PostgresError> {
        Ok(Self(Some(pool.get().await?)))
    }

    pub(crate) fn client(&self) -> Result<&deadpool_postgres::Client, PostgresError> {
        self.0.as_ref().ok_or(PostgresError::Lost)
    }

    pub(crate) fn client_mut(&mut self) -> Result<&mut deadpool_postgres::Client, PostgresError> {
        self.0.as_mut().ok_or(PostgresError::Lost)
    }

    /// Gives it back for the next one.
    pub(crate) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}
