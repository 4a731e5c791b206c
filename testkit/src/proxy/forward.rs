//! The way of a request through the proxy: taken from a connection, treated as the rules say,
//! forwarded on a connection of its own, answered.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::hook::Verdict;
use super::{Action, Call, State, lock};
use crate::http_server::{self, Body, Broken, full};

/// Serves connections until the runtime ends.
pub(super) async fn accept(listener: std::net::TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    http_server::serve_tls(listener, acceptor, move |request| answer(state.clone(), request)).await;
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(Broken::because)?.to_bytes();
    let mut call = Call::new(&head.method, &head.uri, &body);
    let _under_way = state.begin(&call);
    let action = state.decide(&mut call);
    let mut request = Request::from_parts(head, Full::new(body));
    strip(request.headers_mut());
    match action {
        Action::Pass => forward(&state, request, &call).await,
        Action::Ask(server) => forward_to(server, &state, request, &call).await,
        Action::Refuse(code, retry_after) => Ok(refusal(code, retry_after, &call)),
        Action::Delay(time) => {
            tokio::time::sleep(time).await;
            forward(&state, request, &call).await
        }
        Action::Reset => Err(Broken::because("reset")),
        Action::Lose => {
            whole(forward(&state, request, &call).await?, &call).await?;
            Err(Broken::because("lost"))
        }
        Action::Duplicate => {
            whole(forward(&state, request.clone(), &call).await?, &call).await?;
            forward(&state, request, &call).await
        }
        Action::Pretend => Ok(of_json(call.body.0.to_string())),
        Action::Keep => {
            let (head, body) = forward(&state, request, &call).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            lock(&state.kept).insert(call.uri, (head.clone(), body.clone()));
            Ok(Response::from_parts(head, full(body)))
        }
        Action::Replay => {
            let kept = lock(&state.kept).get(&call.uri).cloned();
            match kept {
                Some((head, body)) => Ok(Response::from_parts(head, full(body))),
                None => forward(&state, request, &call).await,
            }
        }
        Action::HoldBefore(hook) => match hook.hold(&call).await {
            Verdict::Release => forward(&state, request, &call).await,
            Verdict::Discard => Err(Broken::because("discarded")),
        },
        Action::HoldAfter(hook) => {
            let response = whole(forward(&state, request, &call).await?, &call).await?;
            match hook.hold(&call).await {
                Verdict::Release => Ok(response),
                Verdict::Discard => Err(Broken::because("discarded")),
            }
        }
    }
}

async fn forward(state: &State, request: Request<Full<Bytes>>, call: &Call) -> Result<Response<Body>, Broken> {
    forward_to(state.upstream, state, request, call).await
}

/// Sends a request on to an API server. When that is away, the client's connection is cut, as its
/// own would be.
async fn forward_to(
    server: SocketAddr,
    state: &State,
    request: Request<Full<Bytes>>,
    call: &Call,
) -> Result<Response<Body>, Broken> {
    let stream = TcpStream::connect(server).await.map_err(Broken::because)?;
    let _ = stream.set_nodelay(true);
    let name = server.ip().into();
    let stream = state.connector.connect(name, stream).await.map_err(Broken::because)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(Broken::because)?;
    tokio::spawn(connection);
    let (mut head, body) = sender.send_request(request).await.map_err(Broken::because)?.into_parts();
    strip(&mut head.headers);
    let body = if call.verb == "watch" { cuttable(state, body) } else { body.map_err(Broken::because).boxed_unsync() };
    Ok(Response::from_parts(head, body))
}

/// A body that breaks off when the test cuts the watches.
fn cuttable(state: &State, body: Incoming) -> Body {
    let parts = (body, state.cut.subscribe());
    let frames = stream::unfold(parts, |(mut body, mut cut)| async move {
        let frame = tokio::select! {
            biased;
            _ = cut.changed() => Some(Err(Broken::because("cut"))),
            frame = body.frame() => frame.map(|frame| frame.map_err(Broken::because)),
        };
        frame.map(|frame| (frame, (body, cut)))
    });
    BodyExt::boxed_unsync(StreamBody::new(frames))
}

/// Takes in the whole answer, except a watch's, which has no end.
async fn whole(response: Response<Body>, call: &Call) -> Result<Response<Body>, Broken> {
    if call.verb == "watch" {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Response::from_parts(head, full(body)))
}

/// An error as the API server words it.
fn refusal(code: u16, retry_after: Option<u32>, call: &Call) -> Response<Body> {
    let reason = match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "",
    };
    let Call { verb, group, resource, name, .. } = call;
    let mut details = json!({"name": name, "group": group, "kind": resource});
    if let Some(seconds) = retry_after {
        details["retryAfterSeconds"] = seconds.into();
    }
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": format!("the test's proxy refuses to {verb} {resource} \"{name}\""),
        "reason": reason,
        "details": details,
        "code": code,
    });
    let mut response = of_json(status.to_string());
    *response.status_mut() = StatusCode::from_u16(code).expect("a rule refuses with a valid status code");
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

fn of_json(text: String) -> Response<Body> {
    let mut response = Response::new(full(text));
    response.headers_mut().insert(CONTENT_TYPE, "application/json".parse().expect("a valid header"));
    response
}

/// Removes the headers that speak of one connection only.
fn strip(headers: &mut HeaderMap) {
    headers.remove(CONNECTION);
    headers.remove(TRANSFER_ENCODING);
}
