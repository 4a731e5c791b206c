//! What a deleted KeyVaultBinding leaves behind.

use serde_json::json;
use timbr_identity::api::Kind;

use crate::{
    fixtures::{at, other, verdict},
    kinds::{
        SERVER, groups, holders, installation, names_on_server, principal, resource, settle, value_on_server, vault,
        world,
    },
    world::World,
};

const ALL: [&str; 6] =
    ["AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "KV_VAULT", "KV_VAULT_AUTH_TYPE", "KV_VAULT_TYPE"];

fn retained(world: &World) -> usize {
    let annotation: serde_json::Value =
        serde_json::from_str(world.live(SERVER).delivered.as_deref().unwrap_or("{}")).expect("JSON");
    annotation["retained"].as_array().map_or(0, Vec::len)
}

/// Events about Deployments in the next look.
fn events(world: &mut World) -> Vec<String> {
    let looks = world.look(at(50));
    looks.iter().flat_map(|look| &look.events).map(|event| event.reason.clone()).collect()
}

#[test]
fn with_retain_everything_stays_and_is_said_once() {
    let mut world = world(vec![vault(0, "a", "Retain")]);
    settle(&mut world);
    let annotation = world.live(SERVER).delivered.clone();
    world.resources.clear();
    let generation = world.live(SERVER).generation;
    assert_eq!(events(&mut world), ["KeyVaultRetained"]);
    assert_eq!(events(&mut world), [] as [&str; 0]);
    assert_eq!(names_on_server(&world), ALL);
    assert_eq!(world.live(SERVER).generation, generation, "no rollout");
    assert_ne!(world.live(SERVER).delivered, annotation);
    assert_eq!(retained(&world), 6);
}

#[test]
fn with_remove_nothing_stays() {
    let mut world = world(vec![vault(0, "a", "Remove")]);
    settle(&mut world);
    world.resources.clear();
    assert_eq!(events(&mut world), [] as [&str; 0]);
    assert_eq!(names_on_server(&world), [] as [&str; 0]);
}

#[test]
fn the_policy_counts_as_it_was_last() {
    for (policies, left) in [(["Remove", "Retain"], 6), (["Retain", "Remove"], 0)] {
        let mut world = world(vec![]);
        for policy in policies {
            world.resources = vec![vault(0, "a", policy)];
            settle(&mut world);
        }
        world.resources.clear();
        settle(&mut world);
        assert_eq!(names_on_server(&world).len(), left, "{policies:?}");
    }
}

#[test]
fn what_is_retained_goes_by_another_with_remove() {
    let mut world = world(vec![vault(0, "a", "Retain")]);
    settle(&mut world);
    world.resources.clear();
    settle(&mut world);
    // Another secret, even: a live resource takes the variables over.
    world.resources.push(vault(9, "b", "Remove"));
    settle(&mut world);
    assert_eq!(value_on_server(&world, "AZURE_CLIENT_SECRET").as_deref(), Some("secret-of-b"));
    assert_eq!(retained(&world), 0);
    world.resources.clear();
    settle(&mut world);
    assert_eq!(names_on_server(&world), [] as [&str; 0]);
}

#[test]
fn a_live_resource_has_its_way_with_a_warning_and_leaves_them_when_it_goes() {
    let mut world = world(vec![vault(0, "a", "Retain"), groups(1, "a", json!([]))]);
    settle(&mut world);
    world.resources.remove(0);
    settle(&mut world);
    let warning =
        |world: &World| world.status("groups").problems.iter().any(|problem| problem.code == "KeyVaultRetained");
    assert!(warning(&world));
    assert_eq!(holders(&world, "AZURE_CLIENT_SECRET"), ["RoleGroupSync/groups"]);
    world.resources[0] = groups(1, "b", json!([]));
    settle(&mut world);
    assert_eq!(value_on_server(&world, "AZURE_CLIENT_SECRET").as_deref(), Some("secret-of-b"));
    assert!(warning(&world));
    world.resources.clear();
    settle(&mut world);
    assert_eq!(names_on_server(&world), ALL, "the vault still needs its principal");
}

type Spoil = fn(&mut World);

/// Its word on what becomes of its variables counts also while it is suspended or waits; they stay as long as
/// it is there.
#[test]
fn the_policy_counts_of_one_that_is_not_active() {
    let spoils: [(&str, Spoil); 3] = [
        ("suspended", |world| world.resources[0].spec.as_mut().expect("a spec").set_suspend()),
        ("waiting", |world| drop(world.secrets.remove("a"))),
        ("both, and no record", |world| {
            world.resources[0].spec.as_mut().expect("a spec").set_suspend();
            world.secrets.remove("a");
            world.live_mut(SERVER).delivered = None;
        }),
    ];
    for (name, spoil) in spoils {
        for (policies, left) in [(["Remove", "Retain"], 6), (["Retain", "Remove"], 0)] {
            let mut world = world(vec![vault(0, "a", policies[0])]);
            settle(&mut world);
            world.resources = vec![vault(0, "a", policies[1])];
            spoil(&mut world);
            world.look(at(99));
            assert_eq!(retained(&world), left, "{name} {policies:?}");
            assert_eq!(settle(&mut world), 0, "{name} {policies:?}");
            assert_eq!(names_on_server(&world), ALL, "{name} {policies:?}");
            assert_eq!(retained(&world), left, "{name} {policies:?}");
            world.resources.clear();
            settle(&mut world);
            assert_eq!(names_on_server(&world).len(), left, "{name} {policies:?}");
        }
    }
}

/// What another left behind it does not hold: that goes once it is active.
#[test]
fn one_that_is_not_active_drops_nothing_that_another_left() {
    let mut world = world(vec![vault(0, "a", "Retain")]);
    settle(&mut world);
    world.resources = vec![resource(Kind::KeyVaultBinding, "other", 9, vault_spec("gone", "Remove"))];
    settle(&mut world);
    assert_eq!(names_on_server(&world), ALL);
    assert_eq!(retained(&world), 6);
    // Nor does one that has no place: the installation has one already.
    world.resources.push(vault(10, "a", "Remove"));
    settle(&mut world);
    assert_eq!(retained(&world), 6);
    world.resources.clear();
    settle(&mut world);
    assert_eq!(names_on_server(&world), ALL);
}

fn vault_spec(secret: &str, policy: &str) -> serde_json::Value {
    let mut spec = principal(secret);
    spec["vaultUrl"] = json!("https://contoso.vault.azure.net");
    spec["deletionPolicy"] = json!(policy);
    spec
}

/// A wiped annotation says nothing of policies: the vault's variables are never released for that.
#[test]
fn without_a_record_a_vault_is_kept() {
    for annotation in [None, Some("{"), Some("{\"v\":1,\"vars\":{}}")] {
        let mut world = world(vec![vault(0, "a", "Remove")]);
        settle(&mut world);
        world.live_mut(SERVER).delivered = annotation.map(str::to_owned);
        world.resources.clear();
        settle(&mut world);
        let names = names_on_server(&world);
        // With an annotation that is lost altogether, what the vault cannot work without stays too.
        let is_lost = annotation != Some("{\"v\":1,\"vars\":{}}");
        assert_eq!(names, if is_lost { &ALL[..] } else { &ALL[3..] }, "{annotation:?}");
    }
}

/// What is no vault's goes all the same.
#[test]
fn without_a_record_nothing_else_is_kept() {
    for (resources, left) in [
        (vec![groups(1, "a", json!([]))], &[][..]),
        (vec![vault(0, "a", "Remove"), groups(1, "a", json!([]))], &ALL[..]),
    ] {
        let mut world = world(resources);
        settle(&mut world);
        world.live_mut(SERVER).delivered = None;
        world.resources.clear();
        settle(&mut world);
        assert_eq!(names_on_server(&world), left);
    }
}

/// Another holder that leaves what is retained is no news.
#[test]
fn it_is_not_said_again_when_the_last_sharer_goes() {
    let mut world = world(vec![vault(0, "a", "Retain"), groups(1, "a", json!([]))]);
    settle(&mut world);
    world.resources.remove(0);
    assert_eq!(events(&mut world), ["KeyVaultRetained"]);
    world.resources.clear();
    assert_eq!(events(&mut world), [] as [&str; 0]);
    assert_eq!(names_on_server(&world), ALL);
    // The note tells whoever looks at the Deployment.
    let annotation: serde_json::Value =
        serde_json::from_str(world.live(SERVER).delivered.as_deref().expect("an annotation")).expect("JSON");
    let note = annotation["note"].as_str().expect("a note");
    assert!(note.contains("apply a KeyVaultBinding with deletionPolicy: Remove and delete it"), "{note}");
}

/// A KeyVaultBinding that moves to another installation is not deleted: nothing stays behind.
#[test]
fn one_that_moves_takes_everything_along() {
    let components = |server: &str| json!({"components": {"server": {"deployment": server}}});
    let mut second = components("server-2");
    second["components"]["platform"] = json!({"deployment": "platform-2"});
    second["components"]["api"] = json!({"deployment": "api-2"});
    let of = |name: &str| {
        let mut vault = vault(0, "a", "Retain");
        let spec = vault.spec.as_mut().expect("a spec");
        let timbr_identity::api::Spec::KeyVaultBinding(spec) = spec else { panic!("no vault") };
        spec.installation_ref = Some(crate::fixtures::installation_ref(name));
        vault
    };
    let mut world = world(vec![of("first")]);
    world.installations = vec![installation("first", components(SERVER)), installation("second", second)];
    let other = crate::fixtures::deployment("timbr", &[]);
    world.deployments.insert("server-2".to_owned(), timbr_identity::compose::Lookup::Found(other));
    settle(&mut world);
    assert_eq!(names_on_server(&world), ALL);
    world.resources = vec![of("second")];
    settle(&mut world);
    assert_eq!(names_on_server(&world), [] as [&str; 0]);
    assert_eq!(crate::kinds::variables(&world, "server-2").len(), ALL.len());
}

#[test]
fn the_installation_tells_of_it() {
    let mut world = world(vec![vault(0, "a", "Retain")]);
    world.installations.push(installation("main", json!({})));
    settle(&mut world);
    world.resources.clear();
    settle(&mut world);
    let status = world.installations[0].status.as_ref().expect("a status").common();
    let codes: Vec<&str> = status.problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes, ["KeyVaultRetained"]);
    assert_eq!(status.warnings, Some(1));
    assert_eq!(verdict(status, "Ready"), "True/Ready");
}

/// Without a record the principal stays for the key vault's own variables, and those must be able to stay.
#[test]
fn without_a_record_what_cannot_stay_holds_nothing_else() {
    let mut world = world(vec![vault(0, "a", "Retain")]);
    settle(&mut world);
    world.resources.clear();
    let live = world.live_mut(SERVER);
    live.delivered = None;
    for env in live.containers[0].env.iter_mut().filter(|env| env.name.starts_with("KV_")) {
        env.value = other();
    }
    let written = |world: &mut World| world.look(at(50)).iter().map(|look| look.steps.len()).sum::<usize>();
    assert_eq!(written(&mut world), 1);
    assert_eq!(written(&mut world), 0, "in one look");
    assert_eq!(names_on_server(&world), [] as [&str; 0]);
}
