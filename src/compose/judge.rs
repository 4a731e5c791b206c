//! Judges resources one by one, up to the point where Deployments matter.

use std::collections::BTreeMap;

use crate::api::{Code, Kind, Meta, Problem, Reason, Resource, Severity, Spec};

use super::{
    Snapshot, Verdict, azure_sso,
    deployment::Claim,
    installation::{Claims, Target, undecodable},
    plan::{Asked, Details, Judgement, components_of, is_ours},
};

/// Why a resource has no place: the condition's reason, the problem's code, a sentence.
type Refusal = (Reason, Code, String);

/// What the judge knows of the installation.
pub struct Judge<'a> {
    snapshot: &'a Snapshot,
    claims: &'a Claims<'a>,
    targets: &'a [Target],
    /// Whether the TimbrInstallation is suspended.
    suspended: bool,
    /// The resource that has the place of its kind, of which an installation has one.
    first_of_kind: BTreeMap<Kind, &'a Meta>,
}

impl<'a> Judge<'a> {
    /// A judge for the snapshot's installation.
    pub fn new(snapshot: &'a Snapshot, claims: &'a Claims<'a>, targets: &'a [Target]) -> Self {
        let installation = snapshot.key.name.as_ref().and_then(|name| claims.get(name));
        let suspended = installation.and_then(|found| found.spec.as_ref().ok()).is_some_and(|spec| spec.suspend);
        Self { snapshot, claims, targets, suspended, first_of_kind: BTreeMap::new() }
    }

