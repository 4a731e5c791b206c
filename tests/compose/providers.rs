//! ExternalTokenProviders, of which each pair of issuer and audience has one, and InboundAccessPolicies.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value as Json, json};
use timbr_identity::{
    api::{
        CommonStatus, ExternalTokenProviderStatus, InstallationRef, Kind, Resource, Severity, Spec, Status,
        TrustedPair, Unreadable,
    },
    compose::{Foreign, contenders},
};

use crate::{
    fixtures::{azure_sso, azure_sso_spec, condition, verdict},
    kinds::{resource, settle, world},
    world::World,
};

const ISSUER: &str = "https://login.example.com/tenant";

fn provider(name: &str, second: i64, issuer: &str, audiences: Json) -> Resource<Spec> {
    let spec = json!({"displayName": name, "audiences": audiences, "userClaim": "upn", "issuerUrl": issuer});
    resource(Kind::ExternalTokenProvider, name, second, spec)
}

fn holds(world: &World, name: &str) -> Vec<String> {
    let found = world.resources.iter().find(|there| there.meta.name == name).expect("the provider");
    let Some(Status::ExternalTokenProvider(status)) = found.status.as_deref() else { panic!("no status") };
    status.holds.iter().map(|TrustedPair { issuer, audience }| format!("{issuer} {audience}")).collect()
}

fn accepted(world: &World, name: &str) -> String {
    verdict(world.status(name), "Accepted")
}

/// Ready says whether the provider is trusted; either way it is all there is to do.
#[test]
fn ready_says_whether_it_is_trusted() {
    let rows = [(true, "the provider is recorded as trusted;"), (false, "as not trusted (enabled: false);")];
    for (enabled, words) in rows {
        let mut provider = provider("it", 1, ISSUER, json!(["a"]));
        let Ok(Spec::ExternalTokenProvider(spec)) = &mut provider.spec else { panic!("no provider") };
        spec.enabled = enabled;
        let mut world = world(vec![provider]);
        settle(&mut world);
        let ready = condition(world.status("it"), "Ready").expect("it");
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("True", "TrustOnly"), "{enabled}");
        assert!(ready.message.contains(words), "{enabled}: {}", ready.message);
        assert_eq!(holds(&world, "it").len(), 1, "{enabled}");
    }
}

#[test]
fn the_older_has_a_pair() {
    let with_slash = format!("{ISSUER}/");
    let mut world = world(vec![
        provider("younger", 2, &with_slash, json!(["a", "b"])),
        provider("older", 1, ISSUER, json!(["a"])),
        provider("other", 3, "https://other.example.com", json!(["a", "b"])),
    ]);
    settle(&mut world);
    for (name, expected) in [("older", "True/TrustOnly"), ("other", "True/TrustOnly"), ("younger", "False/Collision")] {
        assert_eq!(verdict(world.status(name), "Ready"), expected, "{name}");
    }
    let message = &condition(world.status("younger"), "Accepted").expect("it").message;
    assert!(
        message.starts_with("issuer and audience ") && message.contains("ExternalTokenProvider/older"),
        "{message}"
    );
    assert_eq!(holds(&world, "older").len(), 1);
    assert_eq!(holds(&world, "other").len(), 2);
    // The half that nobody else has it holds all the same.
    let rest = holds(&world, "younger");
    assert!(rest.len() == 1 && rest[0].ends_with(" b"), "{rest:?}");
    assert!(world.live("timbr-api").ownership.ours.is_empty(), "nothing is delivered");

    world.resources.retain(|there| there.meta.name != "older");
    settle(&mut world);
    assert_eq!(accepted(&world, "younger"), "True/Accepted");
    assert_eq!(holds(&world, "younger").len(), 2);
}

/// Trust does not pass to another because of its age: one restored from a backup, say.
#[test]
fn who_has_a_pair_keeps_it() {
    let mut world = world(vec![provider("present", 5, ISSUER, json!(["a"]))]);
    settle(&mut world);
    world.resources.push(provider("restored", 1, ISSUER, json!(["a", "b"])));
    settle(&mut world);
    assert_eq!(accepted(&world, "present"), "True/Accepted");
    assert_eq!(accepted(&world, "restored"), "False/Collision");
    // It keeps what it has even when it wants more, and something that another has.
    world.resources[0] = {
        let wider = provider("present", 5, ISSUER, json!(["a", "b"]));
        Resource { status: world.resources[0].status.clone(), ..wider }
    };
    settle(&mut world);
    assert_eq!(holds(&world, "present").len() + holds(&world, "restored").len(), 2);
    assert!(holds(&world, "present")[0].ends_with(" a"), "{:?}", holds(&world, "present"));
    // Once it no longer wants it, the other has it.
    world.resources[0] = {
        let other = provider("present", 5, ISSUER, json!(["c"]));
        Resource { status: world.resources[0].status.clone(), ..other }
    };
    settle(&mut world);
    assert_eq!(accepted(&world, "restored"), "True/Accepted");
    assert_eq!(holds(&world, "restored").len(), 2);
    assert_eq!(holds(&world, "present").len(), 1);
}

