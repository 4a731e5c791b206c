//! A cluster has several API servers, and one that lags behind tells what was so: its watches are silent, what it
//! has in its memory is old, and what it would have to ask etcd for it never answers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use kube::api::ListParams;
use serde_json::{Value, json};
use testkit::{Action, Call, Replica, Writes as _, eventually};
use timbr_identity::api::Kind;

use crate::{
    fixtures::{PLATFORM, SSO, TENANT, azure_sso_with, entra, platform, variable},
    harness::{Lab, Operator, SOON, condition, tally},
};

/// What was asked for last is on the Deployment, its pods have it, and the resource says so.
async fn ends_with(lab: &Lab, tenant: &str) {
    let url = format!("https://login.microsoftonline.com/{tenant}/oauth2");
    eventually(&format!("{tenant} is delivered"), SOON * 2, async || {
        let (now, sso) = (lab.get(PLATFORM).await, lab.get(SSO).await);
        let is_of_this = sso["status"]["delivered"][0]["generation"] == now["metadata"]["generation"]
            && sso["status"]["observedGeneration"] == sso["metadata"]["generation"];
        let is_there = variable(&now, "OAUTH_BASE_URL")["value"] == url;
        if is_of_this && is_there && condition(&sso, "Ready")["status"] == "True" {
            Ok(())
        } else {
            Err(format!("{now}\n{}", sso["status"]))
        }
    })
    .await;
}

async fn ask(lab: &Lab, tenant: &str) {
    lab.apply_all(&[entra(tenant), azure_sso_with("sso", json!({"tenantId": tenant}))]).await;
}

fn generation(of: &Value) -> i64 {
    of["metadata"]["generation"].as_i64().expect("a generation")
}

async fn started(prefix: &str) -> (Lab, Replica, testkit::Proxy, Operator) {
    let lab = Lab::with_sso(prefix).await;
    lab.kubectl(&["rollout", "status", PLATFORM]).await;
    let (replica, proxy) = (lab.plane.replica().await, lab.plane.proxy());
    // Of a kind that nobody has asked it for it has nothing in its memory yet, and refuses watches until it has.
    for kind in
        ["deployment", "secret", "timbrinstallation"].into_iter().chain(Kind::ALL.iter().map(|kind| kind.name()))
    {
        lab.api_by(replica.admin(), kind).list(&ListParams::default().match_any()).await.expect("a list");
    }
    let at = replica.address();
    proxy.on_read(move |call| if call.verb == "watch" { Action::Ask(at) } else { Action::Pass });
    let operator = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &[]).await;
    // At rest, the pods too.
    ends_with(&lab, TENANT).await;
    operator.looked(1).await;
    (lab, replica, proxy, operator)
}

/// The watches are the second server's, everything else is the first one's.
#[tokio::test]
async fn what_silent_watches_tell_late_is_what_counts() {
    let (lab, replica, proxy, operator) = started("silent").await;
    let before = lab.writes().await.len();

    // What the operator has not heard of it does not undo: nobody has told it that the Deployment is another one.
    replica.lag();
    ask(&lab, "unheard.example.com").await;
    lab.replace(&platform()).await;
    assert_eq!(tally(&lab.writes().await.split_off(before)), tally(&[]));
    // A new operator lists, and knows more than the watches that it opens then.
    operator.stop().await;
    let operator = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &[]).await;
    eventually("it has delivered what it has listed", SOON, async || {
        let url = variable(&lab.get(PLATFORM).await, "OAUTH_BASE_URL")["value"].clone();
        if url == "https://login.microsoftonline.com/unheard.example.com/oauth2" {
            Ok(())
        } else {
            Err(url.to_string())
        }
    })
    .await;
    let late = lab.writes().await.split_off(before);
    assert_eq!(late.clone().of("deployments").succeeded().len(), 1, "{:?}", tally(&late));

    // Twice more, unheard of, with watches that are opened anew; and then all of it at once, the oldest first.
    ask(&lab, "skipped.example.com").await;
    proxy.cut_watches();
    ask(&lab, "last.example.com").await;
    proxy.cut_watches();
    replica.catch_up();
    ends_with(&lab, "last.example.com").await;
    let writes = lab.writes().await.split_off(before);
    println!("three changes and a Deployment made anew, told late: {:?}", tally(&writes));
    // One for what was listed, and at most one for each of the two after it: what was so in between was so, too.
    let applied = writes.clone().of("deployments").succeeded().len();
    assert!((2..=3).contains(&applied), "{:?}", tally(&writes));
    assert_eq!(generation(&lab.get(PLATFORM).await) as usize, 1 + applied);
    assert!(writes.len() <= 16, "{:?}", tally(&writes));
    let secret = variable(&lab.get(PLATFORM).await, "OAUTH_SECRET");
    assert_eq!(lab.of_secret(&secret).await, "last.example.com");
    operator.stop().await;
}

