//! Several operators: one looks after a namespace, and the others keep out of it and say so.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::{Value, json};
use testkit::{Action, ControlPlane, ServiceAccount, Signal, Writes as _, audit::Write, eventually};
use timbr_identity::rights::{Install, Place};
use tokio::sync::OnceCell;

use crate::{
    fixtures::{PLATFORM, SSO, azure_sso, entra, platform, variable},
    harness::{LEASE, Lab, Operator, SOON, condition, get, policies, role},
};

const CLAIM: &str = "timbr-identity-claim";
/// What others have to notice a claim.
const MARGIN: SignedDuration = SignedDuration::from_secs(1);
/// What [`LEASE`] makes another operator wait: four times the lease, and the margin.
const OVER: SignedDuration = SignedDuration::from_secs(9);
/// Renewals and looks have passed by then.
const A_WHILE: Duration = Duration::from_secs(4);

fn flags() -> Vec<&'static str> {
    LEASE.into_iter().chain(["--claim-margin=1s"]).collect()
}

async fn start(lab: &Lab) -> Operator {
    lab.start_with(lab.account.kubeconfig.clone(), &flags()).await
}

async fn fill(lab: &Lab) {
    for manifest in [platform(), entra("s3cr3t"), azure_sso("sso")] {
        lab.apply(&manifest).await;
    }
}

/// What an account has written in a lab's namespace: Events and the claim apart.
async fn written(lab: &Lab, account: &ServiceAccount) -> Vec<Write> {
    lab.writes_of(account).await.in_namespace(&lab.namespace)
}

/// What it has written of the claim there, whatever the answer.
async fn claims(lab: &Lab, account: &ServiceAccount) -> Vec<Write> {
    let mut writes = lab.plane.audit().writes_of(&account.username).await.in_namespace(&lab.namespace);
    writes.retain(|write| write.resource == "leases" && write.name == CLAIM);
    writes
}

fn at(write: &Write) -> Timestamp {
    write.time.parse().expect("a time")
}

async fn claim(lab: &Lab) -> Value {
    lab.get(&format!("lease/{CLAIM}")).await["spec"].clone()
}

async fn verbose(operator: &Operator) -> String {
    get(&format!("{}/readyz?verbose", operator.health)).await.map_or_else(|error| error, |(_, body)| body)
}

/// Waits until it says this of a namespace, and is ready all the same.
async fn says(operator: &Operator, namespace: &str, sentence: &str) -> String {
    let line = eventually(&format!("it says of {namespace}: {sentence}"), SOON, async || {
        let told = verbose(operator).await;
        let beginning = format!("[ ] namespace {namespace}: {sentence}");
        told.lines().find(|line| line.starts_with(&beginning)).map(str::to_owned).ok_or(told)
    })
    .await;
    assert_eq!(get(&format!("{}/readyz", operator.health)).await, Ok((200, "ready\n".to_owned())));
    line
}

/// How many namespaces it leaves alone.
async fn left_alone(operator: &Operator) -> String {
    let (_, metrics) = get(&format!("{}/metrics", operator.metrics)).await.expect("an answer");
    let line = metrics.lines().find_map(|line| line.strip_prefix("timbr_identity_namespaces_left_alone "));
    line.expect("the metric").to_owned()
}

fn generation(deployment: &Value) -> i64 {
    deployment["metadata"]["generation"].as_i64().expect("a generation")
}

/// Rotates the client secret, and waits until that is delivered by exactly one change of the template.
async fn rotate(lab: &Lab, value: &str) {
    let before = lab.get(PLATFORM).await;
    lab.apply(&entra(value)).await;
    delivered(lab, &before).await;
}

async fn delivered(lab: &Lab, before: &Value) {
    eventually("the rotation is delivered, in one rollout", SOON, async || {
        let (now, sso) = (lab.get(PLATFORM).await, lab.get(SSO).await);
        let is_new = variable(&now, "OAUTH_SECRET") != variable(before, "OAUTH_SECRET");
        let is_told = sso["status"]["delivered"][0]["generation"] == now["metadata"]["generation"]
            && condition(&sso, "Delivered")["status"] == "True";
        if is_new && is_told { Ok(()) } else { Err(sso["status"].to_string()) }
    })
    .await;
    assert_eq!(generation(&lab.get(PLATFORM).await) - generation(before), 1);
}

