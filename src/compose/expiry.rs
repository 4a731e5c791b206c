//! When a client secret ends, and the warnings that come before.

use jiff::{SignedDuration, Timestamp};

use crate::api::{ANNOTATION_EXPIRES, Code, Problem, SecretKeyRef, Status};

use super::{Lookup, Snapshot, Trial};

/// So many days before the end it is said, each time anew.
const DAYS: [i64; 3] = [30, 7, 1];

/// A client secret that a resource names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSecret {
    /// The field that names it.
    path: &'static str,
    /// The Secret that holds it.
    secret: String,
    /// When it ends, as far as that is known: by Microsoft Graph, else by the Secret's annotation.
    pub ends: Option<Timestamp>,
}

impl ClientSecret {
    /// The one that a reference names, with what its annotation says.
    pub fn new(path: &'static str, reference: &SecretKeyRef, snapshot: &Snapshot, problems: &mut Vec<Problem>) -> Self {
        let secret = snapshot.secrets.get(&reference.name).and_then(Lookup::found);
        let annotated = secret.and_then(|secret| secret.expires_at.as_deref()).map(str::parse);
        if let Some(Err(_)) = annotated {
            problems.push(Problem::warning(
                path,
                Code::ExpiresAtInvalid,
                format!(
                    "Secret {}: annotation {ANNOTATION_EXPIRES} is no time such as 2027-01-31T00:00:00Z; correct it, or nobody is warned before the client secret ends",
                    reference.name
                ),
            ));
        }
        Self { path, secret: reference.name.clone(), ends: annotated.and_then(Result::ok) }
    }

    /// The Warning that is due, and when there is another one.
    pub fn warning(&self, now: Timestamp) -> (Option<Problem>, Option<Timestamp>) {
        let Some(ends) = self.ends else { return (None, None) };
        let before = |days: i64| ends.saturating_sub(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MIN);
        let next = DAYS.into_iter().chain([0]).map(before).find(|at| *at > now);
        let fix =
            "make a new one in the app registration, under Certificates & secrets, and put its Value into the Secret";
        let Self { path, secret, .. } = self;
        let message = match DAYS.into_iter().rev().find(|days| before(*days) <= now) {
            _ if ends <= now => {
                format!("the client secret in Secret {secret} ended at {ends}: nobody can sign in with it; {fix}")
            }
            None => return (None, next),
            Some(1) => format!("the client secret in Secret {secret} ends at {ends}, in less than a day; {fix} now"),
            Some(days) => {
                format!("the client secret in Secret {secret} ends at {ends}, in less than {days} days; {fix} before")
            }
        };
        (Some(Problem::warning(*path, Code::ClientSecretExpires, message)), next)
    }

    /// Takes what Graph said of it, if it has been asked. What an earlier operator was told, as status has it, counts
    /// until this one is.
    pub fn hear(&mut self, trial: Option<&Trial>, before: Option<&Status>) {
        let told = match trial.and_then(|trial| Some((trial, trial.last.as_ref()?))) {
            Some((trial, last)) => last.expires.or(trial.passed.as_ref().and_then(|(_, passed)| passed.expires)),
            None => match before {
                Some(Status::AzureSso(before)) => before.client_secret_expires,
                _ => None,
            },
        };
        self.ends = told.or(self.ends);
    }
}