/// Nothing can be read but what is old: nothing is written, and nothing is said to be ready.
#[tokio::test]
async fn who_can_only_read_what_was_so_does_nothing() {
    let (lab, replica, proxy, operator) = started("old-only").await;
    operator.stop().await;
    let before = lab.writes().await.len();
    let at = replica.address();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    proxy.on_read(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Action::Ask(at)
    });
    replica.lag();
    ask(&lab, "second.example.com").await;
    let operator = lab.launch(lab.account.kubeconfig_at(proxy.url()), &[]).await;
    eventually("it has asked, in vain", SOON, async || asked.load(Ordering::SeqCst) > 0).await;
    let (status, _) = crate::harness::get(&format!("{}/readyz", operator.health)).await.expect("an answer");
    assert_eq!((status, tally(&lab.writes().await.split_off(before))), (503, tally(&[])));
    replica.catch_up();
    operator.wait_ready().await;
    ends_with(&lab, "second.example.com").await;
    let writes = lab.writes().await.split_off(before);
    println!("one change, read late: {:?}", tally(&writes));
    assert_eq!(writes.of("deployments").succeeded().len(), 1);
    operator.stop().await;
}

/// As behind a load balancer: each connection may be to either server, and one of them lags, catches up, and lags.
#[tokio::test]
async fn from_one_server_to_the_other_and_back() {
    const ROUNDS: usize = 5;
    let (lab, replica, proxy, operator) = started("balanced").await;
    let before = lab.writes().await.len();
    let generation_before = generation(&lab.get(PLATFORM).await);
    let at = replica.address();
    // Lists and watches by turns; a list of the server that lags does not end before it has caught up.
    let balanced = move |call: &Call| match call.verb.as_str() {
        "watch" | "list" if call.nth.is_multiple_of(2) => Action::Ask(at),
        _ => Action::Pass,
    };
    proxy.on_read(balanced);
    for round in 0..ROUNDS {
        proxy.cut_watches();
        replica.lag();
        ask(&lab, &format!("round-{round}.example.com")).await;
        if round == 2 {
            // Somebody else's hand on what is ours, in between: once, as it would be left alone the second time.
            lab.kubectl(&["set", "env", PLATFORM, "OAUTH_BASE_URL=nowhere"]).await;
        }
        proxy.cut_watches();
        replica.catch_up();
        ends_with(&lab, &format!("round-{round}.example.com")).await;
    }
    let writes = lab.writes().await.split_off(before);
    let rollouts = generation(&lab.get(PLATFORM).await) - generation_before;
    println!("{ROUNDS} changes, an edit, two servers by turns: {rollouts} rollouts, {:?}", tally(&writes));
    // A Secret and a resource change together, but the operator may see one before the other; the edit and its undoing
    // are two.
    assert!((ROUNDS..=2 * ROUNDS).contains(&writes.clone().of("secrets").succeeded().len()), "{:?}", tally(&writes));
    assert!((ROUNDS as i64..=2 * ROUNDS as i64 + 2).contains(&rollouts), "{rollouts}");
    assert!(writes.clone().of("deployments").len() <= 4 * ROUNDS, "{:?}", tally(&writes));
    assert!(writes.iter().filter(|write| write.subresource == "status").count() <= 4 * ROUNDS, "{:?}", tally(&writes));
    operator.stop().await;
}
