//! What is removed opens nothing: the component's Deployment remembers by which access policies it is guarded.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use timbr_identity::{
    api::{Kind, PolicyTarget, Resource, Spec},
    compose::{Access, Failure, InstallationKey, Lookup, Mail, Memory, Outcome, statuses},
    policy::{Caller, Workload, decide},
};

use crate::{
    fixtures::{at, azure_sso, azure_sso_spec, deployment, key, secret, verdict},
    kinds::{installation, resource},
    world::World,
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

/// A namespace with timbr-api and these policies.
fn world(resources: Vec<Resource<Spec>>) -> World {
    let mut world = World { resources, ..World::default() };
    world.deployments.insert(API.to_owned(), Lookup::Found(deployment("timbr-api", &[("LOG", "info")])));
    world
}

/// What timbr-api remembers.
fn remembered(world: &World) -> String {
    serde_json::to_string(&world.live(API).guards()).expect("JSON")
}

/// Who comes in: what is said of an application that no rule names.
fn stranger(world: &World, key: &InstallationKey) -> String {
    let snapshot = world.snapshot(key);
    let access = Access::of(&snapshot);
    let workload = Workload { application: Some("other".to_owned()), namespace: "shop".to_owned(), cluster: None };
    decide(&access.trust, PolicyTarget::Api, &access.policies, &Caller::Workload(workload)).code.as_str().to_owned()
}

#[test]
fn the_deployment_remembers_and_its_pods_are_not_replaced() {
    let mut world = world(vec![enforced("a"), enforced("b"), audit("c")]);
    let before = world.live(API).clone();
    let looks = world.look(at(0));
    assert_eq!(looks[0].steps, ["apply"]);
    let [plan] = looks[0].plan.deployments.as_slice() else { panic!("one plan") };
    assert_eq!((plan.changes_template, plan.secrets.len(), plan.containers.len()), (false, 0, 0));
    assert_eq!(
        plan.apply,
        Some(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": API, "namespace": "timbr", "uid": before.uid,
                "labels": {"identity.timbr.ai/managed": "true"},
                "annotations": {"identity.timbr.ai/delivered": r#"{"v":1,"vars":{},"guards":{"Api":["a","b"]}}"#},
            },
        }))
    );
    assert_eq!(world.live(API).containers, before.containers);
    let looks = world.look(at(60));
    assert!(looks[0].steps.is_empty() && looks[0].statuses.iter().all(|status| !status.is_news()));
}