/// Two operators' namespaces, each of which is watched by its own and has a Timbr; and a third that both watch.
async fn shared(prefix: &str) -> [Lab; 3] {
    let [mut first, mut second] = [Lab::new(prefix).await, Lab::new(prefix).await];
    let shared = Lab::new(&format!("{prefix}-shared")).await;
    for lab in [&first, &second, &shared] {
        fill(lab).await;
    }
    for lab in [&mut first, &mut second] {
        lab.grant(&shared.namespace).await;
        lab.watched.push(shared.namespace.clone());
    }
    [first, second, shared]
}

#[tokio::test]
async fn of_two_operators_one_has_a_namespace_and_the_other_takes_over_when_the_claim_is_over() {
    let [first, second, shared] = shared("claim").await;
    let one = start(&first).await;
    for lab in [&first, &shared] {
        lab.wait(SSO, "Ready").await;
    }
    let taken = claims(&shared, &first.account).await;
    let begun = written(&shared, &first.account).await;
    let gap = at(&begun[0]).duration_since(at(&taken[0]));
    println!("written {gap:#} after the claim was made, of which {MARGIN:#} had to pass");
    assert!(taken[0].verb == "create" && gap >= MARGIN, "{taken:?} {begun:?}");

    // The other delivers in its own namespace, and keeps out of the shared one.
    let two = start(&second).await;
    second.wait(SSO, "Ready").await;
    let (here, there) = (&shared.namespace, &first.namespace);
    let sentence = format!(
        "Namespace {here} is looked after by the operator in namespace {there} (Lease {here}/{CLAIM}), and is left alone by this one; take it from --watch-namespaces of one of the two, or stop the other: this one takes over when the claim has not been renewed for 9s"
    );
    says(&two, here, &sentence).await;
    says(&two, &second.namespace, &format!("claimed by this operator, as {}", second.namespace)).await;
    assert_eq!((left_alone(&one).await, left_alone(&two).await), ("0".to_owned(), "1".to_owned()));
    let warned = async || {
        let events: Value =
            serde_json::from_str(&shared.kubectl(&["get", "events.events.k8s.io", "-o", "json"]).await).expect("JSON");
        let items = events["items"].as_array().expect("items").iter();
        items.filter(|event| event["reason"] == "ClaimedByAnother").cloned().collect::<Vec<_>>()
    };
    let events = eventually("there is an Event", SOON, async || {
        let events = warned().await;
        if events.is_empty() { Err("none") } else { Ok(events) }
    })
    .await;
    assert_eq!((&events[0]["note"], &events[0]["type"]), (&json!(sentence), &json!("Warning")));
    assert_eq!((&events[0]["regarding"]["kind"], &events[0]["regarding"]["name"]), (&json!("Lease"), &json!(CLAIM)));

    // A restart lets nobody in.
    one.stop().await;
    let before = shared.get(PLATFORM).await;
    shared.apply(&entra("second")).await;
    let one = start(&first).await;
    delivered(&shared, &before).await;
    tokio::time::sleep(A_WHILE).await;
    let held = claim(&shared).await;
    assert_eq!((&held["holderIdentity"], &held["leaseTransitions"]), (&json!(there), &json!(0)));
    assert_eq!(written(&shared, &second.account).await, []);
    assert_eq!(claims(&shared, &second.account).await, []);
    assert_eq!((warned().await.len(), two.process.stderr().matches(" is left alone by this one").count()), (1, 1));

    // The end of the other, without a word.
    one.process.kill();
    says(&two, here, "claimed by this operator").await;
    shared.wait(SSO, "Ready").await;
    let (renewed, taken) = (claims(&shared, &first.account).await, claims(&shared, &second.account).await);
    let gap = at(&taken[0]).duration_since(at(renewed.last().expect("it was renewed")));
    println!("taken over {gap:#} after the last renewal, of which {OVER:#} had to pass");
    assert!(gap >= OVER, "{gap:#}");
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(generation(&shared.get(PLATFORM).await), generation(&before) + 1, "no rollout by changing hands");
    rotate(&shared, "third").await;
    let writes = written(&shared, &second.account).await;
    assert!(at(&writes[0]).duration_since(at(&taken[0])) >= MARGIN, "{taken:?} {writes:?}");
    assert_eq!(claim(&shared).await["leaseTransitions"], 1);

    // Back again, it is the first that keeps out.
    let one = start(&first).await;
    says(&one, here, &format!("Namespace {here} is looked after by the operator in namespace {}", second.namespace))
        .await;
    rotate(&first, "fourth").await;
    for (lab, operator) in [(&first, one), (&second, two)] {
        operator.stop().await;
        // With Roles alone.
        assert_eq!(lab.plane.audit().forbidden_to(&lab.account).await, []);
    }
}

