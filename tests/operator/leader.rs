//! Two replicas: one leads and writes, the other stands by. Each has an account of its own, so that the audit
//! log tells who wrote.

use std::{collections::BTreeSet, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::{
    Action, Hook, ServiceAccount, Signal, TimbrApi, Writes as _, audit::Write, eventually, timbr_api::Fault,
};

use crate::{
    fixtures::{PLATFORM, SSO, azure_sso, entra, platform, variable},
    harness::{LEASE, Lab, Operator, SOON, condition, get, tally},
    statements,
};

/// What [`LEASE`] makes another replica wait: the lease and its margin.
const OVER: SignedDuration = SignedDuration::from_secs(3);
/// Renewals and looks have passed by then.
const A_WHILE: Duration = Duration::from_secs(3);

/// The Lease that says who leads.
const LEADER: &str = "timbr-identity-operator";

/// Two replicas, the first of which leads.
struct Pair {
    lab: Lab,
    accounts: [ServiceAccount; 2],
    leader: Operator,
    standby: Operator,
}

/// Waits until a replica says in its metrics that it leads.
pub async fn leads(operator: &Operator) {
    eventually("it leads", SOON, async || {
        let (_, metrics) = get(&format!("{}/metrics", operator.metrics)).await?;
        if metrics.lines().any(|line| line == "timbr_identity_leader 1") {
            return Ok(());
        }
        Err(verbose(operator).await)
    })
    .await;
}

async fn verbose(operator: &Operator) -> String {
    get(&format!("{}/readyz?verbose", operator.health)).await.map_or_else(|error| error, |(_, body)| body)
}

async fn log(operator: &Operator, text: &str) -> String {
    operator.process.wait_for_line(|line| line.contains(text), SOON).await
}

async fn lease(lab: &Lab) -> Value {
    lab.get("lease/timbr-identity-operator").await["spec"].clone()
}

fn at(write: &Write) -> Timestamp {
    write.time.parse().expect("a time")
}

/// When a user wrote the Lease.
async fn leases(lab: &Lab, account: &ServiceAccount) -> Vec<Timestamp> {
    let mut writes = lab.plane.audit().writes_of(&account.username).await.of("leases").succeeded();
    writes.retain(|write| write.name == LEADER);
    writes.iter().map(at).collect()
}

/// Rotates the client secret; the value must be a new one.
async fn rotate(lab: &Lab, value: &str) -> Value {
    let before = lab.get(PLATFORM).await;
    lab.apply(&entra(value)).await;
    before
}

/// Waits until the rotation is delivered and rolled out, by exactly one change of the template.
async fn rotated(lab: &Lab, before: &Value) {
    eventually("the rotation is delivered, in one rollout", SOON, async || {
        let (now, sso) = (lab.get(PLATFORM).await, lab.get(SSO).await);
        let is_new = variable(&now, "OAUTH_SECRET") != variable(before, "OAUTH_SECRET");
        let ready = condition(&sso, "Ready")["status"] == "True";
        let generation = &now["metadata"]["generation"];
        if is_new && ready && sso["status"]["delivered"][0]["generation"] == *generation {
            Ok(())
        } else {
            Err(sso["status"].to_string())
        }
    })
    .await;
}

/// How often the template has changed between two looks.
fn rollouts(before: &Value, after: &Value) -> i64 {
    let generation = |deployment: &Value| deployment["metadata"]["generation"].as_i64().expect("a generation");
    generation(after) - generation(before)
}

impl Pair {
    /// Starts them one after the other, and waits until the first has delivered.
    async fn start(prefix: &str, flags: &[&str]) -> Self {
        let lab = Lab::with_sso(prefix).await;
        let other = lab.another_account("other").await;
        lab.grant_own(&other).await;
        let leader = lab.start_with(lab.account.kubeconfig.clone(), flags).await;
        leads(&leader).await;
        let standby = lab.start_with(other.kubeconfig.clone(), flags).await;
        lab.wait(SSO, "Ready").await;
        leader.looked(1).await;
        Self { accounts: [lab.account.clone(), other], lab, leader, standby }
    }
}

#[tokio::test]
async fn of_two_replicas_both_are_ready_and_one_writes() {
    let Pair { lab, accounts: [_, other], leader, standby } = Pair::start("lead", &[]).await;
    let holder = lease(&lab).await["holderIdentity"].as_str().expect("a holder").to_owned();
    let line = |told: &str| format!("[ ] leadership: {told}\n");
    assert!(verbose(&leader).await.starts_with(&line(&format!("this process leads, as {holder}"))));
    let told = verbose(&standby).await;
    assert!(told.starts_with(&format!("[ ] leadership: {holder} has the lease; this process, ")), "{told}");
    assert!(told.contains(", stands by, and takes over when it is given back or not renewed for 20s\n"), "{told}");
    assert_eq!(get(&format!("{}/readyz", standby.health)).await, Ok((200, "ready\n".to_owned())));
    let (_, metrics) = get(&format!("{}/metrics", standby.metrics)).await.expect("an answer");
    assert!(metrics.lines().any(|line| line == "timbr_identity_leader 0"), "{metrics}");

    let before = rotate(&lab, "second").await;
    rotated(&lab, &before).await;
    assert_eq!(rollouts(&before, &lab.get(PLATFORM).await), 1);
    let spec = lease(&lab).await;
    assert_eq!(
        (&spec["holderIdentity"], &spec["leaseDurationSeconds"], &spec["leaseTransitions"]),
        (&json!(holder), &json!(15), &json!(0))
    );
    // Not even Events, and no bid for the lease.
    assert_eq!(lab.plane.audit().writes_of(&other.username).await, []);
    // Who stands by goes without a word.
    standby.stop().await;
    assert_eq!(lab.plane.audit().writes_of(&other.username).await, []);
    leader.stop().await;
    let spec = lease(&lab).await;
    assert_eq!((&spec["holderIdentity"], &spec["renewTime"]), (&json!(""), &Value::Null));
}

#[tokio::test]
async fn after_a_clean_stop_the_other_takes_over_at_once() {
    let Pair { lab, accounts: [account, other], leader, standby } = Pair::start("handover", &[]).await;
    leader.stop().await;
    let writes = lab.writes().await.len();
    let before = rotate(&lab, "second").await;
    leads(&standby).await;
    rotated(&lab, &before).await;
    let (given_back, taken) = (leases(&lab, &account).await, leases(&lab, &other).await);
    let gap = taken[0].duration_since(*given_back.last().expect("it was given back"));
    println!("taken over {gap:#} after it was given back");
    // A lease that is not given back is over after 20 seconds.
    assert!(gap < SignedDuration::from_secs(15), "{gap:#}");
    assert_eq!(rollouts(&before, &lab.get(PLATFORM).await), 1);
    assert_eq!(lab.writes().await.len(), writes);
    assert_eq!(lease(&lab).await["leaseTransitions"], 1);

    // A rolling upgrade goes on: the third stands by until the second is stopped.
    let third = lab.start_with(account.kubeconfig.clone(), &[]).await;
    standby.stop().await;
    let writes = lab.writes_of(&other).await.len();
    let before = rotate(&lab, "third").await;
    rotated(&lab, &before).await;
    assert_eq!(rollouts(&before, &lab.get(PLATFORM).await), 1);
    assert_eq!(lab.writes_of(&other).await.len(), writes);
    assert_eq!(lease(&lab).await["leaseTransitions"], 2);
    third.stop().await;
}

/// Where the operator has a namespace already, nobody else has to notice that.
#[tokio::test]
async fn the_next_leader_does_not_wait_where_it_saw_the_claim_being_renewed() {
    const NOTICE: SignedDuration = SignedDuration::from_secs(5);
    let flags: Vec<&str> = LEASE.into_iter().chain(["--claim-margin=5s"]).collect();
    let Pair { lab, accounts: [account, other], leader, standby } = Pair::start("kept-claim", &flags).await;
    let claim = |write: &Write| write.resource == "leases" && write.name == "timbr-identity-claim";
    let writes = async |account: &ServiceAccount| lab.plane.audit().writes_of(&account.username).await;
    let waited = |writes: &[Write]| {
        let claimed = at(writes.iter().find(|write| claim(write)).expect("a claim"));
        at(writes.iter().find(|write| write.resource == "deployments").expect("a delivery")).duration_since(claimed)
    };
    assert!(waited(&writes(&account).await) >= NOTICE, "the first had to wait");
    eventually("the other has looked at the claim again and again", SOON, async || {
        let requests = lab.plane.audit().requests_of(&other).await;
        let looks = requests.iter().filter(|request| claim(request) && request.verb == "get").count();
        if looks >= 4 { Ok(()) } else { Err(looks.to_string()) }
    })
    .await;
    leader.stop().await;
    let before = rotate(&lab, "second").await;
    rotated(&lab, &before).await;
    let gap = waited(&writes(&other).await);
    println!("delivered {gap:#} after the claim was renewed by the next leader; a new claim has to wait {NOTICE:#}");
    assert!(gap < NOTICE, "{gap:#}");
    standby.stop().await;
}

#[tokio::test]
async fn after_a_kill_the_other_takes_over_when_the_lease_is_over_and_never_before() {
    let Pair { lab, accounts: [account, other], leader, standby } = Pair::start("killed", &LEASE).await;
    leader.process.kill();
    let before = rotate(&lab, "second").await;
    rotated(&lab, &before).await;
    let (renewed, taken) = (leases(&lab, &account).await, leases(&lab, &other).await);
    let gap = taken[0].duration_since(*renewed.last().expect("it was renewed"));
    println!("taken over {gap:#} after the last renewal, of which {OVER:#} had to pass");
    assert!(gap >= OVER, "{gap:#}");
    let first = lab.plane.audit().writes_of(&other.username).await;
    assert_eq!(first[0].name, LEADER, "the lease comes before everything else: {first:?}");
    assert_eq!(rollouts(&before, &lab.get(PLATFORM).await), 1);
    standby.stop().await;
}

#[tokio::test]
async fn a_leader_that_was_frozen_wakes_up_and_writes_nothing() {
    let Pair { lab, accounts: [account, other], leader, standby } = Pair::start("frozen", &LEASE).await;
    leader.process.signal(Signal::STOP);
    // Events, too.
    let written = async || lab.plane.audit().writes_of(&account.username).await.without_leases().len();
    let writes = written().await;
    let before = rotate(&lab, "second").await;
    leads(&standby).await;
    rotated(&lab, &before).await;
    let there = lab.get(PLATFORM).await;
    let status = lab.get(SSO).await["status"].clone();
    assert_eq!(rollouts(&before, &there), 1);

    // It learns all at once: that its lease is another's, and of the rotation.
    leader.process.signal(Signal::CONT);
    log(&leader, "leading no more").await;
    eventually("it knows who leads", SOON, async || {
        let told = verbose(&leader).await;
        if told.contains(" has the lease; this process, ") { Ok(()) } else { Err(told) }
    })
    .await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(written().await, writes);
    let (renewed, taken) = (leases(&lab, &account).await, leases(&lab, &other).await);
    assert!(renewed.last() < taken.first(), "what it tried to renew was refused: {renewed:?} {taken:?}");
    let now = lab.get(PLATFORM).await;
    assert_eq!(now["metadata"]["resourceVersion"], there["metadata"]["resourceVersion"]);
    assert_eq!(lab.get(SSO).await["status"], status);

    // And it takes over again when it is its turn.
    standby.stop().await;
    let before = rotate(&lab, "third").await;
    rotated(&lab, &before).await;
    assert_eq!(rollouts(&before, &lab.get(PLATFORM).await), 1);
    leader.stop().await;
}

/// Frozen with a write on its way: the proxy has it, and the API server gets it never, or when another leads.
#[tokio::test]
async fn a_leader_that_was_frozen_in_mid_write_ends_as_any_other() {
    for late in [false, true] {
        let lab = Lab::with_sso("midwrite").await;
        let other = lab.another_account("other").await;
        lab.grant_own(&other).await;
        let proxy = lab.plane.proxy();
        let leader = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &LEASE).await;
        lab.wait(SSO, "Ready").await;
        leader.looked(1).await;
        let hook = Hook::new();
        let there = std::sync::Arc::clone(&hook);
        proxy.on_write(
            move |call| {
                if call.resource == "deployments" { Action::HoldBefore(there.clone()) } else { Action::Pass }
            },
        );
        let before = rotate(&lab, "second").await;
        hook.reached().await;
        leader.process.signal(Signal::STOP);
        proxy.pass();
        // Another value: the write on its way is out of date by the time it arrives.
        lab.apply(&entra("third")).await;
        let standby = lab.start_with(other.kubeconfig.clone(), &LEASE).await;
        leads(&standby).await;
        rotated(&lab, &before).await;
        let there = lab.get(PLATFORM).await;
        if late {
            hook.release();
            tokio::time::sleep(Duration::from_secs(1)).await;
        } else {
            hook.discard();
        }
        leader.process.signal(Signal::CONT);
        log(&leader, "leading no more").await;
        tokio::time::sleep(A_WHILE).await;
        eventually("what was delivered is there again", SOON, async || {
            let now = lab.get(PLATFORM).await;
            if variable(&now, "OAUTH_SECRET") == variable(&there, "OAUTH_SECRET") {
                Ok(())
            } else {
                Err(variable(&now, "OAUTH_SECRET").to_string())
            }
        })
        .await;
        rotated(&lab, &before).await;
        let more = rollouts(&there, &lab.get(PLATFORM).await);
        println!("changes of the template by a frozen leader, its last write late: {late}: {more}");
        // What is late was made for another version.
        assert_eq!(more, 0);
        let env = crate::fixtures::env(&lab.get(PLATFORM).await, "timbr-platform");
        let names: BTreeSet<&str> = env.iter().filter_map(|env| env["name"].as_str()).collect();
        assert_eq!((env.len(), names.len()), (7, 7), "{env:?}");
        standby.stop().await;
        leader.stop().await;
    }
}