#[test]
fn only_who_says_audit_opens_the_door() {
    type Row<'a> = (&'a str, Vec<Resource<Spec>>, &'a str, &'a str);
    let rows: [Row<'_>; 8] = [
        ("removed", vec![], r#"{"Api":["a"]}"#, "policy_removed"),
        ("spoilt", vec![spoilt("a")], r#"{"Api":["a"]}"#, "policy_not_accepted"),
        ("unreadable", vec![policy("a", json!({"target": 7}))], r#"{"Api":["a"]}"#, "policy_not_accepted"),
        ("moved", vec![policy("a", json!({"target": "Server"}))], r#"{"Api":["a"]}"#, "policy_removed"),
        ("another", vec![enforced("b")], r#"{"Api":["b"]}"#, "no_rule_matched"),
        ("audit", vec![audit("a")], "{}", "audit_only"),
        ("removed, and another only watches", vec![audit("b")], r#"{"Api":["a"]}"#, "no_rule_matched"),
        ("suspended", vec![policy("a", json!({"suspend": true}))], r#"{"Api":["a"]}"#, "no_rule_matched"),
    ];
    for (what, resources, expected, code) in rows {
        let mut world = world(vec![enforced("a")]);
        world.look(at(0));
        world.resources = resources;
        // At once, and after another look.
        for second in [60, 120] {
            assert_eq!(stranger(&world, &key(None)), code, "{what}");
            world.look(at(second));
            assert_eq!(remembered(&world), expected, "{what}");
        }
        if what == "audit" {
            world.resources.clear();
            world.look(at(180));
            assert_eq!(stranger(&world, &key(None)), "no_policy");
            assert_eq!((world.live(API).managed.clone(), world.live(API).delivered.clone()), (None, None));
        }
    }
}

/// Whoever mistypes a policy, and takes it away again, has shut nothing.
#[test]
fn what_was_never_accepted_is_not_remembered() {
    for never in [spoilt("a"), policy("a", json!({"target": 7}))] {
        let mut world = world(vec![never]);
        world.look(at(0));
        assert_eq!((remembered(&world).as_str(), stranger(&world, &key(None)).as_str()), ("{}", "policy_not_accepted"));
        world.resources.clear();
        world.look(at(60));
        assert_eq!(stranger(&world, &key(None)), "no_policy");
    }
}

#[test]
fn variables_come_and_go_beside_it() {
    let components = json!({"components": {
        "platform": {"deployment": "all", "container": "p"}, "api": {"deployment": "all", "container": "a"},
    }});
    let mut world = World {
        installations: vec![installation("main", components)],
        resources: vec![azure_sso("sso", Ok(azure_sso_spec())), enforced("a")],
        secrets: BTreeMap::from([("entra".to_owned(), Lookup::Found(secret(&[("client-secret", "s3cr3t")])))]),
        ..World::default()
    };
    let mut all = deployment("p", &[]);
    all.containers.extend(deployment("a", &[]).containers);
    world.deployments.insert("all".to_owned(), Lookup::Found(all));
    world.look(at(0));
    let delivered = world.live("all").delivered.clone().expect("our annotation");
    assert!(delivered.contains("AzureSso/sso") && delivered.contains(r#""guards":{"Api":["a"]}"#), "{delivered}");
    world.resources.remove(0);
    world.look(at(60));
    assert_eq!(
        world.live("all").delivered.as_deref(),
        Some(r#"{"v":1,"vars":{},"guards":{"Api":["a"]}}"#),
        "the variables are released"
    );
    // Suspended, it stays as it is.
    world.resources.clear();
    let mut suspended = installation("main", json!({"components": {"api": {"deployment": "all", "container": "a"}}}));
    suspended.spec.as_mut().expect("a spec").suspend = true;
    world.installations = vec![suspended];
    world.resources = vec![audit("a")];
    world.look(at(120));
    assert!(world.live("all").delivered.is_some());
}

#[test]
fn the_installation_tells_what_keeps_a_component_shut() {
    let mut world = world(vec![enforced("a")]);
    world.installations = vec![installation("main", json!({}))];
    world.look(at(0));
    let problems = |world: &mut World, second| {
        let looks = world.look(at(second));
        let said = looks.iter().flat_map(|look| &look.statuses).find(|it| it.meta.name == "main").expect("a status");
        let problems = said.status.common().problems.iter();
        problems.map(|problem| (problem.code.clone(), problem.message.clone())).collect::<Vec<_>>()
    };
    assert_eq!(problems(&mut world, 60), []);
    world.resources.clear();
    let expected = "InboundAccessPolicy a was deleted, and Api stays shut to whoever no other policy admits: what is removed opens nothing; to open it, make that policy anew with enforcement: Audit, and delete it once it is Ready";
    assert_eq!(problems(&mut world, 120), [("PolicyRemoved".to_owned(), expected.to_owned())]);
    world.resources = vec![enforced("b")];
    assert_eq!(problems(&mut world, 180), [], "another one guards it");
}

/// Ready means that it can be deleted, as the refusals say.
#[test]
fn a_policy_is_not_ready_before_its_component_remembers() {
    let world = world(vec![enforced("a")]);
    let plan = world.plan(&key(None));
    let ready = |outcome: Option<Outcome>| {
        let outcomes = outcome.map(|outcome| (API.to_owned(), outcome)).into_iter().collect();
        let said = statuses(&plan, &outcomes, Memory::Whole, &Mail::default(), at(9)).statuses;
        let common = said[0].status.common();
        let message = crate::fixtures::condition(common, "Ready").map(|it| it.message.clone());
        (verdict(common, "Ready"), message.unwrap_or_default())
    };
    let done = Outcome::Done { generation: 2, changed: false, rollout: crate::fixtures::complete(2) };
    assert_eq!(ready(Some(done)).0, "True/Ready");
    let failed = Outcome::Failed(Failure::Transient("no answer".to_owned()));
    let expected = ("Unknown/Pending".to_owned(), "Deployment timbr-api: no answer; trying again".to_owned());
    assert_eq!(ready(Some(failed)), expected);
}
