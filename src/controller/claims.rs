//! In which namespaces this process may write: of several operators one looks after a namespace.
//!
//! An operator that was told which namespaces to watch [claims](super::claimant) each of them, and begins nothing
//! in one that it does not have. One that watches all claims none, and keeps out of those that are claimed. What
//! is begun in a namespace ends with the hold on it, and with the term in which it was had.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::{api::CLAIM, apply::Leadership, metrics::Metrics, world::Index};

use super::election::{Election, LeaseTiming};

/// A namespace that this process may write to.
#[derive(Clone, Debug)]
pub struct Hold {
    /// Counts the holds of this process.
    pub number: u64,
    /// Cancelled at its end: nothing that was begun goes on then.
    pub over: CancellationToken,
}

/// What a process has in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may write, or another replica of the same operator may.
    Ours(String),
    /// It leaves the namespace alone, and why.
    LeftAlone(String),
}

impl Standing {
    /// The sentence.
    pub fn told(&self) -> &str {
        match self {
            Standing::Ours(told) | Standing::LeftAlone(told) => told,
        }
    }
}

/// Whether a look may begin.
#[derive(Debug)]
pub enum Permit {
    /// It may, and ends with the hold.
    Granted(Hold),
    /// It may not. When that may be otherwise without anybody saying so.
    Refused(Option<Instant>),
}

/// In which namespaces this process may write. Clones speak of the same.
#[derive(Clone)]
pub struct Claims(Arc<State>);

struct State {
    leadership: Leadership,
    metrics: Metrics,
    /// For an operator that watches all namespaces.
    lookout: Option<Lookout>,
    namespaces: Mutex<Namespaces>,
}

#[derive(Default)]
struct Namespaces {
    holds: BTreeMap<String, Hold>,
    standings: BTreeMap<String, Standing>,
    number: u64,
}

impl Claims {
    /// Of an operator that claims the namespaces it watches: none is its own yet.
    pub fn made(leadership: Leadership, metrics: Metrics) -> Self {
        Self::new(leadership, metrics, None)
    }

    /// Of an operator that watches all namespaces: each is free, but for what `index` knows to be claimed by the
    /// operator of another namespace than `identity`.
    pub fn of_others(
        leadership: Leadership,
        metrics: Metrics,
        index: Arc<RwLock<Index>>,
        identity: String,
        timing: LeaseTiming,
    ) -> Self {
        let lookout = Lookout { index, identity, timing, elections: Mutex::default() };
        Self::new(leadership, metrics, Some(lookout))
    }

    fn new(leadership: Leadership, metrics: Metrics, lookout: Option<Lookout>) -> Self {
        Self(Arc::new(State { leadership, metrics, lookout, namespaces: Mutex::default() }))
    }

    /// Whether a look at a namespace may begin now.
    pub fn permit(&self, namespace: &str) -> Permit {
        if let Some(lookout) = &self.0.lookout {
            match lookout.taken(namespace, Instant::now()) {
                Some((until, told)) => {
                    if self.refuse(namespace, Standing::LeftAlone(told.clone())) {
                        tracing::info!("{told}");
                    }
                    return Permit::Refused(Some(until));
                }
                None => {
                    if self.forget(namespace) {
                        tracing::info!(
                            namespace,
                            "nobody has a claim to the namespace any more: this operator goes on there"
                        );
                    }
                    self.grant(namespace);
                }
            }
        }
        let all = self.all();
        let hold = all.holds.get(namespace).filter(|hold| !hold.over.is_cancelled());
        hold.map_or(Permit::Refused(None), |hold| Permit::Granted(hold.clone()))
    }

    /// Takes in what the index knows of claims to a namespace: what is under way there ends at once when another
    /// has it.
    pub fn notice(&self, namespace: &str) {
        if self.0.lookout.is_some() {
            self.permit(namespace);
        }
    }

