//! What each route does: one file for each resource, whose handlers take a request apart, ask the store and
//! render the answer, and say so in the API's description.

#![allow(clippy::unused_async, reason = "the router calls all handlers alike")]

pub(crate) mod answer;
pub(crate) mod changes;
pub(crate) mod consents;
pub(crate) mod customers;
pub(crate) mod dialogs;
pub(crate) mod docs;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod stats;
pub(crate) mod version;