/// A slip in an edit hands trust to nobody else: what is held stays held, and nothing is added.
#[test]
fn one_that_cannot_speak_for_itself_keeps_its_pairs() {
    let changed = |audiences: Json, change: fn(&mut Resource<Spec>)| {
        let mut provider = provider("present", 5, ISSUER, audiences);
        change(&mut provider);
        provider
    };
    let rows: [(&str, Resource<Spec>, &[&str]); 5] = [
        ("suspended", changed(json!(["a", "b"]), |it| it.spec.as_mut().expect("a spec").set_suspend()), &["a", "b"]),
        ("unreadable", changed(json!(["a", "b"]), |it| it.spec = Err("spec: no".into())), &["a", "b"]),
        ("invalid", invalid(json!(["a", "b"])), &["a", "b"]),
        ("invalid, and it wants another", invalid(json!(["a", "c"])), &["a"]),
        ("in no installation", stray(json!(["a", "c"])), &["a"]),
    ];
    for (row, now, held) in rows {
        let mut world = world(vec![provider("present", 5, ISSUER, json!(["a", "b"]))]);
        settle(&mut world);
        let status = world.resources[0].status.clone();
        world.resources = vec![Resource { status, ..now }];
        settle(&mut world);
        let audiences = |world: &World| -> Vec<String> {
            holds(world, "present").iter().filter_map(|pair| Some(pair.rsplit_once(' ')?.1.to_owned())).collect()
        };
        assert_eq!(audiences(&world), held, "{row}");
        // An older one comes back.
        world.resources.push(provider("restored", 1, ISSUER, json!(["a"])));
        settle(&mut world);
        if row == "in no installation" {
            // Whose it is cannot be told, so it is in nobody's way.
            assert_eq!((accepted(&world, "restored").as_str(), audiences(&world).len()), ("True/Accepted", 0));
        } else {
            assert_eq!(accepted(&world, "restored"), "False/Collision", "{row}");
            assert_eq!(audiences(&world), held, "{row}");
        }
    }
}

/// Of two that held the same pair in two installations one has it when they meet; that the other lost it is
/// nothing to tell of one that cannot be read.
#[test]
fn two_that_meet_settle_at_once() {
    let mut world = world(vec![provider("older", 1, ISSUER, json!(["a"]))]);
    settle(&mut world);
    let status = world.resources[0].status.clone();
    let unreadable = Resource { spec: Err("spec: no".into()), ..provider("younger", 2, ISSUER, json!(["a"])) };
    world.resources.push(Resource { status, ..unreadable });
    settle(&mut world);
    assert_eq!((holds(&world, "older").len(), holds(&world, "younger").len()), (1, 0));
    assert_eq!(accepted(&world, "younger"), "False/InvalidSpec");
    let codes = |world: &World| -> Vec<String> {
        world.status("younger").problems.iter().map(|problem| problem.code.to_string()).collect()
    };
    assert_eq!(codes(&world), ["DecodeFailed"]);
}

/// Another namespace's provider of the audience `a`.
fn foreign(second: i64, holds: bool, organization: Option<&str>) -> Foreign {
    let mut meta = provider("theirs", second, ISSUER, json!(["a"])).meta;
    meta.namespace = "elsewhere".to_owned();
    let pair = TrustedPair { issuer: ISSUER.to_owned(), audience: "a".to_owned() };
    Foreign { meta, pair, holds, organization: organization.map(str::to_owned) }
}

/// Among the namespaces of one organization a pair has one provider, by the same rule as in an installation.
#[test]
fn an_organization_has_one_provider_of_a_pair() {
    let taken = "issuer and audience https://login.example.com/tenant a is held by an ExternalTokenProvider in another namespace of organization acme; delete one of the two, or change this one";
    // When the other was created, whether it has the pair, whether this one has had it; who has it.
    let rows = [
        (1, true, false, false),
        (1, false, false, false),
        (9, true, false, false),
        (9, false, false, true),
        (1, false, true, true),
        (1, true, true, false),
        (9, true, true, true),
    ];
    for (second, holds_it, had, has) in rows {
        let row = format!("{second} {holds_it} {had}");
        let mut world = world(vec![provider("it", 5, ISSUER, json!(["a", "b"]))]);
        if had {
            settle(&mut world);
        }
        world.foreign = vec![foreign(second, holds_it, Some("acme"))];
        settle(&mut world);
        assert_eq!(holds(&world, "it").len(), if has { 2 } else { 1 }, "{row}");
        let accepted = condition(world.status("it"), "Accepted").expect("it");
        match has {
            true => assert_eq!(accepted.reason, "Accepted", "{row}"),
            false => {
                assert_eq!((accepted.reason.as_str(), accepted.message.as_str()), ("Collision", taken), "{row}");
                assert_eq!(world.status("it").problems.len(), 1, "{row}: said once");
            }
        }
        // It is free again.
        world.foreign.clear();
        settle(&mut world);
        assert_eq!((self::accepted(&world, "it").as_str(), holds(&world, "it").len()), ("True/Accepted", 2), "{row}");
    }
}

