//! What is tried out, and what is delivered on its account.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;
use timbr_identity::{
    api::{
        AzureSsoSpec, CheckReason, CheckResult, CommonStatus, Discovery, Kind, PasswordLogin, Spec, Status,
        UserIdentity,
    },
    compose::{LiveEnv, LiveEnvFrom, LiveValue, Lookup, Mail, Memory, Outcome, Trial, Trials, Tried, statuses},
};

use crate::{
    fixtures::{PLATFORM, at, complete, condition, key, secret, verdict},
    kinds::{groups, installation, names_on_server, resource, sign_on, value_on_server, vault, world},
    world::World,
};

/// A world in which things are tried out.
struct Lab {
    world: World,
    second: i64,
}

impl Lab {
    fn new(world: World) -> Self {
        let trials = Trials {
            now: at(0),
            unknown_grace: SignedDuration::from_secs(30),
            interval: SignedDuration::from_mins(10),
            of: HashMap::new(),
        };
        Self { world: World { trials: Some(trials), ..world }, second: 0 }
    }

    /// With single sign-on.
    fn sso() -> Self {
        Self::new(world(vec![sign_on("a")]))
    }

    fn now(&self) -> Timestamp {
        at(self.second)
    }

    fn trials(&mut self) -> &mut Trials {
        self.world.trials.as_mut().expect("things are tried out")
    }

    /// Looks, as the operator does, until nothing is written; pods follow at once. Returns the requests.
    fn look(&mut self) -> Vec<&'static str> {
        let mut steps = Vec::new();
        for again in 0..4 {
            self.trials().now = self.now();
            let looks = self.world.look(self.now());
            let written: Vec<&str> = looks.into_iter().flat_map(|look| look.steps).collect();
            let is_over = written.is_empty() && again > 0;
            steps.extend(written);
            if is_over {
                break;
            }
            let names: Vec<String> = self.world.deployments.keys().cloned().collect();
            for name in names {
                let live = self.world.live_mut(&name);
                live.rollout = complete(live.generation);
            }
        }
        steps
    }

    /// Tries every check, and looks; also those that there are after that.
    fn tries(&mut self, answer: impl Fn(&str) -> CheckReason) -> Vec<&'static str> {
        let steps = self.tries_once(&answer);
        [steps, self.tries_once(&answer)].concat()
    }

    fn tries_once(&mut self, answer: impl Fn(&str) -> CheckReason) -> Vec<&'static str> {
        self.answers(answer);
        self.look()
    }

    /// Tries every check.
    fn answers(&mut self, answer: impl Fn(&str) -> CheckReason) {
        let now = self.now();
        self.trials().now = now;
        let name = self.world.installations.first().map(|found| found.meta.name.clone());
        let plan = self.world.plan(&key(name.as_deref()));
        for judgement in plan.resources {
            let of = self.trials().of.entry(judgement.meta.uid).or_default();
            for check in judgement.tried {
                let fresh = || Trial::begin(check.key.clone(), now);
                let trial = of.entry(check.name.clone()).or_insert_with(fresh);
                if trial.key != check.key {
                    *trial = fresh();
                }
                let reason = answer(&check.name);
                trial.end(Tried { reason, message: format!("words at {now}"), expires: None, keys: None }, now);
            }
        }
    }

    fn all(&mut self, reason: CheckReason) -> Vec<&'static str> {
        self.tries(|_| reason)
    }

    /// The checks that new content waits for end so; the others pass.
    fn required(&mut self, reason: CheckReason) -> Vec<&'static str> {
        self.tries(|name| if name == "ClientCredentials" { reason } else { CheckReason::Passed })
    }

    /// Another process takes over, and knows what is written.
    fn restart(&mut self) {
        self.trials().of.clear();
    }

    fn rotate(&mut self, value: &str) {
        self.world.secrets.insert("a".to_owned(), Lookup::Found(secret(&[("client-secret", value)])));
    }

    /// The value of a variable of the platform, as a new pod would get it.
    fn value(&self, variable: &str) -> Option<String> {
        let effective = self.world.effective();
        let mut found = effective.iter().filter(|((of, _, name), _)| of == PLATFORM && name == variable);
        found.next().map(|(_, value)| String::from_utf8_lossy(value.expose()).into_owned())
    }

    fn secret(&self) -> Option<String> {
        self.value("OAUTH_SECRET")
    }

    fn status(&self) -> &CommonStatus {
        self.world.status("sso")
    }

    /// Verified, Delivered, Ready, and whether somebody or nobody has to act.
    fn told(&self) -> [String; 4] {
        let status = self.status();
        let turn = match (condition(status, "Stalled"), verdict(status, "Reconciling").as_str()) {
            (Some(stalled), "False/Settled") => format!("Stalled {}", stalled.reason),
            (None, reconciling) => reconciling.to_owned(),
            (Some(_), both) => panic!("Stalled, and Reconciling {both}"),
        };
        [verdict(status, "Verified"), verdict(status, "Delivered"), verdict(status, "Ready"), turn]
    }

    fn message(&self, type_: &str) -> &str {
        condition(self.status(), type_).map(|condition| condition.message.as_str()).expect("the condition")
    }

    fn spec(&mut self, edit: impl Fn(&mut AzureSsoSpec)) {
        for resource in &mut self.world.resources {
            if let Ok(Spec::AzureSso(spec)) = &mut resource.spec {
                edit(spec);
                resource.meta.generation += 1;
            }
        }
    }
}

