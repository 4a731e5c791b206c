//! What was delivered stays while its resource cannot speak for itself, and goes when it is gone.

use timbr_identity::{
    api::{AzureSsoSpec, SelfRegistration, Unreadable},
    compose::{LiveSecret, Lookup, Owner, Plan},
};

use crate::{
    fixtures::{
        PLATFORM, at, azure_sso, azure_sso_spec, complete, deployment, installation, installation_ref, key, other,
        plain, secret, verdict,
    },
    world::World,
};

const VARIABLES: [&str; 5] =
    ["OAUTH_AZURE_WITH_UPN_FIRST", "OAUTH_BASE_URL", "OAUTH_CLIENT_ID", "OAUTH_PROVIDER", "OAUTH_SECRET"];

/// A namespace in which `sso` is delivered.
fn delivered() -> World {
    let mut world = World {
        resources: vec![azure_sso("sso", Ok(azure_sso_spec()))],
        deployments: [(PLATFORM.to_owned(), Lookup::Found(deployment(PLATFORM, &[("TIMBR_LOG_LEVEL", "info")])))]
            .into(),
        secrets: [("entra".to_owned(), Lookup::Found(secret(&[("client-secret", "x")])))].into(),
        ..World::default()
    };
    world.live_mut(PLATFORM).rollout = complete(2);
    settle(&mut world);
    world
}

/// The same through the TimbrInstallation `a`.
fn delivered_through_an_installation() -> World {
    let mut world = World { installations: vec![installation("a", PLATFORM)], ..delivered() };
    settle(&mut world);
    world
}

fn settle(world: &mut World) {
    world.look(at(0));
    assert_eq!(verdict(world.status("sso"), "Delivered"), "True/Delivered");
    assert_eq!(ours(world), VARIABLES);
}

fn change(world: &mut World, change: impl FnOnce(&mut AzureSsoSpec)) {
    let mut spec = azure_sso_spec();
    change(&mut spec);
    let status = world.resources[0].status.take();
    world.resources[0] = azure_sso("sso", Ok(spec));
    world.resources[0].meta.generation = 2;
    world.resources[0].status = status;
}

/// Our variables on the platform.
fn ours(world: &World) -> Vec<String> {
    world.live(PLATFORM).ownership.ours.iter().map(|(_, variable)| variable.clone()).collect()
}

fn writes(plan: &Plan) -> usize {
    plan.deployments.iter().filter(|plan| plan.apply.is_some()).count()
}

/// Looks at everything; how many Deployments were written.
fn look(world: &mut World) -> usize {
    world.look(at(60)).iter().map(|look| writes(&look.plan)).sum()
}

fn assert_stays(why: &str, mut world: World, accepted: &str, references: &str) {
    let before = world.live(PLATFORM).clone();
    assert_eq!(look(&mut world), 0, "{why}");
    assert_eq!(*world.live(PLATFORM), before, "{why}");
    let status = world.status("sso");
    let verdict = |type_: &str| verdict(status, type_);
    assert_eq!(
        [verdict("Accepted"), verdict("ReferencesResolved"), verdict("Delivered"), verdict("RolledOut")],
        [accepted, references, "True/DeliveredLastGood", "True/RolledOut"],
        "{why}"
    );
    assert_eq!(status.delivered.len(), 1, "{why}");
    assert_eq!(status.delivered[0].variables, VARIABLES, "{why}");
}

#[test]
fn a_resource_that_turns_invalid_keeps_everything() {
    type Change = fn(&mut AzureSsoSpec);
    let table: [(&str, Change); 3] = [
        ("a wrong address", |spec| spec.public_url = "http://timbr.example.com".to_owned()),
        ("a role that needs consent", |spec| {
            spec.self_registration = Some(SelfRegistration { role: "admin".to_owned(), allow_admin: false });
        }),
        ("no client id", |spec| spec.client_id = None),
    ];
    for (why, wrong) in table {
        let mut world = delivered();
        change(&mut world, wrong);
        assert_stays(why, world, "False/InvalidSpec", "Unknown/Pending");
    }
    let mut world = delivered();
    world.resources[0].spec = Err("spec.publicUrl: expected a string".into());
    assert_stays("undecodable", world, "False/InvalidSpec", "Unknown/Pending");
}

