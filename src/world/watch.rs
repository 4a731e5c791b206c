//! The watches that keep the index, and tell the queue which installations to look at.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        coordination::v1::Lease,
        core::v1::{Namespace, Pod, Secret},
        networking::v1::NetworkPolicy,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta},
    runtime::{WatchStreamExt, watcher},
};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    api::{
        CLAIM, Component, FIELD_MANAGER, GROUP, GUARDS_SECRET, Kind, LABEL_INSTALLATION, LABEL_MANAGED,
        LABEL_MANAGED_BY, LABEL_ORGANIZATION, Object, PolicyTarget, VERSION,
    },
    compose::{Consumer, InstallationKey, OurSecret, live_guards},
};

use super::{
    Record,
    change::{Change, Known, Version},
    describe,
    index::Index,
};

/// Items a page of a list: bounds the memory that a list takes.
pub(super) const PAGE: u32 = 50;

/// Pause before a watch begins anew.
const ANEW: Duration = Duration::from_secs(1);

/// Where to watch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Every namespace.
    All,
    /// One namespace.
    Namespace(String),
}

impl Scope {
    fn namespace(&self) -> Option<&str> {
        match self {
            Scope::All => None,
            Scope::Namespace(name) => Some(name),
        }
    }
}

/// One watch: what, where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    what: Known,
    scope: Scope,
}

impl Source {
    /// Names the watch in logs and in `/readyz?verbose`: "secrets in ns" or "azuressos".
    pub fn name(&self) -> String {
        let what = match self.what {
            Known::Object(kind) => kind.plural(),
            Known::Deployment => "deployments",
            Known::Secret => "secrets",
            Known::Network => "networkpolicies",
            Known::Namespace => "namespaces",
            Known::Claim => "claims",
            Known::Pod(PolicyTarget::Api) => "pods that use api",
            Known::Pod(PolicyTarget::Platform) => "pods that use platform",
            Known::Pod(PolicyTarget::Server) => "pods that use server",
        };
        match &self.scope {
            Scope::All => what.to_owned(),
            Scope::Namespace(name) => format!("{what} in {name}"),
        }
    }
}

/// How the watches are. Before all have listed everything once, nothing may be decided: a resource that was not listed yet
/// would look deleted.
#[derive(Debug, Default)]
pub struct Sync {
    watches: Mutex<BTreeMap<String, State>>,
}

/// How long a watch may fail before what it has seen is too old to answer by.
const STALE: Duration = Duration::from_secs(30);

/// A watch that has not failed for this long works again. It tells nothing when it does, as long as nothing happens; but
/// one that fails tries again, and fails again, before that: kube's back-off ends at 30 seconds.
const WORKS: Duration = Duration::from_secs(60);

/// How a watch is.
#[derive(Clone, Debug)]
struct State {
    listed: bool,
    /// Whether it fails.
    failing: Option<Failing>,
}

/// A watch that fails.
#[derive(Clone, Debug)]
struct Failing {
    since: Instant,
    last: Instant,
    error: String,
}

impl State {
    /// What is missing of it.
    fn missing(&self, now: Instant) -> Result<(), String> {
        match &self.failing {
            None if self.listed => Ok(()),
            None => Err("not listed yet".to_owned()),
            Some(Failing { error, .. }) if !self.listed => Err(error.clone()),
            Some(Failing { last, .. }) if now.duration_since(*last) >= WORKS => Ok(()),
            // What was seen a moment ago is as good as what is seen now.
            Some(Failing { since, .. }) if now.duration_since(*since) < STALE => Ok(()),
            Some(Failing { since, error, .. }) => {
                Err(format!("has seen nothing for {} s: {error}", now.duration_since(*since).as_secs()))
            }
        }
    }
}

