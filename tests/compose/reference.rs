//! `delivery: Reference`: the chart names a Secret, and the operator keeps the Secret.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;
use timbr_identity::{
    api::{
        Component, Delivery, FIELD_MANAGER, Kind, LABEL_COMPONENT, LABEL_INSTALLATION, LABEL_MANAGED_BY, OnConflict,
        Resource, Sensitive, Spec,
    },
    compose::{Leftover, LiveDeployment, LiveEnv, LiveEnvFrom, LiveSecret, LiveValue, Lookup, Owner, Step},
};

use crate::{
    fixtures::{at, complete, condition, deployment, key, other, plain, secret, verdict},
    kinds::{SERVER, databricks, groups, installation, principal, resource, settle, sign_on, vault, world},
    world::{Moment, World},
};

const PLATFORM: &str = "timbr-platform";
const STABLE: &str = "timbr-platform-identity";
const VARIABLES: [&str; 5] =
    ["OAUTH_AZURE_WITH_UPN_FIRST", "OAUTH_BASE_URL", "OAUTH_CLIENT_ID", "OAUTH_PROVIDER", "OAUTH_SECRET"];

/// A world with a TimbrInstallation of this delivery.
fn with(delivery: Delivery, resources: Vec<Resource<Spec>>) -> World {
    let mut world = world(resources);
    world.installations = vec![installation("main", json!({}))];
    deliver_by(&mut world, delivery);
    world
}

fn deliver_by(world: &mut World, delivery: Delivery) {
    world.installations[0].spec.as_mut().expect("a spec").delivery = delivery;
}

/// The chart takes all variables of the Deployment's component from its Secret, or none.
fn chart(world: &mut World, deployment: &str, takes: bool) {
    let from = LiveEnvFrom { secret: format!("{deployment}-identity"), prefixed: false };
    let live = world.live_mut(deployment);
    live.containers[0].env_from = if takes { vec![from] } else { vec![] };
    live.generation += 1;
    live.rollout = complete(live.generation);
}

/// An entry of Helm's.
fn helm(world: &mut World, variable: &str, value: LiveValue) {
    let live = world.live_mut(PLATFORM);
    let container = &mut live.containers[0];
    container.env.retain(|env| env.name != variable);
    container.env.push(LiveEnv { name: variable.to_owned(), value });
    let owner = Owner { manager: "helm".to_owned(), operation: "Update".to_owned() };
    live.ownership.others.insert((container.name.clone(), variable.to_owned()), [owner].into());
}

fn key_of(secret: &str, variable: &str) -> LiveValue {
    LiveValue::SecretKey { name: secret.to_owned(), key: variable.to_owned() }
}

fn stable(world: &World) -> Option<&LiveSecret> {
    world.secrets.get(STABLE).and_then(Lookup::found)
}

/// What the platform's Secret holds.
fn shelved(world: &World) -> Vec<(String, String)> {
    let text = |value: &Sensitive| String::from_utf8_lossy(value.expose()).into_owned();
    let data = stable(world).into_iter().flat_map(|secret| &secret.data);
    data.map(|(name, value)| (name.clone(), text(value))).collect()
}

fn value(world: &World, variable: &str) -> Option<String> {
    shelved(world).into_iter().find_map(|(name, value)| (name == variable).then_some(value))
}

/// Entries of ours on a Deployment.
fn entries(world: &World, deployment: &str) -> Vec<String> {
    world.live(deployment).ownership.ours.iter().map(|(_, variable)| variable.clone()).collect()
}

fn rotate(world: &mut World, to: &str) {
    world.secrets.insert("a".to_owned(), Lookup::Found(secret(&[("client-secret", to)])));
}

fn generation(world: &World) -> i64 {
    world.live(PLATFORM).generation
}

/// The names that a container has of these.
fn effective(world: &World, deployment: &str) -> BTreeSet<String> {
    world.effective().into_keys().filter(|(of, ..)| of == deployment).map(|(.., variable)| variable).collect()
}

/// No variable is ever missing that was there before and is there after, nor has another value than either.
fn assert_never_without(before: &Moment, world: &World) {
    let after = world.effective();
    for (i, moment) in world.moments.iter().enumerate() {
        for (place, value) in before.iter().filter(|(place, _)| after.contains_key(*place)) {
            let now = moment.get(place).unwrap_or_else(|| panic!("{place:?} is missing after write {i}"));
            assert!(now == value || now == &after[place], "{place:?} is neither as before nor as after write {i}");
        }
    }
}

/// Settles, and checks each single write; returns how many rollouts of the platform it took.
fn settle_watched(world: &mut World) -> i64 {
    let before = world.effective();
    let generation = generation(world);
    world.moments.clear();
    settle(world);
    assert_never_without(&before, world);
    let writes = world.moments.len();
    settle(world);
    assert_eq!(world.moments.len(), writes, "something is written for ever");
    self::generation(world) - generation
}

