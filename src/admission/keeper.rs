//! Keeps the webhook's certificate good, and trusted by whoever calls the webhook.
//!
//! Every replica shows what the Secret holds; the leader renews it. All of them look again every few seconds: a
//! certificate is good for months, and a `caBundle` that somebody has taken away is to be back soon.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{ValidatingWebhookConfiguration, WebhookClientConfig},
        core::v1::Secret,
    },
};
use kube::{Api, Client};

use crate::{
    api::WEBHOOK_SECRET,
    apply::{Leadership, WriteError, Writer},
    world::describe,
};

use super::{
    certificate::{Bundle, Life, Step, step},
    configuration,
    server::Shown,
};

/// Longest time between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// Longest time for one read.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Who makes the webhook's certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// The operator.
    Operator(Life),
    /// Somebody else, such as cert-manager, who keeps them in the same Secret.
    Other,
}

/// Keeps the certificate.
pub struct Keeper {
    /// The operator's own namespace.
    pub namespace: String,
    /// The ValidatingWebhookConfiguration by which the webhook is called.
    pub configuration: String,
    /// Who makes certificates.
    pub maker: Maker,
    /// Where the certificate is shown.
    pub shown: Shown,
    /// Reads.
    pub client: Client,
    /// Writes, while this process leads.
    pub writer: Writer,
    /// Whether it does.
    pub leadership: Leadership,
}

