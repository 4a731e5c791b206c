//! JwtAuthentication and its JwtTenants on the REST API.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use timbr_identity::{
    api::{Kind, Resource, Spec},
    compose::Lookup,
};

use crate::{
    fixtures::{CLIENT_ID, secret, verdict},
    kinds::{resource, settle, variables, world},
    world::World,
};

const PUBLIC: &str = include_str!("../keys/rsa-2048.pem");
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

fn authentication(spec: Json) -> Resource<Spec> {
    resource(Kind::JwtAuthentication, "main", 0, spec)
}

fn tenant(name: &str, second: i64, spec: Json) -> Resource<Spec> {
    resource(Kind::JwtTenant, name, second, spec)
}

fn key(name: &str) -> Json {
    json!({"name": "keys", "key": name})
}

fn with_keys(resources: Vec<Resource<Spec>>) -> World {
    let mut world = world(resources);
    let keys = secret(&[("public", PUBLIC), ("private", PRIVATE), ("word", "s3cr3t")]);
    world.secrets.insert("keys".to_owned(), Lookup::Found(keys));
    world
}

fn on_api(world: &World) -> Vec<(String, String)> {
    variables(world, "timbr-api")
}

fn codes(world: &World, name: &str) -> Vec<String> {
    world.status(name).problems.iter().map(|problem| problem.code.clone()).collect()
}

fn message(world: &World, name: &str, type_: &str) -> String {
    let conditions = &world.status(name).conditions;
    conditions.iter().find(|condition| condition.type_ == type_).map(|condition| condition.message.clone()).expect("it")
}

fn owned(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn each_writes_exactly_its_variables() {
    let full = json!({
        "type": "Custom", "algorithms": ["RS256", "RSA-OAEP"], "audience": CLIENT_ID, "issuer": "https://login.example",
        "keyRef": key("public"), "userClaim": "email", "tenantUsers": true,
    });
    let own =
        json!({"tenant": "Tenant-5", "algorithms": ["HS256", "AES"], "audience": "api://five", "keyRef": key("word")});
    let mut world =
        with_keys(vec![authentication(full), tenant("five", 1, own), tenant("bare", 2, json!({"tenant": "tenant6"}))]);
    assert_eq!(settle(&mut world), 1);
    let expected = [
        ("ENABLE_TOKEN", "true"),
        ("JWT_DEFAULT_ALGORITHM", "RS256,RSA-OAEP"),
        ("JWT_DEFAULT_AUDIENCE", CLIENT_ID),
        ("JWT_DEFAULT_KEY", PUBLIC),
        ("JWT_ISSUER", "https://login.example"),
        ("JWT_TENANT-5_ALGORITHM", "HS256,AES"),
        ("JWT_TENANT-5_AUDIENCE", "api://five"),
        ("JWT_TENANT-5_KEY", "s3cr3t"),
        // It inherits its algorithms; its audience is not validated.
        ("JWT_TENANT6_ALGORITHM", "RS256,RSA-OAEP"),
        ("JWT_TYPE", "custom"),
        ("JWT_USE_EMAIL_OR_USER", "email"),
        ("JWT_USE_TENANT_USER", "True"),
    ];
    assert_eq!(on_api(&world), owned(&expected));
    assert_eq!(codes(&world, "main"), ["SingleIssuer"]);
    assert_eq!(codes(&world, "five"), ["TenantHyphen"]);
    assert_eq!(codes(&world, "bare"), ["AudienceNotValidated"]);
    for name in ["main", "five", "bare"] {
        assert_eq!(verdict(world.status(name), "Ready"), "True/DeliveredUnverified", "{name}");
    }
    // With Azure and nothing else the defaults are written, and no key.
    world.resources = vec![authentication(json!({"type": "Azure"}))];
    settle(&mut world);
    let expected = [
        ("ENABLE_TOKEN", "true"),
        ("JWT_DEFAULT_ALGORITHM", "RS256"),
        ("JWT_TYPE", "azure"),
        ("JWT_USE_EMAIL_OR_USER", "upn"),
        ("JWT_USE_TENANT_USER", "False"),
    ];
    assert_eq!(on_api(&world), owned(&expected));
    assert_eq!(codes(&world, "main"), ["AudienceNotValidated", "IssuerNotValidated"]);
}

/// Which key a tenant uses, its own or the JwtAuthentication's, must fit the algorithms it is used with:
/// who knows a public key must not be able to sign.
#[test]
fn a_key_that_does_not_fit_is_delivered_to_nobody() {
    // algorithms of the JwtAuthentication and its key; algorithms and key of the tenant; what is said of
    // the tenant: field and cause, or nothing.
    type Row = (
        &'static str,
        &'static str,
        Option<&'static [&'static str]>,
        Option<&'static str>,
        Option<(&'static str, &'static str)>,
    );
    let rows: [Row; 9] = [
        ("RS256", "public", None, None, None),
        ("RS256", "public", Some(&["RSA-OAEP"]), None, None),
        ("RS256", "public", Some(&["HS256"]), Some("word"), None),
        ("HS256", "word", Some(&["AES"]), None, None),
        ("RS256", "public", Some(&["HS256"]), None, Some(("spec.algorithms", "key public: the value is a public key"))),
        (
            "RS256",
            "public",
            Some(&["HS256"]),
            Some("public"),
            Some(("spec.keyRef", "key public: the value is a public key")),
        ),
        ("HS256", "word", Some(&["RS256"]), None, Some(("spec.algorithms", "key word: the value is no public key"))),
        ("HS256", "word", None, Some("public"), Some(("spec.keyRef", "key public: the value is a public key"))),
        ("RS256", "public", None, Some("private"), Some(("spec.keyRef", "key private: the value is a private key"))),
    ];
    for (algorithm, own_key, algorithms, tenant_key, refused) in rows {
        let lead = json!({"type": "Custom", "algorithms": [algorithm], "keyRef": key(own_key), "audience": "a", "issuer": "https://i.example"});
        let mut spec = json!({"tenant": "five", "audience": "b"});
        if let Some(algorithms) = algorithms {
            spec["algorithms"] = json!(algorithms);
        }
        if let Some(tenant_key) = tenant_key {
            spec["keyRef"] = key(tenant_key);
        }
        let row = format!("{algorithm} {own_key} {spec}");
        let mut world = with_keys(vec![authentication(lead), tenant("five", 1, spec)]);
        settle(&mut world);
        assert_eq!(verdict(world.status("main"), "Ready"), "True/DeliveredUnverified", "{row}");
        let of_tenant = on_api(&world).iter().filter(|(name, _)| name.starts_with("JWT_FIVE_")).count();
        match refused {
            None => {
                assert_eq!(verdict(world.status("five"), "Ready"), "True/DeliveredUnverified", "{row}");
                assert!(of_tenant >= 2, "{row}");
            }
            Some((path, cause)) => {
                assert_eq!(verdict(world.status("five"), "ReferencesResolved"), "False/SecretValueInvalid", "{row}");
                let message = message(&world, "five", "ReferencesResolved");
                assert!(message.starts_with(&format!("{path}: Secret keys, {cause}")), "{row}: {message}");
                assert_eq!(of_tenant, 0, "{row}");
            }
        }
    }
}

