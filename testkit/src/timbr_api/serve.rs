//! The way of a request through the double: taken from a connection, judged, executed, and answered
//! well or badly.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::Value;
use tokio::net::TcpListener;

use super::world::World;
use super::{Fault, lock};
use crate::http_server::{self, Body, Broken, full};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

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
    match fault {
        None | Some(Fault::Delay(_)) => Ok(match done {
            Ok((status, rows)) => response(status, JSON, full(rows.to_string())),
            Err((status, text)) => response(status, TEXT, full(text)),
        }),
        Some(Fault::Refuse(status, text)) => Ok(response(status, TEXT, full(text))),
        Some(Fault::RejectCredential) => {
            Ok(response(500, TEXT, full("Could not open connection: HTTP Response code: 401")))
        }
        Some(Fault::Html) => {
            let page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>";
            Ok(response(200, HTML, full(page)))
        }
        Some(Fault::Garbage) => Ok(response(200, JSON, full(&b"\xff\xfe\x00[{]"[..]))),
        Some(Fault::Truncate) => Ok(response(200, JSON, truncated())),
        Some(Fault::Huge) => Ok(response(200, JSON, full(format!("[{{\"filler\":\"{}\"}}]", "x".repeat(50_000_000))))),
        Some(Fault::Lose | Fault::Close) => Err(Broken::because("lost")),
        Some(Fault::Hang) => std::future::pending().await,
    }
}

/// The beginning of an answer, sent before the connection is cut.
fn truncated() -> Body {
    let begun = stream::iter([Ok(Frame::data(Bytes::from_static(b"[{\"row\": ")))]);
    let cut = stream::once(async {
        // hyper sends what it has when the body makes it wait.
        tokio::task::yield_now().await;
        Err(Broken::because("truncated"))
    });
    StreamBody::new(begun.chain(cut)).boxed_unsync()
}

fn response(status: u16, content: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a fault's status is valid");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    response
}