    /// Whether a write to a namespace may be sent now.
    pub fn may_write(&self, namespace: &str) -> bool {
        self.0.leadership.may_write() && matches!(self.permit(namespace), Permit::Granted(_))
    }

    /// A namespace may be written to from now on, until the term ends or it is refused. Whether that is news.
    pub fn grant(&self, namespace: &str) -> bool {
        let Some(term) = self.0.leadership.term() else {
            return false;
        };
        let mut all = self.all();
        if all.holds.get(namespace).is_some_and(|hold| !hold.over.is_cancelled()) {
            return false;
        }
        all.number += 1;
        let hold = Hold { number: all.number, over: term.ended.child_token() };
        all.holds.insert(namespace.to_owned(), hold);
        true
    }

    /// A namespace must not be written to. Whether what is told of it is news.
    pub fn refuse(&self, namespace: &str, standing: Standing) -> bool {
        if let Some(hold) = self.all().holds.remove(namespace) {
            hold.over.cancel();
        }
        self.tell(namespace, standing)
    }

    /// Notes what is to be told of a namespace; whether that is news.
    pub fn tell(&self, namespace: &str, standing: Standing) -> bool {
        let mut all = self.all();
        let is_news = all.standings.get(namespace) != Some(&standing);
        all.standings.insert(namespace.to_owned(), standing);
        self.count(&all);
        is_news
    }

    /// What is told of each namespace that there is something to tell of.
    pub fn standings(&self) -> BTreeMap<String, Standing> {
        self.all().standings.clone()
    }

    /// There is nothing to tell of a namespace. Whether there was.
    fn forget(&self, namespace: &str) -> bool {
        let mut all = self.all();
        let was_told = all.standings.remove(namespace).is_some();
        self.count(&all);
        was_told
    }

    fn count(&self, all: &Namespaces) {
        let left_alone = all.standings.values().filter(|standing| matches!(standing, Standing::LeftAlone(_)));
        self.0.metrics.left_alone(left_alone.count());
    }

