//! What of each kind is to be tried out: as data, from the spec and what it names.

use serde_json::{Value as Json, json};
use timbr_identity::{
    api::{Kind, Resource, Spec},
    compose::{Check, Lookup, Probe, Registration},
};

use crate::{
    fixtures::{CLIENT_ID, key, secret},
    kinds::{databricks, groups, installation, resource, sign_on, vault, world},
    world::World,
};

/// The checks of the resource of that name.
fn checks(world: &World, name: &str) -> Vec<Check> {
    let plan = world.plan(&key(world.installations.first().map(|found| found.meta.name.as_str())));
    let found = plan.resources.into_iter().find(|judgement| judgement.meta.name == name);
    found.unwrap_or_else(|| panic!("no {name}")).checks
}

fn names(world: &World, name: &str) -> Vec<(String, &'static str)> {
    checks(world, name).into_iter().map(|check| (check.name, check.level.as_str())).collect()
}

/// Checks by name, each with its level.
type Names<'a> = Vec<(&'a str, &'a str)>;

const SSO: [(&str, &str); 7] = [
    ("Tenant", "Required"),
    ("ClientCredentials", "Required"),
    ("RedirectUri", "Advisory"),
    ("AccountType", "Advisory"),
    ("Permissions", "Advisory"),
    ("SecretExpiry", "Advisory"),
    ("PublicUrl", "Advisory"),
];

/// Status lists them by name.
#[test]
fn what_is_listed_twice_is_tried_once() {
    let policy = json!({"target": "Api", "claims": {"groups": [{"id": CLIENT_ID}, {"id": CLIENT_ID.to_uppercase()}]}});
    let world = world(vec![sign_on("a"), resource(Kind::InboundAccessPolicy, "policy", 5, policy)]);
    assert_eq!(names(&world, "policy"), [(format!("Group {CLIENT_ID}"), "Advisory")]);
}

#[test]
fn each_kind_has_its_checks() {
    let jwt = |spec: Json| resource(Kind::JwtAuthentication, "jwt", 5, spec);
    let issuer = "https://login.microsoftonline.com/contoso.onmicrosoft.com/v2.0";
    let provider = json!({
        "displayName": "x", "audiences": ["a"], "userClaim": "email", "issuerUrl": "https://i.example", "algorithms": ["ES256"],
    });
    let policy = json!({
        "target": "Api", "claims": {"groups": [{"id": CLIENT_ID}]},
    });
    let mapped =
        json!([{"role": "editor", "group": {"name": "Editors"}}, {"role": "viewer", "group": {"id": CLIENT_ID}}]);
    let verifying = json!({
        "vaultUrl": "https://contoso.vault.azure.net", "verifyWrite": true, "credentialsFrom": {"azureSso": "sso"},
    });
    let of_vault =
        [("ClientCredentials", "Required"), ("Vault", "Required"), ("List", "Required"), ("Get", "Required")];
    let rows: Vec<(Resource<Spec>, Names<'_>)> = vec![
        (sign_on("a"), SSO.to_vec()),
        (databricks(), vec![("Permissions", "Advisory"), ("Workspace", "Advisory")]),
        (
            groups(2, "a", mapped),
            vec![
                ("ClientCredentials", "Required"),
                ("Permissions", "Required"),
                ("Group of role editor", "Required"),
                ("Group of role viewer", "Required"),
            ],
        ),
        (vault(3, "a", "Retain"), of_vault.to_vec()),
        (
            resource(Kind::KeyVaultBinding, "vault", 3, verifying),
            [&of_vault[..], &[("SetAndDelete", "Required")]].concat(),
        ),
        (jwt(json!({"type": "Azure", "audience": "a", "issuer": issuer})), vec![("Issuer", "Required")]),
        (jwt(json!({"type": "Azure", "audience": "a"})), vec![]),
        (jwt(json!({"type": "Azure", "audience": "a", "issuer": issuer, "algorithms": ["RSA-OAEP"]})), vec![]),
        (
            jwt(
                json!({"type": "Custom", "algorithms": ["HS256"], "keyRef": {"name": "a", "key": "client-secret"}, "issuer": issuer}),
            ),
            vec![],
        ),
        (resource(Kind::ExternalTokenProvider, "etp", 6, provider), vec![("Issuer", "Required")]),
        (
            resource(Kind::InboundAccessPolicy, "iap", 7, policy),
            vec![(concat!("Group ", "11111111-2222-3333-4444-555555555555"), "Advisory")],
        ),
    ];
    assert_eq!(CLIENT_ID, "11111111-2222-3333-4444-555555555555");
    for (resource, expected) in rows {
        let name = resource.meta.name.clone();
        let mut all = vec![resource];
        if name != "sso" {
            all.push(sign_on("a"));
        }
        let found = names(&world(all), &name);
        let found: Names<'_> = found.iter().map(|(name, level)| (name.as_str(), *level)).collect();
        assert_eq!(found, expected, "{name}");
    }
}

