//! The webhook on a thread of its own.

use std::time::Duration;

use kube::{Client, Config};
use tokio_util::sync::CancellationToken;

use super::{
    router::{Desk, router},
    server::{Shown, serve},
};

/// A webhook that is running.
#[derive(Debug)]
pub struct Running {
    ended: CancellationToken,
}

impl Running {
    /// Waits until what was under way has ended.
    pub async fn ended(self) {
        self.ended.cancelled().await;
    }

    /// Ends when the webhook does without having been told to.
    pub async fn died(&self, stop: &CancellationToken) {
        self.ended.cancelled().await;
        if stop.is_cancelled() {
            std::future::pending().await
        }
    }
}

/// Starts the webhook; when the operator is told to stop, it goes on for `linger`.
///
/// # Errors
/// When there is no thread, or no client for it.
pub fn start(
    listener: tokio::net::TcpListener,
    config: Config,
    desk: impl FnOnce(Client) -> Desk + Send + 'static,
    shown: Shown,
    linger: Duration,
    stop: CancellationToken,
) -> anyhow::Result<Running> {
    let listener = listener.into_std()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = CancellationToken::new();
    let at_end = ended.clone().drop_guard();
    std::thread::Builder::new().name("webhook".to_owned()).spawn(move || {
        let _at_end = at_end;
        runtime.block_on(async move {
            // A client of its own: its connections are this runtime's.
            let served = match Client::try_from(config) {
                Ok(client) => {
                    serve(listener, router(desk(client)), shown, linger, stop).await.map_err(anyhow::Error::from)
                }
                Err(error) => Err(error.into()),
            };
            if let Err(error) = served {
                tracing::error!(%error, "the webhook has ended");
            }
        });
    })?;
    Ok(Running { ended })
}