/// The lease does not fence: both believe that they lead, for as long as one is told that its renewals succeed.
#[tokio::test]
async fn two_leaders_at_once_end_as_one() {
    let api = TimbrApi::start().with_roles(["editor"]);
    let lab = statements::lab(api.url(), api.key()).await;
    lab.apply_all(&[platform(), azure_sso("sso")]).await;
    let other = lab.another_account("other").await;
    lab.grant_own(&other).await;
    let proxy = lab.plane.proxy();
    let flags: Vec<&str> = LEASE.into_iter().chain([statements::FAST, "--allowed-sql-hosts=127.0.0.1"]).collect();
    let one = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &flags).await;
    lab.wait(SSO, "Ready").await;
    one.looked(1).await;
    proxy.count(|_| true);
    proxy.on_write(|call| if call.resource == "leases" { Action::Pretend } else { Action::Pass });
    let two = lab.start_with(other.kubeconfig.clone(), &flags).await;
    leads(&two).await;

    // A rotation, and a statement whose answers are lost.
    api.always(Fault::Lose);
    let before = rotate(&lab, "second").await;
    lab.apply(&statements::groups(json!([statements::editor("Timbr Editors")]))).await;
    rotated(&lab, &before).await;
    let both = [&lab.account, &other];
    let quiet = async || {
        let mut last = 0;
        eventually("both are done", SOON, async || {
            tokio::time::sleep(A_WHILE).await;
            let mut now = api.received().len();
            for account in both {
                now += lab.plane.audit().writes_of(&account.username).await.without_leases().len();
            }
            let is_quiet = now == last;
            last = now;
            is_quiet
        })
        .await;
    };
    quiet().await;
    leads(&one).await;
    leads(&two).await;
    assert_eq!(rollouts(&before, &lab.get(PLATFORM).await), 1);
    let sends = [&one, &two].map(|operator| operator.process.stderr().matches("statement sent to Timbr").count());
    println!("two leaders: one rollout, statements sent by each: {sends:?}");
    assert!(sends.iter().all(|sends| *sends <= 4), "{sends:?}");
    assert_eq!(api.received().len(), sends.iter().sum::<usize>());
    let mut written = Vec::new();
    for (account, what) in both.into_iter().zip(["one", "the other"]) {
        let writes = lab.writes_of(account).await;
        println!("writes of {what}: {:?}", tally(&writes));
        written.extend(writes);
    }
    // Two Deployments once each, and the rotation; of Secrets one a content.
    assert_eq!(written.clone().of("secrets").succeeded().len(), 1 + 3, "{:?}", tally(&written));
    assert!(written.clone().of("deployments").len() <= 2 * (3 + 4), "{:?}", tally(&written));
    let statuses = written.iter().filter(|write| write.subresource == "status").count();
    assert!(statuses <= 60, "{statuses}");

    // The end is that of one.
    api.recover();
    lab.kubectl(&["annotate", statements::RGS, "identity.timbr.ai/sync-requested-at=1"]).await;
    statements::mapped(&lab, "editor", "Applied").await;
    quiet().await;
    proxy.pass();
    log(&one, "leading no more").await;
    let (spec, status) = (lab.get(PLATFORM).await["spec"].clone(), lab.get(SSO).await["status"].clone());
    one.stop().await;
    let looks = two.looked(0).await;
    lab.kubectl(&["annotate", SSO, "identity.timbr.ai/reconcile-requested-at=now"]).await;
    two.looked(looks + 1).await;
    assert_eq!((&lab.get(PLATFORM).await["spec"], &lab.get(SSO).await["status"]), (&spec, &status));
    assert_eq!(condition(&lab.get(statements::RGS).await, "Ready")["status"], "True");
    assert_eq!(api.violations(), [] as [&str; 0]);
    two.stop().await;
}

