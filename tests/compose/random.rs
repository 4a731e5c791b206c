//! Random namespaces: mostly sensible, sometimes wrong in any of the ways that a cluster allows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value as Json, json};
use timbr_identity::{
    api::{ComponentTarget, Components, Kind, Meta, OnConflict, Resource, Sensitive, Spec, TimbrInstallationSpec},
    compose::{
        Attribution, LiveContainer, LiveDeployment, LiveEnv, LiveSecret, LiveValue, Lookup, Owner, Ownership, Rollout,
    },
};

use crate::{
    fixtures::{CANARY, CLIENT_ID, at, meta, other, plain},
    kinds::resource,
    world::World,
};

const INSTALLATIONS: [&str; 4] = ["a", "b", "c", "default"];
/// Several of a kind, so that they get into each other's way.
const RESOURCES: [(Kind, &str); 16] = [
    (Kind::AzureSso, "sso-0"),
    (Kind::AzureSso, "sso-1"),
    (Kind::AzureSso, "sso-2"),
    (Kind::RoleGroupSync, "groups-0"),
    (Kind::RoleGroupSync, "groups-1"),
    (Kind::KeyVaultBinding, "vault-0"),
    (Kind::KeyVaultBinding, "vault-1"),
    (Kind::DatabricksPassthrough, "databricks-0"),
    (Kind::DatabricksPassthrough, "databricks-1"),
    (Kind::JwtAuthentication, "jwt-0"),
    (Kind::JwtAuthentication, "jwt-1"),
    (Kind::JwtTenant, "tenant-0"),
    (Kind::JwtTenant, "tenant-1"),
    (Kind::ExternalTokenProvider, "provider-0"),
    (Kind::ExternalTokenProvider, "provider-1"),
    (Kind::InboundAccessPolicy, "policy"),
];
const DEPLOYMENTS: [&str; 5] = ["timbr-platform", "web", "web-2", "timbr-server", "timbr-api"];
const CONTAINERS: [&str; 5] = ["timbr-platform", "web", "timbr", "timbr-api", "sidecar"];
const SECRETS: [&str; 4] = ["entra", "other", "docker", OURS];
/// A name as ours have it, so that it can be in the way.
const OURS: &str = "timbr-platform-identity-0123456789";
const VARIABLES: [&str; 14] = [
    "OAUTH_PROVIDER",
    "OAUTH_CLIENT_ID",
    "OAUTH_SECRET",
    "OAUTH_BASE_URL",
    "AUTH_WITH_USERPASS",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
    "KV_VAULT",
    "KV_VAULT_TYPE",
    "JWT_TYPE",
    "JWT_DEFAULT_KEY",
    "JWT_ACME_AUDIENCE",
    "TIMBR_LOG_LEVEL",
];

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
        let resources = some_of(&RESOURCES, 0..8).prop_flat_map(move |all| {
            all.into_iter().map(|(kind, name)| any_resource(kind, name, &homes)).collect::<Vec<_>>()
        });
        (installations, resources)
    });
    let deployments = DEPLOYMENTS.map(|name| lookup(deployment(name).boxed(), offline));
    let secrets = SECRETS.map(|_| lookup(secret().boxed(), offline));
    let partial = if offline { any::<bool>().boxed() } else { Just(false).boxed() };
    (namespace, deployments, secrets, partial).prop_map(
        |((installations, resources), deployments, secrets, partial)| World {
            installations,
            resources,
            deployments: named(&DEPLOYMENTS, deployments),
            secrets: named(&SECRETS, secrets),
            partial,
            ..World::default()
        },
    )
}

/// Some of them, each at most once.
fn some_of<T: Clone + std::fmt::Debug + 'static>(
    all: &'static [T],
    size: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<T>> {
    proptest::sample::subsequence(all, size)
}

fn named<T, const N: usize>(names: &[&str; N], values: [T; N]) -> BTreeMap<String, T> {
    names.iter().map(|name| (*name).to_owned()).zip(values).collect()
}

