//! HTTPS: connections, certificates, and what is no TLS.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::Router;
use axum_server::{
    Handle,
    accept::Accept,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::rt::TokioTimer;
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_util::sync::CancellationToken;

/// Longest time for a handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long requests that are under way may take when the server ends.
const DRAIN: Duration = Duration::from_secs(10);

/// The first byte of a TLS connection. Source: RFC 8446, section 5.1, ContentType handshake.
const HANDSHAKE: u8 = 22;

/// The certificate that the server shows now. Clones show the same.
#[derive(Clone, Default)]
pub struct Shown(Arc<RwLock<Option<Arc<CertifiedKey>>>>);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

impl Shown {
    /// Shows another from the next connection on.
    pub fn show(&self, certificate: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certificate));
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Serves a router until `stop` and for `linger` after it, and lets what is under way end.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve(
    listener: std::net::TcpListener,
    router: Router,
    shown: Shown,
    linger: Duration,
    stop: CancellationToken,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(config)));
    let acceptor = acceptor.handshake_timeout(PATIENCE).acceptor(TlsOnly);
    let handle = Handle::<SocketAddr>::new();
    let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle.clone()).http1_only();
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    tokio::spawn(async move {
        stop.cancelled().await;
        tokio::time::sleep(linger).await;
        handle.graceful_shutdown(Some(DRAIN));
    });
    server.serve(router.into_make_service()).await
}

/// Tells whoever speaks plain HTTP that this is HTTPS.
#[derive(Clone, Copy, Debug)]
struct TlsOnly;

impl<S: Send + 'static> Accept<TcpStream, S> for TlsOnly {
    type Stream = TcpStream;
    type Service = S;
    type Future = Pin<Box<dyn Future<Output = io::Result<(TcpStream, S)>> + Send>>;

    fn accept(&self, mut stream: TcpStream, service: S) -> Self::Future {
        const ANSWER: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nthis port speaks HTTPS: use https://\n";
        Box::pin(async move {
            stream.set_nodelay(true)?;
            let mut first = [0];
            let peeked = tokio::time::timeout(PATIENCE, stream.peek(&mut first)).await;
            match peeked.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
                1 if first[0] != HANDSHAKE => {
                    stream.write_all(ANSWER).await?;
                    stream.shutdown().await?;
                    Err(io::Error::new(io::ErrorKind::InvalidData, "plain HTTP"))
                }
                _ => Ok((stream, service)),
            }
        })
    }
}
