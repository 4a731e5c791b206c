//! `compose`: judges every resource of an installation and plans every Deployment.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use crate::api::{
    AzureSsoSpec, CheckLevel, CheckStatus, Code, Component, ComponentState, ComponentStatus, ConditionStatus, Kind,
    Meta, Problem, Reason, Resource, RoleGroupSyncSpec, Spec, Status, TimbrInstallationSpec,
};

use super::{
    Access, Check, ClientSecret, Demand, Lookup, PlainValue, Probe, Snapshot, SqlAccess, SqlTarget, Value,
    deployment::{Claim, DeploymentPlan, RETAINED_NOTE, plan_deployment},
    gate::judge_checks,
    guards::{self, Guarded, GuardsStep},
    hindrance::{SetElsewhere, judge_delivery},
    installation::{Claims, Target, problems},
    judge::{Judge, accepted, references, taken_sentence},
    moving::{have_all_arrived, moving},
    network_policy::{self, Network, NetworkPlan},
    references::Unresolved,
    site::{Site, forbidden},
    sql::{self, Sql},
    stable::{Leftover, leftover},
};

/// Everything there is to do and to say about an installation.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its Deployments, in the order in which they are rolled out.
    pub deployments: Vec<DeploymentPlan>,
    /// What is to become of Secrets that charts name, and that no plan of a Deployment speaks of.
    pub leftovers: Vec<Leftover>,
    /// What is to become of the record of access policies, when it does not say what it ought to.
    pub guards: Option<GuardsStep>,
    /// NetworkPolicies that are not as they ought to be.
    pub networks: Vec<NetworkPlan>,
    /// Its Deployments that the operator may not read: what is on them is as it was.
    pub unread: BTreeSet<String>,
    /// Its resources, oldest first; and, under the implicit installation, those that belong to none.
    pub resources: Vec<Judgement>,
    /// The TimbrInstallation itself.
    pub installation: Option<InstallationJudgement>,
    /// How statements reach Timbr.
    pub sql: Sql,
}

impl Plan {
    /// The Deployments whose apply must be tried out, without effect, before any is sent: a resource
    /// that is on two Deployments or on none is among what they carry. Where the API server refuses one,
    /// the plan is made anew with [`Snapshot::refused`].
    pub fn trial(&self) -> impl Iterator<Item = &DeploymentPlan> {
        self.deployments.iter().filter(|deployment| deployment.has_pair && deployment.next.is_some())
    }
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
    /// What is behind the reason, when that tells whether waiting helps.
    pub cause: Option<Reason>,
}

impl Verdict {
    /// It is so.
    pub fn yes(reason: Reason, message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::True, reason, message: message.into(), cause: None }
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
    /// Of a RoleGroupSync: what it asks for, from which its statements are made.
    pub groups: Option<RoleGroupSyncSpec>,
    /// Of an AzureSso: what it asks for.
    pub sign_on: Option<AzureSsoSpec>,
    /// Of an ExternalTokenProvider: whether it says that it is not to be trusted.
    pub untrusted: bool,
    /// What was last said about it.
    pub previous: Option<Arc<Status>>,
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
    /// Of an access policy that asks for a NetworkPolicy: Delivered.
    pub network: Option<Verdict>,
    /// Of an access policy: why it is not recorded what it says of its component.
    pub guards: Option<Verdict>,
    /// While its variables are not taken from the Secret that charts name: whether all are there otherwise.
    pub in_force: bool,
    /// The Deployments it is on, or wants to be on.
    pub deployments: BTreeSet<String>,
    /// What it asks for and somebody else sets too, whether or not that is in the way.
    pub set_elsewhere: Vec<SetElsewhere>,
    /// What of it can be tried out: of one that is valid, waits for nothing and is not suspended.
    pub checks: Vec<Check>,
    /// What came of each of them; of none where nothing is tried out.
    pub tried: Vec<CheckStatus>,
    /// What was found of them before, where nothing is judged now.
    pub recorded: Vec<CheckStatus>,
    /// Whether what is new of it may be delivered, as far as checks say.
    pub is_open: bool,
    /// Verified.
    pub verified: Verdict,
    /// The client secret that it names.
    pub client_secret: Option<ClientSecret>,
    /// When its checks are to be judged anew, though nothing else has changed.
    pub again: Option<Timestamp>,
    /// Its own part of status.
    pub details: Status,
}