impl Sync {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, source: &Source) {
        self.lock().insert(source.name(), State { listed: false, failing: None });
    }

    fn listed(&self, source: &Source) {
        self.lock().insert(source.name(), State { listed: true, failing: None });
    }

    fn works(&self, source: &Source) {
        if let Some(state) = self.lock().get_mut(&source.name()) {
            state.failing = None;
        }
    }

    fn fails(&self, source: &Source, error: String, now: Instant) {
        if let Some(state) = self.lock().get_mut(&source.name()) {
            let before = state.failing.as_ref().filter(|it| now.duration_since(it.last) < WORKS);
            state.failing = Some(Failing { since: before.map_or(now, |it| it.since), last: now, error });
        }
    }

    /// Each watch, and what is missing of it: it has not listed everything yet, or has failed for long.
    pub fn states(&self) -> BTreeMap<String, Result<(), String>> {
        let now = Instant::now();
        self.lock().iter().map(|(name, state)| (name.clone(), state.missing(now))).collect()
    }

    /// Whether all have listed everything once. A broken watch is old news then, not none: the index stays usable for
    /// whoever looks again later.
    pub fn is_complete(&self) -> bool {
        self.lock().values().all(|state| state.listed)
    }

    /// Whether all have, and none has failed for long: what is answered now is not looked at again.
    pub fn is_fresh(&self) -> bool {
        let now = Instant::now();
        self.lock().values().all(|state| state.missing(now).is_ok())
    }
}

/// Starts every watch in every scope, and where all namespaces are watched those of namespaces and of claims.
/// Installations to look at go to `triggers`.
pub fn watch_all(
    client: &Client,
    scopes: &BTreeSet<Scope>,
    index: &Arc<RwLock<Index>>,
    sync: &Arc<Sync>,
    triggers: &mpsc::UnboundedSender<InstallationKey>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for scope in scopes {
        let mut start = |what: Known| {
            let source = Source { what, scope: scope.clone() };
            sync.begin(&source);
            let feed = Feed {
                source,
                index: Arc::clone(index),
                sync: Arc::clone(sync),
                triggers: triggers.clone(),
                seen: BTreeSet::new(),
            };
            let config = watcher::Config::default().page_size(PAGE);
            match what {
                Known::Object(kind) => {
                    let resource = api_resource(kind);
                    let api: Api<DynamicObject> = match scope {
                        Scope::All => Api::all_with(client.clone(), &resource),
                        Scope::Namespace(name) => Api::namespaced_with(client.clone(), name, &resource),
                    };
                    let events = move || watcher(api.clone(), config.clone());
                    tasks.spawn(feed.run(events, move |object: &DynamicObject| {
                        let version = object.metadata.resource_version.as_deref().and_then(Version::parse);
                        Change::Object(Box::new(Object::read(kind, &object.metadata, &object.data)), version)
                    }));
                }
                Known::Deployment => {
                    let api: Api<PartialObjectMeta<Deployment>> = scoped(client, scope);
                    let events = move || watcher(api.clone(), config.clone());
                    tasks
                        .spawn(feed.run(events, |object: &PartialObjectMeta<Deployment>| deployment(&object.metadata)));
                }
                Known::Secret => {
                    let api: Api<PartialObjectMeta<Secret>> = scoped(client, scope);
                    let events = move || watcher(api.clone(), config.clone());
                    tasks.spawn(feed.run(events, |object: &PartialObjectMeta<Secret>| secret(&object.metadata)));
                }
                Known::Pod(target) => {
                    let api: Api<PartialObjectMeta<Pod>> = scoped(client, scope);
                    let config = config.labels(&target.label());
                    let events = move || watcher(api.clone(), config.clone());
                    tasks.spawn(feed.run(events, move |object: &PartialObjectMeta<Pod>| {
                        let (namespace, name) = place(&object.metadata);
                        let seen = Consumer::of_pod(target, &object.metadata);
                        Change::Pod { namespace, name, target, seen: seen.map(|(of, it)| (of, Box::new(it))) }
                    }));
                }
                Known::Network => {
                    let api: Api<PartialObjectMeta<NetworkPolicy>> = scoped(client, scope);
                    let config = config.labels(&format!("{LABEL_MANAGED_BY}={FIELD_MANAGER}"));
                    let events = move || watcher(api.clone(), config.clone());
                    tasks.spawn(feed.run(events, |object: &PartialObjectMeta<NetworkPolicy>| {
                        let (namespace, name) = place(&object.metadata);
                        Change::Network { namespace, name, is_there: true }
                    }));
                }
                Known::Namespace => {
                    let api: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
                    let config = config.labels(LABEL_ORGANIZATION);
                    let events = move || watcher(api.clone(), config.clone());
                    tasks.spawn(feed.run(events, |object: &PartialObjectMeta<Namespace>| {
                        let organization = label(&object.metadata, LABEL_ORGANIZATION).filter(|it| !it.is_empty());
                        Change::Namespace { name: place(&object.metadata).1, organization: organization.cloned() }
                    }));
                }
                Known::Claim => {
                    let api: Api<Lease> = scoped(client, scope);
                    // By name, which is all that the operator may watch of Leases.
                    let config = config.fields(&format!("metadata.name={CLAIM}"));
                    let events = move || watcher(api.clone(), config.clone());
                    tasks.spawn(feed.run(events, |lease: &Lease| Change::Claim {
                        namespace: place(&lease.metadata).0,
                        record: Some(Record::read(lease)),
                    }));
                }
            }
        };
        Kind::ALL.iter().copied().map(Known::Object).for_each(&mut start);
        start(Known::Deployment);
        start(Known::Secret);
        start(Known::Network);
        PolicyTarget::ALL.map(Known::Pod).into_iter().for_each(&mut start);
        if *scope == Scope::All {
            start(Known::Namespace);
            start(Known::Claim);
        }
    }
    tasks
}