const READY: [&str; 4] = ["True/Verified", "True/Delivered", "True/Ready", "False/Settled"];

#[test]
fn nothing_is_delivered_before_it_was_tried_and_passed() {
    let mut lab = Lab::sso();
    assert_eq!(lab.look(), [] as [&str; 0]);
    assert_eq!(
        lab.told(),
        ["Unknown/InProgress", "False/BlockedByVerification", "False/BlockedByVerification", "True/Retrying"]
    );
    assert_eq!(lab.message("Verified"), "Tenant: it is being tried for the first time");
    assert_eq!(
        lab.message("Ready"),
        "waits for check Tenant: what is new is delivered once every Required check has passed, or nobody could be asked for a while; see status.checks"
    );
    let told = lab.status().checks.iter().map(|check| (check.name.as_str(), check.result, check.reason.as_str()));
    assert!(told.clone().all(|(_, result, reason)| (result, reason) == (CheckResult::Unknown, "InProgress")));
    assert_eq!(told.count(), 7);
    assert_eq!(lab.all(CheckReason::Passed), ["apply"]);
    assert_eq!(lab.told(), READY);
    assert_eq!(lab.message("Verified"), "8 of 8 checks passed");
    assert_eq!(lab.message("Ready"), "delivered, rolled out and verified");
    let check = &lab.status().checks[1];
    assert_eq!((check.name.as_str(), check.since, check.key.len()), ("ClientCredentials", at(0), 20));
    // Nothing changes by itself.
    lab.second += 5000;
    let before = lab.status().clone();
    assert_eq!((lab.all(CheckReason::Passed), lab.status()), (vec![], &before));
}

#[test]
fn what_a_check_refuses_is_not_delivered_and_what_was_stays() {
    let mut lab = Lab::sso();
    lab.required(CheckReason::ClientSecretInvalid);
    assert_eq!(lab.secret(), None);
    assert_eq!(lab.told(), ["False/CheckFailed", "Unknown/Pending", "False/CheckFailed", "True/Retrying"]);
    assert_eq!(lab.message("Ready"), format!("ClientCredentials: words at {}", at(0)));
    // It is judged anew when waiting is over.
    let again = |lab: &Lab| lab.world.plan(&key(None)).resources[0].again;
    assert_eq!(again(&lab), Some(at(120)));
    assert_eq!(lab.message("Delivered"), "not delivered while a Required check fails");
    // Nobody has mended it for two minutes: a person must.
    lab.second = 119;
    lab.required(CheckReason::ClientSecretInvalid);
    assert_eq!(lab.told()[3], "True/Retrying");
    lab.second = 120;
    lab.look();
    assert_eq!(lab.told(), ["False/CheckFailed", "Unknown/Pending", "False/CheckFailed", "Stalled CheckFailed"]);
    assert_eq!(again(&lab), None);
    lab.rotate("right");
    assert_eq!(lab.look(), [] as [&str; 0]);
    assert_eq!(lab.all(CheckReason::Passed), ["apply"]);
    assert_eq!((lab.secret().as_deref(), lab.told().each_ref().map(String::as_str)), (Some("right"), READY));
    assert_eq!(again(&lab), None);
    // A wrong rotation replaces nothing.
    lab.second = 300;
    lab.rotate("wrong");
    lab.required(CheckReason::ClientSecretExpired);
    assert_eq!(lab.secret().as_deref(), Some("right"));
    assert_eq!(lab.told(), ["False/CheckFailed", "True/DeliveredLastGood", "False/CheckFailed", "True/Retrying"]);
    assert_eq!(verdict(lab.status(), "RolledOut"), "True/RolledOut");
    // And back.
    lab.rotate("right");
    assert_eq!(lab.all(CheckReason::Passed), [] as [&str; 0]);
    assert_eq!(lab.told(), READY);
}

/// Neither an outage nor another process forgets what was refused: only a Pass does, or something else to try.
#[test]
fn a_fail_counts_until_it_passes() {
    let mut lab = Lab::sso();
    lab.all(CheckReason::Passed);
    lab.rotate("wrong");
    lab.required(CheckReason::ClientSecretInvalid);
    let words = lab.message("Verified").to_owned();
    // Nor is one forgotten that status has not told yet.
    lab.rotate("also wrong");
    let of_secret = |reason| move |name: &str| if name == "ClientCredentials" { reason } else { CheckReason::Passed };
    lab.answers(of_secret(CheckReason::ClientSecretInvalid));
    lab.answers(of_secret(CheckReason::Unreachable));
    lab.look();
    assert_eq!(lab.told()[0], "False/CheckFailed");
    lab.rotate("wrong");
    lab.required(CheckReason::ClientSecretInvalid);
    for nobody in [CheckReason::Unreachable, CheckReason::RateLimited, CheckReason::ServiceFailed] {
        for restarts in [false, true] {
            if restarts {
                lab.restart();
                assert_eq!(lab.look(), [] as [&str; 0]);
            }
            lab.second += 3600;
            assert_eq!(lab.all(nobody), [] as [&str; 0]);
            lab.second += 3600;
            assert_eq!(lab.look(), [] as [&str; 0]);
            assert_eq!(
                lab.told(),
                ["False/CheckFailed", "True/DeliveredLastGood", "False/CheckFailed", "Stalled CheckFailed"]
            );
            assert_eq!(lab.message("Verified"), words);
        }
    }
    // Something else about the resource changes: the secret is the same.
    lab.spec(|spec| spec.user_identity = UserIdentity::UserPrincipalName);
    lab.second += 3600;
    assert_eq!(lab.all(CheckReason::Unreachable), [] as [&str; 0]);
    assert_eq!(lab.secret().as_deref(), Some("secret-of-a"));
    lab.all(CheckReason::Passed);
    assert_eq!((lab.secret().as_deref(), lab.told().each_ref().map(String::as_str)), (Some("wrong"), READY));
}

