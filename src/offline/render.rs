//! What `render` prints: the plans, as manifests, as a diff, as variables, as a compose file.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use crate::{
    api::{ANNOTATION_CONTENT, ANNOTATION_DELIVERED, LABEL_MANAGED},
    compose::{DeploymentPlan, EnvEntry, EnvSource, NetworkStep, PlannedContainer, SecretPlan, Value},
    yaml::{self, WriteError},
};

use super::{
    Installation, Judged,
    objects::{InputDeployment, annotations},
};

/// What stands for a sensitive value.
const REDACTED: &str = "<redacted>";

/// kubectl's memory of what was applied: it repeats every value.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Everything that would be made or changed, in kubectl's order, Deployments last: the whole Deployment where it
/// is in the input, else the patch for it.
///
/// # Errors
/// What cannot be written as YAML.
pub fn manifests(judged: &Judged<'_>, show_secrets: bool) -> Result<String, WriteError> {
    let mut secrets = Vec::new();
    let mut deployments = Vec::new();
    let networks: Vec<Json> = judged.installations.iter().flat_map(networks).collect();
    for (installation, plan) in plans(judged) {
        let namespace = &installation.snapshot.key.namespace;
        secrets.extend(
            plan.secrets
                .iter()
                .filter(|secret| !secret.present)
                .map(|secret| manifest(namespace, &plan.name, secret, show_secrets)),
        );
        let Some(apply) = &plan.apply else { continue };
        deployments.push(match input(judged, installation, plan) {
            Some(input) => printable(merged(input, apply), show_secrets),
            None => apply.clone(),
        });
    }
    yaml::write_stream(&[secrets, networks, deployments].concat())
}

/// A unified diff between each Deployment of the input that would change and what it would become.
///
/// # Errors
/// What cannot be written as YAML.
pub fn diff(judged: &Judged<'_>, show_secrets: bool) -> Result<String, WriteError> {
    let mut text = String::new();
    for (installation, plan) in plans(judged) {
        let (Some(apply), Some(input)) = (&plan.apply, input(judged, installation, plan)) else { continue };
        let before = yaml::write(&printable(input.value.clone(), show_secrets))?;
        let after = yaml::write(&printable(merged(input, apply), show_secrets))?;
        let document = &judged.documents[input.at];
        let name = format!("Deployment {}/{}", installation.snapshot.key.namespace, plan.name);
        let from = format!("{}:{} {name}", document.file, document.number);
        let diff = similar::TextDiff::from_lines(&before, &after);
        text += &diff.unified_diff().header(&from, &format!("rendered {name}")).to_string();
    }
    Ok(text)
}

/// `# <deployment>/<container>`, then the variables, sorted.
pub fn env(judged: &Judged<'_>, show_secrets: bool) -> String {
    let mut text = String::new();
    for (installation, plan) in plans(judged) {
        for container in &plan.containers {
            text += &format!("# {}/{}\n", plan.name, container.name);
            for (name, value) in variables(installation, plan, container, show_secrets) {
                text += &format!("{name}={}\n", on_one_line(value));
            }
        }
    }
    text
}

/// A Docker Compose file with the variables of each service.
///
/// # Errors
/// What cannot be written as YAML.
pub fn compose_file(judged: &Judged<'_>, show_secrets: bool) -> Result<String, WriteError> {
    let namespaces: BTreeSet<&str> =
        plans(judged).map(|(installation, _)| installation.snapshot.key.namespace.as_str()).collect();
    let mut services = Map::new();
    for (installation, plan) in plans(judged) {
        for container in &plan.containers {
            // Docker knows neither namespaces nor several containers in one service.
            let mut name = plan.name.clone();
            if namespaces.len() > 1 {
                name = format!("{}-{name}", installation.snapshot.key.namespace);
            }
            if plan.containers.len() > 1 {
                name = format!("{name}-{}", container.name);
            }
            // A dollar sign would be expanded.
            let variables = variables(installation, plan, container, show_secrets).into_iter();
            let environment: BTreeMap<_, _> = variables.map(|(name, value)| (name, value.replace('$', "$$"))).collect();
            services.insert(name, json!({"environment": environment}));
        }
    }
    yaml::write(&json!({"services": services}))
}

