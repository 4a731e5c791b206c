//! The way of a request through the double: taken from a connection, answered by its service, and sent
//! back well or badly.

use std::sync::{Arc, Mutex};

use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio_rustls::TlsAcceptor;

use super::world::World;
use super::{Fault, Service, lock};
use crate::fault;
use crate::http_server::{self, Body, Broken, full};

/// Serves a service's connections until the runtime ends.
pub(super) async fn accept(
    service: Service,
    listener: std::net::TcpListener,
    acceptor: TlsAcceptor,
    world: Arc<Mutex<World>>,
) {
    http_server::serve_tls(listener, acceptor, move |request| answer(service, world.clone(), request)).await;
}

async fn answer(
    service: Service,
    world: Arc<Mutex<World>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Broken> {
    let (head, body) = request.into_parts();
    let (nth, fault) = lock(&world).arrive(service, &head);
    if fault == Some(Fault::Close) {
        return Err(Broken::because("closed"));
    }
    let body = body.collect().await.map_err(Broken::because)?.to_bytes();
    lock(&world).keep(nth, &body);
    if let Some(Fault::Delay(time)) = fault {
        tokio::time::sleep(time).await;
    }
    let effect = fault.as_ref().is_none_or(Fault::executes);
    let answer = lock(&world).answer(nth, &head, &body, effect);
    let mut good = fault::response(answer.status, answer.content, full(answer.body));
    for (name, value) in answer.headers {
        good.headers_mut().insert(name, HeaderValue::try_from(value).expect("a header's value"));
    }
    fault::answer(fault, good).await
}
