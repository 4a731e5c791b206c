//! How long a look at an installation takes to decide: the target is 50 µs for ten resources, and 1 ms
//! for a hundred tenants with a key each.
//!
//! Two worst cases: ten resources that all want one installation, of which one has everything set and
//! nine are in its way; and ten installations of one namespace with a resource each.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use timbr_identity::{
    api::{Kind, PasswordLogin, SelfRegistration, UserIdentity},
    compose::{Lookup, Mail, Memory, compose, events, statuses},
};

#[allow(dead_code)]
#[path = "../tests/compose/fixtures.rs"]
mod fixtures;
#[allow(dead_code)]
#[path = "../tests/compose/kinds.rs"]
mod kinds;
#[allow(dead_code)]
#[path = "../tests/compose/world.rs"]
mod world;

use fixtures::{
    PLATFORM, at, azure_sso, azure_sso_spec, deployment, installation, installation_ref, key, secret, secret_ref,
};
use world::World;

/// A Timbr with as many variables of its own as an ordinary one has.
fn timbr(world: &mut World, name: &str) {
    let names: Vec<String> = (0..30).map(|i| format!("TIMBR_SETTING_{i}")).collect();
    let env: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "on")).collect();
    world.deployments.insert(name.to_owned(), Lookup::Found(deployment(PLATFORM, &env)));
}

/// Ten resources of one installation.
fn one_installation() -> World {
    let mut world = World { installations: vec![installation("a", PLATFORM)], ..World::default() };
    for name in [PLATFORM, "a-server", "a-api"] {
        timbr(&mut world, name);
    }
    for i in 0..10 {
        let mut spec = azure_sso_spec();
        spec.client_id = None;
        spec.client_id_ref = Some(secret_ref("entra", "client-id"));
        spec.user_identity = UserIdentity::UserPrincipalName;
        spec.self_registration = Some(SelfRegistration { role: "viewer".to_owned(), allow_admin: false });
        spec.password_login = Some(PasswordLogin::Enabled);
        spec.installation_ref = Some(installation_ref("a"));
        let mut sso = azure_sso(&format!("sso-{i}"), Ok(spec));
        sso.meta.created = Some(at(i));
        world.resources.push(sso);
    }
    let entra = secret(&[("client-secret", "x"), ("client-id", fixtures::CLIENT_ID)]);
    world.secrets.insert("entra".to_owned(), Lookup::Found(entra));
    world
}

/// Ten installations with a resource each.
fn ten_installations() -> World {
    let mut world = World::default();
    for i in 0..10 {
        let name = format!("timbr-{i}");
        for component in ["platform", "server", "api"] {
            timbr(&mut world, &format!("{name}-{component}"));
        }
        world.installations.push(installation(&name, &format!("{name}-platform")));
        let mut spec = azure_sso_spec();
        spec.installation_ref = Some(installation_ref(&name));
        world.resources.push(azure_sso(&format!("sso-{i}"), Ok(spec)));
    }
    world.secrets.insert("entra".to_owned(), Lookup::Found(secret(&[("client-secret", "x")])));
    world
}

/// One installation with a hundred tenants of its REST API.
fn hundred_tenants() -> World {
    let key_of = |name: &str| json!({"name": "keys", "key": name});
    let authentication = json!({"type": "Custom", "algorithms": ["HS256"], "audience": "timbr", "keyRef": key_of("k")});
    let mut resources = vec![kinds::resource(Kind::JwtAuthentication, "jwt", 0, authentication)];
    resources.extend((0..100).map(|i| {
        let spec = json!({"tenant": format!("tenant{i}"), "audience": format!("a{i}"), "keyRef": key_of("k")});
        kinds::resource(Kind::JwtTenant, &format!("tenant{i}"), i, spec)
    }));
    let mut world = kinds::world(resources);
    world.secrets.insert("keys".to_owned(), Lookup::Found(secret(&[("k", "shared")])));
    world
}

fn benches(criterion: &mut Criterion) {
    for (name, mut world, installation) in [
        ("one installation", one_installation(), Some("a")),
        ("ten installations", ten_installations(), Some("timbr-5")),
        ("a hundred tenants", hundred_tenants(), None),
    ] {
        let key = key(installation);
        let cold = world.snapshot(&key);
        assert!(compose(&cold).deployments.iter().any(|plan| plan.apply.is_some()), "there is something to write");
        criterion.bench_function(&format!("compose/{name}, cold"), |bench| bench.iter(|| compose(black_box(&cold))));

        world.look(at(0));
        let steady = world.snapshot(&key);
        let plan = compose(&steady);
        assert!(plan.deployments.iter().all(|plan| plan.apply.is_none()), "there is nothing to write");
        criterion
            .bench_function(&format!("compose/{name}, steady"), |bench| bench.iter(|| compose(black_box(&steady))));

        let (_, outcomes) = world.deliver(&key, at(60), &mut vec![], &mut vec![]);
        criterion.bench_function(&format!("statuses/{name}, steady"), |bench| {
            bench.iter(|| {
                let statuses =
                    statuses(black_box(&plan), &outcomes, Memory::Partial, &Mail::default(), at(60)).statuses;
                statuses.iter().map(|change| events(change).len()).sum::<usize>()
            });
        });
    }
}

criterion_group!(group, benches);
criterion_main!(group);