#[test]
fn after_a_while_in_which_nobody_could_be_asked_it_is_delivered_and_said() {
    let mut lab = Lab::sso();
    lab.all(CheckReason::Unreachable);
    assert_eq!(
        lab.told(),
        ["Unknown/Unreachable", "False/BlockedByVerification", "False/BlockedByVerification", "True/Retrying"]
    );
    let plan = lab.world.plan(&key(None));
    assert_eq!(plan.resources[0].again, Some(at(30)));
    lab.second = 29;
    assert_eq!(lab.all(CheckReason::RateLimited), [] as [&str; 0]);
    lab.second = 30;
    assert_eq!(lab.look(), ["apply"]);
    assert_eq!(lab.told(), ["Unknown/Unreachable", "True/Delivered", "True/DeliveredUnverified", "False/Settled"]);
    assert_eq!(lab.message("Ready"), format!("delivered and rolled out; Tenant: words at {}", at(29)));
    // Another process has patience of its own for what is new; what is there stays.
    lab.restart();
    lab.rotate("new");
    assert_eq!(lab.all(CheckReason::Unreachable), [] as [&str; 0]);
    assert_eq!(lab.secret().as_deref(), Some("secret-of-a"));
    assert_eq!(lab.told()[1], "False/BlockedByVerification");
    lab.second = 60;
    assert_eq!(lab.look(), ["apply"]);
    assert_eq!(lab.secret().as_deref(), Some("new"));
}

#[test]
fn a_pass_is_good_for_two_intervals() {
    let mut lab = Lab::sso();
    lab.all(CheckReason::Passed);
    let passed = lab.status().clone();
    for second in [600, 1200] {
        lab.second = second;
        assert_eq!((lab.all(CheckReason::Unreachable), lab.status()), (vec![], &passed), "{second}");
    }
    lab.second = 1201;
    assert_eq!(lab.look(), [] as [&str; 0]);
    assert_eq!(lab.told(), ["Unknown/Stale", "True/Delivered", "True/DeliveredUnverified", "False/Settled"]);
    assert_eq!(lab.message("Verified"), format!("Tenant: it passed before, and since then: words at {}", at(1200)));
    // Who takes over does not know since when.
    lab.restart();
    let stale = lab.status().clone();
    lab.look();
    assert_eq!(lab.status(), &stale);
    lab.all(CheckReason::Passed);
    assert_eq!(lab.told(), READY);
    lab.restart();
    lab.second += 5000;
    lab.all(CheckReason::Unreachable);
    assert_eq!(lab.told(), READY);
    lab.second += 1201;
    lab.look();
    assert_eq!(lab.told()[0], "Unknown/Stale");
}

/// What is written in status is shown, and opens nothing.
#[test]
fn a_pass_in_status_delivers_nothing() {
    let mut lab = Lab::sso();
    lab.all(CheckReason::Passed);
    lab.restart();
    let before = lab.status().clone();
    assert_eq!((lab.look(), lab.status()), (vec![], &before));
    lab.spec(|spec| spec.user_identity = UserIdentity::UserPrincipalName);
    assert_eq!(lab.look(), [] as [&str; 0]);
    assert_eq!(lab.told()[..2], ["True/Verified", "False/BlockedByVerification"]);
    assert_eq!(lab.value("OAUTH_AZURE_WITH_UPN_FIRST").as_deref(), Some("False"));
    assert_eq!(lab.all(CheckReason::Passed), ["apply"]);
    assert_eq!(lab.value("OAUTH_AZURE_WITH_UPN_FIRST").as_deref(), Some("True"));
    // Not even where nobody can be asked: it takes the grace.
    lab.restart();
    lab.spec(|spec| spec.user_identity = UserIdentity::Email);
    assert_eq!(lab.all(CheckReason::Unreachable), [] as [&str; 0]);
    assert_eq!(lab.told()[..2], ["True/Verified", "False/BlockedByVerification"]);
    assert_eq!(lab.all(CheckReason::Passed), ["apply"]);
    lab.spec(|spec| spec.user_identity = UserIdentity::UserPrincipalName);
    lab.look();
    // Of this process it opens at once.
    lab.spec(|spec| spec.user_identity = UserIdentity::Email);
    assert_eq!(lab.look(), ["apply"]);
}