/// What compose thinks of the TimbrInstallation.
#[derive(Clone, Debug)]
pub struct InstallationJudgement {
    /// Who it is.
    pub meta: Meta,
    /// What was last said about it.
    pub previous: Option<Arc<Status>>,
    /// Whether it is suspended.
    pub suspended: bool,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// Accepted.
    pub accepted: Verdict,
    /// ReferencesResolved.
    pub references: Verdict,
    /// References that cannot be used, one by one.
    pub unresolved: Vec<Unresolved>,
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
    /// What can be tried out.
    pub checks: Vec<Check>,
    /// The client secret that it names.
    pub client_secret: Option<ClientSecret>,
    /// The kind's own part of status.
    pub details: Option<Status>,
}

impl Asked {
    /// The value of the reference at `path`, or a note that there is none.
    pub fn resolved(&mut self, path: &str, value: Result<Value, Unresolved>) -> Option<Value> {
        match value {
            Ok(value) => {
                if let Value::Placeholder(what) = &value {
                    self.not_in_input(path, what);
                }
                Some(value)
            }
            Err(unresolved) => {
                self.unresolved.push(unresolved);
                None
            }
        }
    }

    /// Notes that something that is named is not in the input.
    pub fn not_in_input(&mut self, path: &str, what: &str) {
        let message = format!("{what} is not in the input, so its value could not be checked");
        self.problems.push(Problem::warning(path, Code::NotInInput, message));
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

    let (mut judgements, mut asked) = Judge::new(snapshot, &claims, &targets).judge_all();

    // Two components may share a Deployment: one site, one plan, one apply.
    let mut names: Vec<&str> = targets.iter().map(|target| target.deployment.as_str()).collect();
    names.extend(snapshot.deployments.keys().map(String::as_str).filter(|name| is_given_up(&claims, snapshot, name)));
    let mut seen = BTreeSet::new();
    let ours = names.into_iter().filter(|name| seen.insert(*name) && is_ours(&claims, snapshot, name));
    let sites: Vec<Site<'_>> = ours.map(|name| Site::new(snapshot, name, &targets)).collect();
    let mut asked_sql = Asked::default();
    let sql = sql::plan(snapshot, installation, &targets, &mut asked_sql);
    let mut installation =
        installation.map(|installation| judge_installation(installation, &claims, &targets, snapshot, asked_sql));
    let sql = match &installation {
        Some(judgement) if !judgement.accepted.is_true() || !judgement.references.is_true() => sql.blocked(judgement),
        _ => sql,
    };
    if let SqlAccess::Open(target) = &sql.access {
        check_api(target, &mut judgements);
    }
    judge_checks(snapshot, &sites, &mut judgements, &mut asked);
    judge_delivery(snapshot, &sites, &mut judgements, &mut asked);
    let (mut guarded, mut network) = (Guarded::default(), Network::default());
    if snapshot.guards.is_some() || !snapshot.networks.is_empty() {
        let access = Access::of(snapshot);
        guarded = guards::plan(snapshot, &access);
        network = network_policy::plan(snapshot, &claims, &sites, &access, &mut judgements);
    }
    if let Some(hindrance) = &guarded.hindrance {
        let policies = judgements.iter_mut().filter(|judgement| judgement.meta.kind == Kind::InboundAccessPolicy);
        policies.filter(|it| it.accepted.is_true()).for_each(|it| it.guards = Some(hindrance.clone()));
    }
    let adrift = belongs_nowhere(snapshot, &claims);
    let staying = |site: &Site<'_>| match is_target(&targets, site.name) {
        true => adrift.clone(),
        false => adrift.iter().copied().chain(moving(snapshot, &claims, site.record())).collect(),
    };
    let deployments: Vec<DeploymentPlan> =
        sites.iter().filter_map(|site| plan_deployment(snapshot, site, &asked, &staying(site))).collect();
    let leftovers = leftovers(snapshot, &claims, &sites, &deployments, &asked, adrift.is_empty());
    warn_of_retained(&deployments, &sites, &asked, &mut judgements);
    let unread =
        sites.iter().filter(|site| *site.lookup == Lookup::Forbidden).map(|site| site.name.to_owned()).collect();
    if let Some(installation) = &mut installation {
        installation.problems.extend(retained(&deployments).chain(network.stays).chain(guarded.shut));
    }
    Plan {
        deployments,
        leftovers,
        guards: guarded.next,
        networks: network.plans,
        unread,
        resources: judgements,
        installation,
        sql,
    }
}

