//! Reads an object of ours, whatever its kind, from a cluster or a file.
//!
//! An object that does not decode is still an object: it keeps its place and what it delivered, and
//! its status says what is wrong. So nothing here fails.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    ANNOTATION_RECONCILE, ANNOTATION_SYNC, Kind, Meta, Resource, Spec, Status, TimbrInstallationSpec, Unreadable,
};

/// An object of ours.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A TimbrInstallation.
    Installation(Resource<TimbrInstallationSpec>),
    /// Any other kind.
    Resource(Resource<Spec>),
}

impl Object {
    /// Reads an object of `kind` with this metadata and the rest of its fields.
    pub fn read(kind: Kind, metadata: &ObjectMeta, fields: &Value) -> Self {
        let annotation = |name: &str| metadata.annotations.as_ref().and_then(|map| map.get(name).cloned());
        let meta = Meta {
            kind,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            requested_at: annotation(ANNOTATION_RECONCILE),
            sync_requested_at: annotation(ANNOTATION_SYNC),
        };
        let status = fields.get("status").and_then(|status| Status::read(kind, status)).map(Arc::new);
        match Spec::read(kind, fields) {
            Some(spec) => Object::Resource(Resource { meta, spec, status }),
            None => Object::Installation(Resource { meta, spec: read_spec(fields), status }),
        }
    }

    /// Who it is.
    pub fn meta(&self) -> &Meta {
        match self {
            Object::Installation(installation) => &installation.meta,
            Object::Resource(resource) => &resource.meta,
        }
    }
}

/// Reads a spec; what cannot be read keeps its place.
pub(super) fn read_spec<T: DeserializeOwned>(fields: &Value) -> Result<T, Unreadable> {
    let installation_ref = match fields.pointer("/spec/installationRef") {
        None | Some(Value::Null) => Ok(None),
        Some(reference) => reference.get("name").and_then(Value::as_str).map(|name| Some(name.to_owned())).ok_or(()),
    };
    let unreadable = |error| Unreadable { error, installation_ref: installation_ref.clone() };
    let spec = fields.get("spec").ok_or_else(|| unreadable("spec is missing".to_owned()))?;
    serde_path_to_error::deserialize(spec).map_err(|error| {
        let path = match error.path().to_string() {
            path if path == "." => "spec".to_owned(),
            path => format!("spec.{path}"),
        };
        unreadable(format!("{path}: {}", without_values(&error.inner().to_string())))
    })
}

/// A decoder's sentence, without the value: the decoder quotes what it found, and that may be a secret
/// in the wrong place. Only what it expected is repeated.
pub fn without_values(error: &str) -> String {
    match error.split_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None if error.starts_with("missing field") => error.to_owned(),
        None => "has a value that this field cannot hold".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(spec: Value) -> String {
        match Object::read(Kind::AzureSso, &ObjectMeta::default(), &json!({"spec": spec})) {
            Object::Resource(resource) => resource.spec.unwrap_err().error,
            Object::Installation(_) => unreachable!(),
        }
    }

    #[test]
    fn what_does_not_decode_says_where_but_never_what() {
        let mut spec = json!({"tenantId": "t", "publicUrl": "https://a", "clientSecretRef": "hunter2"});
        assert_eq!(error(spec.clone()), "spec.clientSecretRef: expected struct SecretKeyRef");
        spec["clientSecretRef"] = json!({"name": "n"});
        assert_eq!(error(spec.clone()), "spec.clientSecretRef: missing field `key`");
        spec["clientSecretRef"] = json!({"name": "n", "key": "k"});
        spec["userIdentity"] = json!("hunter2");
        assert_eq!(error(spec.clone()), "spec.userIdentity: expected `Email` or `UserPrincipalName`");
        assert_eq!(error(json!(5)), "spec: expected struct AzureSsoSpec");
    }
}
