//! `compose`: judges every resource of an installation and plans every Deployment.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{
    AzureSsoStatus, Code, CommonStatus, Component, ComponentState, ComponentStatus, ConditionStatus, Kind, Meta,
    Problem, Reason, Resource, Severity, Spec, Status, TimbrInstallationSpec,
};

use super::{
    Demand, Lookup, PlainValue, Snapshot, Value, azure_sso,
    deployment::{Claim, DeploymentPlan, plan_deployment},
    hindrance::{SetElsewhere, judge_delivery},
    installation::{Claims, Target, problems, undecodable},
    references::Unresolved,
    site::Site,
};

/// Everything there is to do and to say about an installation.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its Deployments, in the order in which they are rolled out.
    pub deployments: Vec<DeploymentPlan>,
    /// Its Deployments that the operator may not read: what is on them is as it was.
    pub unread: BTreeSet<String>,
    /// Its resources, oldest first; and, under the implicit installation, those that belong to none.
    pub resources: Vec<Judgement>,
    /// The TimbrInstallation itself.
    pub installation: Option<InstallationJudgement>,
}

/// One condition before it has a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// Why, in a word.
    pub reason: Reason,
    /// Why, in a sentence.
    pub message: String,
}

impl Verdict {
    /// It is so.
    pub fn yes(reason: Reason, message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::True, reason, message: message.into() }
    }

    /// It is not so.
    pub fn no(reason: Reason, message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::False, ..Self::yes(reason, message) }
    }

    /// Not judged.
    pub fn pending(message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::Unknown, ..Self::yes(Reason::Pending, message) }
    }

    /// Whether it is True.
    pub fn is_true(&self) -> bool {
        self.status == ConditionStatus::True
    }
}

/// What compose thinks of one resource, before anything is written.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Who it is.
    pub meta: Meta,
    /// What was last said about it.
    pub previous: Option<Status>,
    /// Whether it, or its installation, is suspended.
    pub suspended: bool,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// Accepted.
    pub accepted: Verdict,
    /// ReferencesResolved.
    pub references: Verdict,
    /// What makes ReferencesResolved False, one by one.
    pub unresolved: Vec<Unresolved>,
    /// Delivered, if every Deployment in `deployments` can be written.
    pub delivered: Verdict,
    /// The Deployments it is on, or wants to be on.
    pub deployments: BTreeSet<String>,
    /// What it asks for and somebody else sets too, whether or not that is in the way.
    pub set_elsewhere: Vec<SetElsewhere>,
    /// Its own part of status.
    pub details: Details,
}

/// The part of status that is a kind's own.
#[derive(Clone, Debug, PartialEq)]
pub enum Details {
    /// Of an AzureSso.
    AzureSso {
        /// The redirect URI to register.
        redirect_uri: Option<String>,
    },
}

impl Details {
    /// The whole status, with what all kinds say.
    pub fn status(&self, common: CommonStatus) -> Status {
        match self {
            Details::AzureSso { redirect_uri } => {
                Status::AzureSso(AzureSsoStatus { common, redirect_uri: redirect_uri.clone() })
            }
        }
    }
}

/// What compose thinks of the TimbrInstallation.
#[derive(Clone, Debug)]
pub struct InstallationJudgement {
    /// Who it is.
    pub meta: Meta,
    /// What was last said about it.
    pub previous: Option<Status>,
    /// Whether it is suspended.
    pub suspended: bool,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// Accepted.
    pub accepted: Verdict,
    /// What was found of its components.
    pub components: Vec<ComponentStatus>,
}

/// What a resource asks for, and what stands in its way.
#[derive(Debug, Default)]
pub struct Asked {
    /// The variables.
    pub demands: Vec<Demand>,
    /// Problems found on the way.
    pub problems: Vec<Problem>,
    /// References that cannot be used.
    pub unresolved: Vec<Unresolved>,
}

impl Asked {
    /// The value of the reference at `path`, or a note that there is none.
    pub fn resolved(&mut self, path: &str, value: Result<Value, Unresolved>) -> Option<Value> {
        match value {
            Ok(value) => {
                if let Value::Placeholder(what) = &value {
                    let message = format!("{what} is not in the input, so its value could not be checked");
                    self.problems.push(Problem::warning(path, Code::NotInInput, message));
                }
                Some(value)
            }
            Err(unresolved) => {
                self.unresolved.push(unresolved);
                None
            }
        }
    }

    /// A plain value, or the problem that it may not be written.
    pub fn plain(&mut self, value: Result<PlainValue, Problem>) -> Option<Value> {
        value.map(Value::Plain).map_err(|problem| self.problems.push(problem)).ok()
    }
}

