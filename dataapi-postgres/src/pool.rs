//! Pools of connections, the settings of their sessions, and lending.

use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime,
};
use tokio::time::timeout;
use tokio_postgres::config::TargetSessionAttrs;

use crate::connect::{Address, CONNECT_WITHIN};
use crate::error::{OpenError, PostgresError};

/// How long a request waits for a connection before it is refused as overloaded.
const WAIT_AT_MOST: Duration = Duration::from_secs(2);

/// The settings of each session. They override those of the database and the role.
const SESSION: &str = "
    SET application_name = 'dataapi';
    SET client_min_messages = 'error';
    SET lock_timeout = '10s';
    SET statement_timeout = '30s';
    SET idle_in_transaction_session_timeout = '30s';
    -- Each statement was written for an index. Planning each call by itself takes longer than most calls. But Citus
    -- plans a statement over several shards only together with its values.
    SELECT set_config('plan_cache_mode', CASE WHEN EXISTS (
               SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus'
           ) THEN 'auto' ELSE 'force_generic_plan' END, false);
    SET enable_seqscan = off;
    SET enable_sort = off;
    SET enable_bitmapscan = off;
    -- A disabled kind of plan counts as expensive, and PostgreSQL would compile it, which takes 40 ms.
    SET jit = off;
    -- An answer means that the commit is on disk. A setting that also waits for standbys is kept.
    SELECT set_config('synchronous_commit', 'on', false)
     WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// Makes a pool of connections to the host that accepts writes.
pub(crate) fn primary(address: &Address, connections: usize) -> Result<Pool, OpenError> {
    pool(address, TargetSessionAttrs::ReadWrite, connections)
}

/// Makes a pool of connections for reading, to any host that answers.
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
                Err(_) => Err(HookError::message("the server does not answer")),
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

/// A connection from a pool. It goes back to the pool only by [`Lent::give_back`]. A connection that is dropped,
/// perhaps in the middle of a transaction, is closed.
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

    /// Returns the connection to the pool.
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
