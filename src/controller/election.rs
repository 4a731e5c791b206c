//! Who leads, decided from what the Lease said and when: pure, time is an argument.
//!
//! The rule is that of Kubernetes' own client: clocks of two machines are never compared. A lease is
//! another's for as long after this process *saw it change* as it is good for, and somewhat longer, as
//! what its holder sent last may still be on its way. Only a lease that was given back is free at once.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::world::Record;

/// How leadership is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTiming {
    /// How long the lease is good for after each renewal.
    pub duration: Duration,
    /// A leader that could not renew for this long leads no more.
    pub renew_deadline: Duration,
    /// How often the lease is renewed, and looked at by who does not lead.
    pub retry: Duration,
    /// How old a renewal may be when a write is sent; and how much longer than the lease is good for another
    /// process waits. As long as a write may take.
    pub margin: Duration,
}

/// Times that do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseTimingError {
    /// A Lease counts in seconds.
    #[error("--lease-duration must be 1s or longer")]
    TooShort,
    /// Another would take over from a leader that does not know that it leads no more.
    #[error("--lease-duration must be longer than --lease-renew-deadline")]
    Duration,
    /// One failed renewal would end the leadership.
    #[error("--lease-renew-deadline must be longer than --lease-retry")]
    RenewDeadline,
    /// The renewals would be too old for writes most of the time.
    #[error(
        "--lease-retry must be longer than 0s and shorter than {0:?}: later than that after a renewal nothing is written"
    )]
    Retry(Duration),
}

impl LeaseTiming {
    /// How claims to namespaces are timed: they outlast a restart, and every hand-over between replicas. `margin`: how
    /// long others have to notice a claim before its holder writes.
    pub fn of_claims(self, margin: Duration) -> Self {
        let duration = self.duration * 4;
        Self { duration, renew_deadline: duration * 2 / 3, retry: duration / 3, margin }
    }

    /// The same, if the times go together.
    ///
    /// # Errors
    /// A sentence on which flag is wrong.
    pub fn checked(self) -> Result<Self, LeaseTimingError> {
        if self.duration < Duration::from_secs(1) {
            Err(LeaseTimingError::TooShort)
        } else if self.duration <= self.renew_deadline {
            Err(LeaseTimingError::Duration)
        } else if self.renew_deadline <= self.retry {
            Err(LeaseTimingError::RenewDeadline)
        } else if self.retry.is_zero() || self.retry >= self.margin {
            Err(LeaseTimingError::Retry(self.margin))
        } else {
            Ok(self)
        }
    }
}

/// What one process knows of the lease, and what it makes of it.
#[derive(Debug)]
pub struct Election {
    /// Whom the lease names when it is this process's; no other process ever has the same.
    identity: String,
    timing: LeaseTiming,
    /// What the lease said last.
    seen: Option<Record>,
    /// Until then it is another's.
    taken_until: Option<Instant>,
    /// When the last renewal was sent, while this process leads.
    renewed: Option<Instant>,
    /// When it was last looked at, or written.
    looked: Option<Instant>,
    /// A time at which it was renewed surely, or later: by this process, or by another with the same identity.
    kept: Option<Instant>,
}

/// A bid that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Won {
    /// When it was sent.
    pub sent: Instant,
    /// Whether nobody else can have thought the lease free since it was last renewed.
    pub was_kept: bool,
}

impl Election {
    /// A candidate that has seen nothing yet.
    pub fn new(identity: String, timing: LeaseTiming) -> Self {
        Self { identity, timing, seen: None, taken_until: None, renewed: None, looked: None, kept: None }
    }

    /// Whether this process leads.
    pub fn leads(&self) -> bool {
        self.renewed.is_some()
    }

    /// Takes in what the lease says, as answered at `now`; `None`: there is none.
    pub fn see(&mut self, found: Option<Record>, now: Instant) {
        match &found {
            Some(record) if self.is_ours(record) => {
                self.taken_until = None;
                // Renewed since the last look, by another of the same identity.
                if self.seen.as_ref().is_some_and(|seen| self.is_ours(seen) && seen != record) {
                    self.kept = self.looked;
                }
            }
            Some(record) if is_given_back(record) => (self.renewed, self.taken_until) = (None, None),
            Some(record) => {
                self.renewed = None;
                if self.seen.as_ref() != Some(record) {
                    let duration = self.timing.duration.max(record.duration.unwrap_or_default());
                    self.taken_until = now.checked_add(duration.saturating_add(self.timing.margin)).or(Some(now));
                }
            }
            // Deleted by somebody: its holder may not know yet, and has as long as before.
            None => {}
        }
        if !found.as_ref().is_some_and(|record| self.is_ours(record)) {
            self.kept = None;
        }
        (self.seen, self.looked) = (found, Some(now));
    }