#[test]
fn with_rollout_always_nothing_waits_and_all_is_said() {
    let mut lab = Lab::new(World {
        installations: vec![installation("main", json!({"rollout": "Always"}))],
        ..world(vec![sign_on("a")])
    });
    assert_eq!(lab.look(), ["apply"]);
    assert_eq!(lab.told(), ["Unknown/InProgress", "True/Delivered", "True/DeliveredUnverified", "False/Settled"]);
    lab.rotate("wrong");
    lab.required(CheckReason::ClientSecretInvalid);
    assert_eq!(lab.secret().as_deref(), Some("wrong"));
    assert_eq!(lab.told(), ["False/CheckFailed", "True/Delivered", "False/CheckFailed", "True/Retrying"]);
    lab.second = 121;
    lab.look();
    assert_eq!(lab.told()[3], "Stalled CheckFailed");
}

#[test]
fn advisory_checks_gate_nothing() {
    let advisory = |reason| move |name: &str| if name == "RedirectUri" { reason } else { CheckReason::Passed };
    let mut lab = Lab::sso();
    assert_eq!(lab.tries(advisory(CheckReason::RedirectUriMissing)), ["apply"]);
    assert_eq!(lab.told(), ["False/CheckFailed", "True/Delivered", "False/CheckFailed", "True/Retrying"]);
    assert!(lab.message("Ready").starts_with("RedirectUri: "));
    lab.second = 121;
    lab.look();
    assert_eq!(lab.told()[3], "Stalled CheckFailed");
    // Nobody's knowing of them lowers nothing.
    lab.restart();
    lab.rotate("next");
    lab.second = 200;
    assert_eq!(lab.tries(advisory(CheckReason::NotPermitted)), ["apply"]);
    assert_eq!(lab.told()[1..], READY[1..]);
    assert_eq!(lab.message("Verified"), "7 of 8 checks passed; nobody knows of RedirectUri, see status.checks");
}

/// Where nothing but advice can be had, and nobody may give it.
#[test]
fn what_nobody_may_know_is_not_verified() {
    let mut lab = Lab::new(world(vec![
        sign_on("a"),
        resource(Kind::DatabricksPassthrough, "dbx", 1, json!({"workspaceHost": "adb-1.azuredatabricks.net"})),
    ]));
    lab.tries(|name| {
        if name == "Tenant" || name == "ClientCredentials" { CheckReason::Passed } else { CheckReason::NotPermitted }
    });
    let status = lab.world.status("dbx");
    assert_eq!(verdict(status, "Verified"), "Unknown/NotPermitted");
    assert_eq!(verdict(status, "Ready"), "True/DeliveredUnverified");
}

/// People who cannot sign in otherwise are not locked out, whatever `rollout` says.
#[test]
fn the_other_way_in_stays_open_until_all_is_proved() {
    const VARIABLE: &str = "AUTH_WITH_USERPASS";
    for policy in ["WhenVerified", "Always"] {
        let mut lab = Lab::new(World {
            installations: vec![installation("main", json!({"rollout": policy}))],
            ..world(vec![sign_on("a")])
        });
        lab.spec(|spec| spec.password_login = Some(PasswordLogin::Disabled));
        let warned =
            |lab: &Lab| lab.status().problems.iter().any(|problem| problem.code == "PasswordLoginStillEnabled");
        lab.required(CheckReason::Unreachable);
        lab.second = 40;
        lab.look();
        assert_eq!((lab.value(VARIABLE), warned(&lab)), (None, true), "{policy}");
        assert_eq!(lab.secret().as_deref(), Some("secret-of-a"));
        lab.all(CheckReason::Passed);
        assert_eq!((lab.value(VARIABLE).as_deref(), warned(&lab)), (Some("false"), false), "{policy}");
        // What is delivered no check withdraws, nor another process.
        lab.restart();
        assert_eq!(lab.look(), [] as [&str; 0]);
        lab.second += 5000;
        lab.required(CheckReason::ClientSecretExpired);
        assert_eq!((lab.value(VARIABLE).as_deref(), warned(&lab)), (Some("false"), false), "{policy}");
    }
}

/// Whether people get from Timbr to Entra shows once pods run with what is asked for, and anew when others do.
#[test]
fn the_sign_in_page_is_looked_at_after_the_rollout() {
    let names = |lab: &Lab| lab.status().checks.iter().map(|check| check.name.clone()).collect::<Vec<_>>();
    let key_of = |lab: &Lab| lab.status().checks.last().map(|check| check.key.clone());
    let mut lab = Lab::sso();
    lab.look();
    assert!(!names(&lab).contains(&"SignIn".to_owned()));
    lab.tries_once(|_| CheckReason::Passed);
    assert_eq!(names(&lab).last().map(String::as_str), Some("SignIn"));
    assert_eq!(lab.message("Verified"), "7 of 8 checks passed; nobody knows of SignIn, see status.checks");
    let first = key_of(&lab);
    let misdirected = |name: &str| if name == "SignIn" { CheckReason::SignInMisdirected } else { CheckReason::Passed };
    lab.tries(misdirected);
    assert_eq!(lab.told(), ["False/CheckFailed", "True/Delivered", "False/CheckFailed", "True/Retrying"]);
    // Whoever else replaces the pods: it stays as it was found.
    let generation = lab.world.live(PLATFORM).generation;
    lab.world.live_mut(PLATFORM).rollout = complete(generation - 1);
    lab.world.look(at(0));
    assert_eq!((names(&lab).last().map(String::as_str), key_of(&lab)), (Some("SignIn"), first.clone()));
    // With new content it is looked at once the pods have that.
    lab.rotate("another");
    lab.answers(|_| CheckReason::Passed);
    lab.world.look(at(0));
    assert_eq!(lab.secret().as_deref(), Some("another"));
    assert!(!names(&lab).contains(&"SignIn".to_owned()));
    lab.all(CheckReason::Passed);
    assert_eq!(names(&lab).last().map(String::as_str), Some("SignIn"));
    assert_ne!(key_of(&lab), first);
    assert_eq!(lab.told(), READY);
}

