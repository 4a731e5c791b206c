//! What stays on a Deployment although no active resource asks for it: what resources that cannot speak
//! for themselves delivered before, and what a deleted KeyVaultBinding leaves behind.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{Component, Kind, Meta, Sensitive};

use super::{
    Attribution, LiveDeployment, LiveValue, Lookup, PlainValue, Snapshot,
    attribution::RETAINED,
    credentials::TRIO,
    demand::is_sensitive,
    deployment::Claim,
    installation::Claims,
    key_vault_binding::is_of_vault,
    kinds::components_of,
    ownership::{Place, by_ref},
    site::Site,
};

/// What stays.
#[derive(Debug, Default)]
pub struct Kept<'a> {
    /// Values that no active resource asks for.
    pub values: BTreeMap<Place, KeptValue<'a>>,
    /// Variables that only a deleted KeyVaultBinding stands for.
    pub orphans: BTreeSet<Place>,
    /// Whether they had a holder until now.
    pub newly_orphaned: bool,
}

/// A value that no active resource asks for.
#[derive(Clone, Copy, Debug)]
pub enum KeptValue<'a> {
    /// It is in an entry of ours.
    Entry(&'a LiveValue),
    /// It is only in the Secret that charts name.
    Shelved(&'a Sensitive),
}

impl KeptValue<'_> {
    /// The value itself, if it is to be had.
    pub fn resolve(&self, snapshot: &Snapshot) -> Option<Sensitive> {
        match self {
            KeptValue::Entry(LiveValue::Plain(value)) => Some(value.clone()),
            KeptValue::Shelved(value) => Some((*value).clone()),
            KeptValue::Entry(LiveValue::SecretKey { name, key }) => {
                snapshot.secrets.get(name)?.found()?.data.get(key).cloned()
            }
            KeptValue::Entry(LiveValue::Other(_)) => None,
        }
    }
}

/// What stays on a live Deployment, beside what is wanted; notes in `attribution` on whose account.
pub fn keep<'a>(
    snapshot: &Snapshot,
    site: &Site<'a>,
    live: &'a LiveDeployment,
    claims: &[Claim],
    adrift: &[&Meta],
    is_wanted: impl Fn(&Place) -> bool,
    attribution: &mut Attribution,
) -> Kept<'a> {
    let mut kept = Kept::default();
    // In the steady state nothing is left to keep, nobody is silent, and nothing need be read.
    let is_quiet = claims.iter().all(|claim| claim.retains.is_none() && (claim.active || replaced(claim, claims)))
        && adrift.is_empty()
        && live.ownership.ours.iter().all(&is_wanted)
        && site.all_shelved().all(|place| is_wanted(&place))
        && !live.delivered.as_deref().is_some_and(|before| before.contains(RETAINED));
    if is_quiet {
        return kept;
    }
    let before = site.record();
    let silent = silent(snapshot, claims, adrift, before);
    let vault = Vault::of(snapshot, site, claims, before);
    let ours: BTreeSet<Place> = live.ownership.ours.iter().cloned().chain(site.all_shelved()).collect();
    let can_stay = |place: &&Place| could_be_kept(live, place).is_some() || site.shelved(by_ref(place)).is_some();
    let keepable: BTreeSet<Place> = ours.iter().filter(can_stay).cloned().collect();
    for place in &ours {
        let held_by = |Silent { holder, components, .. }: &&Silent| match before {
            Some(before) => before.holders(by_ref(place)).any(|name| name == holder),
            // Somebody wiped the annotation: whoever may have caused it keeps it, as taking sign-in
            // away is the greater harm.
            None => components.iter().any(|component| site.container(*component) == Some(Ok(place.0.as_str()))),
        };
        if is_wanted(place) {
            // Shared: it stays when the one who asks for it goes.
            let sharers = silent.iter().filter(|silent| !silent.collides && before.is_some()).filter(held_by);
            sharers.for_each(|silent| attribution.add(by_ref(place), &silent.holder));
            if vault.retains(place, &keepable) {
                attribution.retain(by_ref(place));
            }
            continue;
        }
        let entry = live.ownership.ours.contains(place).then(|| could_be_kept(live, place)).flatten();
        let value = entry.map(KeptValue::Entry).or_else(|| site.shelved(by_ref(place)).map(KeptValue::Shelved));
        let Some(value) = value else { continue };
        let mut stays = false;
        for silent in silent.iter().filter(held_by) {
            attribution.add(by_ref(place), &silent.holder);
            stays = true;
        }
        if vault.retains(place, &keepable) && (stays || !vault.is_held(place)) {
            attribution.retain(by_ref(place));
            stays = true;
        }
        if stays {
            kept.values.insert(place.clone(), value);
        }
    }
    for claim in claims.iter().filter(|claim| claim.active && claim.retains == Some(true)) {
        for demand in &claim.demands {
            if let Some(Ok(container)) = site.container(demand.component) {
                attribution.retain((container, &demand.name));
            }
        }
    }
    if !vault.exists {
        kept.orphans = attribution.retained().collect();
        let holders = |place: &Place| before.into_iter().flat_map(|before| before.holders(by_ref(place))).any(is_vault);
        kept.newly_orphaned = kept.orphans.iter().any(holders);
    }
    kept
}

