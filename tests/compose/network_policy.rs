//! The NetworkPolicies in front of Timbr's Deployments.

use serde_json::{Value as Json, json};
use timbr_identity::{
    api::{Kind, Resource, Spec, Status},
    compose::{Failure, InstallationKey, Lookup, Mail, Memory, NetworkStep, live_deployment, live_network, statuses},
};

use crate::{
    fixtures::{at, key, verdict},
    kinds::{installation, resource},
    world::{World, kept, recorded},
};

const NAME: &str = "timbr-api-identity";

/// An access policy of timbr-api with a NetworkPolicy.
fn policy(name: &str, more: Json) -> Resource<Spec> {
    let mut spec = json!({
        "target": "Api", "networkPolicy": {"mode": "Managed"}, "inbound": {"rules": [{"application": "orders"}]},
    });
    for (field, value) in more.as_object().expect("fields") {
        spec[field] = value.clone();
    }
    resource(Kind::InboundAccessPolicy, name, 0, spec)
}

/// A Deployment with a container for each name, and ports in it.
fn deployment(name: &str, containers: &[(&str, &[(&str, i32)])]) -> Json {
    let ports = |ports: &[(&str, i32)]| -> Vec<Json> {
        ports.iter().map(|(protocol, port)| json!({"protocol": protocol, "containerPort": port})).collect()
    };
    let containers: Vec<Json> = containers.iter().map(|(name, of)| json!({"name": name, "ports": ports(of)})).collect();
    json!({
        "metadata": {"name": name, "uid": format!("uid-of-{name}"), "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": {"spec": {"containers": containers}}},
    })
}

fn add(world: &mut World, name: &str, deployment: Json) {
    let live = live_deployment(&serde_json::from_value(deployment).expect("a Deployment"));
    world.deployments.insert(name.to_owned(), Lookup::Found(live));
}

/// A namespace with timbr-api and these policies.
fn world(resources: Vec<Resource<Spec>>) -> World {
    let mut world = World { resources, ..World::default() };
    add(&mut world, "timbr-api", deployment("timbr-api", &[("timbr-api", &[])]));
    world
}

/// Sends what is planned; returns what of it was about NetworkPolicies.
fn guard(world: &mut World, key: &InstallationKey) -> Vec<String> {
    let mut steps = world.guard(key);
    steps.retain(|step| step.starts_with("apply") || step.starts_with("delete"));
    steps
}

/// The NetworkPolicy that is planned, as it is sent.
fn planned(world: &World, key: &InstallationKey) -> Json {
    let plan = world.plan(key);
    let [network] = plan.networks.as_slice() else { panic!("one NetworkPolicy: {:?}", plan.networks) };
    let NetworkStep::Apply { manifest, .. } = &network.next else { panic!("an apply: {network:?}") };
    serde_json::to_value(manifest).expect("JSON")
}

/// What is said of a resource: Delivered, Ready and Reconciling.
fn said(world: &World, key: &InstallationKey, name: &str) -> [String; 3] {
    let status = status(world, key, name);
    ["Delivered", "Ready", "Reconciling"].map(|type_| verdict(status.common(), type_))
}

fn status(world: &World, key: &InstallationKey, name: &str) -> Status {
    let said = statuses(&world.plan(key), &Default::default(), Memory::Whole, &Mail::default(), at(9));
    said.statuses.into_iter().find(|it| it.meta.name == name).expect("a status").status
}

fn message(world: &World, name: &str) -> String {
    let status = status(world, &key(None), name);
    let condition = crate::fixtures::condition(status.common(), "Delivered").expect("Delivered");
    condition.message.clone()
}

fn peer(namespace: &str, pods: Json, uses: &[&str]) -> Json {
    let uses = json!({"key": "consumes.identity.timbr.ai/api", "operator": "In", "values": uses});
    let mut pods = pods;
    pods["matchExpressions"].as_array_mut().expect("expressions").push(uses);
    let namespace = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
    json!({"namespaceSelector": namespace, "podSelector": pods})
}