#[tokio::test]
async fn a_lease_that_a_person_takes_away_stops_the_writes_until_it_is_over() {
    let lab = Lab::with_sso("taken").await;
    let operator = lab.start_with(lab.account.kubeconfig.clone(), &LEASE).await;
    lab.wait(SSO, "Ready").await;
    operator.looked(1).await;
    let taken = Timestamp::now();
    let patch = json!({"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 8}}).to_string();
    lab.kubectl(&["patch", "lease/timbr-identity-operator", "--type=merge", "-p", &patch]).await;
    log(&operator, "leading no more").await;
    let written = lab.writes().await.len();
    assert!(verbose(&operator).await.starts_with("[ ] leadership: somebody has the lease; "));
    let before = rotate(&lab, "second").await;
    rotated(&lab, &before).await;
    // It was taken again when it was over, 8 seconds and 1 after it was seen, and before anything else.
    let renewals = leases(&lab, &lab.account).await;
    let again = renewals.windows(2).map(|pair| (pair[1], pair[1].duration_since(pair[0]))).max_by_key(|(_, gap)| *gap);
    let (again, _) = again.expect("renewals");
    println!("taken again {:#} after it was taken away", again.duration_since(taken));
    assert!(again.duration_since(taken) >= SignedDuration::from_secs(9));
    let since = lab.writes().await.split_off(written);
    assert!(!since.is_empty() && since.iter().all(|write| at(write) >= again), "{again} {since:?}");
    assert_eq!(rollouts(&before, &lab.get(PLATFORM).await), 1);
    assert_eq!(lease(&lab).await["leaseTransitions"], 1);
    operator.stop().await;
}

/// A person's label, and even a deletion, are no hand-over.
#[tokio::test]
async fn a_lease_that_is_touched_or_deleted_is_renewed_all_the_same() {
    let lab = Lab::with_sso("touched").await;
    let operator = lab.start_with(lab.account.kubeconfig.clone(), &LEASE).await;
    lab.wait(SSO, "Ready").await;
    let holder = lease(&lab).await["holderIdentity"].clone();
    lab.kubectl(&["label", "lease/timbr-identity-operator", "theirs=kept"]).await;
    let renewed = lease(&lab).await["renewTime"].clone();
    eventually("it is renewed", SOON, async || lease(&lab).await["renewTime"] != renewed).await;
    let there = lab.get("lease/timbr-identity-operator").await;
    assert_eq!(there["metadata"]["labels"]["theirs"], "kept");
    lab.kubectl(&["delete", "lease/timbr-identity-operator"]).await;
    eventually("it is made anew", SOON, async || {
        let found = lab.kubectl(&["get", "lease", "timbr-identity-operator", "--ignore-not-found", "-o", "name"]).await;
        !found.is_empty()
    })
    .await;
    assert_eq!(lease(&lab).await["holderIdentity"], holder);
    let before = rotate(&lab, "second").await;
    rotated(&lab, &before).await;
    assert!(!operator.process.stderr().contains("leading no more"));
    operator.stop().await;
}

#[tokio::test]
async fn a_leader_that_cannot_renew_stops_by_itself() {
    let lab = Lab::with_sso("unrenewed").await;
    let proxy = lab.plane.proxy();
    let operator = lab.start_with(lab.account.kubeconfig_at(proxy.url()), &LEASE).await;
    lab.wait(SSO, "Ready").await;
    operator.looked(1).await;
    proxy.count(|call| call.resource == "leases");
    proxy.on_write(|_| Action::Refuse(503, None));
    let line = log(&operator, "leading no more").await;
    assert!(line.contains("the lease could not be renewed in time"), "{line}");
    let written = lab.writes().await.len();
    let before = rotate(&lab, "second").await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(lab.writes().await.len(), written);
    assert_eq!(rollouts(&before, &lab.get(PLATFORM).await), 0);
    assert_eq!(get(&format!("{}/readyz", operator.health)).await, Ok((200, "ready\n".to_owned())));
    proxy.pass();
    rotated(&lab, &before).await;
    assert_eq!(rollouts(&before, &lab.get(PLATFORM).await), 1);
    operator.stop().await;
}

#[tokio::test]
async fn without_the_right_to_the_lease_it_says_so_and_writes_nothing() {
    let lab = Lab::with_sso("rightless").await;
    let account = lab.another_account("rightless").await;
    let operator = lab.start_with(account.kubeconfig.clone(), &LEASE).await;
    let line = log(&operator, "the lease cannot be had, trying again").await;
    let fix = "; grant the operator's ServiceAccount get, create and update on leases (coordination.k8s.io) in its own namespace, as deploy/rbac.yaml does";
    assert!(line.contains(fix), "{line}");
    let told = verbose(&operator).await;
    let beginning =
        format!("[ ] leadership: Lease {}/timbr-identity-operator may not be read or written (", lab.namespace);
    assert!(told.starts_with(&beginning) && told.contains(fix), "{told}");
    assert_eq!(get(&format!("{}/readyz", operator.health)).await, Ok((200, "ready\n".to_owned())));
    tokio::time::sleep(A_WHILE).await;
    // Of the key of names any replica makes the first.
    let writes = lab.plane.audit().writes_of(&account.username).await;
    assert!(writes.iter().all(|write| write.name == "timbr-identity-name-key"), "{writes:?}");
    assert!(operator.process.stderr().matches("the lease cannot be had").count() == 1, "said once");
    lab.grant_own(&account).await;
    lab.wait(SSO, "Ready").await;
    operator.stop().await;
}

/// Of a cluster that enforces Pod Security, which the manifest asks for.
#[tokio::test]
async fn the_manifest_is_taken_without_a_warning() {
    let plane = testkit::ControlPlane::shared().await;
    plane.kubectl(&["create", "namespace", "timbr"], None).await.ok();
    for file in ["deploy/rbac.yaml", "deploy/namespaced/rbac.yaml", "deploy/timbr-identity-operator.yaml"] {
        let output = plane.kubectl(&["apply", "--validate=strict", "-f", file], None).await;
        assert!(output.status.success() && output.stderr.is_empty(), "{}", output.stderr);
        println!("{}", output.stdout);
    }
    plane.kubectl(&["delete", "deployment", "--all", "-n", "timbr-identity-system"], None).await.ok();
}
