//! The server-side apply of a Deployment, and whether one is needed at all.

use serde_json::{Value as Json, json};

use crate::api::{ANNOTATION_CONTENT, ANNOTATION_DELIVERED, LABEL_MANAGED};

use super::{
    Attribution, EnvEntry, LiveDeployment, PlannedContainer, Snapshot,
    deployment::{has_entry, places},
    ownership::{Place, PlaceRef, by_ref},
    site::Site,
    step::Change,
};

/// What is ours of a Deployment.
#[derive(Clone, Copy)]
pub struct Template<'a> {
    /// Its containers and what they have of us.
    pub containers: &'a [PlannedContainer],
    /// The annotation on the pod template.
    pub content: Option<&'a str>,
    /// Our annotation, while there is anything of ours; the label goes with it.
    pub record: Option<&'a Attribution>,
}

/// Whether the live object says all that we would say, and our manager owns exactly that.
pub fn is_as_planned(site: &Site<'_>, live: &LiveDeployment, template: &Template<'_>) -> bool {
    let mut places: Vec<PlaceRef<'_>> = places(template.containers).collect();
    places.sort_unstable();
    if !live.ownership.bare.is_empty() || !places.into_iter().eq(live.ownership.ours.iter().map(by_ref)) {
        return false;
    }
    let metadata = match template.record {
        None => !live.ownership.metadata,
        Some(record) => {
            live.ownership.metadata
                && live.managed.as_deref() == Some("true")
                && live.delivered.as_deref() == Some(&record.write())
        }
    };
    holds(site, template.containers) && has_content(live, template.content) && metadata
}

/// Whether the pod template has the planned annotation of ours, or none.
fn has_content(live: &LiveDeployment, content: Option<&str>) -> bool {
    match content {
        Some(content) => live.ownership.content && live.content.as_deref() == Some(content),
        None => !live.ownership.content,
    }
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
pub fn changes_template(site: &Site<'_>, live: &LiveDeployment, template: &Template<'_>) -> bool {
    let planned = template.containers;
    let is_ours_alone = |place: &&Place| !live.ownership.others.contains_key(*place);
    !holds(site, planned)
        || !has_content(live, template.content)
        || live.ownership.ours.iter().filter(is_ours_alone).any(|place| !has_entry(planned, place))
}

/// The server-side apply. What it does not list and we own is released.
pub fn patch(snapshot: &Snapshot, name: &str, uid: Option<&str>, template: &Template<'_>) -> Json {
    let with_entries = template.containers.iter().filter(|container| !container.env.is_empty());
    let containers = with_entries.map(|container| {
        let env = container.env.iter().map(EnvEntry::json).collect();
        object([("name", container.name.as_str().into()), ("env", env)])
    });
    apply_of(snapshot, name, uid, template.record, template.content, containers.collect())
}

/// A server-side apply of these containers; label and annotation are ours while there is a record.
pub fn apply_of(
    snapshot: &Snapshot,
    name: &str,
    uid: Option<&str>,
    record: Option<&Attribution>,
    content: Option<&str>,
    containers: Vec<Json>,
) -> Json {
    let mut patch = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": snapshot.key.namespace},
    });
    if let Some(uid) = uid {
        patch["metadata"]["uid"] = uid.into();
    }
    if let Some(record) = record {
        patch["metadata"]["labels"] = json!({LABEL_MANAGED: "true"});
        patch["metadata"]["annotations"] = json!({ANNOTATION_DELIVERED: record.write()});
    }
    if !containers.is_empty() {
        let spec = object([("containers", containers.into())]);
        patch["spec"] = object([("template", object([("spec", spec)]))]);
    }
    if let Some(content) = content {
        patch["spec"]["template"]["metadata"] = json!({"annotations": {ANNOTATION_CONTENT: content}});
    }
    patch
}

