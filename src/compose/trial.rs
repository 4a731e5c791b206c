//! What is known of checks while what they try stays the same.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::api::{CheckReason, CheckResult, Discovery};

/// What came of trying something out once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Why.
    pub reason: CheckReason,
    /// What was expected, what came, and what to do about it.
    pub message: String,
    /// When what was checked ends, where that was told.
    pub expires: Option<Timestamp>,
    /// The keys that were found.
    pub keys: Option<Box<Discovery>>,
}

/// What this process knows of one check, since it first tried just that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Of what is tried.
    pub key: String,
    /// When it was tried first.
    pub begun: Timestamp,
    /// What came of it last; `None` until the first answer.
    pub last: Option<Tried>,
    /// When it last passed, and with what words.
    pub passed: Option<(Timestamp, Tried)>,
    /// The Fail that no Pass has cleared since.
    pub failed: Option<Tried>,
}

impl Trial {
    /// One that begins now.
    pub fn begin(key: String, now: Timestamp) -> Self {
        Self { key, begun: now, last: None, passed: None, failed: None }
    }

    /// It was tried: a Fail stays until a Pass, whatever else comes in between.
    pub fn end(&mut self, tried: Tried, now: Timestamp) {
        match tried.reason.finding() {
            CheckResult::Pass => {
                self.failed = None;
                self.passed = Some((now, tried.clone()));
            }
            CheckResult::Fail => self.failed = Some(tried.clone()),
            CheckResult::Unknown => {}
        }
        self.last = Some(tried);
    }
}

/// What this process knows of an installation's checks, and how long it is patient.
#[derive(Clone, Debug)]
pub struct Trials {
    /// The time.
    pub now: Timestamp,
    /// How long new content waits while nobody can be asked.
    pub unknown_grace: SignedDuration,
    /// How often what has passed is tried again: a Pass is good for two of them.
    pub interval: SignedDuration,
    /// By the resource's uid and the check's name.
    pub of: HashMap<String, BTreeMap<String, Trial>>,
}
