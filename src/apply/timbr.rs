//! Statements, sent to Timbr's REST API: one a request, once.
//!
//! What an answer means is decided here and nowhere else: only what surely did not leave counts as not
//! sent, and only an answer that says so counts as done. Source of the wire form: Timbr's own client,
//! pytimbr-api.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode, header::HeaderValue, redirect::Policy};

use crate::compose::{Answer, SqlTarget, Statement};

/// Longest wait for a connection. Source: Timbr's own client.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for an answer. Source: Timbr's own client.
const ANSWER: Duration = Duration::from_secs(300);
/// Longest answer that is read, in bytes: the rows of a statement that changes a role are few.
const LONGEST: usize = 1024 * 1024;
/// Longest text of a refusal that is kept, in bytes; a message shows less of it.
const LONGEST_TEXT: usize = 2048;

/// A client of Timbr's REST API.
#[derive(Clone, Debug)]
pub struct TimbrApi {
    client: Client,
}

impl TimbrApi {
    /// A client whose time limits are `rate` times as short.
    ///
    /// # Errors
    /// When there is no TLS to be had.
    pub fn new(rate: f64) -> reqwest::Result<Self> {
        let client = Client::builder()
            .connect_timeout(CONNECT.div_f64(rate))
            .timeout(ANSWER.div_f64(rate))
            // The key goes to the host that was allowed, and nowhere else.
            .redirect(Policy::none())
            .no_proxy()
            .user_agent(concat!("timbr-identity/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client })
    }

    /// Sends a statement; never twice.
    pub async fn send(&self, statement: &Statement) -> Answer {
        let SqlTarget { url, ontology, token } = &statement.target;
        // Marked, so that no log of the client's shows it.
        let key = HeaderValue::from_bytes(token.expose()).map(|mut key| {
            key.set_sensitive(true);
            key
        });
        let Ok(key) = key else {
            return Answer::NotSent("the API key holds characters that no HTTP header can carry".to_owned());
        };
        let request = self
            .client
            .post(format!("{url}/timbr/openapi/ontology/{ontology}/query"))
            .header("content-type", "application/text")
            .header("nested", "false")
            .header("x-api-key", key)
            .body(statement.text.clone());
        let answer = match request.send().await {
            // The URL is the user's own; the error's text repeats it and nothing else of the request.
            Err(error) if error.is_connect() || error.is_builder() => Answer::NotSent(cause(&error)),
            Err(error) => Answer::Lost(cause(&error)),
            Ok(response) => read(response).await,
        };
        without(answer, token.expose())
    }
}

async fn read(mut response: Response) -> Answer {
    let status = response.status();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > LONGEST => {
                return judge(status, &body, true);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return judge(status, &body, false),
            Err(error) => return Answer::Lost(format!("the answer broke off: {}", cause(&error))),
        }
    }
}

/// What an answer means.
fn judge(status: StatusCode, body: &[u8], too_long: bool) -> Answer {
    let text = String::from_utf8_lossy(&body[..body.len().min(LONGEST_TEXT)]).into_owned();
    match status {
        StatusCode::OK if too_long => {
            Answer::Refused("status 200 with more than 1 MiB, which is no answer to this statement".to_owned())
        }
        StatusCode::OK if serde_json::from_slice::<Vec<serde_json::Value>>(body).is_ok() => Answer::Done,
        StatusCode::OK => Answer::Refused(format!("status 200, but no JSON rows: {text}")),
        // Somebody between us and Timbr gave up; Timbr may have got it.
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Answer::Lost(format!("status {}: {text}", status.as_u16()))
        }
        _ => Answer::Refused(format!("status {}: {text}", status.as_u16())),
    }
}

/// The innermost cause: the outer ones only say that a request failed.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return if error.is_connect() { "no connection in time" } else { "no answer in time" }.to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// An answer in which the key does not stand, should somebody have echoed it.
fn without(answer: Answer, token: &[u8]) -> Answer {
    let token = String::from_utf8_lossy(token);
    let clean = |text: String| text.replace(token.as_ref(), "<redacted>");
    match answer {
        Answer::Done | Answer::Withheld => answer,
        Answer::Refused(text) => Answer::Refused(clean(text)),
        Answer::Lost(text) => Answer::Lost(clean(text)),
        Answer::NotSent(text) => Answer::NotSent(clean(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_are_success() {
        let judge = |code: u16, body: &str| judge(StatusCode::from_u16(code).unwrap(), body.as_bytes(), false);
        assert_eq!(judge(200, "[]"), Answer::Done);
        assert_eq!(judge(200, "[{\"a\": 1}]"), Answer::Done);
        for body in ["", "ok", "{}", "<html>", "[1"] {
            assert_eq!(judge(200, body), Answer::Refused(format!("status 200, but no JSON rows: {body}")));
        }
        assert_eq!(judge(201, "[]"), Answer::Refused("status 201: []".to_owned()));
        assert_eq!(
            judge(500, "HTTP Response code: 401"),
            Answer::Refused("status 500: HTTP Response code: 401".to_owned())
        );
        assert_eq!(judge(504, "gateway"), Answer::Lost("status 504: gateway".to_owned()));
    }

    #[test]
    fn an_echoed_key_is_not_repeated() {
        let answer = without(Answer::Refused("bad key tk_1".to_owned()), b"tk_1");
        assert_eq!(answer, Answer::Refused("bad key <redacted>".to_owned()));
    }
}
