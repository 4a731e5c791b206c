//! The templates of the Helm chart that say what the code says: the CRDs, what the operator may do, what people may do,
//! and how the API server is told of the webhook. `make chart` writes them to `charts/`; the others there are written by
//! hand, and take these in.

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhook;
use serde_json::{Value, json};

use crate::{
    admission::configuration,
    api::{GROUP, WEBHOOK_CONFIGURATION, crds},
    rights::{Install, Place, Rule, comment, people, rules},
    yaml,
};

/// The files, in the chart's folder `templates`.
pub const TEMPLATES: &[&str] = &["_rights.tpl", "crds.yaml", "people.yaml", "webhook.yaml"];

/// What in the code stands where the chart has the namespaces that are watched.
const WATCHED: &str = "WATCHED";
/// The same of the release's namespace.
const NAMESPACE: &str = "NAMESPACE";
/// The name of what is the cluster's.
const OF_CLUSTER: &str = "{{ include \"timbr-identity-operator.ofCluster\" . }}";
const LABELS: &str = "  labels:\n    {{- include \"timbr-identity-operator.labels\" . | nindent 4 }}\n";
const END: &str = "{{- end }}\n";

/// One of [`TEMPLATES`].
pub fn template(name: &str) -> Option<String> {
    match name {
        "_rights.tpl" => Some(rights()),
        "crds.yaml" => Some(definitions()),
        "people.yaml" => Some(roles_for_people()),
        "webhook.yaml" => Some(webhook()),
        _ => None,
    }
}

/// A comment that is no part of what is rendered.
fn heading(source: &str, text: &str) -> String {
    let text = comment(&format!("Made by `make chart` from {source}. {text}"), "");
    format!("{{{{- /*\n{}*/}}}}\n", text.replace("# ", ""))
}

/// Text in which nothing is a template's.
fn verbatim(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

/// The rows of the table, a template for each place.
fn rights() -> String {
    let mut text = heading("src/rights.rs", "What the operator may do; rbac.yaml takes it in.");
    let named = |name: &str, rules: Vec<Rule>| {
        let rows: String = rules.iter().map(row).collect();
        // What takes it in stands behind `rules:`.
        format!("{{{{- define \"timbr-identity-operator.rights.{name}\" }}}}\n{rows}{END}\n")
    };
    let of = |install, place| rules(install).into_iter().filter(|rule| rule.place == place).collect::<Vec<_>>();
    let some = Install::Namespaced(&[]);
    text += &named("watched.clusterWide", of(Install::ClusterWide, Place::Watched));
    text += &named("watched.namespaced", of(some, Place::Watched));
    text += &named("own", of(some, Place::Own));
    text += &named("cluster", of(some, Place::Cluster));
    text.trim_end().to_owned() + "\n"
}

fn row(rule: &Rule) -> String {
    let text = verbatim(&rule.text());
    let text = text.replace(
        &format!("resourceNames: [{WEBHOOK_CONFIGURATION}]"),
        &match rule.place {
            // The others of this name are in the operator's namespace.
            Place::Cluster => format!("resourceNames: [{OF_CLUSTER}]"),
            _ => format!("resourceNames: [{WEBHOOK_CONFIGURATION}]"),
        },
    );
    match rule.is_of_webhook() {
        // Of what is the cluster's it is asked as a whole.
        true if rule.place != Place::Cluster => format!("{{{{- if .Values.webhook.enabled }}}}\n{text}{END}"),
        _ => text,
    }
}

fn definitions() -> String {
    let mut text = heading("src/api", "The same is in crds/.");
    text += "{{- if .Values.crds.enabled }}\n";
    for definition in crds() {
        let definition = verbatim(&yaml::write(&definition).unwrap_or_default());
        let metadata = format!(
            "\nmetadata:\n{{{{- if .Values.crds.keep }}}}\n  annotations:\n    # Deleted with the release, they would take all resources along.\n    helm.sh/resource-policy: keep\n{END}{LABELS}"
        );
        text += "---\n";
        text += &definition.replacen("\nmetadata:\n", &metadata, 1);
    }
    text + END
}

fn roles_for_people() -> String {
    let mut text = heading("src/rights.rs", "What people may do with the operator's kinds.");
    text += "{{- if .Values.aggregateRoles }}\n";
    for role in people() {
        text += "---\n";
        text += &comment(role.why, "");
        let labels = match role.aggregated {
            true => format!("{LABELS}    rbac.authorization.k8s.io/aggregate-to-{}: \"true\"\n", role.name),
            false => LABELS.to_owned(),
        };
        let kinds: String = role.kinds.iter().map(|kind| format!("      - {}\n", kind.plural())).collect();
        text += &format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: \"{OF_CLUSTER}:{}\"\n{labels}rules:\n  - apiGroups: [{GROUP}]\n    resources:\n{kinds}    verbs: [{}]\n",
            role.name,
            role.verbs.join(", "),
        );
    }
    text + END
}

