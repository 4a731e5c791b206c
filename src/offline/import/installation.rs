//! The TimbrInstallation, where Deployments or containers have other names than usual.

use serde_json::{Map, Value as Json, json};

use crate::{
    api::Component,
    offline::by_hand::{Origin, Service},
};

use super::{ledger::Ledger, timbr::Timbr};

const KIND: &str = "TimbrInstallation";
const NAME: &str = "timbr";

/// The TimbrInstallation, if one is needed.
pub fn make(timbr: &Timbr<'_>, ledger: &mut Ledger) -> Vec<Json> {
    if timbr.has_installation {
        return vec![];
    }
    let targets = timbr.services.iter().filter_map(|(component, service)| target(*component, service));
    let components: Map<String, Json> = targets.collect();
    if components.is_empty() {
        return vec![];
    }
    if let Some(fault) = ledger.refused.get(&(KIND.to_owned(), NAME.to_owned())) {
        ledger.left.push((KIND, format!("cannot be made, as {}", fault.of_resource())));
        return vec![];
    }
    let mut spec = Map::new();
    spec.insert("components".to_owned(), components.into());
    vec![timbr.resource(KIND, NAME, spec)]
}

/// Where a component runs, if that has to be said. A Docker Compose file knows no Deployments.
fn target(component: Component, service: &Service) -> Option<(String, Json)> {
    let Origin::Kubernetes { container, alone, .. } = &service.origin else { return None };
    let is_usual = *alone || component.usual_containers().contains(&container.as_str());
    if is_usual && service.name == component.usual_deployment() {
        return None;
    }
    let mut target = json!({"deployment": service.name});
    if !alone {
        target["container"] = container.as_str().into();
    }
    Some((component.name().to_owned(), target))
}