#[test]
fn a_resource_whose_secret_is_no_longer_usable_keeps_everything() {
    let table = [
        ("gone", Lookup::Missing, "False/SecretNotFound"),
        ("not to be read", Lookup::Forbidden, "False/SecretNotPermitted"),
        ("without the key", Lookup::Found(secret(&[("other", "x")])), "False/SecretKeyNotFound"),
        ("with a line break", Lookup::Found(secret(&[("client-secret", "x\n")])), "False/SecretValueInvalid"),
    ];
    for (why, entra, references) in table {
        let mut world = delivered();
        world.secrets.insert("entra".to_owned(), entra);
        assert_stays(why, world, "True/Accepted", references);
    }
}

#[test]
fn a_suspended_resource_keeps_everything() {
    let mut world = delivered();
    change(&mut world, |spec| {
        spec.suspend = true;
        spec.tenant_id = "fabrikam.com".to_owned();
    });
    assert_stays("suspended", world, "True/Accepted", "True/Resolved");
}

#[test]
fn a_resource_in_conflict_keeps_everything() {
    let mut world = delivered();
    change(&mut world, |spec| spec.tenant_id = "fabrikam.com".to_owned());
    let env = &mut world.live_mut(PLATFORM).containers[0].env;
    let provider = env.iter().find(|env| env.name == "OAUTH_PROVIDER").cloned().expect("it is delivered");
    env.push(provider);
    let before = world.live(PLATFORM).clone();
    assert_eq!(look(&mut world), 0);
    assert_eq!(*world.live(PLATFORM), before);
    assert_eq!(verdict(world.status("sso"), "Delivered"), "False/DuplicateVariable");
    assert_eq!(world.status("sso").delivered[0].variables, VARIABLES);
}

