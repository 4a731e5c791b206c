//! Variables that change hands: taken back, adopted, put back, and left alone.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use timbr_identity::{
    api::OnConflict,
    compose::{LiveEnv, LiveValue, Lookup, Owner},
};

use crate::{
    fixtures::{at, condition, key, other, plain, verdict},
    kinds::{SERVER, groups, holders, installation, names_on_server, settle, value_on_server, vault, world},
    random,
    world::{Place, World},
};

const VARIABLE: &str = "KV_VAULT_TYPE";

fn owner(manager: &str, operation: &str) -> Owner {
    Owner { manager: manager.to_owned(), operation: operation.to_owned() }
}

fn place(variable: &str) -> Place {
    ("timbr".to_owned(), variable.to_owned())
}

/// Another hand sets a variable on the server, as an update or an apply would: the value is its own then.
fn set(world: &mut World, variable: &str, value: LiveValue, by: Owner) {
    let live = world.live_mut(SERVER);
    let env = &mut live.containers[0].env;
    match env.iter_mut().find(|env| env.name == variable) {
        Some(there) => there.value = value,
        None => env.push(LiveEnv { name: variable.to_owned(), value }),
    }
    live.ownership.transient.remove(&place(variable));
    live.ownership.shells.remove(&place(variable));
    if live.ownership.ours.contains(&place(variable)) {
        live.ownership.bare.insert(place(variable));
        // An update owns what it changes, an apply the entry with it.
        if by.operation == "Update" {
            live.ownership.rootless.insert(place(variable));
        }
    }
    live.ownership.others.insert(place(variable), [by.clone()].into());
    live.ownership.latest = Some(by);
}

/// Another hand takes a variable off.
fn take_off(world: &mut World, variable: &str, by: Owner) {
    let live = world.live_mut(SERVER);
    live.containers[0].env.retain(|env| env.name != variable);
    let ownership = &mut live.ownership;
    ownership.ours.remove(&place(variable));
    ownership.bare.remove(&place(variable));
    ownership.rootless.remove(&place(variable));
    ownership.others.remove(&place(variable));
    ownership.shells.remove(&place(variable));
    ownership.latest = Some(by);
}

fn adopting(mut world: World) -> World {
    let mut installation =
        installation("default", json!({"components": {"server": {"deployment": SERVER, "container": "timbr"}}}));
    if let Ok(spec) = &mut installation.spec {
        spec.on_conflict = OnConflict::Adopt;
    }
    world.installations.push(installation);
    world
}

fn value(world: &World, variable: &str) -> Option<LiveValue> {
    world.live(SERVER).containers[0].env.iter().find(|env| env.name == variable).map(|env| env.value.clone())
}

/// Looks once; the requests, and the Events by reason.
fn look(world: &mut World, now: Timestamp) -> (Vec<&'static str>, Vec<String>) {
    let looks = world.look(now);
    let steps = looks.iter().flat_map(|look| look.steps.clone()).collect();
    (steps, looks.iter().flat_map(|look| &look.events).map(|event| event.reason.clone()).collect())
}

/// What is left to another hand is let go, and nothing else is done about it.
fn assert_hands_off(world: &mut World, now: Timestamp, row: &str) {
    let before = world.live(SERVER).clone();
    let steps = if before.ownership.rootless.is_empty() { vec!["apply"] } else { vec!["hand over", "apply"] };
    assert_eq!(look(world, now), (steps, vec![]), "{row}");
    let live = world.live(SERVER);
    assert_eq!((live.generation, &live.containers), (before.generation, &before.containers), "{row}");
    assert!(live.ownership.bare.is_empty(), "{row}");
    assert_eq!(look(world, now), (vec![], vec![]), "{row}");
}

fn delivered() -> World {
    let mut world = world(vec![vault(0, "a", "Remove")]);
    settle(&mut world);
    world
}

