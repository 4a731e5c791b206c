//! The operator sees late, or something old: watches that are cut, deletions that they missed, and answers from
//! before.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use testkit::{Action, Writes as _, eventually, proxy::Call};

use crate::{
    fixtures::{PLATFORM, SSO, azure_sso, azure_sso_with, comparable, deployment, entra, platform, secret, variable},
    harness::{Lab, SOON, condition, tally},
    statements::{self, RGS},
    story::FAST,
};

const SERVER: &str = "deployment/timbr-server";

/// The Secret that the platform's template names.
async fn named(lab: &Lab) -> String {
    let entry = variable(&lab.get(PLATFORM).await, "OAUTH_SECRET");
    entry["valueFrom"]["secretKeyRef"]["name"].as_str().unwrap_or_default().to_owned()
}

/// Waits until the platform has this tenant and another client secret than before, and its pods, too.
async fn delivered(lab: &Lab, tenant: &str, before: &str) {
    let url = format!("https://login.microsoftonline.com/{tenant}/oauth2");
    eventually(&format!("{tenant} is delivered"), SOON, async || {
        let (now, sso) = (lab.get(PLATFORM).await, lab.get(SSO).await);
        let is_of_this = sso["status"]["delivered"][0]["generation"] == now["metadata"]["generation"];
        let is_ready = is_of_this && condition(&sso, "Ready")["status"] == "True";
        if is_ready && variable(&now, "OAUTH_BASE_URL")["value"] == url && named(lab).await != before {
            Ok(())
        } else {
            Err(sso["status"].to_string())
        }
    })
    .await;
}

#[tokio::test]
async fn what_changes_while_the_watches_are_cut_is_seen() {
    const ROUNDS: usize = 6;
    let lab = Lab::with_sso("cut").await;
    let proxy = lab.plane.proxy();
    let operator = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &[]).await;
    lab.wait(SSO, "Ready").await;
    let (before, generation) = (lab.writes().await.len(), lab.get(PLATFORM).await["metadata"]["generation"].clone());
    for round in 0..ROUNDS {
        let tenant = format!("round-{round}.example.com");
        let named = named(&lab).await;
        proxy.cut_watches();
        // In every other round they stay away for as long as the changes take.
        if round % 2 == 1 {
            proxy.on_read(|call| if call.verb == "watch" { Action::Refuse(503, None) } else { Action::Pass });
        }
        lab.apply_all(&[entra(&format!("value-{round}")), azure_sso_with("sso", json!({"tenantId": tenant}))]).await;
        proxy.cut_watches();
        proxy.pass();
        delivered(&lab, &tenant, &named).await;
    }
    let writes = lab.writes().await.split_off(before);
    println!("{ROUNDS} changes of two objects while the watches were cut: {:?}", tally(&writes));
    // A Secret and a resource change together, but the operator may look in between.
    let rollouts = lab.get(PLATFORM).await["metadata"]["generation"].as_i64().expect("a generation")
        - generation.as_i64().expect("a generation");
    assert!((6..=12).contains(&rollouts), "{rollouts}");
    assert_eq!(writes.clone().of("secrets").succeeded().len(), ROUNDS);
    assert_eq!(writes.of("deployments").succeeded().len() as i64, rollouts);
    operator.stop().await;
}

