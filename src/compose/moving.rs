//! A resource whose Deployment is another than before. What it has on the old one stays until it is on the
//! new one: its users go on signing in where they did, as long as the new one is missing or refuses.

use crate::api::{Component, Meta, Resource, Spec};

use super::{
    Attribution, Lookup, Snapshot,
    installation::{Claims, InstallationKey},
    kinds::components_of,
};

/// The resources that have something on a Deployment that no installation names any more, and not yet on all
/// the Deployments where they belong now.
pub(super) fn moving<'a>(snapshot: &'a Snapshot, claims: &Claims<'_>, record: Option<&Attribution>) -> Vec<&'a Meta> {
    let names = claims.names();
    let is_on_its_way = |resource: &&Resource<Spec>| {
        let holder = resource.meta.holder();
        record.is_some_and(|record| record.has(&holder))
            && resource.key(&names).is_ok_and(|key| !has_arrived(snapshot, claims, &key, &resource.meta, &holder))
    };
    snapshot.resources.iter().filter(is_on_its_way).map(|resource| &resource.meta).collect()
}

/// Whether everything that wants a component is where it belongs now.
pub(super) fn have_all_arrived(snapshot: &Snapshot, claims: &Claims<'_>, component: Component) -> bool {
    let names = claims.names();
    let mut wanted =
        snapshot.resources.iter().filter(|resource| components_of(resource.meta.kind).contains(&component));
    wanted.all(|resource| {
        let holder = resource.meta.holder();
        resource.key(&names).is_ok_and(|key| has_arrived(snapshot, claims, &key, &resource.meta, &holder))
    })
}

fn has_arrived(snapshot: &Snapshot, claims: &Claims<'_>, key: &InstallationKey, meta: &Meta, holder: &str) -> bool {
    let components = components_of(meta.kind);
    let has = |deployment: &str| {
        let live = snapshot.deployments.get(deployment).and_then(Lookup::found);
        let record = Attribution::read(live.and_then(|live| live.delivered.as_deref()));
        record.is_some_and(|record| record.has(holder))
    };
    let targets = claims.targets(key);
    let mut wanted = targets.iter().filter(|target| components.contains(&target.component));
    !targets.is_empty() && wanted.all(|target| has(&target.deployment))
}
