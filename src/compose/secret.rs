//! Which Secret carries a container's sensitive values, and under which name.

use std::collections::BTreeMap;

use crate::api::{Component, FIELD_MANAGER, LABEL_COMPONENT, LABEL_INSTALLATION, LABEL_MANAGED_BY, Reason, Sensitive};

use super::{
    LiveSecret, LiveValue, Lookup, Snapshot, Value, Verdict, keep::KeptValue, ownership::PlaceRef, site::Site,
};

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
    /// Whether its name is the same whatever its content is, as charts name it.
    pub stable: bool,
    /// Whether it is to stay; else it goes once the Deployment is at rest.
    pub stays: bool,
    /// Of one whose name is always the same: what it is to be written over.
    pub replaces: Option<LiveSecret>,
}

impl SecretPlan {
    /// The Secret as it is once it is made.
    pub fn live(&self) -> LiveSecret {
        let data = self.data.iter().filter_map(|(name, value)| match value {
            Value::Sensitive(value) => Some((name.clone(), value.clone())),
            Value::Plain(value) => Some((name.clone(), Sensitive::from(value.as_str()))),
            Value::Placeholder(_) => None,
        });
        LiveSecret {
            type_: "Opaque".to_owned(),
            ours: true,
            installation: self.labels.get(LABEL_INSTALLATION).cloned(),
            opted_in: false,
            immutable: !self.stable,
            owner: self.owner.clone(),
            expires_at: None,
            data: data.collect(),
        }
    }

    /// Whether a live Secret is just this one, but for its owner.
    pub fn is(&self, live: &LiveSecret) -> bool {
        let but_for_whose = |secret: &LiveSecret| LiveSecret {
            owner: None,
            opted_in: false,
            installation: None,
            expires_at: None,
            ..secret.clone()
        };
        but_for_whose(live) == but_for_whose(&self.live())
    }
}

/// The Secret for a container's sensitive values; `kept` is what stays of resources that ask for nothing now. A live
/// one of ours with equal content keeps its name: a lost name key is no reason to replace pods.
pub fn plan_secret(
    snapshot: &Snapshot,
    site: &Site<'_>,
    component: Component,
    container: &str,
    data: BTreeMap<String, Value>,
    kept: &BTreeMap<PlaceRef<'_>, KeptValue<'_>>,
) -> SecretPlan {
    let uid = site.live().map(|live| live.uid.as_str());
    let sensitive: BTreeMap<String, _> = data
        .iter()
        .filter_map(|(name, value)| match value {
            Value::Sensitive(value) => Some((name.clone(), value.clone())),
            _ => None,
        })
        .collect();
    let prefix = component.secret_prefix();
    let is_ours = |secret: &&LiveSecret| secret.ours && secret.immutable && secret.owner.as_deref() == uid;
    let found = |name: &str| snapshot.secrets.get(name).and_then(Lookup::found).filter(is_ours);
    let equal = || {
        let mut all = snapshot.secrets.keys().filter(|name| name.starts_with(&prefix));
        all.find(|name| found(name).is_some_and(|secret| secret.data == sensitive)).map(String::as_str)
    };
    // Where the values come from now may also hold what is kept of a neighbour: that one turned invalid is no reason
    // to replace pods either.
    let current = source(site, container, sensitive.keys()).filter(|current| {
        let is_needed = |key: &String, value| match sensitive.get(key) {
            Some(wanted) => wanted == value,
            None => kept.get(&(container, key.as_str())).is_some_and(|kept| is_from(kept, current, key)),
        };
        current.starts_with(&prefix)
            && found(current).is_some_and(|secret| {
                sensitive.keys().all(|key| secret.data.contains_key(key))
                    && secret.data.iter().all(|(key, value)| is_needed(key, value))
            })
    });
    let there = current.or_else(equal);
    SecretPlan {
        name: match there {
            Some(name) => name.to_owned(),
            None => prefix + &snapshot.name_key.suffix(site.name, container, &sensitive),
        },
        labels: labels(snapshot, component),
        owner: uid.map(str::to_owned),
        data,
        present: there.is_some(),
        stable: false,
        stays: true,
        replaces: None,
    }
}

/// The Secret that all of these variables of a container come from.
fn source<'a, 'b>(
    site: &Site<'a>,
    container: &str,
    mut variables: impl Iterator<Item = &'b String>,
) -> Option<&'a str> {
    let of = |variable: &String| match site.variables().get(container, variable) {
        [LiveValue::SecretKey { name, key }] if key == variable => Some(name.as_str()),
        _ => None,
    };
    let first = of(variables.next()?)?;
    variables.all(|variable| of(variable) == Some(first)).then_some(first)
}

/// Whether what is kept is an entry that names this key of a Secret.
fn is_from(kept: &KeptValue<'_>, secret: &str, variable: &str) -> bool {
    matches!(kept, KeptValue::Entry(LiveValue::SecretKey { name, key }) if name == secret && key == variable)
}

/// The labels of a Secret that we make.
pub fn labels(snapshot: &Snapshot, component: Component) -> BTreeMap<String, String> {
    BTreeMap::from([
        (LABEL_MANAGED_BY.to_owned(), FIELD_MANAGER.to_owned()),
        (LABEL_COMPONENT.to_owned(), component.name().to_owned()),
        (LABEL_INSTALLATION.to_owned(), snapshot.key.label()),
    ])
}

/// What it means that a Secret which the operator writes may not be read.
pub fn unreadable(name: &str, namespace: &str) -> Verdict {
    Verdict::no(
        Reason::Forbidden,
        format!(
            "Secret {name}: the operator may not read Secrets in namespace {namespace}; grant its ServiceAccount get, create, patch and delete on secrets there"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::PlainValue;

    #[test]
    fn one_is_another_whoever_owns_it() {
        let plan = SecretPlan {
            name: "timbr-platform-identity-1".to_owned(),
            labels: BTreeMap::from([(LABEL_INSTALLATION.to_owned(), "main".to_owned())]),
            owner: Some("u".to_owned()),
            data: BTreeMap::from([
                ("OAUTH_SECRET".to_owned(), Value::Sensitive("s3cr3t".into())),
                ("OAUTH_PROVIDER".to_owned(), Value::Plain(PlainValue::new("", "azure").expect("plain"))),
                ("unknown".to_owned(), Value::Placeholder("<Secret x/y>".to_owned())),
            ]),
            present: false,
            stable: false,
            stays: true,
            replaces: None,
        };
        let live = plan.live();
        assert_eq!((live.ours, live.immutable, live.installation.as_deref()), (true, true, Some("main")));
        assert_eq!(live.data.keys().collect::<Vec<_>>(), ["OAUTH_PROVIDER", "OAUTH_SECRET"]);
        let other = |change: fn(&mut LiveSecret)| {
            let mut other = live.clone();
            change(&mut other);
            plan.is(&other)
        };
        assert!(other(|_| {}));
        assert!(other(|it| it.owner = None) && other(|it| it.opted_in = true) && other(|it| it.installation = None));
        assert!(!other(|it| it.ours = false) && !other(|it| it.immutable = false));
        assert!(!other(|it| it.type_ = "kubernetes.io/tls".to_owned()));
        assert!(!other(|it| drop(it.data.remove("OAUTH_SECRET"))));
        assert!(!other(|it| drop(it.data.insert("OAUTH_SECRET".to_owned(), "other".into()))));
    }
}