#[test]
fn what_a_person_changed_is_taken_back_once() {
    for by in [owner("kubectl-set", "Update"), owner("kubectl-edit", "Update"), owner("kubectl", "Update")] {
        let mut world = delivered();
        let before = world.live(SERVER).clone();
        set(&mut world, VARIABLE, plain("aws"), by.clone());
        let (steps, events) = look(&mut world, at(200));
        assert_eq!(steps, ["rewrite", "apply", "hand over"], "{by}");
        assert_eq!(events, ["TakenBack"], "{by}");
        assert_eq!(value(&world, VARIABLE), Some(plain("azure")));
        assert_eq!(world.live(SERVER).delivered, before.delivered, "nothing of it is to be put back");
        assert!(world.live(SERVER).ownership.ours.contains(&place(VARIABLE)));
        assert_eq!(look(&mut world, at(201)), (vec![], vec![]));

        // Again within ten minutes: hands off.
        set(&mut world, VARIABLE, plain("aws"), by.clone());
        assert_hands_off(&mut world, at(799), &by.to_string());
        let status = world.status("vault");
        assert_eq!(verdict(status, "Delivered"), "False/OwnershipLost");
        assert_eq!(verdict(status, "Stalled"), "True/OwnershipLost");
        let expected = format!(
            "Deployment {SERVER}, container timbr: variable {VARIABLE} was changed again by {by} although it was taken back, and is left alone now; stop who does it, then change this resource or its annotation identity.timbr.ai/reconcile-requested-at, or say suspend: true to keep it as it is"
        );
        assert_eq!(condition(status, "Delivered").expect("Delivered").message, expected);
        assert_eq!(value(&world, VARIABLE), Some(plain("aws")));
        // For good, not for ten minutes.
        assert_eq!(look(&mut world, at(5000)), (vec![], vec![]));
        assert_eq!(verdict(world.status("vault"), "Delivered"), "False/OwnershipLost");

        // Until somebody asks for another try.
        world.resources[0].meta.requested_at = Some("now".to_owned());
        let (steps, events) = look(&mut world, at(5001));
        assert_eq!((steps, events), (vec!["rewrite", "apply", "hand over"], vec!["TakenBack".to_owned()]));
        assert_eq!(verdict(world.status("vault"), "Delivered"), "True/Delivered");
    }
}

#[test]
fn what_was_taken_back_long_ago_is_taken_back_again() {
    let mut world = delivered();
    for time in [0, 600, 1200] {
        set(&mut world, VARIABLE, plain("aws"), owner("kubectl-set", "Update"));
        assert_eq!(look(&mut world, at(200 + time)).1, ["TakenBack"], "{time}");
    }
}

/// What another installation did on the Deployment in the meantime was not seen, and is no other hand's doing.
#[test]
fn what_an_installation_had_before_another_is_forgotten() {
    let mut world = delivered();
    set(&mut world, VARIABLE, plain("aws"), owner("kubectl-set", "Update"));
    assert_eq!(look(&mut world, at(200)).1, ["TakenBack"]);
    let named = json!({"components": {"server": {"deployment": SERVER, "container": "timbr"}}});
    world.installations.push(installation("main", named));
    look(&mut world, at(201));
    assert_eq!(names_on_server(&world).len(), 6);
    let remembers = |world: &World| world.hands.iter().filter(|(_, hands)| !hands.is_empty()).count();
    assert_eq!(remembers(&world), 1, "the one that has it now");
    let vault = world.resources.remove(0);
    look(&mut world, at(202));
    assert_eq!(names_on_server(&world), Vec::<String>::new());
    world.installations.clear();
    world.resources.push(vault);
    assert_eq!(look(&mut world, at(203)), (vec!["apply"], vec![]));
    assert_eq!(verdict(world.status("vault"), "Delivered"), "True/Delivered");
}

#[test]
fn what_was_taken_off_is_put_back_once_or_twice() {
    for (by, times) in [(owner("kubectl-edit", "Update"), 1), (owner("argocd-controller", "Update"), 2)] {
        let mut world = delivered();
        for time in 0..times {
            take_off(&mut world, VARIABLE, by.clone());
            let (steps, events) = look(&mut world, at(200 + time));
            assert_eq!((steps, events), (vec!["apply"], vec!["TakenBack".to_owned()]), "{by} {time}");
        }
        take_off(&mut world, VARIABLE, by.clone());
        assert_hands_off(&mut world, at(210), &by.to_string());
        assert_eq!(verdict(world.status("vault"), "Delivered"), "False/OwnershipLost");
        // The others stay as they are.
        assert_eq!(names_on_server(&world).len(), 5);
    }
}