fn is_vault(holder: &str) -> bool {
    is_of_kind(holder, Kind::KeyVaultBinding)
}

fn is_of_kind(holder: &str, kind: Kind) -> bool {
    holder.split_once('/').is_some_and(|(of, _)| of == kind.name())
}

/// What is to be said about variables of a key vault that outlive their resource.
struct Vault<'a> {
    before: Option<&'a Attribution>,
    /// Whether a KeyVaultBinding is there, wherever it belongs.
    exists: bool,
    /// Whether one is active that says Remove: nothing is retained any more.
    removes: bool,
    /// One that is not active, and whether what it delivered outlives it: its word on that counts all the same.
    silent: Option<(&'a str, bool)>,
    /// The server's container.
    container: Option<&'a str>,
    /// Resources that exist, in any installation.
    living: BTreeSet<String>,
}

impl<'a> Vault<'a> {
    fn of(snapshot: &Snapshot, site: &'a Site<'_>, claims: &'a [Claim], before: Option<&'a Attribution>) -> Self {
        let vaults = snapshot.resources.iter().filter(|resource| resource.meta.kind == Kind::KeyVaultBinding);
        let living: BTreeSet<String> = vaults.map(|resource| resource.meta.holder()).collect();
        Self {
            before,
            exists: !living.is_empty(),
            removes: claims.iter().any(|claim| claim.active && claim.retains == Some(false)),
            silent: claims
                .iter()
                .filter(|claim| !claim.active)
                .find_map(|claim| Some((claim.holder.as_str(), claim.retains?))),
            container: site.container(Component::Server).and_then(Result::ok),
            living,
        }
    }

    /// Whether a variable outlives its KeyVaultBinding. Without any record, those that can only be a
    /// key vault's do, and what it cannot work without.
    fn retains(&self, place: &Place, keepable: &BTreeSet<Place>) -> bool {
        if self.removes {
            return false;
        }
        if let Some(retains) = self.word(place) {
            return retains;
        }
        let (container, variable) = place;
        match self.before {
            Some(before) if before.is_retained(by_ref(place)) => true,
            Some(before) => is_of_vault(variable) && before.holders(by_ref(place)).next().is_none(),
            None => {
                let has_vault = || keepable.iter().any(|(of, name)| of == container && is_of_vault(name));
                is_of_vault(variable) || (TRIO.contains(&variable.as_str()) && has_vault())
            }
        }
    }

    /// What one that is not active says of a variable that it delivered. Without any record, that is all that
    /// it could have delivered.
    fn word(&self, (container, variable): &Place) -> Option<bool> {
        let (silent, retains) = self.silent?;
        let is_its = match self.before {
            Some(before) => before.holders((container, variable)).any(|holder| holder == silent),
            None => self.container == Some(container),
        };
        let could_be = is_of_vault(variable) || TRIO.contains(&variable.as_str());
        (is_its && could_be).then_some(retains)
    }

