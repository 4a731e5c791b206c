//! When client secrets end, and who says so.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use timbr_identity::{
    api::{CheckReason, Kind, Spec, Status},
    compose::{Lookup, Memory, Plan, Said, Trial, Trials, Tried, statuses},
};

use crate::{
    fixtures::{at, key, secret},
    kinds::{groups, resource, sign_on, world},
    world::World,
};

const ENDS: i64 = 100 * 86_400;
const DAY: i64 = 86_400;

/// Secret `a` with this annotation.
fn annotated(world: &mut World, text: &str) {
    let mut annotated = secret(&[("client-secret", "value")]);
    annotated.expires_at = Some(text.to_owned());
    world.secrets.insert("a".to_owned(), Lookup::Found(annotated));
}

fn said(plan: &Plan, now: Timestamp) -> Said {
    statuses(plan, &Default::default(), Memory::Partial, &Default::default(), now)
}

/// When it ends as status has it, what the Warning says, and when there is more to say.
fn told(world: &World, second: i64) -> (Option<Timestamp>, Vec<String>, Option<Timestamp>) {
    let said = said(&world.plan(&key(None)), at(second));
    let status = said.statuses.iter().find(|it| it.meta.name == "sso").map(|it| &it.status);
    let Some(Status::AzureSso(status)) = status else { panic!("{status:?}") };
    let warnings = status.common.problems.iter();
    let warnings = warnings.filter(|it| it.code.contains("Expires")).map(|it| format!("{} {}", it.path, it.message));
    (status.client_secret_expires, warnings.collect(), said.again)
}

#[test]
fn it_is_said_thirty_seven_and_one_days_before_and_in_the_end() {
    let mut world = world(vec![sign_on("a")]);
    annotated(&mut world, &at(ENDS).to_string());
    let fix = "make a new one in the app registration, under Certificates & secrets, and put its Value into the Secret";
    let begin = format!("spec.clientSecretRef the client secret in Secret a ends at {}, in less than", at(ENDS));
    let rows = [
        (ENDS - 31 * DAY, None, Some(ENDS - 30 * DAY)),
        (ENDS - 30 * DAY - 1, None, Some(ENDS - 30 * DAY)),
        (ENDS - 30 * DAY, Some(format!("{begin} 30 days; {fix} before")), Some(ENDS - 7 * DAY)),
        (ENDS - 7 * DAY - 1, Some(format!("{begin} 30 days; {fix} before")), Some(ENDS - 7 * DAY)),
        (ENDS - 7 * DAY, Some(format!("{begin} 7 days; {fix} before")), Some(ENDS - DAY)),
        (ENDS - DAY, Some(format!("{begin} a day; {fix} now")), Some(ENDS)),
        (
            ENDS,
            Some(format!(
                "spec.clientSecretRef the client secret in Secret a ended at {}: nobody can sign in with it; {fix}",
                at(ENDS)
            )),
            None,
        ),
    ];
    for (second, warning, again) in rows {
        assert_eq!(told(&world, second), (Some(at(ENDS)), warning.into_iter().collect(), again.map(at)), "{second}");
    }
}

#[test]
fn what_is_no_time_is_told() {
    let mut world = world(vec![sign_on("a")]);
    assert_eq!(told(&world, 0), (None, vec![], None));
    for text in ["", "soon", "2027-01-31", "1800000000"] {
        annotated(&mut world, text);
        let warning = "spec.clientSecretRef Secret a: annotation identity.timbr.ai/expires-at is no time such as 2027-01-31T00:00:00Z; correct it, or nobody is warned before the client secret ends";
        assert_eq!(told(&world, 0), (None, vec![warning.to_owned()], None), "{text}");
    }
}

/// Whoever names the Secret himself is warned; what an AzureSso names is told there, once.
#[test]
fn who_names_it_is_warned() {
    let from_sso = json!({
        "vaultUrl": "https://contoso.vault.azure.net", "credentialsFrom": {"azureSso": "sso"},
    });
    let mapping = json!([{"role": "editor", "group": {"name": "Editors"}}]);
    let mut world =
        world(vec![sign_on("a"), groups(1, "a", mapping), resource(Kind::KeyVaultBinding, "vault", 2, from_sso)]);
    annotated(&mut world, &at(DAY).to_string());
    let said = said(&world.plan(&key(None)), at(0));
    let warned = said
        .statuses
        .iter()
        .filter(|it| it.status.common().problems.iter().any(|problem| problem.code == "ClientSecretExpires"));
    let warned: Vec<&str> = warned.map(|it| it.meta.name.as_str()).collect();
    assert_eq!(warned, ["sso", "groups"]);
}

/// Graph knows better than an annotation, and what it said is kept while it cannot be asked.
#[test]
fn graph_is_believed_first() {
    let mut world = world(vec![sign_on("a")]);
    annotated(&mut world, &at(5).to_string());
    let none = Trials {
        now: at(0),
        unknown_grace: SignedDuration::from_secs(30),
        interval: SignedDuration::from_mins(10),
        of: Default::default(),
    };
    world.trials = Some(none.clone());
    assert_eq!(told(&world, 0).0, Some(at(5)));
    let tries = |world: &mut World, reason: CheckReason, expires: Option<Timestamp>| {
        let plan = world.plan(&key(None));
        let of = world.trials.as_mut().expect("trials").of.entry(plan.resources[0].meta.uid.clone()).or_default();
        for check in &plan.resources[0].tried {
            let trial = of.entry(check.name.clone()).or_insert_with(|| Trial::begin(check.key.clone(), at(0)));
            let expires = expires.filter(|_| check.name == "SecretExpiry");
            trial.end(Tried { reason, message: String::new(), expires, keys: None }, at(0));
        }
        let said = said(&world.plan(&key(None)), at(0));
        said.statuses.iter().for_each(|change| world.note(change));
    };
    tries(&mut world, CheckReason::Passed, Some(at(ENDS)));
    assert_eq!(told(&world, 0).0, Some(at(ENDS)));
    tries(&mut world, CheckReason::Unreachable, None);
    assert_eq!(told(&world, 0).0, Some(at(ENDS)));
    // Another process believes what is written until it has asked; of another secret it knows nothing.
    world.trials = Some(none.clone());
    assert_eq!(told(&world, 0).0, Some(at(ENDS)));
    // It stays told while the resource is not even judged.
    let spoil = |world: &mut World, url: &str| {
        if let Ok(Spec::AzureSso(spec)) = &mut world.resources[0].spec {
            spec.public_url = url.to_owned();
        }
    };
    spoil(&mut world, "http://timbr");
    assert_eq!(told(&world, 0).0, Some(at(ENDS)));
    spoil(&mut world, "https://timbr.example.com");
    tries(&mut world, CheckReason::NotPermitted, None);
    assert_eq!(told(&world, 0).0, Some(at(5)));
    tries(&mut world, CheckReason::ClientSecretExpired, Some(at(-5)));
    assert_eq!(told(&world, 0).0, Some(at(-5)));
    world.secrets.insert("a".to_owned(), Lookup::Found(secret(&[("client-secret", "another")])));
    assert_eq!(told(&world, 0).0, None);
}
