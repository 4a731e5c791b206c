//! A webhook that reads what it is asked and allows everything: what asking costs by itself.

use std::net::{Ipv4Addr, SocketAddr};

use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::certificates::Authority;
use crate::http_server::{Background, Body, Broken, acceptor, full, listen, serve_tls};

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
        let authority = Authority::new();
        let (listener, address) = listen((Ipv4Addr::LOCALHOST, 0));
        let server = serve_tls(listener, acceptor(&authority.server()), allow);
        Self { address, authority, _server: Background::run("empty-webhook", server) }
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
