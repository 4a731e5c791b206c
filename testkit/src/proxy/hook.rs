//! A place where a request is held, so that a test can act exactly then.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Call;

/// How long a test waits for a request before it fails.
const DEADLINE: Duration = Duration::from_secs(60);

/// Holds the requests that come to it until the test decides. From then on all go the same way.
#[derive(Debug)]
pub struct Hook {
    reached: watch::Sender<Option<Call>>,
    verdict: watch::Sender<Option<Verdict>>,
}

/// What becomes of a held request or answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Release,
    Discard,
}

impl Hook {
    /// A hook that holds.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { reached: watch::Sender::new(None), verdict: watch::Sender::new(None) })
    }

    /// Waits until a request is held here and returns it.
    ///
    /// # Panics
    /// When none comes for a minute.
    pub async fn reached(&self) -> Call {
        let mut reached = self.reached.subscribe();
        let call = tokio::time::timeout(DEADLINE, reached.wait_for(Option::is_some)).await;
        let call = call.expect("no request came to the hook within a minute");
        call.expect("the hook is there").clone().expect("just seen")
    }

    /// Lets the held request or answer go on. The request is forwarded even when its sender is gone
    /// by now, as a packet already on its way would be.
    pub fn release(&self) {
        self.verdict.send_replace(Some(Verdict::Release));
    }

    /// Drops the held request or answer and cuts its connection.
    pub fn discard(&self) {
        self.verdict.send_replace(Some(Verdict::Discard));
    }

    pub(super) async fn hold(&self, call: &Call) -> Verdict {
        self.reached.send_replace(Some(call.clone()));
        let mut verdict = self.verdict.subscribe();
        // Without a hook left nobody will decide.
        verdict.wait_for(Option::is_some).await.ok().and_then(|verdict| *verdict).unwrap_or(Verdict::Discard)
    }
}
