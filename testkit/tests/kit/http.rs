//! Requests as a client with no opinions sends them.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::objects::DEADLINE;

/// The answer over a connection that is made by `connect`, or that the connection was cut.
pub async fn exchange<S>(connect: impl Future<Output = S>, request: Request<String>) -> Result<Response<String>, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let exchange = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connect.await)).await?;
        tokio::spawn(connection);
        let (head, body) = sender.send_request(request.map(Full::<Bytes>::from)).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Response::from_parts(head, String::from_utf8_lossy(&body).into_owned()))
    };
    let answer = tokio::time::timeout(DEADLINE, exchange).await.expect("an answer or its end");
    answer.map_err(|error| error.to_string())
}
