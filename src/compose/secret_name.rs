//! Names of the Secrets that carry sensitive values: content-addressed, by a keyed hash.
//!
//! A changed value changes the name, hence the pod template, hence the pods are replaced; the old
//! pods keep their old Secret. A bare hash in a public name would be an oracle for weak secrets, so
//! the hash has a key that only the operator can read.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::hmac;

use zeroize::Zeroizing;

use crate::api::{Component, Sensitive};

use super::Value;

/// The key of Secret names.
#[derive(Clone)]
pub enum NameKey {
    /// The operator's key.
    Key(Box<hmac::Key>),
    /// Offline there is no key, and no hash is computed: the suffix is the word `offline`.
    Offline,
}

impl NameKey {
    /// The operator's key, from the 32 bytes in its Secret.
    pub fn new(bytes: &[u8]) -> Self {
        Self::Key(Box::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// The suffix for a Deployment's container and content: ten hex digits.
    pub(super) fn suffix(&self, deployment: &str, container: &str, data: &BTreeMap<String, Sensitive>) -> String {
        let values = data.iter().flat_map(|(name, value)| [name.as_bytes(), value.expose()]);
        self.digits([deployment.as_bytes(), container.as_bytes()].into_iter().chain(values), 5)
    }

    /// A word for all that the containers of a Deployment take from Secrets that charts name: twenty hex digits.
    pub(super) fn content<'a>(
        &self,
        deployment: &'a str,
        containers: impl Iterator<Item = (&'a str, &'a BTreeMap<String, Value>)>,
    ) -> String {
        let values = containers.flat_map(|(container, data)| {
            // How many there are, so that none can pass for a container's name.
            let count = data.len().to_string().into_bytes();
            let values = data.iter().flat_map(|(name, value)| {
                let value = match value {
                    Value::Plain(value) => value.as_str().as_bytes(),
                    Value::Sensitive(value) => value.expose(),
                    Value::Placeholder(_) => &[],
                };
                [name.as_bytes().to_vec(), value.to_vec()]
            });
            [container.as_bytes().to_vec(), count].into_iter().chain(values).map(Zeroizing::new).collect::<Vec<_>>()
        });
        let parts: Vec<Zeroizing<Vec<u8>>> = values.collect();
        let parts = parts.iter().map(|part| part.as_slice());
        self.digits([b"content".as_slice(), deployment.as_bytes()].into_iter().chain(parts), 10)
    }

    /// A word for what a check tries: twenty hex digits. It is compared with that of an earlier operator.
    pub(super) fn of_check<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> String {
        self.digits([b"check".as_slice()].into_iter().chain(parts), 10)
    }

    /// Two hex digits for each byte of the hash of these parts.
    fn digits<'a>(&self, parts: impl Iterator<Item = &'a [u8]>, bytes: usize) -> String {
        let NameKey::Key(key) = self else { return "offline".to_owned() };
        let mut context = hmac::Context::with_key(key);
        for part in parts {
            // Every part is preceded by its length, so no two contents have the same encoding.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        tag.as_ref().iter().take(bytes).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Whether this can be the name of a Secret that carries sensitive values.
pub fn is_secret_name(name: &str) -> bool {
    let is_hex = |suffix: &str| suffix.len() == 10 && suffix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    Component::ALL.iter().any(|component| {
        let rest = name.strip_prefix("timbr-").and_then(|rest| rest.strip_prefix(component.name()));
        rest.and_then(|rest| rest.strip_prefix("-identity-")).is_some_and(is_hex)
    })
}

impl fmt::Debug for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameKey::Key(_) => "<redacted>",
            NameKey::Offline => "Offline",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, Sensitive> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), Sensitive::from(*value))).collect()
    }

    #[test]
    fn every_part_counts_and_the_suffix_is_ten_hex_digits() {
        let key = NameKey::new(&[7; 32]);
        let base = key.suffix("d", "c", &data(&[("A", "1"), ("B", "2")]));
        assert_eq!(base.len(), 10);
        assert!(base.chars().all(|c| c.is_ascii_hexdigit()));
        let others = [
            NameKey::new(&[8; 32]).suffix("d", "c", &data(&[("A", "1"), ("B", "2")])),
            key.suffix("dc", "", &data(&[("A", "1"), ("B", "2")])),
            key.suffix("d", "c2", &data(&[("A", "1"), ("B", "2")])),
            key.suffix("d", "c", &data(&[("A", "1B"), ("", "2")])),
            key.suffix("d", "c", &data(&[("A", "1")])),
        ];
        for other in others {
            assert_ne!(other, base);
        }
        assert_eq!(NameKey::Offline.suffix("d", "c", &data(&[])), "offline");
    }

    #[test]
    fn names_of_ours_are_known_by_their_form() {
        for component in Component::ALL {
            let suffix = NameKey::new(&[7; 32]).suffix("d", "c", &data(&[("A", "1")]));
            assert!(is_secret_name(&(component.secret_prefix() + &suffix)));
        }
        for other in [
            "timbr-platform-identity",
            "timbr-platform-identity-",
            "timbr-platform-identity-offline",
            "timbr-platform-identity-012345678",
            "timbr-platform-identity-0123456789a",
            "timbr-platform-identity-012345678A",
            "timbr-web-identity-0123456789",
            "xtimbr-platform-identity-0123456789",
            "timbr-identity-name-key",
            "",
        ] {
            assert!(!is_secret_name(other), "{other}");
        }
    }
}
