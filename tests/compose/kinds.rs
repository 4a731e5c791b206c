//! Worlds with every kind, from manifests.

use serde_json::{Value as Json, json};
use timbr_identity::{
    api::{Kind, Object, Resource, Spec, TimbrInstallationSpec},
    compose::{LiveDeployment, LiveValue, Lookup},
};

use crate::{
    fixtures::{CLIENT_ID, at, complete, deployment, meta, secret},
    world::World,
};

pub const SERVER: &str = "timbr-server";

fn read(kind: Kind, name: &str, second: i64, spec: Json) -> Object {
    let Object::Resource(mut resource) = Object::read(kind, &Default::default(), &json!({"spec": spec})) else {
        panic!("{kind} is no resource")
    };
    resource.meta = meta(kind, name);
    resource.meta.created = Some(at(second));
    Object::Resource(resource)
}

/// A resource of a kind that was created at that second.
pub fn resource(kind: Kind, name: &str, second: i64, spec: Json) -> Resource<Spec> {
    match read(kind, name, second, spec) {
        Object::Resource(resource) => resource,
        Object::Installation(_) => unreachable!(),
    }
}

/// A TimbrInstallation.
pub fn installation(name: &str, spec: Json) -> Resource<TimbrInstallationSpec> {
    let Object::Installation(mut installation) =
        Object::read(Kind::TimbrInstallation, &Default::default(), &json!({"spec": spec}))
    else {
        unreachable!()
    };
    installation.meta = meta(Kind::TimbrInstallation, name);
    installation
}

/// The service principal, by a Secret of this name.
pub fn principal(secret: &str) -> Json {
    json!({
        "tenantId": "contoso.onmicrosoft.com",
        "clientId": CLIENT_ID,
        "clientSecretRef": {"name": secret, "key": "client-secret"},
    })
}

fn with(mut base: Json, more: Json) -> Json {
    base.as_object_mut().expect("a mapping").extend(more.as_object().expect("a mapping").clone());
    base
}

/// Single sign-on whose client secret is in a Secret of this name.
pub fn sign_on(secret: &str) -> Resource<Spec> {
    let spec = with(principal(secret), json!({"publicUrl": "https://timbr.example.com"}));
    resource(Kind::AzureSso, "sso", 0, spec)
}

pub fn databricks() -> Resource<Spec> {
    resource(Kind::DatabricksPassthrough, "databricks", 1, json!({"workspaceHost": "adb-1.azuredatabricks.net"}))
}

pub fn groups(second: i64, secret: &str, mappings: Json) -> Resource<Spec> {
    let spec = with(principal(secret), json!({"mappings": mappings}));
    resource(Kind::RoleGroupSync, "groups", second, spec)
}

pub fn vault(second: i64, secret: &str, policy: &str) -> Resource<Spec> {
    let more = json!({"vaultUrl": "https://contoso.vault.azure.net", "deletionPolicy": policy});
    resource(Kind::KeyVaultBinding, "vault", second, with(principal(secret), more))
}

/// A world with all three Deployments, and Secrets `a` and `b` with a client secret each.
pub fn world(resources: Vec<Resource<Spec>>) -> World {
    let live = |name: &str, container: &str| {
        let scheme: &[(&str, &str)] = if name == "timbr-platform" { &[("OAUTH_DEFAULT_SCHEME", "https")] } else { &[] };
        let live = LiveDeployment { uid: format!("uid-of-{name}"), ..deployment(container, scheme) };
        (name.to_owned(), Lookup::Found(live))
    };
    World {
        resources,
        deployments: [live("timbr-platform", "timbr-platform"), live(SERVER, "timbr"), live("timbr-api", "timbr-api")]
            .into(),
        secrets: [
            ("a".to_owned(), Lookup::Found(secret(&[("client-secret", "secret-of-a")]))),
            ("b".to_owned(), Lookup::Found(secret(&[("client-secret", "secret-of-b")]))),
        ]
        .into(),
        ..World::default()
    }
}

/// Looks until nothing is written any more, pods following at once; returns how many looks changed a
/// template.
pub fn settle(world: &mut World) -> usize {
    let mut changed = 0;
    for _ in 0..4 {
        let before: Vec<i64> = generations(world);
        world.look(at(100));
        let after = generations(world);
        changed += usize::from(before != after);
        let names: Vec<String> = world.deployments.keys().cloned().collect();
        for name in names {
            let generation = world.live(&name).generation;
            world.live_mut(&name).rollout = complete(generation);
        }
    }
    changed
}

fn generations(world: &World) -> Vec<i64> {
    world.deployments.values().filter_map(Lookup::found).map(|live: &LiveDeployment| live.generation).collect()
}

/// The variables of ours on a Deployment with one container, with values; those by Secret with the
/// Secret's content.
pub fn variables(world: &World, deployment: &str) -> Vec<(String, String)> {
    let live = world.live(deployment);
    let container = &live.containers[0];
    let ours =
        container.env.iter().filter(|env| live.ownership.ours.contains(&(container.name.clone(), env.name.clone())));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut variables: Vec<(String, String)> = ours
        .map(|env| {
            let value = match &env.value {
                LiveValue::Plain(value) => text(value.expose()),
                LiveValue::SecretKey { name, key } => {
                    let secret = world.secrets[name].found().expect("the Secret is there");
                    text(secret.data[key].expose())
                }
                LiveValue::Other(_) => "?".to_owned(),
            };
            (env.name.clone(), value)
        })
        .collect();
    variables.sort();
    variables
}

/// Those on the server.
pub fn on_server(world: &World) -> Vec<(String, String)> {
    variables(world, SERVER)
}

/// The names alone.
pub fn names_on_server(world: &World) -> Vec<String> {
    on_server(world).into_iter().map(|(name, _)| name).collect()
}

/// The value of a variable on the server.
pub fn value_on_server(world: &World, name: &str) -> Option<String> {
    on_server(world).into_iter().find_map(|(of, value)| (of == name).then_some(value))
}

/// Holders of a variable on the server, as the annotation has them.
pub fn holders(world: &World, variable: &str) -> Vec<String> {
    let annotation: Json = serde_json::from_str(world.live(SERVER).delivered.as_deref().unwrap_or("{}")).expect("JSON");
    let holders = annotation["vars"][format!("timbr/{variable}")].as_array().cloned().unwrap_or_default();
    holders.iter().map(|holder| holder.as_str().expect("a name").to_owned()).collect()
}