#[test]
fn the_network_lets_in_whom_the_rules_name_and_nobody_else() {
    let mut world = world(vec![policy(
        "api",
        json!({
            "inbound": {"rules": [
                {"application": "orders", "namespace": "shop"},
                {"application": "*"},
                {"application": "far", "cluster": "elsewhere"},
                {"application": "orders", "namespace": "shop", "permissions": {"roles": ["reader"]}},
            ]},
            "networkPolicy": {"mode": "Managed", "ingressFrom": [
                {"namespaceSelector": {}, "podSelector": {"matchLabels": {}, "matchExpressions": []}},
                {"ipBlock": {"cidr": "10.0.0.0/8", "except": []}},
            ]},
        }),
    )]);
    let containers: [(&str, &[(&str, i32)]); 2] =
        [("timbr-api", &[("TCP", 9000)]), ("proxy", &[("UDP", 53), ("TCP", 80)])];
    add(&mut world, "timbr-api", deployment("timbr-api", &containers));
    let named = |label: &str, before: &[&str]| {
        let absent: Vec<Json> = before.iter().map(|label| json!({"key": label, "operator": "DoesNotExist"})).collect();
        json!({"matchLabels": {label: "orders"}, "matchExpressions": absent})
    };
    let expected = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": NAME,
            "namespace": "timbr",
            "labels": {
                "app.kubernetes.io/managed-by": "timbr-identity-operator",
                "identity.timbr.ai/component": "api",
                "identity.timbr.ai/installation": "default",
            },
            "annotations": {"identity.timbr.ai/policies": r#"{"Api":["api"]}"#},
        },
        "spec": {
            "podSelector": {"matchLabels": {"app": "timbr-api"}},
            "policyTypes": ["Ingress"],
            "ingress": [{
                "from": [
                    {"ipBlock": {"cidr": "10.0.0.0/8"}},
                    peer("shop", named("app", &["app.kubernetes.io/name"]), &["timbr"]),
                    peer("shop", named("app.kubernetes.io/name", &[]), &["timbr"]),
                    peer("timbr", json!({"matchExpressions": []}), &["", "timbr"]),
                    {"namespaceSelector": {}, "podSelector": {}},
                ],
                "ports": [
                    {"port": 53, "protocol": "UDP"}, {"port": 80, "protocol": "TCP"}, {"port": 9000, "protocol": "TCP"},
                ],
            }],
        },
    });
    assert_eq!(planned(&world, &key(None)), expected);
    assert_eq!(guard(&mut world, &key(None)), [format!("apply {NAME}")]);
    assert_eq!(guard(&mut world, &key(None)), [] as [&str; 0], "once it is there nothing is left to do");
    assert_eq!(said(&world, &key(None), "api"), ["True/Delivered", "True/Ready", "False/Settled"]);
    assert_eq!(message(&world, "api"), format!("NetworkPolicy {NAME} lets in the pods that the policies of Api name"));
}

#[test]
fn without_rules_nobody_connects() {
    let mut world = world(vec![policy("api", json!({"inbound": {"rules": []}}))]);
    assert_eq!(planned(&world, &key(None))["spec"]["ingress"], json!([]));
    assert_eq!(guard(&mut world, &key(None)).len(), 1);
    assert_eq!(guard(&mut world, &key(None)), [] as [&str; 0]);
}

/// A NetworkPolicy is about all of a pod: what runs beside the component stays as it was.
#[test]
fn of_two_components_in_one_deployment_each_has_its_own_door() {
    let components = json!({"components": {
        "api": {"deployment": "all", "container": "a"}, "platform": {"deployment": "all", "container": "p"},
    }});
    let mut world = World {
        installations: vec![installation("main", components)],
        resources: vec![policy("api", json!({}))],
        ..World::default()
    };
    add(&mut world, "all", deployment("all", &[("a", &[("TCP", 1)]), ("p", &[("TCP", 2)]), ("side", &[("TCP", 3)])]));
    let key = key(Some("main"));
    let ingress = |world: &World| planned(world, &key)["spec"]["ingress"].clone();
    let ports =
        |ports: &[i32]| -> Vec<Json> { ports.iter().map(|it| json!({"port": it, "protocol": "TCP"})).collect() };
    let from = |world: &World, at: usize| ingress(world)[at]["from"].as_array().map(Vec::len);
    let found = [0, 1].map(|at| (from(&world, at), ingress(&world)[at]["ports"].clone()));
    assert_eq!(found, [(Some(2), ports(&[1, 3, 9000]).into()), (None, ports(&[2, 8088]).into())]);

    world.resources.push(policy("web", json!({"target": "Platform", "inbound": {"rules": []}})));
    assert_eq!(ingress(&world).as_array().map(Vec::len), Some(1), "a rule without peers would let everybody in");
    let labels = planned(&world, &key)["metadata"]["labels"].clone();
    assert_eq!(labels["identity.timbr.ai/component"], "api.platform");
    assert_eq!(labels["identity.timbr.ai/installation"], "main");
}