    /// What to write now, if it is time: a renewal, or a bid of a candidate that is able to lead.
    pub fn bid(&self, is_able: bool, now: Instant, at: Timestamp) -> Option<Record> {
        let ours = self.seen.as_ref().filter(|record| self.is_ours(record));
        let is_to_be_had = is_able && (ours.is_some() || self.taken_until(now).is_none());
        if !self.leads() && !is_to_be_had {
            return None;
        }
        let transitions = self.seen.as_ref().map_or(0, |record| record.transitions.saturating_add(1));
        Some(Record {
            holder: Some(self.identity.clone()),
            duration: Some(self.timing.duration),
            acquired: ours.and_then(|record| record.acquired).or(Some(at)),
            renewed: Some(at),
            transitions: ours.map_or(transitions, |record| record.transitions),
        })
    }

    /// A bid that was sent at `sent` was written.
    pub fn won(&mut self, record: Record, sent: Instant) -> Won {
        let was_kept = self.kept.is_some_and(|kept| sent.saturating_duration_since(kept) < self.timing.duration);
        (self.seen, self.taken_until, self.renewed) = (Some(record), None, Some(sent));
        (self.looked, self.kept) = (Some(sent), Some(sent));
        Won { sent, was_kept }
    }

    /// Until when it is another's, if it is.
    pub fn taken_until(&self, now: Instant) -> Option<Instant> {
        self.taken_until.filter(|until| *until > now)
    }

    /// Whom the lease names when it is this process's.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Whom it named last.
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref()?.holder.as_deref()
    }

    /// Whether the leader could not renew for too long.
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.renewed.is_some_and(|sent| now.saturating_duration_since(sent) >= self.timing.renew_deadline)
    }

    /// Leads no more; what to write so that the next leader need not wait, if the lease is still this process's.
    pub fn resign(&mut self) -> Option<Record> {
        self.renewed = None;
        let ours = self.seen.as_ref().filter(|record| self.is_ours(record))?;
        Some(Record { transitions: ours.transitions, duration: ours.duration, ..Record::default() })
    }

    /// How long a request about the lease may take.
    pub fn patience(&self, now: Instant) -> Duration {
        let deadline = self.renewed.map(|sent| (sent + self.timing.renew_deadline).saturating_duration_since(now));
        // A little at least: a request without any time would tell nothing.
        deadline.map_or(self.timing.renew_deadline, |left| left.max(self.timing.retry))
    }

    /// How long to wait, after a turn that began at `begun`, before the next one; `random` in 0..1.
    pub fn pause(&self, begun: Instant, now: Instant, random: f64) -> Duration {
        if self.leads() {
            return (begun + self.timing.retry).saturating_duration_since(now);
        }
        // Candidates do not ask all at the same moment, but none comes late.
        let retry = self.timing.retry.mul_f64(1.0 + random.clamp(0.0, 1.0) / 5.0);
        let free = self.taken_until(now).map(|until| until.saturating_duration_since(now));
        free.map_or(retry, |left| left.min(retry))
    }

    /// Who leads, in a sentence.
    pub fn describe(&self) -> String {
        match self.holder() {
            _ if self.leads() => format!("this process leads, as {}", self.identity),
            Some(holder) if holder != self.identity => {
                let wait = self.timing.duration + self.timing.margin;
                format!(
                    "{holder} has the lease; this process, {}, stands by, and takes over when it is given back or not renewed for {wait:?}",
                    self.identity
                )
            }
            _ => format!("nobody has the lease; this process, {}, stands by", self.identity),
        }
    }

    fn is_ours(&self, record: &Record) -> bool {
        record.holder.as_ref() == Some(&self.identity)
    }
}

