//! Managed fields as a document: moving a variable's fields from one owner to another.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Value as Json, json};

use super::{
    Owner,
    ownership::{Place, is_transient},
};

/// Where the containers of a pod template are, in managed fields.
pub const CONTAINERS: [&str; 4] = ["f:spec", "f:template", "f:spec", "f:containers"];
/// Where a container's variables are.
pub const ENV: &str = "f:env";

/// How managed fields spell an entry of a list that is keyed by name.
fn keyed(name: &str) -> String {
    format!("k:{}", json!({"name": name}))
}

/// The path of a variable.
fn path((container, variable): &Place) -> Vec<String> {
    let mut path: Vec<String> = CONTAINERS.iter().map(|step| (*step).to_owned()).collect();
    path.extend([keyed(container), ENV.to_owned(), keyed(variable)]);
    path
}

/// What a document says of a variable.
fn get<'a>(fields: &'a Json, place: &Place) -> Option<&'a Json> {
    path(place).iter().try_fold(fields, |fields, step| fields.get(step))
}

/// Adds what is said of a variable to a document, which may say something of it already.
fn add(fields: &mut Json, place: &Place, of_place: &Json) {
    let mut here = fields;
    for step in path(place) {
        // Managed fields are objects all the way down.
        here = &mut here[step];
    }
    merge(here, of_place);
}

fn merge(into: &mut Json, from: &Json) {
    let Some(from) = from.as_object() else { return };
    if !into.is_object() {
        *into = json!({});
    }
    let Some(into) = into.as_object_mut() else { return };
    for (key, value) in from {
        merge(into.entry(key.clone()).or_insert_with(|| json!({})), value);
    }
}

/// The JSON Patch by which the transient manager's entry goes, but for what stays in its hands; what of it
/// belongs to others becomes part of their own entries, or of new ones. It fails when the managed fields
/// are others by then.
pub fn hand_over(entries: &[ManagedFieldsEntry], to: &BTreeMap<Place, Owner>, stay: &BTreeSet<Place>) -> Json {
    const AT: &str = "/metadata/managedFields";
    let document = |entry: &ManagedFieldsEntry| serde_json::to_value(entry).unwrap_or_default();
    let mut patch = Vec::new();
    let test = |index: usize, entry: &ManagedFieldsEntry| {
        ["manager", "operation", "fieldsV1"].map(
            |field| json!({"op": "test", "path": format!("{AT}/{index}/{field}"), "value": document(entry)[field]}),
        )
    };
    // One at most: the API server keeps one entry a manager and operation.
    let Some((at, transient)) = entries.iter().enumerate().find(|(_, entry)| is_transient(entry)) else {
        return json!([]);
    };
    patch.extend(test(at, transient));
    let fields = |entry: &ManagedFieldsEntry| document(entry)["fieldsV1"].take();
    let in_transit = fields(transient);
    let moved = |places: &mut dyn Iterator<Item = &Place>, mut document: Json| {
        places
            .filter_map(|place| Some((place, get(&in_transit, place)?)))
            .for_each(|(place, of_place)| add(&mut document, place, of_place));
        document
    };
    let owners: BTreeSet<&Owner> = to.values().collect();
    let mut new = Vec::new();
    for owner in owners {
        let is_theirs = |entry: &&ManagedFieldsEntry| {
            entry.manager.as_deref() == Some(&owner.manager)
                && entry.operation.as_deref() == Some(&owner.operation)
                && entry.subresource.is_none()
        };
        let there = entries.iter().enumerate().find(|(_, entry)| is_theirs(entry));
        let before = there.map_or_else(|| json!({}), |(_, entry)| fields(entry));
        let theirs = moved(&mut to.iter().filter(|(_, to)| *to == owner).map(|(place, _)| place), before);
        match there {
            Some((index, entry)) => {
                patch.extend(test(index, entry));
                patch.push(json!({"op": "replace", "path": format!("{AT}/{index}/fieldsV1"), "value": theirs}));
            }
            None => {
                let mut entry = document(transient);
                entry["manager"] = owner.manager.as_str().into();
                entry["operation"] = owner.operation.as_str().into();
                entry["fieldsV1"] = theirs;
                new.push(json!({"op": "add", "path": format!("{AT}/-"), "value": entry}));
            }
        }
    }
    let rest = moved(&mut stay.iter(), json!({}));
    if stay.is_empty() {
        patch.push(json!({"op": "remove", "path": format!("{AT}/{at}")}));
    } else {
        patch.push(json!({"op": "replace", "path": format!("{AT}/{at}/fieldsV1"), "value": rest}));
    }
    patch.append(&mut new);
    patch.into()
}