/// Why a look has come to nothing.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("Secret {WEBHOOK_SECRET} {0}")]
    Bundle(#[from] super::certificate::BundleError),
    #[error("{what} cannot be read: {why}")]
    Read { what: &'static str, why: String },
    #[error("the webhook's certificate cannot be written: {0}")]
    Write(#[from] WriteError),
}

impl Keeper {
    /// Looks again and again.
    pub async fn run(self) {
        let pause = match self.maker {
            Maker::Operator(life) => (settle(life) / 4).min(PAUSE),
            Maker::Other => PAUSE,
        };
        let mut seen = Seen::default();
        let mut said = String::new();
        loop {
            // What is wrong is said once, and not every few seconds.
            match self.look(&mut seen).await {
                Ok(()) | Err(LookError::Write(WriteError::NotLeading | WriteError::Overtaken)) => said.clear(),
                Err(error) => {
                    let error = error.to_string();
                    if error != said {
                        tracing::warn!(error, "the webhook's certificate is not looked after, trying again");
                        said = error;
                    }
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn look(&self, seen: &mut Seen) -> Result<(), LookError> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = read("the Secret of the webhook", secrets.get_opt(WEBHOOK_SECRET)).await?;
        let bundle =
            match secret.as_ref().map(|secret| Bundle::read(secret.data.as_ref().unwrap_or(&Default::default()))) {
                Some(Ok(bundle)) => Some(bundle),
                Some(Err(error)) if self.maker == Maker::Other => return Err(error.into()),
                _ => None,
            };
        let version = secret.as_ref().and_then(|secret| secret.metadata.resource_version.clone());
        if let Some(bundle) = bundle.as_ref().filter(|_| version.is_none() || version != seen.version) {
            self.shown.show(bundle.certified()?);
            tracing::info!(version, "the webhook answers with the certificate of its Secret");
            seen.version = version;
        }
        let Maker::Operator(life) = self.maker else { return Ok(()) };
        let trusted = &mut seen.trusted;
        if !self.leadership.may_write() {
            *trusted = Trusted::default();
            return Ok(());
        }
        let configurations: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        // Where nobody may read it, nobody is told whom to trust; but there is a certificate.
        let (found, unread) = match read(CONFIGURATION, configurations.get_opt(&self.configuration)).await {
            Ok(found) => (found, None),
            Err(error) => (None, Some(error)),
        };
        let newest = bundle.as_ref().map_or("", Bundle::newest);
        trusted.note(newest, found.as_ref().is_some_and(|found| trusts(found, newest)));
        // Nobody calls a webhook that is not configured.
        let settled = (found.is_none() && unread.is_none()) || trusted.since(newest) >= settle(life);
        let held = bundle.as_ref().and_then(Bundle::held);
        let names = match (&unread, &held) {
            // As long as nobody knows what it is called by, it is called as before.
            (Some(_), Some(held)) => held.leaf.names.clone(),
            _ => names(found.as_ref(), &self.namespace),
        };
        let now = Timestamp::now();
        let next = step(held.as_ref(), &names, settled, life, now);
        let renewed = match (next, &bundle) {
            (Step::Nothing, _) => None,
            (Step::AddAuthority, Some(bundle)) => Some(bundle.with_authority(life, now)?),
            (Step::Sign, Some(bundle)) => Some(bundle.signed(&names, life, now)?),
            (Step::Forget, Some(bundle)) => Some(bundle.forgetting()),
            (_, _) => Some(Bundle::anew(&names, life, now)?),
        };
        if let Some(renewed) = &renewed {
            self.writer.keep_certificate(&self.namespace, secret.as_ref(), renewed.data()).await?;
            tracing::info!(step = ?next, "the webhook's certificate was renewed");
            self.shown.show(renewed.certified()?);
        }
        if let (Some(bundle), Some(found)) = (renewed.or(bundle), &found) {
            self.writer.trust(found, &bundle.ca_bundle()).await?;
        }
        unread.map_or(Ok(()), Err)
    }
}

/// What a configuration is called in a sentence.
const CONFIGURATION: &str = "the ValidatingWebhookConfiguration";

/// Whether an authority (PEM) is trusted wherever the webhook is called from.
fn trusts(configuration: &ValidatingWebhookConfiguration, authority: &str) -> bool {
    let bundles = configuration.webhooks.iter().flatten().map(|webhook| webhook.client_config.ca_bundle.as_ref());
    let is_in = |bundle: &ByteString| String::from_utf8_lossy(&bundle.0).contains(authority);
    bundles.into_iter().all(|bundle| bundle.is_some_and(is_in))
}

fn settle(life: Life) -> Duration {
    life.settle.try_into().unwrap_or(PAUSE)
}

async fn read<T>(what: &'static str, read: impl Future<Output = kube::Result<T>>) -> Result<T, LookError> {
    let error = |why| LookError::Read { what, why };
    let read = tokio::time::timeout(READ_TIMEOUT, read).await;
    read.map_err(|_| error("no answer within 5 seconds".to_owned()))?.map_err(|failed| error(describe(&failed)))
}

/// The hosts by which the webhook is called.
fn names(configuration: Option<&ValidatingWebhookConfiguration>, namespace: &str) -> BTreeSet<String> {
    let webhooks = configuration.and_then(|found| found.webhooks.as_ref());
    let mut names: BTreeSet<String> =
        webhooks.into_iter().flatten().filter_map(|webhook| host(&webhook.client_config)).collect();
    if names.is_empty() {
        names.insert(format!("{}.{namespace}.svc", configuration::SERVICE));
    }
    names
}

fn host(config: &WebhookClientConfig) -> Option<String> {
    match (&config.service, &config.url) {
        (Some(service), _) => Some(format!("{}.{}.svc", service.name, service.namespace)),
        (None, Some(url)) => {
            let url: url::Url = url.parse().ok()?;
            Some(url.host_str()?.trim_matches(['[', ']']).to_owned())
        }
        (None, None) => None,
    }
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
struct Seen {
    /// The version of the Secret whose certificate is shown.
    version: Option<String>,
    trusted: Trusted,
}

/// Since when the newest authority has been trusted.
#[derive(Debug, Default)]
struct Trusted(Option<(String, Instant)>);

impl Trusted {
    fn note(&mut self, newest: &str, is_trusted: bool) {
        match &self.0 {
            Some((known, _)) if is_trusted && known == newest => {}
            _ if is_trusted => self.0 = Some((newest.to_owned(), Instant::now())),
            _ => self.0 = None,
        }
    }

    fn since(&self, newest: &str) -> Duration {
        self.0.as_ref().filter(|(known, _)| known == newest).map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }
}