/// What does not stand is not tried.
#[test]
fn what_is_not_valid_or_is_suspended_is_not_tried() {
    let mut lab = Lab::sso();
    lab.all(CheckReason::Passed);
    let checks = lab.status().checks.clone();
    lab.spec(|spec| spec.suspend = true);
    lab.look();
    // What was found before stays to be read.
    assert_eq!((verdict(lab.status(), "Verified").as_str(), &lab.status().checks), ("Unknown/NotChecked", &checks));
    lab.spec(|spec| (spec.suspend, spec.public_url) = (false, "http://timbr".to_owned()));
    lab.look();
    assert_eq!((verdict(lab.status(), "Verified").as_str(), &lab.status().checks), ("Unknown/Pending", &checks));
    let plan = lab.world.plan(&key(None));
    assert!(plan.resources.iter().all(|judgement| judgement.tried.is_empty() && judgement.checks.is_empty()));
    lab.spec(|spec| spec.public_url = "https://timbr.example.com".to_owned());
    lab.all(CheckReason::Passed);
    assert_eq!(lab.told(), READY);
}

/// One that is closed is in nobody's way: another goes on, also with what they share.
#[test]
fn one_that_is_closed_stands_in_no_others_way() {
    let mapping = json!([{"role": "editor", "group": {"name": "Editors"}}]);
    let mut lab = Lab::new(world(vec![groups(1, "a", mapping), vault(2, "a", "Retain")]));
    let missing = |name: &str| match name {
        "Group of role editor" => CheckReason::GroupNotFound,
        _ => CheckReason::Passed,
    };
    assert_eq!(lab.tries(missing), ["apply"]);
    let of_vault = names_on_server(&lab.world);
    assert_eq!(
        of_vault,
        [
            "AZURE_CLIENT_ID",
            "AZURE_CLIENT_SECRET",
            "AZURE_TENANT_ID",
            "KV_VAULT",
            "KV_VAULT_AUTH_TYPE",
            "KV_VAULT_TYPE"
        ]
    );
    assert_eq!(verdict(lab.world.status("groups"), "Verified"), "False/CheckFailed");
    assert_eq!(verdict(lab.world.status("vault"), "Ready"), "True/Ready");
    assert_eq!(lab.all(CheckReason::Passed), ["apply"]);
    assert_eq!(verdict(lab.world.status("groups"), "Ready").split('/').next(), Some("True"));
}

/// Entra's No to a secret is one for everybody who uses it.
#[test]
fn what_one_resource_knows_of_a_secret_counts_for_all() {
    let mapping = json!([{"role": "editor", "group": {"name": "Editors"}}]);
    let mut lab = Lab::new(world(vec![groups(1, "a", mapping), vault(2, "a", "Retain")]));
    lab.all(CheckReason::Passed);
    assert_eq!(value_on_server(&lab.world, "AZURE_CLIENT_SECRET").as_deref(), Some("secret-of-a"));
    lab.rotate("wrong");
    // The one asks for a token for Graph, and the other, for key vaults, gets no answer.
    let plan = lab.world.plan(&key(None));
    let now = lab.now();
    for judgement in &plan.resources {
        let of = lab.trials().of.entry(judgement.meta.uid.clone()).or_default();
        for check in &judgement.tried {
            let reason = match (judgement.meta.name.as_str(), check.name.as_str()) {
                ("groups", "ClientCredentials") => CheckReason::ClientSecretInvalid,
                ("groups", _) => CheckReason::NoToken,
                _ => CheckReason::Unreachable,
            };
            let mut trial = Trial::begin(check.key.clone(), now);
            trial.end(Tried { reason, message: "no".to_owned(), expires: None, keys: None }, now);
            of.insert(check.name.clone(), trial);
        }
    }
    lab.second = 4000;
    assert_eq!(lab.look(), [] as [&str; 0]);
    assert_eq!(value_on_server(&lab.world, "AZURE_CLIENT_SECRET").as_deref(), Some("secret-of-a"));
    let status = lab.world.status("vault");
    let message = &condition(status, "Verified").expect("the condition").message;
    assert_eq!(verdict(status, "Verified"), "False/CheckFailed");
    assert_eq!(message, "ClientCredentials: as RoleGroupSync/groups has found: no");
    assert_eq!(lab.all(CheckReason::Passed), ["apply"]);
}

