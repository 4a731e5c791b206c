//! How a request is answered, well or badly.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;

use super::Fault;
use crate::http_server::{Body, Broken, full};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// The answer to a request that meets this fault. The time of a delay has passed by now.
pub(crate) async fn answer(fault: Option<Fault>, good: Response<Body>) -> Result<Response<Body>, Broken> {
    match fault {
        None | Some(Fault::Delay(_)) => Ok(good),
        Some(Fault::Refuse(status, text)) => Ok(refusal(status, text)),
        Some(Fault::Later(status, seconds, text)) => {
            Ok(with(refusal(status, text), RETRY_AFTER, HeaderValue::from(seconds)))
        }
        Some(Fault::Redirect(url)) => {
            let url = HeaderValue::try_from(url).expect("a redirect's URL is a header's value");
            Ok(with(response(307, TEXT, full("")), LOCATION, url))
        }
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

fn refusal(status: u16, text: String) -> Response<Body> {
    response(status, if text.starts_with('{') { JSON } else { TEXT }, full(text))
}

fn with(mut response: Response<Body>, name: HeaderName, value: HeaderValue) -> Response<Body> {
    response.headers_mut().insert(name, value);
    response
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

/// An answer of this status and kind.
pub(crate) fn response(status: u16, content: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a valid status");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    response
}