/// Plans an installation.
pub fn compose(snapshot: &Snapshot) -> Plan {
    let claims = Claims::of(snapshot);
    let installation = snapshot.key.name.as_ref().and_then(|name| claims.get(name));
    let targets = claims.targets(&snapshot.key);
    let suspended = installation.and_then(|found| found.spec.as_ref().ok()).is_some_and(|spec| spec.suspend);

    let (mut judgements, mut asked) = judge(snapshot, &claims, &targets, suspended);

    // Two components may share a Deployment: one site, one plan, one apply.
    let mut names: Vec<&str> = targets.iter().map(|target| target.deployment.as_str()).collect();
    names.extend(snapshot.deployments.keys().map(String::as_str).filter(|name| is_given_up(&claims, snapshot, name)));
    let mut seen = BTreeSet::new();
    let ours = names.into_iter().filter(|name| seen.insert(*name) && is_ours(&claims, snapshot, name));
    let sites: Vec<Site<'_>> = ours.map(|name| Site::new(snapshot, name, &targets)).collect();
    judge_delivery(snapshot, &sites, &mut judgements, &mut asked);
    let deployments = sites.iter().filter_map(|site| plan_deployment(snapshot, site, &asked)).collect();
    let unread =
        sites.iter().filter(|site| *site.lookup == Lookup::Forbidden).map(|site| site.name.to_owned()).collect();
    let installation = installation.map(|installation| judge_installation(installation, &claims, &targets, snapshot));
    Plan { deployments, unread, resources: judgements, installation }
}

/// Whether a Deployment is this installation's to write.
fn is_ours(claims: &Claims<'_>, snapshot: &Snapshot, deployment: &str) -> bool {
    claims.holder(deployment) == snapshot.key.name.as_deref()
}

/// Whether a Deployment that carries our label is named by no installation any more.
fn is_given_up(claims: &Claims<'_>, snapshot: &Snapshot, deployment: &str) -> bool {
    snapshot.key.name.is_none() && claims.all_readable() && claims.holder(deployment).is_none()
}

/// Judges every resource of the installation up to the point where Deployments matter; what each
/// asks for stands at the same index.
fn judge(
    snapshot: &Snapshot,
    claims: &Claims<'_>,
    targets: &[Target],
    suspended: bool,
) -> (Vec<Judgement>, Vec<Claim>) {
    let names = claims.names();
    let mut resources: Vec<(&Resource<Spec>, Result<(), String>)> = snapshot
        .resources
        .iter()
        .filter_map(|resource| match resource.key(&names) {
            Ok(key) if key == snapshot.key => Some((resource, Ok(()))),
            Ok(_) => None,
            // The implicit installation speaks for resources that belong to none.
            Err(error) => snapshot.key.name.is_none().then_some((resource, Err(error))),
        })
        .collect();
    resources.sort_by(|(a, _), (b, _)| a.meta.age_order(&b.meta));

    let installation = snapshot.key.name.as_ref().and_then(|name| claims.get(name));
    let unreadable_installation = installation.filter(|installation| installation.spec.is_err()).map(|installation| {
        format!("TimbrInstallation {} cannot be read; its status says why", installation.meta.name)
    });
    let mut first_of_kind: BTreeMap<Kind, &Meta> = BTreeMap::new();
    resources
        .into_iter()
        .map(|(resource, belongs)| {
            let meta = &resource.meta;
            let mut asked = Asked::default();
            let mut problems = Vec::new();
            let mut refused = None;
            let mut details = Details::AzureSso { redirect_uri: None };
            if let Some(error) = &unreadable_installation {
                refused = Some((Reason::InstallationNotFound, Code::InstallationNotFound, error.clone()));
            } else if let Err(error) = &belongs {
                refused = Some((Reason::InstallationNotFound, Code::InstallationNotFound, error.clone()));
            } else if let Some(first) = first_of_kind.get(&meta.kind) {
                refused = Some((
                    Reason::DuplicateInInstallation,
                    Code::DuplicateInInstallation,
                    format!(
                        "installation {} has {} already, which is older; delete one of the two, or give this one another installation",
                        snapshot.key.title(),
                        first.holder(),
                    ),
                ));
            } else {
                first_of_kind.insert(meta.kind, meta);
            }
            match &resource.spec {
                Err(unreadable) => problems.push(undecodable(meta.kind, &unreadable.error)),
                Ok(Spec::AzureSso(spec)) => {
                    problems.extend(azure_sso::problems(spec));
                    if problems.is_empty() {
                        details = Details::AzureSso { redirect_uri: Some(azure_sso::redirect_uri(spec)) };
                        asked = azure_sso::ask(spec, snapshot);
                    }
                }
            }
            problems.append(&mut asked.problems);
            let components: BTreeSet<Component> = components_of(meta.kind);
            if refused.is_none() {
                refused = collision(snapshot, claims, targets, &components);
            }
            if let Some((_, code, message)) = &refused {
                problems.push(Problem::error("spec", *code, message.clone()));
            }
            let accepted = accepted(&problems, refused.map(|(reason, _, message)| (reason, message)));
            let references = references(&accepted, &asked);
            let deployments = targets
                .iter()
                .filter(|target| components.contains(&target.component))
                .map(|target| target.deployment.clone())
                .collect();
            let blocked = !accepted.is_true() || !references.is_true();
            let suspended = suspended || resource.suspended();
            let judgement = Judgement {
                meta: meta.clone(),
                previous: resource.status.clone(),
                suspended,
                delivered: Verdict::pending(match (blocked, suspended) {
                    (true, _) => "not judged while the conditions above are not met",
                    (false, true) => "not judged while suspended",
                    // Where the Deployments are known, each says more.
                    (false, false) => "not judged while the TimbrInstallation cannot be read",
                }),
                problems,
                accepted,
                references,
                unresolved: asked.unresolved,
                deployments,
                set_elsewhere: vec![],
                details,
            };
            let active = !blocked && !judgement.suspended;
            let claim = Claim {
                holder: meta.holder(),
                kind: meta.kind,
                components: components.clone(),
                demands: if active { asked.demands } else { vec![] },
                active,
                // An older resource has its place: what this one left there is not kept beside it.
                displaced: matches!(judgement.accepted.reason, Reason::DuplicateInInstallation | Reason::Collision),
            };
            (judgement, claim)
        })
        .unzip()
}

