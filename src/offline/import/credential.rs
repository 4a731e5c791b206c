//! Client secrets and keys: where they are, and the Secrets that have to be made for them.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::{
    api::{LABEL_CREDENTIAL, Sensitive},
    offline::by_hand::Text,
};

use super::ledger::Ledger;

/// A value that may be in a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// In the manifest.
    Plain(Text),
    /// In a Secret that is there.
    Referenced {
        /// The Secret.
        name: String,
        /// The key.
        key: String,
    },
}

/// A value for a Secret that has to be made.
#[derive(Debug)]
pub struct Made {
    /// The Secret.
    pub secret: String,
    /// The key in it.
    pub key: String,
    /// The variable that the value was taken from.
    pub variable: String,
    /// The value.
    pub value: Text,
}

impl Made {
    /// Whether a Secret holds the value already.
    pub fn is_in(&self, data: &BTreeMap<String, Sensitive>) -> bool {
        data.get(&self.key).is_some_and(|there| there.expose() == self.value.as_str().as_bytes())
    }

    /// Whether both have the same place, and different values.
    pub fn replaces(&self, other: &Self) -> bool {
        (&self.secret, &self.key) == (&other.secret, &other.key) && self.value != other.value
    }
}

/// A Secret that has to be made.
#[derive(Debug)]
pub struct SecretManifest {
    /// Its namespace, where anybody names it.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Whether it needs the label without which nobody may reference it.
    opted_in: bool,
    /// Its keys, with the variable that each comes from, and the values.
    data: BTreeMap<String, (String, Text)>,
}

impl SecretManifest {
    /// Its keys, and where their values come from.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.data.iter().map(|(key, (variable, _))| (key.as_str(), variable.as_str()))
    }

    /// The manifest, with its values in clear.
    pub fn manifest(&self) -> Json {
        let data: BTreeMap<&str, &str> =
            self.data.iter().map(|(key, (_, value))| (key.as_str(), value.as_str())).collect();
        let mut manifest = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": self.name}, "stringData": data,
        });
        if let Some(namespace) = &self.namespace {
            manifest["metadata"]["namespace"] = namespace.as_str().into();
        }
        if self.opted_in {
            manifest["metadata"]["labels"] = json!({LABEL_CREDENTIAL: "true"});
        }
        manifest
    }
}

/// The Secrets for what a ledger collected.
pub fn secret_manifests(namespace: Option<&str>, ledger: &Ledger, opted_in: bool) -> Vec<SecretManifest> {
    let mut secrets: BTreeMap<&str, SecretManifest> = BTreeMap::new();
    for Made { secret, key, variable, value } in &ledger.made {
        let manifest = secrets.entry(secret).or_insert_with(|| SecretManifest {
            namespace: namespace.map(str::to_owned),
            name: secret.clone(),
            opted_in,
            data: BTreeMap::new(),
        });
        manifest.data.insert(key.clone(), (variable.clone(), value.clone()));
    }
    secrets.into_values().collect()
}