    fn all(&self) -> MutexGuard<'_, Namespaces> {
        self.0.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches the claims of others.
struct Lookout {
    index: Arc<RwLock<Index>>,
    identity: String,
    timing: LeaseTiming,
    /// Of namespaces that somebody has ever claimed.
    elections: Mutex<BTreeMap<String, Election>>,
}

impl Lookout {
    /// Until when a namespace is another's, and that in a sentence.
    fn taken(&self, namespace: &str, now: Instant) -> Option<(Instant, String)> {
        let record = self.index.read().unwrap_or_else(PoisonError::into_inner).claim(namespace).cloned();
        let mut elections = self.elections.lock().unwrap_or_else(PoisonError::into_inner);
        if record.is_none() && !elections.contains_key(namespace) {
            return None;
        }
        let new = || Election::new(self.identity.clone(), self.timing);
        let election = elections.entry(namespace.to_owned()).or_insert_with(new);
        election.see(record, now);
        let until = election.taken_until(now)?;
        let wait = self.timing.duration + self.timing.margin;
        let told = format!(
            "{}; this operator watches all namespaces, and keeps out of this one until its claim has not been renewed for {wait:?}",
            looked_after(namespace, election.holder())
        );
        Some((until, told))
    }
}

/// Who looks after a namespace.
fn looked_after(namespace: &str, holder: Option<&str>) -> String {
    let holder = holder.map_or("an operator that somebody took out of its claim".to_owned(), |holder| {
        format!("the operator in namespace {holder}")
    });
    format!("Namespace {namespace} is looked after by {holder} (Lease {namespace}/{CLAIM})")
}

/// What an operator says of a namespace that it was told to watch, and that another has.
pub fn claimed_by_another(namespace: &str, holder: Option<&str>, wait: Duration) -> String {
    format!(
        "{}, and is left alone by this one; take it from --watch-namespaces of one of the two, or stop the other: this one takes over when the claim has not been renewed for {wait:?}",
        looked_after(namespace, holder)
    )
}

/// What an operator says of a namespace whose claim it cannot have.
pub fn unclaimable(namespace: &str, error: &impl Display) -> String {
    format!("Namespace {namespace} cannot be claimed, and is left alone: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Change, Record};

    const TIMING: LeaseTiming = LeaseTiming {
        duration: Duration::from_secs(60),
        renew_deadline: Duration::from_secs(40),
        retry: Duration::from_secs(20),
        margin: Duration::from_secs(5),
    };

    fn leader() -> Leadership {
        let leadership = Leadership::new(Duration::from_secs(5));
        leadership.renew(Instant::now());
        leadership
    }

    fn granted(claims: &Claims, namespace: &str) -> Option<Hold> {
        match claims.permit(namespace) {
            Permit::Granted(hold) => Some(hold),
            Permit::Refused(_) => None,
        }
    }

    #[test]
    fn a_hold_lasts_until_it_is_refused_or_its_term_ends() {
        let leadership = leader();
        let claims = Claims::made(leadership.clone(), Metrics::default());
        assert!(granted(&claims, "a").is_none() && !claims.may_write("a"));
        assert!(claims.grant("a") && !claims.grant("a"));
        let first = granted(&claims, "a").unwrap();
        assert!(claims.may_write("a") && granted(&claims, "b").is_none());
        let why = Standing::LeftAlone("another's".to_owned());
        assert!(claims.refuse("a", why.clone()) && !claims.refuse("a", why));
        assert!(first.over.is_cancelled() && !claims.may_write("a"));
        assert!(claims.grant("a"));
        let second = granted(&claims, "a").unwrap();
        assert_ne!(first.number, second.number);
        leadership.end();
        leadership.renew(Instant::now());
        assert!(second.over.is_cancelled() && granted(&claims, "a").is_none(), "another term, another hold");
        leadership.end();
        assert!(!claims.grant("a"), "nobody holds anything without leading");
    }

    #[test]
    fn an_operator_of_all_namespaces_keeps_out_of_what_others_claim() {
        let index = Arc::new(RwLock::new(Index::default()));
        let see = |holder: Option<&str>, renewed: i64| {
            let record = holder.map(|holder| Record {
                holder: Some(holder.to_owned()),
                renewed: jiff::Timestamp::from_second(renewed).ok(),
                ..Record::default()
            });
            index.write().unwrap().apply(Change::Claim { namespace: "a".to_owned(), record });
        };
        let claims = Claims::of_others(leader(), Metrics::default(), Arc::clone(&index), "me".to_owned(), TIMING);
        let begun = granted(&claims, "a").expect("nobody has it");
        see(Some("me"), 1);
        assert!(granted(&claims, "a").is_some(), "its own, from when it was told what to watch");
        see(Some("other"), 2);
        claims.notice("a");
        assert!(begun.over.is_cancelled() && granted(&claims, "b").is_some());
        let Permit::Refused(Some(until)) = claims.permit("a") else { panic!("it is another's") };
        assert!(until > Instant::now() + Duration::from_secs(64));
        let told = claims.standings()["a"].told().to_owned();
        assert!(
            told.starts_with(
                "Namespace a is looked after by the operator in namespace other (Lease a/timbr-identity-claim); "
            ),
            "{told}"
        );
        // Deleted by somebody: its holder may not know yet.
        see(None, 0);
        assert!(granted(&claims, "a").is_none());
        // Renewed while nobody else looked: it lasts on, from now.
        see(Some("other"), 3);
        let Permit::Refused(Some(later)) = claims.permit("a") else { panic!("it is another's") };
        assert!(later > until);
        // Given back.
        index.write().unwrap().apply(Change::Claim { namespace: "a".to_owned(), record: Some(Record::default()) });
        assert!(granted(&claims, "a").is_some() && claims.standings().is_empty());
    }
}
