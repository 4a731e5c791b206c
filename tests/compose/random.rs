//! Random namespaces: mostly sensible, sometimes wrong in any of the ways that a cluster allows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::{collection::vec, option, prelude::*, sample::select};
use timbr_identity::{
    api::{
        AzureSsoSpec, ComponentTarget, Components, Kind, Meta, PasswordLogin, Resource, SelfRegistration, Sensitive,
        Spec, TimbrInstallationSpec, UserIdentity,
    },
    compose::{
        Attribution, LiveContainer, LiveDeployment, LiveEnv, LiveSecret, LiveValue, Lookup, Owner, Ownership, Rollout,
    },
};

use crate::{
    fixtures::{CANARY, CLIENT_ID, at, installation_ref, meta, plain, secret_ref},
    world::World,
};

const INSTALLATIONS: [&str; 4] = ["a", "b", "c", "default"];
const RESOURCES: [&str; 5] = ["sso-0", "sso-1", "sso-2", "sso-3", "sso-4"];
const DEPLOYMENTS: [&str; 5] = ["timbr-platform", "web", "web-2", "timbr-server", "timbr-api"];
const CONTAINERS: [&str; 4] = ["timbr-platform", "web", "timbr", "sidecar"];
const SECRETS: [&str; 4] = ["entra", "other", "docker", OURS];
/// A name as ours have it, so that it can be in the way.
const OURS: &str = "timbr-platform-identity-0123456789";
const VARIABLES: [&str; 6] =
    ["OAUTH_PROVIDER", "OAUTH_CLIENT_ID", "OAUTH_SECRET", "OAUTH_BASE_URL", "AUTH_WITH_USERPASS", "TIMBR_LOG_LEVEL"];

/// A namespace on a cluster: what is looked for is there, is not there, or may not be read.
pub fn world() -> impl Strategy<Value = World> {
    any_world(false)
}

/// A namespace that may also be one in files, where nothing is known of what is not in the input.
pub fn world_or_files() -> impl Strategy<Value = World> {
    any_world(true)
}

fn any_world(offline: bool) -> impl Strategy<Value = World> {
    let homes = some_of(&INSTALLATIONS, 0..4);
    let namespace = homes.prop_flat_map(|homes| {
        let installations: Vec<_> = homes.iter().copied().map(installation).collect();
        let resources = some_of(&RESOURCES, 0..5)
            .prop_flat_map(move |names| names.into_iter().map(|name| azure_sso(name, &homes)).collect::<Vec<_>>());
        (installations, resources)
    });
    let deployments = vec(lookup(deployment().boxed(), offline), DEPLOYMENTS.len());
    let secrets = vec(lookup(secret().boxed(), offline), SECRETS.len());
    (namespace, deployments, secrets).prop_map(|((installations, resources), deployments, secrets)| World {
        installations,
        resources,
        deployments: named(&DEPLOYMENTS, deployments),
        secrets: named(&SECRETS, secrets),
    })
}

/// Some names, each at most once.
fn some_of(names: &'static [&'static str], size: std::ops::Range<usize>) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(names, size)
}

fn named<T>(names: &[&str], values: Vec<T>) -> BTreeMap<String, T> {
    names.iter().map(|name| (*name).to_owned()).zip(values).collect()
}

fn lookup<T: Clone + std::fmt::Debug + 'static>(
    found: BoxedStrategy<T>,
    offline: bool,
) -> impl Strategy<Value = Lookup<T>> {
    let absent = if offline { Lookup::NotInInput } else { Lookup::Missing };
    prop_oneof![
        8 => found.prop_map(Lookup::Found),
        1 => Just(absent),
        1 => select(vec![Lookup::Missing, Lookup::Forbidden]),
    ]
}

/// Ages collide, and offline there are none.
fn any_meta(kind: Kind, name: &'static str) -> impl Strategy<Value = Meta> {
    let created: Vec<Option<Timestamp>> = vec![None, Some(at(0)), Some(at(1))];
    (select(created), any::<bool>(), 1..3i64).prop_map(move |(created, with_uid, generation)| {
        let meta = meta(kind, name);
        let uid = if with_uid { meta.uid.clone() } else { String::new() };
        Meta { created, uid, generation, ..meta }
    })
}

fn undecodable<T: Clone + std::fmt::Debug + 'static>(
    spec: BoxedStrategy<T>,
) -> impl Strategy<Value = Result<T, timbr_identity::api::Unreadable>> {
    prop_oneof![12 => spec.prop_map(Ok), 1 => Just(Err("spec.x: expected a string".into()))]
}