    /// Judges every resource of the installation, oldest first; what each asks for stands at the same
    /// index.
    pub fn judge_all(mut self) -> (Vec<Judgement>, Vec<Claim>) {
        let names = self.claims.names();
        let mut resources: Vec<(&'a Resource<Spec>, Option<Refusal>)> = Vec::new();
        for resource in &self.snapshot.resources {
            match resource.key(&names) {
                Ok(key) if key == self.snapshot.key => resources.push((resource, None)),
                Ok(_) => {}
                // The implicit installation speaks for resources that belong to none.
                Err(error) if self.snapshot.key.name.is_none() => {
                    resources.push((resource, Some((Reason::InstallationNotFound, Code::InstallationNotFound, error))));
                }
                Err(_) => {}
            }
        }
        resources.sort_by(|(a, _), (b, _)| a.meta.age_order(&b.meta));
        resources.into_iter().map(|(resource, adrift)| self.judge(resource, adrift)).unzip()
    }

    fn judge(&mut self, resource: &'a Resource<Spec>, adrift: Option<Refusal>) -> (Judgement, Claim) {
        let meta = &resource.meta;
        let refusal = adrift.or_else(|| self.refuse(meta));
        let (mut problems, details, mut asked) = self.ask(resource);
        problems.append(&mut asked.problems);
        if let Some((_, code, message)) = &refusal {
            problems.push(Problem::error("spec", *code, message.clone()));
        }
        // An older resource has its place: nothing of this one stays once that one delivers.
        let displaced = matches!(refusal, Some((Reason::DuplicateInInstallation | Reason::Collision, ..)));
        let accepted = accepted(&problems, refusal.map(|(reason, _, message)| (reason, message)));
        let references = references(&accepted, &asked);
        let components = components_of(meta.kind);
        let here = self.targets.iter().filter(|target| components.contains(&target.component));
        let blocked = !accepted.is_true() || !references.is_true();
        let suspended = self.suspended || resource.suspended();
        let active = !blocked && !suspended;
        let judgement = Judgement {
            meta: meta.clone(),
            previous: resource.status.clone(),
            suspended,
            delivered: Verdict::pending(match blocked {
                true => "not judged while the conditions above are not met",
                false => "not judged while suspended",
            }),
            problems,
            accepted,
            references,
            unresolved: asked.unresolved,
            deployments: here.map(|target| target.deployment.clone()).collect(),
            set_elsewhere: vec![],
            details,
        };
        let demands = if active { asked.demands } else { vec![] };
        let claim = Claim { holder: meta.holder(), kind: meta.kind, components, demands, active, displaced };
        (judgement, claim)
    }

    /// What is wrong with a resource by itself, and what it asks for if nothing is.
    fn ask(&self, resource: &Resource<Spec>) -> (Vec<Problem>, Details, Asked) {
        match &resource.spec {
            Err(unreadable) => (
                vec![undecodable(resource.meta.kind, &unreadable.error)],
                Details::AzureSso { redirect_uri: None },
                Asked::default(),
            ),
            Ok(Spec::AzureSso(spec)) => {
                let problems = azure_sso::problems(spec);
                let valid = problems.is_empty();
                let details = Details::AzureSso { redirect_uri: valid.then(|| azure_sso::redirect_uri(spec)) };
                let asked = if valid { azure_sso::ask(spec, self.snapshot) } else { Asked::default() };
                (problems, details, asked)
            }
        }
    }

    /// Why a resource of the installation has no place in it. The first of a kind takes the kind's.
    fn refuse(&mut self, meta: &'a Meta) -> Option<Refusal> {
        let key = &self.snapshot.key;
        let installation = key.name.as_ref().and_then(|name| self.claims.get(name));
        if let Some(unreadable) = installation.filter(|installation| installation.spec.is_err()) {
            let sentence = format!("TimbrInstallation {} cannot be read; its status says why", unreadable.meta.name);
            return Some((Reason::InstallationNotFound, Code::InstallationNotFound, sentence));
        }
        if let Some(first) = self.first_of_kind.get(&meta.kind) {
            let sentence = format!(
                "installation {} has {} already, which is older; delete one of the two, or give this one another installation",
                key.title(),
                first.holder(),
            );
            return Some((Reason::DuplicateInInstallation, Code::DuplicateInInstallation, sentence));
        }
        self.first_of_kind.insert(meta.kind, meta);
        let components = components_of(meta.kind);
        let mut here = self.targets.iter().filter(|target| components.contains(&target.component));
        let taken = here.find(|target| !is_ours(self.claims, self.snapshot, &target.deployment))?;
        Some((Reason::Collision, Code::Collision, taken_sentence(self.claims, &taken.deployment)))
    }
}

/// The sentence about a Deployment that an older installation has.
pub fn taken_sentence(claims: &Claims<'_>, deployment: &str) -> String {
    format!(
        "Deployment {deployment} belongs to TimbrInstallation {}, which is older and names it too; name another Deployment in spec.components of one of the two",
        claims.holder(deployment).unwrap_or_default()
    )
}

/// Accepted: refused for its place, or for its first Error, or not at all.
pub fn accepted(problems: &[Problem], refused: Option<(Reason, String)>) -> Verdict {
    let mut errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    match (refused, errors.next()) {
        (Some((reason, message)), _) => Verdict::no(reason, message),
        (None, Some(first)) => {
            let more = match errors.count() {
                0 => String::new(),
                n => format!(" (and {n} more in status.problems)"),
            };
            Verdict::no(Reason::InvalidSpec, format!("{}: {}{more}", first.path, first.message))
        }
        (None, None) => Verdict::yes(Reason::Accepted, "the resource is valid"),
    }
}

fn references(accepted: &Verdict, asked: &Asked) -> Verdict {
    if !accepted.is_true() {
        return Verdict::pending("not judged while the resource is not accepted");
    }
    match asked.unresolved.as_slice() {
        [] => Verdict::yes(Reason::Resolved, "everything that is referenced is there"),
        [first, rest @ ..] => {
            let more = rest.iter().map(|unresolved| format!("; {}: {}", unresolved.path, unresolved.message));
            Verdict::no(first.reason, format!("{}: {}{}", first.path, first.message, more.collect::<String>()))
        }
    }
}