fn plans<'a>(judged: &'a Judged<'_>) -> impl Iterator<Item = (&'a Installation, &'a DeploymentPlan)> {
    judged
        .installations
        .iter()
        .flat_map(|installation| installation.plan.deployments.iter().map(move |plan| (installation, plan)))
}

/// The NetworkPolicies that would be made.
fn networks(installation: &Installation) -> impl Iterator<Item = Json> {
    installation.plan.networks.iter().filter_map(|plan| match &plan.next {
        NetworkStep::Apply { manifest, .. } => serde_json::to_value(manifest).ok(),
        NetworkStep::Delete { .. } => None,
    })
}

fn input<'a>(
    judged: &'a Judged<'_>,
    installation: &Installation,
    plan: &DeploymentPlan,
) -> Option<&'a InputDeployment> {
    judged.objects.deployments.get(&(installation.snapshot.key.namespace.clone(), plan.name.clone()))
}

/// A Secret that would be made. Values are printed as they are, not encoded: for people to read.
fn manifest(namespace: &str, deployment: &str, secret: &SecretPlan, show_secrets: bool) -> Json {
    let data: BTreeMap<&String, String> =
        secret.data.iter().map(|(name, value)| (name, shown(value, show_secrets))).collect();
    let mut manifest = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret.name, "namespace": namespace, "labels": secret.labels},
        "type": "Opaque",
        "stringData": data,
    });
    if !secret.stable {
        manifest["immutable"] = true.into();
    }
    // Who owns it can only be said of a Deployment that came from a cluster.
    if let Some(uid) = secret.owner.as_ref().filter(|uid| !uid.is_empty()) {
        manifest["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment, "uid": uid}]);
    }
    manifest
}

fn shown(value: &Value, show_secrets: bool) -> String {
    match value {
        Value::Plain(plain) => plain.as_str().to_owned(),
        Value::Sensitive(value) if show_secrets => String::from_utf8_lossy(value.expose()).into_owned(),
        Value::Sensitive(_) => REDACTED.to_owned(),
        Value::Placeholder(what) => what.clone(),
    }
}

/// The variables of a container, with values instead of references.
fn variables(
    installation: &Installation,
    plan: &DeploymentPlan,
    container: &PlannedContainer,
    show_secrets: bool,
) -> BTreeMap<String, String> {
    let value = |EnvEntry { source, .. }: &EnvEntry| match source {
        EnvSource::Plain(value) => value.clone(),
        EnvSource::Secret { name, key } => {
            let planned = plan
                .secrets
                .iter()
                .find(|secret| secret.name == *name)
                .and_then(|secret| secret.data.get(key))
                .cloned();
            // What stays from before is in a Secret that is there, or that is not in the input.
            let there =
                || installation.snapshot.secrets.get(name)?.found()?.data.get(key).cloned().map(Value::Sensitive);
            let value = planned.or_else(there).unwrap_or_else(|| Value::Placeholder(format!("<Secret {name}/{key}>")));
            shown(&value, show_secrets)
        }
    };
    container.variables().map(|entry| (entry.name.clone(), value(entry))).collect()
}

/// A value with line breaks, such as a key, in double quotes with escapes.
fn on_one_line(value: String) -> String {
    if value.contains(char::is_control) { format!("{value:?}") } else { value }
}