type Chart = fn(&mut World);
/// What the chart and the namespace say, Delivered, and whether the word on the content is there.
const CHARTS: [(&str, Chart, &str, bool); 12] = [
    ("nothing", |_| {}, "Unknown/Pending", false),
    ("all of it", |world| chart(world, PLATFORM, true), "True/Delivered", true),
    (
        "all of it under other names",
        |world| {
            chart(world, PLATFORM, true);
            world.live_mut(PLATFORM).containers[0].env_from[0].prefixed = true;
        },
        "Unknown/Pending",
        false,
    ),
    (
        "another Secret",
        |world| {
            chart(world, PLATFORM, true);
            "entra".clone_into(&mut world.live_mut(PLATFORM).containers[0].env_from[0].secret);
        },
        "Unknown/Pending",
        false,
    ),
    (
        "each variable",
        |world| VARIABLES.into_iter().for_each(|name| helm(world, name, key_of(STABLE, name))),
        "True/Delivered",
        true,
    ),
    (
        "each variable but one",
        |world| VARIABLES[1..].iter().for_each(|name| helm(world, name, key_of(STABLE, name))),
        "Unknown/Pending",
        true,
    ),
    (
        "each variable, if it is there",
        |world| {
            let key = |name: &str| json!({"secretKeyRef": {"name": STABLE, "key": name, "optional": true}});
            VARIABLES.into_iter().for_each(|name| helm(world, name, LiveValue::Other(key(name))));
        },
        "True/Delivered",
        true,
    ),
    (
        "all of it, and one by hand",
        |world| {
            chart(world, PLATFORM, true);
            helm(world, "OAUTH_PROVIDER", plain("google"));
        },
        "False/ShadowedByEnv",
        false,
    ),
    (
        "all of it, and one by hand that is the same",
        |world| {
            chart(world, PLATFORM, true);
            helm(world, "OAUTH_PROVIDER", plain("azure"));
        },
        "False/ShadowedByEnv",
        false,
    ),
    ("one by hand", |world| helm(world, "OAUTH_PROVIDER", other()), "False/ShadowedByEnv", false),
    (
        "one from another key",
        |world| {
            chart(world, PLATFORM, true);
            helm(world, "OAUTH_SECRET", key_of(STABLE, "OAUTH_PROVIDER"));
        },
        "False/ShadowedByEnv",
        false,
    ),
    (
        "all of it, of a Secret that is somebody else's",
        |world| {
            chart(world, PLATFORM, true);
            world.secrets.insert(STABLE.to_owned(), Lookup::Found(secret(&[("OAUTH_PROVIDER", "theirs")])));
        },
        "False/Conflict",
        false,
    ),
];

#[test]
fn what_the_chart_says_and_what_comes_of_it() {
    for (name, chart, expected, content) in CHARTS {
        let mut world = with(Delivery::Reference, vec![sign_on("a")]);
        chart(&mut world);
        let before = generation(&world);
        settle(&mut world);
        let status = world.status("sso");
        assert_eq!(verdict(status, "Delivered"), expected, "{name}");
        assert_eq!(world.live(PLATFORM).content.is_some(), content, "{name}");
        assert_eq!(generation(&world) - before, i64::from(content), "{name}: rollouts");
        assert_eq!(entries(&world, PLATFORM), [] as [&str; 0], "{name}");
        let is_foreign = expected == "False/Conflict";
        let is_hidden = expected == "False/ShadowedByEnv";
        if is_foreign {
            assert_eq!(shelved(&world), [("OAUTH_PROVIDER".to_owned(), "theirs".to_owned())], "{name}");
        } else if !is_hidden {
            let names: Vec<String> = shelved(&world).into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, VARIABLES, "{name}");
        }
    }
}

#[test]
fn conditions_say_what_to_do() {
    let message = |chart: Chart| {
        let mut world = with(Delivery::Reference, vec![sign_on("a")]);
        chart(&mut world);
        settle(&mut world);
        let message = condition(world.status("sso"), "Delivered").expect("Delivered").message.clone();
        let reconciling = verdict(world.status("sso"), "Reconciling");
        (message, reconciling)
    };
    let [nothing, one, hidden, foreign] =
        [message(CHARTS[0].1), message(CHARTS[5].1), message(CHARTS[7].1), message(CHARTS[11].1)];
    let waits = "True/WaitingForDeployment".to_owned();
    assert_eq!(nothing, ("Deployment timbr-platform, container timbr-platform: variables OAUTH_PROVIDER, OAUTH_CLIENT_ID, OAUTH_SECRET, OAUTH_BASE_URL, OAUTH_AZURE_WITH_UPN_FIRST are not taken from Secret timbr-platform-identity yet; put envFrom: [{secretRef: {name: timbr-platform-identity}}] into the container where it is deployed from".to_owned(), waits.clone()));
    assert_eq!(one, ("Deployment timbr-platform, container timbr-platform: variable OAUTH_AZURE_WITH_UPN_FIRST is not taken from Secret timbr-platform-identity yet; put envFrom: [{secretRef: {name: timbr-platform-identity}}] into the container where it is deployed from".to_owned(), waits));
    let settled = "False/Settled".to_owned();
    assert_eq!(hidden, ("Deployment timbr-platform, container timbr-platform: variable OAUTH_PROVIDER is set by helm (Update) in env, which hides it from Secret timbr-platform-identity; remove it there".to_owned(), settled.clone()));
    assert_eq!(foreign, ("Secret timbr-platform-identity is in the way: it was not made by this operator, which would keep the variables in a Secret of that name; rename it, and the operator makes its own".to_owned(), settled));
}