/// A mapping is new content, though no variable tells it.
#[test]
fn no_statement_is_sent_for_what_a_check_refuses() {
    let with_sql = installation("main", json!({"sql": {"tokenSecretRef": {"name": "timbr", "key": "key"}}}));
    let mappings = |group: &str| json!([{"role": "editor", "group": {"name": group}}]);
    let mut lab = Lab::new(World { installations: vec![with_sql], ..world(vec![groups(1, "a", mappings("Editors"))]) });
    lab.world.secrets.insert("timbr".to_owned(), Lookup::Found(secret(&[("key", "tk_1")])));
    lab.all(CheckReason::Passed);
    let sends = |lab: &Lab| {
        let plan = lab.world.plan(&key(Some("main")));
        let outcomes = plan.deployments.iter().map(|it| {
            let outcome = Outcome::Done { generation: it.generation, changed: false, rollout: it.rollout.clone() };
            (it.name.clone(), outcome)
        });
        let said = statuses(&plan, &outcomes.collect(), Memory::Whole, &Mail::default(), lab.now());
        said.send.map(|statement| statement.text)
    };
    // Of what was sent there is no record: here nobody sends it.
    lab.world.resources[0].status = None;
    assert_eq!(sends(&lab).as_deref(), Some("ALTER ROLE `editor` SYNC name = 'Editors'"));
    lab.world.resources = vec![groups(1, "a", mappings("Typo"))];
    let missing = |name: &str| match name {
        "Group of role editor" => CheckReason::GroupNotFound,
        _ => CheckReason::Passed,
    };
    assert_eq!(sends(&lab), None);
    lab.tries(missing);
    assert_eq!(sends(&lab), None);
    lab.answers(|_| CheckReason::Passed);
    assert_eq!(sends(&lab).as_deref(), Some("ALTER ROLE `editor` SYNC name = 'Typo'"));
}

/// Whom single sign-on keeps out for a bad secret gets in by password, once that is asked for.
#[test]
fn password_login_is_turned_on_whatever_checks_say() {
    const VARIABLE: &str = "AUTH_WITH_USERPASS";
    let mut lab = Lab::sso();
    lab.spec(|spec| spec.password_login = Some(PasswordLogin::Disabled));
    lab.all(CheckReason::Passed);
    assert_eq!(lab.value(VARIABLE).as_deref(), Some("false"));
    lab.second = 5000;
    lab.required(CheckReason::ClientSecretExpired);
    lab.spec(|spec| spec.password_login = Some(PasswordLogin::Enabled));
    assert_eq!(lab.look(), ["apply"]);
    assert_eq!(lab.value(VARIABLE).as_deref(), Some("true"));
    assert_eq!(lab.told()[..2], ["False/CheckFailed", "True/Delivered"]);
}

/// What a chart takes from the Secret that it names is there, however it says so.
#[test]
fn what_a_chart_takes_by_name_is_there() {
    for optional in [false, true] {
        let mut lab = Lab::new(World {
            installations: vec![installation("main", json!({"delivery": "Reference"}))],
            ..world(vec![sign_on("a")])
        });
        lab.spec(|spec| spec.password_login = Some(PasswordLogin::Disabled));
        lab.all(CheckReason::Passed);
        let names: Vec<String> = match lab.world.secrets.get("timbr-platform-identity") {
            Some(Lookup::Found(secret)) => secret.data.keys().cloned().collect(),
            other => panic!("{other:?}"),
        };
        let of = |name: &str| match optional {
            false => LiveValue::SecretKey { name: "timbr-platform-identity".to_owned(), key: name.to_owned() },
            true => LiveValue::Other(
                json!({"secretKeyRef": {"name": "timbr-platform-identity", "key": name, "optional": true}}),
            ),
        };
        let live = lab.world.live_mut(PLATFORM);
        live.containers[0].env.extend(names.iter().map(|name| LiveEnv { name: name.clone(), value: of(name) }));
        lab.all(CheckReason::Passed);
        assert_eq!(lab.told(), READY);
        assert_eq!(lab.value("AUTH_WITH_USERPASS").as_deref(), (!optional).then_some("false"));
        let before = (lab.status().clone(), lab.world.secrets.clone());
        // Another process, and nobody answers it: nothing is new, and nothing goes.
        lab.restart();
        lab.look();
        assert_eq!((lab.status(), &lab.world.secrets), (&before.0, &before.1));
        lab.second += 5000;
        lab.all(CheckReason::Unreachable);
        lab.second += 5000;
        lab.look();
        assert_eq!(lab.world.secrets, before.1);
        assert_eq!(lab.told()[..2], ["Unknown/Stale", "True/Delivered"]);
        // Another value under the same name is new.
        lab.restart();
        lab.rotate("another");
        lab.all(CheckReason::Unreachable);
        assert_eq!(lab.world.secrets["timbr-platform-identity"], before.1["timbr-platform-identity"]);
        assert_eq!(lab.told()[1], "False/BlockedByVerification");
    }
}

