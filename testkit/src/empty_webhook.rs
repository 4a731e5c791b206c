//! A webhook that reads what it is asked and allows everything: what asking costs by itself.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use crate::certificates::{Authority, use_aws_lc};
use crate::http_server::{Background, Body, Broken, full, serve_tls};

/// A running webhook. Dropping it ends it.
pub struct EmptyWebhook {
    address: SocketAddr,
    authority: Authority,
    _server: Background,
}

impl std::fmt::Debug for EmptyWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmptyWebhook").field("address", &self.address).finish_non_exhaustive()
    }
}

impl EmptyWebhook {
    /// Starts one.
    ///
    /// # Panics
    /// Without a free port.
    pub fn start() -> Self {
        use_aws_lc();
        let authority = Authority::new();
        let (chain, key) = authority.server().der();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("a usable certificate")));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port for the webhook");
        listener.set_nonblocking(true).expect("a listener for tokio");
        let address = listener.local_addr().expect("an address");
        Self { address, authority, _server: Background::run("empty-webhook", serve_tls(listener, acceptor, allow)) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of the authority to trust, PEM.
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }
}

async fn allow(request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    const ANSWER: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","allowed":true}}"#;
    request.into_body().collect().await.map_err(Broken::because)?;
    let mut answer = Response::new(full(ANSWER));
    answer.headers_mut().insert(CONTENT_TYPE, "application/json".parse().expect("a valid header"));
    Ok(answer)
}
