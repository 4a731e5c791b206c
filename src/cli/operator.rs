//! `timbr-identity operator`.

use std::{collections::BTreeSet, io::IsTerminal as _, net::SocketAddr, process::ExitCode, time::Duration};

use clap::{Args as ClapArgs, ValueEnum};
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{Layer as _, filter::filter_fn, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    admission::{Life, Maker},
    api::WEBHOOK_CONFIGURATION,
    compose::Cloud,
    controller::{Checking, LeaseTiming, Timing},
    operator::{Options, Webhook, operate},
    world::Scope,
};

use super::{services::ServicesArgs, settings::SettingsArgs};

/// Flags of the operator. Each can also be given as an environment variable.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Namespaces to watch, separated by commas; each is claimed for this operator. Absent: all that no other operator
    /// has claimed.
    #[arg(long, env = "TIMBR_IDENTITY_WATCH_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE")]
    watch_namespaces: Vec<String>,
    /// The operator's own namespace, where its lease and its name key are. Absent: POD_NAMESPACE, else the service account's, else the
    /// kubeconfig's.
    #[arg(long, env = "TIMBR_IDENTITY_NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Changes are collected until this much quiet.
    #[arg(long, env = "TIMBR_IDENTITY_DEBOUNCE", default_value = "1s", value_parser = duration)]
    debounce: Duration,
    /// Changes are collected at most this long.
    #[arg(long, env = "TIMBR_IDENTITY_DEBOUNCE_MAX", default_value = "15s", value_parser = duration)]
    debounce_max: Duration,
    /// How long the lease by which replicas agree on a leader is good for after each renewal.
    #[arg(long, env = "TIMBR_IDENTITY_LEASE_DURATION", default_value = "15s", value_parser = duration)]
    lease_duration: Duration,
    /// A leader that could not renew its lease for this long leads no more.
    #[arg(long, env = "TIMBR_IDENTITY_LEASE_RENEW_DEADLINE", default_value = "10s", value_parser = duration)]
    lease_renew_deadline: Duration,
    /// How often the lease is renewed, and looked at by replicas that do not lead.
    #[arg(long, env = "TIMBR_IDENTITY_LEASE_RETRY", default_value = "2s", value_parser = duration)]
    lease_retry: Duration,
    /// For tests: how old a renewal may be when a write is sent, and how much longer than the lease is good
    /// for another replica waits. A write takes up to 5s: with less a hand-over is not safe.
    #[arg(long, env = "TIMBR_IDENTITY_LEASE_MARGIN", default_value = "5s", value_parser = duration, hide = true)]
    lease_margin: Duration,
    /// For tests: how long other operators have to notice a claim to a namespace before anything is written there.
    #[arg(long, env = "TIMBR_IDENTITY_CLAIM_MARGIN", default_value = "5s", value_parser = duration, hide = true)]
    claim_margin: Duration,
    /// Installations looked at at the same time.
    #[arg(long, env = "TIMBR_IDENTITY_CONCURRENCY", default_value = "8", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Rollouts of Deployments that may be open at once, over all installations: an upgrade of the operator
    /// must not restart every Timbr together.
    #[arg(long, env = "TIMBR_IDENTITY_MAX_CONCURRENT_ROLLOUTS", default_value = "10", value_parser = clap::value_parser!(u16).range(1..))]
    max_concurrent_rollouts: u16,
    #[command(flatten)]
    services: ServicesArgs,
    /// How often what was verified is tried out again. 0s: nothing is ever tried out, nothing waits for it, and Verified
    /// says NotChecked.
    #[arg(long, env = "TIMBR_IDENTITY_CHECK_INTERVAL", default_value = "10m", value_parser = duration)]
    check_interval: Duration,
    /// How long new content waits while nobody can be asked whether it is right; then it is delivered, and Verified says
    /// so.
    #[arg(long, env = "TIMBR_IDENTITY_UNKNOWN_GRACE", default_value = "30s", value_parser = duration)]
    unknown_grace: Duration,
    /// Address of /livez and /readyz.
    #[arg(long, env = "TIMBR_IDENTITY_HEALTH_BIND", default_value = "[::]:8081")]
    health_bind: SocketAddr,
    /// Address of /metrics.
    #[arg(long, env = "TIMBR_IDENTITY_METRICS_BIND", default_value = "[::]:8080")]
    metrics_bind: SocketAddr,
    /// Address of the webhook, which speaks HTTPS; off: there is no webhook.
    #[arg(long, env = "TIMBR_IDENTITY_WEBHOOK_BIND", default_value = "[::]:9443", value_parser = address_or_off, value_name = "ADDRESS")]
    webhook_bind: Bind,
    /// The ValidatingWebhookConfiguration by which the webhook is called: the operator has its certificate trusted there.
    #[arg(long, env = "TIMBR_IDENTITY_WEBHOOK_CONFIGURATION", default_value = WEBHOOK_CONFIGURATION, value_name = "NAME")]
    webhook_configuration: String,
    /// How long the webhook goes on answering when the operator is told to stop: until it is sent nobody any more.
    #[arg(long, env = "TIMBR_IDENTITY_WEBHOOK_LINGER", default_value = "5s", value_parser = duration)]
    webhook_linger: Duration,
    /// Who makes the webhook's certificate, in the Secret timbr-identity-webhook: the operator, which renews it and has it
    /// trusted; or another, such as cert-manager, which then sets caBundle too.
    #[arg(long, env = "TIMBR_IDENTITY_WEBHOOK_CERTIFICATES", default_value = "operator")]
    webhook_certificates: CertificatesArg,
    /// For tests: how long a certificate of the webhook is good for; the rest of its life follows from it.
    #[arg(long, env = "TIMBR_IDENTITY_WEBHOOK_CERTIFICATE_LIFE", value_parser = duration, hide = true)]
    webhook_certificate_life: Option<Duration>,
    /// For tests: waits of minutes, and time limits for Timbr's REST API, are this many times as short.
    #[arg(long, env = "TIMBR_IDENTITY_CLOCK_RATE", default_value = "1", hide = true)]
    clock_rate: f64,
    /// How to write logs.
    #[arg(long, env = "TIMBR_IDENTITY_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// What to log: a level (error, warn, info, debug, trace), or directives as in
    /// info,kube=debug.
    #[arg(long, env = "TIMBR_IDENTITY_LOG_LEVEL", default_value = "info")]
    log_level: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CertificatesArg {
    Operator,
    Other,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// A duration such as 90s, 1m30s or 500ms.
fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| format!("`{text}` is no duration; write 90s, 1m30s or 500ms"))?;
    Duration::try_from(span).map_err(|_| format!("`{text}` is negative; write 90s, 1m30s or 500ms"))
}

