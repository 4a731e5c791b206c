//! A pipe between a client and a server, whose flow can be stopped and let go on: nothing is lost and nothing
//! breaks, it is only late.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::http_server::Background;

/// A running pipe. Dropping it breaks its connections.
pub(crate) struct Pipe {
    address: SocketAddr,
    flows: watch::Sender<bool>,
    _server: Background,
}

impl std::fmt::Debug for Pipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipe").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Pipe {
    /// Starts a pipe to a server on a local port.
    pub fn start(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port for the pipe");
        listener.set_nonblocking(true).expect("a non-blocking listener");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (flows, flow) = watch::channel(true);
        Self { address, flows, _server: Background::run("pipe", accept(listener, port, flow)) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets what is sent through go on, or wait.
    pub fn flow(&self, flows: bool) {
        self.flows.send_replace(flows);
    }
}

async fn accept(listener: TcpListener, port: u16, flow: watch::Receiver<bool>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener of the pipe's runtime");
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let flow = flow.clone();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            // One that ends takes the other with it.
            tokio::select! {
                _ = copy(from_client, to_server, flow.clone()) => {}
                _ = copy(from_server, to_client, flow) => {}
            }
        });
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut flow: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 || flow.wait_for(|flows| *flows).await.is_err() {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}
