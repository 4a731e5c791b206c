//! Claims a namespace for this operator, and keeps it claimed: gives the election a clock and the API server.
//!
//! All replicas of an operator have one identity, its own namespace; the one that leads takes and renews the claim.
//! The others look at it, so that they know, should they lead, that nobody else can have had it meanwhile. It is
//! not given back at the end: a restart must not let another in.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use crate::{
    apply::{Leadership, LeaseError, LeaseStore, Writer},
    compose::InstallationKey,
    world::Index,
};

use super::{
    bidder::Bidder,
    claims::{Claims, Standing, claimed_by_another, unclaimable},
    election::{Election, LeaseTiming},
};

/// Who claims a namespace.
pub struct Claimant {
    /// The namespace.
    namespace: String,
    bidder: Bidder,
    /// How claims are timed.
    timing: LeaseTiming,
    /// How long to wait after a failure.
    again: Duration,
    leadership: Leadership,
    claims: Claims,
    writer: Writer,
    index: Arc<RwLock<Index>>,
    triggers: mpsc::UnboundedSender<InstallationKey>,
    /// The term in which the claim was taken.
    term: Option<u64>,
    /// From when on it may be used: others have noticed it by then.
    usable: Option<Instant>,
    /// Whose claim was warned of.
    warned: Option<String>,
}

/// What the claimants of all namespaces share.
pub struct Claiming {
    /// Who claims: the operator's own namespace.
    pub identity: String,
    /// How claims are timed.
    pub timing: LeaseTiming,
    /// How long to wait after a failure.
    pub again: Duration,
    /// Who does not lead claims nothing.
    pub leadership: Leadership,
    /// What there is to look at in a namespace that becomes this operator's.
    pub index: Arc<RwLock<Index>>,
    /// Who is to look at it.
    pub triggers: mpsc::UnboundedSender<InstallationKey>,
    /// What everybody asks.
    pub claims: Claims,
    /// Tells people.
    pub writer: Writer,
}

impl Claiming {
    /// The claimant of a namespace.
    pub fn claimant(&self, namespace: String, store: LeaseStore) -> Claimant {
        self.claims.tell(&namespace, Standing::Ours("the claim was not read yet".to_owned()));
        Claimant {
            namespace,
            bidder: Bidder { store, election: Election::new(self.identity.clone(), self.timing) },
            timing: self.timing,
            again: self.again,
            leadership: self.leadership.clone(),
            claims: self.claims.clone(),
            writer: self.writer.clone(),
            index: Arc::clone(&self.index),
            triggers: self.triggers.clone(),
            term: None,
            usable: None,
            warned: None,
        }
    }
}

impl Claimant {
    /// Runs until it is dropped.
    pub async fn run(mut self) {
        let mut changes = self.leadership.changes();
        loop {
            let term = changes.borrow_and_update().as_ref().map(|term| term.number);
            if term != self.term {
                // What was held ended with its term.
                self.give_up();
                self.term = term;
            }
            let begun = Instant::now();
            let turn = self.turn().await;
            let pause = match turn {
                Ok(()) => self.bidder.election.pause(begun, Instant::now(), rand::random()),
                Err(_) => self.again,
            };
            let usable = self.usable.map(|usable| usable.saturating_duration_since(Instant::now()));
            let pause = usable.filter(|left| !left.is_zero()).map_or(pause, |left| left.min(pause));
            tokio::select! {
                Ok(()) = changes.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn turn(&mut self) -> Result<(), LeaseError> {
        let result = self.ask_and_bid().await;
        if self.bidder.election.is_overdue(Instant::now()) {
            self.give_up();
        }
        match (self.usable, &result) {
            // What was taken in it ended with it; the next turn takes it anew.
            _ if self.term.is_some() && !is_of(self.term, &self.leadership) => {}
            (Some(usable), result) if usable <= Instant::now() => self.hold(result.as_ref().err()),
            (Some(_), _) => {
                let wait = self.timing.margin;
                let told = format!("claimed just now; this operator begins there when others had {wait:?} to notice");
                self.claims.tell(&self.namespace, Standing::Ours(told));
            }
            (None, Err(error)) => self.leave_alone(unclaimable(&self.namespace, error)),
            (None, Ok(())) if self.bidder.election.taken_until(Instant::now()).is_some() => {
                let wait = self.timing.duration + self.timing.margin;
                let told = claimed_by_another(&self.namespace, self.bidder.election.holder(), wait);
                self.leave_alone(told.clone());
                self.warn(told).await;
            }
            (None, Ok(())) => {
                let told = "the replica of this operator that leads claims it".to_owned();
                self.claims.refuse(&self.namespace, Standing::Ours(told));
            }
        }
        result
    }

    async fn ask_and_bid(&mut self) -> Result<(), LeaseError> {
        let Self { bidder, leadership, claims, namespace, term, .. } = self;
        let (had, mut is_lost) = (bidder.election.leads(), false);
        let seen = |election: &Election| {
            if had && !election.leads() {
                is_lost = true;
                claims.refuse(namespace, Standing::Ours("the claim is this operator's no more".to_owned()));
            }
        };
        let leads = || is_of(*term, leadership);
        let won = bidder.turn(leads, seen).await;
        if is_lost {
            self.usable = None;
        }
        if let Some(won) = won?
            && self.usable.is_none()
        {
            let margin = if won.was_kept { Duration::ZERO } else { self.timing.margin };
            self.usable = Some(Instant::now() + margin);
        }
        Ok(())
    }

    /// This process looks after the namespace, also while the claim cannot be renewed, for as long as it lasts.
    fn hold(&mut self, error: Option<&LeaseError>) {
        self.warned = None;
        if self.claims.grant(&self.namespace) {
            tracing::info!(namespace = self.namespace, "the namespace is claimed for this operator");
            let keys = self.index.read().unwrap_or_else(PoisonError::into_inner).keys(Some(&self.namespace));
            for key in keys {
                // A closed channel means that the operator is shutting down.
                let _ = self.triggers.send(key);
            }
        }
        let mut told = format!("claimed by this operator, as {}", self.bidder.election.identity());
        if let Some(error) = error {
            told += &format!("; the claim cannot be renewed: {error}");
        }
        if self.claims.tell(&self.namespace, Standing::Ours(told))
            && let Some(error) = error
        {
            tracing::warn!(namespace = self.namespace, %error, "the claim cannot be renewed, trying again");
        }
    }

    fn give_up(&mut self) {
        self.bidder.election.resign();
        self.usable = None;
    }

    fn leave_alone(&self, told: String) {
        if self.claims.refuse(&self.namespace, Standing::LeftAlone(told.clone())) {
            tracing::warn!("{told}");
        }
    }

    /// One Event for each that has it, from the replica that leads.
    async fn warn(&mut self, told: String) {
        if self.term.is_none() || self.warned.as_ref() == Some(&told) {
            return;
        }
        self.writer.claimed_by_another(&self.bidder.store.reference(), told.clone()).await;
        self.warned = Some(told);
    }
}

/// Whether the term that was seen to begin lasts: one that has begun since is another turn's.
fn is_of(term: Option<u64>, leadership: &Leadership) -> bool {
    term.is_some() && leadership.term().map(|now| now.number) == term
}
