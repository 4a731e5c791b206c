//! The next request that brings a Deployment nearer to its plan.
//!
//! Mostly it is the server-side apply. Where a variable changes hands it takes several requests, as an
//! apply can neither take another's entry whole nor put one back: forced over another's `valueFrom` and
//! released, it leaves an empty variable. So entries are exchanged by a JSON Patch in the name of a manager
//! of its own, our apply confirms what is to be ours, and that manager's traces are given to whom they
//! belong. Which request is next is read from the live object each time: the sequence can break off
//! anywhere and is resumed by whoever looks next.

use std::{
    cell::LazyCell,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Value as Json, json};

use super::{
    Attribution, EnvEntry, LiveDeployment, Owner, PlannedContainer, Snapshot,
    deployment::{has_entry, places},
    displaced::Displaced,
    hands::asserts,
    hindrance::Seizure,
    live::LiveEnv,
    managed_fields,
    ownership::{Place, PlaceRef, by_ref},
    patch::{self, apply_of},
    site::Site,
};

/// A request about a Deployment.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The server-side apply of the plan.
    Apply,
    /// A server-side apply of what is ours already, which records what is about to be displaced.
    Record(Json),
    /// A JSON Patch of entries, in the name of the transient manager.
    Rewrite {
        /// What it does, one entry at a time.
        changes: Vec<Change>,
        /// The request.
        patch: Json,
    },
    /// A JSON Patch of the managed fields alone: what the transient manager owns goes to whom it belongs, and
    /// what is another's by value becomes so whole.
    HandOver {
        /// What was put back, and is its owner's again.
        to: BTreeMap<Place, Displaced>,
        /// Places that stay in its hands for now.
        stay: BTreeSet<Place>,
        /// Who gets the entry around their value.
        whole: BTreeMap<Place, Owner>,
        /// The request.
        patch: Json,
    },
}

impl Step {
    /// A word for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Step::Apply => "apply",
            Step::Record(_) => "record",
            Step::Rewrite { .. } => "rewrite",
            Step::HandOver { .. } => "hand over",
        }
    }

    /// Whether it brings what is planned into the template, as far as it can.
    pub fn delivers(&self) -> bool {
        matches!(self, Step::Apply | Step::Rewrite { .. })
    }
}

/// One entry of a container's environment.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The entry is put in the place of what is there, or at the end.
    Put(Place, Json),
    /// The entry goes, whole.
    Remove(Place),
}

/// What is to become of an entry, before it is known whether it is sent.
enum Draft<'a> {
    Ours(&'a EnvEntry),
    Theirs(&'a Json),
    Gone,
}

impl Draft<'_> {
    fn of(self, (container, variable): PlaceRef<'_>) -> Change {
        let place = (container.to_owned(), variable.to_owned());
        match self {
            Draft::Ours(env) => Change::Put(place, env.json()),
            Draft::Theirs(entry) => Change::Put(place, entry.clone()),
            Draft::Gone => Change::Remove(place),
        }
    }
}

/// What a step is decided from.
pub struct Stand<'a, 's> {
    pub snapshot: &'a Snapshot,
    pub site: &'a Site<'s>,
    pub live: &'a LiveDeployment,
    /// What is to be ours.
    pub planned: &'a [PlannedContainer],
    /// The annotation on the pod template, which is ours too.
    pub content: Option<&'a str>,
    /// On whose account.
    pub attribution: &'a Attribution,
    /// Variables that become ours although another hand is on them.
    pub seized: &'a BTreeMap<Place, Seizure>,
    /// Whether the live object is as planned, but for transient traces.
    pub is_as_planned: bool,
}

impl Stand<'_, '_> {
    /// The next request; `None` when nothing is left to do.
    pub fn next(&self) -> Option<Step> {
        self.let_go()
            .or_else(|| self.record())
            .or_else(|| self.rewrite())
            .or_else(|| self.take_content())
            .or_else(|| self.hand_over())
            .or_else(|| (!self.is_as_planned).then_some(Step::Apply))
            .or_else(|| self.finish())
    }

    /// What is another's by value and nothing of ours is planned for becomes so whole: an apply would take it off.
    fn let_go(&self) -> Option<Step> {
        let ownership = &self.live.ownership;
        let places = ownership.rootless.iter().filter(|place| !has_entry(self.planned, place));
        let whole: BTreeMap<Place, Owner> =
            places.filter_map(|place| Some((place.clone(), ownership.others.get(place)?.first()?.clone()))).collect();
        (!whole.is_empty()).then(|| self.hand_over_to(BTreeMap::new(), ownership.transient.clone(), whole))
    }

