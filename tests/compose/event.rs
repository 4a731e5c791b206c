//! Which changes are worth an Event.

use std::sync::Arc;

use timbr_identity::{
    api::{Code, PasswordLogin, Problem, Status},
    compose::{EventType, Lookup, ResourceStatus, events},
};

use crate::{
    fixtures::{PLATFORM, at, azure_sso, azure_sso_spec, complete, deployment, secret},
    world::World,
};

fn world() -> World {
    World {
        resources: vec![azure_sso("sso", Ok(azure_sso_spec()))],
        deployments: [(PLATFORM.to_owned(), Lookup::Found(deployment(PLATFORM, &[("OAUTH_DEFAULT_SCHEME", "https")])))]
            .into(),
        secrets: [("entra".to_owned(), Lookup::Found(secret(&[("client-secret", "x")])))].into(),
        ..World::default()
    }
}

/// Looks once; the change of the only resource's status.
fn look(world: &mut World) -> ResourceStatus {
    world.look(at(0)).remove(0).statuses.remove(0)
}

/// The Events of a change as `Type Reason: the beginning of the message`.
fn said(change: &ResourceStatus) -> Vec<String> {
    let line = |event: timbr_identity::compose::Event| {
        let type_ = if event.type_ == EventType::Normal { "Normal" } else { "Warning" };
        let message: String = event.message.chars().take(40).collect();
        format!("{type_} {}: {message}", event.reason)
    };
    events(change).into_iter().map(line).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn delivery_is_worth_one_and_the_rollout_none() {
    let mut world = world();
    // Pods are being replaced: Ready is False for that, which is how every change goes.
    assert_eq!(said(&look(&mut world)), ["Normal Delivered: the variables are on Deployment timbr-pl"]);
    assert_eq!(said(&look(&mut world)), NOTHING);
    world.live_mut(PLATFORM).rollout = complete(2);
    let ready = look(&mut world);
    assert!(ready.is_settled() && ready.is_news());
    assert_eq!(said(&ready), NOTHING);
    assert_eq!(said(&look(&mut world)), NOTHING);
}

#[test]
fn becoming_not_ready_is_worth_a_warning_and_another_reason_another() {
    let mut world = world();
    world.live_mut(PLATFORM).rollout = complete(2);
    look(&mut world);
    let entra = world.secrets.remove("entra").expect("it is there");
    assert_eq!(said(&look(&mut world)), ["Warning SecretNotFound: spec.clientSecretRef: Secret entra does "]);
    assert_eq!(said(&look(&mut world)), NOTHING);
    world.secrets.insert("entra".to_owned(), Lookup::Forbidden);
    assert_eq!(said(&look(&mut world)), ["Warning SecretNotPermitted: spec.clientSecretRef: Secret entra: the "]);
    // What was delivered stays delivered all the time: nothing new is said of that.
    world.secrets.insert("entra".to_owned(), entra);
    assert_eq!(said(&look(&mut world)), NOTHING);
    world.live_mut(PLATFORM).rollout.deadline_exceeded = true;
    world.live_mut(PLATFORM).rollout.available = 0;
    assert_eq!(said(&look(&mut world)), NOTHING, "our content ran once: what happens later is not ours to report");
}

#[test]
fn a_rollout_that_gives_up_is_worth_a_warning() {
    let mut world = world();
    look(&mut world);
    let rollout = &mut world.live_mut(PLATFORM).rollout;
    (rollout.observed_generation, rollout.updated, rollout.available, rollout.deadline_exceeded) = (2, 1, 0, true);
    assert_eq!(said(&look(&mut world)), ["Warning ProgressDeadlineExceeded: Deployment timbr-platform: the new pods "]);
    assert_eq!(said(&look(&mut world)), NOTHING);
}

#[test]
fn each_warning_among_the_problems_is_said_once() {
    let mut world = world();
    look(&mut world);
    let status = world.resources[0].status.take();
    let mut spec = azure_sso_spec();
    spec.password_login = Some(PasswordLogin::Disabled);
    world.resources[0] = azure_sso("sso", Ok(spec));
    world.resources[0].status = status;
    assert_eq!(
        said(&look(&mut world)),
        ["Warning PasswordLoginStillEnabled: people can still sign in with user name "]
    );
    assert_eq!(said(&look(&mut world)), NOTHING);
    let looks_like_an_id = Lookup::Found(secret(&[("client-secret", crate::fixtures::CLIENT_ID)]));
    world.secrets.insert("entra".to_owned(), looks_like_an_id);
    let events = said(&look(&mut world));
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events[0].starts_with("Normal Delivered: "), "the new value is delivered: {events:?}");
    assert!(events[1].starts_with("Warning SecretValueLooksLikeId: "), "{events:?}");
}

/// An Error is in the message of Ready already.
#[test]
fn an_error_among_the_problems_is_said_by_ready_alone() {
    let mut world = world();
    world.resources[0] = azure_sso("sso", Err("spec.publicUrl: expected a string".into()));
    assert_eq!(said(&look(&mut world)), ["Warning InvalidSpec: spec: cannot be read as AzureSso (spec.p"]);
}

/// A resource that was just stored has the schema's default for a status: Ready is Unknown there.
#[test]
fn the_first_status_is_a_change_like_any_other() {
    let mut world = world();
    world.secrets.clear();
    let mut change = look(&mut world);
    assert_eq!(said(&change).len(), 1);
    change.previous = Some(Arc::new(change.status.clone()));
    assert_eq!(said(&change), NOTHING);
    if let Status::AzureSso(status) = &mut change.status {
        status.common.problems.push(Problem::warning("spec", Code::NotInInput, "new"));
    }
    assert_eq!(said(&change), ["Warning NotInInput: new"]);
}
