//! Keeps the lease, or waits for it: gives the election a clock and the API server.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    apply::{Leadership, LeaseError, LeaseStore},
    metrics::Metrics,
    world::Sync,
};

use super::election::Election;

/// How often a candidate that is not able to lead yet looks whether it is.
const LOOK: Duration = Duration::from_millis(50);

/// A process's part in the election.
pub struct Campaign {
    /// The Lease.
    pub store: LeaseStore,
    /// What is known of it.
    pub election: Election,
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
            let pause = self.election.pause(begun, Instant::now(), rand::random());
            tokio::select! {
                () = resign.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                () = self.becomes_able(), if !was_able => {}
            }
        }
        self.resign().await;
    }

    fn is_able(&self) -> bool {
        self.sync.is_complete() && !self.stop.is_cancelled()
    }

    async fn becomes_able(&self) {
        while !self.is_able() {
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn turn(&mut self) {
        self.check_deadline();
        match self.ask_and_bid().await {
            Ok(()) => self.tell(self.election.describe()),
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
        // A second time when the lease turns out to be another than was known.
        for _ in 0..2 {
            // A leader knows what it wrote last.
            if !self.election.leads() || !self.store.is_known() {
                self.look().await?;
            }
            let Some(bid) = self.election.bid(self.is_able(), Instant::now(), Timestamp::now()) else { break };
            // It counts from before it was sent: when it arrived nobody can tell.
            let sent = Instant::now();
            match self.store.write(&bid, self.election.patience(sent)).await {
                Ok(record) => {
                    self.election.won(record, sent);
                    if self.leadership.renew(sent) {
                        self.metrics.leads(true);
                        tracing::info!("leading: this process has the lease, and writes");
                    }
                    break;
                }
                Err(LeaseError::Overtaken) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn look(&mut self) -> Result<(), LeaseError> {
        let found = self.store.read(self.election.patience(Instant::now())).await?;
        self.election.see(found, Instant::now());
        if !self.election.leads() {
            self.end("the lease is this process's no more");
        }
        Ok(())
    }

    fn check_deadline(&mut self) {
        if self.election.is_overdue(Instant::now()) {
            self.election.resign();
            self.end("the lease could not be renewed in time");
        }
    }

    fn end(&self, why: &str) {
        if self.leadership.end() {
            self.metrics.leads(false);
            tracing::warn!(why, "leading no more: nothing is written until this process has the lease again");
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
            if !self.store.is_known() && self.look().await.is_err() {
                break;
            }
            let patience = self.election.patience(Instant::now());
            let Some(back) = self.election.resign() else { break };
            match self.store.write(&back, patience).await {
                Ok(_) => return tracing::info!("the lease is given back"),
                Err(LeaseError::Overtaken) => {}
                Err(error) => {
                    return tracing::warn!(%error, "the lease cannot be given back; another waits until it is over");
                }
            }
        }
    }
}
