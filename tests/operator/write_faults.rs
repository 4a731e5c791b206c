//! Every fault of every write that the operator sends is overcome: it ends as if there had been none.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use serde_json::Value;
use testkit::{Action, eventually, proxy::Call};

use crate::{
    harness::SOON,
    story::{End, FAST, Story, Told},
};

/// Makes what is done to one request.
type Fault = fn() -> Action;

/// What the network and the API server do to a request, and whether it was carried out all the same.
const FAULTS: [(&str, Fault); 8] = [
    ("409", || Action::Refuse(409, None)),
    ("429 with Retry-After", || Action::Refuse(429, Some(1))),
    ("500", || Action::Refuse(500, None)),
    ("503", || Action::Refuse(503, None)),
    ("reset", || Action::Reset),
    ("lost answer", || Action::Lose),
    ("duplicated", || Action::Duplicate),
    // Longer than the operator waits for an answer: it arrives when something else was done long since.
    ("delayed by 10 s", || Action::Delay(Duration::from_secs(10))),
];

/// Stories in which every kind of write occurs.
const STORIES: [Story; 4] = [Story::Rotation, Story::AdoptAndRelease, Story::CleanUp, Story::Reference];

/// Every kind of write there is. One that is in no story, or a new one, fails the test.
const KINDS: [&str; 20] = [
    "Deployment: apply",
    "Deployment: apply (adoption)",
    "Deployment: apply (release)",
    "Deployment: exchange (adoption)",
    "Deployment: exchange (release)",
    "Deployment: managed fields (adoption)",
    "Deployment: managed fields (release)",
    "Deployment: record",
    "Event: create",
    "Lease: create",
    "Lease: replace",
    "Secret that charts name: create",
    "Secret that charts name: delete",
    "Secret that charts name: emptied",
    "Secret that charts name: patch",
    "Secret: create",
    "Secret: delete",
    "name key: create",
    "status of azuressos: apply",
    "status of timbrinstallations: apply",
];

/// A lease that is soon over, when it is the lease that has a fault; but not so soon that a busy machine ends it.
const LEASE: [&str; 4] =
    ["--lease-duration=6s", "--lease-renew-deadline=4s", "--lease-retry=500ms", "--lease-margin=3s"];
/// How often a row's fault strikes: the first try and the one after it.
const STRIKES: usize = 2;
/// Writes of a kind that may come on top of those of the reference run and those that were struck: statuses that tell
/// of trouble, and requests that the Deployment's own controller was quicker than.
const MORE: usize = 6;
/// Stories that are told at the same time.
const AT_ONCE: usize = 12;

/// Which kind of write it is.
fn kind(story: Story, chapter: &str, call: &Call) -> String {
    let body = &call.body.0;
    match (call.resource.as_str(), call.verb.as_str()) {
        ("leases", "update") => "Lease: replace".to_owned(),
        ("leases", verb) => format!("Lease: {verb}"),
        ("events", verb) => format!("Event: {verb}"),
        ("secrets", verb) => match call.name.as_str() {
            "timbr-identity-name-key" => format!("name key: {verb}"),
            "timbr-platform-identity" => {
                let is_emptied = body["data"].as_object().is_some_and(|data| data.values().all(Value::is_null));
                let what = if verb == "patch" && is_emptied { "emptied" } else { verb };
                format!("Secret that charts name: {what}")
            }
            _ => format!("Secret: {verb}"),
        },
        ("deployments", "patch") => {
            let what = deployment(body);
            match (story, chapter) {
                _ if what == "record" => "Deployment: record".to_owned(),
                (Story::AdoptAndRelease, "release") => format!("Deployment: {what} (release)"),
                (Story::AdoptAndRelease, _) => format!("Deployment: {what} (adoption)"),
                _ => format!("Deployment: {what}"),
            }
        }
        (resource, "patch") if call.subresource == "status" => format!("status of {resource}: apply"),
        (resource, verb) => format!("{resource}/{}: {verb}", call.subresource),
    }
}

/// Which of the requests about a Deployment it is.
fn deployment(body: &Value) -> &'static str {
    let is_of_managed_fields = |step: &Value| {
        let path = step["path"].as_str().unwrap_or_default();
        path == "/metadata/generation" || path.starts_with("/metadata/managedFields/")
    };
    let annotation = body["metadata"]["annotations"]["identity.timbr.ai/delivered"].as_str().unwrap_or_default();
    match body.as_array() {
        Some(steps) if steps.iter().all(is_of_managed_fields) => "managed fields",
        Some(_) => "exchange",
        None if body["spec"].is_null() && annotation.contains("displaced") => "record",
        None => "apply",
    }
}