fn lookup<T: Clone + std::fmt::Debug + 'static>(
    found: BoxedStrategy<T>,
    offline: bool,
) -> impl Strategy<Value = Lookup<T>> {
    let absent = if offline { Lookup::NotInInput } else { Lookup::Missing };
    prop_oneof![
        16 => found.prop_map(Lookup::Found),
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
    prop_oneof![12 => spec.prop_map(Ok), 1 => Just(Err("spec.\u{202e}x\n: expected a string".into()))]
}

fn installation(name: &'static str) -> BoxedStrategy<Resource<TimbrInstallationSpec>> {
    let platform = prop_oneof![12 => select(vec!["timbr-platform", "web", "web-2"]), 1 => Just("Not A Name")];
    let container = prop_oneof![6 => Just(None), 2 => Just(Some("timbr-platform")), 1 => select(CONTAINERS.to_vec()).prop_map(Some)];
    let on_conflict = prop_oneof![2 => Just(OnConflict::Report), 1 => Just(OnConflict::Adopt)];
    let spec = (platform, container, on_conflict, prop::bool::weighted(0.1)).prop_map(
        |(platform, container, on_conflict, suspend)| {
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
            TimbrInstallationSpec { components, on_conflict, suspend, ..Default::default() }
        },
    );
    (any_meta(Kind::TimbrInstallation, name), undecodable(spec.boxed()))
        .prop_map(|(meta, spec)| Resource { meta, spec, status: None })
        .boxed()
}

/// A field and what may stand there; without a value it is not there.
type Field = (&'static str, BoxedStrategy<Option<Json>>);

/// One that is needed: mostly as usual, at times odd, rarely not there.
fn field<T: Into<Json> + Clone>(name: &'static str, usual: T, odd: &[T]) -> Field {
    let odd: Vec<Option<Json>> = odd.iter().cloned().map(|value| Some(value.into())).chain([None]).collect();
    (name, prop_oneof![24 => Just(Some(usual.into())), 1 => select(odd)].boxed())
}

/// One that may be left out.
fn optional(name: &'static str, values: Vec<Json>) -> Field {
    (name, option::weighted(0.4, select(values)).boxed())
}

fn object(fields: Vec<Field>) -> BoxedStrategy<Json> {
    let (names, values): (Vec<&str>, Vec<_>) = fields.into_iter().unzip();
    let named = move |values: Vec<Option<Json>>| {
        names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?))).collect()
    };
    values.prop_map(named).prop_map(Json::Object).boxed()
}

/// The fields of all of them in one object.
fn merged(objects: Vec<BoxedStrategy<Json>>) -> BoxedStrategy<Json> {
    let fields = |object: Json| object.as_object().cloned().unwrap_or_default();
    objects.prop_map(move |objects| objects.into_iter().flat_map(fields).collect()).boxed()
}

fn secret_key(usual: &'static str) -> BoxedStrategy<Json> {
    let secret = prop_oneof![20 => Just("entra"), 2 => select(SECRETS.to_vec()), 1 => Just("gone")];
    let key = prop_oneof![20 => Just(usual), 2 => select(KEYS.to_vec()), 1 => Just("no-such-key")];
    (secret, key).prop_map(|(name, key)| json!({"name": name, "key": key})).boxed()
}

fn reference(name: &'static str, key: &'static str) -> BoxedStrategy<Json> {
    secret_key(key).prop_map(move |key| json!({name: key})).boxed()
}

/// An app registration and its secret.
fn principal() -> BoxedStrategy<Json> {
    let client = prop_oneof![
        12 => Just(json!({"clientId": CLIENT_ID})),
        6 => Just(json!({"clientIdRef": {"name": "entra", "key": "client-id"}})),
        1 => Just(json!({"clientId": "no-guid"})),
        1 => Just(json!({"clientId": CLIENT_ID, "clientIdRef": {"name": "entra", "key": "client-id"}})),
    ];
    let tenant = object(vec![field("tenantId", "contoso.onmicrosoft.com", &["$(TIMBR_LOG_LEVEL).com", "common"])]);
    merged(vec![tenant, client.boxed(), reference("clientSecretRef", "client-secret")])
}

