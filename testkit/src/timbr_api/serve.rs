//! The way of a request through the double: taken from a connection, judged, executed, and answered
//! well or badly.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::net::TcpListener;

use super::world::World;
use super::{Fault, lock};
use crate::fault;
use crate::http_server::{self, Body, Broken, full};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Serves connections until the runtime ends.
pub(super) async fn accept(listener: std::net::TcpListener, world: Arc<Mutex<World>>) {
    let listener = TcpListener::from_std(listener).expect("a listener of the double's runtime");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let world = world.clone();
        tokio::spawn(http_server::serve(stream, move |request| answer(world.clone(), request)));
    }
}

async fn answer(world: Arc<Mutex<World>>, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    let (head, body) = request.into_parts();
    let (nth, fault) = lock(&world).arrive(&head);
    if fault == Some(Fault::Close) {
        return Err(Broken::because("closed"));
    }
    let body = body.collect().await.map_err(Broken::because)?.to_bytes();
    let judged = lock(&world).judge(nth, &head, &body);
    if let Some(Fault::Delay(time)) = fault {
        tokio::time::sleep(time).await;
    }
    let done = match judged {
        Ok(call) if fault.as_ref().is_none_or(Fault::executes) => lock(&world).execute(nth, call),
        // What is answered then does not depend on it.
        Ok(_) => Ok((200, Value::Null)),
        Err(refusal) => Err(refusal),
    };
    let good = match done {
        Ok((status, rows)) => fault::response(status, JSON, full(rows.to_string())),
        Err((status, text)) => fault::response(status, TEXT, full(text)),
    };
    fault::answer(fault, good).await
}
