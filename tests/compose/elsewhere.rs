//! Variables that somebody else sets too.

use serde_json::json;
use timbr_identity::{
    api::{Kind, Sensitive},
    compose::{LiveEnv, LiveSecret, LiveValue, Lookup, Owner},
};

use crate::{
    fixtures::{condition, key, other, plain, verdict},
    kinds::{SERVER, groups, names_on_server, principal, resource, settle, vault, world},
    world::World,
};

fn helm() -> Owner {
    Owner { manager: "helm".to_owned(), operation: "Update".to_owned() }
}

/// Somebody else sets a variable on the server.
fn set(world: &mut World, variable: &str, value: LiveValue) {
    let live = world.live_mut(SERVER);
    live.containers[0].env.push(LiveEnv { name: variable.to_owned(), value });
    live.ownership.others.insert(("timbr".to_owned(), variable.to_owned()), [helm()].into());
}

fn key_of(name: &str, key: &str) -> LiveValue {
    LiveValue::SecretKey { name: name.to_owned(), key: key.to_owned() }
}

fn deliverable(world: &World) -> (String, Vec<(String, bool)>) {
    let plan = world.plan(&key(None));
    let judgement = &plan.resources[0];
    let elsewhere = judgement.set_elsewhere.iter().map(|set| (set.variable.to_string(), set.equal)).collect();
    (judgement.delivered.reason.to_string(), elsewhere)
}

/// Just what we want is shared; anything else is a conflict.
#[test]
fn what_is_equal_is_shared() {
    let rows = [
        ("KV_VAULT_TYPE", plain("azure"), true),
        ("KV_VAULT_TYPE", plain("Azure"), false),
        ("KV_VAULT_TYPE", key_of("a", "KV_VAULT_TYPE"), false),
        ("KV_VAULT_TYPE", other(), false),
        ("AZURE_CLIENT_SECRET", plain("secret-of-a"), false),
        ("AZURE_CLIENT_SECRET", key_of("a", "client-secret"), false),
        ("AZURE_CLIENT_SECRET", key_of("nowhere", "AZURE_CLIENT_SECRET"), false),
    ];
    for (variable, value, equal) in rows {
        let mut world = world(vec![vault(0, "a", "Remove")]);
        set(&mut world, variable, value.clone());
        let reason = if equal { "Delivered" } else { "Conflict" };
        let expected = (reason.to_owned(), vec![(variable.to_owned(), equal)]);
        assert_eq!(deliverable(&world), expected, "{variable} {value:?}");
        settle(&mut world);
        assert_eq!(verdict(world.status("vault"), "Delivered").split_once('/').expect("a verdict").1, reason);
    }
}

/// A reference to our Secret that somebody copied is shared while the Secret is the one that we want.
#[test]
fn a_reference_to_our_secret_is_shared_while_it_holds_just_that() {
    let mut world = world(vec![vault(0, "a", "Remove")]);
    settle(&mut world);
    let name = match world.live(SERVER).containers[0].env.iter().find(|env| env.name == "AZURE_CLIENT_SECRET") {
        Some(LiveEnv { value: LiveValue::SecretKey { name, .. }, .. }) => name.clone(),
        other => panic!("{other:?}"),
    };
    let place = ("timbr".to_owned(), "AZURE_CLIENT_SECRET".to_owned());
    world.live_mut(SERVER).ownership.others.insert(place.clone(), [helm()].into());
    let shared = ("Delivered".to_owned(), vec![("AZURE_CLIENT_SECRET".to_owned(), true)]);
    let conflict = ("Conflict".to_owned(), vec![("AZURE_CLIENT_SECRET".to_owned(), false)]);
    assert_eq!(deliverable(&world), shared);

    let ours = world.secrets[&name].found().expect("our Secret").clone();
    let with = |change: fn(&mut LiveSecret)| {
        let mut world = world.clone();
        let mut secret = ours.clone();
        change(&mut secret);
        world.secrets.insert(name.clone(), Lookup::Found(secret));
        deliverable(&world)
    };
    assert_eq!(with(|_| ()), shared);
    assert_eq!(with(|secret| secret.ours = false), conflict);
    assert_eq!(with(|secret| drop(secret.data.insert("MORE".to_owned(), Sensitive::from("x")))), conflict);
    assert_eq!(with(|secret| drop(secret.data.insert("AZURE_CLIENT_SECRET".to_owned(), "x".into()))), conflict);

    // Another key of it.
    let container = &mut world.live_mut(SERVER).containers[0];
    let env = container.env.iter_mut().find(|env| env.name == place.1).expect("it is there");
    env.value = key_of(&name, "OTHER");
    assert_eq!(deliverable(&world), conflict);
}

/// Without any other manager it is still not ours: a server that lost its managed fields, say.
#[test]
fn nobody_s_other_value_is_not_overwritten() {
    let mut world = world(vec![vault(0, "a", "Remove")]);
    let live = world.live_mut(SERVER);
    live.containers[0].env.push(LiveEnv { name: "KV_VAULT_TYPE".to_owned(), value: plain("aws") });
    settle(&mut world);
    let message = condition(world.status("vault"), "Delivered").map(|condition| condition.message.clone());
    let expected = "Deployment timbr-server, container timbr: variable KV_VAULT_TYPE is set by an unknown manager (as value); remove it there, and this resource delivers it";
    assert_eq!(message.as_deref(), Some(expected));
}

/// Azure Workload Identity would set two of the three variables, for another identity.
#[test]
fn workload_identity_is_in_the_way_of_a_principal() {
    for (resource, name) in [(vault(0, "a", "Remove"), "vault"), (groups(0, "a", json!([])), "groups")] {
        let mut world = world(vec![resource]);
        world.live_mut(SERVER).workload_identity = true;
        settle(&mut world);
        assert_eq!(verdict(world.status(name), "Delivered"), "False/WorkloadIdentityConflict");
        assert_eq!(names_on_server(&world), [] as [&str; 0]);
        world.live_mut(SERVER).workload_identity = false;
        settle(&mut world);
        assert_eq!(verdict(world.status(name), "Delivered"), "True/Delivered");
    }
    // Nobody else minds.
    let token = json!({"workspaceHost": "adb-1.azuredatabricks.net"});
    let databricks = resource(Kind::DatabricksPassthrough, "databricks", 0, token);
    let mut sso = principal("a");
    sso["publicUrl"] = json!("https://timbr.example.com");
    let sso = resource(Kind::AzureSso, "sso", 0, sso);
    let mut world = world(vec![sso, databricks]);
    for name in ["timbr-platform", SERVER] {
        world.live_mut(name).workload_identity = true;
    }
    settle(&mut world);
    for name in ["sso", "databricks"] {
        assert_eq!(verdict(world.status(name), "Delivered"), "True/Delivered");
    }
}
