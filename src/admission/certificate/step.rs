//! What is to be done about the webhook's certificate next. Pure.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

/// How long things are good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// An authority.
    pub authority: SignedDuration,
    /// A certificate.
    pub leaf: SignedDuration,
    /// How long an authority is trusted before it signs: API servers learn of `caBundle` by a watch. And how long one is
    /// trusted that signs no more: replicas learn of a new certificate the same way.
    pub settle: SignedDuration,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            authority: SignedDuration::from_hours(24 * 730),
            leaf: SignedDuration::from_hours(24 * 90),
            settle: SignedDuration::from_mins(5),
        }
    }
}

impl Life {
    /// All of it, with certificates that are good for this long.
    pub fn of_leaf(leaf: SignedDuration) -> Self {
        Self { authority: leaf * 3, leaf, settle: leaf / 10 }
    }
}

/// A certificate, as far as it matters when it is renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// Whose it is.
    pub subject: String,
    /// Who has signed it.
    pub issuer: String,
    /// When it was made.
    pub made: Timestamp,
    /// When it ends.
    pub ends: Timestamp,
    /// Which hosts it is for.
    pub names: BTreeSet<String>,
}

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The authorities that are trusted, the newest first. It alone can sign.
    pub authorities: Vec<Dated>,
    /// The certificate.
    pub leaf: Dated,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// An authority and a certificate by it: there is none, or none that is good any more.
    Anew,
    /// Another authority, to be trusted from now on.
    AddAuthority,
    /// Another certificate, by the newest authority.
    Sign,
    /// Authorities that sign nothing any more are not trusted any longer.
    Forget,
}