/// What entries deliver until the chart names the Secret counts, whatever was said before.
#[test]
fn entries_that_wait_for_the_chart_deliver() {
    for is_on_record in [true, false] {
        let mut world = with(Delivery::Patch, vec![sign_on("a")]);
        settle(&mut world);
        deliver_by(&mut world, Delivery::Reference);
        if !is_on_record {
            world.resources[0].status = None;
        }
        world.look(at(200));
        assert_eq!(verdict(world.status("sso"), "Delivered"), "True/DeliveredLastGood", "{is_on_record}");
        assert_eq!(verdict(world.status("sso"), "Reconciling"), "True/WaitingForDeployment", "{is_on_record}");
    }
}

#[test]
fn the_secret_is_ours_mutable_and_nobodys() {
    let mut world = with(Delivery::Reference, vec![sign_on("a")]);
    let looks = world.look(at(0));
    let secrets: Vec<_> = looks.iter().flat_map(|look| &look.plan.deployments).flat_map(|plan| &plan.secrets).collect();
    let [secret] = secrets.as_slice() else { panic!("{secrets:?}") };
    let labels = [(LABEL_MANAGED_BY, FIELD_MANAGER), (LABEL_COMPONENT, "platform"), (LABEL_INSTALLATION, "main")];
    assert_eq!(secret.labels, labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    assert!(secret.stable && secret.owner.is_none());
    let live = stable(&world).expect("the Secret");
    assert!(!live.immutable);
    assert_eq!(value(&world, "OAUTH_SECRET").as_deref(), Some("secret-of-a"));
    // The label and the record are there before anything takes it.
    assert_eq!(world.live(PLATFORM).managed.as_deref(), Some("true"));
    assert!(world.live(PLATFORM).delivered.as_deref().is_some_and(|record| record.contains("OAUTH_SECRET")));
}

#[test]
fn there_and_back_is_one_rollout_each_whoever_goes_first() {
    // Whether the chart takes the Secret before the delivery is switched.
    for chart_first in [false, true] {
        let mut world = with(Delivery::Patch, vec![sign_on("a")]);
        assert_eq!(settle_watched(&mut world), 1);
        assert!(stable(&world).is_none());
        let before = world.effective();
        if chart_first {
            chart(&mut world, PLATFORM, true);
            // It is there for whoever names it.
            assert_eq!(settle_watched(&mut world), 0);
            assert_eq!(shelved(&world).len(), VARIABLES.len());
            deliver_by(&mut world, Delivery::Reference);
        } else {
            deliver_by(&mut world, Delivery::Reference);
            assert_eq!(settle_watched(&mut world), 0, "no rollout before the chart takes it");
            assert_eq!(entries(&world, PLATFORM), VARIABLES);
            assert_eq!(verdict(world.status("sso"), "Delivered"), "True/DeliveredLastGood");
            assert_eq!(verdict(world.status("sso"), "Reconciling"), "True/WaitingForDeployment");
            chart(&mut world, PLATFORM, true);
        }
        assert_eq!(settle_watched(&mut world), 1);
        assert_eq!(entries(&world, PLATFORM), [] as [&str; 0]);
        assert_eq!(world.effective(), before);
        assert_eq!(verdict(world.status("sso"), "Ready"), "True/DeliveredUnverified");
        let delivered = &world.status("sso").delivered;
        assert_eq!(delivered[0].secret.as_deref(), Some(STABLE));
        assert_eq!(delivered[0].variables, VARIABLES);
        assert_eq!(delivered[0].generation, generation(&world));

        deliver_by(&mut world, Delivery::Patch);
        assert_eq!(settle_watched(&mut world), 1);
        assert_eq!(entries(&world, PLATFORM), VARIABLES);
        assert!(world.live(PLATFORM).content.is_none());
        assert!(stable(&world).is_some(), "the chart still names it");
        chart(&mut world, PLATFORM, false);
        assert_eq!(settle_watched(&mut world), 0);
        assert!(stable(&world).is_none());
        assert_eq!(world.effective(), before);
    }
}

#[test]
fn a_secret_that_is_not_named_goes_once_the_pods_are_replaced() {
    let mut world = with(Delivery::Reference, vec![sign_on("a")]);
    chart(&mut world, PLATFORM, true);
    settle(&mut world);
    deliver_by(&mut world, Delivery::Patch);
    chart(&mut world, PLATFORM, false);
    for _ in 0..3 {
        world.live_mut(PLATFORM).rollout.updated = 0;
        world.look(at(10));
        assert!(stable(&world).is_some());
    }
    settle(&mut world);
    assert!(stable(&world).is_none());
}

#[test]
fn a_rotation_is_one_rollout() {
    let mut world = with(Delivery::Reference, vec![sign_on("a")]);
    chart(&mut world, PLATFORM, true);
    settle_watched(&mut world);
    let content = world.live(PLATFORM).content.clone();
    rotate(&mut world, "second");
    assert_eq!(settle_watched(&mut world), 1);
    assert_eq!(value(&world, "OAUTH_SECRET").as_deref(), Some("second"));
    assert_ne!(world.live(PLATFORM).content, content);
    // And back: the same content has the same word.
    rotate(&mut world, "secret-of-a");
    assert_eq!(settle_watched(&mut world), 1);
    assert_eq!(world.live(PLATFORM).content, content);
}

/// Whoever undoes a revision has set the annotation of an older content: it is set right, by a request that an apply
/// cannot be. With who will set it again nobody fights.
#[test]
fn an_annotation_that_somebody_has_set_is_set_right() {
    let mut world = with(Delivery::Reference, vec![sign_on("a")]);
    chart(&mut world, PLATFORM, true);
    settle(&mut world);
    let content = world.live(PLATFORM).content.clone().expect("a content");
    let next = |world: &World| {
        let plan = world.plan(&key(Some("main")));
        plan.deployments.into_iter().find(|plan| plan.name == PLATFORM).and_then(|plan| plan.next)
    };
    assert_eq!(next(&world), None);
    let path = "/spec/template/metadata/annotations/identity.timbr.ai~1content";
    let uid = world.live(PLATFORM).uid.clone();
    let patch = json!([
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": path, "value": "older"},
        {"op": "replace", "path": path, "value": content},
    ]);
    let rows = [
        ("kubectl", "Update", Step::Rewrite { changes: vec![], patch }),
        ("kubectl", "Apply", Step::Apply),
        ("argocd-controller", "Update", Step::Apply),
    ];
    for (manager, operation, expected) in rows {
        let live = world.live_mut(PLATFORM);
        live.content = Some("older".to_owned());
        live.ownership.content = false;
        live.ownership.content_of = Some(Owner { manager: manager.to_owned(), operation: operation.to_owned() });
        assert_eq!(next(&world), Some(expected), "{manager} {operation}");
    }
    // Set to what it is to be, or taken off, it becomes ours by an apply.
    for there in [Some(content), None] {
        world.live_mut(PLATFORM).content = there;
        assert_eq!(next(&world), Some(Step::Apply));
    }
}

/// Nothing takes it: the Secret is kept up to date, and no pod is replaced.
#[test]
fn a_rotation_that_nobody_takes_is_no_rollout() {
    let mut world = with(Delivery::Patch, vec![sign_on("a")]);
    settle_watched(&mut world);
    deliver_by(&mut world, Delivery::Reference);
    settle_watched(&mut world);
    rotate(&mut world, "second");
    assert_eq!(settle_watched(&mut world), 0);
    assert_eq!(value(&world, "OAUTH_SECRET").as_deref(), Some("second"));
    assert_eq!(entries(&world, PLATFORM), VARIABLES, "what was delivered stays");
    chart(&mut world, PLATFORM, true);
    assert_eq!(settle_watched(&mut world), 1);
    let place = (PLATFORM.to_owned(), PLATFORM.to_owned(), "OAUTH_SECRET".to_owned());
    assert_eq!(world.effective()[&place], Sensitive::from("second"));
}

#[test]
fn what_cannot_speak_for_itself_keeps_its_values_while_others_rotate() {
    let sso = || sign_on("b");
    let jwt = |key: &str| {
        let spec = json!({"type": "Custom", "algorithms": ["HS256"], "keyRef": {"name": key, "key": "client-secret"}});
        resource(Kind::JwtAuthentication, "jwt", 1, spec)
    };
    let tenant = || {
        resource(
            Kind::JwtTenant,
            "acme",
            2,
            json!({"tenant": "acme", "algorithms": ["HS256"], "keyRef": {"name": "b", "key": "client-secret"}}),
        )
    };
    let mut world = with(Delivery::Reference, vec![sso(), jwt("a"), tenant()]);
    chart(&mut world, "timbr-api", true);
    settle(&mut world);
    let of_api = |world: &World, name: &str| {
        let data = &world.secrets["timbr-api-identity"].found().expect("the Secret").data;
        data.get(name).map(|value| String::from_utf8_lossy(value.expose()).into_owned())
    };
    assert_eq!(of_api(&world, "JWT_ACME_KEY").as_deref(), Some("secret-of-b"));
    // The tenant's Secret is gone, and the other's value rotates.
    world.secrets.insert("b".to_owned(), Lookup::Missing);
    rotate(&mut world, "second");
    settle(&mut world);
    assert_eq!(verdict(world.status("acme"), "ReferencesResolved"), "False/SecretNotFound");
    assert_eq!(verdict(world.status("acme"), "Delivered"), "True/DeliveredLastGood");
    assert_eq!(of_api(&world, "JWT_DEFAULT_KEY").as_deref(), Some("second"));
    assert_eq!(of_api(&world, "JWT_ACME_KEY").as_deref(), Some("secret-of-b"));
    // Switched back while it is so, and the chart is as before: it is not lost then either.
    deliver_by(&mut world, Delivery::Patch);
    settle_watched(&mut world);
    chart(&mut world, "timbr-api", false);
    settle_watched(&mut world);
    assert!(world.secrets["timbr-api-identity"].found().is_none());
    let place = ("timbr-api".to_owned(), "timbr-api".to_owned(), "JWT_ACME_KEY".to_owned());
    assert_eq!(world.effective()[&place], Sensitive::from("secret-of-b"));
    // Deleted, it goes.
    world.resources.retain(|resource| resource.meta.name != "acme");
    settle(&mut world);
    assert!(!world.effective().contains_key(&place));
}

#[test]
fn an_entry_in_the_way_is_one_resources_matter() {
    let groups = groups(1, "a", json!([]));
    let mut world = with(Delivery::Reference, vec![sign_on("a"), groups]);
    for name in [PLATFORM, SERVER] {
        chart(&mut world, name, true);
    }
    settle_watched(&mut world);
    helm(&mut world, "OAUTH_PROVIDER", plain("google"));
    assert_eq!(settle_watched(&mut world), 0);
    assert_eq!(verdict(world.status("sso"), "Ready"), "False/ShadowedByEnv");
    assert_eq!(verdict(world.status("groups"), "Ready"), "True/DeliveredUnverified");
    assert_eq!(shelved(&world).len(), VARIABLES.len(), "what was delivered stays");
    rotate(&mut world, "second");
    settle_watched(&mut world);
    assert_eq!(value(&world, "OAUTH_SECRET").as_deref(), Some("secret-of-a"));
    // It is taken away.
    let live = world.live_mut(PLATFORM);
    live.containers[0].env.retain(|env| env.name != "OAUTH_PROVIDER");
    live.ownership.others.clear();
    assert_eq!(settle_watched(&mut world), 1);
    assert_eq!(value(&world, "OAUTH_SECRET").as_deref(), Some("second"));
    assert_eq!(verdict(world.status("sso"), "Ready"), "True/DeliveredUnverified");
}

#[test]
fn without_a_resource_the_secret_is_emptied_and_goes_when_nothing_names_it() {
    for named in [true, false] {
        let mut world = with(Delivery::Reference, vec![sign_on("a")]);
        chart(&mut world, PLATFORM, named);
        settle(&mut world);
        assert!(stable(&world).is_some());
        world.resources.clear();
        assert_eq!(settle_watched(&mut world), i64::from(named));
        let live = world.live(PLATFORM);
        assert_eq!((&live.managed, &live.delivered, &live.content), (&None, &None, &None));
        assert!(!live.ownership.metadata && !live.ownership.content);
        assert_eq!(stable(&world).map(|secret| secret.data.len()), named.then_some(0));
        chart(&mut world, PLATFORM, false);
        settle(&mut world);
        assert!(stable(&world).is_none());
    }
}

#[test]
fn what_a_key_vault_leaves_behind_stays_in_the_secret() {
    for (policy, left) in [("Retain", 6), ("Remove", 0)] {
        let mut world = with(Delivery::Reference, vec![vault(0, "a", policy)]);
        chart(&mut world, SERVER, true);
        settle(&mut world);
        let before = effective(&world, SERVER);
        world.resources.clear();
        world.moments.clear();
        settle(&mut world);
        let after = effective(&world, SERVER);
        assert_eq!(after.len(), left, "{policy}");
        assert!(left == 0 || before == after, "{policy}");
        let retained = world.live(SERVER).delivered.clone().unwrap_or_default();
        assert_eq!(retained.contains("\"retained\""), left > 0, "{policy}");
        // It stays through a switch.
        deliver_by(&mut world, Delivery::Patch);
        settle_watched(&mut world);
        chart(&mut world, SERVER, false);
        settle_watched(&mut world);
        assert_eq!(effective(&world, SERVER), after, "{policy}");
    }
}

#[test]
fn databricks_is_in_both_secrets_or_in_none() {
    for (first, second) in [(PLATFORM, SERVER), (SERVER, PLATFORM)] {
        let mut world = with(Delivery::Reference, vec![sign_on("a"), databricks()]);
        settle(&mut world);
        assert_eq!(verdict(world.status("databricks"), "Delivered"), "Unknown/Pending");
        chart(&mut world, first, true);
        settle(&mut world);
        assert_eq!(verdict(world.status("databricks"), "Delivered"), "Unknown/Pending", "{first}");
        let has = |world: &World, name: &str| effective(world, name).contains("OAUTH_OFFLINE_ACCESS_SCOPE");
        assert!(!has(&world, PLATFORM) && !has(&world, SERVER), "{first}");
        chart(&mut world, second, true);
        settle(&mut world);
        assert_eq!(verdict(world.status("databricks"), "Ready"), "True/DeliveredUnverified", "{first}");
        assert!(has(&world, PLATFORM) && has(&world, SERVER), "{first}");
        // Switched back, one after the other.
        deliver_by(&mut world, Delivery::Patch);
        settle_watched(&mut world);
        for name in [first, second] {
            chart(&mut world, name, false);
        }
        settle_watched(&mut world);
        assert!(has(&world, PLATFORM) && has(&world, SERVER), "{first}");
    }
}

#[test]
fn while_it_is_suspended_nothing_is_switched() {
    let suspend = |world: &mut World, suspend| world.installations[0].spec.as_mut().expect("a spec").suspend = suspend;
    for (from, to) in [(Delivery::Patch, Delivery::Reference), (Delivery::Reference, Delivery::Patch)] {
        let mut world = with(from, vec![sign_on("a")]);
        chart(&mut world, PLATFORM, true);
        settle_watched(&mut world);
        let before = (world.live(PLATFORM).clone(), shelved(&world));
        suspend(&mut world, true);
        deliver_by(&mut world, to);
        rotate(&mut world, "second");
        assert_eq!(settle_watched(&mut world), 0, "{from:?}");
        assert_eq!((world.live(PLATFORM).clone(), shelved(&world)), before, "{from:?}");
        suspend(&mut world, false);
        assert_eq!(settle_watched(&mut world), 1, "{from:?}");
        assert_eq!(value(&world, "OAUTH_SECRET").as_deref(), Some("second"), "{from:?}");
        suspend(&mut world, true);
        settle_watched(&mut world);
        world.resources.clear();
        settle_watched(&mut world);
        assert!(!effective(&world, PLATFORM).contains("OAUTH_SECRET"), "{from:?}");
    }
}

/// The resources are another installation's then, which delivers by patch.
#[test]
fn without_its_installation_no_pod_is_without_variables() {
    let mut world = with(Delivery::Reference, vec![sign_on("a")]);
    chart(&mut world, PLATFORM, true);
    settle_watched(&mut world);
    let before = world.effective();
    world.installations.clear();
    assert_eq!(settle_watched(&mut world), 1);
    assert_eq!(world.effective(), before);
    assert_eq!(stable(&world).expect("the Secret").installation.as_deref(), Some("default"));
    // And all at once.
    let mut world = with(Delivery::Reference, vec![sign_on("a")]);
    chart(&mut world, PLATFORM, true);
    settle(&mut world);
    world.installations.clear();
    world.resources.clear();
    settle(&mut world);
    assert_eq!(shelved(&world), []);
    assert!(world.live(PLATFORM).managed.is_none());
}

/// Components that run in Deployments of their own.
fn components(name: &str) -> serde_json::Value {
    let of = |component: &str| json!({"deployment": format!("{name}-{component}")});
    json!({"platform": of("platform"), "server": of("server"), "api": of("api")})
}

/// One of an installation that is gone holds nothing any more, unless another may take variables from it.
#[test]
fn what_is_left_of_an_installation_that_is_gone_is_emptied() {
    // How the other installation delivers, whose the Secret is by its label, whether it holds something.
    let rows = [
        (Some(Delivery::Patch), "gone", true, true),
        (Some(Delivery::Patch), "gone", false, false),
        // The implicit installation is gone, too, when there is another.
        (Some(Delivery::Patch), "default", true, true),
        (Some(Delivery::Patch), "other", true, false),
        (Some(Delivery::Reference), "gone", true, false),
        (None, "gone", true, false),
    ];
    for (delivery, label, is_full, is_emptied) in rows {
        let mut world = world(vec![]);
        let mut other = installation("other", json!({"components": components("other")}));
        match (&mut other.spec, delivery) {
            (Ok(spec), Some(delivery)) => spec.delivery = delivery,
            (spec, _) => *spec = Err("spec: no".into()),
        }
        world.installations = vec![other];
        let data = secret(if is_full { &[("OAUTH_SECRET", "s3cr3t")] } else { &[] });
        let live = LiveSecret { ours: true, immutable: false, installation: Some(label.to_owned()), ..data };
        world.secrets.insert(STABLE.to_owned(), Lookup::Found(live.clone()));
        let leftovers = world.plan(&key(None)).leftovers;
        let row = format!("{delivery:?} {label} {is_full}");
        match leftovers.as_slice() {
            [] => assert!(!is_emptied, "{row}"),
            [Leftover::Empty(plan)] => {
                assert!(is_emptied, "{row}");
                assert_eq!((plan.name.as_str(), plan.data.len(), plan.replaces.as_ref()), (STABLE, 0, Some(&live)));
            }
            other => panic!("{row}: {other:?}"),
        }
        if label != "other" {
            assert_eq!(world.plan(&key(Some("other"))).leftovers, [], "{row}: it is not that one's business");
        }
    }
}

/// What was taken over is put back when ours goes. In Reference mode it is what the chart is to say no more: once its
/// owner has let go of it, it is not put back.
#[test]
fn what_was_taken_over_is_put_back_unless_its_owner_let_go() {
    let rows = [
        (Delivery::Patch, false, "True/Delivered", true),
        (Delivery::Patch, true, "True/Delivered", true),
        (Delivery::Reference, false, "False/ShadowedByEnv", true),
        (Delivery::Reference, true, "True/Delivered", false),
    ];
    for (delivery, lets_go, delivered, is_put_back) in rows {
        let row = format!("{delivery:?}, lets go: {lets_go}");
        let mut world = with(Delivery::Patch, vec![sign_on("a")]);
        world.installations[0].spec.as_mut().expect("a spec").on_conflict = OnConflict::Adopt;
        helm(&mut world, "OAUTH_PROVIDER", plain("theirs"));
        settle(&mut world);
        assert_eq!(verdict(world.status("sso"), "Delivered"), "True/Delivered", "{row}");
        deliver_by(&mut world, delivery);
        chart(&mut world, PLATFORM, delivery == Delivery::Reference);
        if lets_go {
            let ownership = &mut world.live_mut(PLATFORM).ownership;
            ownership.others.clear();
            ownership.shells.clear();
        }
        settle(&mut world);
        assert_eq!(verdict(world.status("sso"), "Delivered"), delivered, "{row}");
        world.resources.clear();
        settle(&mut world);
        let env = &world.live(PLATFORM).containers[0].env;
        let provider = env.iter().find(|env| env.name == "OAUTH_PROVIDER").map(|env| env.value.clone());
        assert_eq!(provider, is_put_back.then(|| plain("theirs")), "{row}");
    }
}

/// One that nothing names goes when its component is at rest; or, where there is no Deployment, when nobody asks for
/// its variables. Where it cannot be told who names it, it stays.
#[test]
fn a_secret_of_a_component_without_resources_goes() {
    type Row = (&'static str, fn(&mut World), bool);
    let rows: [Row; 6] = [
        ("at rest", |_| {}, true),
        ("no Deployment", |world| drop(world.deployments.insert(PLATFORM.to_owned(), Lookup::Missing)), true),
        (
            "no Deployment, but a resource",
            |world| {
                world.resources.push(sign_on("gone"));
                world.deployments.insert(PLATFORM.to_owned(), Lookup::Missing);
            },
            false,
        ),
        ("unreadable", |world| drop(world.deployments.insert(PLATFORM.to_owned(), Lookup::Forbidden)), false),
        (
            "which container is unclear",
            |world| {
                let mut containers = deployment("one", &[]).containers;
                containers.extend(deployment("other", &[]).containers);
                world.live_mut(PLATFORM).containers = containers;
            },
            false,
        ),
        ("named", |world| chart(world, PLATFORM, true), false),
    ];
    for (row, change, goes) in rows {
        // Of another component there is something.
        let mut world = with(Delivery::Patch, vec![groups(0, "a", json!([]))]);
        settle(&mut world);
        let live = LiveSecret { ours: true, immutable: false, installation: Some("main".to_owned()), ..secret(&[]) };
        world.secrets.insert(STABLE.to_owned(), Lookup::Found(live.clone()));
        change(&mut world);
        let leftovers = world.plan(&key(Some("main"))).leftovers;
        let deletes = Leftover::Delete { name: STABLE.to_owned(), seen: live };
        assert_eq!(leftovers, if goes { vec![deletes] } else { vec![] }, "{row}");
    }
}

/// What a chart takes from the usual Secret stays there until it is on the Deployment that a TimbrInstallation names.
#[test]
fn what_moves_leaves_the_usual_secret_when_it_has_arrived() {
    let mut world = world(vec![sign_on("a")]);
    chart(&mut world, PLATFORM, true);
    settle(&mut world);
    assert_eq!(shelved(&world).len(), VARIABLES.len());
    world.installations = vec![installation("main", json!({"components": {"platform": {"deployment": "web"}}}))];
    settle(&mut world);
    assert_eq!(shelved(&world).len(), VARIABLES.len(), "it has nowhere to go yet");
    let web = LiveDeployment { uid: "uid-of-web".to_owned(), ..deployment("timbr-platform", &[]) };
    world.deployments.insert("web".to_owned(), Lookup::Found(web));
    settle(&mut world);
    assert_eq!(shelved(&world).len(), 0);
    assert_eq!(verdict(world.status("sso"), "Delivered"), "True/Delivered");
}

#[test]
fn of_two_installations_one_has_the_name() {
    let mut world = with(Delivery::Reference, vec![sign_on("a")]);
    let mut live = world.live(PLATFORM).clone();
    "uid-of-the-other".clone_into(&mut live.uid);
    live.containers[0].env_from = vec![LiveEnvFrom { secret: STABLE.to_owned(), prefixed: false }];
    world.deployments.insert("other-platform".to_owned(), Lookup::Found(live));
    let spec = json!({"components": components("other"), "delivery": "Reference"});
    world.installations.push(installation("other", spec));
    let mut sso = principal("b");
    sso["publicUrl"] = json!("https://timbr.example.com");
    sso["installationRef"] = json!({"name": "other"});
    world.resources.push(resource(Kind::AzureSso, "other-sso", 1, sso));
    world.resources[0] = {
        let mut sso = principal("a");
        sso["publicUrl"] = json!("https://timbr.example.com");
        sso["installationRef"] = json!({"name": "main"});
        resource(Kind::AzureSso, "sso", 0, sso)
    };
    chart(&mut world, PLATFORM, true);
    settle(&mut world);
    assert_eq!(verdict(world.status("sso"), "Delivered"), "True/Delivered");
    assert_eq!(verdict(world.status("other-sso"), "Delivered"), "False/Conflict");
    let message = &condition(world.status("other-sso"), "Delivered").expect("Delivered").message;
    assert_eq!(
        message,
        "Secret timbr-platform-identity belongs to TimbrInstallation main, and its name is the same for all of a namespace; give this one delivery: Patch, or a namespace of its own"
    );
    assert_eq!(value(&world, "OAUTH_SECRET").as_deref(), Some("secret-of-a"));
}

/// The next thing that somebody does.
#[derive(Clone, Debug)]
enum Act {
    Deliver(Delivery),
    Chart(&'static str, bool),
    Rotate(&'static str, &'static str),
    Lose(&'static str),
    Delete(&'static str),
    Create(&'static str),
    Suspend(bool),
    Record(&'static str),
    Look,
}

const DEPLOYMENTS: [&str; 3] = [PLATFORM, SERVER, "timbr-api"];

fn created(name: &str) -> Resource<Spec> {
    match name {
        "sso" => sign_on("a"),
        "databricks" => databricks(),
        "groups" => groups(2, "b", json!([])),
        "vault" => vault(3, "b", "Remove"),
        _ => {
            let key = json!({"name": "b", "key": "client-secret"});
            let spec = json!({"type": "Custom", "algorithms": ["HS256"], "keyRef": key});
            resource(Kind::JwtAuthentication, "jwt", 4, spec)
        }
    }
}

const RESOURCES: [&str; 5] = ["sso", "databricks", "groups", "vault", "jwt"];

fn act() -> impl Strategy<Value = Act> {
    let delivery = select(vec![Delivery::Patch, Delivery::Reference]);
    let deployment = || select(DEPLOYMENTS.to_vec());
    let secret = || select(vec!["a", "b"]);
    let resource = || select(RESOURCES.to_vec());
    prop_oneof![
        4 => delivery.prop_map(Act::Deliver),
        4 => (deployment(), any::<bool>()).prop_map(|(name, takes)| Act::Chart(name, takes)),
        2 => (secret(), select(vec!["one", "two"])).prop_map(|(name, value)| Act::Rotate(name, value)),
        1 => secret().prop_map(Act::Lose),
        1 => resource().prop_map(Act::Delete),
        2 => resource().prop_map(Act::Create),
        1 => any::<bool>().prop_map(Act::Suspend),
        1 => deployment().prop_map(Act::Record),
        6 => Just(Act::Look),
    ]
}

fn perform(world: &mut World, act: &Act) {
    match act {
        Act::Deliver(delivery) => deliver_by(world, *delivery),
        Act::Chart(name, takes) => {
            let spec = world.installations[0].spec.as_ref().expect("a spec");
            let is_safe = spec.delivery == Delivery::Patch && !spec.suspend;
            if is_safe {
                look(world);
            }
            let before = world.effective();
            chart(world, name, *takes);
            // Once the entries are there, the chart may go back.
            assert!(!is_safe || world.effective() == before, "{name} lacks something without its Secret");
        }
        Act::Rotate(name, value) => {
            world.secrets.insert((*name).to_owned(), Lookup::Found(secret(&[("client-secret", value)])));
        }
        Act::Lose(name) => drop(world.secrets.insert((*name).to_owned(), Lookup::Missing)),
        Act::Delete(name) => world.resources.retain(|resource| resource.meta.name != *name),
        Act::Create(name) => {
            if !world.resources.iter().any(|resource| resource.meta.name == *name) {
                world.resources.push(created(name));
            }
        }
        Act::Suspend(suspend) => world.installations[0].spec.as_mut().expect("a spec").suspend = *suspend,
        // Somebody wipes our annotation. Whose anything was cannot be told then of what goes in the same moment.
        Act::Record(name) => {
            look(world);
            world.live_mut(name).delivered = None;
            look(world);
        }
        Act::Look => look(world),
    }
}

/// Looks once, with the pods following; no variable is missing at any moment.
fn look(world: &mut World) {
    let before = world.effective();
    world.moments.clear();
    world.look(at(100));
    assert_never_without(&before, world);
    for name in DEPLOYMENTS {
        let generation = world.live(name).generation;
        world.live_mut(name).rollout = complete(generation);
    }
}

proptest! {
    /// Whatever is switched, in whatever order: no variable is missing in between, it comes to rest, and in the end
    /// the containers have what they would have had from the beginning.
    #[test]
    fn no_order_of_switching_leaves_a_container_without_its_variables(acts in vec(act(), 0..24)) {
        let mut world = with(Delivery::Patch, vec![sign_on("a")]);
        for act in &acts {
            perform(&mut world, act);
        }
        perform(&mut world, &Act::Suspend(false));
        // Without it the other one waits, and has what it had before.
        perform(&mut world, &Act::Create("sso"));
        for name in ["a", "b"] {
            perform(&mut world, &Act::Rotate(name, "three"));
        }
        for _ in 0..3 {
            look(&mut world);
        }
        world.moments.clear();
        look(&mut world);
        prop_assert_eq!(&world.moments, &[] as &[Moment]);

        // The charts follow, and nothing is lost by it.
        let delivery = world.installations[0].spec.as_ref().expect("a spec").delivery;
        for name in DEPLOYMENTS {
            chart(&mut world, name, delivery == Delivery::Reference);
        }
        for _ in 0..3 {
            look(&mut world);
        }
        let mut fresh = with(Delivery::Patch, world.resources.clone());
        fresh.secrets.extend(["a", "b"].map(|name| (name.to_owned(), world.secrets[name].clone())));
        fresh.resources.iter_mut().for_each(|resource| resource.status = None);
        for _ in 0..3 {
            look(&mut fresh);
        }
        let names = |world: &World| world.effective().into_keys().collect::<Vec<_>>();
        prop_assert_eq!(names(&world), names(&fresh));
        prop_assert!(world.effective() == fresh.effective(), "values differ");
        for component in Component::ALL {
            let is_there = world.secrets.get(component.stable_secret()).and_then(Lookup::found).is_some();
            prop_assert!(!is_there || delivery == Delivery::Reference, "{} is left", component.stable_secret());
        }
    }
}
