//! Who owns what of a Deployment's environment, read from its managed fields.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::{Map, Value};

use crate::api::{ANNOTATION_CONTENT, ANNOTATION_DELIVERED, FIELD_MANAGER, LABEL_MANAGED, TRANSIENT_MANAGER};

use super::{
    hands::asserts,
    managed_fields::{CONTAINERS, ENV},
};

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
    /// Who else owns it; of several one that will set it again.
    pub content_of: Option<Owner>,
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
            let of_template = descend(&fields.0, &["f:spec", "f:template", "f:metadata", "f:annotations"]);
            let has_content = of_template.is_some_and(|map| map.contains_key(&format!("f:{ANNOTATION_CONTENT}")));
            if has_content && !ours && !transient && ownership.content_of.as_ref().is_none_or(|owner| !asserts(owner)) {
                ownership.content_of = Some(owner());
            }
            if ours {
                let owns = |map: &str, key: &str| {
                    descend(&fields.0, &["f:metadata", map]).is_some_and(|map| map.contains_key(&format!("f:{key}")))
                };
                ownership.metadata = owns("f:labels", LABEL_MANAGED) && owns("f:annotations", ANNOTATION_DELIVERED);
                ownership.content = has_content;
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

    /// Managed fields that own these of a container's variables.
    fn of_env(variables: serde_json::Value) -> serde_json::Value {
        let env: serde_json::Map<String, serde_json::Value> = variables
            .as_object()
            .expect("variables")
            .iter()
            .map(|(name, fields)| (format!("k:{{\"name\":\"{name}\"}}"), fields.clone()))
            .collect();
        serde_json::json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"timbr\"}": {"f:env": env}}}}}})
    }

    fn at(time: &str, mut entry: ManagedFieldsEntry) -> ManagedFieldsEntry {
        entry.time = Some(serde_json::from_value(time.into()).expect("a time"));
        entry
    }

    fn of_status(mut entry: ManagedFieldsEntry) -> ManagedFieldsEntry {
        entry.subresource = Some("status".to_owned());
        entry
    }

    #[test]
    fn each_part_of_a_variable_has_its_owner() {
        use serde_json::json;
        let whole = json!({".": {}, "f:name": {}, "f:value": {}});
        let shell = json!({".": {}, "f:name": {}});
        let value = json!({"f:value": {}});
        let source = json!({".": {}, "f:name": {}, "f:valueFrom": {".": {}, "f:secretKeyRef": {}}});
        let husk = json!({".": {}, "f:name": {}, "f:valueFrom": {".": {}}});
        let entries = [
            entry(FIELD_MANAGER, APPLY, of_env(json!({"A": whole, "B": shell, "C": source, "D": shell}))),
            entry("helm", "Update", of_env(json!({"B": whole, "C": husk, "D": shell}))),
            entry("kubectl-edit", "Update", of_env(json!({"A": value, "C": source}))),
            entry(TRANSIENT_MANAGER, "Update", of_env(json!({"E": whole}))),
            // Not of the object itself.
            of_status(entry(FIELD_MANAGER, APPLY, of_env(json!({"F": whole})))),
            of_status(entry(TRANSIENT_MANAGER, "Update", of_env(json!({"F": whole})))),
        ];
        let place = |name: &str| ("timbr".to_owned(), name.to_owned());
        let owner =
            |manager: &str, operation: &str| Owner { manager: manager.to_owned(), operation: operation.to_owned() };
        let helm = || owner("helm", "Update");
        let edit = || owner("kubectl-edit", "Update");
        let (ours, transient) = (owner(FIELD_MANAGER, APPLY), owner(TRANSIENT_MANAGER, "Update"));
        let expected = Ownership {
            ours: ["A", "B", "C", "D"].map(place).into(),
            bare: ["B", "D"].map(place).into(),
            transient: [place("E")].into(),
            has_transient: true,
            others: [
                (place("A"), [edit()].into()),
                (place("B"), [helm()].into()),
                (place("C"), [edit()].into()),
                (place("F"), [ours.clone(), transient.clone()].into()),
            ]
            .into(),
            fields: [
                (place("A"), [(edit(), value)].into()),
                (place("B"), [(helm(), whole.clone())].into()),
                (place("C"), [(edit(), source)].into()),
                (place("F"), [(ours, whole.clone()), (transient, whole)].into()),
            ]
            .into(),
            shells: [(place("C"), [helm()].into()), (place("D"), [helm()].into())].into(),
            rootless: [place("A")].into(),
            metadata: false,
            content: false,
            content_of: None,
            latest: Some(edit()),
            entries: entries.to_vec(),
        };
        assert_eq!(Ownership::read(&entries), expected);
        // As they are they are needed to hand something over, and only then.
        for (parts, is_kept) in [(0..2, false), (0..3, true), (0..1, false), (3..4, true), (4..6, false)] {
            let ownership = Ownership::read(&entries[parts.clone()]);
            assert_eq!(ownership.entries, if is_kept { &entries[parts.clone()] } else { &[] }, "{parts:?}");
            assert_eq!(ownership.has_transient, parts.contains(&3), "{parts:?}");
        }
    }

    #[test]
    fn the_record_is_ours_with_label_and_annotation() {
        use serde_json::json;
        let label = json!({format!("f:{LABEL_MANAGED}"): {}});
        let annotation = json!({format!("f:{ANNOTATION_DELIVERED}"): {}});
        let content = json!({format!("f:{ANNOTATION_CONTENT}"): {}});
        let fields = |labels: &Value, annotations: &Value, template: &Value| {
            json!({
                "f:metadata": {"f:labels": labels, "f:annotations": annotations},
                "f:spec": {"f:template": {"f:metadata": {"f:annotations": template}}},
            })
        };
        let none = json!({});
        let rows = [
            (FIELD_MANAGER, &label, &annotation, &content, (true, true)),
            (FIELD_MANAGER, &label, &annotation, &none, (true, false)),
            (FIELD_MANAGER, &label, &none, &content, (false, true)),
            (FIELD_MANAGER, &none, &annotation, &none, (false, false)),
            ("helm", &label, &annotation, &content, (false, false)),
        ];
        let by = |managers: &[(&str, &str)]| {
            let entries =
                managers.iter().map(|(name, operation)| entry(name, operation, fields(&none, &none, &content)));
            Ownership::read(&entries.collect::<Vec<_>>()).content_of.map(|owner| owner.manager)
        };
        assert_eq!(by(&[(FIELD_MANAGER, APPLY), (TRANSIENT_MANAGER, "Update")]), None);
        assert_eq!(by(&[("kubectl", "Update")]).as_deref(), Some("kubectl"));
        assert_eq!(
            by(&[("kubectl", "Update"), ("argocd", APPLY), ("kubectl-edit", "Update")]).as_deref(),
            Some("argocd")
        );
        for (manager, labels, annotations, template, expected) in rows {
            let ownership = Ownership::read(&[entry(manager, APPLY, fields(labels, annotations, template))]);
            assert_eq!(
                (ownership.metadata, ownership.content),
                expected,
                "{manager} {labels} {annotations} {template}"
            );
        }
    }

    #[test]
    fn the_latest_is_who_wrote_to_the_template_last() {
        use serde_json::json;
        let template = || of_env(json!({"A": {".": {}}}));
        let metadata = || json!({"f:metadata": {"f:annotations": {"f:x": {}}}});
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let latest = |entries: &[ManagedFieldsEntry]| Ownership::read(entries).latest.map(|owner| owner.manager);
        let by = |manager: &str, time: &str, fields| at(time, entry(manager, "Update", fields));
        let rows = [
            (vec![by("one", early, template()), by("other", late, template())], Some("other")),
            (vec![by("one", late, template()), by("other", early, template())], Some("one")),
            // Of two in one second it is the one that stands last.
            (vec![by("one", late, template()), by("other", late, template())], Some("other")),
            (vec![by("one", early, template()), by("other", late, metadata())], Some("one")),
            (vec![by("one", early, template()), of_status(by("other", late, template()))], Some("one")),
            (vec![by("one", early, template()), by(TRANSIENT_MANAGER, late, template())], Some("one")),
            (vec![by("one", early, template()), at(late, entry(FIELD_MANAGER, APPLY, template()))], Some("one")),
            (vec![by("one", early, metadata())], None),
        ];
        for (i, (entries, expected)) in rows.into_iter().enumerate() {
            assert_eq!(latest(&entries).as_deref(), expected, "row {i}");
        }
    }
}