#[tokio::test]
async fn an_operator_that_was_frozen_for_longer_than_its_claim_wakes_up_and_writes_nothing_there() {
    let [first, second, shared] = shared("claim-frozen").await;
    let one = start(&first).await;
    shared.wait(SSO, "Ready").await;
    one.looked(2).await;
    let two = start(&second).await;
    let here = &shared.namespace;
    says(&two, here, &format!("Namespace {here} is looked after by the operator in namespace {}", first.namespace))
        .await;
    one.process.signal(Signal::STOP);
    let writes = written(&shared, &first.account).await;
    let before = shared.get(PLATFORM).await;
    shared.apply(&entra("second")).await;
    delivered(&shared, &before).await;
    let there = shared.get(PLATFORM).await;
    // It learns all at once: of the rotation, and whose the namespace is.
    one.process.signal(Signal::CONT);
    says(&one, here, &format!("Namespace {here} is looked after by the operator in namespace {}", second.namespace))
        .await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(written(&shared, &first.account).await, writes);
    assert_eq!(generation(&shared.get(PLATFORM).await), generation(&there));
    // In its own namespace it goes on.
    rotate(&first, "third").await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn an_operator_of_all_namespaces_keeps_out_of_those_that_others_claim() {
    // Of its own: it would look after all namespaces of the tests.
    static OWN: OnceCell<ControlPlane> = OnceCell::const_new();
    let plane = OWN
        .get_or_init(|| ControlPlane::start_with(testkit::Options { controllers: false, ..Default::default() }))
        .await;
    let (claimed, free, mut late) =
        (Lab::on(plane, "claimed").await, Lab::on(plane, "free").await, Lab::on(plane, "late").await);
    for lab in [&claimed, &free] {
        fill(lab).await;
    }
    let theirs = start(&claimed).await;
    claimed.wait(SSO, "Delivered").await;
    let everywhere = Lab::of_all_namespaces(plane).await;
    let ours = start(&everywhere).await;
    free.wait(SSO, "Delivered").await;
    let there = &claimed.namespace;
    let sentence = format!(
        "Namespace {there} is looked after by the operator in namespace {there} (Lease {there}/{CLAIM}); this operator watches all namespaces, and keeps out of this one until its claim has not been renewed for 9s"
    );
    says(&ours, there, &sentence).await;
    assert_eq!(left_alone(&ours).await, "1");
    rotate(&claimed, "second").await;

    // Another comes, for a namespace that has been its own so far.
    let mut before = free.get(PLATFORM).await;
    late.watched.push(free.namespace.clone());
    late.grant(&free.namespace).await;
    let later = start(&late).await;
    says(&later, &free.namespace, "claimed by this operator").await;
    says(&ours, &free.namespace, &format!("Namespace {} is looked after by the operator in", free.namespace)).await;
    rotate(&free, "second").await;
    assert_eq!(generation(&free.get(PLATFORM).await), generation(&before) + 1, "no rollout by changing hands");
    let (taken, writes) = (claims(&free, &late.account).await, written(&free, &everywhere.account).await);
    let last = writes.iter().map(at).max().expect("it was its own");
    println!("its last write was {:#} before the other's claim", at(&taken[0]).duration_since(last));
    assert!(last < at(&taken[0]) + MARGIN);
    let begun = at(&written(&free, &late.account).await[0]);
    assert!(begun > last && begun.duration_since(at(&taken[0])) >= MARGIN);

    // Not a single write, nor an Event, where it kept out all the time.
    let all = plane.audit().writes_of(&everywhere.account.username).await;
    assert_eq!(all.in_namespace(there), []);

    // Who claimed is gone.
    later.process.kill();
    before = free.get(PLATFORM).await;
    free.apply(&entra("third")).await;
    delivered(&free, &before).await;
    let (renewed, writes) = (claims(&free, &late.account).await, written(&free, &everywhere.account).await);
    let renewed = at(renewed.last().expect("it was renewed"));
    let again = writes.iter().map(at).find(|time| *time > renewed).expect("it took over");
    println!("written again {:#} after the last renewal, of which {OVER:#} had to pass", again.duration_since(renewed));
    assert!(again.duration_since(renewed) >= OVER);
    for (lab, operator) in [(&everywhere, ours), (&claimed, theirs)] {
        operator.stop().await;
        assert_eq!(plane.audit().forbidden_to(&lab.account).await, []);
    }
}

#[tokio::test]
async fn without_the_right_to_claim_it_says_so_and_leaves_the_namespace_alone() {
    let lab = Lab::with_sso("unclaimable").await;
    let account = lab.plane.service_account(&lab.namespace, "claimless").await;
    let grant = async |policies: &[PolicyRule]| {
        let list =
            json!({"apiVersion": "v1", "kind": "List", "items": role(&lab.namespace, "claimless", policies, &account)});
        lab.apply(&list).await;
    };
    let all = policies(Install::Namespaced(&[]), Place::Watched);
    let mut rest = all.clone();
    rest.retain(|policy| policy.resources.as_deref() != Some(&["leases".to_owned()]));
    assert_eq!(all.len() - rest.len(), 2);
    grant(&rest).await;
    // In another namespace than the one it watches.
    let own = Lab::new("claimless").await;
    own.bind(&account, &own.namespace, Place::Own).await;
    let lab_of = Lab::of(lab.plane, own.namespace.clone(), account.clone(), vec![lab.namespace.clone()]);
    let operator = start(&lab_of).await;
    let here = &lab.namespace;
    let told = says(
        &operator,
        here,
        &format!(
            "Namespace {here} cannot be claimed, and is left alone: Lease {here}/{CLAIM} may not be read or written ("
        ),
    )
    .await;
    let fix = format!(
        "); grant the operator's ServiceAccount get, create and update on leases (coordination.k8s.io) in namespace {here}, as deploy/namespaced/rbac.yaml does, or take {here} from --watch-namespaces"
    );
    assert!(told.ends_with(&fix), "{told}");
    assert_eq!(left_alone(&operator).await, "1");
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(lab.plane.audit().writes_of(&account.username).await.in_namespace(here), []);
    assert_eq!(operator.process.stderr().matches("cannot be claimed").count(), 1, "said once");
    grant(&all).await;
    lab.wait(SSO, "Ready").await;
    assert_eq!(left_alone(&operator).await, "0");
    operator.stop().await;
}

#[tokio::test]
async fn a_claim_that_cannot_be_renewed_or_is_taken_away_ends_all_that_is_done_there() {
    let lab = Lab::with_sso("unrenewed-claim").await;
    let proxy = lab.plane.proxy();
    let operator = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &flags()).await;
    lab.wait(SSO, "Ready").await;
    operator.looked(1).await;
    let here = &lab.namespace;
    proxy.count(|call| call.name == CLAIM);
    proxy.on_write(|_| Action::Refuse(503, None));
    // First it is only said, as the claim lasts on.
    says(&operator, here, &format!("claimed by this operator, as {here}; the claim cannot be renewed: ")).await;
    says(
        &operator,
        here,
        &format!("Namespace {here} cannot be claimed, and is left alone: Lease {here}/{CLAIM} cannot be "),
    )
    .await;
    let writes = written(&lab, &lab.account).await.len();
    let before = lab.get(PLATFORM).await;
    lab.apply(&entra("second")).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(written(&lab, &lab.account).await.len(), writes);
    proxy.pass();
    delivered(&lab, &before).await;

    let patch = json!({"spec": {"holderIdentity": "somebody"}}).to_string();
    lab.kubectl(&["patch", &format!("lease/{CLAIM}"), "--type=merge", "-p", &patch]).await;
    let taken = Timestamp::now();
    says(&operator, here, &format!("Namespace {here} is looked after by the operator in namespace somebody ")).await;
    let writes = written(&lab, &lab.account).await.len();
    let before = lab.get(PLATFORM).await;
    lab.apply(&entra("third")).await;
    delivered(&lab, &before).await;
    let again = at(&written(&lab, &lab.account).await[writes]).duration_since(taken);
    println!("written again {again:#} after the claim was taken away, of which {OVER:#} had to pass");
    // It was seen after it was taken, and the time counts from then.
    assert!(again >= OVER, "{again:#}");
    operator.stop().await;
}