/// Elsewhere it is a warning, whoever was first, and no foreign namespace is named.
#[test]
fn between_strangers_a_common_pair_is_a_warning() {
    // One of the organization that has it all the same: by another operator, which knows no labels.
    for (second, holds_it, organization) in [(1, true, None), (9, false, None), (9, true, Some("acme"))] {
        let mut world = world(vec![provider("it", 5, ISSUER, json!(["a", "b"]))]);
        settle(&mut world);
        world.foreign = vec![foreign(second, holds_it, organization)];
        settle(&mut world);
        let status = world.status("it");
        assert_eq!((accepted(&world, "it").as_str(), holds(&world, "it").len()), ("True/Accepted", 2));
        let problems: Vec<_> =
            status.problems.iter().map(|it| (it.path.as_str(), it.code.as_str(), it.severity)).collect();
        assert_eq!(problems, [("spec.audiences", "Collision", Severity::Warning)]);
        assert_eq!(
            status.problems[0].message,
            "an ExternalTokenProvider in another namespace names issuer and audience https://login.example.com/tenant a too: a token that is meant for one of the two is taken by the other; give each an audience of its own"
        );
        assert!(!format!("{status:?}").contains("elsewhere"), "{status:?}");
    }
}

/// What counts of another namespace's providers: what they have, and what they may get.
#[test]
fn who_contends_for_a_pair() {
    let names = BTreeSet::from(["a", "b"]);
    let provider = |reference: Option<&str>| {
        let mut provider = provider("it", 2, &format!("{ISSUER}/"), json!(["x", "y"]));
        let Ok(Spec::ExternalTokenProvider(spec)) = &mut provider.spec else { panic!("no provider") };
        spec.installation_ref = reference.map(|name| InstallationRef { name: name.to_owned() });
        provider
    };
    let status = |generation: i64, audience: &str| {
        let holds = vec![TrustedPair { issuer: ISSUER.to_owned(), audience: audience.to_owned() }];
        let common = CommonStatus { observed_generation: generation, ..CommonStatus::default() };
        Some(Arc::new(Status::ExternalTokenProvider(ExternalTokenProviderStatus { common, holds, discovery: None })))
    };
    let at_home = provider(Some("a"));
    let generation = at_home.meta.generation;
    let unreadable = Err(Unreadable { error: "no".to_owned(), installation_ref: Ok(Some("a".to_owned())) });
    let rows = [
        ("not judged yet", at_home.clone(), vec![("x", false), ("y", false)]),
        ("judged", Resource { status: status(generation, "x"), ..at_home.clone() }, vec![("x", true)]),
        (
            "edited since",
            Resource { status: status(generation - 1, "x"), ..at_home.clone() },
            vec![("x", true), ("y", false)],
        ),
        (
            "unreadable",
            Resource { status: status(generation, "x"), spec: unreadable.clone(), ..at_home.clone() },
            vec![("x", true)],
        ),
        ("unreadable from the start", Resource { spec: unreadable, ..at_home }, vec![]),
        // Whose it is cannot be told.
        ("of no installation", Resource { status: status(generation, "x"), ..provider(None) }, vec![]),
    ];
    for (row, there, expected) in rows {
        let contenders = contenders([&there, &azure_sso("sso", Ok(azure_sso_spec()))], &names);
        let found: Vec<(&str, bool)> = contenders.iter().map(|it| (it.pair.audience.as_str(), it.holds)).collect();
        assert_eq!(found, expected, "{row}");
        assert!(contenders.iter().all(|it| it.pair.issuer == ISSUER && it.organization.is_none()), "{row}");
    }
}

fn invalid(audiences: Json) -> Resource<Spec> {
    let mut provider = provider("present", 5, ISSUER, audiences);
    let Ok(Spec::ExternalTokenProvider(spec)) = &mut provider.spec else { panic!("no provider") };
    spec.display_name = "bad\nname".to_owned();
    provider
}

fn stray(audiences: Json) -> Resource<Spec> {
    let mut provider = provider("present", 5, ISSUER, audiences);
    let Ok(Spec::ExternalTokenProvider(spec)) = &mut provider.spec else { panic!("no provider") };
    spec.installation_ref = Some(crate::fixtures::installation_ref("nowhere"));
    provider
}

#[test]
fn there_may_be_many_policies() {
    let policy = |name: &str| {
        let spec = json!({"target": "Api", "inbound": {"rules": [{"application": "shop"}]}});
        resource(Kind::InboundAccessPolicy, name, 0, spec)
    };
    let mut world = world(vec![policy("one"), policy("two")]);
    settle(&mut world);
    for name in ["one", "two"] {
        assert_eq!(verdict(world.status(name), "Ready"), "True/Ready", "{name}");
    }
}
