//! The checks through Toxiproxy, which `hack/referees/run-toxiproxy` builds: connections as they are on bad days.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{
    Azure, Process, Scratch, Signal,
    azure::{App, Service},
    eventually,
};
use timbr_identity::{
    api::CheckResult,
    compose::{Audience, Probe},
    verify::{Answer, Guard, Http, Limits, NamedBy, Outcome, Services, Session},
};
use url::Url;

/// The address of the proxy before Entra.
struct Lab {
    azure: Azure,
    app: App,
    process: Process,
    api: Url,
    entra: Url,
    /// Asks the proxy what to do.
    http: Http,
    _folder: Scratch,
}

impl Lab {
    async fn start() -> Self {
        let binary = std::env::var_os("TOXIPROXY").expect("TOXIPROXY: run hack/referees/run-toxiproxy");
        let folder = Scratch::new("toxiproxy-").expect("a folder");
        let [port, listen] = [(); 2].map(|()| testkit::ports::free_port());
        let process = Process::builder(binary, folder.path().join("log"))
            .args(["-host", "127.0.0.1", "-port", &port.to_string()])
            .start()
            .expect("it can be started");
        let azure = Azure::start();
        let app = azure.register("Timbr");
        let http = Http::new(Guard::default(), b"", Limits::default()).expect("there is TLS");
        let url = |port: u16, scheme: &str| format!("{scheme}://127.0.0.1:{port}/").parse().expect("a URL");
        let (api, entra) = (url(port, "http"), url(listen, "https"));
        let lab = Self { azure, app, process, api, entra, http, _folder: folder };
        eventually("it answers", Duration::from_secs(20), async || {
            lab.ask(Method::GET, "version", None).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        let upstream = lab.azure.url(Service::Entra).trim_start_matches("https://");
        let proxy = json!({"name": "entra", "listen": format!("127.0.0.1:{listen}"), "upstream": upstream});
        lab.tell(Method::POST, "proxies", proxy).await;
        lab
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, timbr_identity::verify::Trouble> {
        let url = self.api.join(path).expect("a URL");
        let mut request = self.http.request(method, url, NamedBy::Operator)?;
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        self.http.send(request).await
    }

    async fn tell(&self, method: Method, path: &str, body: Value) {
        let answer = self.ask(method, path, Some(body)).await.expect("an answer");
        assert!(answer.status.is_success(), "{path}: {}", String::from_utf8_lossy(&answer.body));
    }

    /// What comes of a token that is asked for through the proxy, on new connections.
    async fn tried(&self) -> Outcome {
        let limits = Limits { connect: Duration::from_secs(2), whole: Duration::from_secs(4) };
        let http = Http::new(Guard::default(), self.azure.ca_pem().as_bytes(), limits).expect("there is TLS");
        let services = Services { authority: self.entra.clone(), ..super::services(&self.azure) };
        let probe = Probe::Token(super::application(&self.app), Audience::Graph);
        Session::new(&http, &services, jiff::Timestamp::now()).run(&probe).await
    }
}

#[tokio::test]
#[ignore = "needs Toxiproxy: hack/referees/run-toxiproxy"]
async fn toxiproxy_makes_nothing_a_no() {
    let lab = Lab::start().await;
    let toxic = |kind: &str, attributes: Value| json!({"name": "t", "type": kind, "attributes": attributes});
    let rows = [
        ("slow", toxic("latency", json!({"latency": 300, "jitter": 100})), None),
        ("too slow", toxic("latency", json!({"latency": 60_000})), Some("nobody answers there within 2s")),
        ("in small pieces", toxic("slicer", json!({"average_size": 64, "size_variation": 32, "delay": 10})), None),
        ("cut at once", toxic("reset_peer", json!({"timeout": 0})), Some("")),
        ("never an answer", toxic("timeout", json!({"timeout": 0})), Some("")),
        ("half a handshake", toxic("limit_data", json!({"bytes": 300})), Some("")),
        ("half an answer", toxic("limit_data", json!({"bytes": 1900})), Some("")),
        ("a thin line", toxic("bandwidth", json!({"rate": 1})), None),
    ];
    for (title, toxic, said) in rows {
        lab.tell(Method::POST, "proxies/entra/toxics", toxic).await;
        let outcome = lab.tried().await;
        println!("{title}: {} {}", outcome.reason, outcome.message);
        match said {
            None => assert_eq!(outcome.finding(), CheckResult::Pass, "{title}: {}", outcome.message),
            Some(text) => {
                assert_eq!(outcome.reason.as_str(), "Unreachable", "{title}: {}", outcome.message);
                assert!(outcome.message.starts_with("Entra (127.0.0.1): "), "{title}: {}", outcome.message);
                assert!(outcome.message.contains(text), "{title}: {}", outcome.message);
            }
        }
        lab.tell(Method::POST, "reset", json!({})).await;
        let outcome = lab.tried().await;
        assert_eq!(outcome.finding(), CheckResult::Pass, "after {title}: {}", outcome.message);
    }
    lab.tell(Method::POST, "proxies/entra", json!({"enabled": false})).await;
    let outcome = lab.tried().await;
    assert!(outcome.message.starts_with("Entra (127.0.0.1): no connection: Connection refused"), "{}", outcome.message);
    lab.tell(Method::POST, "reset", json!({})).await;
    assert_eq!(lab.tried().await.finding(), CheckResult::Pass);
    lab.process.stop(Signal::TERM, Duration::from_secs(10)).await;
}
