//! Who owns what of a Deployment's environment, read from its managed fields.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::{Map, Value};

use crate::api::{ANNOTATION_CONTENT, ANNOTATION_DELIVERED, FIELD_MANAGER, LABEL_MANAGED, TRANSIENT_MANAGER};

use super::managed_fields::{CONTAINERS, ENV};

/// A field manager and how it writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The manager's name.
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.manager, self.operation)
    }
}

/// A container and a variable in it.
pub type Place = (String, String);

/// The same of somebody else.
pub type PlaceRef<'a> = (&'a str, &'a str);

/// A place, to look at.
pub fn by_ref((container, variable): &Place) -> PlaceRef<'_> {
    (container, variable)
}

/// Who owns what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ownership {
    /// What our Apply owns: this, and nothing else, is ours.
    pub ours: BTreeSet<Place>,
    /// What of it has lost its value to another owner: our Apply owns the entry and nothing in it.
    pub bare: BTreeSet<Place>,
    /// What a rewrite of ours touched and our Apply has yet to confirm, or its old owner to get back.
    pub transient: BTreeSet<Place>,
    /// Whether a rewrite of ours has left its manager among the owners.
    pub has_transient: bool,
    /// Everybody else who owns the value of a variable.
    pub others: BTreeMap<Place, BTreeSet<Owner>>,
    /// What exactly they own of it, as managed fields say it.
    pub fields: BTreeMap<Place, BTreeMap<Owner, Value>>,
    /// Everybody else who owns a variable's entry, but no value in it: once our value goes, an empty variable is left.
    pub shells: BTreeMap<Place, BTreeSet<Owner>>,
    /// What of [`Self::others`] is theirs by value alone: were our Apply to let go of the entry, it would go with
    /// their value in it.
    pub rootless: BTreeSet<Place>,
    /// Whether our Apply owns the label and the annotation.
    pub metadata: bool,
    /// Whether our Apply owns the annotation on the pod template.
    pub content: bool,
    /// Who wrote last to the pod template, of everybody else.
    pub latest: Option<Owner>,
    /// All of it as it is, while somebody is to get something of ours: it is written there.
    pub entries: Vec<ManagedFieldsEntry>,
}

impl Ownership {
    /// Reads managed fields. What cannot be read owns nothing.
    pub fn read(managed_fields: &[ManagedFieldsEntry]) -> Self {
        let mut ownership = Self::default();
        let mut rooted = BTreeSet::new();
        let mut latest = None;
        for entry in managed_fields {
            let (Some(manager), Some(operation), Some(fields)) = (&entry.manager, &entry.operation, &entry.fields_v1)
            else {
                continue;
            };
            let is_object = entry.subresource.is_none();
            let ours = manager == FIELD_MANAGER && operation == APPLY && is_object;
            let transient = manager == TRANSIENT_MANAGER && is_object;
            let owner = || Owner { manager: manager.clone(), operation: operation.clone() };
            for (container, fields) in containers(fields) {
                for (variable, fields) in keyed(descend(fields, &[ENV])) {
                    let place = (container.clone(), variable);
                    let has_value = owns_value(fields);
                    if !ours && !transient && fields.get(".").is_some() {
                        rooted.insert(place.clone());
                    }
                    if ours {
                        if !has_value {
                            ownership.bare.insert(place.clone());
                        }
                        ownership.ours.insert(place);
                    } else if transient {
                        ownership.transient.insert(place);
                    } else if has_value {
                        ownership.fields.entry(place.clone()).or_default().insert(owner(), fields.clone());
                        ownership.others.entry(place).or_default().insert(owner());
                    } else {
                        ownership.shells.entry(place).or_default().insert(owner());
                    }
                }
            }
            if ours {
                let owns = |map: &str, key: &str| {
                    descend(&fields.0, &["f:metadata", map]).is_some_and(|map| map.contains_key(&format!("f:{key}")))
                };
                ownership.metadata = owns("f:labels", LABEL_MANAGED) && owns("f:annotations", ANNOTATION_DELIVERED);
                let of_template = descend(&fields.0, &["f:spec", "f:template", "f:metadata", "f:annotations"]);
                ownership.content = of_template.is_some_and(|map| map.contains_key(&format!("f:{ANNOTATION_CONTENT}")));
            }
            let time = entry.time.as_ref().map(|time| time.0);
            let touches_template = descend(&fields.0, &["f:spec", "f:template"]).is_some();
            if !ours
                && !transient
                && is_object
                && touches_template
                && latest.as_ref().is_none_or(|(then, _)| *then <= time)
            {
                latest = Some((time, owner()));
            }
        }
        ownership.latest = latest.map(|(_, owner)| owner);
        let is_rootless = |place: &&Place| ownership.others.contains_key(*place) && !rooted.contains(*place);
        ownership.rootless = ownership.ours.iter().filter(is_rootless).cloned().collect();
        ownership.has_transient = managed_fields.iter().any(is_transient);
        if ownership.has_transient || !ownership.rootless.is_empty() {
            ownership.entries = managed_fields.to_vec();
        }
        ownership
    }

