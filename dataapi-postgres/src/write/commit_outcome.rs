//! Finds out the outcome of a transaction if the answer to its commit was lost.

use deadpool_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::error::PostgresError;
use crate::rows::get;

/// The life of a server. A transaction id is only meaningful within one.
#[derive(PartialEq)]
pub(super) struct ServerLife {
    /// Changes when another server takes over.
    pub(super) timeline: String,
    /// Changes after a crash too.
    id: i64,
}

/// Identifies the current life of the server. After a crash, and on a standby that takes over, the ids of lost
/// transactions are used again.
pub(super) async fn life(client: &Client) -> Result<ServerLife, PostgresError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| PostgresError::Lost)?;
    let begin = "INSERT INTO dataapi.life VALUES (1, $1) ON CONFLICT DO NOTHING";
    client.execute(begin, &[&i64::from_be_bytes(bytes)]).await?;
    let found = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), id FROM dataapi.life";
    let row = client.query_one(found, &[]).await?;
    Ok(ServerLife { timeline: get(&row, 0)?, id: get(&row, 1)? })
}

/// Returns the status of a transaction; `None` if it is too old for the server to know.
pub(super) async fn status(client: &Client, id: &str) -> Result<Option<String>, PostgresError> {
    let statement = client.prepare_cached("SELECT pg_xact_status($1::text::xid8)").await?;
    match client.query_one(&statement, &[&id]).await.map_err(PostgresError::from) {
        Ok(row) => get(&row, 0),
        Err(PostgresError::Database(SqlState::INVALID_PARAMETER_VALUE)) => {
            Ok(Some("in the future".into()))
        }
        Err(failure) => Err(failure),
    }
}

/// Whether every node of a Citus cluster has committed what a process of the coordinator has committed.
///
/// Citus prepares a transaction over several nodes on each of them, commits it on the coordinator, and then on the
/// nodes. If it loses a node in between, it reports success, and commits there when the node is back.
pub(super) async fn is_on_all_nodes(client: &Client, process: i32) -> Result<bool, PostgresError> {
    // The name of a prepared transaction begins with the coordinator's group and the process.
    let statement = client
        .prepare_cached(
            r"SELECT coalesce(bool_and(success AND result = '0'), false)
                FROM run_command_on_all_nodes(
                    (SELECT format('SELECT count(*) FROM pg_prepared_xacts WHERE gid LIKE %L',
                                   format('citus\_%s\_%s\_%%', groupid, $1::integer))
                       FROM pg_dist_local_group))",
        )
        .await?;
    get(&client.query_one(&statement, &[&process]).await?, 0)
}