/// What is to be done next. `wanted`: the hosts that the webhook is called by; `settled`: whether the newest authority
/// has been trusted for a while by whoever calls it.
pub fn step(held: Option<&Held>, wanted: &BTreeSet<String>, settled: bool, life: Life, now: Timestamp) -> Step {
    let is_old = |it: &Dated, whole: SignedDuration| it.ends.duration_since(now) < whole / 3;
    let Some(Held { authorities, leaf }) = held else { return Step::Anew };
    let Some(newest) = authorities.first() else { return Step::Anew };
    // Nobody can be kept waiting by what is over.
    if newest.ends <= now || leaf.ends <= now {
        return Step::Anew;
    }
    if is_old(newest, life.authority) {
        return Step::AddAuthority;
    }
    let is_by_newest = leaf.issuer == newest.subject;
    // By the authority that is trusted already, at any time; by another, once that is.
    let is_to_be_signed =
        if is_by_newest { is_old(leaf, life.leaf) || !leaf.names.is_superset(wanted) } else { settled };
    if is_to_be_signed {
        return Step::Sign;
    }
    if is_by_newest && authorities.len() > 1 && now.duration_since(leaf.made) > life.settle {
        return Step::Forget;
    }
    Step::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Made this many days ago, ends in this many.
    fn dated(subject: &str, issuer: &str, made: i32, ends: i32) -> Dated {
        let now = Timestamp::UNIX_EPOCH + DAY * 10_000;
        Dated {
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
            made: now - DAY * made,
            ends: now + DAY * ends,
            names: names(&["a", "b"]),
        }
    }

    #[test]
    fn the_next_step_follows_from_what_is_there() {
        let now = Timestamp::UNIX_EPOCH + DAY * 10_000;
        let next = |authorities: &[Dated], leaf: Dated, wanted: &[&str], settled: bool| {
            let held = Held { authorities: authorities.to_vec(), leaf };
            step(Some(&held), &names(wanted), settled, Life::default(), now)
        };
        assert_eq!(step(None, &names(&[]), true, Life::default(), now), Step::Anew);
        let (old, new) = (dated("old", "old", 490, 240), dated("new", "new", 1, 729));
        let leaf = |issuer: &str, made: i32| dated("leaf", issuer, made, 90 - made);
        let rows = [
            ("all is well", vec![new.clone()], leaf("new", 1), &["a"][..], true, Step::Nothing),
            ("no authority", vec![], leaf("new", 1), &["a"], true, Step::Anew),
            ("the authority is over", vec![dated("x", "x", 730, 0)], leaf("x", 1), &["a"], true, Step::Anew),
            ("the certificate is over", vec![new.clone()], leaf("new", 90), &["a"], true, Step::Anew),
            ("the authority grows old", vec![old.clone()], leaf("old", 1), &["a"], true, Step::AddAuthority),
            ("not yet", vec![dated("x", "x", 480, 250)], leaf("x", 1), &["a"], true, Step::Nothing),
            (
                "another is not trusted yet",
                vec![new.clone(), old.clone()],
                leaf("old", 1),
                &["a"],
                false,
                Step::Nothing,
            ),
            ("another is trusted", vec![new.clone(), old.clone()], leaf("old", 1), &["a"], true, Step::Sign),
            ("just signed", vec![new.clone(), old.clone()], leaf("new", 0), &["a"], true, Step::Nothing),
            ("signed a while ago", vec![new.clone(), old.clone()], leaf("new", 1), &["a"], true, Step::Forget),
            ("the certificate grows old", vec![new.clone()], leaf("new", 61), &["a"], true, Step::Sign),
            ("it does not yet", vec![new.clone()], leaf("new", 60), &["a"], true, Step::Nothing),
            ("called by another name", vec![new.clone()], leaf("new", 1), &["a", "c"], true, Step::Sign),
            ("at any time", vec![new.clone()], leaf("new", 1), &["a", "c"], false, Step::Sign),
            ("but not by another", vec![new, old], leaf("old", 1), &["a", "c"], false, Step::Nothing),
        ];
        for (what, authorities, leaf, wanted, settled, expected) in rows {
            assert_eq!(next(&authorities, leaf, wanted, settled), expected, "{what}");
        }
    }

    /// However often somebody looks, and whatever happens between two looks: the certificate that is used is always by
    /// an authority that has been trusted, until it is renewed in time.
    #[test]
    fn a_certificate_is_always_trusted_and_never_over() {
        let life = Life::of_leaf(SignedDuration::from_secs(300));
        let mut now = Timestamp::UNIX_EPOCH;
        let new = |now: Timestamp, subject: String, issuer: String, life: SignedDuration| Dated {
            subject,
            issuer,
            made: now,
            ends: now + life,
            names: names(&["a"]),
        };
        let mut held: Option<Held> = None;
        let (mut count, mut trusted_since, mut steps) = (0, now, Vec::new());
        for _ in 0..2_000 {
            let settled = now.duration_since(trusted_since) >= life.settle;
            let next = step(held.as_ref(), &names(&["a"]), settled, life, now);
            if next != Step::Nothing {
                steps.push(next);
            }
            let authority = |count: i32| format!("ca-{count}");
            match (next, &mut held) {
                (Step::Anew, held) => {
                    count += 1;
                    let subject = authority(count);
                    let leaf = new(now, "leaf".to_owned(), subject.clone(), life.leaf);
                    *held = Some(Held { authorities: vec![new(now, subject.clone(), subject, life.authority)], leaf });
                    trusted_since = now;
                }
                (Step::AddAuthority, Some(held)) => {
                    count += 1;
                    held.authorities.insert(0, new(now, authority(count), authority(count), life.authority));
                    trusted_since = now;
                }
                (Step::Sign, Some(held)) => {
                    let issuer = held.authorities[0].subject.clone();
                    assert!(settled || issuer == held.leaf.issuer);
                    held.leaf = new(now, "leaf".to_owned(), issuer, life.leaf);
                }
                (Step::Forget, Some(held)) => held.authorities.truncate(1),
                (_, _) => {}
            }
            let held = held.as_ref().expect("something is held");
            assert!(held.leaf.ends > now, "over at {now}");
            assert!(held.authorities.iter().any(|authority| authority.subject == held.leaf.issuer), "not trusted");
            now += SignedDuration::from_secs(7);
        }
        assert_eq!(steps.iter().filter(|step| **step == Step::Anew).count(), 1);
        for often in [Step::AddAuthority, Step::Sign, Step::Forget] {
            assert!(steps.iter().filter(|step| **step == often).count() > 10, "{often:?}");
        }
    }
}