/// A sync that puts its own object in the place of ours leaves no trace of us: what we wrote is remembered.
#[test]
fn an_object_that_was_put_in_the_place_of_ours_is_completed_twice() {
    let mut world = delivered();
    for time in 0..3 {
        let live = world.live_mut(SERVER);
        live.containers[0].env.clear();
        live.ownership = Default::default();
        live.ownership.latest = Some(owner("argocd-controller", "Update"));
        (live.managed, live.delivered) = (None, None);
        let expected = if time < 2 { vec!["apply"] } else { vec![] };
        assert_eq!(look(&mut world, at(200 + time)).0, expected, "{time}");
    }
    assert_eq!(verdict(world.status("vault"), "Delivered"), "False/OwnershipLost");
}

#[test]
fn what_a_tool_sets_is_a_conflict() {
    for by in
        [owner("helm", "Update"), owner("argocd-controller", "Apply"), owner("kubectl-client-side-apply", "Update")]
    {
        let mut world = delivered();
        set(&mut world, VARIABLE, plain("aws"), by.clone());
        assert_hands_off(&mut world, at(200), &by.to_string());
        assert_eq!(verdict(world.status("vault"), "Delivered"), "False/Conflict");
        assert_eq!(value(&world, VARIABLE), Some(plain("aws")));
    }
}

#[test]
fn what_is_adopted_is_recorded_and_put_back() {
    let source = |name: &str| LiveValue::SecretKey { name: name.to_owned(), key: "k".to_owned() };
    let rows = [
        (VARIABLE, plain("aws"), true),
        (VARIABLE, other(), true),
        (VARIABLE, source("chart"), true),
        ("AZURE_CLIENT_SECRET", source("chart"), true),
        // A secret in plain text is not repeated in an annotation.
        ("AZURE_CLIENT_SECRET", plain("in the clear"), false),
    ];
    for (variable, theirs, is_recorded) in rows {
        for by in [owner("helm", "Update"), owner("flux", "Apply"), owner("kubectl-set", "Update")] {
            let mut world = adopting(world(vec![vault(0, "a", "Remove")]));
            set(&mut world, "TIMBR_LOG_LEVEL", plain("debug"), by.clone());
            set(&mut world, variable, theirs.clone(), by.clone());
            let before = world.live(SERVER).clone();
            let (steps, events) = look(&mut world, at(0));
            let mut expected = vec!["rewrite", "apply", "hand over"];
            if is_recorded {
                expected.insert(0, "record");
            }
            let row = format!("{variable} {theirs:?} {by}");
            assert_eq!((steps, events), (expected, vec!["Adopted".to_owned()]), "{row}");
            let live = world.live(SERVER);
            assert!(live.ownership.ours.contains(&place(variable)) && !live.ownership.has_transient, "{row}");
            assert_ne!(value(&world, variable), Some(theirs.clone()), "{row}");
            assert_eq!(live.delivered.as_ref().is_some_and(|text| text.contains("displaced")), is_recorded, "{row}");
            assert!(!live.delivered.as_ref().is_some_and(|text| text.contains("in the clear")));
            let message = &condition(world.status("vault"), "Delivered").expect("Delivered").message;
            assert_eq!(
                message.contains(&format!("; adopted from {by}: {variable}; take them out")),
                is_recorded,
                "{message}"
            );
            assert_eq!(look(&mut world, at(1)), (vec![], vec![]), "{row}");

            // One rollout to put everything back.
            world.resources.clear();
            let generation = world.live(SERVER).generation;
            let (steps, _) = look(&mut world, at(2));
            let expected: &[&str] =
                if is_recorded { &["rewrite", "hand over", "apply"] } else { &["rewrite", "apply"] };
            assert_eq!(steps, expected, "{row}");
            let live = world.live(SERVER);
            assert_eq!(live.generation, generation + 1, "{row}");
            if is_recorded {
                assert_eq!(live.containers, before.containers, "{row}");
                assert_eq!(live.ownership, before.ownership, "{row}");
            } else {
                assert_eq!(value(&world, variable), None, "{row}: nothing is left, least of all an empty variable");
                assert_eq!(live.containers[0].env.len(), before.containers[0].env.len() - 1);
            }
            assert_eq!((live.managed.clone(), live.delivered.clone()), (None, None), "{row}");
        }
    }
}

