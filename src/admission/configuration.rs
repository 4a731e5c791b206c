//! How the API server is told of the webhook.

use k8s_openapi::{
    api::admissionregistration::v1::{
        MatchCondition, RuleWithOperations, ServiceReference, ValidatingWebhook, ValidatingWebhookConfiguration,
        WebhookClientConfig,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta},
};

use crate::api::{CONSUMES, FIELD_MANAGER, GROUP, LABEL_MANAGED_BY, VERSION, WEBHOOK_CONFIGURATION};

use super::consumer::{CONTROLLERS, KINDS};

/// The Service of the webhook, in the operator's own namespace.
pub const SERVICE: &str = "timbr-identity-operator-webhook";

/// Seconds that the API server waits for an answer.
const TIMEOUT: i32 = 5;

/// The configuration, without `caBundle`, which the operator fills in. `namespace`: the operator's own; `watched`: those
/// that it looks after, none: all.
pub fn configuration(name: &str, namespace: &str, watched: &[&str]) -> ValidatingWebhookConfiguration {
    let webhooks = vec![resources(namespace, watched), consumers(namespace, watched)];
    ValidatingWebhookConfiguration {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some([(LABEL_MANAGED_BY.to_owned(), FIELD_MANAGER.to_owned())].into()),
            ..Default::default()
        },
        webhooks: Some(webhooks),
    }
}

/// The same as a manifest, for an operator that is installed as `deploy` has it.
pub fn manifest(watched: &[&str]) -> String {
    let mut configuration =
        serde_json::to_value(configuration(WEBHOOK_CONFIGURATION, crate::rights::OWN, watched)).unwrap_or_default();
    configuration["apiVersion"] = "admissionregistration.k8s.io/v1".into();
    configuration["kind"] = "ValidatingWebhookConfiguration".into();
    let yaml = crate::yaml::write(&configuration).unwrap_or_default();
    format!(
        "# Made by `make rbac` from src/admission/configuration.rs. The operator fills in caBundle.\n#\n# failurePolicy: Ignore lets objects pass while no replica of the operator answers; with Fail they wait.\n{yaml}"
    )
}

fn resources(namespace: &str, watched: &[&str]) -> ValidatingWebhook {
    let rules = vec![rule(GROUP, VERSION, vec!["*".to_owned()])];
    ValidatingWebhook { rules: Some(rules), ..webhook("resources", namespace, watched) }
}

fn consumers(namespace: &str, watched: &[&str]) -> ValidatingWebhook {
    let mut rules: Vec<RuleWithOperations> = Vec::new();
    for (group, _, plural) in KINDS {
        match rules.iter_mut().find(|rule| rule.api_groups.as_deref() == Some(&[group.to_owned()])) {
            Some(RuleWithOperations { resources: Some(resources), .. }) => resources.push(plural.to_owned()),
            _ => rules.push(rule(group, "v1", vec![plural.to_owned()])),
        }
    }
    let conditions = vec![
        condition("uses-timbr", &uses_timbr(watched)),
        condition("is-not-made-by-the-control-plane", &not_by_the_control_plane()),
    ];
    ValidatingWebhook {
        rules: Some(rules),
        match_conditions: Some(conditions),
        // A consumer may be anywhere: which Timbr it uses is what counts.
        namespace_selector: None,
        ..webhook("consumers", namespace, watched)
    }
}

fn webhook(path: &str, namespace: &str, watched: &[&str]) -> ValidatingWebhook {
    let only = (!watched.is_empty()).then(|| LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: "kubernetes.io/metadata.name".to_owned(),
            operator: "In".to_owned(),
            values: Some(watched.iter().map(|name| (*name).to_owned()).collect()),
        }]),
        ..Default::default()
    });
    ValidatingWebhook {
        name: format!("{path}.{GROUP}"),
        admission_review_versions: vec!["v1".to_owned()],
        client_config: WebhookClientConfig {
            service: Some(ServiceReference {
                name: SERVICE.to_owned(),
                namespace: namespace.to_owned(),
                path: Some(format!("/{path}")),
                port: Some(443),
            }),
            ..Default::default()
        },
        // An operator that is away keeps nobody from deploying, or from deleting a namespace.
        failure_policy: Some("Ignore".to_owned()),
        namespace_selector: only,
        side_effects: "None".to_owned(),
        timeout_seconds: Some(TIMEOUT),
        ..Default::default()
    }
}

fn rule(group: &str, version: &str, resources: Vec<String>) -> RuleWithOperations {
    RuleWithOperations {
        api_groups: Some(vec![group.to_owned()]),
        api_versions: Some(vec![version.to_owned()]),
        operations: Some(vec!["CREATE".to_owned(), "UPDATE".to_owned()]),
        resources: Some(resources),
        scope: Some("Namespaced".to_owned()),
    }
}

fn condition(name: &str, expression: &str) -> MatchCondition {
    MatchCondition { name: name.to_owned(), expression: expression.to_owned() }
}

/// Whether pods of it say that they use a Timbr that is looked after: in CEL, as an objectSelector sees no pod template.
fn uses_timbr(watched: &[&str]) -> String {
    let of = |path: &str| format!("object.?{path}.?labels.orValue({{}})");
    let labels = format!(
        "(request.kind.kind == 'Pod' ? {} : request.kind.kind == 'CronJob' ? {} : {})",
        of("metadata"),
        of("spec.?jobTemplate.?spec.?template.?metadata"),
        of("spec.?template.?metadata"),
    );
    if watched.is_empty() {
        return format!("{labels}.exists(key, key.startsWith('{CONSUMES}'))");
    }
    // An empty value is the consumer's own namespace. A list of one gives the labels a name.
    format!(
        "[{labels}].exists(labels, labels.exists(key, key.startsWith('{CONSUMES}') && (labels[key] == '' ? request.namespace : labels[key]) in [{}]))",
        list(watched)
    )
}

/// Names as CEL has them in a list.
fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

/// Whether anybody but the control plane's own controllers asks.
fn not_by_the_control_plane() -> String {
    format!("!(request.userInfo.username in [{}])", list(&CONTROLLERS))
}
