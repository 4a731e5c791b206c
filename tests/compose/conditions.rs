//! What holds for the conditions of every resource, whatever happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::{collection::btree_map, prelude::*, sample::select};
use timbr_identity::{
    api::{CommonStatus, Status},
    compose::{Failure, Mail, Memory, Outcome, ResourceStatus, statuses},
};

use crate::{
    fixtures::{at, complete, condition},
    random::{world, world_or_files},
    world::World,
};

fn outcome() -> impl Strategy<Value = Outcome> {
    let text = select(vec!["no answer".to_owned(), "\u{202e}ä\n\0".repeat(900)]);
    let failed = (text, 0..3).prop_map(|(text, which)| {
        Outcome::Failed(match which {
            0 => Failure::Forbidden(text),
            1 => Failure::Conflict(text),
            _ => Failure::Transient(text),
        })
    });
    let done = (1..4i64, 0..4i64, any::<bool>()).prop_map(|(generation, observed, changed)| Outcome::Done {
        generation,
        changed,
        rollout: complete(observed),
    });
    prop_oneof![1 => failed, 3 => done]
}

/// An outcome for most Deployments.
fn outcomes() -> impl Strategy<Value = BTreeMap<String, Outcome>> {
    let names = select(vec!["timbr-platform", "web", "web-2", "timbr-server", "timbr-api"]).prop_map(str::to_owned);
    btree_map(names, outcome(), 2..5)
}

fn said(world: &World, outcomes: &BTreeMap<String, Outcome>, second: i64) -> Vec<ResourceStatus> {
    let plans = world.keys().into_iter().map(|key| world.plan(&key));
    plans.flat_map(|plan| statuses(&plan, outcomes, Memory::Partial, &Mail::default(), at(second)).statuses).collect()
}

fn is(status: &CommonStatus, type_: &str, wanted: &str) -> bool {
    condition(status, type_).is_some_and(|condition| condition.status == wanted)
}

proptest! {
    /// kstatus: a resource is ready, or somebody works on it, or a person must act.
    #[test]
    fn ready_reconciling_or_stalled_and_only_one_of_them(world in world_or_files(), outcomes in outcomes()) {
        for status in said(&world, &outcomes, 0) {
            let common = status.status.common();
            let true_ones = ["Ready", "Reconciling", "Stalled"].map(|type_| is(common, type_, "True"));
            prop_assert_eq!(true_ones.into_iter().filter(|it| *it).count(), 1, "{:#?}", common);
        }
    }

    #[test]
    fn conditions_are_distinct_printable_bounded_and_of_this_generation(world in world_or_files(), outcomes in outcomes()) {
        for status in said(&world, &outcomes, 0) {
            let common = status.status.common();
            let types: BTreeSet<&str> = common.conditions.iter().map(|condition| condition.type_.as_str()).collect();
            prop_assert_eq!(types.len(), common.conditions.len());
            let texts = common.conditions.iter().map(|condition| &condition.message);
            for text in texts.chain(common.problems.iter().map(|problem| &problem.message)) {
                prop_assert!(text.chars().count() <= 1024, "{}", text.len());
                prop_assert!(!text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}')), "{text:?}");
            }
            for condition in &common.conditions {
                prop_assert!(!condition.message.is_empty(), "{}: {:#?}", status.meta.holder(), condition);
                prop_assert_eq!(condition.observed_generation, Some(status.meta.generation));
            }
            prop_assert_eq!(common.observed_generation, status.meta.generation);
        }
    }

    #[test]
    fn the_same_a_second_later_is_no_news(mut world in world(), outcomes in outcomes()) {
        for status in said(&world, &outcomes, 0) {
            world.note(&status);
        }
        for status in said(&world, &outcomes, 1) {
            prop_assert!(!status.is_news(), "{:#?}", status);
        }
    }

    #[test]
    fn a_condition_has_a_new_time_when_its_status_is_new(
        mut world in world(), before in outcomes(), after in outcomes()
    ) {
        for status in said(&world, &before, 0) {
            world.note(&status);
        }
        for status in said(&world, &after, 60) {
            let old = status.previous.as_deref().map(Status::common).expect("a status was noted");
            for condition in &status.status.common().conditions {
                let same = old.conditions.iter().any(|old| (&old.type_, &old.status) == (&condition.type_, &condition.status));
                prop_assert_eq!(condition.last_transition_time.0, at(if same { 0 } else { 60 }), "{:?}", condition);
            }
        }
    }
}

/// The schema's default says Ready is Unknown, since 1970: that is no transition of ours.
#[test]
fn a_time_from_the_schema_is_no_time() {
    let sso = crate::fixtures::azure_sso("sso", Ok(crate::fixtures::azure_sso_spec()));
    let mut world = World { resources: vec![sso], ..World::default() };
    world.look(at(5));
    for (since, expected) in [(0, 9), (1, 1)] {
        let mut resource = world.resources[0].clone();
        let common = Arc::make_mut(resource.status.as_mut().expect("a status")).common_mut();
        let since = jiff::Timestamp::from_second(since).expect("a time");
        common.conditions.iter_mut().for_each(|condition| condition.last_transition_time.0 = since);
        let world = World { resources: vec![resource], ..World::default() };
        let expected = if expected == 9 { at(9) } else { since };
        for status in said(&world, &BTreeMap::new(), 9) {
            for condition in &status.status.common().conditions {
                assert_eq!(condition.last_transition_time.0, expected, "{condition:?}");
            }
        }
    }
}

#[test]
fn what_is_ready_is_settled() {
    let world = crate::kinds::world(vec![crate::kinds::vault(0, "a", "Remove")]);
    let done = |observed| Outcome::Done { generation: 2, changed: true, rollout: complete(observed) };
    for (observed, settled, reason) in [(2, true, "DeliveredUnverified"), (1, false, "RollingOut")] {
        let status = said(&world, &[("timbr-server".to_owned(), done(observed))].into(), 0).remove(0);
        assert_eq!((status.is_settled(), status.ready_reason()), (settled, reason));
    }
}
