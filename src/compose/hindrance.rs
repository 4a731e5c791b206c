//! What keeps a resource from being delivered: no Deployment, no container, or another hand on a
//! variable. Judged for a resource as a whole, before anything is planned: one variable that cannot
//! be ours leaves out all of the resource, and the others go on.

use std::collections::BTreeMap;

use crate::api::{ConditionStatus, LABEL_WORKLOAD_IDENTITY, Reason, Sensitive};

use super::{
    Demand, EnvName, LiveDeployment, LiveValue, Lookup, Snapshot, Value, Verdict, credentials::TRIO, deployment::Claim,
    ownership::Place, plan::Judgement, site::Site,
};

/// A variable that a resource asks for and that somebody else sets in the live Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetElsewhere {
    /// The Deployment.
    pub deployment: String,
    /// The container.
    pub container: String,
    /// The variable.
    pub variable: EnvName,
    /// How often the container lists it.
    pub entries: usize,
    /// Whether it is set to just what the resource asks for.
    pub equal: bool,
}

/// Judges whether each active claim can be delivered; one that cannot is no longer active.
pub fn judge_delivery(snapshot: &Snapshot, sites: &[Site<'_>], judgements: &mut [Judgement], claims: &mut [Claim]) {
    let judged: Vec<_> = claims.iter().map(|claim| judge_claim(snapshot, sites, claims, claim)).collect();
    for ((judgement, claim), judged) in judgements.iter_mut().zip(claims).zip(judged) {
        let Some((set_elsewhere, refusal)) = judged else { continue };
        judgement.set_elsewhere = set_elsewhere;
        judgement.delivered = match refusal {
            Some(verdict) => {
                claim.active = false;
                claim.demands.clear();
                verdict
            }
            None => {
                let names: Vec<&str> = judgement.deployments.iter().map(String::as_str).collect();
                Verdict::yes(Reason::Delivered, format!("the variables are on Deployment {}", names.join(", ")))
            }
        };
    }
}

/// What others set of a claim, and what stands in its way. `None` for a claim that is not active, or
/// whose Deployments nobody knows, as the TimbrInstallation cannot be read.
fn judge_claim(
    snapshot: &Snapshot,
    sites: &[Site<'_>],
    claims: &[Claim],
    claim: &Claim,
) -> Option<(Vec<SetElsewhere>, Option<Verdict>)> {
    let mut refusals: BTreeMap<&str, Option<Verdict>> = BTreeMap::new();
    let mut elsewhere = Vec::new();
    for demand in claim.demands.iter().filter(|_| claim.active) {
        let found = sites.iter().find_map(|site| Some((site, site.container(demand.component)?)));
        let Some((site, container)) = found else { continue };
        let refusal = refusals.entry(site.name).or_default();
        let verdict = match (site.absence(&snapshot.key.namespace), container, site.live()) {
            (Some(absence), ..) => Some(absence),
            (None, Err(sentence), _) => Some(Verdict::no(Reason::ContainerNotFound, sentence)),
            (None, Ok(_), None) => None,
            (None, Ok(container), Some(live)) => set_elsewhere(snapshot, site, claims, container, demand)
                .and_then(|set| {
                    let verdict = hindrance(&set, site, live);
                    elsewhere.push(set);
                    verdict
                })
                .or_else(|| workload_identity(site, live, demand)),
        };
        *refusal = refusal.take().or(verdict);
    }
    if refusals.len() > 1 {
        for (deployment, refusal) in &mut refusals {
            let refused = snapshot.refused.get(*deployment).map(|failure| failure.verdict(deployment));
            *refusal = refusal.take().or(refused);
        }
    }
    (!refusals.is_empty()).then_some((elsewhere, both_or_none(refusals)))
}

/// Why a resource cannot be delivered. One that is on two Deployments is on both or on neither: what
/// stands in the way on one is a reason for the other.
fn both_or_none(refusals: BTreeMap<&str, Option<Verdict>>) -> Option<Verdict> {
    let untouched: Vec<&str> =
        refusals.iter().filter(|(_, refusal)| refusal.is_none()).map(|(name, _)| *name).collect();
    let first = refusals.values().flatten().next()?.clone();
    Some(match untouched.as_slice() {
        [] => first,
        names => Verdict {
            cause: Some(first.reason),
            reason: Reason::PartnerBlocked,
            status: ConditionStatus::False,
            message: format!(
                "{}; nothing is changed on Deployment {} either, as this resource needs both or none",
                first.message.trim_end_matches(['.', ';']),
                names.join(", ")
            ),
        },
    })
}

/// The pods get the variable from somebody else, whatever the template says.
fn workload_identity(site: &Site<'_>, live: &LiveDeployment, demand: &Demand) -> Option<Verdict> {
    let clashes = live.workload_identity && TRIO.contains(&demand.name.as_ref());
    clashes.then(|| {
        Verdict::no(
            Reason::WorkloadIdentityConflict,
            format!(
                "Deployment {}: its pod template has the label {LABEL_WORKLOAD_IDENTITY}: \"true\", and Azure Workload Identity sets AZURE_CLIENT_ID and AZURE_TENANT_ID in such pods, for another identity; remove the label, as Timbr signs in with a client secret",
                site.name
            ),
        )
    })
}

/// Whether somebody else sets a variable that a resource asks for.
fn set_elsewhere(
    snapshot: &Snapshot,
    site: &Site<'_>,
    claims: &[Claim],
    container: &str,
    demand: &Demand,
) -> Option<SetElsewhere> {
    let variable = &demand.name;
    let values = site.variables().get(container, variable);
    let equal = match values {
        [] => return None,
        [_] if site.variables().is_ours_alone(container, variable) => return None,
        [value] => match (&demand.value, value) {
            (Value::Plain(wanted), LiveValue::Plain(live)) => wanted.as_str().as_bytes() == live.expose(),
            (Value::Sensitive(_), LiveValue::SecretKey { name, key }) => {
                *key == **variable && holds_content(snapshot, name, site, claims, container)
            }
            _ => false,
        },
        _ => false,
    };
    let (deployment, container) = (site.name.to_owned(), container.to_owned());
    let variable = variable.clone();
    Some(SetElsewhere { deployment, container, variable, entries: values.len(), equal })
}

/// Whether a Secret is the one that the container's sensitive values would go into. A reference to it
/// that others hold too is the wanted one; to any other it is not, even with the same value, as the
/// name would change.
fn holds_content(snapshot: &Snapshot, secret: &str, site: &Site<'_>, claims: &[Claim], container: &str) -> bool {
    let here = |demand: &&Demand| site.container(demand.component) == Some(Ok(container));
    let content: BTreeMap<&str, &Sensitive> = claims
        .iter()
        .flat_map(|claim| claim.demands.iter().filter(here))
        .filter_map(|demand| match &demand.value {
            Value::Sensitive(value) => Some((demand.name.as_ref(), value)),
            Value::Plain(_) | Value::Placeholder(_) => None,
        })
        .collect();
    let secret = snapshot.secrets.get(secret).and_then(Lookup::found);
    secret.is_some_and(|secret| {
        let data = secret.data.iter().map(|(name, value)| (name.as_str(), value));
        secret.ours && data.eq(content)
    })
}

/// What keeps a variable from being ours: another manager's different entry, or two entries. Values
/// are never quoted: another's plain value may be a secret.
fn hindrance(set: &SetElsewhere, site: &Site<'_>, live: &LiveDeployment) -> Option<Verdict> {
    let SetElsewhere { deployment, container, variable, .. } = set;
    let place: Place = (container.clone(), variable.to_string());
    let at = format!("Deployment {deployment}, container {container}: variable {variable}");
    let who = live.ownership.others_of(&place).unwrap_or_else(|| "an unknown manager".to_owned());
    if set.entries > 1 {
        return Some(Verdict::no(
            Reason::DuplicateVariable,
            format!("{at} is listed {} times, by {who}; keep one at most there", set.entries),
        ));
    }
    let plain = site.variables().get(container, variable).iter().any(|value| matches!(value, LiveValue::Plain(_)));
    let how = if plain { "value" } else { "valueFrom" };
    (!set.equal).then(|| {
        Verdict::no(
            Reason::Conflict,
            format!("{at} is set by {who} (as {how}); remove it there, and this resource delivers it"),
        )
    })
}
