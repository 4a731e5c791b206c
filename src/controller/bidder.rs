//! A Lease, and what this process makes of it: looks at it and bids for it.

use std::time::Instant;

use jiff::Timestamp;

use crate::apply::{LeaseError, LeaseStore};

use super::election::{Election, Won};

/// Looks and bids.
pub struct Bidder {
    /// The Lease.
    pub store: LeaseStore,
    /// What is known of it.
    pub election: Election,
}

impl Bidder {
    /// Looks what the Lease says, unless this process knows what it wrote there last; `seen` hears of it.
    pub async fn look(&mut self, mut seen: impl FnMut(&Election)) -> Result<(), LeaseError> {
        if !self.election.leads() || !self.store.is_known() {
            let found = self.store.read(self.election.patience(Instant::now())).await?;
            self.election.see(found, Instant::now());
            seen(&self.election);
        }
        Ok(())
    }

    /// Looks, and bids if it is time and this process is able to have it; returns the bid that was written.
    pub async fn turn(
        &mut self,
        is_able: impl Fn() -> bool,
        mut seen: impl FnMut(&Election),
    ) -> Result<Option<Won>, LeaseError> {
        // A second time when the Lease turns out to be another than was known.
        for _ in 0..2 {
            self.look(&mut seen).await?;
            let Some(bid) = self.election.bid(is_able(), Instant::now(), Timestamp::now()) else { break };
            // It counts from before it was sent: when it arrived nobody can tell.
            let sent = Instant::now();
            match self.store.write(&bid, self.election.patience(sent)).await {
                Ok(record) => return Ok(Some(self.election.won(record, sent))),
                Err(LeaseError::Overtaken) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
