//! What no plan and no status ever holds.

use std::collections::BTreeMap;

use proptest::prelude::*;
use timbr_identity::compose::{EnvSource, LiveValue, Mail, Memory, Outcome, events, statuses};

use crate::{
    fixtures::{CANARY, at, complete},
    random::{CANARY_ID, world, world_or_files},
    world::entries,
};

/// Everything that is printed, logged or sent anywhere but into a Secret.
fn assert_no_canary(text: &str) -> Result<(), TestCaseError> {
    for canary in [CANARY, CANARY_ID] {
        // As text, as bytes in Debug, and as base64 in JSON.
        prop_assert!(!text.contains(canary), "{canary} in {text}");
        let bytes = format!("{:?}", canary.as_bytes());
        prop_assert!(!text.contains(bytes.trim_matches(['[', ']'])), "the bytes of {canary} in {text}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_value_of_a_secret_is_ever_printed(world in world_or_files()) {
        for key in world.keys() {
            let snapshot = world.snapshot(&key);
            assert_no_canary(&format!("{snapshot:?}"))?;
            let plan = world.plan(&key);
            assert_no_canary(&format!("{plan:?} {plan:#?}"))?;
            for deployment in &plan.deployments {
                assert_no_canary(&format!("{:?} {:?}", deployment.apply, deployment.secrets))?;
                assert_no_canary(&deployment.attribution.write())?;
            }
            let done = |generation| Outcome::Done { generation, changed: true, rollout: complete(generation) };
            let outcomes: BTreeMap<String, Outcome> =
                plan.deployments.iter().map(|plan| (plan.name.clone(), done(plan.generation + 1))).collect();
            for status in statuses(&plan, &outcomes, Memory::Partial, &Mail::default(), at(0)).statuses {
                let json = serde_json::to_string(&status.status).expect("JSON");
                assert_no_canary(&format!("{status:?} {json} {:?}", events(&status)))?;
            }
        }
    }

    #[test]
    fn no_plan_holds_an_empty_value_or_a_reference(world in world_or_files()) {
        for key in world.keys() {
            for plan in world.plan(&key).deployments {
                for env in plan.containers.iter().flat_map(|container| &container.env) {
                    if let EnvSource::Plain(value) = &env.source {
                        prop_assert!(!value.is_empty() && !value.contains("$("), "{env:?}");
                    }
                }
                // The text of the whole patch does hold `$(`, where a displaced variable is recorded.
                for (place, value) in plan.apply.iter().flat_map(entries) {
                    if let LiveValue::Plain(value) = &value {
                        let value = String::from_utf8_lossy(value.expose());
                        prop_assert!(!value.is_empty() && !value.contains("$("), "{place:?}: {value}");
                    }
                }
            }
        }
    }

    /// With the uid, an apply cannot create a Deployment that was deleted meanwhile, nor change one
    /// that has taken its name.
    #[test]
    fn every_patch_of_a_live_deployment_carries_its_uid(world in world_or_files()) {
        for key in world.keys() {
            for plan in world.plan(&key).deployments {
                let live = world.deployments.get(&plan.name).and_then(|lookup| lookup.found());
                prop_assert_eq!(&plan.uid, &live.map(|live| live.uid.clone()));
                for secret in &plan.secrets {
                    // What charts name outlives what it is for.
                    let owner = plan.uid.clone().filter(|_| !secret.stable);
                    prop_assert_eq!(&secret.owner, &owner);
                }
                if let (Some(patch), Some(live)) = (&plan.apply, live) {
                    prop_assert_eq!(patch["metadata"]["uid"].as_str(), Some(live.uid.as_str()));
                }
            }
        }
    }

    /// The whole patch: one label, an annotation, another on the template, and variables by name. Anything more would be owned
    /// by us from then on.
    #[test]
    fn a_patch_holds_variables_one_label_and_two_annotations(world in world()) {
        for key in world.keys() {
            for plan in world.plan(&key).deployments {
                let Some(patch) = plan.apply else { continue };
                let mut paths = Vec::new();
                leaves(&patch, String::new(), &mut paths);
                for path in paths {
                    prop_assert!(ALLOWED.contains(&path.as_str()), "{path}");
                }
            }
        }
    }
}

/// Where a patch may hold something.
const ALLOWED: [&str; 13] = [
    ".apiVersion",
    ".kind",
    ".metadata.name",
    ".metadata.namespace",
    ".metadata.uid",
    ".metadata.labels.identity.timbr.ai/managed",
    ".metadata.annotations.identity.timbr.ai/delivered",
    ".spec.template.metadata.annotations.identity.timbr.ai/content",
    ".spec.template.spec.containers[].name",
    ".spec.template.spec.containers[].env[].name",
    ".spec.template.spec.containers[].env[].value",
    ".spec.template.spec.containers[].env[].valueFrom.secretKeyRef.name",
    ".spec.template.spec.containers[].env[].valueFrom.secretKeyRef.key",
];

fn leaves(value: &serde_json::Value, path: String, paths: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| leaves(value, format!("{path}.{name}"), paths));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| leaves(item, format!("{path}[]"), paths)),
        _ => paths.push(path),
    }
}
