//! What is tried out before it is delivered, against a double of Entra.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{
    TimbrApi, Writes as _,
    azure::{Group, Service},
    eventually,
};

use crate::{
    fixtures::{PLATFORM, SSO, deployment, entra, installation, secret, variable},
    harness::{Lab, SOON, condition, tally},
    provider::Provider,
};

/// The value of a variable of the platform that comes by Secret; none where it is not there.
async fn delivered(lab: &Lab) -> Option<String> {
    let entry = variable(&lab.get(PLATFORM).await, "OAUTH_SECRET");
    match entry.is_null() {
        true => None,
        false => Some(lab.of_secret(&entry).await),
    }
}

async fn revision(lab: &Lab) -> String {
    let revision = &lab.get(PLATFORM).await["metadata"]["annotations"]["deployment.kubernetes.io/revision"];
    revision.as_str().unwrap_or_default().to_owned()
}

fn check<'a>(sso: &'a Value, name: &str) -> &'a Value {
    let checks = sso["status"]["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {checks:?}"))
}

/// Nothing is written before the answers are there, and then everything at once.
#[tokio::test]
async fn what_passes_is_delivered_and_ready() {
    let provider = Provider::new("right");
    provider.register();
    let lab = provider.lab("verified", "right").await;
    let operator = provider.start(&lab, &[]).await;
    lab.wait_condition(SSO, "Ready", "True", "Ready").await;
    let sso = lab.get(SSO).await;
    assert_eq!(condition(&sso, "Verified")["reason"], "Verified");
    assert_eq!(delivered(&lab).await.as_deref(), Some("right"));
    let token = check(&sso, "ClientCredentials");
    assert_eq!(
        (&token["level"], &token["result"], &token["reason"]),
        (&json!("Required"), &json!("Pass"), &json!("Passed"))
    );
    // Once its pods ran, Timbr itself was looked at.
    assert_eq!(check(&sso, "SignIn")["result"], "Pass");
    assert_eq!(condition(&sso, "Verified")["message"], "8 of 8 checks passed");
    assert_eq!(provider.azure.violations(), [] as [&str; 0]);
    let writes = lab.writes().await;
    let tally = tally(&writes);
    assert_eq!(tally["patch deployments"], 1);
    assert!(tally["patch azuressos/status"] <= 2, "{tally:?}");
    // A restart tries everything again, and has nothing to say.
    operator.stop().await;
    let asked = provider.azure.asked(Service::Entra).len();
    let before = lab.writes().await.len();
    let operator = provider.start(&lab, &[]).await;
    eventually("it was tried again", SOON, async || provider.azure.asked(Service::Entra).len() > asked).await;
    operator.looks_at_least(2).await;
    assert_eq!(lab.writes().await.split_off(before), []);
    operator.stop().await;
}

#[tokio::test]
async fn what_is_refused_is_not_delivered_and_says_how_to_mend_it() {
    let provider = Provider::new("right");
    let lab = provider.lab("refused", "wrong").await;
    let operator = provider.start(&lab, &[]).await;
    let message = lab.wait_condition(SSO, "Ready", "False", "CheckFailed").await;
    assert_eq!(
        message,
        format!(
            "ClientCredentials: Entra (127.0.0.1) refuses the secret of application {}: it is none of its secrets; make a new one under Certificates & secrets, and put its Value into the Secret (AADSTS7000215)",
            provider.app.client_id
        )
    );
    let sso = lab.get(SSO).await;
    assert_eq!(condition(&sso, "Delivered")["reason"], "Pending");
    assert_eq!(condition(&sso, "Reconciling")["reason"], "Retrying");
    assert_eq!((delivered(&lab).await, revision(&lab).await.as_str()), (None, "1"));
    // The right one is delivered once it is there.
    lab.apply(&entra("right")).await;
    lab.wait_condition(SSO, "Verified", "True", "Verified").await;
    lab.wait_condition(SSO, "RolledOut", "True", "RolledOut").await;
    assert_eq!((delivered(&lab).await.as_deref(), revision(&lab).await.as_str()), (Some("right"), "2"));
    // A wrong rotation replaces nothing.
    lab.apply(&entra("wrong again")).await;
    lab.wait_condition(SSO, "Ready", "False", "CheckFailed").await;
    let sso = lab.get(SSO).await;
    assert_eq!(condition(&sso, "Delivered")["reason"], "DeliveredLastGood");
    assert_eq!((delivered(&lab).await.as_deref(), revision(&lab).await.as_str()), (Some("right"), "2"));
    let warnings = lab.notes("AzureSso", "CheckFailed").await;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    let writes = lab.writes().await;
    assert_eq!(writes.of("deployments").len(), 1);
    operator.stop().await;
}