/// Whether the last holder gave it back and writes no more. Who only takes the holder's name out of a
/// Lease leaves the time of the renewal there, and a holder that does not know.
fn is_given_back(record: &Record) -> bool {
    record.holder.is_none() && record.renewed.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: LeaseTiming = LeaseTiming {
        duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry: Duration::from_secs(2),
        margin: Duration::from_secs(5),
    };

    fn record(holder: &str, renewed: i64) -> Record {
        Record {
            holder: Some(holder.to_owned()),
            duration: Some(Duration::from_secs(15)),
            acquired: Timestamp::from_second(1).ok(),
            renewed: Timestamp::from_second(renewed).ok(),
            transitions: 4,
        }
    }

    fn given_back() -> Record {
        Record { transitions: 4, ..Record::default() }
    }

    /// What happens at a second.
    enum Event {
        /// The lease is read.
        See(Option<Record>),
        /// A bid was sent then, and written.
        Won,
    }
    use Event::{See, Won};

    struct Row {
        name: &'static str,
        events: Vec<(u64, Event)>,
        /// Last second at which a candidate does not bid, and first at which it does; `None`: it never had to wait.
        bids: Option<(u64, u64)>,
        leads: bool,
    }

    fn row(name: &'static str, events: Vec<(u64, Event)>, bids: Option<(u64, u64)>, leads: bool) -> Row {
        Row { name, events, bids, leads }
    }

    #[test]
    fn when_the_lease_may_be_taken() {
        let other = |renewed| See(Some(record("other", renewed)));
        let longer = Record { duration: Some(Duration::from_secs(60)), ..record("other", 1) };
        let emptied = Record { holder: None, ..record("other", 1) };
        let odd = Record { duration: None, ..record("other", 1) };
        let rows = [
            row("there is none", vec![(0, See(None))], None, false),
            row("nobody ever had it", vec![(0, See(Some(Record::default())))], None, false),
            row("given back", vec![(0, other(1)), (2, See(Some(given_back())))], None, false),
            row("another's, first seen", vec![(3, other(1))], Some((22, 23)), false),
            row("not renewed", vec![(0, other(1)), (2, other(1)), (18, other(1))], Some((19, 20)), false),
            row("renewed", vec![(0, other(1)), (2, other(3))], Some((21, 22)), false),
            row("renewed at the last moment", vec![(0, other(1)), (19, other(15))], Some((38, 39)), false),
            // A clock that goes backwards renews, too: only that it changed counts.
            row("renewed by a slow clock", vec![(0, other(9)), (10, other(1))], Some((29, 30)), false),
            row("promised for longer", vec![(0, See(Some(longer)))], Some((64, 65)), false),
            row("promised for nobody knows how long", vec![(0, See(Some(odd)))], Some((19, 20)), false),
            row(
                "the name was taken out by somebody",
                vec![(0, other(1)), (2, See(Some(emptied)))],
                Some((21, 22)),
                false,
            ),
            row("deleted by somebody", vec![(0, other(1)), (2, See(None))], Some((19, 20)), false),
            row("ours", vec![(0, See(None)), (0, Won)], None, true),
            row("ours, and seen to be", vec![(0, See(None)), (0, Won), (2, See(Some(record("me", 1))))], None, true),
            row("ours, deleted by somebody", vec![(0, See(None)), (0, Won), (2, See(None))], None, true),
            row("taken away", vec![(0, See(None)), (0, Won), (2, other(1))], Some((21, 22)), false),
            row("taken away and given back", vec![(0, Won), (2, other(1)), (4, See(Some(given_back())))], None, false),
            row("ours, from before it was lost", vec![(0, See(Some(record("me", 1))))], None, false),
        ];
        for Row { name, events, bids, leads } in rows {
            let start = Instant::now();
            let at = |second: u64| start + Duration::from_secs(second);
            let mut election = Election::new("me".to_owned(), TIMING);
            let mut last = 0;
            for (second, event) in events {
                last = second;
                match event {
                    See(found) => election.see(found, at(second)),
                    Won => {
                        let bid = election.bid(true, at(second), Timestamp::UNIX_EPOCH).expect(name);
                        election.won(bid, at(second));
                    }
                }
            }
            assert_eq!(election.leads(), leads, "{name}");
            let bids_at = |second| election.bid(true, at(second), Timestamp::UNIX_EPOCH).is_some();
            let waits = (last..200).find(|second| bids_at(*second)).map(|first| (first.saturating_sub(1), first));
            assert_eq!(waits.filter(|(_, first)| *first > last), bids, "{name}");
        }
    }

    #[test]
    fn what_is_written() {
        let now = Instant::now();
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut election = Election::new("me".to_owned(), TIMING);
        assert_eq!(election.bid(false, now, at(5)), None, "who is not able to lead does not bid");
        // Taken from another: it changes hands.
        election.see(Some(given_back()), now);
        let bid = election.bid(true, now, at(5)).unwrap();
        assert_eq!(bid, Record { transitions: 5, acquired: Some(at(5)), ..record("me", 5) });
        election.won(bid, now);
        // Renewed: it does not.
        let renewal = election.bid(true, now, at(7)).unwrap();
        assert_eq!(renewal, Record { transitions: 5, acquired: Some(at(5)), ..record("me", 7) });
        // A write of ours whose answer was lost is ours all the same.
        election.see(Some(renewal), now);
        assert!(election.leads());
        let back = election.resign().unwrap();
        assert!(is_given_back(&back) && !election.leads());
        assert_eq!(back.transitions, 5);
        // What another has by now is not given back.
        election.see(Some(record("other", 9)), now);
        assert_eq!(election.resign(), None);
    }

    /// Who takes over from another of the same identity knows whether anybody else can have had it since.
    #[test]
    fn what_was_seen_to_be_renewed_was_kept() {
        let ours = |renewed| See(Some(record("us", renewed)));
        let other = || See(Some(record("other", 1)));
        let rows = [
            ("never seen", vec![], 0, false),
            ("there is none", vec![(0, See(None))], 1, false),
            ("ours, renewed nobody knows when", vec![(0, ours(1))], 1, false),
            ("not renewed since it was seen", vec![(0, ours(1)), (2, ours(1))], 3, false),
            ("seen to be renewed", vec![(0, ours(1)), (2, ours(3))], 14, true),
            ("after the look before that, and that was too long ago", vec![(0, ours(1)), (2, ours(3))], 15, false),
            ("written by this process", vec![(0, See(None)), (0, Won)], 14, true),
            ("written by this process too long ago", vec![(0, See(None)), (0, Won)], 15, false),
            ("and renewed by another since", vec![(0, Won), (9, ours(1)), (12, ours(9))], 23, true),
            ("another's in between", vec![(0, Won), (2, other()), (30, See(Some(given_back())))], 30, false),
            ("deleted in between", vec![(0, Won), (2, See(None))], 3, false),
        ];
        for (name, events, then, was_kept) in rows {
            let start = Instant::now();
            let at = |second: u64| start + Duration::from_secs(second);
            let mut election = Election::new("us".to_owned(), TIMING);
            for (second, event) in events {
                match event {
                    See(found) => election.see(found, at(second)),
                    Won => {
                        election.won(record("us", 0), at(second));
                    }
                }
            }
            let won = election.won(record("us", 99), at(then));
            assert_eq!(won, super::Won { sent: at(then), was_kept }, "{name}");
        }
    }

    #[test]
    fn claims_outlast_a_restart_and_a_hand_over() {
        let claims = TIMING.of_claims(Duration::from_secs(5));
        assert_eq!(claims.duration, Duration::from_secs(60));
        assert_eq!((claims.retry, claims.renew_deadline), (Duration::from_secs(20), Duration::from_secs(40)));
        // A leader that died renewed it at most a retry before; another leads when the lease is over.
        assert!(claims.retry + TIMING.duration + TIMING.margin < claims.duration);
        // Who could not renew stops, and its last write ends, before another takes over.
        assert!(claims.renew_deadline + TIMING.margin < claims.duration);
    }

    #[test]
    fn a_leader_that_cannot_renew_gives_up_in_time() {
        let start = Instant::now();
        let at = |second: u64| start + Duration::from_secs(second);
        let mut election = Election::new("me".to_owned(), TIMING);
        assert!(!election.is_overdue(at(99)));
        assert_eq!(election.patience(at(0)), Duration::from_secs(10));
        election.won(record("me", 1), at(0));
        assert!(!election.is_overdue(at(9)) && election.is_overdue(at(10)));
        assert_eq!(election.patience(at(4)), Duration::from_secs(6));
        assert_eq!(election.patience(at(9)), Duration::from_secs(2));
        // Renewals keep their beat, however long one takes.
        assert_eq!(election.pause(at(4), at(5), 0.5), Duration::from_secs(1));
        assert_eq!(election.pause(at(4), at(9), 0.5), Duration::ZERO);
    }

    #[test]
    fn a_candidate_asks_often_and_is_there_when_the_lease_is_free() {
        let start = Instant::now();
        let at = |second: u64| start + Duration::from_secs(second);
        let mut election = Election::new("me".to_owned(), TIMING);
        election.see(Some(record("other", 1)), at(0));
        assert_eq!(election.pause(at(0), at(0), 0.0), Duration::from_secs(2));
        assert_eq!(election.pause(at(0), at(0), 1.0), Duration::from_millis(2400));
        assert_eq!(election.pause(at(19), at(19), 1.0), Duration::from_secs(1));
        assert_eq!(election.pause(at(30), at(30), 0.0), Duration::from_secs(2));
    }

    #[test]
    fn times_that_do_not_go_together_are_refused() {
        let seconds = |duration, renew_deadline, retry| {
            let [duration, renew_deadline, retry] = [duration, renew_deadline, retry].map(Duration::from_millis);
            LeaseTiming { duration, renew_deadline, retry, ..TIMING }.checked()
        };
        assert_eq!(TIMING.checked(), Ok(TIMING));
        assert_eq!(seconds(500, 400, 300), Err(LeaseTimingError::TooShort));
        assert_eq!(seconds(10_000, 10_000, 2000), Err(LeaseTimingError::Duration));
        assert_eq!(seconds(15_000, 2000, 2000), Err(LeaseTimingError::RenewDeadline));
        assert_eq!(seconds(60_000, 40_000, 5000), Err(LeaseTimingError::Retry(TIMING.margin)));
        assert_eq!(seconds(15_000, 10_000, 0), Err(LeaseTimingError::Retry(TIMING.margin)));
        assert!(seconds(60_000, 40_000, 4000).is_ok());
    }
}
