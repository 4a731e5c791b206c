//! What is said when a Deployment could not be written.

use std::collections::BTreeMap;

use timbr_identity::compose::{Failure, Lookup, Mail, Memory, Outcome, statuses};

use crate::{
    fixtures::{PLATFORM, at, azure_sso, azure_sso_spec, complete, condition, deployment, key, secret, verdict},
    kinds::{self, SERVER, vault},
    world::World,
};

fn world() -> World {
    World {
        resources: vec![azure_sso("sso", Ok(azure_sso_spec()))],
        deployments: [(PLATFORM.to_owned(), Lookup::Found(deployment(PLATFORM, &[])))].into(),
        secrets: [("entra".to_owned(), Lookup::Found(secret(&[("client-secret", "x")])))].into(),
        ..World::default()
    }
}

/// The conditions after this outcome, and the message of Delivered.
fn after(world: &World, outcome: Option<Outcome>) -> (String, String) {
    let outcomes: BTreeMap<String, Outcome> =
        outcome.map(|outcome| (PLATFORM.to_owned(), outcome)).into_iter().collect();
    let status =
        statuses(&world.plan(&key(None)), &outcomes, Memory::Partial, &Mail::default(), at(0)).statuses.remove(0);
    let common = status.status.common();
    let verdicts = ["Delivered", "RolledOut", "Ready", "Reconciling", "Stalled"].map(|type_| verdict(common, type_));
    let message = condition(common, "Delivered").map(|condition| condition.message.clone()).unwrap_or_default();
    (verdicts.join(" "), message)
}

#[test]
fn each_failure_has_its_conditions() {
    let failed = |failure: fn(String) -> Failure, text: &str| Some(Outcome::Failed(failure(text.to_owned())));
    let table = [
        (
            failed(Failure::Forbidden, "the API server refused"),
            "False/Forbidden Unknown/Pending False/Forbidden False/Settled True/Forbidden",
            "Deployment timbr-platform: the API server refused",
        ),
        (
            failed(Failure::Conflict, "conflict with \"helm\""),
            "False/Conflict Unknown/Pending False/Conflict False/Settled True/Conflict",
            "Deployment timbr-platform: conflict with \"helm\"",
        ),
        (
            failed(Failure::Transient, "no answer within 5 seconds"),
            "Unknown/Pending Unknown/Pending Unknown/Pending True/Retrying ",
            "Deployment timbr-platform: no answer within 5 seconds; trying again",
        ),
        (
            None,
            "Unknown/Pending Unknown/Pending Unknown/Pending True/Retrying ",
            "Deployment timbr-platform was not reached; trying again",
        ),
    ];
    for (outcome, conditions, message) in table {
        assert_eq!(after(&world(), outcome), (conditions.to_owned(), message.to_owned()));
    }
}

/// What stood there before still stands there, and still runs.
#[test]
fn a_failure_takes_nothing_back() {
    let mut world = world();
    world.live_mut(PLATFORM).rollout = complete(2);
    world.look(at(0));
    assert_eq!(verdict(world.status("sso"), "Ready"), "True/DeliveredUnverified");
    let delivered = world.status("sso").delivered.clone();

    let failure = Outcome::Failed(Failure::Transient("no answer".to_owned()));
    let (conditions, _) = after(&world, Some(failure.clone()));
    assert_eq!(conditions, "Unknown/Pending True/RolledOut Unknown/Pending True/Retrying ");
    let statuses = statuses(
        &world.plan(&key(None)),
        &[(PLATFORM.to_owned(), failure)].into(),
        Memory::Partial,
        &Mail::default(),
        at(60),
    )
    .statuses;
    assert_eq!(statuses[0].status.common().delivered, delivered);
}

/// Before anything is written: what is looked for and not found, or not to be read.
/// Of several Deployments each has pods of its own.
#[test]
fn a_failure_on_one_of_two_says_how_far_its_own_pods_are() {
    let mut world = kinds::world(vec![vault(0, "a", "Remove")]);
    world.look(at(0));
    assert_eq!(verdict(world.status("vault"), "RolledOut"), "False/RollingOut");
    let generation = world.live(SERVER).generation;
    world.live_mut(PLATFORM).rollout = complete(generation);
    let failure = Outcome::Failed(Failure::Transient("no answer".to_owned()));
    let outcomes = BTreeMap::from([(SERVER.to_owned(), failure)]);
    let statuses = statuses(&world.plan(&key(None)), &outcomes, Memory::Whole, &Mail::default(), at(1)).statuses;
    assert_eq!(verdict(statuses[0].status.common(), "RolledOut"), "False/RollingOut");
}

#[test]
fn a_deployment_that_cannot_be_read_is_said_so() {
    let table = [
        (
            Lookup::Missing,
            "False/DeploymentNotFound Unknown/Pending False/DeploymentNotFound True/WaitingForDeployment ",
        ),
        (Lookup::Forbidden, "False/Forbidden Unknown/Pending False/Forbidden False/Settled True/Forbidden"),
        (Lookup::Found(deployment("web", &[])), "True/Delivered False/RollingOut False/RollingOut True/RollingOut "),
    ];
    for (lookup, conditions) in table {
        let mut world = world();
        world.deployments.insert(PLATFORM.to_owned(), lookup);
        let rollout = crate::fixtures::complete(1);
        let done = Outcome::Done { generation: 2, changed: true, rollout };
        assert_eq!(after(&world, Some(done)).0, conditions);
    }
}
