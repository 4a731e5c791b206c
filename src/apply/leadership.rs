//! Whether this process may write: of several replicas one leads, and the others stand by.
//!
//! A Lease does not fence: nothing keeps a process that was frozen from sending what it had in hand. So each
//! write asks here just before it is sent, and goes by the time of the last renewal, not by what somebody
//! concluded from it earlier.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// One time of leading, from taking the lease to losing it.
#[derive(Clone, Debug)]
pub struct Term {
    /// Counts the terms of this process.
    pub number: u64,
    /// Cancelled at its end: what was begun in it must not go on, not even when the next term has begun.
    pub ended: CancellationToken,
    renewed: Instant,
}

/// Whether this process leads. Clones speak of the same lease.
#[derive(Clone, Debug)]
pub struct Leadership(Arc<State>);

#[derive(Debug)]
struct State {
    /// Longest time since the last renewal in which a write may be sent.
    margin: Duration,
    term: watch::Sender<Option<Term>>,
    terms: Mutex<u64>,
    /// Who leads, in a sentence.
    told: Mutex<String>,
}

impl Leadership {
    /// Of a process that does not lead yet.
    pub fn new(margin: Duration) -> Self {
        let told = Mutex::new("the lease was not read yet".to_owned());
        Self(Arc::new(State { margin, term: watch::Sender::new(None), terms: Mutex::default(), told }))
    }

    /// Whether a write may be sent now.
    pub fn may_write(&self) -> bool {
        self.0.term.borrow().as_ref().is_some_and(|term| term.renewed.elapsed() < self.0.margin)
    }

    /// The term that lasts, if one does.
    pub fn term(&self) -> Option<Term> {
        self.0.term.borrow().clone()
    }

    /// The term that lasts, if one does; tells when one begins or ends, but not of renewals.
    pub fn changes(&self) -> watch::Receiver<Option<Term>> {
        self.0.term.subscribe()
    }

    /// The lease was taken or renewed by a request that was sent at `sent`. Whether a term begins with it.
    pub fn renew(&self, sent: Instant) -> bool {
        self.0.term.send_if_modified(|term| match term {
            Some(term) => {
                term.renewed = sent;
                false
            }
            None => {
                let mut terms = self.0.terms.lock().unwrap_or_else(PoisonError::into_inner);
                *terms += 1;
                *term = Some(Term { number: *terms, ended: CancellationToken::new(), renewed: sent });
                true
            }
        })
    }

    /// The lease is lost or given back. Whether a term ends with it.
    pub fn end(&self) -> bool {
        self.0.term.send_if_modified(|term| match term.take() {
            Some(term) => {
                term.ended.cancel();
                true
            }
            None => false,
        })
    }

    /// Who leads, in a sentence.
    pub fn told(&self) -> String {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes who leads; whether that is news.
    pub fn tell(&self, sentence: String) -> bool {
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *told != sentence;
        *told = sentence;
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fresh_renewal_of_the_term_that_lasts_lets_a_write_out() {
        let leadership = Leadership::new(Duration::from_secs(5));
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        assert!(!leadership.may_write() && !leadership.end());
        assert!(leadership.renew(ago(4)));
        assert!(leadership.may_write());
        let first = leadership.changes().borrow().clone().unwrap();
        assert!(!leadership.renew(ago(6)), "a renewal begins no term");
        assert!(!leadership.may_write(), "it is too old, though the term lasts");
        assert!(!leadership.renew(ago(0)));
        assert!(leadership.may_write() && !first.ended.is_cancelled());
        assert!(leadership.end() && !leadership.end());
        assert!(!leadership.may_write() && first.ended.is_cancelled());
        assert!(leadership.renew(ago(0)));
        let second = leadership.changes().borrow().clone().unwrap();
        assert!(first.ended.is_cancelled() && !second.ended.is_cancelled() && second.number != first.number);
    }
}