/// Entra refuses what it has just made for a minute or so.
#[tokio::test]
async fn a_secret_that_is_refused_for_a_minute_is_delivered_soon_after() {
    const REFUSED: Duration = Duration::from_secs(60);
    let provider = Provider::new("another");
    let lab = provider.lab("propagation", "fresh").await;
    let operator = provider.start(&lab, &[]).await;
    let begun = Instant::now();
    let mut works = None;
    let delivered = loop {
        let sso = lab.get(SSO).await;
        assert!(condition(&sso, "Stalled").is_null(), "{}", sso["status"]["conditions"]);
        if delivered(&lab).await.is_some() {
            break Instant::now();
        }
        if begun.elapsed() > REFUSED && works.is_none() {
            provider.accepts(&["fresh"]);
            works = Some(Instant::now());
        }
        assert!(begun.elapsed() < REFUSED + SOON, "{}", sso["status"]["conditions"]);
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let took = delivered.duration_since(works.expect("it is not delivered before it works"));
    assert!(took < Duration::from_secs(10), "{took:?}");
    println!("delivered {took:.1?} after it worked");
    lab.wait_condition(SSO, "Verified", "True", "Verified").await;
    operator.stop().await;
}

/// What is there stays; what is new waits for the grace, and then says what it is.
#[tokio::test]
async fn while_nobody_answers_new_content_is_delivered_after_the_grace() {
    let provider = Provider::new("first");
    let lab = provider.lab("outage", "first").await;
    let operator = provider.start(&lab, &["--unknown-grace=6s"]).await;
    lab.wait_condition(SSO, "Verified", "True", "Verified").await;
    lab.wait_condition(SSO, "RolledOut", "True", "RolledOut").await;
    provider.down(true);
    let asked = provider.azure.received().len();
    lab.apply(&entra("second")).await;
    let begun = Instant::now();
    let message = lab.wait_condition(SSO, "Delivered", "False", "BlockedByVerification").await;
    assert!(message.starts_with("waits for check ClientCredentials: "), "{message}");
    assert_eq!(delivered(&lab).await.as_deref(), Some("first"));
    let message = lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    assert!(begun.elapsed() >= Duration::from_secs(6), "{:?}", begun.elapsed());
    assert!(message.starts_with("delivered and rolled out; ClientCredentials: Entra (127.0.0.1): "), "{message}");
    assert_eq!(delivered(&lab).await.as_deref(), Some("second"));
    assert_eq!(condition(&lab.get(SSO).await, "Verified")["reason"], "Unreachable");
    // Nobody is asked in a loop: at 0, 2, 5, 13 and 21 seconds, and again so once there is the sign-in page to look
    // at, too; for the tenant, a token, the public address and that page.
    tokio::time::sleep(Duration::from_secs(25).saturating_sub(begun.elapsed())).await;
    let asked = provider.azure.received().len() - asked;
    assert!((5..=40).contains(&asked), "{asked} requests");
    println!("{asked} requests in 25 s of an outage");
    let writes = lab.writes().await.of("deployments").len();
    assert_eq!(writes, 2);
    // It is back, and what was delivered is told to be right or wrong.
    provider.accepts(&["second"]);
    provider.down(false);
    lab.wait_condition(SSO, "Verified", "True", "Verified").await;
    assert_eq!(lab.writes().await.of("deployments").len(), 2);
    operator.stop().await;
}

/// Of every kind what can be tried is. (Addresses of key vaults and workspaces have no ports: those are in tests/verify.)
#[tokio::test]
async fn every_kind_is_verified() {
    let provider = Provider::new("right");
    provider.register();
    let azure = &provider.azure;
    azure.edit_app(&provider.app.client_id, |app| {
        app.grant(["User.Read.All", "Group.Read.All", "GroupMember.Read.All"]);
    });
    let editors = Group::new(azure.tenant(), "Editors");
    azure.set_group(editors.clone());
    let timbr = TimbrApi::start().with_roles(["editor"]);
    let lab = provider.lab("kinds", "right").await;
    let issuer = azure.issuer(azure.tenant());
    let of = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "identity.timbr.ai/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let sql = json!({"url": timbr.url(), "tokenSecretRef": {"name": "timbr-api-key", "key": "key"}});
    let mapping = json!({"role": "editor", "group": {"name": "Editors"}});
    lab.apply_all(&[
        deployment("timbr-server", &["timbr"]),
        deployment("timbr-api", &["timbr-api"]),
        secret("timbr-api-key", "key", timbr.key()),
        installation("main", json!({"sql": sql})),
        of("RoleGroupSync", "groups", json!({"credentialsFrom": {"azureSso": "sso"}, "mappings": [mapping]})),
        of("JwtAuthentication", "jwt", json!({"type": "Azure", "audience": "api://timbr", "issuer": issuer})),
        of(
            "ExternalTokenProvider",
            "entra",
            json!({"displayName": "Entra", "issuerUrl": issuer, "audiences": ["api://x"], "userClaim": "upn"}),
        ),
        of(
            "InboundAccessPolicy",
            "people",
            json!({"target": "Api", "inbound": {"rules": []}, "claims": {"groups": [{"id": editors.id}]}}),
        ),
    ])
    .await;
    let operator = provider.start(&lab, &["--allowed-sql-hosts=127.0.0.1"]).await;
    let all = [
        (SSO, "Ready", 8),
        ("rolegroupsync/groups", "Ready", 4),
        ("jwtauthentication/jwt", "Ready", 1),
        ("externaltokenprovider/entra", "TrustOnly", 1),
        ("inboundaccesspolicy/people", "Ready", 1),
    ];
    for (what, reason, checks) in all {
        lab.wait_condition(what, "Ready", "True", reason).await;
        let message = lab.wait_condition(what, "Verified", "True", "Verified").await;
        assert_eq!(message, format!("{checks} of {checks} checks passed"), "{what}");
    }
    let keys = lab.get("externaltokenprovider/entra").await["status"]["discovery"].clone();
    assert_eq!(keys["keyIds"], json!([azure.key_id()]));
    assert_eq!((azure.violations(), timbr.violations()), (vec![], vec![]));
    // The statement went out after the checks, and each Deployment was written once.
    assert_eq!(crate::statements::mapped(&lab, "editor", "Applied").await["state"], "Applied");
    assert_eq!(lab.writes().await.of("deployments").len(), 3);
    operator.stop().await;
}