    /// Whether the KeyVaultBinding that caused a variable is still there: then it is moved, not
    /// deleted, and the variable goes with it.
    fn is_held(&self, place: &Place) -> bool {
        self.before.is_some_and(|before| before.holders(by_ref(place)).any(|holder| self.living.contains(holder)))
    }
}

/// A resource whose word does not count now, and whose delivery stays.
struct Silent {
    holder: String,
    components: BTreeSet<Component>,
    /// Whether an older resource's word counts instead.
    collides: bool,
}

/// Whether a resource's place is taken by one that delivers.
fn replaced(claim: &Claim, claims: &[Claim]) -> bool {
    let by = claim.displaced_by.as_ref();
    by.is_some_and(|by| claims.iter().any(|other| other.holder == *by && other.active))
}

/// Resources that exist but cannot speak for themselves, so that what they delivered stays: they are
/// invalid, waiting, in conflict or suspended, or nobody can tell where they belong. One whose place
/// another resource has keeps it until that one delivers.
fn silent(snapshot: &Snapshot, claims: &[Claim], adrift: &[&Meta], before: Option<&Attribution>) -> Vec<Silent> {
    let here = claims.iter().filter(|claim| !claim.active && !replaced(claim, claims)).map(|claim| Silent {
        holder: claim.holder.clone(),
        components: claim.components.clone(),
        collides: claim.collides,
    });
    let adrift = adrift.iter().map(|meta| Silent {
        holder: meta.holder(),
        components: components_of(meta.kind),
        collides: false,
    });
    here.chain(adrift).chain(held_back(snapshot, claims, before)).collect()
}

/// Resources of two Deployments that are deleted, but cannot be released from one of the two: they stay
/// on the other as well. One that cannot be read may carry them.
fn held_back<'a>(
    snapshot: &'a Snapshot,
    claims: &'a [Claim],
    before: Option<&'a Attribution>,
) -> impl Iterator<Item = Silent> {
    let refused = snapshot.refused.keys().filter_map(|name| snapshot.deployments.get(name)?.found());
    let refused: Vec<Attribution> = refused.filter_map(|live| Attribution::read(live.delivered.as_deref())).collect();
    let partners = Claims::of(snapshot)
        .targets(&snapshot.key)
        .into_iter()
        .filter(|target| components_of(Kind::DatabricksPassthrough).contains(&target.component));
    let is_unreadable =
        partners.into_iter().any(|target| snapshot.deployments.get(&target.deployment) == Some(&Lookup::Forbidden));
    let is_gone = |holder: &str| claims.iter().all(|claim| claim.holder != holder);
    let here: BTreeSet<&str> = before.iter().flat_map(|before| before.all_holders()).collect();
    let held: Vec<Silent> = here
        .into_iter()
        .filter(|holder| is_of_kind(holder, Kind::DatabricksPassthrough) && is_gone(holder))
        .filter(|holder| is_unreadable || refused.iter().any(|there| there.all_holders().any(|name| name == *holder)))
        .map(|holder| Silent {
            holder: holder.to_owned(),
            components: components_of(Kind::DatabricksPassthrough),
            collides: false,
        })
        .collect();
    held.into_iter()
}

/// The live value of a variable, if it is one that we could write, and not another's by now: to keep a part
/// of that would leave an empty variable when its owner lets go.
pub fn could_be_kept<'a>(live: &'a LiveDeployment, place: &Place) -> Option<&'a LiveValue> {
    if live.ownership.bare.contains(place) {
        return None;
    }
    let (container, variable) = place;
    let env = &live.container(container)?.env;
    let value = &env.iter().find(|env| env.name == *variable)?.value;
    could_be_ours(variable, value).then_some(value)
}

/// Whether a value is one that we could write: what somebody made of ours may not be, and is theirs.
fn could_be_ours(variable: &str, value: &LiveValue) -> bool {
    match value {
        LiveValue::Plain(_) if is_sensitive(variable) => false,
        LiveValue::Plain(value) => {
            std::str::from_utf8(value.expose()).is_ok_and(|value| PlainValue::new("", value).is_ok())
        }
        LiveValue::SecretKey { .. } => true,
        LiveValue::Other(_) => false,
    }
}
