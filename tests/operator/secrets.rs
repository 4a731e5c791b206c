//! The life of the Secrets that carry values: rotated, kept while anybody needs them, cleared away after that.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use testkit::{Action, Hook, Writes as _, audit::Write, eventually, proxy::Call};

use crate::{
    fixtures::{PLATFORM, SSO, azure_sso, entra, installation, platform, variable},
    harness::{Lab, SOON, condition},
};

/// Makes ten minutes ten seconds.
const FAST: &str = "--clock-rate=60";
/// Makes ten minutes one second.
const FASTER: &str = "--clock-rate=600";
/// Whatever waits for ten minutes has waited long enough by then, with [`FASTER`].
const LONG_OVER: Duration = Duration::from_secs(5);

/// The Secret that the template names.
async fn named(lab: &Lab) -> String {
    let entry = variable(&lab.get(PLATFORM).await, "OAUTH_SECRET");
    entry["valueFrom"]["secretKeyRef"]["name"].as_str().unwrap_or_default().to_owned()
}

/// Delivers another value, waits until the template names another Secret, and returns which.
async fn deliver(lab: &Lab, value: &str) -> String {
    let before = named(lab).await;
    lab.apply(&entra(value)).await;
    eventually("the rotation is delivered", SOON, async || {
        let now = named(lab).await;
        if now.is_empty() || now == before { Err(now) } else { Ok(now) }
    })
    .await
}

/// The same, and rolled out.
async fn rotate(lab: &Lab, value: &str) -> String {
    let name = deliver(lab, value).await;
    lab.kubectl(&["rollout", "status", PLATFORM, "--timeout=60s"]).await;
    eventually("it is said of this generation", SOON, async || {
        let (deployment, sso) = (lab.get(PLATFORM).await, lab.get(SSO).await);
        let is_of_this = sso["status"]["delivered"][0]["generation"] == deployment["metadata"]["generation"];
        if is_of_this && condition(&sso, "Ready")["status"] == "True" { Ok(()) } else { Err(sso["status"].to_string()) }
    })
    .await;
    name
}

/// The Secrets with a name of ours.
async fn ours(lab: &Lab) -> BTreeMap<String, Value> {
    let list = lab.kubectl(&["get", "secrets", "-o", "json"]).await;
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let items = list["items"].as_array().expect("items").iter();
    let named = items.map(|secret| (secret["metadata"]["name"].as_str().expect("a name").to_owned(), secret.clone()));
    named.filter(|(name, _)| name.starts_with("timbr-platform-identity-")).collect()
}

/// Waits until exactly these are left.
async fn left(lab: &Lab, names: &[&String]) {
    let wanted: BTreeSet<String> = names.iter().map(|name| (*name).clone()).collect();
    eventually("exactly what is needed is left", SOON, async || {
        let now: BTreeSet<String> = ours(lab).await.into_keys().collect();
        if now == wanted { Ok(()) } else { Err(format!("{now:?}, wanted {wanted:?}")) }
    })
    .await;
}

/// What the operator sent to delete Secrets.
async fn deletes(lab: &Lab) -> Vec<Write> {
    lab.writes().await.of("secrets").into_iter().filter(|write| write.verb == "delete").collect()
}

fn deletes_a_secret(call: &Call) -> bool {
    call.resource == "secrets" && call.verb == "delete"
}

/// A Pod of nobody's that names a Secret.
fn pod(name: &str, secret: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "initContainers": [{"name": "init", "image": "timbr.example/stand-in:1", "envFrom": [{"secretRef": {"name": secret}}]}],
            "containers": [{"name": "main", "image": "timbr.example/stand-in:1"}],
        },
    })
}

