//! The operator as a whole: clients, watches, queue and servers, started and stopped in order.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context as _;
use kube::{Client, Config};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    admission::{self, Desk, Keeper, Maker, Shown},
    apply::{Leadership, LeaseStore, TimbrApi, Writer, name_key},
    compose::{NameKey, Settings},
    controller::{
        Bidder, Campaign, Checker, Checking, Claiming, Claims, Clock, Election, Heartbeat, LeaseTiming, Post,
        Reconciler, Rollouts, Runner, Timing,
    },
    http::{self, Check, Checks},
    metrics::Metrics,
    world::{Index, Reader, Scope, Sync, watch_all},
};

/// How the operator is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to watch.
    pub scopes: BTreeSet<Scope>,
    /// The operator's own namespace, where the lease and the name key are; `None` asks the kubeconfig.
    pub namespace: Option<String>,
    /// The settings that decisions depend on.
    pub settings: Settings,
    /// Debounce.
    pub timing: Timing,
    /// How leadership is timed.
    pub lease: LeaseTiming,
    /// How long other operators have to notice a claim to a namespace before anything is written there.
    pub claim_margin: Duration,
    /// Reconciliations at once.
    pub concurrency: usize,
    /// Rollouts of Deployments that may be open at once, over all installations.
    pub max_concurrent_rollouts: usize,
    /// How much faster than the wall clock the operator's runs; 1 but in tests.
    pub clock_rate: f64,
    /// How things are tried out; `None`: nothing is.
    pub checking: Option<Checking>,
    /// Address of `/livez` and `/readyz`.
    pub health: SocketAddr,
    /// Address of `/metrics`.
    pub metrics: SocketAddr,
    /// How the webhook is to run; `None`: there is none.
    pub webhook: Option<Webhook>,
}

