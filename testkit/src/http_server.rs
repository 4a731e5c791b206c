//! What the kit's own HTTP servers share: a thread to run on, and connections that can be cut.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::certificates::{Identity, use_aws_lc};

/// An answer's body: streamed, so that it may have no end, or break off.
pub(crate) type Body = UnsyncBoxBody<Bytes, Broken>;

/// The connection to the client is to be cut: hyper does so on a service's or a body's error.
#[derive(Debug)]
pub(crate) struct Broken(String);

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

impl Broken {
    pub(crate) fn because(reason: impl Display) -> Self {
        Self(reason.to_string())
    }
}

/// A body that is there as a whole.
pub(crate) fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A thread and a runtime of a server's own, which know nothing of the test's. Dropping it ends both,
/// and with them the port and every connection.
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub(crate) fn run(name: &str, server: impl Future<Output = ()> + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            // The runtime ends with this block, and every connection with it.
            runtime.expect("a runtime for the server").block_on(async move {
                tokio::select! {
                    () = server => {}
                    _ = stopped => {}
                }
            });
        });
        Self { stop: Some(stop), thread: Some(thread.expect("a thread for the server")) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Listens at an address, of which port 0 leaves the port to the system; and where that is.
pub(crate) fn listen(at: impl Into<SocketAddr>) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(at.into()).expect("a port for the server");
    listener.set_nonblocking(true).expect("a non-blocking listener");
    let address = listener.local_addr().expect("a bound listener has an address");
    (listener, address)
}

/// Ends TLS with a server's certificate.
pub(crate) fn acceptor(identity: &Identity) -> TlsAcceptor {
    use_aws_lc();
    let (chain, key) = identity.der();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    TlsAcceptor::from(Arc::new(config.expect("the server's certificate is valid")))
}

/// Serves a listener's connections over TLS until the runtime ends.
pub(crate) async fn serve_tls<A>(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    answer: impl Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
) where
    A: Future<Output = Result<Response<Body>, Broken>> + Send + 'static,
{
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener of the server's runtime");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            serve(stream, answer).await;
        });
    }
}

/// Answers the requests of one connection until it ends or is cut.
pub(crate) async fn serve<S, A>(stream: S, answer: impl Fn(Request<Incoming>) -> A)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    A: Future<Output = Result<Response<Body>, Broken>> + Send + 'static,
{
    let service = service_fn(|request| {
        // A task of its own: what has arrived takes its way although its sender ends.
        let answer = tokio::spawn(answer(request));
        async move { answer.await.unwrap_or_else(|panic| Err(Broken::because(panic))) }
    });
    // Errors are the clients' to see: a cut connection is one.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
