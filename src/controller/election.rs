//! Who leads, decided from what the Lease said and when: pure, time is an argument.
//!
//! The rule is that of Kubernetes' own client: clocks of two machines are never compared. A lease is
//! another's for as long after this process *saw it change* as it is good for, and somewhat longer, as
//! what its holder sent last may still be on its way. Only a lease that was given back is free at once.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::apply::Record;

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
}

impl Election {
    /// A candidate that has seen nothing yet.
    pub fn new(identity: String, timing: LeaseTiming) -> Self {
        Self { identity, timing, seen: None, taken_until: None, renewed: None }
    }

    /// Whether this process leads.
    pub fn leads(&self) -> bool {
        self.renewed.is_some()
    }

    /// Takes in what the lease says, as answered at `now`; `None`: there is none.
    pub fn see(&mut self, found: Option<Record>, now: Instant) {
        match &found {
            Some(record) if self.is_ours(record) => self.taken_until = None,
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
        self.seen = found;
    }

    /// What to write now, if it is time: a renewal, or a bid of a candidate that is able to lead.
    pub fn bid(&self, is_able: bool, now: Instant, at: Timestamp) -> Option<Record> {
        let ours = self.seen.as_ref().filter(|record| self.is_ours(record));
        let is_free = is_able && self.taken_until.is_none_or(|until| until <= now);
        if ours.is_none() && !self.leads() && !is_free {
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
    pub fn won(&mut self, record: Record, sent: Instant) {
        (self.seen, self.taken_until, self.renewed) = (Some(record), None, Some(sent));
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
        let free = self.taken_until.map(|until| until.saturating_duration_since(now)).filter(|left| !left.is_zero());
        free.map_or(retry, |left| left.min(retry))
    }

    /// Who leads, in a sentence.
    pub fn describe(&self) -> String {
        let holder = self.seen.as_ref().and_then(|record| record.holder.as_deref());
        match holder {
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