/// While the chart does not name the Secret, pods have nothing of what is in it.
#[test]
fn the_sign_in_page_is_not_looked_at_before_the_chart_takes_the_variables() {
    let mut lab = Lab::new(World {
        installations: vec![installation("main", json!({"delivery": "Reference"}))],
        ..world(vec![sign_on("a")])
    });
    let has_sign_in = |lab: &Lab| lab.status().checks.iter().any(|check| check.name == "SignIn");
    lab.all(CheckReason::Passed);
    assert_eq!((lab.told()[1].as_str(), has_sign_in(&lab)), ("Unknown/Pending", false));
    let from = LiveEnvFrom { secret: "timbr-platform-identity".to_owned(), prefixed: false };
    lab.world.live_mut(PLATFORM).containers[0].env_from.push(from);
    lab.all(CheckReason::Passed);
    assert_eq!((lab.told()[1].as_str(), has_sign_in(&lab)), ("True/Delivered", true));
    // Another process, which nobody answers: what is in the Secret is nothing new.
    lab.restart();
    assert_eq!(lab.all(CheckReason::Unreachable), [] as [&str; 0]);
    assert_eq!((lab.told()[1].as_str(), has_sign_in(&lab)), ("True/Delivered", true));
}

/// What an issuer publishes is told, and stays told while it cannot be asked.
#[test]
fn the_keys_of_an_issuer_are_told() {
    let spec = json!({"displayName": "x", "audiences": ["a"], "userClaim": "email", "issuerUrl": "https://i.example"});
    let mut lab = Lab::new(world(vec![resource(Kind::ExternalTokenProvider, "issuer", 0, spec)]));
    let told = |lab: &Lab| match lab.world.resources[0].status.as_deref() {
        Some(Status::ExternalTokenProvider(status)) => status.discovery.as_ref().map(|keys| keys.key_ids.clone()),
        other => panic!("{other:?}"),
    };
    let finds = |lab: &mut Lab, reason: CheckReason, id: &str| {
        lab.answers(|_| CheckReason::Unreachable);
        let keys = Discovery {
            jwks_uri: "https://i.example/keys".to_owned(),
            key_ids: vec![id.to_owned()],
            key_set_hash: "h".to_owned(),
        };
        let keys = (reason == CheckReason::Passed).then(|| Box::new(keys));
        let now = lab.now();
        let of = lab.trials().of.values_mut().next().expect("the resource");
        let trial = of.get_mut("Issuer").expect("the check");
        trial.end(Tried { reason, message: String::new(), expires: None, keys }, now);
        lab.look();
    };
    lab.look();
    assert_eq!(told(&lab), None);
    for (reason, id, expected) in [
        (CheckReason::Passed, "one", "one"),
        (CheckReason::Unreachable, "", "one"),
        (CheckReason::Passed, "two", "two"),
        (CheckReason::KeyNotUsable, "", "two"),
    ] {
        finds(&mut lab, reason, id);
        assert_eq!(told(&lab), Some(vec![expected.to_owned()]), "{reason}");
    }
    lab.restart();
    lab.look();
    assert_eq!(told(&lab), Some(vec!["two".to_owned()]));
    if let Ok(Spec::ExternalTokenProvider(spec)) = &mut lab.world.resources[0].spec {
        spec.suspend = true;
    }
    lab.look();
    assert_eq!(told(&lab), Some(vec!["two".to_owned()]));
}

/// Where so many wait that there is not even a first answer, patience ends too.
#[test]
fn patience_ends_without_an_answer() {
    let mut lab = Lab::sso();
    lab.look();
    let plan = lab.world.plan(&key(None));
    let judgement = &plan.resources[0];
    let begun = judgement.tried.iter().map(|check| (check.name.clone(), Trial::begin(check.key.clone(), at(0))));
    let begun = begun.collect();
    lab.trials().of.insert(judgement.meta.uid.clone(), begun);
    lab.second = 149;
    assert_eq!(lab.look(), [] as [&str; 0]);
    assert_eq!(lab.world.plan(&key(None)).resources[0].again, Some(at(150)));
    lab.second = 150;
    assert_eq!(lab.look(), ["apply"]);
    assert_eq!(lab.told()[..3], ["Unknown/InProgress", "True/Delivered", "True/DeliveredUnverified"]);
}

/// Other words are told, other ids and times are none.
#[test]
fn what_is_told_is_what_was_found_last() {
    let mut lab = Lab::sso();
    let mut finds = |second: i64, message: &str| {
        lab.second = second;
        lab.answers(|_| CheckReason::Passed);
        let now = lab.now();
        let of = lab.trials().of.values_mut().next().expect("the resource");
        let trial = of.get_mut("RedirectUri").expect("the check");
        let reason = CheckReason::RedirectUriMissing;
        trial.end(Tried { reason, message: message.to_owned(), expires: None, keys: None }, now);
        lab.look();
        let check = lab.status().checks.iter().find(|check| check.name == "RedirectUri").expect("the check").clone();
        (check.message, check.since)
    };
    let first = ("A and B, Trace ID: 0f1e2d3c at 10:00:01Z".to_owned(), at(0));
    assert_eq!(finds(0, &first.0), first);
    assert_eq!(finds(10, "A and B, Trace ID: 99992d3c at 11:30:01Z"), first);
    assert_eq!(
        finds(20, "A, Trace ID: 99992d3c at 11:30:01Z"),
        ("A, Trace ID: 99992d3c at 11:30:01Z".to_owned(), at(0))
    );
}