/// A principal, or that of an AzureSso.
fn credentials() -> BoxedStrategy<Json> {
    let from = |name: &str| json!({"credentialsFrom": {"azureSso": name}});
    let from = prop_oneof![6 => Just(from("sso-0")), 1 => Just(from("sso-1")), 1 => Just(from("nobody"))];
    prop_oneof![1 => principal(), 1 => from].boxed()
}

fn algorithms(name: &'static str) -> Field {
    let usual = select(vec![Some(json!(["RS256"])), None]);
    let odd = [json!(["HS256"]), json!(["AES"]), json!(["RS256", "HS256"]), json!(["RS246"])];
    (name, prop_oneof![4 => usual, 1 => select(odd.to_vec()).prop_map(Some)].boxed())
}

/// At times with a key of its own.
fn own_key() -> BoxedStrategy<Json> {
    let key = prop_oneof![6 => Just("public"), 2 => Just("client-secret"), 1 => Just("private")];
    let key = key.prop_flat_map(|key| reference("keyRef", key));
    prop_oneof![1 => Just(json!({})), 1 => key].boxed()
}

fn of_kind(kind: Kind) -> BoxedStrategy<Json> {
    let texts = |values: &[&str]| values.iter().map(|value| json!(value)).collect::<Vec<_>>();
    match kind {
        Kind::AzureSso => merged(vec![
            principal(),
            object(vec![
                field("publicUrl", "https://timbr.example.com", &["http://timbr.example.com/"]),
                optional("userIdentity", texts(&["Email", "UserPrincipalName"])),
                optional(
                    "selfRegistration",
                    vec![
                        json!({"role": "viewer"}),
                        json!({"role": "admin"}),
                        json!({"role": "admin", "allowAdmin": true}),
                        json!({"role": "$(X)"}),
                    ],
                ),
                optional("passwordLogin", texts(&["Enabled", "Disabled"])),
            ]),
        ]),
        Kind::RoleGroupSync => {
            let names = [json!({"name": "Analysts"}), json!({"email": "a@example.com"})];
            let group = prop_oneof![16 => select(names.to_vec()), 1 => Just(json!({"name": "it's"}))];
            let role = prop_oneof![16 => select(vec!["viewer", "editor"]), 1 => Just("`; DROP")];
            let mapping = (role, group).prop_map(|(role, group)| json!({"role": role, "group": group}));
            let mappings = vec(mapping, 0..3).prop_map(|mappings| Some(json!(mappings))).boxed();
            let more = object(vec![
                field("interval", "10m", &["1h", "0s"]),
                optional("autoCreateUsers", vec![json!(true), json!(false)]),
                ("mappings", mappings),
            ]);
            merged(vec![credentials(), more])
        }
        Kind::KeyVaultBinding => {
            let vault = field("vaultUrl", "https://contoso.vault.azure.net", &["http://contoso.vault.azure.net"]);
            merged(vec![credentials(), object(vec![vault, optional("deletionPolicy", texts(&["Retain", "Remove"]))])])
        }
        Kind::DatabricksPassthrough => object(vec![
            field("workspaceHost", "adb-1.azuredatabricks.net", &["https://adb-1.azuredatabricks.net"]),
            field("datasourceName", "lake", &["b`d"]),
            field("refreshTokenExpiration", "30m", &["5m", "x"]),
            field("refreshTokenValidation", "5m", &["1h"]),
        ]),
        Kind::JwtAuthentication => merged(vec![
            object(vec![
                ("type", select(vec![Some(json!("Custom")), Some(json!("Azure")), None]).boxed()),
                algorithms("algorithms"),
                optional("audience", texts(&[CLIENT_ID, "api://timbr", ""])),
                optional("issuer", texts(&["https://login.example.com", "none"])),
                optional("userClaim", texts(&["email", "$(X)"])),
                optional("tenantUsers", vec![json!(true)]),
            ]),
            own_key(),
        ]),
        Kind::JwtTenant => merged(vec![
            object(vec![
                (
                    "tenant",
                    select(texts(&["acme", "ACME", "tenant-5", "tenant6", "tenant6", "DEFAULT"]))
                        .prop_map(Some)
                        .boxed(),
                ),
                algorithms("algorithms"),
                optional("audience", texts(&["api://acme", ""])),
            ]),
            own_key(),
        ]),
        Kind::ExternalTokenProvider => object(vec![
            field("displayName", "Power BI", &["bad\nname"]),
            field("audiences", json!(["api://timbr"]), &[json!([]), json!(["api://timbr", "other"])]),
            field("userClaim", "upn", &["x y"]),
            field(
                "issuerUrl",
                "https://login.example.com",
                &["https://login.example.com/", "http://login.example.com"],
            ),
            optional("jwksUrl", texts(&["https://login.example.com/keys"])),
            optional("enabled", vec![json!(false)]),
        ]),
        Kind::InboundAccessPolicy => object(vec![
            field("target", "Api", &["Server"]),
            field(
                "inbound",
                json!({"rules": [{"application": "shop"}]}),
                &[json!({"rules": [{"application": "a b"}]})],
            ),
            optional("networkPolicy", vec![json!({"mode": "Managed"}), json!({"mode": "Disabled"})]),
        ]),
        Kind::TimbrInstallation => unreachable!("it has a strategy of its own"),
    }
}