#[tokio::test]
async fn three_rotations_leave_what_is_live_what_an_undo_needs_and_what_a_pod_uses() {
    let lab = Lab::with_sso("three-rotations").await;
    let operator = lab.start_with(lab.account.kubeconfig.clone(), &[FAST]).await;
    lab.wait(SSO, "Ready").await;
    let first = named(&lab).await;
    lab.apply(&pod("somebody", &first)).await;
    let mut made = ours(&lab).await;
    let mut names = vec![first.clone()];
    for value in ["second", "third", "fourth"] {
        names.push(rotate(&lab, value).await);
        made.extend(ours(&lab).await);
    }
    let [_, second, third, fourth] = names.as_slice() else { panic!("{names:?}") };
    left(&lab, &[&first, third, fourth]).await;
    // The pod goes, and nothing tells of it.
    lab.kubectl(&["delete", "pod", "somebody"]).await;
    left(&lab, &[third, fourth]).await;

    let deletes = deletes(&lab).await;
    assert_eq!(deletes.iter().map(|write| &write.name).collect::<Vec<_>>(), [second, &first]);
    for write in &deletes {
        assert_eq!(write.code, 200, "{write:?}");
        let created = made[&write.name]["metadata"]["creationTimestamp"].as_str().expect("a time");
        let age = write.time.parse::<Timestamp>().expect("a time").duration_since(created.parse().expect("a time"));
        println!("{} was deleted {} s after it was made, with ten minutes as long as 10 s", write.name, age.as_secs());
        assert!(age.as_secs() >= 10, "{age:?}");
    }
    let generation = lab.get(PLATFORM).await["metadata"]["generation"].clone();
    assert_eq!(generation, 5, "one rollout a value, and none for what was cleared away");

    // An undo finds its Secret.
    operator.stop().await;
    lab.kubectl(&["rollout", "undo", PLATFORM]).await;
    assert_eq!(named(&lab).await, *third);
    assert!(!ours(&lab).await[third]["data"]["OAUTH_SECRET"].is_null());
    lab.kubectl(&["rollout", "status", PLATFORM, "--timeout=60s"]).await;
    // The operator undoes it, and both are needed as before.
    let operator = lab.start_with(lab.account.kubeconfig.clone(), &[FASTER]).await;
    eventually("it is taken back", SOON, async || {
        let now = named(&lab).await;
        if now == *fourth { Ok(()) } else { Err(now) }
    })
    .await;
    tokio::time::sleep(LONG_OVER).await;
    left(&lab, &[third, fourth]).await;
    operator.stop().await;
}

#[tokio::test]
async fn pods_of_a_paused_deployment_keep_their_secret() {
    let lab = Lab::with_sso("paused-rotation").await;
    let operator = lab.start_with(lab.account.kubeconfig.clone(), &[FASTER]).await;
    lab.wait(SSO, "Ready").await;
    let first = named(&lab).await;
    lab.kubectl(&["rollout", "pause", PLATFORM]).await;
    // Its pods stay those of the first; nobody ever had the second.
    let second = deliver(&lab, "second").await;
    let third = deliver(&lab, "third").await;
    left(&lab, &[&first, &third]).await;
    tokio::time::sleep(LONG_OVER).await;
    left(&lab, &[&first, &third]).await;
    // Without pods an undo still leads back to it, once the Deployment is resumed.
    lab.kubectl(&["scale", PLATFORM, "--replicas=0"]).await;
    eventually("its pods are gone", SOON, async || {
        let pods = lab.kubectl(&["get", "pods", "-l", "app=timbr-platform", "-o", "name"]).await;
        if pods.is_empty() { Ok(()) } else { Err(pods) }
    })
    .await;
    tokio::time::sleep(LONG_OVER).await;
    left(&lab, &[&first, &third]).await;
    lab.kubectl(&["scale", PLATFORM, "--replicas=1"]).await;
    lab.kubectl(&["rollout", "resume", PLATFORM]).await;
    lab.wait(SSO, "Ready").await;
    tokio::time::sleep(LONG_OVER).await;
    left(&lab, &[&first, &third]).await;
    assert_eq!(deletes(&lab).await.iter().map(|write| &write.name).collect::<Vec<_>>(), [&second]);
    operator.stop().await;
}

/// A Secret of somebody else's with a name of ours.
async fn squat(lab: &Lab, name: &str, as_ours: bool) -> String {
    let labels = json!({
        "app.kubernetes.io/managed-by": "timbr-identity-operator",
        "identity.timbr.ai/component": "platform",
        "identity.timbr.ai/installation": "default",
    });
    let mut secret = crate::fixtures::secret(name, "OAUTH_SECRET", "squatted");
    if as_ours {
        secret["immutable"] = json!(true);
        secret["metadata"]["labels"] = labels;
    }
    lab.kubectl(&["delete", "secret", name, "--ignore-not-found"]).await;
    lab.apply(&secret).await;
    uid(lab, name).await
}

async fn uid(lab: &Lab, name: &str) -> String {
    lab.kubectl(&["get", "secret", name, "-o", "jsonpath={.metadata.uid}"]).await
}

