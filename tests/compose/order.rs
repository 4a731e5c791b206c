//! The same snapshot in any order gives the same plan and the same statuses, to the byte.

use std::collections::BTreeMap;

use proptest::prelude::*;
use timbr_identity::{
    api::{Kind, Resource, TimbrInstallationSpec},
    compose::{Failure, Mail, Memory, Outcome, Plan, statuses},
};

use crate::{
    fixtures::{at, complete},
    random::world_or_files,
    world::World,
};

/// Some outcome for each Deployment, by its name.
fn outcomes(plan: &Plan) -> BTreeMap<String, Outcome> {
    let outcome = |name: &str| match name.len() % 3 {
        0 => Some(Outcome::Failed(Failure::Transient("no answer".to_owned()))),
        1 => Some(Outcome::Done { generation: 3, changed: true, rollout: complete(3) }),
        _ => None,
    };
    plan.deployments.iter().filter_map(|plan| Some((plan.name.clone(), outcome(&plan.name)?))).collect()
}

fn everything_said(world: &World) -> String {
    let looks = world.keys().into_iter().map(|key| {
        let plan = world.plan(&key);
        let statuses = statuses(&plan, &outcomes(&plan), Memory::Partial, &Mail::default(), at(9)).statuses;
        let json: Vec<String> =
            statuses.iter().map(|status| serde_json::to_string(&status.status).expect("JSON")).collect();
        format!("{key}\n{plan:#?}\n{statuses:#?}\n{json:?}\n")
    });
    looks.collect()
}

proptest! {
    #[test]
    fn any_order_gives_the_same_plan_and_the_same_statuses(
        (world, shuffled) in world_or_files().prop_flat_map(|world| {
            let installations = Just(world.installations.clone()).prop_shuffle();
            let resources = Just(world.resources.clone()).prop_shuffle();
            let shuffled = (installations, resources).prop_map({
                let world = world.clone();
                move |(installations, resources)| World { installations, resources, ..world.clone() }
            });
            (Just(world), shuffled)
        })
    ) {
        prop_assert_eq!(everything_said(&world), everything_said(&shuffled));
    }
}

/// The random namespaces reach what they are for: without this a property could hold of nothing.
#[test]
fn the_random_namespaces_reach_every_judgement() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = |what: String| *seen.entry(what).or_default() += 1;
    for _ in 0..1500 {
        let world = world_or_files().new_tree(&mut runner).expect("a world").current();
        for key in world.keys() {
            let plan = world.plan(&key);
            for judgement in &plan.resources {
                let kind = judgement.meta.kind;
                count(format!("{kind}: {}", judgement.delivered.reason));
                for verdict in [&judgement.accepted, &judgement.references, &judgement.delivered] {
                    count(format!("{}/{}", verdict.status.as_str(), verdict.reason));
                }
            }
            plan.deployments.iter().for_each(|plan| count(format!("apply: {}", plan.apply.is_some())));
        }
        world.resources.iter().for_each(|there| count(format!("{}: {}", there.meta.kind, there.spec.is_ok())));
        let readable = |installation: &Resource<TimbrInstallationSpec>| installation.spec.is_ok();
        count(format!("all readable: {}", world.installations.iter().all(readable)));
    }
    for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::TimbrInstallation) {
        for readable in [true, false] {
            assert!(seen.contains_key(&format!("{kind}: {readable}")), "{kind} {readable}: {seen:#?}");
        }
    }
    for wanted in [
        "True/Accepted",
        "False/InvalidSpec",
        "False/Collision",
        "False/DuplicateInInstallation",
        "False/InstallationNotFound",
        "Unknown/Pending",
        "True/Resolved",
        "False/SecretNotFound",
        "False/SecretKeyNotFound",
        "False/SecretValueInvalid",
        "False/SecretNotPermitted",
        "True/Delivered",
        "False/Conflict",
        "False/DeploymentNotFound",
        "False/ContainerNotFound",
        "False/Forbidden",
        "False/DuplicateVariable",
        "False/PartnerBlocked",
        "False/WorkloadIdentityConflict",
        "False/AzureSsoNotReady",
        "False/JwtAuthenticationMissing",
        "RoleGroupSync: Delivered",
        "KeyVaultBinding: Delivered",
        "DatabricksPassthrough: Delivered",
        "JwtAuthentication: Delivered",
        "JwtTenant: Delivered",
        "apply: true",
        "apply: false",
        "all readable: false",
    ] {
        assert!(seen.contains_key(wanted), "{wanted} never comes: {seen:#?}");
    }
}
