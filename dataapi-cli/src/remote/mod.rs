//! Requests to a server, in place of a store that is opened here.

mod server;

pub(crate) use server::{RemoteOptions, RemoteServer, ServerError};
