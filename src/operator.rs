//! The operator as a whole: clients, watches, queue and servers, started and stopped in order.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context as _;
use kube::{Client, Config};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    apply::{TimbrApi, Writer, name_key},
    compose::{NameKey, Settings},
    controller::{Clock, Heartbeat, Post, Reconciler, Rollouts, Runner, Timing},
    http::{self, Checks},
    metrics::Metrics,
    world::{Index, Reader, Scope, Sync, watch_all},
};

/// How the operator is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to watch.
    pub scopes: BTreeSet<Scope>,
    /// The operator's own namespace, where the name key is; `None` asks the kubeconfig.
    pub namespace: Option<String>,
    /// The settings that decisions depend on.
    pub settings: Settings,
    /// Debounce.
    pub timing: Timing,
    /// Reconciliations at once.
    pub concurrency: usize,
    /// Rollouts of Deployments that may be open at once, over all installations.
    pub max_concurrent_rollouts: usize,
    /// How much faster than the wall clock the operator's runs; 1 but in tests.
    pub clock_rate: f64,
    /// Address of `/livez` and `/readyz`.
    pub health: SocketAddr,
    /// Address of `/metrics`.
    pub metrics: SocketAddr,
}

/// The file in which a pod finds its namespace.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Runs the operator until `stop`.
///
/// # Errors
/// When it cannot begin: no cluster is configured, or an address is taken. Whatever fails later is
/// tried again.
pub async fn operate(options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let mut config = Config::infer().await.context("no cluster is configured: run in a cluster, or set KUBECONFIG")?;
    // kube's own retries repeat every verb, writes too; back-off is the queue's.
    config.default_retry = false;
    let namespace =
        options.namespace.clone().or_else(pod_namespace).unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config).context("the cluster's configuration cannot be used")?;

    let metrics = Metrics::default();
    let heartbeat = Heartbeat::default();
    let sync = Arc::new(Sync::default());
    let key_state = Arc::new(Mutex::new(Err("not read yet".to_owned())));
    let checks = checks(&sync, &key_state, &stop);
    let mut servers =
        vec![http::serve("health", options.health, http::health(heartbeat.clone(), checks), stop.clone()).await?];
    servers.push(http::serve("metrics", options.metrics, http::metrics(metrics.clone()), stop.clone()).await?);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespace, scopes = ?options.scopes, "starting");

    let Some(name_key) = wait_for_name_key(&client, &namespace, &key_state, &stop).await else { return Ok(()) };
    let index = Arc::new(RwLock::new(Index::default()));
    let (triggers, triggered) = mpsc::unbounded_channel();
    let mut watches = watch_all(&client, &options.scopes, &index, &sync, &triggers);
    let clock = Clock::new(options.clock_rate);
    let api = TimbrApi::new(clock.rate()).context("no client for Timbr's REST API can be made")?;
    let post = Post::new(api, clock, metrics.clone(), triggers);
    let reader = Reader::new(client.clone(), Arc::clone(&index), options.settings.clone(), name_key);
    let instance =
        std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).unwrap_or_else(|_| "local".to_owned());
    let writer = Writer::new(client, metrics.clone(), instance);
    let rollouts = Rollouts::new(options.max_concurrent_rollouts);
    let reconciler = Reconciler::new(reader, writer, index, metrics.clone(), post, clock, rollouts);
    let (timing, concurrency) = (options.timing, options.concurrency);
    let runner = Runner { reconciler, sync, timing, concurrency, metrics, heartbeat };
    tokio::select! {
        () = runner.run(triggered, stop) => {}
        // A watch goes on for ever; without one of them the rest would decide on half the truth.
        _ = watches.join_next() => anyhow::bail!("a watch has ended; restart the operator"),
    }
    drop(watches);
    for server in servers {
        // Keep-alive connections may outlive the wish to stop.
        let _ = tokio::time::timeout(Duration::from_secs(1), server).await;
    }
    tracing::info!("stopped");
    Ok(())
}

fn pod_namespace() -> Option<String> {
    let from_env = std::env::var("POD_NAMESPACE").ok();
    let namespace = from_env.or_else(|| std::fs::read_to_string(NAMESPACE_FILE).ok())?;
    Some(namespace.trim().to_owned()).filter(|namespace| !namespace.is_empty())
}

type KeyState = Arc<Mutex<Result<(), String>>>;

/// Readiness: every watch has listed, the name key is there, and nobody asked us to stop.
fn checks(sync: &Arc<Sync>, key_state: &KeyState, stop: &CancellationToken) -> Checks {
    let (sync, key_state, stop) = (Arc::clone(sync), Arc::clone(key_state), stop.clone());
    Arc::new(move || {
        let mut checks: std::collections::BTreeMap<_, _> =
            sync.states().into_iter().map(|(name, state)| (format!("watch {name}"), state)).collect();
        let key = key_state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        checks.insert("name key".to_owned(), key);
        let stopping = stop.is_cancelled().then(|| "stopping".to_owned());
        checks.insert("running".to_owned(), stopping.map_or(Ok(()), Err));
        checks
    })
}

/// Without the key nothing is written, so nothing is begun. `None`: asked to stop meanwhile.
async fn wait_for_name_key(
    client: &Client,
    namespace: &str,
    state: &KeyState,
    stop: &CancellationToken,
) -> Option<NameKey> {
    loop {
        match name_key(client, namespace).await {
            Ok(key) => {
                *state.lock().unwrap_or_else(PoisonError::into_inner) = Ok(());
                return Some(key);
            }
            Err(error) => {
                tracing::warn!(%error, "the name key is not to be had, trying again");
                *state.lock().unwrap_or_else(PoisonError::into_inner) = Err(error.to_string());
            }
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
        }
    }
}
