//! A DatabricksPassthrough is on timbr-platform and on timbr-server, or on neither.

use std::collections::BTreeMap;

use serde_json::json;
use timbr_identity::{
    api::Kind,
    compose::{Failure, LiveDeployment, LiveEnv, Lookup, Owner},
};

use crate::{
    fixtures::{at, condition, deployment, key, plain, verdict},
    kinds::{SERVER, databricks, resource, settle, sign_on, variables, vault, world},
    world::World,
};

const PLATFORM: &str = "timbr-platform";
const ON_PLATFORM: [&str; 2] = ["OAUTH_OFFLINE_ACCESS_SCOPE", "OAUTH_SCOPES"];
const ON_SERVER: [&str; 3] =
    ["OAUTH_OFFLINE_ACCESS_SCOPE", "OAUTH_REFRESH_TOKEN_EXPIRATION", "OAUTH_REFRESH_TOKEN_VALIDATION"];

/// Its variables on the two Deployments.
fn of_databricks(world: &World) -> [Vec<String>; 2] {
    [(PLATFORM, ON_PLATFORM.as_slice()), (SERVER, &ON_SERVER)].map(|(name, own)| {
        let there = variables(world, name).into_iter().map(|(name, _)| name);
        there.filter(|name| own.contains(&name.as_str())).collect()
    })
}

fn both() -> [Vec<String>; 2] {
    [ON_PLATFORM.map(str::to_owned).to_vec(), ON_SERVER.map(str::to_owned).to_vec()]
}

/// Somebody else's other value on a Deployment.
fn taken(world: &mut World, name: &str) {
    let live: &mut LiveDeployment = world.live_mut(name);
    let container = &mut live.containers[0];
    let variable = "OAUTH_OFFLINE_ACCESS_SCOPE".to_owned();
    container.env.push(LiveEnv { name: variable.clone(), value: plain("false") });
    let owner = Owner { manager: "helm".to_owned(), operation: "Update".to_owned() };
    live.ownership.others.insert((container.name.clone(), variable), [owner].into());
}

type Hinder = fn(&mut World, &str);
/// What keeps variables off one Deployment, and the reason that it is told with.
const HINDRANCES: [(&str, Hinder); 4] = [
    ("Conflict", taken),
    ("ContainerNotFound", |world, name| {
        let containers = deployment("other", &[]).containers;
        world.live_mut(name).containers = [containers.clone(), containers].concat();
        world.live_mut(name).containers[1].name = "another".to_owned();
    }),
    ("DeploymentNotFound", |world, name| {
        world.deployments.insert(name.to_owned(), Lookup::Missing);
    }),
    ("Forbidden", |world, name| {
        world.refused.insert(name.to_owned(), Failure::Forbidden("an admission webhook said no".to_owned()));
    }),
];

#[test]
fn what_is_in_the_way_on_one_keeps_it_off_the_other() {
    for (reason, hinder) in HINDRANCES {
        for (hindered, other) in [(PLATFORM, SERVER), (SERVER, PLATFORM)] {
            let mut world = world(vec![databricks()]);
            // Only so that it has a sign-on to build on: what is in the way of that is not its matter.
            world.resources.push(sign_on("a"));
            hinder(&mut world, hindered);
            for _ in 0..3 {
                world.look(at(0));
            }
            let row = format!("{reason} on {hindered}");
            let status = world.status("databricks");
            assert_eq!(verdict(status, "Delivered"), "False/PartnerBlocked", "{row}");
            assert_eq!(verdict(status, "Ready"), "False/PartnerBlocked", "{row}");
            // One that may yet come is waited for; anything else is for a person.
            let work = ["Reconciling", "Stalled"].map(|type_| verdict(status, type_)).join(" ");
            let expected = match reason {
                "DeploymentNotFound" => "True/Retrying ",
                _ => "False/Settled True/PartnerBlocked",
            };
            assert_eq!(work, expected, "{row}");
            let message = &condition(status, "Delivered").expect("Delivered").message;
            assert!(message.contains(&format!("Deployment {hindered}")), "{row}: {message}");
            let end = format!("; nothing is changed on Deployment {other} either, as this resource needs both or none");
            assert!(message.ends_with(&end), "{row}: {message}");
            assert!(status.delivered.is_empty(), "{row}");
            let live = world.live(other);
            let own = [ON_PLATFORM.as_slice(), &ON_SERVER].concat();
            assert!(live.ownership.ours.iter().all(|(_, name)| !own.contains(&name.as_str())), "{row}");
        }
    }
}

