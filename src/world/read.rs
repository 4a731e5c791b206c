//! Live reads: what a decision is based on is asked of the API server when it is made.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret, networking::v1::NetworkPolicy};
use kube::{Api, Client};

use crate::api::{Component, GUARDS_SECRET, Kind};
use crate::compose::{
    Hands, InstallationKey, LiveDeployment, LiveGuards, LiveSecret, Lookup, NameKey, OurSecret, Settings, Snapshot,
    live_deployment, live_guards, live_network, live_secret, needs,
};

use super::{describe, index::Index, users::LastReading};

/// Longest time for one read.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes snapshots.
#[derive(Clone)]
pub struct Reader {
    pub(super) client: Client,
    index: Arc<RwLock<Index>>,
    settings: Settings,
    name_key: NameKey,
    pub(super) last_reading: LastReading,
}

/// A read that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The API server refused or failed.
    #[error("cannot read {what}: {}", describe(.source))]
    Api {
        /// What was read.
        what: String,
        /// Why not.
        source: kube::Error,
    },
    /// No answer in time.
    #[error("cannot read {0}: no answer within 10 seconds")]
    TimedOut(String),
    /// The operator may not.
    #[error("cannot read {0}: forbidden; grant the operator's ServiceAccount the rights of its manifest")]
    Forbidden(String),
}

impl Reader {
    /// A reader over an index that watches keep.
    pub fn new(client: Client, index: Arc<RwLock<Index>>, settings: Settings, name_key: NameKey) -> Self {
        Self { client, index, settings, name_key, last_reading: LastReading::default() }
    }

    /// A snapshot of an installation.
    ///
    /// # Errors
    /// When the API server does not answer; what it says is not there, or may not be read, is part of
    /// the snapshot.
    pub async fn snapshot(&self, key: &InstallationKey) -> Result<Snapshot, ReadError> {
        // Before what policies say: what is recorded of them is never newer than that.
        let is_guarded = self.index.read().unwrap_or_else(PoisonError::into_inner).guards(&key.namespace).is_some();
        let mut guards = if is_guarded { Some(self.guards(&key.namespace).await?) } else { None };
        let view = self.index.read().unwrap_or_else(PoisonError::into_inner).view(&key.namespace);
        let mut has_policies = view.resources.iter().map(|it| it.meta.kind == Kind::InboundAccessPolicy);
        if guards.is_none() && has_policies.any(|it| it) {
            guards = Some(self.guards(&key.namespace).await?);
        }
        let mut managed = view.managed;
        if view.installations.is_empty() {
            // Whether anything still names a Secret of ours tells the Deployment that it was made for.
            managed.extend(view.owners);
        }
        let stable = Component::ALL.into_iter().filter(|component| view.stable.contains(component.stable_secret()));
        let needs = needs(key, &view.installations, &view.resources, &managed, &stable.collect(), &view.networks);
        let mut deployments = BTreeMap::new();
        for name in needs.deployments {
            let found = self.deployment(&key.namespace, &name).await?;
            deployments.insert(name, found);
        }
        let mut secrets = BTreeMap::new();
        // Ours too, as far as the template names them: their content decides whether a name can stay.
        let mut names: BTreeSet<String> = needs.secrets;
        // And those that charts name, wherever they are or ought to be.
        names.extend(view.stable);
        for live in deployments.values().filter_map(Lookup::found) {
            names.extend(named(live));
        }
        for name in names {
            let found = self.secret(&key.namespace, &name).await?;
            secrets.insert(name, found);
        }
        let mut networks = BTreeMap::new();
        for name in needs.networks {
            let found = self.get::<NetworkPolicy>("NetworkPolicy", &key.namespace, &name).await?;
            networks.insert(name, map(found, live_network));
        }
        Ok(Snapshot {
            key: key.clone(),
            settings: self.settings.clone(),
            name_key: self.name_key.clone(),
            installations: view.installations,
            resources: view.resources,
            foreign: view.foreign,
            complete: true,
            deployments,
            secrets,
            networks,
            unguarded: BTreeMap::new(),
            guards,
            consumers: view.consumers,
            hands: Hands::default(),
            trials: None,
            refused: BTreeMap::new(),
        })
    }