    /// Whether a place is ours, or a rewrite of ours is not finished there.
    pub fn is_held(&self, place: &Place) -> bool {
        self.ours.contains(place) || self.transient.contains(place)
    }

    /// The places of [`Self::is_held`].
    pub fn held(&self) -> impl Iterator<Item = &Place> {
        self.ours.union(&self.transient)
    }

    /// Everybody else who owns a variable, for messages: "helm (Update) and argocd (Apply)".
    pub fn others_of(&self, place: &Place) -> Option<String> {
        let owners = self.others.get(place).or_else(|| self.shells.get(place))?;
        Some(owners.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "))
    }
}

/// How server-side apply is called in managed fields.
pub const APPLY: &str = "Apply";

/// Whether an entry is what a rewrite of ours left.
pub fn is_transient(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(TRANSIENT_MANAGER) && entry.subresource.is_none()
}

/// The containers of a pod template, in managed fields.
fn containers(fields: &FieldsV1) -> impl Iterator<Item = (String, &Value)> {
    keyed(descend(&fields.0, &CONTAINERS))
}

/// Whether a variable's value is owned: of a `valueFrom` whose source went to somebody else a husk is left.
fn owns_value(fields: &Value) -> bool {
    let source = fields.get("f:valueFrom").and_then(Value::as_object);
    fields.get("f:value").is_some() || source.is_some_and(|source| source.keys().any(|key| key.starts_with("f:")))
}

fn descend<'a>(fields: &'a Value, path: &[&str]) -> Option<&'a Map<String, Value>> {
    path.iter().try_fold(fields, |fields, key| fields.get(key))?.as_object()
}

/// The entries `k:{"name":"X"}` of a list keyed by name, by that name.
fn keyed(fields: Option<&Map<String, Value>>) -> impl Iterator<Item = (String, &Value)> {
    fields.into_iter().flatten().filter_map(|(key, fields)| {
        let key: Value = serde_json::from_str(key.strip_prefix("k:")?).ok()?;
        Some((key.get("name")?.as_str()?.to_owned(), fields))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, fields: serde_json::Value) -> ManagedFieldsEntry {
        serde_json::from_value(serde_json::json!({"manager": manager, "operation": operation, "fieldsV1": fields}))
            .unwrap()
    }

    #[test]
    fn only_our_apply_is_ours() {
        let env = |name: &str| {
            serde_json::json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
                "k:{\"name\":\"timbr\"}": {"f:env": {".": {}, format!("k:{{\"name\":\"{name}\"}}"): {".": {}, "f:value": {}}}}
            }}}}})
        };
        let ownership = Ownership::read(&[
            entry(FIELD_MANAGER, "Apply", env("A")),
            entry(FIELD_MANAGER, "Update", env("B")),
            entry("helm", "Update", env("A")),
            entry("argocd", "Apply", env("A")),
        ]);
        let place = |name: &str| ("timbr".to_owned(), name.to_owned());
        assert_eq!(ownership.ours, BTreeSet::from([place("A")]));
        assert_eq!(ownership.others_of(&place("A")).unwrap(), "argocd (Apply) and helm (Update)");
        assert_eq!(ownership.others_of(&place("B")).unwrap(), "timbr-identity-operator (Update)");
        assert!(!ownership.metadata);
    }
}