/// Four objects are deleted while nobody watches, and the watches cannot be resumed after that.
#[tokio::test]
async fn deletions_that_every_watch_missed_are_seen_when_it_lists_again() {
    let lab = Lab::new("missed").await;
    let resource = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "identity.timbr.ai/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let key = json!({"name": "key", "key": "key"});
    lab.apply_all(&[
        platform(),
        deployment("timbr-server", &["timbr"]),
        deployment("timbr-api", &["timbr-api"]),
        entra("s3cr3t"),
        secret("key", "key", "k3y"),
    ])
    .await;
    for what in [PLATFORM, SERVER, "deployment/timbr-api"] {
        lab.kubectl(&["rollout", "status", what]).await;
    }
    let server = comparable(&lab.get(SERVER).await);
    let jwt = |key: &Value| {
        resource("JwtAuthentication", "jwt", json!({"type": "Custom", "algorithms": ["HS256"], "keyRef": key}))
    };
    lab.apply_all(&[azure_sso("sso"), statements::groups(json!([])), jwt(&key)]).await;
    let proxy = lab.plane.proxy();
    let operator = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &[]).await;
    for what in [SSO, RGS, "jwtauthentication/jwt"] {
        lab.wait(what, "Ready").await;
    }
    operator.looked(1).await;
    let before = lab.writes().await.len();
    let ours = named(&lab).await;
    let uid = lab.get(&format!("secret/{ours}")).await["metadata"]["uid"].clone();

    let is_away = Arc::new(AtomicUsize::new(1));
    let refused: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let (away, told) = (Arc::clone(&is_away), Arc::clone(&refused));
    proxy.on_read(move |call| match (call.verb.as_str(), away.load(Ordering::SeqCst)) {
        ("watch", 1) => Action::Reset,
        // Too old, once each.
        ("watch", _) if told.lock().expect("a set").insert(call.resource.clone()) => Action::Refuse(410, None),
        _ => Action::Pass,
    });
    proxy.cut_watches();
    lab.kubectl(&["delete", "secret", &ours, "key"]).await;
    lab.kubectl(&["delete", RGS, "deployment/timbr-api"]).await;
    is_away.store(0, Ordering::SeqCst);

    eventually("the Secret of ours is made anew", SOON, async || {
        let now = lab.find(&format!("secret/{ours}")).await;
        now.is_some_and(|now| now["metadata"]["uid"] != uid)
    })
    .await;
    eventually("the server is as before", SOON, async || {
        let now = comparable(&lab.get(SERVER).await);
        if now == server { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    let message = lab.wait_condition("jwtauthentication/jwt", "ReferencesResolved", "False", "SecretNotFound").await;
    assert!(message.contains("Secret key does not exist"), "{message}");
    // With its key again it is said where it would have to go.
    lab.apply(&secret("key", "key", "k3y")).await;
    lab.wait_condition("jwtauthentication/jwt", "Delivered", "False", "DeploymentNotFound").await;
    lab.wait(SSO, "Ready").await;
    let writes = lab.writes().await.split_off(before);
    let refused = refused.lock().expect("a set").clone();
    println!("{} watches listed again, having missed four deletions: {:?}", refused.len(), tally(&writes));
    // Of pods there are three, by what they use, and the first of them is refused.
    assert_eq!(refused.len(), 13, "{refused:?}");
    // Of ours one made anew, of the Deployments one released.
    assert_eq!(writes.clone().of("secrets").succeeded().len(), 1);
    assert_eq!(writes.clone().of("deployments").succeeded().len(), 1);
    assert!(writes.len() <= 12, "{:?}", tally(&writes));
    operator.stop().await;
}

fn reads_the_platform(call: &Call) -> bool {
    call.verb == "get" && call.resource == "deployments" && call.name == "timbr-platform"
}

/// What is read of the Deployment is from before anything was delivered, again and again.
#[tokio::test]
async fn a_deployment_that_is_read_as_it_was_before_is_not_written_over() {
    const OLD: usize = 12;
    let lab = Lab::with_sso("old").await;
    lab.kubectl(&["rollout", "status", PLATFORM]).await;
    let proxy = lab.plane.proxy();
    let reads = Arc::new(AtomicUsize::new(0));
    let nth = Arc::clone(&reads);
    proxy.on_read(move |call| {
        let is_first = reads_the_platform(call) && nth.fetch_add(1, Ordering::SeqCst) == 0;
        if is_first { Action::Keep } else { Action::Pass }
    });
    let operator = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &[]).await;
    lab.wait(SSO, "Ready").await;
    operator.looked(1).await;
    let (there, first, before) = (lab.get(PLATFORM).await, named(&lab).await, lab.writes().await.len());

    reads.store(0, Ordering::SeqCst);
    let nth = Arc::clone(&reads);
    proxy.on_read(move |call| {
        let is_old = reads_the_platform(call) && nth.fetch_add(1, Ordering::SeqCst) < OLD;
        if is_old { Action::Replay } else { Action::Pass }
    });
    lab.apply_all(&[entra("second"), azure_sso_with("sso", json!({"tenantId": "second.example.com"}))]).await;
    delivered(&lab, "second.example.com", &first).await;
    assert!(reads.load(Ordering::SeqCst) > OLD);
    let now = lab.get(PLATFORM).await;
    let generation = |of: &Value| of["metadata"]["generation"].as_i64().expect("a generation");
    let writes = lab.writes().await.split_off(before);
    println!("{OLD} reads of a Deployment as it was before: {:?}", tally(&writes));
    // Each old one costs a request that is refused at most, and none has an effect.
    let rollouts = generation(&now) - generation(&there);
    assert!((1..=2).contains(&rollouts), "{rollouts}");
    assert_eq!(writes.clone().of("deployments").succeeded().len() as i64, rollouts);
    assert!(writes.clone().of("deployments").len() <= OLD + 2 + 4, "{:?}", tally(&writes));
    assert_eq!(writes.clone().of("secrets").succeeded().len(), 1);
    assert!(writes.iter().filter(|write| write.subresource == "status").count() <= 8, "{:?}", tally(&writes));
    operator.stop().await;
}

/// The Secrets are listed as they were before the last rotations, and then watched from there.
#[tokio::test]
async fn secrets_that_are_listed_as_they_were_before_change_nothing() {
    let lab = Lab::with_sso("old-list").await;
    let proxy = lab.plane.proxy();
    let lists = |call: &Call| call.verb == "list" && call.resource == "secrets";
    proxy.on_read(move |call| if lists(call) { Action::Keep } else { Action::Pass });
    let operator = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &[FAST]).await;
    lab.wait(SSO, "Ready").await;
    let first = named(&lab).await;
    lab.apply_all(&[entra("second"), azure_sso_with("sso", json!({"tenantId": "second.example.com"}))]).await;
    delivered(&lab, "second.example.com", &first).await;
    let looks = operator.looked(1).await;
    let before = lab.writes().await.len();

    let (told, replayed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (again, old) = (Arc::clone(&told), Arc::clone(&replayed));
    proxy.on_read(move |call| match call.verb.as_str() {
        "watch" if call.resource == "secrets" && again.fetch_add(1, Ordering::SeqCst) == 0 => Action::Refuse(410, None),
        "list" if call.resource == "secrets" => {
            old.fetch_add(1, Ordering::SeqCst);
            Action::Replay
        }
        _ => Action::Pass,
    });
    proxy.cut_watches();
    eventually("they are listed and watched again", SOON, async || {
        told.load(Ordering::SeqCst) >= 2 && replayed.load(Ordering::SeqCst) >= 1
    })
    .await;
    operator.looked(looks + 1).await;
    assert_eq!(tally(&lab.writes().await.split_off(before)), tally(&[]));
    // And it sees what comes after.
    let second = named(&lab).await;
    lab.apply(&entra("third")).await;
    delivered(&lab, "second.example.com", &second).await;
    let writes = lab.writes().await.split_off(before);
    println!("after a list of old Secrets, one rotation: {:?}", tally(&writes));
    assert_eq!(writes.of("deployments").succeeded().len(), 1);
    operator.stop().await;
}