/// Where to listen, if anywhere.
#[derive(Clone, Copy, Debug)]
struct Bind(Option<SocketAddr>);

/// An address, or `off`.
fn address_or_off(text: &str) -> Result<Bind, String> {
    if text == "off" {
        return Ok(Bind(None));
    }
    let address =
        text.parse().map_err(|_| format!("`{text}` is no address; write [::]:9443, 127.0.0.1:9443 or off"))?;
    Ok(Bind(Some(address)))
}

impl Args {
    fn lease(&self) -> Result<LeaseTiming, impl std::error::Error + Send + Sync + 'static> {
        let Self { lease_duration, lease_renew_deadline, lease_retry, lease_margin, .. } = *self;
        LeaseTiming {
            duration: lease_duration,
            renew_deadline: lease_renew_deadline,
            retry: lease_retry,
            margin: lease_margin,
        }
        .checked()
    }
}

/// Runs the operator until SIGTERM or SIGINT.
pub fn run(args: Args) -> ExitCode {
    let lease = match args.lease() {
        Ok(lease) => lease,
        Err(error) => return usage(&error.into()),
    };
    if let Err(error) = init_logging(&args) {
        return usage(&error);
    }
    // The operator waits for the API server, and little else: one thread does, and saves memory.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended =
        runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(operate_until_signal(args, lease)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}

async fn operate_until_signal(args: Args, lease: LeaseTiming) -> anyhow::Result<()> {
    // Exactly one crypto provider is in the tree; rustls wants to be told.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let stop = CancellationToken::new();
    let on_signal = stop.clone();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        on_signal.cancel();
    });
    // An empty environment variable names no namespace.
    let named = args.watch_namespaces.iter().filter(|name| !name.is_empty());
    let mut scopes: BTreeSet<Scope> = named.cloned().map(Scope::Namespace).collect();
    if scopes.is_empty() {
        scopes.insert(Scope::All);
    }
    let mut settings = args.settings.settings()?;
    settings.webhook = args.webhook_bind.0.is_some();
    let checking = match args.check_interval {
        Duration::ZERO => None,
        interval => {
            let graph = args.settings.cloud().map(Cloud::graph);
            let (services, http) = args.services.services(&settings, graph)?;
            let [interval, unknown_grace] = [interval, args.unknown_grace].map(SignedDuration::try_from);
            Some(Checking { http, services, interval: interval?, unknown_grace: unknown_grace? })
        }
    };
    let maker = match (args.webhook_certificates, args.webhook_certificate_life) {
        (CertificatesArg::Other, _) => Maker::Other,
        (CertificatesArg::Operator, None) => Maker::Operator(Life::default()),
        (CertificatesArg::Operator, Some(life)) => Maker::Operator(Life::of_leaf(life.try_into()?)),
    };
    let (configuration, linger) = (args.webhook_configuration, args.webhook_linger);
    let webhook = args.webhook_bind.0.map(|bind| Webhook { bind, configuration, maker, linger });
    let options = Options {
        scopes,
        namespace: args.namespace,
        settings,
        checking,
        timing: Timing { quiet: args.debounce, cap: args.debounce_max.max(args.debounce) },
        lease,
        claim_margin: args.claim_margin,
        concurrency: usize::from(args.concurrency),
        max_concurrent_rollouts: usize::from(args.max_concurrent_rollouts),
        clock_rate: if args.clock_rate.is_normal() { args.clock_rate.abs() } else { 1.0 },
        health: args.health_bind,
        metrics: args.metrics_bind,
        webhook,
    };
    operate(options, stop).await
}

fn init_logging(args: &Args) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&args.log_level).map_err(|error| {
        anyhow::anyhow!(
            "--log-level {}: {error}; write a level such as info, or directives such as info,kube=debug",
            args.log_level
        )
    })?;
    // kube's client logs whole answers that it cannot decode, and an answer may be a Secret.
    let bodies = filter_fn(|metadata| metadata.target() != "kube_client::client");
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let logs = match args.log_format {
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => logs.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(logs.with_filter(bodies)).with(filter).init();
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let message =
            payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let message = message.unwrap_or("no message");
        tracing::error!(location, message, "panic");
    }));
    Ok(())
}