fn installation(name: &'static str) -> BoxedStrategy<Resource<TimbrInstallationSpec>> {
    let platform = prop_oneof![12 => select(vec!["timbr-platform", "web", "web-2"]), 1 => Just("Not A Name")];
    let container = prop_oneof![3 => Just(None), 2 => select(CONTAINERS.to_vec()).prop_map(Some)];
    let spec = (platform, container, prop::bool::weighted(0.1)).prop_map(|(platform, container, suspend)| {
        let target = |deployment: &str, container: Option<&str>| ComponentTarget {
            deployment: Some(deployment.to_owned()),
            container: container.map(str::to_owned),
        };
        let components = Components {
            platform: target(platform, container),
            server: target("timbr-server", None),
            // On the Deployment of another component, at times.
            api: target(if container.is_some() { platform } else { "timbr-api" }, Some("timbr-api")),
        };
        TimbrInstallationSpec { components, sql: None, suspend }
    });
    (any_meta(Kind::TimbrInstallation, name), undecodable(spec.boxed()))
        .prop_map(|(meta, spec)| Resource { meta, spec, status: None })
        .boxed()
}

fn azure_sso(name: &'static str, homes: &[&'static str]) -> BoxedStrategy<Resource<Spec>> {
    let named: Vec<Option<&str>> =
        if homes.is_empty() { vec![None] } else { homes.iter().copied().map(Some).collect() };
    let installation = prop_oneof![
        3 => Just(None),
        9 => select(named),
        1 => select(vec![Some("nowhere"), Some("a")]),
    ];
    let tenant =
        prop_oneof![19 => Just("contoso.onmicrosoft.com"), 1 => select(vec!["$(TIMBR_LOG_LEVEL).com", "common"])];
    let url = prop_oneof![19 => Just("https://timbr.example.com"), 1 => Just("http://timbr.example.com/")];
    let secret = prop_oneof![12 => Just("entra"), 2 => select(SECRETS.to_vec()), 1 => Just("gone")];
    let key = prop_oneof![12 => Just("client-secret"), 2 => select(KEYS.to_vec()), 1 => Just("no-such-key")];
    let client_id = prop_oneof![
        12 => Just((Some(CLIENT_ID), false)),
        6 => Just((None, true)),
        1 => Just((Some("no-guid"), false)),
        1 => Just((Some(CLIENT_ID), true)),
    ];
    let role = option::weighted(0.3, prop_oneof![8 => Just("viewer"), 1 => select(vec!["admin", "$(X)"])]);
    let login = option::of(select(vec![PasswordLogin::Enabled, PasswordLogin::Disabled]));
    let spec = (installation, tenant, url, secret, key, client_id, role, login, prop::bool::weighted(0.1)).prop_map(
        |(installation, tenant, url, secret, key, (client_id, by_ref), role, login, suspend)| AzureSsoSpec {
            tenant_id: tenant.to_owned(),
            client_id: client_id.map(str::to_owned),
            client_id_ref: by_ref.then(|| secret_ref("entra", "client-id")),
            client_secret_ref: secret_ref(secret, key),
            public_url: url.to_owned(),
            user_identity: if login.is_some() { UserIdentity::UserPrincipalName } else { UserIdentity::Email },
            self_registration: role.map(|role| SelfRegistration { role: role.to_owned(), allow_admin: suspend }),
            password_login: login,
            installation_ref: installation.map(installation_ref),
            suspend,
        },
    );
    (any_meta(Kind::AzureSso, name), undecodable(spec.boxed()))
        .prop_map(|(meta, spec)| Resource { meta, spec: spec.map(Spec::AzureSso), status: None })
        .boxed()
}

const KEYS: [&str; 5] = ["client-secret", "client-id", "blank", "empty", "binary"];

fn secret() -> impl Strategy<Value = LiveSecret> {
    let type_ = prop_oneof![8 => Just("Opaque"), 1 => select(vec!["identity.timbr.ai/credential", "kubernetes.io/dockerconfigjson"])];
    let keys = prop_oneof![4 => Just(KEYS.to_vec()), 1 => proptest::sample::subsequence(KEYS.to_vec(), 0..5)];
    let guid = prop::bool::weighted(0.8);
    (type_, prop::bool::weighted(0.1), any::<bool>(), any::<bool>(), any::<bool>(), keys, guid).prop_map(
        |(type_, ours, opted_in, immutable, owned, keys, guid)| LiveSecret {
            type_: type_.to_owned(),
            ours,
            opted_in,
            immutable,
            owner: owned.then(|| "uid-of-the-deployment".to_owned()),
            data: keys.into_iter().map(|key| (key.to_owned(), value_of(key, guid))).collect(),
        },
    )
}

