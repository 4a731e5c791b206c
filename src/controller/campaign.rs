//! Keeps the lease, or waits for it: gives the election a clock and the API server.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::{
    apply::{Leadership, LeaseError},
    metrics::Metrics,
    world::Sync,
};

use super::{bidder::Bidder, election::Election};

/// How often a candidate that is not able to lead yet looks whether it is.
const LOOK: Duration = Duration::from_millis(50);

/// A process's part in the election.
pub struct Campaign {
    /// The Lease, and what is known of it.
    pub bidder: Bidder,
    /// What all writes ask.
    pub leadership: Leadership,
    /// Who has not listed everything once could not do a leader's work.
    pub sync: Arc<Sync>,
    /// Counts.
    pub metrics: Metrics,
    /// Who is about to stop takes nothing over, but keeps what it has until `resign`.
    pub stop: CancellationToken,
}

impl Campaign {
    /// Runs until `resign`, then gives the lease back.
    pub async fn run(mut self, resign: CancellationToken) {
        while !resign.is_cancelled() {
            let begun = Instant::now();
            let was_able = self.is_able();
            self.turn().await;
            let pause = self.bidder.election.pause(begun, Instant::now(), rand::random());
            tokio::select! {
                () = resign.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                () = self.becomes_able(), if !was_able => {}
            }
        }
        self.resign().await;
    }

    fn is_able(&self) -> bool {
        is_able(&self.sync, &self.stop)
    }

    async fn becomes_able(&self) {
        while !self.is_able() {
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn turn(&mut self) {
        self.check_deadline();
        match self.ask_and_bid().await {
            Ok(()) => self.tell(self.bidder.election.describe()),
            Err(error) => {
                let sentence = error.to_string();
                if self.leadership.tell(sentence.clone()) {
                    tracing::warn!(error = sentence, "the lease cannot be had, trying again");
                }
            }
        }
        self.check_deadline();
    }

    async fn ask_and_bid(&mut self) -> Result<(), LeaseError> {
        let Self { bidder, leadership, sync, metrics, stop, .. } = self;
        let is_able = || is_able(sync, stop);
        let won = bidder.turn(is_able, |election| ends_unless_it_leads(election, leadership, metrics)).await?;
        if won.is_some_and(|won| leadership.renew(won.sent)) {
            metrics.leads(true);
            tracing::info!("leading: this process has the lease, and writes");
        }
        Ok(())
    }

    fn check_deadline(&mut self) {
        if self.bidder.election.is_overdue(Instant::now()) {
            self.bidder.election.resign();
            end("the lease could not be renewed in time", &self.leadership, &self.metrics);
        }
    }

    fn tell(&self, sentence: String) {
        if self.leadership.tell(sentence.clone()) {
            tracing::info!("{sentence}");
        }
    }

    async fn resign(&mut self) {
        if self.leadership.end() {
            self.metrics.leads(false);
        }
        for _ in 0..2 {
            if !self.bidder.store.is_known() && self.bidder.look(|_| {}).await.is_err() {
                break;
            }
            let patience = self.bidder.election.patience(Instant::now());
            let Some(back) = self.bidder.election.resign() else { break };
            match self.bidder.store.write(&back, patience).await {
                Ok(_) => return tracing::info!("the lease is given back"),
                Err(LeaseError::Overtaken) => {}
                Err(error) => {
                    return tracing::warn!(%error, "the lease cannot be given back; another waits until it is over");
                }
            }
        }
    }
}

fn is_able(sync: &Sync, stop: &CancellationToken) -> bool {
    sync.is_complete() && !stop.is_cancelled()
}

fn ends_unless_it_leads(election: &Election, leadership: &Leadership, metrics: &Metrics) {
    if !election.leads() {
        end("the lease is this process's no more", leadership, metrics);
    }
}

fn end(why: &str, leadership: &Leadership, metrics: &Metrics) {
    if leadership.end() {
        metrics.leads(false);
        tracing::warn!(why, "leading no more: nothing is written until this process has the lease again");
    }
}
