//! What is removed opens nothing: it is recorded by which access policies a namespace's Timbr is guarded.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value as Json, json};
use timbr_identity::{
    api::{ANNOTATION_GUARDS, Kind, PolicyTarget, Resource, Spec, Status},
    compose::{Access, Failure, InstallationKey, Lookup, Mail, Memory, compose, live_guards, statuses},
    policy::{Caller, Workload, decide},
};

use crate::{
    fixtures::{at, deployment, key, verdict},
    kinds::{installation, resource},
    world::{World, recorded},
};

const API: &str = "timbr-api";

fn policy(name: &str, more: Json) -> Resource<Spec> {
    let mut spec = json!({"target": "Api", "inbound": {"rules": [{"application": "orders"}]}});
    for (field, value) in more.as_object().expect("fields") {
        spec[field] = value.clone();
    }
    resource(Kind::InboundAccessPolicy, name, 0, spec)
}

fn enforced(name: &str) -> Resource<Spec> {
    policy(name, json!({}))
}

fn audit(name: &str) -> Resource<Spec> {
    policy(name, json!({"enforcement": "Audit"}))
}

fn spoilt(name: &str) -> Resource<Spec> {
    policy(name, json!({"inbound": {"rules": [{"application": "a b"}]}}))
}

fn unreadable(name: &str) -> Resource<Spec> {
    policy(name, json!({"target": 7}))
}

fn moved(name: &str) -> Resource<Spec> {
    policy(name, json!({"target": "Server"}))
}

/// A namespace with timbr-api and these policies.
fn world(resources: Vec<Resource<Spec>>) -> World {
    let mut world = World { resources, ..World::default() };
    world.deployments.insert(API.to_owned(), Lookup::Found(deployment("timbr-api", &[("LOG", "info")])));
    world
}

/// What is recorded.
fn record(world: &World) -> String {
    world.guards.as_ref().map(|live| live.guards.write()).unwrap_or_default()
}

/// Who comes in: what is said of an application that no rule names.
fn stranger(world: &World) -> String {
    let snapshot = world.snapshot(&key(None));
    let access = Access::of(&snapshot);
    let workload = Workload { application: Some("other".to_owned()), namespace: "shop".to_owned(), cluster: None };
    decide(&access.trust, PolicyTarget::Api, &access.policies, &Caller::Workload(workload)).code.as_str().to_owned()
}

fn status(world: &World, key: &InstallationKey, name: &str) -> Status {
    let said = statuses(&world.plan(key), &BTreeMap::new(), Memory::Whole, &Mail::default(), at(9));
    said.statuses.into_iter().find(|it| it.meta.name == name).expect("a status").status
}