#[test]
fn what_is_said_opens_and_what_is_removed_does_not() {
    let disabled = |name: &str| policy(name, json!({"networkPolicy": {"mode": "Disabled"}}));
    let audit = |name: &str| policy(name, json!({"enforcement": "Audit"}));
    let spoilt = |name: &str| policy(name, json!({"inbound": {"rules": [{"application": "a b"}]}}));
    let unreadable = |name: &str| policy(name, json!({"target": "Nothing"}));
    let moved = |name: &str| policy(name, json!({"target": "Server"}));
    let managed = |name: &str| policy(name, json!({}));
    type Row<'a> = (&'a str, Vec<Resource<Spec>>, Option<usize>);
    // How many peers are left; `None`: there is no NetworkPolicy any more.
    let rows: [Row<'_>; 9] = [
        ("disabled", vec![disabled("a")], None),
        ("only watched", vec![audit("a")], None),
        ("removed", vec![], Some(0)),
        ("spoilt", vec![spoilt("a")], Some(0)),
        ("unreadable", vec![unreadable("a")], Some(0)),
        ("moved elsewhere", vec![moved("a")], Some(0)),
        ("removed, and another says nothing of the network", vec![disabled("b")], Some(2)),
        ("removed, and another takes over", vec![managed("b")], Some(2)),
        ("disabled, and another goes on", vec![disabled("a"), managed("b")], Some(2)),
    ];
    for (what, resources, peers) in rows {
        let mut world = world(vec![managed("a")]);
        guard(&mut world, &key(None));
        world.resources = resources;
        let steps = guard(&mut world, &key(None));
        assert_eq!(guard(&mut world, &key(None)), [] as [&str; 0], "{what}");
        let Some(peers) = peers else {
            assert_eq!((steps, world.networks.len()), (vec![format!("delete {NAME}")], 0), "{what}");
            continue;
        };
        let plan_anew = |world: &mut World| {
            world.networks.clear();
            world.resources.iter().any(|it| it.meta.name == "b" && world.plan(&key(None)).networks.len() == 1)
        };
        let now = format!("{:?}", world.networks.get(NAME));
        assert_eq!(now.matches("NetworkPolicyPeer {").count(), peers, "{what}: {now}");
        // Who deletes it too has opened the door, unless a policy says that it is to be there.
        let is_made_anew = plan_anew(&mut world);
        assert_eq!(is_made_anew, what.contains("another takes over") || what.contains("goes on"), "{what}");
    }
}

/// Once the policy that was removed says Disabled, or its Deployment is gone too.
#[test]
fn what_stays_is_told_and_can_be_let_go() {
    let mut world = world(vec![policy("a", json!({}))]);
    world.installations = vec![installation("main", json!({}))];
    let key = key(Some("main"));
    guard(&mut world, &key);
    let problems = |world: &World| {
        let mut problems = status(world, &key, "main").common().problems.clone();
        problems.retain(|problem| problem.code != "PolicyRemoved");
        problems
    };
    assert_eq!(problems(&world), []);
    let policies = std::mem::take(&mut world.resources);
    assert_eq!(guard(&mut world, &key), [format!("apply {NAME}")]);
    let [problem] = problems(&world).try_into().expect("one problem");
    assert_eq!(problem.code, "NetworkPolicyStays");
    assert_eq!(
        problem.message,
        "NetworkPolicy timbr-api-identity stays, and keeps everybody else out of Api, though InboundAccessPolicy a was deleted or is not accepted: what is removed opens nothing; to open it, delete the NetworkPolicy, or make that policy anew with networkPolicy.mode: Disabled"
    );
    let mut back = world.clone();
    back.resources = policies;
    assert_eq!(guard(&mut back, &key), [format!("apply {NAME}")], "it is let in again");
    assert_eq!(problems(&back), []);

    let mut open = world.clone();
    open.resources = vec![policy("a", json!({"networkPolicy": {"mode": "Disabled"}}))];
    assert_eq!(guard(&mut open, &key), [format!("delete {NAME}")]);

    // A Deployment may come back.
    let deployment = world.deployments.insert("timbr-api".to_owned(), Lookup::Missing).expect("it is there");
    assert_eq!(guard(&mut world, &key), [] as [&str; 0]);
    world.deployments.insert("timbr-api".to_owned(), deployment);
    assert_eq!(guard(&mut world, &key), [] as [&str; 0]);
    assert_eq!(problems(&world).len(), 1);
    world.resources = vec![policy("a", json!({"networkPolicy": {"mode": "Disabled"}}))];
    world.deployments.insert("timbr-api".to_owned(), Lookup::Missing);
    assert_eq!(guard(&mut world, &key), [format!("delete {NAME}")]);
}