fn any_resource(kind: Kind, name: &'static str, homes: &[&'static str]) -> BoxedStrategy<Resource<Spec>> {
    let named: Vec<Option<&str>> =
        if homes.is_empty() { vec![None] } else { homes.iter().copied().map(Some).collect() };
    let installation = prop_oneof![
        18 => Just(homes.first().copied()),
        6 => select(named),
        1 => select(vec![None, Some("nowhere"), Some("a")]),
    ];
    (any_meta(kind, name), of_kind(kind), installation, prop::bool::weighted(0.1), prop::bool::weighted(0.05))
        .prop_map(move |(meta, mut spec, installation, suspend, unreadable)| {
            if let Some(installation) = installation {
                spec["installationRef"] = json!({"name": installation});
            }
            spec["suspend"] = json!(suspend);
            if unreadable {
                spec["suspend"] = json!({});
            }
            Resource { meta, ..resource(kind, name, 0, spec) }
        })
        .boxed()
}

const KEYS: [&str; 7] = ["client-secret", "client-id", "public", "private", "blank", "empty", "binary"];

fn secret() -> impl Strategy<Value = LiveSecret> {
    let type_ = prop_oneof![16 => Just("Opaque"), 1 => select(vec!["identity.timbr.ai/credential", "kubernetes.io/dockerconfigjson"])];
    let keys = prop_oneof![9 => Just(KEYS.to_vec()), 1 => proptest::sample::subsequence(KEYS.to_vec(), 0..5)];
    let guid = prop::bool::weighted(0.8);
    (type_, prop::bool::weighted(0.1), any::<bool>(), any::<bool>(), any::<bool>(), keys, guid).prop_map(
        |(type_, ours, opted_in, immutable, owned, keys, guid)| LiveSecret {
            type_: type_.to_owned(),
            ours,
            installation: None,
            opted_in,
            immutable,
            owner: owned.then(|| "uid-of-the-deployment".to_owned()),
            expires_at: None,
            data: keys.into_iter().map(|key| (key.to_owned(), value_of(key, guid))).collect(),
        },
    )
}

/// Each value holds the canary, where it can.
fn value_of(key: &str, guid: bool) -> Sensitive {
    match key {
        "client-id" if guid => Sensitive::from(CANARY_ID),
        "blank" => Sensitive::from(format!(" {CANARY}\n").as_str()),
        "public" | "private" => {
            let label = key.to_uppercase();
            Sensitive::from(format!("-----BEGIN {label} KEY-----\n{CANARY}\n-----END {label} KEY-----\n").as_str())
        }
        "empty" => Sensitive::from(""),
        "binary" => Sensitive::new([&[0xff, 0], CANARY.as_bytes()].concat()),
        _ => Sensitive::from(CANARY),
    }
}

/// A client id that is in a Secret, and so is no more to be printed than any other value there.
pub const CANARY_ID: &str = "cccccccc-aaaa-aaaa-aaaa-cccccccccccc";