/// How the webhook is to run.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its address.
    pub bind: SocketAddr,
    /// The ValidatingWebhookConfiguration by which it is called.
    pub configuration: String,
    /// Who makes its certificates.
    pub maker: Maker,
    /// How long it goes on answering when the operator ends: until nobody is sent to it any more.
    pub linger: Duration,
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
    let client = Client::try_from(config.clone()).context("the cluster's configuration cannot be used")?;

    let metrics = Metrics::default();
    let heartbeat = Heartbeat::default();
    let sync = Arc::new(Sync::default());
    let key_state = Arc::new(Mutex::new(Err("not read yet".to_owned())));
    let leadership = Leadership::new(options.lease.margin);
    let index = Arc::new(RwLock::new(Index::default()));
    let claim_timing = options.lease.of_claims(options.claim_margin);
    let claims = if options.scopes.contains(&Scope::All) {
        let (index, identity) = (Arc::clone(&index), namespace.clone());
        Claims::of_others(leadership.clone(), metrics.clone(), index, identity, claim_timing)
    } else {
        Claims::made(leadership.clone(), metrics.clone())
    };
    let shown = options.webhook.is_some().then(Shown::default);
    let checks = checks(&sync, &key_state, &leadership, &claims, shown.as_ref(), &stop);
    let mut servers =
        vec![http::serve("health", options.health, http::health(heartbeat.clone(), checks), stop.clone()).await?];
    servers.push(http::serve("metrics", options.metrics, http::metrics(metrics.clone()), stop.clone()).await?);
    let answering = match (&options.webhook, &shown) {
        (Some(webhook), Some(shown)) => {
            let listener = http::listen("webhook", webhook.bind).await?;
            let (known, synced, settings, counts) =
                (Arc::clone(&index), Arc::clone(&sync), options.settings.clone(), metrics.clone());
            let desk = |client| Desk { index: known, sync: synced, settings, client, metrics: counts };
            Some(admission::start(listener, config, desk, shown.clone(), webhook.linger, stop.clone())?)
        }
        _ => None,
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespace, scopes = ?options.scopes, "starting");

    let Some(name_key) = wait_for_name_key(&client, &namespace, &key_state, &stop).await else { return Ok(()) };
    let (triggers, triggered) = mpsc::unbounded_channel();
    let mut watches = watch_all(&client, &options.scopes, &index, &sync, &triggers);
    let clock = Clock::new(options.clock_rate);
    let api = TimbrApi::new(clock.rate()).context("no client for Timbr's REST API can be made")?;
    let post = Post::new(api, clock, metrics.clone(), claims.clone(), triggers.clone());
    let reader = Reader::new(client.clone(), Arc::clone(&index), options.settings.clone(), name_key);
    let instance =
        std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).unwrap_or_else(|_| "local".to_owned());
    // One of its own for each process: a container that starts anew in the same pod is another.
    let election = Election::new(format!("{instance}_{:016x}", rand::random::<u64>()), options.lease);
    let store = LeaseStore::leader(client.clone(), namespace.clone());
    let campaign = Campaign {
        bidder: Bidder { store, election },
        leadership: leadership.clone(),
        sync: Arc::clone(&sync),
        metrics: metrics.clone(),
        stop: stop.clone(),
    };
    let resign = CancellationToken::new();
    let mut campaign = tokio::spawn(campaign.run(resign.clone()));
    let writer = Writer::new(client.clone(), metrics.clone(), instance, leadership.clone());
    let mut keepers = JoinSet::new();
    if let (Some(webhook), Some(shown)) = (options.webhook, shown) {
        let keeper = Keeper {
            namespace: namespace.clone(),
            configuration: webhook.configuration,
            maker: webhook.maker,
            shown,
            client: client.clone(),
            writer: writer.clone(),
            leadership: leadership.clone(),
        };
        keepers.spawn(keeper.run());
    }
    let claiming = Claiming {
        identity: namespace,
        timing: claim_timing,
        again: options.lease.retry,
        leadership: leadership.clone(),
        index: Arc::clone(&index),
        triggers,
        claims: claims.clone(),
        writer: writer.clone(),
    };
    let mut claimants = JoinSet::new();
    for scope in &options.scopes {
        if let Scope::Namespace(name) = scope {
            let store = LeaseStore::claim(client.clone(), name.clone());
            claimants.spawn(claiming.claimant(name.clone(), store).run());
        }
    }
    let rollouts = Rollouts::new(options.max_concurrent_rollouts);
    let checker = options.checking.map(|checking| Checker::new(checking, metrics.clone(), post.clone()));
    let reconciler = Reconciler::new(reader, writer, index, metrics.clone(), post, checker, rollouts);
    let (timing, concurrency) = (options.timing, options.concurrency);
    let runner = Runner { reconciler, leadership, claims, sync, timing, concurrency, metrics, heartbeat };
    let webhook_died = async {
        match &answering {
            Some(answering) => answering.died(&stop).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        () = runner.run(triggered, stop.clone()) => Ok(()),
        // Nobody would be asked any more, and everything let pass.
        () = webhook_died => Err(anyhow::anyhow!("the webhook has ended; restart the operator")),
        // A watch goes on for ever; without one of them the rest would decide on half the truth.
        _ = watches.join_next() => Err(anyhow::anyhow!("a watch has ended; restart the operator")),
        // Nobody would know any more whose its namespace is.
        Some(_) = claimants.join_next() => Err(anyhow::anyhow!("a claim is not looked after any more; restart the operator")),
        // The webhook's certificate would end.
        Some(_) = keepers.join_next() => Err(anyhow::anyhow!("the webhook's certificate is not looked after any more; restart the operator")),
        // It would never write again.
        _ = &mut campaign => anyhow::bail!("the lease is not looked after any more; restart the operator"),
    };
    drop(watches);
    drop(keepers);
    // Not before the last write was answered or abandoned: the next leader begins at once.
    resign.cancel();
    let _ = campaign.await;
    ended?;
    for server in servers {
        // Keep-alive connections may outlive the wish to stop.
        let _ = tokio::time::timeout(Duration::from_secs(1), server).await;
    }
    if let Some(answering) = answering {
        answering.ended().await;
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

/// Readiness: every watch has listed, the name key is there, and nobody asked us to stop. Not leadership, and not claims: who
/// stands by is ready to take over.
fn checks(
    sync: &Arc<Sync>,
    key_state: &KeyState,
    leadership: &Leadership,
    claims: &Claims,
    shown: Option<&Shown>,
    stop: &CancellationToken,
) -> Checks {
    let (sync, key_state, leadership, claims, shown, stop) =
        (Arc::clone(sync), Arc::clone(key_state), leadership.clone(), claims.clone(), shown.cloned(), stop.clone());
    Arc::new(move || {
        let states = sync.states().into_iter();
        let mut checks: std::collections::BTreeMap<_, _> =
            states.map(|(name, state)| (format!("watch {name}"), Check::Needed(state))).collect();
        let key = key_state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        checks.insert("name key".to_owned(), Check::Needed(key));
        if let Some(shown) = &shown {
            let certificate = shown.is_there().then_some(()).ok_or_else(|| "no certificate yet".to_owned());
            checks.insert("webhook".to_owned(), Check::Needed(certificate));
        }
        let stopping = stop.is_cancelled().then(|| "stopping".to_owned());
        checks.insert("running".to_owned(), Check::Needed(stopping.map_or(Ok(()), Err)));
        checks.insert("leadership".to_owned(), Check::Told(leadership.told()));
        for (namespace, standing) in claims.standings() {
            checks.insert(format!("namespace {namespace}"), Check::Told(standing.told().to_owned()));
        }
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
