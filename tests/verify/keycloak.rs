//! The checks of issuers and of applications against a real Keycloak, which `hack/referees/run-keycloak` fetches.

use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use testkit::{Azure, Keycloak, azure::guid};
use timbr_identity::{
    api::CheckResult,
    compose::{Application, Audience, Probe},
    verify::{Guard, Http, Limits, NamedBy, Outcome, Services, Session},
};

use super::services;

const REALM: &str = "timbr";

/// Whoever sets Keycloak up, and asks it.
struct Lab {
    keycloak: Keycloak,
    http: Http,
    /// Somebody has to be Entra, and is not asked.
    azure: Azure,
}

impl Lab {
    async fn start() -> Self {
        let home = std::env::var_os("KEYCLOAK_HOME").expect("KEYCLOAK_HOME: run hack/referees/run-keycloak");
        let keycloak = Keycloak::start(&PathBuf::from(home)).await;
        let http = http(&keycloak.ca_pem());
        Self { keycloak, http, azure: Azure::start() }
    }

    fn issuer(&self) -> String {
        format!("{}/realms/{REALM}", self.keycloak.url())
    }

    /// A request of the administrator's.
    async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = |path: &str| format!("{}/{path}", self.keycloak.url()).parse().expect("a URL");
        let request =
            self.http.request(Method::POST, url("realms/master/protocol/openid-connect/token"), NamedBy::Operator);
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", Keycloak::ADMIN),
            ("password", Keycloak::PASSWORD),
        ];
        let answer = self.http.send(request.expect("a request").form(&form)).await.expect("an answer");
        let token = answer.json::<Value>().expect("JSON")["access_token"].as_str().expect("a token").to_owned();
        let mut request =
            self.http.request(method, url(path), NamedBy::Operator).expect("a request").bearer_auth(token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = self.http.send(request).await.expect("an answer");
        assert!(answer.status.is_success(), "{path}: {}\n{}", answer.status, self.keycloak.log());
        answer.json().unwrap_or_default()
    }

    async fn keys(&self, issuer: &str, jwks_url: Option<&str>, algorithms: &[&'static str]) -> Outcome {
        let probe = Probe::Issuer {
            issuer: issuer.to_owned(),
            jwks_url: jwks_url.map(str::to_owned),
            algorithms: algorithms.to_vec(),
        };
        Session::new(&self.http, &services(&self.azure), Timestamp::now()).run(&probe).await
    }

    /// The key providers of the realm that make keys in this way.
    async fn provider(&self, id: &str) -> Value {
        let path = format!("admin/realms/{REALM}/components?type=org.keycloak.keys.KeyProvider");
        let all = self.admin(Method::GET, &path, None).await;
        let found = all.as_array().expect("a list").iter().find(|provider| provider["providerId"] == id);
        found.unwrap_or_else(|| panic!("no {id} in {all}")).clone()
    }
}

fn http(ca: &str) -> Http {
    let guard = Guard { allowed: vec!["127.0.0.0/8".parse().expect("a network")], ..Guard::default() };
    let limits = Limits { connect: Duration::from_secs(5), whole: Duration::from_secs(30) };
    Http::new(guard, ca.as_bytes(), limits).expect("there is TLS")
}

#[tokio::test]
#[ignore = "needs Keycloak: hack/referees/run-keycloak"]
async fn keycloak_is_tried() {
    let lab = Lab::start().await;
    lab.admin(Method::POST, "admin/realms", Some(json!({"realm": REALM, "enabled": true}))).await;
    applications_are_tried(&lab).await;
    keys_are_looked_at(&lab).await;
}

