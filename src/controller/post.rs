//! Statements on their way to Timbr, and the answers that came.
//!
//! A statement may take minutes, and nothing waits for it: it travels in a task of its own, and its
//! answer is an input of the next look at the installation.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::mpsc;

use crate::{
    apply::TimbrApi,
    compose::{Answer, InstallationKey, Mail, Statement},
    metrics::Metrics,
};

use super::{Claims, Clock};

/// Sends statements and keeps answers.
#[derive(Clone)]
pub struct Post {
    api: TimbrApi,
    pub(super) clock: Clock,
    metrics: Metrics,
    claims: Claims,
    triggers: mpsc::UnboundedSender<InstallationKey>,
    mail: Arc<Mutex<HashMap<InstallationKey, Mail>>>,
}

impl Post {
    /// A post whose answers wake the installations in `triggers`.
    pub fn new(
        api: TimbrApi,
        clock: Clock,
        metrics: Metrics,
        claims: Claims,
        triggers: mpsc::UnboundedSender<InstallationKey>,
    ) -> Self {
        Self { api, clock, metrics, claims, triggers, mail: Arc::default() }
    }

    /// What is known of an installation's statements.
    pub fn mail(&self, key: &InstallationKey) -> Mail {
        self.all().get(key).cloned().unwrap_or_default()
    }

    /// Notes that a statement is about to be recorded. One that is never sent after that was not sent.
    pub fn announce(&self, key: &InstallationKey, statement: &Statement) {
        self.all().entry(key.clone()).or_default().announce(&statement.id, self.clock.now());
    }

    /// Has an installation looked at again.
    pub fn wake(&self, key: InstallationKey) {
        // A closed channel means that the operator is shutting down.
        let _ = self.triggers.send(key);
    }

    /// Forgets what was known of a namespace, or of all: another may have written what is on record since.
    pub fn forget(&self, namespace: Option<&str>) {
        self.all().retain(|key, _| namespace.is_some_and(|only| only != key.namespace));
    }

    /// Sends a statement, and wakes the installation when the answer is there.
    pub fn send(&self, key: &InstallationKey, statement: Statement) {
        self.all().entry(key.clone()).or_default().sent(&statement.id);
        let (post, key) = (self.clone(), key.clone());
        tokio::spawn(async move {
            // Asked here and not by who sends: the task may have waited for its turn.
            let may = post.claims.may_write(&key.namespace);
            let answer = if may { post.api.send(&statement).await } else { Answer::Withheld };
            let result = match &answer {
                Answer::Done => "done",
                Answer::Refused(_) => "refused",
                Answer::Lost(_) => "lost",
                Answer::NotSent(_) | Answer::Withheld => "not_sent",
            };
            tracing::info!(installation = %key, statement = statement.text, result, "statement sent to Timbr");
            post.metrics.statement(result);
            post.keep(&key, statement.id, answer);
            post.wake(key);
        });
    }

    /// What was forgotten meanwhile stays so: the record is another's, and so may a statement of that name be.
    fn keep(&self, key: &InstallationKey, id: String, answer: Answer) {
        let mut all = self.all();
        let mail = all.get_mut(key).filter(|mail| mail.on_its_way.as_ref() == Some(&id));
        if let Some(mail) = mail {
            mail.keep(id, answer, self.clock.now());
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<InstallationKey, Mail>> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