async fn a_squatted_name_is_told(as_ours: bool) {
    let lab = Lab::with_sso("squatted").await;
    let operator = lab.start_with(lab.account.kubeconfig.clone(), &[FASTER]).await;
    lab.wait(SSO, "Ready").await;
    let first = named(&lab).await;
    let second = rotate(&lab, "second").await;
    let squatter = squat(&lab, &first, as_ours).await;
    // Back to the first value, whose name is somebody's by now.
    lab.apply(&entra("s3cr3t")).await;
    let message = lab.wait_condition(SSO, "Delivered", "False", "Conflict").await;
    println!("{message}");
    assert_eq!(
        message,
        format!(
            "Deployment timbr-platform: Secret {first} is in the way: it has the name of a Secret of this operator, but other content or labels, or is not immutable; delete it"
        )
    );
    assert_eq!(named(&lab).await, second);
    // Neither while its name is wanted, nor after that.
    tokio::time::sleep(LONG_OVER).await;
    let third = rotate(&lab, "third").await;
    tokio::time::sleep(LONG_OVER).await;
    left(&lab, &[&first, &second, &third]).await;
    assert_eq!(uid(&lab, &first).await, squatter);
    assert_eq!(deletes(&lab).await, []);
    // Whoever made it deletes it: nobody else needs to help.
    lab.apply(&entra("s3cr3t")).await;
    lab.wait_condition(SSO, "Delivered", "False", "Conflict").await;
    lab.kubectl(&["delete", "secret", &first]).await;
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    assert_eq!(named(&lab).await, first);
    left(&lab, &[&first, &third]).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_name_that_somebody_squats_is_told_and_what_squats_it_never_deleted() {
    tokio::join!(a_squatted_name_is_told(false), a_squatted_name_is_told(true));
}

/// Holds the delete, changes the Secret, and lets the delete go on.
async fn changed_meanwhile(what: &str, change: impl AsyncFn(&Lab, &str), stays: bool) {
    let lab = Lab::with_sso("meanwhile").await;
    let proxy = lab.plane.proxy();
    let hook = Hook::new();
    let there = Arc::clone(&hook);
    proxy.on_write(
        move |call| {
            if deletes_a_secret(call) { Action::HoldBefore(Arc::clone(&there)) } else { Action::Pass }
        },
    );
    let operator = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &[FASTER]).await;
    lab.wait(SSO, "Ready").await;
    let first = named(&lab).await;
    let second = rotate(&lab, "second").await;
    // Not waited for: its delete may be held before that.
    let third = deliver(&lab, "third").await;
    assert_eq!(hook.reached().await.name, first);
    change(&lab, &first).await;
    let uid = uid(&lab, &first).await;
    hook.release();
    eventually("the delete is answered", SOON, async || !deletes(&lab).await.is_empty()).await;
    lab.wait_condition(SSO, "Ready", "True", "DeliveredUnverified").await;
    if stays {
        tokio::time::sleep(LONG_OVER).await;
        left(&lab, &[&first, &second, &third]).await;
        assert_eq!(self::uid(&lab, &first).await, uid);
    } else {
        left(&lab, &[&second, &third]).await;
    }
    let codes: Vec<u16> = deletes(&lab).await.iter().map(|write| write.code).collect();
    println!("{what}: deletes answered {codes:?}");
    assert_eq!(codes, if stays { vec![409] } else { vec![409, 200] }, "{what}");
    operator.stop().await;
}

#[tokio::test]
async fn a_secret_that_is_changed_between_look_and_delete_is_not_deleted() {
    tokio::join!(
        changed_meanwhile(
            "its label was taken",
            async |lab, name| {
                lab.kubectl(&["label", "secret", name, "app.kubernetes.io/managed-by=somebody", "--overwrite"]).await;
            },
            true,
        ),
        changed_meanwhile(
            "another has its name",
            async |lab, name| {
                squat(lab, name, true).await;
            },
            true,
        ),
        changed_meanwhile(
            "it was annotated",
            async |lab, name| {
                lab.kubectl(&["annotate", "secret", name, "note=later"]).await;
            },
            // The next look finds it as superfluous as before.
            false,
        ),
    );
}