/// The Secret that the entries name is trusted for what it is, not for its name.
#[test]
fn a_secret_that_is_not_as_we_made_it_is_not_there() {
    type Row = (&'static str, fn(&mut LiveSecret), bool);
    let rows: [Row; 6] = [
        ("as it was made", |_| {}, true),
        ("its label is gone", |secret| secret.ours = false, false),
        ("not immutable", |secret| secret.immutable = false, false),
        ("another Deployment's", |secret| secret.owner = Some("other".to_owned()), false),
        ("nobody's", |secret| secret.owner = None, false),
        ("another value", |secret| drop(secret.data.insert("OAUTH_SECRET".to_owned(), "y".into())), false),
    ];
    for (row, change, is_there) in rows {
        let mut world = delivered();
        let name = world.live(PLATFORM).our_secrets().next().expect("a Secret").to_owned();
        let Some(Lookup::Found(secret)) = world.secrets.get_mut(&name) else { panic!("no Secret {name}") };
        change(secret);
        let plan = world.plan(&key(None));
        let secrets: Vec<_> = plan.deployments[0].secrets.iter().filter(|secret| !secret.stable).collect();
        assert_eq!(secrets.len(), 1, "{row}");
        assert_eq!(secrets[0].present, is_there, "{row}");
    }
}

#[test]
fn what_a_deleted_resource_delivered_is_released() {
    let mut world = delivered();
    world.resources.clear();
    assert_eq!(look(&mut world), 1);
    let live = world.live(PLATFORM);
    assert_eq!(live.containers, deployment(PLATFORM, &[("TIMBR_LOG_LEVEL", "info")]).containers);
    assert_eq!((&live.managed, &live.delivered), (&None, &None));
    assert_eq!(look(&mut world), 0);
}

#[test]
fn what_a_resource_no_longer_asks_for_is_released() {
    let mut world = delivered();
    change(&mut world, |spec| {
        spec.self_registration = Some(SelfRegistration { role: "viewer".to_owned(), allow_admin: false });
    });
    look(&mut world);
    assert_eq!(ours(&world).len(), VARIABLES.len() + 2);
    change(&mut world, |_| {});
    assert_eq!(look(&mut world), 1);
    assert_eq!(ours(&world), VARIABLES);
}

#[test]
fn an_entry_of_ours_that_nobody_caused_is_released() {
    let mut world = delivered();
    let live = world.live_mut(PLATFORM);
    let stray = timbr_identity::compose::LiveEnv { name: "AUTH_WITH_USERPASS".to_owned(), value: plain("true") };
    live.containers[0].env.push(stray);
    live.ownership.ours.insert((PLATFORM.to_owned(), "AUTH_WITH_USERPASS".to_owned()));
    assert_eq!(look(&mut world), 1);
    assert_eq!(ours(&world), VARIABLES);
}

#[test]
fn a_wiped_or_foreign_annotation_withdraws_nothing() {
    for wiped in [None, Some("{}".to_owned()), Some("nonsense".to_owned()), Some(r#"{"v":2,"vars":{}}"#.to_owned())] {
        let mut world = delivered();
        change(&mut world, |spec| spec.client_id = None);
        world.live_mut(PLATFORM).delivered = wiped.clone();
        // One apply writes the annotation anew, from who may have caused what is there.
        assert_eq!(look(&mut world), 1, "{wiped:?}");
        assert_eq!(ours(&world), VARIABLES);
        assert_eq!(verdict(world.status("sso"), "Delivered"), "True/DeliveredLastGood");
        assert_eq!(look(&mut world), 0);
        // Once nobody is there to have caused it, it goes.
        world.resources.clear();
        assert_eq!(look(&mut world), 1);
        assert_eq!(ours(&world), [] as [&str; 0]);
    }
}

/// An older resource that cannot deliver takes nothing from the younger one that did.
#[test]
fn a_duplicate_keeps_what_it_delivered_until_the_older_one_delivers() {
    let mut world = delivered();
    let mut spec = AzureSsoSpec { tenant_id: "fabrikam.com".to_owned(), ..azure_sso_spec() };
    spec.client_secret_ref.name = "missing".to_owned();
    let mut older = azure_sso("older", Ok(spec));
    older.meta.created = Some(at(-60));
    world.resources.push(older);
    assert_eq!(look(&mut world), 0);
    assert_eq!(ours(&world), VARIABLES);
    assert_eq!(verdict(world.status("sso"), "Accepted"), "False/DuplicateInInstallation");
    assert_eq!(verdict(world.status("sso"), "Delivered"), "True/DeliveredLastGood");
    assert_eq!(verdict(world.status("older"), "Delivered"), "Unknown/Pending");
}

/// One that cannot be read is not guessed into an installation that it does not name.
#[test]
fn an_unreadable_resource_stays_where_it_belongs() {
    for installation_ref in [Ok(Some("b".to_owned())), Err(())] {
        let spec = AzureSsoSpec { installation_ref: None, ..azure_sso_spec() };
        let mut world = World {
            installations: vec![installation("b", "web-b"), installation("default", PLATFORM)],
            resources: vec![azure_sso("sso", Ok(spec))],
            deployments: [(PLATFORM.to_owned(), Lookup::Found(deployment(PLATFORM, &[])))].into(),
            secrets: [("entra".to_owned(), Lookup::Found(secret(&[("client-secret", "x")])))].into(),
            ..World::default()
        };
        world.look(at(0));
        let before = world.live(PLATFORM).clone();
        let mut older = azure_sso("older", Err(Unreadable { error: "spec: no".to_owned(), installation_ref }));
        older.meta.created = Some(at(-60));
        world.resources.push(older);
        world.look(at(60));
        assert_eq!(*world.live(PLATFORM), before);
        assert_eq!(verdict(world.status("sso"), "Accepted"), "True/Accepted");
    }
}

/// Tampered with by somebody whom the API server knows as its owner now: it is theirs.
#[test]
fn what_could_not_be_written_is_not_kept() {
    for tampered in [plain(""), plain("$(DB_PASSWORD)"), other()] {
        let mut world = delivered();
        change(&mut world, |spec| spec.client_id = None);
        let live = world.live_mut(PLATFORM);
        let place = (PLATFORM.to_owned(), "OAUTH_BASE_URL".to_owned());
        let base_url = live.containers[0].env.iter_mut().find(|env| env.name == place.1).expect("it is delivered");
        base_url.value = tampered.clone();
        let owner =
            timbr_identity::compose::Owner { manager: "kubectl-edit".to_owned(), operation: "Update".to_owned() };
        live.ownership.others.entry(place).or_default().insert(owner);
        assert_eq!(look(&mut world), 1, "{tampered:?}");
        assert_eq!(ours(&world), VARIABLES.into_iter().filter(|name| *name != "OAUTH_BASE_URL").collect::<Vec<_>>());
        let live = &world.live(PLATFORM).containers[0];
        assert_eq!(live.variables("OAUTH_BASE_URL").collect::<Vec<_>>(), [&tampered]);
        assert_eq!(look(&mut world), 0, "{tampered:?}");
    }
}

#[test]
fn a_duplicate_keeps_nothing_beside_the_older_one() {
    let mut world = delivered();
    let mut older = azure_sso("older", Ok(AzureSsoSpec { tenant_id: "fabrikam.com".to_owned(), ..azure_sso_spec() }));
    older.meta.created = Some(at(-60));
    world.resources.push(older);
    assert_eq!(look(&mut world), 1);
    assert_eq!(verdict(world.status("sso"), "Accepted"), "False/DuplicateInInstallation");
    assert_eq!(verdict(world.status("sso"), "Delivered"), "Unknown/Pending");
    assert_eq!(verdict(world.status("older"), "Delivered"), "True/Delivered");
    assert_eq!(ours(&world), VARIABLES);
}

#[test]
fn an_installation_that_cannot_be_read_releases_nothing() {
    let mut world = delivered_through_an_installation();
    world.installations[0].spec = Err("spec.components: expected a mapping".into());
    let before = world.live(PLATFORM).clone();
    assert_eq!(look(&mut world), 0);
    assert_eq!(*world.live(PLATFORM), before);
    // And its resources still say what they delivered.
    assert_eq!(verdict(world.status("sso"), "Delivered"), "True/DeliveredLastGood");
    assert_eq!(world.status("sso").delivered[0].variables, VARIABLES);

    // Not even what no installation names any more: this one may.
    let mut unreadable = installation("b", "elsewhere");
    unreadable.spec = Err("spec.components: expected a mapping".into());
    let mut world = delivered();
    world.installations = vec![unreadable];
    world.resources.clear();
    assert_eq!(writes(&world.plan(&key(None))), 0);
    assert_eq!(look(&mut world), 0);
}

/// A second installation makes it unclear to which of them the resource belongs.
#[test]
fn a_resource_that_belongs_nowhere_keeps_everything() {
    let mut world = delivered_through_an_installation();
    world.installations.push(installation("b", "elsewhere"));
    assert_stays("unclear", world, "False/InstallationNotFound", "Unknown/Pending");

    let mut world = delivered_through_an_installation();
    world.installations.clear();
    change(&mut world, |spec| spec.installation_ref = Some(installation_ref("a")));
    assert_stays("gone", world, "False/InstallationNotFound", "Unknown/Pending");
}

/// An older installation that turns undecodable loses its Deployment to a younger one that names it too.
#[test]
fn an_unreadable_older_installation_keeps_its_deployment_from_a_younger_one() {
    let mut a = installation("a", PLATFORM);
    a.meta.created = Some(at(-60));
    let mut younger = azure_sso_spec();
    younger.tenant_id = "fabrikam.com".to_owned();
    younger.installation_ref = Some(installation_ref("b"));
    let spec = AzureSsoSpec { installation_ref: Some(installation_ref("a")), ..azure_sso_spec() };
    let mut world = World {
        installations: vec![a, installation("b", PLATFORM)],
        resources: vec![azure_sso("sso", Ok(spec)), azure_sso("younger", Ok(younger))],
        deployments: [(PLATFORM.to_owned(), Lookup::Found(deployment(PLATFORM, &[])))].into(),
        secrets: [("entra".to_owned(), Lookup::Found(secret(&[("client-secret", "x")])))].into(),
        ..World::default()
    };
    world.look(at(0));
    let before = world.live(PLATFORM).clone();
    world.installations[0].spec = Err("spec.components: expected a mapping".into());
    world.look(at(60));
    assert_eq!(*world.live(PLATFORM), before);
}

/// Somebody else's reference to our Secret is not equal when our Secret gets another name.
#[test]
fn a_reference_that_another_hand_took_over_is_in_conflict_when_the_secret_gets_a_new_name() {
    let mut world = World {
        resources: vec![azure_sso("sso", Ok(azure_sso_spec()))],
        deployments: [(PLATFORM.to_owned(), Lookup::Found(deployment(PLATFORM, &[])))].into(),
        secrets: [("entra".to_owned(), Lookup::Found(secret(&[("client-secret", "x")])))].into(),
        ..World::default()
    };
    world.look(at(0));
    // helm takes the reference into its chart; then the client id changes.
    let helm = Owner { manager: "helm".to_owned(), operation: "Update".to_owned() };
    world
        .live_mut(PLATFORM)
        .ownership
        .others
        .entry((PLATFORM.to_owned(), "OAUTH_SECRET".to_owned()))
        .or_default()
        .insert(helm);
    let spec = AzureSsoSpec { client_id: Some("99999999-2222-3333-4444-555555555555".to_owned()), ..azure_sso_spec() };
    world.resources[0] = azure_sso("sso", Ok(spec));
    world.look(at(60));
    assert_eq!(verdict(world.status("sso"), "Delivered"), "False/Conflict");
}
