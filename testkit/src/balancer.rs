//! A load balancer of TCP connections, as a Service is to those who call it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::http_server::{Background, listen};

/// A running balancer. Dropping it closes its connections and its port.
pub struct Balancer {
    address: SocketAddr,
    _server: Background,
}

impl std::fmt::Debug for Balancer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Balancer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Balancer {
    /// Sends each connection to the next of the servers that takes it.
    ///
    /// # Panics
    /// Without a free port.
    pub fn start(servers: &[SocketAddr]) -> Self {
        let (listener, address) = listen((Ipv4Addr::LOCALHOST, 0));
        let servers: Arc<[SocketAddr]> = servers.into();
        Self { address, _server: Background::run("balancer", accept(listener, servers)) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, servers: Arc<[SocketAddr]>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener of the server's runtime");
    let mut turn = 0;
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        turn += 1;
        tokio::spawn(pass(client, servers.clone(), turn));
    }
}

async fn pass(mut client: TcpStream, servers: Arc<[SocketAddr]>, turn: usize) {
    for i in 0..servers.len() {
        let Ok(mut server) = TcpStream::connect(servers[(turn + i) % servers.len()]).await else { continue };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        // When one side ends, however it does, the other is told by its connection's end.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        return;
    }
}
