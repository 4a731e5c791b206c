//! Requests of checks: short, small, to nowhere but where they are addressed, and every failure told apart.

use std::{error::Error as StdError, io, net::SocketAddr, sync::Arc, time::Duration};

use http::{
    HeaderMap, Uri,
    header::{LOCATION, RETRY_AFTER},
};
use hyper_util::client::proxy::matcher::Matcher;
use jiff::Timestamp;
use reqwest::{
    Certificate, Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use serde::de::DeserializeOwned;

use super::{Guard, Outcome, Refused, pace::Pace};

/// Longest answer that is read, in bytes: the longest key sets have some ten thousand.
const LONGEST: usize = 1024 * 1024;

/// How long a request may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until it is connected.
    pub connect: Duration,
    /// Until its answer is read.
    pub whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), whole: Duration::from_secs(10) }
    }
}

/// Who has named the host of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// The operator's flags.
    Operator,
    /// A resource.
    Resource,
}

/// Sends requests.
#[derive(Clone, Debug)]
pub struct Http {
    /// By the proxies of the environment, to any address.
    open: Client,
    /// To no address but those that the guard lets through.
    guarded: Client,
    guard: Arc<Guard>,
    limits: Limits,
    proxies: Arc<Matcher>,
    pace: Pace,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Where it leads, if elsewhere.
    pub to: Option<Url>,
    /// Its body, whole.
    pub body: Vec<u8>,
}

/// Why there is no answer that says anything of what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The host is none that is asked.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// Nobody knows the name.
    #[error("the name {0} cannot be resolved")]
    Unresolved(String),
    /// Nobody answers there.
    #[error("no connection: {0}")]
    Unconnected(String),
    /// Somebody answers whose certificate is not to be trusted.
    #[error("its certificate is not trusted: {0}")]
    Untrusted(String),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The answer, or the connection, broke off.
    #[error("the answer broke off: {0}")]
    BrokeOff(String),
    /// The answer is too long to be what was asked for.
    #[error("the answer has more than 1 MiB")]
    TooLong,
    /// The answer sends us elsewhere, where nothing is sent.
    #[error("it answers with a redirect{}, which is not followed", to(.0))]
    Redirected(Option<String>),
    /// The answer is something else than what was asked for: a proxy's page, often.
    #[error("it answers with status {0}, and with no JSON of the expected form")]
    Unreadable(u16),
}

fn to(host: &Option<String>) -> String {
    host.as_ref().map(|host| format!(" to {host}")).unwrap_or_default()
}

impl Http {
    /// Requests that trust the authorities in `ca_bundle` (PEM), too.
    ///
    /// # Errors
    /// When the bundle cannot be read, or there is no TLS to be had.
    pub fn new(guard: Guard, ca_bundle: &[u8], limits: Limits) -> reqwest::Result<Self> {
        let guard = Arc::new(guard);
        let trusted = Certificate::from_pem_bundle(ca_bundle)?;
        let builder = || {
            Client::builder()
                .connect_timeout(limits.connect)
                .timeout(limits.whole)
                // No credential goes anywhere but where it was addressed.
                .redirect(Policy::none())
                .user_agent(concat!("timbr-identity/", env!("CARGO_PKG_VERSION")))
                .tls_certs_merge(trusted.iter().cloned())
        };
        let resolving = |builder: ClientBuilder, guard| builder.dns_resolver(Resolver(guard));
        Ok(Self {
            open: resolving(builder(), None).build()?,
            guarded: resolving(builder().no_proxy(), Some(Arc::clone(&guard))).build()?,
            guard,
            limits,
            proxies: Arc::new(Matcher::from_system()),
            pace: Pace::default(),
        })
    }

    /// A request to a URL.
    ///
    /// # Errors
    /// When a resource names what is not asked.
    pub fn request(&self, method: Method, url: Url, named_by: NamedBy) -> Result<RequestBuilder, Trouble> {
        let client = match named_by {
            NamedBy::Operator => &self.open,
            NamedBy::Resource => {
                self.guard.url(&url)?;
                // A proxy looks names up by itself: that nothing is to be reached there is its business.
                let uri: Option<Uri> = url.as_str().parse().ok();
                let is_proxied = uri.is_some_and(|uri| self.proxies.intercept(&uri).is_some());
                if is_proxied { &self.open } else { &self.guarded }
            }
        };
        Ok(client.request(method, url))
    }

    /// Sends a request when it is its turn, and reads its answer.
    ///
    /// # Errors
    /// When there is none, or one that leads elsewhere.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, Trouble> {
        let answer = self.fetch(request).await?;
        if answer.status.is_redirection() {
            return Err(Trouble::Redirected(answer.to.and_then(|to| to.host_str().map(str::to_owned))));
        }
        Ok(answer)
    }

    /// The same, where the answer may be the way to somewhere else, which is not gone.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn fetch(&self, request: RequestBuilder) -> Result<Answer, Trouble> {
        let (client, request) = request.build_split();
        let request = request.map_err(|error| self.trouble(&error))?;
        let _turn = self.pace.turn(request.url()).await;
        let response = client.execute(request).await.map_err(|error| self.trouble(&error))?;
        self.read(response).await
    }

    /// Sends a request to `what`, and returns an answer that is one.
    ///
    /// # Errors
    /// What came of it when there is none, or the service has too much to do or a fault of its own.
    pub async fn ask(&self, what: &str, request: Result<RequestBuilder, Trouble>) -> Result<Answer, Outcome> {
        let answer = match request {
            Ok(request) => self.send(request).await,
            Err(trouble) => Err(trouble),
        };
        let answer = answer.map_err(|trouble| Outcome::of_trouble(what, &trouble))?;
        match Outcome::of_busy(what, &answer, Timestamp::now()) {
            Some(busy) => Err(busy),
            None => Ok(answer),
        }
    }

    async fn read(&self, mut response: Response) -> Result<Answer, Trouble> {
        let (status, headers) = (response.status(), response.headers().clone());
        let location = headers.get(LOCATION).and_then(|to| to.to_str().ok());
        let to = location.and_then(|to| response.url().join(to).ok());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.trouble(&error))? {
            if body.len() + chunk.len() > LONGEST {
                return Err(Trouble::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, to, body })
    }

    fn trouble(&self, error: &reqwest::Error) -> Trouble {
        match known(error) {
            Ok(trouble) => trouble,
            Err(_) if error.is_timeout() && error.is_connect() => {
                Trouble::Unconnected(format!("nobody answers there within {:?}", self.limits.connect))
            }
            Err(_) if error.is_timeout() => Trouble::TimedOut(self.limits.whole),
            Err(text) if error.is_connect() => Trouble::Unconnected(text),
            Err(text) => Trouble::BrokeOff(text),
        }
    }
}

