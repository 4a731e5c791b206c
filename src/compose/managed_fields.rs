//! Managed fields as a document: moving a variable's fields from one owner to another.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Value as Json, json};

use super::{
    Owner,
    displaced::Displaced,
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

/// The JSON Patch by which the transient manager's entry goes, but for what is to `stay` in its hands. What was
/// put back (`to`) is its owner's as it was before, in the entry that the owner has or in a new one; and others
/// get the entry around values of theirs (`whole`). It fails when the managed fields are others by then.
pub fn hand_over(
    entries: &[ManagedFieldsEntry],
    to: &BTreeMap<Place, Displaced>,
    stay: &BTreeSet<Place>,
    whole: &BTreeMap<Place, Owner>,
) -> Json {
    const AT: &str = "/metadata/managedFields";
    let documents: Vec<Json> = entries.iter().map(|entry| serde_json::to_value(entry).unwrap_or_default()).collect();
    let test = |index: usize| {
        ["manager", "operation", "fieldsV1"].map(
            |field| json!({"op": "test", "path": format!("{AT}/{index}/{field}"), "value": documents[index][field]}),
        )
    };
    let (mut patch, mut new) = (Vec::new(), Vec::new());
    // One at most: the API server keeps one entry a manager and operation.
    let transient = entries.iter().position(is_transient);
    let owned: Vec<(Owner, &Place, Json)> = to
        .iter()
        .map(|(place, displaced)| (displaced.owner(), place, displaced.fields().clone()))
        .chain(whole.iter().map(|(place, owner)| (owner.clone(), place, json!({".": {}, "f:name": {}}))))
        .collect();
    let owners: BTreeSet<&Owner> = owned.iter().map(|(owner, ..)| owner).collect();
    for owner in owners {
        let is_theirs = |entry: &ManagedFieldsEntry| {
            entry.manager.as_deref() == Some(&owner.manager)
                && entry.operation.as_deref() == Some(&owner.operation)
                && entry.subresource.is_none()
        };
        let there = entries.iter().position(is_theirs);
        let mut theirs = there.map_or_else(|| json!({}), |at| documents[at]["fieldsV1"].clone());
        let of_owner = owned.iter().filter(|(of, ..)| of == owner);
        of_owner.for_each(|(_, place, fields)| add(&mut theirs, place, fields));
        match (there, transient) {
            (Some(at), _) => {
                patch.extend(test(at));
                patch.push(json!({"op": "replace", "path": format!("{AT}/{at}/fieldsV1"), "value": theirs}));
            }
            (None, Some(transient)) => {
                let mut entry = documents[transient].clone();
                entry["manager"] = owner.manager.as_str().into();
                entry["operation"] = owner.operation.as_str().into();
                entry["fieldsV1"] = theirs;
                new.push(json!({"op": "add", "path": format!("{AT}/-"), "value": entry}));
            }
            (None, None) => {}
        }
    }
    if let Some(at) = transient {
        patch.extend(test(at));
        patch.push(match stay.is_empty() {
            true => json!({"op": "remove", "path": format!("{AT}/{at}")}),
            false => {
                let mut rest = json!({});
                let in_transit = &documents[at]["fieldsV1"];
                stay.iter()
                    .filter_map(|place| Some((place, get(in_transit, place)?)))
                    .for_each(|(place, fields)| add(&mut rest, place, fields));
                json!({"op": "replace", "path": format!("{AT}/{at}/fieldsV1"), "value": rest})
            }
        });
    }
    patch.append(&mut new);
    patch.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::{LiveEnv, LiveValue};

    fn entries(json: Json) -> Vec<ManagedFieldsEntry> {
        serde_json::from_value(json).expect("managed fields")
    }

    fn env(variables: Json) -> Json {
        json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {"f:env": variables}}}}}})
    }

    fn place(variable: &str) -> Place {
        ("web".to_owned(), variable.to_owned())
    }

    fn owner(manager: &str) -> Owner {
        Owner { manager: manager.to_owned(), operation: "Update".to_owned() }
    }

    /// What was displaced is its owner's again, in the entry that it has; a new owner gets one.
    #[test]
    fn fields_go_to_their_owners() {
        let of = |manager: &str, fields: Json| json!({"manager": manager, "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": fields});
        let (a, b) = ("k:{\"name\":\"A\"}", "k:{\"name\":\"B\"}");
        let helm = env(json!({a: {".": {}, "f:name": {}}}));
        let transient = env(json!({a: {"f:value": {}}, b: {"f:value": {}}}));
        let all = entries(json!([of("helm", helm.clone()), of("timbr-identity-adopt", transient.clone())]));
        let test = |at: usize, manager: &str, fields: &Json| {
            vec![
                json!({"op": "test", "path": format!("/metadata/managedFields/{at}/manager"), "value": manager}),
                json!({"op": "test", "path": format!("/metadata/managedFields/{at}/operation"), "value": "Update"}),
                json!({"op": "test", "path": format!("/metadata/managedFields/{at}/fieldsV1"), "value": fields}),
            ]
        };
        let with_value = env(json!({a: {".": {}, "f:name": {}, "f:value": {}}}));
        let give = json!({"op": "replace", "path": "/metadata/managedFields/0/fieldsV1", "value": with_value});
        let remove = json!({"op": "remove", "path": "/metadata/managedFields/1"});
        let value = json!({".": {}, "f:name": {}, "f:value": {}});
        let displaced = |manager: &str| {
            let entry = LiveEnv { name: "A".to_owned(), value: LiveValue::Plain("x".into()) };
            Displaced::new(Some(&owner(manager)), &entry, Some(&value))
        };
        let to = BTreeMap::from([(place("A"), displaced("helm"))]);
        let none = BTreeMap::new();

        let patch = hand_over(&all, &to, &BTreeSet::new(), &none);
        let expected = [
            test(0, "helm", &helm),
            vec![give.clone()],
            test(1, "timbr-identity-adopt", &transient),
            vec![remove.clone()],
        ];
        assert_eq!(patch, Json::from(expected.concat()));

        // What is still to be ours stays in transit.
        let patch = hand_over(&all, &to, &BTreeSet::from([place("B")]), &none);
        let rest = json!({"op": "replace", "path": "/metadata/managedFields/1/fieldsV1", "value": env(json!({b: {"f:value": {}}}))});
        let expected = [test(0, "helm", &helm), vec![give], test(1, "timbr-identity-adopt", &transient), vec![rest]];
        assert_eq!(patch, Json::from(expected.concat()));

        // An owner who is not there any more gets an entry of its own.
        let patch = hand_over(&all, &BTreeMap::from([(place("B"), displaced("argocd"))]), &BTreeSet::new(), &none);
        let new = of("argocd", env(json!({b: value})));
        let add = json!({"op": "add", "path": "/metadata/managedFields/-", "value": new});
        assert_eq!(patch, Json::from([test(1, "timbr-identity-adopt", &transient), vec![remove, add]].concat()));
    }

    /// Whoever has the value of an entry gets the entry too, so that it stays when ours goes.
    #[test]
    fn an_entry_goes_with_its_value() {
        let a = "k:{\"name\":\"A\"}";
        let fields = env(json!({a: {"f:value": {}}}));
        let all = entries(json!([{"manager": "kubectl-set", "operation": "Update", "fieldsV1": fields}]));
        let whole = BTreeMap::from([(place("A"), owner("kubectl-set"))]);
        let patch = hand_over(&all, &BTreeMap::new(), &BTreeSet::new(), &whole);
        let expected = env(json!({a: {".": {}, "f:name": {}, "f:value": {}}}));
        assert_eq!(patch[3], json!({"op": "replace", "path": "/metadata/managedFields/0/fieldsV1", "value": expected}));
        assert_eq!(patch.as_array().map(Vec::len), Some(4));
    }
}
