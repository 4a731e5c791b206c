//! What keeps a resource from being delivered: no Deployment, no container, or another hand on a
//! variable. Judged for a resource as a whole, before anything is planned: one variable that cannot
//! be ours leaves out all of the resource, and the others go on.

use std::collections::BTreeMap;

use crate::api::{
    ANNOTATION_RECONCILE, Code, Component, ConditionStatus, Delivery, LABEL_WORKLOAD_IDENTITY, Meta, Reason, Sensitive,
};

use super::{
    Demand, EnvName, Event, EventType, LiveDeployment, LiveEnv, LiveValue, Lookup, Owner, Snapshot, Value, Verdict,
    credentials::TRIO,
    demand::is_sensitive,
    deployment::Claim,
    displaced::Displaced,
    hands::{Demander, Grip, Touched, asserts},
    ownership::{Place, by_ref},
    plan::Judgement,
    site::{Site, place_of},
    stable::{self, Reference, Stable},
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

/// A variable that becomes ours although another hand is, or was, on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seizure {
    /// The Deployment.
    pub deployment: String,
    /// The container and the variable.
    pub place: Place,
    /// What stands there and is to be put back in the end.
    pub displaced: Option<Displaced>,
    /// Whether it was ours before.
    pub take_back: bool,
    /// Whose hand it was, for messages.
    pub hand: String,
    /// The resource that asks for it.
    pub by: Meta,
}

impl Seizure {
    /// The Event about the resource, once it is done.
    pub(super) fn event(&self) -> Event {
        let Self { deployment, place: (container, variable), hand, .. } = self;
        let at = format!("Deployment {deployment}, container {container}: variable {variable}");
        if self.take_back {
            return Event {
                type_: EventType::Warning,
                reason: Code::TakenBack.to_string(),
                message: format!(
                    "{at} was changed or taken off by {hand}, and is as this resource asks for again; to keep it otherwise, change the resource or say suspend: true"
                ),
            };
        }
        Event {
            type_: EventType::Normal,
            reason: Code::Adopted.to_string(),
            message: format!(
                "{at} was set by {hand} and is taken over, as the TimbrInstallation says onConflict: Adopt; it is put back when this resource is deleted"
            ),
        }
    }
}