/// How the API server calls a kind.
pub fn api_resource(kind: Kind) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind.name()), kind.plural())
}

fn scoped<K>(client: &Client, scope: &Scope) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match scope {
        Scope::All => Api::all(client.clone()),
        Scope::Namespace(name) => Api::namespaced(client.clone(), name),
    }
}

fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a String> {
    meta.labels.as_ref()?.get(key)
}

fn deployment(meta: &ObjectMeta) -> Change {
    let (namespace, name) = place(meta);
    let version = meta.resource_version.as_deref().and_then(Version::parse);
    Change::Deployment { namespace, name, managed: label(meta, LABEL_MANAGED).is_some(), version }
}

fn secret(meta: &ObjectMeta) -> Change {
    let (namespace, name) = place(meta);
    if name == GUARDS_SECRET {
        return Change::Guards { namespace, seen: Some(Box::new(live_guards(meta))) };
    }
    // By name too: one of ours whose labels somebody took is still missed when it goes.
    let by_label = label(meta, LABEL_MANAGED_BY).is_some_and(|by| by == FIELD_MANAGER);
    let by_name = Component::ALL
        .iter()
        .any(|component| name.starts_with(&component.secret_prefix()) || name == component.stable_secret());
    let installation = label(meta, LABEL_INSTALLATION).cloned().unwrap_or_default();
    let installation = (by_label || by_name).then_some(installation);
    Change::Secret { namespace, name, installation, ours: OurSecret::read(meta) }
}