#[tokio::test]
async fn a_lost_name_key_changes_no_name_in_use() {
    let lab = Lab::with_sso("lost-key").await;
    let operator = lab.start_with(lab.account.kubeconfig.clone(), &[FASTER]).await;
    lab.wait(SSO, "Ready").await;
    let first = named(&lab).await;
    let second = rotate(&lab, "second").await;
    operator.stop().await;
    let key = async || lab.kubectl(&["get", "secret", "timbr-identity-name-key", "-o", "jsonpath={.data.key}"]).await;
    let old_key = key().await;
    lab.kubectl(&["delete", "secret", "timbr-identity-name-key"]).await;
    let generation = lab.get(PLATFORM).await["metadata"]["generation"].clone();
    let before = lab.writes().await.len();

    let operator = lab.start_with(lab.account.kubeconfig.clone(), &[FASTER]).await;
    operator.looked(1).await;
    assert_ne!(key().await, old_key);
    assert_eq!(lab.get(PLATFORM).await["metadata"]["generation"], generation);
    assert_eq!(named(&lab).await, second);
    let writes: Vec<String> = lab
        .writes()
        .await
        .split_off(before)
        .into_iter()
        .map(|write| format!("{} {}", write.verb, write.name))
        .collect();
    println!("writes after the name key was lost: {writes:?}");
    assert_eq!(writes, ["create timbr-identity-name-key"]);

    // What was made with the lost key is cleared away like the rest.
    let third = rotate(&lab, "third").await;
    left(&lab, &[&second, &third]).await;
    assert_eq!(deletes(&lab).await.iter().map(|write| &write.name).collect::<Vec<_>>(), [&first]);
    operator.stop().await;
}

#[tokio::test]
async fn in_a_quiet_cluster_nobody_asks_who_uses_what() {
    let lab = Lab::with_sso("quiet").await;
    let proxy = lab.plane.proxy();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    proxy.on_read(move |call| {
        // Who says that it uses Timbr is watched, which is another question.
        let is_watched = call.uri.contains("labelSelector=consumes.identity.timbr.ai");
        if matches!(call.resource.as_str(), "pods" | "replicasets") && !is_watched {
            count.fetch_add(1, Ordering::SeqCst);
        }
        Action::Pass
    });
    let operator = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &[FASTER]).await;
    lab.wait(SSO, "Ready").await;
    let look_again = async || {
        for round in 0..3 {
            let looks = operator.looked(0).await;
            let annotation = format!("identity.timbr.ai/reconcile-requested-at={round}");
            lab.kubectl(&["annotate", SSO, &annotation, "--overwrite"]).await;
            operator.looked(looks + 1).await;
        }
        let looks = operator.looked(0).await;
        proxy.cut_watches();
        lab.kubectl(&["annotate", SSO, "identity.timbr.ai/reconcile-requested-at=again", "--overwrite"]).await;
        operator.looked(looks + 1).await;
        asked.load(Ordering::SeqCst)
    };
    tokio::time::sleep(LONG_OVER).await;
    assert_eq!(look_again().await, 0);
    // The one before stays for an undo, but that is found out once and made sure of once.
    rotate(&lab, "second").await;
    tokio::time::sleep(LONG_OVER).await;
    operator.looked(0).await;
    let by_rotation = asked.load(Ordering::SeqCst);
    println!("lists of Pods and ReplicaSets: none before the rotation, {by_rotation} by it");
    assert!(by_rotation >= 2, "{by_rotation}");
    assert_eq!(look_again().await, by_rotation);
    operator.stop().await;
}

#[tokio::test]
async fn a_clean_up_that_is_refused_is_no_matter_of_conditions_and_tried_again() {
    let lab = Lab::with_sso("refused-delete").await;
    let proxy = lab.plane.proxy();
    let refused = Arc::new(AtomicUsize::new(0));
    let (reads, writes) = (Arc::clone(&refused), Arc::clone(&refused));
    // First the question who uses what is refused, then the delete.
    proxy.on_read(move |call| {
        if call.resource == "pods" && reads.load(Ordering::SeqCst) < 2 {
            reads.fetch_add(1, Ordering::SeqCst);
            return Action::Refuse(403, None);
        }
        Action::Pass
    });
    proxy.on_write(move |call| {
        if deletes_a_secret(call) && writes.fetch_add(1, Ordering::SeqCst) < 4 {
            return Action::Refuse(403, None);
        }
        Action::Pass
    });
    let operator = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &[FASTER]).await;
    lab.wait(SSO, "Ready").await;
    let second = rotate(&lab, "second").await;
    let third = rotate(&lab, "third").await;
    let before = lab.get(SSO).await["status"].clone();
    left(&lab, &[&second, &third]).await;
    assert!(refused.load(Ordering::SeqCst) >= 4);
    assert_eq!(lab.get(SSO).await["status"], before);
    let tail = operator.process.tail();
    let said = tail.lines().filter(|line| line.contains("cannot clear away Secrets that nothing needs any more"));
    println!("{}", said.clone().collect::<Vec<_>>().join("\n"));
    assert!(said.count() >= 1, "{tail}");
    operator.stop().await;
}

