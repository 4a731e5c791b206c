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

use super::Clock;

/// Most answers that are remembered of an installation; the oldest are forgotten first.
const MOST_ANSWERS: usize = 2048;

/// Sends statements and keeps answers.
#[derive(Clone)]
pub struct Post {
    api: TimbrApi,
    clock: Clock,
    metrics: Metrics,
    triggers: mpsc::UnboundedSender<InstallationKey>,
    mail: Arc<Mutex<HashMap<InstallationKey, Mail>>>,
}

impl Post {
    /// A post whose answers wake the installations in `triggers`.
    pub fn new(
        api: TimbrApi,
        clock: Clock,
        metrics: Metrics,
        triggers: mpsc::UnboundedSender<InstallationKey>,
    ) -> Self {
        Self { api, clock, metrics, triggers, mail: Arc::default() }
    }

    /// What is known of an installation's statements.
    pub fn mail(&self, key: &InstallationKey) -> Mail {
        self.all().get(key).cloned().unwrap_or_default()
    }

    /// Sends a statement, and wakes the installation when the answer is there.
    pub fn send(&self, key: &InstallationKey, statement: Statement) {
        {
            let mut all = self.all();
            let mail = all.entry(key.clone()).or_default();
            mail.answers.remove(&statement.id);
            mail.on_its_way = Some(statement.id.clone());
        }
        let (post, key) = (self.clone(), key.clone());
        tokio::spawn(async move {
            let answer = post.api.send(&statement).await;
            let result = match &answer {
                Answer::Done => "done",
                Answer::Refused(_) => "refused",
                Answer::Lost(_) => "lost",
                Answer::NotSent(_) => "not_sent",
            };
            tracing::info!(installation = %key, statement = statement.text, result, "statement sent to Timbr");
            post.metrics.statement(result);
            post.keep(&key, statement.id, answer);
            // A closed channel means that the operator is shutting down.
            let _ = post.triggers.send(key);
        });
    }

    fn keep(&self, key: &InstallationKey, id: String, answer: Answer) {
        let mut all = self.all();
        let mail = all.entry(key.clone()).or_default();
        mail.on_its_way = None;
        mail.answers.insert(id, (answer, self.clock.now()));
        if mail.answers.len() > MOST_ANSWERS
            && let Some(oldest) = mail.answers.iter().min_by_key(|(_, (_, at))| *at).map(|(id, _)| id.clone())
        {
            mail.answers.remove(&oldest);
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<InstallationKey, Mail>> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