fn place(meta: &ObjectMeta) -> (String, String) {
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// Feeds one watch into the index.
struct Feed {
    source: Source,
    index: Arc<RwLock<Index>>,
    sync: Arc<Sync>,
    triggers: mpsc::UnboundedSender<InstallationKey>,
    /// What the list that is under way has named so far.
    seen: BTreeSet<(String, String)>,
}

impl Feed {
    async fn run<K, S>(mut self, watch: impl Fn() -> S, change: impl Fn(&K) -> Change)
    where
        K: kube::ResourceExt + Send,
        S: Stream<Item = watcher::Result<watcher::Event<K>>> + Send,
    {
        // A watch begins anew by itself, but not when the server answers that its version is too old
        // before the stream has begun: then it would ask for that version for ever.
        loop {
            let mut events = pin!(watch().default_backoff());
            while let Some(event) = events.next().await {
                if let Err(watcher::Error::WatchStartFailed(kube::Error::Api(status))) = &event
                    && status.code == 410
                {
                    tokio::time::sleep(ANEW).await;
                    break;
                }
                self.take_event(event, &change);
            }
        }
    }

    fn take_event<K: kube::ResourceExt>(
        &mut self,
        event: watcher::Result<watcher::Event<K>>,
        change: &impl Fn(&K) -> Change,
    ) {
        if event.is_ok() {
            self.sync.works(&self.source);
        }
        match event {
            Ok(watcher::Event::Init) => self.seen.clear(),
            // An object that is being deleted no longer asks for anything.
            Ok(watcher::Event::InitApply(object)) if object.meta().deletion_timestamp.is_some() => {}
            Ok(watcher::Event::InitApply(object)) => {
                self.seen.insert(place(object.meta()));
                self.take_in(change(&object));
            }
            Ok(watcher::Event::Apply(object)) if object.meta().deletion_timestamp.is_none() => {
                self.take_in(change(&object));
            }
            Ok(watcher::Event::Apply(object) | watcher::Event::Delete(object)) => {
                let (namespace, name) = place(object.meta());
                self.take_in(self.gone(namespace, name));
            }
            Ok(watcher::Event::InitDone) => self.listed(),
            Err(error) => {
                let error = describe(&error);
                tracing::warn!(watch = self.source.name(), error, "watch failed, trying again");
                self.sync.fails(&self.source, error, Instant::now());
            }
        }
    }

    fn gone(&self, namespace: String, name: String) -> Change {
        match self.source.what {
            Known::Object(kind) => Change::ObjectGone { kind, namespace, name },
            Known::Deployment => Change::Deployment { namespace, name, managed: false, version: None },
            Known::Secret if name == GUARDS_SECRET => Change::Guards { namespace, seen: None },
            Known::Secret => Change::Secret { namespace, name, installation: None, ours: None },
            Known::Network => Change::Network { namespace, name, is_there: false },
            Known::Namespace => Change::Namespace { name, organization: None },
            Known::Claim => Change::Claim { namespace, record: None },
            Known::Pod(target) => Change::Pod { namespace, name, target, seen: None },
        }
    }

    /// The list is complete: what it did not name is gone, and what went unseen of objects that the
    /// index does not keep may concern anybody.
    fn listed(&mut self) {
        let seen = std::mem::take(&mut self.seen);
        let namespace = self.source.scope.namespace();
        let known = self.read(|index| index.known(self.source.what, namespace));
        for (namespace, name) in known.difference(&seen) {
            self.take_in(self.gone(namespace.clone(), name.clone()));
        }
        self.sync.listed(&self.source);
        self.trigger(self.read(|index| index.keys(namespace)));
    }

    fn read<T>(&self, read: impl FnOnce(&Index) -> T) -> T {
        read(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn take_in(&self, change: Change) {
        let concerned = self.index.write().unwrap_or_else(PoisonError::into_inner).apply(change);
        self.trigger(concerned);
    }

    fn trigger(&self, keys: BTreeSet<InstallationKey>) {
        for key in keys {
            // A closed channel means that the operator is shutting down.
            let _ = self.triggers.send(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_fails_for_long_is_told() {
        let (sync, begun) = (Sync::default(), Instant::now());
        let source = Source { what: Known::Secret, scope: Scope::All };
        sync.begin(&source);
        let missing = |after: Duration| sync.lock()["secrets"].missing(begun + after);
        let second = Duration::from_secs(1);
        assert_eq!((missing(second), sync.is_complete()), (Err("not listed yet".to_owned()), false));
        sync.fails(&source, "forbidden".to_owned(), begun);
        assert_eq!((missing(second), sync.is_complete()), (Err("forbidden".to_owned()), false));
        sync.listed(&source);
        sync.fails(&source, "no route".to_owned(), begun);
        sync.fails(&source, "refused".to_owned(), begun + 20 * second);
        assert_eq!((missing(29 * second), sync.is_complete(), sync.is_fresh()), (Ok(()), true, true));
        assert_eq!(missing(31 * second), Err("has seen nothing for 31 s: refused".to_owned()));
        assert!(sync.is_complete());
        // Nothing has failed for a while, or something was seen.
        assert_eq!((missing(79 * second).is_err(), missing(80 * second)), (true, Ok(())));
        sync.fails(&source, "refused".to_owned(), begun + 85 * second);
        assert_eq!((missing(114 * second), missing(115 * second).is_err()), (Ok(()), true));
        sync.works(&source);
        assert_eq!(missing(115 * second), Ok(()));
    }
}