#[test]
fn a_deployment_that_comes_back_is_guarded_at_once() {
    let mut world = world(vec![policy("api", json!({}))]);
    guard(&mut world, &key(None));
    let deployment = world.deployments.insert("timbr-api".to_owned(), Lookup::Missing).expect("it is there");
    assert_eq!(guard(&mut world, &key(None)), [] as [&str; 0]);
    assert_eq!(said(&world, &key(None), "api")[0], "False/DeploymentNotFound");
    world.deployments.insert("timbr-api".to_owned(), deployment);
    assert_eq!(guard(&mut world, &key(None)), [] as [&str; 0]);
    assert_eq!(said(&world, &key(None), "api")[0], "True/Delivered");
}

#[test]
fn why_there_is_none_is_told() {
    let of = |change: &dyn Fn(&mut World)| {
        let mut world = world(vec![policy("api", json!({}))]);
        world.guards = Some(recorded(r#"{"Api":["api"]}"#));
        change(&mut world);
        (said(&world, &key(None), "api"), message(&world, "api"), world.plan(&key(None)).networks.len())
    };
    let found = of(&|world| world.deployments.clear());
    assert_eq!(found.0, ["False/DeploymentNotFound", "False/DeploymentNotFound", "True/WaitingForDeployment"]);
    let found = of(&|world| drop(world.deployments.insert("timbr-api".to_owned(), Lookup::Forbidden)));
    assert_eq!(found.0, ["False/Forbidden", "False/Forbidden", "False/Settled"]);
    let theirs =
        json!({"metadata": {"name": NAME, "labels": {"app.kubernetes.io/managed-by": "timbr-identity-operator"}}});
    let theirs = live_network(serde_json::from_value(theirs).expect("a NetworkPolicy"));
    let found = of(&|world| drop(world.networks.insert(NAME.to_owned(), theirs.clone())));
    assert_eq!(found.0, ["False/Conflict", "False/Conflict", "False/Settled"]);
    assert_eq!(
        (found.1.as_str(), found.2),
        (
            "NetworkPolicy timbr-api-identity is in the way: it was not made by this operator, which would give its own that name; rename it",
            0
        )
    );
    let found = of(&|world| {
        world.guards = None;
        world.resources[0] = policy("api", json!({"enforcement": "Audit"}));
    });
    assert_eq!(found.0, ["True/Delivered", "True/Ready", "False/Settled"]);
    assert_eq!(
        (found.1.as_str(), found.2),
        ("every policy of Api says enforcement: Audit, so there is no NetworkPolicy", 0)
    );
    let found = of(&|world| world.resources[0] = policy("api", json!({"inbound": {"rules": [{"application": " "}]}})));
    assert_eq!((found.0[0].as_str(), found.2), ("Unknown/Pending", 0), "one that was never accepted closes nothing");

    let mut world = world(vec![policy("api", json!({}))]);
    world.guards = Some(recorded(r#"{"Api":["api"]}"#));
    let failures = [
        (Failure::Forbidden("no right".to_owned()), "False/Forbidden", "NetworkPolicy timbr-api-identity: no right"),
        (Failure::Conflict("another's".to_owned()), "False/Conflict", "NetworkPolicy timbr-api-identity: another's"),
        (
            Failure::Transient("no answer".to_owned()),
            "Unknown/Pending",
            "NetworkPolicy timbr-api-identity: no answer; trying again",
        ),
    ];
    for (failure, expected, sentence) in failures {
        let mut snapshot = world.snapshot(&key(None));
        snapshot.unguarded.insert(format!("NetworkPolicy {NAME}"), failure);
        let plan = timbr_identity::compose::compose(&snapshot);
        let said = statuses(&plan, &Default::default(), Memory::Whole, &Mail::default(), at(9)).statuses;
        let common = said[0].status.common();
        assert_eq!(verdict(common, "Delivered"), expected);
        assert_eq!(crate::fixtures::condition(common, "Delivered").map(|it| it.message.as_str()), Some(sentence));
    }
    let mut snapshot = world.snapshot(&key(None));
    snapshot.networks.insert(NAME.to_owned(), Lookup::Forbidden);
    let plan = timbr_identity::compose::compose(&snapshot);
    assert_eq!(plan.networks, []);
    assert_eq!(
        plan.resources[0].network.as_ref().map(|it| it.message.as_str()),
        Some(
            "NetworkPolicy timbr-api-identity: the operator may not read NetworkPolicies in namespace timbr; grant its ServiceAccount get, list, watch, create, patch and delete on networkpolicies.networking.k8s.io there"
        )
    );
}

#[test]
fn who_does_not_ask_for_one_has_no_condition_of_it() {
    let mut world = world(vec![policy("api", json!({"networkPolicy": {"mode": "Disabled"}}))]);
    guard(&mut world, &key(None));
    assert_eq!(said(&world, &key(None), "api"), ["", "True/Ready", "False/Settled"]);
    assert_eq!(world.snapshot(&key(None)).networks.len(), 0, "nothing is read for it");
}

#[test]
fn a_suspended_installation_stays_as_it_is() {
    let mut world = world(vec![policy("api", json!({}))]);
    world.installations = vec![installation("main", json!({}))];
    guard(&mut world, &key(Some("main")));
    world.installations = vec![installation("main", json!({"suspend": true}))];
    world.resources = vec![policy("api", json!({"networkPolicy": {"mode": "Disabled"}}))];
    assert_eq!(guard(&mut world, &key(Some("main"))), [] as [&str; 0]);
    world.installations = vec![installation("main", json!({}))];
    assert_eq!(guard(&mut world, &key(Some("main"))), [format!("delete {NAME}")]);
}

/// A consumer names a namespace, not an installation: the rules of all policies there count, also on the network.
#[test]
fn the_rules_of_a_namespace_count_in_front_of_each_installation() {
    let components = |api: &str| json!({"components": {"api": {"deployment": api}}});
    let of = |name: &str, more: Json| {
        let mut policy = policy(name, more);
        let Ok(Spec::InboundAccessPolicy(spec)) = &mut policy.spec else { panic!("a policy") };
        spec.installation_ref = Some(crate::fixtures::installation_ref(name));
        policy
    };
    let mut world = World {
        installations: vec![installation("a", components("a-api")), installation("b", components("b-api"))],
        resources: vec![of("a", json!({})), of("b", json!({"networkPolicy": {"mode": "Disabled"}}))],
        ..World::default()
    };
    for name in ["a-api", "b-api"] {
        add(&mut world, name, deployment(name, &[("timbr-api", &[])]));
    }
    let (a, b) = (key(Some("a")), key(Some("b")));
    assert_eq!(planned(&world, &a)["spec"]["ingress"][0]["from"].as_array().map(Vec::len), Some(2));
    assert_eq!(guard(&mut world, &a), ["apply a-api-identity"]);
    assert_eq!(guard(&mut world, &b), [] as [&str; 0], "none of its policies asks for one");
    // The Deployment goes to the other: what is in front of it goes with it, by its name.
    world.installations = vec![installation("a", components("other")), installation("b", components("a-api"))];
    assert_eq!((guard(&mut world, &a), guard(&mut world, &key(None))), (vec![], vec![]));
    assert_eq!(guard(&mut world, &b), ["apply a-api-identity"], "it is labelled with its installation");
    assert_eq!(guard(&mut world, &b), [] as [&str; 0]);
    // It is nobody's, perhaps for a name that was mistyped: that opens nothing, unless somebody says so.
    world.installations = vec![installation("a", components("other"))];
    assert_eq!((guard(&mut world, &a), guard(&mut world, &key(None))), (vec![], vec![]));
    let gone = vec!["delete a-api-identity".to_owned()];
    let mut open = world.clone();
    open.resources = vec![of("a", json!({"networkPolicy": {"mode": "Disabled"}}))];
    assert_eq!((guard(&mut open, &a), guard(&mut open, &key(None))), (vec![], gone.clone()));
    let mut open = world.clone();
    open.resources.clear();
    assert_eq!((guard(&mut open, &a), guard(&mut open, &key(None))), (vec![], vec![]), "removed");
    world.deployments.remove("a-api");
    assert_eq!((guard(&mut world, &a), guard(&mut world, &key(None))), (vec![], gone));
}

#[test]
fn whoever_cuts_a_component_off_is_warned() {
    let warnings = |resources: Vec<Resource<Spec>>| {
        let world = world(resources);
        let status = status(&world, &key(None), "p");
        let problems = status.common().problems.iter();
        problems.map(|problem| (problem.path.clone(), problem.code.clone())).collect::<Vec<_>>()
    };
    let of = |name: &str, target: &str, guard: Json| policy(name, json!({"target": target, "networkPolicy": guard}));
    let alone = json!({"mode": "Managed"});
    let with = json!({"mode": "Managed", "ingressFrom": [{"podSelector": {}}]});
    let warning = [("spec.networkPolicy.ingressFrom".to_owned(), "IngressFromMissing".to_owned())];
    for target in ["Server", "Platform"] {
        assert_eq!(warnings(vec![of("p", target, alone.clone())]), warning, "{target}");
        assert_eq!(warnings(vec![of("p", target, with.clone())]), [], "{target}");
        assert_eq!(warnings(vec![of("p", target, alone.clone()), of("q", target, with.clone())]), [], "{target}");
        assert_eq!(warnings(vec![of("p", target, alone.clone()), of("q", "Api", with.clone())]), warning, "{target}");
        assert_eq!(warnings(vec![of("p", target, json!({}))]), [], "{target}");
    }
    assert_eq!(warnings(vec![of("p", "Api", alone)]), []);
}

/// By its managed fields: a label is copied with the rest of an object.
#[test]
fn what_somebody_else_made_is_not_ours_whatever_its_labels_say() {
    let mut world = world(vec![]);
    let copy = |name: &str| {
        let labels = json!({"app.kubernetes.io/managed-by": "timbr-identity-operator"});
        let meta = json!({"name": name, "labels": labels, "annotations": {"identity.timbr.ai/policies": "{}"}});
        live_network(serde_json::from_value(json!({"metadata": meta})).expect("a NetworkPolicy"))
    };
    for name in ["timbr-api-identity", "other-identity", "copy"] {
        world.networks.insert(name.to_owned(), copy(name));
    }
    // Nor what we made, by a name that is none of ours.
    let mine = json!({"metadata": {"name": "timbr-api"}, "spec": {"policyTypes": ["Ingress"]}});
    world.networks.insert("timbr-api".to_owned(), kept(mine, 1));
    assert_eq!(guard(&mut world, &key(None)), [] as [&str; 0]);
}

#[test]
fn what_a_person_does_to_it_is_put_back() {
    let mut world = world(vec![policy("api", json!({}))]);
    guard(&mut world, &key(None));
    let as_it_was = planned_anew(&world);
    let changes: [&dyn Fn(&mut Json); 6] = [
        &|it| it["metadata"]["labels"] = json!({}),
        &|it| it["metadata"]["annotations"] = json!({}),
        &|it| it["metadata"]["annotations"]["identity.timbr.ai/policies"] = json!("{"),
        &|it| it["spec"]["ingress"][0]["from"] = json!([]),
        &|it| it["spec"]["podSelector"] = json!({"matchLabels": {"app": "other"}}),
        &|it| it["spec"]["egress"] = json!([{}]),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut changed = as_it_was.clone();
        change(&mut changed);
        world.networks.insert(NAME.to_owned(), kept(changed.clone(), 7));
        assert_eq!(planned(&world, &key(None)), as_it_was, "{i}");
        // What cannot be read any more, and what is not said any more, opens nothing.
        let mut removed = World { resources: vec![], ..world.clone() };
        guard(&mut removed, &key(None));
        let left = removed.networks.get(NAME).map(|it| format!("{it:?}"));
        assert!(left.is_some_and(|it| it.contains("ingress: Some([])")), "{i}");
    }
}

fn planned_anew(world: &World) -> Json {
    planned(&World { networks: Default::default(), ..world.clone() }, &key(None))
}
