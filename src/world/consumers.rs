//! Who uses which Timbr, by the labels of pods. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{api::PolicyTarget, compose::Consumer};

/// A pod, and what it uses: a pod may use several components.
type Use = (PolicyTarget, String, String);

/// Who uses which Timbr.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    /// The namespace of the Timbr that is used, and by whom.
    uses: BTreeMap<Use, (String, Consumer)>,
    /// The uses of the Timbr in a namespace.
    of: BTreeMap<String, BTreeSet<Use>>,
}

impl Consumers {
    /// Takes in what a pod uses now; returns the namespaces of the Timbrs that this is news to.
    pub fn set(&mut self, used: Use, now: Option<(String, Consumer)>) -> BTreeSet<String> {
        if self.uses.get(&used) == now.as_ref() {
            return BTreeSet::new();
        }
        let mut concerned = BTreeSet::new();
        if let Some((of, _)) = self.uses.remove(&used) {
            if let Some(there) = self.of.get_mut(&of) {
                there.remove(&used);
                if there.is_empty() {
                    self.of.remove(&of);
                }
            }
            concerned.insert(of);
        }
        if let Some((of, consumer)) = now {
            self.of.entry(of.clone()).or_default().insert(used.clone());
            self.uses.insert(used, (of.clone(), consumer));
            concerned.insert(of);
        }
        concerned
    }

    /// Who uses the Timbr in a namespace.
    pub fn of(&self, namespace: &str) -> BTreeSet<Consumer> {
        let uses = self.of.get(namespace).into_iter().flatten();
        uses.filter_map(|used| self.uses.get(used)).map(|(_, consumer)| consumer.clone()).collect()
    }

    /// The pods in a namespace, or in all, that use a component.
    pub fn pods(&self, target: PolicyTarget, namespace: Option<&str>) -> BTreeSet<(String, String)> {
        let uses = self.uses.keys().filter(|(of, ..)| *of == target);
        let here = uses.filter(|(_, there, _)| namespace.is_none_or(|only| only == there));
        here.map(|(_, namespace, name)| (namespace.clone(), name.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(name: &str) -> Consumer {
        Consumer {
            target: PolicyTarget::Api,
            namespace: "shop".to_owned(),
            kind: "Deployment".to_owned(),
            name: name.to_owned(),
            application: Some(name.to_owned()),
        }
    }

    fn used(pod: &str) -> Use {
        (PolicyTarget::Api, "shop".to_owned(), pod.to_owned())
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_timbr_knows_who_uses_it() {
        let mut consumers = Consumers::default();
        let of = |namespace: &str, name: &str| Some((namespace.to_owned(), consumer(name)));
        assert_eq!(consumers.set(used("a"), of("timbr", "orders")), names(&["timbr"]));
        assert_eq!(consumers.set(used("b"), of("timbr", "orders")), names(&["timbr"]));
        assert_eq!(consumers.set(used("b"), of("timbr", "orders")), names(&[]));
        assert_eq!(consumers.of("timbr"), [consumer("orders")].into());
        assert_eq!(consumers.set(used("b"), of("other", "orders")), names(&["other", "timbr"]));
        assert_eq!(consumers.pods(PolicyTarget::Api, Some("shop")).len(), 2);
        assert_eq!(consumers.pods(PolicyTarget::Api, Some("timbr")).len(), 0);
        assert_eq!(consumers.pods(PolicyTarget::Server, None).len(), 0);
        assert_eq!(consumers.set(used("a"), None), names(&["timbr"]));
        assert_eq!(consumers.set(used("a"), None), names(&[]));
        assert_eq!(consumers.set(used("b"), None), names(&["other"]));
        assert!(consumers.uses.is_empty() && consumers.of.is_empty());
    }
}