#[test]
fn a_tool_that_asserts_itself_gets_an_adopted_variable_in_the_end() {
    let mut world = adopting(world(vec![vault(0, "a", "Remove")]));
    for time in 0..3 {
        set(&mut world, VARIABLE, plain("aws"), owner("helm", "Update"));
        let (_, events) = look(&mut world, at(time));
        let expected: &[&str] = if time == 0 { &["Adopted"] } else { &["TakenBack"] };
        assert_eq!(events, expected, "{time}");
    }
    set(&mut world, VARIABLE, plain("gcp"), owner("helm", "Update"));
    assert_hands_off(&mut world, at(10), "helm");
    assert_eq!(verdict(world.status("vault"), "Delivered"), "False/OwnershipLost");
    // What is put back is what it set last, and that stands there already.
    world.resources.clear();
    look(&mut world, at(11));
    assert_eq!(value(&world, VARIABLE), Some(plain("gcp")));
    assert_eq!(names_on_server(&world), [] as [&str; 0]);
    assert!(world.live(SERVER).ownership.others.contains_key(&place(VARIABLE)));
}

/// What the tool set meanwhile stays; what was there when it was adopted does not come back over it.
#[test]
fn what_was_set_again_meanwhile_is_not_overwritten() {
    let mut world = adopting(world(vec![vault(0, "a", "Remove")]));
    set(&mut world, VARIABLE, plain("aws"), owner("helm", "Update"));
    look(&mut world, at(0));
    world.resources.clear();
    set(&mut world, VARIABLE, plain("gcp"), owner("helm", "Update"));
    look(&mut world, at(1));
    assert_eq!(value(&world, VARIABLE), Some(plain("gcp")));
    assert!(world.live(SERVER).ownership.ours.is_empty() && world.live(SERVER).delivered.is_none());
}

/// Other variables that change in the same look go into the one rewrite.
#[test]
fn adopting_is_one_rollout() {
    let mut world = adopting(world(vec![vault(0, "a", "Remove")]));
    settle(&mut world);
    let generation = world.live(SERVER).generation;
    set(&mut world, "SYNC_GROUPS_INTERVAL", plain("7"), owner("helm", "Update"));
    world.resources[0] = vault(0, "a", "Remove");
    world.resources.push(groups(1, "a", json!([])));
    look(&mut world, at(0));
    assert_eq!(value_on_server(&world, "SYNC_GROUPS_INTERVAL").as_deref(), Some("86400"));
    assert!(names_on_server(&world).contains(&"SYNC_GROUPS_AUTO_CREATE_USER".to_owned()));
    assert_eq!(world.live(SERVER).generation, generation + 1);
}

/// A RoleGroupSync that is suspended, and a KeyVaultBinding that adopts a variable of Helm's.
fn adopting_beside_one_that_is_suspended() -> World {
    let mut world = adopting(world(vec![groups(0, "a", json!([]))]));
    settle(&mut world);
    world.resources[0].spec.as_mut().expect("a spec").set_suspend();
    set(&mut world, VARIABLE, plain("aws"), owner("helm", "Update"));
    world.resources.push(vault(1, "a", "Remove"));
    world
}

/// What is displaced goes on record, and so does who may have caused the rest.
#[test]
fn adopting_with_a_wiped_annotation_withdraws_nothing() {
    let mut world = adopting_beside_one_that_is_suspended();
    let before = names_on_server(&world);
    world.live_mut(SERVER).delivered = None;
    let (steps, events) = look(&mut world, at(0));
    assert_eq!((steps, events), (vec!["record", "rewrite", "apply", "hand over"], vec!["Adopted".to_owned()]));
    assert_eq!(value(&world, VARIABLE), Some(plain("azure")));
    let now = names_on_server(&world);
    assert!(before.iter().all(|name| now.contains(name)), "{before:?}: {now:?}");
    assert_eq!(holders(&world, "SYNC_GROUPS_INTERVAL"), ["RoleGroupSync/groups"]);
    assert_eq!(verdict(world.status("groups"), "Delivered"), "True/DeliveredLastGood");
}

