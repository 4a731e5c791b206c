//! `status.delivered[].generation`: the Deployment's generation that brought what the resource has there.
//! It moves with the template and with nothing else, as RolledOut rests on it.

use std::sync::Arc;

use serde_json::json;
use timbr_identity::{
    api::{Delivered, Status},
    compose::{Failure, Mail, Memory, Outcome, Rollout, statuses},
};

use crate::{
    fixtures::{complete, key, verdict},
    kinds::{SERVER, groups, settle, vault, world},
    world::World,
};

/// A world in which the vault is delivered, with generation 2 of the server.
fn delivered() -> World {
    let mut world = world(vec![vault(0, "a", "Remove")]);
    settle(&mut world);
    assert_eq!(generations(&world), [2]);
    world
}

fn generations(world: &World) -> Vec<i64> {
    world.status("vault").delivered.iter().map(|there| there.generation).collect()
}

/// What is recorded when the server's write comes out like this, of everything else on its place.
fn after(world: &World, outcome: Option<Outcome>, memory: Memory) -> (Vec<Delivered>, String) {
    let outcomes = outcome.map(|outcome| (SERVER.to_owned(), outcome)).into_iter().collect();
    let plan = world.plan(&key(None));
    let status = statuses(&plan, &outcomes, memory, &Mail::default(), crate::fixtures::at(200)).statuses.remove(0);
    let common = status.status.common();
    (common.delivered.clone(), verdict(common, "RolledOut"))
}

fn done(generation: i64, changed: bool, rollout: Rollout) -> Option<Outcome> {
    Some(Outcome::Done { generation, changed, rollout })
}

#[test]
fn it_moves_with_the_template_alone() {
    let world = delivered();
    let behind = complete(4);
    let rows = [
        // Others changed the Deployment twice; what we have there is as it was.
        (done(4, false, behind.clone()), 2, "True/RolledOut"),
        // We did.
        (done(5, true, behind.clone()), 5, "False/RollingOut"),
        (done(4, true, behind.clone()), 4, "True/RolledOut"),
        // Another Deployment has the name, which counts from one.
        (done(1, false, complete(1)), 1, "True/RolledOut"),
        (done(1, false, complete(0)), 1, "False/RollingOut"),
        // Nobody knows, or it was not tried: what was recorded stays.
        (Some(Outcome::Failed(Failure::Transient("no answer".to_owned()))), 2, "True/RolledOut"),
        (None, 2, "True/RolledOut"),
    ];
    for (outcome, generation, rolled_out) in rows {
        for memory in [Memory::Whole, Memory::Partial] {
            let (there, verdict) = after(&world, outcome.clone(), memory);
            let found: Vec<i64> = there.iter().map(|there| there.generation).collect();
            assert_eq!((found.as_slice(), verdict.as_str()), ([generation].as_slice(), rolled_out), "{outcome:?}");
        }
    }
}

/// After an edit whose write nobody recorded, the record may be of the content before.
#[test]
fn a_record_of_another_spec_counts_only_for_who_wrote_it_all_down() {
    let mut world = delivered();
    let same = |generation| done(generation, false, complete(2));
    world.resources[0].meta.generation = 2;
    let generation = |world: &World, memory| after(world, same(4), memory).0[0].generation;
    assert_eq!(generation(&world, Memory::Whole), 2);
    assert_eq!(generation(&world, Memory::Partial), 4);
    world.resources[0].meta.generation = 1;
    assert_eq!(generation(&world, Memory::Partial), 2);
    // Other variables than those that were recorded: whoever brought them, it was since.
    let Some(Status::KeyVaultBinding(status)) = world.resources[0].status.as_mut().map(Arc::make_mut) else {
        panic!("no status")
    };
    status.common.delivered[0].variables.pop();
    assert_eq!(generation(&world, Memory::Whole), 4);
}