/// Each value holds the canary, where it can.
fn value_of(key: &str, guid: bool) -> Sensitive {
    match key {
        "client-id" if guid => Sensitive::from(CANARY_ID),
        "blank" => Sensitive::from(format!(" {CANARY}\n").as_str()),
        "empty" => Sensitive::from(""),
        "binary" => Sensitive::new([&[0xff, 0], CANARY.as_bytes()].concat()),
        _ => Sensitive::from(CANARY),
    }
}

/// A client id that is in a Secret, and so is no more to be printed than any other value there.
pub const CANARY_ID: &str = "cccccccc-aaaa-aaaa-aaaa-cccccccccccc";

fn deployment() -> impl Strategy<Value = LiveDeployment> {
    let containers = proptest::sample::subsequence(CONTAINERS.to_vec(), 1..3)
        .prop_flat_map(|names| names.into_iter().map(container).collect::<Vec<_>>());
    let hands =
        vec((any::<bool>(), 0..3usize, option::of(select(RESOURCES.to_vec()))), CONTAINERS.len() * VARIABLES.len());
    let labels = (any::<bool>(), option::of(Just("true".to_owned())), prop::bool::weighted(0.2));
    let pods = (0..3i64, 0..2i32, prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    (containers, hands, labels, pods).prop_map(|(containers, hands, (metadata, managed, garbage), pods)| {
        let mut ownership = Ownership { metadata, ..Ownership::default() };
        let mut attribution = Attribution::default();
        let places: BTreeSet<(String, String)> = containers
            .iter()
            .flat_map(|container| container.env.iter().map(|env| (container.name.clone(), env.name.clone())))
            .collect();
        for (place, (ours, others, holder)) in places.into_iter().zip(hands) {
            // Two entries of one name cannot come from an apply, so none of them is ours.
            let container = containers.iter().find(|container| container.name == place.0);
            let twice = container.is_some_and(|container| container.variables(&place.1).count() > 1);
            let owners = [("helm", "Update"), ("argocd", "Apply")]
                .into_iter()
                .take(others)
                .map(|(manager, operation)| Owner { manager: manager.to_owned(), operation: operation.to_owned() });
            let owners: BTreeSet<Owner> = owners.collect();
            if !owners.is_empty() {
                ownership.others.insert(place.clone(), owners);
            }
            if let Some(holder) = holder {
                attribution.add((&place.0, &place.1), &format!("AzureSso/{holder}"));
            }
            if ours && !twice {
                ownership.ours.insert(place);
            }
        }
        // The label goes with what is ours, unless somebody took it off.
        let managed = if ownership.ours.is_empty() && !ownership.metadata { managed } else { Some("true".to_owned()) };
        LiveDeployment {
            uid: "uid-of-the-deployment".to_owned(),
            generation: 2,
            containers,
            ownership,
            managed,
            workload_identity: false,
            delivered: Some(if garbage { "{".to_owned() } else { attribution.write() }),
            rollout: Rollout {
                observed_generation: pods.0,
                replicas: 1,
                updated: pods.1,
                total: 1,
                available: 1,
                paused: pods.2,
                deadline_exceeded: pods.3,
            },
        }
    })
}

fn container(name: &'static str) -> BoxedStrategy<LiveContainer> {
    let value = prop_oneof![
        3 => select(vec!["azure", "azure", "True", "false", "info", "$(HOME)", ""]).prop_map(plain),
        2 => select(vec![OURS, "entra"]).prop_map(|name| LiveValue::SecretKey { name: name.to_owned(), key: "OAUTH_SECRET".to_owned() }),
        1 => Just(LiveValue::Other),
    ];
    // Few, so that most of what is wanted meets nothing in its way.
    vec((select(VARIABLES.to_vec()), value), 0..4)
        .prop_map(move |env| LiveContainer {
            name: name.to_owned(),
            env: env.into_iter().map(|(name, value)| LiveEnv { name: name.to_owned(), value }).collect(),
        })
        .boxed()
}
