//! When an apply replaces pods, and what is tried before it is done.

use serde_json::json;
use timbr_identity::{
    api::{Kind, Sensitive},
    compose::{DeploymentPlan, LiveValue, Lookup, Owner},
};

use crate::{
    fixtures::{key, secret},
    kinds::{SERVER, groups, principal, resource, settle, vault, world},
    world::World,
};

fn on_server(world: &World) -> Option<DeploymentPlan> {
    world.plan(&key(None)).deployments.into_iter().find(|plan| plan.name == SERVER)
}

/// Whether there is an apply, and whether it replaces pods.
fn applies(world: &World) -> (bool, bool) {
    on_server(world).map_or((false, false), |plan| (plan.apply.is_some(), plan.changes_template))
}

fn delivered() -> World {
    let mut world = world(vec![vault(0, "a", "Remove"), groups(1, "a", json!([]))]);
    settle(&mut world);
    assert_eq!(applies(&world), (false, false));
    world
}

type Change = fn(&mut World);

#[test]
fn an_apply_replaces_pods_if_it_changes_variables() {
    let rows: [(&str, Change, (bool, bool)); 9] = [
        ("nothing", |_| (), (false, false)),
        ("the record alone", |world| world.resources[0] = vault(0, "a", "Retain"), (true, false)),
        ("our label is off", |world| world.live_mut(SERVER).managed = None, (true, false)),
        ("our annotation is off", |world| world.live_mut(SERVER).delivered = None, (true, false)),
        (
            "a rotated secret",
            |world| {
                world.secrets.insert("a".to_owned(), Lookup::Found(secret(&[("client-secret", "new")])));
            },
            (true, true),
        ),
        ("one of two resources goes", |world| drop(world.resources.pop()), (true, true)),
        (
            "it goes, and somebody else holds all its variables too",
            |world| {
                world.resources.pop();
                let live = world.live_mut(SERVER);
                for variable in ["SYNC_GROUPS_INTERVAL", "SYNC_GROUPS_AUTO_CREATE_USER"] {
                    let owner = Owner { manager: "helm".to_owned(), operation: "Apply".to_owned() };
                    live.ownership.others.insert(("timbr".to_owned(), variable.to_owned()), [owner].into());
                }
            },
            (true, false),
        ),
        (
            "a variable of ours was taken off",
            |world| world.live_mut(SERVER).containers[0].env.retain(|env| env.name != "KV_VAULT"),
            (true, true),
        ),
        (
            "one was changed",
            |world| {
                let env = &mut world.live_mut(SERVER).containers[0].env;
                env.iter_mut().find(|env| env.name == "KV_VAULT").expect("it is there").value =
                    LiveValue::Plain(Sensitive::from("https://other.vault.azure.net/"));
            },
            (true, true),
        ),
    ];
    for (name, change, expected) in rows {
        let mut world = delivered();
        change(&mut world);
        assert_eq!(applies(&world), expected, "{name}");
    }
    // Before anything is there.
    assert_eq!(applies(&world(vec![vault(0, "a", "Remove")])), (true, true));
    assert_eq!(applies(&world(vec![])), (false, false));
}

/// What needs two Deployments is tried on both before it is written to one; nothing else is.
#[test]
fn what_needs_both_is_tried_first() {
    let mut sso = principal("a");
    sso["publicUrl"] = json!("https://timbr.example.com");
    let sso = || resource(Kind::AzureSso, "sso", 0, sso.clone());
    let databricks = json!({"workspaceHost": "adb-1.azuredatabricks.net"});
    let databricks = || resource(Kind::DatabricksPassthrough, "databricks", 1, databricks.clone());
    let tried = |world: &World| -> Vec<String> {
        let mut names: Vec<String> = world.plan(&key(None)).trial().map(|plan| plan.name.clone()).collect();
        names.sort();
        names
    };
    let mut world = world(vec![sso(), vault(2, "a", "Remove")]);
    assert_eq!(tried(&world), [] as [&str; 0]);
    world.resources.push(databricks());
    assert_eq!(tried(&world), ["timbr-platform", SERVER]);
    settle(&mut world);
    assert_eq!(tried(&world), [] as [&str; 0], "nothing is to be written");
    world.resources.pop();
    assert_eq!(tried(&world), ["timbr-platform", SERVER]);
}

/// The next request is decided from what the one before left: the Deployment, and the Secrets that it names.
#[test]
fn what_a_request_leaves_is_taken_in() {
    let mut world = world(vec![vault(0, "a", "Remove")]);
    let mut snapshot = world.snapshot(&key(None));
    let plan = on_server(&world).expect("a plan");
    let made = &plan.secrets[0];
    assert!(!made.present && !snapshot.secrets.contains_key(&made.name));
    settle(&mut world);
    let live = world.live(SERVER).clone();
    snapshot.take_in(&plan, live.clone());
    assert_eq!(snapshot.deployments[SERVER], Lookup::Found(live));
    assert_eq!(snapshot.secrets[&made.name], Lookup::Found(made.live()));
}
