//! Refuses a database server whose settings let it lose what it has acknowledged.

use tokio_postgres::Client;

use crate::error::{OpenError, unavailable};

/// Fails if a crash of the server's machine can lose what the server has committed, or damage its files, unless the
/// operator has accepted that. The sessions set `synchronous_commit` themselves.
pub(crate) async fn check_server(client: &Client) -> Result<(), OpenError> {
    let asked =
        "SELECT current_setting('fsync') = 'off' OR current_setting('full_page_writes') = 'off',
                        coalesce(current_setting('dataapi.durability', true), '') = 'unchecked'";
    let row = client.query_one(asked, &[]).await?;
    match (row.try_get::<_, bool>(0)?, row.try_get::<_, bool>(1)?) {
        (true, false) => Err(OpenError::Crashes),
        _ => Ok(()),
    }
}

/// Fails if a node answers a commit before it is on disk. Citus passes the settings of a session on to no node, so the
/// nodes' own settings count.
pub(crate) async fn check_nodes(client: &Client) -> Result<(), OpenError> {
    let asked = "SELECT coalesce(bool_and(success), false),
                        coalesce(bool_or(result IN ('off', 'local')), false)
                   FROM run_command_on_all_nodes('SHOW synchronous_commit')";
    let row = client.query_one(asked, &[]).await?;
    match (row.try_get::<_, bool>(0)?, row.try_get::<_, bool>(1)?) {
        (false, _) => {
            Err(OpenError::Store(unavailable("a node of the Citus cluster does not answer")))
        }
        (true, true) => Err(OpenError::Durability),
        (true, false) => Ok(()),
    }
}
