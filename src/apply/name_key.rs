//! The key of Secret names: a Secret in the operator's own namespace, made by the first operator.

use std::collections::BTreeMap;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, api::PostParams};

use crate::{
    api::{FIELD_MANAGER, LABEL_MANAGED_BY, NAME_KEY, NAME_KEY_SECRET},
    compose::NameKey,
    world::describe,
};

use super::WRITE_TIMEOUT;

/// Length of the key, in bytes.
const LENGTH: usize = 32;

/// The key cannot be had. Without it nothing is written: another key would give other names, and
/// every pod would be replaced.
#[derive(Debug, thiserror::Error)]
pub enum NameKeyError {
    /// The API server refused or failed.
    #[error("Secret {namespace}/{NAME_KEY_SECRET} cannot be read or made: {}; grant the operator's ServiceAccount get and create on secrets in its own namespace", describe(.source))]
    Api {
        /// The operator's namespace.
        namespace: String,
        /// Why.
        source: kube::Error,
    },
    /// No answer in time.
    #[error("Secret {namespace}/{NAME_KEY_SECRET} cannot be read: no answer within 5 seconds")]
    TimedOut {
        /// The operator's namespace.
        namespace: String,
    },
    /// The Secret is not the operator's.
    #[error(
        "Secret {namespace}/{NAME_KEY_SECRET} does not hold 32 bytes under the key `{NAME_KEY}`; restore it from a backup, or delete it (then a new key is made; Secrets in use keep their names)"
    )]
    Malformed {
        /// The operator's namespace.
        namespace: String,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes to be had from the operating system")]
    NoRandomness,
}

/// Reads the key, or makes it when there is none. Made by create, so that of two operators the
/// second takes the first one's.
///
/// # Errors
/// See [`NameKeyError`].
pub async fn name_key(client: &Client, namespace: &str) -> Result<NameKey, NameKeyError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let timed_out = |_| NameKeyError::TimedOut { namespace: namespace.to_owned() };
    let failed = |source| NameKeyError::Api { namespace: namespace.to_owned(), source };
    let found =
        tokio::time::timeout(WRITE_TIMEOUT, api.get_opt(NAME_KEY_SECRET)).await.map_err(timed_out)?.map_err(failed)?;
    let secret = match found {
        Some(secret) => secret,
        None => {
            let created = tokio::time::timeout(WRITE_TIMEOUT, create(&api)).await.map_err(timed_out)?;
            match created.ok_or(NameKeyError::NoRandomness)? {
                Ok(secret) => secret,
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    tokio::time::timeout(WRITE_TIMEOUT, api.get(NAME_KEY_SECRET))
                        .await
                        .map_err(timed_out)?
                        .map_err(failed)?
                }
                Err(error) => return Err(failed(error)),
            }
        }
    };
    let bytes = secret.data.and_then(|mut data| data.remove(NAME_KEY)).map(|bytes| zeroize::Zeroizing::new(bytes.0));
    match bytes {
        Some(bytes) if bytes.len() == LENGTH => Ok(NameKey::new(&bytes)),
        _ => Err(NameKeyError::Malformed { namespace: namespace.to_owned() }),
    }
}

/// `None` without randomness.
async fn create(api: &Api<Secret>) -> Option<kube::Result<Secret>> {
    let mut bytes = vec![0; LENGTH];
    SystemRandom::new().fill(&mut bytes).ok()?;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(NAME_KEY_SECRET.to_owned()),
            labels: Some(BTreeMap::from([(LABEL_MANAGED_BY.to_owned(), FIELD_MANAGER.to_owned())])),
            ..Default::default()
        },
        type_: Some("Opaque".to_owned()),
        immutable: Some(true),
        data: Some(BTreeMap::from([(NAME_KEY.to_owned(), ByteString(bytes))])),
        ..Default::default()
    };
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
    Some(api.create(&params, &secret).await)
}