#[test]
fn it_is_recorded_once_and_no_deployment_is_touched() {
    let mut world = world(vec![enforced("a"), enforced("b"), audit("c"), moved("d")]);
    assert_eq!(world.guard(&key(None)), [r#"record {"Api":["a","b"],"Server":["d"]}"#]);
    assert_eq!(world.guard(&key(None)), [] as [&str; 0]);
    let looks = world.look(at(60));
    assert!(looks.iter().all(|look| look.steps.is_empty()), "{looks:?}");
}

#[test]
fn only_who_says_audit_opens_the_door() {
    const SHUT: &str = r#"{"Api":["a"]}"#;
    type Row<'a> = (&'a str, Vec<Resource<Spec>>, &'a str, &'a str);
    let rows: [Row<'_>; 8] = [
        ("removed", vec![], SHUT, "policy_removed"),
        ("spoilt", vec![spoilt("a")], SHUT, "policy_not_accepted"),
        ("unreadable", vec![unreadable("a")], SHUT, "policy_not_accepted"),
        ("moved", vec![moved("a")], r#"{"Api":["a"],"Server":["a"]}"#, "policy_removed"),
        ("another", vec![enforced("b")], r#"{"Api":["b"]}"#, "no_rule_matched"),
        ("audit", vec![audit("a")], "", "audit_only"),
        ("removed, and another only watches", vec![audit("b")], SHUT, "no_rule_matched"),
        ("suspended", vec![policy("a", json!({"suspend": true}))], SHUT, "no_rule_matched"),
    ];
    for (what, resources, expected, code) in rows {
        let mut world = world(vec![enforced("a")]);
        world.look(at(0));
        world.resources = resources;
        // At once, and after another look.
        for second in [60, 120] {
            assert_eq!(stranger(&world), code, "{what}");
            world.look(at(second));
            assert_eq!(record(&world), expected, "{what}");
        }
        if what == "audit" {
            world.resources.clear();
            world.look(at(180));
            assert_eq!(stranger(&world), "no_policy");
        }
        // Wherever Timbr's Deployments are by now, and whatever was done to them.
        world.deployments.clear();
        world.installations = vec![installation("main", json!({"components": {"api": {"deployment": "new"}}}))];
        world.look(at(240));
        let expected = if what == "audit" { "" } else { expected };
        assert_eq!(record(&world), expected, "{what}");
    }
}

/// One that is spoilt while another enforces, and deleted after that one opened.
#[test]
fn what_is_there_and_has_no_word_is_kept_in_mind() {
    for silent in [spoilt("b"), unreadable("b")] {
        let mut world = world(vec![enforced("a"), enforced("b")]);
        world.look(at(0));
        world.resources = vec![enforced("a"), silent.clone()];
        world.look(at(60));
        assert_eq!(record(&world), r#"{"Api":["a","b"]}"#);
        world.resources = vec![audit("a"), silent];
        world.look(at(120));
        world.resources = vec![audit("a")];
        world.look(at(180));
        assert_eq!((record(&world).as_str(), stranger(&world).as_str()), (r#"{"Api":["b"]}"#, "no_rule_matched"));
    }
}

/// Whoever mistypes a policy, and takes it away again, has shut nothing.
#[test]
fn what_was_never_accepted_is_not_recorded() {
    for never in [spoilt("a"), unreadable("a")] {
        let mut world = world(vec![never]);
        world.look(at(0));
        assert_eq!((record(&world).as_str(), stranger(&world).as_str()), ("", "policy_not_accepted"));
        world.resources.clear();
        world.look(at(60));
        assert_eq!(stranger(&world), "no_policy");
    }
}

#[test]
fn what_cannot_be_read_any_more_keeps_everything_shut() {
    let mut world = world(vec![enforced("a")]);
    world.look(at(0));
    world.resources.clear();
    world.guards = Some(recorded("{"));
    assert_eq!(stranger(&world), "policy_removed");
    let told = "what Secret timbr-identity-guards says of Server cannot be read, so it stays shut to whoever no policy admits; delete Secret timbr-identity-guards: what policies say is recorded anew";
    let steps = world.guard(&key(None));
    assert_eq!(steps, [r#"record {"Api":["?"],"Platform":["?"],"Server":["?"]}"#]);
    assert!(format!("{:?}", world.guards).contains(told));
    // A policy that says what holds puts it right, of its component; and it can be deleted.
    world.resources = vec![enforced("a")];
    assert_eq!(world.guard(&key(None)), [r#"record {"Api":["a"],"Platform":["?"],"Server":["?"]}"#]);
    world.guards = None;
    assert_eq!(world.guard(&key(None)), [r#"record {"Api":["a"]}"#]);
    // A label that somebody took is put back.
    world.guards = Some(live_guards(&ObjectMeta {
        annotations: Some(BTreeMap::from([(ANNOTATION_GUARDS.to_owned(), r#"{"Api":["a"]}"#.to_owned())])),
        resource_version: Some("1".to_owned()),
        ..Default::default()
    }));
    assert_eq!(world.guard(&key(None)), [r#"record {"Api":["a"]}"#]);
}

#[test]
fn what_keeps_a_component_shut_is_told() {
    let mut world = world(vec![enforced("a")]);
    let (main, implicit) = (key(Some("main")), key(None));
    world.installations = vec![installation("main", json!({}))];
    world.look(at(0));
    let problems = |world: &World| {
        let status = status(world, &main, "main");
        status.common().problems.iter().map(|it| (it.code.clone(), it.message.clone())).collect::<Vec<_>>()
    };
    assert_eq!(problems(&world), []);
    world.resources.clear();
    let expected = "InboundAccessPolicy a was deleted, or guards another component now, and Api stays shut to whoever no other policy admits: what is removed opens nothing; to open it, make a policy of that name for Api with enforcement: Audit, and delete it once it is Ready; or delete Secret timbr-identity-guards";
    assert_eq!(problems(&world), [("PolicyRemoved".to_owned(), expected.to_owned())]);
    // It is noted on the record too, once, whoever looks first: there may be no TimbrInstallation.
    assert_eq!(world.guard(&implicit), [r#"record {"Api":["a"]}"#]);
    let noted = format!("{:?}", world.guards);
    assert!(noted.contains(&format!("note: Some({expected:?})")), "{noted}");
    assert_eq!((world.guard(&implicit), world.guard(&main)), (vec![], vec![]));
    world.resources = vec![enforced("b")];
    assert_eq!(world.guard(&main), [r#"record {"Api":["b"]}"#]);
    assert!(format!("{:?}", world.guards).contains("note: None"));
    assert_eq!(problems(&world), []);
}

/// Ready means that it can be deleted, as the refusals say: of whichever installation it is.
#[test]
fn a_policy_is_not_ready_before_it_is_recorded() {
    let world = world(vec![enforced("a")]);
    let told = |change: &dyn Fn(&mut timbr_identity::compose::Snapshot)| {
        let mut snapshot = world.snapshot(&key(None));
        change(&mut snapshot);
        let plan = compose(&snapshot);
        let said = statuses(&plan, &BTreeMap::new(), Memory::Whole, &Mail::default(), at(9)).statuses;
        let common = said[0].status.common();
        let message = crate::fixtures::condition(common, "Ready").map(|it| it.message.clone()).unwrap_or_default();
        let all = ["Delivered", "Ready", "Reconciling", "Stalled"].map(|type_| verdict(common, type_));
        (all, message, plan.guards.is_some())
    };
    let pending = ["", "Unknown/Pending", "True/Progressing", ""].map(str::to_owned);
    let (all, message, is_planned) = told(&|_| ());
    assert_eq!((&all, is_planned), (&pending, true));
    assert_eq!(message, "Secret timbr-identity-guards does not say yet by which policies Timbr is guarded");

    let fails = |failure: Failure| {
        told(&move |snapshot| {
            drop(snapshot.unguarded.insert("Secret timbr-identity-guards".to_owned(), failure.clone()))
        })
    };
    let (all, message, _) = fails(Failure::Transient("no answer".to_owned()));
    assert_eq!((all, message.as_str()), (pending, "Secret timbr-identity-guards: no answer; trying again"));
    let stalled = |reason: &str| {
        let no = format!("False/{reason}");
        [no.clone(), no, "False/Settled".to_owned(), format!("True/{reason}")]
    };
    let (all, message, _) = fails(Failure::Forbidden("no right".to_owned()));
    assert_eq!((all, message.as_str()), (stalled("Forbidden"), "Secret timbr-identity-guards: no right"));
    let (all, message, is_planned) = told(&|snapshot| snapshot.guards = Some(Lookup::Forbidden));
    assert_eq!((all, is_planned), (stalled("Forbidden"), false));
    assert!(message.contains("may not read Secrets in namespace timbr"), "{message}");
    let theirs = live_guards(&Default::default());
    let (all, message, is_planned) = told(&|snapshot| snapshot.guards = Some(Lookup::Found(theirs.clone())));
    assert_eq!((all, is_planned), (stalled("Conflict"), false));
    assert!(message.starts_with("Secret timbr-identity-guards is in the way: "), "{message}");
}

proptest! {
    /// Whatever is done to policies, in whichever order: a stranger comes in only once somebody has said so.
    #[test]
    fn nobody_comes_in_before_somebody_says_so(acts in vec((select(vec!["a", "b"]), 0..5_usize), 1..12)) {
        let mut world = world(vec![]);
        // Which names guard it, as a person would keep it in mind.
        let mut closing: Vec<&str> = vec![];
        let mut was_shut = false;
        for (second, (name, act)) in acts.into_iter().enumerate() {
            world.resources.retain(|it| it.meta.name != name);
            let is_audit = act == 1;
            match act {
                0 => world.resources.push(enforced(name)),
                1 => world.resources.push(audit(name)),
                2 => world.resources.push(spoilt(name)),
                3 => world.resources.push(unreadable(name)),
                _ => {}
            }
            let shut = !matches!(stranger(&world).as_str(), "no_policy" | "audit_only");
            if was_shut && !shut {
                prop_assert!(is_audit || closing.is_empty(), "{name} {act}: {closing:?}");
            }
            closing.retain(|it| *it != name || !is_audit);
            let enforces = |it: &Resource<Spec>| it.spec == enforced(&it.meta.name).spec;
            if world.resources.iter().any(enforces) {
                // What is gone is over once another one guards it.
                closing.retain(|it| world.resources.iter().any(|there| there.meta.name == *it));
            }
            if act == 0 {
                closing.push(name);
            }
            world.look(at(i64::try_from(second).expect("a second")));
            was_shut = shut;
        }
    }
}
