//! Secrets that resources name: whether they may be used, and whether their values can be variables.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;

use crate::api::{
    ANNOTATION_EXPIRES, CREDENTIAL_TYPE, Code, FIELD_MANAGER, LABEL_CREDENTIAL, LABEL_INSTALLATION, LABEL_MANAGED_BY,
    Problem, Reason, SecretKeyRef, Sensitive, rules,
};

use super::{Lookup, Snapshot, Value};

/// A live Secret.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveSecret {
    /// Its type.
    pub type_: String,
    /// Whether its labels say that we made it.
    pub ours: bool,
    /// The installation that its labels name.
    pub installation: Option<String>,
    /// Whether its owner agreed that it may be referenced.
    pub opted_in: bool,
    /// Whether it is immutable.
    pub immutable: bool,
    /// uid of the Deployment that owns it, when that is its only owner.
    pub owner: Option<String>,
    /// When the credential in it ends, as its annotation says.
    pub expires_at: Option<String>,
    /// Its data.
    pub data: BTreeMap<String, Sensitive>,
}

/// Reads a Secret.
pub fn live_secret(secret: Secret) -> LiveSecret {
    let labels = secret.metadata.labels.unwrap_or_default();
    let mut owners = secret.metadata.owner_references.unwrap_or_default();
    let data = secret.data.unwrap_or_default();
    LiveSecret {
        type_: secret.type_.unwrap_or_else(|| "Opaque".to_owned()),
        ours: labels.get(LABEL_MANAGED_BY).is_some_and(|by| by == FIELD_MANAGER),
        installation: labels.get(LABEL_INSTALLATION).cloned(),
        opted_in: labels.get(LABEL_CREDENTIAL).is_some_and(|value| value == "true"),
        immutable: secret.immutable.unwrap_or_default(),
        owner: if owners.len() == 1 {
            owners.pop().filter(|owner| owner.kind == "Deployment").map(|owner| owner.uid)
        } else {
            None
        },
        expires_at: secret.metadata.annotations.unwrap_or_default().remove(ANNOTATION_EXPIRES),
        data: data.into_iter().map(|(key, value)| (key, Sensitive::new(value.0))).collect(),
    }
}

/// Longest value, in bytes. Linux limits one variable to 128 KiB, name included.
const LONGEST: usize = 64 * 1024;

/// A reference that cannot be used: the condition's reason, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// The reason of ReferencesResolved=False.
    pub reason: Reason,
    /// The field that names the Secret.
    pub path: String,
    /// Object, cause, fix; never a value.
    pub message: String,
}

/// The value that `reference` at `path` names.
///
/// # Errors
/// Says why it cannot be used. No value is ever quoted.
pub fn resolve(snapshot: &Snapshot, path: &str, reference: &SecretKeyRef) -> Result<Value, Unresolved> {
    let SecretKeyRef { name, key } = reference;
    let namespace = &snapshot.key.namespace;
    let unresolved = |reason, message: String| Err(Unresolved { reason, path: path.to_owned(), message });
    let secret = match snapshot.secrets.get(name) {
        Some(Lookup::Found(secret)) => secret,
        Some(Lookup::NotInInput) => return Ok(Value::Placeholder(format!("<Secret {name}/{key}>"))),
        Some(Lookup::Forbidden) => {
            return unresolved(
                Reason::SecretNotPermitted,
                format!(
                    "Secret {name}: the operator may not read Secrets in namespace {namespace}; grant its ServiceAccount get on secrets there"
                ),
            );
        }
        Some(Lookup::Missing) | None => {
            return unresolved(
                Reason::SecretNotFound,
                format!("Secret {name} does not exist in namespace {namespace}; create it with the key {key}"),
            );
        }
    };
    if let Some(cause) = refusal(secret, snapshot.settings.require_secret_opt_in) {
        return unresolved(Reason::SecretNotPermitted, format!("Secret {name} {cause}"));
    }
    let Some(value) = secret.data.get(key) else {
        // The keys that are there are not told: whoever may write a resource need not see Secrets.
        let message = format!("Secret {name} has no key {key}; add the key to the Secret, or name another");
        return unresolved(Reason::SecretKeyNotFound, message);
    };
    match unusable(value.expose()) {
        Some(cause) => unresolved(Reason::SecretValueInvalid, format!("Secret {name}, key {key}: the value {cause}")),
        None => Ok(Value::Sensitive(value.clone())),
    }
}

/// What is wrong with a reference by itself.
pub fn check_reference(path: &str, reference: &SecretKeyRef) -> impl Iterator<Item = Problem> {
    let name = rules::SECRET_NAME.check(&format!("{path}.name"), &reference.name);
    let key = rules::SECRET_KEY.check(&format!("{path}.key"), &reference.key);
    name.into_iter().chain(key)
}