    /// Before anything is displaced it is on record.
    fn record(&self) -> Option<Step> {
        let is_recorded = |place: &Place, displaced: &Displaced| self.site.recorded(by_ref(place)) == Some(displaced);
        let new: Vec<_> = self
            .seized
            .iter()
            .filter_map(|(place, seizure)| Some((place, seizure.displaced.as_ref()?)))
            .filter(|(place, displaced)| !is_recorded(place, displaced))
            .collect();
        if new.is_empty() {
            return None;
        }
        // Where somebody wiped the annotation, the plan says who may have caused what is ours.
        let by_plan = || self.attribution.among(&self.live.ownership.ours);
        let mut attribution = self.site.record().cloned().unwrap_or_else(by_plan);
        new.into_iter().for_each(|(place, displaced)| attribution.displace(by_ref(place), displaced.clone()));
        let ownership = &self.live.ownership;
        let is_ours = |container: &str, env: &LiveEnv| {
            let place = (container.to_owned(), env.name.clone());
            // A value that somebody set in an entry of ours is not made ours by the way.
            let is_theirs = ownership.bare.contains(&place) && ownership.others.contains_key(&place);
            ownership.ours.contains(&place) && (!is_theirs || has_entry(self.planned, &place))
        };
        let containers = self.live.containers.iter().filter_map(|container| {
            let ours = container.env.iter().filter(|env| is_ours(&container.name, env)).map(LiveEnv::entry);
            let ours: Vec<Json> = ours.collect();
            (!ours.is_empty()).then(|| json!({"name": container.name, "env": ours}))
        });
        let uid = Some(self.live.uid.as_str());
        let content = self.live.content.as_deref().filter(|_| self.live.ownership.content);
        let containers = containers.collect();
        Some(Step::Record(apply_of(self.snapshot, self.site.name, uid, Some(&attribution), content, containers)))
    }

    /// All of the template that changes, in one patch, if an apply cannot do it.
    fn rewrite(&self) -> Option<Step> {
        let ownership = &self.live.ownership;
        if self.is_as_planned && ownership.transient.is_empty() {
            return None;
        }
        let mut needed = false;
        let mut changes: Vec<(PlaceRef<'_>, Draft<'_>)> = Vec::new();
        for container in self.planned {
            for env in &container.env {
                let there = self.site.variables().get(&container.name, &env.name);
                if there.iter().any(|value| env.is(value)) {
                    continue;
                }
                let is_contested = || {
                    let place = (container.name.clone(), env.name.clone());
                    self.seized.contains_key(&place) || ownership.transient.contains(&place)
                };
                needed |= !there.is_empty() && is_contested();
                changes.push(((&container.name, &env.name), Draft::Ours(env)));
            }
        }
        let planned = LazyCell::new(|| places(self.planned).collect::<BTreeSet<_>>());
        for place in ownership.held().filter(|place| !planned.contains(&by_ref(place))) {
            let there = self.site.variables().get(&place.0, &place.1);
            // Whoever has set a value of theirs meanwhile keeps it; of several entries none is touched.
            if ownership.others.contains_key(place) || there.len() != 1 {
                continue;
            }
            match self.displaced(place) {
                Some(displaced) if self.entry(place).as_ref() == Some(displaced.entry()) => {}
                Some(displaced) => {
                    needed = true;
                    changes.push((by_ref(place), Draft::Theirs(displaced.entry())));
                }
                None => {
                    // An apply takes off what is ours alone; of what somebody else has a part it leaves an empty rest.
                    needed |= ownership.shells.contains_key(place) || ownership.transient.contains(place);
                    changes.push((by_ref(place), Draft::Gone));
                }
            }
        }
        if !needed {
            return None;
        }
        let changes: Vec<Change> = changes.into_iter().map(|(place, draft)| draft.of(place)).collect();
        Some(Step::Rewrite { patch: patch::rewrite(self.live, &changes), changes })
    }

    /// The annotation on the pod template, where somebody has set it who acted once: an undo brings back an older one,
    /// and an apply that is not forced is refused. With who will set it again nobody fights.
    fn take_content(&self) -> Option<Step> {
        let (content, there) = (self.content?, self.live.content.as_deref()?);
        let ownership = &self.live.ownership;
        let is_taken = !ownership.content && there != content && !ownership.content_of.as_ref().is_some_and(asserts);
        is_taken.then(|| Step::Rewrite { changes: vec![], patch: patch::rewrite_content(self.live, content) })
    }

    /// What was put back goes to whom it belongs.
    fn hand_over(&self) -> Option<Step> {
        let is_planned = |place: &Place| has_entry(self.planned, place);
        let ownership = &self.live.ownership;
        let (stay, leave): (BTreeSet<Place>, BTreeSet<Place>) =
            ownership.transient.iter().cloned().partition(is_planned);
        let to = leave.iter().filter_map(|place| Some((place.clone(), self.displaced(place)?.clone()))).collect();
        (!leave.is_empty()).then(|| self.hand_over_to(to, stay, BTreeMap::new()))
    }

    /// Nothing is left but the transient manager's traces.
    fn finish(&self) -> Option<Step> {
        self.live.ownership.has_transient.then(|| self.hand_over_to(BTreeMap::new(), BTreeSet::new(), BTreeMap::new()))
    }

    fn hand_over_to(
        &self,
        to: BTreeMap<Place, Displaced>,
        stay: BTreeSet<Place>,
        whole: BTreeMap<Place, Owner>,
    ) -> Step {
        let patch = managed_fields::hand_over(&self.live.ownership.entries, &to, &stay, &whole);
        Step::HandOver { to, stay, whole, patch }
    }

    fn displaced(&self, place: &Place) -> Option<&Displaced> {
        self.site.displaced(by_ref(place))
    }

    fn entry(&self, (container, variable): &Place) -> Option<Json> {
        let env = &self.live.container(container)?.env;
        env.iter().find(|env| env.name == *variable).map(LiveEnv::entry)
    }
}
