//! Who owns what of a Deployment's environment, read from its managed fields.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value};

use crate::api::{ANNOTATION_DELIVERED, FIELD_MANAGER, LABEL_MANAGED};

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
    /// Everybody else who owns a variable or part of it.
    pub others: BTreeMap<Place, BTreeSet<Owner>>,
    /// Whether our Apply owns the label and the annotation.
    pub metadata: bool,
}

impl Ownership {
    /// Reads managed fields. What cannot be read owns nothing.
    pub fn read(managed_fields: &[ManagedFieldsEntry]) -> Self {
        let mut ownership = Self::default();
        for entry in managed_fields {
            let (Some(manager), Some(operation), Some(fields)) = (&entry.manager, &entry.operation, &entry.fields_v1)
            else {
                continue;
            };
            let ours = manager == FIELD_MANAGER && operation == "Apply" && entry.subresource.is_none();
            let containers = descend(&fields.0, &["f:spec", "f:template", "f:spec", "f:containers"]);
            for (container, fields) in keyed(containers) {
                for (variable, _) in keyed(descend(fields, &["f:env"])) {
                    let place = (container.clone(), variable);
                    if ours {
                        ownership.ours.insert(place);
                    } else {
                        let owner = Owner { manager: manager.clone(), operation: operation.clone() };
                        ownership.others.entry(place).or_default().insert(owner);
                    }
                }
            }
            if ours {
                let owns = |map: &str, key: &str| {
                    descend(&fields.0, &["f:metadata", map]).is_some_and(|map| map.contains_key(&format!("f:{key}")))
                };
                ownership.metadata = owns("f:labels", LABEL_MANAGED) && owns("f:annotations", ANNOTATION_DELIVERED);
            }
        }
        ownership
    }

    /// Everybody else who owns a variable, for messages: "helm (Update) and argocd (Apply)".
    pub fn others_of(&self, place: &Place) -> Option<String> {
        let owners = self.others.get(place)?;
        Some(owners.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "))
    }
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