/// A variable may not be as long as a Secret may be; the key's text is in nobody's way, and not told.
#[test]
fn a_key_of_a_megabyte_is_refused() {
    let spec = json!({"type": "Custom", "algorithms": ["RS256"], "keyRef": key("public"), "audience": "a", "issuer": "https://i.example"});
    let mut world = with_keys(vec![authentication(spec)]);
    let body = "A".repeat(1 << 20);
    let long = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    world.secrets.insert("keys".to_owned(), Lookup::Found(secret(&[("public", &long)])));
    settle(&mut world);
    assert_eq!(verdict(world.status("main"), "ReferencesResolved"), "False/SecretValueInvalid");
    assert_eq!(
        message(&world, "main", "ReferencesResolved"),
        "spec.keyRef: Secret keys, key public: the value is longer than 64 KiB, too long for an environment variable"
    );
    assert_eq!(on_api(&world), []);
}

/// Those that cannot be read are told each by itself: nobody knows which tenant they are.
#[test]
fn unreadable_tenants_are_in_nobody_s_way() {
    let mut world = with_keys(vec![
        authentication(json!({"type": "Azure", "audience": "a"})),
        tenant("one", 1, json!({"tenant": 1})),
        tenant("two", 2, json!({"tenant": 2})),
        tenant("good", 3, json!({"tenant": "good", "audience": "b"})),
    ]);
    settle(&mut world);
    assert_eq!(codes(&world, "one"), ["DecodeFailed"]);
    assert_eq!(codes(&world, "two"), ["DecodeFailed"]);
    assert_eq!(verdict(world.status("good"), "Ready"), "True/DeliveredUnverified");
}

/// Algorithms of both sorts with one key: said, wherever the key is from.
#[test]
fn mixed_algorithms_are_warned_of() {
    let lead = json!({"type": "Custom", "algorithms": ["RS256"], "keyRef": key("public"), "audience": "a", "issuer": "https://i.example"});
    for tenant_key in [None, Some("public")] {
        let mut spec = json!({"tenant": "five", "audience": "b", "algorithms": ["RS256", "HS256"]});
        if let Some(tenant_key) = tenant_key {
            spec["keyRef"] = key(tenant_key);
        }
        let mut world = with_keys(vec![authentication(lead.clone()), tenant("five", 1, spec)]);
        settle(&mut world);
        assert_eq!(codes(&world, "five"), ["AlgorithmsMixed"], "{tenant_key:?}");
    }
}

