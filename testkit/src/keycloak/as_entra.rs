//! Keycloak at Entra's path of tokens.
//!
//! The operator asks `/{tenant}/oauth2/v2.0/token`, as Entra's documentation says; Keycloak answers at a path of its
//! own. This passes a request on to there, and the answer back as it is. The scope is left out: Entra's names a service
//! (`https://graph.microsoft.com/.default`), and Keycloak has none of that name.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::certificates::Identity;
use crate::http_server::{Background, Body, Broken, acceptor, full, listen, serve_tls};

/// A running door. Dropping it closes it.
pub struct AsEntra {
    url: String,
    _server: Background,
}

impl std::fmt::Debug for AsEntra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsEntra").field("url", &self.url).finish_non_exhaustive()
    }
}

impl AsEntra {
    pub(super) fn start(identity: &Identity, keycloak: u16) -> Self {
        let (listener, address) = listen((Ipv4Addr::LOCALHOST, 0));
        let url = format!("https://{address}");
        let server = serve_tls(listener, acceptor(identity), move |request| pass_on(keycloak, request));
        Self { url, _server: Background::run("keycloak-as-entra", server) }
    }

    /// What `--authority-url` is to be.
    pub fn url(&self) -> &str {
        &self.url
    }
}

async fn pass_on(keycloak: u16, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    let (head, body) = request.into_parts();
    let tenant = head.uri.path().strip_prefix('/').and_then(|path| path.strip_suffix("/oauth2/v2.0/token"));
    let (&Method::POST, Some(tenant)) = (&head.method, tenant) else {
        let mut answer = Response::new(full(""));
        *answer.status_mut() = StatusCode::NOT_FOUND;
        return Ok(answer);
    };
    let body = body.collect().await.map_err(Broken::because)?.to_bytes();
    let form = String::from_utf8_lossy(&body);
    let form: Vec<&str> = form.split('&').filter(|field| !field.starts_with("scope=")).collect();
    let request = Request::post(format!("/realms/{tenant}/protocol/openid-connect/token"))
        .header(HOST, format!("127.0.0.1:{keycloak}"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(form.join("&"))))
        .map_err(Broken::because)?;
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, keycloak)).await.map_err(Broken::because)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(Broken::because)?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(Broken::because)?;
    let (head, body) = answer.into_parts();
    Ok(Response::from_parts(head, full(body.collect().await.map_err(Broken::because)?.to_bytes())))
}