/// One that is not valid, waits or is suspended is not tried out.
#[test]
fn what_is_not_delivered_is_not_tried_out() {
    let mut suspended = sign_on("a");
    suspended.spec.as_mut().expect("a spec").set_suspend();
    assert_eq!(names(&world(vec![suspended]), "sso"), []);
    assert_eq!(names(&world(vec![sign_on("nowhere")]), "sso"), []);
    let mut broken = sign_on("a");
    if let Ok(Spec::AzureSso(spec)) = &mut broken.spec {
        spec.public_url = "http://timbr.example.com".to_owned();
    }
    assert_eq!(names(&world(vec![broken]), "sso"), []);
}

/// A client id that comes from a Secret is used, and never shown; what is not in the input is told.
#[test]
fn a_client_id_from_a_secret_is_not_shown() {
    let spec = json!({
        "tenantId": "contoso.onmicrosoft.com", "clientIdRef": {"name": "ids", "key": "id"},
        "clientSecretRef": {"name": "a", "key": "client-secret"}, "publicUrl": "https://timbr.example.com",
    });
    let mut world = world(vec![resource(Kind::AzureSso, "sso", 0, spec)]);
    world.secrets.insert("ids".to_owned(), Lookup::Found(secret(&[("id", CLIENT_ID)])));
    let of =
        |world: &World| checks(world, "sso").into_iter().find(|check| check.name == "SecretExpiry").expect("it").probe;
    let Probe::Registration(application, Registration::SecretExpiry) = of(&world) else { panic!("{:?}", of(&world)) };
    assert_eq!((application.client_id.expose(), &application.shown), (CLIENT_ID.as_bytes(), &None));
    assert_eq!((application.secret.expose(), application.title().as_str()), (&b"secret-of-a"[..], "the application"));
    assert!(!format!("{:?}", of(&world)).contains(CLIENT_ID), "{:?}", of(&world));
    world.secrets.insert("ids".to_owned(), Lookup::NotInInput);
    assert_eq!(of(&world), Probe::NotInInput("<Secret ids/id>".to_owned()));
}

/// Timbr's API is tried out where statements are sent.
#[test]
fn where_statements_are_sent_the_key_is_tried_out() {
    let mut world = world(vec![groups(2, "a", json!([])), sign_on("a")]);
    let sql = json!({"tokenSecretRef": {"name": "b", "key": "client-secret"}});
    world.installations = vec![installation("main", json!({"sql": sql}))];
    let last = checks(&world, "groups").pop().expect("checks");
    let Probe::TimbrApi(target) = &last.probe else { panic!("{last:?}") };
    assert_eq!((last.name.as_str(), target.token.expose()), ("TimbrApi", &b"secret-of-b"[..]));
    assert!(checks(&world, "sso").iter().all(|check| check.name != "TimbrApi"));
}
