//! Servers on one store, each behind a network of its own, and what can go wrong with them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postgres_cluster::Proxy;
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::client::PATIENCE;
use crate::load::Choices;
use crate::program::Program;

/// Where clients reach the servers now.
#[derive(Clone)]
pub(super) struct Addresses(Arc<Mutex<Vec<SocketAddr>>>);

impl Addresses {
    /// The URL of the server with this number, counted round and round.
    pub(super) fn of(&self, number: usize) -> String {
        let addresses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        format!("http://{}", addresses[number % addresses.len()])
    }

    fn set(&self, number: usize, address: SocketAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[number] = address;
    }
}

/// Two servers on one store.
pub(super) struct Servers {
    store: String,
    arguments: Vec<String>,
    running: Vec<(Program, Proxy)>,
    addresses: Addresses,
}

impl Servers {
    /// Starts both, with further arguments.
    pub(super) fn start(store: &str, arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        let running: Vec<_> = (0..2).map(|_| start(store, &arguments)).collect();
        let addresses = running.iter().map(|(_, proxy)| proxy.address()).collect();
        let addresses = Addresses(Arc::new(Mutex::new(addresses)));
        Self { store: store.to_owned(), arguments, running, addresses }
    }

    pub(super) fn addresses(&self) -> Addresses {
        self.addresses.clone()
    }

    /// Breaks something of one server and mends it.
    pub(super) async fn harm(&mut self, choices: &mut Choices) {
        let number = usize::try_from(choices.below(2)).expect("a small number");
        let (program, proxy) = &mut self.running[number];
        match choices.below(8) {
            0 | 1 => {
                // In this order, so that an answer that a server gave before it died can still arrive.
                block_in_place(|| program.kill());
                sleep(millis(choices, 50)).await;
                proxy.cut();
                self.running[number] = block_in_place(|| start(&self.store, &self.arguments));
                self.addresses.set(number, self.running[number].1.address());
            }
            2 | 3 => {
                program.signal("STOP");
                sleep(millis(choices, 200)).await;
                program.signal("CONT");
            }
            4 => {
                // It does what it was asked when nobody waits for it any more.
                program.signal("STOP");
                sleep(PATIENCE + millis(choices, 300)).await;
                program.signal("CONT");
            }
            5 => {
                proxy.cut();
                sleep(millis(choices, 20)).await;
                proxy.mend();
            }
            6 => {
                proxy.stall();
                sleep(millis(choices, 200)).await;
                proxy.mend();
            }
            _ => {
                let path: &[&[u8]] = &[b"POST /data/", b"POST /consents/", b"DELETE /"];
                let which = usize::try_from(choices.below(3)).expect("a small number");
                if choices.below(2) == 0 {
                    proxy.lose_request(path[which]);
                } else {
                    proxy.lose_answer(path[which]);
                }
            }
        }
    }
}

fn start(store: &str, arguments: &[String]) -> (Program, Proxy) {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let program = Program::start(store, &arguments);
    let proxy = Proxy::to(program.address).expect("a proxy");
    (program, proxy)
}

/// A random time of up to this many milliseconds.
pub(super) fn millis(choices: &mut Choices, most: u64) -> Duration {
    Duration::from_millis(1 + choices.below(most))
}
