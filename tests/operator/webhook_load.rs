//! The webhook under load: while certificates change, and while a replica dies.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use k8s_openapi::api::batch::v1::CronJob;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use testkit::ControlPlane;
use tokio::task::JoinSet;

use crate::{
    harness::{LEASE, Lab},
    shop::{Stage, own_plane_without_controllers},
};

/// Applies that are under way at once.
const AT_ONCE: usize = 16;

/// What the API server counts of its webhooks, by the name of the counter and what it is called with.
async fn counters(plane: &ControlPlane) -> BTreeMap<String, u64> {
    let text = plane.kubectl(&["get", "--raw", "/metrics"], None).await.ok();
    let of_webhooks = text.lines().filter(|line| line.starts_with("apiserver_admission_webhook_"));
    let counts = of_webhooks.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let is_counter =
            name.split('{').next().is_some_and(|name| name.ends_with("_total") || name.ends_with("_count"));
        Some((name.to_owned(), value.parse().ok().filter(|_| is_counter)?))
    });
    counts.collect()
}

/// How often the API server could not ask the webhook: refused for that, and let pass for that.
fn failures(counters: &BTreeMap<String, u64>) -> u64 {
    let is_failure = |name: &str| {
        name.starts_with("apiserver_admission_webhook_fail_open_count{")
            || (name.starts_with("apiserver_admission_webhook_rejection_count{")
                && name.contains("calling_webhook_error"))
    };
    counters.iter().filter(|(name, _)| is_failure(name)).map(|(_, count)| count).sum()
}

#[tokio::test]
async fn nobody_notices_that_certificates_change() {
    // How many there are is the machine's business, which has other tests to run.
    assert!(applies_while_certificates_change().await > 0);
}

/// Must show 2.
#[tokio::test]
#[ignore = "needs the machine for itself"]
async fn nobody_notices_that_certificates_change_at_200_applies_a_second() {
    let applies = applies_while_certificates_change().await;
    assert!(applies >= 200 * 60, "{applies}");
}

