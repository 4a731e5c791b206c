//! What a resource makes of those beside it, and of what is on the Deployments already.

use serde_json::{Value as Json, json};
use timbr_identity::{
    api::{Kind, Resource, Spec, Status},
    compose::{LiveEnv, LiveValue},
};

use crate::{
    fixtures::{condition, installation_ref, other, plain, verdict},
    kinds::{groups, on_server, principal, resource, settle, world},
    world::World,
};

fn codes(world: &World, name: &str) -> Vec<String> {
    world.status(name).problems.iter().map(|problem| problem.code.clone()).collect()
}

fn sso(name: &str, second: i64, secret: &str) -> Resource<Spec> {
    let mut spec = principal(secret);
    spec["publicUrl"] = json!("https://timbr.example.com");
    resource(Kind::AzureSso, name, second, spec)
}

fn from(name: &str) -> Resource<Spec> {
    resource(Kind::RoleGroupSync, "groups", 5, json!({"credentialsFrom": {"azureSso": name}}))
}

/// Sets a variable of the platform, by other hands.
fn on_platform(world: &mut World, name: &str, value: LiveValue) {
    let env = &mut world.live_mut("timbr-platform").containers[0].env;
    env.retain(|env| env.name != name);
    env.push(LiveEnv { name: name.to_owned(), value });
}

/// Groups without sign-on are of use to nobody, and nobody can tell of one that may be elsewhere.
#[test]
fn groups_without_sign_on_are_warned_of() {
    let missing: &[&str] = &["SingleSignOnMissing"];
    let mut suspended = sso("sso", 0, "a");
    suspended.spec.as_mut().expect("a spec").set_suspend();
    let mut unreadable = sso("sso", 0, "a");
    unreadable.spec = Err("spec: expected a mapping".into());
    let mut wrong = sso("sso", 0, "a");
    let Ok(Spec::AzureSso(spec)) = &mut wrong.spec else { panic!("no sign-on") };
    spec.public_url = "http://timbr.example.com".to_owned();
    let rows = [
        ("none", vec![], false, missing),
        ("none in the files", vec![], true, &[]),
        ("one that is not accepted", vec![wrong.clone()], false, missing),
        ("one that is not accepted in the files", vec![wrong], true, missing),
        ("one that cannot be read", vec![unreadable.clone()], false, missing),
        ("one that cannot be read in the files", vec![unreadable], true, missing),
        // It is accepted: what it waits for it says itself.
        ("one that waits", vec![sso("sso", 0, "nowhere")], false, &[]),
        ("one", vec![sso("sso", 0, "a")], false, &[]),
        ("a suspended one", vec![suspended], false, &[]),
        ("one, and one too many", vec![sso("sso", 0, "a"), sso("two", 1, "a")], false, &[]),
    ];
    for (row, sign_ons, partial, expected) in rows {
        let mut world = world(sign_ons);
        world.partial = partial;
        world.resources.push(groups(2, "a", json!([])));
        settle(&mut world);
        assert_eq!(codes(&world, "groups"), expected, "{row}");
    }
    // Of one that belongs nowhere, nothing is said of what is beside it.
    let mut stray = groups(0, "a", json!([]));
    let Ok(Spec::RoleGroupSync(spec)) = &mut stray.spec else { panic!("no groups") };
    spec.installation_ref = Some(installation_ref("nowhere"));
    let mut world = world(vec![stray]);
    settle(&mut world);
    assert_eq!(codes(&world, "groups"), ["InstallationNotFound"]);
}

/// Asked for every group more often than each five minutes, Entra may slow down.
#[test]
fn a_short_interval_is_warned_of() {
    for (interval, warned) in [("60s", true), ("299s", true), ("300s", false), ("5m", false), ("1h", false)] {
        let mut spec = principal("a");
        spec["interval"] = json!(interval);
        let mut world = world(vec![sso("sso", 0, "a"), resource(Kind::RoleGroupSync, "groups", 1, spec)]);
        settle(&mut world);
        let expected: &[&str] = if warned { &["IntervalShort"] } else { &[] };
        assert_eq!(codes(&world, "groups"), expected, "{interval}");
    }
}

