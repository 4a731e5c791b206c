//! Ports for servers that must come back on the same one.
//!
//! They are chosen below the range from which the kernel serves `:0` and outgoing connections: a
//! port from that range, free for a moment while its server restarts, may go to any connection.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{LazyLock, Mutex, PoisonError};

/// A port on 127.0.0.1 that is free now and was not handed out before in this process. Another
/// process can still take it first: whoever starts a server on it tries again then.
///
/// # Panics
/// When none is found.
pub fn free_port() -> u16 {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..1000 {
        let port = 15_000 + (random() % 15_000) as u16;
        if !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            given.insert(port);
            return port;
        }
    }
    panic!("no free port found on 127.0.0.1");
}

/// A number that no other call in any process returns, for all a test can tell.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
