//! Behind a proxy: what whoever runs the operator names goes through it, and of what a resource names only the name
//! can be judged, as the proxy looks it up.

use std::io::{BufRead as _, BufReader, Write as _, copy};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use testkit::{Azure, azure::Service};

use super::command::{resource, secret, verify_with};

/// A proxy that tunnels, and remembers where to. A name that it does not know leads to `known`.
struct Proxy {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(known: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (told, known) = (Arc::clone(&told), known.clone());
                thread::spawn(move || tunnel(client, &told, &known));
            }
        });
        Self { url, asked }
    }

    /// Where to so far, each once.
    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().expect("a list").clone();
        asked.sort();
        asked.dedup();
        asked
    }
}

fn tunnel(client: TcpStream, told: &Mutex<Vec<String>>, known: &str) -> Option<()> {
    let mut lines = BufReader::new(client.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    while !lines.next()?.ok()?.is_empty() {}
    let target = first.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    let address = if target.starts_with("127.0.0.1:") { target.clone() } else { known.to_owned() };
    told.lock().expect("a list").push(target);
    let server = TcpStream::connect(address).ok()?;
    let (mut from_client, mut to_client) = (client.try_clone().ok()?, client);
    let (mut from_server, mut to_server) = (server.try_clone().ok()?, server);
    to_client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
    thread::spawn(move || copy(&mut from_client, &mut to_server));
    copy(&mut from_server, &mut to_client).ok().map(drop)
}

#[test]
fn what_goes_through_a_proxy_and_what_is_judged_there() {
    let azure = Azure::start();
    azure.set_resource(Service::Graph, azure.url(Service::Graph));
    let app = azure.register("Timbr");
    let at = |service| azure.url(service).trim_start_matches("https://").to_owned();
    let (entra, graph) = (at(Service::Entra), at(Service::Graph));
    let sso = |public_url: &str| {
        let spec = json!({
            "tenantId": azure.tenant(), "clientId": app.client_id, "publicUrl": public_url,
            "clientSecretRef": {"name": "entra", "key": "client-secret"},
        });
        [secret(&app.secrets[0].value), resource("AzureSso", "sso", spec)]
    };
    // The reason of each check, and where the proxy was asked for.
    let tried = |public_url: &str, no_proxy: &str| {
        let proxy = Proxy::start(at(Service::Databricks));
        let proxies = [("HTTPS_PROXY", proxy.url.as_str()), ("NO_PROXY", no_proxy)];
        let (json, ..) = verify_with(&azure, &sso(public_url), &["-o", "json"], &proxies);
        let checks: Vec<Value> = serde_json::from_str(&json).expect("JSON");
        let reason = |check: &str| {
            let found = checks.iter().find(|found| found["check"] == check);
            found.map(|found| found["reason"].as_str().expect("a reason").to_owned()).expect("the check")
        };
        (["Tenant", "ClientCredentials", "RedirectUri", "PublicUrl"].map(reason), proxy.asked())
    };
    let sorted = |mut hosts: Vec<String>| {
        hosts.sort();
        hosts
    };
    let named = || "timbr.example.com:443".to_owned();
    let (reasons, asked) = tried("https://timbr.example.com", "");
    // Whoever answers in the name's place has another's certificate.
    assert_eq!(reasons, ["Passed", "Passed", "NotPermitted", "Untrusted"]);
    assert_eq!(asked, sorted(vec![entra.clone(), graph.clone(), named()]));
    // What needs no proxy goes straight, and is judged by where it leads.
    let (reasons, asked) = tried("https://timbr.example.com", "127.0.0.1");
    assert_eq!((reasons, asked), (["Passed", "Passed", "NotPermitted", "Untrusted"].map(str::to_owned), vec![named()]));
    let (reasons, asked) = tried("https://nobody.invalid", "127.0.0.1,nobody.invalid");
    assert_eq!((reasons[3].as_str(), asked), ("Unreachable", vec![]));
    // The cluster's own names, and addresses, are judged before any proxy is asked.
    for refused in [
        "https://metadata.google.internal",
        "https://kubernetes.default.svc",
        "https://169.254.169.254",
        "https://10.0.0.7",
    ] {
        let (reasons, asked) = tried(refused, "127.0.0.1");
        assert_eq!((reasons[3].as_str(), asked), ("HostNotAllowed", vec![]), "{refused}");
    }
    assert_eq!(azure.violations(), [] as [&str; 0]);
}
