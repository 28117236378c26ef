//! The limit of HTTP on this machine: warp with nothing behind it, in a separate process.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use serde::Deserialize;
use warp::Filter;
use warp::http::{Response, StatusCode};

use crate::outcome::Outcome;
use crate::process::Process;

/// A warp server that answers every GET with the same page, and parses the body of every POST.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    _process: Process,
}

impl Wire {
    pub(crate) fn serve(folder: &Path, page: &[u8]) -> Outcome<Self> {
        let file = folder.join("page.json");
        std::fs::write(&file, page)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("wire").arg(&file).stdout(Stdio::piped());
        let mut process = Process::start(&mut command)?;
        let address = process.first_line()?.parse()?;
        Ok(Self { address, _process: process })
    }
}

/// The body of a POST, as the product accepts it.
#[derive(Deserialize)]
#[allow(dead_code, reason = "it is parsed, and nothing more")]
struct NewDialog {
    text: String,
    language: String,
}

/// Runs the server, in the separate process.
pub(crate) fn main(page: &Path) -> Outcome<()> {
    let page = Bytes::from(std::fs::read(page)?);
    let get = warp::get().map(move || {
        Response::builder().header("content-type", "application/json").body(page.clone())
    });
    let post = warp::post().and(warp::body::bytes()).and_then(async |body: Bytes| {
        let status = match serde_json::from_slice::<NewDialog>(&body) {
            Ok(_) => StatusCode::CREATED,
            Err(_) => StatusCode::BAD_REQUEST,
        };
        Ok::<_, Infallible>(warp::reply::with_status("{\"stored\":true}", status))
    });
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        warp::serve(get.or(post)).incoming(listener).run().await;
        Ok(())
    })
}
