//! Compose converges in one step: what it planned, once written, it finds as planned.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;
use timbr_identity::{
    api::{Component, Kind, OnConflict, Status},
    compose::{LiveValue, Lookup, PlannedContainer, named},
};

use crate::{
    fixtures::{PLATFORM, at, azure_sso, azure_sso_spec, deployment, plain, secret},
    random::world,
    world::{Look, World, entries},
};

/// Nothing to write is left in a look, and no status is news.
fn assert_settled(looks: &[Look]) -> Result<(), TestCaseError> {
    for look in looks {
        for plan in &look.plan.deployments {
            prop_assert!(plan.apply.is_none(), "{}: {}: {:#?}", look.key, plan.name, plan);
            prop_assert!(plan.secrets.iter().all(|secret| secret.present), "{}: {:?}", look.key, plan.secrets);
        }
        for status in &look.statuses {
            prop_assert!(!status.is_news(), "{}: {:#?}", look.key, status);
        }
    }
    Ok(())
}

/// What each Deployment is to get, in its order.
fn planned(looks: &[Look]) -> BTreeMap<String, Vec<String>> {
    let plans = looks.iter().flat_map(|look| &look.plan.deployments);
    let of_container = |container: &PlannedContainer| -> Vec<String> {
        container.variables().map(|env| format!("{} {env:?}", container.name)).collect()
    };
    plans.map(|plan| (plan.name.clone(), plan.containers.iter().flat_map(of_container).collect())).collect()
}

/// The second look plans what the first did, wherever an installation's components run. What leaves another
/// Deployment once it has arrived may do so within the first look.
fn assert_same(world: &World, first: &[Look], second: &[Look]) -> Result<(), TestCaseError> {
    let mut names: BTreeSet<String> = world.installations.iter().flat_map(named).collect();
    if world.installations.is_empty() {
        names.extend(Component::ALL.map(|component| component.usual_deployment().to_owned()));
    }
    let of_installations = |looks: &[Look]| {
        let mut planned = planned(looks);
        planned.retain(|deployment, entries| names.contains(deployment) && !entries.is_empty());
        planned
    };
    prop_assert_eq!(of_installations(first), of_installations(second));
    Ok(())
}

/// Other people's entries, in their order.
fn of_others(world: &World) -> Vec<String> {
    let found = world.deployments.iter().filter_map(|(name, lookup)| Some((name, lookup.found()?)));
    found
        .flat_map(|(deployment, live)| {
            live.containers.iter().flat_map(move |container| {
                let others = container.env.iter().filter(|env| {
                    let place = (container.name.clone(), env.name.clone());
                    !live.ownership.is_held(&place) || live.ownership.others.contains_key(&place)
                });
                others.map(move |env| match &env.value {
                    LiveValue::Plain(value) => {
                        format!("{deployment} {} {} {:?}", container.name, env.name, value.expose())
                    }
                    value => format!("{deployment} {} {} {value:?}", container.name, env.name),
                })
            })
        })
        .collect()
}