/// Of a Deployment's containers, and of a Deployment's variables.
const MOST_CONTAINERS: usize = 2;
const MOST_VARIABLES: usize = 6;

fn deployment(name: &'static str) -> impl Strategy<Value = LiveDeployment> {
    let usual = match name {
        "timbr-server" => "timbr",
        "timbr-api" => "timbr-api",
        _ => "timbr-platform",
    };
    let names = prop_oneof![
        9 => select(vec![vec![usual], vec!["sidecar", usual]]),
        1 => proptest::sample::subsequence(CONTAINERS.to_vec(), 1..=MOST_CONTAINERS),
    ];
    let containers = names.prop_flat_map(|names| names.into_iter().map(container).collect::<Vec<_>>());
    let hands = vec(
        (
            any::<bool>(),
            prop_oneof![4 => Just(0), 1 => 0..3usize],
            prop::bool::weighted(0.1),
            (prop::bool::weighted(0.05), any::<bool>()),
            option::of(select(RESOURCES.to_vec())),
            prop::bool::weighted(0.1),
        ),
        MOST_VARIABLES,
    );
    let labels =
        (any::<bool>(), option::of(Just("true".to_owned())), prop::bool::weighted(0.2), prop::bool::weighted(0.1));
    let pods = (0..3i64, 0..2i32, prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    (containers, hands, labels, pods).prop_map(
        move |(containers, hands, (metadata, managed, garbage, workload_identity), pods)| {
            let mut ownership = Ownership { metadata, ..Ownership::default() };
            let mut attribution = Attribution::default();
            let places: BTreeSet<(String, String)> = containers
                .iter()
                .flat_map(|container| container.env.iter().map(|env| (container.name.clone(), env.name.clone())))
                .collect();
            for (place, (ours, others, shell, (transient, rootless), holder, retained)) in places.into_iter().zip(hands)
            {
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
                let of_one = !twice && !ownership.others.contains_key(&place);
                if shell && of_one {
                    let owner = Owner { manager: "flux".to_owned(), operation: "Apply".to_owned() };
                    ownership.shells.insert(place.clone(), [owner].into());
                }
                // A rewrite that was not finished.
                if transient && of_one {
                    ownership.transient.insert(place.clone());
                    ownership.has_transient = true;
                }
                if let Some((kind, name)) = holder {
                    attribution.add((&place.0, &place.1), &format!("{kind}/{name}"));
                }
                if retained {
                    attribution.retain((&place.0, &place.1));
                }
                if ours && !twice {
                    if rootless && ownership.others.contains_key(&place) {
                        ownership.bare.insert(place.clone());
                        ownership.rootless.insert(place.clone());
                    }
                    ownership.ours.insert(place);
                }
            }
            // The label goes with what is ours, unless somebody took it off.
            let managed =
                if ownership.ours.is_empty() && !ownership.metadata { managed } else { Some("true".to_owned()) };
            LiveDeployment {
                uid: format!("uid-of-{name}"),
                version: "7".to_owned(),
                generation: 2,
                containers,
                ownership,
                managed,
                workload_identity,
                selector: Default::default(),
                ports: Default::default(),
                content: None,
                elsewhere: BTreeSet::new(),
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
        },
    )
}

fn container(name: &'static str) -> BoxedStrategy<LiveContainer> {
    let value = prop_oneof![
        3 => select(vec!["azure", "azure", "True", "false", "info", "$(HOME)", ""]).prop_map(plain),
        2 => select(vec![OURS, "entra"]).prop_map(|name| LiveValue::SecretKey { name: name.to_owned(), key: "OAUTH_SECRET".to_owned() }),
        1 => Just(other()),
    ];
    // Few, so that most of what is wanted meets nothing in its way.
    vec((select(VARIABLES.to_vec()), value), 0..=MOST_VARIABLES / MOST_CONTAINERS)
        .prop_map(move |env| LiveContainer {
            name: name.to_owned(),
            env: env.into_iter().map(|(name, value)| LiveEnv { name: name.to_owned(), value }).collect(),
            env_from: vec![],
        })
        .boxed()
}