/// The credential of an application, good and bad, and a new one in its place.
async fn applications_are_tried(lab: &Lab) {
    let clients = format!("admin/realms/{REALM}/clients");
    let client_id = guid();
    let client = json!({"clientId": client_id, "secret": "the~first~secret", "serviceAccountsEnabled": true});
    lab.admin(Method::POST, &clients, Some(client)).await;
    let mut client = lab.admin(Method::GET, &format!("{clients}?clientId={client_id}"), None).await[0].take();
    let path = format!("{clients}/{}", client["id"].as_str().expect("an id"));

    let entra = lab.keycloak.as_entra();
    let authority = entra.url().parse().expect("a URL");
    let services = Services { authority, ..services(&lab.azure) };
    let tried = async |tenant: &str, client_id: &str, secret: &str| {
        let application = Application {
            tenant: tenant.to_owned(),
            client_id: client_id.into(),
            shown: Some(client_id.to_owned()),
            secret: secret.into(),
        };
        let probe = Probe::Token(application, Audience::Graph);
        let outcome = Session::new(&lab.http, &services, Timestamp::now()).run(&probe).await;
        assert!(!outcome.message.contains(secret), "{}", outcome.message);
        outcome
    };
    let is_good = |outcome: &Outcome| {
        let sentence = format!("Entra gives application {client_id} tokens for Microsoft Graph");
        super::is(outcome, "Passed", &sentence);
    };
    let is_refused = |outcome: &Outcome, client_id: &str, told: &str, word: &str| {
        let sentence = format!(
            "Entra (127.0.0.1) refuses application {client_id} of tenant {REALM}: \"{word}: {told}\"; check tenantId, clientId and the value in the Secret"
        );
        super::is(outcome, "CredentialRefused", &sentence);
        assert_eq!(outcome.finding(), CheckResult::Fail);
    };
    let wrong = "Invalid client or Invalid client credentials";
    let secret = "the~first~secret";
    is_good(&tried(REALM, &client_id, secret).await);
    is_refused(&tried(REALM, &client_id, "another~secret").await, &client_id, wrong, "unauthorized_client");
    let nobody = guid();
    is_refused(&tried(REALM, &nobody, secret).await, &nobody, wrong, "invalid_client");
    let nowhere = format!(
        "Entra (127.0.0.1) refuses application {client_id} of tenant nowhere: \"Realm does not exist\"; check tenantId, clientId and the value in the Secret"
    );
    super::is(&tried("nowhere", &client_id, secret).await, "CredentialRefused", &nowhere);

    // Rotated: the old one is refused from that moment, the new one is taken.
    let rotated = lab.admin(Method::POST, &format!("{path}/client-secret"), Some(json!({}))).await;
    let new = rotated["value"].as_str().expect("a secret");
    assert_ne!(new, secret);
    is_refused(&tried(REALM, &client_id, secret).await, &client_id, wrong, "unauthorized_client");
    is_good(&tried(REALM, &client_id, new).await);

    for (enabled, repaired) in [(false, false), (true, true)] {
        client["enabled"] = json!(enabled);
        client["secret"] = json!(new);
        lab.admin(Method::PUT, &path, Some(client.clone())).await;
        let outcome = tried(REALM, &client_id, new).await;
        if repaired {
            is_good(&outcome);
        } else {
            is_refused(&outcome, &client_id, wrong, "invalid_client");
        }
    }
    println!("Keycloak: tokens given, and refused for a wrong, an old and no client's secret; rotated; disabled");
}

async fn keys_are_looked_at(lab: &Lab) {
    let issuer = lab.issuer();
    let certs = format!("{issuer}/protocol/openid-connect/certs");
    let usable = format!("The keys of {issuer} (\"{certs}\") can be used");
    let is = |outcome: &Outcome, reason: &str, sentence: &str| super::is(outcome, reason, sentence);

    is(&lab.keys(&issuer, None, &["RS256"]).await, "Passed", &usable);
    is(&lab.keys(&issuer, Some(&certs), &["RS256"]).await, "Passed", &usable);
    assert_eq!(lab.keys(&format!("{issuer}/"), None, &["RS256"]).await.reason.as_str(), "Passed");
    // It publishes a key for encryption, too, which is none for signatures.
    let outcome = lab.keys(&issuer, None, &["ES256"]).await;
    let none = |count: usize, algorithm: &str| {
        format!(
            "The keys of {issuer} (\"{certs}\"): {count} of them, none of which can be used to check a signature by {algorithm}; check jwksUrl, issuer and algorithms"
        )
    };
    is(&outcome, "KeyNotUsable", &none(2, "ES256"));
    assert_eq!(outcome.finding(), CheckResult::Fail);

    let elsewhere = format!("{}/realms/nobody", lab.keycloak.url());
    let outcome = lab.keys(&elsewhere, None, &["RS256"]).await;
    assert_eq!(
        (outcome.reason.as_str(), outcome.finding()),
        ("Unreadable", CheckResult::Unknown),
        "{}",
        outcome.message
    );
    let stranger = Session::new(&http(""), &services(&lab.azure), Timestamp::now())
        .run(&Probe::Issuer { issuer: issuer.clone(), jwks_url: None, algorithms: vec!["RS256"] })
        .await;
    assert_eq!(stranger.reason.as_str(), "Untrusted", "{}", stranger.message);

    // A new key shows the next time; one that only checks signatures is still good; one that is gone is gone.
    let config =
        json!({"ecdsaEllipticCurveKey": ["P-256"], "priority": ["200"], "enabled": ["true"], "active": ["true"]});
    let provider = json!({
        "name": "new", "providerId": "ecdsa-generated", "providerType": "org.keycloak.keys.KeyProvider", "config": config,
    });
    lab.admin(Method::POST, &format!("admin/realms/{REALM}/components"), Some(provider)).await;
    is(&lab.keys(&issuer, None, &["ES256"]).await, "Passed", &usable);
    for (field, reason) in [("active", "Passed"), ("enabled", "KeyNotUsable")] {
        let mut provider = lab.provider("rsa-generated").await;
        provider["config"][field] = json!(["false"]);
        let path = format!("admin/realms/{REALM}/components/{}", provider["id"].as_str().expect("an id"));
        lab.admin(Method::PUT, &path, Some(provider)).await;
        assert_eq!(lab.keys(&issuer, None, &["RS256"]).await.reason.as_str(), reason, "{field}: false");
    }
    println!("Keycloak: keys found, rotated and withdrawn, over TLS by an authority of our own");
}