/// Whatever differs in what is tried, values included, is something else; nothing else is.
#[test]
fn a_key_is_of_all_that_is_tried() {
    type Edit = fn(&mut Lab);
    let keys = |edit: Edit| {
        let mut lab = Lab::sso();
        edit(&mut lab);
        let plan = lab.world.plan(&key(None));
        let tried = plan.resources.into_iter().flat_map(|judgement| judgement.tried);
        tried.map(|check| (check.name, check.key)).collect::<Vec<_>>()
    };
    let before = keys(|_| {});
    let changed = |edit: Edit| -> Vec<String> {
        let after = keys(edit);
        assert_eq!(after.len(), before.len());
        let pairs = before.iter().zip(after).filter(|(before, after)| **before != *after);
        pairs.map(|(before, _)| before.0.clone()).collect()
    };
    let as_application = ["ClientCredentials", "RedirectUri", "AccountType", "Permissions", "SecretExpiry"];
    let rows: [(Edit, Vec<&str>); 6] = [
        (|_| {}, vec![]),
        (|lab| lab.rotate("other"), as_application.to_vec()),
        (
            |lab| lab.spec(|spec| spec.client_id = Some("99999999-2222-3333-4444-555555555555".to_owned())),
            as_application.to_vec(),
        ),
        (
            |lab| lab.spec(|spec| spec.tenant_id = "fabrikam.onmicrosoft.com".to_owned()),
            [vec!["Tenant"], as_application.to_vec()].concat(),
        ),
        (
            |lab| lab.spec(|spec| spec.public_url = "https://other.example.com".to_owned()),
            vec!["RedirectUri", "PublicUrl"],
        ),
        (|lab| lab.spec(|spec| spec.user_identity = UserIdentity::UserPrincipalName), vec![]),
    ];
    for (edit, expected) in rows {
        assert_eq!(changed(edit), expected);
    }
    let distinct: std::collections::BTreeSet<_> = before.iter().map(|(_, key)| key).collect();
    assert_eq!(distinct.len(), before.len());
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Act {
    /// The Secret gets another value; odd ones are wrong.
    Rotate(usize),
    /// The checks are tried; whether somebody answers.
    Try(bool),
    Restart,
    Wait(i64),
    /// Something else about the resource changes.
    Edit,
    /// It is suspended, or not any more.
    Suspend,
    /// It becomes invalid, and valid again.
    Spoil,
    /// The Secret goes, and comes back as it was.
    Lose,
}

proptest! {
    /// What is known to be wrong is never delivered, and what is right is in the end.
    #[test]
    fn what_is_known_to_be_wrong_is_never_delivered(acts in vec(select(vec![
        Act::Rotate(0), Act::Rotate(1), Act::Rotate(2), Act::Rotate(3), Act::Try(true), Act::Try(true), Act::Try(false),
        Act::Restart, Act::Wait(5), Act::Wait(40), Act::Wait(3000), Act::Edit, Act::Suspend, Act::Spoil, Act::Lose,
    ]), 1..40)) {
        let mut lab = Lab::sso();
        lab.rotate("0");
        let (mut value, mut known_wrong, mut suspended) = (0, false, false);
        for act in &acts {
            let before = lab.secret();
            match act {
                Act::Rotate(other) if *other != value => {
                    (value, known_wrong) = (*other, false);
                    lab.rotate(&other.to_string());
                    lab.look();
                }
                Act::Rotate(_) => {}
                Act::Suspend => {
                    suspended = !suspended;
                    lab.spec(|spec| spec.suspend = suspended);
                    lab.look();
                }
                Act::Spoil => {
                    lab.spec(|spec| spec.public_url = "http://timbr".to_owned());
                    lab.look();
                    lab.spec(|spec| spec.public_url = "https://timbr.example.com".to_owned());
                    lab.look();
                }
                Act::Lose => {
                    lab.world.secrets.remove("a");
                    lab.look();
                    lab.rotate(&value.to_string());
                    lab.look();
                }
                Act::Try(true) => {
                    // Of what is suspended nothing is found out.
                    known_wrong = if suspended { known_wrong } else { value % 2 == 1 };
                    let is_wrong = value % 2 == 1;
                    lab.required(if is_wrong { CheckReason::ClientSecretInvalid } else { CheckReason::Passed });
                }
                Act::Try(false) => drop(lab.all(CheckReason::Unreachable)),
                Act::Restart => {
                    lab.restart();
                    lab.look();
                }
                Act::Wait(seconds) => {
                    lab.second += seconds;
                    lab.look();
                }
                Act::Edit => {
                    lab.spec(|spec| spec.user_identity = match spec.user_identity {
                        UserIdentity::Email => UserIdentity::UserPrincipalName,
                        UserIdentity::UserPrincipalName => UserIdentity::Email,
                    });
                    lab.look();
                }
            }
            let now = lab.secret();
            // What is there may be wrong by now, or have been delivered while nobody could tell.
            prop_assert!(now == before || !known_wrong, "{act:?} of {acts:?} delivered {now:?}");
        }
        lab.spec(|spec| spec.suspend = false);
        lab.rotate("4");
        lab.all(CheckReason::Passed);
        prop_assert_eq!(lab.secret(), Some("4".to_owned()));
        prop_assert_eq!(lab.told(), READY);
    }
}