/// How many applies of consumers succeed within a minute in which certificate and authority change: all that are sent.
async fn applies_while_certificates_change() -> usize {
    let plane = own_plane_without_controllers().await;
    let lab = Lab::on(plane, "rotation").await;
    let stage = Stage::of(lab, "Fail", 2, &["--webhook-certificate-life=24s"]).await;
    stage.apply(&stage.policy(json!([{"application": "*", "namespace": stage.shop}]))).await;
    let before = counters(plane).await;
    let end = Instant::now() + Duration::from_secs(60);
    let done = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for task in 0..AT_ONCE {
        let jobs: Api<CronJob> = Api::namespaced(plane.admin(), &stage.shop);
        let mut consumer = stage.consumer("CronJob", &format!("orders-{task}"));
        let done = Arc::clone(&done);
        tasks.spawn(async move {
            let params = PatchParams::apply("load").force();
            for round in 0.. {
                if Instant::now() > end {
                    break;
                }
                consumer["metadata"]["annotations"] = json!({"round": round.to_string()});
                let name = consumer["metadata"]["name"].as_str().expect("a name").to_owned();
                jobs.patch(&name, &params, &Patch::Apply(&consumer)).await.expect("it is applied");
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("every apply succeeds");
    }
    let after = counters(plane).await;
    let log: String = stage.operators.iter().map(|operator| operator.process.stderr()).collect();
    let renewed = |step: &str| log.matches(&format!("\"step\":\"{step}\"")).count();
    let (applies, signed, authorities) = (done.load(Ordering::Relaxed), renewed("Sign"), renewed("AddAuthority"));
    println!(
        "{applies} applies in 60 s ({} a second), {signed} certificates and {authorities} authorities, {} failures before and {} after",
        applies / 60,
        failures(&before),
        failures(&after)
    );
    assert!(signed >= 2 && authorities >= 1 && renewed("Forget") >= 1, "{signed} {authorities}\n{log}");
    assert_eq!(failures(&after), failures(&before));
    assert_eq!(failures(&before), 0);
    applies
}

/// Who is let in when a replica dies: of requests of somebody who is on no list, when each was sent and whether it was
/// let pass.
async fn kill_one(failure_policy: &str) -> (Instant, Vec<(Instant, Instant, Outcome)>) {
    let plane = own_plane_without_controllers().await;
    let lab = Lab::on(plane, "killed").await;
    let stage = Stage::of(lab, failure_policy, 2, &LEASE).await;
    stage.apply(&stage.policy(json!([]))).await;
    let consumer = Arc::new(stage.consumer("CronJob", "orders"));
    let (start, whole) = (Instant::now(), Duration::from_secs(8));
    let mut tasks: JoinSet<Vec<(Instant, Instant, Outcome)>> = JoinSet::new();
    for task in 0..AT_ONCE {
        let jobs: Api<CronJob> = Api::namespaced(plane.admin(), &stage.shop);
        let consumer = Arc::clone(&consumer);
        tasks.spawn(async move {
            let params = PatchParams { dry_run: true, ..PatchParams::apply("load").force() };
            let mut seen = Vec::new();
            while start.elapsed() < whole {
                let sent = Instant::now();
                let answer = jobs.patch(&format!("orders-{task}"), &params, &Patch::Apply(&of(&consumer, task))).await;
                seen.push((sent, Instant::now(), Outcome::of(answer.map(|_| ()))));
            }
            seen
        });
    }
    tokio::time::sleep(whole / 2).await;
    let killed = Instant::now();
    stage.operators[0].process.kill();
    let seen = tasks.join_all().await.concat();
    (killed, seen)
}

fn of(consumer: &Value, task: usize) -> Value {
    let mut consumer = consumer.clone();
    consumer["metadata"]["name"] = json!(format!("orders-{task}"));
    consumer
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    LetPass,
    NotAsked,
}

impl Outcome {
    fn of(answer: kube::Result<()>) -> Self {
        match answer {
            Ok(()) => Outcome::LetPass,
            Err(kube::Error::Api(status)) if status.message.contains("may not use Api") => Outcome::Refused,
            Err(kube::Error::Api(status)) if status.message.contains("failed calling webhook") => Outcome::NotAsked,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Must show 3.
#[tokio::test]
async fn a_replica_that_dies_lets_pass_no_more_than_was_under_way() {
    let (killed, seen) = kill_one("Ignore").await;
    let passed: Vec<_> = seen.iter().filter(|(.., outcome)| *outcome == Outcome::LetPass).collect();
    let late = passed.iter().filter(|(sent, ..)| *sent > killed + Duration::from_secs(1)).count();
    let early = passed.iter().filter(|(_, answered, _)| *answered < killed).count();
    println!("Ignore: {} requests, {} let pass when one of two died, {late} a second later", seen.len(), passed.len());
    assert!(seen.len() > 100, "{}", seen.len());
    assert!(passed.len() <= AT_ONCE, "{}", passed.len());
    assert_eq!((early, late), (0, 0));
    assert!(seen.iter().any(|(sent, _, outcome)| *sent > killed && *outcome == Outcome::Refused));
}

/// Must show 3, the end.
#[tokio::test]
async fn with_fail_nobody_is_let_pass_when_a_replica_dies() {
    let (killed, seen) = kill_one("Fail").await;
    let count = |wanted: &Outcome| seen.iter().filter(|(.., outcome)| outcome == wanted).count();
    let late = seen
        .iter()
        .filter(|(sent, _, outcome)| *sent > killed + Duration::from_secs(1) && *outcome != Outcome::Refused);
    println!(
        "Fail: {} requests, {} let pass, {} could not be asked about",
        seen.len(),
        count(&Outcome::LetPass),
        count(&Outcome::NotAsked)
    );
    assert!(seen.len() > 100, "{}", seen.len());
    assert_eq!(count(&Outcome::LetPass), 0);
    assert!(count(&Outcome::NotAsked) <= AT_ONCE);
    assert_eq!(late.count(), 0);
}
