//! Other hands on our variables: which of them will do it again, and how often ours were taken back.
//!
//! A hand either *asserts* what it sets (server-side apply, a controller, a tool that deploys from files):
//! it sets the same again, and to fight it is no use. Or it acted *once* (a person with kubectl): what was
//! ours is taken back, once. What is taken again and again is left alone, and said to be lost.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::api::Meta;

use super::{
    DeploymentPlan, EnvEntry, Owner,
    ownership::{APPLY, Place},
};

/// How long a take-back counts.
const WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// Most take-backs within that time from a hand that acted once.
const ONCE: usize = 1;
/// Most take-backs within that time from a hand that asserts.
const ASSERTED: usize = 2;

/// kubectl's manager for what `kubectl apply` sets from a file: it is set again with the next one.
const KUBECTL_APPLY: &str = "kubectl-client-side-apply";

/// Whether an owner will set the same again. Of unknown ones it is assumed: nobody fights them.
pub fn asserts(owner: &Owner) -> bool {
    let by_kubectl = owner.manager == "kubectl" || owner.manager.starts_with("kubectl-");
    owner.operation == APPLY || !by_kubectl || owner.manager == KUBECTL_APPLY
}

/// What to do about a variable that a resource asks for and another hand has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grip {
    /// It is theirs: a conflict.
    Theirs,
    /// It was never ours: it is taken over, and what is there is remembered.
    Adopt,
    /// It was ours, and becomes ours again.
    TakeBack,
    /// It was taken too often: hands off.
    Lost,
}

/// What is known of such a variable.
#[derive(Clone, Copy, Debug)]
pub struct Touched {
    /// Whether it was delivered by us before.
    pub was_ours: bool,
    /// Whether an entry of theirs stands in its place; else it was taken off.
    pub is_set: bool,
    /// Whether the hand asserts.
    pub asserted: bool,
    /// Whether the installation says `onConflict: Adopt`.
    pub adopts: bool,
    /// How often it was taken back within the last ten minutes.
    pub times: usize,
    /// Whether it was said to be lost, and nobody asked for another try.
    pub lost: bool,
}

impl Touched {
    /// Decides.
    pub fn grip(self) -> Grip {
        // What asserts a value of its own has the say, unless the installation says otherwise.
        let contested = self.was_ours && !(self.is_set && self.asserted && !self.adopts);
        let most = if self.asserted { ASSERTED } else { ONCE };
        match () {
            () if contested && (self.lost || self.times >= most) => Grip::Lost,
            () if contested => Grip::TakeBack,
            () if self.adopts => Grip::Adopt,
            () => Grip::Theirs,
        }
    }
}

/// What is remembered of other hands on an installation's Deployments. In memory: a new process gives
/// every hand another chance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hands {
    /// By uid of the Deployment.
    deployments: BTreeMap<String, Memory>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Memory {
    /// What it had of us when it was last as planned.
    delivered: Places,
    taken_back: BTreeMap<Place, Vec<Timestamp>>,
    /// What is lost, and to which demand.
    lost: BTreeMap<Place, Demander>,
}

/// Variables by container. Each container's are one string: there are thousands of Deployments, and this is kept of
/// each.
#[derive(Clone, Debug, Default, PartialEq)]
struct Places(Box<[(Box<str>, Box<str>)]>);

impl Places {
    /// After each name, as no name has it.
    const END: &str = "\n";

    fn of(plan: &DeploymentPlan) -> Self {
        let containers = plan.containers.iter().filter(|container| !container.env.is_empty());
        let names = |env: &[EnvEntry]| env.iter().flat_map(|env| [env.name.as_str(), Self::END]).collect::<String>();
        Self(containers.map(|it| (it.name.as_str().into(), names(&it.env).into())).collect())
    }

    fn contains(&self, (container, name): &Place) -> bool {
        let names = self.0.iter().filter(|(of, _)| **of == **container).map(|(_, names)| names);
        names.flat_map(|names| names.split_terminator(Self::END)).any(|it| it == name)
    }
}

/// Who asked for a variable, and in which version: another one is another try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demander {
    uid: String,
    generation: i64,
    requested_at: Option<String>,
}

impl Demander {
    /// A resource as it is now.
    pub fn of(meta: &Meta) -> Self {
        Self { uid: meta.uid.clone(), generation: meta.generation, requested_at: meta.requested_at.clone() }
    }
}

impl Hands {
    /// What of it still counts.
    pub fn at(&self, now: Timestamp) -> Self {
        let mut hands = self.clone();
        for memory in hands.deployments.values_mut() {
            for times in memory.taken_back.values_mut() {
                times.retain(|then| now.duration_since(*then) < WINDOW);
            }
            memory.taken_back.retain(|_, times| !times.is_empty());
        }
        hands
    }