/// In the way on both: then there is no partner to speak of.
#[test]
fn in_the_way_on_both_the_cause_itself_is_told() {
    let mut world = world(vec![sign_on("a"), databricks()]);
    taken(&mut world, PLATFORM);
    taken(&mut world, SERVER);
    settle(&mut world);
    assert_eq!(verdict(world.status("databricks"), "Delivered"), "False/Conflict");
    assert_eq!(of_databricks(&world).concat(), [] as [&str; 0]);
}

/// What is on one Deployment only is tried there by being written.
#[test]
fn a_refusal_keeps_nothing_off_that_has_no_partner() {
    let mut world = world(vec![sign_on("a")]);
    world.refused.insert(PLATFORM.to_owned(), Failure::Forbidden("no".to_owned()));
    settle(&mut world);
    assert_eq!(verdict(world.status("sso"), "Delivered"), "True/Delivered");
}

#[test]
fn it_leaves_both_or_neither() {
    for refused in [PLATFORM, SERVER] {
        let mut world = world(vec![sign_on("a"), databricks()]);
        assert_eq!(settle(&mut world), 1);
        assert_eq!(of_databricks(&world), both());
        world.resources.pop();
        world.refused.insert(refused.to_owned(), Failure::Conflict("somebody".to_owned()));
        assert_eq!(settle(&mut world), 0, "{refused} refuses");
        assert_eq!(of_databricks(&world), both());
        world.refused.clear();
        assert_eq!(settle(&mut world), 1);
        assert_eq!(of_databricks(&world).concat(), [] as [&str; 0]);
    }
}

/// A refusal on one Deployment holds back no other kind's removal from another.
#[test]
fn only_what_needs_both_is_held_back() {
    let mut world = world(vec![sign_on("a"), databricks(), vault(2, "a", "Remove")]);
    settle(&mut world);
    world.resources.truncate(2);
    world.refused.insert(PLATFORM.to_owned(), Failure::Forbidden("no".to_owned()));
    assert_eq!(settle(&mut world), 1);
    assert_eq!(variables(&world, SERVER).len(), ON_SERVER.len());
    // Nor the removal from a Deployment on which it never was.
    world.resources.clear();
    world.refused = [("timbr-api".to_owned(), Failure::Forbidden("no".to_owned()))].into();
    assert_eq!(settle(&mut world), 1);
    assert_eq!(of_databricks(&world).concat(), [] as [&str; 0]);
}

/// Before it is delivered, while it is there and when it goes, the writer has to try both Deployments.
#[test]
fn the_plan_says_that_there_is_a_pair() {
    let pairs = |world: &World| -> BTreeMap<String, bool> {
        let plan = world.plan(&key(None));
        plan.deployments.into_iter().map(|plan| (plan.name, plan.has_pair)).collect()
    };
    let named = |pairs: &[(&str, bool)]| pairs.iter().map(|(name, pair)| ((*name).to_owned(), *pair)).collect();
    let both: BTreeMap<String, bool> = named(&[(PLATFORM, true), (SERVER, true), ("timbr-api", false)]);
    let tokens = resource(Kind::JwtAuthentication, "tokens", 0, json!({"type": "Azure"}));
    let mut world = world(vec![tokens, sign_on("a"), databricks()]);
    assert_eq!(pairs(&world), both);
    settle(&mut world);
    assert_eq!(pairs(&world), both);
    world.resources.pop();
    assert_eq!(pairs(&world), both);
    settle(&mut world);
    // Nobody wants anything of the server any more.
    assert_eq!(pairs(&world), named(&[(PLATFORM, false), ("timbr-api", false)]));
}

#[test]
fn tokens_are_looked_at_before_they_are_stale() {
    for (expiration, validation, warned) in
        [("30m", "5m", false), ("30m", "30m", false), ("30m", "31m", true), ("1h", "31m", false), ("1h", "2h", true)]
    {
        let spec = json!({
            "workspaceHost": "adb-1.azuredatabricks.net",
            "refreshTokenExpiration": expiration,
            "refreshTokenValidation": validation,
        });
        let mut world = world(vec![sign_on("a"), resource(Kind::DatabricksPassthrough, "databricks", 1, spec)]);
        settle(&mut world);
        let codes: Vec<&str> =
            world.status("databricks").problems.iter().map(|problem| problem.code.as_str()).collect();
        let wanted: &[&str] = if warned { &["ValidationAboveExpiration"] } else { &[] };
        assert_eq!(codes, wanted, "{expiration} {validation}");
        let minutes = |text: &str| match text {
            "1h" => "60".to_owned(),
            "2h" => "120".to_owned(),
            text => text.trim_end_matches('m').to_owned(),
        };
        let values: Vec<String> = variables(&world, SERVER).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, ["true".to_owned(), minutes(expiration), minutes(validation)]);
    }
}
