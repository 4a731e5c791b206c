//! The server-side apply of a Deployment, and whether one is needed at all.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::api::{ANNOTATION_DELIVERED, LABEL_MANAGED};

use super::{
    Attribution, LiveDeployment, PlannedContainer, Snapshot,
    ownership::{Place, PlaceRef, by_ref},
    site::Site,
};

/// Whether the live object says all that we would say, and our manager owns exactly that.
pub fn is_as_planned(
    site: &Site<'_>,
    live: &LiveDeployment,
    planned: &[PlannedContainer],
    attribution: &Attribution,
) -> bool {
    let places: BTreeSet<PlaceRef<'_>> = planned
        .iter()
        .flat_map(|container| container.env.iter().map(|env| (container.name.as_str(), env.name.as_str())))
        .collect();
    if !places.into_iter().eq(live.ownership.ours.iter().map(by_ref)) {
        return false;
    }
    let metadata = if planned.is_empty() {
        !live.ownership.metadata
    } else {
        live.ownership.metadata
            && live.managed.as_deref() == Some("true")
            && live.delivered.as_deref() == Some(&attribution.write())
    };
    holds(site, planned) && metadata
}

/// Whether the live object has every planned variable as it is planned.
fn holds(site: &Site<'_>, planned: &[PlannedContainer]) -> bool {
    planned.iter().all(|container| {
        container
            .env
            .iter()
            .all(|env| site.variables().get(&container.name, &env.name).iter().any(|value| env.is(value)))
    })
}

/// Whether the apply changes the pod template, and pods are replaced. An annotation alone moves the
/// Deployment's generation too.
pub fn changes_template(site: &Site<'_>, live: &LiveDeployment, planned: &[PlannedContainer]) -> bool {
    let is_planned = |(container, variable): &Place| {
        planned.iter().any(|planned| planned.name == *container && planned.env.iter().any(|env| env.name == *variable))
    };
    let is_ours_alone = |place: &&Place| !live.ownership.others.contains_key(*place);
    !holds(site, planned) || live.ownership.ours.iter().filter(is_ours_alone).any(|place| !is_planned(place))
}

/// The server-side apply. What it does not list and we own is released.
pub fn patch(
    snapshot: &Snapshot,
    name: &str,
    uid: Option<&str>,
    planned: &[PlannedContainer],
    attribution: &Attribution,
) -> Json {
    let mut patch = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": snapshot.key.namespace},
    });
    if let Some(uid) = uid {
        patch["metadata"]["uid"] = uid.into();
    }
    if !planned.is_empty() {
        patch["metadata"]["labels"] = json!({LABEL_MANAGED: "true"});
        patch["metadata"]["annotations"] = json!({ANNOTATION_DELIVERED: attribution.write()});
        let containers: Vec<Json> = planned
            .iter()
            .map(|container| json!({"name": container.name, "env": container.env.iter().map(super::EnvEntry::json).collect::<Vec<_>>()}))
            .collect();
        patch["spec"] = json!({"template": {"spec": {"containers": containers}}});
    }
    patch
}