/// Warns of a client secret that looks like its ID.
pub fn warn_of_secret_id(path: &str, reference: &SecretKeyRef, value: Option<&Value>, problems: &mut Vec<Problem>) {
    if let Some(Value::Sensitive(secret)) = value
        && is_guid(secret.expose())
    {
        problems.push(Problem::warning(
            path,
            Code::SecretValueLooksLikeId,
            format!(
                "Secret {}, key {}: the value looks like a Secret ID; the app registration shows Value and Secret ID side by side, and Timbr needs the Value",
                reference.name, reference.key
            ),
        ));
    }
}

/// As [`resolve`], for an application (client) id: it must be a GUID, so that a client secret named
/// by mistake is not published as an id.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_client_id(snapshot: &Snapshot, path: &str, reference: &SecretKeyRef) -> Result<Value, Unresolved> {
    let value = resolve(snapshot, path, reference)?;
    match &value {
        Value::Sensitive(bytes) if !is_guid(bytes.expose()) => Err(Unresolved {
            reason: Reason::SecretValueInvalid,
            path: path.to_owned(),
            message: format!(
                "Secret {}, key {}: the value is not an Application (client) ID (a GUID); does the reference name the client secret by mistake?",
                reference.name, reference.key
            ),
        }),
        _ => Ok(value),
    }
}

/// Whether bytes are a GUID.
pub fn is_guid(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| rules::CLIENT_ID.holds(text))
}

/// Why a Secret may not be referenced.
fn refusal(secret: &LiveSecret, require_opt_in: bool) -> Option<String> {
    if secret.ours {
        return Some("is made by this operator and may not be referenced; name the Secret that you created".to_owned());
    }
    if secret.type_ != "Opaque" && secret.type_ != CREDENTIAL_TYPE {
        return Some(format!(
            "has type {}, which may not be referenced; put the value into a Secret of type Opaque",
            secret.type_
        ));
    }
    (require_opt_in && !secret.opted_in).then(|| {
        format!(
            "lacks the label {LABEL_CREDENTIAL}: \"true\", which this operator requires of Secrets that are referenced"
        )
    })
}

/// Why a value cannot be a variable.
fn unusable(value: &[u8]) -> Option<&'static str> {
    let Ok(text) = std::str::from_utf8(value) else {
        return Some("is not UTF-8 text, so it cannot be an environment variable");
    };
    if text.is_empty() {
        Some("is empty")
    } else if text.contains('\0') {
        Some("holds a NUL byte, so it cannot be an environment variable")
    } else if text.len() > LONGEST {
        Some("is longer than 64 KiB, too long for an environment variable")
    } else if text.trim() != text && !text.trim_start().starts_with("-----BEGIN ") {
        Some(
            "begins or ends with white space; often a line break from `echo` without -n or from a file: create it with --from-literal",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_ours_by_its_label_and_owned_by_one() {
        let read = |metadata: serde_json::Value| {
            let secret = serde_json::json!({"metadata": metadata, "data": {"key": "dmFsdWU="}});
            live_secret(serde_json::from_value(secret).expect("a Secret"))
        };
        let bare = read(serde_json::json!({}));
        assert_eq!((bare.type_.as_str(), bare.ours, bare.opted_in, bare.immutable), ("Opaque", false, false, false));
        assert_eq!((bare.owner, bare.installation), (None, None));
        assert_eq!(bare.data["key"].expose(), b"value");
        let labels = |by: &str, opted_in: &str| {
            read(serde_json::json!({"labels": {
                LABEL_MANAGED_BY: by, LABEL_CREDENTIAL: opted_in, LABEL_INSTALLATION: "main",
            }}))
        };
        let of = |secret: LiveSecret| (secret.ours, secret.opted_in, secret.installation);
        assert_eq!(of(labels(FIELD_MANAGER, "true")), (true, true, Some("main".to_owned())));
        assert_eq!(of(labels("Helm", "false")), (false, false, Some("main".to_owned())));
        let owner =
            |kind: &str, uid: &str| serde_json::json!({"apiVersion": "v1", "kind": kind, "name": "x", "uid": uid});
        let owned = |owners: &[serde_json::Value]| read(serde_json::json!({"ownerReferences": owners})).owner;
        assert_eq!(owned(&[owner("Deployment", "u")]).as_deref(), Some("u"));
        assert_eq!(owned(&[owner("StatefulSet", "u")]), None);
        assert_eq!(owned(&[owner("Deployment", "u"), owner("Deployment", "v")]), None);
    }

    #[test]
    fn values_that_cannot_be_variables() {
        let long = "x".repeat(LONGEST + 1);
        let table: &[(&[u8], Option<&str>)] = &[
            (b"hunter2", None),
            (b"-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----\n", None),
            (&long.as_bytes()[..LONGEST], None),
            (b"", Some("empty")),
            (b"a\0b", Some("NUL")),
            (b"\xff\xfe", Some("UTF-8")),
            (long.as_bytes(), Some("64 KiB")),
            (b"hunter2\n", Some("white space")),
            (b" hunter2", Some("white space")),
        ];
        for (value, expected) in table {
            match (unusable(value), expected) {
                (None, None) => {}
                (Some(cause), Some(word)) => assert!(cause.contains(word), "{cause}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