/// Resources of the namespace of which nobody can tell where they belong.
pub fn belongs_nowhere(snapshot: &Snapshot) -> Vec<&Meta> {
    let names = Claims::of(snapshot).names();
    let nowhere = |resource: &&Resource<Spec>| resource.key(&names).is_err();
    snapshot.resources.iter().filter(nowhere).map(|resource| &resource.meta).collect()
}

/// The components that a kind writes to.
pub fn components_of(kind: Kind) -> BTreeSet<Component> {
    match kind {
        Kind::AzureSso => BTreeSet::from([Component::Platform]),
        Kind::TimbrInstallation => BTreeSet::new(),
    }
}

/// The Deployment of a component that an older installation has.
fn collision(
    snapshot: &Snapshot,
    claims: &Claims<'_>,
    targets: &[Target],
    components: &BTreeSet<Component>,
) -> Option<(Reason, Code, String)> {
    let taken = targets
        .iter()
        .filter(|target| components.contains(&target.component))
        .find(|target| !is_ours(claims, snapshot, &target.deployment))?;
    Some((Reason::Collision, Code::Collision, taken_sentence(claims, &taken.deployment)))
}

fn taken_sentence(claims: &Claims<'_>, deployment: &str) -> String {
    format!(
        "Deployment {deployment} belongs to TimbrInstallation {}, which is older and names it too; name another Deployment in spec.components of one of the two",
        claims.holder(deployment).unwrap_or_default()
    )
}

fn accepted(problems: &[Problem], refused: Option<(Reason, String)>) -> Verdict {
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

fn judge_installation(
    installation: &Resource<TimbrInstallationSpec>,
    claims: &Claims<'_>,
    targets: &[Target],
    snapshot: &Snapshot,
) -> InstallationJudgement {
    let mut problems = problems(installation);
    let mut refused = None;
    for target in targets {
        if !is_ours(claims, snapshot, &target.deployment) && refused.is_none() {
            let message = taken_sentence(claims, &target.deployment);
            let path = format!("spec.components.{}.deployment", target.component.name());
            problems.push(Problem::error(path, Code::Collision, message.clone()));
            refused = Some((Reason::Collision, message));
        }
    }
    InstallationJudgement {
        meta: installation.meta.clone(),
        previous: installation.status.clone(),
        suspended: installation.spec.as_ref().is_ok_and(|spec| spec.suspend),
        accepted: accepted(&problems, refused),
        problems,
        components: match (&installation.spec, &installation.status) {
            // What was known of one that cannot be read now: its claim rests on it.
            (Err(_), Some(Status::TimbrInstallation(status))) => status.components.clone(),
            _ => targets.iter().map(|target| component_status(target, snapshot)).collect(),
        },
    }
}

fn component_status(target: &Target, snapshot: &Snapshot) -> ComponentStatus {
    let live = snapshot.deployments.get(&target.deployment).and_then(Lookup::found);
    let container = live.map(|live| target.find_container(live));
    ComponentStatus {
        name: target.component,
        deployment: target.deployment.clone(),
        uid: live.map(|live| live.uid.clone()),
        state: match &container {
            None => ComponentState::Missing,
            Some(Ok(_)) => ComponentState::Found,
            Some(Err(_)) => ComponentState::Ambiguous,
        },
        candidates: container.clone().and_then(Result::err).unwrap_or_default(),
        container: container.and_then(Result::ok),
    }
}
