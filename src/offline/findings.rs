//! What compose says of an installation, as findings about documents.

use crate::{
    api::{Code, ConditionStatus, Meta, Problem, Reason, Severity},
    compose::{InstallationJudgement, Judgement, Lookup, SetElsewhere, Snapshot, Unresolved},
};

use super::{
    Document, Finding, Installation,
    objects::{Objects, Ours, entries},
};

/// The findings about the documents that an installation was made from.
pub fn of_installation(installation: &Installation, documents: &[Document], objects: &Objects) -> Vec<Finding> {
    let teller = Teller { snapshot: &installation.snapshot, documents, objects };
    let resources = installation.plan.resources.iter().flat_map(|judgement| teller.of_resource(judgement));
    resources
        .chain(installation.plan.installation.iter().flat_map(|judged| teller.of_timbr_installation(judged)))
        .collect()
}

struct Teller<'a> {
    snapshot: &'a Snapshot,
    documents: &'a [Document],
    objects: &'a Objects,
}

impl Teller<'_> {
    fn of_resource(&self, judgement: &Judgement) -> Vec<Finding> {
        let Some(ours) = self.ours(&judgement.meta) else { return vec![] };
        let mut problems = self.of_itself(ours, &judgement.problems, &judgement.unresolved);
        let delivered = &judgement.delivered;
        let cause = delivered.cause.unwrap_or(delivered.reason);
        let on_deployment = matches!(cause, Reason::Conflict | Reason::DuplicateVariable);
        if delivered.status == ConditionStatus::False && !on_deployment {
            problems.push(reason("spec", delivered.reason, &delivered.message));
        }
        if judgement.accepted.is_true() && !judgement.suspended {
            problems.extend(judgement.deployments.iter().filter_map(|name| self.absent_deployment(name)));
        }
        let mut findings: Vec<Finding> = problems.iter().map(|problem| self.finding(ours, problem)).collect();
        findings.extend(judgement.set_elsewhere.iter().filter_map(|set| self.set_by_hand(&judgement.meta, set)));
        findings
    }

    fn of_timbr_installation(&self, judgement: &InstallationJudgement) -> Vec<Finding> {
        let Some(ours) = self.ours(&judgement.meta) else { return vec![] };
        let problems = self.of_itself(ours, &judgement.problems, &judgement.unresolved);
        problems.iter().map(|problem| self.finding(ours, problem)).collect()
    }

    /// What is wrong with an object by itself and with what it references.
    fn of_itself(&self, ours: &Ours, problems: &[Problem], unresolved: &[Unresolved]) -> Vec<Problem> {
        let unresolved = unresolved.iter();
        let mut found: Vec<Problem> =
            unresolved.map(|unresolved| reason(&unresolved.path, unresolved.reason, &unresolved.message)).collect();
        found.extend(problems.iter().filter(|problem| is_news(ours, problem)).cloned());
        found.retain(|problem| !is_faulty_reference(ours, problem) && !self.is_unreadable(ours, problem));
        found
    }

    fn ours(&self, meta: &Meta) -> Option<&Ours> {
        self.objects.ours.iter().find(|ours| {
            let there = ours.object.meta();
            there.kind == meta.kind && there.namespace == meta.namespace && there.name == meta.name
        })
    }

    fn finding(&self, ours: &Ours, problem: &Problem) -> Finding {
        let Meta { kind, namespace, name, .. } = ours.object.meta();
        Finding::new(ours.at, &self.documents[ours.at], format!("{kind} {namespace}/{name}"), problem)
    }

    /// Whether a problem says that a Secret is not in the input which is, but could not be read: its
    /// own finding says so.
    fn is_unreadable(&self, ours: &Ours, problem: &Problem) -> bool {
        let pointer = format!("/{}/name", problem.path.replace('.', "/"));
        let named = self.documents[ours.at].value.pointer(&pointer).and_then(serde_json::Value::as_str);
        problem.code == Code::NotInInput.as_str()
            && named.is_some_and(|name| {
                self.objects.unreadable.contains(&("Secret", (self.snapshot.key.namespace.clone(), name.to_owned())))
            })
    }

    fn absent_deployment(&self, name: &str) -> Option<Problem> {
        let unreadable = ("Deployment", (self.snapshot.key.namespace.clone(), name.to_owned()));
        let absent = self.snapshot.deployments.get(name) == Some(&Lookup::NotInInput)
            && !self.objects.unreadable.contains(&unreadable);
        absent.then(|| {
            let message =
                format!("Deployment {name} is not in the input, so its containers and variables could not be checked");
            Problem::warning("spec", Code::NotInInput, message)
        })
    }

    /// A variable that a resource delivers, in a Deployment that sets it already: told where it can
    /// be mended, in the Deployment.
    fn set_by_hand(&self, meta: &Meta, set: &SetElsewhere) -> Option<Finding> {
        let SetElsewhere { deployment, container, variable, entries: count, equal } = set;
        let found = self.objects.deployments.get(&(meta.namespace.clone(), deployment.clone()))?;
        let places = entries(&found.value, container, variable);
        let path = places.get(1).or(places.first()).cloned().unwrap_or_else(|| "spec.template".to_owned());
        let holder = meta.holder();
        let problem = if *count > 1 {
            let message = format!(
                "container {container} lists variable {variable} {count} times, and {holder} delivers it; remove it here"
            );
            reason(&path, Reason::DuplicateVariable, &message)
        } else if *equal {
            let message = format!(
                "container {container} sets variable {variable} to what {holder} delivers; remove it here, so that only one place sets it"
            );
            Problem::warning(path, Code::AlreadySetByHand, message)
        } else {
            let quoted = if self.has_quotes(found.at, &path) { " (its value has quotation marks in it)" } else { "" };
            let message = format!(
                "container {container} sets variable {variable}{quoted}, which {holder} delivers otherwise; the operator overwrites nobody's variables, so nothing of {holder} arrives until it is removed here"
            );
            Problem::error(path, Code::AlreadySetByHand, message)
        };
        let title = format!("Deployment {}/{deployment}", meta.namespace);
        Some(Finding::new(found.at, &self.documents[found.at], title, &problem))
    }

    /// Whether a value is quoted twice, as in `value: '"azure"'`: often the whole difference.
    fn has_quotes(&self, at: usize, path: &str) -> bool {
        let pointer = format!("/{}/value", path.replace(['.', '['], "/").replace(']', ""));
        let value = self.documents[at].value.pointer(&pointer).and_then(serde_json::Value::as_str);
        value.is_some_and(|value| {
            value.len() > 1 && ['"', '\''].iter().any(|quote| value.starts_with(*quote) && value.ends_with(*quote))
        })
    }
}

/// A condition's reason as a problem.
fn reason(path: &str, reason: Reason, message: &str) -> Problem {
    Problem { path: path.to_owned(), code: reason.to_string(), severity: Severity::Error, message: message.to_owned() }
}

/// Whether a problem is not the schema's fault told again.
fn is_news(ours: &Ours, problem: &Problem) -> bool {
    const BEYOND_THE_SPEC: [Code; 7] = [
        Code::DuplicateInInstallation,
        Code::Collision,
        Code::InstallationNotFound,
        Code::NotInInput,
        Code::SecretValueLooksLikeId,
        Code::ExpiresAtInvalid,
        Code::PasswordLoginStillEnabled,
    ];
    !ours.is_refused() || BEYOND_THE_SPEC.iter().any(|code| code.as_str() == problem.code)
}

/// Whether a problem is about what a reference names, while the reference itself is wrong.
fn is_faulty_reference(ours: &Ours, problem: &Problem) -> bool {
    let is_target = problem.path.ends_with("Ref")
        || (problem.path.ends_with(".azureSso") && problem.code == Code::NotInInput.as_str());
    is_target && ours.faults.iter().any(|fault| fault.starts_with(&problem.path))
}
