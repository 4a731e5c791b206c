//! A proxy before the API server, through which a test makes the faults a network makes.
//!
//! It ends TLS with a certificate of the control plane's authority, so its clients authenticate by a
//! bearer token, which it passes on. It names each request as the API server's authorizer would and
//! numbers the writes, so that a test can say "the third write is lost". It runs on a thread and a
//! runtime of its own and knows nothing of the test's.

mod call;
mod forward;
mod hook;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::response;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

pub use call::Call;
pub use hook::Hook;

use crate::certificates::{self, Authority};
use crate::http_server::{Background, acceptor, listen};

/// What the proxy does with a request.
#[derive(Debug, Clone)]
pub enum Action {
    /// Forwards it.
    Pass,
    /// Forwards it to another API server of the same cluster.
    Ask(SocketAddr),
    /// Answers it with this status code, and a Retry-After of so many seconds, without forwarding.
    Refuse(u16, Option<u32>),
    /// Forwards it later.
    Delay(Duration),
    /// Forwards it, and cuts the connection when the API server has answered: done, but nobody
    /// is told.
    Lose,
    /// Cuts the connection without forwarding: not done, but the sender cannot know.
    Reset,
    /// Forwards it twice, one after the other, and passes the second answer on.
    Duplicate,
    /// Answers with what it says, as if that had been done, without forwarding.
    Pretend,
    /// Forwards it, and keeps the answer for [`Action::Replay`]. Not for watches.
    Keep,
    /// Answers with the answer that was kept of the same request, however old it is by now; forwards it when
    /// there is none.
    Replay,
    /// Holds it before it is forwarded, until the hook is released.
    HoldBefore(Arc<Hook>),
    /// Forwards it, and holds the API server's answer until the hook is released.
    HoldAfter(Arc<Hook>),
}

type Rule = Arc<dyn Fn(&Call) -> Action + Send + Sync>;
type Filter = Arc<dyn Fn(&Call) -> bool + Send + Sync>;

/// A running proxy. Dropping it closes its connections and its port.
pub struct Proxy {
    url: String,
    state: Arc<State>,
    _server: Background,
}

/// What the test sets and the connections follow.
struct State {
    upstream: SocketAddr,
    connector: TlsConnector,
    on_write: Mutex<Rule>,
    on_read: Mutex<Rule>,
    on_dry_run: Mutex<Rule>,
    counts: Mutex<Filter>,
    writes: Mutex<Vec<Call>>,
    reads: Mutex<usize>,
    /// Answers that were kept, by path and query.
    kept: Mutex<HashMap<String, (response::Parts, Bytes)>>,
    /// Writes that have arrived and whose way has not ended.
    under_way: AtomicUsize,
    /// Each change of it cuts the watches open then.
    cut: watch::Sender<u64>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Proxy {
    /// Starts a proxy before an API server whose certificate the authority signed.
    pub(crate) fn start(upstream: &str, authority: &Authority) -> Self {
        certificates::use_aws_lc();
        let upstream = upstream.strip_prefix("https://").and_then(|address| address.parse().ok());
        let mut roots = RootCertStore::empty();
        roots.add(authority.der()).expect("the authority's certificate is valid");
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();

        let (listener, address) = listen((Ipv4Addr::LOCALHOST, 0));
        let url = format!("https://{address}");
        let state = Arc::new(State {
            upstream: upstream.expect("the API server's address is an IP and a port"),
            connector: TlsConnector::from(Arc::new(client)),
            on_write: Mutex::new(Arc::new(|_| Action::Pass)),
            on_read: Mutex::new(Arc::new(|_| Action::Pass)),
            on_dry_run: Mutex::new(Arc::new(|_| Action::Pass)),
            counts: Mutex::new(Arc::new(|call| !matches!(call.resource.as_str(), "events" | "leases"))),
            writes: Mutex::default(),
            reads: Mutex::default(),
            kept: Mutex::default(),
            under_way: AtomicUsize::default(),
            cut: watch::Sender::new(0),
        });
        let accepted = forward::accept(listener, acceptor(&authority.server()), state.clone());
        let server = Background::run("proxy", accepted);
        Self { url, state, _server: server }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sets what happens to writes, in place of what was set before. Asked once for each write that
    /// counts, in the order of their numbers as long as the client sends one at a time.
    pub fn on_write(&self, rule: impl Fn(&Call) -> Action + Send + Sync + 'static) {
        *lock(&self.state.on_write) = Arc::new(rule);
    }

    /// Sets what happens to reads: gets, lists, watches and discovery.
    pub fn on_read(&self, rule: impl Fn(&Call) -> Action + Send + Sync + 'static) {
        *lock(&self.state.on_read) = Arc::new(rule);
    }

    /// Sets what happens to dry runs, which change nothing and are not numbered.
    pub fn on_dry_run(&self, rule: impl Fn(&Call) -> Action + Send + Sync + 'static) {
        *lock(&self.state.on_dry_run) = Arc::new(rule);
    }

    /// Sets which writes count; others pass unnumbered. Unless set, all but those of events and
    /// leases. Dry runs and reviews of tokens and access are never writes.
    pub fn count(&self, filter: impl Fn(&Call) -> bool + Send + Sync + 'static) {
        *lock(&self.state.counts) = Arc::new(filter);
    }

    /// Lets everything pass again.
    pub fn pass(&self) {
        self.on_write(|_| Action::Pass);
        self.on_read(|_| Action::Pass);
        self.on_dry_run(|_| Action::Pass);
    }

    /// Cuts all watches that are open now.
    pub fn cut_watches(&self) {
        self.state.cut.send_modify(|cuts| *cuts += 1);
    }

    /// How many writes have arrived and are neither answered nor given up. One that is delayed or held is, even when
    /// its sender is gone.
    pub fn under_way(&self) -> usize {
        self.state.under_way.load(Ordering::SeqCst)
    }

    /// The counted writes so far, refused and lost ones too.
    pub fn writes(&self) -> Vec<Call> {
        lock(&self.state.writes).clone()
    }
}

/// A write on its way.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl State {
    /// Counts a write until its way ends.
    fn begin(&self, call: &Call) -> Option<UnderWay<'_>> {
        call.is_write().then(|| {
            self.under_way.fetch_add(1, Ordering::SeqCst);
            UnderWay(&self.under_way)
        })
    }

    /// What to do with a request that has just arrived. Gives it its number.
    fn decide(&self, call: &mut Call) -> Action {
        let rule = if call.is_read() {
            let mut reads = lock(&self.reads);
            *reads += 1;
            call.nth = *reads;
            lock(&self.on_read).clone()
        } else if call.is_dry_run() {
            lock(&self.on_dry_run).clone()
        } else {
            let counts = lock(&self.counts).clone();
            if !call.is_write() || !counts(call) {
                return Action::Pass;
            }
            let mut writes = lock(&self.writes);
            call.nth = writes.len() + 1;
            writes.push(call.clone());
            lock(&self.on_write).clone()
        };
        rule(call)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