/// How often each kind of write was sent.
type Sent = BTreeMap<String, usize>;

/// Tells a story in which a fault strikes a kind of write; `None` is the reference run. Returns how it ended, what was
/// sent, and how often the fault struck.
async fn run(story: Story, fault: Option<(&'static str, Fault)>) -> (End, Sent, usize) {
    let (struck, sent) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Mutex::new(Sent::new())));
    let Told { end, .. } = story
        .tell(async |lab, proxy, script, chapter| {
            let (chapter, struck, sent) = (chapter.clone(), Arc::clone(&struck), Arc::clone(&sent));
            proxy.count(|_| true);
            proxy.on_write(move |call| {
                let kind = kind(story, chapter.now(), call);
                let is_struck = fault.filter(|(on, _)| *on == kind && struck.load(Ordering::SeqCst) < STRIKES);
                *sent.lock().expect("a count").entry(kind).or_default() += 1;
                is_struck.map_or(Action::Pass, |(_, action)| {
                    struck.fetch_add(1, Ordering::SeqCst);
                    action()
                })
            });
            let flags: Vec<&str> = LEASE.into_iter().chain([FAST]).collect();
            let operator = lab.launch(lab.account.kubeconfig_at(proxy.url()), &flags).await;
            script.await;
            // What is late has to arrive, and be mended, before the end is looked at.
            eventually("nothing is under way", SOON, async || proxy.under_way() == 0).await;
            story.is_told(lab).await;
            operator
        })
        .await;
    let sent = sent.lock().expect("a count").clone();
    (end, sent, struck.load(Ordering::SeqCst))
}

#[tokio::test]
async fn each_fault_of_each_write_is_overcome() {
    let begun = Instant::now();
    let mut rows: BTreeMap<&'static str, Story> = BTreeMap::new();
    let references: Vec<(Story, (End, Sent, usize))> =
        futures::stream::iter(STORIES).map(async |story| (story, run(story, None).await)).buffered(4).collect().await;
    let mut seen = BTreeSet::new();
    for (story, (end, sent, _)) in &references {
        assert_eq!(end.replica_sets(), story.replica_sets(), "{end:#?}");
        println!("{story:?}: the reference run sent {sent:?}");
        for kind in sent.keys() {
            seen.insert(kind.as_str());
            if let Some(kind) = KINDS.iter().find(|there| *there == kind) {
                rows.entry(kind).or_insert(*story);
            }
        }
    }
    assert_eq!(seen, KINDS.into(), "every kind of write is a row, and occurs");

    let references: BTreeMap<Story, (End, Sent, usize)> = references.into_iter().collect();
    let tries = rows.iter().flat_map(|(kind, story)| FAULTS.map(|(fault, action)| (*kind, *story, fault, action)));
    let tries: Vec<_> = tries.collect();
    let count = tries.len();
    let ends: Vec<_> = futures::stream::iter(tries)
        .map(async |(kind, story, fault, action)| {
            let (end, sent, struck) = run(story, Some((kind, action))).await;
            (format!("{fault} on {kind}, {story:?}"), kind, story, end, sent, struck)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut wrong = Vec::new();
    let mut most: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (what, kind, story, end, sent, struck) in ends {
        let (reference, usual, _) = &references[&story];
        if struck == 0 || end != *reference {
            wrong.push(format!("{what}: struck {struck} times, {:#?}", end.differences(reference)));
        }
        // Of the lease the time that a story takes decides.
        for (other, times) in sent.iter().filter(|(other, _)| !other.starts_with("Lease")) {
            let expected = usual.get(other).copied().unwrap_or_default() + if other == kind { struck } else { 0 };
            let more = times.saturating_sub(expected);
            if more > MORE {
                wrong.push(format!("{what}: {times} times {other}, {expected} expected"));
            }
            if most.get(other).is_none_or(|(most, _)| *most < more) {
                most.insert(other.clone(), (more, what.clone()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    println!("{} kinds of write, {} faults: {count} runs ended as the reference run", KINDS.len(), FAULTS.len());
    println!("most writes of a kind beyond the reference run and the {STRIKES} that were struck: {most:?}");
    println!("took {:?}", begun.elapsed());
}