proptest! {
    #[test]
    fn the_second_look_finds_everything_as_the_first_planned_it(mut world in world()) {
        let first = world.look(at(0));
        let second = world.look(at(60));
        assert_settled(&second)?;
        assert_same(&world, &first, &second)?;
    }

    /// Whatever people change: what is left by an older state is brought to the new one in one step.
    #[test]
    fn so_it_is_after_any_change(mut world in world(), other in world()) {
        world.look(at(0));
        let statuses: Vec<(Kind, String, Option<Arc<Status>>)> = statuses(&world);
        world.installations = other.installations;
        world.resources = other.resources;
        world.secrets.extend(other.secrets);
        let before = |kind: Kind, name: &str| {
            statuses.iter().find(|(of, there, _)| (*of, there.as_str()) == (kind, name)).and_then(|(_, _, status)| status.clone())
        };
        world.installations.iter_mut().for_each(|there| there.status = before(there.meta.kind, &there.meta.name));
        world.resources.iter_mut().for_each(|there| there.status = before(there.meta.kind, &there.meta.name));
        let first = world.look(at(60));
        let second = world.look(at(120));
        assert_settled(&second)?;
        assert_same(&world, &first, &second)?;
    }

    /// A variable of somebody else is in our patch only where we want the very same of it, unless it is to be
    /// adopted.
    #[test]
    fn what_others_set_stays_as_it_is(mut world in world()) {
        for spec in world.installations.iter_mut().filter_map(|installation| installation.spec.as_mut().ok()) {
            spec.on_conflict = OnConflict::Report;
        }
        for key in world.keys() {
            for plan in world.plan(&key).deployments {
                let live = world.live(&plan.name);
                for (place, value) in plan.apply.iter().flat_map(entries) {
                    let container = live.container(&place.0).expect("the container is there");
                    if live.ownership.others.contains_key(&place) {
                        prop_assert!(container.variables(&place.1).any(|there| *there == value), "{:?} changes", place);
                    } else if !live.ownership.is_held(&place) {
                        let there: Vec<_> = container.variables(&place.1).collect();
                        prop_assert!(there.iter().all(|there| **there == value), "{:?} is nobody's and changes", place);
                    }
                }
            }
        }
        let before = of_others(&world);
        world.look(at(0));
        let after: BTreeSet<String> = of_others(&world).into_iter().collect();
        // Some became ours too, by being equal to what we want; none changed or went.
        let now_ours: BTreeSet<String> = everything(&world);
        for entry in before {
            prop_assert!(after.contains(&entry) || now_ours.contains(&entry), "{} is gone", entry);
        }
    }
}

fn everything(world: &World) -> BTreeSet<String> {
    let mut world = world.clone();
    for lookup in world.deployments.values_mut() {
        if let Lookup::Found(live) = lookup {
            live.ownership.ours.clear();
            live.ownership.transient.clear();
        }
    }
    of_others(&world).into_iter().collect()
}

fn statuses(world: &World) -> Vec<(Kind, String, Option<Arc<Status>>)> {
    let resources =
        world.resources.iter().map(|there| (there.meta.kind, there.meta.name.clone(), there.status.clone()));
    let installations =
        world.installations.iter().map(|there| (there.meta.kind, there.meta.name.clone(), there.status.clone()));
    resources.chain(installations).collect()
}

/// Our variables keep their places among the others: a new order would be a rollout.
#[test]
fn what_is_live_keeps_its_order_and_what_is_new_follows() {
    let mut world = World {
        resources: vec![azure_sso("sso", Ok(azure_sso_spec()))],
        deployments: [(PLATFORM.to_owned(), Lookup::Found(deployment(PLATFORM, &[("TIMBR_LOG_LEVEL", "info")])))]
            .into(),
        secrets: [("entra".to_owned(), Lookup::Found(secret(&[("client-secret", "x")])))].into(),
        ..World::default()
    };
    world.look(at(0));
    let order = |world: &World| -> Vec<String> {
        world.live(PLATFORM).containers[0].env.iter().map(|env| env.name.clone()).collect()
    };
    let expected = [
        "TIMBR_LOG_LEVEL",
        "OAUTH_PROVIDER",
        "OAUTH_CLIENT_ID",
        "OAUTH_SECRET",
        "OAUTH_BASE_URL",
        "OAUTH_AZURE_WITH_UPN_FIRST",
    ];
    assert_eq!(order(&world), expected);

    // Somebody puts theirs into the middle and turns the rest around.
    let live = world.live_mut(PLATFORM);
    live.containers[0].env.reverse();
    let theirs = timbr_identity::compose::LiveEnv { name: "TIMBR_COLOUR".to_owned(), value: plain("green") };
    live.containers[0].env.insert(2, theirs);
    let turned = order(&world);
    let looks = world.look(at(60));
    assert!(looks.iter().flat_map(|look| &look.plan.deployments).all(|plan| plan.apply.is_none()));
    assert_eq!(order(&world), turned);

    // A further variable is added, and moves none of them.
    let mut spec = azure_sso_spec();
    spec.self_registration =
        Some(timbr_identity::api::SelfRegistration { role: "viewer".to_owned(), allow_admin: false });
    world.resources = vec![azure_sso("sso", Ok(spec))];
    world.look(at(120));
    let added = ["AUTH_USER_REGISTRATION", "AUTH_USER_REGISTRATION_ROLE"].map(str::to_owned);
    assert_eq!(order(&world), [turned, added.to_vec()].concat());
}
