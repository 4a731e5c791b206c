//! Services that belong together: those of one namespace, or of one Docker Compose file.

use std::collections::BTreeMap;

use crate::{api::Component, compose::Settings};

use super::Service;

/// The parts of one Timbr.
#[derive(Debug)]
pub struct Group<'a> {
    services: Vec<&'a Service>,
    /// The cloud that they are in.
    pub settings: &'a Settings,
}

impl<'a> Group<'a> {
    /// The groups among services.
    pub fn all(services: &'a [Service], settings: &'a Settings) -> Vec<Self> {
        let mut groups: BTreeMap<(Option<usize>, &str), Vec<&Service>> = BTreeMap::new();
        for service in services {
            let file = service.is_compose().then_some(service.at);
            groups.entry((file, &service.namespace)).or_default().push(service);
        }
        groups.into_values().map(|services| Self { services, settings }).collect()
    }

    /// Its services.
    pub fn services(&self) -> &[&'a Service] {
        &self.services
    }

    /// The service of a component. Of several nobody knows which belongs to whom.
    pub fn only(&self, component: Component) -> Option<&'a Service> {
        let mut found = self.services.iter().filter(|service| service.component == component);
        let first = found.next().copied()?;
        found.next().is_none().then_some(first)
    }
}
