//! Another API server of the same cluster, which can be made to lag behind.

use std::net::SocketAddr;

use kube::Client;

use crate::pipe::Pipe;
use crate::supervisor::Process;
use crate::users::{Credentials, Server};

/// A second kube-apiserver on the same etcd. While it lags, what it has in its memory stays as it is: it answers
/// lists and gets "as old as you have" with that, tells watches nothing, and what needs etcd waits until it times
/// out. Dropping it ends its process.
#[derive(Debug)]
pub struct Replica {
    pub(crate) server: Server,
    pub(crate) admin: Credentials,
    pub(crate) pipe: Pipe,
    pub(crate) _process: Process,
}

impl Replica {
    /// Its address, for [`Action::Ask`](crate::Action::Ask).
    pub fn address(&self) -> SocketAddr {
        let address = self.server.url.strip_prefix("https://").and_then(|address| address.parse().ok());
        address.expect("an API server's address is an IP and a port")
    }

    /// A new client that may do everything.
    pub fn admin(&self) -> Client {
        self.server.client(&self.admin)
    }

    /// From now on it learns nothing of what is written.
    pub fn lag(&self) {
        self.pipe.flow(false);
    }

    /// It learns all that it has missed, in the order in which it happened.
    pub fn catch_up(&self) {
        self.pipe.flow(true);
    }
}