fn webhook() -> String {
    let of = |watched| configuration("", NAMESPACE, watched).webhooks.unwrap_or_default();
    let (all, some) = (of(&[]), of(&[WATCHED]));
    let webhooks: String = all.iter().zip(&some).map(|(all, some)| called(all, some)).collect();
    let mut text = heading("src/admission/configuration.rs", "The operator, or cert-manager, fills in caBundle.");
    text += "{{- if .Values.webhook.enabled }}\n";
    text += &format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata:\n  name: {OF_CLUSTER}\n{LABELS}"
    );
    text += "  {{- if .Values.webhook.certManager.enabled }}\n  annotations:\n    cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/timbr-identity-webhook\n  {{- end }}\n";
    text + "webhooks:\n" + &webhooks + END
}

/// One of the webhooks, for all namespaces or for those that are watched.
fn called(all: &ValidatingWebhook, some: &ValidatingWebhook) -> String {
    let name = some.name.split('.').next().unwrap_or_default();
    let path = some.client_config.service.as_ref().and_then(|service| service.path.as_deref()).unwrap_or_default();
    let port = some.client_config.service.as_ref().and_then(|service| service.port).unwrap_or_default();
    let mut value = serde_json::to_value(some).unwrap_or_default();
    value["failurePolicy"] = json!("POLICY");
    if let Some(names) = value.pointer_mut("/namespaceSelector/matchExpressions/0/values") {
        *names = json!(WATCHED);
    }
    let mut text = verbatim(&yaml::write(&Value::Array(vec![value])).unwrap_or_default());
    let mut swap = |from: &str, to: &str| text = text.replace(from, to);
    swap("failurePolicy: POLICY\n", &format!("failurePolicy: {{{{ .Values.webhook.failurePolicy.{name} }}}}\n"));
    swap(
        "    service:\n",
        &format!(
            "    {{{{- if .Values.webhook.url }}}}\n    url: {{{{ printf \"%s{path}\" (trimSuffix \"/\" .Values.webhook.url) | quote }}}}\n    {{{{- else }}}}\n    service:\n"
        ),
    );
    swap(&format!("      port: {port}\n"), &format!("      port: {port}\n    {END}"));
    swap(&format!("namespace: {NAMESPACE}\n"), "namespace: {{ .Release.Namespace | quote }}\n");
    swap("  namespaceSelector:\n", "  {{- if not .Values.clusterWide }}\n  namespaceSelector:\n");
    swap(
        &format!("values: {WATCHED}\n"),
        &format!("values: {{{{ include \"timbr-identity-operator.watched\" . }}}}\n  {END}"),
    );
    let conditions = |of: &ValidatingWebhook| of.match_conditions.clone().unwrap_or_default();
    for (all, some) in conditions(all).iter().zip(conditions(some)) {
        if all.expression == some.expression {
            continue;
        }
        let line = |expression: &str| format!("  - expression: {}\n", verbatim(&json!(expression).to_string()));
        let named = line(&some.expression)
            .replace(&format!("'{WATCHED}'"), "{{ include \"timbr-identity-operator.watchedInCel\" . }}");
        let either =
            format!("  {{{{- if .Values.clusterWide }}}}\n{}  {{{{- else }}}}\n{named}  {END}", line(&all.expression));
        swap(&line(&some.expression), &either);
    }
    text
}