#[tokio::test]
async fn what_a_deleted_installation_leaves_is_cleared_away_with_the_owners_next_revision() {
    let lab = Lab::new("left-over").await;
    for manifest in [platform(), entra("s3cr3t"), installation("main", json!({})), azure_sso("sso")] {
        lab.apply(&manifest).await;
    }
    let operator = lab.start_with(lab.account.kubeconfig.clone(), &[FASTER]).await;
    lab.wait(SSO, "Ready").await;
    let first = named(&lab).await;
    assert_eq!(ours(&lab).await[&first]["metadata"]["labels"]["identity.timbr.ai/installation"], "main");
    lab.kubectl(&["delete", SSO, "timbrinstallation/main"]).await;
    eventually("everything is taken off", SOON, async || {
        lab.get(PLATFORM).await["metadata"]["labels"]["identity.timbr.ai/managed"].is_null()
    })
    .await;
    lab.kubectl(&["rollout", "status", PLATFORM, "--timeout=60s"]).await;
    tokio::time::sleep(LONG_OVER).await;
    left(&lab, &[&first]).await;
    lab.kubectl(&["set", "env", PLATFORM, "TIMBR_LOG_LEVEL=debug"]).await;
    left(&lab, &[]).await;
    operator.stop().await;
}

#[tokio::test]
async fn the_last_good_secret_of_one_stays_while_another_rotates() {
    const API: &str = "deployment/timbr-api";
    let lab = Lab::new("last-good-secret").await;
    let resource = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "identity.timbr.ai/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let key = |name: &str| json!({"name": name, "key": "key"});
    for manifest in [
        crate::fixtures::deployment("timbr-api", &["timbr-api"]),
        crate::fixtures::secret("default-key", "key", "default-1"),
        crate::fixtures::secret("contoso-key", "key", "contoso-1"),
        resource(
            "JwtAuthentication",
            "auth",
            json!({"type": "Custom", "algorithms": ["HS256"], "keyRef": key("default-key")}),
        ),
        resource("JwtTenant", "contoso", json!({"tenant": "contoso", "keyRef": key("contoso-key")})),
    ] {
        lab.apply(&manifest).await;
    }
    let operator = lab.start_with(lab.account.kubeconfig.clone(), &[FASTER]).await;
    for what in ["jwtauthentication/auth", "jwttenant/contoso"] {
        lab.wait(what, "Ready").await;
    }
    // Where a variable comes from, and what a pod would get.
    let value = async |name: &str| {
        let entry = variable(&lab.get(API).await, name);
        let secret = entry["valueFrom"]["secretKeyRef"]["name"].as_str().expect("a name").to_owned();
        (lab.of_secret(&entry).await, secret)
    };
    let shared = value("JWT_CONTOSO_KEY").await.1;
    assert_eq!(value("JWT_DEFAULT_KEY").await.1, shared);
    let generation = async || lab.get(API).await["metadata"]["generation"].clone();
    assert_eq!(generation().await, 2);
    lab.kubectl(&["delete", "secret", "contoso-key"]).await;
    lab.wait_condition("jwttenant/contoso", "ReferencesResolved", "False", "SecretNotFound").await;
    assert_eq!(generation().await, 2, "no rollout because a neighbour waits");
    for round in 2..=4 {
        let rotated = format!("default-{round}");
        lab.apply(&crate::fixtures::secret("default-key", "key", &rotated)).await;
        eventually("the rotation is delivered", SOON, async || value("JWT_DEFAULT_KEY").await.0 == rotated).await;
        lab.kubectl(&["rollout", "status", API, "--timeout=60s"]).await;
        assert_eq!(value("JWT_CONTOSO_KEY").await, ("contoso-1".to_owned(), shared.clone()));
    }
    // The live ones, and the one that an undo needs.
    eventually("the rest is cleared away", SOON, async || {
        let list = lab.kubectl(&["get", "secrets", "-l", "identity.timbr.ai/component=api", "-o", "name"]).await;
        if list.lines().count() == 3 { Ok(()) } else { Err(list) }
    })
    .await;
    tokio::time::sleep(LONG_OVER).await;
    assert_eq!(value("JWT_CONTOSO_KEY").await, ("contoso-1".to_owned(), shared));
    assert_eq!(value("JWT_DEFAULT_KEY").await.0, "default-4");
    assert_eq!(generation().await, 5, "one rollout a rotation");
    operator.stop().await;
}