#[test]
fn a_role_that_is_mapped_twice_is_told() {
    let mapping = |group: &str| json!({"role": "editor", "group": {"name": group}});
    let mut world = world(vec![groups(1, "a", json!([mapping("one"), mapping("two")]))]);
    settle(&mut world);
    let problems: Vec<_> =
        world.status("groups").problems.iter().map(|problem| (&*problem.path, &*problem.message)).collect();
    assert_eq!(
        problems,
        [("spec.mappings[1]", "role editor is listed twice; a role has one group in Timbr, so keep one entry")]
    );
}

/// The credentials of an AzureSso are taken from one that can be used, and from no other.
#[test]
fn credentials_come_from_an_azure_sso_that_is_ready() {
    let unready = "spec.credentialsFrom.azureSso: AzureSso sso is not accepted, or something that it references is missing; its status says what to correct";
    let absent = "spec.credentialsFrom.azureSso: AzureSso other does not exist in namespace timbr, or belongs to another installation; create it, or give the credentials here";
    let rows = [
        (sso("sso", 0, "nowhere"), "sso", Some(unready)),
        (sso("sso", 0, "a"), "other", Some(absent)),
        (sso("sso", 0, "a"), "sso", None),
    ];
    for (sign_on, named, refused) in rows {
        let mut world = world(vec![sign_on, from(named)]);
        settle(&mut world);
        let message = &condition(world.status("groups"), "ReferencesResolved").expect("it").message;
        match refused {
            Some(sentence) => {
                assert_eq!(message, sentence);
                assert_eq!(on_server(&world), []);
            }
            None => {
                assert_eq!(verdict(world.status("groups"), "ReferencesResolved"), "True/Resolved", "{message}");
                let secret = ("AZURE_CLIENT_SECRET".to_owned(), "secret-of-a".to_owned());
                assert!(on_server(&world).contains(&secret));
            }
        }
    }
}

/// What others build on is judged first, however young it is.
#[test]
fn an_azure_sso_may_be_younger_than_who_builds_on_it() {
    let mut world = world(vec![from("sso"), sso("sso", 9, "a")]);
    settle(&mut world);
    assert_eq!(verdict(world.status("groups"), "Ready"), "True/DeliveredUnverified");
}

/// One too many is asked nothing, and one that is wrong is not either: what it would want concerns nobody.
#[test]
fn what_has_no_place_or_is_wrong_has_no_wishes() {
    let portal = |world: &World, name: &str| {
        let found = world.resources.iter().find(|there| there.meta.name == name).expect("it");
        let Some(Status::AzureSso(status)) = found.status.as_deref() else { panic!("no status") };
        status.portal.len()
    };
    let mut wrong = sso("sso", 0, "a");
    let Ok(Spec::AzureSso(spec)) = &mut wrong.spec else { panic!("no sign-on") };
    spec.public_url = "http://timbr.example.com".to_owned();
    let mut world = world(vec![sso("sso", 0, "a"), sso("two", 1, "a")]);
    on_platform(&mut world, "OAUTH_DEFAULT_SCHEME", plain("http"));
    settle(&mut world);
    assert_eq!(codes(&world, "sso"), ["SchemeNotHttps"]);
    assert_eq!(codes(&world, "two"), ["DuplicateInInstallation"]);
    assert!(portal(&world, "sso") > 0);
    assert_eq!(portal(&world, "two"), 0);
    world.resources = vec![wrong];
    settle(&mut world);
    assert_eq!(codes(&world, "sso"), ["PublicUrlNotHttps"]);
    assert_eq!(portal(&world, "sso"), 0);
}