/// An object of values that are moved into it: `json!` copies what it is given, and this may be a thousand variables.
fn object<const N: usize>(fields: [(&str, Json); N]) -> Json {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The JSON Patch of entries. It fails when any of them, or its place, is another by then.
pub fn rewrite(live: &LiveDeployment, changes: &[Change]) -> Json {
    let mut tests = vec![json!({"op": "test", "path": "/metadata/uid", "value": live.uid})];
    let (mut replaced, mut removed, mut added) = (Vec::new(), Vec::new(), Vec::new());
    for (at, container) in live.containers.iter().enumerate() {
        let path = format!("/spec/template/spec/containers/{at}");
        let mut is_touched = false;
        let mut is_empty = container.env.is_empty();
        let mut entry = |variable: &str| {
            let found = container.env.iter().position(|env| env.name == variable)?;
            let path = format!("{path}/env/{found}");
            tests.push(json!({"op": "test", "path": path, "value": container.env[found].entry()}));
            Some((found, path))
        };
        let mut removals = Vec::new();
        for change in changes {
            match change {
                Change::Put((of, variable), value) if *of == container.name => {
                    is_touched = true;
                    match entry(variable) {
                        Some((_, path)) => replaced.push(json!({"op": "replace", "path": path, "value": value})),
                        None => {
                            if std::mem::take(&mut is_empty) {
                                added.push(json!({"op": "add", "path": format!("{path}/env"), "value": []}));
                            }
                            added.push(json!({"op": "add", "path": format!("{path}/env/-"), "value": value}));
                        }
                    }
                }
                Change::Remove((of, variable)) if *of == container.name => {
                    is_touched = true;
                    removals.extend(entry(variable));
                }
                Change::Put(..) | Change::Remove(..) => {}
            }
        }
        // From the end, so that the indices of the others hold.
        removals.sort_by_key(|(index, _)| std::cmp::Reverse(*index));
        removed.extend(removals.into_iter().map(|(_, path)| json!({"op": "remove", "path": path})));
        if is_touched {
            tests.push(json!({"op": "test", "path": format!("{path}/name"), "value": container.name}));
        }
    }
    [tests, replaced, removed, added].concat().into()
}

/// The JSON Patch of the annotation on the pod template. It fails when that is another by then.
pub fn rewrite_content(live: &LiveDeployment, content: &str) -> Json {
    let path =
        format!("/spec/template/metadata/annotations/{}", ANNOTATION_CONTENT.replace('~', "~0").replace('/', "~1"));
    json!([
        {"op": "test", "path": "/metadata/uid", "value": live.uid},
        {"op": "test", "path": path, "value": live.content},
        {"op": "replace", "path": path, "value": content},
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::live_deployment;

    /// Every entry is tested for what it was, and every container for where it is; removals go from the end.
    #[test]
    fn a_rewrite_tests_what_it_changes() {
        let env = |name: &str, value: &str| json!({"name": name, "value": value});
        let live = live_deployment(
            &serde_json::from_value(json!({
                "metadata": {"name": "web", "uid": "u"},
                "spec": {"selector": {}, "template": {"spec": {"containers": [
                    {"name": "untouched", "env": [env("A", "0")]},
                    {"name": "bare"},
                    {"name": "full", "env": [env("A", "1"), env("B", "2"), env("C", "3"), env("A", "twice")]},
                ]}}},
            }))
            .expect("a Deployment"),
        );
        let place = |container: &str, variable: &str| (container.to_owned(), variable.to_owned());
        let changes = [
            Change::Remove(place("full", "A")),
            Change::Put(place("bare", "A"), env("A", "new")),
            Change::Put(place("full", "B"), env("B", "other")),
            Change::Remove(place("full", "C")),
            Change::Put(place("bare", "B"), env("B", "new")),
            Change::Remove(place("full", "absent")),
            Change::Put(place("nowhere", "A"), env("A", "lost")),
        ];
        let containers = "/spec/template/spec/containers";
        let op = |op: &str, path: &str, value: Json| json!({"op": op, "path": format!("{containers}/{path}"), "value": value});
        let remove = |path: &str| json!({"op": "remove", "path": format!("{containers}/{path}")});
        let expected = json!([
            {"op": "test", "path": "/metadata/uid", "value": "u"},
            op("test", "1/name", json!("bare")),
            op("test", "2/env/0", env("A", "1")),
            op("test", "2/env/1", env("B", "2")),
            op("test", "2/env/2", env("C", "3")),
            op("test", "2/name", json!("full")),
            op("replace", "2/env/1", env("B", "other")),
            remove("2/env/2"),
            remove("2/env/0"),
            op("add", "1/env", json!([])),
            op("add", "1/env/-", env("A", "new")),
            op("add", "1/env/-", env("B", "new")),
        ]);
        assert_eq!(rewrite(&live, &changes), expected);
    }
}
