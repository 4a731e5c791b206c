//! Clearing away: Secrets of ours that nothing needs any more.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use jiff::Timestamp;

use crate::{
    apply::{WriteError, Writer},
    compose::{AGAIN, Circumstances, Clearance, InstallationKey, OurSecret, Plan, Snapshot, Spare},
    world::{Index, ReadError, Reader},
};

use super::{Clock, reconcile::Next};

/// Clears away.
#[derive(Clone)]
pub struct Cleaner {
    reader: Reader,
    writer: Writer,
    index: Arc<RwLock<Index>>,
    clock: Clock,
    settled: Arc<Mutex<HashMap<InstallationKey, Settled>>>,
}

/// Circumstances under which a look found nothing to clear away.
struct Settled {
    under: Circumstances,
    /// When to make sure: a Deployment's controller may forget a revision a moment after its last change. `None`:
    /// that was done.
    check: Option<Timestamp>,
}

#[derive(Debug, thiserror::Error)]
enum CleanupError {
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("cannot delete Secret {name}: {error}")]
    Delete { name: String, error: WriteError },
}

impl Cleaner {
    /// A cleaner.
    pub fn new(reader: Reader, writer: Writer, index: Arc<RwLock<Index>>, clock: Clock) -> Self {
        Self { reader, writer, index, clock, settled: Arc::default() }
    }

    /// Clears away what an installation needs no more, as of this plan. Whatever comes of it, no condition tells.
    pub async fn clean_up(&self, key: &InstallationKey, snapshot: &Snapshot, plan: &Plan) -> Next {
        let now = self.clock.now();
        let mut ours = self.index.read().unwrap_or_else(PoisonError::into_inner).secrets(key);
        for secret in &mut ours {
            secret.created = secret.created.map(|created| self.clock.shown(created));
        }
        let Spare { due, again } = Spare::of(snapshot, plan, ours, now);
        let next = self.at(again);
        if due.is_empty() {
            self.settled().remove(key);
            return next;
        }
        let under = Circumstances::of(&due, snapshot);
        let known = self.settled().remove(key).filter(|settled| settled.under == under);
        let is_sure = match known {
            Some(settled) if settled.check.is_none_or(|check| now < check) => {
                let check = settled.check;
                self.settled().insert(key.clone(), settled);
                return next.max(self.at(check));
            }
            known => known.is_some(),
        };
        next.max(self.look(key, snapshot, due, under, is_sure).await)
    }

    /// Finds out who needs what, and deletes the rest. `is_sure`: the same was found out once before.
    async fn look(
        &self,
        key: &InstallationKey,
        snapshot: &Snapshot,
        due: Vec<OurSecret>,
        under: Circumstances,
        is_sure: bool,
    ) -> Next {
        let now = self.clock.now();
        let later = now.checked_add(AGAIN).ok();
        match self.clear(&key.namespace, snapshot, due, now).await {
            Ok(Clearance { is_settled: true, .. }) => {
                let check = later.filter(|_| !is_sure);
                self.settled().insert(key.clone(), Settled { under, check });
                self.at(check)
            }
            Ok(clearance) => self.at(clearance.again),
            Err(error) => {
                tracing::warn!(installation = %key, %error, "cannot clear away Secrets that nothing needs any more, trying again later");
                self.at(later)
            }
        }
    }

    async fn clear(
        &self,
        namespace: &str,
        snapshot: &Snapshot,
        due: Vec<OurSecret>,
        now: Timestamp,
    ) -> Result<Clearance, CleanupError> {
        // First the Secrets, then who names them: one that is changed after this is not deleted.
        let mut versions = HashMap::new();
        for secret in &due {
            if let Some(version) = self.reader.version(namespace, secret).await? {
                versions.insert(secret.uid.clone(), version);
            }
        }
        let live: Vec<OurSecret> = due.into_iter().filter(|secret| versions.contains_key(&secret.uid)).collect();
        if live.is_empty() {
            return Ok(Clearance::default());
        }
        let users = self.reader.users(namespace).await?;
        let mut clearance = Clearance::of(live, &users, snapshot, now);
        for secret in &clearance.delete {
            let version = versions.get(&secret.uid).cloned();
            let deleted = self.writer.delete_secret(namespace, secret, version).await;
            if !deleted.map_err(|error| CleanupError::Delete { name: secret.name.clone(), error })? {
                // As it is now it may be as superfluous.
                clearance.again = now.checked_add(AGAIN).ok().into_iter().chain(clearance.again).min();
            }
        }
        Ok(clearance)
    }

    fn at(&self, then: Option<Timestamp>) -> Next {
        then.map_or(Next::Wait, |then| Next::After(Reverse(self.clock.until(then))))
    }

    fn settled(&self) -> MutexGuard<'_, HashMap<InstallationKey, Settled>> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