impl Answer {
    /// Its JSON.
    ///
    /// # Errors
    /// When it is none, or of another form.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        serde_json::from_slice(&self.body).map_err(|_| Trouble::Unreadable(self.status.as_u16()))
    }

    /// When to come again, if it says so.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
    }
}

/// Looks names up, and hands on no address that the guard refuses.
struct Resolver(Option<Arc<Guard>>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, name) = (self.0.clone(), name.as_str().to_owned());
        Box::pin(async move {
            let unresolved = || Trouble::Unresolved(name.clone());
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(|_| unresolved())?;
            let found: Vec<SocketAddr> = found.collect();
            let judge =
                |address: &SocketAddr| guard.as_ref().map_or(Ok(()), |guard| guard.address(&name, address.ip()));
            let refused = found.iter().find_map(|address| judge(address).err());
            let open: Vec<SocketAddr> = found.into_iter().filter(|address| judge(address).is_ok()).collect();
            match (open.is_empty(), refused) {
                (false, _) => Ok(Box::new(open.into_iter()) as Addrs),
                (true, Some(refused)) => Err(Trouble::Refused(refused).into()),
                (true, None) => Err(unresolved().into()),
            }
        })
    }
}

/// What an error is made of, if that tells more than its text; else the innermost text, as the outer ones only say
/// that a request failed.
fn known(error: &reqwest::Error) -> Result<Trouble, String> {
    let mut innermost: &(dyn StdError + 'static) = error;
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(this) = cause {
        if let Some(trouble) = this.downcast_ref::<Trouble>() {
            return Ok(trouble.clone());
        }
        if let Some(error) = this.downcast_ref() {
            return Ok(certificate(error));
        }
        innermost = this;
        // What an I/O error is made of is not its source, but itself.
        let inner = this.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = inner.map(|inner| inner as _).or_else(|| this.source());
    }
    Err(innermost.to_string())
}

fn certificate(error: &rustls::Error) -> Trouble {
    use rustls::{CertificateError as Fault, Error};
    match error {
        Error::InvalidCertificate(fault) => Trouble::Untrusted(match fault {
            Fault::UnknownIssuer => {
                "an authority has issued it that the operator does not know; give it --ca-bundle".to_owned()
            }
            Fault::Expired | Fault::ExpiredContext { .. } => "it has expired".to_owned(),
            Fault::NotValidYet | Fault::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
            Fault::NotValidForName | Fault::NotValidForNameContext { .. } => "it is for another host".to_owned(),
            Fault::Revoked => "it was revoked".to_owned(),
            other => other.to_string(),
        }),
        other => Trouble::Unconnected(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use http::HeaderValue;

    use super::*;

    #[test]
    fn when_to_come_again() {
        let now: Timestamp = "2026-11-28T10:00:00Z".parse().unwrap();
        let answer = |after: Option<&str>| {
            let mut headers = HeaderMap::new();
            after.map(|after| headers.insert(RETRY_AFTER, HeaderValue::from_str(after).unwrap()));
            Answer { status: StatusCode::OK, headers, to: None, body: vec![] }.retry_after(now)
        };
        let rows = [
            (None, None),
            (Some("7"), Some(7)),
            (Some(" 120 "), Some(120)),
            (Some("Sat, 28 Nov 2026 10:01:30 GMT"), Some(90)),
            (Some("Sat, 28 Nov 2026 09:00:00 GMT"), Some(0)),
            (Some("soon"), None),
            (Some("-1"), None),
        ];
        for (after, expected) in rows {
            assert_eq!(answer(after), expected.map(Duration::from_secs), "{after:?}");
        }
    }

    /// A name is judged by where it leads.
    #[tokio::test]
    async fn names_lead_to_judged_addresses_only() {
        let resolve = async |guard: Option<Guard>| {
            let found = Resolver(guard.map(Arc::new)).resolve(Name::from_str("localhost").unwrap()).await;
            found.map(|found| found.map(|address| address.ip()).collect::<Vec<_>>())
        };
        let everything = resolve(None).await.unwrap();
        assert!(everything.iter().all(std::net::IpAddr::is_loopback) && !everything.is_empty(), "{everything:?}");
        let refused = resolve(Some(Guard::default())).await.unwrap_err();
        assert!(matches!(refused.downcast_ref(), Some(Trouble::Refused(Refused::Address { .. }))), "{refused}");
        // Of several addresses those that are open.
        let v4 = Guard { allowed: vec!["127.0.0.0/8".parse().unwrap()], ..Guard::default() };
        let open = resolve(Some(v4)).await.unwrap();
        assert!(open.iter().all(std::net::IpAddr::is_ipv4) && !open.is_empty(), "{open:?}");
    }
}
