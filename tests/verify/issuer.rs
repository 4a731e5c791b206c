//! An issuer: its discovery document, and its keys.

use serde_json::json;
use testkit::Azure;
use testkit::azure::{Fault, Service::Entra as Login};
use timbr_identity::{api::CheckResult, compose::Probe};

use super::{is, tried};

#[tokio::test]
async fn keys_that_can_be_used_or_the_reason() {
    let azure = Azure::start();
    let issuer = azure.issuer(azure.tenant());
    let keys = format!("{}/{}/discovery/v2.0/keys", azure.url(Login), azure.tenant());
    let of = |issuer: &str, jwks_url: Option<&str>, algorithms: &[&'static str]| Probe::Issuer {
        issuer: issuer.to_owned(),
        jwks_url: jwks_url.map(str::to_owned),
        algorithms: algorithms.to_vec(),
    };
    let usable = format!("The keys of {issuer} (\"{keys}\") can be used");
    for (jwks_url, algorithms) in
        [(None, &["RS256"][..]), (None, &["ES256", "RS256"]), (Some(keys.as_str()), &["RS256"])]
    {
        is(&tried(&azure, &of(&issuer, jwks_url, algorithms)).await, "Passed", &usable);
    }
    // A slash at the end makes no other issuer.
    assert_eq!(tried(&azure, &of(&format!("{issuer}/"), None, &["RS256"])).await.reason.as_str(), "Passed");
    let none = |count: usize, algorithms: &str| {
        format!(
            "The keys of {issuer} (\"{keys}\"): {count} of them, none of which can be used to check a signature by {algorithms}; check jwksUrl, issuer and algorithms"
        )
    };
    let outcome = tried(&azure, &of(&issuer, None, &["ES256", "EdDSA"])).await;
    is(&outcome, "KeyNotUsable", &none(1, "ES256, EdDSA"));
    assert_eq!(outcome.finding(), CheckResult::Fail);
    // A broken key stops no other, and one for encryption is none.
    azure.publish_keys(vec![json!({"kty": "RSA"}), json!(7)]);
    is(&tried(&azure, &of(&issuer, None, &["RS256"])).await, "Passed", &usable);
    azure.hide_keys(true);
    is(&tried(&azure, &of(&issuer, None, &["RS256"])).await, "KeyNotUsable", &none(3, "RS256"));
    azure.hide_keys(false);
    is(&tried(&azure, &of(&issuer, None, &["RS256"])).await, "Passed", &usable);

    let domain = format!("{}/contoso.onmicrosoft.com/v2.0", azure.url(Login));
    let sentence = format!(
        "Issuer {domain} calls itself \"{issuer}\" in its discovery document; put that there, as it stands in the iss claim of its tokens"
    );
    is(&tried(&azure, &of(&domain, None, &["RS256"])).await, "WrongIssuer", &sentence);
    for (fault, reason) in [
        (Fault::Html, "Unreadable"),
        (Fault::Refuse(404, "{}".to_owned()), "Unreadable"),
        (Fault::Refuse(500, "{}".to_owned()), "ServiceFailed"),
        (Fault::Huge, "Unreadable"),
        (Fault::Redirect("https://169.254.169.254/".to_owned()), "Unreadable"),
        (Fault::Close, "Unreachable"),
    ] {
        azure.always(Login, fault.clone());
        let outcome = tried(&azure, &of(&issuer, None, &["RS256"])).await;
        assert_eq!((outcome.reason.as_str(), outcome.finding()), (reason, CheckResult::Unknown), "{fault:?}");
        azure.recover();
    }
}

/// The keys of an issuer are asked for only where a resource may lead, whoever names the address.
#[tokio::test]
async fn a_discovery_document_leads_nowhere_else() {
    let azure = Azure::start();
    for to in
        ["https://169.254.169.254/keys", "http://127.0.0.1/keys", "https://kubernetes.default.svc/keys", "nowhere"]
    {
        let document = json!({"issuer": azure.issuer(azure.tenant()), "jwks_uri": to});
        azure.always(Login, Fault::Refuse(200, document.to_string()));
        let issuer = azure.issuer(azure.tenant());
        let probe = Probe::Issuer { issuer, jwks_url: None, algorithms: vec!["RS256"] };
        let outcome = tried(&azure, &probe).await;
        assert_eq!(outcome.reason.as_str(), "HostNotAllowed", "{to}: {}", outcome.message);
        azure.recover();
    }
}