/// What another hand set in an entry of ours does not become ours by the way.
#[test]
fn adopting_makes_nothing_else_ours() {
    for by in [owner("helm", "Update"), owner("flux", "Apply")] {
        let mut world = adopting_beside_one_that_is_suspended();
        set(&mut world, "SYNC_GROUPS_INTERVAL", plain("7"), by.clone());
        let mut expected = vec!["record", "rewrite", "apply", "hand over"];
        if by.operation == "Update" {
            expected.insert(0, "hand over");
        }
        assert_eq!(look(&mut world, at(0)), (expected, vec!["Adopted".to_owned()]), "{by}");
        assert_eq!(value(&world, "SYNC_GROUPS_INTERVAL"), Some(plain("7")), "{by}");
        let ownership = &world.live(SERVER).ownership;
        assert!(!ownership.is_held(&place("SYNC_GROUPS_INTERVAL")), "{by}");
        assert_eq!(ownership.others[&place("SYNC_GROUPS_INTERVAL")], [by.clone()].into(), "{by}");
    }
}

/// A report is what it says: nothing changes hands for the asking of a second resource.
#[test]
fn to_report_again_leaves_what_was_adopted() {
    let mut world = adopting(world(vec![vault(0, "a", "Remove")]));
    set(&mut world, VARIABLE, plain("aws"), owner("helm", "Update"));
    look(&mut world, at(0));
    world.installations[0].spec.as_mut().expect("a spec").on_conflict = OnConflict::Report;
    assert_eq!(look(&mut world, at(1)), (vec![], vec![]));
    world.resources.clear();
    look(&mut world, at(2));
    assert_eq!(value(&world, VARIABLE), Some(plain("aws")));
}

proptest! {
    /// Whatever is adopted, everything that others set is there again once all resources are gone.
    #[test]
    fn what_others_set_comes_back(mut world in random::world()) {
        // Of what was ours before nobody knows what was there, and what nobody owns is anybody's.
        for lookup in world.deployments.values_mut() {
            if let Lookup::Found(live) = lookup {
                let mut others = std::mem::take(&mut live.ownership).others;
                for container in &live.containers {
                    for env in &container.env {
                        let place = (container.name.clone(), env.name.clone());
                        others.entry(place).or_insert_with(|| [owner("helm", "Update")].into());
                    }
                }
                live.ownership.others = others;
                live.delivered = None;
            }
        }
        let before = entries(&world);
        world.look(at(0));
        let key = key(None);
        prop_assert!(world.keys().contains(&key));
        world.resources.clear();
        world.look(at(60));
        let after = entries(&world);
        for entry in &before {
            let is_secret = matches!(entry.2.value, LiveValue::Plain(_)) && SENSITIVE.contains(&entry.2.name.as_str());
            prop_assert!(after.contains(entry) || is_secret || is_of_vault(entry), "{:?} is gone", entry);
        }
        prop_assert!(after.iter().all(|entry| before.contains(entry) || is_of_vault(entry)));
    }
}

const SENSITIVE: [&str; 5] =
    ["OAUTH_CLIENT_ID", "OAUTH_SECRET", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_ID", "JWT_DEFAULT_KEY"];

type Entry = (String, String, LiveEnv);

/// A KeyVaultBinding's variables may outlive it.
fn is_of_vault((_, _, env): &Entry) -> bool {
    env.name.starts_with("KV_") || env.name.starts_with("AZURE_")
}

fn entries(world: &World) -> Vec<Entry> {
    let found = world.deployments.iter().filter_map(|(name, lookup)| Some((name, lookup.found()?)));
    found
        .flat_map(|(name, live)| {
            live.containers.iter().flat_map(move |container| {
                container.env.iter().map(move |env| (name.clone(), container.name.clone(), env.clone()))
            })
        })
        .collect()
}