#[test]
fn a_tenant_waits_for_the_authentication() {
    let mut world = with_keys(vec![tenant("five", 1, json!({"tenant": "five", "audience": "b"}))]);
    settle(&mut world);
    assert_eq!(verdict(world.status("five"), "ReferencesResolved"), "False/JwtAuthenticationMissing");
    assert!(message(&world, "five", "ReferencesResolved").contains("has no JwtAuthentication"));
    // One that is not valid is as none, and is named.
    world.resources.push(authentication(json!({"type": "Custom", "algorithms": ["RS256"]})));
    settle(&mut world);
    assert_eq!(verdict(world.status("main"), "Accepted"), "False/InvalidSpec");
    assert!(message(&world, "five", "ReferencesResolved").contains("JwtAuthentication main is not accepted"));
    assert_eq!(on_api(&world), []);
    world.resources[1] = authentication(json!({"type": "Azure", "algorithms": ["RS256"]}));
    settle(&mut world);
    assert_eq!(verdict(world.status("five"), "Ready"), "True/DeliveredUnverified");
    // What needs a key of one's own has none with Azure.
    for (spec, code) in [
        (json!({"tenant": "five", "keyRef": key("public")}), "KeyNeedsCustomType"),
        (json!({"tenant": "five", "algorithms": ["HS256"]}), "AlgorithmNeedsKey"),
    ] {
        world.resources[0] = tenant("five", 1, spec);
        settle(&mut world);
        assert_eq!(verdict(world.status("five"), "Accepted"), "False/InvalidSpec");
        assert!(codes(&world, "five").iter().any(|found| found == code), "{:?}", codes(&world, "five"));
        assert_eq!(verdict(world.status("five"), "Delivered"), "True/DeliveredLastGood");
    }
}

/// Tenants that differ only in case would be one variable: the older has it.
#[test]
fn tenants_equal_but_for_case_are_one() {
    let lead = authentication(json!({"type": "Azure", "audience": "a"}));
    let mut world = with_keys(vec![
        lead,
        tenant("lower", 2, json!({"tenant": "acme", "audience": "lower"})),
        tenant("upper", 1, json!({"tenant": "ACME", "audience": "upper"})),
    ]);
    settle(&mut world);
    assert_eq!(verdict(world.status("lower"), "Accepted"), "False/Collision");
    assert!(message(&world, "lower", "Accepted").contains("tenant ACME"));
    assert!(on_api(&world).contains(&("JWT_ACME_AUDIENCE".to_owned(), "upper".to_owned())));
    world.resources.pop();
    settle(&mut world);
    assert_eq!(verdict(world.status("lower"), "Ready"), "True/DeliveredUnverified");
    assert!(on_api(&world).contains(&("JWT_ACME_AUDIENCE".to_owned(), "lower".to_owned())));
}

/// One Secret carries the values of all that write to a container: that one of them turns invalid is no reason to
/// replace the pods of the others.
#[test]
fn a_neighbour_that_turns_invalid_replaces_no_pods() {
    let mut world = with_keys(vec![
        authentication(json!({"type": "Custom", "algorithms": ["HS256"], "keyRef": key("word")})),
        tenant(
            "contoso",
            1,
            json!({"tenant": "contoso", "algorithms": ["HS256"], "keyRef": {"name": "own", "key": "k"}}),
        ),
        tenant("fabrikam", 2, json!({"tenant": "fabrikam", "algorithms": ["HS256"], "keyRef": key("word")})),
    ]);
    world.secrets.insert("own".to_owned(), Lookup::Found(secret(&[("k", "contoso-1")])));
    settle(&mut world);
    let secrets =
        |world: &World| -> BTreeSet<String> { world.live("timbr-api").our_secrets().map(str::to_owned).collect() };
    let before = world.live("timbr-api").clone();
    let shared = secrets(&world);
    assert_eq!(shared.len(), 1);
    world.secrets.insert("own".to_owned(), Lookup::Missing);
    settle(&mut world);
    assert_eq!(*world.live("timbr-api"), before);

    // The other's next value is in a Secret of its own, and the one for both stays for what is kept.
    world.secrets.insert("keys".to_owned(), Lookup::Found(secret(&[("word", "another")])));
    settle(&mut world);
    let both = secrets(&world);
    assert!(both.len() == 2 && both.is_superset(&shared), "{both:?}");
    let fixed = world.live("timbr-api").clone();
    settle(&mut world);
    assert_eq!(*world.live("timbr-api"), fixed);

    // Deleted, its value is on its way to nobody any more.
    world.secrets.insert("keys".to_owned(), Lookup::Found(secret(&[("word", "s3cr3t")])));
    world.secrets.insert("own".to_owned(), Lookup::Found(secret(&[("k", "contoso-1")])));
    settle(&mut world);
    assert_eq!(secrets(&world), shared);
    world.resources.retain(|resource| resource.meta.name != "contoso");
    settle(&mut world);
    let alone = secrets(&world);
    assert!(alone.len() == 1 && alone.is_disjoint(&shared), "{alone:?}");
}