/// The Deployment of the input as it would be after the apply: lists are merged by name, and what is
/// ours and not applied any more goes.
fn merged(input: &InputDeployment, apply: &Json) -> Json {
    let mut deployment = input.value.clone();
    let ownership = &input.live.ownership;
    let ours = &ownership.ours;
    let rows = [
        ("/metadata", "labels", LABEL_MANAGED, ownership.metadata),
        ("/metadata", "annotations", ANNOTATION_DELIVERED, ownership.metadata),
        ("/spec/template/metadata", "annotations", ANNOTATION_CONTENT, ownership.content),
    ];
    for (at, map, key, is_ours) in rows {
        match apply.pointer(&format!("{at}/{map}")).and_then(|map| map.get(key)) {
            Some(value) => {
                let steps = at.split('/').skip(1).chain([map]);
                let map = steps.fold(&mut deployment, |here, step| {
                    let there = &mut here[step];
                    if there.is_null() {
                        *there = json!({});
                    }
                    there
                });
                map[key] = value.clone();
            }
            None if is_ours => {
                if let Some(map) = deployment.pointer_mut(&format!("{at}/{map}")).and_then(Json::as_object_mut) {
                    map.remove(key);
                }
            }
            None => {}
        }
    }
    let name = |value: &Json| value.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
    let applied = |container: &str| {
        let containers = apply.pointer("/spec/template/spec/containers").and_then(Json::as_array);
        let found = containers.into_iter().flatten().find(|there| name(there) == container);
        found.and_then(|found| found.get("env")).and_then(Json::as_array).cloned().unwrap_or_default()
    };
    let containers = deployment.pointer_mut("/spec/template/spec/containers").and_then(Json::as_array_mut);
    for container in containers.into_iter().flatten() {
        let container_name = name(container);
        let applied = applied(&container_name);
        let mut env = container.get("env").and_then(Json::as_array).cloned().unwrap_or_default();
        let before = env.len();
        env.retain(|entry| {
            !ours.contains(&(container_name.clone(), name(entry))) || applied.iter().any(|new| name(new) == name(entry))
        });
        let untouched = applied.is_empty() && env.len() == before;
        for new in applied {
            match env.iter_mut().find(|entry| name(entry) == name(&new)) {
                Some(entry) => *entry = new,
                None => env.push(new),
            }
        }
        if !untouched {
            container["env"] = env.into();
        }
    }
    deployment
}

/// A Deployment of the input may carry credentials in plain text. A name has to do for telling which.
fn printable(mut deployment: Json, show_secrets: bool) -> Json {
    if show_secrets {
        return deployment;
    }
    if let Some(applied) = annotations(&mut deployment).and_then(|map| map.get_mut(LAST_APPLIED)) {
        *applied = REDACTED.into();
    }
    for list in ["initContainers", "containers"] {
        let containers = deployment.pointer_mut(&format!("/spec/template/spec/{list}")).and_then(Json::as_array_mut);
        let env =
            containers.into_iter().flatten().filter_map(|container| container.get_mut("env")?.as_array_mut()).flatten();
        for entry in env {
            let is_credential = entry.get("name").and_then(Json::as_str).is_some_and(names_a_credential);
            match entry.get_mut("value") {
                Some(Json::String(value)) if is_credential && !is_switch(value) => *value = REDACTED.to_owned(),
                // Without quotation marks, digits are a number, and a password all the same.
                Some(value @ Json::Number(_)) if is_credential => *value = REDACTED.into(),
                _ => {}
            }
        }
    }
    deployment
}

fn names_a_credential(variable: &str) -> bool {
    let name = variable.to_ascii_uppercase();
    ["SECRET", "PASSWORD", "PASSWD", "TOKEN", "CREDENTIAL"].iter().any(|word| name.contains(word))
        || name.ends_with("KEY")
}

/// Nothing to hide in `ENABLE_TOKEN=true`.
fn is_switch(value: &str) -> bool {
    value.is_empty() || value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_by_their_names() {
        for name in ["OAUTH_SECRET", "AZURE_CLIENT_SECRET", "DB_PASSWORD", "JWT_DEFAULT_KEY", "api_token"] {
            assert!(names_a_credential(name), "{name}");
        }
        for name in ["OAUTH_PROVIDER", "AUTH_WITH_USERPASS", "KEYCLOAK_URL", "TIMBR_LOG_LEVEL"] {
            assert!(!names_a_credential(name), "{name}");
        }
        assert!(is_switch("True") && !is_switch("hunter2"));
    }

    #[test]
    fn a_value_stays_on_its_line() {
        assert_eq!(on_one_line("a b".to_owned()), "a b");
        assert_eq!(on_one_line("a\nb".to_owned()), "\"a\\nb\"");
    }
}
