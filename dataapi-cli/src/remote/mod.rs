//! What is asked of a server instead of a store that is opened here.

mod server;

pub(crate) use server::{RemoteServer, ServerError};
