//! Which Secret carries a container's sensitive values, and under which name.

use std::collections::BTreeMap;

use crate::api::{Component, FIELD_MANAGER, LABEL_COMPONENT, LABEL_INSTALLATION, LABEL_MANAGED_BY};

use super::{LiveSecret, Snapshot, Value};

/// A Secret that carries sensitive values to a container.
#[derive(Clone, Debug, PartialEq)]
pub struct SecretPlan {
    /// Its name, chosen by its content.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// uid of the Deployment that owns it. `None` offline.
    pub owner: Option<String>,
    /// Variable names and values.
    pub data: BTreeMap<String, Value>,
    /// It is there already, with this content and this owner.
    pub present: bool,
}

impl SecretPlan {
    /// The Secret as it is once it is made.
    pub fn live(&self) -> LiveSecret {
        let sensitive = self.data.iter().filter_map(|(name, value)| match value {
            Value::Sensitive(value) => Some((name.clone(), value.clone())),
            Value::Plain(_) | Value::Placeholder(_) => None,
        });
        LiveSecret {
            type_: "Opaque".to_owned(),
            ours: true,
            opted_in: false,
            immutable: true,
            owner: self.owner.clone(),
            data: sensitive.collect(),
        }
    }

    /// Whether a live Secret is just this one, but for its owner.
    pub fn is(&self, live: &LiveSecret) -> bool {
        LiveSecret { owner: None, opted_in: false, ..live.clone() } == LiveSecret { owner: None, ..self.live() }
    }
}

/// The Secret for a container's sensitive values. A live one of ours with equal content keeps its
/// name: a lost name key is no reason to replace pods.
pub fn plan_secret(
    snapshot: &Snapshot,
    deployment: &str,
    uid: Option<&str>,
    component: Component,
    container: &str,
    data: BTreeMap<String, Value>,
) -> SecretPlan {
    let sensitive: BTreeMap<String, _> = data
        .iter()
        .filter_map(|(name, value)| match value {
            Value::Sensitive(value) => Some((name.clone(), value.clone())),
            _ => None,
        })
        .collect();
    let prefix = component.secret_prefix();
    let labels = BTreeMap::from([
        (LABEL_MANAGED_BY.to_owned(), FIELD_MANAGER.to_owned()),
        (LABEL_COMPONENT.to_owned(), component.name().to_owned()),
        (LABEL_INSTALLATION.to_owned(), snapshot.key.label()),
    ]);
    let equal = snapshot.secrets.iter().find(|(name, lookup)| {
        name.starts_with(&prefix)
            && lookup.found().is_some_and(|secret| {
                secret.ours && secret.immutable && secret.data == sensitive && secret.owner.as_deref() == uid
            })
    });
    SecretPlan {
        name: match equal {
            Some((name, _)) => name.clone(),
            None => prefix + &snapshot.name_key.suffix(deployment, container, &sensitive),
        },
        labels,
        owner: uid.map(str::to_owned),
        data,
        present: equal.is_some(),
    }
}