#[test]
fn the_scheme_of_the_redirect_is_told() {
    let reference = || LiveValue::SecretKey { name: "a".to_owned(), key: "scheme".to_owned() };
    for (value, warned) in [(plain("https"), false), (plain("http"), true), (plain(""), false), (reference(), false)] {
        let mut world = world(vec![sso("sso", 0, "a")]);
        on_platform(&mut world, "OAUTH_DEFAULT_SCHEME", value.clone());
        settle(&mut world);
        let expected: &[&str] = if warned { &["SchemeNotHttps"] } else { &[] };
        assert_eq!(codes(&world, "sso"), expected, "{value:?}");
    }
    let mut world = world(vec![sso("sso", 0, "a")]);
    world.live_mut("timbr-platform").containers[0].env.clear();
    settle(&mut world);
    assert_eq!(codes(&world, "sso"), ["SchemeNotHttps"]);
    // The kubelet takes the last of two.
    let env = &mut world.live_mut("timbr-platform").containers[0].env;
    for value in ["http", "https"] {
        env.push(LiveEnv { name: "OAUTH_DEFAULT_SCHEME".to_owned(), value: plain(value) });
    }
    settle(&mut world);
    assert_eq!(codes(&world, "sso"), [] as [&str; 0]);
}

/// Another mechanism that gives roles at sign-in.
#[test]
fn role_mappings_of_the_platform_compete_with_groups() {
    let reference = LiveValue::SecretKey { name: "a".to_owned(), key: "mapping".to_owned() };
    let rows = [
        ("OAUTH_ROLE_MAPPING_ADMIN", plain("Admins"), true),
        ("OAUTH_ROLE_MAPPING_ADMIN", reference, true),
        ("OAUTH_ROLE_MAPPING_ADMIN", other(), true),
        ("OAUTH_ROLE_MAPPING_ADMIN", plain(""), false),
        ("OAUTH_ROLE_MAPPING_ADMIN", plain("false"), false),
        ("OAUTH_ROLE_MAPPING_ADMIN", plain("False"), false),
        ("OAUTH_ROLE_MAPPINGS", plain("Admins"), false),
    ];
    for (name, value, warned) in rows {
        let mut world = world(vec![sso("sso", 0, "a"), groups(1, "a", json!([]))]);
        on_platform(&mut world, name, value.clone());
        settle(&mut world);
        let expected: &[&str] = if warned { &["RoleMappingCompetes"] } else { &[] };
        assert_eq!(codes(&world, "groups"), expected, "{name} {value:?}");
    }
}

/// Every warning of a JwtAuthentication, each by what causes it and by nothing else.
#[test]
fn a_jwt_authentication_is_warned_of_what_it_leaves_open() {
    let full = || json!({"type": "Azure", "audience": "api://timbr", "issuer": "https://login.example.com/v1"});
    let with = |field: &str, value: Json| {
        let mut spec = full();
        spec[field] = value;
        spec
    };
    let v2 = || with("issuer", json!("https://login.example.com/tenant/v2.0"));
    let v2_with = |field: &str, value: &str| {
        let mut spec = v2();
        spec[field] = json!(value);
        spec
    };
    let rows: [(Json, &[&str]); 9] = [
        (full(), &[]),
        (with("audience", Json::Null), &["AudienceNotValidated"]),
        (with("issuer", Json::Null), &["IssuerNotValidated"]),
        (v2(), &["UpnInV2Token"]),
        (with("issuer", json!("https://login.example.com/tenant/v2.0/")), &["UpnInV2Token"]),
        (v2_with("userClaim", "upn"), &["UpnInV2Token"]),
        (v2_with("userClaim", "preferred_username"), &[]),
        (v2_with("type", "Custom"), &["KeyRequired"]),
        (with("issuer", json!("https://login.example.com/v2.0/more")), &[]),
    ];
    for (spec, expected) in rows {
        let mut world = world(vec![resource(Kind::JwtAuthentication, "jwt", 0, spec.clone())]);
        settle(&mut world);
        assert_eq!(codes(&world, "jwt"), expected, "{spec}");
    }
}