/// An apply whose answer was lost may have replaced pods: until they follow, nothing runs with what is there,
/// though the resource was looked at since and is the same.
#[test]
fn what_a_lost_answer_brought_is_no_record() {
    let lost = Outcome::Failed(Failure::Transient("no answer".to_owned()));
    let steps = [
        (Some(lost), 2, "Unknown/Pending"),
        // It had arrived.
        (done(3, false, complete(2)), 3, "False/RollingOut"),
        (done(3, false, complete(2)), 3, "False/RollingOut"),
        (done(3, false, complete(3)), 3, "True/DeliveredUnverified"),
        // From here on it is a record.
        (done(4, false, complete(3)), 3, "True/DeliveredUnverified"),
    ];
    let mut world = delivered();
    world.resources[0].meta.generation = 2;
    for (i, (outcome, generation, ready)) in steps.into_iter().enumerate() {
        let outcomes = outcome.map(|outcome| (SERVER.to_owned(), outcome)).into_iter().collect();
        let plan = world.plan(&key(None));
        let said = statuses(&plan, &outcomes, Memory::Partial, &Mail::default(), crate::fixtures::at(200)).statuses;
        world.note(&said[0]);
        assert_eq!(generations(&world), [generation], "step {i}");
        assert_eq!(verdict(world.status("vault"), "Ready"), ready, "step {i}");
    }
}

/// What is on a Deployment that is not planned stays recorded only while nobody can tell.
#[test]
fn what_is_elsewhere_is_recorded_while_it_cannot_be_read() {
    let mut world = delivered();
    let Some(Status::KeyVaultBinding(status)) = world.resources[0].status.as_mut().map(Arc::make_mut) else {
        panic!("no status")
    };
    let elsewhere = Delivered { deployment: "elsewhere".to_owned(), ..status.common.delivered[0].clone() };
    status.common.delivered.push(elsewhere);
    let names = |world: &World| -> Vec<String> {
        let (there, _) = after(world, done(2, false, complete(2)), Memory::Whole);
        there.into_iter().map(|there| there.deployment).collect()
    };
    // A Deployment that the installation no longer has.
    assert_eq!(names(&world), [SERVER]);
    // The server itself may not be read, so nothing is planned on it, and nothing taken off.
    world.deployments.insert(SERVER.to_owned(), timbr_identity::compose::Lookup::Forbidden);
    assert_eq!(names(&world), [SERVER]);
    world.deployments.insert(SERVER.to_owned(), timbr_identity::compose::Lookup::Missing);
    assert_eq!(names(&world), [] as [&str; 0]);
}

/// Why pods do not run with it yet, of every cause the words to look further.
#[test]
fn what_keeps_pods_from_following_is_said() {
    let world = delivered();
    let live = |paused, deadline_exceeded, observed_generation| Rollout {
        paused,
        deadline_exceeded,
        observed_generation,
        updated: 0,
        ..complete(5)
    };
    let rows = [
        (live(false, false, 5), "False/RollingOut"),
        (live(true, false, 5), "False/DeploymentPaused"),
        (live(true, true, 5), "False/DeploymentPaused"),
        (live(false, true, 5), "False/ProgressDeadlineExceeded"),
        // The deadline passed for an older template.
        (live(false, true, 4), "False/RollingOut"),
        (complete(5), "True/RolledOut"),
    ];
    for (rollout, verdict) in rows {
        assert_eq!(after(&world, done(5, true, rollout.clone()), Memory::Whole).1, verdict, "{rollout:?}");
    }
}

/// Each resource has a record of its own variables.
#[test]
fn a_shared_variable_is_recorded_for_both() {
    let mut world = world(vec![vault(0, "a", "Remove"), groups(1, "a", json!([]))]);
    settle(&mut world);
    let variables = |name: &str| world.status(name).delivered[0].variables.join(" ");
    assert_eq!(
        variables("vault"),
        "AZURE_CLIENT_ID AZURE_CLIENT_SECRET AZURE_TENANT_ID KV_VAULT KV_VAULT_AUTH_TYPE KV_VAULT_TYPE"
    );
    assert!(variables("groups").starts_with("AZURE_CLIENT_ID AZURE_CLIENT_SECRET AZURE_"), "{}", variables("groups"));
    let secret = |name: &str| world.status(name).delivered[0].secret.clone();
    assert!(secret("vault").is_some());
    assert_eq!(secret("vault"), secret("groups"));
}
