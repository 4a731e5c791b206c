//! The operator's own HTTP endpoints: `/livez`, `/readyz?verbose`, `/metrics`.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{controller::Heartbeat, metrics::Metrics};

/// One line of `/readyz?verbose`.
pub enum Check {
    /// What must be there, and what is missing of it.
    Needed(Result<(), String>),
    /// What is told, and makes nobody ready or not.
    Told(String),
}

/// What `/readyz` asks: each check by name. Checks are data, so that a new one is listed without anybody
/// thinking of it.
pub type Checks = Arc<dyn Fn() -> BTreeMap<String, Check> + Send + std::marker::Sync>;

/// `/livez` and `/readyz`.
pub fn health(heartbeat: Heartbeat, checks: Checks) -> Router {
    let alive = move || async move {
        if heartbeat.is_alive() {
            (StatusCode::OK, "ok\n")
        } else {
            (StatusCode::INTERNAL_SERVER_ERROR, "the work queue does not turn\n")
        }
    };
    Router::new().route("/livez", get(alive)).route("/readyz", get(ready)).with_state(checks)
}

async fn ready(State(checks): State<Checks>, RawQuery(query): RawQuery) -> Response {
    let checks = checks();
    let ready = !checks.values().any(|check| matches!(check, Check::Needed(Err(_))));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let verbose =
        query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose=")));
    let mut body = String::new();
    for (name, check) in checks {
        body += &match check {
            Check::Needed(Err(missing)) => format!("[-] {name}: {missing}\n"),
            Check::Needed(Ok(())) if verbose => format!("[+] {name} ok\n"),
            Check::Told(sentence) if verbose => format!("[ ] {name}: {sentence}\n"),
            Check::Needed(Ok(())) | Check::Told(_) => continue,
        };
    }
    body += if ready { "ready\n" } else { "not ready\n" };
    (status, body).into_response()
}

/// `/metrics`.
pub fn metrics(metrics: Metrics) -> Router {
    let text = move || {
        let text = metrics.text();
        async move { ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text) }
    };
    Router::new().route("/metrics", get(text))
}

/// On a node without IPv6, all addresses are all IPv4 addresses.
async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await.map_err(|_| error)
        }
        bound => bound,
    }
}

/// Listens, and logs where: port 0 leaves that to the system.
///
/// # Errors
/// When the address cannot be bound.
pub async fn listen(name: &'static str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = bind(address).await.map_err(|error| {
        anyhow::anyhow!("cannot listen on {address} for {name}: {error}; choose another with --{name}-bind")
    })?;
    let address = listener.local_addr()?;
    tracing::info!(server = name, %address, "listening");
    Ok(listener)
}

/// Serves `router` until `stop`.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    name: &'static str,
    address: SocketAddr,
    router: Router,
    stop: CancellationToken,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let listener = listen(name, address).await?;
    Ok(tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(server = name, %error, "server ended");
        }
    }))
}
