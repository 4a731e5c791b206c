//! timbr-server has one service principal for group synchronisation and key vault together.

use serde_json::json;
use timbr_identity::{api::Kind, compose::Lookup};

use crate::{
    fixtures::{CLIENT_ID, azure_sso, azure_sso_spec, key, plain, secret, secret_ref, verdict},
    kinds::{
        databricks, groups, holders, names_on_server, on_server, principal, resource, settle, sign_on, value_on_server,
        vault, world,
    },
    world::World,
};

const VAULT: [&str; 3] = ["KV_VAULT", "KV_VAULT_AUTH_TYPE", "KV_VAULT_TYPE"];
const TRIO: [&str; 3] = ["AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"];
const GROUPS: [&str; 2] = ["SYNC_GROUPS_AUTO_CREATE_USER", "SYNC_GROUPS_INTERVAL"];

fn sorted(parts: &[&[&str]]) -> Vec<String> {
    let mut names: Vec<String> = parts.concat().into_iter().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn the_same_is_shared_and_outlives_each_of_the_two() {
    for gone in ["groups", "vault"] {
        let mut world = world(vec![groups(0, "a", json!([])), vault(1, "a", "Remove")]);
        assert_eq!(settle(&mut world), 1);
        assert_eq!(names_on_server(&world), sorted(&[&TRIO, &VAULT, &GROUPS]));
        assert_eq!(holders(&world, "AZURE_CLIENT_SECRET"), ["KeyVaultBinding/vault", "RoleGroupSync/groups"]);
        world.resources.retain(|resource| resource.meta.name != gone);
        settle(&mut world);
        let rest: &[&str] = if gone == "groups" { &VAULT } else { &GROUPS };
        assert_eq!(names_on_server(&world), sorted(&[&TRIO, rest]), "{gone}");
        world.resources.clear();
        settle(&mut world);
        assert_eq!(names_on_server(&world), [] as [&str; 0]);
    }
}

#[test]
fn a_client_id_in_a_secret_is_the_same_by_its_reference() {
    let by_secret = |key: &str| {
        json!({
            "tenantId": "contoso.onmicrosoft.com",
            "clientIdRef": {"name": "id", "key": key},
            "clientSecretRef": {"name": "a", "key": "client-secret"},
        })
    };
    for (key, accepted) in [("one", "True/Accepted"), ("other", "False/Collision")] {
        let mut vault = by_secret(key);
        vault["vaultUrl"] = json!("https://contoso.vault.azure.net");
        let resources = vec![
            resource(Kind::RoleGroupSync, "groups", 0, by_secret("one")),
            resource(Kind::KeyVaultBinding, "vault", 1, vault),
        ];
        let mut world = world(resources);
        // Equal by value, which is never looked at.
        let ids = secret(&[("one", CLIENT_ID), ("other", CLIENT_ID)]);
        world.secrets.insert("id".to_owned(), Lookup::Found(ids));
        settle(&mut world);
        assert_eq!(verdict(world.status("groups"), "Accepted"), "True/Accepted", "{key}");
        assert_eq!(verdict(world.status("vault"), "Accepted"), accepted, "{key}");
    }
}

#[test]
fn another_is_a_collision_of_the_younger_which_keeps_the_rest() {
    let mut world = world(vec![groups(0, "a", json!([])), vault(1, "a", "Retain")]);
    settle(&mut world);
    // The older changes: its new principal is delivered, and the younger, which shared it, collides.
    world.resources[0] = groups(0, "b", json!([]));
    assert_eq!(settle(&mut world), 1);
    assert_eq!(value_on_server(&world, "AZURE_CLIENT_SECRET").as_deref(), Some("secret-of-b"));
    assert_eq!(names_on_server(&world), sorted(&[&TRIO, &VAULT, &GROUPS]));
    assert_eq!(verdict(world.status("vault"), "Accepted"), "False/Collision");
    assert_eq!(verdict(world.status("vault"), "Delivered"), "True/DeliveredLastGood");
    assert_eq!(verdict(world.status("groups"), "Ready"), "True/DeliveredUnverified");
    // The younger follows: shared again.
    world.resources[1] = vault(1, "b", "Retain");
    settle(&mut world);
    assert_eq!(verdict(world.status("vault"), "Ready"), "True/DeliveredUnverified");
    assert_eq!(holders(&world, "AZURE_CLIENT_SECRET"), ["KeyVaultBinding/vault", "RoleGroupSync/groups"]);
}

#[test]
fn one_that_comes_with_another_delivers_nothing() {
    let mut world = world(vec![groups(0, "a", json!([])), vault(1, "b", "Retain")]);
    settle(&mut world);
    assert_eq!(names_on_server(&world), sorted(&[&TRIO, &GROUPS]));
    assert_eq!(value_on_server(&world, "AZURE_CLIENT_SECRET").as_deref(), Some("secret-of-a"));
    assert_eq!(verdict(world.status("vault"), "Accepted"), "False/Collision");
}

/// So it is whichever of the two is the older.
#[test]
fn the_older_has_it() {
    let mut world = world(vec![vault(0, "a", "Remove"), groups(1, "b", json!([]))]);
    settle(&mut world);
    assert_eq!(names_on_server(&world), sorted(&[&TRIO, &VAULT]));
    assert_eq!(value_on_server(&world, "AZURE_CLIENT_SECRET").as_deref(), Some("secret-of-a"));
    assert_eq!(verdict(world.status("groups"), "Accepted"), "False/Collision");
}

/// One that was parted from the principal has no share in it, and its silence holds none.
#[test]
fn one_that_collided_holds_nothing_but_its_own() {
    let mut world = world(vec![vault(0, "a", "Remove"), groups(1, "a", json!([]))]);
    settle(&mut world);
    world.resources[1] = groups(1, "b", json!([]));
    settle(&mut world);
    assert_eq!(verdict(world.status("groups"), "Accepted"), "False/Collision");
    assert_eq!(holders(&world, "AZURE_CLIENT_SECRET"), ["KeyVaultBinding/vault"]);
    assert_eq!(holders(&world, "SYNC_GROUPS_INTERVAL"), ["RoleGroupSync/groups"]);
    world.resources[1].spec = Err("spec.interval: expected a string".into());
    world.resources[0] = resource(Kind::KeyVaultBinding, "other", 9, {
        let mut spec = principal("b");
        spec["vaultUrl"] = json!("https://contoso.vault.azure.net");
        spec["deletionPolicy"] = json!("Remove");
        spec
    });
    settle(&mut world);
    assert_eq!(verdict(world.status("other"), "Ready"), "True/DeliveredUnverified");
    assert_eq!(value_on_server(&world, "AZURE_CLIENT_SECRET").as_deref(), Some("secret-of-b"));
}

/// Without a record, who is silent may have caused what nobody asks for; what somebody asks for is theirs.
#[test]
fn without_a_record_the_silent_share_nothing() {
    let mut world = world(vec![vault(0, "a", "Remove"), groups(1, "a", json!([]))]);
    settle(&mut world);
    world.live_mut("timbr-server").delivered = None;
    world.resources[1].spec.as_mut().expect("a spec").set_suspend();
    settle(&mut world);
    assert_eq!(holders(&world, "KV_VAULT"), ["KeyVaultBinding/vault"]);
    assert_eq!(holders(&world, "AZURE_CLIENT_SECRET"), ["KeyVaultBinding/vault"]);
    assert_eq!(holders(&world, "SYNC_GROUPS_INTERVAL"), ["RoleGroupSync/groups"]);
    assert_eq!(names_on_server(&world), sorted(&[&TRIO, &VAULT, &GROUPS]));
}

/// A secret that somebody wrote out is not ours to keep: it would be in our patch in plain text.
#[test]
fn a_secret_in_plain_text_is_never_kept() {
    let mut world = world(vec![groups(0, "a", json!([]))]);
    settle(&mut world);
    let env = &mut world.live_mut("timbr-server").containers[0].env;
    let secret = env.iter_mut().find(|env| env.name == "AZURE_CLIENT_SECRET").expect("it is there");
    secret.value = plain("typed");
    world.resources[0].spec.as_mut().expect("a spec").set_suspend();
    settle(&mut world);
    assert_eq!(names_on_server(&world), sorted(&[&["AZURE_CLIENT_ID", "AZURE_TENANT_ID"], &GROUPS]));
}

#[test]
fn a_rotation_parts_nobody() {
    let mut world = world(vec![groups(0, "a", json!([])), vault(1, "a", "Retain")]);
    settle(&mut world);
    world.secrets.insert("a".to_owned(), Lookup::Found(secret(&[("client-secret", "rotated")])));
    assert_eq!(settle(&mut world), 1);
    assert_eq!(value_on_server(&world, "AZURE_CLIENT_SECRET").as_deref(), Some("rotated"));
    for name in ["groups", "vault"] {
        assert_eq!(verdict(world.status(name), "Ready"), "True/DeliveredUnverified");
    }
}

type Spoil = fn(&mut crate::world::World);
/// What makes the first resource one that cannot speak for itself.
const SPOILS: [(&str, Spoil); 4] = [
    ("suspended", |world| {
        world.resources[0].spec.as_mut().expect("a spec").set_suspend();
    }),
    ("invalid", |world| {
        let mut spec = principal("a");
        spec["interval"] = json!("1s");
        world.resources[0] = resource(Kind::RoleGroupSync, "groups", 0, spec);
    }),
    ("waiting", |world| {
        let mut spec = principal("a");
        spec["clientSecretRef"]["key"] = json!("gone");
        world.resources[0] = resource(Kind::RoleGroupSync, "groups", 0, spec);
    }),
    ("unreadable", |world| world.resources[0].spec = Err("spec.interval: expected a string".into())),
];

/// Invalid, waiting, suspended or unreadable: what it delivered is still its own.
#[test]
fn one_that_cannot_speak_for_itself_holds_what_it_delivered() {
    for (name, spoil) in SPOILS {
        let mut world = world(vec![groups(0, "a", json!([]))]);
        settle(&mut world);
        spoil(&mut world);
        settle(&mut world);
        assert_eq!(names_on_server(&world), sorted(&[&TRIO, &GROUPS]), "{name}");
        // A younger one that names another principal collides with it.
        world.resources.push(vault(1, "b", "Retain"));
        settle(&mut world);
        assert_eq!(verdict(world.status("vault"), "Accepted"), "False/Collision", "{name}");
        assert_eq!(value_on_server(&world, "AZURE_CLIENT_SECRET").as_deref(), Some("secret-of-a"), "{name}");
        assert_eq!(names_on_server(&world), sorted(&[&TRIO, &GROUPS]), "{name}");
    }
}

#[test]
fn one_that_cannot_speak_for_itself_and_delivered_nothing_is_in_nobody_s_way() {
    for (name, spoil) in SPOILS {
        let mut world = world(vec![groups(0, "a", json!([])), vault(1, "b", "Remove")]);
        spoil(&mut world);
        settle(&mut world);
        assert_eq!(verdict(world.status("vault"), "Ready"), "True/DeliveredUnverified", "{name}");
        assert_eq!(names_on_server(&world), sorted(&[&TRIO, &VAULT]), "{name}");
        // Once it can, it is the older.
        world.resources[0] = groups(0, "a", json!([]));
        settle(&mut world);
        assert_eq!(verdict(world.status("vault"), "Accepted"), "False/Collision", "{name}");
        assert_eq!(value_on_server(&world, "AZURE_CLIENT_SECRET").as_deref(), Some("secret-of-a"), "{name}");
        assert_eq!(names_on_server(&world), sorted(&[&TRIO, &VAULT, &GROUPS]), "{name}");
    }
}

/// What an older one named before it came to wait is on the Deployment still: whoever shared it goes on.
#[test]
fn one_that_waits_with_another_principal_parts_nobody() {
    let mut world = world(vec![groups(0, "a", json!([])), vault(1, "a", "Remove")]);
    settle(&mut world);
    let mut spec = principal("b");
    spec["clientSecretRef"]["key"] = json!("gone");
    world.resources[0] = resource(Kind::RoleGroupSync, "groups", 0, spec);
    assert_eq!(settle(&mut world), 0);
    assert_eq!(verdict(world.status("vault"), "Ready"), "True/DeliveredUnverified");
    assert_eq!(verdict(world.status("groups"), "Delivered"), "True/DeliveredLastGood");
    assert_eq!(value_on_server(&world, "AZURE_CLIENT_SECRET").as_deref(), Some("secret-of-a"));
}

/// Whoever shares the principal of one that cannot speak for itself may go on with it, and not replace it.
#[test]
fn what_one_holds_that_cannot_speak_for_itself_is_replaced_by_nobody() {
    for (name, spoil) in SPOILS.into_iter().filter(|(name, _)| *name != "unreadable") {
        let mut world = world(vec![groups(0, "a", json!([])), vault(1, "a", "Remove")]);
        settle(&mut world);
        spoil(&mut world);
        assert_eq!(settle(&mut world), 0, "{name}");
        assert_eq!(verdict(world.status("vault"), "Ready"), "True/DeliveredUnverified", "{name}");
        let before = on_server(&world);
        let others = [
            ("clientSecretRef", json!({"name": "b", "key": "client-secret"})),
            ("tenantId", json!("fabrikam.onmicrosoft.com")),
            ("clientId", json!("22222222-2222-3333-4444-555555555555")),
        ];
        for (field, value) in others {
            let mut spec = principal("a");
            spec["vaultUrl"] = json!("https://contoso.vault.azure.net");
            spec[field] = value;
            world.resources[1] = resource(Kind::KeyVaultBinding, "vault", 1, spec);
            assert_eq!(settle(&mut world), 0, "{name} {field}");
            assert_eq!(verdict(world.status("vault"), "Accepted"), "False/Collision", "{name} {field}");
            assert_eq!(verdict(world.status("vault"), "Delivered"), "True/DeliveredLastGood", "{name} {field}");
            assert_eq!(on_server(&world), before, "{name} {field}");
        }
        world.resources[1] = vault(1, "a", "Remove");
        assert_eq!(settle(&mut world), 0, "{name}");
        assert_eq!(verdict(world.status("vault"), "Ready"), "True/DeliveredUnverified", "{name}");
    }
}

/// With the record lost, and two that cannot speak for themselves: what is said is said at once, and stays.
#[test]
fn without_a_record_the_silent_collide_with_nobody() {
    let mut world = world(vec![groups(0, "a", json!([])), vault(1, "a", "Remove")]);
    settle(&mut world);
    world.live_mut("timbr-server").delivered = None;
    world.resources[1] = vault(1, "b", "Remove");
    for resource in &mut world.resources {
        resource.spec.as_mut().expect("a spec").set_suspend();
    }
    for second in [100, 200] {
        world.look(crate::fixtures::at(second));
        for name in ["groups", "vault"] {
            assert_eq!(verdict(world.status(name), "Accepted"), "True/Accepted", "{name} {second}");
        }
        assert_eq!(names_on_server(&world), sorted(&[&TRIO, &VAULT, &GROUPS]), "{second}");
    }
}

/// GUIDs and domains are the same in capitals; each is delivered as it is given.
#[test]
fn capitals_part_nobody_and_are_kept() {
    const ID: &str = "AAAAAAAA-2222-3333-4444-55555555555f";
    let of = |id: &str, tenant: &str| {
        let mut spec = principal("a");
        spec["clientId"] = json!(id);
        spec["tenantId"] = json!(tenant);
        spec
    };
    let mut second = of(&ID.to_ascii_lowercase(), "contoso.onmicrosoft.com");
    second["vaultUrl"] = json!("https://contoso.vault.azure.net");
    let mut world = world(vec![
        resource(Kind::RoleGroupSync, "groups", 0, of(ID, "Contoso.onmicrosoft.com")),
        resource(Kind::KeyVaultBinding, "vault", 1, second),
    ]);
    settle(&mut world);
    assert_eq!(verdict(world.status("vault"), "Ready"), "True/DeliveredUnverified");
    assert_eq!(value_on_server(&world, "AZURE_CLIENT_ID").as_deref(), Some(ID));
    assert_eq!(value_on_server(&world, "AZURE_TENANT_ID").as_deref(), Some("Contoso.onmicrosoft.com"));
}

#[test]
fn suspended_it_keeps_a_share_when_the_other_goes() {
    let mut world = world(vec![groups(0, "a", json!([])), vault(1, "a", "Remove")]);
    settle(&mut world);
    world.resources[0].spec.as_mut().expect("a spec").set_suspend();
    settle(&mut world);
    world.resources.remove(1);
    settle(&mut world);
    assert_eq!(names_on_server(&world), sorted(&[&TRIO, &GROUPS]));
}

#[test]
fn an_azure_sso_s_and_the_same_written_out_are_one() {
    let mut sso = azure_sso_spec();
    sso.client_secret_ref = secret_ref("a", "client-secret");
    let from = resource(Kind::RoleGroupSync, "groups", 2, json!({"credentialsFrom": {"azureSso": "sso"}}));
    let mut world = world(vec![azure_sso("sso", Ok(sso)), vault(1, "a", "Remove"), from]);
    settle(&mut world);
    for name in ["sso", "groups", "vault"] {
        assert_eq!(verdict(world.status(name), "Ready"), "True/DeliveredUnverified", "{name}");
    }
    assert_eq!(holders(&world, "AZURE_CLIENT_ID"), ["KeyVaultBinding/vault", "RoleGroupSync/groups"]);
    // Without the AzureSso the one waits, and holds its share.
    world.resources.remove(0);
    settle(&mut world);
    assert_eq!(verdict(world.status("groups"), "ReferencesResolved"), "False/AzureSsoNotReady");
    assert_eq!(verdict(world.status("groups"), "Reconciling"), "True/WaitingForReference");
    assert_eq!(names_on_server(&world), sorted(&[&TRIO, &VAULT, &GROUPS]));
}

/// Files may hold a part of what there is.
#[test]
fn a_sign_on_that_is_not_in_the_input_is_unknown() {
    let resources = || {
        let vault = json!({"vaultUrl": "https://contoso.vault.azure.net", "credentialsFrom": {"azureSso": "sso"}});
        vec![resource(Kind::KeyVaultBinding, "vault", 0, vault), databricks()]
    };
    let told = |world: &World| -> Vec<String> {
        let plan = world.plan(&key(None));
        let told = plan.resources.iter().filter(|judgement| judgement.meta.kind != Kind::AzureSso).map(|judgement| {
            let ours = judgement.problems.iter().filter(|problem| problem.code != "KeyVaultTurnedOn");
            let problems: Vec<String> = ours.map(|it| format!("{} {} {}", it.path, it.code, it.message)).collect();
            format!("{} {}: {}", judgement.meta.name, judgement.references.reason, problems.join("; "))
        });
        told.collect()
    };
    let mut world = World { partial: true, ..world(resources()) };
    let unknown = [
        "vault Resolved: spec.credentialsFrom.azureSso NotInInput AzureSso sso is not in the input, so its value could not be checked",
        "databricks Resolved: spec NotInInput an AzureSso is not in the input, so its value could not be checked",
    ];
    assert_eq!(told(&world), unknown);
    world.partial = false;
    assert_eq!(told(&world), ["vault AzureSsoNotReady: ", "databricks AzureSsoNotReady: "]);
    // What is in the input is judged, though it is a part.
    world.resources.push(sign_on("a"));
    for partial in [true, false] {
        world.partial = partial;
        assert_eq!(told(&world), ["vault Resolved: ", "databricks Resolved: "], "{partial}");
    }
}