    /// Whether we delivered a variable, and did not take it off ourselves; it may be lost since.
    pub(super) fn was_delivered(&self, uid: &str, place: &Place) -> bool {
        let memory = self.deployments.get(uid);
        memory.is_some_and(|memory| memory.delivered.contains(place) || memory.lost.contains_key(place))
    }

    /// How often a variable was taken back lately for a demand, and whether it is lost to it.
    pub(super) fn taken_back(&self, uid: &str, place: &Place, demander: &Demander) -> (usize, bool) {
        let Some(memory) = self.deployments.get(uid) else { return (0, false) };
        match memory.lost.get(place) {
            Some(to) if to == demander => (0, true),
            // Another try begins anew.
            Some(_) => (0, false),
            None => (memory.taken_back.get(place).map_or(0, Vec::len), false),
        }
    }

    /// Notes what was written to a Deployment, and what was left to others.
    pub fn record(&mut self, plan: &DeploymentPlan, now: Timestamp) {
        let Some(uid) = &plan.uid else { return };
        let memory = self.deployments.entry(uid.clone()).or_default();
        memory.delivered = Places::of(plan);
        for place in plan.seized.iter().filter(|(_, seizure)| seizure.take_back).map(|(place, _)| place) {
            if memory.lost.remove(place).is_some() {
                memory.taken_back.remove(place);
            }
            memory.taken_back.entry(place.clone()).or_default().push(now);
        }
        // What is there as it is wanted is not lost any more.
        memory.lost.retain(|place, _| !memory.delivered.contains(place) || plan.lost.contains_key(place));
        memory.lost.extend(plan.lost.clone());
    }

    /// Forgets Deployments that are gone, and those that are another installation's by now: what that does there, this
    /// one does not see.
    pub fn retain(&mut self, plans: &[DeploymentPlan]) {
        let uids: BTreeSet<&String> = plans.iter().filter_map(|plan| plan.uid.as_ref()).collect();
        self.deployments.retain(|uid, _| uids.contains(uid));
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.deployments.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sets_it_again() {
        let rows = [
            ("argocd-controller", "Update", true),
            ("argocd-controller", "Apply", true),
            ("helm", "Update", true),
            ("helm", "Apply", true),
            ("helm-controller", "Update", true),
            ("kustomize-controller", "Apply", true),
            ("Terraform", "Update", true),
            ("pulumi-kubernetes-1234", "Apply", true),
            ("somebody", "Update", true),
            ("kubectl", "Apply", true),
            ("kubectl-client-side-apply", "Update", true),
            ("kubectl", "Update", false),
            ("kubectl-edit", "Update", false),
            ("kubectl-set", "Update", false),
            ("kubectl-patch", "Update", false),
            ("kubectl-rollout", "Update", false),
            ("kubectl-replace", "Update", false),
            ("kubectlish", "Update", true),
        ];
        for (manager, operation, expected) in rows {
            let owner = Owner { manager: manager.to_owned(), operation: operation.to_owned() };
            assert_eq!(asserts(&owner), expected, "{owner}");
        }
    }

    #[test]
    fn what_to_do_about_another_hand() {
        let base = Touched { was_ours: true, is_set: true, asserted: false, adopts: false, times: 0, lost: false };
        let rows = [
            ("a person changed ours", base, Grip::TakeBack),
            ("again", Touched { times: 1, ..base }, Grip::Lost),
            ("a person took ours off", Touched { is_set: false, ..base }, Grip::TakeBack),
            ("a tool set what was ours", Touched { asserted: true, ..base }, Grip::Theirs),
            ("the same, adopting", Touched { asserted: true, adopts: true, ..base }, Grip::TakeBack),
            ("a second time", Touched { asserted: true, adopts: true, times: 1, ..base }, Grip::TakeBack),
            ("a third time", Touched { asserted: true, adopts: true, times: 2, ..base }, Grip::Lost),
            ("a tool took ours off", Touched { asserted: true, is_set: false, ..base }, Grip::TakeBack),
            ("a third time", Touched { asserted: true, is_set: false, times: 2, ..base }, Grip::Lost),
            ("it never was ours", Touched { was_ours: false, ..base }, Grip::Theirs),
            ("the same, adopting", Touched { was_ours: false, adopts: true, ..base }, Grip::Adopt),
            ("a tool's, adopting", Touched { was_ours: false, adopts: true, asserted: true, ..base }, Grip::Adopt),
            ("it was said to be lost", Touched { lost: true, ..base }, Grip::Lost),
            ("lost, but a tool's by now", Touched { lost: true, asserted: true, ..base }, Grip::Theirs),
        ];
        for (name, touched, expected) in rows {
            assert_eq!(touched.grip(), expected, "{name}");
        }
    }
}