/// Whether Timbr takes the statements of a RoleGroupSync is tried out with the rest of it.
fn check_api(target: &SqlTarget, judgements: &mut [Judgement]) {
    let of_groups = |judgement: &&mut Judgement| judgement.groups.is_some() && !judgement.checks.is_empty();
    for judgement in judgements.iter_mut().filter(of_groups) {
        let probe = Probe::TimbrApi(target.clone());
        judgement.checks.push(Check { name: "TimbrApi".to_owned(), level: CheckLevel::Required, probe });
    }
}

/// What is to become of the Secrets that charts name and no plan of a Deployment speaks of.
fn leftovers(
    snapshot: &Snapshot,
    claims: &Claims<'_>,
    sites: &[Site<'_>],
    deployments: &[DeploymentPlan],
    asked: &[Claim],
    none_adrift: bool,
) -> Vec<Leftover> {
    let of = |component: Component| {
        let planned = deployments.iter().flat_map(|plan| &plan.secrets);
        let mut planned = planned.filter(|secret| secret.name == component.stable_secret());
        if planned.any(|secret| secret.stays || !secret.present) {
            return None;
        }
        let site = sites.iter().find(|site| site.container(component).is_some());
        // What belongs to other installations may be on its way from here.
        let idle = none_adrift
            && asked.iter().all(|claim| !claim.components.contains(&component))
            && (snapshot.installations.is_empty() || have_all_arrived(snapshot, claims, component));
        let at_rest = match site {
            // Which container it is for cannot be told, or whether anything names it.
            Some(site)
                if *site.lookup == Lookup::Forbidden || site.container(component).is_some_and(|it| it.is_err()) =>
            {
                return None;
            }
            Some(site) => deployments
                .iter()
                .find(|plan| plan.name == site.name)
                .map(|plan| plan.next.is_none() && plan.rollout.is_complete(plan.generation)),
            None => None,
        };
        leftover(snapshot, component, site, at_rest, idle)
    };
    Component::ALL.into_iter().filter_map(of).collect()
}

/// Says of each resource which of its variables outlive it, on account of a KeyVaultBinding that is gone.
fn warn_of_retained(
    deployments: &[DeploymentPlan],
    sites: &[Site<'_>],
    claims: &[Claim],
    judgements: &mut [Judgement],
) {
    for (site, deployment) in
        deployments.iter().filter_map(|plan| Some((sites.iter().find(|site| site.name == plan.name)?, plan)))
    {
        for (claim, judgement) in claims.iter().zip(&mut *judgements) {
            let is_orphan = |demand: &&Demand| {
                let container = site.container(demand.component).and_then(Result::ok);
                container.is_some_and(|container| {
                    deployment.orphans.contains(&(container.to_owned(), demand.name.to_string()))
                })
            };
            let shared: Vec<&str> = claim.demands.iter().filter(is_orphan).map(|demand| demand.name.as_ref()).collect();
            if !shared.is_empty() {
                let message = format!(
                    "{} on Deployment {} are also retained for a deleted KeyVaultBinding, and stay when this resource goes; to drop them, apply a KeyVaultBinding with deletionPolicy: Remove and delete it",
                    shared.join(", "),
                    deployment.name
                );
                judgement.problems.push(Problem::warning("spec", Code::KeyVaultRetained, message));
            }
        }
    }
}

/// Whether a Deployment is this installation's to write.
pub fn is_ours(claims: &Claims<'_>, snapshot: &Snapshot, deployment: &str) -> bool {
    claims.holder(deployment) == snapshot.key.name.as_deref()
}

/// Whether a Deployment that carries our label is named by no installation any more.
fn is_given_up(claims: &Claims<'_>, snapshot: &Snapshot, deployment: &str) -> bool {
    snapshot.key.name.is_none() && claims.all_readable() && claims.holder(deployment).is_none()
}

fn is_target(targets: &[Target], deployment: &str) -> bool {
    targets.iter().any(|target| target.deployment == deployment)
}

/// Resources of the namespace of which nobody can tell where they belong.
fn belongs_nowhere<'a>(snapshot: &'a Snapshot, claims: &Claims<'_>) -> Vec<&'a Meta> {
    let names = claims.names();
    let nowhere = |resource: &&Resource<Spec>| resource.key(&names).is_err();
    snapshot.resources.iter().filter(nowhere).map(|resource| &resource.meta).collect()
}

/// What is on Deployments on account of KeyVaultBindings that are gone.
fn retained(deployments: &[DeploymentPlan]) -> impl Iterator<Item = Problem> {
    deployments.iter().filter(|deployment| !deployment.orphans.is_empty()).map(|deployment| {
        let variables: Vec<&str> = deployment.orphans.iter().map(|(_, variable)| variable.as_str()).collect();
        let message = format!("Deployment {}: {} are {RETAINED_NOTE}", deployment.name, variables.join(", "));
        Problem::warning("spec", Code::KeyVaultRetained, message)
    })
}

fn judge_installation(
    installation: &Resource<TimbrInstallationSpec>,
    claims: &Claims<'_>,
    targets: &[Target],
    snapshot: &Snapshot,
    asked: Asked,
) -> InstallationJudgement {
    let mut problems = problems(installation);
    problems.extend(asked.problems);
    let mut refused = None;
    for target in targets {
        if !is_ours(claims, snapshot, &target.deployment) && refused.is_none() {
            let message = taken_sentence(claims, &target.deployment);
            let path = format!("spec.components.{}.deployment", target.component.name());
            problems.push(Problem::error(path, Code::Collision, message.clone()));
            refused = Some((Reason::Collision, message));
        }
    }
    problems.extend(targets.iter().filter_map(|target| unread(target, snapshot)));
    let accepted = accepted(&problems, refused);
    InstallationJudgement {
        meta: installation.meta.clone(),
        previous: installation.status.clone(),
        suspended: installation.spec.as_ref().is_ok_and(|spec| spec.suspend),
        references: references(&accepted, &asked.unresolved),
        unresolved: asked.unresolved,
        accepted,
        problems,
        components: match (&installation.spec, installation.status.as_deref()) {
            // What was known of one that cannot be read now: its claim rests on it.
            (Err(_), Some(Status::TimbrInstallation(status))) => status.components.clone(),
            _ => targets.iter().map(|target| component_status(target, snapshot)).collect(),
        },
    }
}

/// That a component is called Missing says nothing when its Deployment may not be read.
fn unread(target: &Target, snapshot: &Snapshot) -> Option<Problem> {
    let lookup = snapshot.deployments.get(&target.deployment)?;
    (*lookup == Lookup::Forbidden).then(|| {
        let message = format!(
            "{}; until then nobody knows whether it is there, and status.components calls it Missing",
            forbidden(&target.deployment, &snapshot.key.namespace)
        );
        Problem::warning(format!("spec.components.{}", target.component.name()), Code::DeploymentForbidden, message)
    })
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