/// Judges whether each active claim can be delivered; one that cannot is no longer active.
pub fn judge_delivery(snapshot: &Snapshot, sites: &[Site<'_>], judgements: &mut [Judgement], claims: &mut [Claim]) {
    let judged: Vec<_> = judgements
        .iter()
        .zip(&*claims)
        .map(|(judgement, claim)| judge_claim(snapshot, sites, claims, claim, &judgement.meta))
        .collect();
    for ((judgement, claim), judged) in judgements.iter_mut().zip(claims).zip(judged) {
        let Some(Found { set_elsewhere, seizures, lost, missing, refusal }) = judged else { continue };
        judgement.set_elsewhere = set_elsewhere;
        claim.lost = lost;
        judgement.delivered = match refusal {
            Some(verdict) => {
                claim.active = false;
                claim.demands.clear();
                verdict
            }
            None if !missing.is_empty() => {
                judgement.in_force = missing.values().all(|missing| missing.without.is_empty());
                // What is on two Deployments or on none is not even put into a Secret before both name theirs.
                if judgement.deployments.len() > 1 {
                    claim.active = false;
                    claim.demands.clear();
                }
                Verdict { cause: Some(Reason::WaitingForDeployment), ..Verdict::pending(not_named(&missing)) }
            }
            None => {
                claim.seizures = seizures;
                let names: Vec<&str> = judgement.deployments.iter().map(String::as_str).collect();
                let message = match snapshot.delivery() {
                    Some(Delivery::Reference) => {
                        format!("Deployment {} takes the variables from Secrets", names.join(", "))
                    }
                    _ => format!("the variables are on Deployment {}", names.join(", ")) + &adopted(sites, claim),
                };
                Verdict::yes(Reason::Delivered, message)
            }
        };
    }
}

/// What others did to the variables of a claim, and what follows from it.
#[derive(Default)]
struct Found {
    set_elsewhere: Vec<SetElsewhere>,
    seizures: Vec<Seizure>,
    /// Variables that are left to others, by Deployment.
    lost: Vec<(String, Place, Demander)>,
    /// Variables that nothing takes from the Secret that charts name yet, by Deployment and container.
    missing: BTreeMap<(String, String), Missing>,
    refusal: Option<Verdict>,
}

/// Variables that a container does not take from the Secret that charts name.
struct Missing {
    secret: &'static str,
    variables: Vec<EnvName>,
    /// Those of them that the container does not get otherwise.
    without: Vec<EnvName>,
}

/// What is to be put into the chart.
fn not_named(missing: &BTreeMap<(String, String), Missing>) -> String {
    let sentences = missing.iter().map(|((deployment, container), Missing { secret, variables, .. })| {
        let variables: Vec<&str> = variables.iter().map(AsRef::as_ref).collect();
        format!(
            "Deployment {deployment}, container {container}: {} not taken from Secret {secret} yet; put {} into the container where it is deployed from",
            match variables.as_slice() {
                [only] => format!("variable {only} is"),
                all => format!("variables {} are", all.join(", ")),
            },
            stable::chart_line(secret)
        )
    });
    sentences.collect::<Vec<_>>().join("; ")
}

/// What others set of a claim, and what stands in its way. `None` for a claim that is not active, or
/// whose Deployments nobody knows, as the TimbrInstallation cannot be read.
fn judge_claim(snapshot: &Snapshot, sites: &[Site<'_>], claims: &[Claim], claim: &Claim, meta: &Meta) -> Option<Found> {
    let mut refusals: BTreeMap<&str, Option<Verdict>> = BTreeMap::new();
    let mut found = Found::default();
    for demand in claim.demands.iter().filter(|_| claim.active) {
        let Some((site, container)) = place_of(sites, demand.component) else { continue };
        let refusal = refusals.entry(site.name).or_default();
        let verdict = match (site.absence(&snapshot.key.namespace), container, site.live()) {
            (Some(absence), ..) => Some(absence),
            (None, Err(sentence), _) => Some(Verdict::no(Reason::ContainerNotFound, sentence)),
            (None, Ok(_), None) => None,
            (None, Ok(container), Some(live)) => {
                let look = Look { snapshot, site, live, container, demand, meta };
                let judged = match snapshot.delivery() {
                    Some(Delivery::Reference) => look.refer(&mut found),
                    _ => look.judge(claims, &mut found),
                };
                judged.or_else(|| workload_identity(site, live, demand))
            }
        };
        *refusal = refusal.take().or(verdict);
    }
    if refusals.len() > 1 {
        for (deployment, refusal) in &mut refusals {
            let refused =
                snapshot.refused.get(*deployment).map(|failure| failure.verdict(&format!("Deployment {deployment}")));
            *refusal = refusal.take().or(refused);
        }
    }
    if refusals.is_empty() {
        return None;
    }
    found.refusal = both_or_none(refusals);
    Some(found)
}

/// A variable that a resource asks for, in a live Deployment.
struct Look<'a, 's> {
    snapshot: &'a Snapshot,
    site: &'a Site<'s>,
    live: &'a LiveDeployment,
    container: &'a str,
    demand: &'a Demand,
    meta: &'a Meta,
}

impl Look<'_, '_> {
    /// Notes what another hand did, and returns what keeps the variable from being ours.
    fn judge(&self, claims: &[Claim], found: &mut Found) -> Option<Verdict> {
        let Self { site, container, demand, .. } = *self;
        let values = site.variables().get(container, &demand.name);
        if values.is_empty() {
            return self.grip(None, found);
        }
        let set = set_elsewhere(self.snapshot, site, claims, container, demand)?;
        let verdict = match values {
            [_] if set.equal => None,
            [value] => self.grip(Some(value), found),
            _ => Some(self.listed_twice(set.entries)),
        };
        found.set_elsewhere.push(set);
        verdict
    }

    /// Whether the variable comes from the Secret that charts name, and what hides it there.
    fn refer(&self, found: &mut Found) -> Option<Verdict> {
        let Self { site, live, container, demand, .. } = *self;
        let (component, stable) = site.stable(container)?;
        if let Stable::Foreign(verdict) = stable {
            return Some(verdict.clone());
        }
        let place: Place = (container.to_owned(), demand.name.to_string());
        let secret = component.stable_secret();
        let who = || live.ownership.others_of(&place).unwrap_or_else(|| "an unknown manager".to_owned());
        // What was taken over is put back when ours goes.
        if site.displaced(by_ref(&place)).is_some() {
            return Some(self.shadowed(component, &who(), "is taken over from"));
        }
        match stable::reference(site, by_ref(&place), secret) {
            Reference::Taken => {}
            Reference::Shadowed => return Some(self.shadowed(component, &who(), "is set by")),
            Reference::Missing => {
                let key = (site.name.to_owned(), container.to_owned());
                let none = || Missing { secret, variables: vec![], without: vec![] };
                let missing = found.missing.entry(key).or_insert_with(none);
                missing.variables.push(demand.name.clone());
                if site.variables().get(container, &demand.name).is_empty() {
                    missing.without.push(demand.name.clone());
                }
            }
        }
        None
    }

    fn shadowed(&self, component: Component, who: &str, how: &str) -> Verdict {
        Verdict::no(
            Reason::ShadowedByEnv,
            format!(
                "{} {how} {who} in env, which hides it from Secret {}; remove it there",
                self.at(),
                component.stable_secret()
            ),
        )
    }

    /// What to do about a variable that another hand has set to something else, or taken off.
    fn grip(&self, value: Option<&LiveValue>, found: &mut Found) -> Option<Verdict> {
        let place: Place = (self.container.to_owned(), self.demand.name.to_string());
        let hands = &self.snapshot.hands;
        let uid = &self.live.uid;
        let is_recorded = || {
            let holder = self.meta.holder();
            let record = self.site.record().filter(|_| self.live.ownership.metadata);
            record.is_some_and(|record| record.holders(by_ref(&place)).any(|name| name == holder))
        };
        let owner = self.hand(&place, value.is_some());
        let demander = Demander::of(self.meta);
        let (times, lost) = hands.taken_back(uid, &place, &demander);
        // What is in the Secret that charts name was not taken off: it has yet to get an entry.
        let is_shelved = || self.site.shelved(by_ref(&place)).is_some();
        let was_ours = self.live.ownership.is_held(&place)
            || hands.was_delivered(uid, &place)
            || (is_recorded() && !(value.is_none() && is_shelved()));
        let touched = Touched {
            was_ours,
            is_set: value.is_some(),
            asserted: owner.is_none_or(asserts),
            adopts: self.snapshot.adopts(),
            times,
            lost,
        };
        if value.is_none() && !was_ours {
            return None;
        }
        let hand = owner.map_or_else(|| "an unknown manager".to_owned(), ToString::to_string);
        let take_back = match touched.grip() {
            Grip::Theirs => return Some(self.conflict(&hand, value)),
            Grip::Lost => {
                let verdict = self.ownership_lost(&hand, value);
                found.lost.push((self.site.name.to_owned(), place, demander));
                return Some(verdict);
            }
            Grip::Adopt => false,
            Grip::TakeBack => true,
        };
        // What one who acted once has put there is not to come back.
        let to_remember = value.filter(|_| !take_back || touched.asserted).filter(|value| {
            let is_plain = matches!(value, LiveValue::Plain(_));
            !(is_plain && (is_sensitive(&place.1) || matches!(self.demand.value, Value::Sensitive(_))))
        });
        let displaced = to_remember.map(|value| {
            let fields = owner.and_then(|owner| self.live.ownership.fields.get(&place)?.get(owner));
            Displaced::new(owner, &LiveEnv { name: place.1.clone(), value: value.clone() }, fields)
        });
        let (deployment, by) = (self.site.name.to_owned(), self.meta.clone());
        found.seizures.push(Seizure { deployment, place, displaced, take_back, hand, by });
        None
    }

    /// Whose hand it was: the owner of the value; of what is gone, whoever wrote last.
    fn hand(&self, place: &Place, is_set: bool) -> Option<&Owner> {
        let ownership = &self.live.ownership;
        if !is_set {
            return ownership.latest.as_ref();
        }
        let owners = || ownership.others.get(place).or_else(|| ownership.shells.get(place)).into_iter().flatten();
        owners().find(|owner| asserts(owner)).or_else(|| owners().next())
    }

    fn at(&self) -> String {
        format!("Deployment {}, container {}: variable {}", self.site.name, self.container, self.demand.name)
    }

    /// Another manager's different entry. Values are never quoted: another's plain value may be a secret.
    fn conflict(&self, hand: &str, value: Option<&LiveValue>) -> Verdict {
        let place: Place = (self.container.to_owned(), self.demand.name.to_string());
        let who = self.live.ownership.others_of(&place).unwrap_or_else(|| hand.to_owned());
        let stable = self.site.stable(self.container).map(|(component, _)| component.stable_secret());
        if let (Some(secret), Some((named, _))) = (stable, value.and_then(LiveValue::secret))
            && secret == named
        {
            let message = format!(
                "{} is set by {who} as a key of Secret {secret}, as for delivery: Reference; put {} there instead, and take that away once this resource is delivered",
                self.at(),
                stable::chart_line(secret)
            );
            return Verdict::no(Reason::Conflict, message);
        }
        let how = if matches!(value, Some(LiveValue::Plain(_))) { "value" } else { "valueFrom" };
        let message =
            format!("{} is set by {who} (as {how}); remove it there, and this resource delivers it", self.at());
        Verdict::no(Reason::Conflict, message)
    }

    fn ownership_lost(&self, hand: &str, value: Option<&LiveValue>) -> Verdict {
        let did = if value.is_some() { "changed" } else { "taken off" };
        Verdict::no(
            Reason::OwnershipLost,
            format!(
                "{} was {did} again by {hand} although it was taken back, and is left alone now; stop who does it, then change this resource or its annotation {ANNOTATION_RECONCILE}, or say suspend: true to keep it as it is",
                self.at()
            ),
        )
    }

    fn listed_twice(&self, entries: usize) -> Verdict {
        let place: Place = (self.container.to_owned(), self.demand.name.to_string());
        let who = self.live.ownership.others_of(&place).unwrap_or_else(|| "an unknown manager".to_owned());
        Verdict::no(
            Reason::DuplicateVariable,
            format!("{} is listed {entries} times, by {who}; keep one at most there", self.at()),
        )
    }
}

/// What Delivered says of variables that were taken over from others.
fn adopted(sites: &[Site<'_>], claim: &Claim) -> String {
    let mut from: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for demand in &claim.demands {
        let Some((site, Ok(container))) = place_of(sites, demand.component) else { continue };
        let variable: &str = &demand.name;
        let of_claim = claim.seizures.iter().find(|seizure| {
            seizure.deployment == site.name && seizure.place.0 == container && seizure.place.1 == variable
        });
        let owner = match of_claim {
            Some(seizure) => seizure.displaced.as_ref().map(Displaced::owner),
            None => site.recorded((container, variable)).map(Displaced::owner),
        };
        if let Some(owner) = owner {
            from.entry(owner.to_string()).or_default().push(variable);
        }
    }
    let sentences = from.iter().map(|(owner, variables)| {
        format!(
            "; adopted from {owner}: {}; take them out of what it deploys, or its next change of them fails or undoes this",
            variables.join(", ")
        )
    });
    sentences.collect()
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