    /// The version in which a Secret is still the one that we made; `None` when it is gone or another by now.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn version(&self, namespace: &str, secret: &OurSecret) -> Result<Option<String>, ReadError> {
        match self.get::<Secret>("Secret", namespace, &secret.name).await? {
            Lookup::Found(live) => Ok(secret.version_of(&live)),
            Lookup::Forbidden => Err(ReadError::Forbidden(format!("Secret {namespace}/{}", secret.name))),
            Lookup::Missing | Lookup::NotInInput => Ok(None),
        }
    }

    /// A Deployment, as it is now.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn deployment(&self, namespace: &str, name: &str) -> Result<Lookup<LiveDeployment>, ReadError> {
        let found = self.get::<Deployment>("Deployment", namespace, name).await?;
        Ok(map(found, |deployment| live_deployment(&deployment)))
    }

    /// Reads a Deployment, these Secrets, and those that its template names anew into a snapshot.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn again(
        &self,
        snapshot: &mut Snapshot,
        deployment: &str,
        mut secrets: BTreeSet<String>,
    ) -> Result<(), ReadError> {
        let namespace = snapshot.key.namespace.clone();
        let found = self.deployment(&namespace, deployment).await?;
        secrets.extend(found.found().into_iter().flat_map(named));
        for name in secrets {
            let found = self.secret(&namespace, &name).await?;
            snapshot.secrets.insert(name, found);
        }
        snapshot.deployments.insert(deployment.to_owned(), found);
        Ok(())
    }

    /// By which access policies a namespace's Timbr is guarded, as it is recorded now.
    ///
    /// # Errors
    /// When the API server does not answer.
    async fn guards(&self, namespace: &str) -> Result<Lookup<LiveGuards>, ReadError> {
        Ok(match self.get::<Secret>("Secret", namespace, GUARDS_SECRET).await? {
            // It is as good as gone.
            Lookup::Found(secret) if secret.metadata.deletion_timestamp.is_some() => Lookup::Missing,
            found => map(found, |secret| live_guards(&secret.metadata)),
        })
    }

    /// Reads that anew into a snapshot, and what policies say after it.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn guarded_again(&self, snapshot: &mut Snapshot) -> Result<(), ReadError> {
        snapshot.guards = Some(self.guards(&snapshot.key.namespace).await?);
        let view = self.index.read().unwrap_or_else(PoisonError::into_inner).view(&snapshot.key.namespace);
        (snapshot.installations, snapshot.resources) = (view.installations, view.resources);
        Ok(())
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Lookup<LiveSecret>, ReadError> {
        Ok(map(self.get::<Secret>("Secret", namespace, name).await?, live_secret))
    }

    async fn get<K>(&self, kind: &str, namespace: &str, name: &str) -> Result<Lookup<K>, ReadError>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let what = || format!("{kind} {namespace}/{name}");
        match tokio::time::timeout(READ_TIMEOUT, api.get_opt(name)).await {
            Ok(Ok(Some(object))) => Ok(Lookup::Found(object)),
            Ok(Ok(None)) => Ok(Lookup::Missing),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => Ok(Lookup::Forbidden),
            Ok(Err(error)) => Err(ReadError::Api { what: what(), source: error }),
            Err(_) => Err(ReadError::TimedOut(what())),
        }
    }
}

/// The Secrets of ours that a Deployment's template names.
fn named(live: &LiveDeployment) -> impl Iterator<Item = String> {
    live.our_secrets().map(str::to_owned).chain(live.stable_secrets().map(str::to_owned))
}

fn map<T, U>(lookup: Lookup<T>, f: impl FnOnce(T) -> U) -> Lookup<U> {
    match lookup {
        Lookup::Found(object) => Lookup::Found(f(object)),
        Lookup::Missing => Lookup::Missing,
        Lookup::Forbidden => Lookup::Forbidden,
        Lookup::NotInInput => Lookup::NotInInput,
    }
}
