//! Who may use the Timbr of a namespace, by what is in files: the same trust and the same policies as the operator's.

mod change;
mod matrix;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{Kind, Object},
    compose::{Access, is_sound},
    policy::{State, Unlisted, Workload},
};

use super::{Judged, objects::Ours};

pub use change::Change;
pub use matrix::{Matrix, matrix};

/// What of a namespace decides who may use its Timbr. A policy that a cluster would not take may not be missed: it is
/// there, and admits nobody.
pub fn access<'a>(judged: &'a Judged<'_>, namespace: &'a str) -> Access<'a> {
    let here = || judged.objects.ours.iter().filter(move |ours| ours.object.meta().namespace == namespace);
    let installations = here().filter_map(|ours| match &ours.object {
        Object::Installation(installation) => Some(installation),
        Object::Resource(_) => None,
    });
    let resources = here().filter_map(|ours| match &ours.object {
        Object::Resource(resource) if resource.meta.kind == Kind::InboundAccessPolicy || ours.stands() => {
            Some((resource, is_sound(resource)))
        }
        _ => None,
    });
    let guards = judged.objects.guards.get(namespace);
    let mut access = Access::new(&judged.settings, namespace, installations, resources, guards);
    let of_kind = |kind: Kind| here().filter(move |ours| ours.object.meta().kind == kind);
    for policy in &mut access.policies {
        let is_it = |ours: &&Ours| ours.object.meta().name == policy.name;
        let Some(ours) = of_kind(Kind::InboundAccessPolicy).find(is_it).filter(|ours| !ours.stands()) else { continue };
        policy.state = State::Invalid;
        // The other one may guard another component.
        policy.target = policy.target.filter(|_| !ours.twice);
    }
    // The other one may say Required.
    if of_kind(Kind::TimbrInstallation).any(|ours| ours.twice) {
        access.trust.unlisted = Unlisted::Closed;
    }
    access.trust.registered = registered(judged);
    access
}

/// The registered applications. One client id of two applications is nobody's.
fn registered(judged: &Judged<'_>) -> BTreeMap<String, Workload> {
    let all = &judged.objects.registered;
    let is_only = |client: &str| all.iter().filter(|(its, _)| its == client).count() == 1;
    let only = all.iter().filter(|(client, _)| is_only(client));
    only.map(|(client, (namespace, name))| {
        let workload = Workload { application: Some(name.clone()), namespace: namespace.clone(), cluster: None };
        (client.clone(), workload)
    })
    .collect()
}

/// A sentence for whoever looks at a namespace of which nothing is in the input, while there is something of others.
pub fn elsewhere(judged: &Judged<'_>, namespace: &str) -> Option<String> {
    let namespaces: BTreeSet<&str> =
        judged.objects.ours.iter().map(|ours| ours.object.meta().namespace.as_str()).collect();
    let others: Vec<&str> = namespaces.iter().copied().collect();
    (!others.is_empty() && !namespaces.contains(namespace)).then(|| {
        format!(
            "nothing of namespace {namespace} is in the input, but of {}: name the namespace of Timbr with -n",
            others.join(", ")
        )
    })
}
